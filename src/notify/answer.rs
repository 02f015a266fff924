//! What an attempt came to.

use std::time::Duration;

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
        /// Whether it answered that it did not take it; else it may have.
        is_answered: bool,
    },
    /// It will never work: the receiver said so.
    Refused {
        /// For the log and the dead letter.
        reason: String,
    },
}
