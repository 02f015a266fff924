//! A message as templates know it.

use crate::notify::{Alert, Message};
use crate::template::{AlertFacts, MessageFacts};

type Pairs = Vec<(String, String)>;

/// All that Alertmanager would give its templates.
pub(super) fn facts_of(message: &Message, receiver: &str, external_url: &str) -> MessageFacts {
    MessageFacts {
        receiver: receiver.to_owned(),
        status: message.status().to_string(),
        alerts: message.alerts.iter().map(|one| facts_of_alert(&one.alert)).collect(),
        group_labels: pairs(&message.group_labels),
        common_labels: pairs(&message.common_labels()),
        common_annotations: message.common_annotations(),
        external_url: external_url.to_owned(),
    }
}

fn facts_of_alert(alert: &Alert) -> AlertFacts {
    AlertFacts {
        status: alert.status().to_string(),
        labels: pairs(&alert.labels),
        annotations: alert.annotations.clone(),
        starts_at_ms: alert.starts_at_ms,
        ends_at_ms: alert.ends_at_ms,
        generator_url: alert.generator_url.clone(),
        fingerprint: format!("{:016x}", alert.fingerprint()),
    }
}

fn pairs(labels: &crate::model::Labels) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The message with its first alerts only; 0 is all. What is left off is counted.
pub(super) fn shortened(message: &Message, alerts_max: u64) -> Message {
    let count = message.alerts.len() as u64;
    let mut shortened = message.clone();
    if alerts_max > 0 && count > alerts_max {
        shortened.alerts.truncate(usize::try_from(alerts_max).unwrap_or(usize::MAX));
        shortened.truncated_count = message.truncated_count.saturating_add(count - alerts_max);
    }
    shortened
}

/// The name as Alertmanager shows it: as a regular expression that matches it.
pub(super) fn quoted(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len());
    for letter in name.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}
