//! The Pushgateway's addresses: clients that push to one push here unchanged.
//!
//! ```text
//! PUT    /metrics/job/backup/shop/eu?ttl=26h    the group is what the body says             200
//! POST   /metrics/job/backup/shop/eu            metrics of the body's names are replaced    200
//! DELETE /metrics/job/backup/shop/eu            the group goes                              202
//! GET    /api/v1/metrics                        all groups, as JSON
//! PUT    /api/v1/admin/wipe                     all groups go                               202
//! ```
//!
//! The time to live stands in `ttl`, or in the header `X-Dozor-TTL` where a client lets nobody change the address.

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::Timestamp;

use super::super::admin;
use super::super::call::Call;
use super::super::json::{JsonText, success};
use super::super::reply::{ApiError, Reply, json, text};
use super::super::request::Parameters;
use super::super::write::{header, read_body, told};
use crate::config::parse_duration_ms;
use crate::ingest::{Group, GroupKey, MetricKind, Push, ShownMetric, ShownValue};

const TTL: HeaderName = HeaderName::from_static("x-dozor-ttl");
/// What stands before the group in an address.
const BEFORE: &str = "/metrics/job";

/// `/metrics/job/{rest}` and `/metrics/job@base64/{rest}`
pub(in super::super) async fn group(call: Call) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let path = head.uri.path().strip_prefix(BEFORE).unwrap_or_default().to_owned();
    if head.method == Method::DELETE {
        let deleted = front.services.pushgateway.delete(&path).await;
        return Ok(told(deleted, StatusCode::ACCEPTED));
    }
    let ttl_ms = match time_to_live(&head) {
        Ok(ttl_ms) => ttl_ms,
        Err(what) => return Ok(text(StatusCode::BAD_REQUEST, what)),
    };
    let held = match read_body(&front, body).await {
        Ok(held) => held,
        Err(reply) => return Ok(reply),
    };
    let push = Push {
        path,
        replace: head.method == Method::PUT,
        ttl_ms,
        content_type: header(&head, CONTENT_TYPE).map(str::to_owned),
        content_encoding: header(&head, CONTENT_ENCODING).map(str::to_owned),
        body: held.bytes.clone(),
    };
    Ok(told(front.services.pushgateway.push(push).await, StatusCode::OK))
}

/// `/api/v1/metrics`
pub(in super::super) async fn groups(call: Call) -> Result<Reply, ApiError> {
    let groups = call.front.services.pushgateway.all().await;
    Ok(json(StatusCode::OK, success(&[], &[], |text| text.list(&groups, write_group))))
}

/// `/api/v1/admin/wipe`
pub(in super::super) async fn wipe(call: Call) -> Result<Reply, ApiError> {
    let (front, _) = admin::admitted(call).await?;
    tracing::warn!("all pushed groups are to be deleted");
    Ok(told(front.services.pushgateway.wipe().await, StatusCode::ACCEPTED))
}

fn time_to_live(head: &Parts) -> Result<Option<i64>, String> {
    let parameters = Parameters::of_address(head).map_err(|_| "the address has a broken escape".to_owned())?;
    let given = parameters.get("ttl").or_else(|| header(head, TTL));
    let read = |text: &str| {
        parse_duration_ms(text).map_err(|what| format!("the time to live {text:?} {what}, like 90m or 26h"))
    };
    given.map(read).transpose()
}

/// One group in the Pushgateway's shape: what is about the group itself stands between its families.
fn write_group(text: &mut JsonText, group: &Group) {
    text.raw(r#"{"labels":"#);
    text.pairs(group.key.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())));
    text.raw(&format!(r#","last_push_successful":{}"#, group.is_last_push_good()));
    for family in group.shown() {
        text.raw(",");
        text.string(&family.name);
        text.raw(r#":{"time_stamp":"#);
        text.string(&Timestamp::from_millisecond(family.pushed_ms).map_or_else(|_| String::new(), |at| at.to_string()));
        text.raw(r#","type":"#);
        text.string(type_name(family.kind));
        if !family.help.is_empty() {
            text.raw(r#","help":"#);
            text.string(&family.help);
        }
        text.raw(r#","metrics":"#);
        text.list(&family.metrics, |text, metric| write_metric(text, &group.key, metric));
        text.raw("}");
    }
    text.raw("}");
}

fn write_metric(text: &mut JsonText, key: &GroupKey, metric: &ShownMetric) {
    text.raw(r#"{"labels":"#);
    let empty =
        key.pairs().iter().filter(|(_, value)| value.is_empty()).map(|(name, value)| (name.as_str(), value.as_str()));
    let own = metric.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut labels: Vec<(&str, &str)> = own.chain(empty).collect();
    // The Pushgateway says so of what has no instance, so that a scrape does not add its own.
    if labels.iter().all(|(name, _)| *name != "instance") {
        labels.push(("instance", ""));
    }
    labels.sort_unstable();
    text.pairs(labels.into_iter());
    match &metric.value {
        ShownValue::One(value) => {
            text.raw(r#","value":"#);
            text.string(value);
        }
        ShownValue::Parts { name, parts, count, sum } => {
            text.raw(&format!(r#","{name}":"#));
            text.pairs(parts.iter().map(|(bound, value)| (bound.as_str(), value.as_str())));
            text.raw(&format!(r#","count":"{count}","sum":"{sum}""#));
        }
    }
    text.raw("}");
}

/// As the Pushgateway calls it.
fn type_name(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "COUNTER",
        MetricKind::Gauge => "GAUGE",
        MetricKind::Histogram => "HISTOGRAM",
        MetricKind::Summary => "SUMMARY",
        _ => "UNTYPED",
    }
}
