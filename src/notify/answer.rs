//! What an attempt came to.

use std::time::Duration;

/// How much a receiver said of something that it did not confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// That it did not take it.
    Error,
    /// Nothing, or nothing that can be read: it may have it.
    Nothing,
    /// It was not reached: it cannot have it.
    Nobody,
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The receiver has it.
    Delivered {
        /// 200 to 299.
        http_status: u16,
    },
    /// It may work later.
    Retry {
        /// For the log.
        reason: String,
        /// The wait that the receiver asked for.
        after: Option<Duration>,
        /// What it is known by.
        heard: Heard,
    },
    /// It will never work: the receiver said so.
    Refused {
        /// For the log and the dead letter.
        reason: String,
    },
}

impl Answer {
    /// Whether the receiver itself said it.
    pub(super) fn is_said(&self) -> bool {
        !matches!(self, Answer::Retry { heard: Heard::Nothing | Heard::Nobody, .. })
    }
}
