//! Functions of instant vectors. Where a figure is not obvious it was asked of Prometheus.

use super::buckets::{Repair, repaired_quantile};
use super::calendar::part;
use crate::model::format_general;
use crate::model::{Labels, Sample};
use crate::query::float::{format_open_metrics, format_two_digits};
use crate::query::tests::engine;
use crate::query::{Answer, Function, Options, Value};
use crate::storage::view::ReadView;

fn ask(view: &ReadView, query: &str) -> Answer {
    engine().instant(view, query, 0, &Options::default()).expect("an answer")
}

fn nothing() -> ReadView {
    ReadView::of_samples(Vec::new())
}

fn refusal(query: &str) -> String {
    engine().instant(&nothing(), query, 0, &Options::default()).expect_err("a refusal").to_string()
}

/// The labels and numbers of a vector.
fn rows(answer: Answer) -> Vec<(String, f64)> {
    let Value::Vector(rows) = answer.value else { panic!("a vector") };
    rows.iter().map(|(labels, _, sampled)| (labels.to_string(), sampled.number().expect("a number"))).collect()
}

fn series(labels: &[(&str, &str)], value: f64) -> (Labels, Vec<Sample>) {
    (Labels::from_pairs(labels.iter().copied()).expect("valid labels"), vec![Sample { timestamp_ms: 0, value }])
}

#[test]
fn dates_are_those_of_prometheus_at_any_number() {
    let parts = [
        Function::Year,
        Function::Month,
        Function::DayOfMonth,
        Function::Hour,
        Function::Minute,
        Function::DayOfWeek,
        Function::DayOfYear,
        Function::DaysInMonth,
    ];
    let smallest = [292_277_026_596.0, 12.0, 4.0, 15.0, 30.0, 0.0, 339.0, 31.0];
    let cases = [
        (f64::NAN, smallest),
        (f64::INFINITY, smallest),
        (f64::NEG_INFINITY, smallest),
        (9.3e18, smallest),
        (1e18, [31_688_740_476.0, 10.0, 23.0, 1.0, 46.0, 5.0, 297.0, 31.0]),
        (-1e18, [-31_688_736_537.0, 3.0, 10.0, 22.0, 13.0, 2.0, 69.0, 31.0]),
        (1e15, [31_690_708.0, 7.0, 5.0, 1.0, 46.0, 0.0, 187.0, 31.0]),
        (-1e15, [-31_686_769.0, 6.0, 29.0, 22.0, 13.0, 0.0, 180.0, 30.0]),
        (-0.5, [1970.0, 1.0, 1.0, 0.0, 0.0, 4.0, 1.0, 31.0]),
        (951_782_400.0, [2000.0, 2.0, 29.0, 0.0, 0.0, 2.0, 60.0, 29.0]),
    ];
    for (seconds, wanted) in cases {
        assert_eq!(parts.map(|function| part(function)(seconds)), wanted, "at {seconds} s");
    }
}

