//! Remote write: the body goes to `ingest`, and its verdict back to the sender.
//!
//! Senders read the status: 2xx is done, 429 and 5xx are tried again, other 4xx are dropped. The bodies are for people.

use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::call::{Call, Front};
use super::reply::{ApiError, Reply, come_again, text, with_number};
use super::request::{BodyError, HeldBody};
use crate::ingest::{IngestError, PushError, WriteHead, Written};

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

const TOO_LARGE_REMEDY: &str = "send smaller batches, or raise limits.request_bytes_max";

/// `/api/v1/write`
pub(super) async fn remote_write(call: Call) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let held = match read_body(&front, body).await {
        Ok(held) => held,
        Err(reply) => return Ok(reply),
    };
    let write_head = WriteHead {
        content_type: header(&head, CONTENT_TYPE),
        content_encoding: header(&head, CONTENT_ENCODING),
        version: header(&head, VERSION),
    };
    let outcome = front.services.ingest.remote_write(write_head, held.bytes.clone()).await;
    let written = outcome.as_ref().map_or_else(IngestError::written, |written| *written);
    Ok(with_written(told(outcome.map(|_| ()), StatusCode::NO_CONTENT), written))
}

/// A header as text; none if it is not there or no text.
pub(super) fn header(head: &Parts, name: HeaderName) -> Option<&str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads the body of a write; fails with the answer that says why it was not taken. Where there is no room for it, it is
/// not kept: a sender that comes too often must cost as little as can be.
pub(super) async fn read_body(front: &Front, body: Incoming) -> Result<HeldBody<'_>, Reply> {
    if let Some(error) = front.services.ingest.busy(body.size_hint().lower()) {
        front.bodies.discard(body, &front.limits).await;
        return Err(told(Err(error), StatusCode::SERVICE_UNAVAILABLE));
    }
    let limit = front.limits.request_bytes_max;
    let read = front.bodies.read(body, limit, TOO_LARGE_REMEDY, &front.limits).await;
    read.map_err(|error| refused(&error))
}

/// The answer to a write: nothing but the status when all is stored, else what was not, and why. A push may fail in every
/// way in which other writes do.
pub(super) fn told(outcome: Result<(), impl Into<PushError>>, status: StatusCode) -> Reply {
    match outcome.map_err(Into::into) {
        Ok(()) => {
            let mut reply = Response::default();
            *reply.status_mut() = status;
            reply
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).expect("ingest names statuses of HTTP");
            with_retry_after(text(status, error.told()), error.retry_after_s())
        }
    }
}

/// Says what was stored, which may be a part: by these headers a sender also knows that we understood it.
fn with_written(reply: Reply, written: Written) -> Reply {
    let reply = with_number(reply, "x-prometheus-remote-write-samples-written", written.samples);
    let reply = with_number(reply, "x-prometheus-remote-write-histograms-written", written.histograms);
    with_number(reply, "x-prometheus-remote-write-exemplars-written", 0)
}

fn refused(error: &BodyError) -> Reply {
    let retry_after_s = (error.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
    with_retry_after(text(error.status(), error.to_string()), retry_after_s)
}

/// Says when to try again, if that is of use.
pub(super) fn with_retry_after(mut reply: Reply, seconds: Option<u32>) -> Reply {
    if let Some(seconds) = seconds {
        come_again(&mut reply, seconds);
    }
    reply
}
