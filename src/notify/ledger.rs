//! What the outbox knows, in memory: what is owed to whom, which alerts are active, which ids are known, who was told what.
//!
//! It changes by [`Record`]s only, the same ones that are in the file, so that reading the file again gives the same
//! ledger. One alert, two receivers:
//!
//! ```text
//! Notification A-firing     owed to pager and chat; the alert is active
//! Delivered A-firing pager  owed to chat
//! Notification A-resolved   owed after A-firing; the alert is no longer active
//! Delivered A-firing chat   A-firing is finished: kept among the last 1,000, so that its id stays known
//! GivenUp   A-resolved chat A-resolved is a dead letter: kept among the last 1,000 of those, whatever else is delivered
//! ```
//!
//! Where alerts are grouped, their transitions are owed to nobody, and the messages that groups make are owed to one
//! receiver each. An alert that ended is kept until no receiver takes it for firing any more.
//!
//! An alert that is silenced when it begins is owed to nobody, and *held*. Its transition comes again, with receivers, when
//! nothing holds it back any more; if it ends before, nobody hears of its end either:
//!
//! ```text
//! Notification B-firing     owed to nobody; the alert is active and held
//! Notification B-firing     owed to pager and chat
//! ```
//!
//! When too many transitions wait for one receiver, a message that is made of them, a *joint* one (`joint`), takes their
//! place there:
//!
//! ```text
//! Notification C-firing     owed to pager and chat
//! Notification D-firing     owed to pager and chat
//! Message J of C and D      owed to pager; C-firing and D-firing to chat alone
//! Delivered J pager         C-firing and D-firing are delivered to the pager
//! GivenUp   J pager         instead: C-firing and D-firing are owed to the pager again, each by itself
//! ```
//!
//! Always true: a firing notification is kept at least as long as its alert is active, and is forgotten before the
//! resolved one that follows it, so no part of a ledger that is left over brings an alert back to life.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::alert::{Alert, Status};
use super::dead_letter::{DeadLetter, REPLAY};
use super::finished::Finished;
use super::message::Message;
use super::owed::{Notification, Owed};
use super::told::{Told, ToldLog};
use crate::model::Labels;

/// What was delivered and is kept, so that a repeated transition or message is recognised.
pub const FINISHED_COUNT_MAX: usize = 1_000;
/// Dead letters that are kept, together with what followed from them.
pub const DEAD_LETTERS_COUNT_MAX: usize = 1_000;

/// How it ended between one notification and one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) receiver: String,
    /// When, in ms since 1970 UTC.
    pub(crate) at_ms: i64,
    pub(crate) verdict: Verdict,
}

impl Outcome {
    fn is_given_up(&self) -> bool {
        matches!(self.verdict, Verdict::GivenUp { .. })
    }
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
    /// A message, and what its receiver knows of the group when it has it, if a group made it.
    Message(Arc<Message>, Option<Told>),
    Told(Told),
}

/// What became of an alert that was reported, or of a message that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is on disk and will be delivered.
    Accepted,
    /// This transition was taken before, or the alert fires already; nothing is sent again.
    AlreadyKnown,
    /// It says that an alert is over which was not there.
    NotActive,
}

struct Entry {
    owed: Owed,
    outcomes: Vec<Outcome>,
    /// Receivers who are told of it by a joint message, which is on its way.
    joined: Vec<String>,
}

/// See the module.
pub(crate) struct Ledger {
    /// The receivers that exist; what is owed to others is owed no more.
    receivers: Vec<String>,
    /// Whether alerts are grouped: then a transition is owed to nobody.
    is_grouping: bool,
    /// Everything that is kept, by the order of its arrival.
    entries: BTreeMap<u64, Entry>,
    by_id: HashMap<String, u64>,
    /// The firing notification of each active alert, by fingerprint.
    active: HashMap<u64, u64>,
    /// Those of them that are owed to nobody.
    held: BTreeSet<u64>,
    /// The resolved notification of each alert that some receiver still takes for firing, by fingerprint.
    untold: HashMap<u64, u64>,
    told: ToldLog,
    /// Finished and neither of an active alert nor untold.
    finished: Finished,
    /// The same of what was given up, and of what followed from it.
    dead: Finished,
    pending_count: usize,
    /// Alerts in what is pending.
    pending_alert_count: usize,
    dead_letter_count: usize,
    next_index: u64,
}

