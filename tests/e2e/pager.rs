//! The pager is told once, surely and in order, whoever dies in between.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tempfile::TempDir;

use crate::backup::printed;
use crate::engine::Engine;
use crate::process::free_address;
use crate::shop::{ALERTS, BROKEN_REGION, RULES, Story};
use crate::wait::wait_until;
use crate::webhook::{Pager, Told};

const MINUTE_MS: i64 = 60_000;

fn start_engine(folder: &Path, pager: &Pager) -> Engine {
    let secret = Pager::secret_file(folder);
    let arguments = [
        format!("--rules={RULES}"),
        format!("--webhook-url=http://{}/hook", pager.address),
        format!("--webhook-secret-file={}", secret.display()),
    ];
    Engine::start(folder, &arguments.each_ref().map(String::as_str))
}

/// The alerts of the region that broke which were told with this status.
fn alerts_told(told: &[Told], status: &str) -> BTreeSet<String> {
    let ours = told.iter().filter(|told| told.region == BROKEN_REGION && told.status == status);
    ours.map(|told| told.alert_name.clone()).collect()
}

fn has_told_both(told: &[Told], status: &str) -> bool {
    alerts_told(told, status) == BTreeSet::from(ALERTS.map(str::to_owned))
}

/// What holds for everything that a receiver is told, whatever happens.
fn assert_told_well(all: &[Told]) {
    let mut keys: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    let mut bodies: BTreeMap<&str, &[u8]> = BTreeMap::new();
    let mut firing_taken = BTreeSet::new();
    for told in all {
        assert!(told.signature_is_right, "the signature is not ours: {told:?}");
        assert!(!told.idempotency_key.is_empty(), "no key: {told:?}");
        keys.entry(told.transition()).or_default().insert(&told.idempotency_key);
        let body = bodies.entry(&told.idempotency_key).or_insert(&told.body);
        assert_eq!(*body, &told.body[..], "under one key, another message");
        let alert = (&told.alert_name, &told.region);
        match told.status.as_str() {
            "firing" if told.answered == 200 => {
                firing_taken.insert(alert);
            }
            "firing" => {}
            "resolved" => assert!(firing_taken.contains(&alert), "resolved before its firing was taken: {told:?}"),
            other => panic!("there is no status {other}"),
        }
    }
    for (transition, keys) in &keys {
        assert_eq!(keys.len(), 1, "{transition:?} was told under more than one key: {keys:?}");
    }
    for status in ["firing", "resolved"] {
        assert!(has_told_both(all, status), "{status} in {BROKEN_REGION}: {:?}", alerts_told(all, status));
    }
    let elsewhere: Vec<_> = keys.keys().filter(|(_, region, _)| region != BROKEN_REGION).collect();
    assert!(elsewhere.is_empty(), "nothing broke there: {elsewhere:?}");
}

/// A pager, an engine that calls it, and a shop whose story is told to the engine.
struct Night {
    folder: TempDir,
    pager: Pager,
    engine: Engine,
    story: Story,
}

impl Night {
    /// The pager answers with `status`; without one nobody listens there.
    fn begin(status: Option<u16>) -> Night {
        let folder = TempDir::new().expect("a temporary folder");
        let pager = Pager::new(free_address());
        if let Some(status) = status {
            pager.open(status);
        }
        let engine = start_engine(folder.path(), &pager);
        Night { folder, pager, engine, story: Story::new() }
    }

    /// Sends the shop's samples up to this moment of event time.
    fn send_until(&mut self, until_ms: i64) {
        self.story.send(&self.engine, until_ms);
    }

    fn kill_and_start_again(&mut self) {
        self.engine.kill();
        self.engine.start_again();
    }

    fn wait_until_both_fired(&self) {
        wait_until("both are told", || has_told_both(&self.pager.taken(), "firing"));
    }

    /// Sends the rest of the story, and looks at everything that was told.
    fn end_well(mut self) {
        self.send_until(self.story.end_ms);
        self.wait_until_both_fired();
        wait_until("the end of both is told", || has_told_both(&self.pager.taken(), "resolved"));
        wait_until("nothing is owed", || self.engine.metric("dozor_notify_pending") == 0.0);
        assert_told_well(&self.pager.told());
    }

    /// Lets both alerts fire, stops the engine, and starts another one on its folder with these arguments besides.
    fn restart_while_firing(&mut self, arguments: &[String]) -> Engine {
        self.send_until(self.story.repair_ms);
        self.wait_until_both_fired();
        self.engine.process().terminate();
        assert!(self.engine.process().wait_for_end().success());
        let webhook = format!("--webhook-url=http://{}/hook", self.pager.address);
        let secret = format!("--webhook-secret-file={}", Pager::secret_file(self.folder.path()).display());
        // It listens at another port, and people reach it as before.
        let settings = self.folder.path().join("settings.yml");
        let reached = format!("external_url: http://{}\n", self.engine.address);
        std::fs::write(&settings, reached).expect("the folder can be written");
        let config = format!("--config={}", settings.display());
        let all: Vec<&str> = arguments.iter().chain([&config, &webhook, &secret]).map(String::as_str).collect();
        Engine::start(self.folder.path(), &all)
    }
}

