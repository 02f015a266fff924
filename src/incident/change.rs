//! What can happen to an incident, one thing at a time: each a record of the journal.
//!
//! Always true: the same change twice changes nothing the second time, but that attempts which are only counted are
//! counted twice; no list of an incident grows without end.

use serde::{Deserialize, Serialize};

use super::record::{Acknowledgement, Delivery, DeliveryResult, Escalated, Figures, Incident, Note, Signal};
use super::size::{self, Size};
use super::stored;
use crate::model::Labels;
use crate::notify::{Alert, AttemptResult, Event, SIGNALS_PER_INCIDENT_MAX, SilencedBy};

/// Attempts that an incident remembers one by one; the others are counted.
pub const DELIVERIES_COUNT_MAX: usize = 100;
/// Most notes of one incident.
pub const NOTES_COUNT_MAX: usize = 200;
/// Longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 4096;
/// Longest name of a person, in bytes.
pub const PERSON_BYTES_MAX: usize = 200;
/// Bytes of signals past which those that come are kept without annotations and with few labels.
pub const INCIDENT_BYTES_MAX: usize = 256 << 10;
/// Signals of one incident whose figures are kept.
const FIGURES_COUNT_MAX: usize = 50;
/// Longest reason of a delivery, and comment of a silence, in bytes.
const REASON_BYTES_MAX: usize = 500;
/// Labels that every signal keeps.
const KEPT_LABELS: [&str; 4] = ["alertname", "severity", "service", "step"];

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(super) enum Change {
    /// An alert fires.
    Began { signal: Box<Signal> },
    /// An alert ended.
    Ended {
        #[serde(serialize_with = "stored::write_digits", deserialize_with = "stored::read_digits")]
        fingerprint: u64,
        starts_at_ms: i64,
        ends_at_ms: i64,
    },
    /// What was seen of a signal was looked up.
    Figures {
        #[serde(serialize_with = "stored::write_digits", deserialize_with = "stored::read_digits")]
        fingerprint: u64,
        starts_at_ms: i64,
        figures: Figures,
    },
    /// A receiver was tried.
    Attempted { delivery: Delivery },
    /// Somebody takes it.
    Acknowledged { by: String },
    /// Somebody said something.
    Noted { by: String, text: String },
    /// Somebody else was told.
    Escalated { step: usize, receiver: String },
    /// The samples of a job are missing, of which a signal ended or will.
    Unknown { job: String },
    /// They are there again.
    Known { job: String },
    /// What a newer program wrote.
    #[serde(other)]
    Other,
}

/// A change, of which incident, and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) at_ms: i64,
    pub(super) change: Change,
}

/// What an event of the notifier means for incidents.
pub(super) fn entries_of(event: &Event) -> Vec<Entry> {
    match event {
        Event::Transition { alert, incident, at_ms, silenced_by } => {
            let change = transition(alert, *at_ms, silenced_by.as_ref());
            vec![Entry { id: incident.clone(), at_ms: *at_ms, change }]
        }
        Event::Attempt { id, receiver, incidents, at_ms, result } => {
            let (result, reason) = match result {
                AttemptResult::Delivered { http_status } => (DeliveryResult::Delivered, http_status.to_string()),
                AttemptResult::Failed { reason } => (DeliveryResult::Failed, cut(reason, REASON_BYTES_MAX)),
                AttemptResult::GivenUp { reason } => (DeliveryResult::GivenUp, cut(reason, REASON_BYTES_MAX)),
            };
            let delivery = Delivery { at_ms: *at_ms, receiver: receiver.clone(), id: id.clone(), result, reason };
            let entry = |incident: &String| {
                let change = Change::Attempted { delivery: delivery.clone() };
                Entry { id: incident.clone(), at_ms: *at_ms, change }
            };
            incidents.iter().map(entry).collect()
        }
    }
}

/// What an alert that begins, be it held back, or ends means.
pub(super) fn transition(alert: &Alert, at_ms: i64, silenced_by: Option<&SilencedBy>) -> Change {
    let fingerprint = alert.fingerprint();
    match alert.ends_at_ms {
        None => Change::Began {
            signal: Box::new(Signal {
                alert: alert.clone(),
                fingerprint,
                taken_ms: at_ms,
                figures: None,
                silenced_by: silenced_by.map(shortened),
            }),
        },
        Some(ends_at_ms) => Change::Ended { fingerprint, starts_at_ms: alert.starts_at_ms, ends_at_ms },
    }
}

