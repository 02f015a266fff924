//! Senders of remote write 2.0 and what they fall back to: Prometheus 3, a vmagent that tries zstd first, and k6.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Series, ask, get, instant};
use crate::client::{Client, percent_encoded};
use crate::engine::Engine;
use crate::process::{Process, free_address, peer, wait_for_listener};
use crate::prometheus::{assert_no_scrape_is_lost, scrape_config, start_node_exporter, stored};
use crate::relay::{Exchange, Relay};
use crate::scrapes::{CountingExporter, METRIC};
use crate::wait::{wait_for, wait_until};
use dozor::clock::Clock;

const SECOND_MS: i64 = 1000;
const VERSION_2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
const HISTOGRAMS_WRITTEN: &str = "x-prometheus-remote-write-histograms-written";
const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";

/// One queue, so that samples come in the order of the scrapes and a later one proves all earlier ones.
fn version_2_config(server: SocketAddr) -> String {
    let queue = "{ max_shards: 1, batch_send_deadline: 500ms, max_backoff: 1s }";
    let url = format!("http://{server}/api/v1/write");
    let message = "io.prometheus.write.v2.Request";
    format!("remote_write:\n  - {{ url: '{url}', protobuf_message: {message}, queue_config: {queue} }}\n")
}

/// Starts Prometheus 3 with these scrapes and arguments, sending version 2 to `server`.
fn start_prometheus(folder: &Path, server: SocketAddr, jobs: &[(&str, SocketAddr)], arguments: &[String]) -> Process {
    let config = folder.join("prometheus.yml");
    fs::write(&config, scrape_config(jobs) + &version_2_config(server)).expect("the folder can be written");
    let mut all = vec![format!("--config.file={}", config.display())];
    all.extend_from_slice(arguments);
    Process::start("prometheus", &peer("prometheus"), &all, folder)
}

#[test]
fn prometheus_3_and_dozor_have_the_same_samples_and_descriptions() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let relay = Relay::start(engine.address);
    let (_exporter, exporter_address) = start_node_exporter(folder.path());
    let address = free_address();
    let arguments = [
        format!("--storage.tsdb.path={}", folder.path().join("prometheus").display()),
        format!("--web.listen-address={address}"),
        "--enable-feature=metadata-wal-records".to_owned(),
    ];
    let jobs = [("node", exporter_address), ("prometheus", address)];
    let mut server = start_prometheus(folder.path(), relay.address, &jobs, &arguments);
    wait_for_listener(&mut server, address);

    let end_ms = wait_for("there are some scrapes to compare", || {
        let all = instant(engine.address, "up[5m]", Clock::system().now_ms() + SECOND_MS);
        let has_enough = all.len() == 2 && all.values().all(|samples| samples.len() >= 12);
        let last_ms = all.values().filter_map(|samples| samples.last()).map(|sample| sample.0).min();
        last_ms.filter(|_| has_enough).map(|last_ms| last_ms - 2 * SECOND_MS)
    });
    assert_same_samples(engine.address, address, end_ms);
    assert_same_descriptions(engine.address, address);
    assert_all_acknowledged(&relay.exchanges());
    let metrics = Client::new(address).get("/metrics").expect("Prometheus has metrics").text();
    for what in ["samples_failed", "metadata_failed"] {
        let name = format!("prometheus_remote_storage_{what}_total{{");
        let mut lines = metrics.lines().filter(|line| line.starts_with(&name)).peekable();
        assert!(lines.peek().is_some(), "Prometheus has no {name}");
        assert!(lines.all(|line| line.ends_with(" 0")), "Prometheus counts {what}");
    }
}

