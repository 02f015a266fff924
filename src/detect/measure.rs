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

use super::formula::Weights;
use super::series::VALUE_MAX;
use super::signal::{Fold, Operand, Rolled, Signal};
use crate::query::bucket_quantile;

/// What the series of one lane come to in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "SavedSum", into = "SavedSum")]
pub(crate) struct Sum {
    /// Upper bound of a histogram's bucket, 0 for other series.
    pub bound: f64,
    /// What they come to.
    pub amount: f64,
    /// How many of them reported beyond the end of the bucket.
    pub count: u32,
    /// Which part of the expression the series feed.
    pub operand: u16,
    /// How they are put together.
    pub fold: Fold,
}

/// Operand, fold, count, amount, and the bound as bits, for JSON has no infinity.
type SavedSum = (u16, Fold, u32, f64, u64);

impl From<Sum> for SavedSum {
    fn from(sum: Sum) -> SavedSum {
        (sum.operand, sum.fold, sum.count, sum.amount, sum.bound.to_bits())
    }
}

impl From<SavedSum> for Sum {
    fn from((operand, fold, count, amount, bound): SavedSum) -> Sum {
        Sum { bound: f64::from_bits(bound), amount, count, operand, fold }
    }
}

/// All sums of one bucket, sorted by operand and bound, each lane once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Sum>", into = "Vec<Sum>")]
pub(crate) enum Sums {
    /// One lane, as most signals have: a bucket of theirs costs no allocation.
    One(Sum),
    /// None, or two and more.
    Several(Vec<Sum>),
}

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

impl Default for Sums {
    fn default() -> Sums {
        Sums::Several(Vec::new())
    }
}

impl From<Vec<Sum>> for Sums {
    fn from(lanes: Vec<Sum>) -> Sums {
        if let [only] = lanes[..] { Sums::One(only) } else { Sums::Several(lanes) }
    }
}

impl From<Sums> for Vec<Sum> {
    fn from(sums: Sums) -> Vec<Sum> {
        match sums {
            Sums::One(only) => vec![only],
            Sums::Several(lanes) => lanes,
        }
    }
}

impl Sums {
    /// The sums of lanes that are each there once, in any order.
    pub(crate) fn of(mut lanes: Vec<Sum>) -> Sums {
        lanes.sort_by(in_order);
        lanes.into()
    }

    /// The value that a query said: one series' last.
    pub(crate) fn of_value(value: f64) -> Sums {
        let is_number = value.abs() <= VALUE_MAX;
        let (amount, count) = if is_number { (value, 1) } else { (0.0, 0) };
        Sums::One(Sum { operand: 0, bound: 0.0, fold: Fold::Sum, amount, count })
    }

    /// Takes in what another worker counted in the same bucket.
    pub(crate) fn merge(&mut self, other: &Sums) {
        *self = added([self.lanes(), other.lanes()]).into();
    }

    /// Whether they are of one lane.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self, Sums::One(_))
    }

    fn lanes(&self) -> &[Sum] {
        match self {
            Sums::One(only) => std::slice::from_ref(only),
            Sums::Several(lanes) => lanes,
        }
    }

    /// The sums of an operand, by upper bound ascending.
    fn of_operand(&self, operand: usize) -> impl DoubleEndedIterator<Item = &Sum> {
        self.lanes().iter().filter(move |sum| usize::from(sum.operand) == operand)
    }

    /// The sum of an operand's highest bound: all observations of a histogram, or the one sum there is.
    fn total(&self, operand: usize) -> Option<&Sum> {
        match self {
            Sums::One(only) => (usize::from(only.operand) == operand).then_some(only),
            Sums::Several(_) => self.of_operand(operand).next_back(),
        }
    }
}

/// Some buckets in the order of time, and what they are to stand for.
#[derive(Clone, Copy)]
struct Span<'a> {
    buckets: &'a [Sums],
    /// How many buckets the increments of an operand are taken of: those of its own range, or of all that there are.
    is_whole_range: bool,
}

impl Signal {
    /// The value as the expression says it, of the window's buckets in the order of time; NaN when there is none.
    pub(crate) fn value(&self, window: &[Sums]) -> f64 {
        self.value_of(Span { buckets: window, is_whole_range: true }).unwrap_or(f64::NAN)
    }

    /// What a model is to judge of the newest of its buckets, which may be several of ours, in the order of time.
    #[inline]
    pub(crate) fn observed(&self, buckets: &[Sums]) -> Observed {
        if self.tells_beats {
            return Observed::Nothing;
        }
        let Some(count) = &self.count else {
            let value = self.value_of(Span { buckets, is_whole_range: false });
            return value.filter(|value| value.abs() <= VALUE_MAX).map_or(Observed::Nothing, Observed::Value);
        };
        let weighed =
            |weights: &Weights| weights.iter().map(|&(index, weight)| weight * increments(buckets, index)).sum();
        // One scrape later the one side of a difference may be ahead of the other.
        let events = f64::max(weighed(&count.events), 0.0);
        let exposure = if count.exposure.is_empty() { 1.0 } else { weighed(&count.exposure) };
        if exposure > 0.0 { Observed::Count { events, exposure } } else { Observed::Nothing }
    }

