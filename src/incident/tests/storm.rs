//! Ten thousand alerts at once.

use super::super::{Filter, State};
use super::*;
use crate::notify::SIGNALS_PER_INCIDENT_MAX;

const ALERTS_COUNT: usize = 10_000;

#[test]
fn full_incidents_are_noted_told_and_ended() {
    let (incidents, disk, clock) = incidents();
    let id = |index: usize| format!("inc-{}", index / SIGNALS_PER_INCIDENT_MAX);
    let alerts: Vec<Alert> = (0..ALERTS_COUNT)
        .map(|index| alert("Down", &[("instance", format!("node{index}").as_str())], NOON_MS))
        .collect();
    let of_all = |event: &dyn Fn(usize, &Alert) -> Event| -> Vec<Event> {
        alerts.iter().enumerate().map(|(index, alert)| event(index, alert)).collect()
    };
    let mut steps = vec![of_all(&|index, alert| transition(&id(index), alert, NOON_MS))];
    steps.push(of_all(&|index, _| delivered(&id(index), NOON_MS + index as i64)));
    steps.push(of_all(&|index, alert| transition(&id(index), &ended(alert, NOON_MS + 1), NOON_MS + 1)));
    for events in &steps {
        events.chunks(1_000).for_each(|events| incidents.take(events));
    }
    incidents.keep_up();
    let (read, _) = open_on(&disk, &clock);
    let resolved = read.list(&Filter { state: Some(State::Resolved), ..Filter::default() });
    assert_eq!(resolved.len(), ALERTS_COUNT / SIGNALS_PER_INCIDENT_MAX);
    assert!(resolved.iter().all(|incident| incident.signals.len() == SIGNALS_PER_INCIDENT_MAX));
    let delivered_count: u64 = resolved.iter().map(|incident| incident.delivered_count).sum();
    assert_eq!(delivered_count, ALERTS_COUNT as u64);
}
