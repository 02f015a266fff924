//! Files by a pattern: `rules/*.yml`, `shop-[0-9].yml`.

use std::path::{Component, Path, PathBuf};

use regex::Regex;

use crate::disk::Disk;

/// The files that a pattern stands for, sorted; none where there are none. A pattern without `*`, `?` and `[` is a file.
/// Fails with what is wrong with the pattern.
pub(super) fn files(disk: &dyn Disk, pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![PathBuf::new()];
    let components: Vec<Component<'_>> = pattern.components().collect();
    for (index, component) in components.iter().enumerate() {
        let is_last = index + 1 == components.len();
        let name = component.as_os_str().to_string_lossy();
        if name.contains(['*', '?', '[']) {
            let name = matcher(&name)?;
            found = found.iter().flat_map(|folder| listed(disk, folder, is_last, &name)).collect();
        } else {
            found.iter_mut().for_each(|path| path.push(component));
        }
    }
    found.retain(|path| disk.file_bytes(path).is_ok() || disk.list(path).is_ok());
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
