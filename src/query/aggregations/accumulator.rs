//! What becomes of the numbers of one group at one step, one number after the other.

use crate::model::Sum;
use crate::query::float::Mean;

/// What an aggregation does with native histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfHistograms {
    /// Adds them, apart from numbers.
    Sum,
    /// Takes their mean, apart from numbers.
    Mean,
    /// Takes them for one more element, whatever it is.
    Count,
    /// Leaves them out, and says so.
    Ignore,
}

/// Takes numbers in; none is asked for its value before it was given one.
pub(super) trait Accumulator: Default + Clone {
    const OF_HISTOGRAMS: OfHistograms;

    fn add(&mut self, value: f64);
    fn value(self) -> f64;
}

impl Accumulator for Sum {
    const OF_HISTOGRAMS: OfHistograms = OfHistograms::Sum;

    fn add(&mut self, value: f64) {
        Sum::add(self, value);
    }
    fn value(self) -> f64 {
        Sum::value(self)
    }
}

impl Accumulator for Mean {
    const OF_HISTOGRAMS: OfHistograms = OfHistograms::Mean;

    fn add(&mut self, value: f64) {
        Mean::add(self, value);
    }
    fn value(self) -> f64 {
        Mean::value(self)
    }
}

/// The population variance in one pass (Welford). Over series, unlike over time, without compensated sums: so does
/// Prometheus, and of large numbers close together that shows in the ninth digit.
#[derive(Clone, Default)]
pub(super) struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Accumulator for Variance {
    const OF_HISTOGRAMS: OfHistograms = OfHistograms::Ignore;

    fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.mean = value;
            // Infinite numbers have no distance from each other.
            self.squares = if value.is_finite() { 0.0 } else { f64::NAN };
            return;
        }
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }
    fn value(self) -> f64 {
        self.squares / self.count
    }
}

/// Not a number until there is one, and then the smallest of them.
#[derive(Clone)]
pub(super) struct Min(f64);

impl Default for Min {
    fn default() -> Min {
        Min(f64::NAN)
    }
}

impl Accumulator for Min {
    const OF_HISTOGRAMS: OfHistograms = OfHistograms::Ignore;

    fn add(&mut self, value: f64) {
        if value < self.0 || self.0.is_nan() {
            self.0 = value;
        }
    }
    fn value(self) -> f64 {
        self.0
    }
}

/// Not a number until there is one, and then the largest of them.
#[derive(Clone)]
pub(super) struct Max(f64);

impl Default for Max {
    fn default() -> Max {
        Max(f64::NAN)
    }
}

impl Accumulator for Max {
    const OF_HISTOGRAMS: OfHistograms = OfHistograms::Ignore;

    fn add(&mut self, value: f64) {
        if value > self.0 || self.0.is_nan() {
            self.0 = value;
        }
    }
    fn value(self) -> f64 {
        self.0
    }
}

/// How many there are.
#[derive(Clone, Default)]
pub(super) struct Count(f64);

impl Accumulator for Count {
    const OF_HISTOGRAMS: OfHistograms = OfHistograms::Count;

    fn add(&mut self, _value: f64) {
        self.0 += 1.0;
    }
    fn value(self) -> f64 {
        self.0
    }
}

/// 1, where there is any.
#[derive(Clone, Default)]
pub(super) struct Present;

impl Accumulator for Present {
    const OF_HISTOGRAMS: OfHistograms = OfHistograms::Count;

    fn add(&mut self, _value: f64) {}
    fn value(self) -> f64 {
        1.0
    }
}
