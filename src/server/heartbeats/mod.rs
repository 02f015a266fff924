//! Jobs that report by themselves: a line of curl at the end of a cron job, and an alert when it is missing.
//!
//! ```text
//! 30 3 * * *  report.sh; curl -fsS "http://dozor/api/v1/heartbeat/nightly-report?exit_code=$?"
//!                             │
//!            POST ─► samples in the log, synced ─► board ─► 200      every second: board ─► outbox
//! ```
//!
//! What is known of a job are samples, stored before the report is answered and again every minute, so there is no file:
//! the next start reads them back (`stored`). Backups that tell the time of their last success as a series are looked
//! up in it.
//!
//! Always true: a report that was answered with 200 is on disk; an alert is told once, and taken back when the settings
//! no longer list its job, be it at a start or at a reload.

mod board;
mod stored;

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, select};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{ServerError, thread};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, HeartbeatConfig, HeartbeatDue, time_zone};
use crate::http::{Beat, BeatError, BeatTaken, HeartbeatFigures, TakeBeat};
use crate::ingest::{Ingest, IngestError, MadeSample, MadeValue};
use crate::model::Labels;
use crate::notify::Notifier;
use crate::query::{Engine, Options, Value, parse_matchers};
use crate::storage::Storage;
pub(super) use board::is_of_heartbeat;
use board::{Board, Reported};
pub(super) use stored::NAMES;
use stored::Stored;

/// Most jobs that are not listed whose reports are kept.
const UNLISTED_COUNT_MAX: usize = 1_000;
/// How often it is looked who is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often what is known is stored again, and ages are looked up.
const STORE_INTERVAL: Duration = Duration::from_secs(60);
/// How much further back than its age a last success is looked for, in ms.
const AGE_MARGIN_MS: i64 = 3_600_000;

/// What it is made of.
pub(super) struct HeartbeatsParts {
    pub(super) storage: Arc<Storage>,
    pub(super) engine: Arc<Engine>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) notifier: Arc<Notifier>,
    /// How people reach this server, for links in alerts.
    pub(super) external_url: String,
    pub(super) clock: Clock,
}

/// What is known of all jobs. Shared by the thread that looks and the tasks that take reports.
pub(super) struct Heartbeats {
    parts: HeartbeatsParts,
    board: Mutex<Board>,
    unlisted: Mutex<HashSet<String>>,
    bell: Sender<()>,
}

/// The way in for requests.
pub(super) fn taking(heartbeats: &Arc<Heartbeats>) -> TakeBeat {
    let heartbeats = heartbeats.clone();
    Arc::new(move |beat| {
        let heartbeats = heartbeats.clone();
        Box::pin(async move { heartbeats.take(beat).await })
    })
}

/// The running thread.
pub(super) struct HeartbeatsRunning {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Heartbeats {
    /// Goes on with what is stored, and looks from now on. Fails where a selector of `metric` is none. Needs a tokio
    /// runtime.
    pub(super) fn start(
        config: &Config,
        parts: HeartbeatsParts,
    ) -> Result<(Arc<Heartbeats>, HeartbeatsRunning), ServerError> {
        check(&config.heartbeats).map_err(|mut mistakes| mistakes.swap_remove(0))?;
        let zone = time_zone(&config.detection.timezone).expect("settings hold no other names");
        let now_ms = parts.clock.now_ms();
        let active = parts.notifier.active();
        let mut board = Board::new(&config.heartbeats, &zone, active, now_ms, parts.external_url.clone());
        stored::restore(board.jobs_mut(), &parts.engine, &parts.storage.view(), now_ms);
        // One place: a bell that rang is heard at the next look, however often it rang.
        let (bell, rung) = bounded(1);
        let (stop, stopped) = bounded(1);
        let heartbeats = Arc::new(Heartbeats { parts, board: Mutex::new(board), unlisted: Mutex::default(), bell });
        let (looking, runtime) = (heartbeats.clone(), Handle::current());
        let thread = thread("heartbeats", move || looking.run(&runtime, &rung, &stopped))?;
        Ok((heartbeats, HeartbeatsRunning { stop, thread }))
    }

    /// Lists other jobs in the place of those that were, which [`check`] found well. A new one that has reported already
    /// is known by what is stored of it.
    pub(super) fn replace(&self, configs: &[HeartbeatConfig]) {
        let now_ms = self.parts.clock.now_ms();
        let fresh = self.board.lock().replace(configs, now_ms);
        self.unlisted.lock().retain(|name| !fresh.contains(name));
        if !fresh.is_empty() {
            // Behind the change: a report that came before it is stored, one that comes later is on the board.
            let stored = Stored::read(&self.parts.engine, &self.parts.storage.view(), now_ms);
            let mut board = self.board.lock();
            fresh.iter().for_each(|name| board.adopt(name, stored.reported(name)));
        }
        // A full bell rings already.
        let _ = self.bell.try_send(());
    }

