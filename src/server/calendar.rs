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
    // Nothing is forgotten by this clock: a snapshot tells of its own time.
    let in_force = open(config, &disk, &Clock::manual(0))?.in_force();
    Ok((zone_of(&config.detection), Calendar::clone(&in_force.calendar)))
}

pub(super) fn register(registry: &Registry, announcements: &Arc<Announcements>) {
    let (announced, active) = (announcements.clone(), announcements.clone());
    let (name, help) = ("dozor_calendar_announced", "Announced spans of the calendar that are kept, at most 1000.");
    registry.gauge_fn(name, help, &[], move || announced.counts().0 as f64);
    let (name, help) =
        ("dozor_calendar_active", "Spans of the calendar, announced or written, that excuse this moment.");
    registry.gauge_fn(name, help, &[], move || active.counts().1 as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::AnnounceRequest;

    #[test]
    fn what_was_announced_to_a_server_is_known_to_who_looks_at_its_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let yaml = "detection: { calendar: [{ name: Christmas, from: 12-24, tolerance: 0.5 }] }";
        let read = Config::from_yaml("a.yml", yaml).expect("the settings are right");
        let config = Config { data_dir: folder.path().to_owned(), ..read };
        // 14 November 2023, 22:13:20 UTC.
        let (disk, clock): (Arc<dyn Disk>, _) = (Arc::new(RealDisk), Clock::manual(1_700_000_000_000));
        let announced = open(&config, &disk, &clock).expect("no file").announce(AnnounceRequest {
            kind: "deploy".to_owned(),
            to: "2023-11-15".to_owned(),
            by: "dana".to_owned(),
            comment: "new CDN".to_owned(),
            ..AnnounceRequest::default()
        });
        announced.expect("it is right");
        let (_, calendar) = shop_days(&config).expect("a whole file");
        // The second is noon on 24 December.
        let tolerances = [1_700_000_000_000, 1_703_419_200_000].map(|at_ms| calendar.tolerance(at_ms));
        assert_eq!(tolerances, [0.3, 0.5]);
        std::fs::write(folder.path().join(FILE), "no file of ours").expect("written");
        assert!(shop_days(&config).is_err_and(|error| error.to_string().contains(FILE)));
    }
}
