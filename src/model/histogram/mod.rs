//! The native histogram as a value: what Prometheus 3.14 calls a float histogram, with the same arithmetic.
//!
//! Worked example: four requests of 0.3 s, 0.7 s, 1.2 s and 1.5 s under schema 0, whose buckets double in width. Bucket -1
//! is (0.25,0.5], 0 is (0.5,1], 1 is (1,2].
//!
//! ```
//! use dozor::model::{FloatHistogram, Side};
//! let taken = FloatHistogram {
//!     count: 4.0,
//!     sum: 3.7,
//!     positive: Side::of_run(-1, vec![1.0, 1.0, 2.0]),
//!     ..FloatHistogram::default()
//! };
//! assert_eq!(taken.to_string(), "{count:4, sum:3.7, (0.25,0.5]:1, (0.5,1]:1, (1,2]:2}");
//! assert_eq!(taken.quantile(0.75).value, 1.414213562373095); // half way into (1,2], on a scale of powers
//! let mut both = taken.clone();
//! both.add(&taken).expect("both have exponential buckets");
//! assert_eq!((both.count, both.positive.counts), (8.0, vec![2.0, 2.0, 4.0]));
//! ```
//!
//! Always true:
//! 1. Whatever the numbers in it, no operation panics or runs longer than its buckets are many; [`FloatHistogram::check`]
//!    says whether it may be stored.
//! 2. Bits that are only moved come back as they were: a stale marker is the bits of `sum`.
//! 3. Operations that change the layout (adding, widening zero, reducing, trimming) leave spans that do not touch.
//!
//! Deliberately absent: histograms of integers, which become these where they come in ([`IntegerHistogram`]), and
//! numbers as JSON has them, which whoever writes the answer knows.

mod accumulate;
mod arithmetic;
mod bounds;
mod buckets;
mod cells;
mod check;
mod literal;
mod logarithm;
mod moments;
mod parts;
mod quantile;
mod render;
mod reset;
#[cfg(test)]
mod tests;
mod trim;

use std::sync::Arc;

pub use accumulate::{HistogramMean, HistogramSum};
pub use arithmetic::{MixedSchemas, Reconciled};
pub use bounds::{SCHEMA_CUSTOM, SCHEMA_MAX, SCHEMA_MIN, SCHEMA_RESERVED_MAX};
pub use buckets::Bucket;
pub use cells::{Side, Span};
pub use check::{BUCKETS_COUNT_MAX, HistogramError, IntegerHistogram};
pub use literal::{HistogramLiteral, LiteralError};
pub(crate) use logarithm::log2;
pub use quantile::{Estimate, NanObservations};
pub use trim::Trim;

use super::sample::is_stale;

/// What is known of a counter's start anew between a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterResetHint {
    /// It has to be found out by comparing.
    #[default]
    Unknown,
    /// It started anew.
    Reset,
    /// It went on.
    NotReset,
    /// No counter: a histogram of what is now.
    Gauge,
}

/// Observations by bucket, with their count and sum. Counts are floats and may be fractions or, of differences, negative.
#[derive(Clone, Debug, Default)]
pub struct FloatHistogram {
    /// Whether a counter started anew here.
    pub hint: CounterResetHint,
    /// Resolution: [`SCHEMA_MIN`] to [`SCHEMA_MAX`], or [`SCHEMA_CUSTOM`].
    pub schema: i32,
    /// The zero bucket holds what is at most this far from zero.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// Observations in all, those of NaN included, which no bucket has.
    pub count: f64,
    /// Sum of the observations; its bits are the stale marker of a series.
    pub sum: f64,
    /// Buckets above zero, all of them under [`SCHEMA_CUSTOM`].
    pub positive: Side,
    /// Buckets below zero, index by distance from it.
    pub negative: Side,
    /// Upper bounds of custom buckets, ascending, without the last, which is infinite. Shared, as all samples of a
    /// series have the same.
    pub custom_values: Arc<[f64]>,
}

impl FloatHistogram {
    /// The histogram that says "this series ended here".
    pub fn stale() -> FloatHistogram {
        FloatHistogram { sum: super::sample::stale_nan(), ..FloatHistogram::default() }
    }

    /// Whether it is the stale marker.
    pub fn is_stale(&self) -> bool {
        is_stale(self.sum)
    }

    /// Whether buckets have bounds of their own.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == SCHEMA_CUSTOM
    }

    /// How many buckets are written out, the zero bucket left aside.
    pub fn buckets_count(&self) -> usize {
        self.positive.counts.len() + self.negative.counts.len()
    }

    /// Whether both have the same layout and the same bits in every number; what is known of resets does not matter.
    pub fn same_bits(&self, other: &FloatHistogram) -> bool {
        self.schema == other.schema
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && (!self.has_custom_buckets() || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && self.negative.same_bits(&other.negative)
            && self.positive.same_bits(&other.positive)
    }
}
