//! What clients send: bounded JSON, moments, and filters.

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use regex::Regex;
use serde::de::DeserializeOwned;

use super::super::call::Front;
use super::super::reply::Reply;
use super::super::request::Parameters;
use super::super::write::header;
use super::told;
use crate::model::compile_pattern;
use crate::notify::Matchers;

/// Longest body, in bytes: ten thousand alerts, or one silence.
const BODY_BYTES_MAX: usize = 16 << 20;

/// A body of JSON. Fails with the answer that says why it was not taken.
pub(super) async fn body<T: DeserializeOwned>(front: &Front, head: &Parts, body: Incoming) -> Result<T, Reply> {
    let content_type = header(head, CONTENT_TYPE).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let what = format!("the content type is {essence:?}, but must be application/json");
        return Err(told(StatusCode::UNSUPPORTED_MEDIA_TYPE, &what));
    }
    let read = front.bodies.read(body, BODY_BYTES_MAX, "send less at a time", &front.limits).await;
    let held = read.map_err(|error| told(error.status(), &error.to_string()))?;
    serde_json::from_slice(&held.bytes).map_err(|error| told(StatusCode::BAD_REQUEST, &error.to_string()))
}

/// A moment, in ms since 1970 UTC; `None` for the zero of Go, which says that there is none.
pub(super) fn moment(name: &str, text: Option<&str>) -> Result<Option<i64>, String> {
    let Some(text) = text.filter(|text| !text.is_empty() && !text.starts_with("0001-01-01T00:00:00")) else {
        return Ok(None);
    };
    let read = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
    read.map(Some).map_err(|_| format!("{name} {text:?} is no time of RFC 3339"))
}

/// Conditions of all parameters `filter`.
pub(super) fn filters(parameters: &Parameters) -> Result<Vec<Matchers>, String> {
    parameters.all("filter").map(Matchers::parse).collect()
}

/// A parameter that is true or false, true where it is not given.
pub(super) fn wants(parameters: &Parameters, name: &str) -> Result<bool, String> {
    match parameters.get(name) {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("{name} {other:?} is neither true nor false")),
    }
}

/// The pattern of the parameter `receiver`.
pub(super) fn receiver(parameters: &Parameters) -> Result<Option<Regex>, String> {
    parameters.get("receiver").map(compile_pattern).transpose()
}
