use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::budget::Budget;
use super::column::Column;
use super::table::{Row, Scratch, Source, Table};
use super::{
    Cancelled, Engine, Limits, Node, Options, Plan, QueryError, Rollup, Usage, Value, bucket_quantile, parse_matchers,
    plan,
};
use crate::clock::Clock;
use crate::model::{Labels, MatchOp, Matcher, Sample, format_float};
use crate::storage::view::{GivenSeries, ReadView};

pub(super) fn series(name: &str, index: usize, samples: &[(i64, f64)]) -> (Labels, Vec<Sample>) {
    let index = format!("{index:05}");
    let labels = Labels::from_pairs([("__name__", name), ("n", &index)]).expect("valid labels");
    (labels, samples.iter().map(|&(timestamp_ms, value)| Sample { timestamp_ms, value }).collect())
}

pub(super) fn view_of(samples: &[(i64, f64)]) -> ReadView {
    ReadView::of_samples(vec![series("x", 0, samples)])
}

pub(super) fn engine() -> Engine {
    Engine::new(Limits::default(), Clock::system())
}

fn refused(limits: Limits, view: &ReadView, query: &str) -> String {
    let engine = Engine::new(limits, Clock::system());
    let error = engine.instant(view, query, 0, &Options::default()).expect_err("over a limit");
    error.to_string()
}

#[test]
fn floats_are_written_as_go_writes_them() {
    let cases = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-6, "0.000001"),
        (9.5e-7, "9.5e-07"),
        (-1e-10, "-1e-10"),
        (5e-324, "5e-324"),
        // Half way between two texts: the even one.
        (-0.109_500_885_009_765_63, "-0.10950088500976562"),
        (2.0_f64.powi(-25), "2.9802322387695312e-08"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ];
    for (value, text) in cases {
        assert_eq!(format_float(value), text);
    }
}

#[test]
fn a_quantile_of_buckets_is_repaired_and_interpolated() {
    let inf = f64::INFINITY;
    let quantile = |q: f64, buckets: &[(f64, f64)]| bucket_quantile(q, &mut buckets.to_vec());
    assert_eq!(quantile(0.5, &[(inf, 4.0), (2.0, 4.0), (1.0, 2.0)]), 1.0);
    assert_eq!(quantile(0.75, &[(1.0, 2.0), (2.0, 4.0), (inf, 4.0)]), 1.5);
    // A fall of a billionth of a billionth is rounding, not a repair.
    assert_eq!(quantile(1.0, &[(1.0, 2.0), (2.0, 2.0 - 1e-15), (inf, 2.0)]), 1.0);
    assert!(quantile(0.5, &[(1.0, 2.0)]).is_nan());
    assert!(quantile(0.5, &[(inf, 2.0)]).is_nan());
    assert!(quantile(0.5, &[]).is_nan());
    assert!(quantile(0.5, &[(1.0, 0.0), (inf, 0.0)]).is_nan());
    // Nothing is known to be as high as the rank: the highest bound that there is.
    assert_eq!(quantile(0.5, &[(1.0, f64::NAN), (inf, f64::NAN)]), 1.0);
    assert_eq!(quantile(-0.1, &[(1.0, 1.0), (inf, 2.0)]), f64::NEG_INFINITY);
    assert_eq!(quantile(1.1, &[(1.0, 1.0), (inf, 2.0)]), inf);
}

#[test]
fn a_query_that_nests_too_deep_is_refused_at_once() {
    let many = 100_000;
    let limits = Limits { text_bytes_max: usize::MAX, ..Limits::default() };
    let queries = [
        "(".repeat(many) + "1" + &")".repeat(many),
        "-".repeat(many) + "1",
        "+".repeat(many) + "x",
        format!("1{}", "+1".repeat(many)),
        format!("1{}", "^1".repeat(many)),
        format!("x{}", " or x".repeat(many)),
        format!("x{}", " AtAn2 x".repeat(many)),
        "abs(".repeat(many) + "x" + &")".repeat(many),
        "sum by (a) (".repeat(many) + "x" + &")".repeat(many),
        format!("x{}", "[1m:]".repeat(many)),
        format!("offset{}", " -offset".repeat(many)),
        // What the parser might read otherwise than the check: comments, quotes, dots, signs.
        format!("# \r1{}", "+1".repeat(many)),
        format!("x{{a=`\\`}} + x{{a=\"`\"}}{}", "+1".repeat(many)),
        format!("1{}", " atan2.5".repeat(many)),
        format!("1{}", "+0x1f".repeat(many)),
        "(1+".repeat(many) + "1" + &")".repeat(many),
        "(".repeat(many),
        // Shallow at each place, deep as a whole: each bracket closes before its neighbours are counted.
        "(".repeat(100) + "1" + &("+1".repeat(60) + ")").repeat(100),
    ];
    for query in queries {
        let error = refused(limits.clone(), &view_of(&[]), &query);
        let limits = ["128 levels", "256 levels", "1000 operators"];
        assert!(limits.iter().any(|limit| error.contains(limit)), "{error} for {}…", &query[..20]);
    }
}

