//! Pushes of jobs: Debian's Pushgateway beside us, given the same requests, and Python's client.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::instant;
use crate::client::Client;
use crate::engine::Engine;
use crate::process::{Process, free_address, installed, wait_for_listener};
use crate::wait::wait_until;
use dozor::clock::Clock;

/// By its labels as JSON, the value of each series.
type Series = BTreeMap<String, String>;

/// Method, address behind `/metrics`, body: each is sent to both, in this order.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("PUT", "/job/first", "# HELP a what a is\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2.5\n"),
    ("POST", "/job/first", "b 7\n"),
    ("POST", "/job/first", "# TYPE a gauge\na{x=\"3\"} 3\n"),
    ("PUT", "/job/first/shop/eu", "b 1\n"),
    ("PUT", "/job/empty", ""),
    ("PUT", "/job/broken", "b 1"),
    ("PUT", "/job/broken", "b{\n"),
    ("PUT", "/job/broken", "b 0x10\n"),
    ("PUT", "/job/timed", "b 1 1700000000000\n"),
    ("PUT", "/job/clash", "# TYPE a counter\na{x=\"1\"} 1\n"),
    ("PUT", "/job/twice", "b{x=\"1\"} 1\nb{x=\"1\"} 2\n"),
    ("PUT", "/job/types", "# TYPE b gauge\n# TYPE b gauge\nb 1\n"),
    ("PUT", "/job/types", "b 1\n# TYPE b gauge\n"),
    ("PUT", "/job/helps", "# HELP b one\n# HELP b two\nb 1\n"),
    ("PUT", "/job/reserved", "b{__x=\"1\"} 1\n"),
    ("PUT", "/job/labels", "b{x=\"1\",x=\"2\"} 1\n"),
    ("PUT", "/job/slash/", "b 2\n"),
    ("PUT", "/job/value/empty/", "b{empty=\"own\"} 2\n"),
    ("PUT", "/job/value/empty@base64/=", "b{empty=\"own\"} 3\n"),
    ("PUT", "/job/odd/a", "b 1\n"),
    ("PUT", "/job/odd/a/1/b", "b 1\n"),
    ("PUT", "/job/name/__a/1", "b 1\n"),
    ("PUT", "/job/name/1a/1", "b 1\n"),
    ("PUT", "/job/name/a@base64/!", "b 1\n"),
    ("PUT", "/job/name/a/b%2Fc", "b 1\n"),
    ("PUT", "/job/name/a/b%2Fc%2Fd", "b 1\n"),
    ("PUT", "/job/last/a/1/a/2", "b 1\n"),
    ("PUT", "/job/front/job/behind", "b 1\n"),
    ("PUT", "/job/plus+p%2B/a/b%20c+d", "b 1\n"),
    ("PUT", "/job@base64/L3Zhci90bXA=", "b 1\n"),
    ("PUT", "/job@base64/L3Zhci90bXA", "b 2\n"),
    ("PUT", "/job@base64/=", "b 1\n"),
    ("PUT", "/job/gr%C3%B6%C3%9Fe/city@base64/TcO8bmNoZW4", "b{note=\"\u{2603} \\\\ \\\" \\n\"} 1\n"),
    ("PUT", "/job/over", "b{job=\"own\",instance=\"i\"} 5\n"),
    ("PUT", "/job/inst", "z{instance=\"i2\"} 5\n"),
    ("PUT", "/job/inst/instance/i2", "z 5\n"),
    ("PUT", "/job/inst/instance/i3", "z{instance=\"own\"} 5\n"),
    ("PUT", "/job/values", "v1 NaN\nv2 +Inf\nv3 -Inf\nv4 1e3\nv5 1.7976931348623157e308\n"),
    ("PUT", "/job/eof", "b 1\n# EOF\n"),
    (
        "PUT",
        "/job/hist",
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"0.0000001\"} 0\nh_bucket{le=\"1000000\"} 2\n",
    ),
    (
        "PUT",
        "/job/hist2",
        "# TYPE h histogram\nh_bucket{le=\"1\",x=\"y\"} 1\nh_bucket{le=\"+Inf\",x=\"y\"} 4\nh_sum{x=\"y\"} 9.25\nh_count{x=\"y\"} 4\n",
    ),
    ("PUT", "/job/summ", "# TYPE s summary\ns{quantile=\"0.50\"} 1\ns{quantile=\"0.9\"} 2\ns_sum 3\n"),
    ("PUT", "/job/part", "# TYPE s_sum gauge\ns_sum 0\n"),
    ("PUT", "/job/part", "h_count 0\n"),
    ("PUT", "/job/part", "h_bucket 0\n"),
    ("PUT", "/job/own", "push_time_seconds 5\nkept 1\n"),
    ("PUT", "/job/free", "b{quantile=\"1\",le=\"3\"} 5\n"),
    ("PUT", "/job/fails", "b 5\n"),
    ("POST", "/job/fails", "b 6 7\n"),
    ("PUT", "/job/mended", "b 5 5\n"),
    ("PUT", "/job/mended", "b 6\n"),
    ("PUT", "/job/gone", "b 1\n"),
    ("DELETE", "/job/gone", ""),
    ("DELETE", "/job/never", ""),
    ("DELETE", "/job/never/a", ""),
    ("DELETE", "/job/first/shop/eu", ""),
    ("PATCH", "/job/first", ""),
    ("GET", "/job/first", ""),
    ("PUT", "/jobs/first", ""),
];

