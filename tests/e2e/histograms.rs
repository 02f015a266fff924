//! Native histograms of every sort, by remote write, and questions that show all of them.
//!
//! ```text
//! h{case="grown"}    whole counts, buckets that come later, a counter that starts anew
//! h{case="gone"}     a gap, an end, a new beginning
//! h{case="coarser"}  another schema, another width of zero
//! h{case="custom"}   bounds of its own, then others
//! h{case="gauge"}    fractions, below zero too, up and down
//! h{case="mixed"}    numbers between histograms
//! ```

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use prost::Message;
use serde_json::Value;

use crate::api::ask;
use crate::client::{Client, percent_encoded};
use crate::process::{Process, peer, wait_for_listener};
use crate::wait::{wait_for, wait_until};

pub(crate) const STEP_MS: i64 = 15_000;
/// More than a chunk of Prometheus has.
pub(crate) const STEPS: i64 = 300;
const STALE: u64 = 0x7ff0_0000_0000_0002;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    time_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    float_count: Option<f64>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    zero_count: Option<u64>,
    #[prost(double, optional, tag = "7")]
    float_zero_count: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "9")]
    negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    hint: i32,
    #[prost(int64, tag = "15")]
    time_ms: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
}

/// Whole counts in buckets side by side from `offset` on.
fn whole(time_ms: i64, schema: i32, zero_count: u64, offset: i32, counts: &[u64]) -> Histogram {
    let mut before = 0;
    let deltas = counts.iter().map(|count| *count as i64 - std::mem::replace(&mut before, *count as i64));
    let count = zero_count + counts.iter().sum::<u64>();
    Histogram {
        count: Some(count),
        sum: count as f64 * 1.37,
        schema,
        zero_threshold: 0.001,
        zero_count: Some(zero_count),
        positive_spans: vec![Span { offset, length: counts.len() as u32 }],
        positive_deltas: deltas.collect(),
        time_ms,
        ..Histogram::default()
    }
}

fn stale(time_ms: i64) -> Histogram {
    Histogram { count: Some(0), zero_count: Some(0), sum: f64::from_bits(STALE), time_ms, ..Histogram::default() }
}

/// Buckets grow, one comes after 40 steps, and after 210 steps the counter starts anew.
fn grown(step: i64, time_ms: i64) -> Histogram {
    let seen = if step < 210 { step } else { step - 209 } as u64;
    let mut counts = vec![seen * 3, seen, seen * seen / 7];
    if step >= 40 {
        counts.insert(0, seen / 2);
    }
    whole(time_ms, 3, seen / 5, if step >= 40 { -5 } else { -4 }, &counts)
}

fn gone(step: i64, time_ms: i64) -> Option<Histogram> {
    match step {
        60..90 => None,
        150 => Some(stale(time_ms)),
        151..170 => None,
        _ => Some(whole(time_ms, 0, 0, 2, &[step as u64, 0, step as u64 * 2])),
    }
}

fn coarser(step: i64, time_ms: i64) -> Histogram {
    let seen = step as u64;
    let mut one = whole(time_ms, if step < 100 { 5 } else { 2 }, seen, -2, &[seen, seen * 2]);
    if step >= 200 {
        one.zero_threshold = 0.25;
    }
    one
}

fn custom(step: i64, time_ms: i64) -> Histogram {
    let bounds = if step < 140 { vec![0.005, 0.1, 2.5, 1e9] } else { vec![-1.0, 0.1, 1.0 / 3.0] };
    let seen = step as u64;
    let one = whole(time_ms, -53, 0, 0, &[seen, seen / 3, 0, seen * 11]);
    Histogram { zero_threshold: 0.0, custom_values: bounds, ..one }
}

fn gauge(step: i64, time_ms: i64) -> Histogram {
    let value = (step as f64 / 9.0).sin() + 1.5;
    let counts = [value * 3.0, value / 7.0];
    Histogram {
        float_count: Some(counts.iter().sum::<f64>() + value * 2.0 + 0.5),
        sum: -value,
        schema: 1,
        zero_threshold: 2.0_f64.powi(-128),
        float_zero_count: Some(0.5),
        negative_spans: vec![Span { offset: -3, length: 1 }, Span { offset: 5, length: 1 }],
        negative_counts: vec![value, value],
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_counts: counts.to_vec(),
        hint: 3,
        time_ms,
        ..Histogram::default()
    }
}

