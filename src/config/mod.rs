//! Settings: from a YAML file, then from flags, which win.
//!
//! ```
//! use dozor::config::{Config, ServeArgs};
//! let config = Config::from_yaml("dozor.yml", "retention: 30d\nquery: { timeout: 1m }\n").unwrap();
//! assert_eq!(config.retention_ms, 30 * 24 * 60 * 60 * 1000);
//! assert_eq!(config.query.timeout_ms, 60_000);
//! assert_eq!(config.listen, "127.0.0.1:9090"); // what is not said keeps its default
//! ```
//!
//! Every setting is one row of the table in `settings.rs`: name, default, range, meaning. The rows are what a file is
//! checked against, where the defaults come from, and what [`documented`] prints.
//!
//! Always true:
//! 1. A [`Config`] that exists is valid: every number lies in its range, every address has a port, every name is unique.
//! 2. A key that is not in the table is an error that shows its line.
//! 3. What [`documented`] prints, read back, is [`Config::default`].
//!
//! Deliberately absent: environment variables. What a server runs with stands in its file and its flags; of what changes
//! in the file while it runs it takes over a part ([`Config::reloaded`]).

mod calendar;
mod changes;
mod cron;
mod file;
mod flags;
mod heartbeats;
mod incidents;
mod maintenance;
mod masked;
mod retention;
mod settings;
mod shown;
mod units;
mod zone;

use std::path::PathBuf;

pub use calendar::{CALENDAR_SPANS_MAX, CalendarKind, CalendarSpan, LocalMoment};
pub use cron::Cron;
pub use file::Place;
pub use flags::ServeArgs;
pub use heartbeats::{HEARTBEATS_COUNT_MAX, HeartbeatConfig, HeartbeatDue, is_job_name};
pub use maintenance::{MAINTENANCE_WINDOWS_MAX, MaintenanceWindow, Written};
pub(crate) use masked::{masked_line, without_login};
pub use retention::RetentionConfig;
pub use settings::documented;
pub use units::{duration_text, parse_bytes, parse_duration_ms};
pub(crate) use zone::changes;
pub use zone::time_zone;

/// All settings of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Folder of the log, the blocks, the outbox and the detectors' state.
    pub data_dir: PathBuf,
    /// `HOST:PORT` to listen on. Port 0 takes a free one.
    pub listen: String,
    /// How people reach this server, for links in notifications. Empty: `http://` and the address that is listened on.
    pub external_url: String,
    /// Who may give orders by HTTP.
    pub admin_api: AdminApi,
    /// Web pages of which origins may read the API from a browser: a regular expression, not looked at here.
    pub cors_origin: String,
    /// Samples older than this may be deleted, in ms, unless a rule says otherwise. 0 keeps everything.
    pub retention_ms: i64,
    /// For which series the age is another one; the first that matches says it.
    pub retention_rules: Vec<RetentionConfig>,
    /// Bytes of blocks past which the oldest may be deleted. 0: no limit.
    pub retention_bytes: u64,
    /// What an acknowledgement waits for.
    pub wal_sync: WalSync,
    /// Number of head shards. 0: by the number of cores.
    pub shards: u64,
    /// Names of Prometheus's `--enable-feature`, as they were given.
    pub features: Vec<String>,
    /// What is kept in memory.
    pub head: HeadConfig,
    /// What one client may send.
    pub limits: LimitsConfig,
    /// What jobs push that end before anybody could scrape them.
    pub pushgateway: PushgatewayConfig,
    /// What one query may cost.
    pub query: QueryConfig,
    /// Snapshots that are taken by themselves.
    pub snapshots: SnapshotsConfig,
    /// How the stream is watched.
    pub detection: DetectionConfig,
    /// How rules are evaluated.
    pub evaluation: EvaluationConfig,
    /// How OpenTelemetry's metrics are translated.
    pub otlp: OtlpConfig,
    /// Lines of StatsD.
    pub statsd: StatsdConfig,
    /// Who is told of what.
    pub notify: NotifyConfig,
    /// What is one incident, and who is told when nobody takes it.
    pub incidents: IncidentsConfig,
    /// Telemetry that ceases to come.
    pub telemetry: TelemetryConfig,
    /// Jobs that report by themselves.
    pub heartbeats: Vec<HeartbeatConfig>,
    /// The sign of life that this server gives.
    pub heartbeat_out: HeartbeatOutConfig,
    /// Rule files.
    pub rules: Vec<PathBuf>,
    /// Where notifications go.
    pub webhooks: Vec<WebhookConfig>,
    /// When some alerts are held back.
    pub maintenance: Vec<MaintenanceWindow>,
    /// Addresses of Alertmanagers that are told of everything that fires, again and again.
    pub alertmanagers: Vec<String>,
}

/// What is kept in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadConfig {
    /// How long a sample may come behind the newest one of its series, in ms; at most the longest retention.
    pub out_of_order_window_ms: i64,
    /// Most series at a time. 0: by the machine's memory.
    pub series_max: u64,
    /// Most memory for samples not yet in blocks. 0: a quarter of the machine's.
    pub bytes_max: u64,
}

