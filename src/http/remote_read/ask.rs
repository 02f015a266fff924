//! What a remote read asks for: the protobuf of its request, walked in place.

use std::fmt::Display;

use crate::ingest::{Fields, Value, WireError};
use crate::model::{MatchOp, Matcher, TimeRange};

/// Longest request after inflating, in bytes.
const INFLATED_BYTES_MAX: usize = 4 << 20;
/// Most queries of a request.
const QUERIES_MAX: usize = 100;
/// Most matchers of a request.
const MATCHERS_MAX: usize = 1_000;
/// Most of them with patterns: each costs much to compile.
const PATTERNS_MAX: usize = 128;

/// A request.
pub(super) struct Ask {
    pub(super) queries: Vec<Query>,
    pub(super) response_type: ResponseType,
}

/// The series and the time that one query of a request is about.
pub(super) struct Query {
    pub(super) matchers: Vec<Matcher>,
    pub(super) range: TimeRange,
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ResponseType {
    Samples,
    Chunks,
}

impl Ask {
    /// Reads a request as it was sent. Fails with what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Ask, String> {
        let not_snappy = |error: &dyn Display| format!("the body is not a snappy block: {error}");
        let length = snap::raw::decompress_len(body).map_err(|error| not_snappy(&error))?;
        if length > INFLATED_BYTES_MAX {
            return Err(format!("the request inflates to {length} bytes, more than {INFLATED_BYTES_MAX}"));
        }
        let inflated = snap::raw::Decoder::new().decompress_vec(body).map_err(|error| not_snappy(&error))?;
        read_request(&inflated)
    }
}

fn read_request(bytes: &[u8]) -> Result<Ask, String> {
    let (mut queries, mut accepted) = (Vec::new(), Vec::new());
    let mut budget = Budget { matchers: MATCHERS_MAX, patterns: PATTERNS_MAX };
    let mut fields = Fields::new(bytes, 0);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        match (number, value) {
            (1, Value::Bytes(query)) if queries.len() < QUERIES_MAX => queries.push(read_query(query, &mut budget)?),
            (1, Value::Bytes(_)) => return Err(format!("more than {QUERIES_MAX} queries in one request")),
            (2, Value::Varint(kind)) => accepted.push(kind),
            (2, Value::Bytes(packed)) => {
                let mut kinds = Fields::new(packed, 0);
                while let Some(kind) = kinds.next_packed().map_err(malformed)? {
                    accepted.push(kind);
                }
            }
            _ => {}
        }
    }
    Ok(Ask { queries, response_type: negotiated(&accepted)? })
}

/// The first of those that are known; who says nothing is of a time when there were only samples.
fn negotiated(accepted: &[u64]) -> Result<ResponseType, String> {
    let known = |kind: &u64| match kind {
        0 => Some(ResponseType::Samples),
        1 => Some(ResponseType::Chunks),
        _ => None,
    };
    if accepted.is_empty() {
        return Ok(ResponseType::Samples);
    }
    accepted.iter().find_map(known).ok_or_else(|| {
        let first: Vec<&u64> = accepted.iter().take(5).collect();
        format!("none of the accepted response types {first:?} is known: SAMPLES (0) and STREAMED_XOR_CHUNKS (1) are")
    })
}

/// What all queries of a request may have of something expensive.
struct Budget {
    matchers: usize,
    patterns: usize,
}

fn read_query(bytes: &[u8], budget: &mut Budget) -> Result<Query, String> {
    let mut query = Query { matchers: Vec::new(), range: TimeRange { from_ms: 0, to_ms: 0 } };
    let mut fields = Fields::new(bytes, 0);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        match (number, value) {
            (1, Value::Varint(from_ms)) => query.range.from_ms = from_ms.cast_signed(),
            (2, Value::Varint(to_ms)) => query.range.to_ms = to_ms.cast_signed(),
            (3, Value::Bytes(matcher)) => query.matchers.push(read_matcher(matcher, budget)?),
            _ => {}
        }
    }
    Ok(query)
}

fn read_matcher(bytes: &[u8], budget: &mut Budget) -> Result<Matcher, String> {
    let (mut kind, mut name, mut text) = (0, "", "");
    let mut fields = Fields::new(bytes, 0);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        match (number, value) {
            (1, Value::Varint(number)) => kind = number,
            (2, Value::Bytes(bytes)) => name = utf8(bytes)?,
            (3, Value::Bytes(bytes)) => text = utf8(bytes)?,
            _ => {}
        }
    }
    let op = match kind {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Matches,
        3 => MatchOp::NotMatches,
        _ => return Err(format!("the matcher of label {name:?} has the unknown type {kind}")),
    };
    let is_pattern = matches!(op, MatchOp::Matches | MatchOp::NotMatches);
    let take = |left: &mut usize, what: &str| {
        *left = left.checked_sub(1).ok_or_else(|| format!("too many {what} in one request"))?;
        Ok::<_, String>(())
    };
    take(&mut budget.matchers, "matchers")?;
    if is_pattern {
        take(&mut budget.patterns, "patterns")?;
    }
    Matcher::new(name, op, text).map_err(|error| error.to_string())
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a label of a matcher is not UTF-8".to_owned())
}

fn malformed(error: WireError) -> String {
    format!("the request is not a ReadRequest: byte {}: {}", error.offset, error.what)
}
