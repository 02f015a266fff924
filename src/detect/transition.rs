//! What the judge says: an alert begins, goes on, ends.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::explanation::Explanation;
use crate::model::Labels;

/// Which way a signal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Below the expectation.
    Drop,
    /// Above it.
    Rise,
    /// It did not come again.
    Absent,
    /// Beyond a fixed limit.
    Limit,
    /// Towards its end: it runs out.
    Full,
}

impl Direction {
    /// As it is written in rules and alerts.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Drop => "drop",
            Direction::Rise => "rise",
            Direction::Absent => "absent",
            Direction::Limit => "limit",
            Direction::Full => "full",
        }
    }
}

/// On which side of the expectation a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Side {
    Drop,
    Rise,
}

impl Side {
    pub(crate) fn sign(self) -> f64 {
        if self == Side::Drop { -1.0 } else { 1.0 }
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self == Side::Rise)
    }
}

impl From<Side> for Direction {
    fn from(side: Side) -> Direction {
        if side == Side::Drop { Direction::Drop } else { Direction::Rise }
    }
}

/// Whether an alert begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It begins.
    Firing,
    /// It ends.
    Resolved,
}

/// An alert of a group begins or ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Index of the watch, as they were given to [`super::start`].
    pub watch: usize,
    /// Labels of the group.
    pub labels: Arc<Labels>,
    /// Begins or ends.
    pub kind: Kind,
    /// Which way it went.
    pub direction: Direction,
    /// The windowed value as the expression says it; NaN when a window has none.
    pub value: f64,
    /// What it was expected to be.
    pub expected: f64,
    /// When the change seems to have begun, in ms since 1970 UTC.
    pub onset_ms: i64,
    /// When the alert began: end of the bucket that fired, in ms since 1970 UTC.
    pub fired_ms: i64,
    /// When this was known: end of the bucket that was judged, in ms since 1970 UTC.
    pub at_ms: i64,
    /// Of an end that nobody saw: since when nothing had come of the group, in ms since 1970 UTC ([`super::Judge::keep_unheard`]).
    pub unheard_since_ms: Option<i64>,
    /// Of such an end: whether those that sent it were removed ([`super::Shared::end_removed`]), and it was not given up.
    pub is_removed: bool,
    /// The figures behind it; none when somebody else tells it.
    pub explanation: Option<Box<Explanation>>,
}

/// An alert that fires now.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// Index of the watch.
    pub watch: usize,
    /// Labels of the group.
    pub labels: Arc<Labels>,
    /// Which way it went.
    pub direction: Direction,
    /// The windowed value at the last closed bucket.
    pub value: f64,
    /// What it was expected to be.
    pub expected: f64,
    /// When the change seems to have begun, in ms since 1970 UTC.
    pub onset_ms: i64,
    /// When the alert began, in ms since 1970 UTC.
    pub fired_ms: i64,
}

impl Firing {
    /// The transition by which it began, with the value that it has now.
    pub fn transition(&self) -> Transition {
        Transition {
            watch: self.watch,
            labels: self.labels.clone(),
            kind: Kind::Firing,
            direction: self.direction,
            value: self.value,
            expected: self.expected,
            onset_ms: self.onset_ms,
            fired_ms: self.fired_ms,
            at_ms: self.fired_ms,
            unheard_since_ms: None,
            is_removed: false,
            explanation: None,
        }
    }
}
