//! Buckets with their bounds, in the order of the values in them.

use super::FloatHistogram;
use super::bounds::upper_bound;

/// How many observations lay between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound; may be negative infinity under custom bounds.
    pub lower: f64,
    /// Upper bound; may be infinite.
    pub upper: f64,
    /// Whether what lies on the lower bound counts.
    pub lower_inclusive: bool,
    /// Whether what lies on the upper bound counts.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
}

impl Bucket {
    /// As Prometheus's JSON tells which bounds count: 0 the upper, 1 the lower, 2 neither, 3 both.
    pub fn boundary_rule(&self) -> u8 {
        match (self.lower_inclusive, self.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        }
    }
}

impl FloatHistogram {
    /// Buckets above zero, values ascending, empty ones that are written out included.
    pub fn positive_buckets(&self) -> impl Iterator<Item = Bucket> {
        self.positive.cells().map(|(index, count)| self.positive_bucket(index, count))
    }

    /// Buckets below zero, values descending.
    pub fn negative_buckets(&self) -> impl Iterator<Item = Bucket> {
        self.negative.cells().map(|(index, count)| self.negative_bucket(index, count))
    }

    /// All buckets, values ascending. The zero bucket is there when it holds something, and cuts off those that
    /// reach into it.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let below = self.negative.cells_back().map(|(index, count)| self.negative_bucket(index, count));
        let above = self.positive.cells().map(|(index, count)| self.positive_bucket(index, count));
        below
            .map(|bucket| self.outside_zero(bucket))
            .chain(self.populated_zero())
            .chain(above.map(|bucket| self.outside_zero(bucket)))
    }

    /// As [`FloatHistogram::buckets`], values descending.
    pub fn buckets_back(&self) -> impl Iterator<Item = Bucket> {
        let above = self.positive.cells_back().map(|(index, count)| self.positive_bucket(index, count));
        let below = self.negative.cells().map(|(index, count)| self.negative_bucket(index, count));
        above
            .map(|bucket| self.outside_zero(bucket))
            .chain(self.populated_zero())
            .chain(below.map(|bucket| self.outside_zero(bucket)))
    }

    /// The bucket around zero.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    fn populated_zero(&self) -> Option<Bucket> {
        (self.zero_count > 0.0 && !self.has_custom_buckets()).then(|| self.zero_bucket())
    }

    fn positive_bucket(&self, index: i64, count: f64) -> Bucket {
        let lower = upper_bound(index - 1, self.schema, &self.custom_values);
        let upper = upper_bound(index, self.schema, &self.custom_values);
        self.bucket(lower, upper, index == 0, count)
    }

    fn negative_bucket(&self, index: i64, count: f64) -> Bucket {
        let lower = -upper_bound(index, self.schema, &self.custom_values);
        let upper = -upper_bound(index - 1, self.schema, &self.custom_values);
        self.bucket(lower, upper, index == 0, count)
    }

    /// A bucket holds the bound that is farther from zero; under custom bounds the upper, and the first both.
    fn bucket(&self, lower: f64, upper: f64, first: bool, count: f64) -> Bucket {
        let (lower_inclusive, upper_inclusive) =
            if self.has_custom_buckets() { (first, true) } else { (lower < 0.0, upper > 0.0) };
        Bucket { lower, upper, lower_inclusive, upper_inclusive, count }
    }

    fn outside_zero(&self, mut bucket: Bucket) -> Bucket {
        if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
            bucket.upper = -self.zero_threshold;
        } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
            bucket.lower = self.zero_threshold;
        }
        bucket
    }
}
