//! Rules that are evaluated: as Prometheus evaluates them, over restarts and reloads.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::api::{Series, differences, get, instant, range};
use crate::client::Client;
use crate::engine::Engine;
use crate::process::{Process, free_address, peer, wait_for_listener};
use crate::wait::{wait_for, wait_until};
use crate::webhook::{Pager, Told};
use dozor::clock::Clock;
use dozor::ingest::{append_bytes, append_fixed64, append_number};

const SECOND_MS: i64 = 1000;
/// How often the test's senders send.
const SEND_INTERVAL_MS: i64 = 200;
/// How long the story is that both servers are told, and for how long Prometheus first only watches: it writes no
/// alerts before its second evaluation.
const STORY_MS: i64 = 34 * SECOND_MS;
const QUIET_MS: i64 = 6 * SECOND_MS;

/// Evaluated 2 s behind, so that both have surely taken the samples that are asked about.
const RULES: &str = r#"
groups:
  - name: records
    interval: 1s
    query_offset: 2s
    labels: { team: shop, level: low }
    rules:
      - { record: "job:load:sum", expr: "sum by (job) (load)", labels: { level: high } }
      - { record: "load:high", expr: "load > 5", labels: { node: "" } }
      - { record: "job:load:double", expr: "job:load:sum offset -2s * 2" }
      - { record: "broken", expr: "load * on (job) load" }
  - name: alerts
    interval: 1s
    query_offset: 2s
    labels: { team: shop }
    rules:
      - alert: AtOnce
        expr: load > 5
        annotations: { text: "{{ $labels.node }} has {{ $value }}" }
      - alert: Held
        expr: load > 5
        for: 3s
        labels: { severity: page }
      - alert: Kept
        expr: sum by (job) (load) > 10
        for: 1s
        keep_firing_for: 4s
        labels: { value: "{{ $value }}" }
      - alert: Same
        expr: load > 5
        labels: { node: all }
  - name: limited
    interval: 2s
    query_offset: 2s
    limit: 1
    rules:
      - { alert: Many, expr: "load > 5" }
"#;

/// The loads of two nodes. The second is gone for a while.
fn loads(elapsed_ms: i64) -> Vec<(&'static str, f64)> {
    let second = (elapsed_ms - QUIET_MS) / SECOND_MS;
    let a = if matches!(second, 2..5 | 8..15 | 24..) { 9.0 } else { 1.0 };
    let b = if matches!(second, 10..12 | 17..19) { 8.0 } else { 2.0 };
    vec![("a", a), ("b", b)]
}

/// A message of remote write 1.0 with these samples of `load`, at one moment.
fn message(time_ms: i64, loads: &[(&str, f64)]) -> Vec<u8> {
    let mut request = Vec::new();
    for (node, value) in loads {
        let mut series = Vec::new();
        for (name, text) in [("__name__", "load"), ("job", "shop"), ("node", *node)] {
            let mut label = Vec::new();
            append_bytes(&mut label, 1, name.as_bytes());
            append_bytes(&mut label, 2, text.as_bytes());
            append_bytes(&mut series, 1, &label);
        }
        let mut sample = Vec::new();
        append_fixed64(&mut sample, 1, value.to_bits());
        append_number(&mut sample, 2, u64::try_from(time_ms).expect("after 1970"));
        append_bytes(&mut series, 2, &sample);
        append_bytes(&mut request, 1, &series);
    }
    snap::raw::Encoder::new().compress_vec(&request).expect("it is short")
}

pub(crate) fn send(servers: &[SocketAddr], time_ms: i64, loads: &[(&str, f64)]) {
    let body = message(time_ms, loads);
    for server in servers {
        let answer = Client::new(*server).remote_write(&body).expect("the server answers");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

fn start_prometheus(folder: &Path, rules: &Path) -> (Process, SocketAddr) {
    let (config, address) = (folder.join("prometheus.yml"), free_address());
    fs::write(&config, format!("rule_files: ['{}']\n", rules.display())).expect("the folder can be written");
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.join("prometheus").display()),
        format!("--web.listen-address={address}"),
        "--web.enable-remote-write-receiver".to_owned(),
    ];
    let mut server = Process::start("prometheus", &peer("prometheus"), &arguments, folder);
    wait_for_listener(&mut server, address);
    (server, address)
}

