//! An incident's life with a pager, people, and a server that dies in between.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dozor::clock::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::get;
use crate::engine::{Engine, dozor};
use crate::process::free_address;
use crate::rules::{send, write_rules};
use crate::silences::silence;
use crate::wait::wait_until;
use crate::webhook::{Pager, Told};

const RULES: &str = r#"
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: Overloaded
        expr: max by (job) (load) > 5
        labels: { severity: critical, service: shop }
        annotations:
          summary: "load {{ $value }}"
          runbook_url: "{{ $externalURL }}/runbooks/Overloaded"
"#;

/// How long nobody need acknowledge, and how long after that the next one is told.
const WITHIN_S: u64 = 6;
const OWNER_AFTER_S: u64 = 12;

struct Night {
    folder: TempDir,
    engine: Engine,
    pager: Pager,
    lead: Pager,
    owner: Pager,
    clock: Clock,
}

impl Night {
    fn begin() -> Night {
        Night::by(settings)
    }

    /// By the settings that are made of the receivers.
    fn by(settings: fn(&TempDir, &[(&str, &Pager)]) -> PathBuf) -> Night {
        let folder = TempDir::new().expect("a temporary folder");
        let rules = write_rules(folder.path(), RULES);
        let [pager, lead, owner] = [(); 3].map(|()| Pager::new(free_address()));
        for receiver in [&pager, &lead, &owner] {
            receiver.open(200);
        }
        let settings = settings(&folder, &[("pager", &pager), ("lead", &lead), ("owner", &owner)]);
        let arguments = [format!("--rules={}", rules.display()), format!("--config={}", settings.display())];
        let engine = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
        Night { folder, engine, pager, lead, owner, clock: Clock::system() }
    }

    fn load(&self, load: f64) {
        send(&[self.engine.address], self.clock.now_ms(), &[("a", load)]);
    }

    fn kill_and_start_again(&mut self) {
        self.engine.kill();
        self.engine.start_again();
    }

    /// The only incident there is, as far as there is one.
    fn incident(&self) -> Option<Value> {
        let listed = get(self.engine.address, "/api/v1/incidents");
        let incidents = listed["incidents"].as_array().expect("a list");
        assert!(incidents.len() <= 1, "{incidents:?}");
        incidents.first().cloned()
    }

    fn wait_for_incident(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, || self.incident().is_some_and(|incident| is_so(&incident)));
        self.incident().expect("it was there")
    }
}

/// Who is told when nobody acknowledges.
fn escalation() -> String {
    format!(
        "incidents:\n  acknowledge_within: {{ critical: {WITHIN_S}s }}\n  escalation:\n    - {{ receiver: lead }}\n    \
         - {{ receiver: owner, after: {OWNER_AFTER_S}s }}\n"
    )
}

fn settings(folder: &TempDir, receivers: &[(&str, &Pager)]) -> PathBuf {
    let mut text = escalation() + "webhooks:\n";
    for (name, receiver) in receivers {
        text.push_str(&format!("  - {{ name: {name}, url: 'http://{}/hook' }}\n", receiver.address));
    }
    let file = folder.path().join("dozor.yml");
    fs::write(&file, text).expect("the folder can be written");
    file
}

/// The same receivers in a routing file, whose only route leads to the first of them.
fn routed_settings(folder: &TempDir, receivers: &[(&str, &Pager)]) -> PathBuf {
    let (routing, file) = (folder.path().join("alertmanager.yml"), folder.path().join("dozor.yml"));
    let mut text = format!(
        "route: {{ receiver: {}, group_by: [service], group_wait: 500ms, group_interval: 1s, repeat_interval: 1h }}\nreceivers:\n",
        receivers[0].0
    );
    for (name, receiver) in receivers {
        text.push_str(&format!(
            "- {{ name: {name}, webhook_configs: [{{ url: 'http://{}/hook' }}] }}\n",
            receiver.address
        ));
    }
    fs::write(&routing, text).expect("the folder can be written");
    let settings = format!("{}notify: {{ routing_file: '{}' }}\n", escalation(), routing.display());
    fs::write(&file, settings).expect("the folder can be written");
    file
}

