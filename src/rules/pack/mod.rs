//! Rule packs: rules that are in the binary, each with a text for whoever is woken by it.
//!
//! ```text
//! dozor serve --pack shop          is --rules pack:shop
//! dozor pack print shop            the same rules as one file, to change them
//! dozor pack runbook OrdersDropped what the annotation `runbook` of that alert links to
//! ```
//!
//! A pack is a folder here: `README.md` says which metrics it wants and where they come from; an area has a file of rules
//! that Prometheus can read too, one of `anomaly:` rules, and one of runbooks with a heading for each alert; `tests` has a
//! unit test for each rule.
//!
//! ```
//! use dozor::rules::{Pack, runbook};
//! let shop = Pack::named("shop").unwrap();
//! assert!(shop.files().iter().any(|file| file.name == "checkout.yml" && file.text.contains("shop_payments_total")));
//! assert!(runbook("OrdersDropped").unwrap().contains("**Look first**"));
//! ```
//!
//! Always true: each alert of a pack has an area, a severity, a summary, a description, a runbook, and a unit test in
//! which it fires and one in which it does not; a name is not used twice, in all packs.

use std::path::Path;

/// What a path begins with that names a pack in place of a file: `pack:shop`. A file of that name is `./pack:shop`.
const PREFIX: &str = "pack:";
/// What the heading of an alert begins with in a file of runbooks.
const HEADING: &str = "## ";

/// A set of rules in the binary.
#[derive(Debug)]
pub struct Pack {
    /// How it is asked for.
    pub name: &'static str,
    /// What it watches, in a line.
    pub about: &'static str,
    /// What it wants: metrics and where they come from, as Markdown.
    pub readme: &'static str,
    files: &'static [PackFile],
    runbooks: &'static [&'static str],
}

/// One rule file of a pack.
#[derive(Debug)]
pub struct PackFile {
    /// Its name, without folders.
    pub name: &'static str,
    /// The file, as YAML.
    pub text: &'static str,
}

macro_rules! file {
    ($pack:literal, $name:literal) => {
        PackFile { name: $name, text: include_str!(concat!($pack, "/", $name)) }
    };
}

macro_rules! runbooks {
    ($pack:literal, $($area:literal),+) => {
        &[$(include_str!(concat!($pack, "/runbooks/", $area, ".md"))),+]
    };
}

static PACKS: [Pack; 1] = [Pack {
    name: "shop",
    about: "an online shop, from its machines to its orders: seven areas",
    readme: include_str!("shop/README.md"),
    files: &[
        file!("shop", "availability.yml"),
        file!("shop", "availability.anomaly.yml"),
        file!("shop", "machines.yml"),
        file!("shop", "machines.anomaly.yml"),
        file!("shop", "databases.yml"),
        file!("shop", "databases.anomaly.yml"),
        file!("shop", "access.yml"),
        file!("shop", "access.anomaly.yml"),
        file!("shop", "checkout.yml"),
        file!("shop", "checkout.anomaly.yml"),
        file!("shop", "integrations.yml"),
        file!("shop", "integrations.anomaly.yml"),
        file!("shop", "behaviour.yml"),
        file!("shop", "behaviour.anomaly.yml"),
    ],
    runbooks: runbooks!(
        "shop",
        "availability",
        "machines",
        "databases",
        "access",
        "checkout",
        "integrations",
        "behaviour"
    ),
}];

impl Pack {
    /// All packs.
    pub fn all() -> &'static [Pack] {
        &PACKS
    }

    /// The pack of this name.
    pub fn named(name: &str) -> Option<&'static Pack> {
        PACKS.iter().find(|pack| pack.name == name)
    }

    /// The pack that a path of the setting `rules` means; `None` where it is a file's. Fails, in words, if there is no
    /// such pack.
    pub(super) fn of_path(path: &Path) -> Option<Result<&'static Pack, String>> {
        let name = path.to_str()?.strip_prefix(PREFIX)?;
        let names: Vec<&str> = PACKS.iter().map(|pack| pack.name).collect();
        Some(Pack::named(name).ok_or_else(|| format!("there is no such pack; there is: {}", names.join(", "))))
    }

    /// Its rule files, each whole and valid by itself.
    pub fn files(&self) -> &'static [PackFile] {
        self.files
    }

    /// All its rules as one file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (index, file) in self.files.iter().enumerate() {
            let blank = if index == 0 { "" } else { "\n" };
            text.push_str(blank);
            for line in file.text.lines().filter(|line| index == 0 || *line != "groups:") {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

/// What to do when this alert of a pack wakes somebody, as Markdown that begins with its heading.
pub fn runbook(alert: &str) -> Option<&'static str> {
    let mut files = PACKS.iter().flat_map(|pack| pack.runbooks.iter().copied());
    files.find_map(|text| section(text, alert))
}

/// From the heading of this name to the next heading.
fn section(text: &'static str, name: &str) -> Option<&'static str> {
    let is_heading = |line: &str| line.strip_prefix(HEADING).is_some_and(|heading| heading.trim_end() == name);
    let mut starts = text.match_indices(HEADING).filter(|(at, _)| *at == 0 || text[..*at].ends_with('\n'));
    let (start, _) = starts.find(|(at, _)| text[*at..].lines().next().is_some_and(is_heading))?;
    let end = starts.next().map_or(text.len(), |(at, _)| at);
    Some(text[start..end].trim_end())
}

#[cfg(test)]
mod tests;
