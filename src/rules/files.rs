//! Which rule files there are: those that are named, and those that patterns fit.
//!
//! `rules/*/shop-[0-9].yml` is every such file of every folder in `rules`, sorted. Read again, it has the files that came
//! meanwhile. A pattern that fits none is none; a file that is named without a pattern has to be there.

use std::path::{Component, Path, PathBuf};

use regex::Regex;

use crate::disk::Disk;

/// The files of all names and patterns, each once, or a pattern and what is wrong with it.
pub(super) fn found(disk: &dyn Disk, given: &[PathBuf]) -> Vec<Result<PathBuf, (PathBuf, String)>> {
    let mut files: Vec<Result<PathBuf, (PathBuf, String)>> = Vec::new();
    for path in given {
        let of_path = if is_pattern(&path.to_string_lossy()) { files_of(disk, path) } else { Ok(vec![path.clone()]) };
        match of_path {
            Err(what) => files.push(Err((path.clone(), what))),
            Ok(found) => {
                for file in found {
                    if !files.iter().flatten().any(|known| *known == file) {
                        files.push(Ok(file));
                    }
                }
            }
        }
    }
    files
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// The files that a pattern stands for, sorted; none where there are none. A pattern without `*`, `?` and `[` is a file.
/// Fails with what is wrong with the pattern.
pub fn files_of(disk: &dyn Disk, pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![PathBuf::new()];
    let components: Vec<Component<'_>> = pattern.components().collect();
    for (index, component) in components.iter().enumerate() {
        let is_last = index + 1 == components.len();
        let name = component.as_os_str().to_string_lossy();
        if is_pattern(&name) {
            let name = matcher(&name)?;
            found = found.iter().flat_map(|folder| listed(disk, folder, is_last, &name)).collect();
        } else {
            found.iter_mut().for_each(|path| path.push(component));
        }
    }
    found.retain(|path| disk.file_bytes(path).is_ok());
    found.sort();
    Ok(found)
}

fn listed(disk: &dyn Disk, folder: &Path, is_last: bool, name: &Regex) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut names = disk.list_folders(here).unwrap_or_default();
    if is_last {
        names.extend(disk.list(here).unwrap_or_default());
    }
    names.into_iter().filter(|found| name.is_match(found)).map(|found| folder.join(found)).collect()
}

/// `*` is any text, `?` any character, `[a-c]` and `[^a-c]` one of a set.
fn matcher(pattern: &str) -> Result<Regex, String> {
    let mut regex = String::from("^(?s:");
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => {
                let rest = letters.as_str();
                let end = rest.find(']').ok_or_else(|| format!("syntax error in pattern {pattern}"))?;
                regex.push('[');
                regex.push_str(&rest[..end].replace('[', "\\[").replace("&&", "&\\&"));
                regex.push(']');
                letters = rest[end + 1..].chars();
            }
            '\\' => regex.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string())),
            _ => regex.push_str(&regex::escape(&letter.to_string())),
        }
    }
    regex.push_str(")$");
    Regex::new(&regex).map_err(|_| format!("syntax error in pattern {pattern}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    fn disk() -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        for folder in ["/r", "/r/a", "/r/b"] {
            disk.create_folder(Path::new(folder)).expect("a folder in memory");
        }
        for file in ["/r/a/shop.yml", "/r/a/shop-1.yml", "/r/b/shop-2.yml", "/r/b/other.txt"] {
            disk.replace(Path::new(file), b"").expect("a file in memory");
        }
        disk
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn files_are_found_by_patterns() {
        let disk = disk();
        let found = |pattern: &str| files_of(&disk, Path::new(pattern)).expect("a pattern");
        assert_eq!(found("/r/*/*.yml"), paths(&["/r/a/shop-1.yml", "/r/a/shop.yml", "/r/b/shop-2.yml"]));
        assert_eq!(found("/r/a/shop-[0-9].yml"), paths(&["/r/a/shop-1.yml"]));
        assert_eq!(found("/r/?/other.txt"), paths(&["/r/b/other.txt"]));
        assert_eq!(found("/r/a/s*p-?.y*"), paths(&["/r/a/shop-1.yml"]));
        assert_eq!(found("/r/a/shop.yml"), paths(&["/r/a/shop.yml"]));
        assert_eq!(found("/r/c/*.yml"), paths(&[]));
        assert!(files_of(&disk, Path::new("/r/[.yml")).is_err());
    }

    #[test]
    fn each_file_is_read_once_and_a_name_without_a_pattern_stays() {
        let given = paths(&["/r/b/shop-2.yml", "/r/*/*.yml", "/r/*.none", "/none.yml", "/[.yml"]);
        let told: Vec<_> = found(&disk(), &given).into_iter().map(|file| file.map_err(|(path, _)| path)).collect();
        let mut expected: Vec<_> =
            paths(&["/r/b/shop-2.yml", "/r/a/shop-1.yml", "/r/a/shop.yml", "/none.yml"]).into_iter().map(Ok).collect();
        expected.push(Err(PathBuf::from("/[.yml")));
        assert_eq!(told, expected);
    }
}
