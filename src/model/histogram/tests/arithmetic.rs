use std::sync::Arc;

use super::{read, written};
use crate::model::histogram::{
    BUCKETS_COUNT_MAX, CounterResetHint, FloatHistogram, HistogramError, HistogramMean, HistogramSum, IntegerHistogram,
    MixedSchemas, Reconciled, SCHEMA_CUSTOM, Side, Span,
};

fn sum_of(one: &str, two: &str) -> FloatHistogram {
    let mut sum = read(one);
    sum.add(&read(two)).expect("of one kind");
    sum.compact(0);
    sum
}

fn side(spans: &[(i32, u32)], counts: &[f64]) -> Side {
    let spans = spans.iter().map(|&(offset, length)| Span { offset, length }).collect();
    Side { spans, counts: counts.to_vec() }
}

#[test]
fn buckets_that_one_lacks_are_inserted_where_they_belong() {
    let mut sum = FloatHistogram { positive: side(&[(0, 1), (3, 1)], &[1.0, 2.0]), ..FloatHistogram::default() };
    let other =
        FloatHistogram { positive: side(&[(-2, 4), (5, 1)], &[1.0, 1.0, 1.0, 1.0, 7.0]), ..FloatHistogram::default() };
    sum.add(&other).unwrap();
    let cells: Vec<(i64, f64)> = sum.positive.cells().collect();
    assert_eq!(cells, [(-2, 1.0), (-1, 1.0), (0, 2.0), (1, 1.0), (4, 2.0), (7, 7.0)]);
    let spans: Vec<(i32, u32)> = sum.positive.spans.iter().map(|span| (span.offset, span.length)).collect();
    assert_eq!(spans, [(-2, 4), (2, 1), (2, 1)]);
}

#[test]
fn finer_buckets_are_added_to_the_coarser_ones_that_hold_them() {
    // Schema 0 buckets 1 and 2 are (1,2] and (2,4]: both are bucket 1 of schema -1, (1,4].
    let (fine, coarse) =
        ("{{count:4 sum:4 buckets:[2 2] offset:1}}", "{{schema:-1 count:1 sum:4 buckets:[1] offset:1}}");
    assert_eq!(written(&sum_of(coarse, fine)), "{{schema:-1 count:5 sum:8 offset:1 buckets:[5]}}");
    assert_eq!(written(&sum_of(fine, coarse)), "{{schema:-1 count:5 sum:8 offset:1 buckets:[5]}}");
}

#[test]
fn resolution_is_lowered_on_both_sides_of_zero() {
    // Indexes -3..=4 of schema 2 become ceil(index / 4): -3..=0 are 0, 1..=4 are 1.
    let mut histogram = read("{{schema:2 count:8 buckets:[1 1 1 1 2 2 2 2] offset:-3 n_buckets:[5 7] n_offset:4}}");
    histogram.reduce_resolution(0);
    assert_eq!(written(&histogram), "{{count:8 buckets:[4 8] n_offset:1 n_buckets:[5 7]}}");
    histogram.reduce_resolution(3);
    assert_eq!(histogram.schema, 0, "a resolution is never raised");
}

#[test]
fn the_wider_zero_bucket_swallows_what_lies_within_it() {
    // Bucket -2 of schema 0 is (0.125,0.25], -1 is (0.25,0.5]: a zero bucket up to 0.5 holds both.
    let sum = sum_of(
        "{{count:6 z_bucket:1 z_bucket_w:0.1 buckets:[2 3] offset:-2}}",
        "{{count:4 z_bucket:4 z_bucket_w:0.5}}",
    );
    assert_eq!((sum.zero_count, sum.zero_threshold), (10.0, 0.5));
    assert!(sum.positive.counts.is_empty());
}

#[test]
fn a_zero_bucket_that_would_end_within_a_populated_one_reaches_to_its_end() {
    // 0.3 lies in (0.25,0.5], which holds three below zero; the bucket above zero up to 0.5 is swallowed with it.
    let sum = sum_of(
        "{{count:8 z_bucket:1 z_bucket_w:0.01 buckets:[4] offset:-1 n_buckets:[3] n_offset:-1}}",
        "{{count:2 z_bucket:2 z_bucket_w:0.3}}",
    );
    assert_eq!((sum.zero_count, sum.zero_threshold), (10.0, 0.5));
    assert!(sum.positive.counts.is_empty() && sum.negative.counts.is_empty());
}

