//! What expressions become, and the values that signals have.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::detect::{Judge, SignalError};
use crate::model::stale_nan;

fn refused(expression: &str) -> String {
    match Signal::compile(expression) {
        Err(error @ SignalError::Unsupported { .. }) => error.to_string(),
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn the_three_shapes_compile_also_in_parentheses() {
    for expression in [
        "sum by (region) (rate(shop_orders_total[1m]))",
        "(sum without (node) ((increase(shop_orders_total{region=~\"e.*\"}[5m]))))",
        "sum(rate(x[30s])) by (a)",
        "sum(rate(x[1m]))",
        "rate(x[1m])",
        "histogram_quantile(0.95, sum by (le, region) (rate(b[1m])))",
        "histogram_quantile((0.5), (rate(b[1m])))",
        "up{job=\"pay\"}",
    ] {
        Signal::compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    }
}

#[test]
fn other_expressions_are_refused_by_the_part_that_is_in_the_way() {
    assert!(refused("sum(rate(x[1m])) / sum(rate(y[1m]))").starts_with("the operator / cannot be watched"));
    assert!(refused("avg(rate(x[1m]))").starts_with("avg() cannot be watched sample by sample: the only aggregation"));
    assert!(refused("sum(irate(x[1m]))").starts_with("irate() cannot"));
    assert!(refused("abs(x)").starts_with("abs() cannot"));
    assert!(refused("sum(x)").starts_with("a sum of plain values"));
    assert!(refused("sum(rate(x[1m] offset 5m))").contains("`offset`"));
    assert!(refused("up @ 1700000000").contains("`@`"));
    assert!(refused("sum(rate(x[2h]))").contains("between 5s and 1h"));
    assert!(refused("sum(rate(sum(x)[1m:15s]))").contains("selector with a range"));
    assert!(refused("histogram_quantile(0.9, sum by (region) (rate(b[1m])))").contains("drops the label `le`"));
    assert!(refused("histogram_quantile(0.9, sum by (le) (increase(b[1m])))").contains("must be a rate"));
    assert!(refused("histogram_quantile(1.5, rate(b[1m]))").contains("between 0 and 1"));
    assert!(refused("sum(sum(rate(x[1m])))").starts_with("a sum of sums"));
    assert!(refused("5").starts_with("a constant"));
    assert!(matches!(Signal::compile("sum(rate("), Err(SignalError::Syntax(_))));
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
    let (mut workers, mut judge): (Vec<Worker>, Judge) = start(watches, 1, LATENESS_MS_DEFAULT);
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
