//! What stands in a query more than once is evaluated once, and nobody can tell.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::tests::{engine, series};
use super::super::{Engine, Limits, Options, QueryError, Usage, Value, plan};
use super::*;
use crate::clock::Clock;
use crate::model::{FloatHistogram, Labels, Sample};
use crate::query::budget::Cancelled;
use crate::query::column::{Column, Grid};
use crate::query::eval::vector;
use crate::query::lower::Frame;
use crate::query::notes::Notes;
use crate::query::table::{Held, Row};
use crate::storage::view::{GivenSeries, ReadView};

/// At how many places each part stands, as the text of its last place.
fn parts(query: &str) -> Vec<(&str, usize)> {
    let plan = plan(query).expect(query);
    let found = Search::of(&plan, Scene::of_query(Grid { start_ms: 600_000, step_ms: 60_000, count: 10 }));
    let several = found.parts.iter().filter(|(_, _, places)| *places > 1);
    let mut parts: Vec<(&str, usize)> =
        several.map(|(plan, _, places)| (&query[plan.span.start..plan.span.end], *places)).collect();
    parts.sort();
    parts
}

#[test]
fn equal_expressions_are_one_part_however_they_are_written() {
    let cases: [(&str, &[(&str, usize)]); 12] = [
        ("sum(rate(a[5m])) / (sum( rate(a[300s]) ) + sum(rate(b[5m])))", &[("sum( rate(a[300s]) )", 2)]),
        ("x > 0.9 * max(x)", &[("x", 2)]),
        ("sum(x) + max(x) + sum(x) + max((x))", &[("max((x))", 2), ("sum(x)", 2), ("x", 2)]),
        ("sum(x{a=\"1\",b=\"2\"}) + sum(x{b=\"2\",a=\"1\"})", &[]),
        ("sum by (a) (x) + sum without (a) (x)", &[("x", 2)]),
        ("x offset 1m + x + x @ 5", &[]),
        ("rate(x[1m]) + rate(x[2m]) + increase(x[1m])", &[]),
        ("x == x", &[("x", 2)]),
        ("1 + 1 + time() + time()", &[("time", 0)][..0]),
        // A subquery evaluates at steps of its own, and another over the same time at the same ones.
        ("sum(x) + max_over_time(sum(x)[5m:1m])", &[]),
        ("max_over_time(sum(x)[5m:1m]) - min_over_time(sum(x)[5m:1m])", &[("sum(x)", 2)]),
        // Under histogram_count it is found out where counters started anew.
        ("histogram_count(sum(h)) + histogram_sum(sum(h)) + sum(h)", &[("sum(h)", 2)]),
    ];
    for (query, wanted) in cases {
        assert_eq!(parts(query), wanted, "{query}");
    }
}

#[test]
fn what_is_not_evaluated_is_no_place() {
    // The times of samples are looked at in another way, of `{…}` only the matchers, and nothing is known of starts.
    for query in ["timestamp(x) + x", "info(x, {a=\"1\"}) + {a=\"1\"}", "start_timestamp(sum(x)) + sum(x)"] {
        assert_eq!(parts(query), [], "{query}");
    }
}

/// Ten series of a hundred samples each, ten a minute.
fn view() -> ReadView {
    let samples: Vec<(i64, f64)> = (0..100).map(|index| (index * 6_000, index as f64)).collect();
    ReadView::of_samples((0..10).map(|index| series("x", index, &samples)).collect())
}

