//! `/api/v1/read`: another Prometheus reads our samples as if they were its own.
//!
//! ```text
//! snappy(ReadRequest { queries, accepted_response_types })
//!    │ ask.rs
//!    ▼
//! SAMPLES              all series in one message, snappy around it         message.rs
//! STREAMED_XOR_CHUNKS  frame, frame, …: length, CRC-32C, part of a series   chunks.rs, xor.rs, histogram.rs, bits.rs
//! ```
//!
//! A Prometheus asks for both, chunks first, and gets chunks. Series are in order of their labels, staleness markers
//! included; hints are not looked at.
//!
//! Always true:
//! 1. An answer of samples is at most [`SAMPLES_MAX`] long, a frame of chunks [`chunks::FRAME_BYTES_MAX`].
//! 2. One in chunks holds a frame at a time, and its view no longer than [`STREAM_TIME_MAX`].

mod ask;
mod bits;
mod chunks;
mod histogram;
mod message;
#[cfg(test)]
mod tests;
mod xor;

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::body::{Body, PieceWriter};
use super::call::{Call, Front};
use super::limits::READS_MAX;
use super::protobuf::Message;
use super::reply::{self, ApiError, ErrorKind, Reply};
use crate::query::{Cancelled, QueryError};
use crate::storage::view::{Columns, ReadView, SeriesView, ViewError};

use ask::{Ask, Query, ResponseType};
use chunks::Samples;

/// Longest request, in bytes, as sent.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Most samples of an answer that is one message: each takes some 20 bytes of it.
const SAMPLES_MAX: usize = 5_000_000;
/// Most series that one query may match: their labels are held at once.
const SERIES_MAX: usize = 300_000;
/// Longest time in which a client takes its chunks.
const STREAM_TIME_MAX: Duration = Duration::from_secs(120);
/// When to ask again after there was no turn, in s.
const RETRY_AFTER_S: u32 = 5;

/// `/api/v1/read`
pub(super) async fn read(call: Call) -> Result<Reply, ApiError> {
    let Call { front, body, .. } = call;
    let held = front.bodies.read(body, REQUEST_BYTES_MAX, "ask for less at once", &front.limits).await?;
    let ask = Ask::read(&held.bytes).map_err(ApiError::bad_data)?;
    drop(held);
    match ask.response_type {
        ResponseType::Samples => samples(front, ask).await,
        ResponseType::Chunks => chunks(front, ask).await,
    }
}

/// All in one message.
async fn samples(front: Arc<Front>, ask: Ask) -> Result<Reply, ApiError> {
    let view = front.services.view.clone();
    let made = front.queries.run(move |cancelled| one_message(&view(), &ask.queries, cancelled)).await?;
    let body = made.map_err(|error| refused(&error))?;
    let mut reply = reply::reply(hyper::StatusCode::OK, "application/x-protobuf", body);
    reply.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    Ok(reply)
}

fn one_message(view: &ReadView, queries: &[Query], cancelled: &Cancelled) -> Result<Vec<u8>, QueryError> {
    let (mut response, mut left) = (Message::default(), SAMPLES_MAX);
    let (mut columns, mut histograms) = (Columns::default(), Vec::new());
    for query in queries {
        let found = select(view, query)?;
        response.message(1, |result| {
            for series in &found {
                if cancelled.is_set() {
                    return Err(QueryError::Cancelled);
                }
                columns.clear();
                histograms.clear();
                series.read_both(query.range, &mut columns, &mut histograms);
                if columns.is_empty() && histograms.is_empty() {
                    continue;
                }
                left = left.checked_sub(columns.len() + histograms.len()).ok_or_else(|| {
                    let what = "ask for less, or for STREAMED_XOR_CHUNKS";
                    QueryError::BadData(format!("exceeded sample limit ({SAMPLES_MAX}): {what}"))
                })?;
                result.message(1, |one| {
                    message::labels(one, series.labels());
                    message::samples(one, &columns);
                    histograms.iter().for_each(|(time_ms, histogram)| message::histogram(one, *time_ms, histogram));
                });
            }
            Ok(())
        })?;
    }
    let compressed = snap::raw::Encoder::new().compress_vec(&response.into_bytes());
    compressed.map_err(|error| QueryError::Internal(format!("the answer cannot be compressed: {error}")))
}

fn select(view: &ReadView, query: &Query) -> Result<Vec<SeriesView>, ViewError> {
    if query.range.to_ms < query.range.from_ms {
        return Ok(Vec::new());
    }
    view.select(&query.matchers, query.range, SERIES_MAX)
}

/// Frame by frame, on a thread that may wait for its client.
async fn chunks(front: Arc<Front>, ask: Ask) -> Result<Reply, ApiError> {
    let turn = turn(&front).await?;
    let view = (front.services.view)();
    let found = front.queries.run(move |_| select_all(&view, ask.queries).map_err(QueryError::from));
    let selected = found.await?.map_err(|error| refused(&error))?;
    let (writer, body) = Body::pieces();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        stream(&front, &selected, writer);
    });
    let mut reply = Reply::new(body);
    let kind = HeaderValue::from_static("application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(reply)
}

async fn turn(front: &Front) -> Result<OwnedSemaphorePermit, ApiError> {
    let turn = timeout(front.limits.queue_timeout, front.reads.clone().acquire_owned()).await;
    turn.map(|turn| turn.expect("the semaphore is never closed")).map_err(|_| {
        let what = format!("{READS_MAX} remote reads are under way: try again when one has ended");
        ApiError::new(ErrorKind::Unavailable, what).retry_after(RETRY_AFTER_S)
    })
}

fn select_all(view: &ReadView, queries: Vec<Query>) -> Result<Vec<(Query, Vec<SeriesView>)>, ViewError> {
    let one = |query: Query| {
        let found = select(view, &query)?;
        Ok((query, found))
    };
    queries.into_iter().map(one).collect()
}

/// Writes all frames. What goes wrong here cuts the answer short, which its reader notices.
fn stream(front: &Front, selected: &[(Query, Vec<SeriesView>)], mut writer: PieceWriter) {
    let clock = &front.services.clock;
    let began = clock.monotonic();
    let mut samples = Samples::default();
    for (index, (query, series)) in selected.iter().enumerate() {
        for one in series {
            if clock.monotonic().saturating_sub(began) > STREAM_TIME_MAX {
                tracing::warn!("a remote read is cut short: its client took too long");
                return;
            }
            samples.clear();
            one.read_both(query.range, &mut samples.numbers, &mut samples.histograms);
            let sent = chunks::frames(one.labels(), &samples, index, |frame| {
                writer.buffer().extend_from_slice(frame);
                writer.send_if_full()
            });
            if sent.is_err() {
                tracing::debug!("the client of a remote read has left");
                return;
            }
        }
    }
    // Nobody is left to be told when this fails.
    let _ = writer.finish();
}

fn refused(error: &QueryError) -> ApiError {
    match error {
        QueryError::BadData(what) => ApiError::bad_data(what.clone()),
        other => ApiError::of_query(other, "query"),
    }
}
