//! Sums and means of many histograms, each number of which remembers what its additions lost.
//!
//! Of sums 1, 1e100, 1 and -1e100 the total is 2: plain addition would answer 0.

use super::parts::{Parts, Reconciled};
use super::{FloatHistogram, MixedSchemas};
use crate::model::Sum;

/// A running sum.
#[derive(Clone, Debug)]
pub struct HistogramSum {
    parts: Parts<Sum>,
}

impl HistogramSum {
    /// The sum of one.
    pub fn of(first: &FloatHistogram) -> HistogramSum {
        HistogramSum { parts: Parts::of(first) }
    }

    /// Adds one more. After an error the sum is as it was.
    pub fn add(&mut self, next: &FloatHistogram) -> Result<Reconciled, MixedSchemas> {
        check_kind(&self.parts, next)?;
        Ok(self.parts.join_histogram(next))
    }

    /// The sum, without empty buckets.
    pub fn histogram(&self) -> FloatHistogram {
        compact(self.parts.histogram())
    }
}

/// A running mean: a sum until that would overflow, and from there on the mean itself.
#[derive(Clone, Debug)]
pub struct HistogramMean {
    parts: Parts<Sum>,
    count: f64,
    running: bool,
}

impl HistogramMean {
    /// The mean of one.
    pub fn of(first: &FloatHistogram) -> HistogramMean {
        HistogramMean { parts: Parts::of(first), count: 1.0, running: false }
    }

    /// Takes one more into the mean. After an error the mean is as it was.
    pub fn add(&mut self, next: &FloatHistogram) -> Result<Reconciled, MixedSchemas> {
        check_kind(&self.parts, next)?;
        let (before, count) = (self.count, self.count + 1.0);
        self.count = count;
        if !self.running {
            let mut sum = self.parts.clone();
            let reconciled = sum.join_histogram(next);
            if !sum.has_overflowed() {
                self.parts = sum;
                return Ok(reconciled);
            }
            self.running = true;
            self.parts.map(|number| number / before);
        }
        let share = before / count;
        self.parts.map(|number| number * share);
        let mut part = next.clone();
        part.divide(count);
        Ok(self.parts.join_histogram(&part))
    }

    /// The mean, without empty buckets.
    pub fn histogram(&self) -> FloatHistogram {
        let mut mean = self.parts.clone();
        if !self.running {
            mean.map(|number| number / self.count);
        }
        compact(mean.histogram())
    }
}

fn check_kind(parts: &Parts<Sum>, next: &FloatHistogram) -> Result<(), MixedSchemas> {
    if parts.has_custom_buckets() == next.has_custom_buckets() { Ok(()) } else { Err(MixedSchemas) }
}

fn compact(mut histogram: FloatHistogram) -> FloatHistogram {
    histogram.compact(0);
    histogram
}
