//! Whole requests, and the series that Prometheus's rules make of them, derived by hand.

use super::*;
use crate::ingest::MetricKind;

const SHOP: [(&str, &str); 5] = [
    ("service.name", "shop"),
    ("service.namespace", "eu"),
    ("service.instance.id", "7"),
    ("host.name", "web-1"),
    ("os.type", "linux"),
];

fn promoting(names: &[&str]) -> Receiver {
    let promoted_attributes = names.iter().map(|name| (*name).to_owned()).collect();
    Receiver::with(OtlpOptions { promoted_attributes, ..OtlpOptions::default() }, IngestLimits::default())
}

fn histogram_point(second: u64, sum: Option<f64>, bounds: &[f64], counts: &[u64]) -> HistogramPoint {
    HistogramPoint {
        attributes: attributes(&[("path", "/cart")]),
        start_time_unix_nano: NOW_NS + second * SECOND_NS - SECOND_NS,
        time_unix_nano: NOW_NS + second * SECOND_NS,
        count: counts.iter().sum(),
        sum,
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        flags: 0,
    }
}

fn histogram(name: &str, aggregation_temporality: i32, data_points: Vec<HistogramPoint>) -> Metric {
    metric(name, "s", Data::Histogram(Histogram { data_points, aggregation_temporality }))
}

#[test]
fn gauge_and_sums_become_series_of_their_names() {
    let receiver = Receiver::new();
    let whole = NumberPoint { value: Some(Number::AsInt(-3)), ..number(&[], 0, 0.0) };
    receiver.store(&request(vec![
        gauge("queue.fill", "1", vec![number(&[("queue", "mail")], 0, 0.25), number(&[("queue", "sms")], 1, 0.5)]),
        sum("shop.orders", CUMULATIVE, true, vec![number(&[("region", "de")], 0, 12.0)]),
        sum("shop.carts.open", CUMULATIVE, false, vec![whole]),
    ]));
    assert_eq!(
        receiver.lines(),
        [
            r#"queue_fill_ratio{queue="mail"} 0.25@0"#,
            r#"queue_fill_ratio{queue="sms"} 0.5@1000"#,
            "shop_carts_open -3@0",
            r#"shop_orders_total{region="de"} 12@0"#,
        ]
    );
}

#[test]
fn histogram_becomes_buckets_that_add_up_a_sum_and_a_count() {
    let receiver = Receiver::new();
    let point = histogram_point(0, Some(7.5), &[0.1, 5.0, 1e6], &[1, 0, 2, 4]);
    receiver.store(&request(vec![histogram("latency", CUMULATIVE, vec![point])]));
    assert_eq!(
        receiver.lines(),
        [
            r#"latency_seconds_bucket{le="+Inf", path="/cart"} 7@0"#,
            r#"latency_seconds_bucket{le="0.1", path="/cart"} 1@0"#,
            r#"latency_seconds_bucket{le="1000000", path="/cart"} 3@0"#,
            r#"latency_seconds_bucket{le="5", path="/cart"} 1@0"#,
            r#"latency_seconds_count{path="/cart"} 7@0"#,
            r#"latency_seconds_sum{path="/cart"} 7.5@0"#,
        ]
    );
}

