//! What a server answers on `/api/v1/anomalies`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The answer, in Prometheus's envelope.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) data: Data,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Data {
    #[serde(default)]
    pub(super) anomalies: Vec<Anomaly>,
}

/// One anomaly that lasts, or that ended a short while ago.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Anomaly {
    pub(super) labels: BTreeMap<String, String>,
    /// `firing` or `resolved`.
    pub(super) state: String,
    /// `drop`, `rise`, `absent`, `limit` or `full`.
    pub(super) direction: String,
    /// Which model says so.
    pub(super) detector: String,
    pub(super) expr: String,
    /// Event time, in s since 1970.
    pub(super) onset: Option<f64>,
    pub(super) detected_at: Option<f64>,
    pub(super) ended_at: Option<f64>,
    pub(super) value: Option<f64>,
    pub(super) expected: Option<f64>,
    pub(super) lower: Option<f64>,
    pub(super) upper: Option<f64>,
    /// Evidence in nats, and how much of it alerts.
    pub(super) evidence: Option<f64>,
    pub(super) threshold: Option<f64>,
    /// Share of what there is to learn that was learned, 0 to 1.
    pub(super) learned: Option<f64>,
    /// Smallest drop that could be seen in three minutes at the present volume, as a fraction.
    pub(super) detectable_drop: Option<f64>,
    pub(super) lost: Option<Lost>,
    /// Time in s since 1970, value, expectation; oldest first.
    pub(super) line: Vec<(f64, Option<f64>, Option<f64>)>,
    /// The parts that it is made of, those that moved most first.
    pub(super) parts: Vec<Part>,
}

/// What did not come, or came too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Lost {
    pub(super) events: f64,
    /// In the currency of the rule's `price`.
    pub(super) money: Option<f64>,
}

/// A series or group underneath.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: Option<f64>,
    pub(super) expected: Option<f64>,
    /// Share of the whole deviation, 0 to 1.
    pub(super) share: f64,
}
