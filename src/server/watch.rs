//! Detection's threads: taps into workers, workers into the judge, the judge into the outbox.
//!
//! What is durable when: an alert is in the outbox before it is in the checkpoint. A crash between the two makes the
//! judge find the same transition again, and the outbox knows it by its id. A crash before the first makes it find it
//! again too. So a restart neither loses an alert nor tells it twice.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use hashbrown::HashSet;

use super::anomalies::{Anomalies, LOOK_INTERVAL};
use super::bands::ToBands;
use super::detection_lag::DetectionLag;
use super::parts::{PartsBoard, WANTED_COUNT_MAX};
use super::telling::Telling;
use super::{ServerError, thread};
use crate::clock::Clock;
use crate::detect::{Announcements, Firing, Judge, Worker};
use crate::disk::{Disk, FileBytes};
use crate::notify::{Alert, Notifier};
use crate::rules::{AnomalyReport, RuleSet};
use crate::storage::tap::{TapSource, Tapped};

/// How long a worker waits for a batch before it says that it is idle.
const IDLE_AFTER: Duration = Duration::from_millis(100);
/// How long a worker rests while the judge's queue is full.
const QUEUE_FULL_REST: Duration = Duration::from_millis(1);
/// How often the judge looks when nobody rings.
const JUDGE_INTERVAL: Duration = Duration::from_millis(250);
/// How often the checkpoint is written at most, and at least: from the log, more than that need not go through
/// detection again after a restart.
const CHECKPOINT_INTERVALS: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(600));
/// Between those it is written as often as makes this many bytes a second of it.
const CHECKPOINT_BYTES_PER_SECOND: usize = 1 << 20;
/// How long the judge waits before it tries again to note an alert.
const OUTBOX_RETRY: Duration = Duration::from_millis(500);
/// How long everything here may go on once the server stops. What is not noted by then is found again at the next
/// start: the checkpoint from before it still stands.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// How long after a start the log has surely gone through detection again, so that what fires is known.
const ORPHANS_AFTER: Duration = Duration::from_secs(30);

/// The file that detection goes on from. It is only ever replaced as a whole.
pub(super) const CHECKPOINT: &str = "detect.state";

/// What the threads are made of.
pub(super) struct WatchingParts {
    pub(super) taps: Vec<TapSource>,
    pub(super) workers: Vec<Worker>,
    pub(super) judge: Judge,
    pub(super) rules: Arc<RuleSet>,
    /// Names of the alerts of rules that were in force before these and may be no more.
    pub(super) former: Vec<String>,
    pub(super) anomalies: Arc<Anomalies>,
    pub(super) board: Arc<PartsBoard>,
    pub(super) to_bands: ToBands,
    pub(super) notifier: Arc<Notifier>,
    pub(super) announcements: Arc<Announcements>,
    pub(super) lag: Arc<DetectionLag>,
    pub(super) telling: Telling,
}

/// The running threads.
pub(super) struct Watching {
    workers: Vec<JoinHandle<()>>,
    judge: JoinHandle<()>,
    deadline: Arc<Deadline>,
}

/// When to stop trying: unknown until the server stops. Set once in `join`, read by every thread that may have to wait.
struct Deadline {
    clock: Clock,
    at: OnceLock<Duration>,
}

impl Deadline {
    fn set(&self) {
        // A second order to stop does not prolong the first.
        let _ = self.at.set(self.clock.monotonic() + STOP_WITHIN);
    }

    fn has_passed(&self) -> bool {
        self.at.get().is_some_and(|at| self.clock.monotonic() >= *at)
    }
}

impl Watching {
    pub(super) fn start(
        parts: WatchingParts,
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        clock: &Clock,
    ) -> Result<Watching, ServerError> {
        let deadline = Arc::new(Deadline { clock: clock.clone(), at: OnceLock::new() });
        // One place: a bell that rang is heard at the next look, however often it rang.
        let (bell, rung) = bounded(1);
        let mut judging = Judging {
            judge: parts.judge,
            rules: parts.rules,
            former: parts.former,
            anomalies: parts.anomalies,
            board: parts.board,
            to_bands: parts.to_bands,
            notifier: parts.notifier,
            announcements: parts.announcements,
            lag: parts.lag,
            telling: parts.telling,
            checkpoint: Checkpoint { disk, path: data_dir.join(CHECKPOINT) },
            deadline: deadline.clone(),
            restored: false,
        };
        judging.restore();
        let clock = clock.clone();
        let judge = thread("judge", move || judging.run(&rung, &clock))?;
        let mut workers = Vec::new();
        for (index, (source, worker)) in parts.taps.into_iter().zip(parts.workers).enumerate() {
            let (bell, deadline) = (bell.clone(), deadline.clone());
            workers.push(thread(&format!("detect-{index}"), move || feed(&source, worker, &bell, &deadline))?);
        }
        Ok(Watching { workers, judge, deadline })
    }

