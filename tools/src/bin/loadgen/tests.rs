use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use clap::Parser;
use dozor::demo::Fed;
use dozor::model::Labels;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::encode::{Encoder, Protocol};
use crate::garbage::{Dice, garbage, valid_request};
use crate::process::{Process, cpu_s_of};
use crate::target::{parse_start, parse_target};
use crate::{Options, garbage, load};

/// Takes everything in and counts it; how it answers is up to the test.
#[derive(Default)]
struct Sink {
    requests: AtomicU64,
    samples: AtomicU64,
    /// Each request of this number, counted from one, is told to come later.
    busy_every: u64,
    /// From this request on all is refused.
    refused_from: Option<u64>,
    /// From this request on the answer is an error of the server's own.
    broken_from: Option<u64>,
}

impl Sink {
    async fn answer(self: Arc<Sink>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        let number = 1 + self.requests.fetch_add(1, Ordering::SeqCst);
        let status = match path.as_str() {
            "/-/healthy" => 200,
            _ if self.broken_from.is_some_and(|from| number >= from) => 500,
            _ if self.refused_from.is_some_and(|from| number >= from) => 400,
            _ if self.busy_every > 0 && number.is_multiple_of(self.busy_every) => 503,
            "/api/v1/write" => {
                self.samples.fetch_add(series_count(&body), Ordering::SeqCst);
                204
            }
            _ => 400,
        };
        let response = Response::builder().status(status).header("Retry-After", "0");
        Ok(response.body(Full::from("words")).expect("a response"))
    }

    async fn listen(self: &Arc<Sink>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sink = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let sink = Arc::clone(&sink);
                let service = service_fn(move |request| Arc::clone(&sink).answer(request));
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        address
    }
}

/// Time series in a request: its top-level fields. Of garbage, as many as can be walked.
fn series_count(body: &[u8]) -> u64 {
    let message = snap::raw::Decoder::new().decompress_vec(body).unwrap_or_default();
    let (mut rest, mut count) = (message.as_slice(), 0);
    while let [0x0a, tail @ ..] = rest {
        let length_bytes = tail.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        let Some((length, tail)) = tail.split_at_checked(length_bytes) else { break };
        let length = length.iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
        rest = tail.get(length..).unwrap_or_default();
        count += 1;
    }
    count
}

fn options(address: SocketAddr, arguments: &[&str]) -> Options {
    let url = format!("http://{address}/api/v1/write");
    let all = ["loadgen", "--url", &url, "--nodes", "25"].into_iter().chain(arguments.iter().copied());
    Options::try_parse_from(all).expect("valid arguments")
}

#[tokio::test]
async fn every_sample_arrives_once_also_through_a_busy_server() {
    let sink = Arc::new(Sink { busy_every: 4, ..Sink::default() });
    let address = sink.listen().await;
    let (report, passed) = load::send(&options(address, &["--scrapes", "9", "--batch", "333"])).await.unwrap();
    // 25 nodes × 40 series × 9 scrapes.
    assert_eq!(sink.samples.load(Ordering::SeqCst), 9_000);
    assert_eq!((report["samples"].as_u64(), report["errors"].as_u64(), passed), (Some(9_000), Some(0), true));
    assert_eq!(report["outcomes"]["503"].as_u64(), Some(sink.requests.load(Ordering::SeqCst) / 4));
}

#[tokio::test]
async fn refusal_is_an_error_and_is_told_in_the_servers_words() {
    let sink = Arc::new(Sink { refused_from: Some(3), ..Sink::default() });
    let address = sink.listen().await;
    let (report, passed) =
        load::send(&options(address, &["--scrapes", "4", "--connections", "1", "--batch", "500"])).await.unwrap();
    assert!(!passed);
    assert_eq!((report["outcomes"]["204"].as_u64(), report["first_error"].as_str()), (Some(2), Some("400: words")));
}

