//! Evaluation against slower, obvious versions of itself, and against nonsense.

use std::time::Duration;

use proptest::prelude::*;

use super::float::Mean;
use super::tests::{engine, series, view_of};
use super::{Answer, Options, Value, parse_matchers};
use crate::model::{Labels, Sum, is_stale, stale_nan};
use crate::storage::view::ReadView;

/// The points of the only series; none if there is no series.
fn only_series(answer: Answer) -> Vec<(i64, f64)> {
    let Value::Matrix(series) = answer.value else { panic!("a range query gives a matrix") };
    assert!(series.len() <= 1);
    series.into_iter().flat_map(|one| one.points.iter().collect::<Vec<_>>()).collect()
}

#[test]
fn a_marker_ends_a_series_and_another_nan_does_not() {
    let view = view_of(&[(0, 1.0), (10, f64::from_bits(0x7ff8_0000_0000_0001)), (20, stale_nan())]);
    let answer = engine().range(&view, "x", 0, 30, 10, &Options::default()).unwrap();
    let points = only_series(answer);
    assert_eq!(points.len(), 2);
    assert!(points[1].1.is_nan() && !is_stale(points[1].1));
}

/// Numbers of all magnitudes, of which every sum loses something, and now and then one that is none.
fn uneven() -> impl Strategy<Value = Vec<f64>> {
    let number = prop_oneof![
        8 => (-1e3..1e3_f64, -30..30_i32).prop_map(|(digits, power)| digits * 10_f64.powi(power)),
        2 => Just(1e-3),
        1 => prop_oneof![Just(-0.0), Just(1e308), Just(-1e308), Just(f64::INFINITY), Just(f64::NAN), Just(5e-324)],
    ];
    prop::collection::vec(number, 1..60)
}

proptest! {
    #[test]
    fn a_sum_over_time_is_to_the_last_bit_that_of_one_addition_after_the_other(values in uneven()) {
        let mut one_by_one = Sum::default();
        values.iter().for_each(|value| one_by_one.add(*value));
        let at_once = Sum::of_all(&values);
        if one_by_one.value().is_nan() {
            prop_assert!(at_once.value().is_nan());
        } else {
            prop_assert_eq!(at_once.total.to_bits(), one_by_one.total.to_bits());
            prop_assert_eq!(at_once.lost.to_bits(), one_by_one.lost.to_bits());
        }
        let mut mean = Mean::default();
        values.iter().for_each(|value| mean.add(*value));
        let (mean, at_once) = (mean.value(), Mean::of_all(&values));
        prop_assert!(mean == at_once || mean.is_nan() && at_once.is_nan(), "{mean:?}, not {at_once:?}");
    }
}

/// The definition, step by step and without any cleverness: what each function makes of the samples in a window.
fn oracle(function: &str, samples: &[(i64, f64)], start_ms: i64, end_ms: i64) -> Option<f64> {
    let window: Vec<(i64, f64)> =
        samples.iter().copied().filter(|(t, v)| start_ms < *t && *t <= end_ms && !is_stale(*v)).collect();
    let values = || window.iter().map(|(_, value)| *value);
    let (first, last) = (*window.first()?, *window.last()?);
    let steps = || window.windows(2).map(|pair| (pair[0].1, pair[1].1));
    let numbers = || values().filter(|value| !value.is_nan());
    Some(match function {
        "count_over_time" => window.len() as f64,
        "sum_over_time" => values().sum(),
        "avg_over_time" => values().sum::<f64>() / window.len() as f64,
        "min_over_time" => numbers().reduce(f64::min).unwrap_or(f64::NAN),
        "max_over_time" => numbers().reduce(f64::max).unwrap_or(f64::NAN),
        "last_over_time" => last.1,
        "first_over_time" => first.1,
        "resets" => steps().filter(|(a, b)| b < a).count() as f64,
        "changes" => steps().filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64,
        "idelta" if window.len() > 1 => last.1 - window[window.len() - 2].1,
        "irate" if window.len() > 1 => {
            let before = window[window.len() - 2];
            let rise = if last.1 < before.1 { last.1 } else { last.1 - before.1 };
            rise * 1000.0 / (last.0 - before.0) as f64
        }
        "rate" | "increase" | "delta" if window.len() > 1 => {
            let is_counter = function != "delta";
            let mut rise = last.1 - first.1;
            if is_counter {
                rise += steps().filter(|(a, b)| b < a).map(|(a, _)| a).sum::<f64>();
            }
            // In seconds: a gap of exactly 1.1 distances is decided by rounding, and must be decided as Prometheus does.
            let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1000.0;
            let covered = seconds(first.0, last.0);
            let distance = covered / (window.len() - 1) as f64;
            let reach = |gap: f64| if gap < 1.1 * distance { gap } else { distance / 2.0 };
            let mut before = reach(seconds(start_ms, first.0));
            if is_counter && rise > 0.0 && first.1 >= 0.0 {
                before = before.min(covered * first.1 / rise);
            }
            let whole = rise * (covered + before + reach(seconds(last.0, end_ms))) / covered;
            if function == "rate" { whole / seconds(start_ms, end_ms) } else { whole }
        }
        _ => return None,
    })
}

