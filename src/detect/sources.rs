//! What is allowed for while the sources of a group change.
//!
//! One of four nodes leaves, with a quarter of the orders. Perhaps the other three take its work over, perhaps it was
//! all in one region and is gone: between 75 % and 100 % of the expectation all is well, until the level has followed.
//! A node that takes its place brings the lower bound back: a rolling restart of all four ends where it began.
//!
//! Always true: the bounds stand on either side of 1, and go back to it while buckets are learned from.

use serde::{Deserialize, Serialize};

/// Least that is left of an expectation, and the inverse of the most: an expectation of nothing could not be missed.
const BOUND_MIN: f64 = 1e-3;
/// Changes of less than this are not worth forgetting anything for.
const WORTH_MENTIONING: f64 = 0.05;

/// Multiples of the expectation between which nobody is accused.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sources {
    low: f64,
    high: f64,
}

impl Sources {
    /// They are what they always were.
    pub(crate) fn new() -> Sources {
        Sources { low: 1.0, high: 1.0 }
    }

    /// Sources with this share of the volume left. Says whether that is worth mentioning.
    pub(crate) fn left(&mut self, share: f64) -> bool {
        self.low = (self.low * (1.0 - share)).max(BOUND_MIN);
        self.high = (self.high * (1.0 - share)).max(1.0);
        share > WORTH_MENTIONING
    }

    /// Sources joined, this many for each one before. Says whether that is worth mentioning.
    pub(crate) fn joined(&mut self, share: f64) -> bool {
        self.high = (self.high * (1.0 + share)).min(1.0 / BOUND_MIN);
        self.low = (self.low * (1.0 + share)).min(1.0);
        share > WORTH_MENTIONING
    }

    /// A bucket was learned from; `share` of the way to the new level is behind us with it.
    pub(crate) fn fade(&mut self, share: f64) {
        if self.allowance() == [1.0; 2] {
            return;
        }
        self.low += (1.0 - self.low) * share;
        self.high += (1.0 - self.high) * share;
    }

    /// Least and most that may be expected, as multiples of the expectation.
    pub(crate) fn allowance(&self) -> [f64; 2] {
        [self.low, self.high]
    }
}
