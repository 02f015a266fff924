//! Mean and spread of the observations.

use super::FloatHistogram;
use crate::model::Sum;

impl FloatHistogram {
    /// The mean of the observations; not a number without any.
    pub fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// The variance, each observation taken to be the middle of its bucket: the geometric mean of exponential bounds,
    /// zero in the zero bucket, half way between custom bounds.
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        let mut squares = Sum::default();
        for bucket in self.buckets().filter(|bucket| bucket.count != 0.0) {
            let middle = if self.has_custom_buckets() {
                (bucket.upper + bucket.lower) / 2.0
            } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                0.0
            } else {
                (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
            };
            let distance = middle - mean;
            squares.add(bucket.count * distance * distance);
        }
        squares.value() / self.count
    }

    /// The square root of [`FloatHistogram::variance`].
    pub fn standard_deviation(&self) -> f64 {
        self.variance().sqrt()
    }
}
