//! `/federate`, as Prometheus 3.5 wrote it of the same samples.

use prost::Message;

use super::*;
use crate::model::{CounterResetHint, FloatHistogram, STALE_NAN_BITS, Sample, Side};
use crate::storage::view::GivenSeries;

const NOW: i64 = NOW_MS;

async fn server() -> TestServer {
    let at = |timestamp_ms, value| Sample { timestamp_ms, value };
    let series = move || {
        vec![
            (labels(&[("__name__", "up"), ("job", "b")]), vec![at(NOW - 2_000, 1.0)]),
            (
                labels(&[("__name__", "up"), ("instance", "x"), ("job", "a")]),
                vec![at(NOW - 60_000, 0.0), at(NOW - 3_000, 1.5), at(NOW + 1, 7.0)],
            ),
            (
                labels(&[("__name__", "gone")]),
                vec![at(NOW - 60_000, 3.0), at(NOW - 1_000, f64::from_bits(STALE_NAN_BITS))],
            ),
            (labels(&[("__name__", "old")]), vec![at(NOW - 400_000, 3.0)]),
            (labels(&[("__name__", "big"), ("v", "1")]), vec![at(NOW - 1_000, 123_456_789.0)]),
            (labels(&[("__name__", "big"), ("v", "2")]), vec![at(NOW - 1_000, 1e-7)]),
            (labels(&[("__name__", "big"), ("v", "3")]), vec![at(NOW - 1_000, f64::INFINITY)]),
            (labels(&[("__name__", "big"), ("v", "4")]), vec![at(NOW - 1_000, f64::NAN)]),
            (labels(&[("__name__", "big"), ("v", "5")]), vec![at(NOW - 1_000, 0.00012)]),
            (labels(&[("__name__", "big"), ("v", "6")]), vec![at(NOW - 1_000, 999_999.0)]),
            (labels(&[("__name__", "big"), ("v", "7")]), vec![at(NOW - 1_000, -1.0)]),
            (labels(&[("__name__", "odd.name"), ("http.path", "a \"b\"\\\n€")]), vec![at(NOW - 1_000, 2.0)]),
        ]
    };
    let view = move || ReadView::of_samples(series());
    TestServer::with_services(HttpLimits::default(), IngestLimits::default(), Arc::default(), Arc::new(view)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_samples_are_told_as_prometheus_tells_them() {
    let server = server().await;
    let answered = server.get("/federate?match[]=%7B__name__!%3D%22%22%7D&match[]=up").await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    let kind = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    assert_eq!(answered.header("content-type"), Some(kind));
    let expected = r##"# TYPE big untyped
big{v="1",instance=""} 1.23456789e+08 1699999999000
big{v="2",instance=""} 1e-07 1699999999000
big{v="3",instance=""} +Inf 1699999999000
big{v="4",instance=""} NaN 1699999999000
big{v="5",instance=""} 0.00012 1699999999000
big{v="6",instance=""} 999999 1699999999000
big{v="7",instance=""} -1 1699999999000
# TYPE odd_name untyped
odd_name{http_path="a \"b\"\\\n€",instance=""} 2 1699999999000
# TYPE up untyped
up{instance="x",job="a"} 1.5 1699999997000
up{job="b",instance=""} 1 1699999998000
"##;
    assert_eq!(answered.body, expected);
    assert_eq!(server.body("/federate").await, "", "nothing is selected");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_escaped_as_the_client_asks() {
    let server = server().await;
    for (accept, escaping, expected) in [
        (
            "text/plain;version=0.0.4;escaping=allow-utf-8",
            "allow-utf-8",
            "# TYPE \"odd.name\" untyped\n{\"odd.name\",\"http.path\"=",
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=values;q=0.5,text/plain;q=0.3",
            "values",
            "# TYPE U__odd_2e_name untyped\nU__odd_2e_name{U__http_2e_path=",
        ),
        ("text/plain;escaping=dots", "dots", "# TYPE odd_dot_name untyped\nodd_dot_name{http_dot_path="),
        ("*/*;q=0.1,text/plain;escaping=values;q=0.05", "values", "# TYPE U__odd_2e_name untyped\n"),
        ("text/plain;escaping=dots;q=0.1,text/plain;escaping=values", "values", "# TYPE U__odd_2e_name untyped\n"),
        ("text/plain;escaping=nonsense", "underscores", "# TYPE odd_name untyped\nodd_name{http_path="),
    ] {
        let request = format!(
            "GET /federate?match[]=%7B%22odd.name%22%7D HTTP/1.1\r\nHost: t\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        let answered = server.send(request).await;
        let kind = format!("text/plain; version=0.0.4; charset=utf-8; escaping={escaping}");
        assert_eq!(answered.header("content-type"), Some(kind.as_str()), "{accept}");
        assert!(answered.body.starts_with(expected), "{accept}: {}", answered.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn selector_that_is_none_is_told_in_a_line() {
    let server = server().await;
    let answered = server.get("/federate?match[]=up%7B").await;
    assert_eq!(answered.status, 400);
    assert_eq!(answered.body, "1:4: parse error: unexpected end of input inside braces\n");
}

#[derive(Clone, PartialEq, prost::Message)]
struct Family {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Counter>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Untyped>,
    #[prost(int64, tag = "6")]
    time_ms: i64,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Native>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Untyped {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Counter {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    created: Option<Time>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Native {
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(double, tag = "4")]
    count: f64,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(double, tag = "8")]
    zero_count: f64,
    #[prost(message, repeated, tag = "9")]
    negative_spans: Vec<BucketSpan>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    positive_spans: Vec<BucketSpan>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    positive_counts: Vec<f64>,
    #[prost(message, optional, tag = "15")]
    created: Option<Time>,
}

/// Numbers, histograms and both, of which some cannot be told.
fn any_series() -> Vec<GivenSeries> {
    let number = |labels: Labels, start_ms: Option<i64>| GivenSeries {
        labels: Arc::new(labels),
        samples: vec![Sample { timestamp_ms: NOW - 2_000, value: 2.5 }],
        starts_ms: start_ms.map(|start_ms| (NOW - 2_000, start_ms)).into_iter().collect(),
        ..GivenSeries::default()
    };
    let histogram = |labels: Labels, histogram: FloatHistogram| GivenSeries {
        labels: Arc::new(labels),
        samples: vec![Sample { timestamp_ms: NOW - 9_000, value: 2.5 }],
        histograms: vec![(NOW - 1_000, Arc::new(histogram))],
        ..GivenSeries::default()
    };
    let taken = FloatHistogram {
        schema: -1,
        count: 4.5,
        sum: 7.0,
        zero_count: 0.5,
        positive: Side::of_run(2, vec![1.0, 2.0]),
        negative: Side::of_run(-3, vec![1.0]),
        ..FloatHistogram::default()
    };
    let gauge = FloatHistogram { hint: CounterResetHint::Gauge, ..taken.clone() };
    let mut started = histogram(labels(&[("__name__", "h"), ("v", "3")]), taken.clone());
    started.starts_ms = [(NOW - 1_000, NOW - 60_001)].into();
    let custom = FloatHistogram { schema: -53, custom_values: [1.0].into(), ..FloatHistogram::default() };
    vec![
        number(labels(&[("__name__", "a")]), None),
        number(labels(&[("__name__", "c.total"), ("instance", "x")]), Some(NOW - 60_001)),
        number(labels(&[("__name__", "h"), ("v", "0")]), None),
        histogram(labels(&[("__name__", "h"), ("v", "1")]), gauge),
        histogram(labels(&[("__name__", "h"), ("v", "2")]), FloatHistogram { schema: 3, ..FloatHistogram::default() }),
        started,
        histogram(labels(&[("__name__", "h"), ("v", "4")]), custom),
        histogram(labels(&[("__name__", "h"), ("v", "5")]), FloatHistogram::stale()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_tells_histograms_and_since_when_a_sample_counts() {
    let view = || ReadView::of_series(any_series());
    let server =
        TestServer::with_services(HttpLimits::default(), IngestLimits::default(), Arc::default(), Arc::new(view)).await;
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                  application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
    let path = "/federate?match[]=%7B__name__!%3D%22%22%7D";
    let get = |accept: &str| {
        server.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"))
    };
    let answered = get(accept).await;
    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                escaping=underscores";
    assert_eq!((answered.status, answered.header("content-type")), (200, Some(kind)));
    let (mut bytes, mut families) = (answered.bytes.as_slice(), Vec::new());
    while !bytes.is_empty() {
        families.push(Family::decode_length_delimited(&mut bytes).expect("a family"));
    }
    let pair = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let created = || Some(Time { seconds: (NOW - 60_001) / 1000, nanos: 999_000_000 });
    let number = |labels: Vec<Label>| Metric { labels, time_ms: NOW - 2_000, ..Metric::default() };
    let native = |version: &str, histogram: Native| Metric {
        labels: vec![pair("v", version), pair("instance", "")],
        time_ms: NOW - 1_000,
        histogram: Some(histogram),
        ..Metric::default()
    };
    let span = |offset, length| BucketSpan { offset, length };
    let taken = Native {
        sum: 7.0,
        count: 4.5,
        schema: -1,
        zero_count: 0.5,
        negative_spans: vec![span(-3, 1)],
        negative_counts: vec![1.0],
        positive_spans: vec![span(2, 2)],
        positive_counts: vec![1.0, 2.0],
        ..Native::default()
    };
    let empty = Native { schema: 3, positive_spans: vec![span(0, 0)], ..Native::default() };
    let untyped = Some(Untyped { value: 2.5 });
    let counter = Some(Counter { value: 2.5, created: created() });
    let family = |name: &str, kind, metrics| Family { name: name.to_owned(), kind, metrics };
    let expected = [
        family("a", 3, vec![Metric { untyped: untyped.clone(), ..number(vec![pair("instance", "")]) }]),
        family("c_total", 0, vec![Metric { counter, ..number(vec![pair("instance", "x")]) }]),
        family("h", 3, vec![Metric { untyped, ..number(vec![pair("v", "0"), pair("instance", "")]) }]),
        family("h", 5, vec![native("1", taken.clone())]),
        family("h", 4, vec![native("2", empty), native("3", Native { created: created(), ..taken })]),
    ];
    assert_eq!(families, expected);
    // As text there are numbers alone; another encoding of the same message is none that we have.
    for accept in ["*/*", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"] {
        let answered = get(accept).await;
        assert_eq!(
            answered.header("content-type"),
            Some("text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
        );
        assert_eq!(answered.body.lines().filter(|line| !line.starts_with('#')).count(), 3, "{}", answered.body);
    }
}