pub(crate) fn write_rules(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("rules.yml");
    fs::write(&file, text).expect("the folder can be written");
    file
}

/// Every sample that rules made, to the millisecond, and what every alert is at every half second.
#[test]
fn prometheus_and_dozor_record_and_alert_at_the_same_instants() {
    let folder = TempDir::new().expect("a temporary folder");
    let rules = write_rules(folder.path(), RULES);
    let (_prometheus, theirs) = start_prometheus(folder.path(), &rules);
    let engine = Engine::start(folder.path(), &[&format!("--rules={}", rules.display())]);
    let ours = engine.address;
    wait_until("Prometheus is ready", || Client::new(theirs).get("/-/ready").is_ok_and(|answer| answer.status == 200));

    let clock = Clock::system();
    let start_ms = clock.now_ms();
    let mut sent_ms = start_ms;
    wait_until("the story is told", || {
        let now_ms = clock.now_ms();
        while sent_ms <= now_ms {
            send(&[ours, theirs], sent_ms, &loads(sent_ms - start_ms));
            sent_ms += SEND_INTERVAL_MS;
        }
        now_ms - start_ms > STORY_MS
    });
    let mut wrong = String::new();
    let mut compare = |what: &str, own: &Series, other: &Series| {
        assert!(!other.is_empty(), "{what}: Prometheus says nothing, so this compares nothing");
        let differing = differences(own, other);
        if !differing.is_empty() {
            wrong.push_str(&format!("{what}\n{differing}"));
        }
    };
    // Both have evaluated up to here, and nothing before is new to either.
    let (from_ms, to_ms) = (start_ms + QUIET_MS - SECOND_MS, start_ms + STORY_MS - 4 * SECOND_MS);
    let window = format!("[{}ms]", to_ms - from_ms);
    for name in ["ALERTS", "ALERTS_FOR_STATE", "job:load:sum", "load:high", "job:load:double"] {
        let query = format!("{name}{window}");
        compare(&query, &instant(ours, &query, to_ms), &instant(theirs, &query, to_ms));
        let steps = |server| range(server, name, from_ms, to_ms, SECOND_MS / 2);
        compare(name, &steps(ours), &steps(theirs));
    }
    assert!(wrong.is_empty(), "ours and Prometheus's differ:\n{wrong}");
    assert_eq!(shown(ours), shown(theirs));
    assert_eq!(engine.metric("dozor_rule_group_iterations_missed_total"), 0.0);
}

/// The rules and alerts that a server tells, without what differs from second to second and how queries are set.
fn shown(server: SocketAddr) -> Vec<String> {
    let mut lines = Vec::new();
    let rules = get(server, "/api/v1/rules");
    for group in rules["groups"].as_array().expect("groups") {
        lines.push(format!("{} {} {} {}", group["name"], group["file"], group["interval"], group["limit"]));
        for rule in group["rules"].as_array().expect("rules") {
            let keys = ["name", "type", "state", "health", "duration", "keepFiringFor", "labels", "annotations"];
            lines.push(keys.map(|key| rule[key].to_string()).join(" "));
            let error = rule["lastError"].as_str().unwrap_or("");
            lines.push(error.split(':').next().unwrap_or("").to_owned());
            let alerts = rule["alerts"].as_array().into_iter().flatten();
            let mut alerts: Vec<String> = alerts.map(shown_alert).collect();
            alerts.sort();
            lines.extend(alerts);
        }
    }
    let alerts = get(server, "/api/v1/alerts");
    let mut alerts: Vec<String> = alerts["alerts"].as_array().expect("alerts").iter().map(shown_alert).collect();
    alerts.sort();
    lines.extend(alerts);
    lines
}

fn shown_alert(alert: &Value) -> String {
    let active_at: jiff::Timestamp = alert["activeAt"].as_str().expect("a time").parse().expect("as RFC 3339");
    let rest = ["state", "labels", "annotations", "value"].map(|key| alert[key].to_string()).join(" ");
    format!("{} {rest}", active_at.as_millisecond())
}

/// A server, a pager and a rule file.
struct Watch {
    folder: TempDir,
    engine: Engine,
    pager: Pager,
}

