//! A file of unit tests as it is written: promtool's format.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestFile {
    #[serde(default, deserialize_with = "or_default")]
    pub rule_files: Vec<String>,
    pub evaluation_interval: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub group_eval_order: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub tests: Vec<TestGroup>,
    #[serde(default, deserialize_with = "or_default")]
    pub fuzzy_compare: bool,
}

/// Input series and what is to come of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestGroup {
    pub name: Option<String>,
    pub interval: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub input_series: Vec<InputSeries>,
    #[serde(default, deserialize_with = "or_default")]
    pub alert_rule_test: Vec<AlertTest>,
    #[serde(default, deserialize_with = "or_default")]
    pub promql_expr_test: Vec<ExprTest>,
    #[serde(default, deserialize_with = "texts")]
    pub external_labels: BTreeMap<String, String>,
    pub external_url: Option<String>,
    pub start_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSeries {
    #[serde(default)]
    pub series: String,
    #[serde(default)]
    pub values: String,
}

/// Which alerts fire at a moment.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertTest {
    pub eval_time: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub alertname: String,
    #[serde(default, deserialize_with = "or_default")]
    pub exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedAlert {
    #[serde(default, deserialize_with = "texts")]
    pub exp_labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "texts")]
    pub exp_annotations: BTreeMap<String, String>,
}

/// What an expression is at a moment.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExprTest {
    #[serde(default, deserialize_with = "or_default")]
    pub expr: String,
    pub eval_time: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub exp_samples: Vec<ExpectedSample>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedSample {
    #[serde(default, deserialize_with = "or_default")]
    pub labels: String,
    #[serde(default, deserialize_with = "or_default")]
    pub value: f64,
    /// In place of the value.
    #[serde(default, deserialize_with = "or_default")]
    pub histogram: String,
}

/// A key without a value has the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// A name without a value has an empty one; what has no name is nothing.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let given: Option<BTreeMap<Option<String>, Option<String>>> = Option::deserialize(from)?;
    let named = given.into_iter().flatten();
    Ok(named.filter_map(|(name, text)| Some((name?, text.unwrap_or_default()))).collect())
}
