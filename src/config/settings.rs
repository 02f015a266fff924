//! The table of settings: the one place where a setting's name, default, range and meaning stand.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::file::{File, Retention, Scalar};
use super::units::{
    parse_admin_api, parse_bytes, parse_count, parse_duration_ms, parse_names, parse_switch, parse_wal_sync,
};
use super::zone::time_zone;
use super::{
    AdminApi, Config, DetectionConfig, EvaluationConfig, HeadConfig, HeartbeatOutConfig, IncidentsConfig, LimitsConfig,
    NotifyConfig, OtlpConfig, PushgatewayConfig, QueryConfig, SnapshotsConfig, StatsdConfig, TelemetryConfig, WalSync,
};

/// One setting that is a single value.
pub(super) struct Setting {
    /// Section and name: `query.timeout`.
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    /// Smallest and largest value, both allowed, written like the value; `None` where the reader says what is allowed.
    pub(super) range: Option<(&'static str, &'static str)>,
    about: &'static str,
    /// Finds what a file says about it.
    pub(super) in_file: fn(&File) -> Option<&Scalar>,
    /// Finds where its value is kept.
    pub(super) slot: fn(&mut Config) -> Slot<'_>,
}

/// Where a value is kept, and by that how it is written.
#[derive(PartialEq)]
pub(super) enum Slot<'a> {
    Duration(&'a mut i64),
    LearnedDuration(&'a mut Option<i64>),
    Bytes(&'a mut u64),
    Count(&'a mut u64),
    Folder(&'a mut PathBuf),
    OptionalFile(&'a mut PathBuf),
    OptionalName(&'a mut String),
    Address(&'a mut String),
    OptionalAddress(&'a mut String),
    Url(&'a mut String),
    SecretUrl(&'a mut String),
    Pattern(&'a mut String),
    Zone(&'a mut String),
    WalSync(&'a mut WalSync),
    AdminApi(&'a mut AdminApi),
    Names(&'a mut Vec<String>),
    Switch(&'a mut bool),
}

/// The duration that is not given but learned.
pub(super) const LEARNED: &str = "auto";

/// What people look for in vain when it is in `target_info` alone.
const PROMOTED_ATTRIBUTES: &str = "service.name, service.namespace, service.instance.id, deployment.environment, \
                                   deployment.environment.name, k8s.namespace.name, k8s.pod.name, host.name";

/// What tells that alerts belong together, of those of the pack `shop` and of the labels that most exporters have.
const FOLD_BY: &str = "region, warehouse, provider, carrier, system, service, job, instance, route";
const APART_BY: &str = "region, cluster, namespace, warehouse, provider, carrier, system";
const CRITICAL_PATH: &str = "search, cart, checkout, payment, message|notification, delivery";

macro_rules! setting {
    ($name:literal, $default:expr, $range:expr, $slot:ident($($field:ident).+ <- $($key:ident).+), $about:literal) => {
        Setting {
            name: $name,
            default: $default,
            range: $range,
            about: $about,
            in_file: |file| file.$($key).+.as_ref(),
            slot: |config| Slot::$slot(&mut config.$($field).+),
        }
    };
}

#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting!("data_dir", "./data", None, Folder(data_dir <- data_dir),
        "Folder of the log, the blocks, the outbox and the detectors' state. One server at a time."),
    setting!("listen", "127.0.0.1:9090", None, Address(listen <- listen),
        "HOST:PORT to serve on. There is no authentication: do not open it to networks you do not trust."),
    setting!("external_url", "", None, Url(external_url <- external_url),
        "How people reach this server, for links in notifications. Empty: the address above."),
    setting!("admin_api", "auto", None, AdminApi(admin_api <- admin_api),
        "Whether /api/v1/admin/ takes orders, among them to delete: on, off, or auto, which is on while `listen` is a loopback address. A proxy in front must not pass it on to strangers."),
    setting!("cors_origin", ".*", None, Pattern(cors_origin <- cors_origin),
        "Web pages of which origins may read the API from a browser: a regular expression for the whole of it, as Prometheus's --web.cors.origin. Empty: of none. Writes and orders are not theirs."),
    Setting {
        name: "retention",
        default: "15d",
        range: Some(("0", "100y")),
        about: "Samples older than this are deleted. 0 keeps everything. Or a list, see `retention` below.",
        in_file: |file| file.retention.as_ref().and_then(Retention::single),
        slot: |config| Slot::Duration(&mut config.retention_ms),
    },
    setting!("retention_bytes", "0", Some(("0", "1024TiB")), Bytes(retention_bytes <- retention_bytes),
        "Most bytes of blocks; past it the oldest is deleted. 0: no limit."),
    setting!("wal_sync", "always", None, WalSync(wal_sync <- wal_sync),
        "What an acknowledgement waits for: always (a finished sync), interval:<ms>, or os."),
    setting!("shards", "0", Some(("0", "255")), Count(shards <- shards),
        "Shards of the head, each with a thread. 0: by the number of cores."),

    setting!("enable_feature", "", None, Names(features <- enable_feature),
        "What of Prometheus's --enable-feature is not on anyway, with commas between: promql-delayed-name-removal. Names that mean nothing here are told in the log."),

    setting!("head.out_of_order_window", "1h", Some(("0", "100y")), Duration(head.out_of_order_window_ms <- head.out_of_order_window),
        "How long a sample may come behind the newest one of its series. At most the retention."),
    setting!("head.series_max", "0", Some(("0", "1000000000")), Count(head.series_max <- head.series_max),
        "Most series in memory; a new one past it is refused. 0: by the machine's memory."),
    setting!("head.bytes_max", "0", Some(("0", "1TiB")), Bytes(head.bytes_max <- head.bytes_max),
        "Most memory for samples not yet in blocks; past it blocks are cut early. 0: a quarter of the machine's."),

    setting!("limits.request_bytes_max", "16MiB", Some(("1KiB", "1GiB")), Bytes(limits.request_bytes_max <- limits.request_bytes_max),
        "Longest request body as it is sent, that is compressed."),
    setting!("limits.request_decoded_bytes_max", "32MiB", Some(("1KiB", "1GiB")), Bytes(limits.request_decoded_bytes_max <- limits.request_decoded_bytes_max),
        "Longest request body after decompression."),
    setting!("limits.series_per_request_max", "100000", Some(("1", "10000000")), Count(limits.series_per_request_max <- limits.series_per_request_max),
        "Most series in one write."),
    setting!("limits.samples_per_request_max", "1000000", Some(("1", "100000000")), Count(limits.samples_per_request_max <- limits.samples_per_request_max),
        "Most samples in one write."),
    setting!("limits.connections_max", "4096", Some(("1", "100000")), Count(limits.connections_max <- limits.connections_max),
        "Most connections at a time; one past it is answered 503 and closed."),
    setting!("limits.connections_per_address_max", "1024", Some(("1", "100000")), Count(limits.connections_per_address_max <- limits.connections_per_address_max),
        "Most connections from one address (of IPv6, from one /64); loopback is not counted, for it may be a proxy."),
    setting!("limits.head_timeout", "10s", Some(("100ms", "1h")), Duration(limits.head_timeout_ms <- limits.head_timeout),
        "Longest time between the first byte of a request's head and its last."),
    setting!("limits.body_timeout", "30s", Some(("100ms", "1h")), Duration(limits.body_timeout_ms <- limits.body_timeout),
        "Longest time that a request's body may take to arrive."),
    setting!("limits.body_rate_min", "1KiB", Some(("0", "1GiB")), Bytes(limits.body_rate_min <- limits.body_rate_min),
        "Least bytes a second at which a body arrives, after five seconds of patience. 0: as slow as it likes."),
    setting!("limits.idle_timeout", "1m", Some(("100ms", "1d")), Duration(limits.idle_timeout_ms <- limits.idle_timeout),
        "Longest time without a request on an open connection."),
    setting!("limits.body_bytes_in_flight_max", "0", Some(("0", "1TiB")), Bytes(limits.body_bytes_in_flight_max <- limits.body_bytes_in_flight_max),
        "Most bytes that all request bodies in memory take together, as sent; past it 503. 0: by the machine's memory."),
    setting!("limits.ingest_bytes_in_flight_max", "0", Some(("0", "1TiB")), Bytes(limits.ingest_bytes_in_flight_max <- limits.ingest_bytes_in_flight_max),
        "Most bytes that all writes under way take together, inflated and as rows; past it 503. 0: by the machine's memory."),
    setting!("limits.labels_per_series_max", "64", Some(("1", "64")), Count(limits.labels_per_series_max <- limits.labels_per_series_max),
        "Most labels of a series, its name included; a series with more is refused alone."),
    setting!("limits.label_name_bytes_max", "1KiB", Some(("1B", "1KiB")), Bytes(limits.label_name_bytes_max <- limits.label_name_bytes_max),
        "Longest name of a label."),
    setting!("limits.label_value_bytes_max", "4KiB", Some(("1B", "4KiB")), Bytes(limits.label_value_bytes_max <- limits.label_value_bytes_max),
        "Longest value of a label."),
    setting!("limits.series_per_metric_max", "0", Some(("0", "1000000000")), Count(limits.series_per_metric_max <- limits.series_per_metric_max),
        "Most series in memory of one metric; those past it are summed into one with the label __overflow__. 0: a fifth of head.series_max."),
    setting!("limits.series_per_job_max", "0", Some(("0", "1000000000")), Count(limits.series_per_job_max <- limits.series_per_job_max),
        "The same for the series with one value of the label job. 0: half of head.series_max."),

    setting!("pushgateway.ttl", "0", Some(("0", "100y")), Duration(pushgateway.ttl_ms <- pushgateway.ttl),
        "How long what was pushed to /metrics/job/… lives after its last push, if that does not say so itself. 0: until it is deleted."),
    setting!("pushgateway.resample_interval", "30s", Some(("1s", "1h")), Duration(pushgateway.resample_interval_ms <- pushgateway.resample_interval),
        "How often it is stored again meanwhile. Instant queries lose sight of it when this is longer than query.lookback."),
    setting!("pushgateway.groups_max", "10000", Some(("0", "1000000")), Count(pushgateway.groups_max <- pushgateway.groups_max),
        "Most groups, that is sets of labels in addresses; a push of a new one past it is answered 503."),
    setting!("pushgateway.series_per_group_max", "10000", Some(("2", "1000000")), Count(pushgateway.series_per_group_max <- pushgateway.series_per_group_max),
        "Most series of one group, the two that tell of its pushes included."),
    setting!("pushgateway.bytes_max", "64MiB", Some(("1KiB", "16GiB")), Bytes(pushgateway.bytes_max <- pushgateway.bytes_max),
        "Most bytes of all groups on disk; in memory they take a few times as much."),

    setting!("query.timeout", "30s", Some(("100ms", "1h")), Duration(query.timeout_ms <- query.timeout),
        "Longest time that a query may run. A client may ask for less, not for more."),
    setting!("query.samples_max", "50000000", Some(("1000", "10000000000")), Count(query.samples_max <- query.samples_max),
        "Most samples that one query may read."),
    setting!("query.series_max", "300000", Some(("1", "100000000")), Count(query.series_max <- query.series_max),
        "Most series that one selector may match."),
    setting!("query.concurrency", "0", Some(("0", "1024")), Count(query.concurrency <- query.concurrency),
        "Most queries that run at a time; others wait up to 10 s. 0: twice the number of cores."),
    setting!("query.cache_bytes", "48MiB", Some(("0", "1TiB")), Bytes(query.cache_bytes <- query.cache_bytes),
        "Bytes of answers to range queries that are kept, so that only their last steps are computed when they are asked for again. 0: none."),
    setting!("query.lookback", "5m", Some(("1s", "1d")), Duration(query.lookback_ms <- query.lookback),
        "How far back an instant selector looks for a sample."),
    setting!("query.slow_log_threshold", "5s", Some(("0", "1h")), Duration(query.slow_log_threshold_ms <- query.slow_log_threshold),
        "A query that takes this long is told in the log, with its dashboard where Grafana asked. 0: none is."),

    setting!("snapshots.interval", "0", Some(("0", "1y")), Duration(snapshots.interval_ms <- snapshots.interval),
        "How often a snapshot is taken by itself, into data_dir/snapshots. 0: only on request."),
    setting!("snapshots.keep", "24", Some(("1", "1000")), Count(snapshots.keep <- snapshots.keep),
        "How many of those stay; the oldest goes when a newer one is complete. Those taken on request stay until you remove them."),

    setting!("detection.lateness", "auto", Some(("0", "1h")), LearnedDuration(detection.lateness_ms <- detection.lateness),
        "How late a sample may come, in event time, and still be judged with its own bucket. auto: as its job has been seen to, with half as much again, 5s to 5m, and 30s before ten minutes of the job are known."),
    setting!("detection.drawn_groups_max", "2000", Some(("0", "1000000")), Count(detection.drawn_groups_max <- detection.drawn_groups_max),
        "Groups whose expectation is written back for drawing, as anomaly_expected, anomaly_lower, anomaly_upper, anomaly_score and anomaly_active. 0: none."),
    setting!("detection.timezone", "UTC", None, Zone(detection.timezone <- detection.timezone),
        "Time zone by which the shop's customers live, like Europe/Berlin: seasons follow its clock, and so does the calendar. A rule may name its own."),

    setting!("evaluation.interval", "1m", Some(("100ms", "1d")), Duration(evaluation.interval_ms <- evaluation.interval),
        "How often groups of rules are evaluated that do not say it, as Prometheus's global evaluation_interval."),
    setting!("evaluation.query_offset", "0", Some(("0", "1d")), Duration(evaluation.query_offset_ms <- evaluation.query_offset),
        "How far back rules look whose group does not say it, for samples that come late, as Prometheus's rule_query_offset."),
    setting!("evaluation.outage_tolerance", "1h", Some(("0", "1y")), Duration(evaluation.outage_tolerance_ms <- evaluation.outage_tolerance),
        "Longest time without this server behind which pending alerts go on, as --rules.alert.for-outage-tolerance."),
    setting!("evaluation.grace_period", "10m", Some(("0", "1d")), Duration(evaluation.grace_period_ms <- evaluation.grace_period),
        "Least time that pending alerts whose `for` is as long have to wait behind a restart, as --rules.alert.for-grace-period."),

    setting!("otlp.promote_resource_attributes", PROMOTED_ATTRIBUTES, None, Names(otlp.promote_resource_attributes <- otlp.promote_resource_attributes),
        "Attributes of OpenTelemetry's resources that become labels of every series; all of them are in target_info too. Names with commas between."),
    setting!("otlp.scope_labels", "off", None, Switch(otlp.scope_labels <- otlp.scope_labels),
        "Whether every series tells the instrumentation scope that made it, in labels otel_scope_name, otel_scope_version and so on: on or off."),
    setting!("otlp.delta_series_max", "100000", Some(("0", "10000000")), Count(otlp.delta_series_max <- otlp.delta_series_max),
        "Most series whose deltas are added up, in memory; of a histogram each bucket is one. Deltas of more are refused."),

    setting!("statsd.listen", "", None, OptionalAddress(statsd.listen <- statsd.listen),
        "HOST:PORT to take StatsD at, by UDP and TCP, such as 127.0.0.1:8125. Anybody who reaches it can write. Empty: none is taken."),
    setting!("statsd.flush_interval", "10s", Some(("100ms", "1h")), Duration(statsd.flush_interval_ms <- statsd.flush_interval),
        "How often what StatsD brought is stored. Queries look back query.lookback: keep this well below."),
    setting!("statsd.series_max", "10000", Some(("1", "10000000")), Count(statsd.series_max <- statsd.series_max),
        "Most series of StatsD (name, type, tags) at a time; lines of further ones are refused and counted. A timer is stored as 17 series."),
    setting!("statsd.idle_timeout", "1h", Some(("1s", "1y")), Duration(statsd.idle_timeout_ms <- statsd.idle_timeout),
        "How long a series stays without lines; then it ends, and a counter that comes again begins at zero."),

    setting!("notify.routing_file", "", None, OptionalFile(notify.routing_file <- notify.routing_file),
        "An alertmanager.yml: alerts are grouped by its routes and told to its receivers; `webhooks` are told only what is meant for them by name, as the fallback. It is read again with the rules. Empty: every webhook is told of every alert, at once."),
    setting!("notify.fallback_receiver", "", None, OptionalName(notify.fallback_receiver <- notify.fallback_receiver),
        "Name of the receiver that is told what could not be told to another one, and why. Empty: nobody is; `dozor dead-letters list` has it."),

    setting!("incidents.fold_window", "5m", Some(("1s", "1d")), Duration(incidents.fold_window_ms <- incidents.fold_window),
        "Alerts that begin this close to one of an incident belong to it, if they have something in common with it; for twelve such times behind its first one."),
    setting!("incidents.fold_by", FOLD_BY, None, Names(incidents.fold_by <- incidents.fold_by),
        "Labels of which one with the same value is something in common. Both being steps of the critical path is another thing."),
    setting!("incidents.apart_by", APART_BY, None, Names(incidents.apart_by <- incidents.apart_by),
        "Labels that part alerts whatever they have in common: two regions are two incidents."),
    setting!("incidents.critical_path", CRITICAL_PATH, None, Names(incidents.critical_path <- incidents.critical_path),
        "The way of a customer through the shop: values of the label step, or else service, with | between names of the same step. Of what began within a minute the earliest step is taken for the cause."),
    setting!("incidents.reopen_within", "10m", Some(("0", "7d")), Duration(incidents.reopen_within_ms <- incidents.reopen_within),
        "An alert that fires again so soon after it ended goes on with its incident."),
    setting!("incidents.retention", "400d", Some(("1d", "100y")), Duration(incidents.retention_ms <- incidents.retention),
        "How long a resolved incident is kept, for `dozor report`."),

    setting!("telemetry.lost_after", "5m", Some(("5s", "7d")), Duration(telemetry.lost_after_ms <- telemetry.lost_after),
        "How long nothing comes of a job that sent regularly before TelemetryLost is told, once for all its series; at least three times its interval."),
    setting!("telemetry.unknown_max", "12h", Some(("1s", "30d")), Duration(telemetry.unknown_max_ms <- telemetry.unknown_max),
        "How long an alert on its data is kept meanwhile that would have resolved because there are no data."),

    setting!("heartbeat_out.url", "", None, SecretUrl(heartbeat_out.url <- heartbeat_out.url),
        "What is asked for by POST while all is well, so that somebody else notices when this server is not. Empty: nothing."),
    setting!("heartbeat_out.url_file", "", None, OptionalFile(heartbeat_out.url_file <- heartbeat_out.url_file),
        "File with that address, for addresses that are secrets."),
    setting!("heartbeat_out.interval", "1m", Some(("1s", "1d")), Duration(heartbeat_out.interval_ms <- heartbeat_out.interval),
        "How often."),
    setting!("heartbeat_out.needs_samples", "off", None, Switch(heartbeat_out.needs_samples <- heartbeat_out.needs_samples),
        "Whether all is well only while samples come, be it seldom: on or off."),
];

/// The settings that are lists, as a file writes them, with an example.
const LISTS: &str = "\
# retention: duration as above, or list. The first entry whose `match` a series satisfies says how long its samples
# are kept; one without `match` is for all others, which without it are kept for 15d.
# retention:
#   - { match: '{job=\"debug\"}', keep: 3d }
#   - { keep: 90d }

# heartbeats: list, at most 1000. Default: none.
# Jobs that report by themselves: POST or GET /api/v1/heartbeat/<job>, with ?status=fail, ?exit_code=1 or ?duration=90s if
# they like. Who does not report is told as HeartbeatMissed, a failure as HeartbeatFailed. `every` is the time between
# reports; `schedule` is five fields of crontab, by `timezone`, or detection.timezone; `max_age` and `metric` are for
# what tells its last success as a series, in seconds since 1970. `grace` is how late it may be: half of `every`, at most
# 30m; 30m behind a `schedule`; 0 for `max_age`.
# heartbeats:
#   - { job: stock-export, every: 15m }
#   - { job: nightly-report, schedule: '30 3 * * 1-5', timezone: Europe/Berlin, grace: 1h, severity: critical }
#   - { job: backup-db1, max_age: 26h, metric: 'backup_last_success_timestamp_seconds{instance=\"db1\"}' }
heartbeats: []

# rules: list of files. Default: none.
# Rule files in Prometheus's format, and with `anomaly:` blocks; a name may have * and ? in it, as in rules/*.yml.
# The list and the files are read again at SIGHUP and POST /-/reload. `pack:` names rules that are in the binary: `dozor pack list`.
# rules:
#   - pack:shop
#   - rules/shop.yml
rules: []

# webhooks: list. Default: none.
# Who is told. Everything but `url` is optional. `secret_file` holds the key that signs requests; while it is changed,
# `secret_file_previous` signs as well. `template_file` is a body in minijinja's language, over the keys of the usual one; it
# must come to JSON. `max_alerts` of one message, 0 for all; `timeout` of one attempt, 100ms to 5m. Without a routing file each
# alert is told at once and by itself; when more wait than a slow receiver can be told so, they are told together, up to 500
# (with a template, only where `max_alerts` says how many).
# The list and the files are read again by a reload. What a webhook is owed goes by its name: one of another name is another
# webhook, which is told of what begins or ends from then on, and what is owed to one that went is owed no more.
# webhooks:
#   - name: pager
#     url: https://pager.example/hook
#     secret_file: /etc/dozor/pager.key
#     secret_file_previous: /etc/dozor/pager.old.key
#     template_file: /etc/dozor/pager.json.j2
#     max_alerts: 0
#     timeout: 10s
webhooks: []

# maintenance: list. Default: none.
# When nobody is told of some alerts. `matchers` as in a routing file; between `from` and `to`, and at `times`, `weekdays`,
# `days_of_month`, `months` and `years`, as far as they are given, by the clock of `location`, which is UTC by default.
# maintenance:
#   - name: nightly backup
#     matchers: ['job=\"backup\"']
#     times: [{ start_time: '02:00', end_time: '03:00' }]
#     location: Europe/Berlin
#     reason: the disk is busy then
maintenance: []

# alertmanagers: list. Default: none.
# Alertmanagers that are told of all that fires, as Prometheus tells them: at once, again every minute while it lasts, and
# for 15 minutes after its end. `url` is where its pages are; what is behind /api/v2/alerts is added. The list is read again by
# a reload: one that is new is told of what fires, one that went hears no more.
# alertmanagers:
#   - url: http://alertmanager.example:9093
alertmanagers: []
";

/// The setting that the calendar stands behind.
pub(super) const BEFORE_CALENDAR: &str = "detection.timezone";
/// The setting that what is said of acknowledgements stands behind.
pub(super) const BEFORE_ESCALATION: &str = "incidents.retention";
/// Limits and steps, as a file writes them, with examples.
const ESCALATION: &str = "\
  # severities with durations. Default: { critical: 15m }.
  # How long an incident may go unacknowledged, counted from the first notification; of other severities nobody else is told.
  acknowledge_within: { critical: 15m }

  # list of receivers, at most 20. Default: none.
  # Who is told then, one after the other, each as long after the one before as the severity says, or as `after` does. When
  # the first notification cannot be delivered, the first of them is told at once. Without `notify.routing_file` every
  # webhook is told of every alert anyway.
  # escalation:
  #   - { receiver: project-lead }
  #   - { receiver: business-owner, after: 30m }
  escalation: []

";
/// The calendar, as a file writes it, with examples.
const CALENDAR: &str = "\
  # list of spans, at most 1000. Default: none.
  # Days that are not like others, by the shop's clock: `from` to the end of `to`, which is the same day if it is not said.
  # Days without a year come every year; times are possible too. `kind` is holiday (the default), campaign or deploy.
  # `tolerance` is how far from ordinary they may be, 0.05 to 1: 0.6, the default, alerts neither at 40 nor at 160 % of
  # what is expected, beginning and ending half an hour beyond what is written; a deploy has 0.3 and ends as written.
  # It is read again by a reload; what comes up while the server runs is announced: `dozor calendar add`.
  # calendar:
  #   - { name: Christmas, from: 12-24, to: 12-26 }
  #   - { name: Black Friday, kind: campaign, from: 2026-11-27T18:00, to: 2026-11-30, tolerance: 0.8 }
  calendar: []

";

pub(super) fn defaults() -> Config {
    let mut config = Config {
        data_dir: PathBuf::new(),
        listen: String::new(),
        external_url: String::new(),
        admin_api: AdminApi::Auto,
        cors_origin: String::new(),
        retention_ms: 0,
        retention_rules: Vec::new(),
        retention_bytes: 0,
        wal_sync: WalSync::Always,
        shards: 0,
        features: Vec::new(),
        head: HeadConfig::default(),
        limits: LimitsConfig::default(),
        pushgateway: PushgatewayConfig::default(),
        query: QueryConfig::default(),
        snapshots: SnapshotsConfig::default(),
        detection: DetectionConfig::default(),
        evaluation: EvaluationConfig::default(),
        otlp: OtlpConfig::default(),
        statsd: StatsdConfig::default(),
        notify: NotifyConfig::default(),
        incidents: IncidentsConfig {
            acknowledge_within_ms: vec![("critical".to_owned(), 15 * 60_000)],
            ..IncidentsConfig::default()
        },
        telemetry: TelemetryConfig::default(),
        heartbeat_out: HeartbeatOutConfig::default(),
        heartbeats: Vec::new(),
        rules: Vec::new(),
        webhooks: Vec::new(),
        maintenance: Vec::new(),
        alertmanagers: Vec::new(),
    };
    for setting in SETTINGS {
        setting.set(&mut config, setting.default).expect("a test holds every default against its own range");
    }
    config
}

/// The setting of this name, for flags that stand for one.
pub(super) fn setting(name: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.name == name).expect("flags name settings of the table")
}

impl Setting {
    /// Reads the value, checks it, and keeps it. Fails with what is wrong, the name and value left out.
    pub(super) fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        match (self.slot)(config) {
            Slot::Duration(place) => *place = self.number(text, parse_duration_ms)?,
            Slot::LearnedDuration(place) => {
                *place = if text == LEARNED { None } else { Some(self.number(text, parse_duration_ms)?) };
            }
            Slot::Bytes(place) => *place = self.number(text, parse_bytes)?,
            Slot::Count(place) => *place = self.number(text, parse_count)?,
            Slot::Folder(place) => *place = PathBuf::from(not_empty(text)?),
            Slot::OptionalFile(place) => *place = PathBuf::from(text),
            Slot::Address(place) => *place = address(text)?.to_owned(),
            Slot::OptionalAddress(place) => {
                *place = if text.is_empty() { String::new() } else { address(text)?.to_owned() };
            }
            Slot::Url(place) | Slot::SecretUrl(place) => {
                *place = if text.is_empty() { String::new() } else { url(text)?.to_owned() }
            }
            // Who uses it says what is wrong with it.
            Slot::Pattern(place) | Slot::OptionalName(place) => text.clone_into(place),
            Slot::Zone(place) => *place = zone_name(text)?,
            Slot::WalSync(place) => *place = parse_wal_sync(text)?,
            Slot::AdminApi(place) => *place = parse_admin_api(text)?,
            Slot::Names(place) => *place = parse_names(text)?,
            Slot::Switch(place) => *place = parse_switch(text)?,
        }
        Ok(())
    }

    fn number<N: PartialOrd>(&self, text: &str, parse: fn(&str) -> Result<N, String>) -> Result<N, String> {
        let (least, most) = self.range.expect("every number of the table has a range");
        let value = parse(text)?;
        let bound = |text| parse(text).expect("a test reads every range of the table");
        if value < bound(least) || value > bound(most) {
            return Err(format!("is outside its range, {least} to {most}"));
        }
        Ok(value)
    }

    /// What kind of value it is, for people.
    fn unit(&self) -> &'static str {
        match (self.slot)(&mut defaults()) {
            Slot::Duration(_) => "duration",
            Slot::LearnedDuration(_) => "duration, or auto",
            Slot::Bytes(_) => "size",
            Slot::Count(_) => "count",
            Slot::Folder(_) | Slot::OptionalFile(_) => "path",
            Slot::OptionalName(_) => "name",
            Slot::Address(_) | Slot::OptionalAddress(_) => "address",
            Slot::Url(_) | Slot::SecretUrl(_) => "URL",
            Slot::Pattern(_) => "pattern",
            Slot::Zone(_) => "time zone",
            Slot::WalSync(_) | Slot::AdminApi(_) | Slot::Switch(_) => "word",
            Slot::Names(_) => "names",
        }
    }
}

fn not_empty(text: &str) -> Result<&str, String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text) }
}

fn address(text: &str) -> Result<&str, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    if matches!(port, Some(Ok(_))) { Ok(text) } else { Err("is not HOST:PORT, like 127.0.0.1:9090".to_owned()) }
}

/// The zone's own spelling of its name.
fn zone_name(text: &str) -> Result<String, String> {
    let zone = time_zone(text)?;
    Ok(zone.iana_name().unwrap_or(text).to_owned())
}

/// Checks that a URL is one that we could call.
pub(super) fn url(text: &str) -> Result<&str, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(text),
        _ => Err("is not an http:// or https:// URL with a host".to_owned()),
    }
}

/// The settings file that says what is so by default, every setting explained: a place to start one's own from.
pub fn documented() -> String {
    let mut text = String::from("# Settings of dozor. Each stands at its default; flags of the same name win.\n\n");
    let mut section = "";
    for setting in SETTINGS {
        let (own_section, key) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
        if own_section != section {
            section = own_section;
            text.push_str(&format!("{section}:\n"));
        }
        let indent = if section.is_empty() { "" } else { "  " };
        let range = setting.range.map(|(least, most)| format!(", {least} to {most}")).unwrap_or_default();
        let default = if setting.default.is_empty() { "\"\"" } else { setting.default };
        writeln!(text, "{indent}# {}{range}. Default: {default}.", setting.unit()).expect("a string takes all writes");
        writeln!(text, "{indent}# {}", setting.about).expect("a string takes all writes");
        writeln!(text, "{indent}{key}: {default}\n").expect("a string takes all writes");
        if setting.name == BEFORE_CALENDAR {
            text.push_str(CALENDAR);
        }
        if setting.name == BEFORE_ESCALATION {
            text.push_str(ESCALATION);
        }
    }
    text + LISTS
}
