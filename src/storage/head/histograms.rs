//! The histograms of a series, beside its samples, among which a marker stands for each.
//!
//! ```text
//! samples     12:00 3.5   12:01 marker   12:02 marker   11:30 marker, late
//! histograms              [ 12:01  12:02  11:30 ▷       in the order in which they came
//! ```
//!
//! The samples say which histograms there are, so late, belated, repeated and deleted ones need no rules of their own: a
//! histogram whose marker is gone is not shown, and goes with its chunk.

use storage_format::histogram::{Appender, Histogram, StreamReader};

use super::super::view::Columns;
use crate::model::TimeRange;

/// Histograms in one chunk: all of them are decoded to find one.
const CHUNK_HISTOGRAMS_MAX: u32 = 64;

/// Of one series that has any.
#[derive(Default)]
pub(super) struct Histograms {
    appender: Appender,
    open: Chunk,
    closed: Vec<Chunk>,
}

#[derive(Default)]
struct Chunk {
    stream: Vec<u8>,
    count: u32,
    span: Option<TimeRange>,
}

impl Histograms {
    /// Adds a histogram, of any moment.
    pub(super) fn insert(&mut self, timestamp_ms: i64, histogram: &Histogram) {
        if self.open.count >= CHUNK_HISTOGRAMS_MAX {
            self.open.stream.shrink_to_fit();
            self.closed.push(std::mem::take(&mut self.open));
            self.appender = Appender::default();
        }
        self.appender.append(&mut self.open.stream, timestamp_ms, histogram);
        self.open.count += 1;
        let span = self.open.span.unwrap_or(TimeRange { from_ms: timestamp_ms, to_ms: timestamp_ms });
        let (from_ms, to_ms) = (span.from_ms.min(timestamp_ms), span.to_ms.max(timestamp_ms));
        self.open.span = Some(TimeRange { from_ms, to_ms });
    }

    /// Appends those in `range`, in any order.
    pub(super) fn read(&self, range: TimeRange, columns: &mut Columns) {
        for chunk in self.chunks().filter(|chunk| chunk.span.is_some_and(|span| span.overlaps(range))) {
            chunk.each(|timestamp_ms, histogram| {
                if range.contains(timestamp_ms) {
                    columns.histograms.push((timestamp_ms, histogram.clone()));
                }
            });
        }
    }

    /// Lets go of those of whose moment `keep` says no.
    pub(super) fn retain(&mut self, keep: impl Fn(i64) -> bool) {
        let goes = |chunk: &Chunk| {
            let mut goes = false;
            chunk.each(|timestamp_ms, _| goes |= !keep(timestamp_ms));
            goes
        };
        if !self.chunks().any(goes) {
            return;
        }
        let before = std::mem::take(self);
        for chunk in before.chunks() {
            chunk.each(|timestamp_ms, histogram| {
                if keep(timestamp_ms) {
                    self.insert(timestamp_ms, histogram);
                }
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.count == 0
    }

    /// What it takes, itself included.
    pub(super) fn heap_bytes(&self) -> usize {
        let streams: usize = self.chunks().map(|chunk| chunk.stream.capacity()).sum();
        size_of::<Histograms>() + self.appender.heap_bytes() + self.closed.capacity() * size_of::<Chunk>() + streams
    }

    fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.closed.iter().chain([&self.open])
    }
}

impl Chunk {
    fn each(&self, mut tell: impl FnMut(i64, &Histogram)) {
        let mut reader = StreamReader::new(&self.stream, self.count);
        while let Some((timestamp_ms, histogram)) = reader.read().expect("a chunk in memory is what the appender wrote")
        {
            tell(timestamp_ms, histogram);
        }
    }
}