#[test]
fn pager_that_was_down_hears_firing_then_resolved_though_the_engine_was_killed() {
    let mut night = Night::begin(None);

    // Nobody listens at the pager's address when both alerts fire.
    night.send_until(night.story.repair_ms);
    wait_until("both alerts are in the outbox", || night.engine.metric("dozor_notify_pending") >= 2.0);
    wait_until("the pager was called in vain", || night.engine.metric("dozor_notify_failed_total") >= 1.0);
    assert_eq!(night.engine.metric("dozor_notify_delivered_total"), 0.0, "nobody can have taken anything");

    // It comes up, overloaded, and the engine dies before it was told anything that it took.
    night.pager.open(503);
    wait_until("both are tried", || has_told_both(&night.pager.told(), "firing"));
    night.engine.kill();
    let before_kill = night.pager.told();
    night.engine.start_again();
    wait_until("both are tried again", || {
        let told = night.pager.told();
        has_told_both(&told[before_kill.len()..], "firing")
    });
    night.pager.answer_with(200);
    night.wait_until_both_fired();
    night.end_well();
}

#[test]
fn engine_killed_before_and_within_an_incident_tells_each_change_once() {
    let mut night = Night::begin(Some(200));

    // Killed when the fault has begun and nothing can have been noticed yet.
    let onset_ms = night.story.onset_ms;
    night.send_until(onset_ms);
    night.kill_and_start_again();

    // Killed within the incident, as soon as it is told.
    night.send_until(onset_ms + 6 * MINUTE_MS);
    night.wait_until_both_fired();
    night.kill_and_start_again();
    night.send_until(night.story.repair_ms);

    // And once more when the shop is well again and the alerts are not over yet.
    night.kill_and_start_again();
    night.end_well();
}

#[test]
fn engine_killed_every_minute_of_an_incident_tells_each_change_once() {
    let mut night = Night::begin(Some(200));
    let (onset_ms, repair_ms) = (night.story.onset_ms, night.story.repair_ms);
    night.send_until(onset_ms - MINUTE_MS);
    let mut until_ms = onset_ms;
    while until_ms < repair_ms + 8 * MINUTE_MS {
        // As soon as the last request is acknowledged, whatever detection and the outbox are doing with it.
        night.send_until(until_ms);
        night.kill_and_start_again();
        until_ms += MINUTE_MS;
    }
    night.end_well();
}

#[test]
fn alert_whose_rule_was_removed_while_it_fired_is_resolved() {
    let mut night = Night::begin(Some(200));
    let _without_rules = night.restart_while_firing(&[]);
    wait_until("the end of both is told", || has_told_both(&night.pager.taken(), "resolved"));
    assert_told_well(&night.pager.told());
}

#[test]
fn alert_whose_labels_were_changed_while_it_fired_fires_under_the_new_ones() {
    let mut night = Night::begin(Some(200));
    let rules =
        std::fs::read_to_string(RULES).expect("the demo's rules").replace("severity: ", "owner: shop, severity: ");
    let file = night.folder.path().join("rules.yml");
    std::fs::write(&file, rules).expect("the folder can be written");
    let _relabelled = night.restart_while_firing(&[format!("--rules={}", file.display())]);
    // Only one of the two rules has labels, and so a firing that is told twice.
    let is_new = |told: &Told| String::from_utf8_lossy(&told.body).contains(r#""owner":"shop""#);
    let of_the_rule = || {
        let taken = night.pager.taken().into_iter();
        taken.filter(|told| told.region == BROKEN_REGION && told.alert_name == "OrderRateDrop").collect::<Vec<_>>()
    };
    let is_told = |status, new| of_the_rule().iter().any(|told| told.status == status && is_new(told) == new);
    wait_until("the old one is over", || is_told("resolved", false));
    wait_until("the new one fires", || is_told("firing", true));
    assert!(!is_told("resolved", true), "the new one goes on");
    let others: Vec<Told> = night.pager.taken().into_iter().filter(|told| told.alert_name != "OrderRateDrop").collect();
    assert!(
        others.iter().all(|told| told.status == "firing" && !is_new(told)),
        "the other rule is as it was: {others:?}"
    );
}

/// Takes a snapshot of the engine, kills it, and starts another on what is restored from it.
fn restored_elsewhere(engine: &mut Engine, elsewhere: &Path, pager: &Pager) -> Engine {
    let url = format!("http://{}", engine.address);
    let data = engine.data_folder();
    let snapshot = printed(&["snapshot", "--url", &url, "--data-dir", data.to_str().expect("text")]);
    engine.kill();
    let target = elsewhere.join("data");
    printed(&["restore", "--from", &snapshot, "--data-dir", target.to_str().expect("text")]);
    start_engine(elsewhere, pager)
}

#[test]
fn restored_engine_tells_what_was_owed_and_nothing_again() {
    let folders = [(); 3].map(|()| TempDir::new().expect("a temporary folder"));
    let pager = Pager::new(free_address());
    let mut engine = start_engine(folders[0].path(), &pager);
    let mut story = Story::new();

    // Owed at the snapshot: told by the one that is restored.
    let onset_ms = story.onset_ms;
    story.send(&engine, onset_ms + 6 * MINUTE_MS);
    wait_until("both alerts are in the outbox", || engine.metric("dozor_notify_pending") >= 2.0);
    let mut engine = restored_elsewhere(&mut engine, folders[1].path(), &pager);
    pager.open(200);
    wait_until("both are told", || has_told_both(&pager.taken(), "firing"));
    wait_until("nothing is owed", || engine.metric("dozor_notify_pending") == 0.0);

    // Told before the snapshot: not told again, and ended by the one that is restored.
    let told_before = pager.told().len();
    let mut engine = restored_elsewhere(&mut engine, folders[2].path(), &pager);
    let end_ms = story.end_ms;
    story.send(&engine, end_ms);
    wait_until("the end of both is told", || has_told_both(&pager.taken(), "resolved"));
    wait_until("nothing is owed", || engine.metric("dozor_notify_pending") == 0.0);
    assert_eq!(alerts_told(&pager.told()[told_before..], "firing"), BTreeSet::new(), "nothing is told again");
    assert_told_well(&pager.told());
    engine.process().assert_running();
}
