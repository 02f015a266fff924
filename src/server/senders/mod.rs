//! Who sends, found by looking at what is stored: every few seconds a walk over the head asks each series how far it has
//! come, and adds that up by the label `job`, or `service` where there is none.
//!
//! ```text
//! GET /api/v1/status/senders
//! {"job":"shop","lastSeen":"2026-03-01T12:00:16.000Z","newestSample":"2026-03-01T12:00:15.000Z",
//!  "lagSeconds":0.4,"clockSkewSeconds":0,"intervalSeconds":15,"samplesPerSecond":133.3,"series":2000}
//! ```
//!
//! Writing costs nothing for it: no sample is touched on its way. What rules and detection make is not looked at, nor what
//! a scraper tells of scrapes that fail, for both go on when those have gone of whom they tell.
//!
//! Who should send and does not is lost, and while nothing is known of a job, what resolves because of that is not told
//! (`loss`).
//!
//! Always true: at most [`SENDERS_COUNT_MAX`] senders are known; and a walk that takes long is
//! rested from in proportion, so that all of them are a hundredth of a core at most.

mod loss;
mod table;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender as Stop, bounded};
use parking_lot::Mutex;

use super::{ServerError, heartbeats, thread};
use crate::clock::Clock;
use crate::config::{Config, TelemetryConfig};
use crate::detect::JobLateness;
use crate::http::SenderFigures;
use crate::incident::Incidents;
use crate::model::{Labels, OWNER_LABELS};
use crate::notify::{Alert, Notifier};
use crate::rules::{Rule, RuleSet};
use crate::storage::Storage;
use crate::telemetry::{Latency, Registry};
pub(super) use loss::{Knowledge, Silence};
use loss::{Loss, Losses};
use table::{Found, Kind, SENDERS_COUNT_MAX, Table};
pub(super) use words::is_loss;

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

/// Says of whoever is scraped whether it answers.
pub(super) const UP: &str = "up";
/// What a Prometheus besides tells of each scrape, also of those that fail.
pub(super) const OF_SCRAPES: [&str; 7] = [
    "scrape_body_size_bytes",
    "scrape_duration_seconds",
    "scrape_sample_limit",
    "scrape_samples_post_metric_relabeling",
    "scrape_samples_scraped",
    "scrape_series_added",
    "scrape_timeout_seconds",
];

/// How old a walk may be from which it is concluded that an alert may resolve; so many times as long as it took, if that
/// is more.
const FRESH_MS: i64 = 1_000;
const FRESH_FACTOR: i64 = 20;

/// What it is made of.
pub(super) struct SendersParts {
    storage: Arc<Storage>,
    notifier: Arc<Notifier>,
    incidents: Arc<Incidents>,
    settings: TelemetryConfig,
    /// How people reach this server, for links in alerts.
    external_url: String,
    clock: Clock,
}

impl SendersParts {
    pub(super) fn of(
        config: &Config,
        storage: &Arc<Storage>,
        notifier: &Arc<Notifier>,
        incidents: &Arc<Incidents>,
        external_url: &str,
        clock: &Clock,
    ) -> SendersParts {
        SendersParts {
            storage: storage.clone(),
            notifier: notifier.clone(),
            incidents: incidents.clone(),
            settings: config.telemetry.clone(),
            external_url: external_url.to_owned(),
            clock: clock.clone(),
        }
    }
}

/// What is known of all senders. Shared by the thread that walks and those who ask.
pub(super) struct Senders {
    parts: SendersParts,
    known: Mutex<Known>,
    /// Jobs of which the journal of incidents knows that they are lost.
    noted: Mutex<BTreeSet<String>>,
    /// Metrics that nobody sends of himself.
    kinds: Mutex<Arc<HashMap<String, Kind>>>,
    walk_took: Latency,
}

struct Known {
    table: Table,
    losses: Losses,
    /// What the outbox has not taken yet.
    untold: Vec<Alert>,
    walked_ms: i64,
    /// How long the last walk took, in ms.
    took_ms: i64,
    /// Whether there are more senders than are known, of which the log has a word.
    has_too_many: bool,
}

/// The running thread.
pub(super) struct SendersRunning {
    stop: Stop<()>,
    thread: JoinHandle<()>,
}

impl Senders {
    /// Goes on with what the outbox knows to be lost, and has walked once.
    pub(super) fn new(parts: SendersParts, rules: &RuleSet, registry: &Registry) -> Arc<Senders> {
        let now_ms = parts.clock.now_ms();
        let told = parts.notifier.active().iter().filter_map(words::loss_of).collect();
        let losses = Losses::new(parts.settings.lost_after_ms, now_ms, told);
        let (table, untold) = (Table::default(), Vec::new());
        let known = Known { table, losses, untold, walked_ms: i64::MIN, took_ms: 0, has_too_many: false };
        let (name, help) = ("dozor_sender_walk_seconds", "How long a walk over all series takes that looks who sends.");
        let noted = Mutex::new(parts.incidents.unknown_jobs());
        let senders = Arc::new(Senders {
            parts,
            noted,
            known: Mutex::new(known),
            kinds: Mutex::new(Arc::new(kinds(rules))),
            walk_took: registry.latency(name, help, &[]),
        });
        senders.walk();
        senders.register(registry);
        senders
    }

