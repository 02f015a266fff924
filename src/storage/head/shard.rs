//! A shard's state: its series, by slot, by labels and by label pair. Behind one lock: its writer takes it once a
//! batch, readers once a series, each for microseconds.
//!
//! ```text
//! floor_ms   2 ──── cut begins ────► 4 ─────────────────────── cut begins ────► 6
//! epoch          1             │                2                        │          3
//! belated    came in 1 ────────┤ written and let go of                   │
//!                              └ came in 2: waits for the next ──────────┘
//! ```
//!
//! Always true: what is held of a series is not below the floor, or was not when the cut under way began, or is
//! belated and carries the epoch in which it came.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashTable;

use super::super::starts;
use super::super::tap::Interest;
use super::aside::BELATED_SAMPLES_MAX;
use super::chunks::Tally;
use super::encode::Definitions;
use super::index::LabelIndex;
use super::paged::Paged;
use super::series::Series;
use crate::model::{Labels, Matcher, SeriesRef, TimeRange};

/// One shard's series.
pub(in crate::storage) struct Shard {
    index: u8,
    slots: Paged<Option<Series>>,
    free: Vec<u32>,
    /// Generation that the next use of each slot gets.
    generations: Paged<u32>,
    by_labels: HashTable<Interned>,
    label_index: LabelIndex,
    /// Heap bytes of all samples held.
    sample_bytes: usize,
    /// Belated samples held.
    belated_count: usize,
    /// A series has half as many belated samples as it may: they should not wait for a cut that may be far.
    is_crowded: bool,
    /// Grows by one with each cut.
    epoch: u32,
    /// Samples older than this are belated: their time is sealed.
    pub(in crate::storage) floor_ms: i64,
    /// Newest sample ever admitted.
    pub(in crate::storage) newest_ms: i64,
    /// Oldest sample admitted since the floor last rose.
    pub(in crate::storage) oldest_ms: i64,
}

/// A series in the table by labels. Half of the hash is kept, so that the table grows without asking for labels.
#[derive(Clone, Copy)]
struct Interned {
    hash: u32,
    slot: u32,
}