/// What one client may send.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitsConfig {
    /// Longest request body as it comes over the wire.
    pub request_bytes_max: u64,
    /// Longest request body after decompression.
    pub request_decoded_bytes_max: u64,
    /// Most series in one write.
    pub series_per_request_max: u64,
    /// Most samples in one write.
    pub samples_per_request_max: u64,
    /// Most connections at a time.
    pub connections_max: u64,
    /// Most connections from one address, loopback apart.
    pub connections_per_address_max: u64,
    /// Longest time between the first byte of a head and its last, in ms.
    pub head_timeout_ms: i64,
    /// Longest time that a body may take to arrive, in ms.
    pub body_timeout_ms: i64,
    /// Least bytes a second at which a body arrives. 0: any.
    pub body_rate_min: u64,
    /// Longest time without a request on an open connection, in ms.
    pub idle_timeout_ms: i64,
    /// Most bytes of all bodies in memory. 0: by the machine's memory.
    pub body_bytes_in_flight_max: u64,
    /// Most bytes of all writes under way, inflated and as rows. 0: by the machine's memory.
    pub ingest_bytes_in_flight_max: u64,
    /// Most labels of a series.
    pub labels_per_series_max: u64,
    /// Longest name of a label, in bytes.
    pub label_name_bytes_max: u64,
    /// Longest value of a label, in bytes.
    pub label_value_bytes_max: u64,
    /// Most series in memory of one metric. 0: a fifth of `head.series_max`.
    pub series_per_metric_max: u64,
    /// Most series in memory of one job. 0: half of `head.series_max`.
    pub series_per_job_max: u64,
}

/// What jobs push that end before anybody could scrape them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PushgatewayConfig {
    /// How long a group lives that does not say so itself, in ms after its last push. 0: until it is deleted.
    pub ttl_ms: i64,
    /// How often its samples are stored again, in ms.
    pub resample_interval_ms: i64,
    /// Most groups.
    pub groups_max: u64,
    /// Most series of one group.
    pub series_per_group_max: u64,
    /// Most bytes of all groups on disk.
    pub bytes_max: u64,
}

/// What one query may cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryConfig {
    /// Longest time that a query may run, in ms.
    pub timeout_ms: i64,
    /// Most samples that one query may read.
    pub samples_max: u64,
    /// Most series that one selector may match.
    pub series_max: u64,
    /// Most queries that run at a time. 0: twice the number of cores.
    pub concurrency: u64,
    /// How far back an instant selector looks for a sample, in ms.
    pub lookback_ms: i64,
    /// Bytes of answers that are kept, as numbers and as they were sent.
    pub cache_bytes: u64,
    /// From which duration on a query is told in the log, in ms. 0: none is.
    pub slow_log_threshold_ms: i64,
}

impl QueryConfig {
    /// The bytes of kept answers that are for those kept as they were sent.
    pub fn text_cache_bytes(&self) -> u64 {
        self.cache_bytes / 3
    }

    /// The bytes of kept answers that are for their numbers.
    pub fn answer_cache_bytes(&self) -> u64 {
        self.cache_bytes - self.text_cache_bytes()
    }
}

/// Snapshots that are taken by themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotsConfig {
    /// Time between two, in ms. 0: none.
    pub interval_ms: i64,
    /// How many stay.
    pub keep: u64,
}

/// How the stream is watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectionConfig {
    /// How late a sample may be and still be judged with its own bucket, in ms of event time, unless two intervals of its
    /// series are more. None: that is learned for each job.
    pub lateness_ms: Option<i64>,
    /// Groups whose expectation is written back for drawing; 0 is none.
    pub drawn_groups_max: u64,
    /// Name of the time zone by which the shop lives; [`time_zone`] knows it.
    pub timezone: String,
    /// Days that are not like others.
    pub calendar: Vec<CalendarSpan>,
}

/// How rules are evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvaluationConfig {
    /// How often groups are evaluated that do not say it, in ms.
    pub interval_ms: i64,
    /// How far back rules look whose group does not say it, in ms.
    pub query_offset_ms: i64,
    /// Longest time without this server behind which pending alerts go on, in ms.
    pub outage_tolerance_ms: i64,
    /// Least time that pending alerts have to wait behind a restart, in ms.
    pub grace_period_ms: i64,
}

/// How OpenTelemetry's metrics are translated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Attributes of resources that become labels of every series.
    pub promote_resource_attributes: Vec<String>,
    /// Whether every series tells the scope that made it.
    pub scope_labels: bool,
    /// Most stored series whose deltas are added up.
    pub delta_series_max: u64,
}

/// Lines of StatsD.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatsdConfig {
    /// `HOST:PORT` to take them at, by UDP and TCP. Empty: none are taken.
    pub listen: String,
    /// Time between two flushes, in ms.
    pub flush_interval_ms: i64,
    /// Most series at a time.
    pub series_max: u64,
    /// How long a series stays without lines, in ms.
    pub idle_timeout_ms: i64,
}

