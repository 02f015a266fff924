//! Cutting blocks: what is two hours old and past the settling time leaves the head, and the log behind it goes.
//!
//! ```text
//! newest sample 15:20, settling time 1 h  ─►  floor 14:00
//!
//! 1. shards note the floor: what comes later for a time before 14:00 is belated, and kept apart
//! 2. [12:00, 14:00) of all series ─► 12–14.tmp ─► sync ─► read back every column ─► rename ─► sync folder
//! 3. what was belated before 1 ─► a block of its own for each two hours it lies in
//! 4. views from now on read them; the log drops the segments that hold nothing else
//! 5. when no view from before is left, the head lets go of it
//! ```
//!
//! A crash between any two of these steps loses nothing: until 4 the log has the samples, from 2 and 3 on the blocks have.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use hashbrown::HashSet;
use parking_lot::RwLock;
use storage_format::block::BlockRange;
use storage_format::column::Effort;

use super::block::{self, BlockName, BlockSet};
use super::build::{self, BlockBuilder, Building, target_of};
use super::columns::Columns;
use super::head::{SLICE_SERIES, Series, Shard};
use super::threads::LogMessage;
use super::{BLOCK_MS, Storage, StorageError};
use crate::model::{SeriesRef, TimeRange};

/// How long after its end a block waits for samples out of order. Those that come later still are written to a block of
/// their own, so a longer wait would only hold more in memory.
const SETTLING_MS_MAX: i64 = 60 * 60 * 1000;
/// What an early cut leaves in the head, in ms of event time.
const EARLY_CUT_KEEPS_MS: i64 = 5 * 60 * 1000;

/// What one call of [`Storage::maintain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Blocks cut from the head.
    pub blocks_cut: usize,
    /// Blocks that were made into larger ones, or written anew without what was deleted.
    pub blocks_compacted: usize,
    /// Blocks removed because they are past the retention.
    pub blocks_expired: usize,
    /// Blocks put aside because they are damaged.
    pub blocks_put_aside: usize,
    /// Series that the head no longer holds anything of.
    pub series_retired: usize,
    /// The head still holds more than it may; writes are refused until it does not.
    pub head_full: bool,
}

/// What maintenance remembers from one call to the next.
#[derive(Default)]
pub(super) struct Maintenance {
    /// Block sets that views may still hold, oldest first, and what the head may let go of when they and all before them
    /// are gone.
    waiting: Vec<(Weak<BlockSet>, Option<Sealed>)>,
    /// The epoch of the last cut that ended well: belated samples up to it are in blocks.
    written_epoch: u32,
    /// What retention has seen of the clocks, and which blocks it has looked through.
    pub(super) retention: super::retain::RetentionState,
    /// Blocks that could not be read through: they serve what can be read, and are not compacted again.
    pub(super) unreadable: HashSet<PathBuf>,
    /// Files of blocks that do not serve and are still there: after a restart they would.
    pub(super) left_behind: Vec<PathBuf>,
}

impl Maintenance {
    pub(super) fn new(retention: super::retain::RetentionState) -> Maintenance {
        Maintenance { retention, ..Maintenance::default() }
    }

    /// Notes a file that has to go: of a block that serves no more, or that has its name and was never shown.
    pub(super) fn leave_behind(&mut self, file: PathBuf) {
        self.left_behind.push(file);
    }
}

/// What is in blocks now: everything before the floor but for belated samples, and of those the ones that came before
/// the cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) floor_ms: i64,
    pub(super) epoch: u32,
}

/// The series of the head, ordered by target, so that a target's columns come one after the other.
type Targets = Vec<(u64, SeriesRef)>;

/// Blocks that find no room to be written anew wait; everything else goes on.
fn unless_no_room(outcome: Result<usize, StorageError>) -> Result<usize, StorageError> {
    match outcome {
        Err(error @ StorageError::NoRoom { .. }) => {
            tracing::debug!(%error, "maintenance");
            Ok(0)
        }
        outcome => outcome,
    }
}

