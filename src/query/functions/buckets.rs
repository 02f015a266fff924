//! Quantiles of classic histograms: counters of what was at most `le`, one series a bucket.
//!
//! Worked example: 10 observations up to 0.1 s, 30 up to 0.5 s, 40 in all. The 0.5 quantile is the 20th of 40, in the
//! bucket from 0.1 to 0.5 that holds 20; it is the 10th of those, so half way: 0.3 s.

/// Counts that differ by less than this share are the same: the rest is rounding of rates and sums.
const DELTA_MIN: f64 = 1e-12;

/// The value below which the share `q` of the observations lies, by proportion within its bucket.
///
/// `buckets` are (upper bound, observations up to there); they are sorted and repaired in place: equal bounds become
/// one, and counts that fall are raised to the one before. Not a number without a `+Inf` bucket, without a second
/// bucket, or without observations; infinite for a `q` outside of 0 to 1.
///
/// ```
/// let mut buckets = vec![(0.1, 10.0), (0.5, 30.0), (f64::INFINITY, 40.0)];
/// assert!((dozor::query::bucket_quantile(0.5, &mut buckets) - 0.3).abs() < 1e-12);
/// ```
pub fn bucket_quantile(q: f64, buckets: &mut Vec<(f64, f64)>) -> f64 {
    repaired_quantile(q, buckets).0
}

/// Buckets that held less than the ones below them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::query) struct Repair {
    /// The lowest bound of them.
    pub(in crate::query) lowest: f64,
    /// The highest bound of them.
    pub(in crate::query) highest: f64,
    /// How much one of them was raised at most.
    pub(in crate::query) raised_max: f64,
}

/// The quantile, and what had to be repaired for it.
pub(super) fn repaired_quantile(q: f64, buckets: &mut Vec<(f64, f64)>) -> (f64, Option<Repair>) {
    if q.is_nan() || buckets.is_empty() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets[buckets.len() - 1].0 != f64::INFINITY {
        return (f64::NAN, None);
    }
    join_equal_bounds(buckets);
    let repair = make_ascending(buckets);
    if buckets.len() < 2 {
        return (f64::NAN, repair);
    }
    if buckets[buckets.len() - 1].1 == 0.0 {
        // Of no observations nothing is told.
        return (f64::NAN, None);
    }
    (interpolate(q, buckets), repair)
}

fn join_equal_bounds(buckets: &mut Vec<(f64, f64)>) {
    buckets.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

/// Raises counts that fall, and says which fell by more than rounding.
fn make_ascending(buckets: &mut [(f64, f64)]) -> Option<Repair> {
    let mut repair: Option<Repair> = None;
    let mut before = buckets[0].1;
    for (bound, count) in &mut buckets[1..] {
        if almost_equal(before, *count) {
            *count = before;
        } else if *count < before {
            let one = Repair { lowest: *bound, highest: *bound, raised_max: before - *count };
            repair = Some(repair.map_or(one, |all| all.and(one)));
            *count = before;
        }
        before = *count;
    }
    repair
}

impl Repair {
    /// Both together.
    pub(in crate::query) fn and(self, other: Repair) -> Repair {
        Repair {
            lowest: self.lowest.min(other.lowest),
            highest: self.highest.max(other.highest),
            raised_max: self.raised_max.max(other.raised_max),
        }
    }
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < DELTA_MIN * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < DELTA_MIN
}

/// `q` is in 0 to 1, the buckets are at least two, ascending in both, the last without bound.
fn interpolate(q: f64, buckets: &[(f64, f64)]) -> f64 {
    let last = buckets.len() - 1;
    let observations = buckets[last].1;
    if observations == 0.0 {
        return f64::NAN;
    }
    let rank = q * observations;
    // Where nothing is known to be as high as the rank, as among NaN, it is the last.
    let reaches = |count: f64| count >= rank;
    let found = buckets[..last].partition_point(|(_, count)| !reaches(*count));
    if found == last {
        return buckets[last - 1].0;
    }
    let (upper, count) = buckets[found];
    match found.checked_sub(1) {
        None if upper <= 0.0 => upper,
        // From zero on, so that it is not minus zero.
        None => 0.0 + upper * (rank / count),
        Some(below) => {
            let (lower, count_below) = buckets[below];
            lower + (upper - lower) * ((rank - count_below) / (count - count_below))
        }
    }
}

/// The share of observations between two bounds.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<(f64, f64)>) -> f64 {
    if buckets.is_empty() {
        return f64::NAN;
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets[buckets.len() - 1].0 != f64::INFINITY {
        return f64::NAN;
    }
    join_equal_bounds(buckets);
    let count = buckets[buckets.len() - 1].1;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    // Buckets that were read while they counted may hold more than the last.
    let rank = |value: f64| {
        let rank = rank_of(value, buckets);
        if rank > count { count } else { rank }
    };
    (rank(upper) - rank(lower)) / count
}

/// How many observations lie below `value`, by proportion within its bucket.
fn rank_of(value: f64, buckets: &[(f64, f64)]) -> f64 {
    let last = buckets.len() - 1;
    if value == f64::NEG_INFINITY {
        return 0.0;
    }
    let found = buckets.partition_point(|(bound, _)| *bound < value).min(last);
    let (bound, count) = buckets[found];
    if value == bound {
        return count;
    }
    let (lower, below) = match found.checked_sub(1) {
        Some(index) => buckets[index],
        // The lowest bucket starts at zero, or has no lower bound at all: then all of it lies below.
        None if bound <= 0.0 => return count,
        None if value <= 0.0 => return 0.0,
        None => (0.0, 0.0),
    };
    if bound.is_infinite() {
        return below;
    }
    below + (count - below) * (value - lower) / (bound - lower)
}
