//! `/api/v1/metadata`: what the metrics mean, as Prometheus tells it.

use hyper::StatusCode;

use super::call::Call;
use super::json::success;
use super::reply::{ApiError, Reply, json};
use super::request::Parameters;
use crate::ingest::MetricMeta;

/// `/api/v1/metadata`. Of a family one description is kept, so `limit_per_metric` is read and changes nothing.
pub(super) async fn metadata(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = call.parameters().await?;
    let limit = usize::try_from(whole_number(&parameters, "limit")?.unwrap_or(-1)).unwrap_or(usize::MAX);
    whole_number(&parameters, "limit_per_metric")?;
    let known = front.services.ingest.metadata();
    let mut families = match parameters.get("metric") {
        Some(name) => known.get(name).map(|meta| (name.to_owned(), meta)).into_iter().collect(),
        None => known.all(),
    };
    families.truncate(limit);
    Ok(json(
        StatusCode::OK,
        success(&[], &[], |text| {
            text.raw("{");
            for (index, (name, MetricMeta { kind, help, unit })) in families.iter().enumerate() {
                text.raw(if index == 0 { "" } else { "," });
                text.string(name);
                text.raw(":[");
                text.pairs([("type", kind.name()), ("help", help), ("unit", unit)].into_iter());
                text.raw("]");
            }
            text.raw("}");
        }),
    ))
}

fn whole_number(parameters: &Parameters, name: &str) -> Result<Option<i64>, ApiError> {
    let number = parameters.get(name).map(str::parse).transpose();
    number.map_err(|_| ApiError::bad_data(format!("{name} must be a number")))
}
