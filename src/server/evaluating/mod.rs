//! The threads that evaluate rules, and what happens when the rules are changed.
//!
//! ```text
//! schedule ─ a group is due ─► rules-N: evaluate ─► outbox ─► report, file of alerts ─► schedule
//!                                 │        └─► ingest, before the next rule asks
//! reload ─ new files ─► state of the rules that stay, ends of those that go ─► schedule
//! ```
//!
//! What is durable when: an alert is in the outbox before it is in the file of alerts, so a crash between the two tells
//! nobody twice: the outbox knows which alerts fire, and the next start begins with what it knows.
//!
//! Always true:
//! 1. A group is evaluated by one thread at a time, at ascending moments.
//! 2. What was told as firing is told as resolved: when its series goes, its rule goes, or its group does.
//! 3. A set of rules with a fault changes nothing.

mod doubts;
mod figures;
mod host;
mod journal;
mod orphans;
mod run;
mod schedule;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::detection::Detection;
use super::detection_lag::DetectionLag;
use super::heartbeats::is_of_heartbeat;
use super::senders::{Knowledge, Senders, is_loss};
use super::{ServerError, silences, thread};
use crate::clock::Clock;
use crate::config::EvaluationConfig;
use crate::disk::Disk;
use crate::ingest::Ingest;
use crate::model::Labels;
use crate::notify::{Alert, Notifier, rfc3339};
use crate::query::{Cancelled, Engine};
use crate::rules::{
    self, GroupState, Reloaded, RestoreRules, RuleErrors, RuleGroup, RuleHost, RuleSet, RulesReport, SavedGroup,
    Surroundings, TELEMETRY, given_up,
};
use crate::storage::view::ReadView;
use crate::telemetry::Registry;
use doubts::{Doubts, Occasion};
use figures::Figures;
use host::Host;
use journal::{GroupKey, Journal, key_of};
use orphans::Orphans;
use run::Run;
use schedule::{Ending, Schedule, Task};

/// The file of alerts. It is only ever replaced as a whole.
pub(super) const FILE: &str = "alerts.rules";
/// Most groups that are evaluated at a time.
const THREADS_MAX: usize = 4;
/// How often it is looked what is due and what is to be written, be nothing due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a thread waits before it tries again to note an alert.
const OUTBOX_RETRY: Duration = Duration::from_millis(500);
/// How many times as long as it took to look at the alerts without a rule nobody looks at them.
const REST_FACTOR: u32 = 10;
/// How many intervals pass before the series of a group that is no more are ended.
const ENDING_INTERVALS: i64 = 2;

/// How long a group may be late besides three of its intervals, in ms.
const OVERDUE_MS: i64 = 60_000;

/// What the threads are made of.
pub(super) struct EvaluatingParts {
    /// What was read of the rule files.
    pub(super) set: Arc<RuleSet>,
    /// Who watches what is fed by the stream.
    pub(super) detection: Arc<Detection>,
    pub(super) settings: EvaluationConfig,
    /// How people reach this server, for links in alerts.
    pub(super) external_url: String,
    pub(super) view: Arc<dyn Fn() -> ReadView + Send + Sync>,
    pub(super) engine: Arc<Engine>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) lag: Arc<DetectionLag>,
    /// Who knows whether data have ceased to come.
    pub(super) senders: Arc<Senders>,
    pub(super) registry: Arc<Registry>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) data_dir: PathBuf,
    pub(super) clock: Clock,
}

/// The running threads.
pub(super) struct Evaluating {
    shared: Arc<EvaluatedRules>,
    threads: Vec<JoinHandle<()>>,
}

/// The rules in force, for those who ask of them and those who change them.
pub(super) struct EvaluatedRules {
    detection: Arc<Detection>,
    settings: EvaluationConfig,
    surroundings: Surroundings,
    host: Host,
    notifier: Arc<Notifier>,
    lag: Arc<DetectionLag>,
    senders: Arc<Senders>,
    doubts: Doubts,
    disk: Arc<dyn Disk>,
    clock: Clock,
    journal: Journal,
    figures: Figures,
    schedule: Mutex<Schedule>,
    /// Rung when the schedule has changed.
    changed: Condvar,
    orphans: Mutex<Orphans>,
    /// Alerts whose ends were just held back, on their way to those: a thread that evaluates waits for nobody who waits
    /// for groups.
    held: Mutex<Vec<Alert>>,
}

