//! What a window of numbers comes to, one window at a time: sums, lines, extremes, quantiles.

use super::window::Window;
use crate::model::Sum;
use crate::query::error::QueryError;
use crate::query::float::{Mean, Spread, quantile};

/// A straight line through samples.
pub(super) struct Line {
    /// By how much a value rises in a second.
    pub(super) slope: f64,
    /// The value at the origin.
    pub(super) intercept: f64,
}

/// Least squares through at least two samples, with `origin_ms` as the time at which the intercept is taken.
pub(super) fn line(window: &Window<'_>, origin_ms: i64) -> Option<Line> {
    let values = window.values;
    if values.len() < 2 {
        return None;
    }
    if values.iter().all(|value| *value == values[0]) {
        let (slope, intercept) = if values[0].is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, values[0]) };
        return Some(Line { slope, intercept });
    }
    let (mut x, mut y, mut xy, mut xx) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for (time_ms, value) in window.timestamps_ms.iter().zip(values) {
        let seconds = (time_ms - origin_ms) as f64 / 1000.0;
        x.add(seconds);
        y.add(*value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    let (x, y, n) = (x.value(), y.value(), values.len() as f64);
    let slope = (xy.value() - x * y / n) / (xx.value() - x * x / n);
    Some(Line { slope, intercept: y / n - slope * x / n })
}

pub(super) fn sum(values: &[f64]) -> f64 {
    Sum::of_all(values).value()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    Mean::of_all(values)
}

pub(super) fn variance(values: &[f64]) -> f64 {
    let mut spread = Spread::default();
    values.iter().for_each(|value| spread.add(*value));
    spread.variance()
}

pub(super) fn smallest(values: &[f64]) -> f64 {
    extreme(values, f64::INFINITY, |a, b| a < b)
}

pub(super) fn largest(values: &[f64]) -> f64 {
    extreme(values, f64::NEG_INFINITY, |a, b| a > b)
}

/// How many values are compared side by side.
const LANES: usize = 4;

/// The first value that no other is `better` than; not a number only if all are. None is worse than `worst`.
fn extreme(values: &[f64], worst: f64, better: impl Fn(f64, f64) -> bool) -> f64 {
    let mut lanes = [worst; LANES];
    let (fours, rest) = values.as_chunks::<LANES>();
    let take = |lane: &mut f64, value: f64| *lane = if better(value, *lane) { value } else { *lane };
    for four in fours {
        lanes.iter_mut().zip(four).for_each(|(lane, value)| take(lane, *value));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, value)| take(lane, *value));
    let best = lanes.into_iter().reduce(|a, b| if better(b, a) { b } else { a }).unwrap_or(worst);
    // Which of two zeros came first, and whether there was any number, the lanes do not know.
    if best == 0.0 || best == worst { first_extreme(values, better) } else { best }
}

fn first_extreme(values: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let choose = |best: f64, value: &f64| if better(*value, best) || best.is_nan() { *value } else { best };
    values.iter().fold(f64::NAN, choose)
}

pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// When the last value was seen that is `better` than all before it or equal to the best.
pub(super) fn time_of(window: &Window<'_>, better: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let mut best: Option<(f64, i64)> = None;
    for (value, time_ms) in window.values.iter().zip(window.timestamps_ms) {
        if best.is_none_or(|(best, _)| better(*value, best) || best.is_nan()) {
            best = Some((*value, *time_ms));
        }
    }
    best.map(|(_, time_ms)| seconds(time_ms))
}

/// Holt's linear method over at least two values: a level and a trend, each the weighted mean of what it was and what
/// is seen. Fails when a weight is not between 0 and 1.
pub(super) fn exponentially_smoothed(values: &[f64], level: f64, trend: f64) -> Result<Option<f64>, QueryError> {
    let (level_weight, trend_weight) = (level, trend);
    for (weight, name, short) in [(level_weight, "smoothing", "sf"), (trend_weight, "trend", "tf")] {
        if weight <= 0.0 || weight >= 1.0 {
            let got = if weight.is_infinite() { format!("{weight:+}") } else { format!("{weight:.6}") };
            let got = got.replace("inf", "Inf");
            return Err(QueryError::Execution(format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {got}")));
        }
    }
    let [first, second, ..] = values else { return Ok(None) };
    let (mut before, mut level, mut trend) = (0.0, *first, second - first);
    for (index, value) in values[1..].iter().enumerate() {
        if index > 0 {
            trend = trend_weight * (level - before) + (1.0 - trend_weight) * trend;
        }
        (before, level) = (level, level_weight * value + (1.0 - level_weight) * (level + trend));
    }
    Ok(Some(level))
}

/// The quantile of the values, which are copied to `sorted`.
pub(super) fn quantile_of(q: f64, values: &[f64], sorted: &mut Vec<f64>) -> f64 {
    sorted.clear();
    sorted.extend_from_slice(values);
    quantile(q, sorted)
}

/// The median of the distances from the median; the values are copied to `sorted`.
pub(super) fn median_deviation(values: &[f64], sorted: &mut Vec<f64>) -> f64 {
    let median = quantile_of(0.5, values, sorted);
    sorted.iter_mut().for_each(|value| *value = (*value - median).abs());
    quantile(0.5, sorted)
}
