//! The file as it is written. Every key of Alertmanager 0.33 is known, so that a real file fails for what it asks for, not for
//! how it is spelled.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::notify::receivers::{Global, ReceiverFile};

/// A value as it is written, and where.
pub(super) type Scalar = Spanned<String>;
/// Something that we lack, and where it is asked for.
pub(super) type Lacking = Option<Spanned<IgnoredAny>>;
/// Conditions in the old way: a name and what its value is.
pub(super) type Pairs = BTreeMap<String, Scalar>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) global: Option<Global>,
    pub(super) route: Option<Spanned<Route>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) inhibit_rules: Vec<InhibitRule>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) receivers: Vec<Spanned<ReceiverFile>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) templates: Vec<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) mute_time_intervals: Vec<Spanned<Interval>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) time_intervals: Vec<Spanned<Interval>>,
    pub(super) tracing: Lacking,
    pub(super) event_recorder: Lacking,
}

/// A key without a value says the same as no key.
pub(super) fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub(super) receiver: Option<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) group_by: Vec<Scalar>,
    #[serde(default, deserialize_with = "or_empty", rename = "match")]
    pub(super) equals: Pairs,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) match_re: Pairs,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) matchers: Vec<Scalar>,
    pub(super) group_wait: Option<Scalar>,
    pub(super) group_interval: Option<Scalar>,
    pub(super) repeat_interval: Option<Scalar>,
    #[serde(rename = "continue")]
    pub(super) continues: Option<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) mute_time_intervals: Vec<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) active_time_intervals: Vec<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) routes: Vec<Spanned<Route>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InhibitRule {
    #[serde(rename = "name")]
    pub(super) _name: Option<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) source_match: Pairs,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) source_match_re: Pairs,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) source_matchers: Vec<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) target_match: Pairs,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) target_match_re: Pairs,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) target_matchers: Vec<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) equal: Vec<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interval {
    pub(super) name: Option<Scalar>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) time_intervals: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    pub(super) times: Option<Vec<Spanned<Times>>>,
    pub(super) weekdays: Option<Vec<Scalar>>,
    pub(super) days_of_month: Option<Vec<Scalar>>,
    pub(super) months: Option<Vec<Scalar>>,
    pub(super) years: Option<Vec<Scalar>>,
    pub(super) location: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Times {
    pub(super) start_time: Option<Scalar>,
    pub(super) end_time: Option<Scalar>,
}

/// The file once more, for the one part of `global` that is not about receivers.
#[derive(Deserialize)]
pub(super) struct Timeouts {
    pub(super) global: Option<Timeout>,
}

#[derive(Deserialize)]
pub(super) struct Timeout {
    pub(super) resolve_timeout: Option<Scalar>,
}
