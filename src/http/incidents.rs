//! `/api/v1/incidents`: what happened, who was told, who took it; and the place where somebody takes it.
//!
//! ```text
//! GET  /api/v1/incidents?state=open&limit=10
//! POST /api/v1/incidents/inc-5a1f…-1772366475000/ack     {"by":"ada"}
//! {"status":"success","data":{"id":"inc-5a1f…","state":"acknowledged","acknowledged":{"by":"ada","at":"2026-03-01T12:17:02.000Z"},…}}
//! ```
//!
//! Times are RFC 3339 with milliseconds, but for those of charts, which are seconds since 1970; a figure that is not known
//! is `null`. Who acknowledges or writes a note says so by JSON: no form on a web page can.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Services;
use super::call::{Call, Front};
use super::json::{JsonText, success};
use super::reply::{ApiError, ErrorKind, Reply, json};
use crate::incident::{Figures, Filter, Incident, IncidentError, Signal, State};
use crate::notify::{CriticalPath, rfc3339};

/// Incidents of an answer when the client does not say how many.
const LIMIT: usize = 100;
/// Longest body.
const BODY_BYTES_MAX: usize = 16 << 10;
/// When to try again to have something noted, in s.
const RETRY_AFTER_S: u32 = 2;

/// `GET /api/v1/incidents`
pub(super) async fn list(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = call.parameters().await?;
    let state = match parameters.get("state") {
        None => None,
        Some(name) => Some(
            State::of_name(name)
                .ok_or_else(|| ApiError::parameter("state", "is none of: open, acknowledged, unknown, resolved"))?,
        ),
    };
    let filter = Filter { from_ms: parameters.time_ms("from")?, to_ms: parameters.time_ms("to")?, state };
    let limit = if parameters.get("limit").is_some() { parameters.limit()? } else { LIMIT };
    let services = front.services.clone();
    // Many of them are much to write.
    let text = front.queries.run(move |_| {
        let found = services.incidents.list(&filter);
        let now_ms = services.clock.now_ms();
        let told = if found.len() > limit {
            vec![format!("the latest {limit} of {} incidents: `limit` asks for more", found.len())]
        } else {
            Vec::new()
        };
        success(&told, &[], |text| {
            text.raw(r#"{"incidents":"#);
            let path = &services.incidents.options().path;
            text.list(found.iter().take(limit), |text, incident| one_incident(text, incident, path, now_ms));
            text.raw("}");
        })
    });
    Ok(json(StatusCode::OK, text.await?))
}

/// `GET /api/v1/incidents/<id>`
pub(super) async fn one(call: Call) -> Result<Reply, ApiError> {
    let services = &call.front.services;
    let incident = services.incidents.get(&call.captured);
    let incident = incident.ok_or_else(|| refused(IncidentError::Unknown(call.captured.clone())))?;
    Ok(told(services, &incident, &[]))
}

#[derive(Deserialize)]
struct Acknowledging {
    #[serde(default)]
    by: String,
}

/// `POST /api/v1/incidents/<id>/ack`
pub(super) async fn acknowledge(call: Call) -> Result<Reply, ApiError> {
    let (front, id, Acknowledging { by }) = said(call, r#"{"by":"ada"}"#).await?;
    let incidents = front.services.incidents.clone();
    // It waits for the disk.
    let acknowledged = front.queries.run(move |_| incidents.acknowledge(&id, &by)).await?;
    let (incident, is_first) = acknowledged.map_err(refused)?;
    let earlier = incident.acknowledgement().filter(|_| !is_first);
    let earlier = earlier.map(|one| format!("{} had acknowledged it at {} already", one.by, rfc3339(one.at_ms)));
    Ok(told(&front.services, &incident, &Vec::from_iter(earlier)))
}

#[derive(Deserialize)]
struct Noting {
    #[serde(default)]
    by: String,
    #[serde(default)]
    text: String,
}

/// `POST /api/v1/incidents/<id>/notes`
pub(super) async fn add_note(call: Call) -> Result<Reply, ApiError> {
    let (front, id, Noting { by, text }) = said(call, r#"{"by":"ada","text":"the bank is down"}"#).await?;
    let incidents = front.services.incidents.clone();
    let noted = front.queries.run(move |_| incidents.add_note(&id, &by, &text)).await?;
    let noted = noted.map_err(refused)?;
    Ok(told(&front.services, &noted, &[]))
}

/// What the body says, and of which incident.
pub(super) async fn said<T: DeserializeOwned>(call: Call, example: &str) -> Result<(Arc<Front>, String, T), ApiError> {
    let content_type = call.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let error = ApiError::bad_data("the content type must be application/json");
        return Err(error.hint(format!("send {example}")));
    }
    let Call { front, body, captured, .. } = call;
    let said = {
        let held = front.bodies.read(body, BODY_BYTES_MAX, "say it in fewer words", &front.limits).await?;
        serde_json::from_slice(&held.bytes)
    };
    let said = said.map_err(|error| {
        ApiError::bad_data(format!("the body is no JSON of this request: {error}")).hint(format!("send {example}"))
    })?;
    Ok((front, captured, said))
}

fn refused(error: IncidentError) -> ApiError {
    let what = error.to_string();
    match error {
        IncidentError::Unknown(_) => {
            ApiError::new(ErrorKind::NotFound, what).hint("GET /api/v1/incidents lists those that are kept")
        }
        IncidentError::Resolved { .. } => ApiError::new(ErrorKind::Conflict, what).hint("a note can still be written"),
        IncidentError::Refused(_) => ApiError::bad_data(what),
        IncidentError::Disk(_) => ApiError::new(ErrorKind::Unavailable, what).retry_after(RETRY_AFTER_S),
    }
}

fn told(services: &Services, incident: &Incident, warnings: &[String]) -> Reply {
    let (path, now_ms) = (&services.incidents.options().path, services.clock.now_ms());
    json(StatusCode::OK, success(warnings, &[], |text| one_incident(text, incident, path, now_ms)))
}

fn one_incident(text: &mut JsonText, incident: &Incident, path: &CriticalPath, now_ms: i64) {
    text.raw(r#"{"id":"#);
    text.string(&incident.id);
    for (name, value) in [
        ("state", incident.state().name()),
        ("title", &incident.title(path)),
        ("severity", incident.severity()),
        ("onset", &rfc3339(incident.onset_ms())),
        ("detectedAt", &rfc3339(incident.opened_ms)),
    ] {
        member(text, name);
        text.string(value);
    }
    moment(text, "firstNotifiedAt", incident.first_notified_ms);
    member(text, "acknowledged");
    match incident.acknowledgement() {
        None => text.raw("null"),
        Some(acknowledgement) => {
            text.raw(r#"{"by":"#);
            text.string(&acknowledgement.by);
            moment(text, "at", Some(acknowledgement.at_ms));
            text.raw("}");
        }
    }
    moment(text, "resolvedAt", incident.resolved_ms());
    seconds(text, "durationSeconds", incident.duration_ms(now_ms));
    seconds(text, "lagSeconds", incident.lag_ms());
    root(text, incident.root(path));
    member(text, "signals");
    text.list(&incident.signals, signal);
    member(text, "runbookUrl");
    match incident.runbook_url(path) {
        Some(url) => text.string(url),
        None => text.raw("null"),
    }
    member(text, "unknownJobs");
    text.strings(&incident.unknown_jobs);
    said_and_done(text, incident);
    text.raw("}");
}

fn root(text: &mut JsonText, root: Option<&Signal>) {
    member(text, "root");
    text.raw(r#"{"alertname":"#);
    text.string(root.map_or("", |root| root.label("alertname")));
    member(text, "labels");
    match root {
        Some(root) => text.labels(&root.alert.labels),
        None => text.raw("{}"),
    }
    text.raw("}");
}

fn signal(text: &mut JsonText, signal: &Signal) {
    let alert = &signal.alert;
    text.raw(&format!(r#"{{"fingerprint":"{:016x}""#, signal.fingerprint));
    member(text, "labels");
    text.labels(&alert.labels);
    member(text, "annotations");
    text.pairs(alert.annotations.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    moment(text, "startsAt", Some(alert.starts_at_ms));
    moment(text, "endsAt", alert.ends_at_ms);
    moment(text, "onset", Some(alert.began_ms()));
    member(text, "silencedBy");
    match &signal.silenced_by {
        None => text.raw("null"),
        Some(silenced_by) => {
            text.raw(r#"{"id":"#);
            text.string(&silenced_by.id);
            member(text, "createdBy");
            text.string(&silenced_by.created_by);
            member(text, "comment");
            text.string(&silenced_by.comment);
            text.raw("}");
        }
    }
    let none = Figures::default();
    let figures = signal.figures.as_ref().unwrap_or(&none);
    member(text, "value");
    text.number_or_null(figures.value);
    member(text, "expected");
    text.number_or_null(figures.expected);
    member(text, "chart");
    text.list(&figures.chart, |text, (at_ms, value, expected)| {
        text.raw("[");
        text.seconds(*at_ms);
        text.raw(",");
        text.number_or_null(*value);
        text.raw(",");
        text.number_or_null(*expected);
        text.raw("]");
    });
    text.raw("}");
}

/// Notes, escalations and deliveries.
fn said_and_done(text: &mut JsonText, incident: &Incident) {
    member(text, "notes");
    text.list(&incident.notes, |text, note| {
        text.raw(&format!(r#"{{"at":"{}","by":"#, rfc3339(note.at_ms)));
        text.string(&note.by);
        member(text, "text");
        text.string(&note.text);
        text.raw("}");
    });
    member(text, "escalations");
    text.list(&incident.escalations, |text, told| {
        text.raw(&format!(r#"{{"at":"{}","step":{},"receiver":"#, rfc3339(told.at_ms), told.step));
        text.string(&told.receiver);
        text.raw("}");
    });
    member(text, "deliveries");
    text.list(&incident.deliveries, |text, delivery| {
        text.raw(&format!(r#"{{"at":"{}""#, rfc3339(delivery.at_ms)));
        let result = delivery.result.name();
        for (name, value) in [
            ("receiver", delivery.receiver.as_str()),
            ("id", &delivery.id),
            ("result", result),
            ("reason", &delivery.reason),
        ] {
            member(text, name);
            text.string(value);
        }
        text.raw("}");
    });
    let Incident { delivered_count, failed_count, given_up_count, .. } = incident;
    text.raw(&format!(
        r#","deliveryCounts":{{"delivered":{delivered_count},"failed":{failed_count},"givenUp":{given_up_count}}}"#
    ));
}

fn member(text: &mut JsonText, name: &str) {
    text.raw(&format!(r#","{name}":"#));
}

fn moment(text: &mut JsonText, name: &str, at_ms: Option<i64>) {
    member(text, name);
    match at_ms {
        Some(at_ms) => text.string(&rfc3339(at_ms)),
        None => text.raw("null"),
    }
}

fn seconds(text: &mut JsonText, name: &str, span_ms: i64) {
    member(text, name);
    text.number_or_null(Some(span_ms as f64 / 1000.0));
}
