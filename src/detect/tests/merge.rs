//! However samples are split over shards and batches, the same comes of them.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;
use crate::detect::{Directions, Judge, Kind};
use crate::model::stale_nan;

const SCRAPE_MS: i64 = 15_000;

/// Two watches over the same counters, one over a gauge.
fn watches() -> Vec<Watch> {
    let options = ModelOptions { directions: Directions::Both, ..ModelOptions::default() };
    vec![
        watch("sum by (region) (rate(orders[1m]))", options),
        watch("sum(increase(orders[30s]))", options),
        watch("queue", options),
    ]
}

/// Twelve counters in two regions and two gauges, an hour and a half; one region breaks, a node leaves, another comes
/// back.
fn stream(seed: u64) -> (Vec<Arc<Labels>>, Vec<Row>) {
    let mut chance = Chance(seed);
    let mut series = Vec::new();
    for node in 0..12 {
        let region = if node % 2 == 0 { "eu" } else { "us" };
        series.push(labels(&[("__name__", "orders"), ("region", region), ("node", &node.to_string())]));
    }
    series.push(labels(&[("__name__", "queue"), ("name", "mail")]));
    series.push(labels(&[("__name__", "queue"), ("name", "sms")]));
    let phases: Vec<i64> = series.iter().map(|_| chance.below(SCRAPE_MS as usize) as i64).collect();
    let mut values = vec![0.0; series.len()];
    let mut rows = Vec::new();
    for round in 0..360 {
        for index in 0..series.len() {
            let is_broken = (240..265).contains(&round) && index % 2 == 0;
            let is_silent = (index == 3 && round >= 150) || (index == 5 && (170..185).contains(&round));
            if index < 12 {
                values[index] += chance.poisson(if is_broken { 10.0 } else { 40.0 });
            } else {
                values[index] = 100.0 * (0.1 * chance.normal()).exp() * if is_broken { 3.0 } else { 1.0 };
            }
            let at_ms = START_MS + round * SCRAPE_MS + phases[index];
            if !is_silent {
                rows.push((index, at_ms, values[index]));
            } else if index == 3 && round == 150 {
                rows.push((index, at_ms, stale_nan()));
            }
        }
    }
    rows.sort_by_key(|row| row.1);
    (series, rows)
}

/// Plays rows through `worker_count` shards: series are dealt at random, batches cut at random, shards and the judge
/// run in random order, some rows are given twice, and rows arrive up to `disorder_ms` late.
fn shuffled(
    seed: u64,
    worker_count: usize,
    disorder_ms: i64,
    series: &[Arc<Labels>],
    rows: &[Row],
) -> (Judge, Vec<Transition>) {
    let mut chance = Chance(seed);
    let (mut workers, mut judge) = start(watches(), worker_count, None);
    let shards: Vec<usize> = series.iter().map(|_| chance.below(worker_count)).collect();
    let delays: Vec<i64> = series.iter().map(|_| chance.below(disorder_ms as usize + 1) as i64).collect();
    let mut arrivals = rows.to_vec();
    arrivals.sort_by_key(|row| row.1 + delays[row.0]);
    let mut inboxes: Vec<VecDeque<TapBatch>> = vec![VecDeque::new(); worker_count];
    let mut introduced = vec![false; series.len()];
    let mut transitions = Vec::new();
    let mut next = 0;
    while next < arrivals.len() || inboxes.iter().any(|inbox| !inbox.is_empty()) {
        // What is admitted at one moment reaches the inboxes of all shards before anything later does.
        let count = (1 + chance.below(40)).min(arrivals.len() - next);
        let mut batches = vec![TapBatch::default(); worker_count];
        for row in &arrivals[next..next + count] {
            let to = &mut batches[shards[row.0]];
            let one = batch(series, &[*row], false);
            if !std::mem::replace(&mut introduced[row.0], true) {
                to.series.push((one.rows[0].series, series[row.0].clone()));
            }
            to.rows.extend(&one.rows);
            if chance.below(10) == 0 {
                to.rows.extend(&one.rows);
            }
        }
        next += count;
        for (inbox, batch) in inboxes.iter_mut().zip(batches) {
            inbox.push_back(batch);
        }
        for _ in 0..chance.below(2 * worker_count + 2) {
            let shard = chance.below(worker_count);
            if let Some(batch) = inboxes[shard].pop_front() {
                workers[shard].handle(&batch);
            }
            workers[shard].settle(|| inboxes[shard].is_empty());
        }
        if chance.below(3) == 0 {
            transitions.extend(judge.poll());
        }
    }
    workers.iter_mut().for_each(|worker| worker.settle(|| true));
    workers.iter_mut().for_each(|worker| worker.settle(|| true));
    transitions.extend(judge.poll());
    (judge, transitions)
}

