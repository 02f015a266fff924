//! Which rule files there are: those that the settings name, and those that their patterns fit.
//!
//! `rules/*.yml` is every file of the folder `rules` whose name ends in `.yml`, in the order of their names; `?` stands
//! for one character. Read again, it has the files that came meanwhile. A pattern that fits none is none; a file that is
//! named without a pattern has to be there.

use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskError};

/// The files of all names and patterns, each once, or why a folder cannot be listed.
pub(super) fn found(disk: &dyn Disk, given: &[PathBuf]) -> Vec<Result<PathBuf, DiskError>> {
    let mut files: Vec<Result<PathBuf, DiskError>> = Vec::new();
    for path in given {
        match of_pattern(disk, path) {
            Err(error) => files.push(Err(error)),
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

fn of_pattern(disk: &dyn Disk, path: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return Ok(vec![path.to_owned()]);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut names = disk.list(listed)?;
    names.retain(|found| fits(name.as_bytes(), found.as_bytes()));
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Whether a name fits a pattern. Behind a `*` it is tried further on, the last one only: what an earlier one took is as
/// good as any.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, read));
                at += 1;
            }
            Some(&wanted) if wanted == name[read] || wanted == b'?' => (at, read) = (at + 1, read + 1),
            _ => match star {
                None => return false,
                Some((behind, taken)) => {
                    star = Some((behind, taken + 1));
                    (at, read) = (behind, taken + 1);
                }
            },
        }
    }
    pattern[at..].iter().all(|&rest| rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn patterns_fit_names() {
        for (pattern, name, expected) in [
            ("*.yml", "shop.yml", true),
            ("*.yml", "shop.yaml", false),
            ("*.yml", ".yml", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXcXbX", false),
            ("?.yml", "a.yml", true),
            ("?.yml", "ab.yml", false),
            ("*", "", true),
            ("shop*", "sho", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} and {name}");
        }
    }

    #[test]
    fn files_are_found_by_name_and_pattern_each_once() {
        let disk = SimulatedDisk::new();
        disk.create_folder(Path::new("/etc/rules")).expect("made");
        for name in ["b.yml", "a.yml", "notes.txt"] {
            disk.replace(&Path::new("/etc/rules").join(name), b"").expect("written");
        }
        let given = ["/etc/rules/b.yml", "/etc/rules/*.yml", "/etc/rules/*.none", "/none.yml"].map(PathBuf::from);
        let files: Vec<PathBuf> = found(&disk, &given).into_iter().map(|file| file.expect("listed")).collect();
        assert_eq!(files, ["/etc/rules/b.yml", "/etc/rules/a.yml", "/none.yml"].map(PathBuf::from));
    }
}
