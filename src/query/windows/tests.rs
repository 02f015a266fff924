//! Windows of histograms, and windows with edges of their own, against what they are by definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::model::{FloatHistogram, Labels, Side};
use crate::query::tests::{engine, view_of};
use crate::query::{Answer, Options, Series, Value};
use crate::storage::view::{GivenSeries, ReadView};

/// Buckets of the histograms made here, from index 0 on.
const BUCKETS: usize = 4;

/// Count, sum and buckets.
type Plain = [f64; BUCKETS + 2];

fn plain(histogram: &FloatHistogram) -> Plain {
    let mut plain = [0.0; BUCKETS + 2];
    (plain[0], plain[1]) = (histogram.count, histogram.sum);
    for (index, count) in histogram.positive.cells() {
        plain[2 + usize::try_from(index).expect("no bucket is below 0")] = count;
    }
    plain
}

fn histogram(plain: &Plain) -> FloatHistogram {
    let positive = Side::of_run(0, plain[2..].to_vec());
    FloatHistogram { count: plain[0], sum: plain[1], positive, ..FloatHistogram::default() }
}

/// Two histograms number by number.
fn each(a: Plain, b: Plain, join: impl Fn(f64, f64) -> f64) -> Plain {
    std::array::from_fn(|index| join(a[index], b[index]))
}

/// What is observed between two samples, or from zero on after a reset.
fn some_stream() -> impl Strategy<Value = Vec<(i64, Plain)>> {
    let step = (1..40i64, prop::array::uniform4(0..5u8), prop::bool::weighted(0.15));
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let (mut time_ms, mut now) = (0, [0.0; BUCKETS + 2]);
        let mut stream = Vec::new();
        for (gap_ms, observed, starts_anew) in steps {
            time_ms += gap_ms;
            if starts_anew {
                now = [0.0; BUCKETS + 2];
            }
            for (bucket, observed) in observed.into_iter().enumerate() {
                let observed = f64::from(observed);
                now[0] += observed;
                now[1] += observed * 2.0_f64.powi(bucket as i32) * 0.75;
                now[2 + bucket] += observed;
            }
            stream.push((time_ms, now));
        }
        stream
    })
}

/// Whether a counter is seen to have started anew: the count or a bucket fell. The sum may fall as it likes.
fn is_reset(before: &Plain, now: &Plain) -> bool {
    (0..BUCKETS + 2).filter(|index| *index != 1).any(|index| now[index] < before[index])
}

/// The change over a window, bucket by bucket, and laid over the whole of it by the count.
fn change_of(window: &[(i64, Plain)], is_counter: bool, start_ms: i64, end_ms: i64) -> Option<Plain> {
    let ([first, .., last], [_, others @ ..]) = (window, window) else { return None };
    let mut change = each(last.1, first.1, |last, first| last - first);
    if is_counter {
        for (before, now) in window.iter().zip(others) {
            if is_reset(&before.1, &now.1) {
                change = each(change, before.1, |change, before| change + before);
            }
        }
    }
    let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1000.0;
    let covered = seconds(first.0, last.0);
    let distance = covered / others.len() as f64;
    let reach = |gap: f64| if gap < 1.1 * distance { gap } else { distance / 2.0 };
    let mut before = reach(seconds(start_ms, first.0));
    if is_counter && change[0] > 0.0 {
        before = before.min(covered * first.1[0] / change[0]);
    }
    let factor = (covered + before + reach(seconds(last.0, end_ms))) / covered;
    Some(change.map(|number| number * factor))
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * (1.0 + a.abs() + b.abs())
}

fn only_series(answer: Answer) -> Option<Series> {
    let Value::Matrix(mut series) = answer.value else { panic!("a range query gives a matrix") };
    assert!(series.len() <= 1);
    series.pop()
}

/// A value by its moment.
type Points<T> = BTreeMap<i64, T>;

/// The moments of a range query.
#[derive(Clone, Copy, Debug)]
struct Moments {
    start_ms: i64,
    step_ms: i64,
    steps: i64,
}

impl Moments {
    fn end_ms(self) -> i64 {
        self.start_ms + self.steps * self.step_ms
    }

    fn each<T>(self, mut value: impl FnMut(i64) -> Option<T>) -> Points<T> {
        (0..=self.steps)
            .map(|step| self.start_ms + step * self.step_ms)
            .filter_map(|at| Some((at, value(at)?)))
            .collect()
    }
}

fn some_moments() -> impl Strategy<Value = Moments> {
    (-50..400i64, 1..100i64, 0..20i64).prop_map(|(start_ms, step_ms, steps)| Moments { start_ms, step_ms, steps })
}

fn asked(view: &ReadView, query: &str, moments: Moments, lookback_ms: i64) -> Option<Series> {
    let options = Options { lookback_ms: Some(lookback_ms), ..Options::default() };
    only_series(engine().range(view, query, moments.start_ms, moments.end_ms(), moments.step_ms, &options).unwrap())
}