impl Change {
    /// Makes the change, if it is one, of an incident of this size.
    pub(super) fn apply(self, incident: &mut Incident, at_ms: i64, size: &mut Size) {
        incident.changed_ms = incident.changed_ms.max(at_ms);
        match self {
            Change::Began { signal } => begin(incident, *signal, size),
            Change::Ended { fingerprint, starts_at_ms, ends_at_ms } => {
                if let Some(signal) = signal_of(incident, fingerprint, starts_at_ms) {
                    signal.alert.ends_at_ms.get_or_insert(ends_at_ms);
                }
            }
            Change::Figures { fingerprint, starts_at_ms, figures } => {
                let known_count = incident.signals.iter().filter(|signal| signal.figures.is_some()).count();
                if let Some(signal) = signal_of(incident, fingerprint, starts_at_ms)
                    && (signal.figures.is_some() || known_count < FIGURES_COUNT_MAX)
                {
                    size.replace_figures(signal.figures.as_ref(), &figures);
                    signal.figures = Some(figures);
                }
            }
            Change::Attempted { delivery } => attempt(incident, delivery, size),
            Change::Acknowledged { by } => {
                if incident.acknowledgement().is_none() {
                    incident.acknowledged = Some(Acknowledgement { by, at_ms });
                }
            }
            Change::Noted { by, text } => {
                let note = Note { at_ms, by, text };
                if incident.notes.len() < NOTES_COUNT_MAX && !incident.notes.contains(&note) {
                    size.add_note(&note);
                    incident.notes.push(note);
                }
            }
            Change::Escalated { step, receiver } => {
                if !incident.escalations.iter().any(|told| told.step == step) {
                    incident.escalations.push(Escalated { at_ms, step, receiver });
                }
            }
            Change::Unknown { job } => drop(incident.unknown_jobs.insert(job)),
            Change::Known { job } => drop(incident.unknown_jobs.remove(&job)),
            Change::Other => {}
        }
    }
}

fn signal_of(incident: &mut Incident, fingerprint: u64, starts_at_ms: i64) -> Option<&mut Signal> {
    let is_meant =
        |signal: &&mut Signal| signal.fingerprint == fingerprint && signal.alert.starts_at_ms == starts_at_ms;
    incident.signals.iter_mut().rev().find(is_meant)
}

fn begin(incident: &mut Incident, mut signal: Signal, size: &mut Size) {
    if incident.signals.len() >= 2 * SIGNALS_PER_INCIDENT_MAX
        || signal_of(incident, signal.fingerprint, signal.alert.starts_at_ms).is_some()
    {
        return;
    }
    if size.signal_text_bytes + size::text_bytes(&signal) > INCIDENT_BYTES_MAX {
        signal.alert = slim(&signal.alert);
        if let Some(silenced_by) = &mut signal.silenced_by {
            (silenced_by.created_by, silenced_by.comment) = (String::new(), String::new());
        }
    }
    size.add_signal(&signal);
    incident.signals.push(signal);
}

fn shortened(silenced_by: &SilencedBy) -> SilencedBy {
    let text = |text: &str| cut(text, REASON_BYTES_MAX);
    let SilencedBy { id, created_by, comment } = silenced_by;
    SilencedBy { id: text(id), created_by: text(created_by), comment: text(comment) }
}

/// The alert with what must be known of it.
fn slim(alert: &Alert) -> Alert {
    let label = |name| Some((name, cut(alert.labels.get(name)?, 64)));
    let labels = Labels::from_pairs(KEPT_LABELS.into_iter().filter_map(label));
    Alert {
        labels: labels.expect("some short labels of a label set are a label set"),
        annotations: Vec::new(),
        generator_url: String::new(),
        ..*alert
    }
}

fn attempt(incident: &mut Incident, delivery: Delivery, size: &mut Size) {
    if incident.deliveries.contains(&delivery) {
        return;
    }
    incident.first_attempt_ms.get_or_insert(delivery.at_ms);
    match delivery.result {
        DeliveryResult::Delivered => {
            incident.first_notified_ms.get_or_insert(delivery.at_ms);
            incident.delivered_count += 1;
        }
        DeliveryResult::Failed => incident.failed_count += 1,
        DeliveryResult::GivenUp => incident.given_up_count += 1,
    }
    if incident.deliveries.len() < DELIVERIES_COUNT_MAX {
        size.add_delivery(&delivery);
        incident.deliveries.push(delivery);
    }
}

/// As much of a text as may be.
pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}