    /// Takes a report; when it returns, the report is on disk.
    pub(super) async fn take(&self, beat: Beat) -> Result<BeatTaken, BeatError> {
        let is_listed = self.board.lock().job_mut(&beat.job).is_some();
        if !is_listed {
            let mut unlisted = self.unlisted.lock();
            if !unlisted.contains(&beat.job) && unlisted.len() >= UNLISTED_COUNT_MAX {
                return Err(BeatError::TooManyJobs { limit: UNLISTED_COUNT_MAX });
            }
            unlisted.insert(beat.job.clone());
        }
        let now_ms = self.parts.clock.now_ms();
        let reported = Reported {
            at_ms: Some(now_ms),
            good_ms: beat.is_good.then_some(now_ms),
            is_failure: !beat.is_good,
            exit_code: beat.exit_code,
            duration_ms: beat.duration_ms,
        };
        self.store(now_ms, &stored::samples(&beat.job, &reported, None)).await.map_err(BeatError::NotStored)?;
        let due_ms = self.board.lock().take(&beat, now_ms);
        // A full bell rings already.
        let _ = self.bell.try_send(());
        Ok(BeatTaken { is_listed: due_ms.is_some(), due_ms: due_ms.flatten() })
    }

    /// The jobs of the settings, in their order.
    pub(super) fn figures(&self) -> Vec<HeartbeatFigures> {
        self.board.lock().figures(self.parts.clock.now_ms())
    }

    async fn store(&self, now_ms: i64, samples: &[(Labels, f64)]) -> Result<(), IngestError> {
        let made: Vec<MadeSample<'_>> = samples.iter().map(made).collect();
        self.parts.ingest.take_made(now_ms, &made).await
    }

    /// The loop of the thread.
    fn run(&self, runtime: &Handle, rung: &Receiver<()>, stopped: &Receiver<()>) {
        let mut stored = None;
        loop {
            let now = self.parts.clock.monotonic();
            if stored.is_none_or(|stored| now.saturating_sub(stored) >= STORE_INTERVAL) {
                self.look_up_ages();
                self.store_again(runtime);
                stored = Some(now);
            }
            self.tell();
            select! {
                recv(stopped) -> _ => return,
                recv(rung) -> _ => {}
                default(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Puts what began or ended into the outbox; what it does not take is tried again at the next look.
    fn tell(&self) {
        let alerts = self.board.lock().look(self.parts.clock.now_ms());
        if alerts.is_empty() {
            return;
        }
        match self.parts.notifier.enqueue_all(&alerts) {
            Ok(_) => {
                for alert in &alerts {
                    tracing::info!(labels = %alert.labels, status = %alert.status(), "heartbeat");
                }
                self.board.lock().is_told(alerts);
            }
            Err(error) => tracing::error!(%error, "an alert of a heartbeat cannot be noted; trying again"),
        }
    }

    /// Stores what is known of listed jobs again: instant queries see it, and the next start.
    fn store_again(&self, runtime: &Handle) {
        let now_ms = self.parts.clock.now_ms();
        let samples: Vec<_> = {
            let board = self.board.lock();
            let jobs = board.jobs().iter();
            jobs.flat_map(|job| stored::samples(&job.config.job, &job.reported, Some(job.since_ms))).collect()
        };
        if let Err(error) = runtime.block_on(self.store(now_ms, &samples)) {
            tracing::warn!(
                error = error.told(),
                "what jobs have reported could not be stored again; trying in a minute"
            );
        }
    }

    /// Looks up when those last succeeded that tell it as a series.
    fn look_up_ages(&self) {
        let asked: Vec<(String, String, i64)> = {
            let board = self.board.lock();
            let query = |job: &board::Job| match &job.config.due {
                HeartbeatDue::Age { max_age_ms, metric } => {
                    let window_ms = max_age_ms.saturating_add(job.config.grace_ms).saturating_add(AGE_MARGIN_MS);
                    Some((job.config.job.clone(), metric.clone(), window_ms))
                }
                _ => None,
            };
            board.jobs().iter().filter_map(query).collect()
        };
        for (name, metric, window_ms) in asked {
            if let Some(success_ms) = self.last_success_ms(&metric, window_ms)
                && let Some(job) = self.board.lock().job_mut(&name)
            {
                (job.reported.at_ms, job.reported.good_ms) = (Some(success_ms), Some(success_ms));
            }
        }
    }

    /// The oldest of the last successes that the series tell, in ms since 1970 UTC.
    fn last_success_ms(&self, metric: &str, window_ms: i64) -> Option<i64> {
        let query = format!("min(last_over_time({metric}[{window_ms}ms]))");
        let now_ms = self.parts.clock.now_ms();
        match self.parts.engine.instant(&self.parts.storage.view(), &query, now_ms, &Options::default()) {
            Ok(answer) => match answer.value {
                Value::Vector(series) => series.first()?.2.number().map(|seconds| (seconds * 1000.0) as i64),
                _ => None,
            },
            Err(error) => {
                tracing::warn!(%error, metric, "the age of a heartbeat could not be looked up");
                None
            }
        }
    }
}

/// Whether the selectors of `metric` are any; all that is wrong with them.
pub(super) fn check(configs: &[HeartbeatConfig]) -> Result<(), Vec<ConfigError>> {
    let mistake = |config: &HeartbeatConfig| match &config.due {
        HeartbeatDue::Age { metric, .. } => {
            parse_matchers(metric).err().map(|error| config.mistake(&error.to_string()))
        }
        _ => None,
    };
    let mistakes: Vec<ConfigError> = configs.iter().filter_map(mistake).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn made((labels, value): &(Labels, f64)) -> MadeSample<'_> {
    MadeSample { labels, value: MadeValue::Number(*value) }
}

impl HeartbeatsRunning {
    /// Looks no more, and waits for the look under way.
    pub(super) fn join(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests;
