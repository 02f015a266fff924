//! `/api/v1/calendar`: somebody announces that the next hours will not be like others, and takes it back.
//!
//! ```text
//! POST   /api/v1/calendar            {"kind":"campaign","from":"2026-11-27T14:00","to":"2026-11-27T18:00","by":"dana","comment":"flash sale"}
//!                                    {"status":"success","data":{"id":"7f3a9c21","state":"pending",…}}
//! GET    /api/v1/calendar            what was announced, and what the settings have
//! DELETE /api/v1/calendar/7f3a9c21   {"status":"success","data":{"id":"7f3a9c21",…}}
//! ```
//!
//! What changes something needs a JSON body or the method DELETE, which no browser sends for a stranger's page without
//! asking first, and is not allowed to. Who announced what and why, and what was taken back, is told in the log.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::alertmanager::on_thread;
use super::call::Call;
use super::incidents::said;
use super::json::{JsonText, success};
use super::reply::{ApiError, ErrorKind, Reply, json};
use crate::config::CalendarSpan;
use crate::detect::{AnnounceError, AnnounceRequest, Announced};
use crate::notify::rfc3339;

/// What a client sends.
const EXAMPLE: &str =
    r#"{"kind":"campaign","from":"2026-11-27T14:00","to":"2026-11-27T18:00","by":"dana","comment":"flash sale"}"#;
/// When to try again to have something noted, in s.
const RETRY_AFTER_S: u32 = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    tolerance: Option<f64>,
    #[serde(default)]
    by: String,
    #[serde(default)]
    comment: String,
}

/// `/api/v1/calendar`
pub(super) async fn calendar(call: Call) -> Result<Reply, ApiError> {
    if call.head.method == Method::POST { announce(call).await } else { Ok(list(&call)) }
}

fn list(call: &Call) -> Reply {
    let announcements = &call.front.services.announcements;
    let (in_force, now_ms) = (announcements.in_force(), announcements.now_ms());
    data(&[], |text| {
        text.raw(r#"{"announced":"#);
        text.list(&in_force.announced, |text, span| one(text, span, now_ms));
        text.raw(r#","settings":"#);
        text.list(&in_force.written, written);
        text.raw("}");
    })
}

async fn announce(call: Call) -> Result<Reply, ApiError> {
    let (front, _, given) = said::<Given>(call, EXAMPLE).await?;
    let Given { kind, from, to, tolerance, by, comment } = given;
    let request = AnnounceRequest { kind, from, to, tolerance, by, comment };
    let announcements = front.services.announcements.clone();
    let span = on_thread(move || announcements.announce(request)).await?.map_err(refused)?;
    let Announced { id, kind, by, comment, tolerance, .. } = &*span;
    let (kind, from, to) = (kind.name(), rfc3339(span.from_ms), rfc3339(span.to_ms));
    tracing::info!(id, kind, from, to, tolerance, by, comment, "announced for the calendar");
    let begun = (span.from_ms < span.announced_ms).then(|| {
        "it began before it was announced: what was judged already is not judged again, and an alert that fires goes on \
         until what it watches is within the span's tolerance"
            .to_owned()
    });
    Ok(data(&Vec::from_iter(begun), |text| one(text, &span, span.announced_ms)))
}

/// `/api/v1/calendar/<id>`
pub(super) async fn withdraw(call: Call) -> Result<Reply, ApiError> {
    let (announcements, id) = (call.front.services.announcements.clone(), call.captured);
    let now_ms = announcements.now_ms();
    let span: Arc<Announced> = on_thread(move || announcements.withdraw(&id)).await?.map_err(refused)?;
    let Announced { id, by, comment, .. } = &*span;
    tracing::info!(id, by, comment, "a span was taken out of the calendar by HTTP");
    Ok(data(&[], |text| one(text, &span, now_ms)))
}

fn refused(error: AnnounceError) -> ApiError {
    let what = error.to_string();
    match error {
        AnnounceError::Refused { .. } => ApiError::bad_data(what).hint(format!("send {EXAMPLE}")),
        AnnounceError::Full => ApiError::bad_data(what).hint("DELETE /api/v1/calendar/<id>"),
        AnnounceError::NotFound(_) => {
            ApiError::new(ErrorKind::NotFound, what).hint("GET /api/v1/calendar lists those that are")
        }
        AnnounceError::Disk(_) => {
            tracing::error!(what, "a span of the calendar could not be kept");
            ApiError::new(ErrorKind::Unavailable, what).retry_after(RETRY_AFTER_S)
        }
        AnnounceError::Damaged { .. } | AnnounceError::Settings(_) => ApiError::new(ErrorKind::Internal, what),
    }
}

fn data(warnings: &[String], write: impl FnOnce(&mut JsonText)) -> Reply {
    json(StatusCode::OK, success(warnings, &[], write))
}

fn one(text: &mut JsonText, span: &Announced, now_ms: i64) {
    text.raw(r#"{"id":"#);
    text.string(&span.id);
    for (name, value) in [
        ("state", span.state(now_ms).name()),
        ("kind", span.kind.name()),
        ("from", &rfc3339(span.from_ms)),
        ("to", &rfc3339(span.to_ms)),
        ("by", &span.by),
        ("comment", &span.comment),
        ("announcedAt", &rfc3339(span.announced_ms)),
    ] {
        text.raw(&format!(r#","{name}":"#));
        text.string(value);
    }
    text.raw(&format!(r#","tolerance":{}}}"#, span.tolerance));
}

fn written(text: &mut JsonText, span: &CalendarSpan) {
    text.raw(r#"{"name":"#);
    text.string(&span.name);
    for (name, value) in [("kind", span.kind.name()), ("from", &span.from.shown()), ("to", &span.to.shown())] {
        text.raw(&format!(r#","{name}":"#));
        text.string(value);
    }
    text.raw(&format!(r#","tolerance":{}}}"#, span.tolerance));
}