const ORACLE_FUNCTIONS: [&str; 14] = [
    "count_over_time",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "last_over_time",
    "first_over_time",
    "resets",
    "changes",
    "idelta",
    "irate",
    "rate",
    "increase",
    "delta",
];

/// What a query may be made of, sense or not.
const WORDS: &[&str] = &[
    "x",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "5m",
    "1",
    "1e9",
    "Inf",
    "NaN",
    "-",
    "+",
    "*",
    "^",
    "==",
    "!=",
    "=~",
    "!~",
    "=",
    "\"a\"",
    "'(.*'",
    "`b`",
    ",",
    ":",
    "@",
    "offset",
    "sum",
    "by",
    "without",
    "rate",
    "topk",
    "n",
    "on",
    "ignoring",
    "group_left",
    "bool",
    "and",
    "or",
    "unless",
    "atan2",
    "start()",
    "end()",
    "histogram_quantile",
    "label_replace",
    "#",
    "\n",
    "0x",
    "1_",
    "__name__",
    "é",
    "\\",
    "\"",
    "time()",
    "scalar",
    "absent",
    "sort",
    "anchored",
    "fill",
    "_",
    ".5",
    "1.5s",
    "99999999999y",
    "1e300",
    "max_over_time",
    "vector",
    "round",
];

fn same(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-9 * (a.abs() + b.abs())
}

fn some_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0..100i32).prop_map(f64::from),
        1 => Just(stale_nan()),
        1 => Just(f64::NAN),
        1 => -5.0..5.0f64,
    ]
}