    /// Waits for the end, which comes when the shards have ended, or at the latest when [`STOP_WITHIN`] has passed.
    pub(super) fn join(self) {
        self.deadline.set();
        for worker in self.workers {
            let _ = worker.join();
        }
        let _ = self.judge.join();
    }
}

/// The loop of one worker.
fn feed(source: &TapSource, mut worker: Worker, bell: &Sender<()>, deadline: &Deadline) {
    while !deadline.has_passed() {
        match source.next(IDLE_AFTER) {
            Tapped::Batch(batch) => {
                worker.handle(&batch);
                flush(&mut worker, bell, deadline);
            }
            Tapped::Missed => {
                let missed = source.catch_up(|series| worker.last_timestamp(series));
                for batch in missed {
                    worker.make_up(&batch);
                    flush(&mut worker, bell, deadline);
                    if deadline.has_passed() {
                        return;
                    }
                }
            }
            Tapped::Nothing => {
                worker.settle(|| source.is_idle());
                flush(&mut worker, bell, deadline);
            }
            Tapped::Closed => return,
        }
    }
}

/// Hands over everything before more is taken in: what waits is bounded by the queue, not by the stream.
fn flush(worker: &mut Worker, bell: &Sender<()>, deadline: &Deadline) {
    loop {
        worker.publish();
        let _ = bell.try_send(());
        if worker.pending() == 0 || deadline.has_passed() {
            return;
        }
        std::thread::park_timeout(QUEUE_FULL_REST);
    }
}

struct Judging {
    judge: Judge,
    rules: Arc<RuleSet>,
    former: Vec<String>,
    anomalies: Arc<Anomalies>,
    board: Arc<PartsBoard>,
    to_bands: ToBands,
    notifier: Arc<Notifier>,
    announcements: Arc<Announcements>,
    lag: Arc<DetectionLag>,
    telling: Telling,
    checkpoint: Checkpoint,
    deadline: Arc<Deadline>,
    /// Whether detection went on from a checkpoint.
    restored: bool,
}

impl Judging {
    fn restore(&mut self) {
        let Some(bytes) = self.checkpoint.read() else { return };
        match self.judge.restore(&bytes) {
            Ok(restored) => {
                tracing::info!(groups = restored.groups, dropped = restored.groups_dropped, "detection goes on");
                self.restored = true;
            }
            Err(error) => tracing::error!(%error, "detection starts anew"),
        }
    }

