//! Whether the clock by which the shop lives was put forward or back, where nobody says which clock that is.
//!
//! ```text
//! quarter that ended ─► fits what is expected of it now │ an hour earlier │ an hour later
//!                                ▲                               │               │
//!                                │                               ▼               ▼
//!                      the profile's clock ◄── beyond 6 ── support, in nats, from -6 on
//! ```
//!
//! From 14:30 to 14:45 the shop took 4,300 orders where 5,460 were expected, which is two standard deviations of its
//! wander; of the quarter an hour later 4,250 were, as today goes. That supports "the clock is an hour ahead" by half a
//! nat. After three nats it is a possibility: a drop must be one from what is expected an hour later, too. After twelve
//! it is the clock, and the whole profile is read an hour later from then on.
//!
//! Always true:
//! 1. A quarter adds half a nat at most, so an incident of an hour makes no clock possible.
//! 2. A clock that fits worse than 1.4 standard deviations is not supported, however badly the present clock fits: a
//!    holiday is not another clock.
//! 3. The clock is moved by an hour at most, and back.

use serde::{Deserialize, Serialize};

use super::class::Tuning;
use super::place::Place;
use super::profile::Profile;
use super::promise::gain;
use super::stored::{add, approach};
use super::{DAY_S, Dispersion, Expectation, Level};

const HOUR_MS: i64 = 3_600_000;
const QUARTER_MS: i64 = 900_000;
/// How far the clock may have moved: to an hour earlier, an hour later.
const MOVES: [i8; 2] = [-1, 1];
/// Least support, where every clock but the present one begins, in nats.
const SUPPORT_MIN: f64 = -6.0;
/// Support from which on a clock is possible.
const POSSIBLE: f64 = -3.0;
/// Most support, which moves the profile.
const CERTAIN: f64 = 6.0;
/// What a fit counts, for neighbouring quarters wander together.
const FIT_WEIGHT: f64 = 0.5;
/// A fit so bad, in nats, is none: neither clock explains the quarter.
const FIT_MIN: f64 = -1.0;
/// Most that one quarter speaks against a clock, in nats.
const STEP_MIN: f64 = -1.0;
/// Variance of a quarter around the day's level beyond that of its hour: 6 %, squared.
const QUARTER_VARIANCE: f64 = 0.0036;
/// Quarters of a day: the level of a day is known after so many.
const DAY_QUARTERS: u8 = 96;
/// Age at which the hours of the week are known, and a weekend's late morning is no other clock.
const JUDGED_AGE_S: f64 = 13.0 * DAY_S;
/// How far a possible clock moves what is expected.
const FACTORS: [f64; 2] = [0.4, 2.5];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shift {
    /// Hours by which the profile is read later than buckets say.
    hours: i8,
    /// Quarters that made the day's level, as far as it matters.
    quarters_count: u8,
    /// For each move, in nats.
    support: [f32; 2],
    /// The quarter that goes on.
    quarter_number: i64,
    quarter_observed: f32,
    quarter_expected: f32,
    /// Events of the last day or so, and what the season without a level expected.
    day_observed: f32,
    day_expected: f32,
}

/// What is known of the signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    profile: &'a Profile,
    /// Events that an hour of the week must outweigh.
    prior_events: f64,
    dispersion: f64,
    /// Variance of whole hours around the season, relative to the expectation squared.
    wander_variance: f64,
}

impl Default for Shift {
    fn default() -> Shift {
        Shift {
            hours: 0,
            quarters_count: 0,
            support: [SUPPORT_MIN as f32; 2],
            quarter_number: i64::MIN,
            quarter_observed: 0.0,
            quarter_expected: 0.0,
            day_observed: 0.0,
            day_expected: 0.0,
        }
    }
}

impl Shift {
    /// By how much the profile is read later than buckets say, in ms.
    pub(super) fn clock_ms(&self) -> i64 {
        i64::from(self.hours) * HOUR_MS
    }

    /// The last day as a multiple of the season.
    pub(super) fn day_level(&self) -> f64 {
        if self.day_expected > 0.0 {
            (f64::from(self.day_observed) / f64::from(self.day_expected)).clamp(0.3, 3.0)
        } else {
            1.0
        }
    }

    /// Takes in a bucket of the quarter that goes on.
    pub(super) fn add(&mut self, observed: f64, unlevelled: f64) {
        add(&mut self.quarter_observed, observed);
        add(&mut self.quarter_expected, unlevelled);
    }

    /// Whether a bucket there ends the quarter.
    pub(super) fn is_over(&self, place: &Place) -> bool {
        place.quarter_number != self.quarter_number
    }