#[tokio::test]
async fn rate_is_held() {
    let sink = Arc::new(Sink::default());
    let address = sink.listen().await;
    // 4,000 samples in batches of 100: after the first batch of each connection, 3,800 more at 8,000 a second.
    let arguments = ["--scrapes", "4", "--batch", "100", "--rate", "8000"];
    let (report, _) = load::send(&options(address, &arguments)).await.unwrap();
    let seconds = report["seconds"].as_f64().unwrap();
    assert!((0.47..3.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn duration_ends_an_endless_load() {
    let sink = Arc::new(Sink::default());
    let address = sink.listen().await;
    let arguments = ["--duration", "1", "--rate", "20000", "--pid", &std::process::id().to_string()];
    let (report, passed) = load::send(&options(address, &arguments)).await.unwrap();
    assert!(passed);
    assert!((0.9..2.5).contains(&report["seconds"].as_f64().unwrap()));
    assert!(report["server_cpu_us_per_sample"].is_number() && report["server_peak_bytes"].as_u64() > Some(0));
}

#[tokio::test]
async fn duration_ends_also_a_load_whose_next_request_is_due_much_later() {
    let sink = Arc::new(Sink::default());
    let address = sink.listen().await;
    let load = options(address, &["--rate", "100", "--duration", "1", "--scrapes", "10"]);
    let sent = tokio::time::timeout(std::time::Duration::from_secs(10), load::send(&load)).await;
    let (report, passed) = sent.expect("it ends in its time").unwrap();
    assert!(passed && report["seconds"].as_f64().unwrap() < 2.5, "{report}");
}

#[tokio::test]
async fn garbage_that_is_refused_is_well() {
    let sink = Arc::new(Sink::default());
    let address = sink.listen().await;
    let arguments = ["--pid", &std::process::id().to_string()];
    let (report, passed) = garbage::throw(&options(address, &arguments), 200).await.unwrap();
    assert!(passed, "{report}");
    assert_eq!(sink.requests.load(Ordering::SeqCst), 201);
    assert_eq!(report["resident_bytes"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn garbage_that_breaks_the_server_fails() {
    let sink = Arc::new(Sink { broken_from: Some(150), ..Sink::default() });
    let address = sink.listen().await;
    let (report, passed) = garbage::throw(&options(address, &[]), 200).await.unwrap();
    assert_eq!((passed, report["failures"].as_u64()), (false, Some(20)));
    assert!(report["first_failure"].as_str().unwrap().starts_with("request 149, "), "{report}");
}

#[test]
fn garbage_has_every_kind_and_is_the_same_for_the_same_seed() {
    let valid = valid_request(1, 1_700_000_000_000).unwrap();
    let throw = |seed: u64| {
        let mut dice = Dice(seed);
        (0..500).map(|_| garbage(&mut dice, &valid)).collect::<Vec<_>>()
    };
    let mut kinds = BTreeMap::new();
    for (kind, _, _) in throw(1) {
        *kinds.entry(kind).or_insert(0) += 1;
    }
    assert!(kinds.len() == 6 && kinds.values().all(|count| *count > 40), "{kinds:?}");
    assert!(throw(1) == throw(1) && throw(1) != throw(2));
}

#[test]
fn only_this_machine_is_a_target() {
    let target = parse_target("http://127.0.0.1:9090/api/v1/write").unwrap();
    assert_eq!((target.address.to_string().as_str(), target.path.as_str()), ("127.0.0.1:9090", "/api/v1/write"));
    assert_eq!(parse_target("http://[::1]:80/x").unwrap().address.to_string(), "[::1]:80");
    assert_eq!(parse_target("http://localhost:80").unwrap().path, "/");
    for url in ["http://10.0.0.1:9090/x", "http://0.0.0.0:9090/x", "http://shop.example:80/", "https://127.0.0.1:1/"] {
        assert!(parse_target(url).is_err(), "{url}");
    }
}

#[test]
fn start_is_milliseconds_or_a_span_before_now() {
    let now_ms = 1_700_000_000_000;
    let start = |text: &str| parse_start(text, now_ms).ok();
    assert_eq!([start("now"), start("now-2h"), start("5")], [Some(now_ms), Some(now_ms - 7_200_000), Some(5)]);
    assert_eq!([start("now+2h"), start("now-2w"), start("now-h"), start("soon"), start("now-2é")], [None; 5]);
}

#[test]
fn processes_are_measured() {
    let line = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 12345 0 0";
    assert_eq!(cpu_s_of(line).unwrap(), 3.0);
    assert!(cpu_s_of("7 (a) S 1").is_err());
    let memory = Process::own().memory().unwrap();
    assert!(memory.resident_bytes > 100_000 && memory.peak_bytes >= memory.resident_bytes);
}

#[test]
fn a_sample_is_written_in_each_way() {
    let mut label_bytes = Vec::new();
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]).expect("labels");
    dozor::demo::encode_labels(&labels, &mut label_bytes);
    let fed = Fed { node: 0, series: 3, label_bytes: &label_bytes, timestamp_ms: 300, value: 1.0 };
    let mut text = Encoder::new(Protocol::Text);
    text.push(&fed);
    assert_eq!(text.finish(), "up{job=\"a\"} 1 300\n");

    let mut symbols = Encoder::new(Protocol::RemoteWrite2);
    for _ in 0..2 {
        symbols.push(&fed);
        let message = snap::raw::Decoder::new().decompress_vec(&symbols.finish()).expect("snappy");
        let expected: [&[u8]; 9] = [
            b"\x22\x00",
            b"\x22\x08__name__",
            b"\x22\x02up",
            b"\x22\x03job",
            b"\x22\x01a",
            b"\x2a\x14",                         // one series of 20 bytes
            b"\x0a\x04\x01\x02\x03\x04",         // refs
            b"\x12\x0c\x09\0\0\0\0\0\0\xf0\x3f", // a sample of 12 bytes: 1.0
            b"\x10\xac\x02",                     // at 300
        ];
        assert_eq!(message, expected.concat(), "each request has symbols of its own");
    }
}
