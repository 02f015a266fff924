//! What could not be told, and the id under which it is sent again.

use std::sync::Arc;

use super::message::Message;
use crate::model::Labels;

/// Stands in the id of a dead letter that is sent again, behind the letter's own.
pub(super) const REPLAY: &str = "-replay-";

/// A message that a receiver refused, or that could not be delivered for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The id that the receiver saw as `Idempotency-Key`.
    pub id: String,
    /// Who was to be told.
    pub receiver: String,
    /// What.
    pub message: Arc<Message>,
    /// Why not.
    pub reason: String,
    /// When it was given up, in ms since 1970 UTC.
    pub at_ms: i64,
}

impl DeadLetter {
    /// The id under which it is sent again for the `count`th time.
    pub(crate) fn replay_id(&self, count: u32) -> String {
        let place = Labels::hash_bytes(self.receiver.as_bytes());
        format!("{}{REPLAY}{place:016x}-{count}", self.id)
    }
}
