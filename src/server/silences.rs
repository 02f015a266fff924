//! Silences: opened at the start, asked at every flush.

use std::sync::Arc;

use super::ServerError;
use crate::clock::Clock;
use crate::config::Config;
use crate::disk::Disk;
use crate::notify::silence::Silences;

/// The file of silences.
pub(super) const FILE: &str = "alerts.silences";

pub(super) fn open(config: &Config, disk: &Arc<dyn Disk>, clock: &Clock) -> Result<Arc<Silences>, ServerError> {
    Ok(Silences::open(disk.clone(), &config.data_dir.join(FILE), clock.clone(), Vec::new())?)
}
