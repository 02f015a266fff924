//! When evidence becomes an alert, and when the alert ends.
//!
//! ```text
//! score      0.2  0.6  0.9 │ 1.1  1.4  1.5  0.8  0.4  0.6  0.4  0.3 … │
//! phase      normal        │ firing                  └ not yet low enough for long │ normal, 180 s after the last 0.5
//! ```
//!
//! Always true:
//! 1. An alert begins with the bucket whose score reaches 1, or `for` later if it never fell below 1 in between.
//! 2. It ends when the score was below 0.5 for 180 s of event time without interruption, and `keep_firing_for` beyond.
//! 3. Nothing but buckets moves it: who is silent neither fires nor resolves.

use serde::{Deserialize, Serialize};

use super::hold::Spell;
use super::options::ModelOptions;
use super::transition::Side;

/// The score that fires.
const FIRING_SCORE: f64 = 1.0;
/// Below this score a bucket speaks for recovery.
const CALM_SCORE: f64 = 0.5;
/// How long it must stay below that, in ms.
const CALM_MS: i64 = 180_000;

/// What a bucket changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Fired(Incident),
    Resolved(Incident),
}

/// An alert that fires.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub direction: Side,
    pub onset_ms: i64,
    pub fired_ms: i64,
    /// Ratio to the expectation when it fired.
    pub ratio: f64,
}

impl Incident {
    pub(crate) fn spell(&self) -> Spell {
        Spell { onset_ms: self.onset_ms, fired_ms: self.fired_ms }
    }
}

/// What the latest bucket says of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub direction: Side,
    pub score: f64,
    pub ratio: f64,
    pub onset_ms: i64,
    pub end_ms: i64,
    /// Whether change and volume are as large as the rule asks for.
    pub is_large: bool,
}

/// The alert of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) enum Alarm {
    #[default]
    Normal,
    Pending {
        since_ms: i64,
    },
    Firing {
        incident: Incident,
        /// Since when the score is low.
        calm_ms: Option<i64>,
    },
}

impl Alarm {
    /// The alert, while there is one.
    pub(crate) fn firing(&self) -> Option<Incident> {
        if let Alarm::Firing { incident, .. } = self { Some(*incident) } else { None }
    }

    /// Takes in the score of a bucket.
    pub(crate) fn observe(&mut self, reading: Reading, options: &ModelOptions) -> Option<Change> {
        match *self {
            Alarm::Normal => self.fire(reading, reading.end_ms, options),
            Alarm::Pending { since_ms } => self.fire(reading, since_ms, options),
            Alarm::Firing { incident, calm_ms } => self.recover(reading, incident, calm_ms, options),
        }
    }

    fn fire(&mut self, reading: Reading, since_ms: i64, options: &ModelOptions) -> Option<Change> {
        if reading.score < FIRING_SCORE || !reading.is_large {
            *self = Alarm::Normal;
            return None;
        }
        if reading.end_ms - since_ms < options.for_ms {
            *self = Alarm::Pending { since_ms };
            return None;
        }
        let Reading { direction, onset_ms, ratio, .. } = reading;
        let incident = Incident { direction, onset_ms, fired_ms: reading.end_ms, ratio };
        *self = Alarm::Firing { incident, calm_ms: None };
        Some(Change::Fired(incident))
    }

    fn recover(
        &mut self,
        reading: Reading,
        incident: Incident,
        calm_ms: Option<i64>,
        options: &ModelOptions,
    ) -> Option<Change> {
        let calm_ms = (reading.score < CALM_SCORE).then(|| calm_ms.unwrap_or(reading.end_ms));
        if calm_ms.is_some_and(|since_ms| reading.end_ms - since_ms >= CALM_MS + options.keep_firing_for_ms) {
            *self = Alarm::Normal;
            return Some(Change::Resolved(incident));
        }
        *self = Alarm::Firing { incident, calm_ms };
        None
    }
}
