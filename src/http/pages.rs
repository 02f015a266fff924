//! Small pages: health, our own metrics, what there is, and Prometheus addresses that have little to say here.

use std::sync::atomic::Ordering;

use hyper::StatusCode;

use super::Recovery;
use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{self, ApiError, ErrorKind, Reply, json, text};
use super::routes::ROUTES;
use crate::storage::MetDamage;
use crate::telemetry::Registry;

/// The Prometheus whose interface this is: Grafana decides by it what it may ask for.
const API_VERSION: &str = "3.5.0";

/// `/`
pub(super) async fn index(_: Call) -> Result<Reply, ApiError> {
    Ok(index_text())
}

pub(super) fn index_text() -> Reply {
    let mut page = format!("dozor {}\n", env!("CARGO_PKG_VERSION"));
    for route in ROUTES {
        let methods = route.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(",");
        page.push_str(&format!("\n{methods:<14} {}", route.path));
    }
    page.push_str("\n\nIn Grafana, add a Prometheus data source with this server's address.");
    text(StatusCode::OK, page)
}

/// `/-/healthy`
pub(super) async fn healthy(_: Call) -> Result<Reply, ApiError> {
    Ok(healthy_text())
}

pub(super) fn healthy_text() -> Reply {
    text(StatusCode::OK, "dozor is healthy.")
}

/// `/-/ready`
pub(super) async fn ready(call: Call) -> Result<Reply, ApiError> {
    if call.front.services.ready.load(Ordering::SeqCst) {
        Ok(text(StatusCode::OK, "dozor is ready."))
    } else {
        Ok(text(StatusCode::SERVICE_UNAVAILABLE, "dozor is stopping."))
    }
}

/// `/runbooks/{name}`: what the annotation `runbook` of a pack's alert links to.
pub(super) async fn runbook(call: Call) -> Result<Reply, ApiError> {
    let name = &call.captured;
    let found = crate::rules::runbook(name).map(|markdown| text(StatusCode::OK, markdown.to_owned()));
    found.ok_or_else(|| {
        let what = format!("no alert of a rule pack is called {name}");
        ApiError::new(ErrorKind::NotFound, what).hint("dozor pack list tells them")
    })
}

/// `/metrics`
pub(super) async fn metrics(call: Call) -> Result<Reply, ApiError> {
    Ok(exposition(&call.front.services.registry))
}

pub(super) fn exposition(registry: &Registry) -> Reply {
    reply::reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", registry.render().into_bytes())
}

/// `/api/v1/status/buildinfo`. No `features`: Grafana would take the server for a Mimir.
pub(super) async fn build_info(_: Call) -> Result<Reply, ApiError> {
    Ok(build_info_json())
}

pub(super) fn build_info_json() -> Reply {
    let pairs = [
        ("version", API_VERSION),
        ("revision", ""),
        ("branch", ""),
        ("buildUser", ""),
        ("buildDate", ""),
        ("goVersion", ""),
        ("engine", "dozor"),
        ("engineVersion", env!("CARGO_PKG_VERSION")),
    ];
    data(|text| {
        for (index, (key, value)) in pairs.iter().enumerate() {
            text.raw(if index == 0 { "{" } else { "," });
            text.string(key);
            text.raw(":");
            text.string(value);
        }
        text.raw("}");
    })
}

/// `/api/v1/status/walreplay`: how the start went, in segments of the log.
pub(super) async fn replay(call: Call) -> Result<Reply, ApiError> {
    Ok(replay_json(&(call.front.recovery)(), "done"))
}

pub(super) fn replay_json(recovery: &Recovery, state: &str) -> Reply {
    let Recovery { segment_count, segments_read, sample_count } = recovery;
    data(|text| {
        text.raw(&format!(r#"{{"min":0,"max":{segment_count},"current":{segments_read},"state":"{state}","#));
        text.raw(&format!(r#""samples":{sample_count}}}"#));
    })
}

/// `/api/v1/status/damage`: places on disk that could not be read since the start, oldest first.
pub(super) async fn damage(call: Call) -> Result<Reply, ApiError> {
    let damages = (call.front.services.damage)();
    Ok(data(|text| {
        text.raw(r#"{"damage":"#);
        text.list(&damages, one_damage);
        text.raw("}");
    }))
}

fn one_damage(text: &mut JsonText, damage: &MetDamage) {
    text.raw(r#"{"file":"#);
    text.string(&damage.file.to_string_lossy());
    if let Some(offset) = damage.offset {
        text.raw(&format!(r#","offset":{offset}"#));
    }
    text.raw(r#","what":"#);
    text.string(&damage.what);
    if let Some(series) = &damage.series {
        text.raw(r#","series":"#);
        text.labels(series);
    }
    if let Some(range) = damage.range {
        text.raw(r#","from":"#);
        text.seconds(range.from_ms);
        text.raw(r#","to":"#);
        text.seconds(range.to_ms);
    }
    text.raw(r#","firstMet":"#);
    text.seconds(damage.first_met_ms);
    text.raw(&format!(r#","met":{}}}"#, damage.met_count));
}

fn data(write: impl FnOnce(&mut JsonText)) -> Reply {
    json(StatusCode::OK, success(&[], &[], write))
}
