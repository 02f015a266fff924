//! Who reads from us as from a Prometheus: Prometheus itself, by remote read and by federation, and what the operator
//! learns of queries.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::api::{differences, get, instant, range};
use crate::client::{Client, percent_encoded};
use crate::engine::Engine;
use crate::histograms;
use crate::process::{Process, free_address, installed, peer, wait_for_listener};
use crate::relay::Relay;
use crate::wait::{wait_for, wait_until};
use dozor::clock::Clock;

const STEP_MS: i64 = 15_000;
const SAMPLES: i64 = 400;

/// Counters and gauges of a few services, up to now; more samples than one chunk has.
fn text(end_ms: i64) -> String {
    let mut text = String::new();
    for (number, service) in ["cart", "search", "checkout"].iter().enumerate() {
        for index in 0..SAMPLES {
            let at_ms = end_ms - (SAMPLES - index) * STEP_MS + number as i64 * 1_001;
            let (total, gauge) = (index * (number as i64 + 1) * 3, (index as f64 / 7.0).sin() * 1e9);
            text.push_str(&format!("read_orders_total{{service=\"{service}\"}} {total} {at_ms}\n"));
            text.push_str(&format!("read_heat{{service=\"{service}\"}} {gauge} {at_ms}\n"));
        }
    }
    text
}

/// A server with samples, and the time of the last.
fn filled(folder: &Path) -> (Engine, i64) {
    let engine = Engine::start(folder, &[]);
    let end_ms = Clock::system().now_ms() - STEP_MS;
    let answer = engine.client().post("/api/v1/import/prometheus", &[], text(end_ms).as_bytes());
    let answer = answer.expect("the server answers");
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    (engine, end_ms)
}

fn start_prometheus(program: &Path, folder: &Path, settings: &str, extra: &[&str]) -> (Process, SocketAddr) {
    let address = free_address();
    let config = folder.join("reader.yml");
    fs::write(&config, settings).expect("the folder can be written");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("reader").display()),
        format!("--web.listen-address={address}"),
    ];
    let arguments: Vec<String> =
        arguments.into_iter().chain(extra.iter().map(|argument| (*argument).to_owned())).collect();
    let mut server = Process::start("prometheus", program, &arguments, folder);
    wait_for_listener(&mut server, address);
    wait_until("Prometheus is ready", || Client::new(address).get("/-/ready").is_ok_and(|answer| answer.status == 200));
    (server, address)
}

/// Asks both us and a Prometheus that reads from us, which is to get answers of this type.
fn assert_reads_alike(program: &Path, content_type: &str) {
    let folder = TempDir::new().expect("a temporary folder");
    let (engine, end_ms) = filled(folder.path());
    let relay = Relay::start(engine.address);
    let settings = format!("remote_read:\n  - {{ url: 'http://{}/api/v1/read', read_recent: true }}\n", relay.address);
    let (_server, address) = start_prometheus(program, folder.path(), &settings, &[]);
    // No sample lies on the edge of a window: there Prometheus 2 and 3 differ.
    let (at_ms, from_ms) = (end_ms - 457, end_ms - 457 - SAMPLES * STEP_MS / 2);
    for query in [
        "read_orders_total",
        r#"{__name__=~"read_.*",service!="cart"}"#,
        "sum by (service) (rate(read_orders_total[5m]))",
        "max_over_time(read_heat[1h])",
        "count(read_heat) by (service) + on (service) read_heat",
        r#"read_heat{service="nobody"}"#,
    ] {
        let differing = differences(&instant(engine.address, query, at_ms), &instant(address, query, at_ms));
        assert!(differing.is_empty(), "{query}\n{differing}");
        let ask = |server| range(server, query, from_ms, at_ms, STEP_MS);
        let (ours, theirs) = (ask(engine.address), ask(address));
        assert_eq!(theirs.is_empty(), query.contains("nobody"), "{query}: else this compares nothing");
        let differing = differences(&ours, &theirs);
        assert!(differing.is_empty(), "{query}\n{differing}");
    }
    let exchanges = relay.exchanges();
    assert!(exchanges.len() >= 12, "each query is read from us");
    for exchange in exchanges {
        assert_eq!((exchange.status(), exchange.answered("content-type")), (200, Some(content_type)));
    }
    let path = format!("/api/v1/series?match[]={}", percent_encoded(r#"{__name__=~"read_.+"}"#));
    assert_eq!(get(address, &path).as_array().map(Vec::len), Some(6));
}

#[test]
fn prometheus_2_reads_samples() {
    assert_reads_alike(&installed("prometheus", "prometheus"), "application/x-protobuf");
}

#[test]
fn prometheus_3_reads_streamed_chunks() {
    let content_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert_reads_alike(&peer("prometheus"), content_type);
}

#[test]
fn prometheus_3_reads_native_histograms_in_streamed_chunks() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let end_ms = Clock::system().now_ms() - STEP_MS;
    histograms::send(engine.address, end_ms);
    assert_eq!(histograms::counts(engine.address, end_ms), histograms::sent_counts());
    let relay = Relay::start(engine.address);
    let settings = format!("remote_read:\n  - {{ url: 'http://{}/api/v1/read', read_recent: true }}\n", relay.address);
    let (_server, address) = start_prometheus(&peer("prometheus"), folder.path(), &settings, &[]);
    let receiver = free_address();
    let _receiver = histograms::start_receiver(folder.path(), receiver);
    histograms::send(receiver, end_ms);
    histograms::assert_alike(engine.address, address, &histograms::QUERIES, end_ms);
    // Read from us they are what they are in a Prometheus that was sent them.
    histograms::assert_alike(address, receiver, &histograms::QUERIES, end_ms);
    histograms::assert_alike(address, receiver, &histograms::RATE_QUERIES, end_ms);
    let content_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    for exchange in relay.exchanges() {
        assert_eq!((exchange.status(), exchange.answered("content-type")), (200, Some(content_type)));
    }
}

/// Settings of a Prometheus that scrapes the metrics of these names each second.
fn federation(server: SocketAddr, names: &str) -> String {
    let selector = format!("'match[]': ['{{__name__=~\"{names}\"}}']");
    let scrape = format!("metrics_path: /federate, honor_labels: true, params: {{ {selector} }}");
    format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n  - {{ job_name: federate, {scrape}, \
         static_configs: [{{ targets: ['{server}'] }}] }}\n"
    )
}