/// How many samples a query takes that are not given back: those that it reads, and places for what is held anyway. At
/// all 100 moments of the samples.
fn samples_taken(query: &str, samples_max: u64, shares_parts: bool) -> u64 {
    let budget =
        Budget::open(&Limits { samples_max, ..Limits::default() }, &Clock::system(), None, &Cancelled::default());
    let (view, notes, plan) = (view(), Notes::default(), plan(query).expect(query));
    let scene = Scene::of_query(Grid { start_ms: 0, step_ms: 6_000, count: 100 });
    let repeated = if shares_parts { Repeated::of(&plan, scene, &budget) } else { Repeated::default() };
    let Scene { grid, counts_samples, resets } = scene;
    let context = Context {
        view: &view,
        budget: &budget,
        notes: &notes,
        repeated: &repeated,
        grid,
        frame: Frame::default(),
        lookback_ms: 300_000,
        counts_samples,
        delays_names: false,
        resets,
    };
    let table = vector(&context, &plan).expect(query);
    table.for_each(&budget, grid.count, |_, _| Ok(())).expect(query);
    drop(table);
    budget.samples()
}

const SAMPLES_MAX: u64 = 50_000_000;

#[test]
fn a_part_that_stands_in_two_places_is_evaluated_once() {
    // Held anyway, or for the second place; what the operator between them holds is a column or none.
    for (once, twice) in [
        ("sum(x)", "sum(x) / sum(x)"),
        ("sum(x)", "sum(x) + sum(x) - sum(x)"),
        ("rate(x[1m])", "rate(x[1m]) / rate(x[1m])"),
        ("rate(x[1m]) * 2", "rate(x[1m]) * 2 > rate(x[1m])"),
        ("abs(x)", "abs(x) - abs(x)"),
    ] {
        let read = samples_taken(once, SAMPLES_MAX, true);
        assert!(read >= 1_000, "{once} reads ten series of a hundred samples");
        let (shared, apart) = (samples_taken(twice, SAMPLES_MAX, true), samples_taken(twice, SAMPLES_MAX, false));
        assert!(shared < read + 100, "{twice}: {shared}, and once {read}");
        assert!(apart >= 2 * read, "{twice}: {apart}, and once {read}");
    }
}

#[test]
fn a_part_that_is_too_large_to_be_held_is_evaluated_at_each_place() {
    // Ten series over 100 steps: 1,000 values, two words a series that say where there are some, and the rest of a column.
    let query = "rate(x[1m]) - rate(x[1m])";
    let apart = samples_taken(query, SAMPLES_MAX, false);
    assert_eq!(samples_taken(query, 1_019 * SHARE, true), apart);
    assert!(samples_taken(query, 1_200 * SHARE, true) <= apart - 1_000);
}

#[test]
fn all_parts_together_hold_a_share_of_the_budget() {
    let query = "(rate(x[1m]) - rate(x[1m])) + (x - x)";
    let taken = |samples_max| samples_taken(query, samples_max, true);
    // There is room for the part that comes first, for both, and for none.
    assert_eq!((taken(1_200 * SHARE), taken(2_400 * SHARE)), (taken(SAMPLES_MAX) + 1_000, taken(SAMPLES_MAX)));
    assert_eq!(taken(100 * SHARE * 10), taken(SAMPLES_MAX) + 2_000);
}

#[test]
fn what_is_held_for_a_place_to_come_is_let_go_with_the_last() {
    let budget =
        Budget::open(&Limits { samples_max: 100, ..Limits::default() }, &Clock::system(), None, &Cancelled::default());
    let counted = budget.hold(100).expect("there is room");
    let row = (Row::new(Arc::new(Labels::empty())), Column::absent(1));
    let first = Table::held(vec![row]);
    assert!(budget.hold(1).is_err());
    let held = Held::new(vec![Column::absent(1)], vec![counted]);
    let first = Table::new(first.rows, held);
    let second = first.again().expect("it is held");
    drop(first);
    assert!(budget.hold(1).is_err(), "the second still shows it");
    drop(second);
    assert!(budget.hold(100).is_ok());
}

#[test]
fn remarks_stand_where_the_last_place_is() {
    let infos =
        |query: &str| engine().range(&view(), query, 0, 594_000, 6_000, &Options::default()).expect(query).infos;
    let told = infos("sum(rate(x[1m])) +\n  sum( rate( x[1m]))");
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with("\"x\" (2:14)"), "{told:?}");
}

