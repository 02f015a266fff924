//! The shop's calendar: what the settings write down, and what was announced to a server of this data folder.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Config, DetectionConfig};
use crate::detect::{AnnounceError, Announcements, Calendar, Zone};
use crate::disk::{Disk, RealDisk};
use crate::telemetry::Registry;

/// The file of what was announced.
pub(super) const FILE: &str = "announced.calendar";

pub(super) fn open(config: &Config, disk: &Arc<dyn Disk>, clock: &Clock) -> Result<Arc<Announcements>, AnnounceError> {
    let (zone, path) = (zone_of(&config.detection), config.data_dir.join(FILE));
    Announcements::open(disk.clone(), &path, clock.clone(), zone, &config.detection.calendar)
}

/// The clock by which the shop lives.
pub(super) fn zone_of(settings: &DetectionConfig) -> Zone {
    Zone::named(&settings.timezone).expect("settings hold no other names")
}

/// The clock and the calendar by which the shop lives, for who looks at a data folder without a server. Reads only. Fails
/// where what was announced cannot be read.
pub fn shop_days(config: &Config) -> Result<(Zone, Calendar), AnnounceError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let in_force = open(config, &disk, &Clock::system())?.in_force();
    Ok((zone_of(&config.detection), Calendar::clone(&in_force.calendar)))
}

pub(super) fn register(registry: &Registry, announcements: &Arc<Announcements>) {
    let (announced, active) = (announcements.clone(), announcements.clone());
    let (name, help) = ("dozor_calendar_announced", "Announced spans of the calendar that are kept, at most 1000.");
    registry.gauge_fn(name, help, &[], move || announced.counts().0 as f64);
    let (name, help) = ("dozor_calendar_active", "Spans of the calendar, announced or written, that excuse this moment.");
    registry.gauge_fn(name, help, &[], move || active.counts().1 as f64);
}
