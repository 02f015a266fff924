//! Many alerts in one message, where nothing is grouped and one by one would take too long.
//!
//! ```text
//! 10,000 alerts, a pager that takes 5 s a request, eight at a time
//! one by one    1,250 rounds      an hour and three quarters
//! 500 together     3 rounds       a quarter of a minute
//! ```
//!
//! Alerts go at once, each by itself: nobody waits for others to come. Only what is noted while more waits than four rounds
//! of attempts take (`lanes`) is told together with whatever else waits by then, and that is noted with it: what may have been
//! tried by itself is never told under another id, after a restart either. The joint message is noted in the outbox, in the
//! place of what it is made of (`ledger`), before its first attempt, so its own id is the same over retries and restarts.
//!
//! What one of the alerts does to the receiver must not cost the others: a joint message that the receiver refuses, or answers
//! with an error three times while it takes others, falls apart, and each of its alerts is told by itself. One that was not
//! answered stays whole, because the receiver may have it; but not for ever, as it may be more than the receiver can take in
//! the time of an attempt. While nobody is reached it stays whole.
//!
//! Always true: at every moment a transition is owed to a receiver by itself or by one joint message, never by both; and who
//! was tried by itself is in no joint message later, unless the disk failed in between.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::answer::{Answer, Heard};
use super::deliver::{Notifier, pass_panic_on};
use super::event::AttemptResult;
use super::ledger::{Outcome, Verdict};
use super::message::{Message, MessageAlert};
use super::owed::{Notification, Owed};
use super::way::Way;
use crate::model::Labels;

/// Most alerts in a joint message.
pub(super) const JOINT_ALERTS_MAX: usize = 500;
/// After so many errors that the receiver answered in a row it is one of the alerts that it cannot take.
const ERRORS_MAX: u32 = 3;
/// After so many attempts in a row without an answer, by somebody who was reached, it is too much at once: it would be held up,
/// and all that follows, for days.
const SILENCES_MAX: u32 = 8;
/// What Alertmanager calls the group of all alerts.
const GROUP_KEY: &str = "{}:{}";

/// What waits for each receiver, when more comes.
#[derive(Default)]
pub(super) struct Backlog {
    /// Name of a receiver, and how many more can wait for it to be told by themselves.
    rooms: Vec<(String, usize)>,
}

impl Backlog {
    /// Which of these receivers are told of something new together with what waits: those for whom too much does.
    pub(super) fn joint(&mut self, receivers: &[String]) -> Vec<String> {
        let mut joint = Vec::new();
        for (name, room) in self.rooms.iter_mut().filter(|(name, _)| receivers.contains(name)) {
            if *room == 0 {
                joint.push(name.clone());
            }
            *room = room.saturating_sub(1);
        }
        joint
    }
}

impl Message {
    /// Tells of all these, which are of different alerts. Its id follows from theirs.
    pub(super) fn joint(receiver: &str, transitions: &[Arc<Notification>], now_ms: i64) -> Message {
        let ids: Vec<&str> = transitions.iter().map(|one| one.id.as_str()).collect();
        let named = format!("{receiver}\n{}", ids.join("\n"));
        let of = |one: &Arc<Notification>| MessageAlert { alert: one.alert.clone(), incident: one.incident.clone() };
        Message {
            id: format!("joint-{:016x}-{now_ms}", Labels::hash_bytes(named.as_bytes())),
            receiver: receiver.to_owned(),
            group_key: GROUP_KEY.to_owned(),
            group_labels: Labels::empty(),
            alerts: transitions.iter().map(of).collect(),
            truncated_count: 0,
            made_at_ms: now_ms,
            is_joint: true,
        }
    }
}

impl Notifier {
    /// What waits now, for those who can be told of several alerts at once.
    pub(super) fn backlog(&self) -> Backlog {
        let ways = self.ways.load();
        let joining = ways.iter().filter(|way| way.joint_max > 1);
        Backlog { rooms: joining.map(|way| (way.name.clone(), way.lanes.lock().room())).collect() }
    }

    /// Makes one message of these and tries it; where none can be made, each goes its own way.
    pub(super) async fn attempt_joint(self: Arc<Self>, way: Arc<Way>, transitions: Vec<Arc<Notification>>) {
        // It waits for the disk.
        let (notifier, same_way) = (Arc::clone(&self), Arc::clone(&way));
        let joined = spawn_blocking(move || notifier.join(&same_way, &transitions)).await;
        match joined {
            Ok(Some(joint)) => self.attempt(way, joint).await,
            Ok(None) => {}
            Err(error) => pass_panic_on(Err(error)),
        }
    }

    /// Notes the message that takes the place of these.
    pub(super) fn join(&self, way: &Way, transitions: &[Arc<Notification>]) -> Option<Owed> {
        let now_ms = self.clock.now_ms();
        let message = Arc::new(Message::joint(&way.name, transitions, now_ms));
        let mut outbox = self.outbox.lock();
        match outbox.join(Arc::clone(&message), now_ms) {
            Ok(()) => {
                let joint = Owed::Message(message);
                way.lanes.lock().joined(joint.clone(), transitions);
                Some(joint)
            }
            Err(error) => {
                tracing::error!(%error, receiver = way.name, "alerts that wait cannot be told together; each goes by itself");
                way.lanes.lock().not_joined(transitions, self.clock.monotonic());
                None
            }
        }
    }

    /// Why a joint message that was answered so is not told any more; none if it is, or is no joint one.
    pub(super) fn reason_to_fall_apart<'a>(&self, way: &Way, owed: &Owed, answer: &'a Answer) -> Option<&'a str> {
        let joint = owed.joint()?;
        match answer {
            Answer::Delivered { .. } => None,
            Answer::Refused { reason } => Some(reason),
            Answer::Retry { reason, heard, .. } => {
                let mut lanes = way.lanes.lock();
                let count = lanes.note_heard(owed.lane(), *heard);
                let is_its_own = match heard {
                    Heard::Error => count >= ERRORS_MAX && !lanes.is_circuit_open(),
                    Heard::Nothing => count >= SILENCES_MAX,
                    Heard::Nobody => false,
                };
                // What is given up after that time is each of its alerts.
                let is_old = joint.made_at_ms < self.give_up_cutoff_ms();
                (is_its_own || is_old).then_some(reason)
            }
        }
    }

    /// Notes that each alert of the joint message is told by itself from now on, and puts them on their way.
    pub(super) fn let_fall_apart(&self, way: &Way, owed: &Owed, reason: &str, has_answered: bool) {
        let joint = owed.joint().expect("only what is joint falls apart");
        tracing::warn!(
            receiver = way.name,
            id = joint.id,
            count = joint.alerts.len(),
            reason,
            "not taken together; each alert is told by itself"
        );
        let at_ms = self.clock.now_ms();
        let verdict = Verdict::GivenUp { reason: reason.to_owned() };
        let outcome = Outcome { id: joint.id.clone(), receiver: joint.receiver.clone(), at_ms, verdict };
        let mut outbox = self.outbox.lock();
        if let Err(error) = outbox.close(outcome, Vec::new(), at_ms) {
            tracing::warn!(%error, id = joint.id, "the answer is not on disk; after a crash it may be told together again");
        }
        let heads = outbox.ledger().owed_instead(joint);
        way.lanes.lock().fell_apart(owed.lane(), heads, has_answered, self.clock.monotonic());
        self.count_pending(&outbox);
        drop(outbox);
        self.report_attempt(joint, AttemptResult::Failed { reason: reason.to_owned() });
    }
}
