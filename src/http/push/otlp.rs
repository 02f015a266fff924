//! OpenTelemetry's metrics.
//!
//! SDKs read the status: 200 is done, 429 and 503 are tried again after `Retry-After`, everything else is dropped.

use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::super::body::Body;
use super::super::call::Call;
use super::super::reply::{ApiError, Reply};
use super::super::write::{header, read_body, told, with_retry_after};
use crate::ingest::{OtlpAnswer, OtlpEncoding};

/// `/v1/metrics`, `/api/v1/otlp/v1/metrics`, `/opentelemetry/v1/metrics`
pub(in super::super) async fn metrics(call: Call) -> Result<Reply, ApiError> {
    let Call { front, head, body, .. } = call;
    let encoding = match OtlpEncoding::of_content_type(header(&head, CONTENT_TYPE)) {
        Ok(encoding) => encoding,
        Err(error) => return Ok(told(Err(error), StatusCode::OK)),
    };
    let held = match read_body(&front, body).await {
        Ok(held) => held,
        Err(reply) => return Ok(reply),
    };
    let content_encoding = header(&head, CONTENT_ENCODING);
    Ok(reply(front.services.ingest.otlp_metrics(encoding, content_encoding, held.bytes.clone()).await))
}

fn reply(answer: OtlpAnswer) -> Reply {
    let mut reply = Response::new(Body::from(Bytes::from(answer.body)));
    *reply.status_mut() = StatusCode::from_u16(answer.status).expect("ingest names statuses of HTTP");
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    with_retry_after(reply, answer.retry_after_s)
}
