//! What the server runs with: `/api/v1/status/config`, `flags` and `runtimeinfo`.

use hyper::StatusCode;

use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{ApiError, Reply, json};
use crate::config::{Config, WalSync, duration_text};
use crate::notify::rfc3339;
use crate::telemetry::{hostname, memory_bytes, threads_count};

/// `/api/v1/status/config`: the settings in force, as a file would have them, without what is secret.
pub(super) async fn config(call: Call) -> Result<Reply, ApiError> {
    let yaml = (call.front.services.settings)().shown();
    Ok(data(|text| text.pairs([("yaml", yaml.as_str())].into_iter())))
}

/// `/api/v1/status/flags`: those of Prometheus's flags for which there is a setting, by Prometheus's names.
pub(super) async fn flags(call: Call) -> Result<Reply, ApiError> {
    let services = &call.front.services;
    let flags = flags_of(&services.config, services.admin_api, call.front.limits.queries_max);
    Ok(data(|text| text.pairs(flags.iter().map(|(name, value)| (*name, value.as_str())))))
}

fn flags_of(config: &Config, admin_api: bool, queries_max: usize) -> Vec<(&'static str, String)> {
    let syncs = config.wal_sync == WalSync::Always;
    vec![
        ("enable-feature", config.features.join(",")),
        ("query.lookback-delta", duration_text(config.query.lookback_ms)),
        ("query.max-concurrency", queries_max.to_string()),
        ("query.max-samples", config.query.samples_max.to_string()),
        ("query.timeout", duration_text(config.query.timeout_ms)),
        ("rules.alert.for-grace-period", duration_text(config.evaluation.grace_period_ms)),
        ("rules.alert.for-outage-tolerance", duration_text(config.evaluation.outage_tolerance_ms)),
        ("storage.tsdb.path", config.data_dir.to_string_lossy().into_owned()),
        ("storage.tsdb.retention.size", format!("{}B", config.retention_bytes)),
        ("storage.tsdb.retention.time", duration_text(config.retention_ms)),
        ("storage.tsdb.wal-sync", syncs.to_string()),
        ("web.cors.origin", config.cors_origin.clone()),
        ("web.enable-admin-api", admin_api.to_string()),
        ("web.enable-remote-write-receiver", "true".to_owned()),
        ("web.external-url", config.external_url.clone()),
        ("web.listen-address", config.listen.clone()),
        ("web.max-connections", config.limits.connections_max.to_string()),
    ]
}

/// `/api/v1/status/runtimeinfo`
pub(super) async fn runtime(call: Call) -> Result<Reply, ApiError> {
    let services = &call.front.services;
    let started = rfc3339(services.started_ms);
    let now = rfc3339(services.clock.now_ms());
    let folder = std::env::current_dir().unwrap_or_default();
    let retention = match (services.config.retention_ms, services.config.retention_bytes) {
        (0, 0) => "unlimited".to_owned(),
        (0, bytes) => format!("{bytes}B"),
        (age_ms, 0) => duration_text(age_ms),
        (age_ms, bytes) => format!("{} or {bytes}B", duration_text(age_ms)),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(data(|text| {
        for (name, value) in [
            (r#"{"startTime":"#, started.as_str()),
            (r#","CWD":"#, &folder.to_string_lossy()),
            (r#","hostname":"#, &hostname()),
            (r#","serverTime":"#, &now),
            (r#","reloadConfigSuccess":true,"lastConfigTime":"#, &started),
            (r#","GOGC":"","GODEBUG":"","storageRetention":"#, &retention),
        ] {
            text.raw(name);
            text.string(value);
        }
        let damages = (services.damage)().len();
        text.raw(&format!(r#","corruptionCount":{damages},"goroutineCount":{},"GOMAXPROCS":{cores}"#, threads_count()));
        text.raw(&format!(r#","GOMEMLIMIT":{}}}"#, memory_bytes()));
    }))
}

fn data(write: impl FnOnce(&mut JsonText)) -> Reply {
    json(StatusCode::OK, success(&[], &[], write))
}
