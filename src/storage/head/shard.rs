//! A shard: the only writer of its share of the series.
//!
//! [`Shard`] is the state, behind one lock: its writer takes it once a batch, readers once a series, each for
//! microseconds. [`ShardWriter`] is the actor around it: a batch goes in, the log record that makes it last comes out.
//!
//! ```text
//! ShardBatch ─► admit each row ─► append to open chunks ─► LogEntry (series, then samples) ─► the log
//!                     └─ refused: counted for the sender          └─ rows of watched series ─► tap
//! ```

use std::sync::Arc;

use hashbrown::HashTable;
use storage_format::{frame, log};

use super::super::batch::{Pending, Refusal, ShardBatch, WriteSummary};
use super::super::resolver::Resolver;
use super::super::tap::{Interest, TapBatch, TapFeed, TapRow};
use super::index::LabelIndex;
use super::series::{Admission, Series};
use super::{Head, HeadLimits};
use crate::model::{Labels, Matcher, SeriesRef, TimeRange};

/// Bytes reserved for a row of the log: most take three or four.
const ROW_BYTES_USUAL: usize = 6;

/// Definitions are cut into records of about this size, so that damage takes few of them, and no request, however
/// large the limits allow it to be, makes a record too long for the format.
const DEFINITIONS_BYTES: usize = 256 << 10;

/// Rows in one record at most. The longest rows then still fit the format's longest record.
const RECORD_ROWS_MAX: usize = 1 << 20;
const _: () = assert!(RECORD_ROWS_MAX * log::SAMPLE_BYTES_MAX + 4096 <= frame::RECORD_BYTES_MAX);

/// Oldest timestamp that is taken: the arithmetic of blocks needs a block's width on either side.
const TIMESTAMP_MS_MIN: i64 = i64::MIN / 4;

/// One shard's series, by slot, by labels and by label pair.
pub(in crate::storage) struct Shard {
    index: u8,
    slots: Vec<Option<Series>>,
    free: Vec<u32>,
    /// Generation that the next use of each slot gets.
    generations: Vec<u32>,
    by_labels: HashTable<u32>,
    postings: LabelIndex,
    /// Samples older than this are refused: their time is sealed.
    pub(in crate::storage) floor_ms: i64,
    /// Newest sample ever admitted.
    pub(in crate::storage) newest_ms: i64,
    /// Oldest sample admitted since the floor last rose.
    pub(in crate::storage) oldest_ms: i64,
}

impl Shard {
    pub(in crate::storage) fn new(index: u8, floor_ms: i64) -> Shard {
        Shard {
            index,
            slots: Vec::new(),
            free: Vec::new(),
            generations: Vec::new(),
            by_labels: HashTable::new(),
            postings: LabelIndex::default(),
            floor_ms,
            newest_ms: i64::MIN,
            oldest_ms: i64::MAX,
        }
    }

    pub(in crate::storage) fn series_count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(in crate::storage) fn series(&self, slot: u32) -> Option<&Series> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The live series of this ref.
    pub(in crate::storage) fn by_ref(&self, series: SeriesRef) -> Option<&Series> {
        self.series(series.slot()).filter(|found| found.generation == series.generation())
    }

    #[inline]
    fn by_ref_mut(&mut self, series: SeriesRef) -> Option<&mut Series> {
        let found = self.slots.get_mut(series.slot() as usize)?.as_mut()?;
        (found.generation == series.generation()).then_some(found)
    }

    pub(in crate::storage) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(in crate::storage) fn select(&self, matchers: &[Matcher]) -> Vec<u32> {
        self.postings.select(matchers)
    }

    pub(in crate::storage) fn postings(&self) -> &LabelIndex {
        &self.postings
    }

    pub(in crate::storage) fn reference(&self, slot: u32) -> Option<SeriesRef> {
        self.series(slot).map(|series| SeriesRef::new(self.index, series.generation, slot))
    }

