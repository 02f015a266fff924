//! Streams that nobody healthy sends: numbers at the edge of what a double holds.

use super::*;
use crate::detect::Judge;

const SCRAPE_MS: i64 = 15_000;

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
