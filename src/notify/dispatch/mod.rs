//! Groups of alerts and when they are told: what Alertmanager does with a route tree, as a machine without clock and disk.
//!
//! ```text
//! route: group_by [alertname], group_wait 30s, group_interval 5m, repeat_interval 4h
//!
//! 12:00:00  {alertname="Slow", region="eu"} fires     group {}:{alertname="Slow"} is made, due at 12:00:30
//! 12:00:10  {alertname="Slow", region="us"} fires     joins it
//! 12:00:30  flush: nobody was told                    message 1: eu, us firing                    due at 12:05:30
//! 12:03:00  eu ends
//! 12:05:30  flush: eu is over                         message 2: eu resolved, us firing; eu leaves
//! 12:10:30  flush: nothing is new
//! 16:10:30  flush: the first beyond four hours         message 3: us firing
//! ```
//!
//! Transitions come in by [`Dispatcher::take`]. [`Dispatcher::flush`] says what the groups that are due have to tell, as
//! records for the outbox; when those are on disk [`Dispatcher::noted`] lets what ended go. What was told is not known here
//! but asked of the notification log ([`ToldLog`]), which survives restarts: [`Dispatcher::restore`] makes the groups again
//! of the alerts that the outbox has, and they go on where they were.
//!
//! Always true:
//! 1. A message's id follows from its group, its receiver, how many there were before and the transitions in it: the flush
//!    that a crash interrupted is the same message when it comes again.
//! 2. A receiver is told of the end only of what it was told had begun, or together with others that fire.
//! 3. A group without alerts ends.
//! 4. While a receiver has not taken the last message of a group, nothing is repeated to it.

mod decide;
mod group;
mod telling;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::alert::Status;
use super::ledger::Record;
use super::owed::Notification;
use super::routing::{Inhibitor, Routing};
use super::told::ToldLog;
use crate::model::Labels;
use group::Group;

/// Groups whose messages are noted with one sync.
const FLUSHES_AT_ONCE_MAX: usize = 256;

/// One moment on both clocks: waiting is measured on one, and messages are stamped with the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// In ms since 1970 UTC.
    pub(crate) wall_ms: i64,
    /// Of the monotonic clock.
    pub(crate) monotonic: Duration,
}

/// One integration of a receiver, which is told of groups by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its name in the outbox.
    pub(crate) name: String,
    /// Whether it wants to hear of ends.
    pub(crate) sends_resolved: bool,
}

/// What decides over a flush and is not known here.
pub(crate) struct Surroundings<'a> {
    /// What was told before.
    pub(crate) told: &'a ToldLog,
    /// Whether a message of this id is still on its way.
    pub(crate) is_pending: &'a dyn Fn(&str) -> bool,
    /// The silence that holds back an alert with these labels.
    pub(crate) silenced_by: &'a dyn Fn(&Labels) -> Option<String>,
}

/// What groups that were due have to tell.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    /// For the outbox, all or none.
    pub(crate) records: Vec<Record>,
    /// The groups, with the ends that they have told when those are noted: fingerprint and transition.
    groups: Vec<(u64, Vec<(u64, String)>)>,
}

/// See the module.
pub(crate) struct Dispatcher {
    routing: Arc<Routing>,
    /// By the receiver's name in the routes.
    targets: HashMap<String, Vec<Target>>,
    /// By number, in the order in which they were made.
    groups: HashMap<u64, Group>,
    /// By route and group key.
    numbers: HashMap<(usize, String), u64>,
    timers: BTreeSet<(Duration, u64)>,
    inhibitor: Inhibitor,
    next_number: u64,
}

impl Dispatcher {
    pub(crate) fn new(routing: Arc<Routing>, targets: HashMap<String, Vec<Target>>) -> Dispatcher {
        let inhibitor = routing.inhibitor();
        Dispatcher {
            routing,
            targets,
            groups: HashMap::new(),
            numbers: HashMap::new(),
            timers: BTreeSet::new(),
            inhibitor,
            next_number: 0,
        }
    }

    pub(crate) fn routing(&self) -> &Arc<Routing> {
        &self.routing
    }

    /// Puts a transition into its groups. A new group waits for others, unless its alert began longer ago than that.
    pub(crate) fn take(&mut self, transition: &Arc<Notification>, now: Moment) {
        for (number, is_new) in self.insert(transition) {
            if is_new {
                let group = &self.groups[&number];
                let is_old = transition.alert.starts_at_ms.saturating_add(group.options.group_wait_ms) < now.wall_ms;
                let wait = if is_old { Duration::ZERO } else { ms(group.options.group_wait_ms) };
                self.set_timer(number, now.monotonic + wait);
            }
        }
    }

