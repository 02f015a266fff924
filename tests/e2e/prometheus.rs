//! Real senders: Prometheus as a server and as an agent, and vmagent.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::api::{Series, differences, get, instant, range};
use crate::client::percent_encoded;
use crate::engine::Engine;
use crate::process::{Process, free_address, installed, wait_for_listener};
use crate::scrapes::{CountingExporter, METRIC};
use crate::wait::{wait_for, wait_until};
use dozor::clock::Clock;

const SECOND_MS: i64 = 1000;
/// How much both servers must have before they are compared, in event time: [`RANGE_MS`], the longest window and a bit.
/// In a window that begins before a counter does, Prometheus 2 extrapolates otherwise than Prometheus 3.
const HISTORY_MS: i64 = 50 * SECOND_MS;
/// How long the ranges are that are asked for.
const RANGE_MS: i64 = 24 * SECOND_MS;

/// Asked of both for one moment and for a range.
const QUERIES: [&str; 26] = [
    "up",
    r#"node_cpu_seconds_total{mode=~"user|system",cpu!=""}"#,
    "node_memory_MemFree_bytes",
    r#"{__name__=~"node_network_(receive|transmit)_bytes_total",device!~"veth.*"}"#,
    "rate(node_cpu_seconds_total[15s])",
    "increase(prometheus_tsdb_head_samples_appended_total[20s])",
    "irate(node_cpu_seconds_total[10s])",
    "sum by (mode) (rate(node_cpu_seconds_total[15s]))",
    "sum(rate(prometheus_http_requests_total[20s])) without (instance)",
    "avg without (cpu) (node_cpu_seconds_total)",
    "min by (job) (scrape_duration_seconds)",
    "count by (job) ({__name__=~\".+\"})",
    "max_over_time(node_load1[20s])",
    "avg_over_time(go_goroutines[17s])",
    "count_over_time(up[20s])",
    "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[20s])))",
    "histogram_quantile(0.5, prometheus_http_request_duration_seconds_bucket)",
    "(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes) / node_memory_MemTotal_bytes * 100",
    "node_filesystem_avail_bytes < 1e12",
    "go_goroutines > bool 20",
    "scrape_samples_scraped - on (job, instance) scrape_samples_post_metric_relabeling",
    "node_filesystem_avail_bytes / ignoring (type) node_filesystem_size_bytes",
    "rate(node_cpu_seconds_total[15s]) / on (job, instance) group_left () (node_load1 + 1)",
    "abs(node_load1 - node_load5)",
    "time() - process_start_time_seconds",
    "node_cpu_seconds_total offset 10s",
];

fn prometheus() -> PathBuf {
    installed("prometheus", "prometheus")
}

pub(crate) fn start_node_exporter(folder: &Path) -> (Process, SocketAddr) {
    let address = free_address();
    (start_node_exporter_at(folder, address), address)
}

pub(crate) fn start_node_exporter_at(folder: &Path, address: SocketAddr) -> Process {
    let program = installed("prometheus-node-exporter", "prometheus-node-exporter");
    let mut exporter = Process::start("node-exporter", &program, &[format!("--web.listen-address={address}")], folder);
    wait_for_listener(&mut exporter, address);
    exporter
}

/// Prometheus at this address, which scrapes these jobs each second and sends to the engine.
pub(crate) fn start_prometheus(
    folder: &Path,
    address: SocketAddr,
    jobs: &[(&str, SocketAddr)],
    engine: SocketAddr,
) -> Process {
    let config = folder.join("prometheus.yml");
    fs::write(&config, scrape_config(jobs) + &remote_write_config(engine)).expect("the folder can be written");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("prometheus").display()),
        format!("--web.listen-address={address}"),
    ];
    let mut server = Process::start("prometheus", &prometheus(), &arguments, folder);
    wait_for_listener(&mut server, address);
    server
}

/// A configuration that scrapes the given jobs each second.
pub(crate) fn scrape_config(jobs: &[(&str, SocketAddr)]) -> String {
    let mut text = "global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n".to_owned();
    for (job, address) in jobs {
        text.push_str(&format!("  - {{ job_name: {job}, static_configs: [{{ targets: ['{address}'] }}] }}\n"));
    }
    text
}

/// One queue, so that samples come in the order of the scrapes and a later one proves all earlier ones.
fn remote_write_config(engine: SocketAddr) -> String {
    let queue = "{ max_shards: 1, batch_send_deadline: 500ms, max_backoff: 1s }";
    format!("remote_write:\n  - {{ url: 'http://{engine}/api/v1/write', queue_config: {queue} }}\n")
}

