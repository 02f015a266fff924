//! Messages that no group makes, groups against real HTTP servers, and going on by another plan.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::pager::{Pager, Reply};
use super::{firing, resolved, settings, webhook};
use crate::clock::Clock;
use crate::disk::SimulatedDisk;
use crate::model::Labels;
use crate::notify::routing::load;
use crate::notify::{
    Alert, AttemptResult, Backoff, Delivery, Destination, Enqueued, Event, MessageAlert, Notifier, NotifierOptions,
    NotifyError, Plan, Telling,
};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let clock = Clock::system();
    while !condition() {
        assert!(clock.monotonic() < Duration::from_secs(60), "a minute without: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn destination(name: &str, pager: &Pager) -> Destination {
    Destination { receiver: name.to_owned(), integration: webhook(settings(name, &pager.url())) }
}

fn open(disk: &SimulatedDisk, plan: Plan) -> Arc<Notifier> {
    let backoff = Backoff {
        first: Duration::from_millis(5),
        longest: Duration::from_millis(40),
        probe: Duration::from_millis(20),
    };
    let delivery = Delivery { backoff, ..Delivery::default() };
    let options = NotifierOptions { delivery, ..NotifierOptions::new(plan, String::new()) };
    Notifier::open(Arc::new(disk.clone()), Path::new("/data/outbox"), Clock::system(), options).unwrap().0
}

/// Runs it until the sender is dropped.
fn run(runtime: &Runtime, notifier: &Arc<Notifier>) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(Arc::clone(notifier).run(stopped));
    stop
}

fn routed(routing: &str, destinations: Vec<Destination>) -> Plan {
    Plan { destinations, routing: Some(Arc::new(load("alertmanager.yml", routing).unwrap())), fallback_receiver: None }
}

const ROUTING: &str = "
route: { receiver: pager, group_by: [region], group_wait: 50ms, group_interval: 100ms, repeat_interval: 1h }
receivers: [{ name: pager, webhook_configs: [{ url: 'http://127.0.0.1:1/' }] }]
";

fn escalation(alert: &Alert) -> Telling {
    Telling {
        id: "inc-1-step-2".to_owned(),
        group_key: "inc-1".to_owned(),
        group_labels: Labels::from_pairs([("incident", "inc-1")]).unwrap(),
        alerts: vec![MessageAlert { alert: alert.clone(), incident: "inc-1".to_owned() }],
    }
}

fn pending(notifier: &Notifier) -> u64 {
    notifier.metrics().pending.load(Ordering::Relaxed)
}

#[test]
fn a_message_to_one_receiver_is_told_to_that_one_once() {
    let runtime = runtime();
    let (pager, lead) = (Pager::with_replies(&runtime, []), Pager::with_replies(&runtime, []));
    let disk = SimulatedDisk::new();
    let plan = Plan { destinations: vec![destination("pager", &pager), destination("lead", &lead)], ..Plan::default() };
    let notifier = open(&disk, plan.clone());
    let telling = escalation(&firing("A"));
    assert_eq!(notifier.tell("lead", &telling).unwrap(), Enqueued::Accepted);
    assert_eq!(notifier.tell("lead", &telling).unwrap(), Enqueued::AlreadyKnown);
    // Before its first attempt the process dies.
    drop(notifier);
    let notifier = open(&disk.crash(1), plan);
    assert_eq!(notifier.tell("lead", &telling).unwrap(), Enqueued::AlreadyKnown);
    let _stop = run(&runtime, &notifier);
    until("delivery", || pending(&notifier) == 0);
    let seen = lead.seen();
    assert_eq!((seen.len(), seen[0].id()), (1, "inc-1-step-2".to_owned()));
    assert_eq!(seen[0].json()["groupLabels"]["incident"], "inc-1");
    assert_eq!(pager.seen().len(), 0);
    assert!(
        matches!(notifier.tell("nobody", &telling), Err(NotifyError::Receiver { receiver, .. }) if receiver == "nobody")
    );
}

