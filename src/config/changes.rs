//! What a file that was read again says otherwise: what a server takes over while it runs, and what waits for a restart.
//!
//! ```text
//! rules, webhooks, alertmanagers, heartbeats, maintenance,
//! detection.calendar                                                 taken over
//! everything else, like `retention` or `limits.connections_max`      named, and read at the next start
//! ```

use super::settings::{SETTINGS, Slot};
use super::{Config, DetectionConfig};

/// What is kept for how long, wherever in the file it stands.
fn retention(config: &Config) -> Vec<(&str, i64)> {
    config.retention_rules.iter().map(|rule| (rule.selector.as_str(), rule.keep_ms)).collect()
}

impl Config {
    /// These settings with what a server takes over from `fresh` while it runs.
    pub fn reloaded(&self, fresh: &Config) -> Config {
        let detection = DetectionConfig { calendar: fresh.detection.calendar.clone(), ..self.detection.clone() };
        Config {
            detection,
            rules: fresh.rules.clone(),
            webhooks: fresh.webhooks.clone(),
            alertmanagers: fresh.alertmanagers.clone(),
            heartbeats: fresh.heartbeats.clone(),
            maintenance: fresh.maintenance.clone(),
            ..self.clone()
        }
    }

    /// The names of the settings, lists included, that `other` has otherwise; none of the values, for some are secrets.
    pub fn differing(&self, other: &Config) -> Vec<&'static str> {
        let (mut one, mut other) = (self.clone(), other.clone());
        let mut names: Vec<&'static str> = SETTINGS
            .iter()
            .filter(|setting| {
                let (ours, theirs): (Slot<'_>, Slot<'_>) = ((setting.slot)(&mut one), (setting.slot)(&mut other));
                ours != theirs
            })
            .map(|setting| setting.name)
            .collect();
        for (name, is_same) in [
            ("retention", retention(&one) == retention(&other)),
            ("detection.calendar", one.detection.calendar == other.detection.calendar),
            (
                "incidents.acknowledge_within",
                one.incidents.acknowledge_within_ms == other.incidents.acknowledge_within_ms,
            ),
            ("incidents.escalation", one.incidents.escalation == other.incidents.escalation),
            ("heartbeats", one.heartbeats == other.heartbeats),
            ("rules", one.rules == other.rules),
            ("webhooks", one.webhooks == other.webhooks),
            ("alertmanagers", one.alertmanagers == other.alertmanagers),
            ("maintenance", one.maintenance == other.maintenance),
        ] {
            if !is_same && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
