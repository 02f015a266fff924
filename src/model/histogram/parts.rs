//! A histogram taken apart so that two can be joined: buckets by index, numbers that may remember what they lost.
//!
//! Plain arithmetic and compensated sums differ in what a number is ([`Quantity`]) and in nothing else.
//!
//! To join two histograms their layouts are made one: the coarser schema, the wider zero bucket (widened further to the
//! next bound when it would end within a populated bucket), or of custom bounds those that both have. With bounds
//! 5, 10 and 10, 20 only 10 stays, and what lay above it in either is above it still.

use std::cmp::Ordering;
use std::sync::Arc;

use super::bounds::{SCHEMA_CUSTOM, SCHEMA_MIN, exponential_bound};
use super::{CounterResetHint, FloatHistogram, Side};
use crate::model::Sum;

/// A number that can be added to.
pub(super) trait Quantity: Copy + Default {
    fn of(value: f64) -> Self;
    fn value(self) -> f64;
    fn add(&mut self, other: Self);
    fn map(self, change: impl Fn(f64) -> f64) -> Self;
    fn is_zero(self) -> bool;
    /// The running total without what it lost: what decides whether a bucket is populated.
    fn total(self) -> f64;
}

impl Quantity for f64 {
    fn of(value: f64) -> f64 {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn add(&mut self, other: f64) {
        *self += other;
    }
    fn map(self, change: impl Fn(f64) -> f64) -> f64 {
        change(self)
    }
    fn is_zero(self) -> bool {
        self == 0.0
    }
    fn total(self) -> f64 {
        self
    }
}

impl Quantity for Sum {
    fn of(value: f64) -> Sum {
        Sum { total: value, lost: 0.0 }
    }
    fn value(self) -> f64 {
        self.total + self.lost
    }
    fn add(&mut self, other: Sum) {
        Sum::add(self, other.total);
        if other.lost != 0.0 {
            Sum::add(self, other.lost);
        }
    }
    fn map(self, change: impl Fn(f64) -> f64) -> Sum {
        Sum { total: change(self.total), lost: change(self.lost) }
    }
    fn is_zero(self) -> bool {
        self.total == 0.0 && self.lost == 0.0
    }
    fn total(self) -> f64 {
        self.total
    }
}

/// Buckets of one side, indexes ascending.
pub(super) type CellsOf<Q> = Vec<(i64, Q)>;

/// What joining two histograms had to do besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// One said that a counter started anew, the other that it did not; the result says that it is not known.
    pub hints_collided: bool,
    /// Custom bounds differed, and only those in both are left.
    pub bounds_differed: bool,
}

/// A histogram of `Q`s.
#[derive(Clone, Debug)]
pub(super) struct Parts<Q> {
    pub(super) hint: CounterResetHint,
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: Q,
    pub(super) count: Q,
    pub(super) sum: Q,
    pub(super) positive: CellsOf<Q>,
    pub(super) negative: CellsOf<Q>,
    pub(super) custom_values: Arc<[f64]>,
}

impl<Q: Quantity> Parts<Q> {
    pub(super) fn of(histogram: &FloatHistogram) -> Parts<Q> {
        Parts {
            hint: histogram.hint,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero_count: Q::of(histogram.zero_count),
            count: Q::of(histogram.count),
            sum: Q::of(histogram.sum),
            positive: cells_of(&histogram.positive),
            negative: cells_of(&histogram.negative),
            custom_values: histogram.custom_values.clone(),
        }
    }

    pub(super) fn histogram(&self) -> FloatHistogram {
        FloatHistogram {
            hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count.value(),
            count: self.count.value(),
            sum: self.sum.value(),
            positive: Side::of_cells(self.positive.iter().map(|&(index, count)| (index, count.value()))),
            negative: Side::of_cells(self.negative.iter().map(|&(index, count)| (index, count.value()))),
            custom_values: self.custom_values.clone(),
        }
    }

