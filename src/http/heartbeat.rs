//! `/api/v1/heartbeat/<job>`: a job says that it ran; `/api/v1/heartbeats`: which jobs are to, and which did.
//!
//! ```text
//! curl -fsS -X POST "http://dozor:9090/api/v1/heartbeat/nightly-report?exit_code=$?&duration=90s"
//! {"status":"success","data":{"job":"nightly-report","listed":true,"due":"2026-03-02T03:30:00.000Z"}}
//! ```
//!
//! GET will do as well, for those who have nothing else; a web page of another origin may do neither.

use std::pin::Pin;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::ORIGIN;

use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{ApiError, ErrorKind, Reply, json};
use super::request::Parameters;
use super::write::told;
use crate::config::is_job_name;
use crate::ingest::IngestError;
use crate::model::percent_decoded;
use crate::notify::rfc3339;

/// What a job says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Its name.
    pub job: String,
    /// Whether it did what it should.
    pub is_good: bool,
    /// What it ended with, if it says so.
    pub exit_code: Option<i64>,
    /// How long it took, in ms, if it says so.
    pub duration_ms: Option<i64>,
}

/// A report that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeatTaken {
    /// Whether the settings have this job.
    pub is_listed: bool,
    /// Until when it is to report again, in ms since 1970 UTC.
    pub due_ms: Option<i64>,
}

/// Why a report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BeatError {
    /// So many jobs report that nobody has listed.
    #[error("more than {limit} jobs report that are not listed: put this one into `heartbeats` of the settings")]
    TooManyJobs {
        /// How many there may be.
        limit: usize,
    },
    /// It is not on disk.
    #[error(transparent)]
    NotStored(IngestError),
}

/// Takes a report, and returns when it is on disk.
pub type TakeBeat = Arc<dyn Fn(Beat) -> Taking + Send + Sync>;
/// A report that is being taken.
pub type Taking = Pin<Box<dyn Future<Output = Result<BeatTaken, BeatError>> + Send>>;

/// A job of the settings. Times are ms since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatFigures {
    /// Its name.
    pub job: String,
    /// When it is to report, for people.
    pub expected: String,
    /// `ok`, `missed`, `failed`, or `waiting` for its first report.
    pub state: &'static str,
    /// When it reported last.
    pub reported_ms: Option<i64>,
    /// When it reported a success last.
    pub good_ms: Option<i64>,
    /// Until when it is to report.
    pub due_ms: Option<i64>,
    /// How long it took, in ms.
    pub duration_ms: Option<i64>,
}

/// `/api/v1/heartbeat/{name}`
pub(super) async fn beat(call: Call) -> Result<Reply, ApiError> {
    let header = |name: &str| call.head.headers.get(name).and_then(|value| value.to_str().ok());
    // A browser says where a request comes from; an image in a page must not report for a job.
    let is_of_page = call.head.headers.contains_key(ORIGIN)
        || header("sec-fetch-site").is_some_and(|site| !matches!(site, "none" | "same-origin"));
    if is_of_page {
        return Err(ApiError::new(ErrorKind::Forbidden, "reports are not taken from web pages"));
    }
    let job = percent_decoded(&call.captured).filter(|job| is_job_name(job)).map(std::borrow::Cow::into_owned);
    let job = job.ok_or_else(|| ApiError::bad_data("the address does not end in the name of a job"))?;
    let (front, parameters) = call.parameters().await?;
    let beat = read(job.clone(), &parameters)?;
    match (front.services.take_beat)(beat).await {
        Ok(taken) => Ok(answer(&job, taken)),
        Err(error @ BeatError::TooManyJobs { .. }) => Err(ApiError::new(ErrorKind::NotFound, error.to_string())),
        Err(BeatError::NotStored(error)) => Ok(told(Err(error), StatusCode::OK)),
    }
}

fn read(job: String, parameters: &Parameters) -> Result<Beat, ApiError> {
    let exit_code = parameters.get("exit_code").map(str::parse::<i64>).transpose();
    let exit_code = exit_code.map_err(|_| ApiError::parameter("exit_code", "it is not a whole number"))?;
    let is_good = match parameters.get("status") {
        None => exit_code.is_none_or(|code| code == 0),
        Some("ok") => true,
        Some("fail") => false,
        Some(other) => return Err(ApiError::parameter("status", format!("{other:?} is neither ok nor fail"))),
    };
    let duration_ms = parameters.span_ms("duration")?;
    Ok(Beat { job, is_good, exit_code, duration_ms })
}

fn answer(job: &str, taken: BeatTaken) -> Reply {
    let hint = "this job is not listed, so nobody is told when it does not report: put it into `heartbeats` of the settings, \
                as in - { job: NAME, every: 24h }";
    let hints: Vec<String> = if taken.is_listed { Vec::new() } else { vec![hint.to_owned()] };
    let body = success(&[], &hints, |text| {
        text.raw(r#"{"job":"#);
        text.string(job);
        text.raw(&format!(r#","listed":{}"#, taken.is_listed));
        moment(text, "due", taken.due_ms);
        text.raw("}");
    });
    json(StatusCode::OK, body)
}

/// `/api/v1/heartbeats`
pub(super) async fn heartbeats(call: Call) -> Result<Reply, ApiError> {
    let heartbeats = (call.front.services.heartbeats)();
    let body = success(&[], &[], |text| {
        text.raw(r#"{"heartbeats":"#);
        text.list(&heartbeats, heartbeat);
        text.raw("}");
    });
    Ok(json(StatusCode::OK, body))
}

fn heartbeat(text: &mut JsonText, one: &HeartbeatFigures) {
    text.raw(r#"{"job":"#);
    text.string(&one.job);
    text.raw(r#","expected":"#);
    text.string(&one.expected);
    text.raw(&format!(r#","state":"{}""#, one.state));
    moment(text, "lastReport", one.reported_ms);
    moment(text, "lastSuccess", one.good_ms);
    moment(text, "due", one.due_ms);
    text.raw(r#","durationSeconds":"#);
    text.number_or_null(one.duration_ms.map(|duration_ms| duration_ms as f64 / 1000.0));
    text.raw("}");
}

fn moment(text: &mut JsonText, name: &str, time_ms: Option<i64>) {
    text.raw(&format!(r#","{name}":"#));
    match time_ms {
        Some(time_ms) => text.string(&rfc3339(time_ms)),
        None => text.raw("null"),
    }
}