#[test]
fn a_query_that_nests_almost_too_deep_is_evaluated_on_a_small_stack() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        let query = open.repeat(times) + inner + &close.repeat(times);
        engine().instant(&view_of(&[(0, 1.0)]), &query, 0, &Options::default()).expect(open)
    };
    nested("(", "x", ")", 127);
    nested("abs(", "x", ")", 126);
    nested("-(", "x", ")", 62);
    nested("sum by (n) (", "x", ")", 126);
    nested("x + (", "x", ")", 62);
    nested("sum(x) or (", "x", ")", 62);
    nested("x{n=~\"0*\"} and (", "x", ")", 62);
    nested("max_over_time(", "x", "[1m:1m])", 62);
    nested("max_over_time(", "x", "[1m:1m] offset -4y)", 62);
    nested("histogram_quantile(1, ", "x", ")", 126);
}

#[test]
fn a_chain_that_is_almost_too_long_is_evaluated_on_a_small_stack() {
    for operator in ["+", "or", "and on(n)", "* on(n) group_left()", "> bool"] {
        let query = format!("x{}", format!(" {operator} x").repeat(252));
        engine().instant(&view_of(&[(0, 1.0)]), &query, 0, &Options::default()).expect(operator);
    }
}

#[test]
fn start_times_are_counted_as_the_samples_are_that_they_belong_to() {
    let (labels, samples) = series("x", 0, &[(0, 1.0), (10, 2.0), (20, 3.0)]);
    let starts_ms = samples.iter().map(|sample| (sample.timestamp_ms, -5)).collect();
    let without = GivenSeries { labels: Arc::new(labels), samples, ..GivenSeries::default() };
    let with = GivenSeries { starts_ms, ..without.clone() };
    let engine = Engine::new(Limits { samples_max: 5, ..Limits::default() }, Clock::system());
    let asked = |given: &GivenSeries| {
        engine.instant(&ReadView::of_series(vec![given.clone()]), "rate(x[1m])", 20, &Options::default())
    };
    asked(&without).expect("three samples");
    assert!(asked(&with).is_err(), "three samples and three starts");
}

#[test]
fn memory_that_no_sample_fills_is_counted_too() {
    let limits = Limits { samples_max: 5000, ..Limits::default() };
    let view = ReadView::of_samples((0..100).map(|index| series("x", index, &[(index as i64, 1.0)])).collect());
    let engine = Engine::new(limits, Clock::system());
    let refused = |query: &str, end_ms: i64| {
        let error = engine.range(&view, query, 0, end_ms, 1, &Options::default()).expect_err(query);
        assert!(error.to_string().contains("5000"), "{query}: {error}");
    };
    refused("sum by (n) (x)", 100);
    refused("time() + (time() + (time() + (time() + (time() + time()))))", 1000);
    refused("histogram_quantile(0.5, label_replace(x, \"le\", \"$1\", \"n\", \"(.*)\"))", 100);
    refused("vector(1) or vector(2) or vector(3) or vector(4) or vector(5)", 1000);
    // None of the hundred is there together with another: 100 × 100 values of the "one" side, and as many pairs.
    let pairs = |samples_max| {
        let engine = Engine::new(Limits { samples_max, ..Limits::default() }, Clock::system());
        let options = Options { lookback_ms: Some(1), ..Options::default() };
        engine.range(&view, "x * on() group_left() x", 0, 99, 1, &options)
    };
    assert!(pairs(15_000).is_err());
    assert!(pairs(30_000).is_ok());
}

