use super::{read, written};
use crate::model::format_general;
use crate::model::histogram::{CounterResetHint, FloatHistogram, HistogramLiteral, Side};

fn json(histogram: &FloatHistogram) -> String {
    let mut out = String::new();
    histogram.write_json(&mut out, |out, number| out.push_str(&format_general(number)));
    out
}

#[test]
fn numbers_are_short_and_have_an_exponent_when_large_or_small() {
    let cases = [
        (0.0, "0"),
        (-1.5, "-1.5"),
        (123456.0, "123456"),
        (1e6, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1e100, "1e+100"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
    ];
    for (number, expected) in cases {
        assert_eq!(format_general(number), expected);
    }
}

#[test]
fn the_text_lists_populated_buckets_by_value() {
    let histogram =
        read("{{schema:0 count:12.5 sum:18.4 z_bucket:2 z_bucket_w:0.001 buckets:[1 0 2.5] n_buckets:[3 4]}}");
    assert_eq!(
        histogram.to_string(),
        "{count:12.5, sum:18.4, [-2,-1):4, [-1,-0.5):3, [-0.001,0.001]:2, (0.5,1]:1, (2,4]:2.5}"
    );
    let custom = read("{{schema:-53 count:4 sum:5 custom_values:[5 10] buckets:[1 2 1]}}");
    assert_eq!(custom.to_string(), "{count:4, sum:5, [-Inf,5]:1, (5,10]:2, (10,+Inf]:1}");
}

#[test]
fn json_says_of_each_bucket_which_bounds_count() {
    let histogram = read("{{count:7 sum:1 z_bucket:2 z_bucket_w:0.25 buckets:[1 0 2] n_buckets:[2]}}");
    assert_eq!(
        json(&histogram),
        r#"{"count":"7","sum":"1","buckets":[[1,"-1","-0.5","2"],[3,"-0.25","0.25","2"],[0,"0.5","1","1"],[0,"2","4","2"]]}"#
    );
    assert_eq!(json(&read("{{count:1 sum:2 buckets:[0]}}")), r#"{"count":"1","sum":"2"}"#);
    let custom = read("{{schema:-53 count:3 sum:5 custom_values:[5] buckets:[1 2]}}");
    assert_eq!(json(&custom), r#"{"count":"3","sum":"5","buckets":[[3,"-Inf","5","1"],[0,"5","+Inf","2"]]}"#);
}

#[test]
fn buckets_that_reach_into_zero_are_cut_off_at_it() {
    let histogram = read("{{count:4 z_bucket:1 z_bucket_w:0.75 buckets:[2] n_buckets:[1]}}");
    let bounds: Vec<(f64, f64)> = histogram.buckets().map(|bucket| (bucket.lower, bucket.upper)).collect();
    assert_eq!(bounds, [(-1.0, -0.75), (-0.75, 0.75), (0.75, 1.0)]);
    let mut back: Vec<(f64, f64)> = histogram.buckets_back().map(|bucket| (bucket.lower, bucket.upper)).collect();
    back.reverse();
    assert_eq!(back, bounds);
}

#[test]
fn what_a_script_says_comes_back_as_it_was_said() {
    for text in [
        "{{}}",
        "{{schema:3 count:7 sum:-1.5 z_bucket:2 z_bucket_w:0.001 counter_reset_hint:not_reset offset:-3 buckets:[1 0 2] n_offset:2 n_buckets:[2]}}",
        "{{schema:-53 count:4 sum:5 custom_values:[5 10] counter_reset_hint:gauge buckets:[1 2 1]}}",
        "{{count:+Inf sum:NaN counter_reset_hint:reset}}",
    ] {
        assert_eq!(written(&read(text)), text);
    }
}

#[test]
fn a_script_may_say_things_in_any_order_with_any_spaces() {
    let text = "{{ offset:-1  buckets:[ 1 2 ]\tschema:1 sum:inf }} and more";
    let literal = HistogramLiteral::parse(text).unwrap();
    assert_eq!(&text[literal.bytes..], " and more");
    assert!(!literal.hint_is_given);
    assert_eq!((literal.histogram.schema, literal.histogram.sum), (1, f64::INFINITY));
    assert_eq!(literal.histogram.positive.cells().collect::<Vec<_>>(), [(-1, 1.0), (0, 2.0)]);
    let literal = HistogramLiteral::parse("{{counter_reset_hint:unknown}}").unwrap();
    assert!(literal.hint_is_given && literal.histogram.hint == CounterResetHint::Unknown);
}

#[test]
fn what_is_no_histogram_is_refused_where_it_goes_wrong() {
    for (text, offset, what) in [
        ("{count:1}", 0, "begins"),
        ("{{count:1", 9, "ends"),
        ("{{count:1 count:2}}", 10, "twice"),
        ("{{counts:1}}", 2, "no part"),
        ("{{count:x}}", 2, "no number"),
        ("{{schema:1.5}}", 2, "no whole number"),
        ("{{sum:1 buckets:[1 2}}", 8, "no end"),
        ("{{sum:1 buckets:1}}", 8, "no list"),
        ("{{counter_reset_hint:maybe}}", 2, "no counter reset hint"),
        ("{{count}}", 2, "no key"),
    ] {
        let error = HistogramLiteral::parse(text).unwrap_err();
        assert_eq!(error.offset, offset, "{text}: {error}");
        assert!(error.what.contains(what), "{text}: {error}");
    }
}

#[test]
fn buckets_that_lie_too_far_apart_for_a_list_have_no_literal() {
    let cells = [(0, 1.0), (1_000_000, 1.0)];
    let histogram = FloatHistogram { positive: Side::of_cells(cells), ..FloatHistogram::default() };
    assert_eq!(histogram.literal(), None);
}
