//! Streams that nobody healthy sends: numbers at the edge of what a double holds, nodes that come back with a backlog.

use super::*;
use crate::detect::{Directions, Judge};

const SCRAPE_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;

/// The judge after all rows, and what it said.
fn judged(watches: Vec<Watch>, series: &[Arc<Labels>], rows: &[Row]) -> (Judge, Vec<Transition>) {
    let (mut workers, mut judge) = start(watches, 1, None);
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
            "sum({__name__=~\"gauge|other\"})",
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
        let (_, mut restored) = start(watches(), 1, None);
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
        for (node, total) in totals.iter_mut().enumerate() {
            let at_ms = round * SCRAPE_MS + 3000 * node as i64;
            *total += chance.poisson(50.0);
            let arrives_ms = if node == 3 && (cut_ms..back_ms).contains(&at_ms) { back_ms } else { at_ms };
            // Its samples take twenty seconds on their way, well within the lateness.
            let arrives_ms = if node == 3 { arrives_ms + 20_000 } else { arrives_ms };
            rows.push((arrives_ms, (node, START_MS + at_ms, *total)));
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
        let (mut workers, mut judge) = start(vec![watch("sum by (region) (rate(orders[1m]))", options)], 1, None);
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
        let value = watch("sum by (region) (rate(orders[1m]))", options).signal.value(&judge.groups[0].window);
        assert!((11.0..15.5).contains(&value), "cut off for {minutes} min: {value} orders a second of 13.3");
        let later = judge.shared().metrics.samples_late.load(std::sync::atomic::Ordering::Relaxed) - late;
        assert_eq!(later, 0, "cut off for {minutes} min: samples came late in the last hour");
    }
}

/// How many rows of a full stream come in so long.
fn rows_until(series: &[Arc<Labels>], duration_ms: i64) -> usize {
    series.len() * (duration_ms / SCRAPE_MS) as usize
}

const ORDERS: &str = "sum by (region) (rate(orders[1m]))";

struct Node {
    interval_ms: i64,
    per_second: f64,
    /// How far its clock is behind.
    behind_ms: i64,
    /// It begins anew this often, its counter at zero, 20 s after its end.
    restarts_ms: Option<i64>,
}

impl Node {
    fn usual() -> Node {
        Node { interval_ms: SCRAPE_MS, per_second: 5.0, behind_ms: 0, restarts_ms: None }
    }
}

/// Rows in the order of their arrival. `health` scales what a node sells at a true moment; none: it is cut off.
fn shop(
    seed: u64,
    nodes: &[Node],
    duration_ms: i64,
    health: impl Fn(usize, i64) -> Option<f64>,
) -> (Vec<Arc<Labels>>, Vec<Row>) {
    let series = (0..nodes.len())
        .map(|node| labels(&[("__name__", "orders"), ("region", "eu"), ("node", &node.to_string())]))
        .collect();
    let mut chance = Chance(seed);
    let mut rows = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let (phase_ms, mut total, mut boot) = (chance.below(node.interval_ms as usize) as i64, 0.0, 0);
        for second in 0..duration_ms / 1000 {
            let at_ms = second * 1000;
            if let Some(restarts_ms) = node.restarts_ms {
                if at_ms / restarts_ms != boot {
                    (boot, total) = (at_ms / restarts_ms, 0.0);
                }
                if at_ms % restarts_ms > restarts_ms - 20_000 {
                    continue;
                }
            }
            total += chance.poisson(node.per_second * health(index, at_ms).unwrap_or(1.0));
            if (at_ms + phase_ms / 1000 * 1000) % node.interval_ms == 0 && health(index, at_ms).is_some() {
                rows.push((at_ms, (index, START_MS + at_ms - node.behind_ms, total)));
            }
        }
    }
    rows.sort_by_key(|row: &(i64, Row)| row.0);
    (series, rows.into_iter().map(|row| row.1).collect())
}

fn both() -> Vec<Watch> {
    vec![watch(ORDERS, ModelOptions { directions: Directions::Both, ..ModelOptions::default() })]
}

