//! Dispersion: how much noisier than Poisson events the signal is.
//!
//! 60 events are expected and 75 come: 15² / 60 = 3.75 where Poisson events have 1 on average. Events that come in
//! bunches of a minute look calm bucket by bucket; sums over three minutes show them. The larger of both counts.
//!
//! Always true: it is at least 1, and suspicious buckets do not move it.

use serde::{Deserialize, Serialize};

use super::class::Tuning;
use super::stored::{add, approach};
use super::suspicion::Suspicion;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Dispersion {
    of_buckets: f32,
    of_blocks: f32,
    block_observed: f32,
    block_expected: f32,
    block_buckets: u32,
}

impl Dispersion {
    pub(super) fn new() -> Dispersion {
        Dispersion { of_buckets: 1.5, of_blocks: 1.5, block_observed: 0.0, block_expected: 0.0, block_buckets: 0 }
    }

    /// Variance as a multiple of the expectation.
    pub(super) fn dispersion(&self) -> f64 {
        f64::from(self.of_buckets).max(self.at_length())
    }

    /// The same as seen in blocks of buckets alone.
    pub(super) fn at_length(&self) -> f64 {
        f64::from(self.of_blocks).max(1.0)
    }

    /// The same as seen bucket by bucket, which may be below 1.
    pub(super) fn of_buckets(&self) -> f64 {
        f64::from(self.of_buckets)
    }

    pub(super) fn learn(&mut self, observed: f64, expected: f64, suspicion: Suspicion, tuning: &Tuning) {
        if !suspicion.is_some() {
            learn(&mut self.of_buckets, observed, expected, tuning.dispersion_gain);
        }
        add(&mut self.block_observed, observed);
        add(&mut self.block_expected, expected);
        self.block_buckets += 1;
        if self.block_buckets >= tuning.block_buckets {
            if !suspicion.is_some() && self.block_expected > 0.0 {
                let gain = (tuning.dispersion_gain * f64::from(tuning.block_buckets)).min(1.0);
                learn(&mut self.of_blocks, f64::from(self.block_observed), f64::from(self.block_expected), gain);
            }
            (self.block_observed, self.block_expected, self.block_buckets) = (0.0, 0.0, 0);
        }
    }
}

/// One outlier counts as twelve times the dispersion at most.
fn learn(dispersion: &mut f32, observed: f64, expected: f64, gain: f64) {
    let seen = (observed - expected).powi(2) / expected;
    approach(dispersion, seen.min(12.0 * f64::from(*dispersion) + 2.0), gain);
}
