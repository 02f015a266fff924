//! Detection's threads: taps into workers, workers into the judge, the judge into the outbox.
//!
//! What is durable when: an alert is in the outbox before it is in the checkpoint. A crash between the two makes the
//! judge find the same transition again, and the outbox knows it by its id. A crash before the first makes it find it
//! again too. So a restart neither loses an alert nor tells it twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{ServerError, thread};
use crate::clock::Clock;
use crate::detect::{Judge, Transition, Worker};
use crate::disk::{Disk, FileBytes};
use crate::notify::{Alert, Notifier};
use crate::rules::RuleSet;
use crate::storage::tap::{TapSource, Tapped};

/// How long a worker waits for a batch before it says that it is idle.
const IDLE_AFTER: Duration = Duration::from_millis(100);
/// How long a worker rests while the judge's queue is full.
const QUEUE_FULL_REST: Duration = Duration::from_millis(1);
/// How often the judge looks when nobody rings.
const JUDGE_INTERVAL: Duration = Duration::from_millis(250);
/// How often the checkpoint is written while nothing happens.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(15);
/// How long the judge waits before it tries again to note an alert.
const OUTBOX_RETRY: Duration = Duration::from_millis(500);

/// What the threads are made of.
pub(super) struct WatchingParts {
    pub(super) taps: Vec<TapSource>,
    pub(super) workers: Vec<Worker>,
    pub(super) judge: Judge,
    pub(super) rules: Arc<RuleSet>,
    pub(super) notifier: Arc<Notifier>,
    /// How people reach this server, for links in alerts.
    pub(super) external_url: String,
}

/// The running threads.
pub(super) struct Watching {
    workers: Vec<JoinHandle<()>>,
    judge: JoinHandle<()>,
}

impl Watching {
    pub(super) fn start(
        parts: WatchingParts,
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        clock: &Clock,
    ) -> Result<Watching, ServerError> {
        // One place: a bell that rang is heard at the next look, however often it rang.
        let (bell, rung) = bounded(1);
        let mut judging = Judging {
            judge: parts.judge,
            rules: parts.rules,
            notifier: parts.notifier,
            external_url: parts.external_url,
            checkpoint: Checkpoint { disk, path: data_dir.join("detect.state") },
            restored: false,
        };
        judging.restore();
        let clock = clock.clone();
        let judge = thread("judge", move || judging.run(&rung, &clock))?;
        let mut workers = Vec::new();
        for (index, (source, worker)) in parts.taps.into_iter().zip(parts.workers).enumerate() {
            let bell = bell.clone();
            workers.push(thread(&format!("detect-{index}"), move || feed(&source, worker, &bell))?);
        }
        Ok(Watching { workers, judge })
    }

    /// Waits for the end, which comes when the shards have ended.
    pub(super) fn join(self) {
        for worker in self.workers {
            let _ = worker.join();
        }
        let _ = self.judge.join();
    }
}

/// The loop of one worker.
fn feed(source: &TapSource, mut worker: Worker, bell: &Sender<()>) {
    loop {
        match source.next(IDLE_AFTER) {
            Tapped::Batch(batch) => {
                worker.handle(&batch);
                flush(&mut worker, bell);
            }
            Tapped::Missed => {
                let missed = source.catch_up(|series| worker.last_timestamp(series));
                for batch in missed {
                    worker.handle(&batch);
                    flush(&mut worker, bell);
                }
            }
            Tapped::Nothing => {
                worker.settle(|| source.is_idle());
                flush(&mut worker, bell);
            }
            Tapped::Closed => return,
        }
    }
}

/// Hands over everything before more is taken in: what waits is bounded by the queue, not by the stream.
fn flush(worker: &mut Worker, bell: &Sender<()>) {
    loop {
        worker.publish();
        let _ = bell.try_send(());
        if worker.pending() == 0 {
            return;
        }
        std::thread::park_timeout(QUEUE_FULL_REST);
    }
}

struct Judging {
    judge: Judge,
    rules: Arc<RuleSet>,
    notifier: Arc<Notifier>,
    external_url: String,
    checkpoint: Checkpoint,
    /// Whether detection went on from a checkpoint.
    restored: bool,
}

impl Judging {
    fn restore(&mut self) {
        let Some(bytes) = self.checkpoint.read() else { return };
        match self.judge.restore(&bytes) {
            Ok(restored) => {
                tracing::info!(groups = restored.groups, dropped = restored.groups_dropped, "detection goes on");
            }
            Err(error) => tracing::error!(%error, "detection starts anew"),
        }
    }

    /// The loop of the judge.
    fn run(mut self, rung: &Receiver<()>, clock: &Clock) {
        let mut written = clock.monotonic();
        loop {
            let ended = matches!(rung.recv_timeout(JUDGE_INTERVAL), Err(RecvTimeoutError::Disconnected));
            let transitions = self.judge.poll();
            let changed = !transitions.is_empty();
            self.note(&transitions);
            if changed || ended || clock.monotonic().saturating_sub(written) >= CHECKPOINT_INTERVAL {
                self.checkpoint.write(&self.judge.checkpoint());
                written = clock.monotonic();
            }
            if ended {
                return;
            }
        }
    }

    /// Puts the alerts into the outbox, however long the disk takes to let us.
    fn note(&self, transitions: &[Transition]) {
        if transitions.is_empty() {
            return;
        }
        let alert = |transition| self.rules.alert_for(transition, &self.external_url);
        let alerts: Vec<Alert> = transitions.iter().map(alert).collect();
        for alert in &alerts {
            tracing::info!(labels = %alert.labels, status = %alert.status(), "alert");
        }
        while let Err(error) = self.notifier.enqueue_all(&alerts) {
            tracing::error!(%error, "an alert cannot be noted; trying again");
            std::thread::park_timeout(OUTBOX_RETRY);
        }
    }
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
