//! The notifier: takes alerts into the outbox, and has the receivers told until each has answered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver as Inbox, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use super::alert::Alert;
use super::backoff::Backoff;
use super::event::{EVENTS_COUNT_MAX, Event};
use super::folding::{Folding, FoldingOptions};
use super::ledger::{DeadLetter, Enqueued, Ledger};
use super::outbox::{Outbox, RecoveredOutbox};
use super::owed::{Notification, Owed};
use super::way::Way;
use super::{NotifyError, Secret};
use crate::clock::Clock;
use crate::disk::Disk;

/// Whom to tell.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Names it in the payload, the log and the outbox. What a receiver is owed goes by its name.
    pub name: String,
    /// `http://` or `https://`; loopback and private addresses are fine, link-local and metadata ones are refused.
    pub url: String,
    /// Signs what is sent, where there is one.
    pub secret: Option<Secret>,
}

/// How deliveries are tried. The default is for production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Age of a notification at which the next failure is the last.
    pub give_up_after: Duration,
    /// Most attempts of one receiver at the same time, at least one.
    pub in_flight_max: usize,
    /// Longest attempt, from the name's look-up to the end of the answer.
    pub attempt_timeout: Duration,
}

impl Default for Delivery {
    fn default() -> Delivery {
        Delivery {
            backoff: Backoff::default(),
            give_up_after: Duration::from_secs(3 * 24 * 3600),
            in_flight_max: 8,
            attempt_timeout: Duration::from_secs(10),
        }
    }
}

/// Counts since the start, and one gauge, over all receivers. Each is read for itself.
#[derive(Debug, Default)]
pub struct DeliveryMetrics {
    /// Attempts that were answered or failed.
    pub attempts: AtomicU64,
    /// Attempts that a receiver took.
    pub delivered: AtomicU64,
    /// Attempts that did not get through, refusals included.
    pub failed: AtomicU64,
    /// Notifications that a receiver will not be told any more.
    pub given_up: AtomicU64,
    /// Notifications that some receiver has yet to be told, now.
    pub pending: AtomicU64,
    /// Events that were left out, because whoever keeps the journal was behind.
    pub events_missed: AtomicU64,
}

/// Takes alerts and delivers them. Shared by the threads that report alerts and the task that runs it.
pub struct Notifier {
    pub(super) outbox: Mutex<Outbox>,
    /// What the outbox has as active. Apart from it, for those who may not wait for its disk.
    active: Mutex<Arc<Vec<Alert>>>,
    pub(super) ways: Vec<Way>,
    pub(super) clock: Clock,
    pub(super) external_url: String,
    pub(super) delivery: Delivery,
    pub(super) metrics: DeliveryMetrics,
    /// To whoever keeps the journal, and the other end until somebody takes it.
    to_journal: Sender<Event>,
    events: Mutex<Option<Inbox<Event>>>,
}

