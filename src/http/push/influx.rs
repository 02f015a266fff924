//! Influx's addresses: writes of both versions, and what their clients ask before they write.
//!
//! Clients retry what is answered 429 or 5xx, and read why from JSON: `{"error":"…"}` in version 1,
//! `{"code":"invalid","message":"…"}` in version 2. A refused line is a 400 that says how much is stored all the same.

use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, HeaderName, HeaderValue};

use crate::http::call::Call;
use crate::http::json::JsonText;
use crate::http::reply::{ApiError, Reply, json, no_content};
use crate::http::request::Parameters;
use crate::http::write::{header, read_body, with_retry_after};
use crate::ingest::{InfluxPrecision, InfluxWrite, IngestError, Written};

/// Clients show it to people, and none decides anything by it.
const VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
const VERSION_TOLD: &str = concat!("dozor-", env!("CARGO_PKG_VERSION"));

/// `/write`
pub(in crate::http) async fn influx_write_v1(call: Call) -> Result<Reply, ApiError> {
    write(call, error_v1).await
}

/// `/api/v2/write`
pub(in crate::http) async fn influx_write_v2(call: Call) -> Result<Reply, ApiError> {
    write(call, error_v2).await
}

async fn write(call: Call, error_text: fn(StatusCode, &str) -> JsonText) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let parameters = Parameters::of_address(&head)?;
    let Some(precision) = InfluxPrecision::read(parameters.get("precision").unwrap_or("")) else {
        let what = "the precision is none of ns, us, ms, s, m, h";
        return Ok(json(StatusCode::BAD_REQUEST, error_text(StatusCode::BAD_REQUEST, what)));
    };
    let held = match read_body(&front, body).await {
        Ok(held) => held,
        Err(reply) => return Ok(reply),
    };
    let write = InfluxWrite { db: parameters.get("db").unwrap_or(""), precision };
    let encoding = header(&head, CONTENT_ENCODING);
    Ok(told(front.services.ingest.influx(write, encoding, held.bytes.clone()).await, error_text))
}

fn told(outcome: Result<Written, IngestError>, error_text: fn(StatusCode, &str) -> JsonText) -> Reply {
    let error = match outcome {
        Ok(_) => return versioned(no_content()),
        Err(error) => error,
    };
    let status = StatusCode::from_u16(error.status()).expect("ingest names statuses of HTTP");
    let what = match &error {
        IngestError::Partial(partial) => format!("partial write: {partial}"),
        other => other.told(),
    };
    with_retry_after(versioned(json(status, error_text(status, &what))), error.retry_after_s())
}

fn error_v1(_: StatusCode, what: &str) -> JsonText {
    let mut text = JsonText::new();
    text.raw(r#"{"error":"#);
    text.string(what);
    text.raw("}");
    text
}

fn error_v2(status: StatusCode, what: &str) -> JsonText {
    let code = match status.as_u16() {
        413 => "request too large",
        415 => "unsupported media type",
        429 => "too many requests",
        503 => "unavailable",
        _ => "invalid",
    };
    let mut text = JsonText::new();
    text.raw(r#"{"code":"#);
    text.string(code);
    text.raw(r#","message":"#);
    text.string(what);
    text.raw("}");
    text
}

/// `/ping`
pub(in crate::http) async fn influx_ping(_: Call) -> Result<Reply, ApiError> {
    Ok(versioned(no_content()))
}

/// `/health`
pub(in crate::http) async fn influx_health(call: Call) -> Result<Reply, ApiError> {
    let is_ready = call.front.services.ready.load(std::sync::atomic::Ordering::SeqCst);
    let (status, word, message) = match is_ready {
        true => (StatusCode::OK, "pass", "ready for queries and writes"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "fail", "stopping"),
    };
    let mut text = JsonText::new();
    text.raw(r#"{"name":"dozor","status":""#);
    text.raw(word);
    text.raw(r#"","message":""#);
    text.raw(message);
    text.raw(r#"","version":"#);
    text.string(env!("CARGO_PKG_VERSION"));
    text.raw(r#","checks":[]}"#);
    Ok(versioned(json(status, text)))
}

/// `/query`: databases need not be created here, so whoever wants one is told that it is done.
pub(in crate::http) async fn influx_query(call: Call) -> Result<Reply, ApiError> {
    let (_, parameters) = call.parameters().await?;
    let statement = parameters.get("q").unwrap_or("").trim_start();
    let creates = statement.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("create database"));
    if !creates {
        let what = "InfluxQL is not spoken here but for CREATE DATABASE; ask in PromQL at /api/v1/query";
        return Ok(json(StatusCode::BAD_REQUEST, error_v1(StatusCode::BAD_REQUEST, what)));
    }
    let mut text = JsonText::new();
    text.raw(r#"{"results":[{"statement_id":0}]}"#);
    Ok(versioned(json(StatusCode::OK, text)))
}

fn versioned(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(VERSION, HeaderValue::from_static(VERSION_TOLD));
    reply
}