/// Plays the rows one by one, and says how many of the buckets were unknown.
fn played(series: &[Arc<Labels>], rows: &[Row]) -> (Vec<Transition>, f64) {
    use std::sync::atomic::Ordering::Relaxed;
    let (mut workers, mut judge) = start(both(), 1, None);
    workers[0].handle(&batch(series, &[], true));
    let mut transitions = Vec::new();
    for row in rows {
        workers[0].handle(&batch(series, &[*row], false));
        transitions.extend(judge.poll());
    }
    let metrics = &judge.shared().metrics;
    (transitions, metrics.buckets_unknown.load(Relaxed) as f64 / metrics.buckets_closed.load(Relaxed) as f64)
}

/// Four hours with an incident of ten minutes in the fourth: it fires once, soon after its start, and resolves.
fn tells_the_incident(what: &str, nodes: &[Node], seed: u64, within_ms: i64) {
    let broken_ms = 3 * HOUR_MS;
    let is_broken = |at_ms: i64| (broken_ms..broken_ms + 600_000).contains(&at_ms);
    let (series, rows) = shop(seed, nodes, 4 * HOUR_MS, |_, at_ms| Some(if is_broken(at_ms) { 0.3 } else { 1.0 }));
    let (transitions, unknown_share) = played(&series, &rows);
    let [fired, resolved] = transitions.as_slice() else { panic!("{what}, seed {seed}: {transitions:?}") };
    let since_ms = fired.at_ms - START_MS - broken_ms;
    assert!((0..=within_ms).contains(&since_ms), "{what}, seed {seed}: fired after {since_ms} ms");
    assert!(resolved.at_ms - START_MS - broken_ms >= 600_000, "{what}, seed {seed}: {resolved:?}");
    assert!(unknown_share < 0.2, "{what}, seed {seed}: {unknown_share} of the buckets unknown");
}

#[test]
fn a_node_whose_clock_is_behind_does_not_blind_its_group() {
    for behind_ms in [20_000, 45_000, 60_000, 90_000, 120_000, 240_000, 400_000] {
        for seed in 0..3 {
            let mut nodes: Vec<Node> = (0..4).map(|_| Node::usual()).collect();
            nodes[0].behind_ms = behind_ms;
            tells_the_incident(&format!("{behind_ms} ms behind"), &nodes, seed, 120_000);
        }
    }
}

#[test]
fn nodes_that_are_scraped_every_5_and_every_60_seconds_are_one_group() {
    for slow_count in [1, 3] {
        for seed in 0..3 {
            let mut nodes: Vec<Node> = (0..slow_count).map(|_| Node { interval_ms: 60_000, ..Node::usual() }).collect();
            nodes.push(Node { interval_ms: 5000, ..Node::usual() });
            tells_the_incident(&format!("{slow_count} slow ones"), &nodes, seed, 180_000);
        }
    }
}

#[test]
fn a_node_that_restarts_every_ten_minutes_neither_fires_nor_hides_an_incident() {
    for count in [1, 2, 4] {
        for seed in 0..3 {
            let mut nodes: Vec<Node> = (0..count).map(|_| Node::usual()).collect();
            nodes[0].restarts_ms = Some(600_000);
            tells_the_incident(&format!("one of {count} restarts"), &nodes, seed, 150_000);
        }
    }
}

#[test]
fn all_nodes_silent_for_ten_minutes_neither_fires_nor_resolves() {
    let broken_ms = 3 * HOUR_MS;
    for count in [1, 3] {
        for silent_ms in [2 * HOUR_MS, broken_ms + 200_000] {
            let nodes: Vec<Node> = (0..count).map(|_| Node::usual()).collect();
            let (series, rows) = shop(1, &nodes, 4 * HOUR_MS, |_, at_ms| {
                let health = if (broken_ms..broken_ms + 1_800_000).contains(&at_ms) { 0.3 } else { 1.0 };
                (!(silent_ms..silent_ms + 600_000).contains(&at_ms)).then_some(health)
            });
            let (transitions, _) = played(&series, &rows);
            let [fired, resolved] = transitions.as_slice() else { panic!("{count} nodes: {transitions:?}") };
            assert!((0..=120_000).contains(&(fired.at_ms - START_MS - broken_ms)), "{fired:?}");
            assert!(resolved.at_ms - START_MS - broken_ms >= 1_800_000, "{resolved:?}");
        }
    }
}