#[test]
fn the_end_of_an_empty_bucket_does_not_widen_zero() {
    let sum = sum_of("{{count:1 z_bucket_w:0.01 buckets:[0 1] offset:-1}}", "{{count:2 z_bucket:2 z_bucket_w:0.3}}");
    assert_eq!((sum.zero_count, sum.zero_threshold), (2.0, 0.3));
    assert_eq!(sum.positive.cells().collect::<Vec<_>>(), [(0, 1.0)]);
}

#[test]
fn widening_goes_on_until_both_agree() {
    // Zero up to 0.3 cuts the other's (0.25,0.5], which makes it 0.5; that cuts the first one's (0.25,1] of schema -1.
    let sum = sum_of(
        "{{schema:-1 count:5 z_bucket_w:0.3 z_bucket:1 buckets:[4]}}",
        "{{count:3 z_bucket_w:0.1 z_bucket:1 buckets:[2] offset:-1}}",
    );
    assert_eq!((sum.zero_count, sum.zero_threshold), (8.0, 1.0));
}

#[test]
fn custom_buckets_with_other_bounds_are_joined_at_the_bounds_of_both() {
    let mut sum = read("{{schema:-53 count:15 sum:55 custom_values:[2 4 6] buckets:[1 2 5 7]}}");
    let finer =
        read("{{schema:-53 count:360 sum:555 custom_values:[1 2 3 4 5 6 7 8] buckets:[10 20 30 40 50 60 70 80 90]}}");
    let reconciled = sum.add(&finer).unwrap();
    assert_eq!(reconciled, Reconciled { hints_collided: false, bounds_differed: true });
    // Up to 2: 1+10+20; to 4: 2+30+40; to 6: 5+50+60; beyond: 7+70+80+90.
    assert_eq!(written(&sum), "{{schema:-53 count:375 sum:610 custom_values:[2 4 6] buckets:[31 72 115 247]}}");
}

#[test]
fn custom_buckets_without_a_bound_in_common_become_one() {
    let sum = sum_of(
        "{{schema:-53 count:3 custom_values:[1] buckets:[1 2]}}",
        "{{schema:-53 count:4 custom_values:[2] buckets:[4]}}",
    );
    assert_eq!(written(&sum), "{{schema:-53 count:7 custom_values:[] buckets:[7]}}");
}

#[test]
fn custom_and_exponential_buckets_are_not_joined() {
    let mut sum = read("{{count:1 buckets:[1]}}");
    let custom = read("{{schema:-53 count:1 custom_values:[5] buckets:[1]}}");
    assert_eq!(sum.add(&custom), Err(MixedSchemas));
    assert_eq!(sum.subtract(&custom), Err(MixedSchemas));
    assert_eq!(written(&sum), "{{count:1 buckets:[1]}}");
}

#[test]
fn subtracting_leaves_negative_counts() {
    let mut rest = read("{{count:4 sum:5 z_bucket:1 z_bucket_w:0.001 buckets:[1 2 1]}}");
    rest.subtract(&read("{{schema:1 count:5 sum:7 z_bucket:1 z_bucket_w:0.001 buckets:[2 2] offset:1}}")).unwrap();
    rest.compact(0);
    // Schema 1 buckets 1 and 2 are both bucket 1 of schema 0.
    assert_eq!(written(&rest), "{{count:-1 sum:-2 z_bucket_w:0.001 buckets:[1 -2 1]}}");
}

#[test]
fn hints_of_counters_and_gauges_are_joined_as_far_as_they_agree() {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    let cases = [
        (Reset, Reset, Reset, false),
        (Gauge, Reset, Gauge, false),
        (NotReset, Gauge, Gauge, false),
        (Unknown, Reset, Unknown, false),
        (NotReset, Unknown, Unknown, false),
        (Reset, NotReset, Unknown, true),
    ];
    for (one, two, expected, collided) in cases {
        let mut sum = FloatHistogram { hint: one, ..FloatHistogram::default() };
        let reconciled = sum.add(&FloatHistogram { hint: two, ..FloatHistogram::default() }).unwrap();
        assert_eq!((sum.hint, reconciled.hints_collided), (expected, collided), "{one:?} and {two:?}");
    }
}

