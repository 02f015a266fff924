//! One series in the head: its open chunk, the chunks closed since the last block was cut, and what came late.
//!
//! ```text
//! closed  [12:00 … 12:31] [12:32 … 13:03]   compressed runs of CHUNK_SAMPLES_MAX samples, ascending
//! open                                   [13:04 … 13:20 ▷   appended to in place
//! late             12:07 12:55                              few, sorted, merged when read
//! ```
//!
//! Always true: closed chunks and the open one are ascending and do not overlap; no timestamp is stored twice.

use std::sync::Arc;

use storage_format::chunk::{self, Appender};

use super::super::BLOCK_MS;
use super::super::batch::Refusal;
use super::super::view::Columns;
use crate::model::{Labels, Sample, TimeRange};

/// Samples in one chunk of the head. Longer chunks are a little smaller; shorter ones are quicker to decode for the
/// newest sample, and waste less when one late timestamp must be looked up.
const CHUNK_SAMPLES_MAX: u32 = 128;
/// First allocation of an open chunk, in bytes: some 20 samples of a counter.
const OPEN_CHUNK_BYTES: usize = 64;
/// Samples out of order that one series may have in the head.
pub const LATE_SAMPLES_MAX: usize = 16_384;

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Admission {
    /// Stored now.
    Stored,
    /// The same bits were stored for this timestamp before.
    AlreadyStored,
    /// Not stored.
    Refused(Refusal),
}

pub(in crate::storage) struct Series {
    appender: Appender,
    open: Vec<u8>,
    open_first_ms: i64,
    /// Where the block of the open chunk ends: a chunk never belongs to two, so it can go with the first.
    open_until_ms: i64,
    closed: Vec<ClosedChunk>,
    late: Vec<Sample>,
    pub(in crate::storage) labels: Arc<Labels>,
    pub(in crate::storage) generation: u32,
    /// Whether the tap's listener wants its samples.
    pub(in crate::storage) watched: bool,
    /// Forgotten by the resolver, freed at the next cycle unless a sample comes.
    pub(in crate::storage) retiring: bool,
}

struct ClosedChunk {
    first_ms: i64,
    last_ms: i64,
    count: u32,
    stream: Box<[u8]>,
}

impl Series {
    pub(in crate::storage) fn new(labels: Arc<Labels>, generation: u32, watched: bool) -> Series {
        Series {
            appender: Appender::default(),
            open: Vec::new(),
            open_first_ms: 0,
            open_until_ms: i64::MIN,
            closed: Vec::new(),
            late: Vec::new(),
            labels,
            generation,
            watched,
            retiring: false,
        }
    }

    /// Takes a sample, whatever its order. The caller has checked it against the clock and the sealed time.
    #[inline]
    pub(in crate::storage) fn admit(&mut self, timestamp_ms: i64, value: f64) -> Admission {
        if self.appender.count() == 0 || timestamp_ms > self.appender.last_timestamp() {
            if self.appender.count() > 0
                && (self.appender.count() >= CHUNK_SAMPLES_MAX || timestamp_ms >= self.open_until_ms)
            {
                self.close_chunk();
            }
            if self.appender.count() == 0 {
                if self.closed.last().is_some_and(|chunk| timestamp_ms <= chunk.last_ms) {
                    return self.admit_late(timestamp_ms, value);
                }
                self.open.reserve(OPEN_CHUNK_BYTES);
                self.open_first_ms = timestamp_ms;
                self.open_until_ms =
                    timestamp_ms.div_euclid(BLOCK_MS).saturating_mul(BLOCK_MS).saturating_add(BLOCK_MS);
            }
            self.appender.append(&mut self.open, timestamp_ms, value);
            return Admission::Stored;
        }
        if timestamp_ms == self.appender.last_timestamp() {
            return already(self.appender.last_bits(), value);
        }
        self.admit_late(timestamp_ms, value)
    }

    #[cold]
    fn admit_late(&mut self, timestamp_ms: i64, value: f64) -> Admission {
        if let Some(bits) = self.stored_bits(timestamp_ms) {
            return already(bits, value);
        }
        if self.late.len() >= LATE_SAMPLES_MAX {
            return Admission::Refused(Refusal::TooManyLate);
        }
        let position = self.late.partition_point(|sample| sample.timestamp_ms < timestamp_ms);
        self.late.insert(position, Sample { timestamp_ms, value });
        Admission::Stored
    }

    /// The bits stored at exactly this moment.
    fn stored_bits(&self, timestamp_ms: i64) -> Option<u64> {
        let mut columns = Columns::default();
        self.read(TimeRange { from_ms: timestamp_ms, to_ms: timestamp_ms }, &mut columns);
        columns.values.first().map(|value| value.to_bits())
    }

