//! What the database is opened with, as the settings say it.

use std::sync::Arc;

use super::limits;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::query::parse_matchers;
use crate::storage::{RecoveryProgress, RetentionRule, StorageOptions};
use crate::telemetry;

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