/// Numbers, native histograms, and the buckets of a classic one that has to be repaired.
fn stored(numbers: &[Vec<(i64, f64)>], histograms: &[(i64, f64)]) -> ReadView {
    let given = |(labels, samples): (Labels, Vec<Sample>)| GivenSeries {
        labels: Arc::new(labels),
        samples,
        ..GivenSeries::default()
    };
    let mut all: Vec<GivenSeries> = Vec::new();
    for (index, samples) in numbers.iter().enumerate() {
        all.push(given(series("x", index, samples)));
        all.push(given(series("y_total", index / 2, &samples[..samples.len() / 2])));
        let bound = ["0.1", "1", "+Inf"][index % 3];
        let (labels, samples) = series("b", 0, samples);
        all.push(given((labels.with("le", bound).expect("a label"), samples)));
    }
    all.dedup_by(|a, b| a.labels == b.labels);
    let mut seen = std::collections::HashSet::new();
    all.retain(|one| seen.insert(one.labels.clone()));
    let histogram = |(time_ms, count): &(i64, f64)| {
        (
            *time_ms,
            Arc::new(FloatHistogram { count: *count, sum: *count, zero_count: *count, ..FloatHistogram::default() }),
        )
    };
    let labels = Labels::from_pairs([("__name__", "h"), ("n", "00000")]).expect("labels");
    let histograms = histograms.iter().map(histogram).collect();
    all.push(GivenSeries { labels: Arc::new(labels), histograms, ..GivenSeries::default() });
    ReadView::of_series(all)
}

const LEAVES: &[&str] = &[
    "x",
    "y_total",
    "b",
    "h",
    "rate(x[100ms])",
    "rate(h[100ms])",
    "increase(y_total[200ms])",
    "x offset 30ms",
    "x @ 0.1",
    "y_total smoothed",
    "absent_over_time(x{n=\"00001\"}[50ms])",
    "quantile_over_time(2, x[90ms])",
    "vector(time())",
];

/// What is made of one expression, and of two.
const OF_ONE: &[&str] = &[
    "sum(A)",
    "sum by (n) (A)",
    "avg(A)",
    "max by (n) (A)",
    "quantile(2, A)",
    "topk(1, A)",
    "limitk(1, A)",
    "limit_ratio(0.5, A)",
    "count_values(\"v\", A)",
    "histogram_quantile(0.5, A)",
    "histogram_count(A)",
    "abs(A)",
    "-(A)",
    "vector(scalar(A))",
    "absent(A)",
    "sort(A)",
    "label_replace(A, \"m\", \"$1\", \"n\", \"(.*)\")",
    "timestamp(A)",
    "max_over_time((A)[100ms:20ms])",
    "rate((A)[90ms:30ms])",
    "(A) * 2",
    "(A) > bool 1",
    "clamp_max(A, 7)",
    "info(A)",
];
const OF_TWO: &[&str] = &[
    "(A) + (B)",
    "(A) / on (n) group_left () (B)",
    "(A) - ignoring (n) (B)",
    "(A) and (B)",
    "(A) or (B)",
    "(A) unless on (n) (B)",
    "(A) > (B)",
    "(A) * scalar(B)",
    "(A) + fill (0) (B)",
];

/// Expressions made of a few others again and again.
fn some_query() -> impl Strategy<Value = String> {
    let grow = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (prop::collection::vec(prop::sample::select(LEAVES), 2), prop::collection::vec(grow, 1..7)).prop_map(
        |(leaves, grown)| {
            let mut known: Vec<String> = leaves.into_iter().map(str::to_owned).collect();
            for (shape, one, other) in grown {
                let shapes: Vec<&&str> = OF_ONE.iter().chain(OF_TWO).collect();
                let text = shape.get(&shapes).replace('A', "\u{1}").replace('B', "\u{2}");
                let (one, other): (&String, &String) = (one.get(&known), other.get(&known));
                let text = text.replace('\u{1}', one).replace('\u{2}', other);
                if text.len() < 1_000 {
                    known.push(text);
                }
            }
            format!("({0}) or ({1})", known[known.len() - 1], known[known.len() - 2])
        },
    )
}

