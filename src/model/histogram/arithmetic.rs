//! Adding, subtracting, scaling, and the layout that follows from it.

use super::bounds::exponential_bound;
use super::bounds::{SCHEMA_MAX, SCHEMA_RESERVED_MAX};
use super::check::BUCKETS_COUNT_MAX;
use super::parts::Parts;
pub use super::parts::Reconciled;
use super::{CounterResetHint, FloatHistogram, Side, Span};

/// Buckets by powers of two and buckets with bounds of their own cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a histogram with exponential buckets and one with custom buckets cannot be joined")]
pub struct MixedSchemas;

impl FloatHistogram {
    /// Adds `other`, in the coarser of both layouts. Its bits of `count` and `sum` are those of a plain addition.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Reconciled, MixedSchemas> {
        self.check_kind(other)?;
        if let Some(reconciled) = self.add_in_place(other) {
            return Ok(reconciled);
        }
        let mut parts: Parts<f64> = Parts::of(self);
        let reconciled = parts.join(&Parts::of(other));
        *self = parts.histogram();
        Ok(reconciled)
    }

    /// Subtracts `other`. The operator `-` makes the result a gauge besides, which is the caller's to do.
    pub fn subtract(&mut self, other: &FloatHistogram) -> Result<Reconciled, MixedSchemas> {
        let mut negated = other.clone();
        negated.each_number(|number| -number);
        self.add(&negated)
    }

    /// Multiplies every count and the sum; a negative factor makes it a gauge.
    pub fn multiply(&mut self, factor: f64) {
        self.each_number(|number| number * factor);
        if factor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Divides every count and the sum; a negative divisor makes it a gauge, and zero leaves no buckets.
    pub fn divide(&mut self, divisor: f64) {
        self.each_number(|number| number / divisor);
        if divisor == 0.0 {
            self.positive = Side::default();
            self.negative = Side::default();
        } else if divisor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Drops empty buckets, but for runs of at most `empty_count_max` between populated ones, which are written out.
    pub fn compact(&mut self, empty_count_max: usize) {
        let empty_count_max = empty_count_max.min(BUCKETS_COUNT_MAX) as i64;
        for side in [&mut self.positive, &mut self.negative] {
            if !is_compact(side, empty_count_max) {
                *side = compacted(side, empty_count_max);
            }
        }
    }

    /// Lowers the resolution to `schema`; without effect on custom buckets, and if it is that low already.
    pub fn reduce_resolution(&mut self, schema: i32) {
        let mut parts: Parts<f64> = Parts::of(self);
        parts.reduce(schema);
        if parts.schema != self.schema {
            *self = parts.histogram();
        }
    }

    /// Reduces a resolution that is reserved for senders to the finest that there is.
    pub fn reduce_reserved_resolution(&mut self) {
        if (SCHEMA_MAX + 1..=SCHEMA_RESERVED_MAX).contains(&self.schema) {
            self.reduce_resolution(SCHEMA_MAX);
        }
    }

    fn each_number(&mut self, change: impl Fn(f64) -> f64) {
        for number in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *number = change(*number);
        }
        for count in self.positive.counts.iter_mut().chain(&mut self.negative.counts) {
            *count = change(*count);
        }
    }

    /// Whether the two can be joined at all.
    pub(super) fn check_kind(&self, other: &FloatHistogram) -> Result<(), MixedSchemas> {
        if self.has_custom_buckets() == other.has_custom_buckets() { Ok(()) } else { Err(MixedSchemas) }
    }

    /// Adds number by number when both layouts are the same, which they are within a series nearly always.
    fn add_in_place(&mut self, other: &FloatHistogram) -> Option<Reconciled> {
        let same = self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && self.hint == other.hint
            && self.positive.spans == other.positive.spans
            && self.negative.spans == other.negative.spans
            && self.positive.counts.len() == other.positive.counts.len()
            && self.negative.counts.len() == other.negative.counts.len()
            && self.custom_values == other.custom_values;
        if !same || other.reaches_into_zero() {
            return None;
        }
        self.zero_count += other.zero_count;
        self.count += other.count;
        self.sum += other.sum;
        for (mine, theirs) in [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)] {
            for (mine, theirs) in mine.counts.iter_mut().zip(&theirs.counts) {
                *mine += theirs;
            }
        }
        Some(Reconciled::default())
    }

    /// Whether there are buckets that lie within the zero bucket.
    fn reaches_into_zero(&self) -> bool {
        let sides = [&self.positive, &self.negative];
        let first = |side: &Side| side.cells().next().map(|(index, _)| exponential_bound(index, self.schema));
        !self.has_custom_buckets() && sides.into_iter().filter_map(first).any(|end| end <= self.zero_threshold)
    }
}

/// Whether compacting would change nothing.
fn is_compact(side: &Side, empty_count_max: i64) -> bool {
    let apart = |(position, span): (usize, &Span)| position == 0 || i64::from(span.offset) > empty_count_max;
    side.counts.iter().all(|&count| count != 0.0)
        && side.spans.iter().all(|span| span.length > 0)
        && side.spans.iter().enumerate().all(apart)
}

fn compacted(side: &Side, empty_count_max: i64) -> Side {
    let mut cells: Vec<(i64, f64)> = Vec::with_capacity(side.counts.len());
    for (index, count) in side.cells().filter(|&(_, count)| count != 0.0) {
        if let Some(&(last, _)) = cells.last()
            && index - last - 1 <= empty_count_max
        {
            cells.extend((last + 1..index).map(|empty| (empty, 0.0)));
        }
        cells.push((index, count));
    }
    Side::of_cells(cells)
}
