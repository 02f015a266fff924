//! What a walk over the head tells.

use std::collections::{BTreeMap, HashMap};

use super::super::Pulse;
use super::*;

const MINUTE_MS: i64 = 60_000;

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

/// First and last moment and count of the only series, from `T0` on, as the walk tells them.
fn pulse(fixture: &Fixture) -> (i64, i64, u32) {
    let mut all = Vec::new();
    let add = |list: &mut Vec<Pulse>, pulse: Pulse, _: Option<()>| list.push(pulse);
    fixture.storage.walk(["job", "service"], &HashMap::new(), add, |_, list| all.extend(list));
    let [pulse] = all[..] else { panic!("{} series", all.len()) };
    (pulse.first_ms - T0, pulse.newest.timestamp_ms - T0, pulse.count)
}

#[test]
fn how_long_a_series_has_come_is_known_behind_the_end_of_a_chunk() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 3 * HOUR_MS));
    let (up, bound_ms) = (series("up", 0), 2 * HOUR_MS);
    // Every five seconds for eight minutes, of which the last is another block's.
    let fixture = open(&disk, &clock);
    for step in 0..96 {
        fixture.write(&[(up.clone(), T0 + bound_ms - 7 * MINUTE_MS + step * 5_000, 1.0)]);
    }
    let (first_ms, last_ms) = (bound_ms - 7 * MINUTE_MS, bound_ms + MINUTE_MS - 5_000);
    assert_eq!(pulse(&fixture), (first_ms, last_ms, 96));
    // A step or two that were missed are no gap; an hour is.
    fixture.write(&[(up.clone(), T0 + last_ms + 15_000, 1.0)]);
    assert_eq!(pulse(&fixture), (first_ms, last_ms + 15_000, 97));
    for before in [40, 1] {
        let fixture = open(&SimulatedDisk::new(), &clock);
        for step in 0..before {
            fixture.write(&[(up.clone(), T0 + bound_ms - 60 * MINUTE_MS + step * 5_000, 1.0)]);
        }
        for step in 0..3 {
            fixture.write(&[(up.clone(), T0 + bound_ms + step * 5_000, 1.0)]);
        }
        assert_eq!(pulse(&fixture), (bound_ms, bound_ms + 10_000, 3), "behind {before} samples an hour before");
    }
}

#[test]
fn a_series_that_comes_each_few_minutes_is_known_by_more_than_a_few_samples() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 3 * HOUR_MS));
    let fixture = open(&disk, &clock);
    for step in 0..36 {
        fixture.write(&[(series("up", 0), T0 + 90 * MINUTE_MS + step * 2 * MINUTE_MS, 1.0)]);
        let (first_ms, last_ms, samples) = pulse(&fixture);
        assert!(samples >= 16 || first_ms == 90 * MINUTE_MS, "{samples} samples from {first_ms} to {last_ms}");
        assert_eq!(i64::from(samples), (last_ms - first_ms) / (2 * MINUTE_MS) + 1);
    }
}

#[test]
fn a_series_that_comes_each_second_is_known_for_ten_minutes() {
    let (disk, clock) = (SimulatedDisk::new(), Clock::manual(T0 + 3 * HOUR_MS));
    let fixture = open(&disk, &clock);
    let mut steps: i64 = 0;
    let mut send_until = |count: i64| {
        while steps < count {
            fixture.write(&[(series("up", 0), T0 + steps * 1_000, 1.0)]);
            steps += 1;
        }
    };
    for count in [100, 300, 600, 3_000] {
        send_until(count);
        let (first_ms, last_ms, samples) = pulse(&fixture);
        assert_eq!(last_ms, (count - 1) * 1_000);
        assert_eq!(i64::from(samples), (last_ms - first_ms) / 1_000 + 1, "each is counted once");
        let known_ms = last_ms - first_ms;
        assert!(known_ms >= (10 * MINUTE_MS).min(last_ms), "{known_ms} ms of {last_ms} are known");
    }
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
