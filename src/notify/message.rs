//! What one receiver is told at one moment: a group of alerts that belong together.
//!
//! ```text
//! group {alertname="CheckoutSlow"}   region="eu" firing, region="us" firing, region="asia" resolved
//! message                            status firing, 3 alerts, common label alertname, one id over all attempts
//! ```
//!
//! Always true: a message never changes; what is said later is another one, under another id.

use super::alert::{Alert, Status};
use crate::model::Labels;

/// Most alerts in a message; those behind them are counted in it.
pub(crate) const MESSAGE_ALERTS_COUNT_MAX: usize = 10_000;
/// Most bytes of their texts. As JSON, where a byte may take six, a message has room in one record of the outbox.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// A group of alerts, for one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same on every attempt, before and after a restart; different from that of every other message.
    pub id: String,
    /// Name of the receiver.
    pub receiver: String,
    /// Names the group as Alertmanager does: the routes that lead to it and its labels.
    pub group_key: String,
    /// The labels by which the group was made.
    pub group_labels: Labels,
    /// At least one; a group's are in Alertmanager's order: by job, by instance, then by labels.
    pub alerts: Vec<MessageAlert>,
    /// Alerts of the group that were left off.
    pub truncated_count: u64,
    /// When it was made, in ms since 1970 UTC.
    pub made_at_ms: i64,
    /// Whether each of its alerts was to be told by itself, and too many waited for that: see `joint`.
    pub is_joint: bool,
}

/// One alert of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAlert {
    /// As it was when the message was made: it is resolved if it had ended by then.
    pub alert: Alert,
    /// Id of the incident that it belongs to.
    pub incident: String,
}

/// As many of the alerts as a message may have, at least one, and how many are left off.
pub(super) fn fitting(alerts: impl ExactSizeIterator<Item = MessageAlert>) -> (Vec<MessageAlert>, u64) {
    let (count, mut bytes) = (alerts.len(), 0);
    let fits = |one: &MessageAlert| {
        let is_first = bytes == 0;
        bytes += one.alert.text_bytes();
        is_first || bytes <= MESSAGE_BYTES_MAX
    };
    let alerts: Vec<MessageAlert> = alerts.take(MESSAGE_ALERTS_COUNT_MAX).take_while(fits).collect();
    let left_off = (count - alerts.len()) as u64;
    (alerts, left_off)
}

impl Message {
    /// Firing as long as one of its alerts is.
    pub fn status(&self) -> Status {
        let fires = self.alerts.iter().any(|one| one.alert.status() == Status::Firing);
        if fires { Status::Firing } else { Status::Resolved }
    }

    /// The labels that all its alerts have, with the same value.
    pub fn common_labels(&self) -> Labels {
        let (first, others) = self.alerts.split_first().expect("a message has an alert");
        let common = first.alert.labels.iter();
        let common = common.filter(|&(name, value)| others.iter().all(|one| one.alert.labels.get(name) == Some(value)));
        Labels::from_pairs(common).expect("some labels of a label set are a label set")
    }

    /// The annotations that all its alerts have, with the same text; sorted by name.
    pub fn common_annotations(&self) -> Vec<(String, String)> {
        let (first, others) = self.alerts.split_first().expect("a message has an alert");
        let in_all = |pair: &&(String, String)| others.iter().all(|one| one.alert.annotations.contains(pair));
        first.alert.annotations.iter().filter(in_all).cloned().collect()
    }
}
