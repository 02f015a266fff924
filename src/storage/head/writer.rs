//! The actor of a shard: a batch goes in, the log record that makes it last comes out.
//!
//! ```text
//! ShardBatch ─► admit each row ─┬─► append to open chunks ──────────┬─► LogEntry (series, samples, belated) ─► the log
//!                               ├─ belated: ask the blocks ─► aside ┘          └─ rows of watched series ─► tap
//!                               └─ refused: counted for the sender
//! ```
//!
//! A sample is too old if it is past the retention, or older than its own series' newest by more than the window. A
//! series that is behind all the others, be it by days, is in order as long as it is in order for itself.

use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use parking_lot::{RwLockUpgradableReadGuard, RwLockWriteGuard};
use storage_format::histogram::{Histogram, is_marker};
use storage_format::log;

use super::super::BLOCK_MS;
use super::super::batch::{HistogramRow, NewSeries, Pending, Refusal, Row, ShardBatch, WriteSummary};
use super::super::resolver::Resolver;
use super::super::tap::{TapBatch, TapFeed, TapRow};
use super::super::view::Columns;
use super::chunks::Tally;
use super::encode::{self, Definitions, LogRow};
use super::series::{Admission, Series, repeated};
use super::shard::Shard;
use super::{Head, HeadLimits, SLICE_SERIES, SealedLookup};
use crate::model::{Labels, Matcher, NORMAL_NAN_BITS, Sample, SeriesRef, TimeRange};

/// Rows whose series are brought into the cache together: two lines each, of which the core fetches some dozens at once.
pub(super) const WARM_ROWS: usize = 32;

/// Look-ups of two hours of a series that a batch may cost with rows that are too old; of more than that none is looked up.
const LOOK_UPS_BEHIND_MAX: u64 = 1024;

/// How long a writer leaves its shard to queries that wait for it, between two batches. A query reads a series in
/// microseconds and comes back for the next: without a pause it would get one of them a batch, and under a full inbox a
/// thousand series would take as long as a thousand batches.
const QUERIES_PAUSE: Duration = Duration::from_micros(50);

/// Whether two rows, sorted, are asked for at once.
fn is_one_look_up(a: &LogRow, b: &LogRow) -> bool {
    a.0 == b.0 && b.1 - a.1 <= BLOCK_MS
}

/// The row as it is stored. `markers` are those of the batch's histograms, in order: a value that looks like one and is not
/// the next is a float, and becomes the plain NaN, for who acknowledges a marker without a histogram loses it.
#[inline]
fn true_to_histograms(row: Row, markers: &mut Peekable<impl Iterator<Item = (SeriesRef, i64, u64)>>) -> Row {
    let bits = row.value.to_bits();
    if !is_marker(bits) || markers.next_if_eq(&(row.series, row.timestamp_ms, bits)).is_some() {
        row
    } else {
        Row { value: f64::from_bits(NORMAL_NAN_BITS), ..row }
    }
}

/// A log record on its way to the disk, and who waits for it.
pub(in crate::storage) struct LogEntry {
    /// Whole records, their chains still open.
    pub(in crate::storage) records: Vec<u8>,
    /// How many bytes of them, at their front, define series that may be named from now on.
    pub(in crate::storage) definition_bytes: usize,
    /// Newest sample in them that is not belated; `i64::MIN` without.
    pub(in crate::storage) newest_ms: i64,
    /// Whether belated samples are in them: no floor says when those are in a block, only the next cut's end.
    pub(in crate::storage) holds_belated: bool,
    /// Told when the records are on disk.
    pub(in crate::storage) pending: Option<(Arc<Pending>, WriteSummary)>,
}

impl Default for LogEntry {
    fn default() -> LogEntry {
        LogEntry { records: Vec::new(), definition_bytes: 0, newest_ms: i64::MIN, holds_belated: false, pending: None }
    }
}

/// The actor of one shard. Plain state and `handle`; who calls it, and on which thread, is `threads`' matter.
pub(in crate::storage) struct ShardWriter {
    pub(super) index: u8,
    pub(super) head: Arc<Head>,
    resolver: Arc<Resolver>,
    limits: HeadLimits,
    sealed: SealedLookup,
    pub(super) tap: TapFeed,
    pub(super) tally: Tally,
    /// Rows admitted by the batch at hand that the log must keep, but for the belated.
    pub(super) admitted: Vec<LogRow>,
    /// Rows of the batch at hand whose time is sealed: first those to be looked up, then those admitted.
    pub(super) belated: Vec<LogRow>,
    /// Rows of the batch at hand whose time is sealed, and that are too old for their series unless they are stored already.
    pub(super) behind: Vec<LogRow>,
    /// Newest of those to be looked up, by series.
    belated_newest_ms: HashMap<SeriesRef, i64>,
    pub(super) tapped: TapBatch,
    /// Series and those that hold their samples' start times, as far as they were needed; some may be gone.
    pub(super) companions: HashMap<SeriesRef, SeriesRef>,
}