#[test]
fn prometheus_federates_native_histograms_from_dozor() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let end_ms = Clock::system().now_ms() - STEP_MS;
    histograms::send(engine.address, end_ms);
    let start_ms = end_ms - 60_000;
    histograms::send_counter(engine.address, end_ms, start_ms);
    let relay = Relay::start(engine.address);
    let features = "--enable-feature=native-histograms,created-timestamp-zero-ingestion";
    let settings = federation(relay.address, "h|counted_total");
    let (_server, address) = start_prometheus(&peer("prometheus"), folder.path(), &settings, &[features]);
    let newest = |server: SocketAddr| histograms::newest(server, end_ms);
    let federated = wait_for("the federation is scraped", || Some(newest(address)).filter(|all| all.len() == 5));
    // There is no place for the bounds of custom buckets.
    let ours: Vec<_> = newest(engine.address).into_iter().filter(|(case, _)| case != "custom").collect();
    assert_eq!(federated, ours);
    let protobuf =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=";
    for exchange in relay.exchanges() {
        let content_type = exchange.answered("content-type").expect("a type");
        assert!(exchange.status() == 200 && content_type.starts_with(protobuf), "{content_type}");
    }
    // Since when it counts came along: it was zero then.
    let counted = instant(address, "counted_total[5m]", end_ms);
    assert_eq!(counted.into_values().collect::<Vec<_>>(), [[(start_ms, 0.0), (end_ms, 7.0)]]);
}

#[test]
fn prometheus_federates_from_dozor() {
    let folder = TempDir::new().expect("a temporary folder");
    let (engine, _) = filled(folder.path());
    let settings = federation(engine.address, "read_.*");
    let (_server, address) = start_prometheus(&peer("prometheus"), folder.path(), &settings, &[]);
    let now = || Clock::system().now_ms();
    let series = wait_for("the federation is scraped", || {
        Some(instant(address, "read_orders_total", now())).filter(|series| series.len() == 3)
    });
    let ours = instant(engine.address, "read_orders_total", now());
    // The scraper adds its job; the series keep that they have no instance.
    let values = |series: &crate::api::Series| -> Vec<f64> { series.values().map(|samples| samples[0].1).collect() };
    assert_eq!(values(&series), values(&ours));
    assert!(series.keys().all(|labels| !labels.contains("instance")), "{series:?}");
}

