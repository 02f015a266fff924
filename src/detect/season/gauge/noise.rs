//! How much a value scatters from bucket to bucket, by hour of the day, and how much more it does over five minutes.
//!
//! With a spread of 0.1 and independent buckets of a minute, sums of five scatter by 0.22. If they scatter by 0.32, neighbours move
//! together, and a bucket says half as much: the inflation is 2.
//!
//! Always true: suspicious buckets change nothing; the inflation is 1 to the buckets of a block.

use serde::{Deserialize, Serialize};

use super::super::stored::{add, approach};
use super::super::suspicion::Suspicion;
use super::GaugeTuning;

/// Least variance of a bucket.
const VARIANCE_MIN: f64 = 1e-5;
/// Buckets of an hour of the day before it has a variance of its own.
const HOUR_BUCKETS_MIN: u32 = 180;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Noise {
    variance: f32,
    hours: [f32; 24],
    hours_buckets: [u32; 24],
    inflation: f32,
    block_deviation: f32,
    block_buckets: u32,
}

impl Noise {
    pub(super) fn new() -> Noise {
        Noise {
            variance: 0.01,
            hours: [0.0; 24],
            hours_buckets: [0; 24],
            inflation: 2.0,
            block_deviation: 0.0,
            block_buckets: 0,
        }
    }

    /// Standard deviation of a bucket at any hour.
    pub(super) fn deviation(&self) -> f64 {
        f64::from(self.variance).sqrt()
    }

    /// Variance of a bucket at this hour of the day.
    pub(super) fn variance(&self, hour: usize) -> f64 {
        let (all, own) = (f64::from(self.variance), f64::from(self.hours[hour]));
        let variance = if self.hours_buckets[hour] < HOUR_BUCKETS_MIN { all } else { 0.8 * own + 0.2 * all };
        variance.max(VARIANCE_MIN)
    }

    pub(super) fn inflation(&self) -> f64 {
        f64::from(self.inflation).max(1.0)
    }

    /// Takes in a deviation; `buckets_count` came before it.
    pub(super) fn learn(
        &mut self,
        deviation: f64,
        hour: usize,
        suspicion: Suspicion,
        buckets_count: u32,
        tuning: &GaugeTuning,
    ) {
        if !suspicion.is_some() {
            let limit = 4.0 * self.deviation();
            let square = deviation.clamp(-limit, limit).powi(2);
            let gain = |usual: f64, count: u32| usual.max(1.0 / (f64::from(count) + 1.0));
            approach(&mut self.variance, square, gain(tuning.noise_gain, buckets_count));
            let own_gain = gain(tuning.noise_of_hour_gain, self.hours_buckets[hour]);
            approach(&mut self.hours[hour], square, own_gain);
            self.hours_buckets[hour] = self.hours_buckets[hour].saturating_add(1);
        }
        add(&mut self.block_deviation, deviation);
        self.block_buckets += 1;
        if self.block_buckets >= tuning.block_buckets {
            self.close_block(hour, suspicion, tuning);
        }
    }

    fn close_block(&mut self, hour: usize, suspicion: Suspicion, tuning: &GaugeTuning) {
        let buckets = f64::from(self.block_buckets);
        if !suspicion.is_some() {
            let inflation = f64::from(self.inflation);
            let seen = f64::from(self.block_deviation).powi(2) / (buckets * self.variance(hour));
            let next = inflation + tuning.noise_gain * buckets * (seen.min(12.0 * inflation) - inflation);
            self.inflation = next.clamp(1.0, buckets) as f32;
        }
        (self.block_deviation, self.block_buckets) = (0.0, 0);
    }
}
