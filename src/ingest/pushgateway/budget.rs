//! What a body may become while it is read: so many series, and memory that is counted before the next is read.
//!
//! ```text
//! a{x="1"} 1     one line read, one series written: a line, a pair of texts and a series are counted
//! ```
//!
//! A line of ten bytes is kept as some hundred, and a histogram of two lines is written out as more series than it has
//! lines: neither is bounded by the bytes of the body.

use super::PushError;
use super::families::{Pair, PushedSeries, too_many};
use crate::ingest::IngestError;

/// Memory that is asked for at a time.
const STEP_BYTES: usize = 64 << 10;
/// What a line that is read is kept as, its place in a tree and a list included.
const LINE_BYTES: usize = 256;

/// The smaller of two settings that bound the series of a push.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesLimit {
    pub(super) limit: usize,
    /// The setting's whole name.
    pub(super) setting: &'static str,
}

/// What may still come.
pub(super) struct Budget<'r> {
    limit: SeriesLimit,
    read_left: usize,
    /// Lines about families: two of each.
    described_left: usize,
    written_left: usize,
    bytes_left: usize,
    /// Asks for so much more memory.
    reserve: &'r mut dyn FnMut(usize) -> Result<(), IngestError>,
}

impl<'r> Budget<'r> {
    pub(super) fn new(limit: SeriesLimit, reserve: &'r mut dyn FnMut(usize) -> Result<(), IngestError>) -> Budget<'r> {
        Budget {
            limit,
            read_left: limit.limit,
            described_left: 2 * limit.limit,
            written_left: limit.limit,
            bytes_left: 0,
            reserve,
        }
    }

    /// Counts a line or a message, with the texts that are copied of it.
    pub(super) fn read_one(&mut self, text_bytes: usize) -> Result<(), PushError> {
        self.read_left = self.read_left.checked_sub(1).ok_or_else(|| too_many(self.limit))?;
        self.take(LINE_BYTES + text_bytes)
    }

    /// Counts a line about a family, with the texts that are copied of it.
    pub(super) fn describe_one(&mut self, text_bytes: usize) -> Result<(), PushError> {
        self.described_left = self.described_left.checked_sub(1).ok_or_else(|| too_many(self.limit))?;
        self.take(LINE_BYTES + text_bytes)
    }

    /// Counts the labels of what was read.
    pub(super) fn labels(&mut self, count: usize) -> Result<(), PushError> {
        self.take(count * size_of::<Pair<'_>>())
    }

    /// Counts a series that is about to be written out with so many labels.
    pub(super) fn write_one(&mut self, name_bytes: usize, label_count: usize) -> Result<(), PushError> {
        self.written_left = self.written_left.checked_sub(1).ok_or_else(|| too_many(self.limit))?;
        self.take(size_of::<PushedSeries<'_>>() + name_bytes + label_count * size_of::<Pair<'_>>())
    }

    fn take(&mut self, bytes: usize) -> Result<(), PushError> {
        if bytes > self.bytes_left {
            let step = bytes.max(STEP_BYTES);
            (self.reserve)(step)?;
            self.bytes_left += step;
        }
        self.bytes_left -= bytes;
        Ok(())
    }
}
