//! JSON: what it is made into, read back by `prost`.

use super::*;
use crate::ingest::otlp::json::to_protobuf;

fn read(text: &str) -> Request {
    let protobuf = to_protobuf(text.as_bytes()).expect("it is JSON of a request");
    Request::decode(protobuf.as_slice()).expect("it is protobuf of a request")
}

fn mistake(text: &str) -> String {
    match to_protobuf(text.as_bytes()) {
        Err(IngestError::Malformed(what)) => what,
        other => panic!("{text}: {other:?}"),
    }
}

/// A request with one metric.
fn with_metric(text: &str) -> String {
    format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{text}]}}]}}]}}"#)
}

fn with_point(text: &str) -> String {
    with_metric(&format!(r#"{{"name":"a","gauge":{{"dataPoints":[{text}]}}}}"#))
}

fn only_metric(text: &str) -> Metric {
    read(text).resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0)
}

fn only_point(text: &str) -> NumberPoint {
    match only_metric(&with_point(text)).data {
        Some(Data::Gauge(mut gauge)) => gauge.data_points.remove(0),
        other => panic!("not a gauge: {other:?}"),
    }
}

/// Everything that the table of fields has, in the words of the protocol's examples.
const WHOLE: &str = r#"{"resourceMetrics": [{
  "scopeMetrics": [{
    "metrics": [
      {"sum": {"isMonotonic": true, "aggregationTemporality": 1, "dataPoints": [
        {"asDouble": 5, "startTimeUnixNano": "1544712660300000000", "timeUnixNano": 1544712660300000001,
         "flags": 1, "attributes": [{"key": "k", "value": {"stringValue": "\u00fc\n"}}],
         "exemplars": [{"traceId": "5b8efff798038103d269b633813fc60c", "asInt": "1"}]}]},
       "unit": "1", "name": "my.counter", "description": "I am a Counter", "metadata": []},
      {"name": "my.gauge", "gauge": {"dataPoints": [{"asInt": "-10"}, {"asInt": 10}]}},
      {"name": "my.histogram", "histogram": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
        "dataPoints": [{"count": "2", "sum": 2, "bucketCounts": [1, "1"], "explicitBounds": [1.5],
                        "min": 0, "max": 2, "timeUnixNano": "7", "startTimeUnixNano": "6", "flags": 0,
                        "attributes": [{"key": "b", "value": {"boolValue": true}}]}]}},
      {"name": "my.summary", "summary": {"dataPoints": [{"count": 3, "sum": "NaN", "flags": 1, "timeUnixNano": 9,
        "startTimeUnixNano": 8, "quantileValues": [{"quantile": 0.5, "value": "-Infinity"}],
        "attributes": [{"key": "l", "value": {"arrayValue": {"values": [{"intValue": "-1"}, {"doubleValue": 1e3}]}}}]}]}},
      {"name": "my.exponential", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
        {"scale": -1, "positive": {"offset": -2, "bucketCounts": ["1", 18446744073709551615, 300]}, "count": "9",
         "negative": {"bucketCounts": []}, "zeroCount": 3, "zeroThreshold": 0.25, "sum": 4.5, "flags": 1, "min": 0.1,
         "timeUnixNano": 9, "startTimeUnixNano": "8", "attributes": [{"key": "k"}]}]}}
    ],
    "schemaUrl": "s",
    "scope": {"name": "lib", "version": "2", "attributes": [
      {"key": "m", "value": {"kvlistValue": {"values": [{"key": "x", "value": {"bytesValue": "aGk/"}}]}}}]}
  }],
  "resource": {"attributes": [{"value": {"stringValue": "shop"}, "key": "service.name"}, {"key": "none", "value": null}],
               "droppedAttributesCount": 1},
  "somethingNew": {"deep": [1, {"x": null}]}
}]}"#;