impl Storage {
    /// Does what is due: cuts the blocks whose time is full, lets the head go of what older views no longer need, removes
    /// one block past the retention, and compacts once. Called twice a second; calls do not overlap.
    pub fn maintain(&self) -> Result<Maintained, StorageError> {
        let mut maintenance = self.maintenance.lock();
        let put_aside = self.put_aside(&mut maintenance)?;
        self.remove_left_behind(&mut maintenance)?;
        let mut done = Maintained { blocks_put_aside: put_aside, ..self.cut_due(&mut maintenance)? };
        done.blocks_expired = unless_no_room(self.expire(&mut maintenance))?;
        if done.blocks_cut == 0 {
            let compacted = self.compact_once(&mut maintenance, super::compact::Due::Worthwhile);
            done.blocks_compacted = unless_no_room(compacted)?;
        }
        Ok(done)
    }

    /// Cuts what is due, and empties the head as far as it can be.
    pub(super) fn cut_due(&self, maintenance: &mut Maintenance) -> Result<Maintained, StorageError> {
        let mut done = Maintained { series_retired: self.empty_head(maintenance), ..Maintained::default() };
        done.head_full = self.head.sample_bytes() > self.options.head_bytes_max;
        // What is sealed already and seen by an older view goes when that ends: to cut more before does not help.
        let is_waiting = maintenance.waiting.iter().any(|(_, sealed)| sealed.is_some());
        let early = if done.head_full && !is_waiting { self.early_floor() } else { None };
        let is_pressed = (done.head_full || self.head.is_crowded()) && !is_waiting;
        let belated = || if is_pressed { self.belated_floor(maintenance) } else { None };
        if let Some(floor_ms) = early.or_else(|| self.due_floor()).or_else(belated) {
            done.blocks_cut = self.cut(maintenance, floor_ms)?;
            done.series_retired += self.empty_head(maintenance);
            done.head_full = self.head.sample_bytes() > self.options.head_bytes_max;
        }
        self.head_full.store(done.head_full, Ordering::SeqCst);
        Ok(done)
    }

    /// Up to where the head is full, if that is further than it was.
    fn due_floor(&self) -> Option<i64> {
        let newest_ms = self.head.newest_ms();
        if newest_ms == i64::MIN {
            return None;
        }
        let settling_ms = self.options.out_of_order_window_ms.min(SETTLING_MS_MAX);
        // A sender whose clock is ahead must not seal the time in which the others still write.
        let settled_ms = newest_ms.min(self.clock.now_ms()).saturating_sub(settling_ms);
        let floor_ms = settled_ms.div_euclid(BLOCK_MS).saturating_mul(BLOCK_MS);
        let oldest_ms = self.head.shards().iter().map(|shard| shard.read().oldest_ms).min()?;
        (oldest_ms < floor_ms).then_some(floor_ms)
    }

    /// Up to where a head that holds too much is cut before its time: all but the newest minutes, or, if even those are
    /// too much, all but the newer half, and in the end everything.
    fn early_floor(&self) -> Option<i64> {
        let newest_ms = self.head.newest_ms().min(self.clock.now_ms());
        let oldest_ms = self.head.shards().iter().map(|shard| shard.read().oldest_ms).min()?;
        let kept_ms = EARLY_CUT_KEEPS_MS.min(newest_ms.saturating_sub(oldest_ms) / 2);
        let floor_ms = newest_ms.saturating_sub(kept_ms).saturating_add(i64::from(kept_ms == 0));
        (oldest_ms < floor_ms).then(|| {
            tracing::warn!(floor_ms, "the head is over head.bytes_max: a block is cut early");
            floor_ms
        })
    }

    /// Where the head is cut once more if only belated samples are too much: where it was cut last.
    fn belated_floor(&self, maintenance: &Maintenance) -> Option<i64> {
        let written = maintenance.written_epoch;
        let is_unwritten = |shard: &RwLock<Shard>| {
            let shard = shard.read();
            let mut series = (0..shard.slots()).filter_map(|slot| shard.series(slot));
            series.any(|series| series.belated_between(written, u32::MAX).next().is_some())
        };
        let is_due = self.head.belated_count() > 0 && self.head.shards().iter().any(is_unwritten);
        is_due.then(|| self.head.floor_ms())
    }

