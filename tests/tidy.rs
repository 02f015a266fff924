//! Holds the house in order: layers, doors, sizes, words, and what lies where.
//!
//! ```text
//! src/storage/head/shard.rs:12: storage (2) uses query (3), which is not below it
//! ```
//!
//! Always true: what is found is named with file and line, and everything that is found is told at once.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The floors of `src`. A room uses rooms on floors below its own, and none beside or above it.
const FLOORS: [(u8, &[&str]); 8] = [
    (8, &["main", "demo", "operate"]),
    (7, &["server"]),
    (6, &["http"]),
    (5, &["rules"]),
    (4, &["detect", "import", "incident"]),
    (3, &["ingest", "query", "notify"]),
    (2, &["storage", "template", "journal"]),
    (1, &["model", "config", "disk", "clock", "recent", "telemetry"]),
];
/// Doors within a room that other rooms use: the tap and the view are interfaces of their own.
const INNER_DOORS: [&str; 4] = [
    "src/storage/mod.rs: pub mod tap;",
    "src/storage/mod.rs: pub mod view;",
    "src/notify/mod.rs: pub mod routing;",
    "src/notify/mod.rs: pub mod silence;",
];
/// What stands at the top, next to files that begin with a dot.
const TOP: [&str; 8] = ["Cargo.toml", "Cargo.lock", "README.md", "benches", "src", "storage-format", "tests", "tools"];
/// What may lie at the top and is not kept: `.gitignore` has it too.
const NOT_KEPT: [&str; 3] = ["target", "data", ".git"];
const UNSAFE_FILE: &str = "src/disk/mapped.rs";
const LINES_MAX: usize = 600;