impl Watch {
    fn start(rules: &str) -> Watch {
        let folder = TempDir::new().expect("a temporary folder");
        let file = write_rules(folder.path(), rules);
        let pager = Pager::new(free_address());
        pager.open(200);
        let arguments = [format!("--rules={}", file.display()), format!("--webhook-url=http://{}/hook", pager.address)];
        let engine = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
        Watch { folder, engine, pager }
    }

    fn send(&self, loads: &[(&str, f64)]) {
        send(&[self.engine.address], Clock::system().now_ms(), loads);
    }

    fn change_rules(&self, rules: &str) {
        write_rules(self.folder.path(), rules);
    }

    fn reload(&self) -> (u16, String) {
        let answer = self.engine.client().post("/-/reload", &[], b"").expect("the engine answers");
        (answer.status, answer.text())
    }

    /// `name status` of everything that was told, in order, once each.
    fn told(&self) -> Vec<String> {
        self.pager.taken_once().iter().map(|told: &Told| format!("{} {}", told.alert_name, told.status)).collect()
    }

    /// The status of every change that was told, once each.
    fn changes(&self) -> Vec<String> {
        self.pager.taken_once().into_iter().map(|told| told.status).collect()
    }

    fn wait_for_told(&self, told: &[&str]) {
        wait_until(&format!("the pager is told {told:?}"), || {
            let all = self.told();
            assert!(all.len() <= told.len(), "{all:?}");
            all == told
        });
    }

    /// The state of an alert, by its name; empty when it is not active.
    fn state(&self, name: &str) -> String {
        self.alert(name).map_or(String::new(), |alert| alert["state"].as_str().expect("a state").to_owned())
    }

    fn alert(&self, name: &str) -> Option<Value> {
        let alerts = get(self.engine.address, "/api/v1/alerts");
        alerts["alerts"].as_array().expect("alerts").iter().find(|alert| alert["labels"]["alertname"] == name).cloned()
    }

    /// How often the groups were evaluated since the start.
    fn evaluations(&self) -> f64 {
        self.engine.metric("dozor_rule_group_iterations_total")
    }

    fn wait_for_evaluations(&self, count: f64) {
        let before = self.evaluations();
        wait_until("the rules are evaluated", || self.evaluations() >= before + count);
    }
}

const TWO: &str = r#"
groups:
  - name: g
    interval: 1s
    rules:
      - { alert: Loaded, expr: "load > 5" }
      - { alert: Patient, expr: "load > 5", for: 1h }
"#;

#[test]
fn a_kill_tells_nothing_twice_and_an_alert_that_ends_is_told() {
    let mut watch = Watch::start(TWO);
    watch.send(&[("a", 9.0)]);
    watch.wait_for_told(&["Loaded firing"]);
    let pending_since = wait_for("one waits", || Some(watch.alert("Patient")?["activeAt"].clone()));
    watch.wait_for_evaluations(3.0);
    for _ in 0..2 {
        watch.engine.kill();
        watch.engine.start_again();
        watch.wait_for_evaluations(3.0);
        assert_eq!(watch.told(), ["Loaded firing"]);
        assert_eq!((watch.state("Loaded"), watch.state("Patient")), ("firing".to_owned(), "pending".to_owned()));
    }
    let parse = |text: &Value| text.as_str().expect("a time").parse::<jiff::Timestamp>().expect("as RFC 3339");
    let now_pending_since = watch.alert("Patient").expect("it waits")["activeAt"].clone();
    let moved_s = (parse(&now_pending_since).as_millisecond() - parse(&pending_since).as_millisecond()) / 1000;
    assert!((0..60).contains(&moved_s), "it waits since {now_pending_since}, before the kill since {pending_since}");
    watch.engine.kill();
    watch.engine.start_again();
    watch.send(&[("a", 1.0)]);
    watch.wait_for_told(&["Loaded firing", "Loaded resolved"]);
    watch.engine.stop();
    watch.engine.start_again();
    watch.wait_for_evaluations(3.0);
    assert_eq!(watch.told(), ["Loaded firing", "Loaded resolved"]);
    let keys: Vec<String> = watch.pager.taken_once().iter().map(|told| told.idempotency_key.clone()).collect();
    assert_eq!(keys[0].replace("firing", "resolved"), keys[1], "both speak of one incident");
}

