//! The way to one receiver: what it has yet to be told, the attempts, and what becomes of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_blocking};

use super::NotifyError;
use super::answer::Answer;
use super::deliver::{Delivery, Notifier, pass_panic_on};
use super::event::{AttemptResult, Event};
use super::lanes::{Lanes, Next};
use super::ledger::{Outcome, Verdict};
use super::message::Message;
use super::owed::Owed;
use super::plan::Destination;
use super::receivers::Integration;
use crate::clock::Clock;

/// How long attempts that are under way may take after the order to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// One way to a receiver and what it has yet to be told there.
pub(super) struct Way {
    /// Its name in the outbox.
    pub(super) name: String,
    /// The receiver as routes name it.
    pub(super) receiver: String,
    /// Its place in the configuration.
    index: u16,
    integration: Integration,
    /// Most alerts that it is told together, where they come one by one.
    pub(super) joint_max: usize,
    /// Also those of the way whose place it takes: what is under way there holds up its lane here.
    pub(super) lanes: Arc<Mutex<Lanes>>,
    wake: Notify,
    /// Another one has taken its place.
    has_ended: AtomicBool,
}

impl Way {
    pub(super) fn new(
        index: usize,
        destination: &Destination,
        external_url: &str,
        clock: &Clock,
        delivery: &Delivery,
        former: Option<&Way>,
    ) -> Result<Way, NotifyError> {
        let fresh = || {
            Arc::new(Mutex::new(Lanes::new(&destination.integration.name, delivery.backoff, delivery.in_flight_max)))
        };
        Ok(Way {
            name: destination.integration.name.clone(),
            receiver: destination.receiver.clone(),
            joint_max: destination.integration.joint_max(),
            index: u16::try_from(index).unwrap_or(u16::MAX),
            integration: Integration::new(
                &destination.integration,
                external_url,
                clock.clone(),
                delivery.attempt_timeout,
            )?,
            lanes: former.map_or_else(fresh, |former| Arc::clone(&former.lanes)),
            wake: Notify::new(),
            has_ended: AtomicBool::new(false),
        })
    }

    /// Puts these behind what it has to be told.
    pub(super) fn push(&self, owed: impl Iterator<Item = Owed>, now: Duration) {
        let mut lanes = self.lanes.lock();
        owed.for_each(|one| lanes.push(one, now));
        self.wake.notify_one();
    }

    /// Whether this way takes the place of that one and leads elsewhere.
    pub(super) fn is_reached_otherwise_than(&self, former: &Way) -> bool {
        self.name == former.name && self.integration.address() != former.integration.address()
    }

    /// Nothing more is begun on this way.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }
}

impl Notifier {
    /// Tells one receiver, until the order to stop or the end of this way to it.
    pub(super) async fn serve(self: Arc<Self>, way: Arc<Way>, mut shutdown: watch::Receiver<bool>) {
        let mut attempts = JoinSet::new();
        while !way.has_ended.load(Ordering::SeqCst) {
            let now = self.clock.monotonic();
            let next = way.lanes.lock().next(now, way.joint_max);
            let wait = match next {
                Next::Send(owed) => {
                    attempts.spawn(Arc::clone(&self).attempt(Arc::clone(&way), owed));
                    continue;
                }
                Next::Join(transitions) => {
                    attempts.spawn(Arc::clone(&self).attempt_joint(Arc::clone(&way), transitions));
                    continue;
                }
                Next::WaitUntil(due) => due.saturating_sub(now),
                Next::Idle => Duration::MAX,
            };
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                () = way.wake.notified() => {}
                Some(ended) = attempts.join_next() => pass_panic_on(ended),
                () = tokio::time::sleep(wait) => {}
            }
        }
        // The way that follows waits for what is under way here; what a stop cuts off is tried again after the next start.
        let stopped = async {
            let _ = shutdown.wait_for(|stop| *stop).await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        tokio::select! {
            () = async { while let Some(ended) = attempts.join_next().await { pass_panic_on(ended) } } => {}
            () = stopped => {}
        }
    }

    pub(super) async fn attempt(self: Arc<Self>, way: Arc<Way>, owed: Owed) {
        let message = owed.message(&way.name);
        let answer = way.integration.attempt(&message).await;
        self.metrics.attempts.fetch_add(1, Ordering::Relaxed);
        // Noting an outcome may wait for the disk.
        let notifier = Arc::clone(&self);
        let ended = Arc::clone(&way);
        pass_panic_on(spawn_blocking(move || notifier.take_answer(&way, &owed, &message, answer)).await);
        if ended.has_ended.load(Ordering::SeqCst) {
            let ways = self.ways.load();
            ways.iter().filter(|way| way.name == ended.name).for_each(|way| way.wake.notify_one());
        }
    }

