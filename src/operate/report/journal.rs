//! What a server tells of its incidents, as `/api/v1/incidents` has it. Everything may be missing: the report says less then.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// The `data` of the answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Journal {
    pub incidents: Vec<Incident>,
}

/// One incident. Times are ms since 1970 UTC.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Incident {
    pub id: String,
    /// `open`, `acknowledged`, `unknown` or `resolved`.
    pub state: String,
    pub title: String,
    pub severity: String,
    #[serde(deserialize_with = "moment_ms")]
    pub onset: Option<i64>,
    #[serde(deserialize_with = "moment_ms")]
    pub detected_at: Option<i64>,
    #[serde(deserialize_with = "moment_ms")]
    pub first_notified_at: Option<i64>,
    pub acknowledged: Option<Acknowledged>,
    #[serde(deserialize_with = "moment_ms")]
    pub resolved_at: Option<i64>,
    pub lag_seconds: Option<f64>,
    pub root: Root,
    pub signals: Vec<Signal>,
    pub runbook_url: Option<String>,
    pub notes: Vec<Note>,
    pub escalations: Vec<Escalation>,
    pub deliveries: Vec<Delivery>,
    /// Of all attempts, those that are not listed any more among them.
    pub delivery_counts: Option<DeliveryCounts>,
}

/// How attempts to tell somebody went.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeliveryCounts {
    pub failed: usize,
    pub given_up: usize,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Acknowledged {
    pub by: String,
    #[serde(deserialize_with = "moment_ms")]
    pub at: Option<i64>,
}

/// The signal that was probably the cause of the others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Root {
    pub alertname: String,
    pub labels: BTreeMap<String, String>,
}

/// Seconds since 1970, what a signal was worth, and what was expected.
pub(super) type ChartPoint = (f64, Option<f64>, Option<f64>);

/// An alert that belongs to it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Signal {
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "moment_ms")]
    pub starts_at: Option<i64>,
    #[serde(deserialize_with = "moment_ms")]
    pub ends_at: Option<i64>,
    /// Oldest first.
    pub chart: Vec<ChartPoint>,
}

/// What somebody wrote to it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    pub by: String,
    pub text: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Escalation {}

/// One attempt to tell a receiver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delivery {
    /// `delivered`, `failed` or `given up`.
    pub result: String,
}

/// RFC 3339, in ms since 1970 UTC. What is none is as if it were missing.
fn moment_ms<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_millisecond))
}

impl Incident {
    /// The alert that names its cause.
    pub(super) fn cause(&self) -> &str {
        if self.root.alertname.is_empty() { &self.title } else { &self.root.alertname }
    }

    /// Which thing it happened to: cause and root labels, without what changes from time to time.
    pub(super) fn place(&self) -> (String, Vec<(String, String)>) {
        let names = ["service", "job", "instance", "route", "page", "region", "provider", "area", "direction"];
        let labels = self.root.labels.iter().filter(|(name, _)| names.contains(&name.as_str()));
        (self.cause().to_owned(), labels.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Attempts to tell somebody that failed.
    pub(super) fn failed_deliveries_count(&self) -> usize {
        let listed = || self.deliveries.iter().filter(|delivery| delivery.result != WELL).count();
        self.delivery_counts.map_or_else(listed, |counts| counts.failed + counts.given_up)
    }
}

/// The result of an attempt that somebody was told by.
const WELL: &str = "delivered";
