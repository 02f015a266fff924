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
}

/// One alert of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAlert {
    /// As it was when the message was made: it is resolved if it had ended by then.
    pub alert: Alert,
    /// Id of the incident that it belongs to.
    pub incident: String,
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
