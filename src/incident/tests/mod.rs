//! Tests by what they are about, and what they share.

mod escalating;
mod journal;
mod life;
mod storm;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Escalation, IncidentOptions, Incidents, RecoveredIncidents, Step};
use crate::clock::Clock;
use crate::disk::{Disk, SimulatedDisk};
use crate::model::Labels;
use crate::notify::{Alert, AttemptResult, Event, FoldingOptions, SilencedBy};

/// 2026-03-01 12:00:00 UTC.
const NOON_MS: i64 = 1_772_366_400_000;
const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
const FOLDER: &str = "/data/incidents";

fn options() -> IncidentOptions {
    let step = |receiver: &str, after_ms| Step { receiver: receiver.to_owned(), after_ms };
    IncidentOptions {
        retention_ms: 400 * DAY_MS,
        path: FoldingOptions::default().path,
        escalation: Escalation {
            acknowledge_within_ms: vec![("critical".to_owned(), 15 * MINUTE_MS)],
            steps: vec![step("lead", None), step("owner", Some(30 * MINUTE_MS))],
        },
    }
}

fn open_on(disk: &SimulatedDisk, clock: &Clock) -> (Incidents, RecoveredIncidents) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Incidents::open(disk, Path::new(FOLDER), clock.clone(), options()).expect("the journal opens")
}

/// Incidents of an empty folder, at noon.
fn incidents() -> (Incidents, SimulatedDisk, Clock) {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(NOON_MS));
    (open_on(&disk, &clock).0, disk, clock)
}

fn alert(name: &str, more: &[(&str, &str)], starts_at_ms: i64) -> Alert {
    let labels = [("alertname", name), ("severity", "critical")].into_iter().chain(more.iter().copied());
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for pair in labels {
        pairs.retain(|kept| kept.0 != pair.0);
        pairs.push(pair);
    }
    Alert {
        labels: Labels::from_pairs(pairs).unwrap(),
        annotations: vec![
            ("runbook".to_owned(), format!("http://dozor.example/runbooks/{name}")),
            ("summary".to_owned(), format!("{name} is in trouble")),
        ],
        starts_at_ms,
        ends_at_ms: None,
        generator_url: String::new(),
    }
}

fn ended(alert: &Alert, ends_at_ms: i64) -> Alert {
    Alert { ends_at_ms: Some(ends_at_ms), ..alert.clone() }
}

fn transition(incident: &str, alert: &Alert, at_ms: i64) -> Event {
    Event::Transition { alert: alert.clone(), incident: incident.to_owned(), at_ms, silenced_by: None }
}

fn attempt(incident: &str, receiver: &str, at_ms: i64, result: AttemptResult) -> Event {
    Event::Attempt {
        id: format!("{incident}-message"),
        receiver: receiver.to_owned(),
        incidents: vec![incident.to_owned()],
        at_ms,
        result,
    }
}

fn delivered(incident: &str, at_ms: i64) -> Event {
    attempt(incident, "pager", at_ms, AttemptResult::Delivered { http_status: 200 })
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