impl Evaluating {
    /// Goes on from the file of alerts. Needs a tokio runtime.
    pub(super) fn start(parts: EvaluatingParts) -> Result<Evaluating, ServerError> {
        let shared = Arc::new(EvaluatedRules::new(parts));
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = (0..cores.clamp(2, THREADS_MAX)).map(|index| {
            let shared = shared.clone();
            thread(&format!("rules-{index}"), move || shared.run())
        });
        let threads = threads.collect::<Result<Vec<_>, _>>()?;
        Ok(Evaluating { shared, threads })
    }

    pub(super) fn rules(&self) -> &Arc<EvaluatedRules> {
        &self.shared
    }

    /// Begins no further evaluation, and gives up the queries of those under way.
    pub(super) fn stop(&self) {
        self.shared.host.stopping.cancel();
        self.shared.schedule.lock().is_stopping = true;
        self.shared.changed.notify_all();
    }

    /// Waits for the threads, and writes what is to be known at the next start.
    pub(super) fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
        self.shared.journal.close();
    }
}

impl EvaluatedRules {
    fn new(parts: EvaluatingParts) -> EvaluatedRules {
        let journal = Journal::new(parts.disk.clone(), &parts.data_dir.join(FILE), parts.clock.clone());
        let host = Host {
            view: parts.view,
            engine: parts.engine,
            ingest: parts.ingest,
            runtime: Handle::current(),
            clock: parts.clock.clone(),
            stopping: Cancelled::default(),
        };
        let surroundings = Surroundings {
            external_url: parts.external_url,
            external_labels: Labels::empty(),
            query_offset_ms: parts.settings.query_offset_ms,
        };
        let is_of_stream = |alert: &Alert| {
            let name = alert.labels.get(ALERT_NAME);
            parts.set.rules.iter().any(|rule| Some(rule.alert.as_str()) == name)
        };
        // Those that others pushed are theirs to end.
        let is_pushed = |alert: &Alert| silences::is_pushed(alert, &parts.set, &surroundings.external_url);
        // So are those of jobs that are silent.
        let is_of_jobs = |alert: &Alert| is_loss(alert) || is_of_heartbeat(alert);
        let is_elsewhere = |alert: &Alert| is_of_stream(alert) || is_pushed(alert) || is_of_jobs(alert);
        let told = parts.notifier.active().into_iter().filter(|alert| !is_elsewhere(alert));
        let told: Vec<Alert> = told.collect();
        let rules = EvaluatedRules {
            detection: parts.detection,
            settings: parts.settings,
            surroundings,
            doubts: Doubts::new(parts.senders.clone(), host.clone()),
            host,
            notifier: parts.notifier,
            lag: parts.lag,
            senders: parts.senders,
            disk: parts.disk,
            clock: parts.clock,
            journal,
            figures: Figures::new(parts.registry),
            schedule: Mutex::default(),
            changed: Condvar::new(),
            orphans: Mutex::new(Orphans::new(told.clone())),
            held: Mutex::default(),
        };
        rules.begin(parts.set, &told);
        rules
    }

    /// Puts the first rules in force, with what is known from before the start.
    fn begin(&self, set: Arc<RuleSet>, told: &[Alert]) {
        let saved: BTreeMap<GroupKey, SavedGroup> =
            self.journal.read().into_iter().map(|saved| ((saved.file.clone(), saved.group.clone()), saved)).collect();
        let fired: BTreeMap<&Labels, i64> = told.iter().map(|alert| (&alert.labels, alert.starts_at_ms)).collect();
        let restoring = RestoreRules {
            now_ms: self.clock.now_ms(),
            outage_tolerance_ms: self.settings.outage_tolerance_ms,
            grace_period_ms: self.settings.grace_period_ms,
            told: &|labels| fired.get(labels).copied(),
        };
        let mut runs = Vec::new();
        for group in set.groups.iter().filter(|group| group.is_evaluated()) {
            let mut state = GroupState::new(group.clone());
            if let Some(saved) = saved.get(&key_of(group)) {
                state.restore(saved, &restoring);
            }
            self.journal.note(key_of(group), state.saved());
            runs.push(self.run_of(state));
        }
        self.put_in_force(set, runs, Vec::new());
    }