#[test]
fn scaling_by_what_is_negative_makes_a_gauge_and_dividing_by_zero_leaves_no_buckets() {
    let mut histogram = read("{{count:4 sum:6 z_bucket:1 z_bucket_w:0.5 buckets:[2 1] n_buckets:[1]}}");
    histogram.multiply(-2.0);
    let expected =
        "{{count:-8 sum:-12 z_bucket:-2 z_bucket_w:0.5 counter_reset_hint:gauge buckets:[-4 -2] n_buckets:[-2]}}";
    assert_eq!(written(&histogram), expected);
    histogram.divide(0.0);
    assert_eq!((histogram.count, histogram.sum), (f64::NEG_INFINITY, f64::NEG_INFINITY));
    assert_eq!(histogram.buckets_count(), 0);
}

#[test]
fn compacting_keeps_only_short_runs_of_empty_buckets() {
    let sparse = FloatHistogram {
        positive: side(&[(0, 2), (0, 3), (1, 0), (1, 3), (6, 1)], &[0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 4.0]),
        ..FloatHistogram::default()
    };
    // Populated are 1, 3, 8 and 16, with runs of 1, 4 and 7 between them.
    let populated = [(1, 1.0), (3, 2.0), (8, 3.0), (16, 4.0)];
    for (empty_count_max, spans) in [(0, 4), (1, 3), (4, 2), (7, 1)] {
        let mut compact = sparse.clone();
        compact.compact(empty_count_max);
        assert_eq!(compact.positive.spans.len(), spans, "runs up to {empty_count_max}");
        let left: Vec<(i64, f64)> = compact.positive.cells().filter(|&(_, count)| count != 0.0).collect();
        assert_eq!(left, populated);
    }
}

#[test]
fn equality_is_by_bits_and_by_layout() {
    let one = read("{{count:3 sum:NaN buckets:[1 2]}}");
    let mut two = one.clone();
    assert!(one.same_bits(&two));
    two.positive.spans =
        vec![Span { offset: 0, length: 0 }, Span { offset: 0, length: 2 }, Span { offset: 4, length: 0 }];
    assert!(one.same_bits(&two), "spans without buckets say nothing");
    two.hint = CounterResetHint::Gauge;
    assert!(one.same_bits(&two), "hints do not matter");
    two.sum = f64::from_bits(one.sum.to_bits() ^ 1);
    assert!(!one.same_bits(&two), "another NaN is another sum");
    assert!(!read("{{count:3 buckets:[1 2]}}").same_bits(&read("{{count:3 buckets:[1 2] offset:1}}")));
}

#[test]
fn the_stale_marker_is_the_sums_bits() {
    assert!(FloatHistogram::stale().is_stale());
    assert!(!read("{{sum:NaN}}").is_stale());
    FloatHistogram::stale().check().unwrap();
}

