//! `dozor replay`: what it says of the past is what a server with the same rules really told, and nothing of the past
//! changes by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use dozor::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use crate::engine::{Engine, dozor};
use crate::process::free_address;
use crate::rules::{send, write_rules};
use crate::wait::wait_until;
use crate::webhook::Pager;

/// Evaluated 2 s behind, so that everything that is asked about has surely come.
const RULES: &str = r#"
groups:
  - name: plain
    interval: 1s
    query_offset: 2s
    rules:
      - { alert: AtOnce, expr: load > 5 }
      - { alert: Held, expr: load > 5, for: 2s }
      - { alert: Kept, expr: load > 5, keep_firing_for: 2s }
  - name: recorded
    interval: 1s
    query_offset: 2s
    rules:
      - { record: load_sum, expr: sum(load) }
      - { alert: Sum, expr: load_sum > 12, for: 1s }
"#;
const SEND_INTERVAL_MS: i64 = 200;
const STORY_MS: i64 = 20_000;

fn loads(elapsed_ms: i64) -> Vec<(&'static str, f64)> {
    let a = if matches!(elapsed_ms / 1_000, 2 | 3 | 5..9 | 11) { 9.0 } else { 1.0 };
    let b = if matches!(elapsed_ms / 1_000, 7..12) { 8.0 } else { 2.0 };
    vec![("a", a), ("b", b)]
}

/// Each alert: name, node, when it fired, when it was resolved.
type Alerts = BTreeSet<(String, String, i64, i64)>;

fn moment_ms(text: &Value) -> i64 {
    text.as_str().expect("a moment").parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond()
}

/// What the pager was told is over.
fn told(pager: &Pager) -> Alerts {
    let over = pager.taken().into_iter().filter(|told| told.status == "resolved");
    over.map(|told| {
        let body: Value = serde_json::from_slice(&told.body).expect("JSON");
        let alert = &body["alerts"][0];
        let node = alert["labels"]["node"].as_str().unwrap_or("").to_owned();
        (told.alert_name, node, moment_ms(&alert["startsAt"]), moment_ms(&alert["endsAt"]))
    })
    .collect()
}

/// Runs `dozor replay` and gives its exit code and what it printed.
fn replay(arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(dozor()).args(["replay", "--format=json"]).args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code().expect("an exit code"), told)
}

fn fired(replayed: &Value) -> Alerts {
    let mut all = Alerts::new();
    for rule in replayed["rules"].as_array().expect("rules") {
        for firing in rule["firings"].as_array().expect("firings") {
            let name = rule["alert"].as_str().expect("a name").to_owned();
            let node = firing["labels"]["node"].as_str().unwrap_or("").to_owned();
            all.insert((name, node, moment_ms(&firing["firedAt"]), moment_ms(&firing["resolvedAt"])));
        }
    }
    all
}

/// Every file below a folder, with its bytes.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => _ = files.insert(path.display().to_string(), fs::read(&path).expect("a file")),
            }
        }
    }
    files
}

