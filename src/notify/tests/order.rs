//! Who is tried when: lanes, circuit, waits. No network, no clock.

use std::sync::Arc;
use std::time::Duration;

use super::{NOON_MS, firing, resolved};
use crate::notify::backoff::retry_after;
use crate::notify::lanes::{Lanes, Next};
use crate::notify::owed::{Notification, Owed};
use crate::notify::{Alert, Backoff, Message, RETRY_AFTER_MAX};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn notification(alert: &Alert) -> Owed {
    let (id, alert, incident) = (alert.transition_id(), alert.clone(), "inc-1".to_owned());
    let (receivers, joint) = (vec!["pager".to_owned()], Vec::new());
    Owed::Transition(Arc::new(Notification { id, alert, incident, enqueued_at_ms: NOON_MS, receivers, joint }))
}

/// Lanes that wait 1 s, 2 s, … 60 s (less up to a quarter), probe each 5 s, and have these alerts at time 0.
fn lanes(alerts: &[Alert]) -> Lanes {
    lanes_that_wait(seconds(1), alerts)
}

fn lanes_that_wait(first: Duration, alerts: &[Alert]) -> Lanes {
    let backoff = Backoff { first, longest: seconds(60), probe: seconds(5) };
    let mut lanes = Lanes::new("pager", backoff, 4);
    alerts.iter().for_each(|alert| lanes.push(notification(alert), Duration::ZERO));
    lanes
}