/// Between which moments a sample is taken.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// What is older is past the retention.
    oldest_ms: i64,
    /// What is older, and not past the retention, is belated.
    floor_ms: i64,
    /// What is newer is of the future.
    ceiling_ms: i64,
    /// How far behind the newest of its series a sample may be.
    window_ms: i64,
}

impl Bounds {
    /// Why no series takes a sample of this moment.
    fn refusal(self, timestamp_ms: i64) -> Option<Refusal> {
        if timestamp_ms > self.ceiling_ms {
            Some(Refusal::TooFarAhead)
        } else {
            (timestamp_ms < self.oldest_ms).then_some(Refusal::TooOld)
        }
    }
}

impl ShardWriter {
    pub(in crate::storage) fn new(
        index: u8,
        head: Arc<Head>,
        resolver: Arc<Resolver>,
        limits: HeadLimits,
        sealed: SealedLookup,
        tap: TapFeed,
    ) -> ShardWriter {
        ShardWriter {
            index,
            head,
            resolver,
            limits,
            sealed,
            tap,
            tally: Tally::default(),
            admitted: Vec::new(),
            belated: Vec::new(),
            behind: Vec::new(),
            belated_newest_ms: HashMap::new(),
            tapped: TapBatch::default(),
            companions: HashMap::new(),
        }
    }

    /// Admits a batch at the wall-clock time `now_ms` and returns what the log must write before it is answered.
    pub(in crate::storage) fn handle(&mut self, batch: &ShardBatch, now_ms: i64) -> (LogEntry, WriteSummary) {
        let mut summary = WriteSummary::default();
        let mut records = Vec::new();
        let head = self.head.clone();
        let mut shard = head.shard(self.index as usize).write();
        let bounds = self.bounds(&shard, now_ms);
        self.admit_new(&mut shard, &batch.new, bounds, &mut summary, &mut records);
        self.admit_rows(&mut shard, batch, bounds, &mut summary);
        self.note_changes(&self.admitted);
        if !self.belated.is_empty() || !self.behind.is_empty() {
            shard = self.admit_belated(shard, &mut summary);
        }
        if batch.has_starts() {
            shard = self.admit_starts(shard, batch, bounds, &mut summary, &mut records);
            self.note_changes(&self.admitted);
        }
        self.note_changes(&self.belated);
        let definition_bytes = records.len();
        let histograms = self.keep_histograms(&mut shard, batch, &mut summary);
        let newest_ms = self.note_span(&mut shard);
        shard.note_change(&mut self.tally);
        drop(shard);
        if head.has_waiting() {
            std::thread::sleep(QUERIES_PAUSE);
        }

        let holds_belated = !self.belated.is_empty();
        // Before their markers: of a write that was cut short there may be histograms too many, never markers.
        encode::encode_histograms(&histograms, self.index, &mut records);
        encode::encode_samples(&self.admitted, log::KIND_SAMPLES, self.index, &mut records);
        encode::encode_samples(&self.belated, log::KIND_BELATED, self.index, &mut records);
        self.admitted.clear();
        self.belated.clear();
        self.tapped.newest_ms = self.tap.worth_telling(newest_ms);
        self.tap.push(&mut self.tapped);
        (LogEntry { records, definition_bytes, newest_ms, holds_belated, pending: None }, summary)
    }

    /// Tells of rows that are visible once the shard's lock is let go of.
    fn note_changes(&self, rows: &[LogRow]) {
        if let Some(oldest_ms) = rows.iter().map(|(_, timestamp_ms, _)| *timestamp_ms).min() {
            self.head.changes().note(oldest_ms);
        }
    }

