//! Bad nights, by seed: alerts come and go, in groups or each alone under silences that come and go too, the pager is flaky,
//! the process is killed and the power with it.
//!
//! The notifier is the real one; the loop around it is the test's, on one thread, with a clock that it moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{NOON_MS, settings, webhook};
use crate::clock::Clock;
use crate::disk::SimulatedDisk;
use crate::model::Labels;
use crate::notify::lanes::Next;
use crate::notify::owed::Owed;
use crate::notify::routing::load;
use crate::notify::way::Way;
use crate::notify::{
    Alert, Answer, Delivery, Destination, Enqueued, Heard, Message, Notifier, NotifierOptions, Plan, SilencedBy,
    Silencer, Status,
};

const REPEAT_MS: i64 = 3_600_000;
const ROUTING: &str = "
route:
  { receiver: pager, group_by: [service], group_wait: 30s, group_interval: 2m, repeat_interval: 1h,
    routes: [{ receiver: mail, matchers: ['service=~\"s[01]\"'], group_by: ['...'], group_wait: 0s, continue: true },
             { receiver: pager, matchers: ['service=~\".+\"'] }] }
receivers:
- { name: pager, webhook_configs: [{ url: 'http://127.0.0.1:1/' }] }
- { name: mail, webhook_configs: [{ url: 'http://127.0.0.1:1/' }] }
";
const ALERTS: usize = 12;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A message that reached its receiver, and when.
struct Received {
    message: Arc<Message>,
    at_ms: i64,
}

/// Services that are silenced now.
type Silenced = Arc<Mutex<BTreeSet<String>>>;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Grouped and routed, without silences.
    Routed,
    /// Each alert to everybody, with silences.
    Direct,
    /// The same, to receivers who are told one message at a time, so that there always is a backlog.
    Joint,
}

struct Night {
    seed: u64,
    mode: Mode,
    silenced: Silenced,
    /// Beginnings that somebody may have been told of: there was a report or a look without a silence.
    tellable: BTreeSet<String>,
    /// Beginnings whose end may have been noted under a silence: who was told of one takes it for firing.
    ended_silently: BTreeSet<String>,
    dice: Dice,
    clock: Clock,
    disk: SimulatedDisk,
    notifier: Arc<Notifier>,
    /// What was begun and has no answer yet; the receiver may have it.
    under_way: Vec<(Arc<Way>, Owed, Arc<Message>)>,
    received: Vec<Received>,
    /// Since when each alert fires in truth, and the last report of it that was not accepted yet.
    truth: Vec<Option<i64>>,
    unreported: Vec<Alert>,
    kill_count: usize,
    /// Joint messages that were refused.
    apart_count: usize,
    /// How often an alert began.
    begun_count: usize,
}

fn open(disk: &SimulatedDisk, clock: &Clock, mode: Mode, silenced: &Silenced) -> Option<Arc<Notifier>> {
    let destination = |name: &str| Destination {
        receiver: name.to_owned(),
        integration: webhook(settings(name, "http://127.0.0.1:1/")),
    };
    let routing = (mode == Mode::Routed).then(|| Arc::new(load("alertmanager.yml", ROUTING).unwrap()));
    let plan = Plan { destinations: vec![destination("pager"), destination("mail")], routing, fallback_receiver: None };
    let asked = Arc::clone(silenced);
    let silencer: Silencer = Arc::new(move |labels, _| {
        let id = asked.lock().get(labels.get("service")?).cloned()?;
        Some(SilencedBy { id, ..SilencedBy::default() })
    });
    let in_flight_max = if mode == Mode::Joint { 1 } else { Delivery::default().in_flight_max };
    let delivery = Delivery { in_flight_max, ..Delivery::default() };
    let options = NotifierOptions { silencer, delivery, ..NotifierOptions::new(plan, String::new()) };
    Notifier::open(Arc::new(disk.clone()), Path::new("/data/outbox"), clock.clone(), options)
        .ok()
        .map(|opened| opened.0)
}

fn labels(index: usize) -> Labels {
    Labels::from_pairs([("alertname", format!("A{index}")), ("service", format!("s{}", index % 4))]).unwrap()
}

