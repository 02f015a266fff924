//! Where admitted samples can be listened to, without storage knowing who listens.
//!
//! Each shard puts the samples of the series that are of interest on its own bounded queue, in the order in which it
//! admitted them. It never waits and never drops in silence:
//!
//! ```text
//! shard ──► [ batch batch batch ]  ──► listener            the usual way
//! shard ──► [ full ]  raise `missed`, put nothing more     the listener is slow
//!           [      ]  listener drains, lowers `missed`,    it reads what it has not seen
//!                     reads head and blocks ◄───────────   from where it is kept anyway
//! ```
//!
//! Always true: between a raise and the lowering nothing is queued, so what the listener has seen of a series is always
//! a prefix in the order of admission, and "newer than the last that I saw" names exactly what it missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use storage_format::histogram::is_marker;

use super::block::BlockSet;
use super::head::{Head, Shard};
use super::view::Columns;
use crate::model::{Labels, SeriesRef, TimeRange};

/// Batches that wait for a listener at most.
const TAP_QUEUE_BATCHES: usize = 256;
/// How much of event time one batch of a catch-up covers.
const CATCH_UP_SLICE_MS: i64 = 5 * 60 * 1000;
/// How much newer the newest sample must be to be worth telling, in ms.
const NEWER_BY_MS: i64 = 1000;

/// One admitted sample of a series of interest.
#[derive(Clone, Copy, Debug)]
pub struct TapRow {
    /// The series, introduced by an earlier or the same batch.
    pub series: SeriesRef,
    /// Milliseconds since 1970 UTC; may be older than an earlier row of the series.
    pub timestamp_ms: i64,
    /// The admitted bits, a staleness marker perhaps.
    pub value: f64,
}

/// What one shard admitted in one go.
#[derive(Clone, Debug, Default)]
pub struct TapBatch {
    /// Series of interest that appear for the first time, or again after a catch-up.
    pub series: Vec<(SeriesRef, Arc<Labels>)>,
    /// Samples in the order of admission.
    pub rows: Vec<TapRow>,
    /// The newest sample of the shard, of interest or not, in ms since 1970 UTC, when that is a second newer than was told
    /// before: a listener who waits for what does not come must know what time it is.
    pub newest_ms: Option<i64>,
}

/// Says of a new series whether the listener wants its samples. Asked once a series, in the shard's thread.
pub type Interest = Arc<dyn Fn(&Labels) -> bool + Send + Sync>;

/// The shard's end.
pub(super) struct TapFeed {
    interest: Interest,
    queue: Sender<TapBatch>,
    missed: Arc<AtomicBool>,
    /// The newest sample that the listener was told of.
    told_ms: i64,
}

/// The listener's end of one shard's tap.
pub struct TapSource {
    inbox: Receiver<TapBatch>,
    missed: Arc<AtomicBool>,
    head: Arc<Head>,
    blocks: Arc<ArcSwap<BlockSet>>,
    shard: usize,
}

/// What a listener finds when it looks.
pub enum Tapped {
    /// The next batch.
    Batch(TapBatch),
    /// Batches were left out: read them by [`TapSource::catch_up`].
    Missed,
    /// Nothing for as long as it was ready to wait.
    Nothing,
    /// The shard has ended.
    Closed,
}

/// Both ends of the tap of one shard.
pub(super) fn tap(
    head: Arc<Head>,
    blocks: Arc<ArcSwap<BlockSet>>,
    shard: usize,
    interest: Interest,
) -> (TapFeed, TapSource) {
    let (queue, inbox) = bounded(TAP_QUEUE_BATCHES);
    let missed = Arc::new(AtomicBool::new(false));
    let feed = TapFeed { interest, queue, missed: missed.clone(), told_ms: i64::MIN };
    (feed, TapSource { inbox, missed, head, blocks, shard })
}

impl TapFeed {
    pub(super) fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The newest sample of a write, if it is worth telling.
    pub(super) fn worth_telling(&mut self, newest_ms: i64) -> Option<i64> {
        let is_newer = newest_ms >= self.told_ms.saturating_add(NEWER_BY_MS);
        is_newer.then(|| {
            self.told_ms = newest_ms;
            newest_ms
        })
    }

