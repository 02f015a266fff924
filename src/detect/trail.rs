//! What a group did lately, and what it was expected to: the line that explains an alert, and what was lost meanwhile.
//!
//! A shop expects 54 orders a minute and has 20, 22 and 19: after three minutes 101 orders are lost. The minutes before
//! the onset are part of the line too, so that the fall is seen and not only the bottom.
//!
//! Always true: a calm group keeps [`CALM_COUNT`] points and any other one [`POINTS_COUNT_MAX`] at most, thinned out by
//! every second one when an incident outlasts them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::transition::Side;

/// Points of a line.
const POINTS_COUNT_MAX: usize = 60;
/// Points that are kept while nothing is wrong.
const CALM_COUNT: usize = 12;

/// A bucket of a line, in the unit of the expression.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its end, in s since 1970 UTC.
    pub at_s: u32,
    /// What was seen.
    pub value: f32,
    /// What was expected; NaN when nothing was.
    pub expected: f32,
}

/// The latest points, and the events that were lost on either side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trail {
    points: VecDeque<Point>,
    /// One of so many buckets is a point; 0 counts as 1.
    every: u32,
    skipped: u32,
    /// Expected and not seen, and the reverse, in events since evidence began to grow.
    missing: [f64; 2],
}

impl Trail {
    /// Takes in a bucket. `is_wrong` says that the group fires, or is about to.
    #[inline]
    pub(crate) fn add(&mut self, point: Point, is_wrong: bool) {
        if !is_wrong {
            (self.every, self.skipped) = (1, 0);
            while self.points.len() >= CALM_COUNT {
                self.points.pop_front();
            }
            // What an incident took of room is given back, and no more taken than is needed.
            if self.points.capacity() != CALM_COUNT {
                self.points.shrink_to(CALM_COUNT);
                self.points.reserve_exact(CALM_COUNT - self.points.len());
            }
        } else if self.points.len() == POINTS_COUNT_MAX {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.every = self.every.max(1) * 2;
        }
        self.skipped += 1;
        if self.skipped >= self.every {
            self.skipped = 0;
            self.points.push_back(point);
        }
    }

    /// Counts what a bucket lacks on a side, or begins to count anew.
    #[inline]
    pub(crate) fn count(&mut self, side: Side, events: Option<f64>) {
        let missing = &mut self.missing[side.index()];
        *missing = events.map_or(0.0, |events| *missing + events);
    }

    /// Events that were expected and did not come since evidence of this side began to grow, or came and were not
    /// expected.
    pub(crate) fn missing(&self, side: Side) -> f64 {
        self.missing[side.index()]
    }

    /// A look at what the next bucket takes: what comes of it means nothing.
    pub(crate) fn glimpse(&self) -> u64 {
        self.points.front().zip(self.points.back()).map_or(0, |(first, last)| u64::from(first.at_s ^ last.at_s))
    }

    pub(crate) fn points(&self) -> Vec<Point> {
        self.points.iter().copied().collect()
    }
}