    /// Begins the quarter of `place`. Whether the one before showed that the clock was moved: from the next bucket on
    /// the profile is read by the new one.
    #[cold]
    pub(super) fn turn(&mut self, place: &Place, age_s: f64, known: &Known<'_>, tuning: &Tuning) -> bool {
        let is_moved = self.close_quarter(age_s, known, tuning);
        self.quarter_number = place.quarter_number;
        (self.quarter_observed, self.quarter_expected) = (0.0, 0.0);
        is_moved
    }

    /// Whether another clock is possible.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.support.iter().any(|&support| f64::from(support) >= POSSIBLE)
    }

    /// The least and the largest multiple of the expectation that a possible clock expects.
    pub(super) fn factors(
        &self,
        place: &Place,
        expectation: &Expectation,
        known: &Known<'_>,
        tuning: &Tuning,
    ) -> [f64; 2] {
        let mut factors = [1.0_f64; 2];
        for (support, hours) in self.support.into_iter().zip(MOVES) {
            if f64::from(support) >= POSSIBLE
                && let Some(ratio) = ratio(place.middle_ms, hours, known, tuning)
            {
                let expected = expectation.unlevelled * self.day_level() * ratio;
                let factor = (expected / expectation.expected).clamp(FACTORS[0], FACTORS[1]);
                factors = [factors[0].min(factor), factors[1].max(factor)];
            }
        }
        factors
    }

    /// Whether the quarter that ends makes a move certain.
    fn close_quarter(&mut self, age_s: f64, known: &Known<'_>, tuning: &Tuning) -> bool {
        let (observed, unlevelled) = (f64::from(self.quarter_observed), f64::from(self.quarter_expected));
        if unlevelled <= 0.0 || age_s < JUDGED_AGE_S {
            return false;
        }
        let moved =
            if self.quarters_count < DAY_QUARTERS { None } else { self.judge(observed, unlevelled, known, tuning) };
        self.quarters_count = self.quarters_count.saturating_add(1).min(DAY_QUARTERS);
        approach(&mut self.day_observed, observed, gain(900.0, DAY_S));
        approach(&mut self.day_expected, unlevelled, gain(900.0, DAY_S));
        let Some(hours) = moved else { return false };
        self.hours += hours;
        self.support = [SUPPORT_MIN as f32; 2];
        true
    }

    /// The move that this quarter makes certain.
    fn judge(&mut self, observed: f64, unlevelled: f64, known: &Known<'_>, tuning: &Tuning) -> Option<i8> {
        let centre_ms = self.quarter_number.saturating_mul(QUARTER_MS).saturating_add(QUARTER_MS / 2);
        let expected = unlevelled * self.day_level();
        let present = known.fit(observed, expected).max(FIT_MIN);
        let mut moved = None;
        for (support, hours) in self.support.iter_mut().zip(MOVES) {
            let Some(ratio) = ratio(centre_ms, hours, known, tuning) else { continue };
            let step = (FIT_WEIGHT * (known.fit(observed, expected * ratio) - present)).max(STEP_MIN);
            *support = (f64::from(*support) + step).clamp(SUPPORT_MIN, CERTAIN) as f32;
            if f64::from(*support) >= CERTAIN && (self.hours + hours).abs() <= 1 {
                moved = Some(hours);
            }
        }
        moved
    }
}

impl<'a> Known<'a> {
    pub(super) fn new(profile: &'a Profile, level: &Level, dispersion: &Dispersion, tuning: &Tuning) -> Known<'a> {
        Known {
            profile,
            prior_events: tuning.class.hour_prior_events * dispersion.at_length(),
            dispersion: dispersion.dispersion(),
            wander_variance: level.wander_variance(),
        }
    }

    /// How well a quarter fits, in nats: 0 at best.
    fn fit(&self, observed: f64, expected: f64) -> f64 {
        // A few events of either kind keep quarters without traffic near 1.
        let few = 4.0 * self.dispersion;
        let distance = ((observed + few) / (expected + few)).ln();
        let variance = self.wander_variance + QUARTER_VARIANCE + self.dispersion / (expected + few);
        -0.5 * distance * distance / variance
    }

    /// Events per exposure at an instant of the profile's clock.
    fn rate(&self, at_ms: i64, tuning: &Tuning) -> Option<f64> {
        let place = Place::of(at_ms, 0, 0);
        let rate = self.profile.rate(&place, tuning.class.slots_count)?;
        Some(rate * self.profile.hour_factor(&place, self.prior_events))
    }
}

/// What is expected so many hours later, as a multiple of what is expected now.
fn ratio(at_ms: i64, hours: i8, known: &Known<'_>, tuning: &Tuning) -> Option<f64> {
    let now = known.rate(at_ms, tuning).filter(|&now| now > 0.0)?;
    Some(known.rate(at_ms.saturating_add(i64::from(hours) * HOUR_MS), tuning)? / now)
}
