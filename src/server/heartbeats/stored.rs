//! What jobs reported, as series: durable like every sample, to be drawn, and what the next start knows them by.
//!
//! ```text
//! dozor_heartbeat_timestamp_seconds{job="nightly"}            when it reported last
//! dozor_heartbeat_success_timestamp_seconds{job="nightly"}    when that was a success
//! dozor_heartbeat_success{job="nightly"}                      1, or 0 for a failure
//! dozor_heartbeat_duration_seconds{job="nightly"}             how long it took, if it said so
//! dozor_heartbeat_expected_since_timestamp_seconds{job="nightly"}   since when it is listed
//! ```

use std::collections::HashMap;

use super::board::{Job, Reported};
use crate::model::{Labels, METRIC_NAME};
use crate::query::{Engine, Options, Value};
use crate::storage::view::ReadView;

pub(super) const REPORTED: &str = "dozor_heartbeat_timestamp_seconds";
pub(super) const GOOD: &str = "dozor_heartbeat_success_timestamp_seconds";
pub(super) const SUCCESS: &str = "dozor_heartbeat_success";
pub(super) const DURATION: &str = "dozor_heartbeat_duration_seconds";
pub(super) const SINCE: &str = "dozor_heartbeat_expected_since_timestamp_seconds";
/// All of them: nobody sends these.
pub(in crate::server) const NAMES: [&str; 5] = [REPORTED, GOOD, SUCCESS, DURATION, SINCE];
/// How far back a start looks for what was known. Those of listed jobs are stored again every minute, so this is for how
/// long the server may have been away.
const LOOK_BACK: &str = "30d";

/// The series of a job with this name.
fn series(name: &str, job: &str) -> Option<Labels> {
    Labels::from_pairs([(METRIC_NAME, name), ("job", job)]).ok()
}

/// The samples that say what a job has reported. Without those that it has no word for.
pub(super) fn samples(job: &str, reported: &Reported, since_ms: Option<i64>) -> Vec<(Labels, f64)> {
    let seconds = |time_ms: i64| time_ms as f64 / 1000.0;
    let values = [
        (REPORTED, reported.at_ms.map(seconds)),
        (GOOD, reported.good_ms.map(seconds)),
        (SUCCESS, reported.at_ms.map(|_| f64::from(u8::from(!reported.is_failure)))),
        (DURATION, reported.duration_ms.map(seconds)),
        (SINCE, since_ms.map(seconds)),
    ];
    values.into_iter().filter_map(|(name, value)| Some((series(name, job)?, value?))).collect()
}

/// Gives the jobs back what was stored of them.
pub(super) fn restore(jobs: &mut [Job], engine: &Engine, view: &ReadView, now_ms: i64) {
    if jobs.is_empty() {
        return;
    }
    let stored = Stored::read(engine, view, now_ms);
    for job in jobs {
        let name = &job.config.job;
        job.reported = stored.reported(name);
        job.since_ms = stored.series[4].get(name).map_or(job.since_ms, |since| ms(*since).min(now_ms));
    }
}

/// What is stored of all jobs.
pub(super) struct Stored {
    /// By the job, in the order of [`NAMES`].
    series: [HashMap<String, f64>; 5],
}

impl Stored {
    pub(super) fn read(engine: &Engine, view: &ReadView, now_ms: i64) -> Stored {
        let read = |name: &str| -> HashMap<String, f64> {
            let query = format!("last_over_time({name}[{LOOK_BACK}])");
            let answer = match engine.instant(view, &query, now_ms, &Options::default()) {
                Ok(answer) => answer.value,
                Err(error) => {
                    tracing::error!(%error, name, "what jobs have reported before is not known");
                    return HashMap::new();
                }
            };
            let Value::Vector(series) = answer else { return HashMap::new() };
            series
                .into_iter()
                .filter_map(|(labels, _, value)| Some((labels.get("job")?.to_owned(), value.number()?)))
                .collect()
        };
        Stored { series: NAMES.map(read) }
    }

    /// What this job has reported.
    pub(super) fn reported(&self, job: &str) -> Reported {
        let [reported, good, success, duration, _] = &self.series;
        let at = |series: &HashMap<String, f64>| series.get(job).map(|seconds| ms(*seconds));
        Reported {
            at_ms: at(reported),
            good_ms: at(good),
            is_failure: success.get(job).is_some_and(|success| *success == 0.0),
            exit_code: None,
            duration_ms: at(duration),
        }
    }
}

fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
