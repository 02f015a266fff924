#![doc = include_str!("../../spec/block.md")]

mod ends;
mod metadata;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::BlockReader;
pub use writer::BlockWriter;

pub use crate::index::{ColumnRef, GroupMeta, PostingsList, SeriesEntry, SymbolCache, ValuesOf};

/// The first eight bytes of a block.
pub const MAGIC: &[u8; 8] = b"DOZORBLK";
/// The last eight bytes of a block.
pub const END_MAGIC: &[u8; 8] = b"DOZOREND";
/// Length of the header.
pub const HEADER_BYTES: usize = 64;
/// Length of the footer.
pub const FOOTER_BYTES: usize = 104;
/// Blocks that the metadata of one made from them lists; beyond them they are counted.
pub const SOURCES_MAX: usize = 64;

/// The time that a block is for, and how it came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockRange {
    /// First moment that belongs to the block, ms since 1970 UTC.
    pub min_time_ms: i64,
    /// First moment that no longer does, ms since 1970 UTC.
    pub max_time_ms: i64,
    /// When the block was written, ms since 1970 UTC.
    pub created_ms: i64,
    /// How often its samples were compacted: 0 for a block cut from the head.
    pub level: u8,
}

/// What a block says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockMeta {
    /// The time that it is for.
    pub range: BlockRange,
    /// Number of series.
    pub series_count: u64,
    /// Number of groups.
    pub group_count: u64,
    /// Number of samples of all groups.
    pub sample_count: u64,
    /// Timestamps of the first and the last sample of all groups, ms since 1970 UTC; none without groups.
    pub sample_times_ms: Option<(i64, i64)>,
    /// How many blocks it was made from.
    pub source_count: u32,
    /// The first [`SOURCES_MAX`] of them.
    pub sources: Vec<BlockRange>,
}

/// A stretch of the file under one checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// CRC-32C of its bytes.
    pub checksum: u32,
}

/// The regions behind the groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// Texts by number.
    pub symbols: Region,
    /// Series by label.
    pub postings: Region,
    /// Labels and columns of each series.
    pub series: Region,
    /// Place and time of each group.
    pub group_table: Region,
    /// What the block says about itself.
    pub metadata: Region,
}

impl Regions {
    /// All of them, in their order in the file.
    pub fn all(&self) -> [Region; 5] {
        [self.symbols, self.postings, self.series, self.group_table, self.metadata]
    }
}
