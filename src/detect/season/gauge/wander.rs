//! How far a value wanders from its expectation on ordinary days: quarters of an hour, by hour of the day.
//!
//! Always true: suspicious quarters are not learned from; a quarter is closed by the first bucket of another one.

use serde::{Deserialize, Serialize};

use super::super::DAY_S;
use super::super::place::Place;
use super::super::stored::{add, approach};
use super::super::suspicion::Suspicion;
use super::GaugeTuning;

/// Quarters that the value of the whole day weighs against an hour's own.
const DAY_WEIGHT: f64 = 2.0;
const HOUR_QUARTERS_MAX: u8 = 23;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Wander {
    variance: f32,
    hours: [f32; 24],
    deviation: f32,
    noise: f32,
    buckets_count: u32,
    quarter: Option<u8>,
    hour: u8,
    is_suspicious: bool,
    hours_quarters: [u8; 24],
}

/// A whole quarter of an hour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quarter {
    /// Of the day, 0 to 95.
    pub(super) index: usize,
    /// From what was expected, at the mean.
    pub(super) deviation: f64,
    /// Whether any bucket of it was suspicious.
    pub(super) is_suspicious: bool,
}

impl Wander {
    pub(super) fn new() -> Wander {
        Wander {
            variance: 0.0025,
            hours: [0.0; 24],
            deviation: 0.0,
            noise: 0.0,
            buckets_count: 0,
            quarter: None,
            hour: 0,
            is_suspicious: false,
            hours_quarters: [0; 24],
        }
    }

    /// Variance of the wander at this time of day.
    pub(super) fn variance(&self, place: &Place) -> f64 {
        place.between_hours_of_day().interpolate(|hour| {
            let quarters = f64::from(self.hours_quarters[hour]);
            let sum = f64::from(self.hours[hour]) * quarters + DAY_WEIGHT * f64::from(self.variance);
            sum / (quarters + DAY_WEIGHT)
        })
    }

    /// Moves on to the quarter of `place`; the one before, if this is another.
    pub(super) fn turn(&mut self, place: &Place, age_s: f64, tuning: &GaugeTuning) -> Option<Quarter> {
        let quarter = place.quarter() as u8;
        if self.quarter == Some(quarter) {
            return None;
        }
        let before = self.quarter.filter(|&before| before < 96 && self.buckets_count > 0).map(|before| Quarter {
            index: usize::from(before),
            deviation: f64::from(self.deviation) / f64::from(self.buckets_count),
            is_suspicious: self.is_suspicious,
        });
        if self.buckets_count > 0 && !self.is_suspicious && self.hour < 24 && age_s > 3.0 * DAY_S {
            self.close(usize::from(self.hour), tuning);
        }
        (self.deviation, self.noise, self.buckets_count, self.is_suspicious) = (0.0, 0.0, 0, false);
        (self.quarter, self.hour) = (Some(quarter), place.hour_of_day() as u8);
        before
    }

    fn close(&mut self, hour: usize, tuning: &GaugeTuning) {
        let count = f64::from(self.buckets_count);
        let noise = f64::from(self.noise) / (count * count);
        let mean = f64::from(self.deviation) / count;
        let limit = 9.0 * (f64::from(self.hours[hour]).max(0.0025) + noise);
        let square = (mean * mean).min(limit) - noise;
        let gain = tuning.quarter_of_hour_gain.max(1.0 / (f64::from(self.hours_quarters[hour]) + 1.0));
        approach(&mut self.hours[hour], square, gain);
        self.hours_quarters[hour] = self.hours_quarters[hour].saturating_add(1).min(HOUR_QUARTERS_MAX);
        approach(&mut self.variance, square, tuning.quarter_gain);
    }

    pub(super) fn add(&mut self, deviation: f64, noise: f64, suspicion: Suspicion) {
        add(&mut self.deviation, deviation);
        add(&mut self.noise, noise);
        self.buckets_count += 1;
        self.is_suspicious |= suspicion.is_some();
    }
}
