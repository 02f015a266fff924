#![doc = include_str!("../../spec/block-v1.md")]

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::BlockReader;
pub use writer::BlockWriter;

pub use crate::block::{END_MAGIC, MAGIC};
pub use crate::index_v1::{ChunkMeta, SeriesEntry};

/// The version that this module is for.
pub const VERSION: u16 = 1;
/// Length of the header.
pub const HEADER_BYTES: usize = 64;
/// Length of the footer.
pub const FOOTER_BYTES: usize = 104;

/// The time that a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// First moment that belongs to the block, ms since 1970 UTC.
    pub min_time_ms: i64,
    /// First moment that no longer does, ms since 1970 UTC.
    pub max_time_ms: i64,
    /// When the block was written, ms since 1970 UTC.
    pub created_ms: i64,
}

/// What a block says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockMeta {
    /// The time that it is for.
    pub range: BlockRange,
    /// Number of series.
    pub series_count: u64,
    /// Number of samples of all series.
    pub sample_count: u64,
}

/// A stretch of the file under one checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// CRC-32C of its bytes.
    pub checksum: u32,
}