impl Notifier {
    /// Opens the outbox in `folder` and prepares the receivers. Nothing is sent before [`Notifier::run`].
    ///
    /// `external_url` is where receivers can reach this server, for links. Names of receivers must differ.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        clock: Clock,
        receivers: Vec<Receiver>,
        external_url: String,
    ) -> Result<(Arc<Notifier>, RecoveredOutbox), NotifyError> {
        Notifier::open_with(disk, folder, clock, receivers, external_url, Delivery::default())
    }

    /// As [`Notifier::open`], with other times and limits.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        folder: &Path,
        clock: Clock,
        receivers: Vec<Receiver>,
        external_url: String,
        delivery: Delivery,
    ) -> Result<(Arc<Notifier>, RecoveredOutbox), NotifyError> {
        let mut ways: Vec<Way> = Vec::with_capacity(receivers.len());
        for receiver in &receivers {
            if ways.iter().any(|earlier| earlier.name == receiver.name) {
                let what = "there are two of this name".to_owned();
                return Err(NotifyError::Receiver { receiver: receiver.name.clone(), what });
            }
            ways.push(Way::new(receiver, &clock, &delivery)?);
        }
        let names = ways.iter().map(|way| way.name.clone()).collect();
        let folding = Folding::new(FoldingOptions::default());
        let (outbox, recovered) = Outbox::open(disk, folder, Ledger::new(names, false), folding, clock.now_ms())?;
        for way in &ways {
            let mut lanes = way.lanes.lock();
            outbox.ledger().owed_to(&way.name).for_each(|owed| lanes.push(owed.clone(), clock.monotonic()));
        }
        let metrics = DeliveryMetrics::default();
        metrics.pending.store(outbox.ledger().pending_count() as u64, Ordering::Relaxed);
        let active = Mutex::new(Arc::new(active_alerts(&outbox)));
        let (to_journal, events) = bounded(EVENTS_COUNT_MAX);
        let (outbox, events) = (Mutex::new(outbox), Mutex::new(Some(events)));
        let notifier = Notifier { outbox, active, ways, clock, external_url, delivery, metrics, to_journal, events };
        Ok((Arc::new(notifier), recovered))
    }

    /// Notes the alert and returns when it is on disk. Waits for the disk: call it from a thread, not from a task.
    ///
    /// The first report of a firing alert is accepted, and the first report of its end; what is said again is not sent
    /// again. A resolved alert takes the start of the firing one. On an error nothing was taken: report it again.
    pub fn enqueue(&self, alert: &Alert) -> Result<Enqueued, NotifyError> {
        Ok(self.enqueue_all(std::slice::from_ref(alert))?[0])
    }

    /// As [`Notifier::enqueue`] for many, in order, with one sync for all: a thousand alerts cost what one costs. On an
    /// error some may have been taken; report all again.
    pub fn enqueue_all(&self, alerts: &[Alert]) -> Result<Vec<Enqueued>, NotifyError> {
        let mut outbox = self.outbox.lock();
        let mut taken = Vec::new();
        let results = outbox.enqueue(alerts, self.clock.now_ms(), &mut taken);
        // Under the outbox's lock still, so that firing and resolved come into their lane in the order of the file.
        self.push_transitions(&taken);
        if !taken.is_empty() {
            *self.active.lock() = Arc::new(active_alerts(&outbox));
        }
        self.metrics.pending.store(outbox.ledger().pending_count() as u64, Ordering::Relaxed);
        drop(outbox);
        self.ways.iter().for_each(|way| way.wake.notify_one());
        results
    }

    fn push_transitions(&self, taken: &[Arc<Notification>]) {
        for way in &self.ways {
            let mut lanes = way.lanes.lock();
            taken.iter().for_each(|one| lanes.push(Owed::Transition(Arc::clone(one)), self.clock.monotonic()));
        }
        for one in taken {
            let (alert, incident) = (one.alert.clone(), one.incident.clone());
            self.report(Event::Transition { alert, incident, at_ms: one.enqueued_at_ms });
        }
    }

    /// What happens from now on, and since the notifier was opened, for the journal; the second call gets nothing. A
    /// reader who is [`EVENTS_COUNT_MAX`] behind misses events, see [`DeliveryMetrics::events_missed`].
    pub fn events(&self) -> Option<Inbox<Event>> {
        self.events.lock().take()
    }

    /// Tells the journal. Never waits.
    pub(super) fn report(&self, event: Event) {
        if let Err(TrySendError::Full(_)) = self.to_journal.try_send(event) {
            self.metrics.events_missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The alerts that fire, in the order in which they began to; after a restart the same as before. Never waits for
    /// the disk: a task may ask.
    pub fn active(&self) -> Vec<Alert> {
        let active = Arc::clone(&self.active.lock());
        active.to_vec()
    }

    /// What was given up, among the notifications that wait and the last [`super::FINISHED_COUNT_MAX`] others; oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.outbox.lock().ledger().dead_letters()
    }

    /// Counts for `/metrics`.
    pub fn metrics(&self) -> &DeliveryMetrics {
        &self.metrics
    }

    /// Delivers until `shutdown` turns true (or its sender is gone), then lets what is under way end, for at most
    /// three seconds, and syncs the outbox. Needs a tokio runtime with timers and network. Call it once.
    pub async fn run(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        for index in 0..self.ways.len() {
            tasks.spawn(Arc::clone(&self).serve(index, shutdown.clone()));
        }
        let mut shutdown = shutdown;
        let _ = shutdown.wait_for(|stop| *stop).await;
        tasks.join_all().await;
        let notifier = Arc::clone(&self);
        let synced = spawn_blocking(move || notifier.outbox.lock().sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::warn!(%error, "the last deliveries may be repeated after the next start");
        }
    }
}

fn active_alerts(outbox: &Outbox) -> Vec<Alert> {
    outbox.ledger().active().into_iter().map(|transition| transition.alert.clone()).collect()
}

/// A task that panicked met a broken invariant of ours; one that was cancelled belongs to a runtime that ends.
pub(super) fn pass_panic_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