    pub(super) fn take_answer(&self, way: &Way, owed: &Owed, message: &Message, answer: Answer) {
        if let Some(reason) = self.reason_to_fall_apart(way, owed, &answer) {
            self.metrics.failed.fetch_add(1, Ordering::Relaxed);
            self.let_fall_apart(way, owed, reason, answer.is_said());
            return;
        }
        match answer {
            Answer::Delivered { http_status } => {
                self.metrics.delivered.fetch_add(1, Ordering::Relaxed);
                tracing::info!(receiver = way.name, id = message.id, http_status, "delivered");
                self.close(message, Verdict::Delivered { receiver_index: way.index, http_status }, Vec::new());
                way.lanes.lock().settled(owed.lane(), self.clock.monotonic());
            }
            Answer::Refused { reason } => {
                self.metrics.failed.fetch_add(1, Ordering::Relaxed);
                self.give_up(way, message, reason);
                way.lanes.lock().settled(owed.lane(), self.clock.monotonic());
            }
            Answer::Retry { reason, after, .. } => {
                self.metrics.failed.fetch_add(1, Ordering::Relaxed);
                let wait = way.lanes.lock().failed(owed.lane(), self.clock.monotonic(), after);
                tracing::warn!(receiver = way.name, id = message.id, reason, ?wait, "not delivered; tried again");
                self.report_attempt(message, AttemptResult::Failed { reason: reason.clone() });
                self.give_up_old(way, &reason);
            }
        }
    }

    /// Gives up what this receiver could not be told for too long. Done after a failure only: while it answers, even
    /// an old notification is worth an attempt.
    fn give_up_old(&self, way: &Way, reason: &str) {
        let old = way.lanes.lock().take_older_than(self.give_up_cutoff_ms(), self.clock.monotonic());
        for owed in old {
            let reason = format!("not delivered within {:?}; at last: {reason}", self.delivery.give_up_after);
            self.give_up(way, &owed.message(&way.name), reason);
        }
    }

    /// What was noted before this, in ms since 1970 UTC, is given up when it fails.
    pub(super) fn give_up_cutoff_ms(&self) -> i64 {
        let age_ms = i64::try_from(self.delivery.give_up_after.as_millis()).unwrap_or(i64::MAX);
        self.clock.now_ms().saturating_sub(age_ms)
    }

    fn give_up(&self, way: &Way, message: &Message, reason: String) {
        let labels = message.common_labels();
        tracing::error!(receiver = message.receiver, id = message.id, %labels, status = %message.status(), reason,
            "GIVEN UP: this receiver will not be told");
        let instead = self.instead(way, message, &reason);
        self.close(message, Verdict::GivenUp { reason }, instead);
        // Who reads that one more was given up finds it among the dead letters.
        self.metrics.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how it ended, and what others are told because of it.
    fn close(&self, message: &Message, verdict: Verdict, following: Vec<Arc<Message>>) {
        let at_ms = self.clock.now_ms();
        let result = match &verdict {
            Verdict::Delivered { http_status, .. } => AttemptResult::Delivered { http_status: *http_status },
            Verdict::GivenUp { reason } => AttemptResult::GivenUp { reason: reason.clone() },
        };
        let outcome = Outcome { id: message.id.clone(), receiver: message.receiver.clone(), at_ms, verdict };
        let mut outbox = self.outbox.lock();
        // A crash may have come between them and the outcome.
        let following: Vec<_> =
            following.into_iter().filter(|message| !outbox.ledger().knows_id(&message.id)).collect();
        if let Err(error) = outbox.close(outcome, following.clone(), at_ms) {
            tracing::warn!(%error, id = message.id, "the answer is not on disk; after a crash it may be told again");
        }
        self.push_messages(following.into_iter());
        self.count_pending(&outbox);
        drop(outbox);
        self.report_attempt(message, result);
    }

    pub(super) fn report_attempt(&self, message: &Message, result: AttemptResult) {
        let mut incidents: Vec<String> = message.alerts.iter().map(|one| one.incident.clone()).collect();
        incidents.sort_unstable();
        incidents.dedup();
        let (id, receiver, at_ms) = (message.id.clone(), message.receiver.clone(), self.clock.now_ms());
        self.report(Event::Attempt { id, receiver, incidents, at_ms, result });
    }
}
