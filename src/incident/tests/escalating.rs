use proptest::prelude::*;

use super::super::{Due, State, Why};
use super::*;

/// Takes a critical alert at noon.
fn begin(incidents: &Incidents) -> Alert {
    let down = alert("Down", &[], NOON_MS);
    incidents.take(&[transition("inc-1", &down, NOON_MS)]);
    down
}

/// The step that is due now, which is then told.
fn tell(incidents: &Incidents) -> Option<Due> {
    let mut due = incidents.due();
    assert!(due.len() <= 1);
    let (incident, due) = due.pop()?;
    incidents.note_escalated(&incident.id, &due);
    Some(due)
}

#[test]
fn steps_are_told_one_after_the_other_until_somebody_acknowledges() {
    let (incidents, disk, clock) = incidents();
    begin(&incidents);
    incidents.take(&[delivered("inc-1", NOON_MS + 10 * SECOND_MS)]);
    clock.advance(minutes(15));
    assert_eq!(tell(&incidents), None);
    clock.advance(Duration::from_secs(10));
    let why = Why::NotAcknowledged { within_ms: 15 * MINUTE_MS };
    let at_ms = NOON_MS + 15 * MINUTE_MS + 10 * SECOND_MS;
    let lead = Due { at_ms, step: 1, receiver: "lead".to_owned(), why };
    assert_eq!(tell(&incidents), Some(lead));
    assert_eq!(tell(&incidents), None);
    // A restart forgets neither who was told nor when.
    drop(incidents);
    let (incidents, _) = open_on(&disk.crash(1), &clock);
    clock.advance(minutes(29));
    assert_eq!(tell(&incidents), None);
    clock.advance(minutes(1));
    assert_eq!(tell(&incidents).map(|due| (due.step, due.receiver)), Some((2, "owner".to_owned())));
    clock.advance(minutes(600));
    assert_eq!(tell(&incidents), None, "there is nobody else");
}

#[test]
fn acknowledgement_and_end_stop_it() {
    for stops_by_acknowledgement in [true, false] {
        let (incidents, _, clock) = incidents();
        let down = begin(&incidents);
        incidents.take(&[delivered("inc-1", NOON_MS)]);
        clock.advance(minutes(14));
        match stops_by_acknowledgement {
            true => drop(incidents.acknowledge("inc-1", "ada").unwrap()),
            false => incidents.take(&[transition("inc-1", &ended(&down, NOON_MS + 1), clock.now_ms())]),
        }
        clock.advance(minutes(60));
        assert_eq!(tell(&incidents), None);
    }
}

#[test]
fn severity_without_a_limit_and_trouble_that_nobody_was_told_of_wake_nobody_else() {
    let (incidents, _, clock) = incidents();
    begin(&incidents); // silenced: nobody is tried
    incidents.take(&[transition("inc-2", &alert("Slow", &[("severity", "warning")], NOON_MS), NOON_MS)]);
    incidents.take(&[delivered("inc-2", NOON_MS)]);
    clock.advance(minutes(600));
    assert_eq!(tell(&incidents), None);
}

#[test]
fn notification_that_cannot_be_delivered_is_escalated_at_once() {
    let (incidents, _, _) = incidents();
    begin(&incidents);
    let gone = AttemptResult::GivenUp { reason: "404 Not Found".to_owned() };
    incidents.take(&[attempt("inc-1", "pager", NOON_MS, gone)]);
    let why = Why::NotDelivered { receiver: "pager".to_owned(), reason: "404 Not Found".to_owned() };
    assert_eq!(tell(&incidents), Some(Due { at_ms: NOON_MS, step: 1, receiver: "lead".to_owned(), why }));
}

#[test]
fn notification_that_does_not_get_through_is_escalated_when_its_time_is_over() {
    let (incidents, _, clock) = incidents();
    begin(&incidents);
    let failed = AttemptResult::Failed { reason: "connection refused".to_owned() };
    incidents.take(&[attempt("inc-1", "pager", NOON_MS, failed)]);
    clock.advance(minutes(14));
    assert_eq!(tell(&incidents), None);
    clock.advance(minutes(1));
    assert_eq!(tell(&incidents).map(|due| due.step), Some(1));
}

#[test]
fn signal_that_is_worse_begins_the_time_anew() {
    let (incidents, _, clock) = incidents();
    incidents.take(&[transition("inc-1", &alert("Slow", &[("severity", "warning")], NOON_MS), NOON_MS)]);
    incidents.take(&[delivered("inc-1", NOON_MS)]);
    incidents.acknowledge("inc-1", "ada").unwrap();
    clock.advance(minutes(40));
    incidents.take(&[transition("inc-1", &alert("Down", &[], NOON_MS), clock.now_ms())]);
    assert_eq!(tell(&incidents), None);
    clock.advance(minutes(15));
    assert_eq!(tell(&incidents).map(|due| due.step), Some(1));
}

#[test]
fn signal_that_is_worse_begins_the_time_anew_behind_a_step_too() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(NOON_MS));
    let mut options = options();
    options.escalation.acknowledge_within_ms.push(("warning".to_owned(), 15 * MINUTE_MS));
    let (incidents, _) = Incidents::open(Arc::new(disk), Path::new(FOLDER), clock.clone(), options).unwrap();
    incidents.take(&[transition("inc-1", &alert("Slow", &[("severity", "warning")], NOON_MS), NOON_MS)]);
    incidents.take(&[delivered("inc-1", NOON_MS)]);
    clock.advance(minutes(15));
    assert_eq!(tell(&incidents).map(|due| due.step), Some(1));
    incidents.acknowledge("inc-1", "ada").unwrap();
    // The second step is due half an hour after the first, which was told long ago by now.
    clock.advance(minutes(60));
    incidents.take(&[transition("inc-1", &alert("Down", &[], NOON_MS), clock.now_ms())]);
    clock.advance(minutes(29));
    assert_eq!(tell(&incidents), None, "ada is told that it is worse, and has her time");
    clock.advance(minutes(1));
    assert_eq!(tell(&incidents).map(|due| due.step), Some(2));
}

proptest! {
    /// Whatever happens in which order, with restarts between: steps come in order, each once, none while somebody has it.
    #[test]
    fn steps_come_once_and_in_order(happenings in prop::collection::vec((0..7_u8, 0..40_u64), 1..60)) {
        let (mut incidents, mut disk, clock) = incidents();
        let down = begin(&incidents);
        let mut told = Vec::new();
        for (what, pause) in happenings {
            clock.advance(minutes(pause));
            let now_ms = clock.now_ms();
            match what {
                0 => incidents.take(&[delivered("inc-1", now_ms)]),
                1 => drop(incidents.acknowledge("inc-1", "ada")),
                2 => incidents.take(&[transition("inc-1", &ended(&down, now_ms), now_ms)]),
                3 => {
                    disk = disk.crash(pause);
                    incidents = open_on(&disk, &clock).0;
                }
                4 => incidents.keep_up(),
                _ => {
                    let state = incidents.get("inc-1").unwrap().state();
                    if let Some(due) = tell(&incidents) {
                        prop_assert_eq!(state, State::Open);
                        prop_assert!(due.at_ms <= now_ms);
                        told.push(due.step);
                    }
                }
            }
        }
        prop_assert!(matches!(told.as_slice(), [] | [1] | [1, 2]), "{told:?}");
    }
}
