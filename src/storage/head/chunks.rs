//! The compressed runs of a series: one that grows in place, and closed ones of exactly their size.
//!
//! ```text
//! 6 samples of a counter: [16 first | 4 | 3 | 3 | 3 | 3 ] 32 bytes in 64: room for the longest sample, always
//! and on:                 96, 128, 192, 256, 384: not twice as much each time
//! closed at 128 samples:  a buffer of exactly the stream
//! ```

use storage_format::chunk::{self, Appender};

use super::super::BLOCK_MS;
use super::super::view::Columns;
use crate::model::TimeRange;

/// Samples in one chunk of the head. Longer chunks are a little smaller; shorter ones are quicker to decode for the
/// newest sample, and waste less when one late timestamp must be looked up.
const CHUNK_SAMPLES_MAX: u32 = 128;
/// Room that an append finds: the appender asks for as much, and must not grow the buffer in its own way.
const APPEND_BYTES: usize = chunk::SAMPLE_BYTES_MAX + 8;

/// By how much what a shard holds has grown, or shrunk.
#[derive(Clone, Copy, Default)]
pub(in crate::storage) struct Tally {
    /// Heap bytes of samples.
    pub(super) sample_bytes: isize,
    /// Belated samples.
    pub(super) belated_count: isize,
}

impl Tally {
    pub(super) fn grew(&mut self, before_bytes: usize, after_bytes: usize) {
        self.sample_bytes += after_bytes as isize - before_bytes as isize;
    }

    pub(super) fn counted_belated(&mut self, before: usize, after: usize) {
        self.belated_count += after as isize - before as isize;
    }
}

/// The chunk that is appended to. Without samples it has no buffer.
#[derive(Default)]
pub(super) struct OpenChunk {
    appender: Appender,
    stream: Vec<u8>,
    /// Which two hours since 1970 it belongs to: a chunk never belongs to two, so it can go with its block.
    block: i32,
}

impl OpenChunk {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.appender.count() == 0
    }

    /// The byte before the one that the next append writes first.
    #[inline]
    pub(super) fn tail(&self) -> u8 {
        self.stream.last().copied().unwrap_or(0)
    }

    /// Timestamp of the newest sample; meaningless without one.
    #[inline]
    pub(super) fn last_ms(&self) -> i64 {
        self.appender.last_timestamp()
    }

    /// The newest sample's bits; meaningless without one.
    pub(super) fn last_bits(&self) -> u64 {
        self.appender.last_bits()
    }

    pub(super) fn count(&self) -> u32 {
        self.appender.count()
    }

    /// First and last moment.
    pub(super) fn span(&self) -> Option<TimeRange> {
        (!self.is_empty()).then(|| TimeRange { from_ms: first_ms(&self.stream), to_ms: self.last_ms() })
    }

    /// Whether a sample of this moment belongs to the next chunk.
    #[inline]
    pub(super) fn ends_before(&self, timestamp_ms: i64) -> bool {
        self.appender.count() >= CHUNK_SAMPLES_MAX || timestamp_ms >= (i64::from(self.block) + 1) * BLOCK_MS
    }

    /// Appends a sample newer than all in the chunk.
    #[inline]
    pub(super) fn append(&mut self, timestamp_ms: i64, value: f64, tally: &mut Tally) {
        if self.is_empty() {
            // Beyond 32 bits no real time lies; a chunk of such times ends early, and that is all.
            self.block = timestamp_ms.div_euclid(BLOCK_MS).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        }
        if self.stream.capacity() - self.stream.len() < APPEND_BYTES {
            self.grow(tally);
        }
        self.appender.append(&mut self.stream, timestamp_ms, value);
    }

    #[cold]
    fn grow(&mut self, tally: &mut Tally) {
        let before = self.stream.capacity();
        let needed = self.stream.len() + APPEND_BYTES;
        let step = (needed / 2).next_power_of_two().max(16);
        self.stream.reserve_exact(needed.next_multiple_of(step) - self.stream.len());
        tally.grew(before, self.stream.capacity());
    }

    /// Leaves an empty chunk, and gives what was in it.
    pub(super) fn close(&mut self, tally: &mut Tally) -> ClosedChunk {
        let open = std::mem::take(self);
        let before = open.heap_bytes();
        let closed = ClosedChunk {
            // A copy: an allocator lets what shrinks to more than half of its block stay there, and the rest is lost.
            stream: Box::from(open.stream.as_slice()),
            last_ms: open.appender.last_timestamp(),
            count: open.appender.count(),
        };
        tally.grew(before, closed.heap_bytes());
        closed
    }

    pub(super) fn read(&self, columns: &mut Columns) {
        decode(&self.stream, self.appender.count(), columns);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.stream.capacity()
    }
}

/// A chunk that nothing is appended to any more.
pub(super) struct ClosedChunk {
    stream: Box<[u8]>,
    pub(super) last_ms: i64,
    count: u32,
}

impl ClosedChunk {
    /// The chunk of those samples that are not in `range`, if there are any.
    pub(super) fn without(&self, range: TimeRange) -> Option<ClosedChunk> {
        let mut columns = Columns::default();
        self.read(&mut columns);
        let (mut appender, mut stream) = (Appender::default(), Vec::new());
        for (timestamp_ms, value) in columns.iter().filter(|(timestamp_ms, _)| !range.contains(*timestamp_ms)) {
            appender.append(&mut stream, timestamp_ms, value);
        }
        let (last_ms, count) = (appender.last_timestamp(), appender.count());
        (count > 0).then(|| ClosedChunk { stream: Box::from(stream.as_slice()), last_ms, count })
    }

    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    pub(super) fn span(&self) -> TimeRange {
        TimeRange { from_ms: first_ms(&self.stream), to_ms: self.last_ms }
    }

    pub(super) fn read(&self, columns: &mut Columns) {
        decode(&self.stream, self.count, columns);
    }

    /// What it takes, itself included.
    pub(super) fn heap_bytes(&self) -> usize {
        self.stream.len() + size_of::<ClosedChunk>()
    }
}

/// The first sample stands in a stream as it is, its timestamp in front.
fn first_ms(stream: &[u8]) -> i64 {
    let first = stream.first_chunk().expect("a chunk holds a sample");
    i64::from_le_bytes(*first)
}

fn decode(stream: &[u8], count: u32, columns: &mut Columns) {
    chunk::decode(stream, count as usize, &mut columns.timestamps_ms, &mut columns.values)
        .expect("a chunk in memory is what the appender wrote");
}
