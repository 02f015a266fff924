//! What a request brings: a bounded body, or parameters from its address and form.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::limits::{FORM_BYTES_MAX, HttpLimits};
use super::reply::ApiError;
use crate::model::percent_decoded;
use crate::telemetry::{Counter, Registry};

/// The unit in which the bytes of bodies are counted against their common bound.
const BUDGET_UNIT_BYTES: usize = 1024;
/// Longest body that is read only to be thrown away: of a longer one it is cheaper to make a new connection.
const DISCARDED_BYTES_MAX: u64 = 1 << 20;

/// A body that was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request body is longer than {limit} bytes: {remedy}")]
    TooLarge { limit: usize, remedy: &'static str },
    #[error("the request body did not arrive in time (limits.body_timeout, limits.body_rate_min)")]
    TooSlow,
    #[error("too many requests are being read, more than {0} bytes (limits.body_bytes_in_flight_max): try again")]
    Busy(usize),
    #[error("the request body broke off: {0}")]
    Broken(String),
}

impl BodyError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // Not 408: senders of remote write drop what is answered so, and try 5xx again.
            BodyError::TooSlow | BodyError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// The bound on the bytes of all bodies together.
pub(super) struct BodyBudget {
    room: Arc<Semaphore>,
    bytes_max: usize,
    too_large: Counter,
    too_slow: Counter,
    busy: Counter,
    broken: Counter,
}

/// A body, and its share of the budget while it lives.
pub(super) struct HeldBody<'a> {
    pub(super) bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

impl BodyBudget {
    pub(super) fn new(limits: &HttpLimits, registry: &Registry) -> BodyBudget {
        let units = (limits.bodies_bytes_max / BUDGET_UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(units));
        let free = room.clone();
        let in_flight = move || ((units - free.available_permits().min(units)) * BUDGET_UNIT_BYTES) as f64;
        registry.gauge_fn("dozor_http_body_bytes_in_flight", "Bytes of request bodies in memory.", &[], in_flight);
        let bytes_max = units * BUDGET_UNIT_BYTES;
        let (name, help) = ("dozor_http_body_bytes_in_flight_max", "Bound of limits.body_bytes_in_flight_max.");
        registry.gauge(name, help, &[]).set(i64::try_from(bytes_max).unwrap_or(i64::MAX));
        let refused = |reason| {
            let help = "Request bodies that were not taken, by reason.";
            registry.counter("dozor_http_bodies_refused_total", help, &[("reason", reason)])
        };
        BodyBudget {
            room,
            bytes_max,
            too_large: refused("too_large"),
            too_slow: refused("too_slow"),
            busy: refused("bytes_in_flight"),
            broken: refused("broken"),
        }
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
        let read = self.read_counted(body, limit, remedy, limits).await;
        if let Err(error) = &read {
            match error {
                BodyError::TooLarge { .. } => self.too_large.increment(),
                BodyError::TooSlow => self.too_slow.increment(),
                BodyError::Busy(_) => self.busy.increment(),
                BodyError::Broken(_) => self.broken.increment(),
            }
        }
        read
    }

    async fn read_counted(
        &self,
        mut body: Incoming,
        limit: usize,
        remedy: &'static str,
        limits: &HttpLimits,
    ) -> Result<HeldBody<'_>, BodyError> {
        if body.size_hint().exact().is_some_and(|length| length > limit as u64) {
            return Err(BodyError::TooLarge { limit, remedy });
        }
        let mut bytes = BytesMut::new();
        let mut share: Option<SemaphorePermit<'_>> = None;
        let pace = Pace::new(limits);
        while let Some(data) = pace.next(&mut body, bytes.len()).await? {
            if bytes.len() + data.len() > limit {
                return Err(BodyError::TooLarge { limit, remedy });
            }
            let units = units(bytes.len() + data.len()) - units(bytes.len());
            let more = self.room.try_acquire_many(units).map_err(|_| BodyError::Busy(self.bytes_max))?;
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(HeldBody { bytes: bytes.freeze(), _share: share })
    }

    /// Reads a body and keeps nothing of it, so that its connection lives on behind an answer that did not need it. A
    /// long or slow one is left where it is, and its connection ends with the answer.
    pub(super) async fn discard(&self, mut body: Incoming, limits: &HttpLimits) {
        let announced = body.size_hint().exact();
        if announced.is_none_or(|length| length > DISCARDED_BYTES_MAX) {
            return;
        }
        let pace = Pace::new(limits);
        let mut discarded = 0;
        while let Ok(Some(data)) = pace.next(&mut body, discarded).await {
            discarded += data.len();
        }
    }
}

/// How fast a body must come.
struct Pace {
    began: Instant,
    timeout: Duration,
    patience: Duration,
    rate_min: usize,
}

impl Pace {
    fn new(limits: &HttpLimits) -> Pace {
        let HttpLimits { body_timeout, body_patience, body_rate_min, .. } = *limits;
        Pace { began: Instant::now(), timeout: body_timeout, patience: body_patience, rate_min: body_rate_min }
    }

    /// The next piece of a body of which so many bytes have come; `None` at its end.
    async fn next(&self, body: &mut Incoming, arrived: usize) -> Result<Option<Bytes>, BodyError> {
        let allowed = match self.rate_min {
            0 => self.timeout,
            rate_min => self.timeout.min(self.patience + Duration::from_secs_f64(arrived as f64 / rate_min as f64)),
        };
        loop {
            let frame = timeout_at(self.began + allowed, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
            let Some(frame) = frame else { return Ok(None) };
            // A trailer says nothing that we read; hyper bounds its length.
            if let Ok(data) = frame.map_err(|error| BodyError::Broken(error.to_string()))?.into_data() {
                return Ok(Some(data));
            }
        }
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
pub(super) fn decode_form(text: &str, pairs: &mut Vec<(String, String)>) -> Result<(), ApiError> {
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let read = |text: &str| {
            let decoded = percent_decoded(&text.replace('+', " ")).map(Cow::into_owned);
            decoded.ok_or_else(|| ApiError::bad_data(format!("invalid URL escape or not UTF-8: {text:?}")))
        };
        pairs.push((read(name)?, read(value)?));
    }
    Ok(())
}
