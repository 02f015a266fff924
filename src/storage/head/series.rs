//! One series in the head: its open chunk, the chunks closed since the last block was cut, and what came out of order.
//!
//! ```text
//! closed  [12:00 … 12:31] [12:32 … 13:03]   compressed runs, ascending
//! open                                   [13:04 … 13:20 ▷   appended to in place
//! late             12:07 12:55                              few, sorted, merged when read
//! belated 09:41                                             its time is in a block; waits for the next cut
//! ```
//!
//! Always true: closed chunks and the open one are ascending and do not overlap; late samples are older than the newest
//! in chunks; no timestamp is held twice.
//!
//! Every sample is one of three: in order (newer than all chunks, not below the shard's floor), late (not below the
//! floor), or belated (below it). The caller knows the floor and says which of the two last.

use storage_format::histogram::{Histogram, is_marker};

use super::super::batch::Refusal;
use super::super::view::Columns;
use super::super::walk::Pulse;
use super::aside::{Aside, BELATED_SAMPLES_MAX, LATE_SAMPLES_MAX};
use super::chunks::{ClosedChunk, OpenChunk, Tally};
use super::histograms::Histograms;
use super::index::PairIds;
use crate::model::{Sample, TimeRange};

/// The window of recovery, which refuses nothing for being late: it was taken once.
pub(super) const NO_WINDOW_MS: i64 = i64::MAX;

/// How far back a pulse looks at least, in ms and in samples, as long as chunks go on in each other.
const PULSE_MS: i64 = 10 * 60_000;
const PULSE_COUNT: u32 = 16;

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
    open: OpenChunk,
    closed: Vec<ClosedChunk>,
    aside: Option<Box<Aside>>,
    /// There if some of the samples are markers of histograms.
    histograms: Option<Box<Histograms>>,
    /// Its label pairs in the shard's index.
    pub(super) pairs: PairIds,
    pub(in crate::storage) generation: u32,
    /// Whether the tap's listener wants its samples.
    pub(in crate::storage) watched: bool,
    /// Forgotten by the resolver, freed at the next cycle unless a sample comes.
    pub(in crate::storage) retiring: bool,
}

impl Series {
    pub(super) fn new(pairs: PairIds, generation: u32, watched: bool) -> Series {
        Series {
            open: OpenChunk::default(),
            closed: Vec::new(),
            aside: None,
            histograms: None,
            pairs,
            generation,
            watched,
            retiring: false,
        }
    }

    /// A byte beside the one that the next append writes first: see [`super::shard::Shard::warm`].
    #[inline]
    pub(super) fn tail(&self) -> u8 {
        self.open.tail()
    }

    /// Takes a sample that is not below the floor, whatever its order; one that is older than the newest by more than
    /// `window_ms` is refused. The caller has checked it against the clock and the retention.
    #[inline]
    pub(super) fn admit(&mut self, timestamp_ms: i64, value: f64, window_ms: i64, tally: &mut Tally) -> Admission {
        if self.open.is_empty() {
            if self.closed.last().is_some_and(|chunk| timestamp_ms <= chunk.last_ms) {
                return self.admit_late(timestamp_ms, value, window_ms, tally);
            }
        } else if timestamp_ms <= self.open.last_ms() {
            if timestamp_ms == self.open.last_ms() {
                return already(self.open.last_bits(), value);
            }
            return self.admit_late(timestamp_ms, value, window_ms, tally);
        } else if self.open.ends_before(timestamp_ms) {
            self.close_chunk(tally);
        }
        self.open.append(timestamp_ms, value, tally);
        Admission::Stored
    }

    #[cold]
    fn admit_late(&mut self, timestamp_ms: i64, value: f64, window_ms: i64, tally: &mut Tally) -> Admission {
        let stored = self.held_bits(timestamp_ms);
        if self.is_too_old(timestamp_ms, window_ms) {
            return repeated(stored, value);
        }
        if let Some(bits) = stored {
            return already(bits, value);
        }
        let is_full = self.aside.as_ref().is_some_and(|aside| aside.late.len() >= LATE_SAMPLES_MAX);
        if is_full && window_ms != NO_WINDOW_MS {
            return Admission::Refused(Refusal::TooManyLate);
        }
        self.change_aside(tally, |aside| aside.insert_late(Sample { timestamp_ms, value }));
        Admission::Stored
    }