impl Ledger {
    pub(crate) fn new(receivers: Vec<String>, is_grouping: bool) -> Ledger {
        Ledger {
            receivers,
            is_grouping,
            entries: BTreeMap::new(),
            by_id: HashMap::new(),
            active: HashMap::new(),
            held: BTreeSet::new(),
            untold: HashMap::new(),
            told: ToldLog::default(),
            finished: Finished::new(FINISHED_COUNT_MAX),
            dead: Finished::new(DEAD_LETTERS_COUNT_MAX),
            pending_count: 0,
            pending_alert_count: 0,
            dead_letter_count: 0,
            next_index: 0,
        }
    }

    /// The same, for other receivers. A transition is owed to those who are gone no more, be they there again later: a
    /// beginning that they were told then might be without an end. One that all have gone from is held, and told to
    /// whoever comes.
    pub(crate) fn with_receivers(&self, receivers: Vec<String>, is_grouping: bool) -> Ledger {
        let mut other = Ledger::new(receivers, is_grouping);
        for mut record in self.records() {
            match &mut record {
                Record::Notification(one) if one.receivers.iter().any(|name| !other.receivers.contains(name)) => {
                    let one = Arc::make_mut(one);
                    one.receivers.retain(|name| other.receivers.contains(name));
                    one.joint.retain(|name| other.receivers.contains(name));
                }
                Record::Message(joint, _) if joint.is_joint && !other.receivers.contains(&joint.receiver) => continue,
                _ => {}
            }
            other.apply(record);
        }
        other
    }

    /// What has to be noted for the alert that is reported, if anything. Changes nothing. The incident is left open.
    ///
    /// Where alerts are not grouped it is owed to every receiver, unless it is silenced, or is the end of what nobody was
    /// told of.
    pub(crate) fn consider(
        &self,
        alert: &Alert,
        is_silenced: &dyn Fn(&Labels) -> bool,
        now_ms: i64,
    ) -> Result<Notification, Enqueued> {
        let mut alert = alert.bounded();
        if self.knows(&alert) {
            return Err(Enqueued::AlreadyKnown);
        }
        let index = self.active.get(&alert.fingerprint());
        let active = index.map(|index| &self.transition(*index).alert);
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
        let is_of_nobody = index.is_some_and(|index| self.held.contains(index));
        let is_held_back = self.is_grouping || is_of_nobody || is_silenced(&alert.labels);
        let receivers = if is_held_back { Vec::new() } else { self.receivers.clone() };
        let (id, incident) = (alert.transition_id(), String::new());
        Ok(Notification { id, alert, incident, enqueued_at_ms: now_ms, receivers, joint: Vec::new() })
    }

    /// Whether this transition was seen, or the one that ends it.
    fn knows(&self, alert: &Alert) -> bool {
        self.knows_id(&alert.transition_id()) || self.knows_id(&alert.id_of(Status::Resolved))
    }

