//! Streams that nobody healthy sends: numbers at the edge of what a double holds, nodes that come back with a backlog.

use super::*;
use crate::detect::{Directions, Judge};

const SCRAPE_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;

/// The judge after all rows, and what it said.
fn judged(watches: Vec<Watch>, series: &[Arc<Labels>], rows: &[Row]) -> (Judge, Vec<Transition>) {
    let (mut workers, mut judge) = start(watches, 1, LATENESS_MS_DEFAULT);
    workers[0].handle(&batch(series, &[], true));
    let mut transitions = Vec::new();
    for rows in rows.chunks(100) {
        workers[0].handle(&batch(series, rows, false));
        transitions.extend(judge.poll());
    }
    (judge, transitions)
}

#[test]
fn numbers_at_the_edge_of_doubles_never_spoil_the_checkpoint() {
    let extremes = [0.0, -0.0, 1.0, -1.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -5e-324, 1e200, -1e200, 1e155];
    let options = ModelOptions { min_volume: 0.0, ..ModelOptions::default() };
    let watches = || {
        [
            "gauge",
            "{__name__=~\"gauge|other\"}",
            "sum(rate(gauge[1m]))",
            "sum(increase({__name__=~\"gauge|other\"}[30s]))",
        ]
        .map(|expression| watch(expression, options))
        .to_vec()
    };
    let series = [labels(&[("__name__", "gauge")]), labels(&[("__name__", "other")])];
    for seed in 0..60 {
        let mut chance = Chance(seed);
        let usual = extremes[chance.below(extremes.len())];
        let calm_rounds = chance.below(90) as i64;
        let rows: Vec<Row> = (0..300)
            .flat_map(|round| [(0, round), (1, round)])
            .map(|(index, round)| {
                let is_wild = round >= calm_rounds && chance.below(3) > 0;
                let value = if is_wild { extremes[chance.below(extremes.len())] } else { usual };
                (index, START_MS + round * SCRAPE_MS, value)
            })
            .collect();
        let (judge, _) = judged(watches(), &series, &rows);
        let (_, mut restored) = start(watches(), 1, LATENESS_MS_DEFAULT);
        restored.restore(&judge.checkpoint()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(restored.firing().len(), judge.firing().len());
    }
}

#[test]
fn one_absurd_number_does_not_blind_a_gauge() {
    let series = [labels(&[("__name__", "queue")])];
    let rows: Vec<Row> = (0..400)
        .map(|round| {
            let value = match round {
                30 => f64::MAX,
                300.. => 4000.0,
                _ => 1000.0 + 10.0 * (round % 7) as f64,
            };
            (0, START_MS + round * SCRAPE_MS, value)
        })
        .collect();
    let (_, transitions) = judged(vec![watch("queue", ModelOptions::default())], &series, &rows);
    let [fired] = transitions.as_slice() else { panic!("{transitions:?}") };
    assert!((0..=120_000).contains(&(fired.at_ms - START_MS - 300 * SCRAPE_MS)), "{fired:?}");
}

/// Four nodes with 50 orders in each interval; one is cut off for so long, and then sends what it kept, at once.
fn with_backlog(cut_off_ms: i64) -> (Vec<Arc<Labels>>, Vec<Row>) {
    let series: Vec<_> =
        (0..4).map(|node| labels(&[("__name__", "orders"), ("region", "eu"), ("node", &node.to_string())])).collect();
    let (cut_ms, back_ms) = (2 * HOUR_MS, 2 * HOUR_MS + cut_off_ms);
    let mut chance = Chance(1);
    let mut totals = [0.0; 4];
    let mut rows = Vec::new();
    for round in 0..4 * HOUR_MS / SCRAPE_MS {
        for node in 0..4 {
            let at_ms = round * SCRAPE_MS + 3000 * node as i64;
            totals[node] += chance.poisson(50.0);
            let arrives_ms = if node == 3 && (cut_ms..back_ms).contains(&at_ms) { back_ms } else { at_ms };
            // Its samples take twenty seconds on their way, well within the lateness.
            let arrives_ms = if node == 3 { arrives_ms + 20_000 } else { arrives_ms };
            rows.push((arrives_ms, (node, START_MS + at_ms, totals[node])));
        }
    }
    rows.sort_by_key(|row| row.0);
    (series, rows.into_iter().map(|row| row.1).collect())
}

#[test]
fn a_node_that_comes_back_with_a_backlog_counts_again() {
    for minutes in [1, 3, 6, 10, 30] {
        let (series, rows) = with_backlog(minutes * 60_000);
        let options = ModelOptions { directions: Directions::Both, ..ModelOptions::default() };
        let (mut workers, mut judge) =
            start(vec![watch("sum by (region) (rate(orders[1m]))", options)], 1, LATENESS_MS_DEFAULT);
        workers[0].handle(&batch(&series, &[], true));
        let mut transitions = Vec::new();
        let mut late = 0;
        for (index, rows) in rows.iter().enumerate() {
            workers[0].handle(&batch(&series, &[*rows], false));
            transitions.extend(judge.poll());
            if index == rows_until(&series, 3 * HOUR_MS) {
                late = judge.shared().metrics.samples_late.load(std::sync::atomic::Ordering::Relaxed);
            }
        }
        assert!(transitions.is_empty(), "cut off for {minutes} min: {transitions:?}");
        let value = judge.groups[0].value(&watch("sum by (region) (rate(orders[1m]))", options).signal);
        assert!((11.0..15.5).contains(&value), "cut off for {minutes} min: {value} orders a second of 13.3");
        let later = judge.shared().metrics.samples_late.load(std::sync::atomic::Ordering::Relaxed) - late;
        assert_eq!(later, 0, "cut off for {minutes} min: samples came late in the last hour");
    }
}

/// How many rows of a full stream come in so long.
fn rows_until(series: &[Arc<Labels>], duration_ms: i64) -> usize {
    series.len() * (duration_ms / SCRAPE_MS) as usize
}