    fn close_chunk(&mut self) {
        let stream = std::mem::take(&mut self.open).into_boxed_slice();
        let appender = std::mem::take(&mut self.appender);
        let (first_ms, last_ms) = (self.open_first_ms, appender.last_timestamp());
        self.closed.push(ClosedChunk { first_ms, last_ms, count: appender.count(), stream });
    }

    /// First and last moment of what is held.
    pub(in crate::storage) fn span(&self) -> Option<TimeRange> {
        let open = (self.appender.count() > 0).then(|| (self.open_first_ms, self.appender.last_timestamp()));
        let closed = self.closed.first().zip(self.closed.last()).map(|(first, last)| (first.first_ms, last.last_ms));
        let late = self.late.first().zip(self.late.last()).map(|(first, last)| (first.timestamp_ms, last.timestamp_ms));
        let spans = [closed, late, open];
        let from_ms = spans.iter().flatten().map(|span| span.0).min()?;
        let to_ms = spans.iter().flatten().map(|span| span.1).max()?;
        Some(TimeRange { from_ms, to_ms })
    }

    /// A moment, not before `from_ms`, before which nothing is held from there on; at most a block's width too early.
    pub(in crate::storage) fn next_from(&self, from_ms: i64) -> Option<i64> {
        let closed = self.closed.iter().find(|chunk| chunk.last_ms >= from_ms).map(|chunk| chunk.first_ms);
        let is_open = self.appender.count() > 0 && self.appender.last_timestamp() >= from_ms;
        let open = is_open.then_some(self.open_first_ms);
        let late = self.late.get(self.late.partition_point(|sample| sample.timestamp_ms < from_ms));
        let starts = [closed, open, late.map(|sample| sample.timestamp_ms)];
        starts.into_iter().flatten().map(|start_ms| start_ms.max(from_ms)).min()
    }

    /// Appends the samples in `range`, ascending.
    pub(in crate::storage) fn read(&self, range: TimeRange, columns: &mut Columns) {
        let start = columns.len();
        for chunk in &self.closed {
            if range.overlaps(TimeRange { from_ms: chunk.first_ms, to_ms: chunk.last_ms }) {
                decode(&chunk.stream, chunk.count, columns);
            }
        }
        let open = TimeRange { from_ms: self.open_first_ms, to_ms: self.appender.last_timestamp() };
        if self.appender.count() > 0 && range.overlaps(open) {
            decode(&self.open, self.appender.count(), columns);
        }
        columns.keep_range_from(start, range);
        if self.late.first().is_some_and(|sample| sample.timestamp_ms <= range.to_ms) {
            columns.merge_from(start, self.late.iter().filter(|sample| range.contains(sample.timestamp_ms)));
        }
    }

    /// Lets go of everything older than `floor_ms`, as far as whole chunks allow. What stays of older samples is
    /// in a block, and views do not look for it here. Returns whether nothing is left.
    pub(in crate::storage) fn truncate(&mut self, floor_ms: i64) -> bool {
        self.closed.retain(|chunk| chunk.last_ms >= floor_ms);
        self.late.retain(|sample| sample.timestamp_ms >= floor_ms);
        self.late.shrink_to_fit();
        if self.appender.count() > 0 && self.open_first_ms < floor_ms {
            self.truncate_open(floor_ms);
        }
        self.appender.count() == 0 && self.closed.is_empty() && self.late.is_empty()
    }

    /// Writes the open chunk anew with what is not older than the floor. Only an early cut finds it on both sides.
    fn truncate_open(&mut self, floor_ms: i64) {
        let mut kept = Columns::default();
        decode(&self.open, self.appender.count(), &mut kept);
        kept.keep_range_from(0, TimeRange { from_ms: floor_ms, to_ms: i64::MAX });
        (self.appender, self.open) = (Appender::default(), Vec::new());
        for (timestamp_ms, value) in kept.iter() {
            if self.appender.count() == 0 {
                self.open_first_ms = timestamp_ms;
            }
            self.appender.append(&mut self.open, timestamp_ms, value);
        }
    }

    /// Heap bytes of the samples held.
    pub(in crate::storage) fn sample_bytes(&self) -> usize {
        let closed: usize = self.closed.iter().map(|chunk| chunk.stream.len() + size_of::<ClosedChunk>()).sum();
        closed + self.open.capacity() + self.late.capacity() * size_of::<Sample>()
    }
}

fn already(stored_bits: u64, value: f64) -> Admission {
    if stored_bits == value.to_bits() { Admission::AlreadyStored } else { Admission::Refused(Refusal::Conflict) }
}

fn decode(stream: &[u8], count: u32, columns: &mut Columns) {
    chunk::decode(stream, count as usize, &mut columns.timestamps_ms, &mut columns.values)
        .expect("a chunk in memory is what the appender wrote");
}