/// The messages by which somebody was woken, not told like everybody.
fn escalations(receiver: &Pager) -> Vec<Told> {
    receiver.told().into_iter().filter(|told| told.idempotency_key.contains("-escalation-")).collect()
}

#[test]
fn nobody_acknowledges_the_lead_is_told_once_over_restarts_and_takes_it() {
    let mut night = Night::begin();
    night.load(9.0);
    let incident = night.wait_for_incident("the pager is told", |one| !one["firstNotifiedAt"].is_null());
    assert_eq!((&incident["state"], &incident["severity"]), (&json!("open"), &json!("critical")));
    assert_eq!((&incident["title"], &incident["root"]["alertname"]), (&json!("load 9"), &json!("Overloaded")));
    let id = incident["id"].as_str().expect("an id").to_owned();
    let runbook = incident["runbookUrl"].as_str().expect("a runbook");
    assert!(runbook.ends_with("/runbooks/Overloaded"), "{runbook}");
    assert!(night.pager.taken().iter().any(|told| told.alert_name == "Overloaded"));
    night.wait_for_incident("its figures are known", |one| one["signals"][0]["value"] == 9.0);

    // Killed before anybody else must be told, and told all the same, once.
    night.kill_and_start_again();
    assert_eq!(night.incident().map(|one| one["id"].clone()), Some(json!(id)));
    let told_at_ms =
        incident["firstNotifiedAt"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("RFC 3339");
    wait_until("the lead is told", || !escalations(&night.lead).is_empty());
    let waited_ms = night.clock.now_ms() - told_at_ms.as_millisecond();
    assert!(waited_ms >= 1000 * WITHIN_S as i64, "told after {waited_ms} ms");
    night.wait_for_incident("that is noted", |one| one["escalations"].as_array().is_some_and(|all| all.len() == 1));
    night.kill_and_start_again();
    let escalation = &escalations(&night.lead)[0];
    assert_eq!(escalation.idempotency_key, format!("{id}-escalation-1"));
    let body: Value = serde_json::from_slice(&escalation.body).expect("JSON");
    let why = body["alerts"][0]["annotations"]["escalation"].as_str().expect("the reason");
    assert_eq!(why, format!("step 1 of 2: incident {id}: nobody acknowledged it within {WITHIN_S}s"));

    let url = format!("--url=http://{}", night.engine.address);
    let run = |arguments: &[&str]| {
        let ran = Command::new(dozor()).arg("incidents").args(arguments).arg(&url).output().expect("it runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("UTF-8")
    };
    assert_eq!(run(&["ack", &id, "--by", "ada"]), format!("{id} is acknowledged by ada\n"));
    assert_eq!(run(&["note", &id, "restarted the cache", "--by", "ada"]), format!("{id} has 1 notes\n"));
    night.kill_and_start_again();
    let incident = night.incident().expect("it is kept");
    assert_eq!((&incident["state"], &incident["acknowledged"]["by"]), (&json!("acknowledged"), &json!("ada")));
    assert_eq!(incident["notes"][0]["text"], "restarted the cache");

    // Past the time of the owner, who sleeps on.
    std::thread::sleep(Duration::from_secs(OWNER_AFTER_S + 2));
    assert_eq!(escalations(&night.owner).len(), 0);
    night.load(1.0);
    let incident = night.wait_for_incident("it is over", |one| one["state"] == "resolved");
    assert!(!incident["resolvedAt"].is_null());
    assert!(run(&["list"]).starts_with(&format!("{id}  resolved")));
    assert!(run(&["show", &id]).contains("restarted the cache"));
    assert_eq!(night.engine.metric("dozor_incidents_open"), 0.0);
    // Whatever was sent again had the id that it had before.
    let keys: BTreeSet<_> = escalations(&night.lead).into_iter().map(|told| told.idempotency_key).collect();
    assert_eq!(keys.len(), 1);
}

/// The lead and the owner are in no route: who is escalated to is told by name, beside the groups.
#[test]
fn through_a_routing_file_nobody_acknowledges_and_each_step_is_told_once_over_kills() {
    let mut night = Night::by(routed_settings);
    night.load(9.0);
    let incident = night.wait_for_incident("the pager is told", |one| !one["firstNotifiedAt"].is_null());
    let id = incident["id"].as_str().expect("an id").to_owned();
    assert!(night.pager.taken().iter().any(|told| told.alert_name == "Overloaded"));

    // Dead when the lead would be told, who sleeps, and dead again right behind that.
    night.kill_and_start_again();
    wait_until("the lead is told", || !escalations(&night.lead).is_empty());
    night.kill_and_start_again();
    wait_until("the owner is told", || !escalations(&night.owner).is_empty());
    night.kill_and_start_again();
    let incident = night.wait_for_incident("both steps are noted", |one| {
        one["escalations"].as_array().is_some_and(|all| all.len() == 2)
    });
    let receivers: Vec<&Value> =
        incident["escalations"].as_array().expect("a list").iter().map(|one| &one["receiver"]).collect();
    assert_eq!(receivers, [&json!("lead"), &json!("owner")]);

    night.load(1.0);
    night.wait_for_incident("it is over", |one| one["state"] == "resolved");
    wait_until("the pager is told of the end", || night.pager.taken().iter().any(|told| told.status == "resolved"));
    wait_until("nothing is owed", || night.engine.metric("dozor_notify_pending") == 0.0);
    // Whatever a kill sent again had the id that it had before, and the pager's groups are told each thing once too.
    for (receiver, expected) in [(&night.lead, 1), (&night.owner, 2)] {
        let keys: BTreeSet<String> = escalations(receiver).into_iter().map(|told| told.idempotency_key).collect();
        assert_eq!(keys, BTreeSet::from([format!("{id}-escalation-{expected}")]));
        assert!(receiver.told().iter().all(|told| told.idempotency_key.contains("-escalation-")), "it has no route");
    }
    let keys = |status: &str| -> BTreeSet<String> {
        let told = night.pager.told().into_iter().filter(|told| told.status == status);
        told.map(|told| told.idempotency_key).collect()
    };
    assert_eq!((keys("firing").len(), keys("resolved").len()), (1, 1));
}

#[test]
fn routing_file_without_a_receiver_of_the_escalation_is_not_reloaded() {
    let night = Night::by(routed_settings);
    let file = night.folder.path().join("alertmanager.yml");
    let text = fs::read_to_string(&file).expect("it was written");
    let reload = || night.engine.client().post("/-/reload", &[], b"").expect("the engine answers");
    assert_eq!(reload().status, 200);
    fs::write(&file, text.replace("name: lead", "name: leader")).expect("the folder can be written");
    let answer = reload();
    assert!(answer.status >= 400, "{}", answer.status);
    assert!(
        answer.text().contains("incidents.escalation \\\"lead\\\": is the name of no receiver"),
        "{}",
        answer.text()
    );
}

#[test]
fn nobody_else_is_woken_while_the_incident_is_silenced() {
    let night = Night::begin();
    night.load(9.0);
    night.wait_for_incident("the pager is told", |one| !one["firstNotifiedAt"].is_null());
    let id = silence(&night.engine, &["add", "alertname=Overloaded", "--comment=known", "--author=dana"]);
    std::thread::sleep(Duration::from_secs(WITHIN_S + 3));
    assert_eq!(escalations(&night.lead).len(), 0);
    silence(&night.engine, &["expire", &id]);
    wait_until("the lead is told", || !escalations(&night.lead).is_empty());
}

#[test]
fn escalation_to_nobody_is_refused_at_the_start() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("dozor.yml");
    fs::write(&file, "incidents: { escalation: [{ receiver: lead }] }\n").expect("the folder can be written");
    let ran = Command::new(dozor())
        .args(["serve", "--listen=127.0.0.1:0"])
        .arg(format!("--data-dir={}", folder.path().join("data").display()))
        .arg(format!("--config={}", file.display()))
        .output()
        .expect("it runs");
    assert!(!ran.status.success());
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("incidents.escalation \"lead\": is the name of no receiver"), "{said}");
}