fn start_pushgateway(folder: &Path) -> (Process, SocketAddr) {
    let address = free_address();
    let program = installed("prometheus-pushgateway", "prometheus-pushgateway");
    let arguments = [
        format!("--web.listen-address={address}"),
        // Debian's own default is a file that all would share.
        format!("--persistence.file={}", folder.join("pushgateway").display()),
    ];
    let mut process = Process::start("pushgateway", &program, &arguments, folder);
    wait_for_listener(&mut process, address);
    (process, address)
}

/// An engine that stores pushed samples again every second.
fn start_engine(folder: &Path) -> Engine {
    let config = folder.join("dozor.yml");
    fs::write(&config, "pushgateway: { resample_interval: 1s }\n").expect("the folder can be written");
    Engine::start(folder, &[&format!("--config={}", config.display())])
}

/// Everything that can be seen in the engine now.
fn ours(address: SocketAddr) -> Series {
    let seen = instant(address, r#"{__name__!=""}"#, Clock::system().now_ms());
    seen.into_iter().map(|(labels, samples)| (labels, samples[0].1.to_string())).collect()
}

/// Everything that was pushed to a Pushgateway, from its page, as a scrape stores it: without empty labels.
fn theirs(address: SocketAddr) -> Series {
    let page = Client::new(address).get("/metrics").expect("the Pushgateway answers").text();
    let is_pushed = |line: &&str| {
        !line.starts_with('#')
            && ["go_", "process_", "pushgateway_", "promhttp_"].iter().all(|own| !line.starts_with(own))
    };
    page.lines().filter(is_pushed).map(read_line).collect()
}

fn read_line(line: &str) -> (String, String) {
    let (series, value) = line.rsplit_once(' ').expect("a value stands last");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let mut pairs = BTreeMap::from([("__name__".to_owned(), name.to_owned())]);
    let mut rest = labels.strip_suffix('}').expect("labels end with a brace");
    while let Some((label, behind)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut letters = behind.char_indices();
        let end = loop {
            match letters.next().expect("a value ends with a quote") {
                (at, '"') => break at,
                (_, '\\') => match letters.next().expect("an escape goes on").1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, letter) => value.push(letter),
            }
        };
        if !value.is_empty() {
            pairs.insert(label.to_owned(), value);
        }
        rest = behind[end + 1..].trim_start_matches(',');
    }
    let value: f64 = value.parse().expect("a number");
    (json!(pairs).to_string(), value.to_string())
}