#[test]
fn a_ratio_chooses_the_series_that_prometheus_chooses() {
    let long = ["x".repeat(126), "x".repeat(130), "x".repeat(254), "x".repeat(300)];
    let places: [(&[(&str, &str)], f64); 5] = [
        (&[("a", "b")], 0.882_198_581_303_669),
        (&[("instance", "1"), ("job", "api")], 0.631_148_818_061_859_6),
        (&[("é", "ü")], 0.795_679_879_115_653),
        (&[("a", &long[0])], 0.900_788_379_244_232_8),
        (&[("a", &long[3])], 0.450_019_039_050_999_94),
    ];
    for (labels, place) in places {
        let view = ReadView::of_samples(vec![series(labels, 1.0)]);
        let name = labels[0].0;
        let shown = |ratio: f64| rows(ask(&view, &format!(r#"limit_ratio({ratio}, {{"{name}"!=""}})"#))).len();
        assert_eq!([shown(place - 1e-9), shown(place + 1e-9)], [0, 1], "{name}");
        assert_eq!([shown(place - 1e-9 - 1.0), shown(place + 1e-9 - 1.0)], [1, 0], "{name}");
    }
}

#[test]
fn templates_are_expanded_as_go_expands_them() {
    let replaced = |template: &str, pattern: &str| {
        let view = ReadView::of_samples(vec![series(&[("__name__", "x"), ("from", "v")], 1.0)]);
        let answer = ask(&view, &format!(r#"label_replace(x, "to", "{template}", "from", "{pattern}")"#));
        let Value::Vector(rows) = answer.value else { panic!("a vector") };
        rows[0].0.get("to").unwrap_or("").to_owned()
    };
    assert_eq!(replaced("$1", "(.*)"), "v");
    assert_eq!(replaced("x$1y-${1}y-$1é-$01-$$-$-${1-$9", "(.*)"), "x-vy---$-$-${1-");
    assert_eq!(replaced("[$n]${n}x$nx", "(?P<n>.*)"), "[v]vx");
    assert_eq!(replaced("$0$0", "v"), "vv");
    assert_eq!(replaced("$1", "w"), "");
}

#[test]
fn refusals_are_worded_as_prometheus_words_them() {
    for (query, wanted) in [
        ("topk(1e20, vector(1))", "Scalar value 1e+20 overflows int64"),
        ("topk(NaN, vector(1))", "Parameter value is NaN"),
        ("limit_ratio(NaN, vector(1))", "Ratio value is NaN"),
        (r#"count_values("", vector(1))"#, r#"invalid label name """#),
        (r#"count_values("a\xc5z", vector(1))"#, r#"invalid label name "a\xc5z""#),
        (r#"label_replace(vector(1), "", "a", "", "")"#, "invalid destination label name in label_replace(): "),
        (r#"label_replace(vector(1), "a", "$1", "", "(")"#, "invalid regular expression in label_replace(): ("),
        (r#"label_join(vector(1), "", "a", "b")"#, "invalid destination label name in label_join(): "),
        (r#"label_join(vector(1), "b", "a", "")"#, "invalid source label name in label_join(): "),
    ] {
        assert_eq!(refusal(query), wanted, "{query}");
    }
    assert!(rows(ask(&nothing(), "topk(-1e20, vector(1))")).is_empty());
}

#[test]
fn what_is_absent_has_the_label_that_was_compared_by_equality_first_and_last() {
    for (query, wanted) in [
        (r#"absent({job=~"a", job="b"})"#, r#"{job="b"}"#),
        (r#"absent({job="b", job=~"a"})"#, "{}"),
        (r#"absent({job="a", job="b", job="c"})"#, "{}"),
        (r#"absent(x{job="a", node="1", node!="2"})"#, r#"{job="a"}"#),
    ] {
        assert_eq!(rows(ask(&nothing(), query)), [(wanted.to_owned(), 1.0)], "{query}");
    }
}

#[test]
fn bounds_are_compared_as_go_compares_them() {
    let value = |query: &str| rows(ask(&nothing(), query))[0].1;
    assert_eq!(value("clamp_max(vector(NaN), -Inf)"), f64::NEG_INFINITY);
    assert_eq!(value("clamp_min(vector(NaN), Inf)"), f64::INFINITY);
    assert!(value("clamp(vector(NaN), 1, 2)").is_nan());
    assert!(value("clamp_min(vector(1), NaN)").is_nan());
    assert_eq!(value("clamp(vector(5), 1, 2)"), 2.0);
    assert!(rows(ask(&nothing(), "clamp(vector(5), 2, 1)")).is_empty());
    assert_eq!(value("round(vector(-0.4))").to_bits(), 0.0f64.to_bits());
    assert_eq!(value("sgn(vector(-0))").to_bits(), (-0.0f64).to_bits());
}

#[test]
fn of_quantiles_that_no_data_has_aggregations_tell_the_outermost() {
    let view = nothing();
    let warnings = |query: &str| {
        let answer = engine().range(&view, query, 0, 3_000, 1_000, &Options::default()).expect("an answer");
        answer.warnings
    };
    assert_eq!(
        warnings("quantile(time() * 1e6 - 1, x)"),
        [
            "PromQL warning: quantile value should be between 0 and 1, got -1 (1:10)",
            "PromQL warning: quantile value should be between 0 and 1, got 2.999999e+06 (1:10)",
        ]
    );
    assert_eq!(warnings("histogram_quantile(time() + 2, x)").len(), 4);
}

#[test]
fn numbers_in_messages_are_short() {
    for (value, general, two) in [
        (0.0, "0", "0"),
        (1234.5, "1234.5", "1.2e+03"),
        (1e6, "1e+06", "1e+06"),
        (999_999.0, "999999", "1e+06"),
        (0.00012, "0.00012", "0.00012"),
        (0.000_012_34, "1.234e-05", "1.2e-05"),
        (5.5, "5.5", "5.5"),
        (10.0, "10", "10"),
        (99.6, "99.6", "1e+02"),
        (f64::INFINITY, "+Inf", "+Inf"),
    ] {
        assert_eq!((format_general(value).as_str(), format_two_digits(value).as_str()), (general, two));
    }
    assert_eq!([0.0, 1.0, 0.25, -0.1, 1e20].map(format_open_metrics), ["0.0", "1.0", "0.25", "-0.1", "1e+20"]);
}

#[test]
fn repaired_buckets_are_told_with_their_bounds_times_and_number() {
    let inf = f64::INFINITY;
    let (value, repair) = repaired_quantile(0.5, &mut vec![(1.0, 10.0), (2.0, 4.0), (5.0, 9.5), (inf, 12.0)]);
    // Half of 12 is the sixth of the ten in the first bucket.
    assert_eq!(value, 0.6);
    assert_eq!(repair, Some(Repair { lowest: 2.0, highest: 5.0, raised_max: 6.0 }));

    let bucket = |le: &str, values: [f64; 2]| {
        let labels = Labels::from_pairs([("__name__", "x_bucket"), ("le", le)]).expect("valid labels");
        let samples = values.iter().enumerate();
        let samples = samples.map(|(index, value)| Sample { timestamp_ms: index as i64 * 60_000, value: *value });
        (labels, samples.collect())
    };
    let view = ReadView::of_samples(vec![bucket("1", [4.0, 9.0]), bucket("2", [3.0, 5.0]), bucket("+Inf", [6.0, 9.0])]);
    let answer = engine().range(&view, "histogram_quantile(0.5, x_bucket)", 0, 60_000, 60_000, &Options::default());
    let what = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
                https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), from buckets 2 to 2, \
                with a max diff of 4, over 2 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z (1:25)";
    assert_eq!(answer.expect("an answer").infos, [what]);
}

#[test]
fn a_name_given_to_a_series_stays_where_names_go_at_the_end() {
    let view = ReadView::of_samples(vec![series(&[("__name__", "x"), ("n", "1")], 1.0)]);
    let engine = engine().delaying_names(true);
    let ask = |query: &str| rows(engine.instant(&view, query, 0, &Options::default()).expect("an answer"));
    assert_eq!(ask(r#"label_replace(abs(x), "__name__", "y", "n", "1")"#), [(r#"y{n="1"}"#.to_owned(), 1.0)]);
    // Where the pattern does not match nothing was given.
    assert_eq!(ask(r#"label_replace(abs(x), "__name__", "y", "n", "2")"#), [(r#"{n="1"}"#.to_owned(), 1.0)]);
    assert_eq!(ask("sum by (__name__) (abs(x))"), [("{}".to_owned(), 1.0)]);
    assert_eq!(ask("sum by (__name__) (x)"), [("x".to_owned(), 1.0)]);
}

#[test]
fn info_series_that_contradict_each_other_are_an_error_only_where_they_describe_something() {
    let at = |labels: &[(&str, &str)], times_ms: &[i64]| {
        let samples = times_ms.iter().map(|timestamp_ms| Sample { timestamp_ms: *timestamp_ms, value: 1.0 });
        (Labels::from_pairs(labels.iter().copied()).expect("valid labels"), samples.collect())
    };
    let target = [("instance", "a"), ("job", "1")];
    let with =
        |name: &'static str, more: (&'static str, &'static str)| [("__name__", name), more, target[0], target[1]];
    let ask = |view: &ReadView, time_ms: i64, query: &str| {
        engine().instant(view, query, time_ms, &Options::default()).map(rows).map_err(|error| error.to_string())
    };
    let doubled = ReadView::of_samples(vec![
        at(&with("x", ("n", "1")), &[1_000]),
        at(&with("target_info", ("v", "1")), &[0, 1_000, 2_000]),
        at(&with("target_info", ("v", "2")), &[0, 1_000]),
    ]);
    // Nothing is there to be described yet; then both say what x is; then only one does.
    assert_eq!(ask(&doubled, 0, "info(x)"), Ok(Vec::new()));
    assert_eq!(
        ask(&doubled, 1_000, "info(x)"),
        Err("found duplicate series for info metric: existing \
             {__name__=\"target_info\", instance=\"a\", job=\"1\", v=\"1\"} @ 1000, new \
             {__name__=\"target_info\", instance=\"a\", job=\"1\", v=\"2\"} @ 1000"
            .to_owned())
    );
    let newer = [(r#"x{instance="a", job="1", n="1", v="1"}"#.to_owned(), 1.0)];
    assert_eq!(ask(&doubled, 2_000, "info(x)"), Ok(newer.to_vec()));

    let contradicting = ReadView::of_samples(vec![
        at(&with("x", ("n", "1")), &[0]),
        at(&with("y", ("v", "0")), &[0]),
        at(&with("target_info", ("v", "1")), &[0]),
        at(&with("build_info", ("v", "2")), &[0]),
    ]);
    let query = |name: &str| format!(r#"info({name}, {{__name__=~".+_info"}})"#);
    assert_eq!(ask(&contradicting, 0, &query("x")), Err("conflicting label: v".to_owned()));
    // What a series says of itself stays, and is not contradicted.
    assert_eq!(ask(&contradicting, 0, &query("y")), Ok(vec![(r#"y{instance="a", job="1", v="0"}"#.to_owned(), 1.0)]));
    assert_eq!(ask(&contradicting, 0, r#"info(x, {w=""})"#).map(|rows| rows.len()), Ok(1));
    assert_eq!(ask(&contradicting, 0, r#"info(x, {w=~".+"})"#), Ok(Vec::new()));
}

#[test]
fn logarithms_of_the_tiniest_numbers_are_those_of_prometheus() {
    let value = |query: &str| rows(ask(&nothing(), query))[0].1;
    for (number, natural, decimal) in [
        ("5e-324", -709.089_565_712_824_1, -307.953_685_564_252_8),
        ("1e-310", -709.085_081_548_894_5, -307.951_738_116_602_2),
        ("2e-308", -708.448_319_080_766_2, -307.675_195_690_411),
        ("2.2250738585072014e-308", -708.396_418_532_264_1, -307.652_655_568_588_8),
    ] {
        assert!((value(&format!("ln(vector({number}))")) - natural).abs() < 1e-9, "ln {number}");
        assert!((value(&format!("log10(vector({number}))")) - decimal).abs() < 1e-9, "log10 {number}");
    }
}

#[test]
fn of_equal_numbers_topk_keeps_those_that_prometheus_keeps() {
    let numbered = |index: usize, value: f64| series(&[("__name__", "x"), ("n", &index.to_string())], value);
    let kept = |values: &[f64], query: &str| {
        let view =
            ReadView::of_samples(values.iter().enumerate().map(|(index, value)| numbered(index, *value)).collect());
        rows(ask(&view, query)).iter().map(|(labels, _)| labels[5..6].to_owned()).collect::<String>()
    };
    // The root of the heap, which is the first of the two zeros, makes room for the third.
    assert_eq!(kept(&[0.0, -0.0, 1e-310], "topk(2, x)"), "21");
    assert_eq!(kept(&[0.0, -0.0, 1e-310], "bottomk(2, x)"), "01");
    assert_eq!(kept(&[f64::NAN, 1.0, f64::NAN, 2.0], "topk(2, x)"), "31");
    assert_eq!(kept(&[f64::NAN, 1.0, f64::NAN, 2.0], "bottomk(3, x)").len(), 3);
    assert_eq!(kept(&[5.0, 3.0, 9.0, 1.0, 7.0], "topk(3, x)"), "240");
    assert_eq!(kept(&[5.0, 3.0, 9.0, 1.0, 7.0], "bottomk(3, x)"), "310");
}

#[test]
fn what_is_wrong_with_the_argument_is_told_where_nothing_of_it_is_shown() {
    let samples = (0..2).map(|index| Sample { timestamp_ms: index * 1_000, value: 1.0 });
    let labels = Labels::from_pairs([("__name__", "gauge")]).expect("valid labels");
    let view = ReadView::of_samples(vec![(labels, samples.collect())]);
    for query in ["topk(0, rate(gauge[1m]))", "limitk(0, rate(gauge[1m]))", "limit_ratio(0, rate(gauge[1m]))"] {
        let answer = engine().instant(&view, query, 1_000, &Options::default()).expect("an answer");
        assert_eq!(answer.infos.len(), 1, "{query}");
        assert!(rows(answer).is_empty());
    }
}
