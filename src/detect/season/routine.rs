//! The same as every day: what comes at this time of the day for the fourth time in a row is no incident.
//!
//! A job at three in the morning asks for a thousand pages that are gone, which is twenty times the usual errors for half an
//! hour. Three nights it is told; from the fourth on the null is "1 to 20 times", and the profile, which may learn now,
//! comes to expect it.
//!
//! Always true:
//! 1. What did not come on three days one after the other excuses nothing.
//! 2. A day on which it does not come ends it.

use serde::{Deserialize, Serialize};

use super::array::Late;
use super::place::Place;
use super::stored::add;
use super::suspicion::Suspicion;

/// How far is remembered as `e^(steps / 16)`, and with how many steps of slack.
const STEPS: f64 = 16.0;
const SLACK_STEPS: f64 = 2.0;
/// What is not further from what is expected than this is nothing to remember, in steps: a fifth.
const STEPS_MIN: f64 = 3.0;
/// Of what was remembered so much must be left for it to have come again.
const LASTING_SHARE: f64 = 0.5;
/// Days on which it must have come.
const DAYS_MIN: u8 = 3;
const QUARTERS_COUNT: usize = 96;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Routine {
    /// By quarter of the day; 0: as expected.
    steps: Late<i8, QUARTERS_COUNT>,
    /// On how many days it was so, one after the other.
    days: Late<u8, QUARTERS_COUNT>,
    /// The quarter that goes on: what it saw and what was expected of it.
    quarter: Option<u8>,
    observed: f32,
    expected: f32,
    is_odd: bool,
}

impl Routine {
    /// The least and the largest distance from the expectation that is nothing new at this time of the day, in natural
    /// logarithms.
    pub(super) fn range(&self, place: &Place) -> [f64; 2] {
        let mut range = [0.0_f64; 2];
        if !self.steps.is_begun() {
            return range;
        }
        // It does not come by the second.
        let quarter = place.quarter() + QUARTERS_COUNT;
        for near in [quarter - 1, quarter, quarter + 1].map(|near| near % QUARTERS_COUNT) {
            if self.days.at(near) >= DAYS_MIN {
                let distance = f64::from(self.steps.at(near)) / STEPS;
                range = [range[0].min(distance), range[1].max(distance)];
            }
        }
        range
    }

    /// Takes a bucket in. `distance` says how far the sums of a quarter are from what was expected, in natural logarithms.
    pub(super) fn add(
        &mut self,
        place: &Place,
        (observed, expected): (f64, f64),
        suspicion: Suspicion,
        distance: impl FnOnce(f64, f64) -> f64,
    ) {
        let quarter = place.quarter() as u8;
        if self.quarter != Some(quarter) {
            self.close(distance);
            (self.quarter, self.is_odd) = (Some(quarter), false);
        }
        self.is_odd |= suspicion.is_some();
        add(&mut self.observed, observed);
        add(&mut self.expected, expected);
    }

    fn close(&mut self, distance: impl FnOnce(f64, f64) -> f64) {
        let (observed, expected) = (f64::from(self.observed), f64::from(self.expected));
        (self.observed, self.expected) = (0.0, 0.0);
        let quarter = self.quarter.map(usize::from).filter(|&quarter| quarter < QUARTERS_COUNT && expected > 0.0);
        let Some(quarter) = quarter else { return };
        let before = f64::from(self.steps.at(quarter));
        if !self.is_odd && before == 0.0 {
            return;
        }
        let steps = STEPS * distance(observed, expected);
        let is_again = before != 0.0 && steps / before > LASTING_SHARE;
        let (kept, days) = if steps.abs() >= STEPS_MIN && (self.is_odd || is_again) {
            let days = if is_again { self.days.at(quarter).saturating_add(1) } else { 1 };
            (steps + SLACK_STEPS * steps.signum(), days)
        } else {
            (0.0, 0)
        };
        self.steps.begin()[quarter] = kept.round().clamp(-127.0, 127.0) as i8;
        self.days.begin()[quarter] = days;
    }
}
