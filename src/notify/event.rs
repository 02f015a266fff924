//! What the notifier did, for the journal of incidents: a transition is told once it is on disk, an attempt once it ended.

use serde::{Deserialize, Serialize};

use super::alert::Alert;

/// Events that wait for whoever keeps the journal. When they are more, those that come are left out and counted; what
/// fires can be read again from the notifier.
pub const EVENTS_COUNT_MAX: usize = 16_384;

/// What holds an alert back: a silence, or a maintenance window of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilencedBy {
    /// Of the silence; of a window `maintenance/` and its name.
    pub id: String,
    /// Who wanted it; empty for a window.
    #[serde(default)]
    pub created_by: String,
    /// Why; empty where nobody said it.
    #[serde(default)]
    pub comment: String,
}

/// One thing that happened, in the order in which it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An alert began or ended, and the outbox has it.
    Transition {
        /// It has ended if it has an end.
        alert: Alert,
        /// Id of the incident that it belongs to.
        incident: String,
        /// When it was taken, in ms since 1970 UTC.
        at_ms: i64,
        /// What held it back when it began; `None` for an end.
        silenced_by: Option<SilencedBy>,
    },
    /// One attempt to tell a receiver.
    Attempt {
        /// Id of the message.
        id: String,
        /// Name of the receiver.
        receiver: String,
        /// The incidents whose alerts are in it, each once.
        incidents: Vec<String>,
        /// When it was answered or failed, in ms since 1970 UTC.
        at_ms: i64,
        /// What came of it.
        result: AttemptResult,
    },
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The receiver has it.
    Delivered {
        /// 200 to 299.
        http_status: u16,
    },
    /// It will be tried again.
    Failed {
        /// What was answered, or why nothing was.
        reason: String,
    },
    /// It will not be tried again.
    GivenUp {
        /// What was answered, or why nothing was.
        reason: String,
    },
}
