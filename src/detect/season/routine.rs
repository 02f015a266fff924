//! The same as every day: what comes at this time of the day for the fourth time in a row is no incident.
//!
//! A job at three in the morning asks for a thousand pages that are gone, which is twenty times the usual errors for half an
//! hour. Three nights it is told; from the fourth on the null is "1 to 20 times", and the profile, which may learn now,
//! comes to expect it.
//!
//! Always true:
//! 1. What did not come on three days one after the other excuses nothing.
//! 2. A day on which it does not come ends it.

use serde::{Deserialize, Deserializer, Serialize};

use super::array::Rare;
use super::distances::Distances;
use super::place::Place;

/// Days on which it must have come.
const DAYS_MIN: u8 = 3;
const QUARTERS_COUNT: usize = 96;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Routine {
    /// From what was expected, by quarter of the day.
    distances: Distances<QUARTERS_COUNT>,
    /// On how many days it was so, one after the other.
    days: Rare<u8, QUARTERS_COUNT>,
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "it is there to be read over")]
    open: OpenBefore,
}

/// The quarter that goes on, which layout 4 of the checkpoint has here: it is read and is of no use.
#[derive(Clone, Debug, Default)]
struct OpenBefore;

impl<'de> Deserialize<'de> for OpenBefore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OpenBefore, D::Error> {
        // Its number, what it saw, what was expected, and whether any of it was suspicious.
        <(Option<u8>, f32, f32, bool)>::deserialize(deserializer).map(|_| OpenBefore)
    }
}

impl Routine {
    /// The least and the largest distance from the expectation that is nothing new at this time of the day, in natural
    /// logarithms.
    pub(super) fn range(&self, place: &Place) -> [f64; 2] {
        let mut range = [0.0_f64; 2];
        if self.distances.are_none() {
            return range;
        }
        // It does not come by the second.
        let quarter = place.quarter() + QUARTERS_COUNT;
        for near in [quarter - 1, quarter, quarter + 1].map(|near| near % QUARTERS_COUNT) {
            if self.days.at(near) >= DAYS_MIN {
                let distance = self.distances.at(near);
                range = [range[0].min(distance), range[1].max(distance)];
            }
        }
        range
    }

    /// Remembers how far a quarter of the day was from what was expected, in natural logarithms, and whether it was suspicious.
    pub(super) fn remember(&mut self, quarter: usize, distance: f64, is_suspicious: bool) {
        let is_again = self.distances.is_again(quarter, distance);
        if (is_suspicious || is_again) && self.distances.keep(quarter, distance) {
            let before = if is_again { self.days.at(quarter) } else { 0 };
            self.days.set(quarter, before.saturating_add(1));
        } else {
            self.distances.forget(quarter);
            self.days.set(quarter, 0);
        }
    }
}
