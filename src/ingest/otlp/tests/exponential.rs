//! Exponential histograms as native ones.

use super::*;
use crate::model::HistogramLiteral;

/// A point that ends at `NOW` plus so many seconds, begun a second before, with these buckets above and below zero.
fn point(second: u64, scale: i32, positive: (i32, &[u64]), negative: (i32, &[u64])) -> ExponentialPoint {
    let buckets = |(offset, counts): (i32, &[u64])| ExponentialBuckets { offset, bucket_counts: counts.to_vec() };
    ExponentialPoint {
        start_time_unix_nano: NOW_NS + second * SECOND_NS - SECOND_NS,
        time_unix_nano: NOW_NS + second * SECOND_NS,
        count: positive.1.iter().chain(negative.1).sum(),
        sum: Some(1.5),
        scale,
        positive: Some(buckets(positive)),
        negative: Some(buckets(negative)),
        ..ExponentialPoint::default()
    }
}

fn exponential(aggregation_temporality: i32, data_points: Vec<ExponentialPoint>) -> Request {
    let data = Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality });
    request(vec![metric("latency", "s", data)])
}

/// How a histogram in Prometheus's notation is shown.
fn shown(literal: &str) -> String {
    HistogramLiteral::parse(literal).expect("a histogram").histogram.to_string()
}

#[test]
fn buckets_are_named_by_where_they_end() {
    let receiver = Receiver::new();
    let told = ExponentialPoint { zero_count: 2, count: 9, ..point(0, 1, (2, &[3, 0, 1]), (-1, &[3])) };
    receiver.store(&exponential(CUMULATIVE, vec![told]));
    // At scale 1 the bucket 2 of OpenTelemetry is (2^(2/2), 2^(3/2)], which is Prometheus's 3; -1 is 0.
    let expected =
        "{{schema:1 count:9 sum:1.5 z_bucket:2 z_bucket_w:1e-128 offset:3 buckets:[3 0 1] n_offset:0 n_buckets:[3]}}";
    assert_eq!(receiver.lines(), [format!("latency_seconds {}@0", shown(expected))]);
    assert!(shown(expected).contains("(2,2.82842712474619]:3"), "{}", shown(expected));
}

#[test]
fn scale_above_eight_is_reduced_to_it() {
    let receiver = Receiver::new();
    // Of scale 10, four buckets are one of scale 8: -5 | -4 -3 -2 -1 | 0 1 2.
    receiver.store(&exponential(CUMULATIVE, vec![point(0, 10, (-5, &[1, 2, 3, 4, 5, 6, 7, 8]), (0, &[]))]));
    let expected = "{{schema:8 count:36 sum:1.5 z_bucket_w:1e-128 offset:-1 buckets:[1 14 21]}}";
    assert_eq!(receiver.lines(), [format!("latency_seconds {}@0", shown(expected))]);
}

#[test]
fn width_of_the_zero_bucket_and_a_sum_that_is_not_told() {
    let receiver = Receiver::new();
    let told =
        ExponentialPoint { zero_count: 4, count: 4, zero_threshold: 0.5, sum: None, ..point(0, 0, (0, &[]), (0, &[])) };
    receiver.store(&exponential(CUMULATIVE, vec![told]));
    assert_eq!(receiver.lines(), [format!("latency_seconds {}@0", shown("{{count:4 z_bucket:4 z_bucket_w:0.5}}"))]);
}

#[test]
fn point_without_a_value_ends_the_series() {
    let receiver = Receiver::new();
    let ended = ExponentialPoint { flags: 1, ..point(1, 0, (0, &[]), (0, &[])) };
    receiver.store(&exponential(CUMULATIVE, vec![point(0, 0, (0, &[1]), (0, &[])), ended]));
    let expected = shown("{{count:1 sum:1.5 z_bucket_w:1e-128 offset:1 buckets:[1]}}");
    assert_eq!(receiver.lines(), [format!("latency_seconds {expected}@0 stale@1000")]);
}

#[test]
fn deltas_are_added_up_in_the_coarser_layout() {
    let receiver = Receiver::new();
    let points = [
        point(1, 1, (0, &[1, 2]), (0, &[])),
        point(2, 1, (1, &[4, 8]), (0, &[1])),
        point(3, 0, (0, &[16, 32]), (0, &[])), // twice as wide
    ];
    for one in &points {
        receiver.store(&exponential(DELTA, vec![one.clone()]));
    }
    receiver.store(&exponential(DELTA, vec![points[2].clone()])); // once more
    let expected = [
        shown("{{schema:1 count:3 sum:1.5 z_bucket_w:1e-128 offset:1 buckets:[1 2]}}"),
        shown("{{schema:1 count:16 sum:3 z_bucket_w:1e-128 offset:1 buckets:[1 6 8] n_offset:1 n_buckets:[1]}}"),
        shown("{{schema:0 count:64 sum:4.5 z_bucket_w:1e-128 offset:1 buckets:[23 40] n_offset:1 n_buckets:[1]}}"),
    ];
    assert_eq!(
        receiver.lines(),
        [format!("latency_seconds {}@1000 {}@2000 {}@3000", expected[0], expected[1], expected[2])]
    );
}

#[test]
fn totals_have_no_more_buckets_than_points_may_have() {
    let options = OtlpOptions { delta_series_max: 3000, ..OtlpOptions::default() };
    let receiver = Receiver::with(options, IngestLimits::default());
    for second in 1..20_u64 {
        let offset = i32::try_from(second).expect("a small number") * 1000;
        receiver.store(&exponential(DELTA, vec![point(second, 6, (offset, &[1; 1000]), (0, &[]))]));
        assert!(receiver.fixture.ingest.otlp_delta_series_count() <= 2050);
    }
    let name = Matcher::equal("__name__", "latency_seconds");
    let found = receiver.fixture.storage.view().select(&[name], TimeRange::ALL, 1).expect("a selection");
    let (mut numbers, mut histograms) = (Columns::default(), Vec::new());
    found[0].read_both(TimeRange::ALL, &mut numbers, &mut histograms);
    let counts: Vec<f64> = histograms.iter().map(|(_, histogram)| histogram.count).collect();
    assert_eq!(counts, (1..20).map(|second| f64::from(second) * 1000.0).collect::<Vec<f64>>());
}

#[test]
fn deltas_past_the_limit_are_refused_by_its_name() {
    let options = OtlpOptions { delta_series_max: 6, ..OtlpOptions::default() };
    let receiver = Receiver::with(options, IngestLimits::default());
    receiver.store(&exponential(DELTA, vec![point(1, 0, (0, &[1, 1]), (0, &[]))]));
    receiver.store(&exponential(DELTA, vec![point(2, 0, (1, &[1, 1, 1]), (0, &[]))]));
    let mut wider = exponential(DELTA, vec![point(3, 0, (9, &[1]), (0, &[]))]);
    wider.resource_metrics[0].scope_metrics[0].metrics.push(gauge("good", "", vec![number(&[], 0, 1.0)]));
    let (count, message) = receiver.store_part(&wider);
    assert_eq!(count, 1);
    assert!(message.contains("otlp.delta_series_max = 6"), "{message}");
}
