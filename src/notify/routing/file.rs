//! The file as it is written. Every key of Alertmanager 0.33 is known, so that a real file fails for what it asks for, not for
//! how it is spelled.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// A value as it is written, and where.
pub(super) type Scalar = Spanned<String>;
/// Something that we lack, and where it is asked for.
pub(super) type Lacking = Option<Spanned<IgnoredAny>>;
/// Conditions in the old way: a name and what its value is.
pub(super) type Pairs = BTreeMap<String, Scalar>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) global: Global,
    pub(super) route: Option<Spanned<Route>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) inhibit_rules: Vec<InhibitRule>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) receivers: Vec<Spanned<Receiver>>,
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

/// What the receivers share. What only those that we lack would use says nothing without them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Global {
    pub(super) resolve_timeout: Option<Scalar>,
    http_config: Option<IgnoredAny>,
    jira_api_url: Option<IgnoredAny>,
    mattermost_webhook_url: Option<IgnoredAny>,
    mattermost_webhook_url_file: Option<IgnoredAny>,
    opsgenie_api_key: Option<IgnoredAny>,
    opsgenie_api_key_file: Option<IgnoredAny>,
    opsgenie_api_url: Option<IgnoredAny>,
    pagerduty_url: Option<IgnoredAny>,
    rocketchat_api_url: Option<IgnoredAny>,
    rocketchat_token: Option<IgnoredAny>,
    rocketchat_token_file: Option<IgnoredAny>,
    rocketchat_token_id: Option<IgnoredAny>,
    rocketchat_token_id_file: Option<IgnoredAny>,
    slack_api_url: Option<IgnoredAny>,
    slack_api_url_file: Option<IgnoredAny>,
    slack_app_token: Option<IgnoredAny>,
    slack_app_token_file: Option<IgnoredAny>,
    slack_app_url: Option<IgnoredAny>,
    smtp_auth_identity: Option<IgnoredAny>,
    smtp_auth_password: Option<IgnoredAny>,
    smtp_auth_password_file: Option<IgnoredAny>,
    smtp_auth_secret: Option<IgnoredAny>,
    smtp_auth_secret_file: Option<IgnoredAny>,
    smtp_auth_username: Option<IgnoredAny>,
    smtp_force_implicit_tls: Option<IgnoredAny>,
    smtp_from: Option<IgnoredAny>,
    smtp_hello: Option<IgnoredAny>,
    smtp_require_tls: Option<IgnoredAny>,
    smtp_smarthost: Option<IgnoredAny>,
    smtp_tls_config: Option<IgnoredAny>,
    telegram_api_url: Option<IgnoredAny>,
    telegram_bot_token: Option<IgnoredAny>,
    telegram_bot_token_file: Option<IgnoredAny>,
    victorops_api_key: Option<IgnoredAny>,
    victorops_api_key_file: Option<IgnoredAny>,
    victorops_api_url: Option<IgnoredAny>,
    webex_api_url: Option<IgnoredAny>,
    wechat_api_corp_id: Option<IgnoredAny>,
    wechat_api_secret: Option<IgnoredAny>,
    wechat_api_secret_file: Option<IgnoredAny>,
    wechat_api_url: Option<IgnoredAny>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Receiver {
    pub(super) name: Option<Scalar>,
    #[serde(rename = "webhook_configs")]
    pub(super) _webhook: Option<IgnoredAny>,
    #[serde(rename = "pagerduty_configs")]
    pub(super) _pagerduty: Option<IgnoredAny>,
    #[serde(rename = "slack_configs")]
    pub(super) _slack: Option<IgnoredAny>,
    #[serde(rename = "telegram_configs")]
    pub(super) _telegram: Option<IgnoredAny>,
    pub(super) labels: Lacking,
    pub(super) discord_configs: Lacking,
    pub(super) email_configs: Lacking,
    pub(super) incidentio_configs: Lacking,
    pub(super) opsgenie_configs: Lacking,
    pub(super) wechat_configs: Lacking,
    pub(super) pushover_configs: Lacking,
    pub(super) victorops_configs: Lacking,
    pub(super) sns_configs: Lacking,
    pub(super) webex_configs: Lacking,
    pub(super) msteams_configs: Lacking,
    pub(super) msteamsv2_configs: Lacking,
    pub(super) jira_configs: Lacking,
    pub(super) rocketchat_configs: Lacking,
    pub(super) mattermost_configs: Lacking,
}