    /// Makes the groups of these again, which the outbox had before this process, or before another routing.
    ///
    /// A group that was told goes on in its interval. One that was not waits for what is left of its wait.
    pub(crate) fn restore<'a>(
        &mut self,
        transitions: impl Iterator<Item = &'a Arc<Notification>>,
        told: &ToldLog,
        now: Moment,
    ) {
        for transition in transitions {
            for (number, is_new) in self.insert(transition) {
                if is_new {
                    let group = &self.groups[&number];
                    let last_ms = told.of_group(&group.key).map(|told| told.at_ms).max();
                    let (from_ms, wait_ms) = match last_ms {
                        Some(last_ms) => (last_ms, group.options.group_interval_ms),
                        None => (transition.enqueued_at_ms, group.options.group_wait_ms),
                    };
                    let left_ms = from_ms.saturating_add(wait_ms).saturating_sub(now.wall_ms).clamp(0, wait_ms.max(0));
                    self.set_timer(number, now.monotonic + ms(left_ms));
                }
            }
        }
    }

    /// The groups that a transition is in now, and whether each was made for it.
    fn insert(&mut self, transition: &Arc<Notification>) -> Vec<(u64, bool)> {
        let labels = &transition.alert.labels;
        match transition.alert.status() {
            Status::Firing => self.inhibitor.fires(labels),
            Status::Resolved => self.inhibitor.ends(labels),
        }
        let mut found = Vec::new();
        for matched in self.routing.matches(labels) {
            let place = (matched.route_index, matched.group_key.clone());
            let known = self.numbers.get(&place).copied();
            let number = known.unwrap_or(self.next_number);
            if known.is_none() {
                self.next_number += 1;
                self.numbers.insert(place, number);
                self.groups.insert(number, Group::new(&matched));
            }
            let group = self.groups.get_mut(&number).expect("a number is that of a group");
            group.members.insert(transition.alert.fingerprint(), Arc::clone(transition));
            found.push((number, known.is_none()));
        }
        found
    }

    fn set_timer(&mut self, number: u64, due: Duration) {
        let group = self.groups.get_mut(&number).expect("who has a timer is a group");
        if let Some(earlier) = group.due.replace(due) {
            self.timers.remove(&(earlier, number));
        }
        self.timers.insert((due, number));
    }

    /// When the next group is due, on the monotonic clock.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.timers.first().map(|timer| timer.0)
    }

    /// What those groups have to tell that are due, some of them at least. `None`: none is due.
    pub(crate) fn flush(&mut self, surroundings: &Surroundings<'_>, now: Moment) -> Option<Flush> {
        let mut flush = Flush::default();
        let mut keys = HashSet::new();
        while let Some(&(due, number)) = self.timers.first()
            && due <= now.monotonic
            && flush.groups.len() < FLUSHES_AT_ONCE_MAX
        {
            // Two routes may have groups of one key: the second is to know what the first has told.
            if !keys.insert(self.groups[&number].key.clone()) {
                break;
            }
            let interval = ms(self.groups[&number].options.group_interval_ms);
            self.set_timer(number, now.monotonic + interval);
            let (records, ended) = self.tell(&self.groups[&number], surroundings, now.wall_ms);
            flush.records.extend(records);
            flush.groups.push((number, ended));
        }
        (!flush.groups.is_empty()).then_some(flush)
    }

    /// The records of a flush are on disk: what ended is told and leaves its group, unless it fired again meanwhile.
    pub(crate) fn noted(&mut self, flush: Flush) {
        for (number, ended) in flush.groups {
            let Some(group) = self.groups.get_mut(&number) else { continue };
            for (fingerprint, id) in ended {
                if group.members.get(&fingerprint).is_some_and(|member| member.id == id) {
                    group.members.remove(&fingerprint);
                }
            }
            if group.members.is_empty() {
                self.end(number);
            }
        }
    }

    fn end(&mut self, number: u64) {
        let group = self.groups.remove(&number).expect("what ends is there");
        self.numbers.remove(&(group.route_index, group.key));
        group.due.into_iter().for_each(|due| {
            self.timers.remove(&(due, number));
        });
    }

    /// The records of a flush could not be noted: its groups are due again at `due`.
    pub(crate) fn postponed(&mut self, flush: &Flush, due: Duration) {
        for (number, _) in &flush.groups {
            self.set_timer(*number, due);
        }
    }

    /// Whether there is no group of this key.
    pub(crate) fn is_over(&self) -> impl Fn(&str) -> bool {
        let keys: HashSet<&str> = self.groups.values().map(|group| group.key.as_str()).collect();
        move |key| !keys.contains(key)
    }

    /// How many groups there are.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The fingerprint of the firing alert that holds back one with these labels.
    pub(crate) fn inhibited_by(&self, labels: &Labels) -> Option<u64> {
        self.inhibitor.inhibited_by(labels)
    }
}

/// A wait of a route; a negative one is none.
fn ms(wait_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests;
