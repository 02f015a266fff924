//! How an alert and a fingerprint stand in a record's JSON.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Labels;
use crate::notify::Alert;

#[derive(Serialize, Deserialize)]
struct StoredAlert {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: Vec<(String, String)>,
    starts_at_ms: i64,
    #[serde(default)]
    ends_at_ms: Option<i64>,
    #[serde(default)]
    generator_url: String,
}

/// Writes an alert, for serde's `serialize_with`.
pub(super) fn write_alert<S: Serializer>(alert: &Alert, serializer: S) -> Result<S::Ok, S::Error> {
    let labels = alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let Alert { annotations, starts_at_ms, ends_at_ms, generator_url, .. } = alert.clone();
    StoredAlert { labels, annotations, starts_at_ms, ends_at_ms, generator_url }.serialize(serializer)
}

/// Reads an alert, for serde's `deserialize_with`.
pub(super) fn read_alert<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Alert, D::Error> {
    let StoredAlert { labels, annotations, starts_at_ms, ends_at_ms, generator_url } =
        StoredAlert::deserialize(deserializer)?;
    let labels = Labels::from_pairs(labels).map_err(D::Error::custom)?;
    Ok(Alert { labels, annotations, starts_at_ms, ends_at_ms, generator_url })
}

/// Writes 64 bits as sixteen digits, for serde's `serialize_with`: other readers of JSON have no such numbers.
pub(super) fn write_digits<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{number:016x}"))
}

/// Reads sixteen digits, for serde's `deserialize_with`.
pub(super) fn read_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let digits = String::deserialize(deserializer)?;
    u64::from_str_radix(&digits, 16).map_err(D::Error::custom)
}