#[test]
fn brackets_in_strings_and_comments_do_not_nest() {
    let query = format!("x{{a=\"{0}\", b='{0}', c=`{0}`}} # {0}", "(".repeat(1000));
    assert!(plan(&query).is_ok());
    assert!(plan(&format!("x{{a=\"\\\"{}\"}}", "(".repeat(1000))).is_ok());
}

#[test]
fn a_wide_query_is_not_a_deep_one() {
    let many: Vec<String> = (0..2000).map(|index| format!("l{index}=\"v\"")).collect();
    assert!(plan(&format!("x{{{}}}", many.join(","))).is_ok());
    assert!(plan(&format!("label_join(x, \"a\", \"b\"{})", ", \"c\"".repeat(1000))).is_ok());
    assert!(plan(&format!("1{}", "+1e-5".repeat(100))).is_ok());
    assert!(plan(&format!("({0})*({0})", format!("1{}", "+1".repeat(50)))).is_ok());
}

#[test]
fn numbers_that_are_no_durations_are_errors() {
    let bad = [
        "x[1e300]",
        "x offset Inf",
        "x offset -NaN",
        "x[0]",
        "x offset 1e11",
        "x[0xffffffffffffffff]",
        "x[99999999999y]",
    ];
    for query in bad {
        assert_eq!(plan(query).expect_err(query).kind(), "bad_data", "{query}");
    }
    assert!(plan("rate(x[300])").is_ok());
    assert!(plan("x offset 1.5").is_ok());
}

#[test]
fn each_limit_is_named_when_it_is_met() {
    let limits = Limits::default();
    let view = ReadView::of_samples((0..20).map(|index| series("x", index, &[(0, 1.0), (1, 1.0)])).collect());
    let error = refused(Limits { series_max: 19, ..limits.clone() }, &view, "x");
    assert!(error.contains("19 series"), "{error}");
    // Each selector matches few, both together too many.
    let error = refused(Limits { series_max: 25, ..limits.clone() }, &view, "sum(x) + sum(x{n!=\"1\"})");
    assert!(error.contains("series"), "{error}");
    let error = refused(Limits { samples_max: 19, ..limits.clone() }, &view, "sum(x)");
    assert!(error.contains("more than 19"), "{error}");
    let error = refused(Limits { text_bytes_max: 10, ..limits.clone() }, &view, "x + x + x + x");
    assert!(error.contains("13 bytes"), "{error}");
    let patterns: Vec<String> = (0..129).map(|index| format!("l{index}=~\"v\"")).collect();
    let error = refused(limits.clone(), &view, &format!("x{{{}}}", patterns.join(",")));
    assert!(error.contains("128 patterns"), "{error}");
    let engine = engine();
    let error = engine.range(&view, "x", 0, 11_001_000, 1000, &Options::default()).expect_err("too many steps");
    assert!(error.to_string().contains("11000 points"), "{error}");
    assert!(engine.range(&view, "x", 0, 11_000_999, 1000, &Options::default()).is_ok());
    assert!(engine.instant(&view, "x", i64::MAX, &Options::default()).is_err());
    assert!(engine.range(&view, "x", i64::MIN, i64::MAX, 1, &Options::default()).is_err());
}

#[test]
fn huge_patterns_are_refused_before_they_cost_anything() {
    let pattern = "((a{1000}){1000}){1000}";
    let query = format!("x{{{}}}", vec![format!("a=~\"{pattern}\""); 100].join(","));
    assert_eq!(plan(&query).expect_err("too large").kind(), "bad_data");
    let view = view_of(&[(0, 1.0)]);
    let query = format!("label_replace(x, \"a\", \"\", \"a\", \"{pattern}\")");
    assert_eq!(engine().instant(&view, &query, 0, &Options::default()).expect_err("too large").kind(), "execution");
}

#[test]
fn a_query_ends_when_its_time_is_over() {
    let clock = Clock::manual(0);
    let engine = Engine::new(Limits::default(), clock.clone());
    let options = Options { timeout: Some(Duration::ZERO), ..Options::default() };
    let error = engine.instant(&view_of(&[(0, 1.0)]), "x", 0, &options).expect_err("no time at all");
    assert_eq!(error, QueryError::Timeout(Duration::ZERO));
    assert_eq!(error.kind(), "timeout");
}

/// Minutes of work: a quantile over a window of 100,000 samples at each of 10,000 steps.
fn endless() -> (ReadView, &'static str) {
    let samples: Vec<(i64, f64)> = (0..100_000).map(|index| (index, (index * 7919 % 1000) as f64)).collect();
    (view_of(&samples), "quantile_over_time(0.5, x[100s])")
}

