//! What a request brings: a bounded body, or parameters from its address and form.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::limits::{FORM_BYTES_MAX, HttpLimits};
use super::reply::ApiError;

/// The unit in which the bytes of bodies are counted against their common bound.
const BUDGET_UNIT_BYTES: usize = 1024;

/// A body that was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request body is longer than {limit} bytes: {remedy}")]
    TooLarge { limit: usize, remedy: &'static str },
    #[error("the request body did not arrive in time")]
    TooSlow,
    #[error("too many requests are being read: try again")]
    Busy,
    #[error("the request body broke off: {0}")]
    Broken(String),
}

impl BodyError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // Not 408: senders of remote write drop what is answered so, and try 5xx again.
            BodyError::TooSlow | BodyError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// The bound on the bytes of all bodies together.
pub(super) struct BodyBudget(Semaphore);

/// A body, and its share of the budget while it lives.
pub(super) struct HeldBody<'a> {
    pub(super) bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

impl BodyBudget {
    pub(super) fn new(limits: &HttpLimits) -> BodyBudget {
        BodyBudget(Semaphore::new((limits.bodies_bytes_max / BUDGET_UNIT_BYTES).min(Semaphore::MAX_PERMITS)))
    }

    /// Reads a body. One that says that it is too long is refused unread; others are counted as they come, and take
    /// of the budget only what has come, so that announcing much costs nobody anything.
    pub(super) async fn read(
        &self,
        body: Incoming,
        limit: usize,
        remedy: &'static str,
        limits: &HttpLimits,
    ) -> Result<HeldBody<'_>, BodyError> {
        let announced = body.size_hint().exact();
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(BodyError::TooLarge { limit, remedy });
        }
        let read = self.read_counted(body, limit, remedy);
        tokio::time::timeout(limits.body_timeout, read).await.unwrap_or(Err(BodyError::TooSlow))
    }

    async fn read_counted(
        &self,
        mut body: Incoming,
        limit: usize,
        remedy: &'static str,
    ) -> Result<HeldBody<'_>, BodyError> {
        let mut bytes = BytesMut::new();
        let mut share: Option<SemaphorePermit<'_>> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
            // A trailer says nothing that we read; hyper bounds its length.
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(BodyError::TooLarge { limit, remedy });
            }
            let units = units(bytes.len() + data.len()) - units(bytes.len());
            let more = self.0.try_acquire_many(units).map_err(|_| BodyError::Busy)?;
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(HeldBody { bytes: bytes.freeze(), _share: share })
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BUDGET_UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// Parameters in the order in which they were given, the form's before the address's, as Go reads them.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the address, and of a POST or PUT the form in its body too.
    pub(super) async fn read(
        head: &Parts,
        body: Incoming,
        budget: &BodyBudget,
        limits: &HttpLimits,
    ) -> Result<Parameters, ApiError> {
        let mut parameters = Vec::new();
        if (head.method == Method::POST || head.method == Method::PUT) && is_form(head) {
            let held = budget.read(body, FORM_BYTES_MAX, "ask for less in one query", limits).await?;
            let text = std::str::from_utf8(&held.bytes).map_err(|_| ApiError::bad_data("the form is not UTF-8"))?;
            decode_form(text, &mut parameters)?;
        }
        decode_form(head.uri.query().unwrap_or(""), &mut parameters)?;
        Ok(Parameters(parameters))
    }

    /// Reads the address alone, where the body is something else whatever its type says.
    pub(super) fn of_address(head: &Parts) -> Result<Parameters, ApiError> {
        let mut parameters = Vec::new();
        decode_form(head.uri.query().unwrap_or(""), &mut parameters)?;
        Ok(Parameters(parameters))
    }

    /// The first value of this name; empty counts as not given, as Prometheus has it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let first = self.0.iter().find(|(other, _)| other == name);
        first.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

fn is_form(head: &Parts) -> bool {
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Reads `a=1&b=x+y%21` into pairs.
fn decode_form(text: &str, pairs: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let read = |text: &str| {
            percent_decode(&text.replace('+', " "))
                .ok_or_else(|| ApiError::bad_data(format!("invalid URL escape or not UTF-8: {text:?}")))
        };
        pairs.push((read(name)?, read(value)?));
    }
    Ok(())
}

/// Reads `%41` as `A`. Nothing if an escape is cut off or the bytes are not UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}
