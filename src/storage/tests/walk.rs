//! What a walk over the head tells.

use std::collections::{BTreeMap, HashMap};

use super::super::Pulse;
use super::*;

/// Owners, with the newest samples of their series as times, whether they are markers, and what their metrics are known
/// for.
fn walked(fixture: &Fixture, known_for: &[(&str, char)]) -> BTreeMap<String, Vec<(i64, bool, Option<char>)>> {
    let known_for: HashMap<String, char> = known_for.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    let mut all: BTreeMap<String, Vec<(i64, bool, Option<char>)>> = BTreeMap::new();
    let add = |list: &mut Vec<(i64, bool, Option<char>)>, pulse: Pulse, kind: Option<char>| {
        list.push((pulse.newest.timestamp_ms - T0, is_stale(pulse.newest.value), kind));
    };
    fixture.storage.walk(["job", "service"], &known_for, add, |owner, list| {
        all.entry(owner.to_owned()).or_default().extend(list);
    });
    all.values_mut().for_each(|list| list.sort_unstable());
    all
}

#[test]
fn series_are_told_by_their_owner_with_the_sample_that_came_last() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + HOUR_MS));
    let fixture = open(&disk, &clock);
    let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).expect("labels");
    let shop = labels(&[("__name__", "up"), ("job", "shop"), ("service", "other")]);
    fixture.write(&[
        (shop.clone(), T0, 1.0),
        (labels(&[("__name__", "orders"), ("job", "shop")]), T0 + 5, 1.0),
        (labels(&[("__name__", "up"), ("service", "mail")]), T0 + 7, 1.0),
        (labels(&[("__name__", "made"), ("job", "shop")]), T0 + 9, 1.0),
        (labels(&[("__name__", "up")]), T0 + 8, 1.0),
    ]);
    fixture.write(&[(shop.clone(), T0 + 10, stale_nan())]);
    // Late: it is not what came last by its own time.
    fixture.write(&[(shop, T0 + 3, 1.0)]);
    let expected = BTreeMap::from([
        (String::new(), vec![(8, false, Some('u'))]),
        ("mail".to_owned(), vec![(7, false, Some('u'))]),
        ("shop".to_owned(), vec![(5, false, None), (9, false, Some('m')), (10, true, Some('u'))]),
    ]);
    assert_eq!(walked(&fixture, &[("made", 'm'), ("up", 'u'), ("unknown", 'x')]), expected);
}

#[test]
fn thousands_of_series_are_told_once_each() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + HOUR_MS));
    let fixture = open(&disk, &clock);
    let rows: Vec<_> = (0..5_000).map(|node| (series("up", node), T0 + i64::from(node), 1.0)).collect();
    fixture.write(&rows);
    let told = walked(&fixture, &[]);
    let expected: Vec<_> = (0..5_000).map(|offset| (offset, false, None)).collect();
    assert_eq!(told, BTreeMap::from([(String::new(), expected)]));
}
