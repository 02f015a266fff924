//! Who has reported, who is due, and what is to be told of it. No thread, no clock, no disk: times are given.
//!
//! ```text
//! nightly-report, 30 3 * * *, grace 1h     reported 03:42 ─► due tomorrow 03:30 ─► missed from 04:30 on
//!                                          reports at 06:00, failed ─► no longer missed: HeartbeatFailed
//!                                          reports at 06:20, well ─► over
//! ```
//!
//! Always true:
//! 1. A missing report is dated by its deadline, so a crash tells it again under the id that it had.
//! 2. Who reports a failure is not missing; only a good report ends the failure.
//! 3. Nobody is missing who could not report: what fell due while the server was away has its grace from the start on.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use crate::config::{HeartbeatConfig, HeartbeatDue};
use crate::http::{Beat, HeartbeatFigures};
use crate::model::Labels;
use crate::notify::{Alert, rfc3339};

/// Names of the alerts.
const MISSED: &str = "HeartbeatMissed";
const FAILED: &str = "HeartbeatFailed";
/// Where people look at them.
const PAGE: &str = "/api/v1/heartbeats";
/// A report that comes so much before its time, in ms, is the one of that time: two clocks are never the same.
const EARLY_MS: i64 = 60_000;

/// What was reported last. Times are ms since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reported {
    /// When anything was; of what tells its age, what that age is measured from.
    pub(super) at_ms: Option<i64>,
    /// When it was well.
    pub(super) good_ms: Option<i64>,
    pub(super) is_failure: bool,
    pub(super) exit_code: Option<i64>,
    pub(super) duration_ms: Option<i64>,
}

/// A job of the settings.
pub(super) struct Job {
    pub(super) config: HeartbeatConfig,
    zone: TimeZone,
    /// Since when it is listed.
    pub(super) since_ms: i64,
    /// Since when it is due as it is now, where that changed while running: what was missed by then is forgiven.
    agreed_ms: Option<i64>,
    pub(super) reported: Reported,
}

/// All jobs of the settings, and what is told of them.
pub(super) struct Board {
    jobs: Vec<Job>,
    by_name: HashMap<String, usize>,
    /// What fires, by alert and job.
    told: HashMap<(&'static str, String), Alert>,
    started_ms: i64,
    /// The clock of schedules that name none.
    zone: TimeZone,
    external_url: String,
}

impl Job {
    fn new(config: &HeartbeatConfig, zone: &TimeZone, since_ms: i64) -> Job {
        let own = match &config.due {
            HeartbeatDue::Schedule { timezone: Some(name), .. } => crate::config::time_zone(name).ok(),
            _ => None,
        };
        let zone = own.unwrap_or_else(|| zone.clone());
        Job { config: config.clone(), zone, since_ms, agreed_ms: None, reported: Reported::default() }
    }

    /// Since when all is well: by its last report, or by other terms.
    fn over_ms(&self, now_ms: i64) -> i64 {
        self.reported.at_ms.filter(|at_ms| self.agreed_ms.is_none_or(|agreed_ms| *at_ms >= agreed_ms)).unwrap_or(now_ms)
    }

    /// The moment at which it is to have reported, and until which that has time.
    fn due_ms(&self) -> Option<(i64, i64)> {
        let (last_ms, agreed_ms) = (self.reported.at_ms, self.agreed_ms.unwrap_or(i64::MIN));
        let due_ms = match &self.config.due {
            HeartbeatDue::Every { every_ms } => {
                last_ms.unwrap_or(self.since_ms).max(agreed_ms).saturating_add(*every_ms)
            }
            HeartbeatDue::Schedule { cron, .. } => {
                let after_ms = last_ms.map_or(self.since_ms, |last_ms| last_ms.saturating_add(EARLY_MS));
                cron.next(after_ms.max(agreed_ms), &self.zone)?
            }
            HeartbeatDue::Age { max_age_ms, .. } => last_ms.unwrap_or(self.since_ms).saturating_add(*max_age_ms),
        };
        Some((due_ms, due_ms.saturating_add(self.config.grace_ms)))
    }
}

impl Board {
    /// `zone`: the clock of schedules that name none. `active`: what fires, of which the own is found.
    pub(super) fn new(
        configs: &[HeartbeatConfig],
        zone: &TimeZone,
        active: Vec<Alert>,
        started_ms: i64,
        external_url: String,
    ) -> Board {
        let jobs: Vec<Job> = configs.iter().map(|config| Job::new(config, zone, started_ms)).collect();
        let by_name = by_name(&jobs);
        let own = active.into_iter().filter(is_of_heartbeat).filter_map(|alert| {
            let name = [MISSED, FAILED].into_iter().find(|name| alert.labels.get("alertname") == Some(name))?;
            Some(((name, alert.labels.get("job")?.to_owned()), alert))
        });
        Board { jobs, by_name, told: own.collect(), started_ms, zone: zone.clone(), external_url }
    }