    /// Takes a sample below the floor, unless it holds too many of those. `sealed_bits`: what the blocks hold for its
    /// moment.
    pub(super) fn admit_belated(
        &mut self,
        sample: Sample,
        sealed_bits: Option<u64>,
        epoch: u32,
        tally: &mut Tally,
    ) -> Admission {
        let is_full = self.belated_count() >= BELATED_SAMPLES_MAX;
        let is_held = || self.held_bits(sample.timestamp_ms).or(sealed_bits).is_some();
        if is_full && !is_held() {
            return Admission::Refused(Refusal::TooManyBelated);
        }
        self.restore_belated(sample, sealed_bits, epoch, tally)
    }

    /// As [`Series::admit_belated`], of a sample that was taken once: never refused for being one too many.
    pub(super) fn restore_belated(
        &mut self,
        sample: Sample,
        sealed_bits: Option<u64>,
        epoch: u32,
        tally: &mut Tally,
    ) -> Admission {
        // Looked up here too: a cut that is under way, or an older view, still has sealed samples in the head.
        if let Some(bits) = self.held_bits(sample.timestamp_ms).or(sealed_bits) {
            return already(bits, sample.value);
        }
        self.change_aside(tally, |aside| aside.insert_belated(sample, epoch));
        Admission::Stored
    }

    /// Whether a sample of this moment is older than the newest held by more than the window. A series of which
    /// nothing is held is as good as new.
    pub(super) fn is_too_old(&self, timestamp_ms: i64, window_ms: i64) -> bool {
        self.newest_ms().is_some_and(|newest_ms| timestamp_ms < newest_ms.saturating_sub(window_ms))
    }

    /// Newest moment of what is held.
    fn newest_ms(&self) -> Option<i64> {
        self.span_with_belated().map(|span| span.to_ms)
    }

    /// The bits held for exactly this moment.
    pub(super) fn held_bits(&self, timestamp_ms: i64) -> Option<u64> {
        if let Some(bits) = self.aside.as_ref().and_then(|aside| aside.belated_bits(timestamp_ms)) {
            return Some(bits);
        }
        let mut columns = Columns::default();
        self.read(TimeRange { from_ms: timestamp_ms, to_ms: timestamp_ms }, &mut columns);
        columns.values.first().map(|value| value.to_bits())
    }

    /// Keeps the histogram of a marker that was stored.
    pub(super) fn add_histogram(&mut self, timestamp_ms: i64, histogram: &Histogram, tally: &mut Tally) {
        self.change_histograms(tally, |histograms| histograms.insert(timestamp_ms, histogram));
    }

    /// Lets go of histograms whose marker is not held, and of markers whose histogram is not: damage took them, or they
    /// are in blocks.
    pub(super) fn settle_histograms(&mut self, tally: &mut Tally) {
        let mut columns = Columns::default();
        if self.histograms.is_some() {
            self.read_with_belated(TimeRange::ALL, &mut columns);
        } else {
            return;
        }
        let markers: Vec<i64> = columns
            .iter()
            .filter(|(_, value)| is_marker(value.to_bits()))
            .map(|(timestamp_ms, _)| timestamp_ms)
            .collect();
        columns.settle_histograms();
        let is_whole = |timestamp_ms: i64| {
            columns.histograms.binary_search_by_key(&timestamp_ms, |(other_ms, _)| *other_ms).is_ok()
        };
        self.change_histograms(tally, |histograms| histograms.retain(is_whole));
        for timestamp_ms in markers.into_iter().filter(|timestamp_ms| !is_whole(*timestamp_ms)) {
            self.delete(TimeRange { from_ms: timestamp_ms, to_ms: timestamp_ms }, tally);
        }
    }

    /// Changes what is held of histograms; lets go of it when nothing is left.
    fn change_histograms(&mut self, tally: &mut Tally, change: impl FnOnce(&mut Histograms)) {
        let before = self.histogram_bytes();
        let mut histograms = self.histograms.take().unwrap_or_default();
        change(&mut histograms);
        self.histograms = Some(histograms).filter(|histograms| !histograms.is_empty());
        tally.grew(before, self.histogram_bytes());
    }

    fn histogram_bytes(&self) -> usize {
        self.histograms.as_ref().map_or(0, |histograms| histograms.heap_bytes())
    }

    /// Appends the histograms in `range`, for the markers among the samples.
    pub(in crate::storage) fn read_histograms(&self, range: TimeRange, columns: &mut Columns) {
        if let Some(histograms) = &self.histograms {
            histograms.read(range, columns);
        }
    }