/// A file of text, by its path from the top.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "testing.rs"))
    }

    /// The room of `src` that it belongs to.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let room = inside.split('/').next()?;
        Some(room.strip_suffix(".rs").unwrap_or(room))
    }
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that is kept.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![top().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be listed") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
            if path.is_dir() {
                let at_top = folder == top();
                if !(at_top && NOT_KEPT.contains(&name.as_str())) && name != "target" {
                    folders.push(path);
                }
            } else if name != ".git" {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Every kept file that is text.
fn sources() -> Vec<Source> {
    let source = |path: PathBuf| {
        let text = String::from_utf8(fs::read(&path).ok()?).ok()?;
        let path = path.strip_prefix(top()).expect("it was found there").to_string_lossy().into_owned();
        Some(Source { path, text })
    };
    files().into_iter().filter_map(source).collect()
}

fn rust() -> Vec<Source> {
    sources().into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

fn assert_nothing(found: &[String], what: &str) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The rooms that a file names, each with its line: in `crate::room::…`, `crate::{room::…, …}`, and from the binary in
/// `dozor::…`. Comments and documentation may point anywhere.
fn rooms_used(source: &Source) -> Vec<(usize, String)> {
    let own_name = if source.path == "src/main.rs" { "dozor" } else { "crate" };
    let path = Regex::new(&format!(r"\b{own_name}::(\{{)?")).expect("a regex");
    let word = Regex::new(r"^\s*([a-z_]+)").expect("a regex");
    let mut used = Vec::new();
    let code = without_comments(&source.text);
    for found in path.find_iter(&code) {
        let line = code[..found.start()].matches('\n').count() + 1;
        let rest = &code[found.end()..];
        let names = if found.as_str().ends_with('{') { first_words(rest) } else { vec![rest] };
        let names = names.iter().filter_map(|name| word.captures(name)).map(|name| name[1].to_owned());
        used.extend(names.map(|name| (line, name)));
    }
    used
}

/// The entries of a `{…}` of a `use`, of which `rest` is all that follows its opening.
fn first_words(rest: &str) -> Vec<&str> {
    let (mut depth, mut start, mut entries) = (0, 0, Vec::new());
    for (at, letter) in rest.char_indices() {
        match letter {
            '{' => depth += 1,
            ',' if depth == 0 => {
                entries.push(&rest[start..at]);
                start = at + 1;
            }
            '}' if depth == 0 => {
                entries.push(&rest[start..at]);
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    entries
}

/// The text with its comments blanked; lines stay where they are.
fn without_comments(text: &str) -> String {
    let code = |line: &str| match line.find("//") {
        // Not within an address or a string: what stands before it has an even number of quotes.
        Some(at) if line[..at].matches('"').count().is_multiple_of(2) => line[..at].to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(code).collect::<Vec<String>>().join("\n")
}

#[test]
fn every_room_stands_on_a_floor() {
    let doors = Regex::new(r"(?m)^pub mod ([a-z_]+);").expect("a regex");
    let lib = fs::read_to_string(top().join("src/lib.rs")).expect("the library has a root");
    let mut rooms: Vec<&str> = doors.captures_iter(&lib).map(|door| door.extract::<1>().1[0]).collect();
    rooms.push("main");
    rooms.sort_unstable();
    let mut known: Vec<&str> = FLOORS.iter().flat_map(|(_, rooms)| rooms.iter().copied()).collect();
    known.sort_unstable();
    assert_eq!(rooms, known, "the rooms of src/lib.rs and main, and those of FLOORS");
}

#[test]
fn imports_point_down() {
    let mut found = Vec::new();
    for source in rust() {
        let Some(room) = source.room().filter(|room| *room != "lib") else { continue };
        let own = floor(room).unwrap_or_else(|| panic!("{}: {room} stands on no floor", source.path));
        for (line, used) in rooms_used(&source) {
            let at = format!("{}:{line}", source.path);
            match floor(&used) {
                Some(other) if other < own || used == room => {}
                // The command line and the demo it starts: one program.
                Some(_) if room == "main" => {}
                Some(other) => found.push(format!("{at}: {room} ({own}) uses {used} ({other}), which is not below it")),
                None => found.push(format!("{at}: crate::{used} is no room")),
            }
        }
    }
    assert_nothing(&found, "imports that do not point down");
}

#[test]
fn super_does_not_leave_its_room() {
    let climbs = Regex::new(r"\b(?:super::)+").expect("a regex");
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.path.starts_with("src/")) {
        // How deep the file's module lies below the crate's root; a `mod.rs` is its folder.
        let depth = source.path.matches('/').count() - usize::from(source.path.ends_with("/mod.rs"));
        for (line, code) in without_comments(&source.text).lines().enumerate() {
            for climb in climbs.find_iter(code) {
                if climb.as_str().matches("super").count() >= depth {
                    found.push(format!("{}:{}: {}", source.path, line + 1, code.trim()));
                }
            }
        }
    }
    assert_nothing(&found, "super:: that leaves its room: say crate::, so that the direction shows");
}

#[test]
fn ground_uses_nothing_of_ours() {
    let uses = Regex::new(r"\b(dozor)::").expect("a regex");
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.path.starts_with("storage-format/")) {
        for (line, code) in without_comments(&source.text).lines().enumerate() {
            if uses.is_match(code) {
                found.push(format!("{}:{}: {}", source.path, line + 1, code.trim()));
            }
        }
    }
    assert_nothing(&found, "storage-format knows bytes and numbers, and nothing of the engine");
}

#[test]
fn children_of_a_room_are_private() {
    let door = Regex::new(r"^\s*pub(\([a-z: ]+\))? mod [a-z_]+").expect("a regex");
    let mut found = Vec::new();
    for source in rust() {
        let root = matches!(source.path.as_str(), "src/lib.rs" | "storage-format/src/lib.rs");
        for (line, code) in source.lines() {
            let listed = INNER_DOORS.contains(&format!("{}: {}", source.path, code.trim()).as_str());
            if !root && !source.is_test() && door.is_match(code) && !listed {
                found.push(format!("{}:{line}: {}", source.path, code.trim()));
            }
        }
    }
    assert_nothing(&found, "a folder's mod.rs is its only door");
}

#[test]
fn files_tell_one_story() {
    let too_long = |source: &Source| {
        let lines = source.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", source.path))
    };
    assert_nothing(&rust().iter().filter_map(too_long).collect::<Vec<_>>(), "files that tell more than one story");
}

#[test]
fn nothing_is_put_off() {
    // Written so that this file does not say them.
    let words = Regex::new(&[r"\b(?:TO", "DO|FIX", "ME|X", r"XX)\b"].concat()).expect("a regex");
    let mut found = Vec::new();
    for source in sources() {
        let putting_off = source.lines().filter(|(_, line)| words.is_match(line));
        found.extend(putting_off.map(|(line, text)| format!("{}:{line}: {}", source.path, text.trim())));
    }
    assert_nothing(&found, "what is put off belongs in an issue, not in a comment");
}

#[test]
fn nothing_names_the_machine_it_was_made_on() {
    let home = Regex::new(&["/(?:ro", "ot|ho", "me|wo", r"rk)/[a-z]"].concat()).expect("a regex");
    let registry = Regex::new(r"(?i)(sparse\+|replace-with|index-url|^\s*registry\s*=)").expect("a regex");
    let mut found = Vec::new();
    for source in sources() {
        // This file has the words themselves.
        let own = source.path == "tests/tidy.rs";
        for (line, text) in source.lines() {
            let foreign_source =
                text.starts_with("source = ") && !text.contains("//github.com/rust-lang/crates.io-index");
            if !own && (home.is_match(text) || registry.is_match(text) || foreign_source) {
                found.push(format!("{}:{line}: {}", source.path, text.trim()));
            }
        }
    }
    assert_nothing(&found, "paths and registries of one machine");
}

#[test]
fn top_is_tidy() {
    let mut found = Vec::new();
    for entry in fs::read_dir(top()).expect("the top can be listed") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let known = TOP.contains(&name.as_str()) || NOT_KEPT.contains(&name.as_str());
        if !known && !name.starts_with('.') {
            found.push(name);
        }
    }
    assert_nothing(&found, "what does not belong at the top");
    let missing: Vec<String> =
        TOP.iter().filter(|name| !top().join(name).exists()).map(|name| (*name).to_owned()).collect();
    assert_nothing(&missing, "what belongs at the top and is missing");
}

#[test]
fn unsafe_stands_in_one_file() {
    let word = Regex::new(r"\bunsafe\s*(?:\{|fn\b|impl\b|trait\b|extern\b)").expect("a regex");
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.path != UNSAFE_FILE) {
        for (line, code) in without_comments(&source.text).lines().enumerate() {
            if word.is_match(code) && !code.contains("Regex::new") {
                found.push(format!("{}:{}: {}", source.path, line + 1, code.trim()));
            }
        }
    }
    assert_nothing(&found, "unsafe outside of the file that maps files into memory");
}