    fn run_of(&self, state: GroupState) -> Arc<Run> {
        let interval_ms = self.interval_ms(state.group());
        let figures = self.figures.of(state.group());
        figures.is_evaluated_every(interval_ms);
        Arc::new(Run::new(state, interval_ms, figures))
    }

    fn interval_ms(&self, group: &RuleGroup) -> i64 {
        group.interval_ms.unwrap_or(self.settings.interval_ms)
    }

    fn put_in_force(&self, set: Arc<RuleSet>, mut runs: Vec<Arc<Run>>, endings: Vec<Ending>) {
        runs.sort_by_key(|run| key_of(&run.group));
        self.schedule.lock().replace(set, runs, endings, self.clock.now_ms());
        self.changed.notify_all();
        self.figures.reload_successful.set(1);
        self.figures.reload_success_seconds.set(self.clock.now_ms() / 1000);
    }

    /// The loop of a thread.
    fn run(&self) {
        self.settle_orphans();
        while let Some(task) = self.next() {
            match task {
                Some(Task::Evaluate { run, at_ms, missed_count }) => {
                    self.evaluate(&run, at_ms, missed_count);
                    self.schedule.lock().give_back(&run);
                    self.changed.notify_one();
                    self.settle_orphans();
                }
                Some(Task::End(ending)) => self.end(ending),
                None => {}
            }
            self.journal.keep_up();
        }
    }

    /// What is to be done, or nothing for a look around; none at the order to stop.
    fn next(&self) -> Option<Option<Task>> {
        let mut schedule = self.schedule.lock();
        if schedule.is_stopping {
            return None;
        }
        match schedule.take(self.clock.now_ms()) {
            Ok(task) => Some(Some(task)),
            Err(wait) => {
                self.changed.wait_for(&mut schedule, wait.min(LOOK_INTERVAL));
                Some(None)
            }
        }
    }

    fn evaluate(&self, run: &Run, at_ms: i64, missed_count: u64) {
        let mut state = run.state();
        let Some(state) = state.as_mut() else { return };
        let began = self.clock.monotonic();
        let mut evaluated = state.evaluate(at_ms, &self.surroundings, &mut self.host.clone());
        let took = self.clock.monotonic().saturating_sub(began);
        run.figures.count(&evaluated, at_ms, took, missed_count);
        if missed_count > 0 {
            let (file, group) = (run.group.file.display(), &run.group.name);
            tracing::warn!(%file, group, missed_count, "evaluations of rules were left out: they take too long");
        }
        self.hold_back(&mut evaluated.alerts, at_ms);
        // What could not be told is not noted either: the next start finds it again.
        if self.tell(&evaluated.alerts) {
            self.lag.note_evaluation(evaluated.alerts.len(), at_ms);
            run.publish(state);
            self.journal.note(key_of(&run.group), state.saved());
        }
    }

    /// Takes out the ends of alerts of whose data nothing is known. They are among those without a rule from now on, and
    /// end when it is known again that they are over.
    fn hold_back(&self, alerts: &mut Vec<Alert>, evaluated_ms: i64) {
        if alerts.iter().all(|alert| alert.ends_at_ms.is_none()) {
            return;
        }
        let set = self.set();
        let occasion = Occasion { set: &set, evaluated_ms, is_held: false };
        alerts.retain(|alert| {
            let is_held = alert.ends_at_ms.is_some()
                && match self.doubts.knowledge(alert, occasion) {
                    Knowledge::Since(since_ms) => since_ms > evaluated_ms,
                    Knowledge::NothingSince(since_ms) => self.is_waited_for(since_ms),
                };
            if is_held {
                tracing::info!(labels = %alert.labels, "nothing is known of what an alert speaks of: its end is not told");
                self.held.lock().push(Alert { ends_at_ms: None, ..alert.clone() });
            }
            !is_held
        });
    }