    fn close_chunk(&mut self, tally: &mut Tally) {
        let chunk = self.open.close(tally);
        // Not twice the room: a head of many series has few chunks in each.
        self.closed.reserve_exact(if self.closed.len() == self.closed.capacity() {
            1 + self.closed.len() / 8
        } else {
            0
        });
        self.closed.push(chunk);
    }

    /// Changes what is held aside; lets go of it when nothing is left.
    fn change_aside<R>(&mut self, tally: &mut Tally, change: impl FnOnce(&mut Aside) -> R) -> R {
        let before = (self.aside_bytes(), self.belated_count());
        let aside = self.aside.get_or_insert_default();
        let done = change(aside);
        if aside.is_empty() {
            self.aside = None;
        }
        tally.grew(before.0, self.aside_bytes());
        tally.counted_belated(before.1, self.belated_count());
        done
    }

    fn aside_bytes(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.heap_bytes())
    }

    /// First and last moment of what is in chunks or late: what a cut finds.
    pub(in crate::storage) fn span(&self) -> Option<TimeRange> {
        let first = self.closed.first().map(ClosedChunk::span);
        let last = self.closed.last().map(ClosedChunk::span);
        let late = self.aside.as_ref().and_then(|aside| aside.late_span());
        whole([first, last, late, self.open.span()])
    }

    /// Whether the time of what is held has a moment in common with `range`; of what is in chunks or late only that from
    /// `floor_ms` on counts. Told by the newest sample if that will do: where the oldest is takes a look at a chunk, which
    /// is a cache miss a series.
    pub(in crate::storage) fn reaches(&self, range: TimeRange, floor_ms: i64) -> bool {
        let behind_floor = TimeRange { from_ms: range.from_ms.max(floor_ms), to_ms: range.to_ms };
        let shares = |range: TimeRange, span: Option<TimeRange>| {
            range.from_ms <= range.to_ms && span.is_some_and(|span| span.overlaps(range))
        };
        self.newest().is_some_and(|newest| behind_floor.contains(newest.timestamp_ms))
            || shares(behind_floor, self.span())
            || shares(range, self.belated_span())
    }

    /// Its label pairs in the shard's index.
    pub(in crate::storage) fn pairs(&self) -> &[u32] {
        &self.pairs
    }

    /// First and last moment of what is belated.
    pub(in crate::storage) fn belated_span(&self) -> Option<TimeRange> {
        self.aside.as_ref().and_then(|aside| aside.belated_span())
    }

    /// First and last moment of what is held.
    pub(in crate::storage) fn span_with_belated(&self) -> Option<TimeRange> {
        whole([self.span(), self.aside.as_ref().and_then(|aside| aside.belated_span())])
    }

    /// A moment, not before `from_ms`, before which nothing is held from there on; at most a block's width too early.
    pub(in crate::storage) fn next_from(&self, from_ms: i64) -> Option<i64> {
        let closed = self.closed.iter().map(ClosedChunk::span).find(|span| span.to_ms >= from_ms);
        let open = self.open.span().filter(|span| span.to_ms >= from_ms);
        let aside = self.aside.as_deref();
        let late = aside.and_then(|aside| {
            let position = aside.late.partition_point(|sample| sample.timestamp_ms < from_ms);
            aside.late.get(position).map(|sample| sample.timestamp_ms)
        });
        let belated = aside.and_then(|aside| {
            let position = aside.belated.partition_point(|belated| belated.sample.timestamp_ms < from_ms);
            aside.belated.get(position).map(|belated| belated.sample.timestamp_ms)
        });
        let starts = [closed.map(|span| span.from_ms), open.map(|span| span.from_ms), late, belated];
        starts.into_iter().flatten().map(|start_ms| start_ms.max(from_ms)).min()
    }

    /// The newest sample held, if it is known without decoding anything: it is then the last one appended.
    pub(in crate::storage) fn newest(&self) -> Option<Sample> {
        (!self.open.is_empty())
            .then(|| Sample { timestamp_ms: self.open.last_ms(), value: f64::from_bits(self.open.last_bits()) })
    }

    /// What it sent last, and how many with it, if that is known without decoding anything.
    pub(in crate::storage) fn pulse(&self) -> Option<Pulse> {
        let (newest, span) = (self.newest()?, self.open.span()?);
        let mut pulse = Pulse { newest, first_ms: span.from_ms, count: self.open.count() };
        for chunk in self.closed.iter().rev() {
            let is_long = newest.timestamp_ms.saturating_sub(pulse.first_ms) >= PULSE_MS && pulse.count >= PULSE_COUNT;
            if is_long || !pulse.goes_on_from(chunk.span(), chunk.count()) {
                break;
            }
            pulse.first_ms = chunk.span().from_ms;
            pulse.count = pulse.count.saturating_add(u32::try_from(chunk.count()).unwrap_or(u32::MAX));
        }
        Some(pulse)
    }

    /// Appends the samples in `range` that are in chunks or late, ascending.
    pub(in crate::storage) fn read(&self, range: TimeRange, columns: &mut Columns) {
        let start = columns.len();
        for chunk in self.closed.iter().filter(|chunk| range.overlaps(chunk.span())) {
            chunk.read(columns);
        }
        if self.open.span().is_some_and(|span| range.overlaps(span)) {
            self.open.read(columns);
        }
        columns.keep_range_from(start, range);
        if let Some(aside) = &self.aside
            && aside.late_span().is_some_and(|span| range.overlaps(span))
        {
            columns.merge_from(start, aside.late.iter().filter(|sample| range.contains(sample.timestamp_ms)));
        }
        self.read_histograms(range, columns);
    }

    /// Appends the belated samples in `range`, ascending. None of them is in a block, unless the cut that wrote it has
    /// just ended.
    pub(in crate::storage) fn read_belated(&self, range: TimeRange, columns: &mut Columns) {
        for sample in self.belated().filter(|sample| range.contains(sample.timestamp_ms)) {
            columns.push(sample.timestamp_ms, sample.value);
        }
        self.read_histograms(range, columns);
    }

    /// Appends everything held in `range`, ascending.
    pub(in crate::storage) fn read_with_belated(&self, range: TimeRange, columns: &mut Columns) {
        let start = columns.len();
        self.read(range, columns);
        if let Some(aside) = &self.aside {
            let belated = aside.belated.iter().map(|belated| &belated.sample);
            columns.merge_from(start, belated.filter(|sample| range.contains(sample.timestamp_ms)));
        }
    }

    fn belated(&self) -> impl Iterator<Item = Sample> {
        self.aside.iter().flat_map(|aside| aside.belated.iter().map(|belated| belated.sample))
    }

    /// The belated samples that the cut which ended `epoch` must write, ascending: those that came after the epoch
    /// `written`, which are in blocks although an older view may keep them here.
    pub(in crate::storage) fn belated_between(&self, written: u32, epoch: u32) -> impl Iterator<Item = Sample> {
        let all = self.aside.iter().flat_map(|aside| aside.belated.iter());
        all.filter(move |belated| written < belated.epoch && belated.epoch <= epoch).map(|belated| belated.sample)
    }

    pub(super) fn belated_count(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.belated.len())
    }

    /// Lets go of everything older than `floor_ms`, which is in a block by now, and of the belated samples up to
    /// `epoch`. Returns whether nothing is left.
    pub(super) fn truncate(&mut self, floor_ms: i64, epoch: u32, tally: &mut Tally) -> bool {
        let sealed = TimeRange { from_ms: i64::MIN, to_ms: floor_ms.saturating_sub(1) };
        self.delete_closed(sealed, tally);
        self.closed.shrink_to_fit();
        if self.aside.is_some() {
            self.change_aside(tally, |aside| {
                aside.late.retain(|sample| sample.timestamp_ms >= floor_ms);
                aside.late.shrink_to_fit();
                aside.belated.retain(|belated| belated.epoch > epoch);
                aside.belated.shrink_to_fit();
            });
        }
        if self.open.span().is_some_and(|span| span.from_ms < floor_ms) {
            self.keep_of_open(tally, |timestamp_ms| timestamp_ms >= floor_ms);
        }
        if self.histograms.is_some() {
            let belated: Vec<i64> = self.belated().map(|sample| sample.timestamp_ms).collect();
            let is_held = |timestamp_ms| timestamp_ms >= floor_ms || belated.binary_search(&timestamp_ms).is_ok();
            self.change_histograms(tally, |histograms| histograms.retain(is_held));
        }
        self.is_empty()
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty() && self.aside.is_none()
    }

    /// Removes everything held in `range`. Returns how many samples those were.
    pub(super) fn delete(&mut self, range: TimeRange, tally: &mut Tally) -> usize {
        let mut deleted = self.delete_closed(range, tally);
        if self.open.span().is_some_and(|span| range.overlaps(span)) {
            deleted += self.keep_of_open(tally, |timestamp_ms| !range.contains(timestamp_ms));
        }
        if self.aside.is_some() {
            deleted += self.change_aside(tally, |aside| {
                let before = aside.late.len() + aside.belated.len();
                aside.late.retain(|sample| !range.contains(sample.timestamp_ms));
                aside.belated.retain(|belated| !range.contains(belated.sample.timestamp_ms));
                before - aside.late.len() - aside.belated.len()
            });
            self.raise_late(tally);
        }
        if self.histograms.is_some() {
            let is_held = |timestamp_ms| !range.contains(timestamp_ms);
            self.change_histograms(tally, |histograms| histograms.retain(is_held));
        }
        deleted
    }

    /// Puts late samples into the open chunk that are, after a deletion, newer than all in chunks: what a late sample
    /// is compared with must not be appended once more.
    fn raise_late(&mut self, tally: &mut Tally) {
        let newest_ms = self.open.span().or(self.closed.last().map(ClosedChunk::span)).map(|span| span.to_ms);
        let risen: Vec<Sample> = self.change_aside(tally, |aside| {
            let behind = aside.late.partition_point(|sample| newest_ms.is_some_and(|ms| sample.timestamp_ms < ms));
            aside.late.split_off(behind)
        });
        for sample in risen {
            if !self.open.is_empty() && self.open.ends_before(sample.timestamp_ms) {
                self.close_chunk(tally);
            }
            self.open.append(sample.timestamp_ms, sample.value, tally);
        }
    }

    fn delete_closed(&mut self, range: TimeRange, tally: &mut Tally) -> usize {
        let mut deleted = 0;
        self.closed.retain_mut(|chunk| {
            let span = chunk.span();
            if !range.overlaps(span) {
                return true;
            }
            let (bytes, count) = (chunk.heap_bytes(), chunk.count());
            // Only a deletion, or a cut before its time, finds a chunk on both sides.
            let is_whole = range.contains(span.from_ms) && range.contains(span.to_ms);
            let kept = if is_whole { None } else { chunk.without(range) };
            let is_kept = kept.is_some();
            if let Some(kept) = kept {
                *chunk = kept;
            }
            let (left_bytes, left_count) = if is_kept { (chunk.heap_bytes(), chunk.count()) } else { (0, 0) };
            tally.grew(bytes, left_bytes);
            deleted += count - left_count;
            is_kept
        });
        deleted
    }

    /// Writes the open chunk anew with the samples whose moment `keep` agrees to. Returns how many went.
    fn keep_of_open(&mut self, tally: &mut Tally, keep: impl Fn(i64) -> bool) -> usize {
        let mut columns = Columns::default();
        self.open.read(&mut columns);
        tally.grew(self.open.heap_bytes(), 0);
        self.open = OpenChunk::default();
        let mut gone = 0;
        for (timestamp_ms, value) in columns.iter() {
            if keep(timestamp_ms) {
                self.open.append(timestamp_ms, value, tally);
            } else {
                gone += 1;
            }
        }
        gone
    }

    /// Heap bytes of the samples held.
    #[cfg(test)]
    pub(super) fn sample_bytes(&self) -> usize {
        let closed: usize = self.closed.iter().map(ClosedChunk::heap_bytes).sum();
        closed + self.open.heap_bytes() + self.aside_bytes() + self.histogram_bytes()
    }
}

fn whole<const N: usize>(spans: [Option<TimeRange>; N]) -> Option<TimeRange> {
    let join =
        |a: TimeRange, b: TimeRange| TimeRange { from_ms: a.from_ms.min(b.from_ms), to_ms: a.to_ms.max(b.to_ms) };
    spans.into_iter().flatten().reduce(join)
}

fn already(stored_bits: u64, value: f64) -> Admission {
    if stored_bits == value.to_bits() { Admission::AlreadyStored } else { Admission::Refused(Refusal::Conflict) }
}

/// Of a sample that is too old: a sender that repeats itself word by word is not told off for it.
pub(super) fn repeated(stored_bits: Option<u64>, value: f64) -> Admission {
    if stored_bits == Some(value.to_bits()) { Admission::AlreadyStored } else { Admission::Refused(Refusal::TooOld) }
}
