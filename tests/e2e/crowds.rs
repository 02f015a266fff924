//! Many connections, few descriptors, and labels that explode: what a server must bear from strangers.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use dozor::clock::Clock;
use dozor::demo::{RequestEncoder, encode_labels};
use dozor::model::{Labels, METRIC_NAME};
use serde_json::Value;
use tempfile::TempDir;

use crate::api::get;
use crate::client::Client;
use crate::engine::{Engine, dozor};
use crate::process::{Process, free_address};
use crate::wait::wait_until;

/// Idle connections that the test opens.
const IDLE: usize = 8_000;
/// The server's limit, which is none to them.
const CONNECTIONS_MAX: usize = 18_000;

/// A request of a sample of these users each.
fn logins(users: std::ops::Range<usize>, timestamp_ms: i64) -> Vec<u8> {
    let mut encoder = RequestEncoder::new();
    for user in users {
        let user = format!("user-{user}");
        let pairs = [(METRIC_NAME, "logins_active"), ("job", "shop"), ("user", &user)];
        let mut labels = Vec::new();
        encode_labels(&Labels::from_pairs(pairs).expect("labels"), &mut labels);
        encoder.push(&labels, timestamp_ms, 1.0);
    }
    encoder.finish().to_vec()
}

#[test]
fn thousands_of_idle_connections_change_nothing_to_senders_and_queries() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = folder.path().join("dozor.yml");
    fs::write(&config, format!("limits: {{ connections_max: {CONNECTIONS_MAX} }}\n")).expect("a file");
    let mut engine = Engine::start(folder.path(), &[&format!("--config={}", config.display())]);
    let clock = Clock::system();
    let before_bytes = engine.memory_bytes();
    let began = clock.monotonic();
    // As many as this process may have.
    let idle: Vec<TcpStream> = (0..IDLE).map_while(|_| TcpStream::connect(engine.address).ok()).collect();
    assert!(idle.len() > 500, "the limit of open files is too small for this test: {}", idle.len());
    let took = clock.monotonic() - began;
    assert!(took.as_secs() < 20, "{} connections took {took:?}", idle.len());
    wait_until("all are open", || engine.metric("dozor_http_connections") > idle.len() as f64);

    let mut client = engine.client();
    let now_ms = clock.now_ms();
    for round in 0..20 {
        assert_eq!(client.remote_write(&logins(0..10, now_ms + round)).expect("an answer").status, 204);
        assert_eq!(client.get("/api/v1/query?query=count(logins_active)").expect("an answer").status, 200);
        assert_eq!(engine.client().get("/-/healthy").expect("an answer").status, 200);
    }
    let each_bytes = engine.memory_bytes().saturating_sub(before_bytes) / idle.len() as u64;
    assert!(each_bytes < 8 << 10, "{each_bytes} bytes for an idle connection");
    engine.process().assert_running();
}

#[test]
fn server_that_gets_few_descriptors_keeps_some_for_itself() {
    let folder = TempDir::new().expect("a temporary folder");
    let address = free_address();
    let data = folder.path().join("data");
    let command =
        format!("ulimit -n 100; exec {} serve --listen={address} --data-dir={}", dozor().display(), data.display());
    let arguments = ["-c".to_owned(), command];
    let mut process = Process::start("few", std::path::Path::new("/bin/sh"), &arguments, folder.path());
    wait_until("dozor is ready", || {
        process.assert_running();
        Client::new(address).get("/-/ready").is_ok_and(|answer| answer.status == 200)
    });
    assert!(process.printed().contains("limit of open files"), "{}", process.printed());
    let crowd: Vec<TcpStream> = (0..300).filter_map(|_| TcpStream::connect(address).ok()).collect();
    wait_until("the crowd makes room", || closed_for_others(address) >= 200.0);
    // Neither the log nor a question is in want of a descriptor.
    assert_eq!(Client::new(address).get("/-/healthy").expect("an answer").status, 200);
    drop(crowd);
    let body = logins(0..10, Clock::system().now_ms());
    wait_until("writes are taken", || {
        Client::new(address).remote_write(&body).is_ok_and(|answer| answer.status == 204)
    });
    process.assert_running();
}

/// Silent connections that were closed for others.
fn closed_for_others(address: SocketAddr) -> f64 {
    let Ok(answer) = Client::new(address).get("/metrics") else { return 0.0 };
    let text = answer.text();
    let line = text.lines().find_map(|line| {
        line.strip_prefix(r#"dozor_http_connections_refused_total{reason="silent"} "#).map(str::to_owned)
    });
    line.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

#[test]
fn label_that_explodes_is_summed_and_named_and_a_restart_changes_nothing() {
    let folder = TempDir::new().expect("a temporary folder");
    let config = folder.path().join("dozor.yml");
    fs::write(&config, "limits: { series_per_metric_max: 100 }\n").expect("a file");
    let mut engine = Engine::start(folder.path(), &[&format!("--config={}", config.display())]);
    let now_ms = Clock::system().now_ms() - 60_000;
    let mut client = engine.client();
    assert_eq!(client.remote_write(&logins(0..1_000, now_ms)).expect("an answer").status, 204);
    assert_eq!(sum(&engine, now_ms), 1_000.0, "no login is lost");
    assert_eq!(engine.metric("dozor_overflow_series"), 900.0);
    let status = get(engine.address, "/api/v1/status/tsdb");
    let one = &status["overflow"][0];
    assert_eq!(
        (&one["metric"], &one["job"], &one["label"], &one["setting"]),
        (
            &Value::from("logins_active"),
            &Value::from("shop"),
            &Value::from("user"),
            &Value::from("limits.series_per_metric_max")
        ),
        "{status}"
    );
    assert_eq!((&one["limit"], &one["foldedSeries"]), (&Value::from(100), &Value::from(900)), "{status}");

    engine.stop();
    engine.start_again();
    let mut client = engine.client();
    assert_eq!(client.remote_write(&logins(0..1_000, now_ms + 15_000)).expect("an answer").status, 204);
    assert_eq!(sum(&engine, now_ms + 15_000), 1_000.0, "the hundred that were there go on, the others are summed");
    assert_eq!(engine.metric("dozor_head_series"), 101.0);
}

fn sum(engine: &Engine, at_ms: i64) -> f64 {
    let seconds = at_ms as f64 / 1000.0;
    let found = get(engine.address, &format!("/api/v1/query?query=sum(logins_active)&time={seconds}"));
    let value = found["result"][0]["value"][1].as_str().map(str::to_owned);
    value.unwrap_or_else(|| panic!("no sum: {found}")).parse().expect("a number")
}