    /// Lists other jobs, and returns the names of those that were not listed. Who is due as before goes on as before; who
    /// is new, or due otherwise, has from now on as long as it says. What fires of those that went ends at the next look.
    pub(super) fn replace(&mut self, configs: &[HeartbeatConfig], now_ms: i64) -> Vec<String> {
        let mut before: HashMap<String, Job> = self.jobs.drain(..).map(|job| (job.config.job.clone(), job)).collect();
        let mut fresh = Vec::new();
        for config in configs {
            let mut job = Job::new(config, &self.zone, now_ms);
            match before.remove(&config.job) {
                Some(known) => {
                    let is_due_as_before = known.config.is_due_as(config);
                    job.agreed_ms = if is_due_as_before { known.agreed_ms } else { Some(now_ms) };
                    (job.since_ms, job.reported) = (known.since_ms, known.reported);
                }
                None => {
                    job.agreed_ms = Some(now_ms);
                    fresh.push(config.job.clone());
                }
            }
            self.jobs.push(job);
        }
        self.by_name = by_name(&self.jobs);
        fresh
    }

    /// What a job had reported before it was listed; what it has reported since counts for more.
    pub(super) fn adopt(&mut self, name: &str, reported: Reported) {
        if let Some(job) = self.job_mut(name).filter(|job| job.reported.at_ms < reported.at_ms) {
            job.reported = reported;
        }
    }

    pub(super) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    pub(super) fn jobs_mut(&mut self) -> &mut [Job] {
        &mut self.jobs
    }

    pub(super) fn job_mut(&mut self, name: &str) -> Option<&mut Job> {
        self.by_name.get(name).map(|index| &mut self.jobs[*index])
    }

    /// Takes a report. Returns until when the next is to come; none if the job is not listed.
    pub(super) fn take(&mut self, beat: &Beat, now_ms: i64) -> Option<Option<i64>> {
        let job = self.job_mut(&beat.job)?;
        let reported = &mut job.reported;
        reported.at_ms = Some(now_ms);
        if beat.is_good {
            reported.good_ms = Some(now_ms);
        }
        (reported.is_failure, reported.exit_code, reported.duration_ms) =
            (!beat.is_good, beat.exit_code, beat.duration_ms);
        Some(job.due_ms().map(|(_, until_ms)| until_ms))
    }

    /// What began or ended by now and was not told; to be given to [`Board::is_told`] when it was.
    pub(super) fn look(&self, now_ms: i64) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for job in &self.jobs {
            let missed = self.missed(job, now_ms);
            let failed = job.reported.is_failure.then(|| self.failed(job));
            for (name, alert) in [(MISSED, missed), (FAILED, failed)] {
                match (self.told.get(&(name, job.config.job.clone())), alert) {
                    (None, Some(alert)) => alerts.push(alert),
                    (Some(told), None) => alerts.push(ended(told, job.over_ms(now_ms))),
                    // Of another severity now, it is another alert.
                    (Some(told), Some(alert)) if told.labels != alert.labels => {
                        alerts.extend([ended(told, now_ms), alert]);
                    }
                    _ => {}
                }
            }
        }
        // Of jobs that are no longer listed.
        let unlisted = self.told.iter().filter(|((_, job), _)| !self.by_name.contains_key(job));
        alerts.extend(unlisted.map(|(_, told)| ended(told, now_ms)));
        alerts
    }

