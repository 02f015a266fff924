//! How far something was from usual, for each part of a day or a week: a byte a part, as `e^(steps / 16)`.

use serde::{Deserialize, Serialize};

use super::array::Rare;

const STEPS: f64 = 16.0;
/// What is remembered is this much further than it was, in natural logarithms, for it never comes alike.
const SLACK: f64 = 0.1;
/// What is not further from usual than this is nothing to remember: a fifth.
const FAR_MIN: f64 = 0.19;
/// What has come again is at least so much of what it was.
const AGAIN_SHARE: f64 = 0.5;

/// Takes no room while nothing is far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Distances<const COUNT: usize>(Rare<i8, COUNT>);

impl<const COUNT: usize> Distances<COUNT> {
    pub(super) fn are_none(&self) -> bool {
        self.0.is_nothing()
    }

    /// In natural logarithms; 0: as usual.
    pub(super) fn at(&self, part: usize) -> f64 {
        f64::from(self.0.at(part)) / STEPS
    }

    /// Whether a part was far before, and is so again.
    pub(super) fn is_again(&self, part: usize, distance: f64) -> bool {
        let before = self.at(part);
        before != 0.0 && distance / before > AGAIN_SHARE
    }

    /// Remembers how far a part was; says whether it was far.
    pub(super) fn keep(&mut self, part: usize, distance: f64) -> bool {
        if distance.abs() < FAR_MIN || distance.is_nan() {
            self.forget(part);
            return false;
        }
        let steps = STEPS * (distance + SLACK * distance.signum());
        self.0.set(part, steps.round().clamp(-127.0, 127.0) as i8);
        true
    }

    pub(super) fn forget(&mut self, part: usize) {
        self.0.set(part, 0);
    }
}
