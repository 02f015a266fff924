//! Stopped anywhere, detection goes on as if it had not been.

use proptest::prelude::*;

use super::*;
use storage_format::frame::{FileHeader, FileKind, append_record};

use crate::detect::{Calendar, Directions, Judge, Kind, Restored, Zone};

const SCRAPE_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;

fn watches() -> Vec<Watch> {
    let options = ModelOptions { directions: Directions::Drop, ..ModelOptions::default() };
    vec![watch("sum by (region) (rate(orders[1m]))", options)]
}

/// Three hours of six nodes in two regions, with two incidents in one of them.
fn stream() -> (Vec<Arc<Labels>>, Vec<Row>) {
    let mut chance = Chance(11);
    let series: Vec<_> = (0..6)
        .map(|node| {
            let region = if node < 3 { "eu" } else { "us" };
            labels(&[("__name__", "orders"), ("region", region), ("node", &node.to_string())])
        })
        .collect();
    let mut values = [0.0; 6];
    let mut rows = Vec::new();
    for round in 0..720 {
        for (node, value) in values.iter_mut().enumerate() {
            let is_broken = node < 3 && ((300..330).contains(&round) || (500..540).contains(&round));
            *value += chance.poisson(if is_broken { 8.0 } else { 30.0 });
            rows.push((node, START_MS + round * SCRAPE_MS + 2000 * node as i64, *value));
        }
    }
    (series, rows)
}

fn play(worker: &mut Worker, judge: &mut Judge, series: &[Arc<Labels>], rows: &[Row]) -> Vec<Transition> {
    let mut transitions = Vec::new();
    for rows in rows.chunks(7) {
        worker.handle(&batch(series, rows, false));
        transitions.extend(judge.poll());
    }
    transitions
}