/// Every sample of the last ten seconds before `end_ms`, to the bit.
fn assert_same_samples(engine: SocketAddr, prometheus: SocketAddr, end_ms: i64) {
    let all = |server| instant(server, r#"{__name__=~".+"}[10s]"#, end_ms);
    let bits = |series: Series| -> BTreeMap<String, Vec<(i64, u64)>> {
        let samples = |samples: Vec<(i64, f64)>| samples.into_iter().map(|(at, value)| (at, value.to_bits())).collect();
        series.into_iter().map(|(labels, of_series)| (labels, samples(of_series))).collect()
    };
    let (ours, theirs) = (bits(all(engine)), bits(all(prometheus)));
    assert!(theirs.len() > 500, "{} series: this compares too little", theirs.len());
    let differing: Vec<&String> = theirs.keys().filter(|labels| ours.get(*labels) != theirs.get(*labels)).collect();
    assert!(differing.is_empty(), "{} of {} differ: {:?}", differing.len(), theirs.len(), &differing[..1]);
    assert_eq!(ours.len(), theirs.len(), "we have no other series");
}

/// Type and help of every family that both have samples of, as Prometheus read them from the exporters.
fn assert_same_descriptions(engine: SocketAddr, prometheus: SocketAddr) {
    let theirs = get(prometheus, "/api/v1/metadata");
    let theirs = theirs.as_object().expect("families by name");
    assert!(theirs.len() > 200, "{} families: this compares too little", theirs.len());
    wait_until("descriptions arrive", || {
        get(engine, "/api/v1/metadata").as_object().is_some_and(|ours| !ours.is_empty())
    });
    let ours = get(engine, "/api/v1/metadata");
    let facts = |one: &Value| ["type", "help", "unit"].map(|what| one[what].clone());
    // Prometheus keeps every text of a family that its exporters describe differently, we the last one.
    let is_theirs = |ours: &Value, theirs: &Value| {
        theirs.as_array().expect("a list").iter().any(|one| facts(one) == facts(&ours[0]))
    };
    // A family without samples is described to Prometheus, and not by it.
    let both = theirs.iter().filter(|(family, _)| !ours[family.as_str()].is_null());
    let differing: Vec<String> = both
        .filter(|(family, theirs)| !is_theirs(&ours[family.as_str()], theirs))
        .map(|(family, theirs)| format!("{family}: {} is not in {theirs}", ours[family.as_str()]))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    for family in ["node_cpu_seconds_total", "node_load1", "prometheus_http_request_duration_seconds"] {
        assert!(ours[family][0]["help"].as_str().is_some_and(|help| !help.is_empty()), "{family} has a help text");
    }
}

/// Each request was one of version 2, and acknowledged with its counts.
fn assert_all_acknowledged(exchanges: &[Exchange]) {
    assert!(exchanges.len() >= 5, "{} requests: this proves too little", exchanges.len());
    for exchange in exchanges {
        assert_eq!(exchange.sent("content-type"), Some(VERSION_2), "{exchange:?}");
        assert_eq!(exchange.sent("content-encoding"), Some("snappy"), "{exchange:?}");
        assert_eq!(exchange.status(), 204, "{exchange:?}");
        let written = exchange.answered(SAMPLES_WRITTEN).and_then(|count| count.parse::<u64>().ok());
        assert!(written.is_some(), "{exchange:?}");
        for kind in ["histograms", "exemplars"] {
            let name = format!("x-prometheus-remote-write-{kind}-written");
            assert_eq!(exchange.answered(&name), Some("0"), "{exchange:?}");
        }
    }
}

#[test]
fn prometheus_3_agent_leaves_no_gap_when_dozor_is_killed() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let exporter = CountingExporter::start();
    let arguments = [
        "--agent".to_owned(),
        format!("--storage.agent.path={}", folder.path().join("agent").display()),
        format!("--web.listen-address={}", free_address()),
    ];
    let agent = start_prometheus(folder.path(), engine.address, &[("counting", exporter.address)], &arguments);
    assert_no_scrape_is_lost(engine, &exporter, agent);
}