    /// Whether what is unknown since then has not been so for too long.
    fn is_waited_for(&self, since_ms: i64) -> bool {
        self.clock.now_ms().saturating_sub(since_ms) < self.senders.unknown_max_ms()
    }

    /// Puts alerts into the outbox, however long the disk takes to let us. False: the server stopped before that.
    fn tell(&self, alerts: &[Alert]) -> bool {
        if alerts.is_empty() {
            return true;
        }
        for alert in alerts {
            tracing::info!(labels = %alert.labels, status = %alert.status(), "alert");
        }
        while let Err(error) = self.notifier.enqueue_all(alerts) {
            if self.host.is_stopping() {
                tracing::error!(%error, "an alert cannot be noted before the end; the next start finds it again");
                return false;
            }
            tracing::error!(%error, "an alert cannot be noted; trying again");
            std::thread::park_timeout(OUTBOX_RETRY);
        }
        true
    }

    /// Stores the end of series whose group is no more, but for those that another group has taken over.
    fn end(&self, mut ending: Ending) {
        let runs: Vec<Arc<Run>> = self.schedule.lock().runs().cloned().collect();
        for run in runs {
            if let Some(state) = run.state().as_ref() {
                ending.series.retain(|labels| !state.has_series(labels));
            }
        }
        let stored = GroupState::end_series(&ending.series, ending.sample_ms, &mut self.host.clone());
        if let Err(error) = stored {
            tracing::warn!(error, "series of rules that are no more could not be ended");
        }
    }

    fn settle_orphans(&self) {
        let Some(mut orphans) = self.orphans.try_lock() else { return };
        self.held.lock().drain(..).for_each(|alert| orphans.add(alert));
        let began = self.clock.monotonic();
        if orphans.is_empty() || began < orphans.rests_until {
            return;
        }
        let runs: Vec<Arc<Run>> = self.schedule.lock().runs().cloned().collect();
        let (set, now_ms) = (self.set(), self.clock.now_ms());
        orphans.settle(&runs, |alert, evaluated_ms| {
            // None has it: there is no rule that could be waited for.
            let evaluated_ms = evaluated_ms.unwrap_or(i64::MAX);
            match self.doubts.knowledge(alert, Occasion { set: &set, evaluated_ms, is_held: true }) {
                Knowledge::Since(since_ms) if evaluated_ms < since_ms => false,
                Knowledge::NothingSince(since_ms) if self.is_waited_for(since_ms) => false,
                knowledge => {
                    tracing::warn!(labels = %alert.labels, "a firing alert has no rule that knows of it: resolved");
                    self.tell(&[with_reason(resolved(alert.clone(), now_ms), knowledge)])
                }
            }
        });
        let ended = self.clock.monotonic();
        orphans.rests_until = ended + ended.saturating_sub(began) * REST_FACTOR;
    }

    /// The rules in force.
    pub(super) fn set(&self) -> Arc<RuleSet> {
        self.schedule.lock().set.clone()
    }

    /// A group that should have been evaluated and was not, for three of its intervals and a minute; behind a start or a
    /// change of rules it has as long.
    pub(super) fn overdue(&self, now_ms: i64) -> Option<String> {
        let since_ms = self.figures.reload_success_seconds.value() * 1000;
        let runs: Vec<Arc<Run>> = self.schedule.lock().runs().cloned().collect();
        let is_overdue = |run: &Arc<Run>| {
            let last_ms = run.report().last.map_or(since_ms, |last| last.at_ms.max(since_ms));
            now_ms - last_ms > 3 * run.interval_ms + OVERDUE_MS
        };
        let overdue = runs.iter().find(|run| is_overdue(run))?;
        Some(format!("{} in {}", overdue.group.name, overdue.group.file.display()))
    }

