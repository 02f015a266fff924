//! Quantiles of classic histograms: counters of what was at most `le`, one series a bucket.
//!
//! Worked example: 10 observations up to 0.1 s, 30 up to 0.5 s, 40 in all. The 0.5 quantile is the 20th of 40, in the
//! bucket from 0.1 to 0.5 that holds 20; it is the 10th of those, so half way: 0.3 s.

use std::collections::HashMap;
use std::sync::Arc;

use super::budget::Budget;
use super::column::Column;
use super::error::QueryError;
use super::eval::{Context, Scalar};
use super::notes::Notes;
use super::syntax::tree::Span;
use super::table::{Row, Scratch, Source, Table};
use crate::model::{Labels, METRIC_NAME};

/// The label with a bucket's upper bound.
const BOUND: &str = "le";
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

/// The quantile, and whether falling counts had to be repaired for it.
fn repaired_quantile(q: f64, buckets: &mut Vec<(f64, f64)>) -> (f64, bool) {
    if q.is_nan() || buckets.is_empty() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets[buckets.len() - 1].0 != f64::INFINITY {
        return (f64::NAN, false);
    }
    join_equal_bounds(buckets);
    let repaired = make_ascending(buckets);
    if buckets.len() < 2 {
        return (f64::NAN, repaired);
    }
    (interpolate(q, buckets), repaired)
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

/// Raises counts that fall, and says whether any fell by more than rounding.
fn make_ascending(buckets: &mut [(f64, f64)]) -> bool {
    let mut fell = false;
    let mut before = buckets[0].1;
    for (_, count) in &mut buckets[1..] {
        if almost_equal(before, *count) {
            *count = before;
        } else if *count < before {
            *count = before;
            fell = true;
        }
        before = *count;
    }
    fell
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
    if observations == 0.0 || observations.is_nan() {
        return f64::NAN;
    }
    let rank = q * observations;
    let found = buckets[..last].partition_point(|(_, count)| *count < rank);
    if found == last {
        return buckets[last - 1].0;
    }
    let (upper, count) = buckets[found];
    match found.checked_sub(1) {
        None if upper <= 0.0 => upper,
        None => upper * (rank / count),
        Some(below) => {
            let (lower, count_below) = buckets[below];
            lower + (upper - lower) * ((rank - count_below) / (count - count_below))
        }
    }
}

/// The share of observations between two bounds.
fn fraction(lower: f64, upper: f64, buckets: &mut Vec<(f64, f64)>) -> f64 {
    if buckets.is_empty() {
        return f64::NAN;
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    if buckets[buckets.len() - 1].0 != f64::INFINITY {
        return f64::NAN;
    }
    join_equal_bounds(buckets);
    let count = buckets[buckets.len() - 1].1;
    if count == 0.0 || lower.is_nan() || upper.is_nan() || buckets.len() < 2 {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets) - rank_of(lower, buckets)) / count
}

/// How many observations lie below `value`, by proportion within its bucket.
fn rank_of(value: f64, buckets: &[(f64, f64)]) -> f64 {
    let last = buckets.len() - 1;
    if value == f64::NEG_INFINITY {
        return 0.0;
    }
    let found = buckets.partition_point(|(bound, _)| *bound < value).min(last);
    let (bound, count) = buckets[found];
    let (lower, below) = match found.checked_sub(1) {
        Some(index) => buckets[index],
        // The lowest bucket starts at zero, or has no lower bound at all: then all of it lies below.
        None if bound <= 0.0 => return count,
        None if value <= 0.0 => return 0.0,
        None => (0.0, 0.0),
    };
    if bound.is_infinite() {
        return if value == bound { count } else { below };
    }
    below + (count - below) * (value - lower) / (bound - lower)
}

/// What is asked of each histogram.
pub(super) enum Asked {
    /// `histogram_quantile(q, …)`
    Quantile(Scalar),
    /// `histogram_fraction(lower, upper, …)`
    Fraction(Scalar, Scalar),
}

/// One row for each histogram among the rows, which are its buckets.
pub(super) fn of_buckets<'q>(
    context: &Context<'q>,
    asked: Asked,
    inner: Table<'q>,
    span: Span,
) -> Result<Table<'q>, QueryError> {
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut histograms: Vec<Vec<(f64, usize)>> = Vec::new();
    let mut rows = Vec::new();
    for (row, bucket) in inner.rows.iter().enumerate() {
        let bucket = &bucket.labels;
        let bound = bucket.get(BOUND).and_then(|bound| bound.parse::<f64>().ok()).filter(|bound| !bound.is_nan());
        let Some(bound) = bound else {
            let name = bucket.metric_name().unwrap_or("");
            let value = bucket.get(BOUND).unwrap_or("");
            let what = format!(
                "bucket label {BOUND:?} is missing or has a malformed value of {value:?} for metric name {name:?}"
            );
            context.notes.warn(span, what);
            continue;
        };
        let histogram = bucket.filtered(|name| name != BOUND && name != METRIC_NAME);
        let index = *known.entry(histogram).or_insert_with_key(|histogram| {
            rows.push(Row::new(Arc::new(histogram.clone())));
            histograms.push(Vec::new());
            histograms.len() - 1
        });
        histograms[index].push((bound, row));
    }
    let source = Histograms {
        asked,
        inner,
        histograms,
        steps: context.grid.count,
        notes: context.notes,
        span,
        budget: context.budget,
    };
    Ok(Table::new(rows, source))
}

struct Histograms<'q> {
    asked: Asked,
    inner: Table<'q>,
    /// Upper bound and row of each bucket.
    histograms: Vec<Vec<(f64, usize)>>,
    steps: usize,
    notes: &'q Notes,
    span: Span,
    budget: &'q Budget,
}

impl Source for Histograms<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let _held = self.budget.hold(self.histograms[index].len() * self.steps)?;
        let mut buckets = Vec::with_capacity(self.histograms[index].len());
        for (bound, row) in &self.histograms[index] {
            self.budget.check()?;
            buckets.push((*bound, self.inner.source.column(*row, scratch)?));
        }
        let mut result = Column::absent(self.steps);
        let mut counts = Vec::with_capacity(buckets.len());
        let mut meter = self.budget.meter();
        for step in 0..self.steps {
            meter.work(buckets.len())?;
            counts.clear();
            counts.extend(buckets.iter().filter_map(|(bound, column)| Some((*bound, column.get(step)?))));
            if !counts.is_empty() {
                result.set(step, self.answer(step, &mut counts));
            }
        }
        Ok(result)
    }
}

impl Histograms<'_> {
    fn answer(&self, step: usize, counts: &mut Vec<(f64, f64)>) -> f64 {
        match &self.asked {
            Asked::Fraction(lower, upper) => fraction(lower.at(step), upper.at(step), counts),
            Asked::Quantile(q) => {
                let (value, repaired) = repaired_quantile(q.at(step), counts);
                if repaired {
                    let what = "input to histogram_quantile needed to be fixed for monotonicity";
                    self.notes.inform(self.span, what);
                }
                value
            }
        }
    }
}
