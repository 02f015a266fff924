//! The buckets of a season: as many of the signal's as its series need to report once in each.
//!
//! A signal is cut into 15 s and its series report every minute. Each sample is spread over four buckets, which would
//! count as four looks at one figure; so four of them, ending on a full minute, are one bucket of the season.
//!
//! Always true:
//! 1. Events are counted only if every bucket of the stride was judged; of values the judged ones are enough.
//! 2. A stride ends where the count of its buckets divides the time, so that it does not matter when watching began.

use serde::{Deserialize, Serialize};

use super::measure::{Observed, Sums};
use super::signal::Signal;

/// Longest bucket of a season, in ms.
const SEASON_BUCKET_MS_MAX: i64 = 300_000;
/// An interval may exceed the bucket by this share: scrapes are not on the dot.
const INTERVAL_SLACK: f64 = 0.1;
/// Buckets on end that must ask for another stride: forty at first, later an hour's.
const CHANGES_AFTER: [u16; 2] = [40, 240];
/// Buckets after which it is later.
const SETTLED_COUNT: u16 = 240;

/// One bucket of the season.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub end_ms: i64,
    pub observed: Observed,
}

impl Step {
    /// Its events, or its value.
    pub(crate) fn amount(&self) -> Option<f64> {
        match self.observed {
            Observed::Count { events, .. } => Some(events),
            Observed::Value(value) => Some(value),
            Observed::Nothing => None,
        }
    }

    /// What its events are counted among; 1 for a value.
    pub(crate) fn exposure(&self) -> f64 {
        if let Observed::Count { exposure, .. } = self.observed { exposure } else { 1.0 }
    }
}

/// Gathers buckets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stride {
    /// Buckets of one; 0 before the first.
    count: u16,
    /// Buckets on end that asked for another count.
    differing: u16,
    /// Buckets seen, as far as it matters.
    seen: u16,
    /// The stride that is being filled.
    number: i64,
    /// What was judged of it, and the shares of the usual volume that reported, summed.
    sums: Vec<Sums>,
    shares: f64,
}

impl Stride {
    pub(crate) fn new() -> Stride {
        Stride { count: 0, differing: 0, seen: 0, number: i64::MIN, sums: Vec::new(), shares: 0.0 }
    }

    /// Buckets of the signal in one of the season; 0 before the first.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Follows the interval of the series. Says whether the season's buckets have another length from now on.
    #[inline]
    pub(crate) fn follow(&mut self, interval_ms: i64, bucket_ms: i64) -> bool {
        if interval_ms <= 0 {
            return false;
        }
        let wanted = wanted(interval_ms, bucket_ms);
        self.seen = self.seen.saturating_add(1);
        self.differing = if wanted == self.count { 0 } else { self.differing.saturating_add(1) };
        let needed = CHANGES_AFTER[usize::from(self.seen > SETTLED_COUNT)];
        let is_first = self.count == 0;
        if !is_first && self.differing < needed {
            return false;
        }
        *self = Stride { count: wanted, seen: self.seen, ..Stride::new() };
        !is_first
    }

    /// Takes in the sums of a judged bucket and what they mean, to which `share` of the usual volume reported; of one that
    /// was not judged, nothing. The stride that it completes, if that can be judged.
    #[inline]
    pub(crate) fn gather(
        &mut self,
        bucket: i64,
        judged: Option<(&Sums, Observed)>,
        share: f64,
        signal: &Signal,
    ) -> Option<Step> {
        let count = i64::from(self.count);
        if count == 0 {
            return None;
        }
        let end_ms = signal.end_ms(bucket);
        if let (1, Some((_, observed))) = (count, judged) {
            // As most are: it is a stride by itself.
            (self.number, self.shares) = (bucket, share);
            return Some(Step { end_ms, observed: self.shared(observed) });
        }
        let number = bucket.div_euclid(count);
        if number != self.number {
            self.number = number;
            self.sums.clear();
            self.shares = 0.0;
        }
        if let Some((sums, _)) = judged {
            self.shares += share;
            self.sums.push(sums.clone());
        }
        if bucket.rem_euclid(count) != count - 1 {
            return None;
        }
        let observed = match signal.observed(&self.sums) {
            Observed::Count { .. } if self.sums.len() < self.count() => Observed::Nothing,
            observed => self.shared(observed),
        };
        self.sums.clear();
        Some(Step { end_ms, observed })
    }

    /// Among as much as reported of the exposure.
    fn shared(&self, observed: Observed) -> Observed {
        match observed {
            Observed::Count { events, exposure } => {
                Observed::Count { events, exposure: exposure * self.shares / f64::from(self.count) }
            }
            value => value,
        }
    }
}

/// Buckets of `bucket_ms` that make one of the season, for series with such an interval.
fn wanted(interval_ms: i64, bucket_ms: i64) -> u16 {
    if interval_ms <= bucket_ms {
        return 1;
    }
    let wanted = (interval_ms as f64 * (1.0 - INTERVAL_SLACK) / bucket_ms as f64).ceil();
    (wanted as i64).clamp(1, (SEASON_BUCKET_MS_MAX / bucket_ms).max(1)) as u16
}
