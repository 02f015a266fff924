//! Detection as it runs now, and how it goes on under other rules.
//!
//! ```text
//! rules ─► workers, judge ─► taps of the database ─► threads of `watch.rs`, and of `evaluate_watches.rs`
//! reload ─► new workers, new judge ─► new taps (the old ones end) ─► old threads end, checkpoint ─► new threads, from it
//! ```
//!
//! Other rules are a restart without the process: what the groups of unchanged rules know is in the checkpoint that the
//! last judge writes, and the new workers read from the head what came meanwhile. What was judged is not judged again.
//!
//! Always true: at each moment one judge at most notes alerts and writes the checkpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::ServerError;
use super::anomalies::Anomalies;
use super::bands::Bands;
use super::calendar::zone_of;
use super::detection_lag::DetectionLag;
use super::evaluate_watches::WatchEvaluation;
use super::parts::{PartsBoard, PartsFinding};
use super::removed::RemovedFinding;
use super::telling::Telling;
use super::watch::{Watching, WatchingParts};
use crate::clock::Clock;
use crate::config::DetectionConfig;
use crate::detect::{self, Announcements, Judge, Shared, Worker};
use crate::disk::Disk;
use crate::ingest::Ingest;
use crate::notify::Notifier;
use crate::query::Engine;
use crate::rules::{AnomalyReport, RuleSet};
use crate::storage::Storage;
use crate::storage::tap::{Interest, TapSource};

/// What it needs of its surroundings, whatever the rules.
pub(super) struct DetectionParts {
    pub(super) storage: Arc<Storage>,
    pub(super) engine: Arc<Engine>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) notifier: Arc<Notifier>,
    /// Days that are not like others.
    pub(super) announcements: Arc<Announcements>,
    pub(super) lag: Arc<DetectionLag>,
    /// How people reach this server, for links in alerts.
    pub(super) external_url: String,
    pub(super) settings: DetectionConfig,
    /// How long an alert is kept of whose data nothing is known, in ms.
    pub(super) unknown_max_ms: i64,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) data_dir: PathBuf,
    pub(super) clock: Clock,
}

/// Workers and judge of a set of rules, before anybody runs them.
pub(super) struct Made {
    workers: Vec<Worker>,
    judge: Judge,
}

/// What runs under one set of rules.
struct Running {
    watching: Watching,
    evaluation: WatchEvaluation,
    /// None once the server stops.
    finding: Option<PartsFinding>,
    removed: Option<RemovedFinding>,
}

/// The running threads, those of the rules in force.
pub(super) struct Detection {
    parts: DetectionParts,
    /// Of the threads that run now: counters begin at zero with other rules.
    shared: ArcSwap<Shared>,
    running: Mutex<Option<Running>>,
    anomalies: Arc<Anomalies>,
    /// Until the end.
    bands: Mutex<Option<Bands>>,
    left_out: Arc<AtomicU64>,
}

impl Made {
    /// For so many shards.
    pub(super) fn of(
        rules: &RuleSet,
        shard_count: usize,
        settings: &DetectionConfig,
        unknown_max_ms: i64,
        announcements: &Announcements,
    ) -> Made {
        let (workers, mut judge) = detect::start(rules.watches(), shard_count, settings.lateness_ms);
        judge.live_by(zone_of(settings), announcements.in_force().calendar.clone());
        judge.keep_unheard(unknown_max_ms);
        judge.draw(usize::try_from(settings.drawn_groups_max).unwrap_or(usize::MAX));
        Made { workers, judge }
    }

    /// Which series the database must hand over.
    pub(super) fn interest(&self) -> Interest {
        self.workers[0].interest()
    }
}

impl Detection {
    /// Goes on from the checkpoint in the data folder.
    pub(super) fn start(
        parts: DetectionParts,
        rules: &Arc<RuleSet>,
        made: Made,
        taps: Vec<TapSource>,
    ) -> Result<Arc<Detection>, ServerError> {
        let shared = ArcSwap::new(made.judge.shared().clone());
        let bands = Bands::start(parts.ingest.clone())?;
        let left_out = bands.left_out().clone();
        let (running, anomalies) = (Mutex::new(None), Arc::default());
        let detection = Detection { parts, shared, running, anomalies, bands: Mutex::new(Some(bands)), left_out };
        *detection.running.lock() = Some(detection.begun(rules, made, taps, Vec::new())?);
        Ok(Arc::new(detection))
    }