#[test]
fn what_a_receiver_refuses_is_told_to_the_fallback_with_the_reason_and_goes_no_further() {
    let runtime = runtime();
    let pager = Pager::with_replies(&runtime, [Reply::Status(400)]);
    let backup = Pager::start(&runtime, |_| Reply::Status(403));
    let destinations = vec![destination("pager", &pager), destination("backup", &backup)];
    let fallback_receiver = Some("backup".to_owned());
    let notifier = open(&SimulatedDisk::new(), Plan { fallback_receiver, ..routed(ROUTING, destinations) });
    let _stop = run(&runtime, &notifier);
    notifier.enqueue(&firing("A")).unwrap();
    until("both refusals", || notifier.metrics().given_up.load(Ordering::Relaxed) == 2);
    let told = backup.seen();
    assert_eq!(told.len(), 1);
    let body = told[0].json();
    assert_eq!(body["alerts"][0]["annotations"]["undelivered"], "pager: 400 Bad Request: hi");
    assert_eq!(body["alerts"][0]["annotations"]["summary"], "A is in trouble");
    assert_ne!(told[0].id(), pager.seen()[0].id());
    let receivers: Vec<String> = notifier.dead_letters().into_iter().map(|letter| letter.receiver).collect();
    assert_eq!(receivers, ["pager", "backup"]);
}

#[test]
fn a_dead_letter_is_sent_again_once_and_when_it_is_refused_again_once_more() {
    let runtime = runtime();
    let replies = [Reply::Status(400), Reply::Status(422)];
    let (pager, other) = (Pager::with_replies(&runtime, replies), Pager::with_replies(&runtime, []));
    let disk = SimulatedDisk::new();
    let plan =
        Plan { destinations: vec![destination("pager", &pager), destination("other", &other)], ..Plan::default() };
    let notifier = open(&disk, plan.clone());
    let stop = run(&runtime, &notifier);
    notifier.enqueue(&firing("A")).unwrap();
    until("the refusal", || notifier.dead_letters().len() == 1);
    let id = firing("A").transition_id();
    assert_eq!(notifier.replay_dead_letter("another", None).unwrap(), None);
    assert_eq!(notifier.replay_dead_letter(&id, None).unwrap(), Some(Enqueued::Accepted));
    until("the second refusal", || notifier.metrics().given_up.load(Ordering::Relaxed) == 2);
    // The first is not listed any more: it was sent again.
    let letters = notifier.dead_letters();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].reason.starts_with("422"), "{letters:?}");
    assert_eq!(notifier.replay_dead_letter(&id, None).unwrap(), Some(Enqueued::Accepted));
    until("delivery", || pager.taken().len() == 1);
    until("its note", || pending(&notifier) == 0);
    assert_eq!(notifier.replay_dead_letter(&id, None).unwrap(), Some(Enqueued::AlreadyKnown));
    let last = notifier.dead_letters().pop().unwrap();
    assert_eq!(notifier.replay_dead_letter(&last.id, Some("other")).unwrap(), Some(Enqueued::Accepted));
    until("delivery to the other", || other.taken().len() == 2);
    drop(stop);
}

#[test]
fn groups_are_told_and_events_say_what_happened_in_order() {
    let runtime = runtime();
    let pager = Pager::with_replies(&runtime, [Reply::Status(500)]);
    let notifier = open(&SimulatedDisk::new(), routed(ROUTING, vec![destination("pager", &pager)]));
    let events = notifier.events().unwrap();
    assert!(notifier.events().is_none(), "there is one journal");
    let _stop = run(&runtime, &notifier);
    notifier.enqueue_all(&[firing("A"), firing("B")]).unwrap();
    until("the group", || pager.taken().len() == 1);
    let mut words: Vec<String> = Vec::new();
    until("the word of it", || {
        words.extend(events.try_iter().map(|event| word(&event)));
        words.len() == 4
    });
    notifier.enqueue(&resolved("A")).unwrap();
    until("the end", || pager.taken().len() == 2);
    until("the word of it", || {
        words.extend(events.try_iter().map(|event| word(&event)));
        words.len() == 6
    });
    let bodies: Vec<_> = pager.seen().iter().map(super::pager::Request::json).collect();
    assert_eq!(bodies.len(), 3);
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!((bodies[1]["alerts"].as_array().unwrap().len(), &bodies[1]["groupLabels"]["region"]), (2, &"eu".into()));
    assert_eq!((&bodies[2]["status"], &bodies[2]["alerts"][0]["status"]), (&"firing".into(), &"resolved".into()));
    assert_eq!(words, ["A begins", "B begins", "failed", "delivered", "A ends", "delivered"]);
    let states = notifier.alerts();
    assert_eq!(states.len(), 1);
    assert_eq!((&states[0].alert, &states[0].receivers), (&firing("B"), &vec!["pager".to_owned()]));
}

fn word(event: &Event) -> String {
    match event {
        Event::Transition { alert, .. } => {
            let verb = if alert.ends_at_ms.is_some() { "ends" } else { "begins" };
            format!("{} {verb}", alert.labels.get("alertname").unwrap())
        }
        Event::Attempt { result: AttemptResult::Delivered { .. }, .. } => "delivered".to_owned(),
        Event::Attempt { result: AttemptResult::Failed { .. }, .. } => "failed".to_owned(),
        Event::Attempt { result: AttemptResult::GivenUp { .. }, .. } => "given up".to_owned(),
    }
}