/// Who is told of what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotifyConfig {
    /// Alertmanager's configuration file, by which alerts are grouped and told. Empty: all webhooks are told of each.
    pub routing_file: PathBuf,
    /// The receiver that is told what could not be told to another one. Empty: none.
    pub fallback_receiver: String,
}

/// What is one incident, and who is told when nobody takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentsConfig {
    /// How far from a signal of an incident another one may begin, in ms.
    pub fold_window_ms: i64,
    /// How long after its end an alert goes back to its incident, in ms.
    pub reopen_within_ms: i64,
    /// Labels of which the signals of an incident have one value at most.
    pub apart_by: Vec<String>,
    /// Labels of which one in common makes signals one incident.
    pub fold_by: Vec<String>,
    /// The steps of a customer through the shop, in order.
    pub critical_path: Vec<String>,
    /// How long a resolved incident is kept, in ms.
    pub retention_ms: i64,
    /// Severities, each with how long nobody need acknowledge it, in ms. Others are not escalated.
    pub acknowledge_within_ms: Vec<(String, i64)>,
    /// Who is told then, one after the other.
    pub escalation: Vec<EscalationStep>,
}

/// Somebody who is told when nobody acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationStep {
    /// Name of a receiver.
    pub receiver: String,
    /// How long after the one before, in ms; `None`: as long as the severity says.
    pub after_ms: Option<i64>,
}

/// Telemetry that ceases to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// How long a job is silent before it is told, in ms.
    pub lost_after_ms: i64,
    /// How long an alert is kept of whose data nothing is known, in ms.
    pub unknown_max_ms: i64,
}

/// The sign of life that this server gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeartbeatOutConfig {
    /// What is asked for while all is well. Empty: nothing, or what stands in the file.
    pub url: String,
    /// File with the address. Empty: none.
    pub url_file: PathBuf,
    /// How often, in ms.
    pub interval_ms: i64,
    /// Whether all is well only while samples come.
    pub needs_samples: bool,
}

/// One receiver of notifications.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookConfig {
    /// How metrics and the outbox call it; unique.
    pub name: String,
    /// `http://` or `https://`.
    pub url: String,
    /// File whose content signs every request.
    pub secret_file: Option<PathBuf>,
    /// File with the key that signed until now, and signs as well while receivers learn the new one.
    pub secret_file_previous: Option<PathBuf>,
    /// File with a body of the operator's own, in minijinja's language.
    pub template_file: Option<PathBuf>,
    /// Most alerts in one message. 0: all.
    pub alerts_max: u64,
    /// Longest attempt, in ms. 0: as long as usual.
    pub timeout_ms: i64,
}

/// Whether orders are taken at `/api/v1/admin/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdminApi {
    /// While `listen` is a loopback address.
    #[default]
    Auto,
    /// By whoever can reach the server.
    On,
    /// Never.
    Off,
}

/// What an acknowledgement waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WalSync {
    /// A finished sync that covers the record: a power cut loses nothing acknowledged.
    #[default]
    Always,
    /// The record handed to the system, which is synced once in so many ms: a power cut loses at most that much.
    Interval {
        /// Time between syncs, 1 to 60,000 ms.
        interval_ms: u64,
    },
    /// The record handed to the system, which writes it when it likes.
    Os,
}

/// A setting that cannot be used. The operator must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the settings file {path}: {what}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        what: String,
    },
    /// Something in the file; the text names the file and line and shows the line.
    #[error("{0}")]
    InFile(String),
    /// Something on the command line.
    #[error("{flag} {value:?}: {what}")]
    InFlag {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Default for Config {
    fn default() -> Config {
        settings::defaults()
    }
}

impl Config {
    /// Reads the file that the flags name, if they name one, and lets the flags win.
    pub fn load(args: &ServeArgs) -> Result<Config, ConfigError> {
        let mut config = match &args.config {
            None => Config::default(),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ConfigError::Unreadable { path: name.clone(), what: error.to_string() })?;
                Config::from_yaml(&name, &text)?
            }
        };
        args.apply(&mut config)?;
        config.fit_window();
        Ok(config)
    }

    /// Reads settings from YAML text; `name` is what errors call the file.
    pub fn from_yaml(name: &str, text: &str) -> Result<Config, ConfigError> {
        file::read(name, text).map_err(|what| ConfigError::InFile(what.trim_start_matches("error: ").to_owned()))
    }

    /// The longest time for which any sample is kept, in ms; `None` where some are kept for ever.
    pub fn longest_retention_ms(&self) -> Option<i64> {
        let all = self.retention_rules.iter().map(|rule| rule.keep_ms).chain([self.retention_ms]);
        let mut longest_ms = 0;
        for keep_ms in all {
            if keep_ms == 0 {
                return None;
            }
            longest_ms = longest_ms.max(keep_ms);
        }
        Some(longest_ms)
    }

    /// A window that nobody asked for is not in the way of a short retention.
    fn fit_window(&mut self) {
        if let Some(longest_ms) = self.longest_retention_ms() {
            self.head.out_of_order_window_ms = self.head.out_of_order_window_ms.min(longest_ms);
        }
    }
}

#[cfg(test)]
mod tests;