    /// Counters and queues of the threads that run now.
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.load_full()
    }

    /// What fires and why, and what ended a while ago.
    pub(super) fn anomalies(&self) -> Vec<AnomalyReport> {
        self.anomalies.all()
    }

    /// Buckets whose expectation was not written back, for lack of time.
    pub(super) fn bands_left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Groups past `detection.drawn_groups_max`, whose expectation is not written back.
    pub(super) fn groups_undrawn(&self) -> u64 {
        let groups = self.shared().metrics.groups.load(Ordering::Relaxed);
        groups.saturating_sub(self.parts.settings.drawn_groups_max)
    }

    /// Goes on under other rules. While the server stops, nothing happens.
    pub(super) fn replace(&self, rules: &Arc<RuleSet>, before: &RuleSet) {
        let mut running = self.running.lock();
        if running.is_none() {
            return;
        }
        let parts = &self.parts;
        let made =
            Made::of(rules, parts.storage.shard_count(), &parts.settings, parts.unknown_max_ms, &parts.announcements);
        let Some(taps) = self.parts.storage.listen_anew(made.interest()) else { return };
        if let Some(running) = running.take() {
            running.join();
        }
        self.shared.store(made.judge.shared().clone());
        let former = before.rules.iter().map(|rule| rule.alert.clone()).collect();
        let begun = self.begun(rules, made, taps, former);
        *running = Some(begun.expect("as many threads have just ended"));
    }

    /// Evaluates no further watches and finds no further parts; what is fed by samples goes on.
    pub(super) fn stop_evaluation(&self) {
        if let Some(running) = &mut *self.running.lock() {
            running.stop_queries();
        }
    }

    /// Waits for the threads, which end when the shards have.
    pub(super) fn join(&self) {
        if let Some(running) = self.running.lock().take() {
            running.join();
        }
        if let Some(bands) = self.bands.lock().take() {
            bands.join();
        }
    }

    fn begun(
        &self,
        rules: &Arc<RuleSet>,
        made: Made,
        taps: Vec<TapSource>,
        former: Vec<String>,
    ) -> Result<Running, ServerError> {
        let parts = &self.parts;
        let board = Arc::<PartsBoard>::default();
        let viewed = parts.storage.clone();
        let view = Box::new(move || viewed.view());
        let (engine, url) = (parts.engine.clone(), parts.external_url.clone());
        let telling = Telling::new(rules.clone(), engine, view, parts.clock.clone(), url);
        let shared = made.judge.shared().clone();
        let watching = WatchingParts {
            taps,
            workers: made.workers,
            judge: made.judge,
            rules: rules.clone(),
            former,
            anomalies: self.anomalies.clone(),
            board: board.clone(),
            to_bands: self.bands.lock().as_ref().expect("they end behind everything that runs").sender(),
            notifier: parts.notifier.clone(),
            announcements: parts.announcements.clone(),
            lag: parts.lag.clone(),
            telling,
        };
        let watching = Watching::start(watching, parts.disk.clone(), &parts.data_dir, &parts.clock)?;
        let evaluation = WatchEvaluation::start(rules, &parts.engine, &parts.storage, shared.clone())?;
        let finding = PartsFinding::start(rules, &board, &self.anomalies, &parts.storage, &parts.clock)?;
        let removed = RemovedFinding::start(rules, shared, &parts.storage)?;
        Ok(Running { watching, evaluation, finding: Some(finding), removed: Some(removed) })
    }
}

impl Running {
    fn stop_queries(&mut self) {
        std::mem::take(&mut self.evaluation).join();
        if let Some(finding) = self.finding.take() {
            finding.join();
        }
        if let Some(removed) = self.removed.take() {
            removed.join();
        }
    }

    fn join(mut self) {
        self.stop_queries();
        self.watching.join();
    }
}