#[test]
fn slow_queries_and_those_that_a_crash_ended_are_told() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = folder.path().join("dozor.yml");
    fs::write(&config, "query: { slow_log_threshold: 1ms }\n").expect("the folder can be written");
    let features = "--enable-feature=promql-delayed-name-removal,promql-at-modifier,no-such-thing";
    let mut engine = Engine::start(folder.path(), &[&format!("--config={}", config.display()), features]);
    assert!(engine.process().printed().contains("no-such-thing"), "it is told that a feature is none");
    assert_eq!(get(engine.address, "/api/v1/status/flags")["query.timeout"], "30s");
    let slow = "quantile_over_time(0.5, vector(1)[1h:1s])";
    let panel = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Dashboard-UID", "shop-overview"),
        ("X-Panel-Id", "17"),
    ];
    let form = format!("query={}&start=10000&end=10300&step=1", percent_encoded(slow));
    let answer = engine.client().post("/api/v1/query_range", &panel, form.as_bytes()).expect("the server answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = |engine: &mut Engine, what: &str| {
        let printed = engine.process().printed();
        printed.lines().find(|line| line.contains(what)).map(str::to_owned)
    };
    let line = wait_for("the slow query is told", || told(&mut engine, "a slow query"));
    for part in [slow, "shop-overview", "17", "samples=", "127.0.0.1:"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }

    let endless = "quantile_over_time(0.9, vector(1)[1d:1s])";
    let address = engine.address;
    let asking = std::thread::spawn(move || {
        let form = format!("query={}&start=100000&end=110000&step=1", percent_encoded(endless));
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        // Its server dies under it.
        let _ = Client::new(address).post("/api/v1/query_range", &headers, form.as_bytes());
    });
    wait_until("the query runs", || engine.metric("dozor_queries_running") == 1.0);
    engine.kill();
    asking.join().expect("the client ends");
    engine.start_again();
    let line = wait_for("the query is told", || told(&mut engine, "this query ran when the process died"));
    assert!(line.contains("quantile_over_time(0.9"), "{line}");
}

#[test]
fn what_a_dashboard_asks_again_is_sent_as_it_was_until_a_sample_changes_it() {
    let folder = TempDir::new().expect("a temporary folder");
    let (engine, end_ms) = filled(folder.path());
    let (from_ms, to_ms) = (end_ms - 200 * STEP_MS, end_ms - 5 * STEP_MS);
    let path = |limit: usize, more: &str| {
        let query = percent_encoded("rate(read_heat[5m])");
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let (start, end) = (seconds(from_ms), seconds(to_ms));
        format!("/api/v1/query_range?query={query}&start={start}&end={end}&step=15&limit={limit}{more}")
    };
    let ask = |path: &str, coding: &str| {
        let answer = engine.client().send("GET", path, &[("Accept-Encoding", coding)], &[]).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let coded = answer.header("content-encoding").map(str::to_owned);
        let text = match coded.as_deref() {
            None => answer.body,
            Some("gzip") => {
                let mut text = Vec::new();
                GzDecoder::new(&answer.body[..]).read_to_end(&mut text).expect("it is gzip");
                text
            }
            Some("zstd") => zstd::bulk::decompress(&answer.body, 1 << 24).expect("it is zstd"),
            Some(other) => panic!("{other} was not asked for"),
        };
        (String::from_utf8(text).expect("an answer is text"), coded)
    };
    let compute = |limit| ask(&path(limit, "&nocache=1"), "identity").0;
    let before = compute(0);
    assert_eq!(before.matches(r#""service""#).count(), 3, "{before}");
    let used = || engine.metric("dozor_query_texts_used_total");
    // What was written within the last second may change yet, as far as storage tells.
    wait_until("a text is known", || {
        assert_eq!(ask(&path(0, ""), "identity"), (before.clone(), None));
        used() > 0.0
    });
    let used_before = used();
    for (limit, coding) in [(0, "identity"), (0, "gzip"), (0, "zstd"), (2, "zstd"), (2, "identity")] {
        let expected = compute(limit);
        let coded = Some(coding.to_owned()).filter(|coding| coding != "identity");
        for _ in 0..3 {
            assert_eq!(ask(&path(limit, ""), coding), (expected.clone(), coded.clone()), "{limit} {coding}");
        }
    }
    // A text was made for each of the four other kinds.
    assert_eq!(used() - used_before, 15.0 - 4.0);
    assert!(engine.metric("dozor_query_text_bytes") > before.len() as f64);

    // A series more, in the midst of what was asked for.
    let at_ms = from_ms + 50 * STEP_MS;
    let samples = [(1, at_ms), (7, at_ms + STEP_MS)];
    let late = samples.map(|(value, at_ms)| format!("read_heat{{service=\"late\"}} {value} {at_ms}\n")).concat();
    let answer = engine.client().post("/api/v1/import/prometheus", &[], late.as_bytes()).expect("the server answers");
    assert!(answer.status < 300, "{}", answer.text());
    for coding in ["identity", "zstd", "gzip"] {
        let (text, _) = ask(&path(0, ""), coding);
        assert_eq!(text, compute(0), "{coding}");
        assert!(text.contains(r#""service":"late""#), "{coding}");
    }
}