impl Night {
    fn new(seed: u64, mode: Mode) -> Night {
        let (disk, clock, silenced) = (SimulatedDisk::new(), Clock::manual(NOON_MS), Silenced::default());
        Night {
            seed,
            mode,
            tellable: BTreeSet::new(),
            ended_silently: BTreeSet::new(),
            dice: Dice(seed),
            notifier: open(&disk, &clock, mode, &silenced).unwrap(),
            silenced,
            clock,
            disk,
            under_way: Vec::new(),
            received: Vec::new(),
            truth: vec![None; ALERTS],
            unreported: Vec::new(),
            kill_count: 0,
            apart_count: 0,
            begun_count: 0,
        }
    }

    fn live(&mut self) {
        for _ in 0..600 {
            match self.dice.below(100) {
                0..25 => self.change(),
                25..50 => self.clock.advance(Duration::from_millis(500 + self.dice.below(60_000))),
                50..52 => self.clock.advance(Duration::from_secs(1_800)),
                52..70 => self.flush(),
                70..93 => self.deliver(),
                // From now on the disk fails after some operations, as it does when the power goes in the middle of one.
                // What could not be joined for that goes by itself, and may be joined after a kill, under another id.
                93..95 if self.mode != Mode::Joint => self.disk.fail_after(self.dice.below(4)),
                95..97 => self.kill(),
                97..98 => self.calm(),
                98..99 if self.mode != Mode::Routed => self.silence(),
                _ => self.report(),
            }
        }
        self.calm();
    }

    /// An alert begins or ends in truth, and the rule says so.
    fn change(&mut self) {
        let index = self.dice.below(ALERTS as u64) as usize;
        // An alert that began, ended and began again in one millisecond is one transition.
        self.clock.advance(Duration::from_millis(1));
        let now_ms = self.clock.now_ms();
        let (starts_at_ms, ends_at_ms) = match self.truth[index].take() {
            Some(starts_at_ms) => (starts_at_ms, Some(now_ms)),
            None => {
                self.truth[index] = Some(now_ms);
                self.begun_count += 1;
                (now_ms, None)
            }
        };
        let (labels, annotations, generator_url) = (labels(index), Vec::new(), String::new());
        self.unreported.push(Alert { labels, annotations, starts_at_ms, ends_at_ms, generator_url });
        self.report();
    }

    /// Rules report until the outbox has it, across crashes.
    fn report(&mut self) {
        while let Some(alert) = self.unreported.first().cloned() {
            self.expect(&alert);
            let alert = &alert;
            match self.notifier.enqueue(alert) {
                Ok(Enqueued::NotActive) => panic!("seed {}: the beginning of {alert:?} was lost", self.seed),
                Ok(_) => drop(self.unreported.remove(0)),
                Err(_) => return self.kill(),
            }
        }
    }

    /// What may follow from this report.
    fn expect(&mut self, alert: &Alert) {
        let is_silenced = self.notifier.is_silenced(&alert.labels);
        match alert.status() {
            Status::Firing => self.tellable.extend((!is_silenced).then(|| alert.transition_id())),
            Status::Resolved => self.ended_silently.extend(is_silenced.then(|| beginning_of(alert))),
        }
    }

    /// A silence of a service begins or ends.
    fn silence(&mut self) {
        let service = format!("s{}", self.dice.below(4));
        let mut silenced = self.silenced.lock();
        if !silenced.remove(&service) {
            silenced.insert(service);
        }
    }

    fn flush(&mut self) {
        let active = self.notifier.active();
        let loud = active.iter().filter(|alert| !self.notifier.is_silenced(&alert.labels));
        self.tellable.extend(loud.map(Alert::transition_id));
        self.notifier.tell_what_is_no_longer_silenced();
        // As often as groups can be due by now.
        (0..4).for_each(|_| self.notifier.flush_due());
    }

    /// Some of what may go is begun, and some of what was begun is answered, rightly or not.
    fn deliver(&mut self) {
        let mut begun = Vec::new();
        for way in self.notifier.ways.load().iter() {
            while let Some(owed) = self.begin(way) {
                let message = owed.message(&way.name);
                begun.push((Arc::clone(way), owed, message));
            }
        }
        self.under_way.extend(begun);
        for (way, owed, message) in std::mem::take(&mut self.under_way) {
            match self.dice.below(10) {
                0..2 => self.under_way.push((way, owed, message)),
                2..6 => {
                    self.receive(&message);
                    self.answer(&way, &owed, &message, Answer::Delivered { http_status: 200 });
                }
                // The receiver has it and its answer is lost.
                6 => {
                    self.receive(&message);
                    self.answer(&way, &owed, &message, failed(Heard::Nothing));
                }
                // One of its alerts is one that it cannot take, for now.
                7 if message.is_joint && !self.received.iter().any(|other| other.message.id == message.id) => {
                    let reason = "odd".to_owned();
                    let refused = Answer::Refused { reason: reason.clone() };
                    let error = Answer::Retry { reason, after: None, heard: Heard::Error };
                    let answer = if self.dice.below(2) == 0 { refused } else { error };
                    self.apart_count += usize::from(matches!(answer, Answer::Refused { .. }));
                    self.answer(&way, &owed, &message, answer);
                }
                _ => self.answer(&way, &owed, &message, failed(Heard::Nobody)),
            }
        }
    }