fn is_number(step: i64) -> bool {
    step % 50 < 3
}

fn series(case: &str, samples: Vec<Sample>, histograms: Vec<Histogram>) -> TimeSeries {
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    TimeSeries { labels: vec![label("__name__", "h"), label("case", case)], samples, histograms }
}

/// Sends all series, a step each 15 s up to `end_ms`, in requests of a few steps.
pub(crate) fn send(server: SocketAddr, end_ms: i64) {
    let mut client = Client::new(server);
    let steps: Vec<i64> = (0..STEPS).collect();
    for steps in steps.chunks(25) {
        let times = || steps.iter().map(|step| (*step, end_ms - (STEPS - 1 - step) * STEP_MS));
        let all = |make: fn(i64, i64) -> Histogram| times().map(|(step, at_ms)| make(step, at_ms)).collect::<Vec<_>>();
        let numbers = times().filter(|(step, _)| is_number(*step));
        let numbers = numbers.map(|(step, time_ms)| Sample { value: step as f64 / 3.0, time_ms }).collect();
        let others = times().filter(|(step, _)| !is_number(*step)).map(|(step, at_ms)| grown(step, at_ms)).collect();
        let request = WriteRequest {
            series: vec![
                series("grown", Vec::new(), all(grown)),
                series("gone", Vec::new(), times().filter_map(|(step, at_ms)| gone(step, at_ms)).collect()),
                series("coarser", Vec::new(), all(coarser)),
                series("custom", Vec::new(), all(custom)),
                series("gauge", Vec::new(), all(gauge)),
                series("mixed", numbers, others),
            ],
        };
        post(&mut client, &request);
    }
}

/// Sends some between the others, which come late.
pub(crate) fn send_late(server: SocketAddr, end_ms: i64) {
    let times = || (STEPS - 40..STEPS).map(|step| (step, end_ms - (STEPS - 1 - step) * STEP_MS - 5_000));
    let series = vec![
        series("grown", Vec::new(), times().map(|(step, at_ms)| grown(step, at_ms)).collect()),
        series("gauge", Vec::new(), times().map(|(step, at_ms)| gauge(step, at_ms)).collect()),
    ];
    post(&mut Client::new(server), &WriteRequest { series });
}

fn post(client: &mut Client, request: &WriteRequest) {
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("it is short");
    wait_for("the server takes a request", || {
        let answer = client.remote_write(&body).ok()?;
        assert!(answer.status < 300, "{} {}", answer.status, answer.text());
        Some(())
    });
}

/// Questions whose answers show every histogram, with the end of the last step.
pub(crate) const QUERIES: [&str; 4] =
    ["h[76m]", "histogram_count(h)", "histogram_fraction(0, 2, h)", "count_over_time(h[76m])"];

/// Those that only servers of one version answer alike: they differ in how they extrapolate near the beginning of a
/// counter, and in whether other bounds are a beginning.
pub(crate) const RATE_QUERIES: [&str; 5] = [
    "resets(h[70m])",
    "rate(h[5m])",
    "increase(h[40m])",
    "histogram_quantile(0.9, rate(h[10m]))",
    "histogram_avg(delta(h{case='gauge'}[10m]))",
];

/// Starts a Prometheus that takes native histograms by remote write.
pub(crate) fn start_receiver(folder: &Path, address: SocketAddr) -> Process {
    let config = folder.join("receiver.yml");
    fs::write(&config, "storage: { tsdb: { out_of_order_time_window: 1h } }\n").expect("the folder can be written");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("received").display()),
        format!("--web.listen-address={address}"),
        "--web.enable-remote-write-receiver".to_owned(),
        "--web.enable-admin-api".to_owned(),
        "--enable-feature=native-histograms".to_owned(),
    ];
    let mut server = Process::start("receiver", &peer("prometheus"), &arguments, folder);
    wait_for_listener(&mut server, address);
    wait_until("Prometheus is ready", || Client::new(address).get("/-/ready").is_ok_and(|answer| answer.status == 200));
    server
}

/// What a server says to a question, as it stands in the answer.
fn told(server: SocketAddr, path: &str, form: &str) -> Vec<String> {
    let data = ask(server, path, form);
    let mut all: Vec<String> = data["result"].as_array().expect("series").iter().map(Value::to_string).collect();
    all.sort();
    all
}