/// The same, with the times of pushes told only as whether there was one.
fn without_times(series: Series) -> Series {
    let told = |(labels, value): (String, String)| {
        let is_time =
            labels.contains(r#""__name__":"push_time_seconds""#) || labels.contains(r#""push_failure_time_seconds""#);
        let value = if is_time && value != "0" { "some time".to_owned() } else { value };
        (labels, value)
    };
    series.into_iter().map(told).collect()
}

fn assert_alike(engine: SocketAddr, pushgateway: SocketAddr) {
    // `_created` is the time at which a client made a metric: another one in each run.
    let without_created = |series: Series| -> Series {
        without_times(series).into_iter().filter(|(labels, _)| !labels.contains("_created\"")).collect()
    };
    let (ours, theirs) = (without_created(ours(engine)), without_created(theirs(pushgateway)));
    let mut wrong = String::new();
    for (labels, value) in &theirs {
        if ours.get(labels) != Some(value) {
            wrong.push_str(&format!("{labels}: theirs {value}, ours {:?}\n", ours.get(labels)));
        }
    }
    for labels in ours.keys().filter(|labels| !theirs.contains_key(*labels)) {
        wrong.push_str(&format!("{labels}: only ours\n"));
    }
    assert!(wrong.is_empty() && !theirs.is_empty(), "{wrong}");
}

#[test]
fn pushes_mean_what_they_mean_to_a_pushgateway() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = start_engine(folder.path());
    let (_pushgateway, address) = start_pushgateway(folder.path());
    let mut wrong = String::new();
    for (method, path, body) in REQUESTS {
        let ask = |address| {
            let path = format!("/metrics{path}");
            Client::new(address).send(method, &path, &[], body.as_bytes()).expect("a server answers")
        };
        let (ours, theirs) = (ask(engine.address), ask(address));
        if ours.status != theirs.status {
            let (our_text, their_text) = (ours.text(), theirs.text());
            wrong.push_str(&format!(
                "{method} {path} {body:?}: ours {} {our_text}, theirs {} {their_text}\n",
                ours.status, theirs.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_alike(engine.address, address);
    assert_same_groups(engine.address, address);
}

/// A field of a protobuf message with bytes in it, at most 127.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 128).expect("a short field");
    [&[number << 3 | 2, length], bytes].concat()
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [&[number << 3 | 1], value.to_le_bytes().as_slice()].concat()
}

fn count(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// `MetricFamily { name = 1, help = 2, type = 3, metric = 4 { label = 1 { name = 1, value = 2 }, … } }`, behind its length.
fn family(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
    let label = field(1, &[field(1, b"table"), field(2, "größe".as_bytes())].concat());
    let metric = field(4, &[label, value.to_vec()].concat());
    let message = [field(1, name.as_bytes()), field(2, b"A help."), count(3, kind), metric].concat();
    [vec![u8::try_from(message.len()).expect("a short message")], message].concat()
}

#[test]
fn delimited_protobuf_is_read_as_a_pushgateway_reads_it() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = start_engine(folder.path());
    let (_pushgateway, address) = start_pushgateway(folder.path());
    let quantile = field(3, &[double(1, 0.5), double(2, 2.5)].concat());
    let bucket = |bound, number| field(3, &[count(1, number), double(2, bound)].concat());
    let body = [
        family("requests_total", 0, &field(3, &double(1, 12.0))),
        family("level", 1, &field(2, &double(1, -1.5))),
        family("size", 2, &field(4, &[count(1, 3), double(2, 7.5), quantile].concat())),
        family("plain", 3, &field(5, &double(1, f64::INFINITY))),
        family("took", 4, &field(7, &[count(1, 3), double(2, 4.5), bucket(0.1, 0), bucket(1.0, 2)].concat())),
    ];
    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    for address in [engine.address, address] {
        let headers = [("Content-Type", kind)];
        let answer = Client::new(address).send("PUT", "/metrics/job/old", &headers, &body.concat());
        let answer = answer.expect("a server answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let broken = Client::new(address).send("PUT", "/metrics/job/old", &headers, b"xx").expect("a server answers");
        assert_eq!(broken.status, 400, "{}", broken.text());
    }
    assert_alike(engine.address, address);
    assert!(theirs(address).len() >= 13, "so many were compared");
    assert_same_groups(engine.address, address);
}

/// `/api/v1/metrics` without what differs from push to push: times; and without the words about the gateway's own metrics.
fn groups(address: SocketAddr) -> BTreeMap<String, Value> {
    let answer = Client::new(address).get("/api/v1/metrics").expect("a server answers");
    let mut answer: Value = serde_json::from_slice(&answer.body).expect("it answers in JSON");
    assert_eq!(answer["status"], "success");
    let mut groups = BTreeMap::new();
    for group in answer["data"].as_array_mut().expect("a list of groups") {
        for (name, family) in group.as_object_mut().expect("a group is an object") {
            let Some(family) = family.as_object_mut() else { continue };
            if name == "labels" {
                continue;
            }
            let time = family.insert("time_stamp".to_owned(), Value::Null).expect("a family has its time");
            assert!(time.as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')), "{time}");
            let metrics = family["metrics"].as_array_mut().expect("a list of metrics");
            if name.starts_with("push_") {
                for metric in metrics.iter_mut() {
                    metric["value"] = json!(metric["value"] != "0");
                }
                family.remove("help").expect("its meaning is told");
            } else {
                metrics.sort_by_key(|metric| metric["labels"].to_string());
                // The Pushgateway has the last bucket on its page always, and here only where a client sent it.
                for metric in metrics.iter_mut() {
                    metric["buckets"].as_object_mut().map(|buckets| buckets.remove("+Inf"));
                }
            }
        }
        groups.insert(group["labels"].to_string(), group.take());
    }
    groups
}

fn assert_same_groups(engine: SocketAddr, pushgateway: SocketAddr) {
    let (ours, theirs) = (groups(engine), groups(pushgateway));
    assert!(!theirs.is_empty(), "nothing is compared");
    for (labels, group) in &theirs {
        assert_eq!(ours.get(labels), Some(group), "/api/v1/metrics: ours, the Pushgateway's");
    }
    assert_eq!(ours.len(), theirs.len(), "{ours:?}");
}

/// Python with the clients of `tests/e2e/requirements.txt`.
fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    assert!(python.is_file(), "{} is not there: `tools/test.sh` makes it", python.display());
    python
}

/// Pushes with Python's client to the gateway of the first argument; each weird key that it knows to send, too.
const CLIENT: &str = r#"
import sys
from prometheus_client import *
gateway = sys.argv[1]

def metrics(name):
    made = CollectorRegistry()
    Gauge(name + "_last_success", "Last time.", registry=made).set(1.5e9)
    counter = Counter(name + "_rows", "Rows.", ["table"], registry=made)
    counter.labels("orders").inc(12)
    counter.labels("größe \"x\" \\ \n").inc(0.5)
    histogram = Histogram(name + "_took_seconds", "Time.", registry=made)
    for value in (0.003, 0.2, 3, 30):
        histogram.observe(value)
    summary = Summary(name + "_size", "Size.", registry=made)
    summary.observe(7)
    Info(name + "_build", "Build.", registry=made).info({"version": "1.2"})
    Enum(name + "_state", "State.", states=["up", "down"], registry=made).state("down")
    return made

push_to_gateway(gateway, job="nightly", registry=metrics("nightly"))
push_to_gateway(gateway, job="nightly/import", grouping_key={"shop": "eu/1", "empty": "", "n": 7}, registry=metrics("a"))
push_to_gateway(gateway, job="größe +%", grouping_key={"city": "Wien & Köln", "path": "/var/tmp"}, registry=metrics("b"))
pushadd_to_gateway(gateway, job="nightly", registry=metrics("more"))
push_to_gateway(gateway, job="replaced", registry=metrics("c"))
push_to_gateway(gateway, job="replaced", registry=metrics("d"))
push_to_gateway(gateway, job="deleted", grouping_key={"shop": "eu/2"}, registry=metrics("e"))
delete_from_gateway(gateway, job="deleted", grouping_key={"shop": "eu/2"})
push_to_gateway(gateway, job="instance", grouping_key=instance_ip_grouping_key(), registry=metrics("f"))
try:
    bad = CollectorRegistry()
    Counter("nightly_last_success", "Another type.", registry=bad)
    push_to_gateway(gateway, job="bad", registry=bad)
    bad = CollectorRegistry()
    Gauge("nightly_rows_total", "Another type.", registry=bad)
    push_to_gateway(gateway, job="bad", registry=bad)
    sys.exit("a contradiction was taken")
except OSError as error:
    print(error)
"#;

fn run_client(address: SocketAddr, script: &str) {
    let output = Command::new(python()).args(["-c", script, &address.to_string()]).output().expect("Python starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn python_client_pushes_as_to_a_pushgateway() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = start_engine(folder.path());
    let (_pushgateway, address) = start_pushgateway(folder.path());
    for address in [engine.address, address] {
        run_client(address, CLIENT);
    }
    assert_alike(engine.address, address);
    assert!(theirs(address).len() > 100, "so many were compared");
    let types = Client::new(engine.address).get("/api/v1/metadata").expect("the engine answers").text();
    assert!(types.contains(r#""nightly_took_seconds":[{"type":"histogram""#), "{types}");
}

fn put(engine: &Engine, path: &str, body: &str) {
    let answer = engine.client().send("PUT", path, &[], body.as_bytes()).expect("the engine answers");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
}

/// Value and time of the newest sample of a query with one series, or nothing.
fn newest(engine: &Engine, query: &str) -> Option<(f64, f64)> {
    let now_ms = Clock::system().now_ms();
    let value = instant(engine.address, query, now_ms);
    let time = instant(engine.address, &format!("timestamp({query})"), now_ms);
    Some((value.values().next()?[0].1, time.values().next()?[0].1 * 1000.0))
}

#[test]
fn what_was_pushed_outlives_kills_and_restarts() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = start_engine(folder.path());
    put(&engine, "/metrics/job/backup/shop/eu", "# TYPE bytes gauge\nbytes 1.5e9\n");
    put(&engine, "/metrics/job/gone", "gone 1\n");
    let deleted = engine.client().send("DELETE", "/metrics/job/gone", &[], &[]).expect("the engine answers");
    assert_eq!(deleted.status, 202);
    for round in 0..4 {
        if round % 2 == 0 {
            engine.kill();
        } else {
            engine.stop();
        }
        let down_ms = Clock::system().now_ms();
        engine.start_again();
        wait_until("the value is stored anew", || {
            newest(&engine, "bytes").is_some_and(|(value, time_ms)| value == 1.5e9 && time_ms > down_ms as f64)
        });
        assert_eq!(newest(&engine, "gone"), None, "what was deleted stays deleted");
        assert_eq!(engine.metric("dozor_push_groups"), 1.0);
        // Acknowledged directly before the next kill.
        put(&engine, "/metrics/job/backup/shop/eu", "# TYPE bytes gauge\nbytes 7\n");
        put(&engine, "/metrics/job/backup/shop/eu", "# TYPE bytes gauge\nbytes 1.5e9\n");
    }
    let stale = instant(engine.address, "count_over_time(gone[10m])", Clock::system().now_ms());
    assert!(stale.values().all(|samples| samples[0].1 >= 1.0), "it was there, and it ended: {stale:?}");
}

#[test]
fn time_to_live_ends_with_staleness_also_across_a_kill() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut engine = start_engine(folder.path());
    put(&engine, "/metrics/job/short?ttl=3s", "short 1\n");
    put(&engine, "/metrics/job/long", "long 1\n");
    assert!(newest(&engine, "short").is_some());
    engine.kill();
    engine.start_again();
    wait_until("the short one ends, long before the lookback of five minutes", || newest(&engine, "short").is_none());
    assert!(newest(&engine, "long").is_some());
    assert_eq!(newest(&engine, r#"push_time_seconds{job="short"}"#), None);
    assert_eq!(engine.metric("dozor_push_groups_expired_total"), 1.0);
    let header = engine.client().send("PUT", "/metrics/job/header", &[("X-Dozor-TTL", "1s")], b"header 1\n");
    assert_eq!(header.expect("the engine answers").status, 200);
    wait_until("the header's time is over", || newest(&engine, "header").is_none());
    let bad = engine.client().send("PUT", "/metrics/job/bad?ttl=soon", &[], b"bad 1\n").expect("the engine answers");
    assert_eq!(bad.status, 400, "{}", bad.text());
    assert!(bad.text().contains("soon"), "{}", bad.text());
}

#[test]
fn wipe_deletes_all_groups_when_orders_are_taken() {
    let folder = TempDir::new().expect("a temporary folder");
    let engine = start_engine(folder.path());
    put(&engine, "/metrics/job/a", "a 1\n");
    put(&engine, "/metrics/job/b", "b 1\n");
    let web = engine.client().send("PUT", "/api/v1/admin/wipe", &[("Origin", "http://web.example")], &[]);
    assert_eq!(web.expect("the engine answers").status, 403);
    let wiped = engine.client().send("PUT", "/api/v1/admin/wipe", &[], &[]).expect("the engine answers");
    assert_eq!(wiped.status, 202, "{}", wiped.text());
    assert_eq!(ours(engine.address), Series::new());
    assert_eq!(engine.metric("dozor_push_groups"), 0.0);
}
