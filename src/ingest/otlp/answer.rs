//! What a sender is told, in the encoding in which it asked.
//!
//! ```text
//! all stored    200  ExportMetricsServiceResponse {}
//! a part        200  ExportMetricsServiceResponse { partial_success { rejected_data_points: 3, error_message: "…" } }
//! nothing       400  Status { code: 3, message: "…" }
//! busy          503  Status { code: 14, message: "…" }, Retry-After
//! ```
//!
//! What is refused before it reaches the storage is counted in points. Of what the storage refuses, as it is too old, the
//! samples are counted, of which a histogram has several a point.

use super::OtlpEncoding;
use crate::ingest::protobuf::{append_bytes, append_number};
use crate::ingest::verdict::cut;
use crate::ingest::{IngestError, PartialWrite, Written};

/// An answer to an OTLP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type` of the body.
    pub content_type: &'static str,
    /// An `ExportMetricsServiceResponse` with the status 200, a `google.rpc.Status` with any other.
    pub body: Vec<u8>,
    /// Seconds after which the sender may try again.
    pub retry_after_s: Option<u32>,
}

/// Codes of `google.rpc`.
const INVALID_ARGUMENT: u64 = 3;
const RESOURCE_EXHAUSTED: u64 = 8;
const UNAVAILABLE: u64 = 14;

/// Words an outcome for the sender.
pub(super) fn answer(outcome: &Result<Written, IngestError>, encoding: OtlpEncoding) -> OtlpAnswer {
    let content_type = encoding.content_type();
    let success = |body: Vec<u8>| OtlpAnswer { status: 200, content_type, body, retry_after_s: None };
    match (outcome, encoding) {
        (Ok(_), OtlpEncoding::Protobuf) => success(Vec::new()),
        (Ok(_), OtlpEncoding::Json) => success(b"{}".to_vec()),
        // By the protocol a request that failed as a whole is no partial success: senders would not notice.
        (Err(IngestError::Partial(partial)), _) if partial.stored > 0 => success(partial_success(partial, encoding)),
        (Err(error), _) => OtlpAnswer {
            status: error.status(),
            content_type,
            body: status(error, encoding),
            retry_after_s: error.retry_after_s(),
        },
    }
}

fn partial_success(partial: &PartialWrite, encoding: OtlpEncoding) -> Vec<u8> {
    let message = cut(partial.to_string());
    match encoding {
        OtlpEncoding::Json => {
            // 64 bits are a text in protobuf's JSON.
            let success = serde_json::json!({
                "partialSuccess": { "rejectedDataPoints": partial.refused.to_string(), "errorMessage": message }
            });
            success.to_string().into_bytes()
        }
        OtlpEncoding::Protobuf => {
            let mut success = Vec::new();
            append_number(&mut success, 1, partial.refused);
            append_bytes(&mut success, 2, message.as_bytes());
            let mut response = Vec::new();
            append_bytes(&mut response, 1, &success);
            response
        }
    }
}

fn status(error: &IngestError, encoding: OtlpEncoding) -> Vec<u8> {
    let code = match error.status() {
        413 => RESOURCE_EXHAUSTED,
        500.. => UNAVAILABLE,
        _ => INVALID_ARGUMENT,
    };
    let message = error.told();
    match encoding {
        OtlpEncoding::Json => serde_json::json!({ "code": code, "message": message }).to_string().into_bytes(),
        OtlpEncoding::Protobuf => {
            let mut status = Vec::new();
            append_number(&mut status, 1, code);
            append_bytes(&mut status, 2, message.as_bytes());
            status
        }
    }
}