#[test]
fn a_counter_started_anew_when_something_became_less() {
    let cases = [
        ("nothing changed", "{{count:3 buckets:[1 2]}}", "{{count:3 buckets:[1 2]}}", false),
        ("a bucket is new", "{{count:3 buckets:[1 2]}}", "{{count:4 buckets:[1 2 1]}}", false),
        ("the count fell", "{{count:3 buckets:[1 2]}}", "{{count:2 buckets:[1 2]}}", true),
        ("a bucket fell", "{{count:3 buckets:[1 2]}}", "{{count:5 buckets:[4 1]}}", true),
        ("a bucket is gone", "{{count:3 buckets:[1 2]}}", "{{count:5 buckets:[5]}}", true),
        ("an empty bucket is gone", "{{count:3 buckets:[3 0]}}", "{{count:5 buckets:[5]}}", false),
        ("a bucket below zero fell", "{{count:3 n_buckets:[1 2]}}", "{{count:5 n_buckets:[4 1]}}", true),
        ("zero fell", "{{count:3 z_bucket:2 z_bucket_w:0.1}}", "{{count:5 z_bucket:1 z_bucket_w:0.1}}", true),
        ("zero is narrower", "{{count:3 z_bucket_w:0.1}}", "{{count:3 z_bucket_w:0.01}}", true),
        (
            "zero swallowed a bucket",
            "{{count:3 z_bucket:1 buckets:[2] offset:-1}}",
            "{{count:3 z_bucket:3 z_bucket_w:0.5}}",
            false,
        ),
        (
            "zero lost a swallowed one",
            "{{count:3 z_bucket:1 buckets:[2] offset:-1}}",
            "{{count:3 z_bucket:2 z_bucket_w:0.5}}",
            true,
        ),
        ("zero cut a bucket", "{{count:3 buckets:[3] offset:-1}}", "{{count:9 z_bucket:9 z_bucket_w:0.3}}", true),
        (
            "coarser, and no less",
            "{{schema:1 count:3 buckets:[1 2] offset:1}}",
            "{{count:3 buckets:[3] offset:1}}",
            false,
        ),
        ("coarser, and less", "{{schema:1 count:3 buckets:[1 2] offset:1}}", "{{count:9 buckets:[2] offset:1}}", true),
        ("finer", "{{count:3 buckets:[3]}}", "{{schema:1 count:3 buckets:[3]}}", true),
        ("known to have", "{{count:3 buckets:[3]}}", "{{count:9 buckets:[9] counter_reset_hint:reset}}", true),
        ("known not to have", "{{count:3 buckets:[3]}}", "{{count:1 counter_reset_hint:not_reset}}", false),
        ("gauges are compared", "{{count:3 buckets:[3]}}", "{{count:1 counter_reset_hint:gauge}}", true),
        ("custom buckets now", "{{count:3 buckets:[3]}}", "{{schema:-53 count:3 custom_values:[1] buckets:[3]}}", true),
        (
            "no custom buckets now",
            "{{schema:-53 count:3 custom_values:[1] buckets:[3]}}",
            "{{count:3 buckets:[3]}}",
            true,
        ),
        (
            "fewer bounds, and no less",
            "{{schema:-53 count:6 custom_values:[1 2] buckets:[1 2 3]}}",
            "{{schema:-53 count:6 custom_values:[2] buckets:[3 3]}}",
            false,
        ),
        (
            "fewer bounds, and less",
            "{{schema:-53 count:6 custom_values:[1 2] buckets:[1 2 3]}}",
            "{{schema:-53 count:6 custom_values:[2] buckets:[2 4]}}",
            true,
        ),
    ];
    for (case, before, now, expected) in cases {
        assert_eq!(read(now).detect_reset(&read(before)), expected, "{case}");
    }
}

#[test]
fn sums_of_large_and_small_numbers_lose_nothing() {
    let mut sum = HistogramSum::of(&read("{{count:1 sum:1 z_bucket:1 buckets:[1]}}"));
    for text in [
        "{{count:2 sum:1e100 z_bucket:1e100 buckets:[1e100]}}",
        "{{count:3 sum:1 z_bucket:1 buckets:[1]}}",
        "{{schema:1 count:4 sum:-1e100 z_bucket:-1e100 buckets:[-1e100]}}",
    ] {
        sum.add(&read(text)).unwrap();
    }
    assert_eq!(written(&sum.histogram()), "{{count:10 sum:2 z_bucket:2 buckets:[2]}}");
    assert_eq!(sum.add(&read("{{schema:-53 custom_values:[1]}}")), Err(MixedSchemas));
}

#[test]
fn a_mean_survives_sums_that_would_overflow() {
    let mut mean = HistogramMean::of(&read("{{count:1.7976931348623157e+308 sum:1}}"));
    for text in ["{{count:1e308 sum:1e100}}", "{{count:1e-6 sum:1}}", "{{count:1e-6 sum:-1e100}}"] {
        mean.add(&read(text)).unwrap();
    }
    let mean = mean.histogram();
    assert!((mean.count / 6.99423283715579e307 - 1.0).abs() < 1e-12, "{}", mean.count);
    assert!((mean.sum - 0.5).abs() < 1e-12, "{}", mean.sum);
}