#[test]
fn another_plan_tells_its_receivers_and_repeats_nothing_to_those_who_stay() {
    let runtime = runtime();
    let (pager, mail) = (Pager::with_replies(&runtime, []), Pager::with_replies(&runtime, []));
    let notifier = open(&SimulatedDisk::new(), routed(ROUTING, vec![destination("pager", &pager)]));
    let _stop = run(&runtime, &notifier);
    notifier.enqueue(&firing("A")).unwrap();
    until("the first", || pager.taken().len() == 1);
    until("its note", || pending(&notifier) == 0);
    let routes = "1h, routes: [{ receiver: pager, continue: true }, { receiver: mail, matchers: ['a=\"\"'] }] }";
    let routing = ROUTING
        .replace("1h }", routes)
        .replace("receivers: [", "receivers: [{ name: mail, webhook_configs: [{ url: 'http://127.0.0.1:1/' }] }, ");
    let plan = routed(&routing, vec![destination("pager", &pager), destination("mail", &mail)]);
    notifier.replace_plan(notifier.prepare(plan).unwrap());
    until("the second receiver", || mail.taken().len() == 1);
    // The pager's group has another key now, as in Alertmanager: it is another route.
    until("its note", || pending(&notifier) == 0);
    notifier.enqueue(&resolved("A")).unwrap();
    until("the end", || mail.taken().len() == 2);
    until("the end at the pager", || pager.taken().last().unwrap() == "A resolved");
    let twice =
        Plan { destinations: vec![destination("pager", &pager), destination("pager", &pager)], ..Plan::default() };
    assert!(notifier.prepare(twice).is_err());
    let nobody = Plan { fallback_receiver: Some("nobody".to_owned()), ..Plan::default() };
    assert!(matches!(notifier.prepare(nobody), Err(NotifyError::Receiver { receiver, .. }) if receiver == "nobody"));
}

#[test]
fn what_is_under_way_while_the_plan_changes_is_told_once_and_before_its_end() {
    let runtime = runtime();
    let (began, may_answer) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let gate = (Arc::clone(&began), Arc::clone(&may_answer));
    let pager = Pager::start(&runtime, move |_| {
        gate.0.store(true, Ordering::SeqCst);
        until("it may answer", || gate.1.load(Ordering::SeqCst));
        Reply::Status(200)
    });
    let plan = || Plan { destinations: vec![destination("pager", &pager)], ..Plan::default() };
    let notifier = open(&SimulatedDisk::new(), plan());
    let _stop = run(&runtime, &notifier);
    notifier.enqueue(&firing("A")).unwrap();
    until("it is under way", || began.load(Ordering::SeqCst));
    notifier.replace_plan(notifier.prepare(plan()).unwrap());
    notifier.enqueue(&resolved("A")).unwrap();
    may_answer.store(true, Ordering::SeqCst);
    until("nothing is owed", || pending(&notifier) == 0);
    assert_eq!(pager.taken(), ["A firing", "A resolved"]);
}

/// 10,000 alerts of 20 services at once, to a pager that is slow: one message for each service, each alert once.
#[test]
fn a_storm_is_told_in_groups_to_a_slow_pager() {
    let runtime = runtime();
    let pager = Pager::start(&runtime, |_| {
        std::thread::sleep(Duration::from_millis(100));
        Reply::Status(200)
    });
    let routing = ROUTING.replace("[region]", "[service]");
    let notifier = open(&SimulatedDisk::new(), routed(&routing, vec![destination("pager", &pager)]));
    let _stop = run(&runtime, &notifier);
    let alerts: Vec<Alert> = (0..10_000)
        .map(|index| {
            let service = format!("s{}", index % 20);
            let labels = [("alertname", "Slow"), ("node", &index.to_string()), ("service", &service)];
            Alert {
                labels: Labels::from_pairs(labels).unwrap(),
                starts_at_ms: Clock::system().now_ms(),
                ..firing("Slow")
            }
        })
        .collect();
    notifier.enqueue_all(&alerts).unwrap();
    until("every group", || pager.taken().len() == 20);
    until("its note", || pending(&notifier) == 0);
    let told: Vec<usize> = pager.seen().iter().map(|seen| seen.json()["alerts"].as_array().unwrap().len()).collect();
    assert_eq!(told, [500; 20]);
}
