//! What expressions become, and the values that signals have.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::detect::group::Message;
use crate::detect::measure::{Observed, Sum, Sums};
use crate::detect::signal::Fold;
use crate::detect::{Direction, Directions, EvaluatedValue, Judge, Kind, SignalError, Source};
use crate::model::stale_nan;

fn refused(expression: &str) -> String {
    match Signal::compile(expression) {
        Err(error @ SignalError::Unsupported { .. }) => error.to_string(),
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn what_can_be_fed_compiles_also_in_parentheses() {
    for expression in [
        "sum by (region) (rate(shop_orders_total[1m]))",
        "(sum without (node) ((increase(shop_orders_total{region=~\"e.*\"}[5m]))))",
        "sum(rate(x[30s])) by (a)",
        "sum(rate(x[1m]))",
        "rate(x[1m])",
        "sum(irate(x[1m]))",
        "max by (node) (rate(x[1m]))",
        "avg(rate(x[1m]))",
        "count(up)",
        "sum(rate(x[1m] smoothed))",
        "histogram_quantile(0.95, sum by (le, region) (rate(b[1m])))",
        "histogram_quantile((0.5), (rate(b_bucket[1m])))",
        "histogram_quantile(0.9, sum by (le) (increase(b[1m]))) * 1000",
        "up{job=\"pay\"}",
        "sum by (a) (rate(x[1m])) / sum by (a) (rate(y[5m]))",
        "sum by (a) (rate(x[1m])) / on (a) sum by (a) (rate(y[1m]))",
        "sum by (a) (rate(x[1m])) / ignoring (b) sum by (a) (rate(y[1m]))",
        "100 * (1 - avg without (cpu) (avail) / avg without (cpu) (size))",
        "-sum(queue) / 1024",
        "max(max_over_time(queue[1m])) - min(min_over_time(queue[1m]))",
        "sum(rate(x[100s])) / sum(rate(y[1m]))",
    ] {
        Signal::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    }
}

#[test]
fn other_expressions_are_refused_by_the_part_that_is_in_the_way() {
    assert!(refused("stddev(x)").starts_with("stddev() cannot be watched sample by sample: it is none of sum, avg"));
    assert!(refused("sum(rate(x[1m])) > 2").starts_with("the operator > cannot"));
    assert!(refused("abs(x)").starts_with("abs() cannot"));
    assert!(refused("sum(deriv(x[1m]))").starts_with("deriv() cannot"));
    assert!(refused("sum(rate(x[1m] offset 5m))").contains("`offset`"));
    assert!(refused("up @ 1700000000").contains("`@`"));
    assert!(refused("sum(rate(x[2h]))").contains("between 5s and 1h"));
    assert!(refused("max(rate(x[10m]))").contains("longer than 5m"));
    assert!(refused("avg_over_time(x[10m])").contains("longer than 5m"));
    assert!(refused("sum(rate(sum(x)[1m:15s]))").starts_with("a subquery"));
    assert!(refused("sum(max_over_time(x[1m] anchored))").starts_with("anchored or smoothed"));
    assert!(refused("histogram_quantile(0.9, sum by (region) (rate(b[1m])))").contains("drops the label `le`"));
    assert!(refused("histogram_quantile(0.9, sum by (le) (b))").contains("not taken of a rate"));
    assert!(refused("histogram_quantile(0.9, sum without (node) (rate(b[1m])))").contains("native ones"));
    assert!(refused("histogram_quantile(1.5, rate(b[1m]))").contains("between 0 and 1"));
    assert!(refused("sum(sum by (a) (rate(x[1m])))").starts_with("sum() of an aggregation"));
    assert!(refused("sum(2 * x)").starts_with("an aggregation over the operator *"));
    assert!(refused("{job=\"pay\"}").contains("several metrics"));
    assert!(refused("sum by (a) (x) / sum by (b) (y)").contains("grouped differently"));
    assert!(refused("sum by (a) (x) / on (b) sum by (a) (y)").contains("group by group"));
    assert!(refused("sum by (a) (x) / on (a) group_left sum by (a) (y)").contains("group by group"));
    assert!(refused("sum(rate(x[61s])) / sum(rate(y[1m]))").starts_with("ranges of different lengths"));
    assert!(matches!(Signal::compile("sum(rate("), Err(SignalError::Syntax(_))));
    for expression in ["5", "x[1m]", "\"x\"", "time()"] {
        assert!(matches!(Signal::of(expression), Err(SignalError::Nothing(_))), "{expression}");
    }
}

#[test]
fn what_cannot_be_fed_is_evaluated_and_says_why() {
    let signal = Signal::of("stddev by (a) (rate(x[1m])) / scalar(sum(y))").unwrap();
    let Source::Evaluated { expression, interval_ms, because } = signal.source() else { panic!("{signal:?}") };
    assert_eq!((expression.as_str(), *interval_ms), ("stddev by (a) (rate(x[1m])) / scalar(sum(y))", 15_000));
    assert_eq!(because, "stddev() cannot be watched sample by sample: it is none of sum, avg, min, max, count");
    // Its series say what time it is, and feed nothing.
    for (name, is_of_interest) in [("x", true), ("y", true), ("z", false)] {
        let series = labels(&[("__name__", name)]);
        assert_eq!((signal.matches(&series), signal.lanes_of(&series).count()), (is_of_interest, 0), "{name}");
    }
    assert_eq!(Signal::of("sum(x)").unwrap().source(), &Source::Streamed);
}

/// What one bucket with the given increments, by operand, is said to be.
fn observed(expression: &str, increments: &[f64]) -> Observed {
    let sum = |(operand, &amount): (usize, &f64)| Sum {
        operand: operand as u16,
        bound: 0.0,
        fold: Fold::Sum,
        amount,
        count: 1,
    };
    let sums = Sums::of(increments.iter().enumerate().map(sum).collect());
    Signal::compile(expression).unwrap().observed(&[sums])
}

#[test]
fn fractions_of_counters_are_events_among_exposure() {
    let count = |events: f64, exposure: f64| Observed::Count { events, exposure };
    assert_eq!(observed("sum(rate(x[1m]))", &[30.0]), count(30.0, 1.0));
    assert_eq!(observed("sum(rate(x[1m])) * 60 + sum(increase(y[1m]))", &[30.0, 5.0]), count(35.0, 1.0));
    assert_eq!(observed("sum(rate(x[1m])) / sum(rate(y[1m]))", &[3.0, 60.0]), count(3.0, 60.0));
    assert_eq!(observed("100 * (1 - sum(rate(x[1m])) / sum(rate(y[1m])))", &[3.0, 60.0]), count(57.0, 60.0));
    assert_eq!(observed("(sum(rate(y[1m])) - sum(rate(x[1m]))) / sum(rate(y[1m]))", &[60.0, 3.0]), count(57.0, 60.0));
    let hits = "sum(rate(hit[1m])) / (sum(rate(hit[1m])) + sum(rate(miss[1m])))";
    assert_eq!(observed(hits, &[40.0, 10.0]), count(40.0, 50.0));
    assert_eq!(observed("sum(rate(x[1m])) / sum(rate(y[1m]))", &[3.0, 0.0]), Observed::Nothing);
    // A scrape apart, more failed than were tried.
    assert_eq!(observed("1 - sum(rate(x[1m])) / sum(rate(y[1m]))", &[6.0, 5.0]), count(0.0, 5.0));
}

#[test]
fn what_is_no_number_of_events_is_a_value() {
    // 30 s for 12 requests in the bucket.
    assert_eq!(observed("sum(rate(t_sum[1m])) / sum(rate(t_count[1m]))", &[30.0, 12.0]), Observed::Value(2.5));
    assert_eq!(observed("sum(rate(t_sum[1m])) / sum(rate(t_count[1m]))", &[0.0, 0.0]), Observed::Nothing);
    assert_eq!(observed("-sum(rate(x[1m]))", &[30.0]), Observed::Value(-2.0));
    assert_eq!(observed("sum(rate(x[1m])) + 5", &[30.0]), Observed::Value(7.0));
    assert_eq!(observed("2 + sum(rate(x[1m])) / sum(rate(y[1m]))", &[3.0, 60.0]), Observed::Value(2.05));
    assert_eq!(observed("sum(avail) / sum(size)", &[3.0, 60.0]), Observed::Value(0.05));
    assert_eq!(observed("sum(used) / 1024", &[2048.0]), Observed::Value(2.0));
}

#[test]
fn expectations_come_back_in_the_unit_of_the_expression() {
    let expected = |expression: &str, expected: f64, exposure: f64, buckets: usize| {
        Signal::compile(expression).unwrap().expected(expected, exposure, buckets)
    };
    // 30 in one bucket of 15 s, 120 in four of them.
    assert_eq!(expected("sum(rate(x[1m]))", 30.0, 1.0, 1), 2.0);
    assert_eq!(expected("sum(rate(x[1m]))", 120.0, 1.0, 4), 2.0);
    assert_eq!(expected("sum(increase(x[1m]))", 120.0, 1.0, 4), 120.0);
    assert_eq!(expected("sum(increase(x[5m])) / 5", 30.0, 1.0, 1), 120.0);
    assert_eq!(expected("100 * sum(rate(x[1m])) / sum(rate(y[1m]))", 3.0, 60.0, 4), 5.0);
    assert_eq!(expected("sum(x)", 7.0, 1.0, 4), 7.0);
}

#[test]
fn buckets_of_a_slow_counter_add_up_to_its_increments() {
    // Every 60 s on the grid, 25 each: four buckets of 6.25.
    let series = [labels(&[("__name__", "x")])];
    let rows: Vec<Row> = (0..8).map(|round| (0, START_MS + round * 60_000, 25.0 * round as f64)).collect();
    assert_eq!(window_of("increase(x[1m])", &series, &rows), (Some(START_MS + 7 * 60_000), 25.0));
}

#[test]
fn what_reports_every_five_minutes_counts_from_the_third_sample_on() {
    let series = [labels(&[("__name__", "x"), ("shop", "de")]), labels(&[("__name__", "clock")])];
    // Five minutes and a bit, so that each silence is longer than the lookback; and something that says what time it is.
    let slow = (0..9).map(|round| (0, START_MS + 301_000 * round, 602.0 * round as f64));
    let mut rows: Vec<Row> = slow.chain((0..170).map(|round| (1, START_MS + 15_000 * round, 1.0))).collect();
    rows.sort_by_key(|row| row.1);
    let watches = vec![watch("rate(x[5m])", ModelOptions::default()), watch("clock", ModelOptions::default())];
    let signal = watches[0].signal.clone();
    let (mut workers, mut judge) = start(watches, 1, None);
    let mut closed = Vec::new();
    for (step, row) in rows.iter().enumerate() {
        workers[0].handle(&batch(&series, &[*row], step == 0));
        judge.poll();
        closed.extend(judge.groups.iter().find(|group| group.watch == 0).and_then(|group| group.closed));
    }
    closed.dedup();
    let group = judge.groups.iter().find(|group| group.watch == 0).unwrap();
    // The third sample is the second long silence of equal length; from it on all is one stretch.
    assert!(signal.end_ms(closed[0]) < START_MS + 3 * 301_000 + 15_000, "{closed:?}");
    assert!(signal.end_ms(*closed.last().unwrap()) > START_MS + 8 * 301_000 - 15_000, "up to the last sample");
    assert!((signal.value(&group.window) - 2.0).abs() < 1e-9, "2 a second");
}

#[test]
fn beats_are_told_as_they_come_each_series_by_itself() {
    let series = [("a", 0), ("b", 1)].map(|(job, _)| labels(&[("__name__", "runs"), ("job", job)]));
    let mut watches = vec![watch("runs", ModelOptions::default())];
    watches[0].signal = Signal::beats("runs{job=~\"a|b\"}").unwrap();
    assert!(matches!(Signal::beats("rate(runs[1m])"), Err(SignalError::Nothing(_))));
    let (mut workers, _) = start(watches, 1, None);
    let rows =
        [(0, 0, 1.0), (1, 7, 1.0), (0, 60_001, 1.0), (0, 60_001, 2.0), (1, 200_003, 1.0), (1, 210_000, stale_nan())];
    let rows = rows.map(|(index, at_ms, value)| (index, START_MS + at_ms, value));
    workers[0].handle(&batch(&series, &rows, true));
    let mut beats: Vec<(String, Vec<i64>)> = Vec::new();
    for message in workers[0].shared().receive().into_iter().flat_map(|(_, batch)| batch) {
        match message {
            Message::Feeds { group, labels, .. } => {
                assert_eq!(group as usize, beats.len());
                beats.push((labels.to_string(), Vec::new()));
            }
            Message::Beat { group, at_ms } => beats[group as usize].1.push(at_ms - START_MS),
            _ => {}
        }
    }
    beats.sort();
    assert_eq!(beats, [(r#"{job="a"}"#.to_owned(), vec![0, 60_001]), (r#"{job="b"}"#.to_owned(), vec![7, 200_003])]);
}

/// Half an hour of a queue of which only a query knows, and then a tenth of it; what is told comes by the queue.
#[test]
fn an_evaluated_watch_is_judged_as_others_are() {
    let options = ModelOptions { directions: Directions::Drop, ..ModelOptions::default() };
    let signal = Signal::of("abs(queue)").unwrap();
    let (_workers, mut judge) = start(vec![Watch { identity: "q".to_owned(), signal, options, zone: None }], 1, None);
    let group = labels(&[("name", "mail")]);
    let mut chance = Chance(3);
    let mut transitions = Vec::new();
    for round in 1..=140 {
        let level = if round > 120 { 10.0 } else { 100.0 };
        let value = level * (0.05 * chance.normal()).exp();
        let told = EvaluatedValue { watch: 0, labels: group.clone(), at_ms: START_MS + round * 15_000, value };
        judge.shared().tell_evaluated(told.clone()).unwrap();
        // Told twice, as after a restart: it changes nothing.
        judge.shared().tell_evaluated(told).unwrap();
        transitions.extend(judge.poll());
    }
    let [fired] = transitions.try_into().unwrap();
    assert_eq!(
        (fired.kind, fired.direction, fired.labels.to_string()),
        (Kind::Firing, Direction::Drop, r#"{name="mail"}"#.to_owned())
    );
    assert!(fired.at_ms <= START_MS + 126 * 15_000 && fired.value < 15.0, "{fired:?}");
    let closed = judge.shared().metrics.buckets_closed.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(closed, 140);
}

/// 2 % of 300 payments fail in each bucket; then 10 %, most of them in ten ways that were never seen before.
#[test]
fn errors_of_new_kinds_are_a_rise_of_their_share() {
    let of_node = |node: usize, name: &str, code: &str| {
        labels(&[("__name__", name), ("node", &node.to_string()), ("code", code)])
    };
    let mut series: Vec<_> =
        (0..3).flat_map(|node| [of_node(node, "paid", ""), of_node(node, "failed", "500")]).collect();
    let known = series.len();
    series.extend(
        (0..3)
            .flat_map(|node| (0..10).map(move |code| (node, code)))
            .map(|(node, code)| of_node(node, "failed", &format!("60{code}"))),
    );
    let mut chance = Chance(9);
    let mut values = vec![0.0; series.len()];
    let mut rows: Vec<Row> = Vec::new();
    for round in 0..300 {
        for (index, value) in values.iter_mut().enumerate() {
            let mean = match index {
                _ if index >= known => 0.8,
                _ if index % 2 == 0 => 100.0,
                _ => 2.0,
            };
            *value += chance.poisson(mean);
            if index < known || round >= 240 {
                rows.push((index, START_MS + round * 15_000, *value));
            }
        }
    }
    let options = ModelOptions { directions: Directions::Rise, ..ModelOptions::default() };
    let transitions =
        transitions_of(vec![watch("sum(rate(failed[1m])) / sum(rate(paid[1m]))", options)], &series, &rows);
    let [fired] = transitions.try_into().unwrap_or_else(|all| panic!("{all:?}"));
    assert_eq!((fired.kind, fired.direction), (Kind::Firing, Direction::Rise));
    // The new series count from 30 s after their first sample.
    assert!(fired.at_ms <= START_MS + (240 + 2 + 8) * 15_000, "{fired:?}");
    assert!(fired.value > 0.05 && fired.expected < 0.04, "{fired:?}");
}

#[test]
fn a_window_is_a_whole_number_of_buckets_of_5_to_15_seconds() {
    for (range, bucket_ms, window_buckets) in [
        ("1m", 15_000, 4),
        ("30s", 7500, 4),
        ("20s", 5000, 4),
        ("10s", 5000, 2),
        ("5m", 15_000, 20),
        ("100s", 14_285, 7),
    ] {
        let signal = Signal::compile(&format!("rate(x[{range}])")).unwrap();
        assert_eq!((signal.bucket_ms, signal.window_buckets), (bucket_ms, window_buckets), "{range}");
    }
}

#[test]
fn groups_keep_the_labels_that_the_expression_keeps() {
    let series = labels(&[("__name__", "b"), ("le", "0.5"), ("node", "7"), ("region", "eu")]);
    let group = |expression: &str| Signal::compile(expression).unwrap().group_of(&series).to_string();
    assert_eq!(group("sum by (region, zone) (rate(b[1m]))"), r#"{region="eu"}"#);
    assert_eq!(group("sum without (node) (rate(b[1m]))"), r#"{le="0.5", region="eu"}"#);
    assert_eq!(group("sum(rate(b[1m]))"), "{}");
    assert_eq!(group("histogram_quantile(0.9, sum by (le, region) (rate(b[1m])))"), r#"{region="eu"}"#);
    assert_eq!(group("b"), r#"{le="0.5", node="7", region="eu"}"#);
}

/// The sums of the judge's present window of the only group.
fn window_of(expression: &str, series: &[Arc<Labels>], rows: &[Row]) -> (Option<i64>, f64) {
    let watches = vec![watch(expression, ModelOptions::default())];
    let signal = watches[0].signal.clone();
    let (mut workers, mut judge): (Vec<Worker>, Judge) = start(watches, 1, None);
    workers[0].handle(&batch(series, rows, true));
    judge.poll();
    let group = judge.groups.first();
    let value = group.map_or(f64::NAN, |group| signal.value(&group.window));
    (group.and_then(|group| group.closed).map(|closed| signal.end_ms(closed)), value)
}

#[test]
fn increments_are_spread_over_the_time_they_took() {
    let series = [labels(&[("__name__", "x")])];
    // 60 in the minute to 60 s, then 6 every 15 s, from 97 s on.
    let mut rows = vec![(0, START_MS, 0.0), (0, START_MS + 60_000, 60.0)];
    rows.extend((0..=4).map(|step| (0, START_MS + 75_000 + 15_000 * step, 66.0 + 6.0 * step as f64)));
    let (closed_ms, value) = window_of("rate(x[1m])", &series, &rows);
    assert_eq!(closed_ms, Some(START_MS + 135_000));
    assert!((value - 24.0 / 60.0).abs() < 1e-12, "{value}");
    // Up to 90 s the window holds 15 + 15 + 6 + 6: the first 30 s after the first sample do not count.
    let (closed_ms, value) = window_of("increase(x[1m])", &series, &rows[..4]);
    assert_eq!(closed_ms, Some(START_MS + 90_000));
    assert!((value - 42.0).abs() < 1e-12, "{value}");
}

#[test]
fn a_smaller_value_is_a_counter_begun_anew_and_a_long_gap_adds_nothing() {
    let series = [labels(&[("__name__", "x")])];
    let at = |step: i64| START_MS + 15_000 * step;
    let steady: Vec<Row> = (0..=6).map(|step| (0, at(step), 100.0 * step as f64)).collect();
    let mut reset = steady.clone();
    reset[6].2 = 7.0;
    let (_, value) = window_of("increase(x[1m])", &series, &reset);
    assert_eq!(value, 300.0 + 7.0);
    let mut gap = steady.clone();
    gap.extend((0..=5).map(|step| (0, at(6 + 24) + 15_000 * step, 1e6 + 10.0 * step as f64)));
    let (closed_ms, value) = window_of("increase(x[1m])", &series, &gap);
    assert_eq!((closed_ms, value), (Some(at(35)), 30.0), "only what was counted 30 s after the gap");
    let mut ended = steady;
    ended.push((0, at(7), stale_nan()));
    ended.extend((8..=12).map(|step| (0, at(step), 1e6 + 10.0 * step as f64)));
    let (_, value) = window_of("increase(x[1m])", &series, &ended);
    assert_eq!(value, 20.0, "what lies before and after the marker is not one stretch");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The oracle keeps every increment, spreads it millisecond-exactly, and sums what falls into the window.
    #[test]
    fn the_windowed_rate_is_what_a_slow_sum_over_all_increments_says(seed in any::<u64>(), nodes in 1_usize..5, interval_s in 5_i64..40) {
        let mut chance = Chance(seed);
        let series: Vec<_> = (0..nodes).map(|node| labels(&[("__name__", "x"), ("node", &node.to_string())])).collect();
        let mut rows: Vec<Row> = Vec::new();
        let mut increments: Vec<(i64, i64, f64)> = Vec::new();
        let mut last: BTreeMap<usize, (i64, f64)> = BTreeMap::new();
        for round in 0..60 {
            for node in 0..nodes {
                let at_ms = START_MS + round * interval_s * 1000 + chance.below(2000) as i64 + 300 * node as i64;
                let grown = last.get(&node).map_or(0.0, |one| one.1) + chance.below(50) as f64;
                let value = if chance.below(20) == 0 { chance.below(9) as f64 } else { grown };
                if let Some(&(before_ms, before)) = last.get(&node) {
                    increments.push((before_ms, at_ms, if value < before { value } else { value - before }));
                }
                last.insert(node, (at_ms, value));
                rows.push((node, at_ms, value));
            }
        }
        let (closed_ms, value) = window_of("sum(rate(x[1m]))", &series, &rows);
        let end_ms = closed_ms.expect("an hour closes buckets");
        let slowest_ms = last.values().map(|one| one.0).min().expect("there are nodes");
        prop_assert!(end_ms <= slowest_ms && slowest_ms < end_ms + 15_000);
        let oracle: f64 = increments.iter().map(|&(from_ms, to_ms, amount)| {
            let overlap_ms = (to_ms.min(end_ms) - from_ms.max(end_ms - 60_000)).max(0);
            amount * overlap_ms as f64 / (to_ms - from_ms) as f64
        }).sum::<f64>() / 60.0;
        prop_assert!((value - oracle).abs() <= 1e-9 * oracle.max(1.0), "{} instead of {}", value, oracle);
    }
}