    /// What is expected of a model's bucket in the unit of the expression: of counts so many events among so much
    /// exposure, else the value itself. `buckets` is how many of ours that bucket was made of.
    pub(crate) fn expected(&self, expected: f64, exposure: f64, buckets: usize) -> f64 {
        match &self.count {
            None => expected,
            Some(count) if count.exposure.is_empty() => {
                divided(divided(expected, exposure), buckets as f64) * count.scale
            }
            Some(count) => expected / exposure * count.scale,
        }
    }

    /// How many observations in the window the value was made of; none where it is not made of observations.
    pub(crate) fn observations(&self, window: &[Sums]) -> Option<f64> {
        if self.count.is_some() || self.observed_operands.is_empty() {
            return None;
        }
        Some(self.observed_operands.iter().map(|&(index, weight)| weight * increments(window, index)).sum())
    }

    /// Whether a bucket that a living series did not report to says nothing.
    pub(crate) fn needs_all_series(&self) -> bool {
        let is_total = |operand: &Operand| matches!(operand.fold, Fold::Sum | Fold::Count);
        self.operands.iter().any(|operand| is_total(operand) && !matches!(operand.rolled, Rolled::Flow { .. }))
    }

    /// Whether [`Signal::observed`] says how many events there were.
    pub(crate) fn is_count(&self) -> bool {
        self.count.is_some()
    }

    /// Whether they are said among an exposure, of which as much is missing as of the events when a series is silent.
    pub(crate) fn has_exposure(&self) -> bool {
        self.count.as_ref().is_some_and(|count| !count.exposure.is_empty())
    }

    fn value_of(&self, span: Span<'_>) -> Option<f64> {
        let is_fed = span.buckets.iter().any(|sums| sums.lanes().iter().any(|sum| sum.count > 0));
        let value = self.formula.value(&|index| self.operand_value(index, span), &|quantile, index| {
            Some(quantile_of(quantile, index, self.recent(index, span)))
        });
        value.filter(|_| is_fed)
    }

    /// What the series of an operand come to.
    fn operand_value(&self, index: usize, span: Span<'_>) -> Option<f64> {
        let operand = &self.operands[index];
        let newest = span.buckets.last().and_then(|sums| sums.total(index));
        let present = newest.filter(|sum| sum.count > 0);
        let amount = match operand.rolled {
            Rolled::Flow { per_second } => {
                let recent = self.recent(index, span);
                let buckets = if span.is_whole_range { operand.window_buckets } else { recent.len() } as f64;
                let amount = increments(recent, index);
                if per_second {
                    amount * 1000.0 / (buckets * self.bucket_ms as f64)
                } else {
                    amount * operand.window_buckets as f64 / buckets
                }
            }
            _ => present?.amount,
        };
        match operand.fold {
            Fold::Sum | Fold::Min | Fold::Max => Some(amount),
            Fold::Avg => present.map(|sum| amount / f64::from(sum.count)),
            Fold::Count => present.map(|sum| f64::from(sum.count)),
        }
    }

    /// The buckets that an operand looks at.
    fn recent<'a>(&self, index: usize, span: Span<'a>) -> &'a [Sums] {
        let wanted = if span.is_whole_range { self.operands[index].window_buckets } else { span.buckets.len() };
        &span.buckets[span.buckets.len().saturating_sub(wanted)..]
    }
}

/// `amount / by` of what is mostly divided by 1, for which nobody need wait.
#[inline]
pub(super) fn divided(amount: f64, by: f64) -> f64 {
    if by == 1.0 { amount } else { amount / by }
}

/// The increments of an operand in some buckets.
fn increments(buckets: &[Sums], operand: usize) -> f64 {
    buckets.iter().filter_map(|sums| sums.total(operand)).map(|sum| sum.amount).sum()
}

/// The quantile of all observations of some buckets; NaN when there are none.
fn quantile_of(quantile: f64, operand: usize, buckets: &[Sums]) -> f64 {
    let mut bounds: Vec<(f64, f64)> =
        buckets.iter().flat_map(|sums| sums.of_operand(operand)).map(|sum| (sum.bound, sum.amount)).collect();
    bucket_quantile(quantile, &mut bounds)
}

/// Lanes put together.
fn added<'a>(parts: impl IntoIterator<Item = &'a [Sum]>) -> Vec<Sum> {
    let mut all: Vec<Sum> = parts.into_iter().flatten().copied().collect();
    all.sort_by(in_order);
    all.dedup_by(|next, kept| {
        let is_same = next.operand == kept.operand && next.bound == kept.bound;
        if is_same {
            kept.take_in(next);
        }
        is_same
    });
    all
}

impl Sum {
    fn take_in(&mut self, other: &Sum) {
        let is_level = matches!(self.fold, Fold::Min | Fold::Max);
        self.amount = match (is_level && self.count == 0, is_level && other.count == 0) {
            (true, _) => other.amount,
            (_, true) => self.amount,
            _ => self.fold.put_together(self.amount, other.amount),
        };
        self.count += other.count;
    }
}

fn in_order(a: &Sum, b: &Sum) -> std::cmp::Ordering {
    a.operand.cmp(&b.operand).then(a.bound.total_cmp(&b.bound))
}
