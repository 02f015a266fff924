use super::super::{
    Acknowledgement, DELIVERIES_COUNT_MAX, Figures, Filter, INCIDENT_BYTES_MAX, IncidentError, NOTE_BYTES_MAX, State,
};
use super::*;

#[test]
fn incident_is_told_from_onset_to_resolution() {
    let (incidents, _, clock) = incidents();
    let mut orders = alert("OrdersDropped", &[("step", "checkout"), ("region", "eu")], NOON_MS + 75 * SECOND_MS);
    orders.annotations.insert(0, ("onset".to_owned(), "2026-03-01T12:00:00Z".to_owned()));
    incidents.take(&[transition("inc-1", &orders, NOON_MS + 77 * SECOND_MS)]);
    let failed = AttemptResult::Failed { reason: "connection refused".to_owned() };
    incidents.take(&[attempt("inc-1", "pager", NOON_MS + 78 * SECOND_MS, failed)]);
    incidents.take(&[delivered("inc-1", NOON_MS + 80 * SECOND_MS)]);
    let incident = incidents.get("inc-1").unwrap();
    assert_eq!(incident.state(), State::Open);
    assert_eq!((incident.onset_ms(), incident.opened_ms), (NOON_MS, NOON_MS + 77 * SECOND_MS));
    assert_eq!(incident.lag_ms(), 2 * SECOND_MS);
    assert_eq!(incident.first_attempt_ms, Some(NOON_MS + 78 * SECOND_MS));
    assert_eq!(incident.first_notified_ms, Some(NOON_MS + 80 * SECOND_MS));
    assert_eq!((incident.delivered_count, incident.failed_count, incident.given_up_count), (1, 1, 0));
    assert_eq!(incident.severity(), "critical");
    let path = &incidents.options().path;
    assert_eq!(incident.title(path), "OrdersDropped is in trouble");
    assert_eq!(incident.runbook_url(path), Some("http://dozor.example/runbooks/OrdersDropped"));

    clock.advance(minutes(5));
    let (taken, is_first) = incidents.acknowledge("inc-1", " ada ").unwrap();
    let ada = Acknowledgement { by: "ada".to_owned(), at_ms: NOON_MS + 5 * MINUTE_MS };
    assert_eq!((taken.acknowledgement(), is_first, taken.state()), (Some(&ada), true, State::Acknowledged));
    clock.advance(minutes(1));
    let (taken, is_first) = incidents.acknowledge("inc-1", "bob").unwrap();
    assert_eq!((taken.acknowledgement(), is_first), (Some(&ada), false));

    incidents.take(&[transition("inc-1", &ended(&orders, NOON_MS + 40 * MINUTE_MS), NOON_MS + 41 * MINUTE_MS)]);
    let incident = incidents.get("inc-1").unwrap();
    assert_eq!((incident.state(), incident.resolved_ms()), (State::Resolved, Some(NOON_MS + 40 * MINUTE_MS)));
    assert_eq!(incident.duration_ms(NOON_MS + DAY_MS), 40 * MINUTE_MS);
    assert!(matches!(incidents.acknowledge("inc-1", "bob"), Err(IncidentError::Resolved { .. })));
    let noted = incidents.add_note("inc-1", "bob", "the bank was down").unwrap();
    assert_eq!(noted.notes[0].text, "the bank was down");
}

#[test]
fn incident_lasts_as_long_as_one_of_its_signals_and_names_its_root() {
    let (incidents, _, _) = incidents();
    let payment = alert("PaymentsFailing", &[("step", "payment")], NOON_MS);
    let orders = alert("OrdersDropped", &[("step", "checkout")], NOON_MS + 50 * SECOND_MS);
    let events = [&payment, &orders].map(|alert| transition("inc-1", alert, alert.starts_at_ms));
    incidents.take(&events);
    incidents.take(&events); // what is said again changes nothing
    let incident = incidents.get("inc-1").unwrap();
    assert_eq!(incident.signals.len(), 2);
    let path = &incidents.options().path;
    // The earlier step of the path, for both began within a minute.
    assert_eq!(incident.root(path).unwrap().label("alertname"), "OrdersDropped");
    assert_eq!(incident.title(path), "OrdersDropped is in trouble (and 1 more)");
    incidents.take(&[transition("inc-1", &ended(&payment, NOON_MS + MINUTE_MS), NOON_MS + MINUTE_MS)]);
    assert_eq!(incidents.get("inc-1").unwrap().state(), State::Open);
    incidents.take(&[transition("inc-1", &ended(&orders, NOON_MS + 2 * MINUTE_MS), NOON_MS + 2 * MINUTE_MS)]);
    assert_eq!(incidents.get("inc-1").unwrap().resolved_ms(), Some(NOON_MS + 2 * MINUTE_MS));
}