    /// The series of these labels, made if there is none yet. Tells whether it is new.
    fn intern(&mut self, labels: &Arc<Labels>, interest: &Interest) -> (SeriesRef, bool) {
        let hash = labels.hash();
        let same = |slot: &u32| self.slots[*slot as usize].as_ref().is_some_and(|series| series.labels == *labels);
        if let Some(&slot) = self.by_labels.find(hash, same) {
            let reference = self.reference(slot).expect("an interned slot is live");
            return (reference, false);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.generations.push(0);
            (self.slots.len() - 1) as u32
        });
        let generation = self.generations[slot as usize];
        self.generations[slot as usize] = (generation + 1) & 0x00ff_ffff;
        self.postings.insert(slot, labels);
        self.slots[slot as usize] = Some(Series::new(labels.clone(), generation, interest(labels)));
        let slots = &self.slots;
        self.by_labels.insert_unique(hash, slot, |other| {
            slots[*other as usize].as_ref().expect("an interned slot is live").labels.hash()
        });
        (SeriesRef::new(self.index, generation, slot), true)
    }

    /// Appends records, chains still open, that define every series alive.
    pub(in crate::storage) fn define_all(&self, records: &mut Vec<u8>) {
        let mut start = None;
        for slot in 0..self.slots() {
            let (Some(series), Some(reference)) = (self.series(slot), self.reference(slot)) else { continue };
            let opened = *start.get_or_insert_with(|| frame::begin_record(records));
            log::append_series(records, reference.0, series.labels.iter());
            if records.len() - opened > DEFINITIONS_BYTES {
                frame::seal_payload(records, opened, log::KIND_SERIES, u16::from(self.index));
                start = None;
            }
        }
        if let Some(opened) = start {
            frame::seal_payload(records, opened, log::KIND_SERIES, u16::from(self.index));
        }
    }

    /// Lets go of what is sealed. Series that hold nothing more are marked, and freed when they are still marked at
    /// the next call; the newly marked are returned, so that the resolver forgets them.
    pub(in crate::storage) fn truncate(&mut self, floor_ms: i64) -> Vec<SeriesRef> {
        let mut retiring = Vec::new();
        for slot in 0..self.slots() {
            let Some(series) = self.slots[slot as usize].as_mut() else { continue };
            if !series.truncate(floor_ms) {
                continue;
            }
            if series.retiring {
                self.free(slot);
            } else {
                series.retiring = true;
                retiring.push(SeriesRef::new(self.index, series.generation, slot));
            }
        }
        retiring
    }

    fn free(&mut self, slot: u32) {
        let series = self.slots[slot as usize].take().expect("only a live slot is freed");
        self.postings.remove(slot, &series.labels);
        if let Ok(entry) = self.by_labels.find_entry(series.labels.hash(), |other| *other == slot) {
            entry.remove();
        }
        self.free.push(slot);
    }
}

/// A log record on its way to the disk, and who waits for it.
pub(in crate::storage) struct LogEntry {
    /// Whole records, their chains still open.
    pub(in crate::storage) records: Vec<u8>,
    /// Newest sample in them; `i64::MIN` without samples.
    pub(in crate::storage) newest_ms: i64,
    /// Whether there are samples in them whose time was in a block already.
    pub(in crate::storage) holds_belated: bool,
    /// Told when the records are on disk.
    pub(in crate::storage) pending: Option<(Arc<Pending>, WriteSummary)>,
}

/// The actor of one shard. Plain state and `handle`; who calls it, and on which thread, is `threads`' matter.
pub(in crate::storage) struct ShardWriter {
    index: u8,
    head: Arc<Head>,
    resolver: Arc<Resolver>,
    limits: HeadLimits,
    tap: TapFeed,
    /// Rows admitted by the batch at hand that the log must keep.
    admitted: Vec<(SeriesRef, i64, f64)>,
    tapped: TapBatch,
}

impl ShardWriter {
    pub(in crate::storage) fn new(
        index: u8,
        head: Arc<Head>,
        resolver: Arc<Resolver>,
        limits: HeadLimits,
        tap: TapFeed,
    ) -> ShardWriter {
        ShardWriter { index, head, resolver, limits, tap, admitted: Vec::new(), tapped: TapBatch::default() }
    }