/// How far a counter rose between two samples of it.
fn rise(before: f64, now: f64) -> f64 {
    if now < before { now } else { now - before }
}

/// The value at a moment between two samples.
fn between(before: (i64, f64), after: (i64, f64), at_ms: i64, is_counter: bool) -> f64 {
    let from = if is_counter && after.1 < before.1 { 0.0 } else { before.1 };
    from + (after.1 - from) * ((at_ms - before.0) as f64 / (after.0 - before.0) as f64)
}

/// Both ends of a window and all between, as they are by definition: at the start the last sample before it, or a value
/// made up from both neighbours; at the end the last one in it, or one made up.
fn extended(
    samples: &[(i64, f64)],
    smoothed: bool,
    is_counter: bool,
    from: i64,
    to: i64,
    lookback: i64,
) -> Option<f64> {
    let near = |at: &(i64, f64)| from - lookback < at.0 && at.0 <= if smoothed { to + lookback } else { to };
    let near: Vec<(i64, f64)> = samples.iter().copied().filter(near).collect();
    let inside: Vec<(i64, f64)> = near.iter().copied().filter(|at| from < at.0 && at.0 <= to).collect();
    let before = near.iter().copied().rfind(|at| at.0 <= from);
    let behind = near.iter().copied().find(|at| at.0 > to);
    let (after_start, before_end) =
        (near.iter().copied().find(|at| at.0 > from), near.iter().copied().rfind(|at| at.0 <= to));
    let made_up = |before: Option<(i64, f64)>, after: Option<(i64, f64)>, at_ms: i64| match (before, after) {
        (Some(before), Some(after)) if smoothed && before.0 < at_ms => Some(between(before, after, at_ms, is_counter)),
        (Some(before), _) => Some(before.1),
        (None, _) => None,
    };
    // There must be something behind the start, and something not behind the end.
    after_start?;
    before_end?;
    let left = made_up(before, after_start, from);
    let right = if before_end.is_some_and(|at| at.0 == to) { None } else { made_up(before_end, behind, to) };
    let right = right.filter(|_| smoothed && behind.is_some());
    // Both lie on the line between the same two samples, or the left is the first of them.
    if let (true, Some(left), Some(right)) = (inside.is_empty(), left, right) {
        let is_first = before.is_some_and(|before| before.0 == from);
        let falls = behind.is_some_and(|behind| behind.1 < left);
        return Some(if is_counter && is_first && falls { right } else { right - left });
    }
    let mut line: Vec<f64> = left.into_iter().chain(inside.iter().map(|at| at.1)).collect();
    let mut total = 0.0;
    if let (Some(left), Some(first), Some(before)) = (left, inside.first(), before)
        && smoothed
        && before.0 < from
        && is_counter
        && first.1 < before.1
    {
        // What is left of the rise from zero that began before the window.
        total += first.1 - left;
        line.remove(0);
    }
    if let (Some(right), Some(last)) = (right, inside.last()) {
        // From the last sample on, or, where it starts anew behind the window, from zero.
        let behind = behind.expect("the right was made up");
        total += if is_counter && behind.1 < last.1 { right } else { right - last.1 };
    }
    total +=
        line.windows(2).map(|pair| if is_counter { rise(pair[0], pair[1]) } else { pair[1] - pair[0] }).sum::<f64>();
    Some(total)
}

fn some_numbers() -> impl Strategy<Value = Vec<(i64, f64)>> {
    prop::collection::vec((1..40i64, 0..100u8), 0..40).prop_map(|steps| {
        let mut time_ms = 0;
        let point = |(gap_ms, value): (i64, u8)| {
            time_ms += gap_ms;
            (time_ms, f64::from(value))
        };
        steps.into_iter().map(point).collect()
    })
}

#[test]
fn a_range_with_edges_shows_the_samples_that_it_makes_up() {
    let view = view_of(&[(0, 1.0), (10_000, 3.0), (30_000, 7.0), (40_000, 2.0)]);
    let shown = |query: &str| {
        let answer = engine().instant(&view, query, 35_000, &Options::default()).unwrap();
        only_series(answer).map_or(Vec::new(), |one| one.points.iter().collect())
    };
    assert_eq!(shown("x[20s] anchored"), [(15_000, 3.0), (30_000, 7.0), (35_000, 7.0)]);
    assert_eq!(shown("x[20s] smoothed"), [(15_000, 4.0), (30_000, 7.0), (35_000, 4.5)]);
    // Nothing lies behind the start.
    assert_eq!(shown("x[4s] anchored"), []);
}

