#![doc = include_str!("../../spec/group.md")]

mod encode;
mod head;
mod histograms;
mod read;
mod read_back;
mod resemblance;
mod scratch;
#[cfg(test)]
mod tests;
mod timestamps;

pub use encode::{Column, GroupEncoder, NotReadBack};
pub use histograms::read_histograms;
pub use read::{GroupReader, read_column};
pub use scratch::Scratch;

/// Columns in one group at most.
pub const COLUMNS_MAX: usize = 1024;

/// Longest body that lies in the head, under the head's checksum.
const SHORT_BYTES_MAX: usize = 16;
/// References from a column to the one that has none, at most.
const DEPTH_MAX: usize = 2;

/// The only layout so far.
const LAYOUT: u8 = 1;
const KIND_FLOATS: u8 = 0;
const KIND_SAME: u8 = 1;
const KIND_HISTOGRAMS: u8 = 2;

const CHECKSUM_BYTES: usize = 4;