/// Takes all that may go now, as names with their status.
fn sent(lanes: &mut Lanes, now: Duration) -> Vec<String> {
    let mut names = Vec::new();
    while let Next::Send(next) = lanes.next(now, 1) {
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
    assert_eq!(lanes.next(seconds(9), 1), Next::Idle);
}

#[test]
fn a_head_that_failed_is_tried_again_before_what_follows_it() {
    let mut lanes = lanes(&[firing("A"), resolved("A")]);
    assert_eq!(sent(&mut lanes, seconds(0)), ["A firing"]);
    let wait = fail(&mut lanes, "A", seconds(0));
    assert_eq!(lanes.next(Duration::ZERO, 1), Next::WaitUntil(wait));
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
    assert_eq!(lanes.next(seconds(2), 1), Next::WaitUntil(seconds(6)));
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
    assert!(matches!(lanes.next(seconds(2), 1), Next::WaitUntil(_) | Next::Idle));
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
    assert_eq!(lanes.next(seconds(1), 1), Next::WaitUntil(seconds(30)));
    assert_eq!(sent(&mut lanes, seconds(30)), ["B firing", "A firing"]);
}

/// Lanes of alerts that are told together.
fn joint_lanes(alerts: &[Alert]) -> Lanes {
    let mut lanes = lanes(&[]);
    for alert in alerts {
        let Owed::Transition(mut one) = notification(alert) else { panic!("it is a transition") };
        Arc::make_mut(&mut one).joint = vec!["pager".to_owned()];
        lanes.push(Owed::Transition(one), Duration::ZERO);
    }
    lanes
}

/// Takes up to three that are told together, as a message with their names.
fn join(lanes: &mut Lanes, now: Duration) -> (Owed, Vec<String>) {
    let Next::Join(heads) = lanes.next(now, 3) else { panic!("there is nothing to be joined") };
    let joint = Owed::Message(Arc::new(Message::joint("pager", &heads, NOON_MS)));
    lanes.joined(joint.clone(), &heads);
    let word =
        |one: &Arc<Notification>| format!("{} {}", one.alert.labels.get("alertname").unwrap(), one.alert.status());
    (joint, heads.iter().map(word).collect())
}

#[test]
fn a_joint_message_holds_up_its_alerts_and_no_others() {
    let mut lanes = joint_lanes(&[firing("A"), firing("B"), resolved("A"), firing("C"), firing("D")]);
    let (first, names) = join(&mut lanes, seconds(0));
    assert_eq!(names, ["A firing", "B firing", "C firing"]);
    let (second, names) = join(&mut lanes, seconds(0));
    assert_eq!(names, ["D firing"]);
    lanes.push(notification(&resolved("D")), seconds(0));
    lanes.settled(second.lane(), seconds(1));
    assert_eq!(sent(&mut lanes, seconds(1)), ["D resolved"]);
    assert!(lanes.failed(first.lane(), seconds(1), None) > Duration::ZERO);
    assert_eq!(sent(&mut lanes, seconds(1)), [""; 0]);
    let Next::Send(again) = lanes.next(seconds(60), 3) else { panic!("it is not tried again") };
    assert_eq!(again, first);
    lanes.settled(first.lane(), seconds(60));
    assert_eq!(join(&mut lanes, seconds(60)).1, ["A resolved"]);
}

#[test]
fn a_joint_message_that_is_not_taken_falls_apart_in_front_of_what_waited_for_it() {
    let mut lanes = joint_lanes(&[firing("A"), resolved("A"), firing("B")]);
    let (joint, names) = join(&mut lanes, seconds(0));
    assert_eq!(names, ["A firing", "B firing"]);
    let members = [firing("A"), firing("B")].map(|alert| notification(&alert));
    lanes.fell_apart(joint.lane(), members.to_vec(), true, seconds(1));
    assert_eq!(sent(&mut lanes, seconds(1)), ["A firing", "B firing"]);
    lanes.settled(firing("A").fingerprint(), seconds(2));
    assert_eq!(join(&mut lanes, seconds(2)).1, ["A resolved"]);
}

#[test]
fn a_receiver_that_was_silent_to_a_joint_message_is_not_thought_to_be_back() {
    let mut lanes = joint_lanes(&[firing("A"), firing("B"), firing("C")]);
    let (joint, _) = join(&mut lanes, seconds(0));
    ["D", "E", "F"].iter().for_each(|name| lanes.push(notification(&firing(name)), seconds(0)));
    assert_eq!(sent(&mut lanes, seconds(0)).len(), 3);
    for name in ["D", "E", "F"] {
        fail(&mut lanes, name, seconds(1));
    }
    assert!(lanes.is_circuit_open());
    let members = [firing("A"), firing("B"), firing("C")].map(|alert| notification(&alert));
    lanes.fell_apart(joint.lane(), members.to_vec(), false, seconds(2));
    assert!(lanes.is_circuit_open());
    assert_eq!(sent(&mut lanes, seconds(6)).len(), 1, "one at a time finds out");
}

#[test]
fn what_cannot_be_joined_goes_by_itself() {
    let mut lanes = joint_lanes(&[firing("A"), firing("B")]);
    let Next::Join(heads) = lanes.next(seconds(0), 3) else { panic!("there is nothing to be joined") };
    lanes.not_joined(&heads, seconds(0));
    assert_eq!(sent(&mut lanes, seconds(0)), ["A firing", "B firing"]);
}

/// After a start the message may be read behind what waits for it.
#[test]
fn a_joint_message_that_comes_last_holds_what_came_before() {
    let Next::Join(heads) = joint_lanes(&[firing("A"), firing("B")]).next(seconds(0), 3) else {
        panic!("there is nothing to be joined")
    };
    let joint = Owed::Message(Arc::new(Message::joint("pager", &heads, NOON_MS)));
    let mut lanes = lanes(&[resolved("A"), firing("C")]);
    lanes.push(joint.clone(), seconds(0));
    assert_eq!(lanes.take_older_than(NOON_MS + 1, seconds(0)).len(), 1, "C alone is old enough and waits");
    let Next::Send(first) = lanes.next(seconds(0), 3) else { panic!("nothing is sent") };
    assert_eq!(first, joint);
    assert_eq!(lanes.next(seconds(0), 3), Next::Idle);
    lanes.settled(joint.lane(), seconds(0));
    assert_eq!(sent(&mut lanes, seconds(0)), ["A resolved"]);
}

#[test]
fn old_heads_are_taken_out_unless_they_are_in_flight() {
    let mut lanes = lanes(&[firing("A"), resolved("A"), firing("B")]);
    assert!(matches!(lanes.next(seconds(0), 1), Next::Send(_)));
    let old = lanes.take_older_than(NOON_MS + 1, seconds(0));
    assert_eq!(old.iter().map(|old| old.id().to_owned()).collect::<Vec<_>>(), [firing("B").transition_id()]);
    fail(&mut lanes, "A", seconds(0));
    assert_eq!(lanes.take_older_than(NOON_MS + 1, seconds(0)).len(), 2);
    assert_eq!(lanes.next(seconds(999), 1), Next::Idle);
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
