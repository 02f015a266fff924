//! Silences where every receiver is told of everything: nothing is grouped, and what is silenced is told to nobody.
//!
//! The loop around the notifier is the test's, on one thread, with a clock that it moves and a silence that it holds.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{NOON_MS, again, firing, resolved, settings, webhook};
use crate::clock::Clock;
use crate::disk::SimulatedDisk;
use crate::notify::lanes::Next;
use crate::notify::{Alert, Answer, Enqueued, Event, Notifier, NotifierOptions, NotifyError, Plan, SilencedBy};

struct World {
    notifier: Arc<Notifier>,
    clock: Clock,
    is_silent: Arc<AtomicBool>,
}

fn plan(receivers: &[&str]) -> Plan {
    Plan::direct(receivers.iter().map(|name| webhook(settings(name, "http://127.0.0.1:1/"))).collect())
}

/// With a silence for every alert but those called `Loud`.
fn try_open(disk: &SimulatedDisk, receivers: &[&str]) -> Result<World, NotifyError> {
    let (clock, is_silent) = (Clock::manual(NOON_MS), Arc::new(AtomicBool::new(true)));
    let asked = Arc::clone(&is_silent);
    let silencer = Arc::new(move |labels: &crate::model::Labels, _| {
        let holds_back = asked.load(Ordering::SeqCst) && labels.get("alertname") != Some("Loud");
        holds_back.then(|| SilencedBy {
            id: "a-silence".to_owned(),
            created_by: "ada".to_owned(),
            comment: "new switch".to_owned(),
        })
    });
    let options = NotifierOptions { silencer, ..NotifierOptions::new(plan(receivers), String::new()) };
    let opened = Notifier::open(Arc::new(disk.clone()), Path::new("/data/outbox"), clock.clone(), options)?;
    Ok(World { notifier: opened.0, clock, is_silent })
}

fn open(disk: &SimulatedDisk, receivers: &[&str]) -> World {
    try_open(disk, receivers).unwrap()
}

impl World {
    fn report(&self, alert: &Alert) {
        assert_eq!(self.notifier.enqueue(alert).unwrap(), Enqueued::Accepted);
    }

