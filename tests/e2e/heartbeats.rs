//! Heartbeats of jobs, over restarts, and the server's own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::api::{get, instant};
use crate::engine::Engine;
use crate::process::free_address;
use crate::wait::wait_until;
use crate::webhook::Pager;
use dozor::clock::Clock;

/// What the pager was told of a job, in order, once each.
fn told(pager: &Pager) -> Vec<String> {
    pager.taken_once().iter().map(|told| format!("{} {}", told.alert_name, told.status)).collect()
}

/// Counts the requests to an address.
fn listen() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let (listener, count) = (TcpListener::bind("127.0.0.1:0").expect("a port"), Arc::new(AtomicUsize::new(0)));
    let (address, counted) = (listener.local_addr().expect("bound"), count.clone());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = String::new();
            let read = BufReader::new(&stream).read_line(&mut first);
            if read.is_ok() && first.starts_with("POST /ping/t0ken ") {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (address, count)
}

#[test]
fn job_that_stops_reporting_is_missed_though_the_engine_was_killed_and_the_engine_says_that_it_lives() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let (watcher, pings) = listen();
    let settings = folder.path().join("dozor.yml");
    let text = format!(
        "heartbeats:\n- {{ job: often, every: 10s, grace: 1s }}\n- {{ job: nightly, schedule: '0 3 * * *' }}\n\
         heartbeat_out: {{ url: 'http://{watcher}/ping/t0ken', interval: 1s }}\n"
    );
    fs::write(&settings, text).expect("written");
    let arguments =
        [format!("--config={}", settings.display()), format!("--webhook-url=http://{}/hook", pager.address)];
    let mut engine = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
    let beat = |engine: &Engine, of: &str| get(engine.address, &format!("/api/v1/heartbeat/{of}"));

    assert_eq!(beat(&engine, "often?duration=2s")["listed"], true);
    assert_eq!(beat(&engine, "nightly?exit_code=3")["listed"], true);
    assert_eq!(beat(&engine, "stranger")["listed"], false);
    wait_until("the failure is told", || told(&pager) == ["HeartbeatFailed firing"]);

    // What was answered is on disk, and known by the one that comes after.
    engine.kill();
    engine.start_again();
    let now_ms = Clock::system().now_ms();
    for name in ["dozor_heartbeat_timestamp_seconds", "dozor_heartbeat_success"] {
        assert_eq!(instant(engine.address, name, now_ms).len(), 3, "{name}");
    }
    let listed = get(engine.address, "/api/v1/heartbeats");
    assert_eq!(
        (&listed["heartbeats"][0]["state"], &listed["heartbeats"][1]["state"]),
        (&"ok".into(), &"failed".into())
    );
    wait_until("the one that is missing is told", || told(&pager).len() == 2);
    assert_eq!(told(&pager), ["HeartbeatFailed firing", "HeartbeatMissed firing"], "a restart ends nothing");
    beat(&engine, "often");
    beat(&engine, "nightly?status=ok");
    wait_until("both are well again", || told(&pager).len() >= 4);
    let mut all = told(&pager);
    all.truncate(4);
    all.sort();
    let expected =
        ["HeartbeatFailed firing", "HeartbeatFailed resolved", "HeartbeatMissed firing", "HeartbeatMissed resolved"];
    assert_eq!(all, expected);

    let before = pings.load(Ordering::SeqCst);
    wait_until("it says that it lives", || pings.load(Ordering::SeqCst) > before);
    assert_eq!(engine.metric("dozor_heartbeat_out_well"), 1.0);
    let shown = engine.client().get("/api/v1/status/config").expect("the settings are shown").text();
    assert!(!shown.contains("t0ken"), "its path is a secret: {shown}");
    engine.stop();
}

#[test]
fn reload_puts_other_jobs_and_windows_in_force_or_with_a_fault_none_of_them() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let settings = folder.path().join("dozor.yml");
    let write = |text: &str| fs::write(&settings, text).expect("written");
    write("heartbeats:\n- { job: often, every: 1s, grace: 1s }\n- { job: stays, every: 1h }\n");
    let arguments =
        [format!("--config={}", settings.display()), format!("--webhook-url=http://{}/hook", pager.address)];
    let mut engine = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
    let reload = |engine: &Engine| engine.client().post("/-/reload", &[], b"").expect("the engine answers");
    let jobs = |engine: &Engine| {
        let listed = get(engine.address, "/api/v1/heartbeats");
        let line = |job: &serde_json::Value| format!("{} {}", job["job"], job["state"]).replace('"', "");
        listed["heartbeats"].as_array().expect("a list").iter().map(line).collect::<Vec<_>>()
    };
    get(engine.address, "/api/v1/heartbeat/stays");
    get(engine.address, "/api/v1/heartbeat/new");
    wait_until("the one that is missing is told", || told(&pager) == ["HeartbeatMissed firing"]);

    write(
        "heartbeats:\n- { job: a, max_age: 1h, metric: 'up{' }\nmaintenance:\n- { name: m, matchers: ['a'] }\n\
         - { name: n, matchers: ['a=b'], months: [smarch] }\n",
    );
    let refused = reload(&engine);
    let text = refused.text();
    assert_eq!(refused.status, 400, "{text}");
    assert!(["dozor.yml:2:", "dozor.yml:4:", "dozor.yml:5:"].iter().all(|line| text.contains(line)), "{text}");
    assert_eq!(engine.metric("dozor_rules_last_reload_successful"), 0.0);
    assert_eq!(jobs(&engine), ["often missed", "stays ok"]);

    write(
        "retention: 40d\nheartbeats:\n- { job: new, every: 1h }\n- { job: stays, every: 1h }\n\
         - { job: soon, every: 1s, grace: 0s }\n\
         maintenance:\n- { name: known, matchers: ['job=soon'] }\n\
         detection: { calendar: [{ name: Christmas, from: 12-24 }] }\n",
    );
    let reloaded = reload(&engine);
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    assert!(reloaded.text().contains("these settings wait for a restart: retention\""), "{}", reloaded.text());
    assert_eq!(engine.metric("dozor_rules_last_reload_successful"), 1.0);
    wait_until("the end of the one that went is told", || told(&pager).len() >= 2);
    // Reports from before the reload are known.
    wait_until("the new one is missed", || jobs(&engine) == ["new ok", "stays ok", "soon missed"]);
    let alerts = || engine.client().get("/api/v2/alerts").expect("the engine answers").text();
    wait_until("it fires", || alerts().contains(r#""job":"soon""#));
    assert!(alerts().contains(r#""silencedBy":["maintenance/known"]"#), "{}", alerts());
    let mut all = told(&pager);
    all.sort();
    assert_eq!(all, ["HeartbeatMissed firing", "HeartbeatMissed resolved"], "its window holds the new one back");
    let shown = get(engine.address, "/api/v1/status/config");
    let shown = shown["yaml"].as_str().expect("a text");
    assert!(shown.contains("job: \"new\"") && shown.contains("Christmas") && !shown.contains("40d"), "{shown}");
    engine.stop();
}