    /// Admits a batch at the wall-clock time `now_ms` and returns what the log must write before it is answered.
    pub(in crate::storage) fn handle(&mut self, batch: &ShardBatch, now_ms: i64) -> (Vec<u8>, i64, WriteSummary) {
        let mut summary = WriteSummary::default();
        let ceiling_ms = now_ms.saturating_add(super::super::FUTURE_MS_MAX);
        let head = self.head.clone();
        let mut shard = head.shard(self.index as usize).write();
        let floor_ms = shard.floor_ms.max(self.limits.retention_floor_ms(now_ms)).max(TIMESTAMP_MS_MIN);
        let bounds = Bounds { floor_ms, ceiling_ms };

        let mut records = Vec::new();
        self.admit_new(&mut shard, batch, bounds, &mut summary, &mut records);
        for row in &batch.rows {
            let Some(series) = shard.by_ref_mut(row.series) else {
                // The request rested, behind a failing disk perhaps, until its series was freed: sent again, it will
                // be resolved anew.
                summary.gone_count += 1;
                continue;
            };
            series.retiring = false;
            match bounds.admit(series, row.timestamp_ms, row.value) {
                Admission::Stored => {
                    summary.stored_count += 1;
                    if series.watched {
                        let (series, timestamp_ms, value) = (row.series, row.timestamp_ms, row.value);
                        self.tapped.rows.push(TapRow { series, timestamp_ms, value });
                    }
                    self.admitted.push((row.series, row.timestamp_ms, row.value));
                }
                Admission::AlreadyStored => summary.stored_count += 1,
                Admission::Refused(why) => summary.refuse(&series.labels, row.timestamp_ms, why),
            }
        }
        let newest_ms = self.note_span(&mut shard);
        drop(shard);

        self.encode_samples(&mut records);
        self.tap.push(&mut self.tapped);
        (records, newest_ms, summary)
    }

    /// Interns the unknown series, writes their definitions, and admits their samples.
    fn admit_new(
        &mut self,
        shard: &mut Shard,
        batch: &ShardBatch,
        bounds: Bounds,
        summary: &mut WriteSummary,
        records: &mut Vec<u8>,
    ) {
        if batch.new.is_empty() {
            return;
        }
        let mut learned = Vec::with_capacity(batch.new.len());
        let mut start = None;
        for new in &batch.new {
            let hash = new.labels.hash();
            let known = shard.by_labels.find(hash, |slot| {
                shard.slots[*slot as usize].as_ref().is_some_and(|series| series.labels == new.labels)
            });
            if known.is_none() && self.head.series_count() >= self.limits.series_max {
                for sample in &new.samples {
                    summary.refuse(&new.labels, sample.timestamp_ms, Refusal::TooManySeries);
                }
                continue;
            }
            if known.is_none() && !new.samples.iter().any(|sample| bounds.admits(sample.timestamp_ms)) {
                // A series that would hold nothing is not made.
                for sample in &new.samples {
                    summary.refuse(&new.labels, sample.timestamp_ms, bounds.refusal(sample.timestamp_ms));
                }
                continue;
            }
            let (reference, is_new) = shard.intern(&new.labels, self.tap.interest());
            learned.push((new.raw_hash, reference));
            let series = shard.by_ref_mut(reference).expect("interned just now");
            series.retiring = false;
            if is_new {
                self.head.count_series(1);
                let opened = *start.get_or_insert_with(|| frame::begin_record(records));
                log::append_series(records, reference.0, new.labels.iter());
                if records.len() - opened > DEFINITIONS_BYTES {
                    frame::seal_payload(records, opened, log::KIND_SERIES, u16::from(self.index));
                    start = None;
                }
                if series.watched {
                    self.tapped.series.push((reference, new.labels.clone()));
                }
            }
            for sample in &new.samples {
                match bounds.admit(series, sample.timestamp_ms, sample.value) {
                    Admission::Stored => {
                        summary.stored_count += 1;
                        let (timestamp_ms, value) = (sample.timestamp_ms, sample.value);
                        if series.watched {
                            self.tapped.rows.push(TapRow { series: reference, timestamp_ms, value });
                        }
                        self.admitted.push((reference, timestamp_ms, value));
                    }
                    Admission::AlreadyStored => summary.stored_count += 1,
                    Admission::Refused(why) => summary.refuse(&new.labels, sample.timestamp_ms, why),
                }
            }
        }
        if let Some(opened) = start {
            frame::seal_payload(records, opened, log::KIND_SERIES, u16::from(self.index));
        }
        self.resolver.learn(learned, self.head.series_count());
    }

