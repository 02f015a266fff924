//! Messages that no group makes: an escalation, what could not be told to another receiver, a dead letter sent again.

use std::sync::Arc;

use super::NotifyError;
use super::alert::ANNOTATIONS_COUNT_MAX;
use super::dead_letter::DeadLetter;
use super::deliver::Notifier;
use super::ledger::{Enqueued, Record};
use super::message::{Message, MessageAlert, fitting};
use super::owed::Owed;
use super::way::Way;
use crate::model::Labels;

/// The annotation that says why somebody else was told.
const FALLBACK_ANNOTATION: &str = "undelivered";

/// Something to tell one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// Names it: the same id twice is one message. Without a dot.
    pub id: String,
    /// What has the same key is told in order.
    pub group_key: String,
    /// The labels by which the alerts belong together; may be empty.
    pub group_labels: Labels,
    /// At least one.
    pub alerts: Vec<MessageAlert>,
}

impl Notifier {
    /// Notes a message to the receiver of this name, by all its integrations, and returns when it is on disk. Waits for
    /// the disk: call it from a thread, not from a task.
    ///
    /// The same id twice is one message, as long as it is on its way and for some time after. There must be such a
    /// receiver, and an alert to tell of.
    pub fn tell(&self, receiver: &str, telling: &Telling) -> Result<Enqueued, NotifyError> {
        let refuse = |what: &str| NotifyError::Receiver { receiver: receiver.to_owned(), what: what.to_owned() };
        if telling.alerts.is_empty() {
            return Err(refuse("there is no alert to tell it of"));
        }
        let ways: Vec<Arc<Way>> = self.ways_to(receiver);
        if ways.is_empty() {
            return Err(refuse("there is none of this name"));
        }
        let now_ms = self.clock.now_ms();
        let messages = ways.iter().enumerate().map(|(index, way)| Arc::new(telling.message(index, &way.name, now_ms)));
        self.note_messages(messages.collect())
    }

    /// What was given up and was not sent again, oldest first; the last [`super::DEAD_LETTERS_COUNT_MAX`] of it. Waits for
    /// the disk.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let outbox = self.outbox.lock();
        let mut letters = outbox.ledger().dead_letters();
        letters.retain(|letter| !outbox.ledger().knows_id(&letter.replay_id(1)));
        letters
    }

    /// Tells a receiver what was given up: the one it was for, or the one of this name. It is a new message, whose id
    /// follows from the old one. `None`: there is no such dead letter. Waits for the disk.
    pub fn replay_dead_letter(&self, id: &str, receiver: Option<&str>) -> Result<Option<Enqueued>, NotifyError> {
        let letters = self.outbox.lock().ledger().dead_letters();
        let mut of_id = letters.iter().filter(|letter| letter.id == id);
        let named = of_id.clone().find(|letter| receiver == Some(letter.receiver.as_str()));
        let Some(letter) = named.or_else(|| of_id.next()) else { return Ok(None) };
        // One that was given up again may be sent once more.
        let given_up = |id: &str| letters.iter().any(|letter| letter.id == id);
        let mut count = 1;
        while given_up(&letter.replay_id(count)) {
            count += 1;
        }
        let telling = Telling {
            id: letter.replay_id(count),
            group_key: letter.message.group_key.clone(),
            group_labels: letter.message.group_labels.clone(),
            alerts: letter.message.alerts.clone(),
        };
        let own = self.ways.load().iter().find(|way| way.name == letter.receiver).map(Arc::clone);
        match (receiver, own) {
            (None, Some(way)) => {
                let message = telling.message(0, &way.name, self.clock.now_ms());
                self.note_messages(vec![Arc::new(message)]).map(Some)
            }
            (receiver, _) => self.tell(receiver.unwrap_or(&letter.receiver), &telling).map(Some),
        }
    }

    /// What the fallback receiver is told when a message to another one is given up.
    pub(super) fn instead(&self, way: &Way, message: &Message, reason: &str) -> Vec<Arc<Message>> {
        let fallback = self.fallback.load();
        let Some(fallback) = fallback.as_ref().as_ref().filter(|name| **name != way.receiver) else {
            return Vec::new();
        };
        let why = format!("{}: {reason}", message.receiver);
        let place = Labels::hash_bytes(message.receiver.as_bytes());
        let telling = Telling {
            id: format!("{}-instead-of-{place:016x}", message.id),
            group_key: message.group_key.clone(),
            group_labels: message.group_labels.clone(),
            alerts: message.alerts.iter().map(|one| with_annotation(one, FALLBACK_ANNOTATION, &why)).collect(),
        };
        let now_ms = self.clock.now_ms();
        let ways = self.ways_to(fallback);
        ways.iter().enumerate().map(|(index, way)| Arc::new(telling.message(index, &way.name, now_ms))).collect()
    }

    fn note_messages(&self, messages: Vec<Arc<Message>>) -> Result<Enqueued, NotifyError> {
        let mut outbox = self.outbox.lock();
        let new: Vec<_> = messages.into_iter().filter(|message| !outbox.ledger().knows_id(&message.id)).collect();
        if new.is_empty() {
            return Ok(Enqueued::AlreadyKnown);
        }
        let records = new.iter().map(|message| Record::Message(Arc::clone(message), None)).collect();
        outbox.note(records, self.clock.now_ms())?;
        self.push_messages(new.into_iter());
        self.count_pending(&outbox);
        Ok(Enqueued::Accepted)
    }

    /// Puts messages on their ways. Under the outbox's lock, so that they come into their lanes in the order of the file.
    pub(super) fn push_messages(&self, messages: impl Iterator<Item = Arc<Message>>) {
        let ways = self.ways.load();
        for message in messages {
            if let Some(way) = ways.iter().find(|way| way.name == message.receiver) {
                way.push(std::iter::once(Owed::Message(message)), self.clock.monotonic());
            }
        }
    }

    fn ways_to(&self, receiver: &str) -> Vec<Arc<Way>> {
        self.ways.load().iter().filter(|way| way.receiver == receiver).map(Arc::clone).collect()
    }
}

impl Telling {
    /// For the integration of this name, which is the receiver's `index`th: each has an id of its own.
    fn message(&self, index: usize, receiver: &str, now_ms: i64) -> Message {
        let id = if index == 0 { self.id.clone() } else { format!("{}-{index}", self.id) };
        let bounded = |one: &MessageAlert| MessageAlert { alert: one.alert.bounded(), incident: one.incident.clone() };
        let (alerts, truncated_count) = fitting(self.alerts.iter().map(bounded));
        Message {
            id,
            receiver: receiver.to_owned(),
            group_key: self.group_key.clone(),
            group_labels: self.group_labels.clone(),
            alerts,
            truncated_count,
            made_at_ms: now_ms,
            is_joint: false,
        }
    }
}

/// The alert with this annotation, if need be in place of its last one.
fn with_annotation(one: &MessageAlert, name: &str, text: &str) -> MessageAlert {
    let mut alert = one.alert.clone();
    alert.annotations.retain(|annotation| annotation.0 != name);
    alert.annotations.truncate(ANNOTATIONS_COUNT_MAX - 1);
    alert.annotations.push((name.to_owned(), text.to_owned()));
    MessageAlert { alert, incident: one.incident.clone() }
}
