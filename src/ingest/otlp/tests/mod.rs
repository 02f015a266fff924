//! OpenTelemetry's metrics over a database in memory; requests are built by `prost`.

mod answers;
mod deltas;
mod exponential;
mod hostile;
mod json;
mod names;
mod proto;
mod translation;

use bytes::Bytes;
use prost::Message;

use super::*;
use crate::ingest::IngestLimits;
use crate::ingest::tests::{Fixture, NOW_MS};
use crate::model::{MatchOp, Matcher, TimeRange, is_stale};
use crate::storage::view::{Columns, SeriesView};
use proto::*;

/// [`NOW_MS`] in the protocol's unit.
const NOW_NS: u64 = NOW_MS as u64 * 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

/// A way in, and what came of it.
struct Receiver {
    fixture: Fixture,
    runtime: tokio::runtime::Runtime,
}

impl Receiver {
    fn new() -> Receiver {
        Receiver::with(OtlpOptions::default(), IngestLimits::default())
    }

    fn with(options: OtlpOptions, limits: IngestLimits) -> Receiver {
        let mut fixture = Fixture::with_limits(limits);
        fixture.ingest.otlp = Otlp::new(options);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Receiver { fixture, runtime }
    }

    fn post(&self, encoding: OtlpEncoding, body: impl Into<Bytes>) -> OtlpAnswer {
        self.runtime.block_on(self.fixture.ingest.otlp_metrics(encoding, None, body.into()))
    }

    fn send(&self, request: &Request) -> OtlpAnswer {
        self.post(OtlpEncoding::Protobuf, request.encode_to_vec())
    }

    /// Sends what is stored whole.
    fn store(&self, request: &Request) {
        let answer = self.send(request);
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, &b""[..]),
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
    }

    /// Sends what is stored in part: how many points were not, and what is said.
    fn store_part(&self, request: &Request) -> (i64, String) {
        let answer = self.send(request);
        assert_eq!(answer.status, 200);
        let response = Response::decode(answer.body.as_slice()).expect("a response");
        let partial = response.partial_success.expect("a part was refused");
        (partial.rejected_data_points, partial.error_message)
    }

    /// Sends what is refused as a whole: status, code and message.
    fn refuse(&self, request: &Request) -> (u16, i32, String) {
        let answer = self.send(request);
        let status = Status::decode(answer.body.as_slice()).expect("a status");
        (answer.status, status.code, status.message)
    }

    /// Each series with its samples and then its native histograms, a line each: `up{job="shop"} 1@0 2@1000`, times in ms
    /// from [`NOW_MS`].
    fn lines(&self) -> Vec<String> {
        let every_name = Matcher::new("__name__", MatchOp::NotEqual, "").expect("a matcher");
        let line = |series: &SeriesView| {
            let (mut numbers, mut histograms) = (Columns::default(), Vec::new());
            series.read_both(TimeRange::ALL, &mut numbers, &mut histograms);
            let told = |is_stale: bool, value: String| if is_stale { "stale".to_owned() } else { value };
            let numbers = numbers.iter().map(|(time_ms, value)| (time_ms, told(is_stale(value), value.to_string())));
            let histograms = histograms.iter().map(|(time_ms, one)| (*time_ms, told(one.is_stale(), one.to_string())));
            let sample = |(time_ms, value): (i64, String)| format!(" {value}@{}", time_ms - NOW_MS);
            series.labels().to_string() + &numbers.chain(histograms).map(sample).collect::<String>()
        };
        let found = self.fixture.storage.view().select(&[every_name], TimeRange::ALL, usize::MAX);
        let mut lines: Vec<String> = found.expect("a selection").iter().map(line).collect();
        lines.sort();
        lines
    }
}

fn string(text: &str) -> AnyValue {
    AnyValue { value: Some(Any::String(text.as_bytes().to_vec())) }
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, &str)| KeyValue { key: key.as_bytes().to_vec(), value: Some(string(value)) };
    pairs.iter().map(pair).collect()
}

/// A point of this value, ending at `NOW` plus so many seconds, begun a second before.
fn number(pairs: &[(&str, &str)], second: u64, value: f64) -> NumberPoint {
    NumberPoint {
        attributes: attributes(pairs),
        start_time_unix_nano: NOW_NS + second * SECOND_NS - SECOND_NS,
        time_unix_nano: NOW_NS + second * SECOND_NS,
        flags: 0,
        value: Some(Number::AsDouble(value)),
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric { name: name.into(), description: b"what it means".to_vec(), unit: unit.into(), data: Some(data) }
}

fn gauge(name: &str, unit: &str, data_points: Vec<NumberPoint>) -> Metric {
    metric(name, unit, Data::Gauge(Gauge { data_points }))
}

fn sum(name: &str, aggregation_temporality: i32, is_monotonic: bool, data_points: Vec<NumberPoint>) -> Metric {
    metric(name, "", Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic }))
}

fn request_of(resource: &[(&str, &str)], metrics: Vec<Metric>) -> Request {
    let scope = Scope { name: b"shop.lib".to_vec(), version: b"1.2".to_vec(), attributes: attributes(&[("a.b", "c")]) };
    Request {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes: attributes(resource) }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: b"https://s/1".to_vec() }],
        }],
    }
}

fn request(metrics: Vec<Metric>) -> Request {
    request_of(&[], metrics)
}

/// What is answered with the status 200.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_data_points: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`, its details left out.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}