/// Whether there are operators that look at a row more than once to tell what is wrong with it, where no part is held:
/// then its samples count as often.
fn looks_again(query: &str) -> bool {
    [") + (", ") / on", ") - ignoring", ") > (", "fill", "info"].iter().any(|operator| query.contains(operator))
}

/// All that an answer says, numbers by their bits; and the samples in its windows, as others count them: all, and of each
/// step.
fn told(engine: &Engine, view: &ReadView, query: &str, steps: i64) -> Result<(String, Vec<u64>), QueryError> {
    let options = Options { lookback_ms: Some(60), usage: Usage::by_step(), ..Options::default() };
    let answer = match steps {
        0 => engine.instant(view, query, 300, &options)?,
        _ => engine.range(view, query, 100, 100 + steps * 40, 40, &options)?,
    };
    let bits = |points: &crate::storage::view::Columns| -> Vec<(i64, u64)> {
        points.iter().map(|(time_ms, value)| (time_ms, value.to_bits())).collect()
    };
    let value = match &answer.value {
        Value::Matrix(series) => {
            let shown = |one: &super::super::Series| {
                (one.labels.to_string(), bits(&one.points), format!("{:?}", one.histograms))
            };
            format!("{:?}", series.iter().map(shown).collect::<Vec<_>>())
        }
        Value::Vector(rows) => {
            let shown = |(labels, time_ms, value): &(Arc<Labels>, i64, super::super::Sampled)| {
                (labels.to_string(), *time_ms, value.number().map(f64::to_bits), format!("{value:?}"))
            };
            format!("{:?}", rows.iter().map(shown).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    };
    let by_step = options.usage.steps().expect("they were asked for").into_iter().map(|(_, samples)| samples);
    let samples = [options.usage.used().queryable_samples].into_iter().chain(by_step).collect();
    Ok((format!("{value}\n{:?}\n{:?}", answer.warnings, answer.infos), samples))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nobody_can_tell_whether_parts_are_evaluated_once(
        query in some_query(),
        numbers in prop::collection::vec(prop::collection::vec((1..40i64, 0..20i32), 1..40), 1..4),
        histograms in prop::collection::vec((1..40i64, 0..9i32), 0..20),
        steps in 0..8i64,
        delays_names in any::<bool>(),
    ) {
        let ascending = |gaps: &[(i64, i32)]| -> Vec<(i64, f64)> {
            let mut time_ms = 0;
            gaps.iter().map(|(gap_ms, value)| { time_ms += gap_ms; (time_ms, f64::from(*value)) }).collect()
        };
        let numbers: Vec<Vec<(i64, f64)>> = numbers.iter().map(|gaps| ascending(gaps)).collect();
        let view = stored(&numbers, &ascending(&histograms));
        let once = told(&engine().delaying_names(delays_names), &view, &query, steps);
        let apart = told(&engine().delaying_names(delays_names).sharing_parts(false), &view, &query, steps);
        match (once, apart) {
            (Ok((once, samples)), Ok((apart, samples_apart))) => {
                prop_assert_eq!(once, apart, "{}", query);
                let mut each = samples.iter().zip(&samples_apart);
                let is_same = if looks_again(&query) { each.all(|(a, b)| a <= b) } else { each.all(|(a, b)| a == b) };
                prop_assert!(is_same, "{} {:?} {:?}", query, samples, samples_apart);
            }
            // Of two errors another may come first.
            (once, apart) => prop_assert_eq!(once.is_err(), apart.is_err(), "{}", query),
        }
    }
}
