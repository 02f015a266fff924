//! `/api/v2/status` and `/api/v2/receivers`.

use hyper::StatusCode;

use super::super::Services;
use super::super::call::Call;
use super::super::reply::{ApiError, Reply};
use super::answer;
use crate::notify::rfc3339;

/// The Alertmanager whose interface this is: its tool warns of any other than its own.
const API_VERSION: &str = "0.33.1";

/// `/api/v2/status`. The configuration is told without what its receivers are made of, which has secrets in it.
pub(in super::super) async fn status(call: Call) -> Result<Reply, ApiError> {
    let services = &call.front.services;
    let routing = (services.routing)();
    let config = routing.map_or_else(|| unrouted(services), |routing| routing.shown());
    Ok(answer(StatusCode::OK, |text| {
        text.raw(r#"{"cluster":{"name":"","peers":[],"status":"disabled"},"config":{"original":"#);
        text.string(&config);
        text.raw(r#"},"uptime":"#);
        text.string(&rfc3339(services.started_ms));
        text.raw(
            r#","versionInfo":{"branch":"","buildDate":"","buildUser":"","goVersion":"","revision":"","version":"#,
        );
        text.string(API_VERSION);
        text.raw("}}");
    }))
}

/// What Alertmanager's configuration would be: everybody is told of everything at once, each alert alone.
fn unrouted(services: &Services) -> String {
    let names = receiver_names(services);
    let routes: Vec<_> = names.iter().map(|name| serde_json::json!({ "receiver": name, "continue": true })).collect();
    let receivers: Vec<_> = names.iter().map(|name| serde_json::json!({ "name": name })).collect();
    let root = names.first().map_or("nobody", String::as_str);
    let all_receivers = if receivers.is_empty() { vec![serde_json::json!({ "name": root })] } else { receivers };
    serde_json::json!({
        "route": { "receiver": root, "group_by": ["..."], "group_wait": "0s", "routes": routes },
        "receivers": all_receivers,
    })
    .to_string()
}

fn receiver_names(services: &Services) -> Vec<String> {
    match (services.routing)() {
        Some(routing) => routing.receivers().iter().map(|receiver| receiver.name.clone()).collect(),
        None => (services.settings)().webhooks.iter().map(|webhook| webhook.name.clone()).collect(),
    }
}

/// `/api/v2/receivers`
pub(in super::super) async fn receivers(call: Call) -> Result<Reply, ApiError> {
    let names = receiver_names(&call.front.services);
    Ok(answer(StatusCode::OK, |text| {
        text.list(&names, |text, name| {
            text.raw(r#"{"name":"#);
            text.string(name);
            text.raw("}");
        });
    }))
}
