//! Names of blocks: the span, and a number that tells blocks of one span apart.
//!
//! ```text
//! 1699999200000-1700006400000.block      cut by a version that knew of one block a span: number 0
//! 1699999200000-1700006400000.7.block    the seventh block that this folder has seen
//! 1699999200000-1700006400000.7.deleted  what was deleted from it
//! ```

use std::path::{Path, PathBuf};

/// The span `[from_ms, to_ms)` in ms since 1970 UTC, and the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::storage) struct BlockName {
    pub(in crate::storage) from_ms: i64,
    pub(in crate::storage) to_ms: i64,
    pub(in crate::storage) number: u64,
}

impl BlockName {
    /// The name that a file of any extension carries.
    pub(in crate::storage) fn of_file(name: &str) -> Option<BlockName> {
        let (stem, _) = name.rsplit_once('.')?;
        let (span, number) = match stem.split_once('.') {
            Some((span, number)) => (span, number.parse().ok()?),
            None => (stem, 0),
        };
        // The dash between the two, not the sign of either: times before 1970 are stored too.
        let dash = span.char_indices().skip(1).find(|(_, c)| *c == '-')?.0;
        Some(BlockName { from_ms: span[..dash].parse().ok()?, to_ms: span[dash + 1..].parse().ok()?, number })
    }

    /// The block itself.
    pub(in crate::storage) fn path(&self, folder: &Path) -> PathBuf {
        self.file(folder, "block")
    }

    /// What was deleted from it.
    pub(in crate::storage) fn deleted_path(&self, folder: &Path) -> PathBuf {
        self.file(folder, "deleted")
    }

    fn file(&self, folder: &Path, extension: &str) -> PathBuf {
        let BlockName { from_ms, to_ms, number } = self;
        folder.join(match number {
            0 => format!("{from_ms}-{to_ms}.{extension}"),
            _ => format!("{from_ms}-{to_ms}.{number}.{extension}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_again_in_its_file() {
        let folder = Path::new("/data/blocks");
        for (from_ms, to_ms, number) in [(0, 7_200_000, 0), (-7_200_000, -1, 3), (-5, 5, u64::MAX), (1, 2, 10)] {
            let name = BlockName { from_ms, to_ms, number };
            for path in [name.path(folder), name.deleted_path(folder)] {
                let file = path.file_name().and_then(|file| file.to_str()).expect("a file's name");
                assert_eq!(BlockName::of_file(file), Some(name), "{file}");
            }
        }
    }

    #[test]
    fn other_files_have_no_block_s_name() {
        for name in ["lock", "12.block", "1-2", "a-b.block", "1-2.x.block", "-.block", ""] {
            assert_eq!(BlockName::of_file(name), None, "{name}");
        }
    }
}
