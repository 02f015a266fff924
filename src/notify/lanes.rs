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
//! A receiver that asks for time by `Retry-After` gets it from all lanes: it speaks of itself, not of an alert.
//!
//! No I/O, no clock: the times are given.
//!
//! Always true: at most one notification of a lane is in flight, and at most `in_flight_max` of all lanes.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::backoff::Backoff;
use super::owed::Owed;

/// Different lanes that fail without a success between them before the receiver is thought to be down.
const FAILING_LANES_MAX: usize = 3;

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try this one, and say later how it went.
    Send(Owed),
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
    /// Where the lane stands in `waiting`; `None` while its head is in flight.
    place: Option<Place>,
}

/// When the lane's turn is, and, where several are due, who came first.
type Place = (Duration, u64, u64);

/// See the module.
pub(crate) struct Lanes {
    backoff: Backoff,
    in_flight_max: usize,
    /// By [`Owed::lane`].
    lanes: HashMap<u64, Lane>,
    waiting: BTreeSet<Place>,
    in_flight_count: usize,
    /// Lanes that failed since the last success, as many as decide.
    failing: HashSet<u64>,
    /// Nothing is sent before.
    hold_until: Duration,
    next_ticket: u64,
}

impl Lanes {
    pub(crate) fn new(backoff: Backoff, in_flight_max: usize) -> Lanes {
        Lanes {
            backoff,
            in_flight_max: in_flight_max.max(1),
            lanes: HashMap::new(),
            waiting: BTreeSet::new(),
            in_flight_count: 0,
            failing: HashSet::new(),
            hold_until: Duration::ZERO,
            next_ticket: 0,
        }
    }

    /// Puts something at the end of its lane.
    pub(crate) fn push(&mut self, owed: Owed, now: Duration) {
        let key = owed.lane();
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.queue.push_back(owed);
            return;
        }
        self.lanes.insert(key, Lane { queue: VecDeque::from([owed]), failure_count: 0, place: None });
        self.queue_up(key, now);
    }

    /// Whether the receiver is thought to be down.
    pub(crate) fn is_circuit_open(&self) -> bool {
        self.failing.len() >= FAILING_LANES_MAX
    }

    /// Takes the next one to try.
    pub(crate) fn next(&mut self, now: Duration) -> Next {
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
        self.waiting.remove(&place);
        self.in_flight_count += 1;
        let lane = self.lanes.get_mut(&key).expect("who waits has a lane");
        lane.place = None;
        Next::Send(lane.queue.front().expect("a lane has a head").clone())
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
        self.lanes.values_mut().for_each(|lane| lane.failure_count = 0);
        self.release_all(now);
    }

    /// Takes out the heads that came before `cutoff_ms` and are not in flight.
    pub(crate) fn take_older_than(&mut self, cutoff_ms: i64, now: Duration) -> Vec<Owed> {
        let mut old = Vec::new();
        let keys: Vec<u64> = self.waiting.iter().map(|place| place.2).collect();
        for key in keys {
            while let Some(head) = self.lanes.get(&key).and_then(|lane| lane.queue.front())
                && head.noted_at_ms() < cutoff_ms
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
        lane.failure_count = 0;
        if let Some(place) = lane.place.take() {
            self.waiting.remove(&place);
        }
        if lane.queue.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.queue_up(key, now);
        }
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
