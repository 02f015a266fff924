//! The order in which one receiver is told: a lane for each alert, or for each group where alerts are grouped, and a
//! circuit for when nobody answers at all.
//!
//! ```text
//! lane A: firing, resolved      resolved waits until firing is through
//! lane B: firing                not held up by A
//! ```
//!
//! A lane whose head failed waits by [`Backoff`]. When three different lanes have failed and none got through, it is
//! the receiver that fails and not the alert: the circuit opens, and from then on one notification at a time tries it,
//! every [`Backoff::probe`], for the 100,000 that may be waiting. The first success lets all of them go.
//! What is noted while more waits than a receiver can be told in a few rounds is told together: the heads of many lanes become
//! one joint message (`joint`). It has a lane of its own, and holds up those that it took the heads of until it is settled.
//!
//! ```text
//! lane A: firing, resolved ─┐
//! lane B: firing           ─┼─► lane of the joint message: A firing, B firing, C firing
//! lane C: firing           ─┘   lane A: resolved, held
//! ```
//!
//! A receiver that asks for time by `Retry-After` gets it from all lanes: it speaks of itself, not of an alert.
//!
//! No I/O, no clock: the times are given.
//!
//! Always true: at most one notification of a lane is in flight, in whichever message, and at most `in_flight_max` messages
//! of all lanes.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::answer::Heard;
use super::backoff::Backoff;
use super::message::MESSAGE_BYTES_MAX;
use super::owed::{Notification, Owed};

/// Different lanes that fail without a success between them before the receiver is thought to be down.
const FAILING_LANES_MAX: usize = 3;
/// Rounds of attempts that alerts wait for to be told one by one; where it would take more, they are told together.
const ROUNDS_MAX: usize = 4;

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try this one, and say later how it went.
    Send(Owed),
    /// Make one message of these, oldest first, and say by [`Lanes::joined`] or [`Lanes::not_joined`] whether there is one.
    Join(Vec<Arc<Notification>>),
    /// Nothing before this time of the monotonic clock.
    WaitUntil(Duration),
    /// Nothing until a notification comes or an attempt ends.
    Idle,
}

struct Lane {
    /// Oldest first; the head is the one that is tried.
    queue: VecDeque<Owed>,
    /// Failures of the head in a row.
    failure_count: u32,
    /// What was heard of the head last, and how often in a row.
    heard: Option<(Heard, u32)>,
    /// The head was to be told together with others, and could not be.
    goes_alone: bool,
    /// Joint messages that tell what stood before the head. The lane has no place until they are settled.
    held_count: u32,
    /// Where the lane stands in `waiting`; `None` while its head is in flight, or the lane is held.
    place: Option<Place>,
}

impl Lane {
    fn new(queue: VecDeque<Owed>) -> Lane {
        Lane { queue, failure_count: 0, heard: None, goes_alone: false, held_count: 0, place: None }
    }

    /// The head, if this receiver is told of it together with others.
    fn joinable(&self, receiver: &str) -> Option<&Arc<Notification>> {
        match self.queue.front() {
            Some(Owed::Transition(one)) if !self.goes_alone => Some(one).filter(|one| one.is_joint_for(receiver)),
            _ => None,
        }
    }
}

/// When the lane's turn is, and, where several are due, who came first.
type Place = (Duration, u64, u64);

/// See the module.
pub(crate) struct Lanes {
    receiver: String,
    backoff: Backoff,
    in_flight_max: usize,
    /// By [`Owed::lane`].
    lanes: HashMap<u64, Lane>,
    /// The lanes that each joint message holds, by its own.
    held: HashMap<u64, Vec<u64>>,
    waiting: BTreeSet<Place>,
    in_flight_count: usize,
    /// Lanes that failed since the last success, as many as decide.
    failing: HashSet<u64>,
    /// Nothing is sent before.
    hold_until: Duration,
    next_ticket: u64,
}

impl Lanes {
    pub(crate) fn new(receiver: &str, backoff: Backoff, in_flight_max: usize) -> Lanes {
        Lanes {
            receiver: receiver.to_owned(),
            backoff,
            in_flight_max: in_flight_max.max(1),
            lanes: HashMap::new(),
            held: HashMap::new(),
            waiting: BTreeSet::new(),
            in_flight_count: 0,
            failing: HashSet::new(),
            hold_until: Duration::ZERO,
            next_ticket: 0,
        }
    }

