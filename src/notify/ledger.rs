//! What the outbox knows, in memory: which notifications are owed to whom, which alerts are active, which ids are known.
//!
//! It changes by [`Record`]s only, the same ones that are in the file, so that reading the file again gives the same
//! ledger. One alert, two receivers:
//!
//! ```text
//! Notification A-firing     owed to pager and chat; the alert is active
//! Delivered A-firing pager  owed to chat
//! Notification A-resolved   owed after A-firing; the alert is no longer active
//! Delivered A-firing chat   A-firing is finished: kept among the last 1,000, so that its id stays known
//! ```
//!
//! Always true: a firing notification is kept at least as long as its alert is active, and is forgotten before the
//! resolved one that follows it, so no part of a ledger that is left over brings an alert back to life.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::alert::{Alert, Status};

/// Finished notifications that are kept, so that a repeated transition is recognised.
pub const FINISHED_COUNT_MAX: usize = 1_000;

/// One transition of one alert, on its way to receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    /// See [`Alert::transition_id`].
    pub(crate) id: String,
    /// What is told.
    pub(crate) alert: Alert,
    /// When it was taken, in ms since 1970 UTC.
    pub(crate) enqueued_at_ms: i64,
    /// Names of those who shall be told.
    pub(crate) receivers: Vec<String>,
}

/// How it ended between one notification and one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) receiver: String,
    /// When, in ms since 1970 UTC.
    pub(crate) at_ms: i64,
    pub(crate) verdict: Verdict,
}

/// The last word of one receiver on one notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The receiver took it.
    Delivered {
        /// Position of the receiver in the configuration of that time.
        receiver_index: u16,
        /// What it answered.
        http_status: u16,
    },
    /// It will not be tried again.
    GivenUp {
        /// Why.
        reason: String,
    },
}

/// One change of the ledger, and one record of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Notification(Arc<Notification>),
    Outcome(Outcome),
}

/// What became of an alert that was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is on disk and will be delivered.
    Accepted,
    /// This transition was taken before, or the alert fires already; nothing is sent again.
    AlreadyKnown,
    /// It says that an alert is over which was not there.
    NotActive,
}

/// A notification that a receiver refused, or that could not be delivered for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The id that the receiver saw as `Idempotency-Key`.
    pub id: String,
    /// Who was to be told.
    pub receiver: String,
    /// What.
    pub alert: Alert,
    /// Why not.
    pub reason: String,
    /// When it was given up, in ms since 1970 UTC.
    pub at_ms: i64,
}

struct Entry {
    notification: Arc<Notification>,
    outcomes: Vec<Outcome>,
}

/// See the module.
pub(crate) struct Ledger {
    /// The receivers that exist; what is owed to others is owed no more.
    receivers: Vec<String>,
    /// Everything that is kept, by the order of its arrival.
    entries: BTreeMap<u64, Entry>,
    by_id: HashMap<String, u64>,
    /// The firing notification of each active alert, by fingerprint.
    active: HashMap<u64, u64>,
    /// Finished and not of an active alert, oldest first.
    finished: VecDeque<u64>,
    pending_count: usize,
    next_index: u64,
}

impl Ledger {
    pub(crate) fn new(receivers: Vec<String>) -> Ledger {
        Ledger {
            receivers,
            entries: BTreeMap::new(),
            by_id: HashMap::new(),
            active: HashMap::new(),
            finished: VecDeque::new(),
            pending_count: 0,
            next_index: 0,
        }
    }

    /// What has to be noted for the alert that is reported, if anything. Changes nothing.
    pub(crate) fn consider(&self, alert: &Alert, now_ms: i64) -> Result<Arc<Notification>, Enqueued> {
        let mut alert = alert.bounded();
        if self.knows(&alert) {
            return Err(Enqueued::AlreadyKnown);
        }
        let active = self.active.get(&alert.fingerprint()).map(|index| &self.entries[index].notification.alert);
        match (active, alert.ends_at_ms) {
            (Some(_), None) => return Err(Enqueued::AlreadyKnown),
            (None, Some(_)) => return Err(Enqueued::NotActive),
            (Some(firing), Some(ends_at_ms)) => {
                // An older incident of this alert was told to its end long ago; this report of it is a repetition.
                if ends_at_ms < firing.starts_at_ms {
                    return Err(Enqueued::NotActive);
                }
                alert.starts_at_ms = firing.starts_at_ms;
            }
            (None, None) => {}
        }
        if self.knows(&alert) {
            return Err(Enqueued::AlreadyKnown);
        }
        let id = alert.transition_id();
        Ok(Arc::new(Notification { id, alert, enqueued_at_ms: now_ms, receivers: self.receivers.clone() }))
    }