/// Asks both the same, and both must say the same.
pub(crate) fn assert_alike(ours: SocketAddr, theirs: SocketAddr, queries: &[&str], end_ms: i64) {
    let at_s = end_ms as f64 / 1000.0;
    let compare = |path: &str, form: &str, query: &str| {
        let (ours, theirs) = (told(ours, path, form), told(theirs, path, form));
        assert!(!ours.is_empty(), "{query}: this compares nothing");
        assert_eq!(ours.len(), theirs.len(), "{query}");
        for (own, other) in ours.iter().zip(&theirs) {
            let begin = own.bytes().zip(other.bytes()).take_while(|(one, two)| one == two).count().saturating_sub(300);
            let shown = |text: &str| text.bytes().skip(begin).take(600).map(char::from).collect::<String>();
            assert!(own == other, "{query}\n ours   {}\n theirs {}", shown(own), shown(other));
        }
    };
    for query in queries {
        compare("/api/v1/query", &format!("query={}&time={at_s}", percent_encoded(query)), query);
        if !query.starts_with("h[") {
            let form = format!("query={}&start={}&end={at_s}&step=67", percent_encoded(query), at_s - 4_400.0);
            compare("/api/v1/query_range", &form, query);
        }
    }
}

/// The newest histogram of each case, as it stands in the answer.
pub(crate) fn newest(server: SocketAddr, end_ms: i64) -> Vec<(String, Value)> {
    let form = format!("query=h&time={}", end_ms as f64 / 1000.0);
    let data = ask(server, "/api/v1/query", &form);
    let one = |one: &Value| (one["metric"]["case"].as_str().expect("a case").to_owned(), one["histogram"].clone());
    let mut all: Vec<_> = data["result"].as_array().expect("series").iter().map(one).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[derive(Clone, PartialEq, Message)]
struct Request2 {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<Series2>,
}

#[derive(Clone, PartialEq, Message)]
struct Series2 {
    #[prost(uint32, repeated, tag = "1")]
    labels: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample2>,
}

#[derive(Clone, PartialEq, Message)]
struct Sample2 {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    time_ms: i64,
    #[prost(int64, tag = "3")]
    start_ms: i64,
}

/// Sends `counted_total` of 7 at a moment, which counts since `start_ms`.
pub(crate) fn send_counter(server: SocketAddr, time_ms: i64, start_ms: i64) {
    let request = Request2 {
        symbols: ["", "__name__", "counted_total"].map(str::to_owned).to_vec(),
        series: vec![Series2 { labels: vec![1, 2], samples: vec![Sample2 { value: 7.0, time_ms, start_ms }] }],
    };
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("it is short");
    let headers = [
        ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
        ("Content-Encoding", "snappy"),
        ("X-Prometheus-Remote-Write-Version", "2.0.0"),
    ];
    let answer = Client::new(server).post("/api/v1/write", &headers, &body).expect("the server answers");
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// How many histograms and numbers there are of each case, in order of their names.
pub(crate) fn counts(server: SocketAddr, end_ms: i64) -> Vec<(String, usize, usize)> {
    let form = format!("query={}&time={}", percent_encoded("h[76m]"), end_ms as f64 / 1000.0);
    let data = ask(server, "/api/v1/query", &form);
    let length = |list: &Value| list.as_array().map_or(0, Vec::len);
    let one = |one: &Value| {
        let case = one["metric"]["case"].as_str().expect("a case").to_owned();
        (case, length(&one["histograms"]), length(&one["values"]))
    };
    let mut all: Vec<_> = data["result"].as_array().expect("series").iter().map(one).collect();
    all.sort();
    all
}

/// As [`counts`] tells them of what was sent; the end of a series is not shown.
pub(crate) fn sent_counts() -> Vec<(String, usize, usize)> {
    let of = |case: &str, histograms: usize, numbers: usize| (case.to_owned(), histograms, numbers);
    vec![
        of("coarser", 300, 0),
        of("custom", 300, 0),
        of("gauge", 300, 0),
        of("gone", 300 - 30 - 20, 0),
        of("grown", 300, 0),
        of("mixed", 300 - 18, 18),
    ]
}