#[test]
fn acknowledgement_does_not_cover_what_is_worse_and_came_later() {
    let (incidents, _, clock) = incidents();
    incidents.take(&[transition("inc-1", &alert("Slow", &[("severity", "warning")], NOON_MS), NOON_MS)]);
    incidents.acknowledge("inc-1", "ada").unwrap();
    clock.advance(minutes(1));
    let again = alert("SlowToo", &[("severity", "warning")], NOON_MS);
    incidents.take(&[transition("inc-1", &again, clock.now_ms())]);
    assert_eq!(incidents.get("inc-1").unwrap().state(), State::Acknowledged);
    incidents.take(&[transition("inc-1", &alert("Down", &[], NOON_MS), clock.now_ms())]);
    let incident = incidents.get("inc-1").unwrap();
    assert_eq!((incident.state(), incident.severity()), (State::Open, "critical"));
    let (incident, is_first) = incidents.acknowledge("inc-1", "bob").unwrap();
    assert!(is_first);
    assert_eq!(incident.acknowledgement().unwrap().by, "bob");
}

#[test]
fn what_cannot_be_said_is_refused_with_a_reason() {
    let (incidents, _, _) = incidents();
    incidents.take(&[transition("inc-1", &alert("A", &[], NOON_MS), NOON_MS)]);
    let refusal = |result: Result<(), IncidentError>| result.unwrap_err().to_string();
    assert_eq!(refusal(incidents.acknowledge("inc-2", "ada").map(drop)), "there is no incident inc-2");
    assert_eq!(refusal(incidents.acknowledge("inc-1", " ").map(drop)), "\"by\" is missing or empty");
    let long = "x".repeat(NOTE_BYTES_MAX + 1);
    let refused = refusal(incidents.add_note("inc-1", "ada", &long).map(drop));
    assert_eq!(refused, "\"text\" has 4097 bytes, but may have 4096");
}

#[test]
fn incident_is_unknown_while_samples_of_a_job_are_missing_whose_signal_ended() {
    let (incidents, _, clock) = incidents();
    let of_job = |name| alert(name, &[("job", "shop")], NOON_MS);
    let other = alert("Other", &[("job", "bank")], NOON_MS);
    incidents.take(&[
        transition("inc-before", &of_job("Before"), NOON_MS),
        transition("inc-after", &of_job("After"), NOON_MS),
        transition("inc-other", &other, NOON_MS),
        transition("inc-long-ago", &of_job("LongAgo"), NOON_MS),
    ]);
    let end = |id, alert: &Alert, at_ms| incidents.take(&[transition(id, &ended(alert, at_ms), at_ms)]);
    end("inc-long-ago", &of_job("LongAgo"), NOON_MS + MINUTE_MS);
    // The samples end at the second minute, which is found out at the fourth.
    end("inc-before", &of_job("Before"), NOON_MS + 3 * MINUTE_MS);
    clock.advance(minutes(4));
    incidents.mark_unknown("shop", NOON_MS + 2 * MINUTE_MS);
    end("inc-after", &of_job("After"), NOON_MS + 5 * MINUTE_MS);
    end("inc-other", &other, NOON_MS + 5 * MINUTE_MS);
    let state = |id| incidents.get(id).unwrap().state();
    assert_eq!((state("inc-before"), state("inc-after")), (State::Unknown, State::Unknown));
    assert_eq!((state("inc-other"), state("inc-long-ago")), (State::Resolved, State::Resolved));
    assert_eq!(incidents.get("inc-after").unwrap().resolved_ms(), None);
    assert!(incidents.is_unknown("shop") && !incidents.is_unknown("bank"));
    assert_eq!(incidents.unknown_jobs().into_iter().collect::<Vec<_>>(), ["shop"]);
    incidents.mark_known("shop");
    assert_eq!((state("inc-before"), state("inc-after")), (State::Resolved, State::Resolved));
    assert!(!incidents.is_unknown("shop"));
}

