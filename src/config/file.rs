//! A settings file: its shape for serde, and how its mistakes are shown.
//!
//! Scalars are kept as they are written, with their place, so that a value out of range is shown like a mistake of syntax:
//!
//! ```text
//! query.timeout "5h": is outside its range, 100ms to 1h
//!  --> dozor.yml:2:12
//!   |
//! 2 |   timeout: 5h
//!   |            ^
//! ```

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::Deserialize;
use serde_saphyr::{Spanned, UserMessageFormatter};

pub(super) use super::incidents::Incidents;
use super::masked::{masked_line, masked_text};
pub(super) use super::retention::Retention;
use super::settings::{SETTINGS, url};
use super::units::{parse_count, parse_duration_ms};
use super::{Config, ConfigError, WebhookConfig, calendar, heartbeats, maintenance, shown};

/// A value as it is written, and where.
pub(super) type Scalar = Spanned<String>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) data_dir: Option<Scalar>,
    pub(super) listen: Option<Scalar>,
    pub(super) external_url: Option<Scalar>,
    pub(super) admin_api: Option<Scalar>,
    pub(super) cors_origin: Option<Scalar>,
    pub(super) retention: Option<Retention>,
    pub(super) retention_bytes: Option<Scalar>,
    pub(super) wal_sync: Option<Scalar>,
    pub(super) shards: Option<Scalar>,
    pub(super) enable_feature: Option<Scalar>,
    pub(super) head: Head,
    pub(super) limits: Limits,
    pub(super) pushgateway: Pushgateway,
    pub(super) query: Query,
    pub(super) snapshots: Snapshots,
    pub(super) detection: Detection,
    pub(super) evaluation: Evaluation,
    pub(super) otlp: Otlp,
    pub(super) statsd: Statsd,
    pub(super) notify: Notify,
    pub(super) incidents: Incidents,
    pub(super) telemetry: Telemetry,
    pub(super) heartbeat_out: HeartbeatOut,
    heartbeats: Vec<heartbeats::Entry>,
    rules: Vec<PathBuf>,
    webhooks: Vec<Webhook>,
    maintenance: Vec<maintenance::Entry>,
    alertmanagers: Vec<Alertmanager>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Head {
    pub(super) out_of_order_window: Option<Scalar>,
    pub(super) series_max: Option<Scalar>,
    pub(super) bytes_max: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) request_bytes_max: Option<Scalar>,
    pub(super) request_decoded_bytes_max: Option<Scalar>,
    pub(super) series_per_request_max: Option<Scalar>,
    pub(super) samples_per_request_max: Option<Scalar>,
    pub(super) connections_max: Option<Scalar>,
    pub(super) connections_per_address_max: Option<Scalar>,
    pub(super) head_timeout: Option<Scalar>,
    pub(super) body_timeout: Option<Scalar>,
    pub(super) body_rate_min: Option<Scalar>,
    pub(super) idle_timeout: Option<Scalar>,
    pub(super) body_bytes_in_flight_max: Option<Scalar>,
    pub(super) ingest_bytes_in_flight_max: Option<Scalar>,
    pub(super) labels_per_series_max: Option<Scalar>,
    pub(super) label_name_bytes_max: Option<Scalar>,
    pub(super) label_value_bytes_max: Option<Scalar>,
    pub(super) series_per_metric_max: Option<Scalar>,
    pub(super) series_per_job_max: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pushgateway {
    pub(super) ttl: Option<Scalar>,
    pub(super) resample_interval: Option<Scalar>,
    pub(super) groups_max: Option<Scalar>,
    pub(super) series_per_group_max: Option<Scalar>,
    pub(super) bytes_max: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Query {
    pub(super) timeout: Option<Scalar>,
    pub(super) samples_max: Option<Scalar>,
    pub(super) series_max: Option<Scalar>,
    pub(super) concurrency: Option<Scalar>,
    pub(super) lookback: Option<Scalar>,
    pub(super) cache_bytes: Option<Scalar>,
    pub(super) slow_log_threshold: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Snapshots {
    pub(super) interval: Option<Scalar>,
    pub(super) keep: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Detection {
    pub(super) lateness: Option<Scalar>,
    pub(super) drawn_groups_max: Option<Scalar>,
    pub(super) timezone: Option<Scalar>,
    pub(super) calendar: Vec<calendar::Entry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Evaluation {
    pub(super) interval: Option<Scalar>,
    pub(super) query_offset: Option<Scalar>,
    pub(super) outage_tolerance: Option<Scalar>,
    pub(super) grace_period: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Otlp {
    pub(super) promote_resource_attributes: Option<Scalar>,
    pub(super) scope_labels: Option<Scalar>,
    pub(super) delta_series_max: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Statsd {
    pub(super) listen: Option<Scalar>,
    pub(super) flush_interval: Option<Scalar>,
    pub(super) series_max: Option<Scalar>,
    pub(super) idle_timeout: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Notify {
    pub(super) routing_file: Option<Scalar>,
    pub(super) fallback_receiver: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Telemetry {
    pub(super) lost_after: Option<Scalar>,
    pub(super) unknown_max: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeartbeatOut {
    pub(super) url: Option<Scalar>,
    pub(super) url_file: Option<Scalar>,
    pub(super) interval: Option<Scalar>,
    pub(super) needs_samples: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhook {
    name: Option<Scalar>,
    url: Scalar,
    secret_file: Option<PathBuf>,
    secret_file_previous: Option<PathBuf>,
    template_file: Option<PathBuf>,
    max_alerts: Option<Scalar>,
    timeout: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alertmanager {
    url: Scalar,
}

/// Shortest and longest attempt to reach a webhook, in ms.
const TIMEOUT_MS: RangeInclusive<i64> = 100..=300_000;

/// Reads a settings file. Fails with a text for people that names the file, the line and the setting.
pub(super) fn read(name: &str, text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    if has_nothing_but_comments(text) {
        return Ok(config);
    }
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let options = serde_saphyr::render_options! { formatter: &UserMessageFormatter, source_name: Some(name) };
        masked_text(&error.render_with_options(options))
    })?;
    let show = |given: &Scalar, setting: &str, what: &str| Place::of(name, text, setting, given).show(what);
    for setting in SETTINGS {
        if let Some(given) = (setting.in_file)(&file) {
            setting.set(&mut config, &given.value).map_err(|what| show(given, setting.name, &what))?;
        }
    }
    if let Some(retention) = &file.retention {
        retention.read_list(&mut config, |given, setting| Place::of(name, text, setting, given))?;
    }
    calendar::read_list(&file.detection.calendar, &mut config.detection, |given, setting| {
        Place::of(name, text, setting, given)
    })?;
    if let (Some(given), Some(longest_ms)) = (&file.head.out_of_order_window, config.longest_retention_ms())
        && config.head.out_of_order_window_ms > longest_ms
    {
        return Err(show(given, "head.out_of_order_window", "is longer than the retention: raise that, or lower this"));
    }
    heartbeats::read_list(&file.heartbeats, &mut config, |given, setting| Place::of(name, text, setting, given))?;
    file.incidents.read_lists(&mut config.incidents, |given, setting, what| show(given, setting, &what))?;
    config.fit_window();
    config.webhooks = webhooks(file.webhooks, show)?;
    config.maintenance =
        maintenance::read_list(&file.maintenance, |given, setting| Place::of(name, text, setting, given))?;
    for alertmanager in file.alertmanagers {
        url(&alertmanager.url.value).map_err(|what| show(&alertmanager.url, "alertmanagers.url", &what))?;
        config.alertmanagers.push(alertmanager.url.value);
    }
    config.rules = file.rules;
    Ok(config)
}

/// To YAML such a file is "null", to its author it is a file that changes nothing.
fn has_nothing_but_comments(text: &str) -> bool {
    text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#'))
}

fn webhooks(given: Vec<Webhook>, show: impl Fn(&Scalar, &str, &str) -> String) -> Result<Vec<WebhookConfig>, String> {
    let mut names = HashSet::new();
    let mut webhooks = Vec::with_capacity(given.len());
    for (index, webhook) in given.into_iter().enumerate() {
        url(&webhook.url.value).map_err(|what| show(&webhook.url, "webhooks.url", &what))?;
        let name = webhook.name.as_ref().map_or_else(|| default_webhook_name(index), |name| name.value.clone());
        if !names.insert(name.clone()) {
            let place = webhook.name.as_ref().unwrap_or(&webhook.url);
            return Err(show(place, "webhooks.name", &format!("another webhook is called {name:?} already")));
        }
        if let (Some(given), None) = (&webhook.secret_file_previous, &webhook.secret_file) {
            let what = format!("has secret_file_previous {given:?} and no secret_file: name the new key's file");
            return Err(show(&webhook.url, "webhooks.url", &what));
        }
        let alerts_max = match &webhook.max_alerts {
            Some(given) => parse_count(&given.value).map_err(|what| show(given, "webhooks.max_alerts", &what))?,
            None => 0,
        };
        let timeout_ms = match &webhook.timeout {
            Some(given) => timeout_ms(&given.value).map_err(|what| show(given, "webhooks.timeout", &what))?,
            None => 0,
        };
        webhooks.push(WebhookConfig {
            name,
            url: webhook.url.value,
            secret_file: webhook.secret_file,
            secret_file_previous: webhook.secret_file_previous,
            template_file: webhook.template_file,
            alerts_max,
            timeout_ms,
        });
    }
    Ok(webhooks)
}

fn timeout_ms(text: &str) -> Result<i64, String> {
    let ms = parse_duration_ms(text)?;
    if TIMEOUT_MS.contains(&ms) { Ok(ms) } else { Err("is outside its range, 100ms to 5m".to_owned()) }
}

/// What a webhook without a name is called: by its place, counted from 1.
pub(super) fn default_webhook_name(index: usize) -> String {
    format!("webhook-{}", index + 1)
}

/// Where a value stands in a settings file, and the line itself, for whoever finds later that it is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    file: String,
    setting: String,
    value: String,
    line: u64,
    column: u64,
    source: String,
}

impl Place {
    pub(super) fn of(file: &str, text: &str, setting: &str, given: &Scalar) -> Place {
        let (line, column) = (given.referenced.line(), given.referenced.column());
        let source = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?)).unwrap_or("");
        let (file, setting, value) = (file.to_owned(), setting.to_owned(), given.value.clone());
        Place { file, setting, value, line, column, source: source.to_owned() }
    }

    /// The mistake `what` at this place: the setting, the value, the line with a caret under the value.
    pub fn mistake(&self, what: &str) -> ConfigError {
        ConfigError::InFile(self.show(what))
    }

    pub(super) fn show(&self, what: &str) -> String {
        let Place { file, setting, value, line, column, source } = self;
        let margin = " ".repeat(line.to_string().len());
        // Those that are called, not the one by which this server is.
        let is_secret = setting.ends_with("url") && setting != "external_url";
        let value = if is_secret { shown::no_address(value) } else { value.clone() };
        let source = masked_line(source, "");
        let caret = " ".repeat(usize::try_from(*column).map_or(0, |column| column.saturating_sub(1)));
        format!(
            "{setting} {value:?}: {what}\n{margin}--> {file}:{line}:{column}\n{margin} |\n{line} | {source}\n{margin} | {caret}^"
        )
    }
}
