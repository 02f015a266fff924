//! The dispatcher's loop: when a group is due, what it has to tell is noted in the outbox and put on its way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::alert::Alert;
use super::deliver::{Notifier, pass_panic_on};
use super::dispatch::{Dispatcher, Surroundings};
use super::ledger::Record;
use super::message::Message;
use super::outbox::Outbox;
use super::owed::Notification;
use super::routing::Routing;

/// When messages could not be noted, their groups are looked at again after this.
const FLUSH_RETRY: Duration = Duration::from_secs(1);
/// How often what was told of groups that are over is looked through, in ms.
const FORGET_INTERVAL_MS: i64 = 60_000;

/// An alert that fires, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertState {
    /// As it was reported.
    pub alert: Alert,
    /// Id of the incident that it belongs to.
    pub incident: String,
    /// When it was noted, in ms since 1970 UTC.
    pub updated_at_ms: i64,
    /// Names of the receivers that are told of it, each once, in the order of the routes.
    pub receivers: Vec<String>,
    /// Id of the silence that holds it back.
    pub silenced_by: Option<String>,
    /// Fingerprint of the alert that holds it back.
    pub inhibited_by: Option<u64>,
}

impl Notifier {
    /// Flushes groups until the order to stop.
    pub(super) async fn dispatch(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut forget_at_ms = self.clock.now_ms() + FORGET_INTERVAL_MS;
        loop {
            let due = self.dispatcher.lock().as_ref().and_then(Dispatcher::next_due);
            let wait = due.map_or(Duration::MAX, |due| due.saturating_sub(self.clock.monotonic()));
            if wait.is_zero() && !*shutdown.borrow() {
                // It may wait for the disk.
                let notifier = Arc::clone(&self);
                pass_panic_on(spawn_blocking(move || notifier.flush_due()).await);
                if self.clock.now_ms() > forget_at_ms {
                    let notifier = Arc::clone(&self);
                    pass_panic_on(spawn_blocking(move || notifier.forget_told()).await);
                    forget_at_ms = self.clock.now_ms() + FORGET_INTERVAL_MS;
                }
                continue;
            }
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                () = self.wake_dispatcher.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Notes what some of the groups that are due have to tell, and puts it on its way.
    pub(super) fn flush_due(&self) {
        let mut outbox = self.outbox.lock();
        let now = self.moment();
        let mut flush = {
            let ledger = outbox.ledger();
            let surroundings = Surroundings {
                told: ledger.told(),
                is_pending: &|id| ledger.is_pending(id),
                silenced_by: &|labels| (self.silencer)(labels, now.wall_ms).map(|one| one.id),
            };
            let mut dispatcher = self.dispatcher.lock();
            let Some(flush) = dispatcher.as_mut().and_then(|dispatcher| dispatcher.flush(&surroundings, now)) else {
                return;
            };
            flush
        };
        let records = std::mem::take(&mut flush.records);
        let messages = unknown_messages(&records, &outbox);
        let noted = outbox.note(records, now.wall_ms);
        // Nobody else takes the dispatcher while we have the outbox, but for a look.
        let mut dispatcher = self.dispatcher.lock();
        let dispatcher = dispatcher.as_mut().expect("the dispatcher changes under the outbox's lock only");
        match noted {
            Ok(()) => {
                dispatcher.noted(flush);
                self.push_messages(messages.into_iter());
            }
            Err(error) => {
                tracing::error!(%error, "what groups have to tell cannot be noted; trying again");
                dispatcher.postponed(&flush, now.monotonic + FLUSH_RETRY);
            }
        }
        self.count_pending(&outbox);
    }

    fn forget_told(&self) {
        let mut outbox = self.outbox.lock();
        if let Some(dispatcher) = self.dispatcher.lock().as_ref() {
            outbox.forget_told(self.clock.now_ms(), dispatcher.is_over());
        }
    }

    /// The routing in force; none where every receiver is told of everything. Never waits for the disk.
    pub fn routing(&self) -> Option<Arc<Routing>> {
        self.dispatcher.lock().as_ref().map(|dispatcher| dispatcher.routing().clone())
    }

    /// The alerts that fire and what becomes of each, in the order in which they began to. May wait for the disk.
    pub fn alerts(&self) -> Vec<AlertState> {
        let outbox = self.outbox.lock();
        let now_ms = self.clock.now_ms();
        outbox.ledger().active().into_iter().map(|transition| self.state_of(transition, now_ms)).collect()
    }

    /// How many groups there are; none without routing. Never waits for the disk.
    pub fn group_count(&self) -> usize {
        self.dispatcher.lock().as_ref().map_or(0, Dispatcher::group_count)
    }

    fn state_of(&self, transition: &Notification, now_ms: i64) -> AlertState {
        let labels = &transition.alert.labels;
        let dispatcher = self.dispatcher.lock();
        let (mut receivers, inhibited_by): (Vec<String>, _) = match dispatcher.as_ref() {
            // A silence may have kept it from all of them.
            None => (self.ways.load().iter().map(|way| way.receiver.clone()).collect(), None),
            Some(dispatcher) => {
                let matches = dispatcher.routing().matches(labels);
                let names = matches.into_iter().map(|matched| matched.receiver.to_owned());
                (names.collect(), dispatcher.inhibited_by(labels))
            }
        };
        let mut seen = std::collections::HashSet::new();
        receivers.retain(|name| seen.insert(name.clone()));
        AlertState {
            alert: transition.alert.clone(),
            incident: transition.incident.clone(),
            updated_at_ms: transition.enqueued_at_ms,
            receivers,
            silenced_by: (self.silencer)(labels, now_ms).map(|one| one.id),
            inhibited_by,
        }
    }
}

/// The messages among the records that the outbox does not have yet.
fn unknown_messages(records: &[Record], outbox: &Outbox) -> Vec<Arc<Message>> {
    let messages = records.iter().filter_map(|record| match record {
        Record::Message(message, _) => Some(Arc::clone(message)),
        _ => None,
    });
    messages.filter(|message| !outbox.ledger().knows_id(&message.id)).collect()
}