    fn silence(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// The look of each second, and then everything that is on its way is told: receiver and id.
    fn told(&self) -> Vec<(String, String)> {
        self.notifier.tell_what_is_no_longer_silenced();
        let mut told = Vec::new();
        for way in self.notifier.ways.load_full().iter() {
            loop {
                let next = way.lanes.lock().next(self.clock.monotonic(), 1);
                let Next::Send(owed) = next else { break };
                let message = owed.message(&way.name);
                told.push((way.name.clone(), message.id.clone()));
                self.notifier.take_answer(way, &owed, &message, Answer::Delivered { http_status: 200 });
            }
        }
        told
    }

    fn told_to_pager(&self) -> Vec<String> {
        self.told().into_iter().map(|(receiver, id)| if receiver == "pager" { id } else { receiver }).collect()
    }
}

fn ids(alerts: &[Alert]) -> Vec<String> {
    alerts.iter().map(Alert::transition_id).collect()
}

#[test]
fn what_begins_under_a_silence_and_outlasts_it_is_told_once_to_everybody_under_its_id() {
    let world = open(&SimulatedDisk::new(), &["pager", "chat"]);
    world.report(&firing("A"));
    world.report(&firing("Loud"));
    let to_both = |alert: Alert| ["pager", "chat"].map(|name| (name.to_owned(), alert.transition_id()));
    assert_eq!(world.told(), to_both(firing("Loud")));
    assert_eq!(world.notifier.enqueue(&firing("A")).unwrap(), Enqueued::AlreadyKnown);
    assert_eq!(world.notifier.active(), [firing("A"), firing("Loud")]);
    assert_eq!(world.told(), []);
    world.silence(false);
    assert_eq!(world.told(), to_both(firing("A")));
    assert_eq!(world.told(), []);
    assert_eq!(world.notifier.metrics().pending.load(Ordering::Relaxed), 0);
    world.report(&resolved("A"));
    assert_eq!(world.told(), to_both(resolved("A")));
}

#[test]
fn what_begins_and_ends_under_a_silence_is_never_told_and_the_next_time_it_is() {
    let world = open(&SimulatedDisk::new(), &["pager"]);
    world.report(&firing("A"));
    world.report(&resolved("A"));
    world.notifier.enqueue_all(&[firing("B"), resolved("B")]).unwrap();
    world.silence(false);
    assert_eq!(world.told(), []);
    world.report(&again(firing("A")));
    world.report(&again(resolved("A")));
    assert_eq!(world.told_to_pager(), ids(&[again(firing("A")), again(resolved("A"))]));
}

#[test]
fn the_end_of_what_was_never_told_is_not_told_though_the_silence_is_over() {
    let world = open(&SimulatedDisk::new(), &["pager"]);
    world.report(&firing("A"));
    world.silence(false);
    // Before the look.
    world.report(&resolved("A"));
    assert_eq!(world.told(), []);
}

#[test]
fn a_silence_behind_the_first_page_holds_back_the_end_as_alertmanager_does() {
    let world = open(&SimulatedDisk::new(), &["pager"]);
    world.silence(false);
    world.report(&firing("A"));
    world.report(&firing("B"));
    assert_eq!(world.told_to_pager(), ids(&[firing("A"), firing("B")]));
    world.silence(true);
    world.report(&resolved("A"));
    assert_eq!(world.told(), []);
    // B outlasts it: it was told before, and is not told again.
    world.silence(false);
    assert_eq!(world.told(), []);
    world.report(&resolved("B"));
    assert_eq!(world.told_to_pager(), ids(&[resolved("B")]));
}

#[test]
fn the_journal_hears_of_what_nobody_is_told_and_so_do_those_who_ask() {
    let world = open(&SimulatedDisk::new(), &["pager"]);
    let events = world.notifier.events().unwrap();
    world.report(&firing("A"));
    let states = world.notifier.alerts();
    assert_eq!((states.len(), &states[0].receivers), (1, &vec!["pager".to_owned()]));
    assert_eq!(states[0].silenced_by.as_deref(), Some("a-silence"));
    world.report(&resolved("A"));
    assert_eq!(world.told(), []);
    let mut heard = events.try_iter().map(|event| match event {
        Event::Transition { alert, silenced_by, .. } => (alert.ends_at_ms.is_some(), silenced_by),
        Event::Attempt { .. } => panic!("nobody was tried"),
    });
    let (is_end, silenced_by) = heard.next().expect("the beginning");
    let silenced_by = silenced_by.expect("it was held back");
    let said = [&silenced_by.id, &silenced_by.created_by, &silenced_by.comment].map(String::as_str);
    assert_eq!((is_end, said), (false, ["a-silence", "ada", "new switch"]));
    assert_eq!(heard.next(), Some((true, None)), "of the end nothing is said");
    assert_eq!(heard.next(), None);
    world.silence(false);
    world.report(&firing("B"));
    let Some(Event::Transition { silenced_by, .. }) = events.try_iter().next() else { panic!("it began") };
    assert_eq!(silenced_by, None, "nothing held it back");
}

#[test]
fn what_all_receivers_went_from_is_told_to_who_comes_and_nothing_to_who_comes_back() {
    let disk = SimulatedDisk::new();
    let world = open(&disk, &["pager", "chat"]);
    world.silence(false);
    let replace = |receivers: &[&str]| world.notifier.replace_plan(world.notifier.prepare(plan(receivers)).unwrap());
    world.report(&firing("A"));
    world.report(&firing("B"));
    // The pager went before it was told of A and B, and is told of neither when it is back, but of their ends.
    replace(&["chat"]);
    assert_eq!(world.notifier.metrics().pending.load(Ordering::Relaxed), 2);
    replace(&["pager", "chat"]);
    let to = |name: &str, alert: Alert| (name.to_owned(), alert.transition_id());
    assert_eq!(world.told(), [to("chat", firing("A")), to("chat", firing("B"))]);
    world.report(&resolved("A"));
    assert_eq!(world.told(), [to("pager", resolved("A")), to("chat", resolved("A"))]);
    // Nobody is left who was told of B: who comes is told, once, by its id.
    replace(&["duty"]);
    assert_eq!(world.told(), [to("duty", firing("B"))]);
    drop(world);
    let world = open(&disk, &["pager", "duty"]);
    world.silence(false);
    assert_eq!(world.told(), [], "nor is it told by the next start");
    world.report(&resolved("B"));
    assert_eq!(world.told(), [to("pager", resolved("B")), to("duty", resolved("B"))]);
}

#[test]
fn a_long_silence_does_not_make_the_first_failure_the_last() {
    let world = open(&SimulatedDisk::new(), &["pager"]);
    world.report(&firing("A"));
    world.clock.advance(Duration::from_secs(10 * 24 * 3600));
    world.silence(false);
    world.notifier.tell_what_is_no_longer_silenced();
    let ways = world.notifier.ways.load_full();
    let next = ways[0].lanes.lock().next(world.clock.monotonic(), 1);
    let Next::Send(owed) = next else { panic!("it is owed: {next:?}") };
    let retry = Answer::Retry { reason: "busy".to_owned(), after: None, heard: crate::notify::Heard::Error };
    world.notifier.take_answer(&ways[0], &owed, &owed.message("pager"), retry);
    assert_eq!(world.notifier.dead_letters(), []);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.told_to_pager(), ids(&[firing("A")]));
}