    fn register(self: &Arc<Senders>, registry: &Registry) {
        let figures = |figure: fn(&SenderFigures) -> f64| {
            let senders = self.clone();
            move || senders.figures(&[]).into_iter().map(|one| (one.job.clone(), figure(&one))).collect()
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
        let senders = self.clone();
        registry.gauge_fn("dozor_telemetry_lost_jobs", "Jobs that should send and do not.", &[], move || {
            senders.known.lock().losses.told().map(|loss| loss.jobs.len()).sum::<usize>() as f64
        });
    }

    /// Looks at all series, and who is lost. Does not wait for the disk.
    fn walk(&self) {
        let clock = &self.parts.clock;
        let (began, now_ms, kinds) = (clock.monotonic(), clock.now_ms(), self.kinds.lock().clone());
        // Who sent until it was killed is missed however long it was down, unless that is so long that nobody counts on it.
        let (newest_ms, down_max_ms) = (self.parts.storage.newest_ms(), self.unknown_max_ms());
        let as_of_ms = self.known.lock().table.as_of_ms(newest_ms, down_max_ms, now_ms);
        let mut by_job: HashMap<String, Found> = HashMap::new();
        self.parts.storage.walk(
            OWNER_LABELS,
            &kinds,
            |found: &mut Found, pulse, kind| found.add(pulse, kind, as_of_ms),
            |job, found| by_job.entry(job.to_owned()).or_default().merge(found),
        );
        by_job.retain(|_, found| found.is_any());
        let took = clock.monotonic().saturating_sub(began);
        self.walk_took.record(took);
        let alerting = alerting(&self.parts.notifier.active());
        let known = &mut *self.known.lock();
        // Another walk may have begun later and be here sooner.
        if now_ms < known.walked_ms {
            return;
        }
        (known.walked_ms, known.took_ms) = (now_ms, i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        let had_too_many = std::mem::replace(&mut known.has_too_many, by_job.len() > SENDERS_COUNT_MAX);
        if known.has_too_many && !had_too_many {
            let (count, limit) = (by_job.len(), SENDERS_COUNT_MAX);
            tracing::warn!(count, limit, "more jobs send than are watched for their silence: the newest are");
        }
        tell_clocks(&known.table.take(by_job.into_iter().collect(), now_ms));
        let turns = known.losses.look(&known.table, &alerting, now_ms);
        known.untold.extend(turns.iter().map(|turn| words::alert_of(turn, &self.parts.external_url)));
    }

    /// Puts what began or ended into the outbox; what it does not take is tried again next time.
    fn tell(&self) {
        let untold = self.known.lock().untold.clone();
        if untold.is_empty() {
            return;
        }
        match self.parts.notifier.enqueue_all(&untold) {
            Ok(_) => {
                for alert in &untold {
                    tracing::warn!(labels = %alert.labels, status = %alert.status(), "telemetry");
                }
                self.known.lock().untold.drain(..untold.len());
            }
            Err(error) => tracing::error!(%error, "that telemetry is lost or back cannot be noted; trying again"),
        }
    }

    /// Tells the journal of incidents who is lost and who is back. Waits for the disk.
    fn note(&self) {
        let lost: BTreeMap<String, i64> = {
            let known = self.known.lock();
            let since = |loss: &Loss| loss.jobs.iter().map(|job| (job.clone(), loss.since_ms)).collect::<Vec<_>>();
            known.losses.told().flat_map(since).collect()
        };
        let mut noted = self.noted.lock();
        lost.iter().filter(|(job, _)| !noted.contains(*job)).for_each(|(job, since_ms)| {
            self.parts.incidents.mark_unknown(job, *since_ms);
        });
        noted.iter().filter(|job| !lost.contains_key(*job)).for_each(|job| self.parts.incidents.mark_known(job));
        *noted = lost.into_keys().collect();
    }

    /// What is known at present of the data that an alert of these labels speaks of.
    pub(super) fn knowledge(&self, labels: &Labels) -> Knowledge {
        self.look_again();
        self.known.lock().losses.knowledge(OWNER_LABELS.iter().find_map(|name| labels.get(name)))
    }

    /// Jobs that fell silent at this moment or later, in ms since 1970 UTC, those that are back included; by name.
    pub(super) fn silences(&self, from_ms: i64) -> Vec<Silence> {
        self.look_again();
        let known = self.known.lock();
        known.losses.silences(&known.table, from_ms)
    }

    /// For how long a job sends again until something is concluded from what is missing of it, in ms.
    pub(super) fn settles_ms(&self, job: &str) -> i64 {
        loss::settles_ms(self.known.lock().table.get(job).map_or(0, table::Sender::interval_ms))
    }

    /// Sees to it that what is known is of now.
    fn look_again(&self) {
        let is_fresh = {
            let known = self.known.lock();
            let age_ms = self.parts.clock.now_ms().saturating_sub(known.walked_ms);
            age_ms <= FRESH_MS.max(known.took_ms.saturating_mul(FRESH_FACTOR))
        };
        if !is_fresh {
            self.walk();
        }
    }

    /// For how long an alert is kept of whose data nothing is known, in ms.
    pub(super) fn unknown_max_ms(&self) -> i64 {
        self.parts.settings.unknown_max_ms
    }

    /// Those that are known, by name. `lateness`: what detection knows of them, by name too.
    pub(super) fn figures(&self, lateness: &[JobLateness]) -> Vec<SenderFigures> {
        let of_job = |job: &str| Some(&lateness[lateness.binary_search_by(|one| (*one.job).cmp(job)).ok()?]);
        let now_ms = self.parts.clock.now_ms();
        let known = self.known.lock();
        let figures = known.table.iter().map(|(job, sender)| SenderFigures {
            job: job.to_owned(),
            state: known.losses.standing(job).name(),
            heard_ms: sender.heard_ms,
            newest_ms: sender.newest_ms,
            lag_ms: sender.lag_ms(now_ms),
            clock_skew_ms: sender.skew_ms(),
            interval_ms: sender.interval_ms(),
            lateness_ms: of_job(job).and_then(|one| one.usual_ms),
            waited_ms: of_job(job).map(|one| one.waited_ms),
            samples_per_second: sender.samples_per_second(),
            series_count: sender.found.series_count,
        });
        let mut figures: Vec<SenderFigures> = figures.collect();
        figures.sort_by(|one, other| one.job.cmp(&other.job));
        figures
    }
}

/// What is not sent by whom it tells of: what these rules make, and detection, and what a scraper knows of its scrapes.
fn kinds(rules: &RuleSet) -> HashMap<String, Kind> {
    let rules = rules.groups.iter().flat_map(|group| &group.rules);
    let recorded =
        rules.filter_map(|rule| if let Rule::Recording(rule) = rule { Some(rule.record.clone()) } else { None });
    let made = recorded.chain(MADE_HERE.into_iter().chain(heartbeats::NAMES).map(str::to_owned));
    let of_scrapes = OF_SCRAPES.into_iter().map(|name| (name.to_owned(), Kind::OfScrape));
    let known = of_scrapes.chain([(UP.to_owned(), Kind::Up)]);
    // A rule may record under any name.
    known.chain(made.map(|name| (name, Kind::Made))).collect()
}

/// Jobs of which an alert tells that they are not well.
fn alerting(active: &[Alert]) -> HashSet<String> {
    let active = active.iter().filter(|alert| !words::is_loss(alert));
    active.filter_map(|alert| OWNER_LABELS.iter().find_map(|name| alert.labels.get(name))).map(str::to_owned).collect()
}

fn tell_clocks(turns: &[table::ClockTurn]) {
    for turn in turns {
        let (job, ahead_s) = (&turn.job, turn.ahead_ms as f64 / 1000.0);
        if turn.is_ahead {
            tracing::warn!(
                job,
                ahead_s,
                "a sender's clock is ahead: what it sends is judged too early, and refused from ten minutes on; set it"
            );
        } else {
            tracing::info!(job, ahead_s, "a sender's clock is right again");
        }
    }
}

impl SendersRunning {
    /// Walks from now on. `rules` gives those in force.
    pub(super) fn start(
        senders: Arc<Senders>,
        rules: impl Fn() -> Arc<RuleSet> + Send + 'static,
    ) -> Result<SendersRunning, ServerError> {
        let (stop, stopped) = bounded(1);
        let thread = thread("senders", move || walk(&senders, &rules, &stopped))?;
        Ok(SendersRunning { stop, thread })
    }

    /// Walks no more, and waits for the walk under way.
    pub(super) fn join(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

/// The loop of the thread.
fn walk(senders: &Senders, rules: &dyn Fn() -> Arc<RuleSet>, stopped: &Receiver<()>) {
    let clock = &senders.parts.clock;
    for interval in WALK_INTERVALS.into_iter().cycle() {
        *senders.kinds.lock() = Arc::new(kinds(&rules()));
        let began = clock.monotonic();
        senders.walk();
        let took = clock.monotonic().saturating_sub(began);
        senders.tell();
        senders.note();
        if !matches!(stopped.recv_timeout(interval.max(took * REST_FACTOR)), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