#[test]
fn new_vmagent_is_told_415_for_zstd_and_goes_on_in_snappy() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let relay = Relay::start(engine.address);
    let exporter = CountingExporter::start();
    let config = folder.path().join("vmagent.yml");
    fs::write(&config, scrape_config(&[("counting", exporter.address)])).expect("the folder can be written");
    let arguments = [
        format!("-promscrape.config={}", config.display()),
        format!("-remoteWrite.url=http://{}/api/v1/write", relay.address),
        format!("-remoteWrite.tmpDataPath={}", folder.path().join("vmagent").display()),
        format!("-httpListenAddr={}", free_address()),
    ];
    let mut agent = Process::start("vmagent", &peer("vmagent"), &arguments, folder.path());
    wait_until("scrapes arrive", || {
        agent.assert_running();
        stored(&engine).len() >= 8
    });
    let scraped = stored(&engine);
    let expected: Vec<f64> = (1..=scraped.len()).map(|number| number as f64).collect();
    assert_eq!(scraped, expected, "each scrape once, that of the refused request too");

    let exchanges = relay.exchanges();
    assert_eq!((exchanges[0].sent("content-encoding"), exchanges[0].status()), (Some("zstd"), 415), "{exchanges:?}");
    let last = exchanges.last().expect("there are some");
    assert_eq!((last.sent("content-encoding"), last.status()), (Some("snappy"), 204), "{exchanges:?}");
    wait_until("its description arrives", || get(engine.address, "/api/v1/metadata")[METRIC][0]["type"] == "counter");
}

/// A load test of ten turns that counts what it sells and how long that takes.
const SHOPPING: &str = r#"
import { Counter, Trend } from 'k6/metrics';
const sold = new Counter('sold');
const wait = new Trend('wait');
export const options = { vus: 1, iterations: 10 };
export default function () {
    sold.add(3, { product: 'tea' });
    wait.add(0.25);
}
"#;

/// Runs the load test to its end, sending to the engine, with a further setting of k6's.
fn run_k6(folder: &Path, engine: &Engine, setting: &str) {
    let script = folder.join("shopping.js");
    fs::write(&script, SHOPPING).expect("the folder can be written");
    let arguments = [
        format!("K6_PROMETHEUS_RW_SERVER_URL=http://{}/api/v1/write", engine.address),
        "K6_PROMETHEUS_RW_PUSH_INTERVAL=1s".to_owned(),
        "K6_NO_USAGE_REPORT=true".to_owned(),
        setting.to_owned(),
        k6().display().to_string(),
        "run".to_owned(),
        "--address=".to_owned(),
        "--out=experimental-prometheus-rw".to_owned(),
        script.display().to_string(),
    ];
    let mut process = Process::start("k6", Path::new("/usr/bin/env"), &arguments, folder);
    assert!(process.wait_for_end().success(), "{}", process.printed());
}

fn k6() -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/k6");
    assert!(file.is_file(), "{} is not there: `tools/test.sh` installs it", file.display());
    file
}

/// The last value of what a query selects, if that is one series.
fn last(engine: &Engine, selector: &str) -> Option<f64> {
    let query = format!("last_over_time({selector}[5m])");
    let found = instant(engine.address, &query, Clock::system().now_ms() + SECOND_MS);
    assert!(found.len() <= 1, "{selector}: {found:?}");
    found.into_values().next().map(|samples| samples[0].1)
}