#[test]
fn what_fired_while_there_was_nobody_to_tell_is_told_to_the_first_receiver() {
    let disk = SimulatedDisk::new();
    let world = open(&disk, &[]);
    world.silence(false);
    world.report(&firing("A"));
    assert_eq!(world.told(), []);
    let world = open(&disk.crash(1), &["pager"]);
    assert_eq!(world.told(), [], "it is silenced now");
    world.silence(false);
    assert_eq!(world.told_to_pager(), ids(&[firing("A")]));
}

/// What was told before the power went, and whether all steps were done.
fn story(disk: &SimulatedDisk) -> (Vec<String>, bool) {
    let mut told = Vec::new();
    let mut steps = || {
        let world = try_open(disk, &["pager"])?;
        world.notifier.enqueue(&firing("A"))?;
        world.notifier.enqueue_all(&[firing("B"), firing("C")])?;
        world.notifier.enqueue(&resolved("C"))?;
        world.silence(false);
        told.extend(world.told());
        world.notifier.outbox.lock().begin_file(NOON_MS)?;
        world.notifier.enqueue(&resolved("A"))?;
        told.extend(world.told());
        Ok::<(), NotifyError>(())
    };
    let is_done = steps().is_ok();
    (told.into_iter().map(|(_, id)| id).collect(), is_done)
}

#[test]
fn wherever_the_power_is_cut_what_outlasts_the_silence_is_told_and_nothing_else() {
    let expected: BTreeSet<String> = ids(&[firing("A"), firing("B"), resolved("A")]).into_iter().collect();
    for operation_count in 0.. {
        let disk = SimulatedDisk::new();
        disk.fail_after(operation_count);
        let (before, is_done) = story(&disk);
        for seed in 0..20 {
            let disk = disk.crash(seed);
            // The rules tell their story again, under the same silence; it ends while A and B fire.
            let world = open(&disk, &["pager"]);
            let known = world.notifier.active();
            for alert in [firing("A"), firing("B"), firing("C"), resolved("C")] {
                let result = world.notifier.enqueue(&alert).unwrap();
                let was_known = known.iter().any(|one| one.labels == alert.labels);
                assert!(!was_known || alert.ends_at_ms.is_some() || result == Enqueued::AlreadyKnown, "{alert:?}");
            }
            let mut told = before.clone();
            world.silence(false);
            told.extend(world.told_to_pager());
            let _ = world.notifier.enqueue(&resolved("A")).unwrap();
            told.extend(world.told_to_pager());
            let moment = format!("cut at {operation_count}, seed {seed}: {told:?}");
            assert_eq!(told.iter().cloned().collect::<BTreeSet<_>>(), expected, "{moment}");
            let first = |alert: Alert| told.iter().position(|id| *id == alert.transition_id());
            assert!(first(firing("A")) < first(resolved("A")), "{moment}");
            // Behind the second start nothing is told that the first had noted as taken, and all is noted now.
            let world = open(&disk, &["pager"]);
            world.silence(false);
            assert_eq!(world.told(), [], "{moment}");
        }
        if is_done {
            assert!(operation_count > 12, "only {operation_count} moments were tried");
            break;
        }
    }
}
