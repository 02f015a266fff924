//! The webhook's body: Alertmanager's JSON, version 4.
//!
//! ```json
//! {"receiver":"pager","status":"firing",
//!  "alerts":[{"status":"firing","labels":{"alertname":"OrderRateDrop"},"annotations":{"summary":"Orders fell"},
//!             "startsAt":"2026-03-01T12:00:00.000Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://…",
//!             "fingerprint":"8d3c…"}],
//!  "groupLabels":{"alertname":"OrderRateDrop"},"commonLabels":{"alertname":"OrderRateDrop"},
//!  "commonAnnotations":{"summary":"Orders fell"},"externalURL":"http://dozor.example",
//!  "version":"4","groupKey":"{}:{alertname=\"OrderRateDrop\"}","truncatedAlerts":0}
//! ```
//!
//! Behind it, in a key `dozor`, stands what Alertmanager does not say: the incidents that the alerts belong to, when the
//! newest of it happened and how long ago that was when the message was made.
//!
//! Always true: the same message gives the same bytes, so a retry says what the first attempt said. Where nothing is grouped, an
//! alert is its own group, which is what Alertmanager does with `group_by: ['...']`.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::alert::{Alert, Status};
use super::message::{Message, MessageAlert};
use crate::model::Labels;

/// What Alertmanager writes for "has not ended": the zero time of Go.
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";
/// From the year 1, the first that RFC 3339 can write, to the end of jiff's time, a day before the year 10000.
const WRITABLE_MS: (i64, i64) = (-62_135_596_800_000, 253_402_207_200_000);

/// Renders a message. `receiver` stands in it as it is given; a `note` says what is wrong with what was asked for.
pub(crate) fn body_of(message: &Message, receiver: &str, external_url: &str, note: Option<&str>) -> Vec<u8> {
    let (common_labels, common_annotations) = (message.common_labels(), message.common_annotations());
    let body = Body {
        receiver,
        status: status_word(message.status()),
        alerts: message.alerts.iter().map(|one| one_alert(&one.alert)).collect(),
        group_labels: Pairs::of_labels(&message.group_labels),
        common_labels: Pairs::of_labels(&common_labels),
        common_annotations: Pairs::of_annotations(&common_annotations),
        external_url,
        version: "4",
        group_key: &message.group_key,
        truncated_alerts: message.truncated_count,
        dozor: ours(message, note),
    };
    serde_json::to_vec(&body).expect("maps with string keys, strings and numbers are always JSON")
}

fn one_alert(alert: &Alert) -> OneAlert<'_> {
    OneAlert {
        status: status_word(alert.status()),
        labels: Pairs::of_labels(&alert.labels),
        annotations: Pairs::of_annotations(&alert.annotations),
        starts_at: rfc3339(alert.starts_at_ms),
        ends_at: alert.ends_at_ms.map_or_else(|| NOT_ENDED.to_owned(), rfc3339),
        generator_url: &alert.generator_url,
        fingerprint: format!("{:016x}", alert.fingerprint()),
    }
}

/// What Alertmanager does not say; nothing where there is nothing to say.
fn ours<'a>(message: &'a Message, note: Option<&'a str>) -> Option<Ours<'a>> {
    let incident_of = |one: &'a MessageAlert| Some(one.incident.as_str()).filter(|incident| !incident.is_empty());
    let mut incidents: Vec<&str> = message.alerts.iter().filter_map(incident_of).collect();
    incidents.sort_unstable();
    incidents.dedup();
    if incidents.is_empty() && note.is_none() {
        return None;
    }
    let changed_ms = |one: &MessageAlert| one.alert.ends_at_ms.unwrap_or(one.alert.starts_at_ms);
    let newest_ms = message.alerts.iter().map(changed_ms).max().unwrap_or(message.made_at_ms);
    Some(Ours {
        id: &message.id,
        made_at: rfc3339(message.made_at_ms),
        event_at: rfc3339(newest_ms),
        lag_seconds: message.made_at_ms.saturating_sub(newest_ms) as f64 / 1000.0,
        incidents,
        note,
    })
}

/// A message that says of itself that it is a test: one alert, firing or resolved.
pub(crate) fn sample_message(receiver: &str, now_ms: i64, is_resolved: bool) -> Message {
    let pairs = [("alertname", "DozorTest"), ("service", "shop"), ("severity", "info")];
    let labels = Labels::from_pairs(pairs).expect("these are labels");
    let alert = Alert {
        labels: labels.clone(),
        annotations: vec![
            (
                "description".to_owned(),
                "Nothing is wrong: somebody asked Dozor whether this receiver can be told.".to_owned(),
            ),
            ("summary".to_owned(), "A test of this receiver".to_owned()),
        ],
        starts_at_ms: now_ms,
        ends_at_ms: is_resolved.then(|| now_ms.saturating_add(1)),
        generator_url: String::new(),
    };
    let group_labels = Labels::from_pairs([pairs[0]]).expect("this is a label");
    Message {
        id: format!("test-{}", alert.transition_id()),
        receiver: receiver.to_owned(),
        group_key: group_key(&group_labels),
        group_labels,
        alerts: vec![MessageAlert { alert, incident: "test".to_owned() }],
        truncated_count: 0,
        made_at_ms: now_ms,
        is_joint: false,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: Vec<OneAlert<'a>>,
    group_labels: Pairs<'a>,
    common_labels: Pairs<'a>,
    common_annotations: Pairs<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dozor: Option<Ours<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneAlert<'a> {
    status: &'static str,
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ours<'a> {
    /// The same on every attempt.
    id: &'a str,
    made_at: String,
    /// When the newest of what it tells happened.
    event_at: String,
    /// From then until it was made.
    lag_seconds: f64,
    incidents: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// Written as a JSON object in the order given.
struct Pairs<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Pairs<'a> {
    fn of_labels(labels: &'a Labels) -> Pairs<'a> {
        Pairs(labels.iter().collect())
    }

    fn of_annotations(annotations: &'a [(String, String)]) -> Pairs<'a> {
        Pairs(annotations.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect())
    }
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    }
}

/// A moment, in ms since 1970 UTC, as RFC 3339 with milliseconds; what lies outside of years -9999 to 9999 is moved in.
pub fn rfc3339(time_ms: i64) -> String {
    let time_ms = time_ms.clamp(WRITABLE_MS.0, WRITABLE_MS.1);
    let time = Timestamp::from_millisecond(time_ms).expect("WRITABLE_MS lies within jiff's time");
    format!("{time:.3}")
}

/// The route's matchers (there is one route, without any) and the group's labels, as Alertmanager prints them.
pub(crate) fn group_key(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{}}:{{{}}}", pairs.join(", "))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
