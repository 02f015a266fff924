//! The notifier against real HTTP servers: down, slow, rude, and back again.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::pager::{Pager, Reply};
use super::{firing, resolved, settings, webhook};
use crate::clock::Clock;
use crate::disk::SimulatedDisk;
use crate::notify::{
    Alert, Answer, Backoff, Delivery, Enqueued, Integration, Message, MessageAlert, Notifier, NotifierOptions,
    NotifyError, Plan, RecoveredOutbox, Secret, WebhookSettings,
};

const SECRET: &[u8] = b"a key of the test";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn quick() -> Delivery {
    let (first, longest, probe) = (Duration::from_millis(5), Duration::from_millis(40), Duration::from_millis(20));
    Delivery { backoff: Backoff { first, longest, probe }, ..Delivery::default() }
}

fn test_message() -> Message {
    let alert = firing("A");
    let (id, group_labels) = (alert.transition_id(), alert.labels.clone());
    Message {
        id,
        receiver: "pager".to_owned(),
        group_key: "{}:{}".to_owned(),
        group_labels,
        alerts: vec![MessageAlert { alert, incident: "inc-1".to_owned() }],
        truncated_count: 0,
        made_at_ms: 0,
        is_joint: false,
    }
}

/// Waits until the condition holds.
fn until(what: &str, condition: impl Fn() -> bool) {
    let clock = Clock::system();
    while !condition() {
        assert!(clock.monotonic() < Duration::from_secs(60), "a minute without: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A notifier that runs, as a server would have it.
struct Engine {
    notifier: Arc<Notifier>,
    recovered: RecoveredOutbox,
    disk: SimulatedDisk,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Engine {
    fn start(runtime: &Runtime, disk: &SimulatedDisk, pagers: &[&Pager], delivery: Delivery) -> Engine {
        let receiver = |(index, pager): (usize, &&Pager)| {
            let (name, secrets) = (format!("pager-{index}"), vec![Secret::parse(SECRET).unwrap()]);
            webhook(WebhookSettings { secrets, ..settings(&name, &pager.url()) })
        };
        let receivers = pagers.iter().enumerate().map(receiver).collect();
        let shared = Arc::new(disk.clone());
        let url = "http://dozor.example".to_owned();
        let options = NotifierOptions { delivery, ..NotifierOptions::new(Plan::direct(receivers), url) };
        let opened = Notifier::open(shared, Path::new("/data/outbox"), Clock::system(), options);
        let (notifier, recovered) = opened.unwrap();
        let (stop, stopped) = watch::channel(false);
        let running = runtime.spawn(Arc::clone(&notifier).run(stopped));
        Engine { notifier, recovered, disk: disk.clone(), stop, running }
    }

    fn report(&self, alert: &Alert) {
        assert_eq!(self.notifier.enqueue(alert).unwrap(), Enqueued::Accepted);
    }

    /// Ends it between two instructions, and the power with it.
    fn kill(self, runtime: &Runtime, seed: u64) -> SimulatedDisk {
        let after = self.disk.crash(seed);
        self.running.abort();
        let _ = runtime.block_on(self.running);
        after
    }

    fn stop(self, runtime: &Runtime) {
        self.stop.send(true).unwrap();
        runtime.block_on(self.running).unwrap();
    }

    fn pending(&self) -> u64 {
        self.notifier.metrics().pending.load(Ordering::Relaxed)
    }
}

#[test]
fn a_pager_that_was_down_while_the_engine_was_killed_gets_firing_and_then_resolved() {
    let runtime = runtime();
    let mut pager = Pager::with_replies(&runtime, []);
    pager.go_down(&runtime);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.report(&firing("OrderRateDrop"));
    until("attempts at nobody", || engine.notifier.metrics().failed.load(Ordering::Relaxed) >= 3);
    let disk = engine.kill(&runtime, 7);

    let engine = Engine::start(&runtime, &disk, &[&pager], quick());
    assert_eq!(engine.recovered, RecoveredOutbox { pending_count: 1, active_count: 1, damage: vec![] });
    assert_eq!(engine.notifier.enqueue(&firing("OrderRateDrop")).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(engine.notifier.active(), [firing("OrderRateDrop")]);
    engine.report(&resolved("OrderRateDrop"));
    assert_eq!(engine.notifier.active(), []);
    pager.go_up(&runtime);
    until("both to arrive", || engine.pending() == 0);
    assert_eq!(pager.taken(), ["OrderRateDrop firing", "OrderRateDrop resolved"]);
    engine.stop(&runtime);
}

#[test]
fn every_retry_has_the_id_and_body_of_the_first_attempt_and_a_signature_of_its_own_time() {
    let runtime = runtime();
    let pager = Pager::with_replies(&runtime, [Reply::Status(500), Reply::Drop, Reply::Status(503)]);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.report(&firing("A"));
    until("delivery", || engine.pending() == 0);
    let seen = pager.seen();
    assert_eq!(seen.len(), 4);
    for request in &seen {
        assert_eq!(request.id(), firing("A").transition_id());
        assert_eq!(request.header("webhook-id"), request.id());
        assert_eq!(request.body, seen[0].body);
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("user-agent"), format!("dozor/{}", env!("CARGO_PKG_VERSION")));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(format!("{}.{}.{}", request.id(), request.header("webhook-timestamp"), request.body).as_bytes());
        let code = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, mac.finalize().into_bytes());
        assert_eq!(request.header("webhook-signature"), format!("v1,{code}"));
    }
    let timestamp_s: i64 = seen[3].header("webhook-timestamp").parse().unwrap();
    assert!((Clock::system().now_ms() / 1000 - timestamp_s).abs() <= 60, "{timestamp_s}");
    let counts = engine.notifier.metrics();
    assert_eq!(counts.attempts.load(Ordering::Relaxed), 4);
    assert_eq!(counts.delivered.load(Ordering::Relaxed), 1);
    assert_eq!(counts.failed.load(Ordering::Relaxed), 3);
}

#[test]
fn a_receiver_that_asks_to_wait_is_left_alone_that_long() {
    let runtime = runtime();
    let pager = Pager::with_replies(&runtime, [Reply::With(429, "Retry-After: 1".to_owned())]);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.report(&firing("A"));
    until("the first attempt", || !pager.seen().is_empty());
    engine.report(&firing("B"));
    until("delivery of both", || engine.pending() == 0);
    let seen = pager.seen();
    assert_eq!(seen.len(), 3);
    // B may have left before the answer to A was read; A may not have come again.
    let first_a = seen.iter().rposition(|request| request.id() == firing("A").transition_id()).unwrap();
    assert!(seen[first_a].at - seen[0].at >= Duration::from_secs(1), "{seen:?}");
}

#[test]
fn a_refusal_is_a_dead_letter_at_once_and_the_next_notification_goes_on() {
    let runtime = runtime();
    let elsewhere = Pager::with_replies(&runtime, []);
    let redirect = Reply::With(307, format!("Location: {}", elsewhere.url()));
    let pager = Pager::with_replies(&runtime, [Reply::Status(400), redirect]);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.report(&firing("A"));
    until("the refusal", || engine.pending() == 0);
    engine.report(&firing("B"));
    until("the redirect", || engine.pending() == 0);
    engine.report(&resolved("A"));
    until("the end of A", || engine.pending() == 0);
    assert_eq!(pager.taken(), ["A resolved"]);
    assert_eq!(pager.seen().len(), 3);
    assert_eq!(elsewhere.seen().len(), 0);
    let dead = engine.notifier.dead_letters();
    assert_eq!(
        dead.iter().map(|letter| &letter.message.alerts[0].alert).collect::<Vec<_>>(),
        [&firing("A"), &firing("B")]
    );
    assert!(dead[0].reason.starts_with("400 Bad Request: hi"), "{}", dead[0].reason);
    assert_eq!(engine.notifier.metrics().given_up.load(Ordering::Relaxed), 2);
    assert_eq!(engine.notifier.metrics().dead_letters.load(Ordering::Relaxed), 2);

    let disk = engine.disk.clone();
    engine.stop(&runtime);
    let engine = Engine::start(&runtime, &disk, &[&pager], quick());
    assert_eq!(engine.notifier.dead_letters(), dead);
    assert_eq!(engine.notifier.metrics().dead_letters.load(Ordering::Relaxed), 2);
    assert_eq!(engine.recovered, RecoveredOutbox { pending_count: 0, active_count: 1, damage: vec![] });
}

#[test]
fn what_stays_undeliverable_is_given_up_when_it_is_old() {
    let runtime = runtime();
    let pager = Pager::start(&runtime, |_| Reply::Status(500));
    let delivery = Delivery { give_up_after: Duration::from_millis(100), ..quick() };
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], delivery);
    engine.report(&firing("A"));
    engine.report(&resolved("A"));
    until("giving up", || engine.pending() == 0);
    let reasons: Vec<String> = engine.notifier.dead_letters().into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons.len(), 2);
    assert!(reasons.iter().all(|reason| reason.contains("100ms") && reason.contains("500")), "{reasons:?}");
}

