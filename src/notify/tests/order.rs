//! Who is tried when: lanes, circuit, waits. No network, no clock.

use std::sync::Arc;
use std::time::Duration;

use super::{NOON_MS, firing, resolved};
use crate::notify::backoff::retry_after;
use crate::notify::lanes::{Lanes, Next};
use crate::notify::owed::{Notification, Owed};
use crate::notify::{Alert, Backoff, RETRY_AFTER_MAX};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn notification(alert: &Alert) -> Owed {
    let (id, alert, incident) = (alert.transition_id(), alert.clone(), "inc-1".to_owned());
    let receivers = vec!["pager".to_owned()];
    Owed::Transition(Arc::new(Notification { id, alert, incident, enqueued_at_ms: NOON_MS, receivers }))
}

/// Lanes that wait 1 s, 2 s, … 60 s (less up to a quarter), probe each 5 s, and have these alerts at time 0.
fn lanes(alerts: &[Alert]) -> Lanes {
    lanes_that_wait(seconds(1), alerts)
}

fn lanes_that_wait(first: Duration, alerts: &[Alert]) -> Lanes {
    let backoff = Backoff { first, longest: seconds(60), probe: seconds(5) };
    let mut lanes = Lanes::new(backoff, 4);
    alerts.iter().for_each(|alert| lanes.push(notification(alert), Duration::ZERO));
    lanes
}

/// Takes all that may go now, as names with their status.
fn sent(lanes: &mut Lanes, now: Duration) -> Vec<String> {
    let mut names = Vec::new();
    while let Next::Send(next) = lanes.next(now) {
        let alert = &next.message("pager").alerts[0].alert;
        names.push(format!("{} {}", alert.labels.get("alertname").unwrap(), alert.status()));
    }
    names
}

fn fail(lanes: &mut Lanes, name: &str, now: Duration) -> Duration {
    lanes.failed(firing(name).fingerprint(), now, None)
}

#[test]
fn resolved_waits_for_firing_and_other_alerts_do_not() {
    let mut lanes = lanes(&[firing("A"), resolved("A"), firing("B")]);
    assert_eq!(sent(&mut lanes, seconds(0)), ["A firing", "B firing"]);
    lanes.settled(firing("B").fingerprint(), seconds(0));
    assert_eq!(sent(&mut lanes, seconds(1)), [""; 0]);
    lanes.settled(firing("A").fingerprint(), seconds(2));
    assert_eq!(sent(&mut lanes, seconds(2)), ["A resolved"]);
    lanes.settled(firing("A").fingerprint(), seconds(3));
    assert_eq!(lanes.next(seconds(9)), Next::Idle);
}

#[test]
fn a_head_that_failed_is_tried_again_before_what_follows_it() {
    let mut lanes = lanes(&[firing("A"), resolved("A")]);
    assert_eq!(sent(&mut lanes, seconds(0)), ["A firing"]);
    let wait = fail(&mut lanes, "A", seconds(0));
    assert_eq!(lanes.next(Duration::ZERO), Next::WaitUntil(wait));
    assert_eq!(sent(&mut lanes, wait), ["A firing"]);
}

#[test]
fn no_more_are_in_flight_than_allowed() {
    let mut lanes = lanes(&["A", "B", "C", "D", "E", "F"].map(firing));
    assert_eq!(sent(&mut lanes, seconds(0)).len(), 4);
    lanes.settled(firing("A").fingerprint(), seconds(0));
    assert_eq!(sent(&mut lanes, seconds(0)), ["E firing"]);
}

#[test]
fn a_receiver_that_is_down_is_probed_by_one_and_its_first_success_releases_all() {
    let mut lanes = lanes_that_wait(seconds(60), &["A", "B", "C", "D", "E", "F"].map(firing));
    assert_eq!(sent(&mut lanes, seconds(0)).len(), 4);
    for name in ["A", "B", "C", "D"] {
        fail(&mut lanes, name, seconds(1));
    }
    assert!(lanes.is_circuit_open());
    assert_eq!(lanes.next(seconds(2)), Next::WaitUntil(seconds(6)));
    // Those that never failed are the first to try.
    assert_eq!(sent(&mut lanes, seconds(6)), ["E firing"]);
    fail(&mut lanes, "E", seconds(7));
    assert_eq!(sent(&mut lanes, seconds(11)), [""; 0]);
    assert_eq!(sent(&mut lanes, seconds(12)), ["F firing"]);
    lanes.settled(firing("F").fingerprint(), seconds(12));
    assert!(!lanes.is_circuit_open());
    assert_eq!(sent(&mut lanes, seconds(12)).len(), 4);
}