    /// Hands the batch on and leaves it empty. Never waits.
    pub(super) fn push(&self, batch: &mut TapBatch) {
        if batch.series.is_empty() && batch.rows.is_empty() && batch.newest_ms.is_none() {
            return;
        }
        let batch = std::mem::take(batch);
        // Pairs with the Release in `catch_up`: whoever sees it lowered may queue behind what was drained.
        if self.missed.load(Ordering::Acquire) {
            return;
        }
        if self.queue.try_send(batch).is_err() {
            self.raise_missed();
        }
    }

    /// Tells the listener to read from the head.
    pub(super) fn raise_missed(&self) {
        // Pairs with the Acquire in `next`.
        self.missed.store(true, Ordering::Release);
    }
}

impl TapSource {
    /// The next batch, or why there is none.
    pub fn next(&self, wait: Duration) -> Tapped {
        if let Ok(batch) = self.inbox.try_recv() {
            return Tapped::Batch(batch);
        }
        // Pairs with the Release in `raise_missed`. Everything queued before the raise was drained above.
        if self.missed.load(Ordering::Acquire) {
            return match self.inbox.try_recv() {
                Ok(batch) => Tapped::Batch(batch),
                Err(_) => Tapped::Missed,
            };
        }
        match self.inbox.recv_timeout(wait) {
            Ok(batch) => Tapped::Batch(batch),
            Err(RecvTimeoutError::Timeout) => Tapped::Nothing,
            Err(RecvTimeoutError::Disconnected) => Tapped::Closed,
        }
    }

    /// Whether nothing waits: neither a batch nor something that was missed.
    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty() && !self.missed.load(Ordering::Acquire)
    }

    /// Reads what is newer than `last_seen_ms` says of each series, all series together in slices of event time: from the
    /// head, and of a series that was seen before from the blocks that were cut since. What the shard queues meanwhile
    /// may repeat the newest of it.
    pub fn catch_up(&self, last_seen_ms: impl Fn(SeriesRef) -> Option<i64>) -> CatchUp {
        // Lowered before reading: what is admitted from now on is queued, what was before is read.
        self.missed.store(false, Ordering::Release);
        // Held until the end, as a view does: what is cut from now on stays in the head for as long.
        let blocks = self.blocks.load_full();
        let mut series: Vec<Behind> = Vec::new();
        let mut left: Option<TimeRange> = None;
        let mut widen = |range: TimeRange| {
            let whole = left.unwrap_or(range);
            left = Some(TimeRange { from_ms: whole.from_ms.min(range.from_ms), to_ms: whole.to_ms.max(range.to_ms) });
        };
        let shard = self.head.shard(self.shard).read();
        for slot in 0..shard.slots() {
            let (Some(found), Some(reference)) = (shard.series(slot), shard.reference(slot)) else { continue };
            if !found.watched {
                continue;
            }
            let seen_ms = last_seen_ms(reference).unwrap_or(i64::MIN);
            let labels = shard.labels(reference).expect("a live series has labels");
            series.push(Behind { reference, labels, seen_ms, sealed: Columns::default() });
            if let Some(held) = found.span_with_belated().filter(|held| held.to_ms > seen_ms) {
                widen(TimeRange { from_ms: held.from_ms.max(seen_ms.saturating_add(1)), to_ms: held.to_ms });
            }
        }
        drop(shard);
        for one in
            series.iter_mut().filter(|one| i64::MIN < one.seen_ms && one.seen_ms < blocks.floor_ms.saturating_sub(1))
        {
            one.read_sealed(&blocks);
            if let [first, .., last] | [first @ last] = one.sealed.timestamps_ms[..] {
                widen(TimeRange { from_ms: first, to_ms: last });
            }
        }
        CatchUp { head: self.head.clone(), _blocks: blocks, shard: self.shard, series, left, introduced: false }
    }
}