    /// Takes the next one to try on this way, and notes the message if it is a joint one.
    fn begin(&self, way: &Way) -> Option<Owed> {
        loop {
            let next = way.lanes.lock().next(self.clock.monotonic(), way.joint_max);
            match next {
                Next::Send(owed) => return Some(owed),
                // On a disk that fails they go by themselves.
                Next::Join(transitions) => match self.notifier.join(way, &transitions) {
                    Some(joint) => return Some(joint),
                    None => continue,
                },
                Next::WaitUntil(_) | Next::Idle => return None,
            }
        }
    }

    fn answer(&self, way: &Way, owed: &Owed, message: &Message, answer: Answer) {
        self.notifier.take_answer(way, owed, message, answer);
    }

    fn receive(&mut self, message: &Arc<Message>) {
        self.received.push(Received { message: Arc::clone(message), at_ms: self.clock.now_ms() });
    }

    /// The process ends between two instructions, and the power with it; then it is started again.
    fn kill(&mut self) {
        for (_, _, message) in std::mem::take(&mut self.under_way) {
            if self.dice.below(2) == 0 {
                self.receive(&message);
            }
        }
        self.kill_count += 1;
        let crash_seed = self.dice.below(u64::MAX);
        self.disk = self.disk.crash(crash_seed);
        self.notifier = open(&self.disk, &self.clock, self.mode, &self.silenced).unwrap();
    }

    /// Everything works for so long that everything must have been told; then what receivers know is the truth.
    fn calm(&mut self) {
        self.disk.heal();
        self.report();
        self.silenced.lock().clear();
        for _ in 0..40 {
            self.clock.advance(Duration::from_secs(30));
            self.flush();
            for (way, owed, message) in std::mem::take(&mut self.under_way) {
                self.receive(&message);
                self.answer(&way, &owed, &message, Answer::Delivered { http_status: 200 });
            }
            let ways = self.notifier.ways.load_full();
            for way in ways.iter() {
                while let Some(owed) = self.begin(way) {
                    let message = owed.message(&way.name);
                    self.receive(&message);
                    self.answer(way, &owed, &message, Answer::Delivered { http_status: 200 });
                }
            }
        }
        self.check_that_receivers_know_the_truth();
    }

    fn check_that_receivers_know_the_truth(&self) {
        let noted: Vec<Alert> =
            self.notifier.outbox.lock().ledger().active().iter().map(|one| one.alert.clone()).collect();
        assert_eq!(self.notifier.active(), noted, "seed {}", self.seed);
        for receiver in ["pager", "mail"] {
            let mut known: BTreeMap<&Labels, &Alert> = BTreeMap::new();
            let mut ids = BTreeSet::new();
            let to_it = self.received.iter().filter(|received| received.message.receiver == receiver);
            for received in to_it.filter(|received| ids.insert(&received.message.id)) {
                known.extend(received.message.alerts.iter().map(|one| (&one.alert.labels, &one.alert)));
            }
            for (index, truth) in self.truth.iter().enumerate() {
                if self.mode == Mode::Routed && receiver == "mail" && index % 4 > 1 {
                    continue;
                }
                let (labels, seed) = (labels(index), self.seed);
                let last = known.get(&labels);
                let heard = last.map(|alert| alert.status());
                let is_right = match truth {
                    Some(_) => heard == Some(Status::Firing),
                    None if heard != Some(Status::Firing) => true,
                    None => last.is_some_and(|alert| self.ended_silently.contains(&beginning_of(alert))),
                };
                assert!(is_right, "seed {seed}: {receiver} heard {heard:?} of {labels}, which fires since {truth:?}");
            }
        }
    }