    /// Whether something of this id is kept.
    pub(crate) fn knows_id(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Notes a record. One that says nothing new changes nothing.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Notification(notification) => self.add_transition(notification),
            Record::Outcome(outcome) => self.close(outcome),
            Record::Message(message, told) => {
                self.add_message(message);
                told.into_iter().for_each(|told| self.note_told(told));
            }
            Record::Told(told) => self.note_told(told),
        }
    }

    fn add_transition(&mut self, notification: Arc<Notification>) {
        if let Some(&index) = self.by_id.get(&notification.id) {
            return self.release_held(index, notification);
        }
        let (fingerprint, status) = (notification.alert.fingerprint(), notification.alert.status());
        let is_of_nobody = notification.receivers.is_empty();
        let index = self.insert(Owed::Transition(notification));
        let ended = match status {
            Status::Firing => self.active.insert(fingerprint, index),
            Status::Resolved => self.active.remove(&fingerprint),
        };
        // An older end is not told any more: the alert fires again, or has ended once more since.
        let outdated = self.untold.remove(&fingerprint);
        for gone in [outdated, ended].into_iter().flatten() {
            self.held.remove(&gone);
            if self.is_finished(gone) {
                self.retire(gone);
            }
        }
        if status == Status::Firing && is_of_nobody {
            self.held.insert(index);
        }
        if status == Status::Resolved {
            if self.told.is_told_firing(fingerprint) {
                self.untold.insert(fingerprint, index);
            } else if self.is_finished(index) {
                self.retire(index);
            }
        }
    }

    /// The beginning that was owed to nobody is owed to receivers now.
    fn release_held(&mut self, index: u64, notification: Arc<Notification>) {
        if notification.receivers.is_empty() || !self.held.remove(&index) {
            return;
        }
        let entry = self.entries.get_mut(&index).expect("what is held is there");
        entry.owed = Owed::Transition(notification);
        self.count_if_pending(index);
    }

    fn add_message(&mut self, message: Arc<Message>) {
        if self.knows_id(&message.id) {
            return;
        }
        let index = self.insert(Owed::Message(Arc::clone(&message)));
        if self.is_finished(index) {
            self.retire(index);
        } else if message.is_joint {
            for member in self.members(&message) {
                let entry = self.entries.get_mut(&member).expect("members are there");
                if entry.is_owed_to(&message.receiver) {
                    entry.joined.push(message.receiver.clone());
                }
            }
        }
    }

    /// Places of the transitions that a joint message stands for.
    fn members(&self, message: &Message) -> Vec<u64> {
        message.alerts.iter().filter_map(|one| self.by_id.get(&one.alert.transition_id()).copied()).collect()
    }

    /// What a joint message that was given up stood for: it is owed to its receiver again.
    pub(crate) fn owed_instead(&self, message: &Message) -> Vec<Owed> {
        let members = self.members(message).into_iter().map(|member| &self.entries[&member]);
        members.filter(|entry| entry.is_owed_to(&message.receiver)).map(|entry| entry.owed.clone()).collect()
    }

    fn insert(&mut self, owed: Owed) -> u64 {
        let index = self.next_index;
        self.next_index += 1;
        self.by_id.insert(owed.id().to_owned(), index);
        self.entries.insert(index, Entry { owed, outcomes: Vec::new(), joined: Vec::new() });
        self.count_if_pending(index);
        index
    }

    fn count_if_pending(&mut self, index: u64) {
        let owed = &self.entries[&index].owed;
        // What a joint message tells is counted already.
        if !self.is_finished(index) && owed.joint().is_none() {
            self.pending_alert_count += owed.alert_count();
            self.pending_count += 1;
        }
    }

    fn note_told(&mut self, told: Told) {
        let released = self.told.note(told);
        self.release(released);
    }

    /// Forgets what was told of groups that are over.
    pub(crate) fn forget_told(&mut self, now_ms: i64, is_over: impl Fn(&str) -> bool) {
        let released = self.told.forget(now_ms, is_over);
        self.release(released);
    }

    /// Nobody takes these for firing any more: their ends are told.
    fn release(&mut self, fingerprints: Vec<u64>) {
        for fingerprint in fingerprints {
            if let Some(index) = self.untold.remove(&fingerprint)
                && self.is_finished(index)
            {
                self.retire(index);
            }
        }
    }

    fn close(&mut self, outcome: Outcome) {
        let Some(&index) = self.by_id.get(&outcome.id) else { return };
        let is_first = !self.entries[&index].outcomes.iter().any(|earlier| earlier.receiver == outcome.receiver);
        if let Some(message) = self.entries[&index].owed.joint().filter(|_| is_first).map(Arc::clone) {
            self.close_members(&message, &outcome);
        }
        self.close_one(index, outcome);
    }

    /// What a joint message stood for is delivered with it. When it is given up it is owed again, each by itself.
    fn close_members(&mut self, message: &Message, outcome: &Outcome) {
        for member in self.members(message) {
            let Some(entry) = self.entries.get_mut(&member) else { continue };
            entry.joined.retain(|receiver| *receiver != outcome.receiver);
            match (&outcome.verdict, &mut entry.owed) {
                (Verdict::Delivered { .. }, owed) => {
                    let id = owed.id().to_owned();
                    self.close_one(member, Outcome { id, ..outcome.clone() });
                }
                (Verdict::GivenUp { .. }, Owed::Transition(transition)) => {
                    Arc::make_mut(transition).joint.retain(|receiver| *receiver != outcome.receiver);
                }
                (Verdict::GivenUp { .. }, Owed::Message(_)) => {}
            }
        }
    }

    fn close_one(&mut self, index: u64, outcome: Outcome) {
        let was_finished = self.is_finished(index);
        let entry = self.entries.get_mut(&index).expect("by_id names entries that are there");
        if entry.outcomes.iter().any(|earlier| earlier.receiver == outcome.receiver) {
            return;
        }
        if let (Owed::Message(message), Verdict::Delivered { .. }) = (&entry.owed, &outcome.verdict) {
            self.told.taken(&message.group_key, &message.receiver, &outcome.id, outcome.at_ms);
        }
        let (alert_count, is_joint) = (entry.owed.alert_count(), entry.owed.joint().is_some());
        self.dead_letter_count += usize::from(outcome.is_given_up() && !is_joint);
        entry.outcomes.push(outcome);
        if !was_finished && self.is_finished(index) {
            if !is_joint {
                self.pending_count -= 1;
                self.pending_alert_count -= alert_count;
            }
            if !self.is_held(index) {
                self.retire(index);
                self.retire_end_of(index);
            }
        }
    }

    /// Whether it is a transition of an active alert, or an end that is not told yet.
    fn is_held(&self, index: u64) -> bool {
        let Owed::Transition(notification) = &self.entries[&index].owed else { return false };
        let fingerprint = notification.alert.fingerprint();
        [&self.active, &self.untold].iter().any(|holding| holding.get(&fingerprint) == Some(&index))
    }

    fn is_finished(&self, index: u64) -> bool {
        let entry = &self.entries[&index];
        !self.receivers.iter().any(|receiver| entry.is_open_to(receiver))
    }

    /// Puts something finished to the others, and forgets the oldest of them when they are too many. Dead letters are
    /// kept apart, so that no number of deliveries pushes one out; with each is kept what followed from it, or the end
    /// of an alert would be forgotten before its beginning, and a letter look as if it had not been sent again.
    ///
    /// An end that nobody is told of is finished at once, and waits for what becomes of its beginning.
    fn retire(&mut self, index: u64) {
        let entry = &self.entries[&index];
        let before = entry.follows().and_then(|id| self.by_id.get(&id).copied());
        if matches!(entry.owed, Owed::Transition(_)) && before.is_some_and(|before| !self.is_finished(before)) {
            return;
        }
        let is_dead = entry.is_given_up() || before.is_some_and(|before| self.entries[&before].is_given_up());
        let alert_count = entry.owed.alert_count();
        let kept = if is_dead { &mut self.dead } else { &mut self.finished };
        for oldest in kept.push(index, alert_count) {
            self.forget(oldest);
        }
    }

    /// The end that has waited for this beginning.
    fn retire_end_of(&mut self, index: u64) {
        let Owed::Transition(notification) = &self.entries[&index].owed else { return };
        let end = self.by_id.get(&notification.alert.id_of(Status::Resolved)).copied();
        if let Some(end) = end.filter(|&end| end != index && self.is_finished(end) && !self.is_held(end)) {
            self.retire(end);
        }
    }

    fn forget(&mut self, index: u64) {
        let Some(entry) = self.entries.remove(&index) else { return };
        self.by_id.remove(entry.owed.id());
        self.dead_letter_count -= entry.dead_letters().count();
        if entry.is_given_up() {
            tracing::warn!(id = entry.owed.id(), limit = DEAD_LETTERS_COUNT_MAX, "this dead letter is kept no longer");
        }
        // A beginning that is left over would bring the alert back to life.
        let before = entry.follows().filter(|_| matches!(entry.owed, Owed::Transition(_)));
        let before = before.and_then(|id| self.by_id.get(&id).copied());
        before.filter(|before| self.is_finished(*before)).into_iter().for_each(|before| self.forget(before));
    }

    fn transition(&self, index: u64) -> &Arc<Notification> {
        match &self.entries[&index].owed {
            Owed::Transition(notification) => notification,
            Owed::Message(message) => panic!("the message {} is no transition", message.id),
        }
    }

    /// What the receiver has yet to be told, oldest first.
    pub(crate) fn owed_to<'a>(&'a self, receiver: &'a str) -> impl Iterator<Item = &'a Owed> {
        self.entries.values().filter(move |entry| entry.is_owed_to(receiver)).map(|entry| &entry.owed)
    }

    /// Whether somebody has yet to be told what has this id.
    pub(crate) fn is_pending(&self, id: &str) -> bool {
        self.by_id.get(id).is_some_and(|index| !self.is_finished(*index))
    }

    /// Records that give this ledger again. What was told comes first: it decides which ends are kept.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        let entries = self.entries.values().flat_map(|entry| {
            let owed = match &entry.owed {
                Owed::Transition(notification) => Record::Notification(Arc::clone(notification)),
                Owed::Message(message) => Record::Message(Arc::clone(message), None),
            };
            std::iter::once(owed).chain(entry.outcomes.iter().cloned().map(Record::Outcome))
        });
        self.told.iter().cloned().map(Record::Told).chain(entries)
    }

    /// Notifications and messages that somebody has yet to be told.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending_count
    }

    /// The alerts in those.
    pub(crate) fn pending_alert_count(&self) -> usize {
        self.pending_alert_count
    }

    /// Alerts that fire, or whose end is not told yet.
    pub(crate) fn active_count(&self) -> usize {
        self.active.len() + self.untold.len()
    }

    /// The transitions of the alerts that fire, in the order in which they began to.
    pub(crate) fn active(&self) -> Vec<&Arc<Notification>> {
        let mut indexes: Vec<u64> = self.active.values().copied().collect();
        indexes.sort_unstable();
        indexes.into_iter().map(|index| self.transition(index)).collect()
    }

    /// The beginnings that wait for the end of a silence, in the order in which they came; none where alerts are grouped,
    /// or where there is nobody to be told.
    pub(crate) fn held(&self) -> Vec<&Arc<Notification>> {
        if self.is_grouping || self.receivers.is_empty() {
            return Vec::new();
        }
        self.held.iter().map(|index| self.transition(*index)).collect()
    }

    /// The same beginning, owed to every receiver from this moment on; `None` where it is not held any more.
    pub(crate) fn released(&self, held: &Notification, now_ms: i64) -> Option<Notification> {
        let index = self.by_id.get(&held.id)?;
        let receivers = self.receivers.clone();
        self.held.contains(index).then(|| Notification { enqueued_at_ms: now_ms, receivers, ..held.clone() })
    }

    /// The ends of alerts that some receiver takes for firing, in the order in which they came.
    pub(crate) fn untold(&self) -> Vec<&Arc<Notification>> {
        let mut indexes: Vec<u64> = self.untold.values().copied().collect();
        indexes.sort_unstable();
        indexes.into_iter().map(|index| self.transition(index)).collect()
    }

    /// Every transition that is kept, in the order in which they came.
    pub(crate) fn transitions(&self) -> impl Iterator<Item = &Arc<Notification>> {
        self.entries.values().filter_map(|entry| match &entry.owed {
            Owed::Transition(notification) => Some(notification),
            Owed::Message(_) => None,
        })
    }

    /// What was told of groups.
    pub(crate) fn told(&self) -> &ToldLog {
        &self.told
    }

    /// How many dead letters are kept: one for each receiver that will not be told.
    pub(crate) fn dead_letter_count(&self) -> usize {
        self.dead_letter_count
    }

    /// What was given up and is kept, oldest first.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.entries.values().flat_map(Entry::dead_letters).collect()
    }
}

