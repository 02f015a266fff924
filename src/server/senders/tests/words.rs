use std::collections::BTreeSet;

use super::super::loss::{Loss, Turn};
use super::super::words::{alert_of, is_loss, loss_of};
use crate::notify::Status;

const START_MS: i64 = 1_700_000_000_000;

fn loss(name: &str, jobs: &[&str]) -> Loss {
    let jobs: BTreeSet<String> = jobs.iter().map(|job| (*job).to_owned()).collect();
    Loss { name: name.to_owned(), jobs, since_ms: START_MS, series_count: 42, newest_ms: START_MS - 1_000 }
}

#[test]
fn loss_is_told_with_what_is_known_of_it_and_its_end_under_the_same_name() {
    let lost = alert_of(&Turn::Lost(loss("shop", &["shop"])), "http://dozor");
    assert_eq!(lost.labels.to_string(), r#"{alertname="TelemetryLost", job="shop", severity="warning"}"#);
    assert_eq!((lost.status(), lost.starts_at_ms), (Status::Firing, START_MS));
    let said = |name: &str| lost.annotations.iter().find(|(other, _)| other == name).map(|(_, text)| text.as_str());
    assert_eq!(said("summary"), Some("Telemetry lost: job shop has sent nothing since 2023-11-14T22:13:20.000Z"));
    assert_eq!(said("series"), Some("42"));
    assert_eq!(said("last_sample"), Some("2023-11-14T22:13:19.000Z"));
    let back = alert_of(&Turn::Back { loss: loss("shop", &["shop"]), at_ms: START_MS + 60_000 }, "http://dozor");
    assert_eq!((back.fingerprint(), back.starts_at_ms), (lost.fingerprint(), lost.starts_at_ms));
    assert_eq!(back.ends_at_ms, Some(START_MS + 60_000));
}

#[test]
fn outbox_remembers_who_is_lost() {
    for told in
        [loss("shop", &["shop"]), loss("*", &["db", "mail", "shop"]), loss("a and 3 more", &["a", "b", "c", "d"])]
    {
        let alert = alert_of(&Turn::Lost(told.clone()), "");
        assert!(is_loss(&alert));
        assert_eq!(loss_of(&alert), Some(Loss { newest_ms: START_MS, ..told }));
    }
}

#[test]
fn thousands_of_jobs_are_named_within_bounds() {
    let names: Vec<String> = (0..1_000).map(|index| format!("job-with-a-long-name-{index:04}")).collect();
    let jobs: Vec<&str> = names.iter().map(String::as_str).collect();
    let alert = alert_of(&Turn::Lost(loss("*", &jobs)), "");
    let (_, named) = alert.annotations.iter().find(|(name, _)| name == "jobs").expect("they are named");
    assert!(named.len() < 2_100 && named.ends_with(" more"), "{named}");
    let (_, summary) = &alert.annotations[0];
    assert_eq!(summary, "Telemetry lost: none of 1000 jobs has sent anything since 2023-11-14T22:13:20.000Z");
}