#[test]
fn what_was_missed_is_found_in_what_fires() {
    let (incidents, _, clock) = incidents();
    let (known, gone, new) = (alert("A", &[], NOON_MS), alert("B", &[], NOON_MS), alert("C", &[], NOON_MS));
    incidents.take(&[transition("inc-a", &known, NOON_MS), transition("inc-b", &gone, NOON_MS)]);
    clock.advance(minutes(7));
    let lasting = incidents.lasting();
    // This one begins behind the look at what fires.
    incidents.take(&[transition("inc-d", &alert("D", &[], NOON_MS), NOON_MS)]);
    incidents.reconcile(&lasting, &[(known, "inc-a".to_owned()), (new, "inc-c".to_owned())]);
    assert_eq!(incidents.get("inc-a").unwrap().signals[0].taken_ms, NOON_MS);
    assert_eq!(incidents.get("inc-b").unwrap().resolved_ms(), Some(NOON_MS + 7 * MINUTE_MS));
    assert_eq!(incidents.get("inc-c").unwrap().opened_ms, NOON_MS + 7 * MINUTE_MS);
    assert_eq!(incidents.get("inc-d").unwrap().state(), State::Open);
}

#[test]
fn lists_of_an_incident_are_bounded() {
    let (incidents, _, _) = incidents();
    let failed = || AttemptResult::Failed { reason: "x".repeat(2000) };
    let mut events = vec![transition("inc-1", &alert("A", &[], NOON_MS), NOON_MS)];
    events.extend((0..300).map(|at_ms| attempt("inc-1", "pager", NOON_MS + at_ms, failed())));
    for index in 0..200 {
        let mut wordy = alert(&format!("Wordy{index}"), &[("service", "cart")], NOON_MS);
        wordy.annotations.push(("text".to_owned(), "y".repeat(4000)));
        events.push(transition("inc-1", &wordy, NOON_MS));
    }
    incidents.take(&events);
    let incident = incidents.get("inc-1").unwrap();
    assert_eq!((incident.deliveries.len(), incident.failed_count), (DELIVERIES_COUNT_MAX, 300));
    assert!(incident.deliveries.iter().all(|delivery| delivery.reason.len() == 500));
    assert_eq!(incident.signals.len(), 201);
    let texts = incident.signals.iter().flat_map(|signal| &signal.alert.annotations).map(|(_, text)| text.len());
    assert!(texts.sum::<usize>() < INCIDENT_BYTES_MAX);
    let last = incident.signals.last().unwrap();
    assert_eq!(last.label("service"), "cart");
    // Without its words it is still the alert that ends.
    let end = ended(&alert("Wordy199", &[("service", "cart")], NOON_MS), NOON_MS + MINUTE_MS);
    incidents.take(&[transition("inc-1", &end, NOON_MS + MINUTE_MS)]);
    let incident = incidents.get("inc-1").unwrap();
    assert_eq!(incident.signals.last().unwrap().alert.ends_at_ms, Some(NOON_MS + MINUTE_MS));
}

#[test]
fn incidents_are_listed_by_time_and_state() {
    let (incidents, _, clock) = incidents();
    for (id, minute) in [("inc-a", 0), ("inc-b", 10), ("inc-c", 20)] {
        let began_ms = NOON_MS + minute * MINUTE_MS;
        incidents.take(&[transition(id, &alert(id, &[], began_ms), began_ms)]);
    }
    let end = ended(&alert("inc-a", &[], NOON_MS), NOON_MS + 5 * MINUTE_MS);
    incidents.take(&[transition("inc-a", &end, NOON_MS + 5 * MINUTE_MS)]);
    clock.advance(minutes(30));
    let ids = |filter: Filter| incidents.list(&filter).iter().map(|incident| incident.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(Filter::default()), ["inc-c", "inc-b", "inc-a"]);
    assert_eq!(ids(Filter { state: Some(State::Resolved), ..Filter::default() }), ["inc-a"]);
    assert_eq!(ids(Filter { from_ms: Some(NOON_MS + 6 * MINUTE_MS), ..Filter::default() }), ["inc-c", "inc-b"]);
    assert_eq!(ids(Filter { to_ms: Some(NOON_MS + 12 * MINUTE_MS), ..Filter::default() }), ["inc-b", "inc-a"]);
    assert_eq!(incidents.counts(), [2, 0, 0, 1]);
}

#[test]
fn figures_are_those_of_their_signal() {
    let (incidents, _, _) = incidents();
    let orders = alert("Orders", &[], NOON_MS);
    incidents.take(&[transition("inc-1", &orders, NOON_MS)]);
    let figures = Figures {
        value: Some(2.5),
        expected: Some(9.0),
        chart: vec![(NOON_MS, Some(2.5), Some(9.0)), (NOON_MS + 1, None, None)],
    };
    incidents.note_figures("inc-1", &orders, figures.clone());
    incidents.note_figures("inc-1", &alert("Stranger", &[], NOON_MS), Figures::default());
    assert_eq!(incidents.get("inc-1").unwrap().signals[0].figures, Some(figures));
}
