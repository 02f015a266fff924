//! OpenTelemetry's metrics against `prost`: what it reads of any bytes and writes anew says what the bytes say.

use dozor::ingest::{IngestError, OtlpEncoding, Protocol, otlp_of_json};
use prost::Message;

use super::super::wire;
use super::reader::{malformed, read};

#[path = "../../../src/ingest/otlp/tests/proto.rs"]
#[expect(clippy::duplicate_mod, reason = "the crate's own tests have the same messages, and are not in the fuzzers")]
mod proto;

use proto::{
    Any, AnyValue, Array, Data, ExponentialBuckets, ExponentialHistogram, ExponentialPoint, Gauge, Histogram,
    HistogramPoint, KeyValue, Map, Metric, Number, NumberPoint, Quantile, Request, Resource, ResourceMetrics, Scope,
    ScopeMetrics, Sum, Summary, SummaryPoint,
};

/// Where damage may go unseen although nothing is refused: in a resource without points, a scope that is not told, and a
/// value in whose place another one is set.
const UNREAD: [&str; 4] =
    ["ResourceMetrics.resource:", "ScopeMetrics.scope:", "ScopeMetrics.schema_url:", "AnyValue.value"];

const PROTOBUF: Protocol<'_> = Protocol::Otlp(OtlpEncoding::Protobuf);

pub(super) fn protobuf(bytes: &[u8]) {
    agrees(bytes);
    agrees(&wire::written(bytes));
}

fn agrees(message: &[u8]) {
    match (read(PROTOBUF, message), Request::decode(message)) {
        (Ok(ours), Ok(theirs)) => {
            let again = read(PROTOBUF, &theirs.encode_to_vec());
            assert_eq!(ours, again.expect("prost writes what is read"), "ours and prost's");
        }
        (Ok((_, refused_count)), Err(error)) => {
            let is_unread = UNREAD.iter().any(|place| error.to_string().contains(place));
            assert!(refused_count > 0 || is_unread || is_deep(&error), "prost refuses: {error}");
        }
        (Err(error), theirs) => is_refused_rightly(error, theirs.is_ok()),
    }
}

/// prost merges messages that stand twice and reads over groups; we refuse both.
fn is_refused_rightly(error: IngestError, is_read_by_others: bool) {
    let Some(words) = malformed(error) else { return };
    let is_stricter = ["for the second time", "a group,"].iter().any(|reason| words.contains(reason));
    assert!(!is_read_by_others || is_stricter, "prost reads what we refuse: {words}");
}

fn is_deep(error: &prost::DecodeError) -> bool {
    error.to_string().contains("recursion limit")
}

/// What JSON becomes is protobuf for others too, and says the same.
pub(super) fn json(bytes: &[u8]) {
    let ours = read(Protocol::Otlp(OtlpEncoding::Json), bytes);
    let Ok(translated) = otlp_of_json(bytes) else {
        assert!(ours.is_err(), "what cannot be translated is refused");
        return;
    };
    let most = 5 * bytes.len();
    assert!(translated.len() <= most, "{} bytes of {} in JSON", translated.len(), bytes.len());
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(bytes);
    assert!(is_json.is_ok(), "no JSON: {is_json:?}");
    match (ours, Request::decode(translated.as_slice())) {
        (ours, Err(error)) => assert!(is_deep(&error), "prost refuses what we wrote: {error}; we: {}", ours.is_ok()),
        (Ok(ours), Ok(theirs)) => {
            let again = read(PROTOBUF, &theirs.encode_to_vec());
            assert_eq!(ours, again.expect("prost writes what is read"), "JSON and protobuf");
        }
        (Err(error), Ok(_)) => is_refused_rightly(error, true),
    }
}

/// A request with a metric of every kind.
pub(crate) fn one_of_everything() -> Vec<u8> {
    const NOW_NS: u64 = 1_700_000_000_000_000_000;
    let any = |value| Some(AnyValue { value: Some(value) });
    let pair = |key: &str, value| KeyValue { key: key.into(), value: any(value) };
    let text = |text: &str| Any::String(text.into());
    let inner = Map { values: vec![pair("k", Any::Double(0.5))] };
    let list = Array { values: vec![AnyValue { value: Some(Any::Int(3)) }, AnyValue { value: Some(Any::Map(inner)) }] };
    let point = |second: u64, value| NumberPoint {
        attributes: vec![pair("a.b", text("x")), pair("list", Any::Array(list.clone())), pair("t", Any::Bool(true))],
        start_time_unix_nano: NOW_NS,
        time_unix_nano: NOW_NS + second * 1_000_000_000,
        flags: 0,
        value: Some(value),
    };
    let sum = |aggregation_temporality, is_monotonic| {
        let data_points = vec![point(1, Number::AsDouble(1.5)), point(2, Number::AsInt(2))];
        Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
    };
    let histogram = |aggregation_temporality| {
        let point = HistogramPoint {
            attributes: vec![pair("p", Any::Bytes(vec![1, 2]))],
            start_time_unix_nano: NOW_NS,
            time_unix_nano: NOW_NS + 1,
            count: 6,
            sum: Some(2.5),
            bucket_counts: vec![1, 2, 3],
            explicit_bounds: vec![0.5, 1.0],
            flags: 0,
        };
        Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality })
    };
    let exponential = |aggregation_temporality| {
        let buckets = |offset, bucket_counts| Some(ExponentialBuckets { offset, bucket_counts });
        let point = ExponentialPoint {
            attributes: vec![pair("p", text("q"))],
            start_time_unix_nano: NOW_NS,
            time_unix_nano: NOW_NS + 1,
            count: 7,
            sum: Some(2.5),
            scale: 10,
            zero_count: 1,
            positive: buckets(-3, vec![1, 0, 0, 0, 3]),
            negative: buckets(1, vec![2]),
            flags: 0,
            zero_threshold: 0.001,
        };
        Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![point], aggregation_temporality })
    };
    let quantiles = SummaryPoint {
        time_unix_nano: NOW_NS,
        count: 2,
        sum: 3.0,
        quantile_values: vec![Quantile { quantile: 0.5, value: 1.0 }],
        ..SummaryPoint::default()
    };
    let metric = |name: &str, unit: &str, data| Metric {
        name: name.into(),
        unit: unit.into(),
        data: Some(data),
        ..Metric::default()
    };
    let metrics = vec![
        metric("g", "1", Data::Gauge(Gauge { data_points: vec![point(3, Number::AsDouble(0.0))] })),
        metric("shop.orders", "{order}", sum(2, true)),
        metric("d", "By", sum(1, true)),
        metric("h", "ms", histogram(2)),
        metric("hd", "s", histogram(1)),
        metric("e", "s", exponential(2)),
        metric("ed", "s", exponential(1)),
        metric("q", "", Data::Summary(Summary { data_points: vec![quantiles] })),
    ];
    let scope = Scope { name: b"lib".to_vec(), version: b"1".to_vec(), attributes: vec![pair("s", text("1"))] };
    let resource = Resource { attributes: vec![pair("service.name", text("shop")), pair("os.type", text("linux"))] };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: b"u".to_vec() }];
    Request { resource_metrics: vec![ResourceMetrics { resource: Some(resource), scope_metrics }] }.encode_to_vec()
}
