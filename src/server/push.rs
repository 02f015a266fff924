//! The Pushgateway's groups: opened at the start, looked after once a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as signal;

use super::ServerError;
use crate::config::Config;
use crate::disk::Disk;
use crate::ingest::{Ingest, PushSettings, Pushgateway};

/// Folder of the groups' files.
pub(super) const FOLDER: &str = "push_groups";
/// How often it is looked what is due. To see that nothing is costs next to nothing.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn open(
    config: &Config,
    disk: &Arc<dyn Disk>,
    ingest: &Arc<Ingest>,
) -> Result<Arc<Pushgateway>, ServerError> {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let settings = PushSettings {
        folder: config.data_dir.join(FOLDER),
        ttl_ms: config.pushgateway.ttl_ms,
        resample_interval_ms: config.pushgateway.resample_interval_ms,
        groups_max: count(config.pushgateway.groups_max),
        series_per_group_max: count(config.pushgateway.series_per_group_max),
        bytes_max: count(config.pushgateway.bytes_max),
    };
    let (pushgateway, damage) = Pushgateway::open(ingest.clone(), disk.clone(), settings)?;
    for damage in damage {
        tracing::error!("damage found: {damage}");
    }
    Ok(pushgateway)
}

/// The loop of the task: until it is told to stop.
pub(super) async fn keep(pushgateway: &Pushgateway, mut stopped: signal::Receiver<bool>) {
    let mut ticks = tokio::time::interval(TICK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => pushgateway.tick().await,
            _ = stopped.changed() => return,
        }
    }
}
