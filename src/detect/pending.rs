//! Buckets of a group that somebody has told and nobody has judged yet.
//!
//! Worker 0 has told 42, 43 and 44 of a group, worker 1 only 42: its own 42 is added, 42 is judged, and 43 and 44 wait. Most
//! groups have one bucket at a time, for a moment, so the oldest is kept without an allocation.
//!
//! Always true: the first is older than the rest.

use std::collections::BTreeMap;

use super::group::Partial;

#[derive(Debug, Default)]
pub(super) struct Pending {
    first: Option<(i64, Partial)>,
    rest: BTreeMap<i64, Partial>,
}

impl Pending {
    /// The oldest bucket.
    pub(super) fn first(&self) -> Option<i64> {
        self.first.as_ref().map(|&(bucket, _)| bucket)
    }

    /// Adds what one worker tells of a bucket.
    pub(super) fn add(&mut self, bucket: i64, partial: Partial) {
        match &mut self.first {
            None => self.first = Some((bucket, partial)),
            Some((first, known)) if *first == bucket => known.merge(partial),
            Some((first, _)) if *first < bucket => match self.rest.get_mut(&bucket) {
                Some(known) => known.merge(partial),
                None => drop(self.rest.insert(bucket, partial)),
            },
            Some(_) => self.rest.extend(self.first.replace((bucket, partial))),
        }
    }

    /// Takes the oldest bucket.
    pub(super) fn pop(&mut self) -> Option<(i64, Partial)> {
        let next = self.rest.pop_first();
        std::mem::replace(&mut self.first, next)
    }
}

impl Partial {
    /// Adds another worker's part of the same bucket.
    fn merge(&mut self, other: Partial) {
        self.sums.merge(&other.sums);
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
