//! Who sends, found by looking at what is stored: every few seconds a walk over the head asks each series how far it has
//! come, and adds that up by the label `job`, or `service` where there is none.
//!
//! ```text
//! GET /api/v1/status/senders
//! {"job":"shop","lastSeen":"2026-03-01T12:00:16.000Z","newestSample":"2026-03-01T12:00:15.000Z",
//!  "lagSeconds":0.4,"clockSkewSeconds":0,"intervalSeconds":15,"samplesPerSecond":133.3,"series":2000}
//! ```
//!
//! Writing costs nothing for it: no sample is touched on its way. What rules and detection make is not looked at, for it
//! goes on when those have gone of whom it tells.
//!
//! Always true: at most [`SENDERS_COUNT_MAX`](table::SENDERS_COUNT_MAX) senders are known; and a walk that takes long is
//! rested from in proportion, so that all of them are a hundredth of a core at most.

mod table;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender as Stop, bounded};
use parking_lot::Mutex;

use super::{ServerError, thread};
use crate::clock::Clock;
use crate::http::SenderFigures;
use crate::storage::Storage;
use crate::telemetry::{Latency, Registry};
use table::{Found, Table};

/// Labels that name a sender, the first that a series has.
const OWNER_LABELS: [&str; 2] = ["job", "service"];
/// Time between walks, one after the other. Uneven, and no divisor of what people scrape by, so that some walk comes
/// right behind the samples of each sender.
const WALK_INTERVALS: [Duration; 3] = [Duration::from_secs(4), Duration::from_secs(5), Duration::from_secs(7)];
/// How much longer than a walk it rests at least.
const REST_FACTOR: u32 = 100;
/// Series that are made here, beside those of recording rules.
const MADE_HERE: [&str; 7] = [
    "ALERTS",
    "ALERTS_FOR_STATE",
    "anomaly_active",
    "anomaly_expected",
    "anomaly_lower",
    "anomaly_score",
    "anomaly_upper",
];

/// What is known of all senders. Shared by the thread that walks and those who ask.
pub(super) struct Senders {
    table: Mutex<Table>,
    walk_took: Latency,
    clock: Clock,
}

/// The running thread.
pub(super) struct SendersRunning {
    stop: Stop<()>,
    thread: JoinHandle<()>,
}

impl Senders {
    /// Nothing is known before the first walk.
    pub(super) fn new(registry: &Registry, clock: &Clock) -> Arc<Senders> {
        let (name, help) = ("dozor_sender_walk_seconds", "How long a walk over all series takes that looks who sends.");
        let walk_took = registry.latency(name, help, &[]);
        let senders = Arc::new(Senders { table: Mutex::default(), walk_took, clock: clock.clone() });
        let figures = |figure: fn(&SenderFigures) -> f64| {
            let senders = senders.clone();
            move || senders.figures().into_iter().map(|one| (one.job.clone(), figure(&one))).collect()
        };
        registry.gauges_fn(
            "dozor_sender_lag_seconds",
            "How long samples of a job are on their way, at least; of a silent one, the age of the newest.",
            "job",
            figures(|one| one.lag_ms as f64 / 1000.0),
        );
        registry.gauges_fn(
            "dozor_sender_clock_skew_seconds",
            "How far samples of a job come ahead of the clock: its sender's is wrong.",
            "job",
            figures(|one| one.clock_skew_ms as f64 / 1000.0),
        );
        senders
    }

    /// Looks at all series. `recorded`: metrics that are made here.
    pub(super) fn walk(&self, storage: &Storage, recorded: &HashSet<String>) {
        let now_ms = self.clock.now_ms();
        let mut by_job: HashMap<String, Found> = HashMap::new();
        storage.walk(
            OWNER_LABELS,
            recorded,
            |found: &mut Found, pulse| found.add(pulse, now_ms),
            |job, found| by_job.entry(job.to_owned()).or_default().merge(found),
        );
        let turns = self.table.lock().take(by_job.into_iter().collect(), now_ms);
        for turn in turns {
            let (job, ahead_s) = (&turn.job, turn.ahead_ms as f64 / 1000.0);
            if turn.is_ahead {
                tracing::warn!(
                    job,
                    ahead_s,
                    "a sender's clock is ahead: what it sends is judged and drawn too early, and refused from 10 minutes on; set its clock"
                );
            } else {
                tracing::info!(job, ahead_s, "a sender's clock is right again");
            }
        }
    }

    /// Those that are known, by name.
    pub(super) fn figures(&self) -> Vec<SenderFigures> {
        let now_ms = self.clock.now_ms();
        let table = self.table.lock();
        let figures = table.iter().map(|(job, sender)| SenderFigures {
            job: job.to_owned(),
            heard_ms: sender.heard_ms,
            newest_ms: sender.newest_ms,
            lag_ms: sender.lag_ms(now_ms),
            clock_skew_ms: sender.skew_ms(),
            interval_ms: sender.interval_ms(),
            samples_per_second: sender.samples_per_second(),
            series_count: sender.found.series_count,
        });
        let mut figures: Vec<SenderFigures> = figures.collect();
        figures.sort_by(|one, other| one.job.cmp(&other.job));
        figures
    }
}

impl SendersRunning {
    /// Walks from now on. `recorded` gives the metrics that rules record.
    pub(super) fn start(
        senders: Arc<Senders>,
        storage: Arc<Storage>,
        recorded: impl Fn() -> HashSet<String> + Send + 'static,
    ) -> Result<SendersRunning, ServerError> {
        let (stop, stopped) = bounded(1);
        let thread = thread("senders", move || walk(&senders, &storage, &recorded, &stopped))?;
        Ok(SendersRunning { stop, thread })
    }

    /// Walks no more, and waits for the walk under way.
    pub(super) fn join(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

/// The loop of the thread.
fn walk(senders: &Senders, storage: &Storage, recorded: &dyn Fn() -> HashSet<String>, stopped: &Receiver<()>) {
    for interval in WALK_INTERVALS.into_iter().cycle() {
        let began = senders.clock.monotonic();
        let mut made_here = recorded();
        made_here.extend(MADE_HERE.map(str::to_owned));
        senders.walk(storage, &made_here);
        let took = senders.clock.monotonic().saturating_sub(began);
        senders.walk_took.record(took);
        if !matches!(stopped.recv_timeout(interval.max(took * REST_FACTOR)), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