    /// Cuts everything before `floor_ms`. Returns the number of blocks made.
    pub(super) fn cut(&self, maintenance: &mut Maintenance, floor_ms: i64) -> Result<usize, StorageError> {
        let sealed_ms = self.blocks.load().floor_ms;
        // A cut that failed may have raised it further: what came since for the time between waits as belated.
        let floors_ms = self.head.shards().iter().map(|shard| shard.read().floor_ms);
        let floor_ms = floors_ms.fold(floor_ms, i64::max);
        // Of the segment that grows now nobody knows whether what was belated lies in it or behind it.
        let belated_before = self.growing_segment.load(Ordering::SeqCst);
        let epoch = self.head.begin_cut(floor_ms);
        let written = maintenance.written_epoch;
        let targets = self.targets();
        let mut cut = 0;
        for range in self.ranges(&targets, sealed_ms, floor_ms) {
            let read = |series: &Series, columns: &mut Columns| series.read(range, columns);
            cut += self.cut_block(maintenance, &targets, range, range.to_ms + 1, &read)?;
        }
        for range in self.belated_ranges(&targets, (written, epoch), floor_ms) {
            let read = |series: &Series, columns: &mut Columns| {
                let belated = series.belated_between(written, epoch);
                for sample in belated.filter(|sample| range.contains(sample.timestamp_ms)) {
                    columns.push(sample.timestamp_ms, sample.value);
                }
                series.read_histograms(range, columns);
            };
            cut += self.cut_block(maintenance, &targets, range, sealed_ms, &read)?;
        }
        // Nothing lies between the last block and the floor; now nothing can. And the head may go.
        self.publish(maintenance, Some(Sealed { floor_ms, epoch }), |before| before.with(None, floor_ms));
        maintenance.written_epoch = epoch;
        for shard in self.head.shards() {
            shard.write().oldest_ms = floor_ms;
        }
        // A closed log needs no tidying.
        let _ = self.to_log.send(LogMessage::Retire { floor_ms, belated_before });
        Ok(cut)
    }

    /// Cuts one block of what `read` gives of each series, and publishes it: whatever fails behind it, this one serves.
    fn cut_block(
        &self,
        maintenance: &mut Maintenance,
        targets: &Targets,
        range: TimeRange,
        floor_ms: i64,
        read: &dyn Fn(&Series, &mut Columns),
    ) -> Result<usize, StorageError> {
        let (name, folder) = (self.next_name(range), block::folder(&self.options.data_dir));
        let written =
            build::write_block(&*self.disk, &folder, name, self.block_range(range, 0), Effort::Fresh, |builder| {
                self.write_targets(builder, targets, read)
            });
        let written = written.inspect_err(|_| maintenance.leave_behind(name.path(&folder)))?;
        let Some(written) = written else { return Ok(0) };
        self.publish(maintenance, None, |before| before.with(Some(written), floor_ms));
        self.counters.blocks_cut.fetch_add(1, Ordering::Relaxed);
        Ok(1)
    }

    fn write_targets(
        &self,
        builder: &mut BlockBuilder<'_>,
        targets: &Targets,
        read: &dyn Fn(&Series, &mut Columns),
    ) -> Result<(), StorageError> {
        let mut series = Vec::new();
        for target in targets.chunk_by(|a, b| a.0 == b.0) {
            for some in target.chunks(build::GROUP_COLUMNS) {
                series.clear();
                for (_, reference) in some {
                    let shard = self.head.shard(reference.shard()).read();
                    let Some(found) = shard.by_ref(*reference) else { continue };
                    let labels = shard.labels(*reference).expect("a series that is found has labels");
                    let mut building = Building::new(labels);
                    read(found, &mut building.columns);
                    if !building.columns.is_empty() {
                        series.push(building);
                    }
                }
                series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
                builder.append(&mut series)?;
            }
        }
        Ok(())
    }

    /// What a new block of this time says about itself.
    pub(super) fn block_range(&self, range: TimeRange, level: u8) -> BlockRange {
        BlockRange { min_time_ms: range.from_ms, max_time_ms: range.to_ms + 1, created_ms: self.clock.now_ms(), level }
    }

    /// A name that no block of the folder has had since the start.
    pub(super) fn next_name(&self, range: TimeRange) -> BlockName {
        let number = self.last_block_number.fetch_add(1, Ordering::SeqCst) + 1;
        BlockName { from_ms: range.from_ms, to_ms: range.to_ms + 1, number }
    }

    /// Shows views another set of blocks, and remembers what the head may let go of once nobody sees the older one.
    pub(super) fn publish(
        &self,
        maintenance: &mut Maintenance,
        sealed: Option<Sealed>,
        change: impl FnOnce(&BlockSet) -> BlockSet,
    ) {
        let before = self.blocks.load_full();
        let after = change(&before);
        maintenance.waiting.push((Arc::downgrade(&before), sealed));
        // Most of the time nothing looks different. It happens too seldom to find out.
        self.head.changes().note_everything();
        self.blocks.store(Arc::new(after));
        self.head.changes().note_everything();
    }

