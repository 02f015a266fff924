//! What a Prometheus says of its scraping and its Alertmanagers, from one that has neither: metrics are pushed here, and
//! pages go out by webhook. Tools that look around find empty lists where they expect lists.

use hyper::StatusCode;

use super::call::Call;
use super::json::success;
use super::reply::{ApiError, Reply, json};

/// `/api/v1/targets`
pub(super) async fn targets(call: Call) -> Result<Reply, ApiError> {
    let (_, parameters) = call.parameters().await?;
    // Prometheus counts what it dropped only for those who ask for the dropped ones.
    let counts = match parameters.get("state") {
        None | Some("any" | "dropped") => "{}",
        Some(_) => "null",
    };
    Ok(data(&format!(r#"{{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{counts}}}"#)))
}

/// `/api/v1/targets/metadata`
pub(super) async fn target_metadata(call: Call) -> Result<Reply, ApiError> {
    let (_, parameters) = call.parameters().await?;
    match parameters.get("limit").map(str::parse::<i64>) {
        Some(Err(_)) => Err(ApiError::bad_data("limit must be a number")),
        _ => Ok(data("[]")),
    }
}

/// `/api/v1/scrape_pools`
pub(super) async fn scrape_pools(_: Call) -> Result<Reply, ApiError> {
    Ok(data(r#"{"scrapePools":[]}"#))
}

/// `/api/v1/alertmanagers`
pub(super) async fn alertmanagers(_: Call) -> Result<Reply, ApiError> {
    Ok(data(r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#))
}

/// `/api/v1/notifications`: what the operator should know at once, for the page that Prometheus has and we do not.
pub(super) async fn notifications(_: Call) -> Result<Reply, ApiError> {
    Ok(data("[]"))
}

fn data(text_of_data: &str) -> Reply {
    json(StatusCode::OK, success(&[], &[], |text| text.raw(text_of_data)))
}
