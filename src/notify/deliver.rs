//! The notifier: takes alerts into the outbox, and has the receivers told until each has answered.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver as Inbox, Sender, TrySendError, bounded};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use super::NotifyError;
use super::alert::{Alert, Status};
use super::backoff::Backoff;
use super::dispatch::{Dispatcher, Moment};
use super::event::{EVENTS_COUNT_MAX, Event, SilencedBy};
use super::folding::{Folding, FoldingOptions};
use super::ledger::{Enqueued, Ledger};
use super::outbox::{Outbox, RecoveredOutbox};
use super::owed::{Notification, Owed};
use super::plan::Plan;
use super::way::Way;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::model::Labels;

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

/// Counts since the start, and two gauges, over all receivers. Each is read for itself.
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
    /// Dead letters that are kept, now; at most [`DEAD_LETTERS_COUNT_MAX`](super::DEAD_LETTERS_COUNT_MAX) notifications.
    pub dead_letters: AtomicU64,
    /// Events that were left out, because whoever keeps the journal was behind.
    pub events_missed: AtomicU64,
}

/// Says which silence holds back an alert with these labels at this moment, in ms since 1970 UTC; asked at each flush of a
/// group, and where nothing is grouped, when an alert begins or ends. Never waits.
pub type Silencer = Arc<dyn Fn(&Labels, i64) -> Option<SilencedBy> + Send + Sync>;

/// What a notifier needs besides a disk and a clock.
pub struct NotifierOptions {
    /// Whom to tell, and by which rules.
    pub plan: Plan,
    /// Where receivers can reach this server, for links.
    pub external_url: String,
    /// How deliveries are tried.
    pub delivery: Delivery,
    /// Which incidents alerts belong to.
    pub folding: Folding,
    /// What is held back.
    pub silencer: Silencer,
}

impl NotifierOptions {
    /// With everything else as it is by default: nothing is silenced.
    pub fn new(plan: Plan, external_url: String) -> NotifierOptions {
        NotifierOptions {
            plan,
            external_url,
            delivery: Delivery::default(),
            folding: Folding::new(FoldingOptions::default()),
            silencer: Arc::new(|_, _| None),
        }
    }
}

/// A plan whose receivers can be used.
pub struct PreparedPlan {
    plan: Plan,
    ways: Vec<Arc<Way>>,
}

