//! A rule file as it is written. Every key of Prometheus is known, so that a real file fails for what it means, not for
//! how it is spelled.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::detect::SignalClass;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default, deserialize_with = "or_empty")]
    pub groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub name: Spanned<String>,
    #[serde(default)]
    pub interval: Option<Spanned<String>>,
    #[serde(default)]
    pub query_offset: Option<Spanned<String>>,
    #[serde(default)]
    pub limit: Option<i64>,
    #[serde(default, deserialize_with = "or_empty")]
    pub labels: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub rules: Vec<Spanned<Rule>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub alert: Option<Spanned<String>>,
    pub record: Option<Spanned<String>>,
    pub expr: Spanned<String>,
    #[serde(rename = "for")]
    pub hold: Option<Spanned<String>>,
    pub keep_firing_for: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub labels: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub annotations: BTreeMap<String, Spanned<String>>,
    pub anomaly: Option<Anomaly>,
}

/// A key without a value says the same as no key.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Anomaly {
    pub direction: Option<Spanned<Way>>,
    pub class: Option<Spanned<SignalClass>>,
    pub false_alerts_per_series_week: Option<Spanned<f64>>,
    pub min_change: Option<Spanned<f64>>,
    pub min_volume: Option<Spanned<f64>>,
    pub timezone: Option<Spanned<String>>,
    pub limit: Option<Spanned<Limit>>,
    pub full: Option<Spanned<Full>>,
    pub price: Option<Spanned<f64>>,
}

/// Which way something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    Drop,
    Rise,
    Both,
    Absent,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    pub above: Option<f64>,
    pub below: Option<f64>,
    #[serde(rename = "for")]
    pub hold: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Full {
    pub at: Spanned<At>,
    pub within: Spanned<String>,
}

/// A number, or the word `now`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum At {
    Number(f64),
    Word(String),
}