#[test]
fn a_long_query_notices_its_timeout_within_one_series() {
    let (view, query) = endless();
    let options = Options { timeout: Some(Duration::from_millis(50)), ..Options::default() };
    let clock = Clock::system();
    let error = engine().range(&view, query, 0, 100_000, 10, &options).expect_err("50 ms are not enough");
    assert_eq!(error.kind(), "timeout");
    assert!(clock.monotonic() < Duration::from_secs(2), "took {:?}", clock.monotonic());
}

#[test]
fn a_query_ends_when_its_client_leaves() {
    let (view, query) = endless();
    let cancelled = Cancelled::default();
    let options = Options { cancelled: cancelled.clone(), ..Options::default() };
    let clock = Clock::system();
    let running = std::thread::spawn(move || engine().range(&view, query, 0, 100_000, 10, &options));
    while clock.monotonic() < Duration::from_millis(50) {
        std::thread::yield_now();
    }
    cancelled.cancel();
    let error = running.join().expect("no panic").expect_err("was cancelled");
    assert_eq!(error, QueryError::Cancelled);
    assert!(clock.monotonic() < Duration::from_secs(2), "took {:?}", clock.monotonic());
}

#[test]
fn a_plan_shows_what_detection_compiles() {
    let query = "sum by (region) ((rate(orders_total{a=~\"b.*\"}[1m])))";
    let Node::Aggregate { inner, .. } = plan(query).unwrap().node else { panic!("an aggregation") };
    let Node::Rollup { function: Rollup::Rate, range, .. } = inner.node else { panic!("a rate") };
    assert_eq!(range.range_ms, 60_000);
    let super::RangeInput::Selector(matchers) = range.input else { panic!("a selector") };
    let shown: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    assert_eq!(shown, [r#"__name__="orders_total""#, r#"a=~"b.*""#]);
}

#[test]
fn strings_are_read_by_the_rules_of_go() {
    let text = |query: &str| match plan(query) {
        Ok(Plan { node: Node::Text(text), .. }) => Ok(text),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.kind()),
    };
    assert_eq!(text(r#""a\tb\x41\u00e9\U0001F680\101\"'\\""#), Ok("a\tbAé🚀A\"'\\".to_owned()));
    assert_eq!(text(r#"'a"\''"#), Ok("a\"'".to_owned()));
    assert_eq!(text(r"`a\tb\`"), Ok("a\\tb\\".to_owned()));
    assert_eq!(text("`two\nlines`"), Ok("two\nlines".to_owned()));
    assert_eq!(text(r#""\xc3\xa9""#), Ok("é".to_owned()));
    let bad = [r#""\'""#, r#""\q""#, r#""\¡""#, r#""\777""#, r#""\ud800""#, "\"a\nb\"", r#""\x4""#, "\"", "`"];
    for query in bad {
        assert_eq!(text(query), Err("bad_data"), "{query}");
    }
}

#[test]
fn a_match_parameter_is_a_plain_selector() {
    assert_eq!(parse_matchers("up{job=~\"a|b\", x!=\"y\"}").unwrap().len(), 3);
    for bad in ["", "up[5m]", "up offset 5m", "up @ 5", "up + up", "1", "{}", "{job=~\".*\"}", "sum(up)"] {
        assert_eq!(parse_matchers(bad).expect_err(bad).kind(), "bad_data", "{bad}");
    }
}

#[test]
fn many_series_are_added_in_the_same_order_by_any_number_of_threads() {
    let value = |index: usize| 0.1 * (index as f64) + 1e10 / (index as f64 + 1.0);
    let view = ReadView::of_samples((0..1000).map(|index| series("x", index, &[(0, value(index))])).collect());
    let sum = || {
        let Value::Vector(rows) = engine().instant(&view, "sum(x)", 0, &Options::default()).unwrap().value else {
            panic!("a vector");
        };
        rows[0].2.number().expect("a number")
    };
    let exact: f64 = (0..1000).map(value).sum();
    assert!((sum() - exact).abs() < 1e-3);
    assert!((0..20).all(|_| sum().to_bits() == sum().to_bits()));
    let all = engine().range(&view, "x * 2", 0, 1000, 1000, &Options::default()).unwrap();
    let Value::Matrix(rows) = all.value else { panic!("a matrix") };
    assert_eq!(rows.len(), 1000);
    assert!(rows.windows(2).all(|pair| pair[0].labels < pair[1].labels));
    assert!(rows.iter().enumerate().all(|(index, row)| row.points.values == [value(index) * 2.0; 2]));
}

/// Rows that take their time, each the same.
struct Slow(Duration);

impl Source for Slow {
    fn column(&self, _: usize, _: &mut Scratch) -> Result<Column, QueryError> {
        std::thread::sleep(self.0);
        Ok(Column::full(vec![1.0]))
    }
}

/// How long it takes to compute so many rows that take so long each.
fn time_of(rows: usize, each: Duration) -> Duration {
    let clock = Clock::system();
    let budget = Budget::open(&Limits::default(), &clock, None, &Cancelled::default());
    let nameless = Row::new(std::sync::Arc::new(Labels::empty()));
    Table::new(vec![nameless; rows], Slow(each)).for_each(&budget, 1, |_, _| Ok(())).expect("within every limit");
    clock.monotonic()
}

#[test]
fn a_heavy_query_lets_the_rows_of_a_light_one_in_between() {
    let heavy_rows = 200 * rayon::current_num_threads();
    let heavy = std::thread::spawn(move || time_of(heavy_rows, Duration::from_millis(10)));
    std::thread::sleep(Duration::from_millis(300));
    let light = time_of(64, Duration::from_micros(10));
    let heavy = heavy.join().expect("it does not panic");
    assert!(light * 3 < heavy, "the light one took {light:?}, the heavy one {heavy:?}");
}

#[test]
fn a_query_that_rewrites_many_labels_ends_when_its_time_is_over() {
    let series: Vec<_> = (0..2000).map(|index| series("x", index, &[(0, 1.0)])).collect();
    let view = ReadView::of_samples(series);
    let template = "$nobody".repeat(8000);
    let query = format!("label_replace(x, \"to\", \"{template}\", \"n\", \"(.*)\")");
    let options = Options { timeout: Some(Duration::from_millis(100)), ..Options::default() };
    let clock = Clock::system();
    let refused = engine().instant(&view, &query, 0, &options).expect_err("it takes seconds");
    assert!(matches!(refused, QueryError::Timeout(_)), "{refused}");
    assert!(clock.monotonic() < Duration::from_millis(700), "{:?}", clock.monotonic());
}

#[test]
fn labels_that_a_query_makes_longer_count_as_memory() {
    let series: Vec<_> = (0..1000).map(|index| series("x", index, &[(0, 1.0)])).collect();
    let query = format!("label_replace(x, \"to\", \"{}\", \"n\", \".*\")", "y".repeat(4000));
    let limits = Limits { samples_max: 400_000, ..Limits::default() };
    let refused = refused(limits.clone(), &ReadView::of_samples(series.clone()), &query);
    assert!(refused.contains("too many samples"), "{refused}");
    let query = "label_join(x, \"to\", \"-\", \"n\", \"n\")";
    let engine = Engine::new(limits, Clock::system());
    engine.instant(&ReadView::of_samples(series), query, 0, &Options::default()).expect("short labels are within it");
}

#[test]
fn an_aggregation_of_one_moment_is_evaluated_once_for_all_steps() {
    let samples: Vec<(i64, f64)> = (0..100).map(|index| (index * 10, 1.0)).collect();
    let view = ReadView::of_samples((0..50).map(|index| series("x", index, &samples)).collect());
    let cost = |query: &str| {
        let options = Options { usage: Usage::by_step(), ..Options::default() };
        let answer = engine().range(&view, query, 0, 1_000, 1, &options).expect(query);
        let Value::Matrix(series) = answer.value else { panic!("a matrix") };
        let used = options.usage.used();
        let by_step: Vec<u64> = options.usage.steps().expect("asked for").into_iter().map(|(_, count)| count).collect();
        (series[0].points.values.clone(), used.queryable_samples, by_step, used.peak_samples)
    };
    // One sample of each series is looked at, at each of 1,001 steps; ten where a window holds so many.
    for (query, each) in [("sum(x @ 0.5)", 1), ("sum(topk(50, count_over_time(x[100ms] @ 0.5) / 10))", 10)] {
        let (values, queryable, by_step, peak) = cost(query);
        assert_eq!(values, vec![50.0; 1_001], "{query}");
        assert_eq!((queryable, by_step), (50 * each * 1_001, vec![50 * each; 1_001]), "{query}");
        // Of each series at most 51 samples are read, and 1,001 values are the answer.
        assert!(peak < 50 * 51 + 1_001 + 100, "{query} holds {peak}");
    }
    // The step itself counts: what is fixed is evaluated once, the rest is not.
    let (values, _, _, _) = cost("sum(x @ 0.5 * 0 + on () group_left () vector(time()))");
    assert_eq!((values[0], values[1_000]), (0.0, 50.0));
    let (values, _, _, _) = cost("sum(timestamp(-x @ 0.5))");
    assert_eq!((values[0], values[1_000]), (0.0, 50.0));
}

/// Rows of many values each, that count how many of them wait to be taken.
struct Wide {
    taken: Arc<AtomicUsize>,
    computed: AtomicUsize,
    waiting_max: Arc<AtomicUsize>,
}

const WIDE_STEPS: usize = 1 << 18;

impl Source for Wide {
    fn column(&self, _: usize, _: &mut Scratch) -> Result<Column, QueryError> {
        let computed = self.computed.fetch_add(1, Ordering::SeqCst) + 1;
        self.waiting_max.fetch_max(computed - self.taken.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(Column::full(vec![1.0; WIDE_STEPS]))
    }
}

#[test]
fn long_rows_are_computed_ahead_by_their_bytes_and_counted() {
    let (taken, waiting_max) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let rows = (0..100).map(|_| Row::new(Arc::new(Labels::empty()))).collect();
    let source = Wide { taken: taken.clone(), computed: AtomicUsize::new(0), waiting_max: waiting_max.clone() };
    let table = Table::new(rows, source);
    // The clock stands still, so nothing but their size keeps them few.
    let clock = Clock::manual(0);
    let budget = Budget::open(&Limits::default(), &clock, None, &Cancelled::default());
    let take = |_, _| {
        taken.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    table.for_each(&budget, WIDE_STEPS, take).expect("within the limits");
    let waiting_max = waiting_max.load(Ordering::SeqCst);
    assert_eq!(taken.load(Ordering::SeqCst), 100);
    assert!(waiting_max <= rayon::current_num_threads().max(4), "{waiting_max} rows of 2 MiB waited");
    assert!(budget.totals().1 as usize >= 2 * WIDE_STEPS, "they are counted");
    let tight = Limits { samples_max: WIDE_STEPS as u64, ..Limits::default() };
    let budget = Budget::open(&tight, &clock, None, &Cancelled::default());
    assert!(table.for_each(&budget, WIDE_STEPS, |_, _| Ok(())).is_err(), "and refused");
}

#[test]
fn condition_measures_what_stands_before_its_comparison() {
    for (condition, measures) in [
        ("load > 5", Some("load")),
        ("(a / b > 0.2) and c >= 20", Some("a / b")),
        ("sum by (x) (rate(a[5m])) < bool 1 unless d", Some("sum by (x) (rate(a[5m]))")),
        ("5 < load", Some("load")),
        ("load", None),
        ("a > 1 or b > 2", None),
        ("a >", None),
    ] {
        assert_eq!(super::measured(condition).as_deref(), measures, "{condition}");
    }
}

#[test]
fn narrowed_query_asks_for_fewer_series_everywhere() {
    let others = [Matcher::new("job", MatchOp::NotEqual, "shop \"1\"").expect("no pattern")];
    for (query, narrowed) in [
        ("load", r#"load{job!="shop \"1\""}"#),
        ("sum(a) / sum(b) > 5", r#"sum(a{job!="shop \"1\""}) / sum(b{job!="shop \"1\""}) > 5"#),
        (
            "max_over_time(rate(a{x=\"y\"}[1m] offset 5m)[1h:1m])",
            r#"max_over_time(rate(a{job!="shop \"1\"",x="y"}[1m] offset 5m)[1h:1m])"#,
        ),
        (
            "topk(scalar(a), -b) or vector(1)",
            r#"topk(scalar(a{job!="shop \"1\""}), -b{job!="shop \"1\""}) or vector(1)"#,
        ),
        ("vector(1)", "vector(1)"),
    ] {
        assert_eq!(super::narrowed(query, &others).expect("a query"), narrowed);
    }
    assert!(super::narrowed("a >", &others).is_err());
}