#[test]
fn failures_of_another_address_make_nobody_wait() {
    let mut lanes = lanes_that_wait(seconds(60), &["A", "B", "C", "D"].map(firing));
    assert_eq!(sent(&mut lanes, seconds(0)).len(), 4);
    for name in ["A", "B", "C"] {
        fail(&mut lanes, name, seconds(1));
    }
    lanes.forget_failures(seconds(2));
    assert!(!lanes.is_circuit_open());
    // D is still on its way to the old address.
    let mut tried = sent(&mut lanes, seconds(2));
    tried.sort();
    assert_eq!(tried, ["A firing", "B firing", "C firing"]);
    fail(&mut lanes, "D", seconds(2));
    assert!(!lanes.is_circuit_open());
    assert!(matches!(lanes.next(seconds(2)), Next::WaitUntil(_) | Next::Idle));
}

#[test]
fn two_alerts_that_fail_do_not_open_the_circuit_for_the_others() {
    let mut lanes = lanes(&["A", "B"].map(firing));
    for now in (0..10).map(|index| seconds(100 * index)) {
        assert_eq!(sent(&mut lanes, now).len(), 2);
        fail(&mut lanes, "A", now);
        fail(&mut lanes, "B", now);
    }
    lanes.push(notification(&firing("C")), seconds(901));
    assert_eq!(sent(&mut lanes, seconds(901)), ["C firing"]);
}

#[test]
fn a_receiver_that_asks_for_time_gets_it_from_every_alert() {
    let mut lanes = lanes(&["A"].map(firing));
    sent(&mut lanes, seconds(0));
    assert_eq!(lanes.failed(firing("A").fingerprint(), seconds(0), Some(seconds(30))), seconds(30));
    lanes.push(notification(&firing("B")), seconds(1));
    assert_eq!(lanes.next(seconds(1)), Next::WaitUntil(seconds(30)));
    assert_eq!(sent(&mut lanes, seconds(30)), ["B firing", "A firing"]);
}

#[test]
fn old_heads_are_taken_out_unless_they_are_in_flight() {
    let mut lanes = lanes(&[firing("A"), resolved("A"), firing("B")]);
    assert!(matches!(lanes.next(seconds(0)), Next::Send(_)));
    let old = lanes.take_older_than(NOON_MS + 1, seconds(0));
    assert_eq!(old.iter().map(|old| old.id().to_owned()).collect::<Vec<_>>(), [firing("B").transition_id()]);
    fail(&mut lanes, "A", seconds(0));
    assert_eq!(lanes.take_older_than(NOON_MS + 1, seconds(0)).len(), 2);
    assert_eq!(lanes.next(seconds(999)), Next::Idle);
}

#[test]
fn waits_double_to_the_longest_and_differ_between_alerts() {
    let backoff = Backoff::default();
    for (failure_count, doubled_ms) in [(1, 500), (2, 1_000), (3, 2_000), (7, 32_000), (8, 60_000), (u32::MAX, 60_000)]
    {
        let wait = backoff.wait(failure_count, "id").as_millis();
        assert!((doubled_ms * 3 / 4..=doubled_ms).contains(&wait), "{wait} ms after {failure_count} failures");
    }
    let waits: std::collections::HashSet<_> = (0..100).map(|id| backoff.wait(4, &id.to_string())).collect();
    assert!(waits.len() > 80, "only {} different waits of 100", waits.len());
}

/// The example date of RFC 9110, 784,111,777 s since 1970.
#[test]
fn retry_after_is_read_as_seconds_or_as_a_date_and_has_a_limit() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(retry_after("120", NOON_MS), Some(seconds(120)));
    assert_eq!(retry_after(date, 784_111_777_000 - 2_500), Some(Duration::from_millis(2_500)));
    assert_eq!(retry_after(date, NOON_MS), Some(Duration::ZERO));
    assert_eq!(retry_after("7200", NOON_MS), Some(RETRY_AFTER_MAX));
    assert_eq!(retry_after("99999999999999999999999", NOON_MS), Some(RETRY_AFTER_MAX));
    for garbage in ["", "-1", "soon", "1.5", "\u{0}"] {
        assert_eq!(retry_after(garbage, NOON_MS), None, "{garbage:?}");
    }
}
