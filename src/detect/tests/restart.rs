//! Stopped anywhere, detection goes on as if it had not been.

use proptest::prelude::*;

use super::*;
use crate::detect::{Directions, Judge, Kind, Restored};

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
        let (mut workers, mut judge) = start(watches(), 1, LATENESS_MS_DEFAULT);
        workers[0].handle(&batch(&series, &[], true));
        let mut transitions = play(&mut workers[0], &mut judge, &series, &rows[..saved]);
        let checkpoint = judge.checkpoint();
        let repeated = play(&mut workers[0], &mut judge, &series, &rows[saved..stopped]);

        let (mut workers, mut judge) = start(watches(), 1, LATENESS_MS_DEFAULT);
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
    let (mut workers, mut judge) = start(watches(), 1, LATENESS_MS_DEFAULT);
    workers[0].handle(&batch(&series, &[], true));
    play(&mut workers[0], &mut judge, &series, &rows[..320 * 6]);
    assert_eq!(judge.firing().len(), 1);
    judge.checkpoint()
}

#[test]
fn what_fires_still_fires_after_a_restart_and_a_changed_rule_starts_fresh() {
    let checkpoint = checkpoint_in_an_incident();
    let (_, mut judge) = start(watches(), 1, LATENESS_MS_DEFAULT);
    judge.restore(&checkpoint).unwrap();
    let [firing] = judge.firing().try_into().unwrap();
    assert_eq!(firing.labels.to_string(), r#"{region="eu"}"#);
    assert!(firing.value < 0.7 * firing.expected, "{firing:?}");

    let changed = vec![Watch { identity: "another".to_owned(), ..watches().remove(0) }];
    let (_, mut judge) = start(changed, 1, LATENESS_MS_DEFAULT);
    let restored = judge.restore(&checkpoint).unwrap();
    assert_eq!(restored, Restored { groups: 0, groups_dropped: 2, firing_dropped: 1 });
    assert!(judge.firing().is_empty());
}

#[test]
fn a_damaged_checkpoint_is_refused_and_changes_nothing() {
    let checkpoint = checkpoint_in_an_incident();
    let is_refused = |bytes: &[u8]| {
        let (_, mut judge) = start(watches(), 1, LATENESS_MS_DEFAULT);
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