#[test]
fn every_field_arrives() {
    let any = |value| Some(AnyValue { value: Some(value) });
    let pair = |key: &str, value| KeyValue { key: key.into(), value: any(value) };
    let counter = NumberPoint {
        attributes: vec![pair("k", Any::String("ü\n".into()))],
        start_time_unix_nano: 1_544_712_660_300_000_000,
        time_unix_nano: 1_544_712_660_300_000_001,
        flags: 1,
        value: Some(Number::AsDouble(5.0)),
    };
    let whole = |value| NumberPoint { value: Some(Number::AsInt(value)), ..NumberPoint::default() };
    let bucketed = HistogramPoint {
        attributes: vec![pair("b", Any::Bool(true))],
        start_time_unix_nano: 6,
        time_unix_nano: 7,
        count: 2,
        sum: Some(2.0),
        bucket_counts: vec![1, 1],
        explicit_bounds: vec![1.5],
        flags: 0,
    };
    let list =
        Array { values: [Any::Int(-1), Any::Double(1000.0)].map(|value| AnyValue { value: Some(value) }).into() };
    let summary = SummaryPoint {
        attributes: vec![pair("l", Any::Array(list))],
        start_time_unix_nano: 8,
        time_unix_nano: 9,
        count: 3,
        sum: 0.0,
        quantile_values: vec![Quantile { quantile: 0.5, value: f64::NEG_INFINITY }],
        flags: 1,
    };
    let named = |name: &str, data| Metric { name: name.into(), data: Some(data), ..Metric::default() };
    let sum = Sum { data_points: vec![counter], aggregation_temporality: DELTA, is_monotonic: true };
    let mut read = read(WHOLE);
    let scope = &mut read.resource_metrics[0].scope_metrics[0];
    if let Some(Data::Summary(summary)) = &mut scope.metrics[3].data {
        // Not a number is equal to nothing, so it is looked at and taken out.
        assert!(std::mem::take(&mut summary.data_points[0].sum).is_nan());
    }
    let exponential = ExponentialPoint {
        attributes: vec![KeyValue { key: "k".into(), value: None }],
        start_time_unix_nano: 8,
        time_unix_nano: 9,
        count: 9,
        sum: Some(4.5),
        scale: -1,
        zero_count: 3,
        positive: Some(ExponentialBuckets { offset: -2, bucket_counts: vec![1, u64::MAX, 300] }),
        negative: Some(ExponentialBuckets::default()),
        flags: 1,
        zero_threshold: 0.25,
    };
    let map = Map { values: vec![pair("x", Any::Bytes(b"hi?".to_vec()))] };
    let expected = ScopeMetrics {
        scope: Some(Scope { name: "lib".into(), version: "2".into(), attributes: vec![pair("m", Any::Map(map))] }),
        metrics: vec![
            Metric { unit: "1".into(), description: "I am a Counter".into(), ..named("my.counter", Data::Sum(sum)) },
            named("my.gauge", Data::Gauge(Gauge { data_points: vec![whole(-10), whole(10)] })),
            named(
                "my.histogram",
                Data::Histogram(Histogram { data_points: vec![bucketed], aggregation_temporality: CUMULATIVE }),
            ),
            named("my.summary", Data::Summary(Summary { data_points: vec![summary] })),
            named(
                "my.exponential",
                Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: vec![exponential],
                    aggregation_temporality: CUMULATIVE,
                }),
            ),
        ],
        schema_url: "s".into(),
    };
    assert_eq!(*scope, expected);
    let resource = Resource {
        attributes: vec![
            pair("service.name", Any::String("shop".into())),
            KeyValue { key: "none".into(), value: None },
        ],
    };
    assert_eq!(read.resource_metrics[0].resource, Some(resource));
}

#[test]
fn numbers_of_64_bits_come_as_numbers_or_texts() {
    for text in ["18446744073709551615", r#""18446744073709551615""#] {
        assert_eq!(only_point(&format!(r#"{{"timeUnixNano":{text}}}"#)).time_unix_nano, u64::MAX);
    }
    for text in ["-9223372036854775808", r#""-9223372036854775808""#] {
        assert_eq!(only_point(&format!(r#"{{"asInt":{text}}}"#)).value, Some(Number::AsInt(i64::MIN)));
    }
    assert_eq!(only_point(r#"{"timeUnixNano":1.5e3}"#).time_unix_nano, 1500);
    assert_eq!(only_point(r#"{"asDouble":"0.5"}"#).value, Some(Number::AsDouble(0.5)));
    assert_eq!(only_point(r#"{"asInt":null,"asDouble":-0.0}"#).value, Some(Number::AsDouble(0.0)));
}

#[test]
fn what_is_no_request_is_refused_with_its_place() {
    for (text, expected) in [
        ("", "EOF"),
        ("[]", "expected an object"),
        ("{} {}", "trailing"),
        (r#"{"resourceMetrics":{}}"#, "an object, where a list of them belongs"),
        (r#"{"resourceMetrics":[[]]}"#, "a list is not what stands there"),
        (r#"{"resourceMetrics":["x"]}"#, r#""x" is not what stands there"#),
        (&with_point(r#"{"timeUnixNano":"-1"}"#), r#""timeUnixNano": -1"#),
        (&with_point(r#"{"timeUnixNano":18446744073709551616}"#), "timeUnixNano"),
        (&with_point(r#"{"asInt":1.5}"#), "asInt"),
        (&with_point(r#"{"asInt":"9223372036854775808"}"#), "asInt"),
        (&with_point(r#"{"asDouble":"inf"}"#), "asDouble"),
        (&with_point(r#"{"asDouble":true}"#), "asDouble"),
        (&with_point(r#"{"attributes":[{"key":1}]}"#), "key"),
        (&with_point(r#"{"attributes":[{"value":{"bytesValue":"%"}}]}"#), "bytesValue"),
        (&with_metric(r#"{"sum":{"aggregationTemporality":"DELTA"}}"#), "aggregationTemporality"),
        (&with_metric(r#"{"sum":{"isMonotonic":1}}"#), "isMonotonic"),
    ] {
        let what = mistake(text);
        assert!(what.contains(expected) && what.contains("line 1 column"), "{text}: {what}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(depth);
        let close = "]}}".repeat(depth);
        with_point(&format!(
            r#"{{"asInt":1,"timeUnixNano":"{NOW_NS}","attributes":[{{"key":"a","value":{open}{close}}}]}}"#
        ))
    };
    assert!(mistake(&nested(100_000)).contains("recursion limit exceeded"));
    let receiver = Receiver::new();
    let answer = receiver.post(OtlpEncoding::Json, nested(20));
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8_lossy(&answer.body).contains("more than 16 deep"), "{:?}", answer.body);
    // What nobody reads may lie as deep as it likes.
    let ignored = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(&ignored), Request::default());
}

#[test]
fn json_and_protobuf_of_a_request_store_the_same() {
    let (json, protobuf) = (Receiver::new(), Receiver::new());
    let text = WHOLE.replace("1544712660300000001", &NOW_NS.to_string()).replace(r#""flags": 1"#, r#""flags": 0"#);
    json.post(OtlpEncoding::Json, text.clone());
    protobuf.send(&read(&text));
    assert!(!json.lines().is_empty());
    assert_eq!(json.lines(), protobuf.lines());
}
