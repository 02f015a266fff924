//! Buckets of a group that somebody has told and nobody has judged yet.
//!
//! Worker 0 has told 42, 43 and 44 of a group, worker 1 only 42: its own 42 is added, 42 is judged, and 43 and 44 wait. A
//! group of one worker has none, for what that worker tells is judged at once.
//!
//! Always true: they are sorted by their numbers, each there once.

use std::collections::VecDeque;

use super::group::Partial;

/// Room that is kept for buckets while there are none; more is given back.
const ROOM_COUNT: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Pending {
    buckets: VecDeque<(i64, Partial)>,
}

impl Pending {
    /// The oldest bucket.
    pub(super) fn first(&self) -> Option<i64> {
        self.buckets.front().map(|&(bucket, _)| bucket)
    }

    /// Adds what one worker tells of a bucket.
    pub(super) fn add(&mut self, bucket: i64, partial: Partial) {
        match self.buckets.binary_search_by_key(&bucket, |&(known, _)| known) {
            Ok(index) => self.buckets[index].1.merge(partial),
            Err(index) => self.buckets.insert(index, (bucket, partial)),
        }
    }

    /// Takes the oldest bucket.
    pub(super) fn pop(&mut self) -> Option<(i64, Partial)> {
        let oldest = self.buckets.pop_front();
        if self.buckets.is_empty() {
            self.buckets.shrink_to(ROOM_COUNT);
        }
        oldest
    }
}

impl Partial {
    /// Adds another worker's part of the same bucket.
    fn merge(&mut self, other: Partial) {
        self.sums.merge(&other.sums);
        // Whoever has nobody reporting says nothing of beats.
        self.refresh_ms = match (self.reported, other.reported) {
            (_, 0) => self.refresh_ms,
            (0, _) => other.refresh_ms,
            _ => self.refresh_ms.min(other.refresh_ms),
        };
        self.live += other.live;
        self.reported += other.reported;
        self.fresh += other.fresh;
        self.joined += other.joined;
        self.left += other.left;
        self.live_volume += other.live_volume;
        self.reported_volume += other.reported_volume;
        self.left_volume += other.left_volume;
        self.interval_ms = self.interval_ms.max(other.interval_ms);
    }
}