    /// These are on their way.
    pub(super) fn is_told(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            let name = if alert.labels.get("alertname") == Some(MISSED) { MISSED } else { FAILED };
            let key = (name, alert.labels.get("job").unwrap_or_default().to_owned());
            if alert.ends_at_ms.is_some() { drop(self.told.remove(&key)) } else { drop(self.told.insert(key, alert)) }
        }
    }

    fn missed(&self, job: &Job, now_ms: i64) -> Option<Alert> {
        let (due_ms, until_ms) = job.due_ms()?;
        let heard_by_ms = self.started_ms.saturating_add(job.config.grace_ms);
        // What was told before the start stays told.
        let is_told = self.told.contains_key(&(MISSED, job.config.job.clone()));
        if now_ms < until_ms || !is_told && now_ms < heard_by_ms {
            return None;
        }
        let last = job.reported.at_ms.map_or_else(|| "never".to_owned(), rfc3339);
        let summary = match job.config.due {
            HeartbeatDue::Age { .. } => format!("{} is too old: its last success was {last}", job.config.job),
            _ => format!("{} has not reported: due {}, last report {last}", job.config.job, rfc3339(due_ms)),
        };
        let more = [("due", rfc3339(due_ms)), ("last_report", last)];
        Some(self.alert(job, MISSED, until_ms, summary, more.into()))
    }

    fn failed(&self, job: &Job) -> Alert {
        let at_ms = job.reported.at_ms.unwrap_or(job.since_ms);
        let code = job.reported.exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
        let good = job.reported.good_ms.map_or_else(|| "never".to_owned(), rfc3339);
        let summary = format!("{} reports a failure{code}; last success {good}", job.config.job);
        self.alert(job, FAILED, at_ms, summary, vec![("last_success", good)])
    }

    fn alert(
        &self,
        job: &Job,
        name: &'static str,
        starts_at_ms: i64,
        summary: String,
        more: Vec<(&'static str, String)>,
    ) -> Alert {
        let config = &job.config;
        let pairs = [("alertname", name), ("job", config.job.as_str()), ("severity", config.severity.as_str())];
        let labels = Labels::from_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()))
            .expect("settings hold no names and severities that labels do not");
        let mut annotations = vec![("summary", summary), ("expected", config.told())];
        annotations.extend(more);
        if !config.runbook_url.is_empty() {
            annotations.push(("runbook_url", config.runbook_url.clone()));
        }
        let annotations = annotations.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        let generator_url = format!("{}{PAGE}", self.external_url);
        Alert { labels, annotations, starts_at_ms, ends_at_ms: None, generator_url }
    }

    /// All jobs, in the order of the settings.
    pub(super) fn figures(&self, now_ms: i64) -> Vec<HeartbeatFigures> {
        let figures = |job: &Job| HeartbeatFigures {
            job: job.config.job.clone(),
            expected: job.config.told(),
            state: match job.reported {
                _ if self.missed(job, now_ms).is_some() => "missed",
                Reported { is_failure: true, .. } => "failed",
                Reported { at_ms: None, .. } => "waiting",
                _ => "ok",
            },
            reported_ms: job.reported.at_ms,
            good_ms: job.reported.good_ms,
            due_ms: job.due_ms().map(|(_, until_ms)| until_ms),
            duration_ms: job.reported.duration_ms,
        };
        self.jobs.iter().map(figures).collect()
    }
}

fn by_name(jobs: &[Job]) -> HashMap<String, usize> {
    jobs.iter().enumerate().map(|(index, job)| (job.config.job.clone(), index)).collect()
}

/// Whether it was made here; a rule may make alerts of the same name.
pub(in crate::server) fn is_of_heartbeat(alert: &Alert) -> bool {
    let name = alert.labels.get("alertname");
    [MISSED, FAILED].iter().any(|own| name == Some(own)) && alert.generator_url.ends_with(PAGE)
}

fn ended(alert: &Alert, at_ms: i64) -> Alert {
    Alert { ends_at_ms: Some(at_ms.max(alert.starts_at_ms)), ..alert.clone() }
}