    /// Whether this transition was seen, or the one that ends it.
    fn knows(&self, alert: &Alert) -> bool {
        let end = Alert { ends_at_ms: Some(alert.starts_at_ms), ..alert.clone() };
        self.by_id.contains_key(&alert.transition_id()) || self.by_id.contains_key(&end.transition_id())
    }

    /// Notes a record. One that says nothing new changes nothing.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Notification(notification) => self.add(notification),
            Record::Outcome(outcome) => self.close(outcome),
        }
    }

    fn add(&mut self, notification: Arc<Notification>) {
        if self.by_id.contains_key(&notification.id) {
            return;
        }
        let index = self.next_index;
        self.next_index += 1;
        let fingerprint = notification.alert.fingerprint();
        let status = notification.alert.status();
        self.by_id.insert(notification.id.clone(), index);
        self.entries.insert(index, Entry { notification, outcomes: Vec::new() });
        let ended = match status {
            Status::Firing => self.active.insert(fingerprint, index),
            Status::Resolved => self.active.remove(&fingerprint),
        };
        if let Some(firing) = ended.filter(|&firing| self.is_finished(firing)) {
            self.retire(firing);
        }
        match self.is_finished(index) {
            false => self.pending_count += 1,
            true if status == Status::Resolved => self.retire(index),
            true => {}
        }
    }

    fn close(&mut self, outcome: Outcome) {
        let Some(&index) = self.by_id.get(&outcome.id) else { return };
        let was_finished = self.is_finished(index);
        let entry = self.entries.get_mut(&index).expect("by_id names entries that are there");
        if entry.outcomes.iter().any(|earlier| earlier.receiver == outcome.receiver) {
            return;
        }
        entry.outcomes.push(outcome);
        let fingerprint = entry.notification.alert.fingerprint();
        if !was_finished && self.is_finished(index) {
            self.pending_count -= 1;
            if self.active.get(&fingerprint) != Some(&index) {
                self.retire(index);
            }
        }
    }

    fn is_finished(&self, index: u64) -> bool {
        let entry = &self.entries[&index];
        !self.receivers.iter().any(|receiver| entry.is_owed_to(receiver))
    }

    /// Puts a finished notification to the others, and forgets the oldest of them when they are too many.
    fn retire(&mut self, index: u64) {
        self.finished.push_back(index);
        if self.finished.len() > FINISHED_COUNT_MAX
            && let Some(oldest) = self.finished.pop_front()
            && let Some(entry) = self.entries.remove(&oldest)
        {
            self.by_id.remove(&entry.notification.id);
        }
    }

    /// What the receiver has yet to be told, oldest first.
    pub(crate) fn owed_to<'a>(&'a self, receiver: &'a str) -> impl Iterator<Item = &'a Arc<Notification>> {
        let owed = self.entries.values().filter(move |entry| entry.is_owed_to(receiver));
        owed.map(|entry| &entry.notification)
    }

    /// Records that give this ledger again.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.entries.values().flat_map(|entry| {
            let outcomes = entry.outcomes.iter().cloned().map(Record::Outcome);
            std::iter::once(Record::Notification(Arc::clone(&entry.notification))).chain(outcomes)
        })
    }

    /// Notifications that somebody has yet to be told.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending_count
    }

    pub(crate) fn active_count(&self) -> usize {
        self.active.len()
    }

    /// The alerts that fire, in the order in which they began to.
    pub(crate) fn active(&self) -> Vec<Alert> {
        let mut indexes: Vec<u64> = self.active.values().copied().collect();
        indexes.sort_unstable();
        indexes.iter().map(|index| self.entries[index].notification.alert.clone()).collect()
    }

    /// What was given up among the notifications that are kept, oldest first.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.entries.values().flat_map(Entry::dead_letters).collect()
    }
}

impl Entry {
    fn is_owed_to(&self, receiver: &str) -> bool {
        self.notification.receivers.iter().any(|name| name == receiver)
            && !self.outcomes.iter().any(|outcome| outcome.receiver == receiver)
    }

    fn dead_letters(&self) -> impl Iterator<Item = DeadLetter> {
        self.outcomes.iter().filter_map(|outcome| {
            let Verdict::GivenUp { reason } = &outcome.verdict else { return None };
            Some(DeadLetter {
                id: outcome.id.clone(),
                receiver: outcome.receiver.clone(),
                alert: self.notification.alert.clone(),
                reason: reason.clone(),
                at_ms: outcome.at_ms,
            })
        })
    }
}
