//! Queries as texts: `/api/v1/format_query`, `/api/v1/parse_query`, and `/api/v1/query_exemplars`, which reads its query
//! and has nothing to show for it, since no exemplars are kept.

use hyper::StatusCode;

use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{ApiError, Reply, json};
use crate::query;

/// `/api/v1/format_query`
pub(super) async fn format_query(call: Call) -> Result<Reply, ApiError> {
    let (_, parameters) = call.parameters().await?;
    let formatted = query::format(parameters.get("query").unwrap_or(""));
    let formatted = formatted.map_err(|error| ApiError::of_query(&error, "query"))?;
    Ok(data(|text| text.string(&formatted)))
}

/// `/api/v1/parse_query`
pub(super) async fn parse_query(call: Call) -> Result<Reply, ApiError> {
    let (_, parameters) = call.parameters().await?;
    let tree = query::parse_tree(parameters.get("query").unwrap_or(""));
    let tree = tree.map_err(|error| ApiError::of_query(&error, "query"))?;
    Ok(data(|text| text.raw(&tree)))
}

/// `/api/v1/query_exemplars`. Grafana looks here whether there are exemplars, by milliseconds where seconds belong.
pub(super) async fn exemplars(call: Call) -> Result<Reply, ApiError> {
    let (_, parameters) = call.parameters().await?;
    let range = parameters.time_range()?;
    if range.to_ms < range.from_ms {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    query::plan(parameters.get("query").unwrap_or("")).map_err(|error| ApiError::bad_data(error.to_string()))?;
    Ok(data(|text| text.raw("[]")))
}

fn data(write: impl FnOnce(&mut JsonText)) -> Reply {
    json(StatusCode::OK, success(&[], &[], write))
}
