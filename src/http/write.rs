//! Remote write: the body goes to `ingest`, and its verdict back to the sender.
//!
//! Senders read the status: 2xx is done, 429 and 5xx are tried again, other 4xx are dropped. The bodies are for people.

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::call::Call;
use super::reply::{ApiError, Reply, text, with_number};
use super::request::BodyError;
use crate::ingest::WriteHead;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

const TOO_LARGE_REMEDY: &str = "send smaller batches, or raise limits.request_bytes_max";

/// `/api/v1/write`
pub(super) async fn remote_write(call: Call) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let limit = front.limits.request_bytes_max;
    let held = match front.bodies.read(body, limit, TOO_LARGE_REMEDY, &front.limits).await {
        Ok(held) => held,
        Err(error) => return Ok(refused(&error)),
    };
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let write_head = WriteHead {
        content_type: header(CONTENT_TYPE),
        content_encoding: header(CONTENT_ENCODING),
        version: header(VERSION),
    };
    match front.services.ingest.remote_write(write_head, held.bytes.clone()).await {
        Ok(written) => {
            let mut reply = Response::default();
            *reply.status_mut() = StatusCode::NO_CONTENT;
            Ok(with_written(reply, written.samples))
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).expect("ingest names statuses of HTTP");
            let reply = with_written(text(status, error.to_string()), error.stored());
            Ok(with_retry_after(reply, error.retry_after_s()))
        }
    }
}

/// Says what was stored, which may be a part: by these headers a sender also knows that we understood it.
fn with_written(reply: Reply, samples: u64) -> Reply {
    let reply = with_number(reply, "x-prometheus-remote-write-samples-written", samples);
    let reply = with_number(reply, "x-prometheus-remote-write-histograms-written", 0);
    with_number(reply, "x-prometheus-remote-write-exemplars-written", 0)
}

fn refused(error: &BodyError) -> Reply {
    let retry_after_s = (error.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
    with_retry_after(text(error.status(), error.to_string()), retry_after_s)
}

fn with_retry_after(mut reply: Reply, seconds: Option<u32>) -> Reply {
    if let Some(seconds) = seconds {
        reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    reply
}
