//! Tolerance: how far the signal wanders from its expectation on ordinary days, by hour of the day.
//!
//! Around 20:00 quarters of 800 expected orders differ by 60 on average, of which counting noise is 28: the variance is
//! (60² − 28²) / 800² = 0.0044, a wander of 6.6 %. An hour with few orders cannot tell wander from noise, and takes the
//! value of the whole day.
//!
//! Always true: suspicious quarters are not learned from, and a variance is never below zero.

use serde::{Deserialize, Serialize};

use super::class::Tuning;
use super::place::Place;
use super::quarter::Quarter;
use super::stored::approach;

/// How wide the wander is taken to be when the noise of a quarter is judged: 8 %, squared.
const WANDER_VARIANCE_TYPICAL: f64 = 0.0064;

/// Nothing until the first quarter was learned from, for which a signal must be three days old.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Wander", into = "Wander")]
pub(super) struct Tolerance(Option<Box<Wander>>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Wander {
    day: Squares,
    hours: [Squares; 24],
    /// Variance of the wander relative to the expectation squared, by hour.
    variances: [f32; 24],
}

/// Running means of the squared wander and of the squared expectation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Squares {
    wander: f32,
    expected: f32,
}

/// How noisy the signal is while a quarter is learned from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    pub(super) dispersion: f64,
    /// As seen bucket by bucket: this much of a square is counting noise.
    pub(super) of_buckets: f64,
}

impl From<Wander> for Tolerance {
    fn from(wander: Wander) -> Tolerance {
        Tolerance((wander != Wander::default()).then(|| Box::new(wander)))
    }
}

impl From<Tolerance> for Wander {
    fn from(tolerance: Tolerance) -> Wander {
        tolerance.0.map_or_else(Wander::default, |wander| *wander)
    }
}

impl Tolerance {
    pub(super) fn new() -> Tolerance {
        Tolerance(None)
    }

    pub(super) fn variance(&self, place: &Place) -> f64 {
        let Some(wander) = &self.0 else { return 0.0 };
        place.between_hours_of_day().interpolate(|hour| f64::from(wander.variances[hour]))
    }

    pub(super) fn learn(&mut self, quarter: &Quarter, noise: Noise, tuning: &Tuning) {
        self.0.get_or_insert_default().learn(quarter, noise, tuning);
    }
}

impl Wander {
    fn learn(&mut self, quarter: &Quarter, noise: Noise, tuning: &Tuning) {
        let expected = quarter.expected;
        let variance = f64::from(self.variances[quarter.hour]).max(tuning.class.wander_variance_min);
        let limit = 9.0 * (noise.dispersion * expected + (variance + 0.0025) * expected * expected);
        let wander = (quarter.observed - expected).powi(2).min(limit) - noise.of_buckets * expected;
        self.day.learn(wander, expected, tuning.quarter_gain);
        self.hours[quarter.hour].learn(wander, expected, tuning.quarter_of_hour_gain);
        self.variances[quarter.hour] = self.shrunken(quarter, noise.dispersion, tuning) as f32;
    }

    /// The variance of the quarter's hour, drawn to that of the day as far as it is noise.
    fn shrunken(&self, quarter: &Quarter, dispersion: f64, tuning: &Tuning) -> f64 {
        let (day, hour) = (self.day, self.hours[quarter.hour]);
        let of_day = f64::from(day.wander).max(0.0) / (f64::from(day.expected) + 1e-9);
        let noise = 1.0 + dispersion / (quarter.expected + 1e-9) / WANDER_VARIANCE_TYPICAL;
        let weight = (2.0 * noise * noise * tuning.quarter_of_hour_gain).clamp(0.1, 20.0);
        let prior = weight * f64::from(hour.expected).max(0.001 * f64::from(day.expected));
        ((f64::from(hour.wander) + of_day * prior) / (f64::from(hour.expected) + prior + 1e-9)).max(0.0)
    }
}

impl Squares {
    fn learn(&mut self, wander: f64, expected: f64, gain: f64) {
        approach(&mut self.wander, wander, gain);
        approach(&mut self.expected, expected * expected, gain);
    }
}