    /// All live series, by target and, within one, by labels.
    fn targets(&self) -> Targets {
        let mut targets = Vec::with_capacity(self.head.series_count());
        for shard in self.head.shards() {
            // A slice at a time: putting labels together takes long enough to keep writers waiting.
            let mut next = 0;
            loop {
                let shard = shard.read();
                let end = shard.slots().min(next + SLICE_SERIES);
                for slot in next..end {
                    let Some(reference) = shard.reference(slot) else { continue };
                    let labels = shard.labels(reference).expect("a series with a reference has labels");
                    targets.push((target_of(labels.iter()), reference));
                }
                next = end;
                if next == shard.slots() {
                    break;
                }
            }
        }
        targets.sort_unstable();
        targets
    }

    /// The two-hour ranges that hold samples older than the floor and not yet in a block.
    fn ranges(&self, series: &Targets, sealed_ms: i64, floor_ms: i64) -> Vec<TimeRange> {
        let mut starts = BTreeSet::new();
        let mut columns = Columns::default();
        for (_, reference) in series {
            let shard = self.head.shard(reference.shard()).read();
            let Some(found) = shard.by_ref(*reference) else { continue };
            let Some(span) = found.span() else { continue };
            let (first, last) = (span.from_ms.max(sealed_ms), span.to_ms.min(floor_ms - 1));
            if first > last {
                continue;
            }
            let whole = first == span.from_ms && last == span.to_ms;
            let (first, last) = (first.div_euclid(BLOCK_MS), last.div_euclid(BLOCK_MS));
            if whole && last - first <= 1 {
                starts.extend(first..=last);
            } else {
                // Only the samples tell whether a stretch that the span merely crosses holds any.
                columns.clear();
                found.read(TimeRange { from_ms: sealed_ms, to_ms: floor_ms - 1 }, &mut columns);
                starts.extend(columns.timestamps_ms.iter().map(|timestamp_ms| timestamp_ms.div_euclid(BLOCK_MS)));
            }
        }
        // An early cut ends within a range, and the next one begins there.
        let range = |start: i64| TimeRange {
            from_ms: (start * BLOCK_MS).max(sealed_ms),
            to_ms: (start * BLOCK_MS + BLOCK_MS).min(floor_ms) - 1,
        };
        starts.into_iter().map(range).collect()
    }

    /// The two-hour ranges that hold belated samples admitted before the cut and after the one before.
    fn belated_ranges(&self, series: &Targets, (written, epoch): (u32, u32), floor_ms: i64) -> Vec<TimeRange> {
        let mut starts = BTreeSet::new();
        for (_, reference) in series {
            let shard = self.head.shard(reference.shard()).read();
            let Some(found) = shard.by_ref(*reference) else { continue };
            let belated = found.belated_between(written, epoch);
            starts.extend(belated.map(|sample| sample.timestamp_ms.div_euclid(BLOCK_MS)));
        }
        // Not past the floor: a start takes what is older than the end of a block for sealed.
        let range = |start: i64| TimeRange {
            from_ms: start * BLOCK_MS,
            to_ms: (start * BLOCK_MS + BLOCK_MS).min(floor_ms) - 1,
        };
        starts.into_iter().map(range).collect()
    }

    /// Empties the head of what is in blocks and no older view needs any more. Returns how many series retire.
    fn empty_head(&self, maintenance: &mut Maintenance) -> usize {
        if self.log_failing.load().is_some() {
            // What the log has yet to write names series, which its next segment can only define as long as they live.
            return 0;
        }
        let needed = maintenance.waiting.iter().position(|(views, _)| views.strong_count() > 0);
        let free = needed.unwrap_or(maintenance.waiting.len());
        let Some(sealed) = maintenance.waiting.drain(..free).filter_map(|(_, sealed)| sealed).next_back() else {
            return 0;
        };
        let mut retiring = HashSet::new();
        for shard in 0..self.head.shards().len() {
            retiring.extend(self.head.truncate(shard, sealed.floor_ms, sealed.epoch));
        }
        self.resolver.forget(&retiring);
        retiring.len()
    }
}