fn essence(transitions: &[Transition]) -> Vec<(String, Kind, i64, i64, i64)> {
    transitions.iter().map(|one| (one.labels.to_string(), one.kind, one.onset_ms, one.fired_ms, one.at_ms)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn stopped_at_any_moment_it_tells_what_it_would_have_told(saved in 0.05_f64..0.99, lost in 0_usize..200) {
        let (series, rows) = stream();
        let uninterrupted = transitions_of(watches(), &series, &rows);
        prop_assert_eq!(uninterrupted.len(), 4, "two incidents begin and end");

        let saved = (rows.len() as f64 * saved) as usize;
        let stopped = (saved + lost).min(rows.len());
        let (mut workers, mut judge) = start(watches(), 1, None);
        workers[0].handle(&batch(&series, &[], true));
        let mut transitions = play(&mut workers[0], &mut judge, &series, &rows[..saved]);
        let checkpoint = judge.checkpoint();
        let repeated = play(&mut workers[0], &mut judge, &series, &rows[saved..stopped]);

        let (mut workers, mut judge) = start(watches(), 1, None);
        let restored = judge.restore(&checkpoint).unwrap();
        prop_assert_eq!(restored, Restored { groups: 2, ..Restored::default() });
        workers[0].handle(&batch(&series, &[], true));
        let replay_from_ms = rows[saved].1 - HOUR_MS;
        let replayed = rows.partition_point(|row| row.1 < replay_from_ms);
        let told = play(&mut workers[0], &mut judge, &series, &rows[replayed..]);
        prop_assert!(essence(&told).starts_with(&essence(&repeated)), "the lost part is told again, not otherwise");
        transitions.extend(told);
        prop_assert_eq!(essence(&transitions), essence(&uninterrupted));
    }
}

fn checkpoint_in_an_incident() -> Vec<u8> {
    let (series, rows) = stream();
    let (mut workers, mut judge) = start(watches(), 1, None);
    workers[0].handle(&batch(&series, &[], true));
    play(&mut workers[0], &mut judge, &series, &rows[..320 * 6]);
    assert_eq!(judge.firing().len(), 1);
    judge.checkpoint()
}

#[test]
fn what_fires_still_fires_after_a_restart_and_a_changed_rule_starts_fresh() {
    let checkpoint = checkpoint_in_an_incident();
    let (_, mut judge) = start(watches(), 1, None);
    judge.restore(&checkpoint).unwrap();
    let [firing] = judge.firing().try_into().unwrap();
    assert_eq!(firing.labels.to_string(), r#"{region="eu"}"#);
    assert!(firing.value < 0.7 * firing.expected, "{firing:?}");

    let changed = vec![Watch { identity: "another".to_owned(), ..watches().remove(0) }];
    let (_, mut judge) = start(changed, 1, None);
    let restored = judge.restore(&checkpoint).unwrap();
    assert_eq!(restored, Restored { groups: 0, groups_dropped: 2, firing_dropped: 1 });
    assert!(judge.firing().is_empty());
}

#[test]
fn a_damaged_checkpoint_is_refused_and_changes_nothing() {
    let checkpoint = checkpoint_in_an_incident();
    let is_refused = |bytes: &[u8]| {
        let (_, mut judge) = start(watches(), 1, None);
        judge.restore(bytes).is_err() && judge.firing().is_empty()
    };
    for index in (0..checkpoint.len()).step_by(7) {
        let mut damaged = checkpoint.clone();
        damaged[index] ^= 0x40;
        // Padding behind a record is not read.
        assert!(is_refused(&damaged) || damaged[index] == 0x40, "byte {index}");
    }
    for length in (0..checkpoint.len() - 8).step_by(11) {
        assert!(is_refused(&checkpoint[..length]), "{length} bytes");
    }
}

const MINUTE_MS: i64 = 60_000;
/// Minutes after which every group has a season: two days, and some for the series to begin to count.
const GROWN_MINUTES: i64 = 2_900;

fn grown_watches() -> Vec<Watch> {
    let options = ModelOptions::default();
    vec![watch("sum by (region) (rate(orders[1m]))", options), watch("queue", options)]
}

/// Two days and three hours of two counters and a gauge that report every minute. In the last hours the counter of one
/// region halves for half an hour, and the gauge doubles.
fn grown_stream() -> (Vec<Arc<Labels>>, Vec<Row>) {
    let mut chance = Chance(5);
    let series = vec![
        labels(&[("__name__", "orders"), ("region", "eu")]),
        labels(&[("__name__", "orders"), ("region", "us")]),
        labels(&[("__name__", "queue")]),
    ];
    let (mut totals, mut rows) = ([0.0; 2], Vec::new());
    for minute in 0..GROWN_MINUTES + 160 {
        let at_ms = START_MS + minute * MINUTE_MS;
        let is_broken = (30..60).contains(&(minute - GROWN_MINUTES));
        for (region, total) in totals.iter_mut().enumerate() {
            *total += chance.poisson(if is_broken && region == 0 { 30.0 } else { 120.0 });
            rows.push((region, at_ms, *total));
        }
        rows.push((2, at_ms, 50.0 * (0.1 * chance.normal()).exp() * if is_broken { 2.0 } else { 1.0 }));
    }
    (series, rows)
}

/// Only the order within a group is promised.
fn by_group(mut transitions: Vec<Transition>) -> Vec<Transition> {
    transitions.sort_by_key(|one| (one.watch, one.labels.to_string()));
    transitions
}

#[test]
fn groups_with_a_season_go_on_where_they_stopped() {
    let (series, rows) = grown_stream();
    let uninterrupted = transitions_of(grown_watches(), &series, &rows);
    let grown_ms = START_MS + GROWN_MINUTES * MINUTE_MS;
    let told = essence(&uninterrupted);
    assert_eq!(told.len(), 4, "orders and the queue fire and resolve: {told:?}");
    assert!(told.iter().all(|one| one.3 >= grown_ms), "{told:?}");
    for saved_minute in (GROWN_MINUTES + 25..GROWN_MINUTES + 100).step_by(7) {
        let (saved, lost) = (saved_minute as usize * 3, 3 * 4);
        let (mut workers, mut judge) = start(grown_watches(), 1, None);
        workers[0].handle(&batch(&series, &[], true));
        let mut transitions = play(&mut workers[0], &mut judge, &series, &rows[..saved]);
        let checkpoint = judge.checkpoint();
        assert!(checkpoint.len() < 3 * 4_300, "{} bytes for three groups", checkpoint.len());
        let repeated = play(&mut workers[0], &mut judge, &series, &rows[saved..saved + lost]);

        let (mut workers, mut judge) = start(grown_watches(), 1, None);
        assert_eq!(judge.restore(&checkpoint).unwrap(), Restored { groups: 3, ..Restored::default() });
        workers[0].handle(&batch(&series, &[], true));
        let told = play(&mut workers[0], &mut judge, &series, &rows[saved - 60 * 3..]);
        assert!(repeated.iter().all(|one| told.contains(one)), "minute {saved_minute}: the lost part is told again");
        transitions.extend(told);
        assert_eq!(by_group(transitions), by_group(uninterrupted.clone()), "minute {saved_minute}");
    }
}

/// Each was written by the version that had the layout, of what [`checkpoint_in_an_incident`] plays.
#[test]
fn checkpoints_of_the_layouts_before_lose_nothing() {
    let (series, rows) = stream();
    let uninterrupted = transitions_of(watches(), &series, &rows);
    let files = [
        &include_bytes!("layout2.checkpoint")[..],
        include_bytes!("layout3.checkpoint"),
        include_bytes!("layout4.checkpoint"),
        include_bytes!("layout5.checkpoint"),
    ];
    for checkpoint in files {
        let (mut workers, mut judge) = start(watches(), 1, None);
        let restored = judge.restore(checkpoint).unwrap();
        assert_eq!(restored, Restored { groups: 2, ..Restored::default() });
        workers[0].handle(&batch(&series, &[], true));
        let told = play(&mut workers[0], &mut judge, &series, &rows[80 * 6..]);
        assert_eq!(essence(&told), essence(&uninterrupted[1..]), "the first incident fired before");
    }
}

#[test]
fn a_checkpoint_of_an_older_version_is_refused_by_name() {
    let header = FileHeader::new(FileKind::Detector, 0, 0, 0);
    let mut bytes = header.encode().to_vec();
    append_record(&mut bytes, 1, 0, header.chain_start(), b"{\"groups\":0}");
    let (_, mut judge) = start(watches(), 1, None);
    let refusal = judge.restore(&bytes).unwrap_err().to_string();
    assert!(refusal.contains("an older version of this program wrote it"), "{refusal}");
}

#[test]
fn a_watch_whose_clock_was_changed_starts_fresh() {
    let checkpoint = checkpoint_in_an_incident();
    let (_, mut judge) = start(watches(), 1, None);
    judge.live_by(Zone::named("Asia/Tokyo").unwrap(), Calendar::default());
    let restored = judge.restore(&checkpoint).unwrap();
    assert_eq!(restored, Restored { groups: 0, groups_dropped: 2, firing_dropped: 1 });
}

#[test]
fn what_fires_in_a_direction_that_is_no_longer_watched_is_forgotten() {
    let checkpoint = checkpoint_in_an_incident();
    let mut rises = watches();
    rises[0].options.directions = Directions::Rise;
    let (_, mut judge) = start(rises, 1, None);
    let restored = judge.restore(&checkpoint).unwrap();
    assert_eq!(restored, Restored { groups: 2, groups_dropped: 0, firing_dropped: 1 });
    assert!(judge.firing().is_empty());
}