#[test]
fn histogram_without_sum_or_bounds_has_none() {
    let receiver = Receiver::new();
    receiver.store(&request(vec![histogram("latency", CUMULATIVE, vec![histogram_point(0, None, &[], &[3])])]));
    let expected =
        [r#"latency_seconds_bucket{le="+Inf", path="/cart"} 3@0"#, r#"latency_seconds_count{path="/cart"} 3@0"#];
    assert_eq!(receiver.lines(), expected);
}

#[test]
fn summary_becomes_quantiles_a_sum_and_a_count() {
    let receiver = Receiver::new();
    let quantile = |quantile, value| Quantile { quantile, value };
    let point = SummaryPoint {
        attributes: attributes(&[("path", "/cart")]),
        time_unix_nano: NOW_NS,
        count: 9,
        sum: 4.5,
        quantile_values: vec![quantile(0.5, 0.25), quantile(1.0, 2.0)],
        ..SummaryPoint::default()
    };
    receiver.store(&request(vec![metric("wait", "s", Data::Summary(Summary { data_points: vec![point] }))]));
    assert_eq!(
        receiver.lines(),
        [
            r#"wait_seconds_count{path="/cart"} 9@0"#,
            r#"wait_seconds_sum{path="/cart"} 4.5@0"#,
            r#"wait_seconds{path="/cart", quantile="0.5"} 0.25@0"#,
            r#"wait_seconds{path="/cart", quantile="1"} 2@0"#,
        ]
    );
}

#[test]
fn resource_is_job_instance_target_info_and_what_is_promoted() {
    let receiver = promoting(&["service.name", "host.name", "not.there"]);
    receiver.store(&request_of(&SHOP, vec![gauge("up", "", vec![number(&[("a.b", "1"), ("a_b", "2")], 0, 1.0)])]));
    assert_eq!(
        receiver.lines(),
        [
            r#"target_info{host_name="web-1", instance="7", job="eu/shop", os_type="linux"} 1@0"#,
            r#"up{a_b="1;2", host_name="web-1", instance="7", job="eu/shop", service_name="shop"} 1@0"#,
        ]
    );
}

#[test]
fn labels_of_a_point_stand_above_what_is_promoted_and_below_job_and_instance() {
    let receiver = promoting(&["host.name"]);
    let own = [("host.name", "own"), ("job", "own"), ("instance", "own"), ("__name__", "own")];
    receiver.store(&request_of(&SHOP[..4], vec![gauge("up", "", vec![number(&own, 0, 1.0)])]));
    let up = r#"up{host_name="own", instance="7", job="eu/shop"} 1@0"#;
    assert_eq!(receiver.lines()[1], up);
}

#[test]
fn target_info_needs_something_to_tell_and_somebody_to_tell_it_of() {
    let point = || vec![gauge("up", "", vec![number(&[], 0, 1.0)])];
    for (resource, expected) in [
        (vec![("service.name", "shop")], vec![r#"up{job="shop"} 1@0"#]),
        (vec![("service.namespace", "eu"), ("os.type", "linux")], vec!["up 1@0"]),
        (
            vec![("service.instance.id", "7"), ("os.type", "linux")],
            vec![r#"target_info{instance="7", os_type="linux"} 1@0"#, r#"up{instance="7"} 1@0"#],
        ),
    ] {
        let receiver = Receiver::new();
        receiver.store(&request_of(&resource, point()));
        assert_eq!(receiver.lines(), expected, "{resource:?}");
    }
}

#[test]
fn target_info_has_samples_for_every_query_between_the_first_point_and_the_last() {
    let receiver = Receiver::new();
    // Steps of 150 s from the first, and the last itself.
    receiver.store(&request_of(&SHOP, vec![gauge("up", "", vec![number(&[], 400, 1.0), number(&[], 0, 1.0)])]));
    let info = r#"target_info{host_name="web-1", instance="7", job="eu/shop", os_type="linux"}"#;
    assert_eq!(receiver.lines()[0], format!("{info} 1@0 1@150000 1@300000 1@400000"));
}

#[test]
fn scope_is_told_where_that_is_wanted() {
    let options = OtlpOptions { scope_labels: true, ..OtlpOptions::default() };
    let receiver = Receiver::with(options, IngestLimits::default());
    receiver.store(&request(vec![gauge("up", "", vec![number(&[], 0, 1.0)])]));
    let expected = concat!(
        r#"up{otel_scope_a_b="c", otel_scope_name="shop.lib", otel_scope_schema_url="https://s/1", "#,
        r#"otel_scope_version="1.2"} 1@0"#
    );
    assert_eq!(receiver.lines(), [expected]);
}

#[test]
fn values_of_attributes_are_written_as_the_collector_writes_them() {
    let any = |value| AnyValue { value: Some(value) };
    let list = Any::Array(Array { values: vec![any(Any::Int(1)), string("a\"<"), AnyValue { value: None }] });
    let pair = |key: &str, value| KeyValue { key: key.into(), value: Some(any(value)) };
    let map = Any::Map(Map { values: vec![pair("b", Any::Double(2.0)), pair("a", Any::Bool(true))] });
    let point = NumberPoint {
        attributes: vec![
            pair("bool", Any::Bool(false)),
            pair("int", Any::Int(-7)),
            pair("double", Any::Double(0.25)),
            pair("tiny", Any::Double(2.5e-9)),
            pair("huge", Any::Double(-1e21)),
            pair("round", Any::Double(3.0)),
            pair("bytes", Any::Bytes(b"hi?".to_vec())),
            pair("list", list),
            pair("map", map),
            KeyValue { key: b"none".to_vec(), value: None },
        ],
        ..number(&[], 0, 1.0)
    };
    let receiver = Receiver::new();
    receiver.store(&request(vec![gauge("up", "", vec![point])]));
    let stored = receiver.fixture.stored();
    assert_eq!(
        stored[0].0,
        concat!(
            r#"up{bool="false", bytes="aGk/", double="0.25", huge="-1e+21", int="-7", "#,
            r#"list="[1,\"a\\\"\\u003c\",null]", map="{\"a\":true,\"b\":2}", round="3", tiny="2.5e-9"}"#
        )
    );
}

#[test]
fn point_that_says_there_is_no_value_ends_its_series() {
    let receiver = Receiver::new();
    let ended = NumberPoint { flags: 1, value: None, ..number(&[], 1, 0.0) };
    let buckets = HistogramPoint { flags: 1, ..histogram_point(0, None, &[1.0], &[0, 0]) };
    receiver.store(&request(vec![
        gauge("up", "", vec![number(&[], 0, 1.0), ended]),
        histogram("latency", CUMULATIVE, vec![buckets]),
    ]));
    assert_eq!(
        receiver.lines(),
        [
            r#"latency_seconds_bucket{le="+Inf", path="/cart"} stale@0"#,
            r#"latency_seconds_bucket{le="1", path="/cart"} stale@0"#,
            r#"latency_seconds_count{path="/cart"} stale@0"#,
            "up 1@0 stale@1000",
        ]
    );
}

#[test]
fn metrics_are_described_under_the_names_of_their_families() {
    let receiver = Receiver::new();
    receiver.store(&request(vec![
        sum("shop.orders", CUMULATIVE, true, vec![number(&[], 0, 1.0)]),
        histogram("latency", CUMULATIVE, vec![histogram_point(0, None, &[], &[3])]),
    ]));
    let all = receiver.fixture.ingest.metadata().all();
    let told: Vec<_> =
        all.iter().map(|(name, meta)| (name.as_str(), meta.kind, meta.help.as_str(), meta.unit.as_str())).collect();
    assert_eq!(
        told,
        [
            ("latency_seconds", MetricKind::Histogram, "what it means", "seconds"),
            ("shop_orders_total", MetricKind::Counter, "what it means", ""),
        ]
    );
}

#[test]
fn deltas_are_stored_as_running_totals() {
    let receiver = Receiver::new();
    for (second, value) in [(1, 3.0), (2, 4.0), (3, 0.5)] {
        let buckets = histogram_point(second, Some(value), &[1.0], &[second, 1]);
        receiver.store(&request(vec![
            sum("orders", DELTA, true, vec![number(&[], second, value)]),
            histogram("latency", DELTA, vec![buckets]),
        ]));
    }
    assert_eq!(
        receiver.lines(),
        [
            r#"latency_seconds_bucket{le="+Inf", path="/cart"} 2@1000 5@2000 9@3000"#,
            r#"latency_seconds_bucket{le="1", path="/cart"} 1@1000 3@2000 6@3000"#,
            r#"latency_seconds_count{path="/cart"} 2@1000 5@2000 9@3000"#,
            r#"latency_seconds_sum{path="/cart"} 3@1000 7@2000 7.5@3000"#,
            "orders_total 3@1000 7@2000 7.5@3000",
        ]
    );
}
