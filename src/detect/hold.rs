//! A condition that must hold for a while before it is an alert, and be gone for a while before the alert ends.
//!
//! ```text
//! p95 above 2 s for 1m:  1.2 │ 2.4  2.6  2.9  2.5  2.7 │ 2.8 … │ 1.1  1.0  1.2  1.1
//! buckets of 15 s        normal│ 0   15   30   45   60 s │ firing │ 15   30   45   60 s of calm: it ends
//! ```
//!
//! Always true:
//! 1. It fires at the end of the bucket by which the condition was true for `for_ms` of event time, and ends with the one
//!    that completes `calm_ms` without it.
//! 2. Only time that was seen counts: a gap between buckets brings neither nearer.
//! 3. A bucket that is not newer than the last one changes nothing.

use serde::{Deserialize, Serialize};

/// Silence after which a condition that held before it begins to hold anew, in ms: five minutes.
const FORGOTTEN_AFTER_MS: i64 = 300_000;

/// An alert from its beginning on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spell {
    /// When what it is about began, in ms since 1970 UTC.
    pub(crate) onset_ms: i64,
    /// When the alert began, in ms since 1970 UTC.
    pub(crate) fired_ms: i64,
}

/// An alert begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Began(Spell),
    Ended {
        spell: Spell,
        /// In ms since 1970 UTC.
        at_ms: i64,
    },
}

/// What a bucket says of the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Holds,
    /// Neither that it holds nor that it is gone.
    Nothing,
    Gone,
}

/// A stretch of time that was looked at: it ends at `end_ms`, in ms since 1970 UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) end_ms: i64,
    pub(crate) length_ms: i64,
}

/// How long it takes, in ms of event time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) for_ms: i64,
    pub(crate) calm_ms: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hold {
    last_ms: Option<i64>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Phase {
    #[default]
    Normal,
    Pending {
        onset_ms: i64,
        held_ms: i64,
    },
    Firing {
        spell: Spell,
        calm_ms: i64,
    },
}

impl Hold {
    /// The alert, while there is one.
    pub(crate) fn firing(&self) -> Option<Spell> {
        if let Phase::Firing { spell, .. } = self.phase { Some(spell) } else { None }
    }

    /// Takes in what a stretch of time says. `onset_ms` is when the condition began, if it begins to hold here.
    pub(crate) fn observe(&mut self, stretch: Stretch, says: Says, onset_ms: i64, patience: Patience) -> Option<Turn> {
        let silent_ms = match self.last_ms {
            Some(last_ms) if stretch.end_ms <= last_ms => return None,
            Some(last_ms) => stretch.end_ms.saturating_sub(last_ms),
            None => 0,
        };
        self.last_ms = Some(stretch.end_ms);
        if silent_ms > FORGOTTEN_AFTER_MS.max(2 * stretch.length_ms) && matches!(self.phase, Phase::Pending { .. }) {
            self.phase = Phase::Normal;
        }
        // Of a gap only as much as the bucket itself covers was seen.
        let seen_ms = silent_ms.min(stretch.length_ms);
        match (self.phase, says) {
            (Phase::Normal, Says::Holds) => self.hold(onset_ms, 0, stretch, patience),
            (Phase::Pending { onset_ms, held_ms }, Says::Holds) => {
                self.hold(onset_ms, held_ms.saturating_add(seen_ms), stretch, patience)
            }
            (Phase::Pending { .. }, Says::Gone) => {
                self.phase = Phase::Normal;
                None
            }
            (Phase::Firing { spell, .. }, Says::Holds) => {
                self.phase = Phase::Firing { spell, calm_ms: 0 };
                None
            }
            (Phase::Firing { spell, calm_ms }, Says::Gone) => {
                // The first calm bucket counts whole: it was calm from its start on.
                let calm_ms = calm_ms.saturating_add(stretch.length_ms);
                self.calm(spell, calm_ms, stretch, patience)
            }
            _ => None,
        }
    }

    fn hold(&mut self, onset_ms: i64, held_ms: i64, stretch: Stretch, patience: Patience) -> Option<Turn> {
        if held_ms < patience.for_ms {
            self.phase = Phase::Pending { onset_ms, held_ms };
            return None;
        }
        let spell = Spell { onset_ms, fired_ms: stretch.end_ms };
        self.phase = Phase::Firing { spell, calm_ms: 0 };
        Some(Turn::Began(spell))
    }

    fn calm(&mut self, spell: Spell, calm_ms: i64, stretch: Stretch, patience: Patience) -> Option<Turn> {
        if calm_ms < patience.calm_ms {
            self.phase = Phase::Firing { spell, calm_ms };
            return None;
        }
        self.phase = Phase::Normal;
        Some(Turn::Ended { spell, at_ms: stretch.end_ms })
    }
}
