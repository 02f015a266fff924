//! Quantiles, and their reverse: the share of observations between two values.
//!
//! Within an exponential bucket observations are taken to lie evenly on a scale of powers, within the zero bucket and
//! custom buckets evenly between the bounds. 12 observations of which 4 lie in (8,16]: the 0.9 quantile is the 10.8th, the
//! 2.8th of those 4, thus `2^(3 + 0.7)`, about 13.

use super::logarithm::{exp2, log2};
use super::{Bucket, FloatHistogram};

/// Whether observations of NaN, which no bucket holds, made a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NanObservations {
    /// There are none, or they do not matter.
    #[default]
    None,
    /// They count as larger than all others, so the answer is higher than it would be; of a share, they are in none.
    Counted,
    /// The answer lies among them.
    Answer,
}

/// A number, and what is to be said of it.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// The quantile, or the share.
    pub value: f64,
    /// What observations of NaN did to it.
    pub nan: NanObservations,
}

impl Estimate {
    fn sure(value: f64) -> Estimate {
        Estimate { value, nan: NanObservations::None }
    }
}

impl FloatHistogram {
    /// The value below which the share `q` of the observations lies: not a number without observations, infinite for
    /// a `q` outside of 0 to 1.
    pub fn quantile(&self, q: f64) -> Estimate {
        if q < 0.0 {
            return Estimate::sure(f64::NEG_INFINITY);
        }
        if q > 1.0 {
            return Estimate::sure(f64::INFINITY);
        }
        if self.count == 0.0 || q.is_nan() {
            return Estimate::sure(f64::NAN);
        }
        // From the nearer end, as the buckets' sums differ from the count by rounding; with observations of NaN only
        // the lower end is in the buckets.
        if self.sum.is_nan() || q < 0.5 {
            self.ranked(self.buckets(), q * self.count, true)
        } else {
            self.ranked(self.buckets_back(), (1.0 - q) * self.count, false)
        }
    }

    /// The observation of this rank, counted from the lower end (`forward`) or the upper.
    fn ranked(&self, mut buckets: impl Iterator<Item = Bucket>, rank: f64, forward: bool) -> Estimate {
        let mut bucket = Bucket { lower: 0.0, upper: 0.0, lower_inclusive: false, upper_inclusive: false, count: 0.0 };
        let mut seen = 0.0;
        for next in buckets.by_ref() {
            bucket = next;
            seen += bucket.count;
            if bucket.count != 0.0 && seen >= rank {
                break;
            }
        }
        if let Some(value) = self.bound_for_zero(&mut bucket) {
            return Estimate::sure(value);
        }
        let seen = if seen > self.count { self.count } else { seen };
        if seen < rank {
            let nan = if self.sum.is_nan() { NanObservations::Answer } else { NanObservations::None };
            return Estimate { value: if self.sum.is_nan() { f64::NAN } else { bucket.upper }, nan };
        }
        let rank = if forward { rank - (seen - bucket.count) } else { seen - rank };
        let is_skewed = self.sum.is_nan() && buckets.fold(seen, |seen, bucket| seen + bucket.count) < self.count;
        let nan = if is_skewed { NanObservations::Counted } else { NanObservations::None };
        Estimate { value: self.within(&bucket, rank / bucket.count), nan }
    }

    /// Narrows a bucket that has no natural bound to one at zero; answers the bound where nothing can be interpolated.
    fn bound_for_zero(&self, bucket: &mut Bucket) -> Option<f64> {
        if !self.has_custom_buckets() {
            if bucket.lower < 0.0 && bucket.upper > 0.0 {
                self.narrow_zero(bucket);
            }
            return None;
        }
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return Some(bucket.upper);
            }
            bucket.lower = 0.0;
            return None;
        }
        (bucket.upper == f64::INFINITY).then_some(bucket.lower)
    }

    /// With buckets on one side only, nothing lies on the other side of zero.
    fn narrow_zero(&self, bucket: &mut Bucket) {
        match (self.negative.counts.is_empty(), self.positive.counts.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }

    /// The value at this share of the way through a bucket.
    fn within(&self, bucket: &Bucket, share: f64) -> f64 {
        if self.has_custom_buckets() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
            return bucket.lower + (bucket.upper - bucket.lower) * share;
        }
        let (lower, upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
        if bucket.lower > 0.0 {
            exp2(lower + (upper - lower) * share)
        } else {
            -exp2(upper + (lower - upper) * (1.0 - share))
        }
    }

    /// The share of observations from `lower` to `upper`: not a number without observations.
    pub fn fraction(&self, lower: f64, upper: f64) -> Estimate {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return Estimate::sure(f64::NAN);
        }
        if lower >= upper {
            return Estimate::sure(0.0);
        }
        let (lower_rank, upper_rank) = (self.rank_below(lower), self.rank_below(upper));
        let held =
            if self.sum.is_nan() { self.buckets().fold(0.0, |held, bucket| held + bucket.count) } else { self.count };
        let nan = if held < self.count { NanObservations::Counted } else { NanObservations::None };
        let rank = |rank: Option<f64>| rank.map_or(held, |rank| if rank > held { held } else { rank });
        Estimate { value: (rank(upper_rank) - rank(lower_rank)) / self.count, nan }
    }

    /// How many observations lie below `value`, unless it lies beyond all buckets.
    fn rank_below(&self, value: f64) -> Option<f64> {
        let mut rank = 0.0;
        for mut bucket in self.buckets() {
            let around_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if around_zero {
                self.narrow_zero(&mut bucket);
            }
            if bucket.lower >= value {
                return Some(rank);
            }
            if bucket.lower < value && bucket.upper > value {
                let is_linear = self.has_custom_buckets() || around_zero;
                return Some(if is_linear {
                    linear_rank(&bucket, rank, value)
                } else {
                    power_rank(&bucket, rank, value)
                });
            }
            rank += bucket.count;
        }
        None
    }
}

/// Observations below `value`, which lies in the bucket, when `rank` lie before it. A bucket from negative infinity on
/// lies below whole.
fn linear_rank(bucket: &Bucket, rank: f64, value: f64) -> f64 {
    if bucket.lower == f64::NEG_INFINITY {
        return bucket.count;
    }
    rank + bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower)
}

/// As [`linear_rank`], on a scale of powers.
fn power_rank(bucket: &Bucket, rank: f64, value: f64) -> f64 {
    rank + bucket.count * power_share(bucket, value)
}

/// How much of the bucket lies below `value`, on a scale of powers.
pub(super) fn power_share(bucket: &Bucket, value: f64) -> f64 {
    let (lower, upper, at) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()), log2(value.abs()));
    if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - ((at - upper) / (lower - upper)) }
}
