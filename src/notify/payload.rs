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
//! Always true: the same message gives the same bytes, so a retry says what the first attempt said.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::alert::{Alert, Status};
use super::message::Message;
use crate::model::Labels;

/// What Alertmanager writes for "has not ended": the zero time of Go.
const NOT_ENDED: &str = "0001-01-01T00:00:00Z";
/// From the year 1, the first that RFC 3339 can write, to the end of jiff's time, a day before the year 10000.
const WRITABLE_MS: (i64, i64) = (-62_135_596_800_000, 253_402_207_200_000);

/// Renders what a receiver is told.
pub(crate) fn render(message: &Message, external_url: &str) -> Vec<u8> {
    let (common_labels, common_annotations) = (message.common_labels(), message.common_annotations());
    let body = Body {
        receiver: &message.receiver,
        status: status_word(message.status()),
        alerts: message.alerts.iter().map(|one| one_alert(&one.alert)).collect(),
        group_labels: Pairs(message.group_labels.iter().collect()),
        common_labels: Pairs(common_labels.iter().collect()),
        common_annotations: texts(&common_annotations),
        external_url,
        version: "4",
        group_key: &message.group_key,
        truncated_alerts: message.truncated_count,
    };
    serde_json::to_vec(&body).expect("maps with string keys, strings and numbers are always JSON")
}

fn one_alert(alert: &Alert) -> OneAlert<'_> {
    OneAlert {
        status: status_word(alert.status()),
        labels: Pairs(alert.labels.iter().collect()),
        annotations: texts(&alert.annotations),
        starts_at: rfc3339(alert.starts_at_ms),
        ends_at: alert.ends_at_ms.map_or_else(|| NOT_ENDED.to_owned(), rfc3339),
        generator_url: &alert.generator_url,
        fingerprint: format!("{:016x}", alert.fingerprint()),
    }
}

fn texts(annotations: &[(String, String)]) -> Pairs<'_> {
    Pairs(annotations.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect())
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

/// Written as a JSON object in the order given.
struct Pairs<'a>(Vec<(&'a str, &'a str)>);

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
