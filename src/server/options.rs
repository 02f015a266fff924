//! What rooms are opened with, as the settings say it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::{features, limits, metrics};
use crate::clock::Clock;
use crate::config::{AdminApi, Config, ConfigError};
use crate::model::compile_pattern;
use crate::query::{Engine, Limits, parse_matchers};
use crate::storage::{RecoveryProgress, RetentionRule, StorageOptions};
use crate::telemetry::{self, Registry};

/// Fails where a selector of the retention is none.
pub(super) fn storage_options(
    config: &Config,
    shard_count: usize,
    clock: &Clock,
    recovery: Arc<RecoveryProgress>,
) -> Result<StorageOptions, ConfigError> {
    let head_bytes_max = match config.head.bytes_max {
        0 => telemetry::memory_bytes() / 4,
        given => given,
    };
    Ok(StorageOptions {
        data_dir: config.data_dir.clone(),
        shard_count,
        wal_sync: config.wal_sync,
        retention_ms: config.retention_ms,
        retention_rules: retention_rules(config)?,
        retention_bytes: config.retention_bytes,
        out_of_order_window_ms: config.head.out_of_order_window_ms,
        series_max: limits::series_max(config),
        head_bytes_max: usize::try_from(head_bytes_max).unwrap_or(usize::MAX),
        hash_seed: hash_seed(clock),
        recovery,
    })
}

/// Differs from start to start, in a way that a sender cannot know.
fn hash_seed(clock: &Clock) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(clock.now_ms())
}

fn retention_rules(config: &Config) -> Result<Vec<RetentionRule>, ConfigError> {
    let rules = config.retention_rules.iter().map(|rule| {
        let matchers = parse_matchers(&rule.selector).map_err(|error| rule.mistake(&error.to_string()))?;
        Ok(RetentionRule { matchers, keep_ms: rule.keep_ms })
    });
    rules.collect()
}

/// Half the cores: a shard is bound by memory, and the other half inflates, hashes and answers.
pub(super) fn shard_count(setting: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    match setting {
        0 => (cores / 2).clamp(1, 16),
        given => usize::try_from(given).unwrap_or(usize::MAX).clamp(1, 256),
    }
}

/// Web pages of which origins may read the API.
pub(super) fn web_origins(config: &Config) -> Result<Regex, ConfigError> {
    let told = |what: String| ConfigError::InFile(format!("cors_origin {:?}: {what}", config.cors_origin));
    compile_pattern(&config.cors_origin).map_err(told)
}

/// Whether orders are taken by HTTP.
pub(super) fn admin_api(setting: AdminApi, address: SocketAddr) -> bool {
    match setting {
        AdminApi::On => true,
        AdminApi::Off => false,
        AdminApi::Auto => address.ip().is_loopback(),
    }
}

/// What evaluates as these settings say, and keeps no answers.
pub(super) fn plain_engine(config: &Config, clock: &Clock) -> Engine {
    let query_limits = Limits {
        samples_max: config.query.samples_max,
        series_max: usize::try_from(config.query.series_max).unwrap_or(usize::MAX),
        timeout: Duration::from_millis(u64::try_from(config.query.timeout_ms).unwrap_or(0)),
        lookback_ms: config.query.lookback_ms,
        subquery_step_ms: Some(config.evaluation.interval_ms),
        ..Limits::default()
    };
    Engine::new(query_limits, clock.clone()).delaying_names(features::delays_names(config))
}

/// What evaluates queries, of people and of rules.
pub(super) fn engine(config: &Config, registry: &Registry, clock: &Clock) -> Arc<Engine> {
    let cache_bytes = usize::try_from(config.query.answer_cache_bytes()).unwrap_or(usize::MAX);
    let engine = Arc::new(plain_engine(config, clock).caching(cache_bytes));
    metrics::of_engine(registry, &engine);
    engine
}