/// Takes alerts and delivers them. Shared by the threads that report alerts and the task that runs it.
pub struct Notifier {
    pub(super) outbox: Mutex<Outbox>,
    /// What the outbox has as active. Apart from it, for those who may not wait for its disk.
    active: Mutex<Arc<Vec<Arc<Notification>>>>,
    /// Groups alerts, where there is routing.
    pub(super) dispatcher: Mutex<Option<Dispatcher>>,
    pub(super) wake_dispatcher: Notify,
    pub(super) ways: ArcSwap<Vec<Arc<Way>>>,
    ways_changed: Notify,
    /// The receiver that is told what could not be told to another one.
    pub(super) fallback: ArcSwap<Option<String>>,
    pub(super) silencer: Silencer,
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
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
        clock: Clock,
        options: NotifierOptions,
    ) -> Result<(Arc<Notifier>, RecoveredOutbox), NotifyError> {
        let NotifierOptions { plan, external_url, delivery, folding, silencer } = options;
        let ways = ways(&plan, &external_url, &clock, &delivery, &[])?;
        let ledger = Ledger::new(names(&ways), plan.routing.is_some());
        let (outbox, recovered) = Outbox::open(disk, folder, ledger, folding, clock.now_ms())?;
        let (to_journal, events) = bounded(EVENTS_COUNT_MAX);
        let notifier = Notifier {
            active: Mutex::new(Arc::new(outbox.ledger().active().into_iter().cloned().collect())),
            outbox: Mutex::new(outbox),
            dispatcher: Mutex::new(None),
            wake_dispatcher: Notify::new(),
            ways: ArcSwap::from_pointee(Vec::new()),
            ways_changed: Notify::new(),
            fallback: ArcSwap::from_pointee(None),
            silencer,
            clock,
            external_url,
            delivery,
            metrics: DeliveryMetrics::default(),
            to_journal,
            events: Mutex::new(Some(events)),
        };
        notifier.put_in_force(&plan, ways, &notifier.outbox.lock());
        Ok((Arc::new(notifier), recovered))
    }

    /// Makes everything ready to go on by another plan. Fails where a receiver cannot be used; nothing has changed then.
    pub fn prepare(&self, plan: Plan) -> Result<PreparedPlan, NotifyError> {
        let ways = ways(&plan, &self.external_url, &self.clock, &self.delivery, &self.ways.load())?;
        Ok(PreparedPlan { plan, ways })
    }

    /// Goes on by another plan. What is owed to receivers that are still there by their names is told, by their new
    /// settings; to others nothing is owed any more. Without routing, a receiver that is new is told of what begins or ends
    /// from now on, and of what fires if none of those is left who were to be told of it; the groups are made again of the
    /// alerts that fire. Waits for the disk.
    pub fn replace_plan(&self, prepared: PreparedPlan) {
        let PreparedPlan { plan, ways } = prepared;
        let mut outbox = self.outbox.lock();
        for gone in self.ways.load().iter().filter(|former| !ways.iter().any(|way| way.name == former.name)) {
            let owed_count = outbox.ledger().owed_to(&gone.name).count();
            tracing::info!(receiver = gone.name, owed_count, "this receiver went: what it was owed is owed no more");
        }
        outbox.replace_receivers(names(&ways), plan.routing.is_some(), self.clock.now_ms());
        self.put_in_force(&plan, ways, &outbox);
    }

    fn put_in_force(&self, plan: &Plan, ways: Vec<Arc<Way>>, outbox: &Outbox) {
        let now = self.moment();
        let former = self.ways.load_full();
        let is_new = |way: &&Arc<Way>| !former.iter().any(|former| Arc::ptr_eq(&former.lanes, &way.lanes));
        for way in ways.iter().filter(is_new) {
            let mut lanes = way.lanes.lock();
            outbox.ledger().owed_to(&way.name).for_each(|owed| lanes.push(owed.clone(), now.monotonic));
        }
        for way in ways.iter().filter(|way| former.iter().any(|former| way.is_reached_otherwise_than(former))) {
            way.lanes.lock().forget_failures(now.monotonic);
        }
        *self.dispatcher.lock() = plan.routing.as_ref().map(|routing| {
            let mut dispatcher = Dispatcher::new(Arc::clone(routing), plan.targets());
            let ledger = outbox.ledger();
            let transitions = ledger.active().into_iter().chain(ledger.untold());
            dispatcher.restore(transitions, ledger.told(), now);
            dispatcher
        });
        self.fallback.store(Arc::new(plan.fallback_receiver.clone()));
        let before = self.ways.swap(Arc::new(ways));
        before.iter().for_each(|way| way.end());
        self.count_pending(outbox);
        self.ways_changed.notify_one();
        self.wake_dispatcher.notify_one();
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { wall_ms: self.clock.now_ms(), monotonic: self.clock.monotonic() }
    }

    pub(super) fn count_pending(&self, outbox: &Outbox) {
        self.metrics.dead_letters.store(outbox.ledger().dead_letter_count() as u64, Ordering::Relaxed);
        self.metrics.pending.store(outbox.ledger().pending_count() as u64, Ordering::Relaxed);
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
        let is_silenced = |labels: &Labels| self.is_silenced(labels);
        let results = outbox.enqueue(alerts, &is_silenced, &mut self.backlog(), self.clock.now_ms(), &mut taken);
        // Under the outbox's lock still, so that firing and resolved come into their lane in the order of the file.
        self.pass_on(&taken);
        note_active(Arc::make_mut(&mut self.active.lock()), &taken);
        self.count_pending(&outbox);
        results
    }

    /// Gives new transitions to those who tell of them.
    fn pass_on(&self, taken: &[Arc<Notification>]) {
        let now = self.moment();
        if let Some(dispatcher) = self.dispatcher.lock().as_mut() {
            taken.iter().for_each(|one| dispatcher.take(one, now));
            self.wake_dispatcher.notify_one();
        }
        self.push_transitions(taken, now.monotonic);
        for one in taken {
            let (alert, incident) = (one.alert.clone(), one.incident.clone());
            let silenced_by = self.held_back_by(one);
            self.report(Event::Transition { alert, incident, at_ms: one.enqueued_at_ms, silenced_by });
        }
    }

    /// Puts transitions on the ways of those to whom they are owed. Under the outbox's lock.
    pub(super) fn push_transitions(&self, transitions: &[Arc<Notification>], now: Duration) {
        for way in self.ways.load().iter() {
            let owed = transitions.iter().filter(|one| one.receivers.contains(&way.name));
            way.push(owed.map(|one| Owed::Transition(Arc::clone(one))), now);
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
        active.iter().map(|transition| transition.alert.clone()).collect()
    }

    /// Names of the ways that answer nothing at present, whatever they are told.
    pub fn failing_receivers(&self) -> Vec<String> {
        let ways = self.ways.load_full();
        let failing = ways.iter().filter(|way| way.lanes.lock().is_circuit_open());
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
        tasks.spawn(Arc::clone(&self).dispatch(shutdown.clone()));
        tasks.spawn(Arc::clone(&self).look_after_held(shutdown.clone()));
        let mut served: Vec<Arc<Way>> = Vec::new();
        let mut stopped = shutdown.clone();
        loop {
            let ways = self.ways.load_full();
            for way in ways.iter().filter(|way| !served.iter().any(|other| Arc::ptr_eq(way, other))) {
                tasks.spawn(Arc::clone(&self).serve(Arc::clone(way), shutdown.clone()));
            }
            served.clone_from(&ways);
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                () = self.ways_changed.notified() => {}
                Some(ended) = tasks.join_next() => pass_panic_on(ended),
            }
        }
        tasks.join_all().await;
        let notifier = Arc::clone(&self);
        let synced = spawn_blocking(move || notifier.outbox.lock().sync()).await;
        if let Ok(Err(error)) = synced {
            tracing::warn!(%error, "the last deliveries may be repeated after the next start");
        }
    }
}