#[test]
fn prometheus_server_and_dozor_answer_alike() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let (_exporter, exporter_address) = start_node_exporter(folder.path());
    let address = free_address();
    let jobs = [("node", exporter_address), ("prometheus", address)];
    let _server = start_prometheus(folder.path(), address, &jobs, engine.address);

    let end_ms = wait_for_history(engine.address);
    let at_ms = off_the_grid(engine.address, end_ms);
    wait_until("what was scraped after the moment asked about is there", || end_ms_of(engine.address) > at_ms);
    let mut wrong = String::new();
    let mut compare = |what: String, ours: &Series, theirs: &Series| {
        assert!(!theirs.is_empty(), "{what}: Prometheus says nothing, so this compares nothing");
        let differing = differences(ours, theirs);
        if !differing.is_empty() {
            wrong.push_str(&format!("{what}\n{differing}"));
        }
    };
    for query in QUERIES {
        let (ours, theirs) = (instant(engine.address, query, at_ms), instant(address, query, at_ms));
        compare(format!("{query} at {at_ms}"), &ours, &theirs);
        let start_ms = at_ms - RANGE_MS;
        let ask = |server| range(server, query, start_ms, at_ms, 3 * SECOND_MS);
        compare(format!("{query} from {start_ms} to {at_ms}"), &ask(engine.address), &ask(address));
    }
    assert!(wrong.is_empty(), "answers differ:\n{wrong}");
    assert_same_catalogue(engine.address, address);
}

/// Waits until both jobs have [`HISTORY_MS`] behind them; gives a whole second for which everything has come.
fn wait_for_history(engine: SocketAddr) -> i64 {
    let (start_ms, end_ms) = wait_for("both jobs are scraped", || times_of_up(engine));
    let enough_ms = start_ms.max(end_ms - SECOND_MS) + HISTORY_MS;
    wait_until("there is enough to compare", || end_ms_of(engine) > enough_ms);
    enough_ms - enough_ms.rem_euclid(SECOND_MS) - SECOND_MS
}

/// From when to when both jobs have samples.
fn times_of_up(engine: SocketAddr) -> Option<(i64, i64)> {
    let up = instant(engine, "up[5m]", Clock::system().now_ms() + SECOND_MS);
    let start_ms = up.values().map(|samples| samples[0].0).max()?;
    let end_ms = up.values().filter_map(|samples| samples.last()).map(|sample| sample.0).min()?;
    (up.len() == 2).then_some((start_ms, end_ms))
}

fn end_ms_of(engine: SocketAddr) -> i64 {
    times_of_up(engine).expect("both jobs have samples").1
}

/// The moment within the second before `end_ms` that is farthest from every sample: Prometheus 2 counts a sample at the
/// left edge of a window, and we, as Prometheus 3, do not. All windows and steps are whole seconds, so there is one
/// edge to keep clear of.
fn off_the_grid(engine: SocketAddr, end_ms: i64) -> i64 {
    let up = instant(engine, "up[5m]", end_ms + 10 * SECOND_MS);
    let mut taken: Vec<i64> = up.values().flatten().map(|sample| sample.0.rem_euclid(SECOND_MS)).collect();
    taken.sort_unstable();
    taken.dedup();
    let distance = |fraction: i64| {
        let apart =
            |other: &i64| (fraction - other).rem_euclid(SECOND_MS).min((other - fraction).rem_euclid(SECOND_MS));
        taken.iter().map(apart).min().expect("there are samples")
    };
    let fraction = (0..SECOND_MS).max_by_key(|fraction| distance(*fraction)).expect("a second has moments");
    assert!(distance(fraction) > 0, "samples at every millisecond of the second");
    end_ms - SECOND_MS + fraction
}

fn assert_same_catalogue(engine: SocketAddr, prometheus: SocketAddr) {
    let selector = percent_encoded(r#"{__name__=~"node_.*"}"#);
    let paths = [
        "/api/v1/labels".to_owned(),
        "/api/v1/label/job/values".to_owned(),
        "/api/v1/label/__name__/values".to_owned(),
        format!("/api/v1/label/device/values?match[]={selector}"),
        format!("/api/v1/series?match[]={selector}"),
    ];
    for path in paths {
        let list = |server| {
            let list = get(server, &path);
            let mut lines: Vec<String> = list.as_array().expect("a list").iter().map(ToString::to_string).collect();
            lines.sort();
            lines
        };
        // Prometheus knows a new series a moment before it is sent.
        let mut seen = (Vec::new(), Vec::new());
        for _ in 0..60 {
            seen = (list(engine), list(prometheus));
            if seen.0 == seen.1 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(250));
        }
        assert!(!seen.1.is_empty(), "{path}: Prometheus says nothing, so this compares nothing");
        assert_eq!(seen.0, seen.1, "{path}: ours, Prometheus's");
    }
}

#[test]
fn prometheus_agent_leaves_no_gap_when_dozor_is_killed() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let exporter = CountingExporter::start();
    let config = folder.path().join("agent.yml");
    let text = scrape_config(&[("counting", exporter.address)]) + &remote_write_config(engine.address);
    fs::write(&config, text).expect("the folder can be written");
    let arguments = [
        "--enable-feature=agent".to_owned(),
        format!("--config.file={}", config.display()),
        format!("--storage.agent.path={}", folder.path().join("agent").display()),
        format!("--web.listen-address={}", free_address()),
    ];
    let agent = Process::start("prometheus-agent", &prometheus(), &arguments, folder.path());
    assert_no_scrape_is_lost(engine, &exporter, agent);
}