    /// What holds for everything that was received.
    fn check(&self) {
        let seed = self.seed;
        let mut by_id: HashMap<(&str, &str), &Arc<Message>> = HashMap::new();
        let mut last: HashMap<(&str, &str), &Received> = HashMap::new();
        let mut told_as: HashMap<(&str, String), &str> = HashMap::new();
        let mut ended: BTreeSet<(&str, &str, &Labels, i64)> = BTreeSet::new();
        for received in &self.received {
            let message = &received.message;
            if let Some(first) = by_id.insert((&message.receiver, &message.id), message) {
                assert_eq!(first, message, "seed {seed}: one id, two messages");
                continue;
            }
            let is_grouped = self.mode == Mode::Routed;
            let place = (message.receiver.as_str(), if is_grouped { message.group_key.as_str() } else { "" });
            for one in &message.alerts {
                let transition = (place.0, place.1, &one.alert.labels, one.alert.starts_at_ms);
                let id = (place.0, one.alert.transition_id());
                let other = told_as.insert(id.clone(), &message.id).filter(|_| !is_grouped);
                assert_eq!(other, None, "seed {seed}: {id:?} told as {} too", message.id);
                match one.alert.status() {
                    Status::Firing => {
                        assert!(!ended.contains(&transition), "seed {seed}: {transition:?} after its end")
                    }
                    Status::Resolved => drop(ended.insert(transition)),
                }
            }
            if self.mode != Mode::Routed {
                for began in message.alerts.iter().map(|one| beginning_of(&one.alert)) {
                    assert!(self.tellable.contains(&began), "seed {seed}: {began} was silenced all the time");
                }
                continue;
            }
            if let Some(before) = last.insert(place, received) {
                let is_long_ago = message.made_at_ms - before.at_ms > REPEAT_MS;
                assert!(
                    says_something_new(message, &before.message) || is_long_ago,
                    "seed {seed}: {} says after {} ms what {} said",
                    message.id,
                    message.made_at_ms - before.at_ms,
                    before.message.id
                );
            }
        }
    }
}

/// The id under which it began.
fn beginning_of(alert: &Alert) -> String {
    Alert { ends_at_ms: None, ..alert.clone() }.transition_id()
}

fn failed(heard: Heard) -> Answer {
    Answer::Retry { reason: "flaky".to_owned(), after: None, heard }
}

fn says_something_new(message: &Message, before: &Message) -> bool {
    let set = |message: &Message, status: Status| -> BTreeSet<Labels> {
        let some = message.alerts.iter().filter(|one| one.alert.status() == status);
        some.map(|one| one.alert.labels.clone()).collect()
    };
    let is_new = |status: Status| !set(message, status).is_subset(&set(before, status));
    is_new(Status::Firing) || is_new(Status::Resolved)
}

#[test]
fn through_two_hundred_kills_nothing_is_lost_told_again_under_another_id_or_told_in_the_wrong_order() {
    let (mut kill_count, mut received_count) = (0, 0);
    for seed in 1..=20 {
        let mut night = Night::new(seed, Mode::Routed);
        night.live();
        night.check();
        kill_count += night.kill_count;
        received_count += night.received.len();
    }
    assert!(kill_count >= 200, "only {kill_count} kills");
    assert!(received_count >= 2_000, "only {received_count} messages");
}

#[test]
fn through_two_hundred_kills_what_outlasts_its_silence_is_told_and_what_does_not_is_not() {
    let (mut kill_count, mut received_count, mut unheard_count) = (0, 0, 0);
    for seed in 1..=20 {
        let mut night = Night::new(seed, Mode::Direct);
        night.live();
        night.check();
        kill_count += night.kill_count;
        received_count += night.received.len();
        unheard_count += night.begun_count - night.tellable.len();
    }
    assert!(kill_count >= 200, "only {kill_count} kills");
    assert!(received_count >= 2_000, "only {received_count} messages");
    assert!(unheard_count >= 50, "only {unheard_count} alerts began and ended under a silence");
}

#[test]
fn through_two_hundred_kills_alerts_that_are_told_together_are_told_once_and_before_their_ends() {
    let (mut kill_count, mut joint_count, mut apart_count) = (0, 0, 0);
    for seed in 1..=20 {
        let mut night = Night::new(seed, Mode::Joint);
        night.live();
        night.check();
        kill_count += night.kill_count;
        let joints = night.received.iter().filter(|received| received.message.is_joint);
        joint_count += joints.map(|received| &received.message.id).collect::<BTreeSet<_>>().len();
        apart_count += night.apart_count;
    }
    assert!(kill_count >= 200, "only {kill_count} kills");
    assert!(joint_count >= 300, "only {joint_count} joint messages");
    assert!(apart_count >= 20, "only {apart_count} fell apart");
}
