//! The level: how today compares with the season, minute by minute, and not learned from incidents.
//!
//! At 54 expected orders a minute come 60, for an hour. The sums over the last twenty minutes or so, against a prior
//! worth `dispersion / variance of the wander` events, put the level near 1.1, and 59 are expected. Then the shop
//! breaks: at the first suspicious minute the sums of the last unsuspicious one are put back, and stand nearly still.
//!
//! Always true:
//! 1. What was learned since evidence began to grow is unlearned when it becomes suspicious.
//! 2. What was not learned ages what was: behind an hour's incident the level is found anew in minutes.
//! 3. The level is 0.2 to 5, and 1 during the first two days.

use serde::{Deserialize, Serialize};

use super::DAY_S;
use super::class::Tuning;
use super::stored::{add, approach};
use super::suspicion::Suspicion;
use super::{Bucket, Expectation};

/// Below this evidence, in nats, the level is trusted.
const TRUSTED_NATS: f64 = 1.0;
/// Speed of learning under suspicion.
const SUSPICIOUS_PACE: f64 = 0.02;
/// Variance of the wander while none was learned.
const WANDER_VARIANCE_UNKNOWN: f64 = 0.0225;
const WANDER_VARIANCE_MIN: f64 = 0.0004;
/// What is known of the wander beforehand, and how much that weighs against what was learned.
const WANDER_PRIOR: f64 = 0.0225;
const WANDER_PRIOR_WEIGHT: f64 = 0.05;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Level {
    level: f32,
    sums: Sums,
    /// The sums of the last bucket that was trusted.
    trusted: Sums,
    minute: Sums,
    minute_buckets: u32,
    hour: Sums,
    hour_buckets: u32,
    /// Wander of whole hours against the season: squared, without counting noise, and the squared expectations.
    wander_squares: f32,
    expected_squares: f32,
    is_hour_suspicious: bool,
}

/// Events, and what the season without a level expected.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Sums {
    observed: f32,
    expected: f32,
}

impl Level {
    pub(super) fn new() -> Level {
        Level {
            level: 1.0,
            sums: Sums::default(),
            trusted: Sums::default(),
            minute: Sums::default(),
            minute_buckets: 0,
            hour: Sums::default(),
            hour_buckets: 0,
            wander_squares: 0.0,
            expected_squares: 0.0,
            is_hour_suspicious: false,
        }
    }

    pub(super) fn level(&self) -> f64 {
        f64::from(self.level)
    }

    /// Remembers what is trusted; goes back to it when suspicion begins. `nats` is the evidence before calibration.
    pub(super) fn guard(&mut self, nats: f64, suspicion: Suspicion) {
        if nats < TRUSTED_NATS {
            self.trusted = self.sums;
        }
        if suspicion == Suspicion::First && self.trusted.expected > 0.0 {
            self.sums = self.trusted;
            self.minute = Sums::default();
            self.minute_buckets = 0;
        }
    }

    /// Suspicion ended after so long: what was known has aged by what was not learned, and what comes now counts more.
    pub(super) fn age(&mut self, span_s: f64, tuning: &Tuning) {
        let kept = 0.5_f64.powf(span_s / tuning.class.level_half_life_s) as f32;
        for sums in [&mut self.sums, &mut self.trusted] {
            sums.observed *= kept;
            sums.expected *= kept;
        }
    }

    /// Takes a level for the present one: what it was compared with has changed.
    pub(super) fn set(&mut self, level: f64) {
        self.level = level as f32;
        self.sums.observed = (level * f64::from(self.sums.expected)) as f32;
        self.trusted = self.sums;
        (self.minute, self.minute_buckets) = (Sums::default(), 0);
    }

    /// Forgets how far it wanders, so that a new level is found soon.
    pub(super) fn loosen(&mut self) {
        (self.wander_squares, self.expected_squares) = (0.0, 0.0);
    }

    /// Takes a bucket into the minute and the hour.
    pub(super) fn learn(&mut self, bucket: &Bucket, expectation: &Expectation, suspicion: Suspicion, tuning: &Tuning) {
        // A single odd bucket moves the level as three times the expected events would.
        let limited = bucket.observed.min(3.0 * expectation.unlevelled + 6.0);
        self.minute.add(limited, expectation.unlevelled);
        self.minute_buckets += 1;
        if self.minute_buckets >= tuning.minute_buckets {
            self.close_minute(expectation, suspicion, tuning);
        }
        self.hour.add(bucket.observed, expectation.unlevelled);
        self.hour_buckets += 1;
        self.is_hour_suspicious |= suspicion.is_some();
        if self.hour_buckets >= tuning.hour_buckets {
            self.close_hour(expectation, tuning);
        }
    }

    fn close_minute(&mut self, expectation: &Expectation, suspicion: Suspicion, tuning: &Tuning) {
        let pace = if suspicion.is_learned() { 1.0 } else { SUSPICIOUS_PACE };
        let minute = std::mem::take(&mut self.minute);
        self.minute_buckets = 0;
        approach(&mut self.sums.observed, f64::from(minute.observed), tuning.level_gain * pace);
        approach(&mut self.sums.expected, f64::from(minute.expected), tuning.level_gain * pace);
        self.level = if expectation.age_s < 2.0 * DAY_S { 1.0 } else { self.posterior(expectation, tuning) as f32 };
    }

    /// Mean of the level after what was seen: the prior is a gamma distribution as wide as the learned wander.
    fn posterior(&self, expectation: &Expectation, tuning: &Tuning) -> f64 {
        let prior = 0.7 * tuning.level_gain * expectation.dispersion / self.wander_variance();
        ((f64::from(self.sums.observed) + prior) / (f64::from(self.sums.expected) + prior)).clamp(0.2, 5.0)
    }

    /// Variance of whole hours around the season, relative to the expectation squared.
    pub(super) fn wander_variance(&self) -> f64 {
        let expected_squares = f64::from(self.expected_squares);
        if expected_squares <= 0.0 {
            return WANDER_VARIANCE_UNKNOWN;
        }
        let squares = f64::from(self.wander_squares) + WANDER_PRIOR * WANDER_PRIOR_WEIGHT * expected_squares;
        (squares / (expected_squares * (1.0 + WANDER_PRIOR_WEIGHT))).max(WANDER_VARIANCE_MIN)
    }

    #[cold]
    fn close_hour(&mut self, expectation: &Expectation, tuning: &Tuning) {
        let hour = std::mem::take(&mut self.hour);
        let is_learned = !self.is_hour_suspicious && expectation.age_s > 3.0 * DAY_S;
        (self.hour_buckets, self.is_hour_suspicious) = (0, false);
        if is_learned {
            let (observed, expected) = (f64::from(hour.observed), f64::from(hour.expected));
            let noise = expectation.dispersion * expected;
            let square = (observed - expected).powi(2).min(9.0 * (noise + 0.04 * expected * expected));
            approach(&mut self.wander_squares, square - noise, tuning.wander_gain);
            approach(&mut self.expected_squares, expected * expected, tuning.wander_gain);
        }
    }
}

impl Sums {
    fn add(&mut self, observed: f64, expected: f64) {
        add(&mut self.observed, observed);
        add(&mut self.expected, expected);
    }
}
