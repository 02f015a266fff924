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
//!    the oldest segment goes as soon as its newest sample is in a block. There is no other checkpoint to lose. The
//!    opening is written while the segment before it grows, in pieces, so that no write waits for it ([`opening`]).
//! 3. A segment has ended before its successor gets its name, and numbers go on by one while all is well. A process that
//!    starts, or that could not write, leaves a number out: only the last segment before a gap can be torn.
//! 4. A segment that has ended is never written to again, only read, linked, renamed and removed.
//! 5. Segments go oldest first. So what deletes samples never goes before the samples that it deletes.
//! 6. What could not be written is kept and written again to a new segment, so a sample that sits in the head never
//!    stays out of the log for good.
//! 7. A segment with damage is never removed: when its time has come it is renamed to `….damaged`.
//!
//! Deliberately absent: reading. Recovery reads through [`replay`], which shares no state with the writer.

mod opening;
mod records;
mod replay;
mod writer;

use std::path::{Path, PathBuf};

pub(super) use opening::{Definitions, remove_unfinished};
pub(super) use replay::{ReplayTarget, Replayed, refuse_newer, replay};
#[cfg(test)]
pub(super) use writer::BegunSegments;
pub(super) use writer::LogWriter;

/// Bytes in one write at most.
pub(super) const GROUP_BYTES_MAX: usize = 4 << 20;
/// A segment ends when it has grown past this, or past [`SEGMENT_OPENINGS`] times its own opening.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;
/// How often its opening a segment holds, if that is more than [`SEGMENT_BYTES`].
const SEGMENT_OPENINGS: u64 = 4;
/// Bytes of definitions that are written and synced at once behind a group: about as long as a group takes.
const PIECE_BYTES: usize = 512 << 10;
/// A piece has at least so many times the bytes of the group before it: of a segment a quarter is left, and an opening is
/// no longer than that, so it is whole when half of this has come.
const PIECE_GROUPS: usize = 2;
/// Free bytes below which no segment is begun: room for two segments and a block.
pub(super) const DISK_RESERVE_BYTES: u64 = 3 * SEGMENT_BYTES;
/// Free bytes below which nothing more is taken while a segment grows: what it left of the reserve when it was begun.
pub(super) const DISK_RESERVE_GROWING_BYTES: u64 = DISK_RESERVE_BYTES - SEGMENT_BYTES - GROUP_BYTES_MAX as u64;

/// Where the segments are.
pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("log")
}

/// The file of one segment.
pub(super) fn segment_path(folder: &Path, sequence: u32) -> PathBuf {
    folder.join(format!("{sequence:08}.log"))
}

/// Where a damaged segment is put when it is no longer needed.
fn damaged_path(folder: &Path, sequence: u32) -> PathBuf {
    folder.join(format!("{sequence:08}.damaged"))
}

/// The segment that a file name stands for.
pub(super) fn sequence_of(name: &str) -> Option<u32> {
    let sequence = name.strip_suffix(".log")?.parse().ok()?;
    (name == format!("{sequence:08}.log")).then_some(sequence)
}

/// The highest number that a file of the folder has, damaged ones that were put aside included.
fn last_sequence(names: &[String]) -> u32 {
    let number = |name: &String| sequence_of(name).or_else(|| name.strip_suffix(".damaged")?.parse().ok());
    names.iter().filter_map(number).max().unwrap_or(0)
}

/// A segment that nothing is written to any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndedSegment {
    sequence: u32,
    /// Newest sample in it; `i64::MIN` without samples.
    newest_ms: i64,
    /// There are samples in it whose time was in a block already when they came.
    holds_belated: bool,
    /// Recovery could not use all of it: it is put aside, where others are removed.
    damaged: bool,
}

#[cfg(test)]
mod tests;