#[test]
fn vmagent_leaves_no_gap_when_dozor_is_killed() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let exporter = CountingExporter::start();
    let agent = start_vmagent(folder.path(), engine.address, &[("counting", exporter.address)]);
    assert_no_scrape_is_lost(engine, &exporter, agent);
}

#[test]
fn vmagent_brings_what_the_node_exporter_says() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let (_exporter, exporter_address) = start_node_exporter(folder.path());
    let _agent = start_vmagent(folder.path(), engine.address, &[("node", exporter_address)]);
    let now = || instant(engine.address, r#"up{job="node"}"#, Clock::system().now_ms());
    wait_until("vmagent's scrapes arrive", || now().values().any(|samples| samples[0].1 == 1.0));
    let rates = || instant(engine.address, "rate(node_cpu_seconds_total[30s])", Clock::system().now_ms());
    let rates = wait_for("there are rates", || Some(rates()).filter(|rates| rates.len() >= 8));
    // A core spends its time in eight or more modes, which together cannot take more than the time that passes.
    let idle: Vec<f64> = rates.values().map(|samples| samples[0].1).collect();
    assert!(idle.iter().all(|rate| (0.0..1.5).contains(rate)), "{rates:?}");
    assert!(idle.iter().sum::<f64>() > 0.1, "{rates:?}");
}

fn start_vmagent(folder: &Path, engine: SocketAddr, jobs: &[(&str, SocketAddr)]) -> Process {
    let config = folder.join("vmagent.yml");
    fs::write(&config, scrape_config(jobs)).expect("the folder can be written");
    let arguments = [
        format!("-promscrape.config={}", config.display()),
        format!("-remoteWrite.url=http://{engine}/api/v1/write"),
        format!("-remoteWrite.tmpDataPath={}", folder.join("vmagent").display()),
        format!("-httpListenAddr={}", free_address()),
    ];
    Process::start("vmagent", &installed("vmagent", "victoria-metrics"), &arguments, folder)
}

/// Kills the engine while the agent scrapes on, starts it again, and looks for each scrape.
pub(crate) fn assert_no_scrape_is_lost(mut engine: Engine, exporter: &CountingExporter, mut agent: Process) {
    let wait_for_scrapes = |count: u64, agent: &mut Process| {
        let wanted = exporter.answered() + count;
        wait_until("the agent scrapes", || {
            agent.assert_running();
            exporter.answered() >= wanted
        });
    };
    wait_for_scrapes(5, &mut agent);
    wait_until("scrapes arrive", || stored(&engine).len() >= 3);
    engine.kill();
    wait_for_scrapes(6, &mut agent);
    engine.start_again();
    wait_for_scrapes(4, &mut agent);
    let wanted = exporter.answered() - 1;
    // Senders work side by side and rest longer from failure to failure: an early scrape may come after the last.
    wait_until("each scrape arrives, those of the time when the engine was away too", || {
        let stored = stored(&engine);
        stored.len() as u64 >= wanted && stored.last().is_some_and(|last| *last as usize == stored.len())
    });
    let stored = stored(&engine);
    let scraped: Vec<f64> = (1..=stored.len()).map(|number| number as f64).collect();
    assert_eq!(stored, scraped, "each scrape once, none missing");
}

/// The numbers of the scrapes that are stored, by time.
pub(crate) fn stored(engine: &Engine) -> Vec<f64> {
    let all = instant(engine.address, &format!("{METRIC}[10m]"), Clock::system().now_ms() + SECOND_MS);
    assert!(all.len() <= 1, "more than one series: {all:?}");
    all.into_values().flatten().map(|sample| sample.1).collect()
}

/// What tells a target that was removed from one that is down: the end of its `up` is told at once.
#[test]
fn target_that_is_taken_out_of_a_prometheus_is_said_goodbye_to() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = Engine::start(folder.path(), &[]);
    let (_one, one_address) = start_node_exporter(folder.path());
    let (_other, other_address) = start_node_exporter(folder.path());
    let targets = folder.path().join("targets.json");
    let scrape = |addresses: &[SocketAddr]| {
        let names: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        fs::write(&targets, format!("[{{ \"targets\": [{}] }}]", names.join(", "))).expect("written");
    };
    scrape(&[one_address, other_address]);
    let config = folder.path().join("files.yml");
    let jobs = format!("  - {{ job_name: node, file_sd_configs: [{{ files: ['{}'] }}] }}\n", targets.display());
    fs::write(&config, scrape_config(&[]) + &jobs + &remote_write_config(engine.address)).expect("written");
    let address = free_address();
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.path().join("prometheus").display()),
        format!("--web.listen-address={address}"),
    ];
    let mut server = Process::start("prometheus", &prometheus(), &arguments, folder.path());
    wait_for_listener(&mut server, address);
    let up = || instant(engine.address, "up", Clock::system().now_ms());
    wait_until("both are up", || up().len() == 2);
    scrape(&[other_address]);
    // Without a marker it would be found for five minutes, which is longer than is waited.
    wait_until("one is left", || up().len() == 1);
}
