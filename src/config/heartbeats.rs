//! Jobs that report by themselves, as a file lists them: when each is to report, and who cares if it does not.
//!
//! ```text
//! heartbeats:
//!   - { job: stock-export, every: 15m }
//!   - { job: nightly-report, schedule: "30 3 * * 1-5", timezone: Europe/Berlin, grace: 1h, severity: critical }
//!   - { job: backup-db1, max_age: 26h, metric: 'backup_last_success_timestamp_seconds{instance="db1"}' }
//! ```

use std::collections::HashSet;

use serde::Deserialize;

use super::cron::Cron;
use super::file::{Place, Scalar};
use super::units::{duration_text, parse_duration_ms};
use super::zone::time_zone;
use super::{Config, ConfigError};

/// Most jobs of the list.
pub const HEARTBEATS_COUNT_MAX: usize = 1_000;
/// Longest name of a job, in bytes.
const JOB_BYTES_MAX: usize = 200;
/// Longest other text of an entry, in bytes.
const TEXT_BYTES_MAX: usize = 2_000;
/// How late a report may come that follows a schedule, if nothing is said, in ms: half an hour. Where it comes every so
/// often, half of that time, if that is less.
const GRACE_MS: i64 = 1_800_000;
/// Of which severity a missing report is, if nothing is said.
const SEVERITY: &str = "warning";
/// Least and most of each duration, in ms: a second and ten years.
const DURATIONS_MS: std::ops::RangeInclusive<i64> = 1_000..=315_360_000_000;

/// A job that reports by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatConfig {
    /// Its name, in the address that it reports to and as a label.
    pub job: String,
    /// When it is to report.
    pub due: HeartbeatDue,
    /// How late it may be, in ms.
    pub grace_ms: i64,
    /// The alert's label.
    pub severity: String,
    /// What to do; may be empty.
    pub runbook_url: String,
    place: Place,
}

/// When a job is to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeartbeatDue {
    /// So long after its last report, in ms.
    Every {
        /// In ms.
        every_ms: i64,
    },
    /// At times of the clock.
    Schedule {
        /// Which.
        cron: Cron,
        /// Whose clock; none is the shop's.
        timezone: Option<String>,
    },
    /// It does not report: a series says when it last succeeded, in seconds since 1970.
    Age {
        /// How old that may be, in ms.
        max_age_ms: i64,
        /// Selects the series; whoever starts the server parses it.
        metric: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    job: Scalar,
    every: Option<Scalar>,
    schedule: Option<Scalar>,
    timezone: Option<Scalar>,
    max_age: Option<Scalar>,
    metric: Option<Scalar>,
    grace: Option<Scalar>,
    severity: Option<Scalar>,
    runbook_url: Option<Scalar>,
}

impl HeartbeatConfig {
    /// What is wrong with the selector of `metric`, with its file and line.
    pub fn mistake(&self, what: &str) -> ConfigError {
        self.place.mistake(what)
    }

    /// Whether it is due as the other one is, whatever else is said of it and wherever it stands.
    pub fn is_due_as(&self, other: &HeartbeatConfig) -> bool {
        self.due == other.due && self.grace_ms == other.grace_ms
    }

    /// When it is to report, for people.
    pub fn told(&self) -> String {
        match &self.due {
            HeartbeatDue::Every { every_ms } => format!("every {}", duration_text(*every_ms)),
            HeartbeatDue::Schedule { cron, timezone: None } => cron.text().to_owned(),
            HeartbeatDue::Schedule { cron, timezone: Some(zone) } => format!("{} {zone}", cron.text()),
            HeartbeatDue::Age { max_age_ms, .. } => format!("at most {} old", duration_text(*max_age_ms)),
        }
    }

    /// As a file has it.
    pub(super) fn shown(&self, quoted: impl Fn(&str) -> String) -> String {
        let due = match &self.due {
            HeartbeatDue::Every { every_ms } => format!("every: {}", duration_text(*every_ms)),
            HeartbeatDue::Schedule { cron, timezone } => {
                let zone = timezone.as_ref().map(|zone| format!(", timezone: {}", quoted(zone))).unwrap_or_default();
                format!("schedule: {}{zone}", quoted(cron.text()))
            }
            HeartbeatDue::Age { max_age_ms, metric } => {
                format!("max_age: {}, metric: {}", duration_text(*max_age_ms), quoted(metric))
            }
        };
        let (job, severity, runbook_url) = (quoted(&self.job), quoted(&self.severity), quoted(&self.runbook_url));
        let grace = duration_text(self.grace_ms);
        format!("{{ job: {job}, {due}, grace: {grace}, severity: {severity}, runbook_url: {runbook_url} }}")
    }
}