#[test]
fn k6_brings_its_counters_and_trends() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    run_k6(folder.path(), &engine, "K6_PROMETHEUS_RW_TREND_STATS=p(99),count");
    assert_eq!(last(&engine, r#"k6_sold_total{product="tea"}"#), Some(30.0));
    assert_eq!(last(&engine, "k6_iterations_total"), Some(10.0));
    assert_eq!(last(&engine, "k6_wait_p99"), Some(0.25));
    assert_eq!(last(&engine, "k6_wait_count"), Some(10.0));
}

#[test]
fn native_histograms_of_k6_are_stored_with_their_neighbours() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    run_k6(folder.path(), &engine, "K6_PROMETHEUS_RW_TREND_AS_NATIVE_HISTOGRAM=true");
    assert_eq!(last(&engine, r#"k6_sold_total{product="tea"}"#), Some(30.0));
    let query = |function: &str| {
        let query = format!("{function}(last_over_time(k6_wait[5m]))");
        let found = instant(engine.address, &query, Clock::system().now_ms() + SECOND_MS);
        found.into_values().next().map(|samples| samples[0].1)
    };
    assert_eq!((query("histogram_count"), query("histogram_sum")), (Some(10.0), Some(2.5)));
}

/// Both versions side by side, with native histograms, of which Prometheus has some of its own.
fn histogram_config(servers: &[(SocketAddr, &str)]) -> String {
    let queue = "{ max_shards: 1, batch_send_deadline: 500ms, max_backoff: 1s }";
    let queues = servers.iter().map(|(server, message)| {
        format!(
            "  - {{ url: 'http://{server}/api/v1/write', name: '{message}', protobuf_message: {message}, \
             send_native_histograms: true, queue_config: {queue} }}\n"
        )
    });
    "remote_write:\n".to_owned() + &queues.collect::<String>()
}

/// What a query gives, as it stands in the answer: series by their labels.
fn told(server: SocketAddr, query: &str, at_ms: i64) -> BTreeMap<String, Value> {
    let form = format!("query={}&time={}", percent_encoded(query), at_ms as f64 / 1000.0);
    let data = ask(server, "/api/v1/query", &form);
    let all = data["result"].as_array().expect("a list of series").iter();
    all.map(|one| (one["metric"].to_string(), one.clone())).collect()
}

/// The newest moment of which `server` has a native histogram, if it has some scrapes of them.
fn histograms_until(server: SocketAddr) -> Option<i64> {
    let now_ms = Clock::system().now_ms() + SECOND_MS;
    let all = told(server, r#"prometheus_http_request_duration_seconds{handler="/metrics"}[5m]"#, now_ms);
    let histograms = all.values().next()?["histograms"].as_array()?.clone();
    let newest_s = histograms.last()?[0].as_f64().filter(|_| histograms.len() >= 8)?;
    Some((newest_s * 1000.0) as i64)
}

/// Asked with the name of a metric in place of `H`.
const HISTOGRAM_QUERIES: [&str; 6] = [
    "H[1m]",
    "rate(H[8s])",
    "histogram_quantile(0.9, sum(rate(H[8s])))",
    "histogram_count(H)",
    "histogram_avg(increase(H[8s]))",
    "histogram_fraction(0, 0.005, sum by (job) (H))",
];

#[test]
fn native_histograms_of_prometheus_3_are_its_own_to_the_last_digit_also_after_a_kill() {
    let (first_folder, second_folder) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let (mut first, mut second) = (Engine::start(first_folder.path(), &[]), Engine::start(second_folder.path(), &[]));
    let relays = [Relay::start(first.address), Relay::start(second.address)];
    let address = free_address();
    let servers =
        [(relays[0].address, "prometheus.WriteRequest"), (relays[1].address, "io.prometheus.write.v2.Request")];
    let config = first_folder.path().join("prometheus.yml");
    let text = scrape_config(&[("prometheus", address)]) + &histogram_config(&servers);
    fs::write(&config, text).expect("the folder can be written");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", first_folder.path().join("prometheus").display()),
        format!("--web.listen-address={address}"),
        "--enable-feature=native-histograms".to_owned(),
    ];
    let mut server = Process::start("prometheus", &peer("prometheus"), &arguments, first_folder.path());
    wait_for_listener(&mut server, address);
    let newest_ms = |engine: &Engine| wait_for("histograms arrive", || histograms_until(engine.address));
    let at_ms = newest_ms(&first).min(newest_ms(&second)) - 2 * SECOND_MS;
    let compare = |engine: &Engine, when: &str| {
        for query in HISTOGRAM_QUERIES {
            let query = query.replace('H', "prometheus_http_request_duration_seconds");
            let (ours, theirs) = (told(engine.address, &query, at_ms), told(address, &query, at_ms));
            assert!(!theirs.is_empty(), "{query}: Prometheus says nothing, so this compares nothing");
            assert_eq!(ours, theirs, "{query} {when}");
        }
    };
    for engine in [&mut first, &mut second] {
        compare(engine, "as it came");
        engine.kill();
        engine.start_again();
        compare(engine, "after a kill");
    }
    for (relay, (_, message)) in relays.iter().zip(servers) {
        let exchanges = relay.exchanges();
        let written = exchanges.iter().filter(|exchange| exchange.status() == 204);
        let counted = written.filter_map(|exchange| exchange.answered(HISTOGRAMS_WRITTEN)?.parse::<u64>().ok());
        assert!(counted.sum::<u64>() >= 8, "{message}: {exchanges:?}");
        let is_refused = |exchange: &&Exchange| matches!(exchange.status(), 400 | 415);
        assert!(exchanges.iter().find(is_refused).is_none(), "{message}: {exchanges:?}");
    }
}