#[test]
fn a_range_with_edges_shows_no_histograms() {
    let labels = Arc::new(Labels::from_pairs([("__name__", "h")]).expect("valid labels"));
    let histograms = vec![(0, Arc::new(histogram(&[1.0; BUCKETS + 2])))];
    let view = ReadView::of_series(vec![GivenSeries { labels, histograms, ..GivenSeries::default() }]);
    let refused = engine().instant(&view, "h[1m] anchored", 0, &Options::default()).expect_err("not of histograms");
    assert_eq!(refused.to_string(), "anchored modifier is not supported with histograms");
}

proptest! {
    #[test]
    fn a_rate_of_histograms_is_that_of_each_number_in_them(
        stream in some_stream(),
        function in prop::sample::select(&["rate", "increase", "delta"][..]),
        range_ms in 1..300i64,
        moments in some_moments(),
    ) {
        let labels = Labels::from_pairs([("__name__", "h")]).expect("valid labels");
        let histograms = stream.iter().map(|(time_ms, one)| (*time_ms, Arc::new(histogram(one)))).collect();
        let view = ReadView::of_series(vec![GivenSeries { labels: Arc::new(labels), histograms, ..GivenSeries::default() }]);
        let got = asked(&view, &format!("{function}(h[{range_ms}ms])"), moments, 300_000);
        let got: Points<Plain> =
            got.into_iter().flat_map(|one| one.histograms).map(|(at_ms, one)| (at_ms, plain(&one))).collect();
        let wanted = moments.each(|end_ms| {
            let start_ms = end_ms - range_ms;
            let window: Vec<(i64, Plain)> =
                stream.iter().copied().filter(|(at_ms, _)| start_ms < *at_ms && *at_ms <= end_ms).collect();
            let change = change_of(&window, function != "delta", start_ms, end_ms)?;
            Some(change.map(|number| if function == "rate" { number * 1000.0 / range_ms as f64 } else { number }))
        });
        prop_assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
        for (at_ms, wanted) in &wanted {
            let got = &got[at_ms];
            prop_assert!(got.iter().zip(wanted).all(|(a, b)| same(*a, *b)), "at {}: {:?} {:?}", at_ms, got, wanted);
        }
    }

    #[test]
    fn windows_with_edges_are_what_they_are_by_definition(
        samples in some_numbers(),
        function in prop::sample::select(&["increase", "delta"][..]),
        smoothed in any::<bool>(),
        (range_ms, lookback_ms) in (1..300i64, 1..100i64),
        moments in some_moments(),
    ) {
        let edges = if smoothed { "smoothed" } else { "anchored" };
        let query = format!("{function}(x[{range_ms}ms] {edges})");
        let got = asked(&view_of(&samples), &query, moments, lookback_ms);
        let got: Points<f64> = got.into_iter().flat_map(|one| one.points.iter().collect::<Vec<_>>()).collect();
        let wanted = moments.each(|end_ms| {
            extended(&samples, smoothed, function == "increase", end_ms - range_ms, end_ms, lookback_ms)
        });
        prop_assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{}", query);
        for (at_ms, wanted) in &wanted {
            prop_assert!(same(got[at_ms], *wanted), "{} at {}: {} {}", query, at_ms, got[at_ms], wanted);
        }
    }

    /// Histograms of which every bucket is a multiple of the count must come to what their counts come to.
    #[test]
    fn edges_of_histograms_are_those_of_their_counts(
        samples in some_numbers(),
        function in prop::sample::select(&["increase", "rate", "delta"][..]),
        smoothed in any::<bool>(),
        (range_ms, lookback_ms) in (1..300i64, 1..100i64),
        moments in some_moments(),
    ) {
        let edges = if smoothed { "smoothed" } else { "anchored" };
        let one = |count: f64| histogram(&[count, count * 2.0, count * 0.25, count * 0.75, 0.0, 0.0]);
        let histograms = samples.iter().map(|(time_ms, count)| (*time_ms, Arc::new(one(*count)))).collect();
        let labels = Labels::from_pairs([("__name__", "x")]).expect("valid labels");
        let view = ReadView::of_series(vec![GivenSeries { labels: Arc::new(labels), histograms, ..GivenSeries::default() }]);
        let query = format!("{function}(x[{range_ms}ms] {edges})");
        let got = asked(&view, &query, moments, lookback_ms);
        let got: Points<Plain> =
            got.into_iter().flat_map(|one| one.histograms).map(|(at_ms, one)| (at_ms, plain(&one))).collect();
        let numbers = asked(&view_of(&samples), &query, moments, lookback_ms);
        let wanted: Points<f64> = numbers.into_iter().flat_map(|one| one.points.iter().collect::<Vec<_>>()).collect();
        prop_assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{}", query);
        for (at_ms, count) in &wanted {
            let wanted = plain(&one(*count));
            prop_assert!(got[at_ms].iter().zip(&wanted).all(|(a, b)| same(*a, *b)), "{} at {}", query, at_ms);
        }
    }
}
