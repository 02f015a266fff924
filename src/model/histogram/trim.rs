//! Keeping the observations on one side of a value: the operators `</` and `>/`.
//!
//! Worked example: 3 observations in (2,4], trimmed from above at 2.83, half way on a scale of powers: 1.5 stay. The sum is
//! then estimated anew, each bucket's observations taken to lie in the middle of what is left of it.

use super::quantile::power_share;
use super::{Bucket, FloatHistogram, Side};

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Those below the value: `</`.
    Above,
    /// Those above the value: `>/`.
    Below,
}

/// What is left of a bucket: how many observations, and where they are taken to be.
#[derive(Clone, Copy)]
struct Kept {
    count: f64,
    middle: f64,
}

impl FloatHistogram {
    /// The histogram without the observations beyond `value`. Count and sum stay as they are when nothing is dropped.
    pub fn trimmed(&self, value: f64, trim: Trim) -> FloatHistogram {
        let knife = Knife { value, trim, is_linear: self.has_custom_buckets() };
        let mut kept = self.clone();
        let mut tally = Tally::default();
        let has_above =
            cut_side(self.positive_buckets(), &mut kept.positive, &mut tally, |bucket| knife.keep(bucket, true));
        let has_below =
            cut_side(self.negative_buckets(), &mut kept.negative, &mut tally, |bucket| knife.keep(bucket, false));
        if self.zero_count > 0.0 {
            let left = knife.keep_zero(self.zero_bucket(), has_above, has_below);
            tally.is_cut |= left.count != self.zero_count;
            tally.add(left);
            kept.zero_count = left.count;
        }
        if tally.is_cut {
            (kept.count, kept.sum) = (tally.count, tally.sum);
            kept.compact(0);
        }
        kept
    }
}

#[derive(Default)]
struct Tally {
    count: f64,
    sum: f64,
    is_cut: bool,
}

impl Tally {
    fn add(&mut self, kept: Kept) {
        self.count += kept.count;
        self.sum += kept.middle * kept.count;
    }
}

/// Cuts each populated bucket; answers whether there was one.
fn cut_side(
    buckets: impl Iterator<Item = Bucket>,
    side: &mut Side,
    tally: &mut Tally,
    keep: impl Fn(&Bucket) -> Option<Kept>,
) -> bool {
    let mut is_populated = false;
    for (bucket, count) in buckets.zip(&mut side.counts).filter(|(bucket, _)| bucket.count != 0.0) {
        is_populated = true;
        let Some(kept) = keep(&bucket) else {
            tally.is_cut = true;
            *count = 0.0;
            continue;
        };
        tally.add(kept);
        tally.is_cut |= kept.count != bucket.count;
        *count = kept.count;
    }
    is_populated
}

struct Knife {
    value: f64,
    trim: Trim,
    is_linear: bool,
}

impl Knife {
    /// What stays of a bucket, if anything can.
    fn keep(&self, bucket: &Bucket, is_positive: bool) -> Option<Kept> {
        let (is_whole, is_cut) = match self.trim {
            Trim::Above => (bucket.upper <= self.value, bucket.lower < self.value),
            Trim::Below => (bucket.lower >= self.value, bucket.upper > self.value),
        };
        if is_whole {
            return Some(Kept { count: bucket.count, middle: self.middle(bucket.lower, bucket.upper, is_positive) });
        }
        is_cut.then(|| self.cut(bucket, is_positive))
    }

    fn cut(&self, bucket: &Bucket, is_positive: bool) -> Kept {
        if bucket.lower == f64::NEG_INFINITY {
            return self.cut_lowest(bucket);
        }
        if bucket.upper == f64::INFINITY {
            return self.cut_highest(bucket);
        }
        let below = if self.value <= bucket.lower {
            0.0
        } else if self.value >= bucket.upper {
            bucket.count
        } else if self.is_linear {
            bucket.count * ((self.value - bucket.lower) / (bucket.upper - bucket.lower))
        } else {
            bucket.count * power_share(bucket, self.value)
        };
        match self.trim {
            Trim::Above => Kept { count: below, middle: self.middle(bucket.lower, self.value, is_positive) },
            Trim::Below => {
                Kept { count: bucket.count - below, middle: self.middle(self.value, bucket.upper, is_positive) }
            }
        }
    }

    /// A bucket from negative infinity on reaches down to zero if it ends above it; else nobody knows what is where.
    fn cut_lowest(&self, bucket: &Bucket) -> Kept {
        let reaches_zero = bucket.upper > 0.0 && bucket.upper != f64::INFINITY;
        let dropped = Kept { count: 0.0, middle: if bucket.upper.is_infinite() { 0.0 } else { bucket.upper } };
        match self.trim {
            Trim::Above if self.value >= bucket.upper => Kept { count: bucket.count, middle: 0.0 },
            Trim::Above if self.value > 0.0 && reaches_zero => {
                Kept { count: bucket.count * self.value / bucket.upper, middle: self.value / 2.0 }
            }
            Trim::Above if bucket.upper <= 0.0 => Kept { count: bucket.count, middle: self.value },
            Trim::Below if self.value <= bucket.lower => Kept { count: bucket.count, middle: 0.0 },
            Trim::Below if self.value >= 0.0 && bucket.upper > self.value && bucket.upper != f64::INFINITY => Kept {
                count: bucket.count * (1.0 - self.value / bucket.upper),
                middle: (self.value + bucket.upper) / 2.0,
            },
            _ => dropped,
        }
    }

    /// A bucket without an end is dropped whole from above, and stays whole from below.
    fn cut_highest(&self, bucket: &Bucket) -> Kept {
        match self.trim {
            Trim::Below if self.value >= bucket.lower => Kept { count: bucket.count, middle: self.value },
            _ => Kept { count: 0.0, middle: bucket.lower },
        }
    }

    /// Zero's bucket, which with buckets on one side only begins or ends at zero.
    fn keep_zero(&self, zero: Bucket, has_above: bool, has_below: bool) -> Kept {
        let lower = if has_above && !has_below { 0.0 } else { zero.lower };
        let upper = if has_below && !has_above { 0.0 } else { zero.upper };
        let whole = Kept { count: zero.count, middle: (lower + upper) / 2.0 };
        let nothing = Kept { count: 0.0, middle: 0.0 };
        let (share, middle) = match self.trim {
            Trim::Above if self.value <= lower => return nothing,
            Trim::Above if self.value >= upper => return whole,
            Trim::Above => ((self.value - lower) / (upper - lower), (lower + self.value) / 2.0),
            Trim::Below if self.value <= lower => return whole,
            Trim::Below if self.value >= upper => return nothing,
            Trim::Below => ((upper - self.value) / (upper - lower), (self.value + upper) / 2.0),
        };
        Kept { count: zero.count * share, middle }
    }

    /// Where the observations between two bounds are taken to be.
    fn middle(&self, lower: f64, upper: f64, is_positive: bool) -> f64 {
        match (lower.is_infinite(), upper.is_infinite()) {
            (true, true) => 0.0,
            (true, false) => {
                if upper > 0.0 {
                    upper / 2.0
                } else {
                    upper
                }
            }
            (false, true) => lower,
            (false, false) if self.is_linear => (lower + upper) / 2.0,
            (false, false) => {
                let mean = (lower * upper).abs().sqrt();
                if is_positive { mean } else { -mean }
            }
        }
    }
}
