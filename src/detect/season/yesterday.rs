//! The same as yesterday: a deviation that comes at the same time the next day is told once.
//!
//! Clocks went back and the shop's day runs an hour late: on Sunday at 8:00 come 60 % of what was expected, which
//! alerts. 0.57 is remembered for that quarter. On Monday at 8:00 the null is "between 57 % and 100 %", and the profile
//! has a day more to learn the change.
//!
//! Always true: a drop by more than 55 % or a rise beyond 2.2 times is told however often it comes.

use serde::{Deserialize, Serialize};

use super::array::Late;
use super::place::Place;
use super::quarter::Quarter;

/// Ratios that may be the clock's, and the slack with which they are remembered: drops, rises.
const DROP: (f64, f64) = (0.45, 0.87);
const RISE: (f64, f64) = (1.15, 2.2);
const SLACK: f64 = 0.05;
/// A ratio is remembered as `2^(steps / 32)`.
const STEPS: f64 = 32.0;
/// Ages at which a quarter is of use, in quarters: from ten hours to two days.
const AGES: std::ops::Range<i64> = 41..200;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Yesterday {
    steps: Late<i8, 96>,
    /// Days since 1970, modulo 256.
    days: Late<u8, 96>,
}

impl Yesterday {
    pub(super) fn new() -> Yesterday {
        Yesterday { steps: Late::new(), days: Late::new() }
    }

    /// The least and the largest multiple of the expectation that is nothing new: around this time yesterday.
    pub(super) fn factors(&self, place: &Place) -> [f64; 2] {
        let mut factors = [1.0_f64; 2];
        if !self.steps.is_begun() {
            return factors;
        }
        let (day, now) = (place.quarter_number.div_euclid(96), place.quarter() as i64);
        for near in [now - 1, now, now + 1] {
            let index = near.rem_euclid(96) as usize;
            let days = (day - i64::from(self.days.at(index))) & 255;
            if self.steps.at(index) != 0 && AGES.contains(&(days * 96 + now - index as i64)) {
                let ratio = self.ratio(index);
                factors = [factors[0].min(ratio), factors[1].max(ratio)];
            }
        }
        factors
    }

    /// Remembers the ratio of a quarter that ended before `place`.
    pub(super) fn remember(&mut self, quarter: &Quarter, dispersion: f64, place: &Place) {
        // A few events of either kind keep quarters without traffic near 1.
        let few = 4.0 * dispersion;
        let ratio = (quarter.observed + few) / (quarter.expected + few);
        let before = self.ratio(quarter.index);
        let mut kept = 1.0_f64;
        let lasts = before < 1.0 && ratio < 0.5 * (1.0 + before);
        if ratio > DROP.0 && ratio < DROP.1 && (quarter.is_suspicious || lasts) {
            kept = (ratio * (1.0 - SLACK)).max(0.2);
        }
        let lasts = before > 1.0 && ratio > 0.5 * (1.0 + before);
        if ratio > RISE.0 && ratio < RISE.1 && (quarter.is_suspicious || lasts) {
            kept = (ratio * (1.0 + SLACK)).min(5.0);
        }
        let steps = (STEPS * kept.log2() + 0.5).floor() as i8;
        if steps == 0 && !self.steps.is_begun() {
            // Of most signals there is never anything to remember.
            return;
        }
        self.steps.begin()[quarter.index] = steps;
        self.days.begin()[quarter.index] = ((place.quarter_number - 1).div_euclid(96) & 255) as u8;
    }

    fn ratio(&self, index: usize) -> f64 {
        (f64::from(self.steps.at(index)) / STEPS).exp2()
    }
}
