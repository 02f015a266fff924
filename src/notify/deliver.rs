//! The notifier: takes alerts into the outbox and tells the receivers until each has answered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use super::alert::Alert;
use super::backoff::Backoff;
use super::lanes::{Lanes, Next};
use super::ledger::{DeadLetter, Enqueued, Notification, Outcome, Verdict};
use super::outbox::{Outbox, RecoveredOutbox};
use super::payload;
use super::webhook::{Answer, Webhook};
use super::{NotifyError, Secret};
use crate::clock::Clock;
use crate::disk::Disk;

/// How long attempts that are under way may take after the order to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

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
}

/// Takes alerts and delivers them. Shared by the threads that report alerts and the task that runs it.
pub struct Notifier {
    outbox: Mutex<Outbox>,
    /// What the outbox has as active. Apart from it, for those who may not wait for its disk.
    active: Mutex<Arc<Vec<Alert>>>,
    ways: Vec<Way>,
    clock: Clock,
    external_url: String,
    delivery: Delivery,
    metrics: DeliveryMetrics,
}

/// One receiver and what it has yet to be told.
struct Way {
    name: String,
    webhook: Webhook,
    lanes: Mutex<Lanes>,
    wake: Notify,
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
            ways.push(Way {
                name: receiver.name.clone(),
                webhook: Webhook::new(receiver, clock.clone(), delivery.attempt_timeout)?,
                lanes: Mutex::new(Lanes::new(delivery.backoff, delivery.in_flight_max)),
                wake: Notify::new(),
            });
        }
        let names = ways.iter().map(|way| way.name.clone()).collect();
        let (outbox, recovered) = Outbox::open(disk, folder, names, clock.now_ms())?;
        for way in &ways {
            let mut lanes = way.lanes.lock();
            outbox.ledger().owed_to(&way.name).for_each(|owed| lanes.push(Arc::clone(owed), clock.monotonic()));
        }
        let metrics = DeliveryMetrics::default();
        metrics.pending.store(outbox.ledger().pending_count() as u64, Ordering::Relaxed);
        let active = Mutex::new(Arc::new(outbox.ledger().active()));
        let outbox = Mutex::new(outbox);
        Ok((Arc::new(Notifier { outbox, active, ways, clock, external_url, delivery, metrics }), recovered))
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
        for way in &self.ways {
            let mut lanes = way.lanes.lock();
            taken.iter().for_each(|notification| lanes.push(Arc::clone(notification), self.clock.monotonic()));
        }
        if !taken.is_empty() {
            *self.active.lock() = Arc::new(outbox.ledger().active());
        }
        self.metrics.pending.store(outbox.ledger().pending_count() as u64, Ordering::Relaxed);
        drop(outbox);
        self.ways.iter().for_each(|way| way.wake.notify_one());
        results
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

    /// Names of the receivers that answer nothing at present, whatever they are told.
    pub fn failing_receivers(&self) -> Vec<String> {
        let failing = self.ways.iter().filter(|way| way.lanes.lock().is_circuit_open());
        failing.map(|way| way.name.clone()).collect()
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
            tasks.spawn(Arc::clone(&self).tell(index, shutdown.clone()));
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

    /// Tells one receiver, until the order to stop.
    async fn tell(self: Arc<Self>, index: usize, mut shutdown: watch::Receiver<bool>) {
        let way = &self.ways[index];
        let mut attempts = JoinSet::new();
        loop {
            let now = self.clock.monotonic();
            let next = way.lanes.lock().next(now);
            let wait = match next {
                Next::Send(notification) => {
                    attempts.spawn(Arc::clone(&self).attempt(index, notification));
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
        // What is cut off here is tried again after the next start.
        let _ = tokio::time::timeout(STOP_TIMEOUT, async { while attempts.join_next().await.is_some() {} }).await;
    }

    async fn attempt(self: Arc<Self>, index: usize, notification: Arc<Notification>) {
        let way = &self.ways[index];
        let body = payload::render(&notification.alert, &way.name, &self.external_url);
        let answer = way.webhook.attempt(&notification.id, body).await;
        self.metrics.attempts.fetch_add(1, Ordering::Relaxed);
        // Noting an outcome may wait for the disk.
        let notifier = Arc::clone(&self);
        pass_panic_on(spawn_blocking(move || notifier.take_answer(index, &notification, answer)).await);
    }

    fn take_answer(&self, index: usize, notification: &Notification, answer: Answer) {
        let way = &self.ways[index];
        let fingerprint = notification.alert.fingerprint();
        match answer {
            Answer::Delivered { http_status } => {
                self.metrics.delivered.fetch_add(1, Ordering::Relaxed);
                tracing::info!(receiver = way.name, id = notification.id, http_status, "delivered");
                let receiver_index = u16::try_from(index).unwrap_or(u16::MAX);
                self.close(way, notification, Verdict::Delivered { receiver_index, http_status });
                way.lanes.lock().settled(fingerprint, self.clock.monotonic());
            }
            Answer::Refused { reason } => {
                self.metrics.failed.fetch_add(1, Ordering::Relaxed);
                self.give_up(way, notification, reason);
                way.lanes.lock().settled(fingerprint, self.clock.monotonic());
            }
            Answer::Retry { reason, after } => {
                self.metrics.failed.fetch_add(1, Ordering::Relaxed);
                let wait = way.lanes.lock().failed(fingerprint, self.clock.monotonic(), after);
                tracing::warn!(receiver = way.name, id = notification.id, reason, ?wait, "not delivered; tried again");
                self.give_up_old(way, &reason);
            }
        }
    }

    /// Gives up what this receiver could not be told for too long. Done after a failure only: while it answers, even
    /// an old notification is worth an attempt.
    fn give_up_old(&self, way: &Way, reason: &str) {
        let age_ms = i64::try_from(self.delivery.give_up_after.as_millis()).unwrap_or(i64::MAX);
        let cutoff_ms = self.clock.now_ms().saturating_sub(age_ms);
        let old = way.lanes.lock().take_older_than(cutoff_ms, self.clock.monotonic());
        for notification in old {
            let reason = format!("not delivered within {:?}; at last: {reason}", self.delivery.give_up_after);
            self.give_up(way, &notification, reason);
        }
    }

    fn give_up(&self, way: &Way, notification: &Notification, reason: String) {
        self.metrics.given_up.fetch_add(1, Ordering::Relaxed);
        let alert = &notification.alert;
        tracing::error!(receiver = way.name, id = notification.id, labels = %alert.labels, status = %alert.status(),
            reason, "GIVEN UP: this receiver will not be told");
        self.close(way, notification, Verdict::GivenUp { reason });
    }

    fn close(&self, way: &Way, notification: &Notification, verdict: Verdict) {
        let at_ms = self.clock.now_ms();
        let outcome = Outcome { id: notification.id.clone(), receiver: way.name.clone(), at_ms, verdict };
        let mut outbox = self.outbox.lock();
        if let Err(error) = outbox.close(outcome, at_ms) {
            tracing::warn!(%error, id = notification.id, "the answer is not on disk; after a crash it may be told again");
        }
        self.metrics.pending.store(outbox.ledger().pending_count() as u64, Ordering::Relaxed);
    }
}

/// A task that panicked met a broken invariant of ours; one that was cancelled belongs to a runtime that ends.
fn pass_panic_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
