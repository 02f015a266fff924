//! The head: samples that no block holds yet, in shards that have a single writer each.
//!
//! A series belongs to the shard that the hash of its labels names. The shard's thread is the only one that admits
//! samples to it; everybody else reads, under the shard's lock, for microseconds at a time. Who walks all series lets
//! others in after every [`SLICE_SERIES`].

mod aside;
mod chunks;
mod define;
mod encode;
mod histograms;
mod index;
mod listen;
mod paged;
mod postings;
mod restore;
mod series;
mod shard;
mod starts;
mod writer;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};

pub use aside::{BELATED_SAMPLES_MAX, LATE_SAMPLES_MAX};
pub(super) use define::DefinitionWalk;
pub(super) use series::Series;
pub(super) use shard::Shard;
pub(super) use writer::{LogEntry, ShardWriter};

use super::TIMESTAMP_MS_MIN;
use super::changes::Changes;
use super::listing::Listings;
use super::view::{Columns, ViewError};
use crate::model::{Labels, SeriesRef, TimeRange};

/// Most shards: a series ref has eight bits for them.
pub(super) const SHARDS_MAX: usize = 256;
/// Series that are walked under one hold of a shard's lock.
pub(super) const SLICE_SERIES: u32 = 1_000;

/// Appends what the blocks hold of a series in a range, ascending. Called by a shard's thread under its lock, so it
/// must not ask the head for anything.
pub(super) type SealedLookup = Arc<dyn Fn(&Labels, TimeRange, &mut Columns) -> Result<(), ViewError> + Send + Sync>;

/// What bounds the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    /// Series that may live at once.
    pub(super) series_max: usize,
    /// Samples older than this are refused; 0 keeps everything.
    pub(super) retention_ms: i64,
    /// How far behind the newest sample of its series a sample may be.
    pub(super) out_of_order_window_ms: i64,
}

impl HeadLimits {
    fn retention_floor_ms(&self, now_ms: i64) -> i64 {
        let kept_ms = if self.retention_ms == 0 { i64::MAX } else { self.retention_ms };
        now_ms.saturating_sub(kept_ms).max(TIMESTAMP_MS_MIN)
    }
}

/// All shards.
pub(super) struct Head {
    shards: Vec<RwLock<Shard>>,
    series_count: AtomicUsize,
    /// Queries' threads that wait for a shard.
    waiting_count: AtomicUsize,
    changes: Changes,
    listings: Listings,
}

impl Head {
    pub(super) fn new(shard_count: usize, floor_ms: i64) -> Head {
        assert!((1..=SHARDS_MAX).contains(&shard_count), "{shard_count} shards");
        let shards = (0..shard_count).map(|index| RwLock::new(Shard::new(index as u8, floor_ms))).collect();
        Head {
            shards,
            series_count: AtomicUsize::new(0),
            waiting_count: AtomicUsize::new(0),
            changes: Changes::new(),
            listings: Listings::default(),
        }
    }

    /// From when on what is stored, here or in blocks, has changed.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The values of labels that were listed last.
    pub(super) fn listings(&self) -> &Listings {
        &self.listings
    }

    /// The shard that owns, or would own, the series of these labels.
    pub(super) fn shard_of(&self, labels: &Labels) -> usize {
        // The high bits: the low ones choose the bucket in the shard's own map.
        (super::starts::shard_hash(labels) >> 32) as usize % self.shards.len()
    }

    pub(super) fn shard(&self, index: usize) -> &RwLock<Shard> {
        &self.shards[index]
    }

    /// A shard for a query. While it waits, the shard's writer knows: see [`Head::has_waiting`].
    pub(super) fn read_shard(&self, index: usize) -> RwLockReadGuard<'_, Shard> {
        let shard = &self.shards[index];
        shard.try_read().unwrap_or_else(|| {
            // Relaxed: who sees it late pauses late.
            self.waiting_count.fetch_add(1, Ordering::Relaxed);
            let locked = shard.read();
            self.waiting_count.fetch_sub(1, Ordering::Relaxed);
            locked
        })
    }

    /// Whether queries wait for a shard.
    fn has_waiting(&self) -> bool {
        self.waiting_count.load(Ordering::Relaxed) > 0
    }

    pub(super) fn shards(&self) -> &[RwLock<Shard>] {
        &self.shards
    }

    /// Begins a cut at `floor_ms` in every shard: see [`Shard::begin_cut`]. Returns the epoch that ends with it.
    pub(super) fn begin_cut(&self, floor_ms: i64) -> u32 {
        let epochs = self.shards.iter().map(|shard| shard.write().begin_cut(floor_ms));
        epochs
            .reduce(|a, b| {
                assert_eq!(a, b, "shards are cut together");
                a
            })
            .expect("there are shards")
    }

    /// Series alive in all shards.
    pub(super) fn series_count(&self) -> usize {
        self.series_count.load(Ordering::Relaxed)
    }

    /// How many of them are companions, that hold start times.
    pub(super) fn companion_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().label_index().companion_count()).sum()
    }

    fn count_series(&self, more: usize) {
        self.series_count.fetch_add(more, Ordering::Relaxed);
    }

    /// Newest sample of all shards, in ms since 1970 UTC.
    pub(super) fn newest_ms(&self) -> i64 {
        self.shards.iter().map(|shard| shard.read().newest_ms).max().unwrap_or(i64::MIN)
    }

    /// Heap bytes of all samples held.
    pub(super) fn sample_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().sample_bytes()).sum()
    }

    /// Belated samples held, which the next cut writes.
    pub(super) fn belated_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().belated_count()).sum()
    }

    /// Whether some series should not wait longer for the cut that writes its belated samples.
    pub(super) fn is_crowded(&self) -> bool {
        self.shards.iter().any(|shard| shard.read().is_crowded())
    }

    /// What is older is sealed, or being sealed.
    pub(super) fn floor_ms(&self) -> i64 {
        self.shards.iter().map(|shard| shard.read().floor_ms).max().unwrap_or(i64::MIN)
    }

    /// Lets one shard go of what is sealed: of chunks and late samples below `floor_ms`, of belated samples up to
    /// `epoch`, which [`Shard::begin_cut`] gave. Series that hold nothing more are marked, and freed when they are
    /// still marked at the next call; the newly marked are returned, so that the resolver forgets them.
    pub(super) fn truncate(&self, shard: usize, floor_ms: i64, epoch: u32) -> Vec<SeriesRef> {
        let shard = self.shard(shard);
        let mut retiring = Vec::new();
        let mut next = 0;
        loop {
            let mut shard = shard.write();
            let Some(slots) = next_slice(&shard, &mut next) else { return retiring };
            let freed = shard.truncate(slots, floor_ms, epoch, &mut retiring);
            self.series_count.fetch_sub(freed, Ordering::Relaxed);
        }
    }
}

/// The slots from `next` on, which then is where they end; `None` at the end.
pub(super) fn next_slice(shard: &Shard, next: &mut u32) -> Option<Range<u32>> {
    let slots = *next..shard.slots().min(next.saturating_add(SLICE_SERIES));
    *next = slots.end;
    (!slots.is_empty()).then_some(slots)
}

#[cfg(test)]
mod tests;
