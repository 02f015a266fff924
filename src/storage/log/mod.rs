//! The write-ahead log: what is acknowledged is here first.
//!
//! ```text
//! shard 0 ─┐
//! shard 1 ─┼─► group ─► log/00000017.log ─► fdatasync ─► acknowledge
//! shard 2 ─┘
//! ```
//!
//! A group is everything that arrived during the last sync, at most [`GROUP_BYTES_MAX`]. Three requests that arrive
//! while a sync takes 2 ms cost one write and one sync.
//!
//! Always true:
//! 1. A request is acknowledged after the sync that covers its records, in log order.
//! 2. Each segment opens with the definitions of all series then alive, so it can be read without those before it, and
//!    the oldest segment goes as soon as its newest sample is in a block. There is no other checkpoint to lose.
//! 3. A segment is closed before its successor is created, so at most the last one can be torn.
//! 4. What could not be written is kept and written again to a new segment, so a sample that sits in the head never
//!    stays out of the log for good.
//!
//! Deliberately absent: reading. Recovery reads through [`replay`], which shares no state with the writer.

mod replay;
mod writer;

use std::path::{Path, PathBuf};

pub(super) use replay::{ReplayTarget, replay};
pub(super) use writer::LogWriter;

/// Bytes in one write at most.
pub(super) const GROUP_BYTES_MAX: usize = 4 << 20;
/// A segment ends when it has grown past this, or past four times its own series snapshot.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;
/// Free bytes below which nothing more is taken: room for two segments and a block.
pub(super) const DISK_RESERVE_BYTES: u64 = 3 * SEGMENT_BYTES;

/// Where the segments are.
pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("log")
}

/// The file of one segment.
pub(super) fn segment_path(folder: &Path, sequence: u32) -> PathBuf {
    folder.join(format!("{sequence:08}.log"))
}

/// The segment that a file name stands for.
pub(super) fn sequence_of(name: &str) -> Option<u32> {
    name.strip_suffix(".log")?.parse().ok()
}

#[cfg(test)]
mod tests;