impl Entry {
    /// Whether the receiver has yet to be told of this itself, and not by a joint message.
    fn is_owed_to(&self, receiver: &str) -> bool {
        self.is_open_to(receiver) && !self.joined.iter().any(|name| name == receiver)
    }

    /// Whether the receiver has yet to be told, in whichever way.
    fn is_open_to(&self, receiver: &str) -> bool {
        self.owed.is_owed_to(receiver) && !self.outcomes.iter().any(|outcome| outcome.receiver == receiver)
    }

    /// A joint message that was given up is none: what it stood for is told otherwise.
    fn is_given_up(&self) -> bool {
        self.owed.joint().is_none() && self.outcomes.iter().any(Outcome::is_given_up)
    }

    /// Id of what it follows from: of an alert's beginning for its end, of a dead letter for one that is sent again.
    fn follows(&self) -> Option<String> {
        match &self.owed {
            Owed::Transition(one) if one.alert.status() == Status::Resolved => Some(one.alert.id_of(Status::Firing)),
            Owed::Transition(_) => None,
            Owed::Message(message) => message.id.rsplit_once(REPLAY).map(|(letter, _)| letter.to_owned()),
        }
    }

    fn dead_letters(&self) -> impl Iterator<Item = DeadLetter> {
        let outcomes = self.outcomes.iter().filter(|_| self.owed.joint().is_none());
        outcomes.filter_map(|outcome| {
            let Verdict::GivenUp { reason } = &outcome.verdict else { return None };
            Some(DeadLetter {
                id: outcome.id.clone(),
                receiver: outcome.receiver.clone(),
                message: self.owed.message(&outcome.receiver),
                reason: reason.clone(),
                at_ms: outcome.at_ms,
            })
        })
    }
}