#[test]
fn a_receiver_that_hangs_is_timed_out_and_tried_again() {
    let runtime = runtime();
    let pager = Pager::with_replies(&runtime, [Reply::Hang]);
    let delivery = Delivery { attempt_timeout: Duration::from_millis(100), ..quick() };
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], delivery);
    engine.report(&firing("A"));
    until("delivery", || pager.taken() == ["A firing"]);
}

#[test]
fn an_alert_that_cannot_be_delivered_and_a_receiver_that_is_down_hold_up_nobody_else() {
    let runtime = runtime();
    let mut down = Pager::with_replies(&runtime, []);
    down.go_down(&runtime);
    let answer = |body: &Value| Reply::Status(if has_alert(body, "Poison") { 500 } else { 200 });
    let pager = Pager::start(&runtime, answer);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&down, &pager], quick());
    let names: Vec<String> = (0..40).map(|index| format!("A{index}")).collect();
    engine.report(&firing("Poison"));
    names.iter().for_each(|name| engine.report(&firing(name)));
    names.iter().for_each(|name| engine.report(&resolved(name)));
    until("80 deliveries", || taken_by_alert(&pager).values().map(Vec::len).sum::<usize>() == 80);
    assert_eq!(engine.pending(), 81);
}

#[test]
fn a_flapping_receiver_never_sees_resolved_before_it_took_firing() {
    let runtime = runtime();
    let mut turn = 0u64;
    let pager = Pager::start(&runtime, move |_| {
        turn += 1;
        match turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61 {
            0 | 1 => Reply::Status(200),
            2 | 3 => Reply::Drop,
            _ => Reply::Status(502),
        }
    });
    let mut engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    let names: Vec<String> = (0..30).map(|index| format!("A{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        engine.report(&firing(name));
        engine.report(&resolved(name));
        if index % 10 == 5 {
            let disk = engine.kill(&runtime, index as u64);
            engine = Engine::start(&runtime, &disk, &[&pager], quick());
        }
    }
    until("everything to arrive", || engine.pending() == 0);
    let mut taken = HashSet::new();
    for request in pager.seen() {
        if let Some(alert) = request.id().strip_suffix("-resolved") {
            assert!(taken.contains(&format!("{alert}-firing")), "{alert} was resolved first");
        }
        if request.was_taken() {
            taken.insert(request.id());
        }
    }
    assert_eq!(taken.len(), 60);
}

/// The pager speaks no TLS: the handshake must fail, be told, and be tried again. A machine without certificates cannot
/// even begin one, and says so when the notifier is opened.
#[test]
fn an_https_receiver_is_never_told_in_the_clear() {
    let runtime = runtime();
    let pager = Pager::with_replies(&runtime, []);
    let url = pager.url().replace("http:", "https:");
    let receiver = webhook(settings("pager", &url));
    let way = match Integration::new(&receiver, "", Clock::system(), Duration::from_millis(500)) {
        Ok(way) => way,
        Err(error) => return assert!(error.to_string().contains("CA certificates"), "{error}"),
    };
    let answer = runtime.block_on(way.attempt(&test_message()));
    assert!(matches!(&answer, Answer::Retry { after: None, .. }), "{answer:?}");
    assert_eq!(pager.seen().len(), 0);
}

#[test]
fn a_stop_keeps_what_was_delivered_so_that_nothing_is_repeated() {
    let runtime = runtime();
    let pager = Pager::with_replies(&runtime, []);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.report(&firing("A"));
    until("delivery", || engine.pending() == 0);
    let disk = engine.disk.clone();
    engine.stop(&runtime);
    for seed in 0..10 {
        let engine = Engine::start(&runtime, &disk.crash(seed), &[&pager], quick());
        assert_eq!(engine.recovered.pending_count, 0);
    }
    assert_eq!(pager.seen().len(), 1);
}

#[test]
fn wrong_receivers_are_refused_by_name() {
    let open = |names: &[&str], url: &str| {
        let receiver = |name: &&str| webhook(settings(name, url));
        let receivers = names.iter().map(receiver).collect();
        let disk = Arc::new(SimulatedDisk::new());
        let options = NotifierOptions::new(Plan::direct(receivers), String::new());
        Notifier::open(disk, Path::new("/data/outbox"), Clock::system(), options).map(|_| ())
    };
    assert!(
        matches!(open(&["a", "a"], "http://localhost/"), Err(NotifyError::Receiver { receiver, .. }) if receiver == "a")
    );
    assert!(
        matches!(open(&["b"], "http://169.254.169.254/"), Err(NotifyError::Receiver { receiver, .. }) if receiver == "b")
    );
    assert!(open(&["a", "b"], "http://localhost/").is_ok());
}

const STORM_COUNT: usize = 1_000;

fn storm(of: impl Fn(&str) -> Alert) -> Vec<Alert> {
    (0..STORM_COUNT).map(|index| of(&format!("A{index}"))).collect()
}

/// The alerts of a body, as names with their status.
fn alerts_of(json: &Value) -> Vec<String> {
    let alerts = json["alerts"].as_array().unwrap().iter();
    let word = |alert: &Value| {
        format!("{} {}", alert["labels"]["alertname"].as_str().unwrap(), alert["status"].as_str().unwrap())
    };
    alerts.map(word).collect()
}

fn has_alert(json: &Value, name: &str) -> bool {
    json["alerts"].as_array().unwrap().iter().any(|alert| alert["labels"]["alertname"] == name)
}

/// What the pager took of each alert, in order, with the ids under which it did.
fn taken_by_alert(pager: &Pager) -> HashMap<String, Vec<(String, String)>> {
    let mut by_alert: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for request in pager.seen().iter().filter(|request| request.was_taken()) {
        for told in alerts_of(&request.json()) {
            let (name, status) = told.split_once(' ').unwrap();
            by_alert.entry(name.to_owned()).or_default().push((status.to_owned(), request.id()));
        }
    }
    by_alert
}

#[test]
fn a_storm_is_told_together_each_alert_once_and_its_end_behind_it() {
    let runtime = runtime();
    let pager = Pager::start(&runtime, |_| {
        std::thread::sleep(Duration::from_millis(20));
        Reply::Status(200)
    });
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.notifier.enqueue_all(&storm(firing)).unwrap();
    engine.notifier.enqueue_all(&storm(resolved)).unwrap();
    until("all to arrive", || engine.pending() == 0);
    let taken = taken_by_alert(&pager);
    assert_eq!(taken.len(), STORM_COUNT);
    for (name, told) in &taken {
        let words: Vec<&str> = told.iter().map(|(status, _)| status.as_str()).collect();
        assert_eq!(words, ["firing", "resolved"], "{name}");
    }
    // 32 by themselves, the others up to 500 at a time, twice.
    assert!(pager.seen().len() < 100, "{} requests", pager.seen().len());
    assert!(pager.seen().iter().any(|request| alerts_of(&request.json()).len() == 500));
    assert_eq!(alerts_of(&pager.seen()[0].json()).len(), 1, "the first does not wait for others");
    engine.stop(&runtime);
}

#[test]
fn one_alert_that_is_refused_costs_the_others_of_its_message_nothing() {
    let runtime = runtime();
    let odd = |json: &Value| if has_alert(json, "A77") { Reply::Status(400) } else { Reply::Status(200) };
    let pager = Pager::start(&runtime, odd);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.notifier.enqueue_all(&storm(firing)).unwrap();
    until("all to be settled", || engine.pending() == 0);
    let letters: Vec<String> = engine.notifier.dead_letters().into_iter().map(|letter| letter.id).collect();
    assert_eq!(letters, [firing("A77").transition_id()]);
    let taken = taken_by_alert(&pager);
    assert_eq!(taken.len(), STORM_COUNT - 1);
    assert!(taken.values().all(|told| told.len() == 1));
    engine.stop(&runtime);
}

#[test]
fn one_alert_that_a_pager_fails_at_is_tried_on_by_itself() {
    let runtime = runtime();
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = Arc::clone(&is_mended);
    let pager = Pager::start(&runtime, move |json| {
        let fails = has_alert(json, "A77") && !mended.load(Ordering::SeqCst);
        Reply::Status(if fails { 500 } else { 200 })
    });
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.notifier.enqueue_all(&storm(firing)).unwrap();
    until("the others", || engine.pending() == 1);
    is_mended.store(true, Ordering::SeqCst);
    until("all", || engine.pending() == 0);
    let taken = taken_by_alert(&pager);
    assert_eq!(taken.len(), STORM_COUNT);
    assert!(taken.values().all(|told| told.len() == 1));
    assert_eq!(taken["A77"], [("firing".to_owned(), firing("A77").transition_id())]);
    engine.stop(&runtime);
}

/// It may have it, so it is asked for long enough under one id; but what waits behind must not wait for days.
#[test]
fn what_a_pager_never_answers_together_is_told_alert_by_alert() {
    let runtime = runtime();
    let answer = |json: &Value| if alerts_of(json).len() > 1 { Reply::Drop } else { Reply::Status(200) };
    let pager = Pager::start(&runtime, answer);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    let alerts: Vec<Alert> = (0..100).map(|index| firing(&format!("A{index}"))).collect();
    engine.notifier.enqueue_all(&alerts).unwrap();
    until("all to arrive", || engine.pending() == 0);
    let mut attempts: HashMap<String, usize> = HashMap::new();
    for request in pager.seen().iter().filter(|request| alerts_of(&request.json()).len() > 1) {
        *attempts.entry(request.id()).or_default() += 1;
    }
    assert_eq!(attempts.values().collect::<Vec<_>>(), [&8]);
    assert_eq!(taken_by_alert(&pager).len(), 100);
    engine.stop(&runtime);
}

/// The pager takes everything, and does not answer to many at once: it hears of those again, under the ids that it knows.
#[test]
fn what_was_told_together_before_a_kill_is_told_under_the_same_id_after_it() {
    let runtime = runtime();
    let is_deaf = Arc::new(AtomicBool::new(true));
    let deaf = Arc::clone(&is_deaf);
    let answer = move |json: &Value| {
        let is_silent = deaf.load(Ordering::SeqCst) && alerts_of(json).len() > 1;
        if is_silent { Reply::Hang } else { Reply::Status(200) }
    };
    let pager = Pager::start(&runtime, answer);
    let engine = Engine::start(&runtime, &SimulatedDisk::new(), &[&pager], quick());
    engine.notifier.enqueue_all(&storm(firing)).unwrap();
    let is_joint = |request: &super::pager::Request| alerts_of(&request.json()).len() > 1;
    until("a joint message", || pager.seen().iter().any(is_joint));
    let disk = engine.kill(&runtime, 3);
    is_deaf.store(false, Ordering::SeqCst);

    let engine = Engine::start(&runtime, &disk, &[&pager], quick());
    assert!(engine.recovered.pending_count > STORM_COUNT - 100, "{} wait", engine.recovered.pending_count);
    until("all to arrive", || engine.pending() == 0);
    let mut ids: HashMap<String, HashSet<String>> = HashMap::new();
    for request in pager.seen() {
        for told in alerts_of(&request.json()) {
            ids.entry(told).or_default().insert(request.id());
        }
    }
    assert_eq!(ids.len(), STORM_COUNT);
    let twice: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "told under two ids: {twice:?}");
    engine.stop(&runtime);
}