/// What must not depend on the order of arrival, sorted.
fn essence(transitions: &[Transition]) -> Vec<(usize, String, Kind, [i64; 3], String)> {
    let mut all: Vec<_> = transitions
        .iter()
        .map(|one| {
            let numbers = format!("{:.6e} {:.3e}", one.value, one.expected);
            (one.watch, one.labels.to_string(), one.kind, [one.at_ms, one.onset_ms, one.fired_ms], numbers)
        })
        .collect();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_split_over_shards_and_batches_gives_the_same_transitions(seed in any::<u64>(), worker_count in 1_usize..6, disorder_ms in 0_i64..14_000) {
        let (series, rows) = stream(seed % 4);
        let plain = transitions_of(watches(), &series, &rows);
        let (judge, transitions) = shuffled(seed, worker_count, disorder_ms, &series, &rows);
        prop_assert_eq!(essence(&transitions), essence(&plain));
        prop_assert_eq!(judge.shared().metrics.samples_late.load(Ordering::Relaxed), 0);
        prop_assert!(plain.iter().filter(|one| one.kind == Kind::Firing).count() >= 3, "the stream holds an incident: {:?}", plain);
    }
}

#[test]
fn a_shard_without_series_holds_nobody_back() {
    let (series, rows) = stream(1);
    let (mut workers, mut judge) = start(watches(), 2, None);
    let mut transitions = Vec::new();
    workers[0].handle(&batch(&series, &[], true));
    for rows in rows.chunks(50) {
        workers[0].handle(&batch(&series, rows, false));
        workers[1].settle(|| true);
        transitions.extend(judge.poll());
    }
    assert_eq!(essence(&transitions), essence(&transitions_of(watches(), &series, &rows)));
}

#[test]
fn a_shard_that_lags_holds_its_groups_back_and_nothing_is_lost() {
    let (series, rows) = stream(2);
    let (mut workers, mut judge) = start(watches(), 2, None);
    let is_of = |shard: usize| move |row: &&Row| row.0 % 3 == shard || (shard == 1 && row.0 % 3 == 2);
    let of = |shard: usize| rows.iter().filter(is_of(shard)).copied().collect::<Vec<Row>>();
    workers[0].handle(&batch(&series, &of(0), true));
    assert!(judge.poll().is_empty());
    workers[1].handle(&batch(&series, &of(1), true));
    let mut transitions = judge.poll();
    while workers.iter().any(|worker| worker.pending() > 0) {
        workers.iter_mut().for_each(Worker::publish);
        transitions.extend(judge.poll());
    }
    assert_eq!(essence(&transitions), essence(&transitions_of(watches(), &series, &rows)));
}

#[test]
fn reading_again_what_was_taken_in_changes_nothing() {
    let (series, rows) = stream(3);
    let (mut workers, mut judge) = start(watches(), 1, None);
    let (first, rest) = rows.split_at(rows.len() / 2);
    workers[0].handle(&batch(&series, first, true));
    let mut transitions = judge.poll();
    // The queue overflowed; the worker reads each series from storage, one series behind the other, some rows twice.
    let mut again: Vec<Row> = rest.to_vec();
    again.extend(&first[first.len() - 30..]);
    again.sort_by_key(|row| (row.0, row.1));
    workers[0].handle(&batch(&series, &again, false));
    transitions.extend(judge.poll());
    assert_eq!(essence(&transitions), essence(&transitions_of(watches(), &series, &rows)));
    let last = rows.iter().filter(|row| row.0 == 0).map(|row| row.1).max();
    assert_eq!(workers[0].last_timestamp(SeriesRef::new(0, 0, 0)), last);
    assert_eq!(workers[0].series().count(), series.len());
}

#[test]
fn a_slot_that_is_used_again_takes_the_place_of_what_it_held() {
    let (mut workers, mut judge) = start(watches(), 1, None);
    let worker = &mut workers[0];
    // One node after the other, an hour each, all in the same slot of the shard.
    for generation in 0..50_u32 {
        let reference = SeriesRef::new(0, generation, 7);
        let node = labels(&[("__name__", "orders"), ("region", "eu"), ("node", &generation.to_string())]);
        let at_ms = |round: i64| START_MS + i64::from(generation) * 3_600_000 + round * SCRAPE_MS;
        let rows =
            (0..40).map(|round| TapRow { series: reference, timestamp_ms: at_ms(round), value: 10.0 * round as f64 });
        worker.handle(&TapBatch { series: vec![(reference, node)], rows: rows.collect(), newest_ms: None });
        judge.poll();
        assert_eq!(worker.series().count(), 1);
        assert_eq!(worker.last_timestamp(reference), Some(at_ms(39)));
        assert_eq!(worker.last_timestamp(SeriesRef::new(0, generation.wrapping_sub(1), 7)), None);
    }
    let value = watches()[0].signal.value(&judge.groups[0].window);
    assert!((value - 10.0 / 15.0).abs() < 1e-9, "{value} orders a second");
}

#[test]
fn interest_is_what_any_watch_matches() {
    let (workers, _) = start(watches(), 1, None);
    let interest = workers[0].interest();
    assert!(interest(&labels(&[("__name__", "orders"), ("node", "1")])));
    assert!(interest(&labels(&[("__name__", "queue")])));
    assert!(!interest(&labels(&[("__name__", "orders_total")])));
}