#[test]
fn a_replay_says_what_a_server_told_and_leaves_the_folder_as_it_is() {
    let folder = TempDir::new().expect("a temporary folder");
    let rules = write_rules(folder.path(), RULES);
    let pager = Pager::new(free_address());
    pager.open(200);
    let rules_flag = format!("--rules={}", rules.display());
    let mut engine =
        Engine::start(folder.path(), &[&rules_flag, &format!("--webhook-url=http://{}/hook", pager.address)]);
    let clock = Clock::system();
    let (start_ms, mut sent_ms) = (clock.now_ms(), clock.now_ms());
    wait_until("the story is told", || {
        let now_ms = clock.now_ms();
        while sent_ms <= now_ms {
            send(&[engine.address], sent_ms, &loads(sent_ms - start_ms));
            sent_ms += SEND_INTERVAL_MS;
        }
        now_ms - start_ms > STORY_MS
    });
    let real = told(&pager);
    let names: BTreeSet<&str> = real.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["AtOnce", "Held", "Kept", "Sum"], "the story has all of them");

    let moment = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    let (from, to) = (format!("--from={}", moment(start_ms)), format!("--to={}", moment(sent_ms)));
    let url = format!("--url=http://{}", engine.address);
    let (code, online) = replay(&[&url, &rules_flag, &from, &to]);
    assert_eq!(fired(&online), real);
    // One rule reads what these rules record, which is said.
    assert_eq!((code, online["notes"].as_array().expect("notes").len()), (2, 1));
    // The server's own rules, without their offset, which it does not tell: as many, 2 s earlier.
    let (_, own) = replay(&[&url, &from, &to]);
    assert_eq!(fired(&own).len(), real.len());

    // Killed, so that the log ends in what was reserved for it.
    engine.kill();
    let data = engine.data_folder();
    let data_flag = format!("--data-dir={}", data.display());
    let before = content(&data);
    let (code, at_rest) = replay(&[&data_flag, &rules_flag]);
    assert_eq!((fired(&at_rest), code), (real, 0), "{at_rest}");
    let held = &at_rest["rules"][1];
    assert_eq!((held["alert"].as_str(), held["forSeconds"].as_f64()), (Some("Held"), Some(2.0)));
    let after = content(&data);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before == after, "a file has changed");

    // A snapshot is replayed as the folder is, and stays as it is too.
    let snapshot = crate::backup::printed(&["snapshot", &data_flag]);
    let snapshot = Path::new(snapshot.trim());
    let before = content(snapshot);
    let (_, of_snapshot) = replay(&[&format!("--data-dir={}", snapshot.display()), &rules_flag]);
    assert_eq!(fired(&of_snapshot), fired(&at_rest));
    assert!(before == content(snapshot), "a file of the snapshot has changed");
}

/// `stddev` is evaluated every 15 s of event time, `max` is fed.
const ANOMALIES: &str = r#"
groups:
  - name: anomalies
    rules:
      - { alert: Spread, expr: stddev(load), anomaly: { limit: { above: 2, for: 1m } } }
      - { alert: Loaded, expr: max(load), anomaly: { limit: { above: 5, for: 1m } } }
"#;
const ROUND_MS: i64 = 15_000;
const ROUNDS: i64 = 160;

#[test]
fn anomalies_of_evaluated_and_of_fed_rules_are_replayed_at_the_instants_of_the_server() {
    let folder = TempDir::new().expect("a temporary folder");
    let rules = write_rules(folder.path(), ANOMALIES);
    let pager = Pager::new(free_address());
    pager.open(200);
    let rules_flag = format!("--rules={}", rules.display());
    let mut engine =
        Engine::start(folder.path(), &[&rules_flag, &format!("--webhook-url=http://{}/hook", pager.address)]);
    // Forty minutes up to now, sent at once; for ten of them one node has 9 more than the other.
    let start_ms = Clock::system().now_ms() - ROUNDS * ROUND_MS;
    for round in 0..ROUNDS {
        let a = if (60..100).contains(&round) { 10.0 } else { 1.0 };
        send(&[engine.address], start_ms + round * ROUND_MS, &[("a", a), ("b", 1.0)]);
        if round == 0 {
            // The server begins with the newest moment of its first look; behind that it leaves none out.
            wait_until("it has looked once", || engine.metric("dozor_query_plans_total") > 0.0);
        }
    }
    wait_until("both began and ended", || told(&pager).len() == 2);
    let real = told(&pager);
    let names: Vec<&str> = real.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["Loaded", "Spread"]);
    engine.kill();
    let data_flag = format!("--data-dir={}", engine.data_folder().display());
    let (code, at_rest) = replay(&[&data_flag, &rules_flag]);
    assert_eq!((fired(&at_rest), code), (real, 0), "{at_rest}");
}
