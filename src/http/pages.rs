//! Small pages: health, our own metrics, what there is, and Prometheus addresses that have little to say here.

use std::sync::atomic::Ordering;

use hyper::StatusCode;

use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{self, ApiError, Reply, json, text};
use super::routes::ROUTES;

/// The Prometheus whose interface this is: Grafana decides by it what it may ask for.
const API_VERSION: &str = "3.5.0";

/// `/`
pub(super) async fn index(_: Call) -> Result<Reply, ApiError> {
    let mut page = format!("dozor {}\n", env!("CARGO_PKG_VERSION"));
    for route in ROUTES {
        let methods = route.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(",");
        page.push_str(&format!("\n{methods:<14} {}", route.path));
    }
    page.push_str("\n\nIn Grafana, add a Prometheus data source with this server's address.");
    Ok(text(StatusCode::OK, page))
}

/// `/-/healthy`
pub(super) async fn healthy(_: Call) -> Result<Reply, ApiError> {
    Ok(text(StatusCode::OK, "dozor is healthy."))
}

/// `/-/ready`
pub(super) async fn ready(call: Call) -> Result<Reply, ApiError> {
    if call.front.services.ready.load(Ordering::SeqCst) {
        Ok(text(StatusCode::OK, "dozor is ready."))
    } else {
        Ok(text(StatusCode::SERVICE_UNAVAILABLE, "dozor is stopping."))
    }
}

/// `/metrics`
pub(super) async fn metrics(call: Call) -> Result<Reply, ApiError> {
    let text = call.front.services.registry.render();
    Ok(reply::reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes()))
}

/// `/api/v1/status/buildinfo`. No `features`: Grafana would take the server for a Mimir.
pub(super) async fn build_info(_: Call) -> Result<Reply, ApiError> {
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
    Ok(data(|text| {
        for (index, (key, value)) in pairs.iter().enumerate() {
            text.raw(if index == 0 { "{" } else { "," });
            text.string(key);
            text.raw(":");
            text.string(value);
        }
        text.raw("}");
    }))
}

/// `/api/v1/query_exemplars`: none are kept.
pub(super) async fn empty_list(_: Call) -> Result<Reply, ApiError> {
    Ok(data(|text| text.raw("[]")))
}

/// `/api/v1/metadata`: none is kept.
pub(super) async fn empty_object(_: Call) -> Result<Reply, ApiError> {
    Ok(data(|text| text.raw("{}")))
}

fn data(write: impl FnOnce(&mut JsonText)) -> Reply {
    json(StatusCode::OK, success(&[], &[], write))
}