fn some_samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    prop::collection::vec((1..40i64, some_value()), 0..60).prop_map(|gaps| {
        gaps.into_iter()
            .scan(0, |time_ms, (gap_ms, value)| {
                *time_ms += gap_ms;
                Some((*time_ms, value))
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn a_moving_window_gives_what_each_window_gives_alone(
        samples in some_samples(),
        function in prop::sample::select(&ORACLE_FUNCTIONS[..]),
        range_ms in 1..300i64,
        (start_ms, step_ms, steps) in (-50..400i64, 1..100i64, 0..20i64),
        offset_ms in -100..100i64,
    ) {
        let query = format!("{function}(x[{range_ms}ms] offset {offset_ms}ms)").replace("offset 0ms", "");
        let end_ms = start_ms + steps * step_ms;
        let view = view_of(&samples);
        let answer = engine().range(&view, &query, start_ms, end_ms, step_ms, &Options::default()).unwrap();
        let got = only_series(answer);
        let wanted: Vec<(i64, f64)> = (0..=steps)
            .map(|step| start_ms + step * step_ms)
            .filter_map(|time_ms| {
                let window_end_ms = time_ms - offset_ms;
                Some((time_ms, oracle(function, &samples, window_end_ms - range_ms, window_end_ms)?))
            })
            .collect();
        prop_assert_eq!(got.len(), wanted.len(), "{:?} {:?}", got, wanted);
        for (got, wanted) in got.iter().zip(&wanted) {
            prop_assert!(got.0 == wanted.0 && same(got.1, wanted.1), "{} {:?} {:?}", query, got, wanted);
        }
    }

    #[test]
    fn an_instant_selector_shows_the_newest_sample_within_the_lookback(
        samples in some_samples(),
        lookback_ms in 1..200i64,
        (start_ms, step_ms, steps) in (-50..400i64, 1..100i64, 0..20i64),
    ) {
        let view = view_of(&samples);
        let options = Options { lookback_ms: Some(lookback_ms), ..Options::default() };
        let answer = engine().range(&view, "x", start_ms, start_ms + steps * step_ms, step_ms, &options).unwrap();
        let wanted: Vec<(i64, u64)> = (0..=steps)
            .map(|step| start_ms + step * step_ms)
            .filter_map(|time_ms| {
                let newest = samples.iter().rev().find(|(at_ms, _)| *at_ms <= time_ms)?;
                let shown = newest.0 > time_ms - lookback_ms && !is_stale(newest.1);
                shown.then(|| (time_ms, newest.1.to_bits()))
            })
            .collect();
        let got: Vec<(i64, u64)> =
            only_series(answer).into_iter().map(|(time_ms, value)| (time_ms, value.to_bits())).collect();
        prop_assert_eq!(got, wanted);
    }

    #[test]
    fn each_step_of_a_range_is_the_instant_at_that_time(
        samples in prop::collection::vec(some_samples(), 1..6),
        query in prop::sample::select(&[
            "sum(rate(x[100ms]))", "avg(x)", "max(x) - min(x)", "quantile(0.3, x)", "stddev(x)", "count(x > 50)",
            "sum(topk(2, x))", "x{n=\"00000\"} or on() x{n=\"00001\"}", "x unless on(n) (x > 50)", "absent(x)",
            "sum by (n) (x) / on() group_left sum(x)", "sum_over_time(sum(x)[100ms:20ms])", "scalar(x) + time()",
"sum(topk(2, x @ 0.1))", "x and topk(1, max_over_time(x[100ms] @ 0.2))",
            "sum by (n) (last_over_time(x[100ms] @ 0.3)) / on() group_left sum(x @ 0.05) * time()", "count_values(\"v\", x)", "x * on(n) (x < 50)", "-x and x", "histogram_quantile(0.5, label_replace(x, \"le\", \"$1\", \"n\", \"0*(.*)\"))",
        ][..]),
        (start_ms, step_ms, steps) in (0..400i64, 1..100i64, 0..10i64),
    ) {
        let view = ReadView::of_samples(samples.iter().enumerate().map(|(n, some)| series("x", n, some)).collect());
        let options = Options { lookback_ms: Some(60), ..Options::default() };
        let end_ms = start_ms + steps * step_ms;
        let range = engine().range(&view, query, start_ms, end_ms, step_ms, &options).unwrap();
        let Value::Matrix(matrix) = range.value else { panic!("a matrix") };
        for time_ms in (0..=steps).map(|step| start_ms + step * step_ms) {
            let mut wanted: Vec<(Labels, f64)> =
                match engine().instant(&view, query, time_ms, &options).unwrap().value {
                    Value::Vector(rows) => rows.into_iter().map(|(labels, _, value)| ((*labels).clone(), value.number().unwrap())).collect(),
                    Value::Scalar(_, value) => vec![(Labels::empty(), value)],
                    other => panic!("{other:?}"),
                };
            wanted.sort_by(|a, b| a.0.cmp(&b.0));
            let got: Vec<(Labels, f64)> = matrix
                .iter()
                .filter_map(|row| {
                    let index = row.points.timestamps_ms.binary_search(&time_ms).ok()?;
                    Some(((*row.labels).clone(), row.points.values[index]))
                })
                .collect();
            prop_assert_eq!(got.len(), wanted.len(), "{} at {}: {:?} {:?}", query, time_ms, got, wanted);
            for (got, wanted) in got.iter().zip(&wanted) {
                prop_assert!(got.0 == wanted.0 && same(got.1, wanted.1), "{} {:?} {:?}", query, got, wanted);
            }
        }
    }

    #[test]
    fn any_text_is_answered_or_refused(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..25),
        glue in prop::sample::select(&["", " "][..]),
    ) {
        let text = words.join(glue);
        let view = view_of(&[(0, 1.0), (30, 2.0)]);
        // A subquery of many years is legal, and too long for a test.
        let options = Options { timeout: Some(Duration::from_millis(200)), ..Options::default() };
        let _ = engine().instant(&view, &text, 60, &options);
        let _ = engine().range(&view, &text, 0, 60, 30, &options);
        let _ = parse_matchers(&text);
    }

    /// Whatever is repeated, nothing recurses with it: a stack that overflows ends the whole test run.
    #[test]
    fn any_text_may_be_repeated_thousands_of_times(
        words in prop::collection::vec(prop::sample::select(WORDS), 1..5),
        start in prop::collection::vec(prop::sample::select(WORDS), 0..3),
        glue in prop::sample::select(&["", " "][..]),
    ) {
        let text = start.join(glue) + glue + &(words.join(glue) + glue).repeat(2000);
        let options = Options { timeout: Some(Duration::from_millis(200)), ..Options::default() };
        let _ = engine().instant(&view_of(&[(0, 1.0)]), &text, 60, &options);
    }

    #[test]
    fn any_bytes_are_answered_or_refused(text in ".{0,60}") {
        let _ = engine().instant(&view_of(&[]), &text, 0, &Options::default());
    }
}
