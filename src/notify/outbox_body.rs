//! The ledger's records as payloads of the outbox's file (`storage-format`, chapter *outbox*), and back.
//!
//! An alert stands in a body as JSON, in Alertmanager's names. What is sent is made from it for each receiver.
//!
//! ```json
//! {"labels":{…},"annotations":{…},"generatorURL":"…","receivers":["pager"],"incident":"inc-1"}
//! {"groupLabels":{…},"truncated":0,"alerts":[{"labels":{…},…,"startsAt":1772366400000,"endsAt":null,"incident":"inc-1"}]}
//! {"groupLabels":{},"truncated":0,"joint":true,"alerts":[…]}
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::frame::FileKind;
use storage_format::outbox as format;

use super::alert::{Alert, Status};
use super::ledger::{Outcome, Record, Verdict};
use super::message::{Message, MessageAlert};
use super::owed::Notification;
use super::told::Told;
use crate::journal;
use crate::model::Labels;

#[derive(Serialize, Deserialize)]
struct TransitionBody {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    receivers: Vec<String>,
    #[serde(default)]
    incident: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    joint: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageBody {
    group_labels: BTreeMap<String, String>,
    truncated: u64,
    /// Left out where it is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    joint: bool,
    alerts: Vec<AlertBody>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlertBody {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    starts_at: i64,
    ends_at: Option<i64>,
    incident: String,
}

impl journal::Record for Record {
    const FILE_KIND: FileKind = FileKind::Outbox;
    const EXTENSION: &'static str = ".outbox";
    const JOURNAL: &'static str = "the outbox";

    fn encode(&self, payload: &mut Vec<u8>) -> u8 {
        match self {
            Record::Notification(notification) => {
                encode_notification(notification, payload);
                format::KIND_NOTIFICATION
            }
            Record::Outcome(outcome) => encode_outcome(outcome, payload),
            Record::Message(message, told) => {
                encode_message(message, told.as_ref(), payload);
                format::KIND_MESSAGE
            }
            Record::Told(told) => {
                told_format(told).encode(payload);
                format::KIND_TOLD
            }
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Record, String> {
        let corrupt = |corruption: storage_format::Corruption| format!("its payload {corruption}");
        match kind {
            format::KIND_NOTIFICATION => decode_notification(&format::Notification::decode(payload).map_err(corrupt)?),
            format::KIND_DELIVERED => {
                let format::Delivered { id, receiver_index, receiver, at_ms, http_status } =
                    format::Delivered::decode(payload).map_err(corrupt)?;
                let verdict = Verdict::Delivered { receiver_index, http_status };
                Ok(Record::Outcome(Outcome { id: id.to_owned(), receiver: receiver.to_owned(), at_ms, verdict }))
            }
            format::KIND_GIVEN_UP => {
                let format::GivenUp { id, receiver, at_ms, reason } =
                    format::GivenUp::decode(payload).map_err(corrupt)?;
                let verdict = Verdict::GivenUp { reason: reason.to_owned() };
                Ok(Record::Outcome(Outcome { id: id.to_owned(), receiver: receiver.to_owned(), at_ms, verdict }))
            }
            format::KIND_MESSAGE => decode_message(format::Message::decode(payload).map_err(corrupt)?),
            format::KIND_TOLD => Ok(Record::Told(told_of(format::Told::decode(payload).map_err(corrupt)?))),
            _ => Err(format!("{kind} is no kind of outbox record")),
        }
    }
}

fn map<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn encode_notification(notification: &Notification, payload: &mut Vec<u8>) {
    let alert = &notification.alert;
    let body = TransitionBody {
        labels: map(alert.labels.iter()),
        annotations: alert.annotations.iter().cloned().collect(),
        generator_url: alert.generator_url.clone(),
        receivers: notification.receivers.clone(),
        incident: Some(notification.incident.clone()),
        joint: notification.joint.clone(),
    };
    let record = format::Notification {
        id: &notification.id,
        fingerprint: alert.fingerprint(),
        status: match alert.status() {
            Status::Firing => format::Status::Firing,
            Status::Resolved => format::Status::Resolved,
        },
        starts_at_ms: alert.starts_at_ms,
        ends_at_ms: alert.ends_at_ms.unwrap_or(0),
        created_ms: notification.enqueued_at_ms,
        body: &serde_json::to_string(&body).expect("maps of strings are always JSON"),
    };
    record.encode(payload);
}

fn encode_outcome(outcome: &Outcome, payload: &mut Vec<u8>) -> u8 {
    let (id, receiver, at_ms) = (outcome.id.as_str(), outcome.receiver.as_str(), outcome.at_ms);
    match &outcome.verdict {
        Verdict::Delivered { receiver_index, http_status } => {
            let (receiver_index, http_status) = (*receiver_index, *http_status);
            format::Delivered { id, receiver_index, receiver, at_ms, http_status }.encode(payload);
            format::KIND_DELIVERED
        }
        Verdict::GivenUp { reason } => {
            format::GivenUp { id, receiver, at_ms, reason }.encode(payload);
            format::KIND_GIVEN_UP
        }
    }
}

fn encode_message(message: &Message, told: Option<&Told>, payload: &mut Vec<u8>) {
    let alert = |one: &MessageAlert| AlertBody {
        labels: map(one.alert.labels.iter()),
        annotations: one.alert.annotations.iter().cloned().collect(),
        generator_url: one.alert.generator_url.clone(),
        starts_at: one.alert.starts_at_ms,
        ends_at: one.alert.ends_at_ms,
        incident: one.incident.clone(),
    };
    let body = MessageBody {
        group_labels: map(message.group_labels.iter()),
        truncated: message.truncated_count,
        joint: message.is_joint,
        alerts: message.alerts.iter().map(alert).collect(),
    };
    let unsaid = format::Told {
        id: &message.id,
        receiver: &message.receiver,
        group_key: &message.group_key,
        at_ms: message.made_at_ms,
        sequence: 0,
        expires_ms: 0,
        firing: Vec::new(),
        resolved: Vec::new(),
    };
    let told = told.map_or(unsaid, told_format);
    let body = serde_json::to_string(&body).expect("maps of strings and numbers are always JSON");
    format::Message { told, body: &body }.encode(payload);
}

fn told_format(told: &Told) -> format::Told<'_> {
    format::Told {
        id: &told.id,
        receiver: &told.receiver,
        group_key: &told.group_key,
        at_ms: told.at_ms,
        sequence: told.sequence,
        expires_ms: told.expires_at_ms,
        firing: told.firing.clone(),
        resolved: told.resolved.clone(),
    }
}

fn decode_notification(record: &format::Notification<'_>) -> Result<Record, String> {
    let body: TransitionBody = json(record.body)?;
    let alert = Alert {
        labels: labels(&body.labels)?,
        annotations: body.annotations.into_iter().collect(),
        starts_at_ms: record.starts_at_ms,
        ends_at_ms: (record.status == format::Status::Resolved).then_some(record.ends_at_ms),
        generator_url: body.generator_url,
    };
    if alert.fingerprint() != record.fingerprint {
        return Err("its labels are not those of its fingerprint".to_owned());
    }
    // Files of before incidents were named: each alert is its own.
    let own = || format!("inc-{:016x}-{}", record.fingerprint, record.starts_at_ms);
    Ok(Record::Notification(Arc::new(Notification {
        id: record.id.to_owned(),
        incident: body.incident.unwrap_or_else(own),
        alert,
        enqueued_at_ms: record.created_ms,
        receivers: body.receivers,
        joint: body.joint,
    })))
}

fn decode_message(record: format::Message<'_>) -> Result<Record, String> {
    let body: MessageBody = json(record.body)?;
    let alert = |one: AlertBody| {
        let alert = Alert {
            labels: labels(&one.labels)?,
            annotations: one.annotations.into_iter().collect(),
            starts_at_ms: one.starts_at,
            ends_at_ms: one.ends_at,
            generator_url: one.generator_url,
        };
        Ok::<_, String>(MessageAlert { alert, incident: one.incident })
    };
    let message = Message {
        id: record.told.id.to_owned(),
        receiver: record.told.receiver.to_owned(),
        group_key: record.told.group_key.to_owned(),
        group_labels: labels(&body.group_labels)?,
        alerts: body.alerts.into_iter().map(alert).collect::<Result<_, _>>()?,
        truncated_count: body.truncated,
        made_at_ms: record.told.at_ms,
        is_joint: body.joint,
    };
    if message.alerts.is_empty() {
        return Err("it is a message without an alert".to_owned());
    }
    let told = (record.told.sequence > 0).then(|| told_of(record.told));
    Ok(Record::Message(Arc::new(message), told))
}

fn told_of(told: format::Told<'_>) -> Told {
    Told {
        id: told.id.to_owned(),
        receiver: told.receiver.to_owned(),
        group_key: told.group_key.to_owned(),
        at_ms: told.at_ms,
        sequence: told.sequence,
        expires_at_ms: told.expires_ms,
        firing: told.firing,
        resolved: told.resolved,
    }
}

fn json<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| format!("its body is not ours: {error}"))
}

fn labels(pairs: &BTreeMap<String, String>) -> Result<Labels, String> {
    Labels::from_pairs(pairs).map_err(|error| format!("its labels: {error}"))
}