/// A series of which the listener has not seen everything.
struct Behind {
    reference: SeriesRef,
    labels: Arc<Labels>,
    seen_ms: i64,
    /// What it missed of what blocks hold.
    sealed: Columns,
}

impl Behind {
    fn read_sealed(&mut self, blocks: &BlockSet) {
        let range = TimeRange { from_ms: self.seen_ms + 1, to_ms: blocks.floor_ms - 1 };
        for member in blocks.overlapping(range) {
            // What is damaged is told when somebody asks for it; the listener goes on without it.
            if let Ok(Some(number)) = member.block.find(&self.labels) {
                let _ = member.read(number, range, 0, &mut self.sealed);
            }
        }
    }

    /// A moment, not before `from_ms`, before which nothing was missed from there on.
    fn next_from(&self, shard: &Shard, from_ms: i64) -> Option<i64> {
        let from_ms = from_ms.max(self.seen_ms.saturating_add(1));
        let held = shard.by_ref(self.reference).and_then(|series| series.next_from(from_ms));
        let position = self.sealed.timestamps_ms.partition_point(|timestamp_ms| *timestamp_ms < from_ms);
        let sealed = self.sealed.timestamps_ms.get(position).copied();
        held.into_iter().chain(sealed).min()
    }

    /// What was missed in `range`, ascending.
    fn read(&self, shard: &Shard, range: TimeRange, columns: &mut Columns) {
        let range = TimeRange { from_ms: range.from_ms.max(self.seen_ms.saturating_add(1)), to_ms: range.to_ms };
        for (timestamp_ms, value) in self.sealed.iter().filter(|(timestamp_ms, _)| range.contains(*timestamp_ms)) {
            columns.push(timestamp_ms, value);
        }
        let middle = columns.len();
        if let Some(found) = shard.by_ref(self.reference) {
            found.read_with_belated(range, columns);
        }
        columns.settle(0, middle);
    }
}

/// The batches of a catch-up, in order of event time.
pub struct CatchUp {
    head: Arc<Head>,
    /// As long as they are held the head keeps what is not in them.
    _blocks: Arc<BlockSet>,
    shard: usize,
    series: Vec<Behind>,
    left: Option<TimeRange>,
    introduced: bool,
}

impl CatchUp {
    /// What is left, without the stretch in front in which nothing is held: one stray sample of long ago must not make
    /// us walk through the years.
    fn next_held(&self, left: TimeRange) -> Option<TimeRange> {
        let shard = self.head.shard(self.shard).read();
        let from_ms = self.series.iter().filter_map(|series| series.next_from(&shard, left.from_ms)).min()?;
        (from_ms <= left.to_ms).then_some(TimeRange { from_ms, to_ms: left.to_ms })
    }
}

impl Iterator for CatchUp {
    type Item = TapBatch;

    fn next(&mut self) -> Option<TapBatch> {
        if !self.introduced {
            self.introduced = true;
            let series = self.series.iter().map(|one| (one.reference, one.labels.clone())).collect();
            return Some(TapBatch { series, ..TapBatch::default() });
        }
        let left = self.next_held(self.left?)?;
        let to_ms = left.to_ms.min(left.from_ms.saturating_add(CATCH_UP_SLICE_MS));
        self.left = (to_ms < left.to_ms).then(|| TimeRange { from_ms: to_ms + 1, to_ms: left.to_ms });

        let mut rows = Vec::new();
        let mut columns = Columns::default();
        for one in &self.series {
            let shard = self.head.shard(self.shard).read();
            columns.clear();
            one.read(&shard, TimeRange { from_ms: left.from_ms, to_ms }, &mut columns);
            drop(shard);
            let row = |(timestamp_ms, value)| TapRow { series: one.reference, timestamp_ms, value };
            // The listener is told of floats.
            rows.extend(columns.iter().filter(|(_, value)| !is_marker(value.to_bits())).map(row));
        }
        rows.sort_by_key(|row| row.timestamp_ms);
        Some(TapBatch { rows, ..TapBatch::default() })
    }
}