    fn note_span(&self, shard: &mut Shard) -> i64 {
        let mut newest_ms = i64::MIN;
        for (_, timestamp_ms, _) in &self.admitted {
            newest_ms = newest_ms.max(*timestamp_ms);
            shard.oldest_ms = shard.oldest_ms.min(*timestamp_ms);
        }
        shard.newest_ms = shard.newest_ms.max(newest_ms);
        newest_ms
    }

    fn encode_samples(&mut self, records: &mut Vec<u8>) {
        records.reserve(self.admitted.len() * ROW_BYTES_USUAL);
        for rows in self.admitted.chunks(RECORD_ROWS_MAX) {
            let start = frame::begin_record(records);
            log::append_samples(records, rows);
            frame::seal_payload(records, start, log::KIND_SAMPLES, u16::from(self.index));
        }
        self.admitted.clear();
    }

    /// Admits samples of recovery: they are in the log already, and the tap's listener reads them from the head.
    pub(in crate::storage) fn restore(&mut self, rows: &[(SeriesRef, i64, f64)]) {
        let mut shard = self.head.shard(self.index as usize).write();
        for (series, timestamp_ms, value) in rows {
            if *timestamp_ms < shard.floor_ms {
                continue; // in a block
            }
            shard.newest_ms = shard.newest_ms.max(*timestamp_ms);
            shard.oldest_ms = shard.oldest_ms.min(*timestamp_ms);
            let series = shard.by_ref_mut(*series).expect("recovery interned it");
            series.admit(*timestamp_ms, *value);
        }
    }

    /// Admits belated samples of recovery.
    pub(in crate::storage) fn restore_belated(&mut self, rows: &[(SeriesRef, i64, f64)]) {
        self.restore(rows);
    }

    /// Deletes again what was deleted before the restart.
    pub(in crate::storage) fn restore_deletion(&mut self, series: &[SeriesRef], range: TimeRange) {
        let _ = (series, range, self.index);
    }

    /// The series of a definition that recovery found in the log.
    pub(in crate::storage) fn restore_series(&mut self, labels: &Arc<Labels>) -> SeriesRef {
        let mut shard = self.head.shard(self.index as usize).write();
        let (reference, is_new) = shard.intern(labels, self.tap.interest());
        if is_new {
            self.head.count_series(1);
            if shard.by_ref(reference).is_some_and(|series| series.watched) {
                self.tapped.series.push((reference, labels.clone()));
            }
        }
        reference
    }

    /// Ends recovery: the listener is told to read what the head holds.
    pub(in crate::storage) fn restored(&mut self) {
        self.tap.push(&mut self.tapped);
        self.tap.raise_missed();
    }
}

/// Between which moments a sample is taken.
#[derive(Clone, Copy)]
struct Bounds {
    floor_ms: i64,
    ceiling_ms: i64,
}

impl Bounds {
    fn admits(self, timestamp_ms: i64) -> bool {
        self.floor_ms <= timestamp_ms && timestamp_ms <= self.ceiling_ms
    }

    fn refusal(self, timestamp_ms: i64) -> Refusal {
        if timestamp_ms < self.floor_ms { Refusal::TooOld } else { Refusal::TooFarAhead }
    }

    #[inline]
    fn admit(self, series: &mut Series, timestamp_ms: i64, value: f64) -> Admission {
        if self.admits(timestamp_ms) {
            series.admit(timestamp_ms, value)
        } else {
            Admission::Refused(self.refusal(timestamp_ms))
        }
    }
}
