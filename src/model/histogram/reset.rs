//! Whether a counter started anew between two histograms of it.
//!
//! It did when something has become less: the count, the zero bucket, any bucket, or the number of buckets. It did not
//! when the layout became coarser and what was before, told in the new layout, is at most what is now.

use super::bounds::exponential_bound;
use super::parts::{Parts, reduced, shared_bounds, shared_index};
use super::{CounterResetHint, FloatHistogram, Side};

impl FloatHistogram {
    /// Whether the counter started anew after `previous`. What is known of it is believed; gauges are compared like
    /// counters.
    pub fn detect_reset(&self, previous: &FloatHistogram) -> bool {
        match self.hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.has_custom_buckets() {
            return !previous.has_custom_buckets() || self.custom_fell_since(previous);
        }
        self.schema > previous.schema || self.zero_threshold < previous.zero_threshold || self.fell_since(previous)
    }

    /// Whether a bucket holds less than before, `previous` being as fine or finer and its zero as narrow or narrower.
    fn fell_since(&self, previous: &FloatHistogram) -> bool {
        let (zero_count, threshold) = Parts::<f64>::of(previous).widened_zero(self.zero_threshold);
        // Zero that ends within a populated bucket cannot have grown out of the narrower one.
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let sides = [(&self.positive, &previous.positive), (&self.negative, &previous.negative)];
        sides.into_iter().any(|(now, before)| {
            let before: Vec<(i64, f64)> = before.cells().collect();
            let before = reduced(&before, previous.schema, self.schema);
            fell(self.outside_zero_cells(now), before.into_iter().skip_while(|&(index, _)| self.is_within_zero(index)))
        })
    }

    fn outside_zero_cells<'a>(&'a self, side: &'a Side) -> impl Iterator<Item = (i64, f64)> {
        side.cells().skip_while(|&(index, _)| self.is_within_zero(index))
    }

    fn is_within_zero(&self, index: i64) -> bool {
        self.zero_threshold != 0.0 && exponential_bound(index, self.schema) <= self.zero_threshold
    }

    /// As [`FloatHistogram::fell_since`] for custom buckets, compared between the bounds that both have.
    fn custom_fell_since(&self, previous: &FloatHistogram) -> bool {
        if self.custom_values == previous.custom_values {
            return fell(self.positive.cells(), previous.positive.cells());
        }
        let shared = shared_bounds(&self.custom_values, &previous.custom_values);
        let between = |histogram: &FloatHistogram| {
            let mut counts = vec![0.0; shared.len() + 1];
            for (index, count) in histogram.positive.cells() {
                counts[shared_index(&shared, &histogram.custom_values, index)] += count;
            }
            counts
        };
        between(self).iter().zip(between(previous)).any(|(now, before)| *now < before)
    }
}

/// Whether a bucket of `before` holds less in `now`, or was populated and is not there.
fn fell(now: impl Iterator<Item = (i64, f64)>, before: impl Iterator<Item = (i64, f64)>) -> bool {
    let mut now = now.peekable();
    for (index, held) in before {
        while now.next_if(|&(other, _)| other < index).is_some() {}
        let fell = match now.peek() {
            Some(&(other, count)) if other == index => count < held,
            _ => held != 0.0,
        };
        if fell {
            return true;
        }
    }
    false
}