    /// The loop of the judge.
    fn run(mut self, rung: &Receiver<()>, clock: &Clock) {
        let (mut written, mut interval) = (clock.monotonic(), CHECKPOINT_INTERVALS.0);
        let mut looked = None;
        let mut orphans_due = self.restored.then(|| clock.monotonic() + ORPHANS_AFTER);
        loop {
            let ended = matches!(rung.recv_timeout(JUDGE_INTERVAL), Err(RecvTimeoutError::Disconnected));
            self.judge.excuse(self.announcements.in_force().calendar.clone());
            let mut transitions = self.judge.poll();
            self.board.complete(&mut transitions);
            self.to_bands.send(&self.rules, self.judge.take_bands());
            let mut alerts = self.telling.alerts(&transitions);
            let newest_ms = self.judge.shared().frontier_ms();
            alerts.iter_mut().for_each(|alert| self.lag.tell(alert, newest_ms));
            if !self.note(&alerts) {
                return;
            }
            self.lag.note_buckets(transitions.iter().map(|transition| transition.at_ms));
            self.anomalies.note(&transitions, &alerts, &self.rules);
            let now = clock.monotonic();
            if !transitions.is_empty() || looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_INTERVAL) {
                self.look();
                looked = Some(now);
            }
            if orphans_due.is_some_and(|due| clock.monotonic() >= due) {
                self.reconcile();
                orphans_due = None;
            }
            // Not sooner after an alert: found again, it is one that the outbox knows.
            if ended || clock.monotonic().saturating_sub(written) >= interval {
                let bytes = self.judge.checkpoint();
                self.checkpoint.write(&bytes);
                (written, interval) = (clock.monotonic(), checkpoint_interval(bytes.len()));
            }
            if ended {
                return;
            }
        }
    }

    /// Looks up what fires and why.
    fn look(&mut self) {
        let mut explained = self.judge.explained();
        self.board.look(&mut explained, self.judge.suspects(WANTED_COUNT_MAX));
        let alerts = self.telling.firing(explained.iter().map(|(firing, _)| firing));
        let report = |((firing, explanation), alert): ((Firing, _), Alert)| AnomalyReport {
            alert,
            expr: self.rules.rules[firing.watch].expr.clone(),
            explanation,
        };
        self.anomalies.look(explained.into_iter().zip(alerts).map(report).collect());
    }

    /// Ends the alerts that the outbox has as firing and detection does not: those of rules that were changed
    /// while they fired. Nobody else would. And tells those that detection has and the outbox does not: a rule whose
    /// labels were changed goes on firing, under other ones.
    fn reconcile(&mut self) {
        let firing = self.telling.firing(self.judge.firing().iter());
        let known: HashSet<u64> = firing.iter().map(Alert::fingerprint).collect();
        let now_ms = self.judge.shared().frontier_ms();
        let orphans = self.notifier.active().into_iter().filter(|alert| !known.contains(&alert.fingerprint()));
        for orphan in orphans.filter(|alert| self.is_of_stream(alert)) {
            tracing::warn!(labels = %orphan.labels, "the rule of a firing alert was changed or removed: resolved");
            let resolved = Alert { ends_at_ms: Some(now_ms.max(orphan.starts_at_ms)), ..orphan };
            if let Err(error) = self.notifier.enqueue(&resolved) {
                tracing::error!(%error, "it could not be noted; the next start tries again");
            }
        }
        // What is told already is not told again.
        if let Err(error) = self.notifier.enqueue_all(&firing) {
            tracing::error!(%error, "what fires could not be noted; the next start tries again");
        }
    }

    /// Whether a rule that is fed by the stream made it, be it of those in force or of those before; all others are ended
    /// by those who evaluate rules. Where rules of either kind have the same name, those of the stream say a direction.
    fn is_of_stream(&self, alert: &Alert) -> bool {
        let Some(name) = alert.labels.get("alertname") else { return false };
        let is_watched = self.rules.rules.iter().any(|rule| rule.alert == name);
        let is_evaluated = self.rules.has_alerting(name);
        (is_watched || self.former.iter().any(|former| former == name))
            && (!is_evaluated || alert.labels.get("direction").is_some())
    }

    /// Puts the alerts into the outbox, however long the disk takes to let us. False: the server stopped before that,
    /// and the checkpoint must stay as it is.
    fn note(&self, alerts: &[Alert]) -> bool {
        if alerts.is_empty() {
            return true;
        }
        for alert in alerts {
            tracing::info!(labels = %alert.labels, status = %alert.status(), "alert");
        }
        while let Err(error) = self.notifier.enqueue_all(alerts) {
            if self.deadline.has_passed() {
                tracing::error!(%error, "an alert cannot be noted before the end; the next start finds it again");
                return false;
            }
            tracing::error!(%error, "an alert cannot be noted; trying again");
            std::thread::park_timeout(OUTBOX_RETRY);
        }
        true
    }
}

/// How long a checkpoint of so many bytes is good for.
fn checkpoint_interval(bytes: usize) -> Duration {
    let (shortest, longest) = CHECKPOINT_INTERVALS;
    Duration::from_secs((bytes / CHECKPOINT_BYTES_PER_SECOND) as u64).clamp(shortest, longest)
}

/// The file that detection goes on from, written whole.
struct Checkpoint {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Checkpoint {
    fn read(&self) -> Option<FileBytes> {
        match self.disk.read(&self.path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.is_not_found() => None,
            Err(error) => {
                tracing::error!(%error, "detection starts anew");
                None
            }
        }
    }

    fn write(&self, bytes: &[u8]) {
        // The last one stays; detection would go on from there, and the outbox knows what was told since.
        if let Err(error) = self.disk.replace(&self.path, bytes) {
            tracing::warn!(%error, "the detection checkpoint could not be written");
        }
    }
}