/// Killed at another moment of each change: before it is evaluated, while it is told, when it is noted.
#[test]
fn kills_at_any_moment_of_a_change_leave_each_told_once_and_in_turn() {
    let mut watch = Watch::start("groups: [{ name: g, interval: 1s, rules: [{ alert: Loaded, expr: 'load > 5' }] }]");
    for change in 0..8_u64 {
        let (load, status) = if change % 2 == 0 { (9.0, "firing") } else { (1.0, "resolved") };
        watch.send(&[("a", load)]);
        std::thread::sleep(Duration::from_millis(change * 430 % 1_300));
        watch.engine.kill();
        watch.engine.start_again();
        let count = usize::try_from(change + 1).expect("a few");
        wait_until(&format!("change {change} is told"), || watch.changes().len() >= count);
        let told = watch.changes();
        assert_eq!(told.last().map(String::as_str), Some(status), "{told:?}");
        assert_eq!(told.len(), count, "{told:?}");
    }
    watch.wait_for_evaluations(2.0);
    assert_eq!(watch.changes().len(), 8, "nothing is told behind the last change");
}

#[test]
fn an_alert_whose_rule_went_while_the_server_was_down_is_resolved() {
    let mut watch = Watch::start(TWO);
    watch.send(&[("a", 9.0)]);
    watch.wait_for_told(&["Loaded firing"]);
    watch.engine.kill();
    watch.change_rules("groups: []\n");
    watch.engine.start_again();
    watch.wait_for_told(&["Loaded firing", "Loaded resolved"]);
}

#[test]
fn a_reload_keeps_what_stays_ends_what_goes_and_refuses_what_is_wrong() {
    let watch = Watch::start(TWO);
    watch.send(&[("a", 9.0)]);
    watch.wait_for_told(&["Loaded firing"]);
    let since = wait_for("one waits", || Some(watch.alert("Patient")?["activeAt"].clone()));

    watch.change_rules(
        "groups:\n  - name: g\n    rules:\n      - { alert: A, expr: 'load >' }\n      - { record: 'r{}', expr: up }\n",
    );
    let (status, text) = watch.reload();
    assert_eq!(status, 400, "{text}");
    assert!(["rules.yml:4:", "rules.yml:5:", "stay in force"].iter().all(|part| text.contains(part)), "{text}");
    watch.wait_for_evaluations(2.0);
    assert_eq!((watch.state("Loaded"), watch.state("Patient")), ("firing".to_owned(), "pending".to_owned()));
    assert_eq!(watch.engine.metric("dozor_rules_last_reload_successful"), 0.0);

    // The first is gone, the second is another expression under the same name, the third is new.
    watch.change_rules(
        "groups:\n  - name: g\n    interval: 1s\n    rules:\n      - { alert: Patient, expr: 'load > 6', for: 1h }\n      \
         - { alert: New, expr: 'load > 7' }\n",
    );
    let (status, text) = watch.reload();
    assert_eq!((status, text.as_str()), (200, r#"{"status":"success","data":{"groups":1,"rules":2}}"#));
    wait_until("both are told", || watch.told().len() == 3);
    let mut told = watch.told();
    told.sort();
    assert_eq!(told, ["Loaded firing", "Loaded resolved", "New firing"]);
    watch.wait_for_evaluations(2.0);
    assert_eq!(watch.alert("Patient").expect("it waits")["activeAt"], since);
    let loaded = instant(watch.engine.address, "ALERTS{alertname='Loaded'}", Clock::system().now_ms());
    assert!(loaded.is_empty(), "{loaded:?}");

    // The group goes, by a signal.
    watch.change_rules("groups: []\n");
    let mut watch = watch;
    let id = watch.engine.process().id();
    let sent = Command::new("sh").args(["-c", &format!("kill -HUP {id}")]).status();
    assert!(sent.expect("there is a shell").success());
    wait_until("it is told", || watch.told().len() == 4);
    assert_eq!(watch.told()[3], "New resolved");
    wait_until("its series end", || instant(watch.engine.address, "ALERTS", Clock::system().now_ms()).is_empty());
    watch.engine.stop();
}