    /// Keeps the histograms whose markers were stored just now, and returns them for the log.
    fn keep_histograms<'b>(
        &mut self,
        shard: &mut Shard,
        batch: &'b ShardBatch,
        summary: &mut WriteSummary,
    ) -> Vec<(SeriesRef, i64, &'b Histogram)> {
        let count = batch.histogram_count();
        if count == 0 {
            return Vec::new();
        }
        summary.histogram_count = count as u64 - summary.refused_histogram_count;
        let rows = self.admitted.iter().chain(&self.belated);
        let mut stored: HashSet<(SeriesRef, i64, u64)> =
            rows.map(|row| (row.0, row.1, row.2.to_bits())).filter(|row| is_marker(row.2)).collect();
        let mut kept = Vec::with_capacity(stored.len());
        let known = batch.histograms.iter().map(|row| (row.series, row.timestamp_ms, &row.histogram));
        let mut new = Vec::new();
        for series in batch.new.iter().filter(|series| !series.histograms.is_empty()) {
            // Of one for which there was no room, nothing was stored.
            let Some(reference) = shard.find(&series.labels) else { continue };
            new.extend(series.histograms.iter().map(|(timestamp_ms, histogram)| (reference, *timestamp_ms, histogram)));
        }
        for (reference, timestamp_ms, histogram) in known.chain(new) {
            if stored.remove(&(reference, timestamp_ms, histogram.marker())) {
                let series = shard.by_ref_mut(reference).expect("its marker was stored just now");
                series.add_histogram(timestamp_ms, histogram, &mut self.tally);
                kept.push((reference, timestamp_ms, histogram));
            }
        }
        kept
    }

    fn bounds(&self, shard: &Shard, now_ms: i64) -> Bounds {
        let oldest_ms = self.limits.retention_floor_ms(now_ms);
        Bounds {
            oldest_ms,
            floor_ms: shard.floor_ms.max(oldest_ms),
            ceiling_ms: now_ms.saturating_add(super::super::FUTURE_MS_MAX),
            window_ms: self.limits.out_of_order_window_ms,
        }
    }

    fn admit_rows(&mut self, shard: &mut Shard, batch: &ShardBatch, bounds: Bounds, summary: &mut WriteSummary) {
        let told = |row: &HistogramRow| (row.series, row.timestamp_ms, row.histogram.marker());
        let mut markers = batch.histograms.iter().map(told).peekable();
        for rows in batch.rows.chunks(WARM_ROWS) {
            shard.warm(rows.iter().map(|row| row.series));
            for row in rows {
                let row = true_to_histograms(*row, &mut markers);
                let Some(series) = shard.by_ref_mut(row.series) else {
                    // The request rested, behind a failing disk perhaps, until its series was freed: sent again, it
                    // will be resolved anew.
                    summary.gone_count += 1;
                    continue;
                };
                if let Some(why) = self.take(series, row, bounds, summary) {
                    summary.refuse_row(|| shard.labels(row.series).expect("found above"), row, why);
                }
            }
        }
    }

    /// Interns the unknown series, writes their definitions, and admits their samples.
    fn admit_new(
        &mut self,
        shard: &mut Shard,
        all: &[NewSeries],
        bounds: Bounds,
        summary: &mut WriteSummary,
        records: &mut Vec<u8>,
    ) {
        if all.is_empty() {
            return;
        }
        let mut learned = Vec::with_capacity(all.len());
        let mut definitions = Definitions::begin(records, self.index);
        for new in all {
            if shard.find(&new.labels).is_none() && self.refuse_series(new, bounds, summary) {
                continue;
            }
            let (reference, is_new) = shard.intern(&new.labels, self.tap.interest());
            learned.push((new.raw_hash, reference));
            let series = shard.by_ref_mut(reference).expect("interned just now");
            if is_new {
                self.head.count_series(1);
                definitions.push(reference, new.labels.iter());
                if series.watched {
                    self.tapped.series.push((reference, new.labels.clone()));
                }
            }
            let told = |(timestamp_ms, histogram): &(i64, Histogram)| (reference, *timestamp_ms, histogram.marker());
            let mut markers = new.histograms.iter().map(told).peekable();
            for sample in &new.samples {
                let row = Row { series: reference, timestamp_ms: sample.timestamp_ms, value: sample.value };
                let row = true_to_histograms(row, &mut markers);
                if let Some(why) = self.take(series, row, bounds, summary) {
                    summary.refuse_row(|| new.labels.clone(), row, why);
                }
            }
        }
        definitions.finish();
        self.resolver.learn(learned, self.head.series_count());
    }

    /// Whether there is no room for another series.
    pub(super) fn is_full(&self) -> bool {
        self.head.series_count() >= self.limits.series_max
    }

    /// Refuses all samples of a series for which there is no room, or that would hold nothing.
    fn refuse_series(&self, new: &NewSeries, bounds: Bounds, summary: &mut WriteSummary) -> bool {
        let holds_some = new.samples.iter().any(|sample| bounds.refusal(sample.timestamp_ms).is_none());
        if !self.is_full() && holds_some {
            return false;
        }
        for sample in &new.samples {
            let why = bounds.refusal(sample.timestamp_ms).unwrap_or(Refusal::TooManySeries);
            summary.refuse(|| new.labels.clone(), sample.timestamp_ms, why);
        }
        summary.refused_histogram_count += new.histograms.len() as u64;
        true
    }

    /// Takes one row, or puts it to those that are looked up first. Returns why it is refused, if it is.
    #[inline]
    pub(super) fn take(
        &mut self,
        series: &mut Series,
        row: Row,
        bounds: Bounds,
        summary: &mut WriteSummary,
    ) -> Option<Refusal> {
        series.retiring = false;
        let Row { series: reference, timestamp_ms, value } = row;
        let admission = if bounds.floor_ms <= timestamp_ms && timestamp_ms <= bounds.ceiling_ms {
            series.admit(timestamp_ms, value, bounds.window_ms, &mut self.tally)
        } else {
            self.take_outside(series, row, bounds)?
        };
        match admission {
            Admission::Stored => {
                summary.stored_count += 1;
                self.admitted.push((reference, timestamp_ms, value));
                if series.watched && !is_marker(value.to_bits()) {
                    self.tapped.rows.push(TapRow { series: reference, timestamp_ms, value });
                }
                None
            }
            Admission::AlreadyStored => {
                summary.stored_count += 1;
                None
            }
            Admission::Refused(why) => Some(why),
        }
    }

    /// Of a row that is not between floor and ceiling: `None` if it is looked up in blocks first, and decided on then.
    #[cold]
    fn take_outside(&mut self, series: &Series, row: Row, bounds: Bounds) -> Option<Admission> {
        if let Some(why) = bounds.refusal(row.timestamp_ms) {
            return Some(Admission::Refused(why));
        }
        let newest_ms = self.belated_newest_ms.entry(row.series).or_insert(i64::MIN);
        let window_start_ms = newest_ms.saturating_sub(bounds.window_ms);
        if row.timestamp_ms < window_start_ms || series.is_too_old(row.timestamp_ms, bounds.window_ms) {
            let held_bits = series.held_bits(row.timestamp_ms);
            if held_bits.is_some() {
                return Some(repeated(held_bits, row.value));
            }
            self.behind.push((row.series, row.timestamp_ms, row.value));
            return None;
        }
        *newest_ms = row.timestamp_ms.max(*newest_ms);
        self.belated.push((row.series, row.timestamp_ms, row.value));
        None
    }

    /// Admits the belated rows of the batch, of which `self.belated` then holds those that were stored.
    pub(super) fn admit_belated<'a>(
        &mut self,
        shard: RwLockWriteGuard<'a, Shard>,
        summary: &mut WriteSummary,
    ) -> RwLockWriteGuard<'a, Shard> {
        self.belated_newest_ms.clear();
        let mut rows = std::mem::take(&mut self.belated);
        // Readers go on meanwhile. A cut cannot begin or end, so nothing moves from the head into a block unseen.
        let shard = RwLockWriteGuard::downgrade_to_upgradable(shard);
        let sealed_bits = self.look_up(&shard, &mut rows);
        self.judge_behind(&shard, summary);
        let mut shard = RwLockUpgradableReadGuard::upgrade(shard);
        for ((reference, timestamp_ms, value), sealed_bits) in rows.into_iter().zip(sealed_bits) {
            match self.store_belated(&mut shard, (reference, timestamp_ms, value), sealed_bits) {
                Admission::Stored => summary.stored_count += 1,
                Admission::AlreadyStored => summary.stored_count += 1,
                Admission::Refused(why) => {
                    let row = Row { series: reference, timestamp_ms, value };
                    summary.refuse_row(|| shard.labels(reference).expect("found before"), row, why);
                }
            }
        }
        shard
    }

    /// Refuses rows that are too old, but for those that blocks hold just so: whoever sends hours again, an import or a
    /// sender whose answer was lost, is not told off for it.
    fn judge_behind(&mut self, shard: &Shard, summary: &mut WriteSummary) {
        let mut rows = std::mem::take(&mut self.behind);
        rows.sort_by_key(|(reference, timestamp_ms, _)| (*reference, *timestamp_ms));
        let blocks_of = |run: &[LogRow]| 1 + run[run.len() - 1].1.abs_diff(run[0].1) / BLOCK_MS as u64;
        let block_count: u64 = rows.chunk_by(is_one_look_up).map(blocks_of).sum();
        let sealed_bits =
            if block_count <= LOOK_UPS_BEHIND_MAX { self.look_up(shard, &mut rows) } else { vec![None; rows.len()] };
        for ((reference, timestamp_ms, value), sealed_bits) in rows.into_iter().zip(sealed_bits) {
            match repeated(sealed_bits, value) {
                Admission::Refused(why) => {
                    let row = Row { series: reference, timestamp_ms, value };
                    summary.refuse_row(|| shard.labels(reference).expect("found before"), row, why);
                }
                Admission::Stored | Admission::AlreadyStored => summary.stored_count += 1,
            }
        }
    }

    fn store_belated(&mut self, shard: &mut Shard, row: LogRow, sealed_bits: Option<u64>) -> Admission {
        let (reference, timestamp_ms, value) = row;
        let epoch = shard.epoch();
        let series = shard.by_ref_mut(reference).expect("nothing is freed under the lock");
        let admission = series.admit_belated(Sample { timestamp_ms, value }, sealed_bits, epoch, &mut self.tally);
        let belated_count = series.belated_count();
        if admission == Admission::Stored {
            self.belated.push(row);
            if series.watched && !is_marker(value.to_bits()) {
                self.tapped.rows.push(TapRow { series: reference, timestamp_ms, value });
            }
        }
        shard.note_crowded(belated_count);
        admission
    }

    /// Sorts the rows by series and time, those of one moment in the order in which they came, and returns what the
    /// blocks hold for each. Asks once for rows of a series that lie close together.
    pub(super) fn look_up(&self, shard: &Shard, rows: &mut [LogRow]) -> Vec<Option<u64>> {
        rows.sort_by_key(|(reference, timestamp_ms, _)| (*reference, *timestamp_ms));
        let mut found = Vec::with_capacity(rows.len());
        let mut columns = Columns::default();
        for run in rows.chunk_by(is_one_look_up) {
            let labels = shard.labels(run[0].0).expect("a row's series is alive");
            let range = TimeRange { from_ms: run[0].1, to_ms: run[run.len() - 1].1 };
            columns.clear();
            if (self.sealed)(&labels, range, &mut columns).is_err() {
                // Damaged blocks cannot say what they hold. Better the sample twice than not at all: views show one.
                columns.clear();
            }
            found.extend(run.iter().map(|(_, timestamp_ms, _)| {
                let position = columns.timestamps_ms.binary_search(timestamp_ms).ok()?;
                Some(columns.values[position].to_bits())
            }));
        }
        found
    }

    /// Notes what was admitted. Returns the newest of it, belated samples apart.
    fn note_span(&self, shard: &mut Shard) -> i64 {
        let mut newest_ms = i64::MIN;
        for (_, timestamp_ms, _) in &self.admitted {
            newest_ms = newest_ms.max(*timestamp_ms);
            shard.oldest_ms = shard.oldest_ms.min(*timestamp_ms);
        }
        let belated_ms = self.belated.iter().map(|row| row.1).max().unwrap_or(i64::MIN);
        shard.newest_ms = shard.newest_ms.max(newest_ms).max(belated_ms);
        newest_ms
    }

    /// Removes what the series that satisfy one of the selectors hold in `range`: from chunks, late and belated
    /// samples. Returns what the log must write before it is answered, and how many samples those were.
    ///
    /// A sample of a deleted moment that is sent again is new, and is stored.
    ///
    /// Of the series `sealed`, as far as nothing is held of them any more, the log alone is told: recovery would take what
    /// it still has of them for belated, once it finds it deleted from the blocks.
    pub(in crate::storage) fn delete(
        &mut self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        sealed: &[Labels],
    ) -> (Vec<u8>, u64) {
        let shard = self.head.shard(self.index as usize);
        let mut series = {
            let shard = shard.read();
            let mut slots: Vec<u32> = selectors.iter().flat_map(|matchers| shard.select(matchers)).collect();
            slots.sort_unstable();
            slots.dedup();
            slots.into_iter().filter_map(|slot| shard.reference(slot)).collect::<Vec<_>>()
        };
        // Nobody else admits samples, so readers may be let in between: what they kept is noted before and behind it.
        self.head.changes().note(range.from_ms);
        let deleted = series.chunks(SLICE_SERIES as usize).map(|slice| shard.write().delete(slice, range)).sum();
        self.head.changes().note(range.from_ms);
        let mut records = Vec::new();
        let mut definitions = Definitions::begin(&mut records, self.index);
        for slice in sealed.chunks(SLICE_SERIES as usize) {
            let mut shard = shard.write();
            for labels in slice {
                if shard.find(labels).is_none() {
                    let (reference, _) = shard.intern(labels, self.tap.interest());
                    shard.free(reference.slot());
                    definitions.push(reference, labels.iter());
                    series.push(reference);
                }
            }
        }
        definitions.finish();
        encode::encode_deletion(&series, range, self.index, &mut records);
        (records, deleted)
    }
}