    /// Every number changed in the same way.
    pub(super) fn map(&mut self, change: impl Fn(f64) -> f64) {
        for number in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *number = number.map(&change);
        }
        for (_, count) in self.positive.iter_mut().chain(&mut self.negative) {
            *count = count.map(&change);
        }
    }

    /// Whether a number has become infinite.
    pub(super) fn has_overflowed(&self) -> bool {
        let counts = self.positive.iter().chain(&self.negative).map(|&(_, count)| count);
        [self.zero_count, self.count, self.sum].into_iter().chain(counts).any(|number| number.total().is_infinite())
    }

    pub(super) fn has_custom_buckets(&self) -> bool {
        self.schema == SCHEMA_CUSTOM
    }

    /// Adds `other`, whose buckets are of the same kind: both custom, or neither.
    pub(super) fn join(&mut self, other: &Parts<Q>) -> Reconciled {
        let hints_collided = self.join_hint(other.hint);
        if self.has_custom_buckets() {
            self.join_totals(other);
            return Reconciled { hints_collided, bounds_differed: self.join_custom(other) };
        }
        let zero_count = self.reconcile_zero(other);
        self.zero_count.add(zero_count);
        self.join_totals(other);
        self.reduce(other.schema);
        let threshold = self.zero_threshold;
        let sides = [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)];
        for (mine, theirs) in sides {
            let theirs = reduced(theirs, other.schema, self.schema);
            let inside = theirs.iter().take_while(|&&(index, _)| exponential_bound(index, self.schema) <= threshold);
            let outside = &theirs[inside.count()..];
            join_cells(mine, outside.iter().copied());
        }
        Reconciled { hints_collided, bounds_differed: false }
    }

    /// As [`Parts::join`]. Within a series, and among those of one program, layouts are the same nearly always: then
    /// nothing is taken apart.
    pub(super) fn join_histogram(&mut self, other: &FloatHistogram) -> Reconciled {
        let is_same_frame = self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && self.custom_values == other.custom_values;
        if !is_same_frame {
            return self.join(&Parts::of(other));
        }
        let hints_collided = self.join_hint(other.hint);
        self.zero_count.add(Q::of(other.zero_count));
        self.count.add(Q::of(other.count));
        self.sum.add(Q::of(other.sum));
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let is_inside = |index| schema != SCHEMA_CUSTOM && exponential_bound(index, schema) <= threshold;
        for (mine, theirs) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
            let outside = theirs.cells().skip_while(|&(index, _)| is_inside(index));
            join_cells(mine, outside.map(|(index, count)| (index, Q::of(count))));
        }
        Reconciled { hints_collided, bounds_differed: false }
    }

    fn join_totals(&mut self, other: &Parts<Q>) {
        self.count.add(other.count);
        self.sum.add(other.sum);
    }

    /// A gauge makes all a gauge, what is unknown stays so; answers whether the hints contradict each other.
    fn join_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, Unknown};
        match (self.hint, other) {
            (one, two) if one == two => false,
            (Gauge, _) | (_, Gauge) => {
                self.hint = Gauge;
                false
            }
            (one, two) => {
                self.hint = Unknown;
                one != Unknown && two != Unknown
            }
        }
    }

    /// Makes the zero bucket as wide as both need; answers what `other`'s would then hold.
    fn reconcile_zero(&mut self, other: &Parts<Q>) -> Q {
        let mut theirs = (other.zero_count, other.zero_threshold);
        // Each turn widens one of the two to a bound of the other's buckets, of which there are so many.
        for _ in 0..=self.positive.len() + self.negative.len() + other.positive.len() + other.negative.len() {
            if self.zero_threshold > theirs.1 {
                theirs = other.widened_zero(self.zero_threshold);
            }
            if theirs.1 > self.zero_threshold {
                self.widen_zero(theirs.1);
            }
            if theirs.1 == self.zero_threshold {
                break;
            }
        }
        theirs.0
    }

    /// What the zero bucket would hold if it reached to `threshold`, or, where that is within a populated bucket, to
    /// that one's end; and how far that is.
    pub(super) fn widened_zero(&self, threshold: f64) -> (Q, f64) {
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        let mut threshold = threshold;
        loop {
            let mut count = self.zero_count;
            let above = self.take_into_zero(&self.positive, &mut count, threshold);
            let below = self.take_into_zero(&self.negative, &mut count, above);
            if below.partial_cmp(&above) != Some(Ordering::Greater) {
                return (count, above);
            }
            // What was taken from above was for a narrower zero.
            threshold = below;
        }
    }

    /// Adds the buckets that begin below `threshold` to `count`; answers where the last populated one ends.
    fn take_into_zero(&self, cells: &[(i64, Q)], count: &mut Q, threshold: f64) -> f64 {
        for &(index, held) in cells {
            if exponential_bound(index - 1, self.schema) >= threshold {
                break;
            }
            count.add(held);
            let end = exponential_bound(index, self.schema);
            if end > threshold {
                return if held.total() == 0.0 { threshold } else { end };
            }
        }
        threshold
    }

    fn widen_zero(&mut self, threshold: f64) {
        (self.zero_count, self.zero_threshold) = self.widened_zero(threshold);
        let (schema, threshold) = (self.schema, self.zero_threshold);
        for cells in [&mut self.positive, &mut self.negative] {
            cells.retain(|&(index, count)| !count.is_zero() && exponential_bound(index - 1, schema) >= threshold);
        }
    }

    /// Lowers the resolution to `schema`, if that is lower.
    pub(super) fn reduce(&mut self, schema: i32) {
        if !self.has_custom_buckets() && schema < self.schema && schema >= SCHEMA_MIN {
            self.positive = reduced(&self.positive, self.schema, schema);
            self.negative = reduced(&self.negative, self.schema, schema);
            self.schema = schema;
        }
    }

    /// Adds custom buckets; answers whether the bounds differ.
    fn join_custom(&mut self, other: &Parts<Q>) -> bool {
        if self.custom_values == other.custom_values {
            join_cells(&mut self.positive, other.positive.iter().copied());
            return false;
        }
        let shared = shared_bounds(&self.custom_values, &other.custom_values);
        let mut counts = vec![Q::default(); shared.len() + 1];
        for parts in [&*self, other] {
            for &(index, count) in &parts.positive {
                counts[shared_index(&shared, &parts.custom_values, index)].add(count);
            }
        }
        let populated = counts.into_iter().enumerate().filter(|(_, count)| !count.is_zero());
        self.positive = populated.map(|(index, count)| (index as i64, count)).collect();
        self.custom_values = shared.into();
        true
    }
}