    /// Puts something at the end of its lane. A joint message holds the lanes of its alerts from now on.
    pub(crate) fn push(&mut self, owed: Owed, now: Duration) {
        let key = owed.lane();
        if let Some(message) = owed.joint() {
            self.hold(key, message.alerts.iter().map(|one| one.alert.fingerprint()).collect());
        }
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.queue.push_back(owed);
            return;
        }
        self.lanes.insert(key, Lane::new(VecDeque::from([owed])));
        self.queue_up(key, now);
    }

    /// Whether the receiver is thought to be down.
    pub(crate) fn is_circuit_open(&self) -> bool {
        self.failing.len() >= FAILING_LANES_MAX
    }

    /// Takes the next one to try, or up to `joint_max` that are to be told together.
    pub(crate) fn next(&mut self, now: Duration, joint_max: usize) -> Next {
        let in_flight_max = if self.is_circuit_open() { 1 } else { self.in_flight_max };
        let Some(&place) = self.waiting.first() else { return Next::Idle };
        if self.in_flight_count >= in_flight_max {
            return Next::Idle;
        }
        // With an open circuit the probe is the one that waited longest, due or not: lanes that failed less come first.
        let (turn, _, key) = place;
        let due = if self.is_circuit_open() { self.hold_until } else { turn.max(self.hold_until) };
        if due > now {
            return Next::WaitUntil(due);
        }
        self.in_flight_count += 1;
        if self.lanes[&key].joinable(&self.receiver).is_some() {
            let together = self.together(now, joint_max);
            together.iter().for_each(|one| self.leave(one.alert.fingerprint()));
            return Next::Join(together);
        }
        self.leave(key);
        Next::Send(self.lanes[&key].queue.front().expect("a lane has a head").clone())
    }

    /// The heads that are due and are told together, at least the first, oldest first.
    fn together(&self, now: Duration, joint_max: usize) -> Vec<Arc<Notification>> {
        let mut bytes = 0;
        // Others may be many: no more are looked at than twice what is wanted.
        let due = self.waiting.iter().take(2 * joint_max.max(1)).enumerate();
        let due = due.take_while(|(index, place)| *index == 0 || place.0 <= now);
        let heads = due.filter_map(|(_, place)| self.lanes[&place.2].joinable(&self.receiver));
        let fitting = heads.take_while(|one| {
            let is_first = bytes == 0;
            bytes += one.alert.text_bytes();
            is_first || bytes <= MESSAGE_BYTES_MAX
        });
        fitting.take(joint_max.max(1)).cloned().collect()
    }

    /// How many more can wait before it takes too long to tell each by itself.
    pub(crate) fn room(&self) -> usize {
        (ROUNDS_MAX * self.in_flight_max).saturating_sub(self.waiting.len())
    }

    /// The heads that [`Lanes::next`] gave to be joined are this message, which is in flight.
    pub(crate) fn joined(&mut self, joint: Owed, heads: &[Arc<Notification>]) {
        let keys: Vec<u64> = heads.iter().map(|one| one.alert.fingerprint()).collect();
        for key in &keys {
            self.lanes.get_mut(key).expect("a lane stays while its head is joined").queue.pop_front();
        }
        let key = joint.lane();
        self.hold(key, keys);
        self.lanes.insert(key, Lane::new(VecDeque::from([joint])));
    }

    /// No message could be made of them: each is told by itself.
    pub(crate) fn not_joined(&mut self, heads: &[Arc<Notification>], now: Duration) {
        self.in_flight_count -= 1;
        for one in heads {
            let key = one.alert.fingerprint();
            self.lanes.get_mut(&key).expect("a lane stays while its head is joined").goes_alone = true;
            self.queue_up(key, now);
        }
    }

    /// The joint message is given up: each of these, of which it was made, is told by itself. Only where the receiver
    /// answered is it known to be there, as when something is [settled](Lanes::settled).
    pub(crate) fn fell_apart(&mut self, key: u64, heads: Vec<Owed>, has_answered: bool, now: Duration) {
        for head in heads {
            let lane = self.lanes.get_mut(&head.lane()).expect("a lane stays while a joint message holds it");
            lane.queue.push_front(head);
        }
        if has_answered {
            self.settled(key, now);
        } else {
            self.in_flight_count -= 1;
            self.failing.remove(&key);
            self.drop_head(key, now);
        }
    }

    /// Notes what was heard of the head of the lane, which is in flight; returns how often in a row that was.
    pub(crate) fn note_heard(&mut self, key: u64, heard: Heard) -> u32 {
        let lane = self.lanes.get_mut(&key).expect("a lane stays while its head is in flight");
        let before = lane.heard.filter(|(last, _)| *last == heard).map_or(0, |(_, count)| count);
        lane.heard = Some((heard, before + 1));
        before + 1
    }

    /// The lanes wait for what has this lane, the joint message.
    fn hold(&mut self, joint: u64, keys: Vec<u64>) {
        for key in &keys {
            let lane = self.lanes.entry(*key).or_insert_with(|| Lane::new(VecDeque::new()));
            lane.held_count += 1;
            if let Some(place) = lane.place.take() {
                self.waiting.remove(&place);
            }
        }
        self.held.insert(joint, keys);
    }

    /// The joint message is settled.
    fn let_go(&mut self, joint: u64, now: Duration) {
        for key in self.held.remove(&joint).into_iter().flatten() {
            let lane = self.lanes.get_mut(&key).expect("a lane stays while a joint message holds it");
            lane.held_count -= 1;
            if lane.held_count > 0 {
                continue;
            }
            if lane.queue.is_empty() {
                self.lanes.remove(&key);
            } else {
                self.queue_up(key, now);
            }
        }
    }

    /// The lane's turn has come.
    fn leave(&mut self, key: u64) {
        let lane = self.lanes.get_mut(&key).expect("who waits has a lane");
        let place = lane.place.take().expect("who waits has a place");
        self.waiting.remove(&place);
    }

    /// The receiver has answered for good, by taking it or by refusing it: the next of the lane may go.
    pub(crate) fn settled(&mut self, key: u64, now: Duration) {
        self.in_flight_count -= 1;
        if self.is_circuit_open() {
            self.release_all(now);
        }
        self.failing.clear();
        self.drop_head(key, now);
    }

    /// It failed and will be tried again; `after` is the wait that the receiver asked for. Returns the wait.
    pub(crate) fn failed(&mut self, key: u64, now: Duration, after: Option<Duration>) -> Duration {
        self.in_flight_count -= 1;
        if !self.is_circuit_open() {
            self.failing.insert(key);
        }
        let lane = self.lanes.get_mut(&key).expect("a lane stays while its head is in flight");
        lane.failure_count = lane.failure_count.saturating_add(1);
        let head = lane.queue.front().expect("a head in flight stays in its lane");
        let wait = self.backoff.wait(lane.failure_count, head.id()).max(after.unwrap_or_default());
        let hold = if self.is_circuit_open() {
            self.backoff.probe.max(after.unwrap_or_default())
        } else {
            after.unwrap_or_default()
        };
        self.hold_until = self.hold_until.max(now + hold);
        self.queue_up(key, now + wait);
        wait
    }

    /// The receiver is reached elsewhere from now on: what failed before says nothing of it, and what waits may go.
    pub(crate) fn forget_failures(&mut self, now: Duration) {
        self.failing.clear();
        self.lanes.values_mut().for_each(|lane| (lane.failure_count, lane.heard) = (0, None));
        self.release_all(now);
    }

    /// Takes out the heads that came before `cutoff_ms` and are not in flight. Joint messages stay.
    pub(crate) fn take_older_than(&mut self, cutoff_ms: i64, now: Duration) -> Vec<Owed> {
        let mut old = Vec::new();
        let keys: Vec<u64> = self.waiting.iter().map(|place| place.2).collect();
        for key in keys {
            while let Some(head) = self.lanes.get(&key).and_then(|lane| lane.queue.front())
                && head.noted_at_ms() < cutoff_ms
                && head.joint().is_none()
            {
                old.push(head.clone());
                self.drop_head(key, now);
            }
        }
        old
    }

    fn drop_head(&mut self, key: u64, now: Duration) {
        let lane = self.lanes.get_mut(&key).expect("a lane stays while it has a head");
        lane.queue.pop_front();
        (lane.failure_count, lane.heard, lane.goes_alone) = (0, None, false);
        if let Some(place) = lane.place.take() {
            self.waiting.remove(&place);
        }
        if lane.queue.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.queue_up(key, now);
        }
        self.let_go(key, now);
    }

    fn queue_up(&mut self, key: u64, due: Duration) {
        let place = (due, self.next_ticket, key);
        self.next_ticket += 1;
        self.waiting.insert(place);
        self.lanes.get_mut(&key).expect("who queues up has a lane").place = Some(place);
    }

    /// The receiver is back: what waits was not its own fault, and goes in the order in which it waited.
    fn release_all(&mut self, now: Duration) {
        self.hold_until = now;
        let late: Vec<Place> = self.waiting.iter().filter(|place| place.0 > now).copied().collect();
        for place in late {
            self.waiting.remove(&place);
            self.queue_up(place.2, now);
        }
    }
}
