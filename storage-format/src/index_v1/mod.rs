#![doc = include_str!("../../spec/index-v1.md")]

mod postings;
mod series;
mod symbols;
#[cfg(test)]
mod tests;
mod write;

pub use postings::{PostingsList, PostingsTable, ValuesOf};
pub use series::{ChunkMeta, SeriesEntry, SeriesTable};
pub use symbols::Symbols;
pub(crate) use write::IndexWriter;