fn ways(
    plan: &Plan,
    external_url: &str,
    clock: &Clock,
    delivery: &Delivery,
    former: &[Arc<Way>],
) -> Result<Vec<Arc<Way>>, NotifyError> {
    let mut ways: Vec<Arc<Way>> = Vec::with_capacity(plan.destinations.len());
    for (index, destination) in plan.destinations.iter().enumerate() {
        let name = &destination.integration.name;
        if ways.iter().any(|earlier| earlier.name == *name) {
            let what = "there are two of this name".to_owned();
            return Err(NotifyError::Receiver { receiver: name.clone(), what });
        }
        let former = former.iter().find(|way| way.name == *name).map(Arc::as_ref);
        ways.push(Arc::new(Way::new(index, destination, external_url, clock, delivery, former)?));
    }
    if let Some(fallback) = &plan.fallback_receiver
        && !ways.iter().any(|way| way.receiver == *fallback)
    {
        let what = "it is to be the fallback, and there is none of this name".to_owned();
        return Err(NotifyError::Receiver { receiver: fallback.clone(), what });
    }
    Ok(ways)
}

fn names(ways: &[Arc<Way>]) -> Vec<String> {
    ways.iter().map(|way| way.name.clone()).collect()
}

/// Puts what began behind the others, and takes out what ended.
fn note_active(active: &mut Vec<Arc<Notification>>, taken: &[Arc<Notification>]) {
    active.extend(taken.iter().filter(|one| one.alert.status() == Status::Firing).cloned());
    // By its id: an alert may end and begin again in one report.
    let ended = taken.iter().filter(|one| one.alert.status() == Status::Resolved);
    let begun: HashSet<String> = ended.map(|one| one.alert.id_of(Status::Firing)).collect();
    if !begun.is_empty() {
        active.retain(|one| !begun.contains(&one.id));
    }
}

/// A task that panicked met a broken invariant of ours; one that was cancelled belongs to a runtime that ends.
pub(super) fn pass_panic_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
