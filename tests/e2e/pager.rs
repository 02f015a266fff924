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

#[test]
fn pager_that_was_down_hears_firing_then_resolved_though_the_engine_was_killed() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    let mut engine = start_engine(folder.path(), &pager);
    let mut story = Story::new();

    // Nobody listens at the pager's address when both alerts fire.
    let repair_ms = story.repair_ms;
    story.send(&engine, repair_ms);
    wait_until("both alerts are in the outbox", || engine.metric("dozor_notify_pending") >= 2.0);
    wait_until("the pager was called in vain", || engine.metric("dozor_notify_failed_total") >= 1.0);
    assert_eq!(engine.metric("dozor_notify_delivered_total"), 0.0, "nobody can have taken anything");

    // It comes up, overloaded, and the engine dies before it was told anything that it took.
    pager.open(503);
    wait_until("both are tried", || has_told_both(&pager.told(), "firing"));
    engine.kill();
    let before_kill = pager.told();
    engine.start_again();
    wait_until("both are tried again", || {
        let told = pager.told();
        has_told_both(&told[before_kill.len()..], "firing")
    });
    pager.answer_with(200);
    wait_until("both are told", || has_told_both(&pager.taken(), "firing"));

    let end_ms = story.end_ms;
    story.send(&engine, end_ms);
    wait_until("the end of both is told", || has_told_both(&pager.taken(), "resolved"));
    wait_until("nothing is owed", || engine.metric("dozor_notify_pending") == 0.0);
    assert_told_well(&pager.told());
}

#[test]
fn engine_killed_before_and_within_an_incident_tells_each_change_once() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let mut engine = start_engine(folder.path(), &pager);
    let mut story = Story::new();

    // Killed when the fault has begun and nothing can have been noticed yet.
    let onset_ms = story.onset_ms;
    story.send(&engine, onset_ms);
    engine.kill();
    engine.start_again();

    // Killed within the incident, as soon as it is told.
    story.send(&engine, onset_ms + 6 * MINUTE_MS);
    wait_until("both are told", || has_told_both(&pager.taken(), "firing"));
    engine.kill();
    engine.start_again();
    let repair_ms = story.repair_ms;
    story.send(&engine, repair_ms);

    // And once more when the shop is well again and the alerts are not over yet.
    engine.kill();
    engine.start_again();
    let end_ms = story.end_ms;
    story.send(&engine, end_ms);
    wait_until("the end of both is told", || has_told_both(&pager.taken(), "resolved"));
    wait_until("nothing is owed", || engine.metric("dozor_notify_pending") == 0.0);
    assert_told_well(&pager.told());
}

#[test]
fn engine_killed_every_minute_of_an_incident_tells_each_change_once() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let mut engine = start_engine(folder.path(), &pager);
    let mut story = Story::new();
    let (onset_ms, repair_ms, end_ms) = (story.onset_ms, story.repair_ms, story.end_ms);
    story.send(&engine, onset_ms - MINUTE_MS);
    let mut until_ms = onset_ms;
    while until_ms < repair_ms + 8 * MINUTE_MS {
        // As soon as the last request is acknowledged, whatever detection and the outbox are doing with it.
        story.send(&engine, until_ms);
        engine.kill();
        engine.start_again();
        until_ms += MINUTE_MS;
    }
    story.send(&engine, end_ms);
    wait_until("both were told", || has_told_both(&pager.taken(), "firing"));
    wait_until("the end of both is told", || has_told_both(&pager.taken(), "resolved"));
    wait_until("nothing is owed", || engine.metric("dozor_notify_pending") == 0.0);
    assert_told_well(&pager.told());
}

#[test]
fn alert_whose_rule_was_removed_while_it_fired_is_resolved() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let mut engine = start_engine(folder.path(), &pager);
    let mut story = Story::new();
    let repair_ms = story.repair_ms;
    story.send(&engine, repair_ms);
    wait_until("both are told", || has_told_both(&pager.taken(), "firing"));
    engine.process().terminate();
    assert!(engine.process().wait_for_end().success());

    let webhook = format!("--webhook-url=http://{}/hook", pager.address);
    let secret = format!("--webhook-secret-file={}", Pager::secret_file(folder.path()).display());
    let _without_rules = Engine::start(folder.path(), &[&webhook, &secret]);
    wait_until("the end of both is told", || has_told_both(&pager.taken(), "resolved"));
    assert_told_well(&pager.told());
}

#[test]
fn alert_whose_labels_were_changed_while_it_fired_fires_under_the_new_ones() {
    let folder = TempDir::new().expect("a temporary folder");
    let pager = Pager::new(free_address());
    pager.open(200);
    let mut engine = start_engine(folder.path(), &pager);
    let mut story = Story::new();
    let repair_ms = story.repair_ms;
    story.send(&engine, repair_ms);
    wait_until("both are told", || has_told_both(&pager.taken(), "firing"));
    engine.process().terminate();
    assert!(engine.process().wait_for_end().success());
    let before = pager.taken().len();

    let rules =
        std::fs::read_to_string(RULES).expect("the demo's rules").replace("severity: ", "owner: shop, severity: ");
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, rules).expect("the folder can be written");
    let arguments = [
        format!("--rules={}", file.display()),
        format!("--webhook-url=http://{}/hook", pager.address),
        format!("--webhook-secret-file={}", Pager::secret_file(folder.path()).display()),
    ];
    let _relabelled = Engine::start(folder.path(), &arguments.each_ref().map(String::as_str));
    // Only one of the two rules has labels.
    let is_told = |status| alerts_told(&pager.taken()[before..], status).contains("OrderRateDrop");
    wait_until("the old one is over", || is_told("resolved"));
    wait_until("the new one fires", || is_told("firing"));
    let told = pager.taken().split_off(before);
    let is_new = |told: &Told| String::from_utf8_lossy(&told.body).contains(r#""owner":"shop""#);
    assert!(told.iter().all(|told| told.alert_name == "OrderRateDrop" && is_new(told) == (told.status == "firing")));
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
