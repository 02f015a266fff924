//! A rule file as it is written. Every key of Prometheus is known, so that a real file fails for what it means, not for
//! how it is spelled.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::detect::SignalClass;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default, deserialize_with = "listed")]
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
    #[serde(default, deserialize_with = "whole")]
    pub limit: i64,
    #[serde(default, deserialize_with = "texts")]
    pub labels: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "listed")]
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
    #[serde(default, deserialize_with = "texts")]
    pub labels: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "texts")]
    pub annotations: BTreeMap<String, Spanned<String>>,
    pub anomaly: Option<Anomaly>,
}

/// A key without a value says the same as no key, an entry without one the same as no entry.
fn listed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let given: Option<Vec<Option<T>>> = Option::deserialize(from)?;
    Ok(given.into_iter().flatten().flatten().collect())
}

/// A name without a value has an empty one; what has no name is nothing.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Spanned<String>>, D::Error> {
    let given: Option<BTreeMap<Option<String>, Spanned<Option<String>>>> = Option::deserialize(from)?;
    let named = given.into_iter().flatten().filter_map(|(name, text)| {
        let Spanned { value, referenced, defined } = text;
        Some((name?, Spanned { value: value.unwrap_or_default(), referenced, defined }))
    });
    Ok(named.collect())
}

/// A number without quotes, of which the fraction is dropped, as Prometheus's reader does it.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    from.deserialize_any(Whole)
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number without quotes")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::custom(format!("{number} is more than {}", i64::MAX)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i64, E> {
        // A NaN is not less than anything.
        if number < i64::MAX as f64 { Ok(number as i64) } else { Err(E::custom(format!("{number} is no count"))) }
    }

    fn visit_unit<E: de::Error>(self) -> Result<i64, E> {
        Ok(0)
    }
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
