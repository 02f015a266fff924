//! Tests by what they are about, and what they share.

mod delivering;
mod folding;
mod keeping;
mod letters;
mod nights;
mod order;
mod pager;
mod sending;
mod silenced;
mod slow_disk;
mod storm;
mod telling;

use super::{Alert, IntegrationConfig, WebhookSettings};
use crate::model::Labels;

/// 2026-03-01 12:00:00 UTC.
const NOON_MS: i64 = 1_772_366_400_000;

fn settings(name: &str, url: &str) -> WebhookSettings {
    WebhookSettings { name: name.to_owned(), url: url.to_owned(), ..WebhookSettings::default() }
}

fn webhook(settings: WebhookSettings) -> IntegrationConfig {
    IntegrationConfig::of_webhook(settings)
}

fn firing(name: &str) -> Alert {
    Alert {
        labels: Labels::from_pairs([("alertname", name), ("region", "eu")]).unwrap(),
        annotations: vec![("summary".to_owned(), format!("{name} is in trouble"))],
        starts_at_ms: NOON_MS,
        ends_at_ms: None,
        generator_url: "http://dozor.example/graph".to_owned(),
    }
}

fn resolved(name: &str) -> Alert {
    Alert { ends_at_ms: Some(NOON_MS + 90_000), ..firing(name) }
}

/// The same alert, an hour later.
fn again(alert: Alert) -> Alert {
    let later = |time_ms| time_ms + 3_600_000;
    Alert { starts_at_ms: later(alert.starts_at_ms), ends_at_ms: alert.ends_at_ms.map(later), ..alert }
}
