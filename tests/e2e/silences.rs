//! A silence and a maintenance window hold back a webhook that nothing but `--webhook-url` names.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::engine::{Engine, dozor};
use crate::process::free_address;
use crate::wait::wait_until;
use crate::webhook::Pager;

/// `Backup` is never told.
const SETTINGS: &str = "maintenance: [{ name: nightly, matchers: ['alertname=\"Backup\"'], reason: a busy disk }]\n";
/// Some of the looks that each second takes, at which what is held back could be told.
const LOOKS: Duration = Duration::from_secs(3);

fn push(engine: &Engine, name: &str, ends_at: Option<&str>) {
    let mut alert = json!({ "labels": { "alertname": name }, "startsAt": "2026-01-01T00:00:00Z" });
    if let Some(ends_at) = ends_at {
        alert["endsAt"] = json!(ends_at);
    }
    let body = Value::from(vec![alert]).to_string();
    let answer = engine.client().post("/api/v2/alerts", &[("Content-Type", "application/json")], body.as_bytes());
    let answer = answer.expect("it answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// What `dozor silence` prints.
pub(crate) fn silence(engine: &Engine, arguments: &[&str]) -> String {
    let url = format!("--url=http://{}", engine.address);
    let ran = Command::new(dozor()).arg("silence").args(arguments).arg(url).output().expect("it runs");
    let (told, wrong) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{arguments:?}: {told}{wrong}");
    told.trim().to_owned()
}

/// Name and status of everything that was told.
fn told(pager: &Pager) -> BTreeSet<(String, String)> {
    pager.told().into_iter().map(|told| (told.alert_name, told.status)).collect()
}

fn set(pairs: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    pairs.iter().map(|(name, status)| ((*name).to_owned(), (*status).to_owned())).collect()
}

#[test]
fn a_webhook_without_a_routing_file_hears_nothing_of_what_is_silenced_until_the_silence_ends() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let settings = folder.path().join("dozor.yml");
    fs::write(&settings, SETTINGS).expect("the folder can be written");
    let webhook = format!("--webhook-url=http://{}/hook", pager.address);
    let mut engine = Engine::start(folder.path(), &[&format!("--config={}", settings.display()), &webhook]);
    let id = silence(&engine, &["add", "alertname=~\"Slow|Short\"", "--comment=known", "--author=dana"]);
    for name in ["Slow", "Short", "Backup", "Loud"] {
        push(&engine, name, None);
    }
    wait_until("what is not silenced is told", || told(&pager).contains(&("Loud".to_owned(), "firing".to_owned())));
    push(&engine, "Short", Some("2026-01-02T00:00:00Z"));
    engine.kill();
    engine.start_again();
    std::thread::sleep(LOOKS);
    assert_eq!(told(&pager), set(&[("Loud", "firing")]));
    // It is held back from the pager, and kept for whoever asks.
    let read = |path: &str| engine.client().get(path).expect("it answers").text();
    let incidents = read("/api/v1/incidents");
    for name in ["Slow", "Short", "Backup", "Loud"] {
        assert!(incidents.contains(name), "{name}: {incidents}");
    }
    let alerts = read("/api/v2/alerts");
    assert!(alerts.contains(&id) && alerts.contains("maintenance/nightly"), "{alerts}");

    silence(&engine, &["expire", &id]);
    wait_until("what outlasted the silence is told", || told(&pager).len() == 2);
    assert_eq!(told(&pager), set(&[("Loud", "firing"), ("Slow", "firing")]));
    push(&engine, "Slow", Some("2026-01-02T00:00:00Z"));
    push(&engine, "Backup", Some("2026-01-02T00:00:00Z"));
    wait_until("its end is told", || told(&pager).len() == 3);
    std::thread::sleep(LOOKS);
    assert_eq!(told(&pager), set(&[("Loud", "firing"), ("Slow", "firing"), ("Slow", "resolved")]));
    let keys: BTreeSet<String> = pager.told().into_iter().map(|told| told.idempotency_key).collect();
    assert_eq!(keys.len(), 3, "each under one id: {keys:?}");
}
