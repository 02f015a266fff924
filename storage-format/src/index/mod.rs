#![doc = include_str!("../../spec/index.md")]

mod cache;
mod entry;
mod groups;
mod lists;
mod postings;
mod series;
mod symbols;
#[cfg(test)]
mod tests;
mod write;

pub use cache::{SeriesEntry, SymbolCache};
pub use entry::{ColumnRef, MASK_LABELS_MAX};
pub use groups::GroupMeta;
pub(crate) use groups::{GroupTable, Origin};
pub use lists::PostingsList;
pub(crate) use postings::PostingsTable;
pub use postings::{NAMES_BYTES_MAX, ValuesOf};
pub use series::RUN_SERIES;
pub(crate) use series::SeriesTable;
pub use symbols::SYMBOL_BYTES_MAX;
pub(crate) use symbols::Symbols;
pub(crate) use write::IndexWriter;

use crate::Corruption;
use crate::bytes::u32_at;

/// A region, or a part of one, and where it starts in the file: errors are told from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) base: u64,
}

impl<'a> Parts<'a> {
    fn corruption(&self, at: usize, what: &'static str) -> Corruption {
        Corruption::at(at, what).moved(self.base)
    }

    /// The part at `at` of `count` things of `width` bytes, and where it ends.
    fn table(&self, at: usize, count: u32, width: usize) -> Result<(Parts<'a>, usize), Corruption> {
        let length = u64::from(count) * width as u64;
        if length > self.bytes.len().saturating_sub(at) as u64 {
            return Err(self.corruption(at, "a table has more entries than bytes"));
        }
        let end = at + length as usize;
        Ok((self.part(at, end), end))
    }

    /// From `start` to `end`, which are within.
    fn part(&self, start: usize, end: usize) -> Parts<'a> {
        Parts { bytes: &self.bytes[start..end], base: self.base + start as u64 }
    }

    /// The part from `start` to `end`, if it is one.
    fn checked_part(&self, start: u32, end: usize) -> Option<Parts<'a>> {
        let start = start as usize;
        (start <= end && end <= self.bytes.len()).then(|| self.part(start, end))
    }

    /// The number at position `index` of a table of u32.
    fn number(&self, index: usize) -> u32 {
        u32_at(self.bytes, 4 * index)
    }
}
