//! What the sums of a window mean: the one place that turns them into the value that the expression has, and into what
//! a model is to judge.
//!
//! ```text
//! sum by (region) (rate(shop_orders_total[1m])), four buckets of 15 s:      9   11   10   12
//! value      (9 + 11 + 10 + 12) / 60 s = 0.7 orders a second                as the expression says it
//! observed   12 events                                                      of the newest bucket alone
//! expected   40 events in a bucket are 40 / 15 s = 2.67 orders a second     back in the expression's unit
//! ```
//!
//! Always true:
//! 1. Sums of one bucket merge in any order; buckets are joined in the order of time.
//! 2. Nothing here remembers anything: all follows from the signal and the sums.

use serde::{Deserialize, Serialize};

use super::series::VALUE_MAX;
use super::signal::{Shape, Signal};
use crate::query::bucket_quantile;

/// What the series of one lane come to in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sum {
    /// Which part of the expression the series feed.
    pub operand: u16,
    /// Upper bound of a histogram's bucket, 0 for other series; kept as bits, for JSON has no infinity.
    #[serde(with = "bits")]
    pub bound: f64,
    /// What they add up to.
    pub amount: f64,
    /// How many of them reported beyond the end of the bucket.
    pub count: f64,
}

/// All sums of one bucket, sorted by operand and bound, each lane once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums(Vec<Sum>);

/// What a model is to judge of a bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Observed {
    /// Events among so much exposure; 1 for a plain count.
    Count {
        /// How many there were.
        events: f64,
        /// Among how many.
        exposure: f64,
    },
    /// A value, zero or more or not.
    Value(f64),
    /// It has none in this bucket.
    Nothing,
}

impl Sums {
    /// The sums of lanes that are each there once, in any order.
    pub(crate) fn of(mut lanes: Vec<Sum>) -> Sums {
        lanes.sort_by(in_order);
        Sums(lanes)
    }

    /// Adds what another worker counted in the same bucket.
    pub(crate) fn merge(&mut self, other: &Sums) {
        self.0 = added([self.0.as_slice(), other.0.as_slice()]);
    }

    /// (upper bound, amount) of an operand, ascending.
    fn bounds(&self, operand: u16) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.0.iter().filter(move |sum| sum.operand == operand).map(|sum| (sum.bound, sum.amount))
    }

    /// The amount of an operand's highest bound: all observations of a histogram, or the one sum there is.
    fn total(&self, operand: u16) -> f64 {
        self.bounds(operand).last().map_or(0.0, |(_, amount)| amount)
    }
}

/// The operand of an expression that has but one.
const ONLY: u16 = 0;

impl Signal {
    /// The value as the expression says it, of the window's buckets in the order of time; NaN when there is none.
    pub(crate) fn value(&self, window: &[Sums]) -> f64 {
        let amount: f64 = window.iter().map(|sums| sums.total(ONLY)).sum();
        match self.shape {
            Shape::Sum { per_second: true } => amount * 1000.0 / self.window_ms() as f64,
            Shape::Sum { per_second: false } => amount,
            Shape::Quantile { quantile } => quantile_of(quantile, window),
            Shape::Gauge => window.last().map_or(f64::NAN, |sums| sums.total(ONLY)),
        }
    }

    /// What a model is to judge of the newest of its buckets, which may be several of ours, in the order of time.
    pub(crate) fn observed(&self, buckets: &[Sums]) -> Observed {
        match self.shape {
            Shape::Sum { .. } => {
                Observed::Count { events: buckets.iter().map(|sums| sums.total(ONLY)).sum(), exposure: 1.0 }
            }
            Shape::Quantile { quantile } => value_or_nothing(quantile_of(quantile, buckets)),
            Shape::Gauge => buckets.last().map_or(Observed::Nothing, |sums| value_or_nothing(sums.total(ONLY))),
        }
    }

    /// What is expected of a model's bucket in the unit of the expression: of counts so many events among so much
    /// exposure, else the value itself. `buckets` is how many of ours that bucket was made of.
    pub(crate) fn expected(&self, expected: f64, exposure: f64, buckets: usize) -> f64 {
        let events = expected / exposure / buckets as f64;
        match self.shape {
            Shape::Sum { per_second: true } => events * 1000.0 / self.bucket_ms as f64,
            Shape::Sum { per_second: false } => events * self.window_buckets as f64,
            Shape::Quantile { .. } | Shape::Gauge => expected,
        }
    }

    /// How many observations in the window the value was made of; none where it is not made of observations.
    pub(crate) fn observations(&self, window: &[Sums]) -> Option<f64> {
        let is_made_of_them = matches!(self.shape, Shape::Quantile { .. });
        is_made_of_them.then(|| window.iter().map(|sums| sums.total(ONLY)).sum())
    }

    /// Whether a bucket that a living series did not report to says nothing.
    pub(crate) fn needs_all_series(&self) -> bool {
        self.shape == Shape::Gauge
    }

    /// Whether [`Signal::observed`] says how many events there were.
    pub(crate) fn is_count(&self) -> bool {
        matches!(self.shape, Shape::Sum { .. })
    }
}

fn value_or_nothing(value: f64) -> Observed {
    if value.abs() <= VALUE_MAX { Observed::Value(value) } else { Observed::Nothing }
}

/// The quantile of all observations of some buckets.
fn quantile_of(quantile: f64, buckets: &[Sums]) -> f64 {
    let all = added(buckets.iter().map(|sums| sums.0.as_slice()));
    bucket_quantile(quantile, &mut all.iter().map(|sum| (sum.bound, sum.amount)).collect())
}

/// Lanes added up.
fn added<'a>(parts: impl IntoIterator<Item = &'a [Sum]>) -> Vec<Sum> {
    let mut all: Vec<Sum> = parts.into_iter().flatten().copied().collect();
    all.sort_by(in_order);
    all.dedup_by(|next, kept| {
        let is_same = next.operand == kept.operand && next.bound == kept.bound;
        if is_same {
            kept.amount += next.amount;
            kept.count += next.count;
        }
        is_same
    });
    all
}

fn in_order(a: &Sum, b: &Sum) -> std::cmp::Ordering {
    a.operand.cmp(&b.operand).then(a.bound.total_cmp(&b.bound))
}

/// A number as its bits.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}