impl Interned {
    /// The hash that the table goes by: all its bits count, and only the low half is kept.
    fn table_hash(labels_hash: u64) -> u64 {
        u64::from(labels_hash as u32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Shard {
    pub(in crate::storage) fn new(index: u8, floor_ms: i64) -> Shard {
        Shard {
            index,
            slots: Paged::default(),
            free: Vec::new(),
            generations: Paged::default(),
            by_labels: HashTable::new(),
            label_index: LabelIndex::default(),
            sample_bytes: 0,
            belated_count: 0,
            is_crowded: false,
            epoch: 1,
            floor_ms,
            newest_ms: i64::MIN,
            oldest_ms: i64::MAX,
        }
    }

    pub(in crate::storage) fn series_count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(in crate::storage) fn series(&self, slot: u32) -> Option<&Series> {
        self.slots.get(slot)?.as_ref()
    }

    /// The live series of this ref.
    pub(in crate::storage) fn by_ref(&self, series: SeriesRef) -> Option<&Series> {
        self.series(series.slot()).filter(|found| found.generation == series.generation())
    }

    #[inline]
    pub(super) fn by_ref_mut(&mut self, series: SeriesRef) -> Option<&mut Series> {
        let found = self.slots.get_mut(series.slot())?.as_mut()?;
        (found.generation == series.generation()).then_some(found)
    }

    /// Brings what appending to these series touches into the cache: both misses of all of them run side by side, where
    /// appends, one behind the other, would wait for each.
    #[inline]
    pub(super) fn warm(&self, series: impl Iterator<Item = SeriesRef>) {
        let tails = series.filter_map(|series| self.by_ref(series)).fold(0, |all, series| all ^ series.tail());
        std::hint::black_box(tails);
    }

    pub(in crate::storage) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The slots of the series that satisfy all matchers, companions included, ascending.
    pub(in crate::storage) fn select(&self, matchers: &[Matcher]) -> Vec<u32> {
        let live = || (0..self.slots()).filter(|slot| self.series(*slot).is_some()).collect();
        let mut found = self.label_index.require(matchers).unwrap_or_else(live);
        self.label_index.exclude(matchers, &mut found);
        found
    }

    pub(in crate::storage) fn label_index(&self) -> &LabelIndex {
        &self.label_index
    }

    pub(in crate::storage) fn reference(&self, slot: u32) -> Option<SeriesRef> {
        self.series(slot).map(|series| SeriesRef::new(self.index, series.generation, slot))
    }

    /// The labels of a live series, put together anew.
    pub(in crate::storage) fn labels(&self, series: SeriesRef) -> Option<Arc<Labels>> {
        let pairs = &self.by_ref(series)?.pairs;
        Some(Arc::new(Labels::from_sorted(self.label_index.texts(pairs))))
    }

    /// Heap bytes of all samples held.
    pub(in crate::storage) fn sample_bytes(&self) -> usize {
        self.sample_bytes
    }

    /// Belated samples held: what the next cut has to write although its time is sealed.
    pub(in crate::storage) fn belated_count(&self) -> usize {
        self.belated_count
    }

    /// Whether a series has come so far with belated samples since the last cut that the next must not wait.
    pub(in crate::storage) fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    pub(super) fn note_crowded(&mut self, series_belated_count: usize) {
        self.is_crowded |= series_belated_count >= BELATED_SAMPLES_MAX / 2;
    }

    /// The epoch in which belated samples come now.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Takes over what was counted, and leaves nothing counted.
    pub(super) fn note_change(&mut self, tally: &mut Tally) {
        let change = std::mem::take(tally);
        let apply = |count: usize, by: isize| count.checked_add_signed(by).expect("nothing goes that never came");
        self.sample_bytes = apply(self.sample_bytes, change.sample_bytes);
        self.belated_count = apply(self.belated_count, change.belated_count);
    }

    /// The live series of these labels.
    pub(in crate::storage) fn find(&self, labels: &Labels) -> Option<SeriesRef> {
        self.find_hashed(labels.hash(), labels)
    }

    fn find_hashed(&self, hash: u64, labels: &Labels) -> Option<SeriesRef> {
        let same = |interned: &Interned| {
            let series = self.series(interned.slot).expect("an interned slot is live");
            interned.hash == hash as u32 && self.label_index.texts(&series.pairs).eq(labels.iter())
        };
        let found = self.by_labels.find(Interned::table_hash(hash), same)?;
        self.reference(found.slot)
    }

    /// The series of these labels, made if there is none yet. Tells whether it is new.
    pub(super) fn intern(&mut self, labels: &Labels, interest: &Interest) -> (SeriesRef, bool) {
        let hash = labels.hash();
        if let Some(reference) = self.find_hashed(hash, labels) {
            return (reference, false);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.generations.push(0);
            self.slots() - 1
        });
        let next = self.generations.get_mut(slot).expect("pushed with the slot");
        let generation = std::mem::replace(next, (*next + 1) & 0x00ff_ffff);
        let pairs = self.label_index.insert(slot, labels);
        let watched = !starts::is_companion(labels) && interest(labels);
        *self.slots.get_mut(slot).expect("pushed") = Some(Series::new(pairs, generation, watched));
        let interned = Interned { hash: hash as u32, slot };
        self.by_labels
            .insert_unique(Interned::table_hash(hash), interned, |other| Interned::table_hash(other.hash.into()));
        (SeriesRef::new(self.index, generation, slot), true)
    }

    /// Whether the samples of a live series go to the tap from now on.
    pub(super) fn watch(&mut self, series: SeriesRef, is_watched: bool) {
        if let Some(found) = self.slots.get_mut(series.slot()).and_then(Option::as_mut) {
            found.watched = is_watched;
        }
    }

    /// Appends the definitions of the live series of these slots until the records have `bytes_max` bytes, or a
    /// definition more. Returns the slot to go on with.
    pub(super) fn define(&self, slots: Range<u32>, bytes_max: usize, definitions: &mut Definitions<'_>) -> u32 {
        for slot in slots.clone() {
            if definitions.bytes() >= bytes_max {
                return slot;
            }
            if let (Some(series), Some(reference)) = (self.series(slot), self.reference(slot)) {
                definitions.push(reference, self.label_index.texts(&series.pairs));
            }
        }
        slots.end
    }

    /// A cut begins: what comes from now on and is older than `floor_ms` is belated, and waits for the next cut.
    /// Returns the epoch that ends: the cut writes [`Series::belated_between`] the one before and it, and then
    /// [`super::Head::truncate`]s to it.
    ///
    /// What is held already below the new floor, in chunks or late, does not become belated: it is the cut's own.
    pub(in crate::storage) fn begin_cut(&mut self, floor_ms: i64) -> u32 {
        self.floor_ms = self.floor_ms.max(floor_ms);
        self.is_crowded = false;
        let ended = self.epoch;
        self.epoch += 1;
        ended
    }

    /// Lets the series of these slots go of what is sealed, as [`super::Head::truncate`] says. Returns how many series
    /// were freed.
    pub(super) fn truncate(
        &mut self,
        slots: Range<u32>,
        floor_ms: i64,
        epoch: u32,
        retiring: &mut Vec<SeriesRef>,
    ) -> usize {
        let before = self.series_count();
        let mut tally = Tally::default();
        for slot in slots {
            let Some(series) = self.slots.get_mut(slot).and_then(Option::as_mut) else { continue };
            if !series.truncate(floor_ms, epoch, &mut tally) {
                continue;
            }
            if series.retiring {
                self.free(slot);
            } else {
                series.retiring = true;
                retiring.push(SeriesRef::new(self.index, series.generation, slot));
            }
        }
        self.note_change(&mut tally);
        before - self.series_count()
    }

    /// Leaves no histogram without its marker and no marker without its histogram.
    pub(super) fn settle_histograms(&mut self, tally: &mut Tally) {
        for slot in 0..self.slots() {
            if let Some(series) = self.slots.get_mut(slot).and_then(Option::as_mut) {
                series.settle_histograms(tally);
            }
        }
    }

    /// Removes what these series hold in `range`. Returns how many samples those were.
    pub(super) fn delete(&mut self, series: &[SeriesRef], range: TimeRange) -> u64 {
        let mut tally = Tally::default();
        let mut deleted = 0;
        for reference in series {
            if let Some(found) = self.by_ref_mut(*reference) {
                deleted += found.delete(range, &mut tally) as u64;
            }
        }
        self.note_change(&mut tally);
        deleted
    }

    pub(super) fn free(&mut self, slot: u32) {
        let series = self.slots.get_mut(slot).and_then(Option::take).expect("only a live slot is freed");
        let hash = Labels::hash_of(self.label_index.texts(&series.pairs));
        if let Ok(entry) = self.by_labels.find_entry(Interned::table_hash(hash), |other| other.slot == slot) {
            entry.remove();
        }
        self.label_index.remove(slot, &series.pairs);
        self.free.push(slot);
    }

    /// What the running counts must be, counted anew.
    #[cfg(test)]
    pub(super) fn recounted(&self) -> (usize, usize) {
        let live = || self.slots.iter().flatten();
        (live().map(Series::sample_bytes).sum(), live().map(Series::belated_count).sum())
    }
}