fn cells_of<Q: Quantity>(side: &Side) -> CellsOf<Q> {
    side.cells().map(|(index, count)| (index, Q::of(count))).collect()
}

/// The bounds that both have.
pub(super) fn shared_bounds(one: &[f64], two: &[f64]) -> Vec<f64> {
    let (mut one, mut two) = (one.iter().peekable(), two.iter().peekable());
    let mut shared = Vec::new();
    while let (Some(&&first), Some(&&second)) = (one.peek(), two.peek()) {
        if first == second {
            shared.push(first);
        }
        if first <= second {
            one.next();
        }
        if first >= second || first.is_nan() || second.is_nan() {
            two.next();
        }
    }
    shared
}

/// Where, among the shared bounds, bucket `index` of `bounds` lies.
pub(super) fn shared_index(shared: &[f64], bounds: &[f64], index: i64) -> usize {
    let upper = usize::try_from(index).ok().and_then(|index| bounds.get(index));
    upper.map_or(shared.len(), |&upper| shared.partition_point(|&bound| bound < upper))
}

/// The buckets of a finer schema as those of a coarser one.
pub(super) fn reduced<Q: Quantity>(cells: &[(i64, Q)], from: i32, to: i32) -> CellsOf<Q> {
    let mut coarse: CellsOf<Q> = Vec::with_capacity(cells.len());
    let shift = from.saturating_sub(to).clamp(0, 63);
    for &(index, count) in cells {
        let index = ((index - 1) >> shift) + 1;
        match coarse.last_mut() {
            Some((last, held)) if *last == index => held.add(count),
            _ => coarse.push((index, count)),
        }
    }
    coarse
}

/// Adds `theirs` bucket by bucket, those that are missing included.
fn join_cells<Q: Quantity>(mine: &mut CellsOf<Q>, theirs: impl Iterator<Item = (i64, Q)>) {
    let mut theirs = theirs.peekable();
    let mut at = 0;
    while let Some((_, count)) = theirs.next_if(|&(index, _)| {
        at += mine[at..].iter().take_while(|(held, _)| *held < index).count();
        mine.get(at).is_some_and(|(held, _)| *held == index)
    }) {
        mine[at].1.add(count);
    }
    if theirs.peek().is_some() {
        merge_cells(mine, theirs);
    }
}

/// As [`join_cells`], into a new list.
fn merge_cells<Q: Quantity>(mine: &mut CellsOf<Q>, theirs: impl Iterator<Item = (i64, Q)>) {
    let mut merged = Vec::with_capacity(mine.len() + theirs.size_hint().0);
    let mut theirs = theirs.peekable();
    for (index, mut sum) in mine.drain(..) {
        while let Some(new) = theirs.next_if(|&(other, _)| other < index) {
            merged.push(new);
        }
        if let Some((_, count)) = theirs.next_if(|&(other, _)| other == index) {
            sum.add(count);
        }
        merged.push((index, sum));
    }
    merged.extend(theirs);
    *mine = merged;
}
