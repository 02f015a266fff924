//! Who is told next when nobody takes an incident, and when.
//!
//! ```text
//! acknowledge_within  critical: 15m            escalation  lead, then owner
//!
//! 12:01  the pager is told of a critical incident
//! 12:16  nobody acknowledged: the lead is told
//! 12:31  nobody acknowledged: the owner is told     (12:20, had the lead acknowledged: nobody)
//! ```
//!
//! Always true: it is a function of the incident and the settings alone, so a restart changes nothing; a step that was told
//! is not due again; while an incident is acknowledged, unknown or resolved, nothing is due.

use super::record::{DeliveryResult, Incident, State};

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Escalation {
    /// Severities and how long an incident of each may go without an acknowledgement, in ms. Others are not escalated.
    pub acknowledge_within_ms: Vec<(String, i64)>,
    /// Who is told then, one after the other.
    pub steps: Vec<Step>,
}

/// One of those who are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name of the receiver.
    pub receiver: String,
    /// How long after the step before (of the first: after the first notification), in ms; `None`: as long as the severity says.
    pub after_ms: Option<i64>,
}

/// The step that is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// When, in ms since 1970 UTC.
    pub at_ms: i64,
    /// Which, counted from 1.
    pub step: usize,
    /// Who is to be told.
    pub receiver: String,
    /// Why.
    pub why: Why,
}

/// Why somebody else is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody acknowledged for so many ms.
    NotAcknowledged {
        /// Since the notification before.
        within_ms: i64,
    },
    /// Nobody could be told.
    NotDelivered {
        /// Who could not.
        receiver: String,
        /// Why not.
        reason: String,
    },
}

impl Escalation {
    /// The step that is due next, at once or later; `None` where there is none, or none is needed.
    ///
    /// The time begins with the first attempt to tell somebody: what is silenced, or waits for its group, wakes nobody
    /// else either. It begins anew when a signal comes that is worse than those before.
    pub fn next(&self, incident: &Incident) -> Option<Due> {
        if incident.state() != State::Open {
            return None;
        }
        let step = incident.escalations.iter().map(|told| told.step).max().unwrap_or(0);
        let Step { receiver, after_ms } = self.steps.get(step)?;
        let (_, limit_ms) = self.acknowledge_within_ms.iter().find(|(severity, _)| severity == incident.severity())?;
        let within_ms = after_ms.unwrap_or(*limit_ms);
        let told_ms = incident.escalations.iter().map(|told| told.at_ms).max();
        let since_ms = told_ms.or(incident.first_attempt_ms)?.max(incident.worst_since_ms());
        let due = |at_ms, why| Some(Due { at_ms, step: step + 1, receiver: receiver.clone(), why });
        match given_up(incident).filter(|_| step == 0) {
            Some((at_ms, why)) => due(at_ms, why),
            None => due(since_ms.saturating_add(within_ms), Why::NotAcknowledged { within_ms }),
        }
    }
}

/// When and why nobody could be told, if that is so.
fn given_up(incident: &Incident) -> Option<(i64, Why)> {
    if incident.first_notified_ms.is_some() {
        return None;
    }
    let delivery = incident.deliveries.iter().find(|delivery| delivery.result == DeliveryResult::GivenUp)?;
    let (receiver, reason) = (delivery.receiver.clone(), delivery.reason.clone());
    Some((delivery.at_ms, Why::NotDelivered { receiver, reason }))
}
