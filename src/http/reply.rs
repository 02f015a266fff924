//! Answers, and errors as Prometheus words them.

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

use super::body::Body;
use super::json::JsonText;
use super::request::BodyError;
use crate::query::QueryError;

/// One answer. Its body is whole, but for those that `body` makes in pieces.
pub(super) type Reply = Response<Body>;

/// What went wrong with a request, in the kinds of Prometheus's HTTP interface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ErrorKind {
    BadData,
    TooLarge,
    NotAllowed,
    Forbidden,
    Execution,
    Timeout,
    Canceled,
    Unavailable,
    NotFound,
    Conflict,
    Internal,
}

impl ErrorKind {
    fn status(self) -> StatusCode {
        match self {
            ErrorKind::BadData => StatusCode::BAD_REQUEST,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Timeout | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Canceled => StatusCode::from_u16(499).expect("499 is a status, if a nameless one"),
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn name(self) -> &'static str {
        match self {
            ErrorKind::BadData | ErrorKind::TooLarge | ErrorKind::NotAllowed => "bad_data",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::Execution => "execution",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Canceled => "canceled",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Internal => "internal",
        }
    }
}

/// A request that gets no answer of its own.
#[derive(Debug)]
pub(super) struct ApiError {
    kind: ErrorKind,
    what: String,
    hint: Option<String>,
    retry_after_s: Option<u32>,
}

impl ApiError {
    pub(super) fn new(kind: ErrorKind, what: impl Into<String>) -> ApiError {
        ApiError { kind, what: what.into(), hint: None, retry_after_s: None }
    }

    pub(super) fn bad_data(what: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::BadData, what)
    }

    /// A parameter that cannot be read.
    pub(super) fn parameter(name: &str, what: impl std::fmt::Display) -> ApiError {
        ApiError::bad_data(format!("invalid parameter {name:?}: {what}"))
    }

    /// What to try instead.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> ApiError {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn retry_after(mut self, seconds: u32) -> ApiError {
        self.retry_after_s = Some(seconds);
        self
    }

    /// An error of the engine; where its text speaks of the parameter, the parameter is named as Prometheus does.
    pub(super) fn of_query(error: &QueryError, parameter: &str) -> ApiError {
        let what = error.to_string();
        match error {
            QueryError::BadData(_) => ApiError::parameter(parameter, what),
            QueryError::Execution(_) => ApiError::new(ErrorKind::Execution, what),
            QueryError::Timeout(_) => ApiError::new(ErrorKind::Timeout, what),
            QueryError::Cancelled => ApiError::new(ErrorKind::Canceled, what),
            QueryError::Internal(_) => ApiError::new(ErrorKind::Internal, what),
        }
    }

    /// `{"status":"error",…}` with the status that belongs to it.
    pub(super) fn into_reply(self) -> Reply {
        let mut text = JsonText::new();
        text.raw(r#"{"status":"error","errorType":"#);
        text.string(self.kind.name());
        text.raw(r#","error":"#);
        text.string(&self.what);
        if let Some(hint) = &self.hint {
            text.raw(r#","hint":"#);
            text.string(hint);
        }
        text.raw("}");
        let mut reply = json(self.kind.status(), text);
        if let Some(seconds) = self.retry_after_s {
            come_again(&mut reply, seconds);
        }
        reply
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> ApiError {
        let kind = match &error {
            BodyError::TooLarge { .. } => ErrorKind::TooLarge,
            BodyError::TooSlow | BodyError::Busy(_) => ErrorKind::Unavailable,
            BodyError::Broken(_) => ErrorKind::BadData,
        };
        let api = ApiError::new(kind, error.to_string());
        if kind == ErrorKind::Unavailable { api.retry_after(1) } else { api }
    }
}

pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    reply(status, "application/json", text)
}

/// Done, and nothing to say of it.
pub(super) fn no_content() -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// A plain text answer; a line feed is put behind it.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Reply {
    let mut text = text.into();
    text.push('\n');
    reply(status, "text/plain; charset=utf-8", text.into_bytes())
}

pub(super) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Body::from(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// Seconds over which those who were told to come again are spread, so that a fleet does not come back as one.
const RETRY_SPREAD_S: u64 = 5;

/// Asks the client to come again, this many seconds from now or up to four more: the same for no two of them.
pub(super) fn come_again(reply: &mut Reply, seconds: u32) {
    reply.headers_mut().insert(RETRY_AFTER, spread(seconds).into());
}

/// So many seconds, and up to four more.
pub(super) fn spread(seconds: u32) -> u32 {
    // Each `RandomState` has other keys.
    let chance = RandomState::new().hash_one(seconds) % RETRY_SPREAD_S;
    seconds + u32::try_from(chance).unwrap_or(0)
}

/// Makes the answer the last one of its connection.
pub(super) fn close_after(reply: &mut Reply) {
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// Adds a header with a number.
pub(super) fn with_number(mut reply: Reply, name: &'static str, number: u64) -> Reply {
    reply.headers_mut().insert(HeaderName::from_static(name), number.into());
    reply
}

/// The parts of an `Accept…` header, the most wanted first, those as much wanted in the order in which they stand; each
/// with its parameters but `q`. Those that are refused (`q=0`) are left out.
pub(super) fn by_quality(header: &str) -> Vec<(f32, String)> {
    let mut parts: Vec<(f32, String)> = header
        .split(',')
        .filter_map(|part| {
            let is_quality = |word: &&str| word.trim_start().starts_with("q=");
            let quality = part.split(';').find(is_quality).and_then(|word| word.trim().get(2..)?.parse().ok());
            let words: Vec<&str> = part.split(';').filter(|word| !is_quality(word)).map(str::trim).collect();
            let quality: f32 = quality.unwrap_or(1.0);
            (quality > 0.0 && !words[0].is_empty()).then(|| (quality, words.join(";")))
        })
        .collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    parts
}