/// Whether this can be the name of a job: it stands in an address and in a label.
pub fn is_job_name(name: &str) -> bool {
    (1..=JOB_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Puts the list into the settings. Fails with a text that shows the place of the mistake.
pub(super) fn read_list(
    entries: &[Entry],
    config: &mut Config,
    place: impl Fn(&Scalar, &str) -> Place,
) -> Result<(), String> {
    let mut names = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let show = |given: &Scalar, key: &str, what: &str| place(given, &format!("heartbeats.{key}")).show(what);
        if index == HEARTBEATS_COUNT_MAX {
            return Err(show(&entry.job, "job", &format!("there are more than {HEARTBEATS_COUNT_MAX} entries")));
        }
        if !is_job_name(&entry.job.value) {
            let what = format!("is no name of 1 to {JOB_BYTES_MAX} bytes without control characters");
            return Err(show(&entry.job, "job", &what));
        }
        if !names.insert(entry.job.value.clone()) {
            return Err(show(&entry.job, "job", "another entry is for this job already"));
        }
        let due = due(entry, &show)?;
        let default_grace_ms = match &due {
            HeartbeatDue::Every { every_ms } => GRACE_MS.min(every_ms / 2),
            HeartbeatDue::Schedule { .. } => GRACE_MS,
            HeartbeatDue::Age { .. } => 0,
        };
        let grace_ms = entry.grace.as_ref().map(|given| match parse_duration_ms(&given.value) {
            Ok(0) => Ok(0),
            _ => duration(given, "grace", &show),
        });
        let text = |given: &Option<Scalar>, key: &str, default: &str| match given {
            Some(given) if given.value.len() > TEXT_BYTES_MAX => {
                Err(show(given, key, &format!("has more than {TEXT_BYTES_MAX} bytes")))
            }
            given => Ok(given.as_ref().map_or(default, |given| given.value.as_str()).to_owned()),
        };
        config.heartbeats.push(HeartbeatConfig {
            job: entry.job.value.clone(),
            due,
            grace_ms: grace_ms.transpose()?.unwrap_or(default_grace_ms),
            severity: text(&entry.severity, "severity", SEVERITY)?,
            runbook_url: text(&entry.runbook_url, "runbook_url", "")?,
            place: place(entry.metric.as_ref().unwrap_or(&entry.job), "heartbeats.metric"),
        });
    }
    Ok(())
}

fn due(entry: &Entry, show: &impl Fn(&Scalar, &str, &str) -> String) -> Result<HeartbeatDue, String> {
    if let Some(zone) = entry.timezone.as_ref().filter(|_| entry.schedule.is_none()) {
        return Err(show(zone, "timezone", "is of use with `schedule` only"));
    }
    match (&entry.every, &entry.schedule, &entry.max_age, &entry.metric) {
        (Some(every), None, None, None) => Ok(HeartbeatDue::Every { every_ms: duration(every, "every", show)? }),
        (None, Some(schedule), None, None) => {
            let cron = Cron::parse(&schedule.value).map_err(|what| show(schedule, "schedule", &what))?;
            let timezone = entry.timezone.as_ref().map(|given| match time_zone(&given.value) {
                Ok(zone) => Ok(zone.iana_name().unwrap_or(&given.value).to_owned()),
                Err(what) => Err(show(given, "timezone", &what)),
            });
            Ok(HeartbeatDue::Schedule { cron, timezone: timezone.transpose()? })
        }
        (None, None, Some(max_age), Some(metric)) => {
            let max_age_ms = duration(max_age, "max_age", show)?;
            Ok(HeartbeatDue::Age { max_age_ms, metric: metric.value.clone() })
        }
        _ => Err(show(&entry.job, "job", "needs one of: `every`; `schedule`; `max_age` and `metric`")),
    }
}

fn duration(given: &Scalar, key: &str, show: &impl Fn(&Scalar, &str, &str) -> String) -> Result<i64, String> {
    let span_ms = parse_duration_ms(&given.value).map_err(|what| show(given, key, &what))?;
    let is_within = DURATIONS_MS.contains(&span_ms);
    if is_within { Ok(span_ms) } else { Err(show(given, key, "is outside its range, 1s to 10y")) }
}