    /// The rules in force, as of the last evaluations.
    pub(super) fn report(&self) -> RulesReport {
        let schedule = self.schedule.lock();
        let set = schedule.set.clone();
        let runs: BTreeMap<GroupKey, Arc<Run>> = schedule.runs().map(|run| (key_of(&run.group), run.clone())).collect();
        drop(schedule);
        let mut groups: Vec<_> = set.groups.iter().map(|group| (key_of(group), group.clone())).collect();
        groups.sort_by(|one, other| one.0.cmp(&other.0));
        let report = |(key, group): (GroupKey, Arc<RuleGroup>)| match runs.get(&key) {
            Some(run) => run.report(),
            None => Arc::new(GroupState::new(group.clone()).report(self.interval_ms(&group))),
        };
        RulesReport { groups: groups.into_iter().map(report).collect(), set }
    }

    /// Reads these rule files, named as the settings do. Nothing changes by that.
    pub(super) fn read(&self, files: &[PathBuf]) -> Result<RuleSet, RuleErrors> {
        rules::load(&*self.disk, files)
    }

    /// Nothing was reloaded: somewhere there is a fault.
    pub(super) fn note_fault(&self) {
        self.figures.reload_successful.set(0);
    }

    /// Puts other rules in force. Whoever calls it sees to it that it is called once at a time.
    pub(super) fn replace(&self, set: RuleSet) -> Reloaded {
        let before = self.schedule.lock().set.clone();
        let set = Arc::new(set);
        let (groups, rules) = (set.groups.len(), set.groups.iter().map(|group| group.rules.len()).sum());
        if !set.has_anomalies_of(&before) {
            self.detection.replace(&set, &before);
        }
        self.succeed(set);
        self.doubts.forget();
        tracing::info!(groups, rules, "rules are reloaded");
        Reloaded { groups, rules }
    }

    /// Hands the state of groups over to those that take their place.
    fn succeed(&self, set: Arc<RuleSet>) {
        let now_ms = self.clock.now_ms();
        let mut before: BTreeMap<GroupKey, Arc<Run>> =
            self.schedule.lock().runs().map(|run| (key_of(&run.group), run.clone())).collect();
        let mut runs = Vec::new();
        for group in set.groups.iter().filter(|group| group.is_evaluated()) {
            match before.remove(&key_of(group)) {
                Some(run) if run.group == *group => runs.push(run),
                run => runs.push(self.successor(group, run.as_deref(), now_ms)),
            }
        }
        let endings = before.into_values().filter_map(|run| self.dissolved(&run, now_ms)).collect();
        self.put_in_force(set, runs, endings);
    }

    fn successor(&self, group: &Arc<RuleGroup>, before: Option<&Run>, now_ms: i64) -> Arc<Run> {
        let mut state = GroupState::new(group.clone());
        // Waits for the evaluation under way, if there is one.
        if let Some(before) = before.and_then(|run| run.state().take()) {
            self.tell(&state.succeed(before, now_ms, &self.surroundings));
        }
        self.journal.note(key_of(group), state.saved());
        self.run_of(state)
    }

    fn dissolved(&self, run: &Run, now_ms: i64) -> Option<Ending> {
        let state = run.state().take()?;
        let sample_ms = now_ms - state.query_offset_ms(&self.surroundings);
        let (resolved, series) = state.dissolve(now_ms, &self.surroundings);
        self.tell(&resolved);
        self.journal.note(key_of(&run.group), None);
        Some(Ending { series, sample_ms, due_ms: now_ms + ENDING_INTERVALS * run.interval_ms })
    }
}

/// The label that holds a rule's name.
const ALERT_NAME: &str = "alertname";

/// An end that was not told at once says why.
fn with_reason(mut alert: Alert, knowledge: Knowledge) -> Alert {
    let reason = match knowledge {
        Knowledge::Since(i64::MIN) => return alert,
        Knowledge::Since(since_ms) => format!("data have come again since {}, and it is over", rfc3339(since_ms)),
        Knowledge::NothingSince(since_ms) => given_up(since_ms),
    };
    alert.annotations.push((TELEMETRY.to_owned(), reason));
    alert
}

fn resolved(alert: Alert, now_ms: i64) -> Alert {
    Alert { ends_at_ms: Some(now_ms.max(alert.starts_at_ms)), ..alert }
}
