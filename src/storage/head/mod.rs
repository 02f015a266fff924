//! The head: samples that are not in a block yet, in shards that have a single writer each.
//!
//! A series belongs to the shard that the hash of its labels names. The shard's thread is the only one that changes it;
//! everybody else reads, under the shard's lock, for microseconds at a time.

mod index;
mod series;
mod shard;

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

pub use series::LATE_SAMPLES_MAX;
use series::Series;
pub(super) use shard::{LogEntry, Shard, ShardWriter};

use super::TIMESTAMP_MS_MIN;
use crate::model::Labels;

/// Most shards: a series ref has eight bits for them.
pub(super) const SHARDS_MAX: usize = 256;

/// What bounds the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    /// Series that may live at once.
    pub(super) series_max: usize,
    /// Samples older than this are refused; 0 keeps everything.
    pub(super) retention_ms: i64,
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
}

impl Head {
    pub(super) fn new(shard_count: usize, floor_ms: i64) -> Head {
        assert!((1..=SHARDS_MAX).contains(&shard_count), "{shard_count} shards");
        let shards = (0..shard_count).map(|index| RwLock::new(Shard::new(index as u8, floor_ms))).collect();
        Head { shards, series_count: AtomicUsize::new(0) }
    }

    /// The shard that owns, or would own, the series of these labels.
    pub(super) fn shard_of(&self, labels: &Labels) -> usize {
        // The high bits: the low ones choose the bucket in the shard's own map.
        (labels.hash() >> 32) as usize % self.shards.len()
    }

    pub(super) fn shard(&self, index: usize) -> &RwLock<Shard> {
        &self.shards[index]
    }

    pub(super) fn shards(&self) -> &[RwLock<Shard>] {
        &self.shards
    }

    /// Series alive in all shards.
    pub(super) fn series_count(&self) -> usize {
        self.series_count.load(Ordering::Relaxed)
    }

    fn count_series(&self, more: usize) {
        self.series_count.fetch_add(more, Ordering::Relaxed);
    }

    /// Counts anew, after series were freed.
    pub(super) fn recount_series(&self) {
        let count = self.shards.iter().map(|shard| shard.read().series_count()).sum();
        self.series_count.store(count, Ordering::Relaxed);
    }

    /// Newest sample of all shards, in ms since 1970 UTC.
    pub(super) fn newest_ms(&self) -> i64 {
        self.shards.iter().map(|shard| shard.read().newest_ms).max().unwrap_or(i64::MIN)
    }

    /// Heap bytes of all samples held.
    pub(super) fn sample_bytes(&self) -> usize {
        let of_shard = |shard: &RwLock<Shard>| {
            let shard = shard.read();
            (0..shard.slots()).filter_map(|slot| shard.series(slot)).map(Series::sample_bytes).sum::<usize>()
        };
        self.shards.iter().map(of_shard).sum()
    }
}