#[test]
fn a_mean_is_the_sum_by_the_number_of_histograms() {
    let mut mean = HistogramMean::of(&read("{{sum:4 count:3 buckets:[1 2 1]}}"));
    mean.add(&read("{{sum:3 count:2 buckets:[1 1 1]}}")).unwrap();
    assert_eq!(written(&mean.histogram()), "{{count:2.5 sum:3.5 buckets:[1 1.5 1]}}");
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    let whole = read("{{count:3 buckets:[1 2]}}");
    whole.check().unwrap();
    let refused = |change: &dyn Fn(&mut FloatHistogram)| {
        let mut histogram = whole.clone();
        change(&mut histogram);
        histogram.check().expect_err("a broken histogram").to_string()
    };
    assert!(refused(&|it| it.schema = 9).contains("schema 9"));
    assert!(refused(&|it| it.schema = -5).contains("schema -5"));
    assert!(refused(&|it| it.positive.spans[0].length = 3).contains("3 buckets, but 2 counts"));
    assert!(refused(&|it| it.negative = side(&[(0, 1), (-1, 1)], &[1.0, 1.0])).contains("negative span 2"));
    assert!(refused(&|it| it.positive.counts[1] = -1.0).contains("-1"));
    assert!(refused(&|it| it.zero_count = -1.0).contains("zero bucket"));
    assert!(refused(&|it| it.count = -1.0).contains("the count"));
    assert!(refused(&|it| it.zero_threshold = f64::NAN).contains("zero threshold"));
    assert!(refused(&|it| it.custom_values = Arc::new([1.0])).contains("custom bounds"));
    assert!(refused(&|it| it.positive = side(&[(i32::MAX, 1)], &[1.0])).contains("index"));
    assert!(refused(&|it| it.positive = Side::of_run(0, vec![0.0; BUCKETS_COUNT_MAX + 1])).contains("16385 buckets"));
}

#[test]
fn custom_buckets_need_bounds_that_ascend_and_suffice() {
    let whole = read("{{schema:-53 count:3 custom_values:[-1 2] buckets:[1 1 1]}}");
    whole.check().unwrap();
    let refused = |change: &dyn Fn(&mut FloatHistogram)| {
        let mut histogram = whole.clone();
        change(&mut histogram);
        histogram.check().expect_err("a broken histogram")
    };
    for bounds in [[2.0, 2.0], [2.0, f64::NAN], [f64::NAN, 2.0], [2.0, f64::INFINITY]] {
        let error = refused(&|it| it.custom_values = Arc::new(bounds));
        assert!(matches!(error, HistogramError::CustomBound { .. }), "{error}");
    }
    let error = refused(&|it| it.custom_values = Arc::new([2.0]));
    assert_eq!(error, HistogramError::CustomBoundsTooFew { bounds: 1, places: 3 });
    let error = refused(&|it| it.positive.spans[0].offset = -1);
    assert!(matches!(error, HistogramError::SpanOffset { .. }), "{error}");
    for change in [
        &(|it: &mut FloatHistogram| it.zero_count = 1.0) as &dyn Fn(&mut FloatHistogram),
        &|it| it.zero_threshold = 0.1,
        &|it| it.negative = Side::of_run(0, vec![1.0]),
    ] {
        let error = refused(change);
        assert!(matches!(error, HistogramError::Unfitting { schema: SCHEMA_CUSTOM, .. }), "{error}");
    }
}

#[test]
fn whole_numbers_told_by_differences_become_counts() {
    let told = IntegerHistogram {
        schema: 9,
        count: 9,
        sum: 4.5,
        zero_count: 1,
        positive_spans: vec![Span { offset: 1, length: 3 }],
        positive_deltas: vec![2, 3, -4],
        ..IntegerHistogram::default()
    };
    // 2, 5 and 1 in buckets 1 to 3 of schema 9; two of those make one of schema 8, so 1 and 2 are 1, 3 is 2.
    assert_eq!(
        written(&told.clone().into_float().unwrap()),
        "{{schema:8 count:9 sum:4.5 z_bucket:1 offset:1 buckets:[7 1]}}"
    );
    let error = IntegerHistogram { count: 10, ..told.clone() }.into_float().unwrap_err();
    assert_eq!(error, HistogramError::CountMismatch { held: 9, count: 10 });
    IntegerHistogram { count: 10, sum: f64::NAN, ..told.clone() }.into_float().expect("one observation may be NaN");
    let error = IntegerHistogram { positive_deltas: vec![2, 3, -6], ..told }.into_float().unwrap_err();
    assert!(matches!(error, HistogramError::NegativeCount { .. }), "{error}");
}
