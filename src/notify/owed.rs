//! What a receiver is owed: a transition of one alert, told at once, or a message that a group or a person made.
//!
//! | | made by | id | lane |
//! | --- | --- | --- | --- |
//! | transition | whoever reports an alert, without routing | the transition's, the same for every receiver | the alert |
//! | message | a group's flush, an escalation, a replay | its own, for one receiver | the group |
//! | joint message | many transitions that wait for one receiver (`joint`) | its own, for one receiver | its own, and those of its alerts |

use std::sync::Arc;

use super::alert::Alert;
use super::message::{Message, MessageAlert};
use super::payload;
use crate::model::Labels;

/// One transition of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    /// See [`Alert::transition_id`].
    pub(crate) id: String,
    /// What began or ended.
    pub(crate) alert: Alert,
    /// Id of the incident that it belongs to.
    pub(crate) incident: String,
    /// When it was taken, or was held back no longer, in ms since 1970 UTC.
    pub(crate) enqueued_at_ms: i64,
    /// Names of those who shall be told of it as it is; none where alerts are grouped first, or a silence holds it back.
    pub(crate) receivers: Vec<String>,
    /// Those of them who are told of it in a message with others (`joint`), and never by itself.
    pub(crate) joint: Vec<String>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    Transition(Arc<Notification>),
    Message(Arc<Message>),
}

impl Owed {
    /// The same on every attempt.
    pub(crate) fn id(&self) -> &str {
        match self {
            Owed::Transition(notification) => &notification.id,
            Owed::Message(message) => &message.id,
        }
    }

    /// What has the same lane is told in order.
    pub(crate) fn lane(&self) -> u64 {
        match self {
            Owed::Transition(notification) => notification.alert.fingerprint(),
            Owed::Message(message) if message.is_joint => Labels::hash_bytes(message.id.as_bytes()),
            Owed::Message(message) => Labels::hash_bytes(message.group_key.as_bytes()),
        }
    }

    /// When it was noted, in ms since 1970 UTC.
    pub(crate) fn noted_at_ms(&self) -> i64 {
        match self {
            Owed::Transition(notification) => notification.enqueued_at_ms,
            Owed::Message(message) => message.made_at_ms,
        }
    }

    pub(crate) fn alert_count(&self) -> usize {
        match self {
            Owed::Transition(_) => 1,
            Owed::Message(message) => message.alerts.len(),
        }
    }

    /// The message, if it is one that stands for several transitions.
    pub(crate) fn joint(&self) -> Option<&Arc<Message>> {
        match self {
            Owed::Message(message) if message.is_joint => Some(message),
            _ => None,
        }
    }

    pub(crate) fn is_owed_to(&self, receiver: &str) -> bool {
        match self {
            Owed::Transition(notification) => notification.receivers.iter().any(|name| name == receiver),
            Owed::Message(message) => message.receiver == receiver,
        }
    }

    /// What the receiver is told.
    pub(crate) fn message(&self, receiver: &str) -> Arc<Message> {
        match self {
            Owed::Transition(notification) => Arc::new(notification.message(receiver)),
            Owed::Message(message) => Arc::clone(message),
        }
    }
}

impl Notification {
    /// Whether this receiver is told of it together with others.
    pub(crate) fn is_joint_for(&self, receiver: &str) -> bool {
        self.joint.iter().any(|name| name == receiver)
    }

    /// The alert as its own group, which is what Alertmanager does with `group_by: ['...']`.
    fn message(&self, receiver: &str) -> Message {
        Message {
            id: self.id.clone(),
            receiver: receiver.to_owned(),
            group_key: payload::group_key(&self.alert.labels),
            group_labels: self.alert.labels.clone(),
            alerts: vec![MessageAlert { alert: self.alert.clone(), incident: self.incident.clone() }],
            truncated_count: 0,
            made_at_ms: self.enqueued_at_ms,
            is_joint: false,
        }
    }
}
