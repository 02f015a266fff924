//! Strangers' bytes become rows: inflate, walk in place, resolve, split by shard.
//!
//! ```text
//! body ─► snappy (length checked first) ─► walk the protobuf ─► hash of the raw labels ─► known? ─► row for its shard
//!                                                                                    └─ no ─► parse, sort, validate
//! ```
//!
//! A known series costs one hash and one look-up; only an unknown one is parsed. Nothing is allocated a sample.
//!
//! Always true:
//! 1. Bytes that are no request are refused as a whole, with the position, before anything of them is stored.
//! 2. One bad sample or series never spoils its neighbours: what could be stored is stored, and the answer (400) says
//!    how many were not, which was the first, and why. Senders try again only after 429 and 5xx, so a 400 must mean
//!    that sending the same again is of no use.
//! 3. The memory of all requests under way is bounded: a request that finds no room is told 503 at once.

mod remote_write;
mod snappy;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::storage::{ShardBatch, Storage, WriteError, WriteSummary};

/// What bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct IngestLimits {
    /// Bytes of a body as it is sent (setting `limits.request_bytes_max`).
    pub request_bytes_max: usize,
    /// Bytes of a body after it is inflated (setting `limits.request_decoded_bytes_max`).
    pub request_decoded_bytes_max: usize,
    /// Series in one request (setting `limits.series_per_request_max`).
    pub series_per_request_max: usize,
    /// Samples in one request (setting `limits.samples_per_request_max`).
    pub samples_per_request_max: usize,
    /// Inflated bytes of all requests under way together.
    pub bytes_in_flight_max: usize,
}

impl Default for IngestLimits {
    fn default() -> IngestLimits {
        IngestLimits {
            request_bytes_max: 16 << 20,
            request_decoded_bytes_max: 32 << 20,
            series_per_request_max: 100_000,
            samples_per_request_max: 1_000_000,
            bytes_in_flight_max: 256 << 20,
        }
    }
}

/// The headers of a write that say what its body is.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteHead<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
    /// `X-Prometheus-Remote-Write-Version`.
    pub version: Option<&'a str>,
}

/// What was stored of a request that was taken whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples stored, those included that were stored before.
    pub samples: u64,
}

/// Why a request was not taken, or not as a whole.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Not a kind of body that is spoken here.
    #[error("{0}")]
    Unsupported(String),
    /// The bytes are not what they claim to be.
    #[error("{0}")]
    Malformed(String),
    /// Over a limit.
    #[error("{0}")]
    TooLarge(String),
    /// A part was refused for good; the rest is stored.
    #[error("{0}")]
    Partial(PartialWrite),
    /// No room now.
    #[error("the engine is busy: requests of more than {limit_bytes} bytes are under way; try again")]
    NoRoom {
        /// Bound of inflated bytes under way.
        limit_bytes: usize,
    },
    /// The storage did not acknowledge.
    #[error(transparent)]
    Storage(#[from] WriteError),
}

/// What a 400 after a partial write tells.
#[derive(Debug)]
pub struct PartialWrite {
    /// Samples that are stored.
    pub stored: u64,
    /// Samples and series that are not.
    pub refused: u64,
    /// The first of them, and why.
    pub first: String,
    /// How many for each reason.
    pub reasons: Vec<(String, u64)>,
}

impl fmt::Display for PartialWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused, {} stored; first refused: {}", self.refused, self.stored, self.first)?;
        for (index, (reason, count)) in self.reasons.iter().enumerate() {
            write!(f, "{}{count} × {reason}", if index == 0 { "; in all: " } else { ", " })?;
        }
        Ok(())
    }
}

impl IngestError {
    /// The HTTP status that tells the sender what to do.
    pub fn status(&self) -> u16 {
        match self {
            IngestError::Unsupported(_) => 415,
            IngestError::Malformed(_) | IngestError::Partial(_) => 400,
            IngestError::TooLarge(_) => 413,
            IngestError::NoRoom { .. } | IngestError::Storage(_) => 503,
        }
    }

    /// Seconds after which the sender may try again, if that is of use.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            IngestError::NoRoom { .. } | IngestError::Storage(WriteError::Busy(_)) => Some(1),
            IngestError::Storage(_) => Some(5),
            _ => None,
        }
    }

    /// Samples that were stored all the same.
    pub fn stored(&self) -> u64 {
        match self {
            IngestError::Partial(partial) => partial.stored,
            _ => 0,
        }
    }
}

/// Counters of the ingest. Relaxed: they are figures, nothing depends on them.
#[derive(Debug, Default)]
pub struct IngestCounters {
    /// Requests that were taken whole.
    pub requests_taken: AtomicU64,
    /// Requests refused, in part or whole, that must not be sent again as they are.
    pub requests_refused: AtomicU64,
    /// Requests told to try again.
    pub requests_deferred: AtomicU64,
    /// Bytes of bodies as sent.
    pub body_bytes: AtomicU64,
}

/// The way in. Shared by all connections.
pub struct Ingest {
    storage: Arc<Storage>,
    limits: IngestLimits,
    /// Inflated KiB that may still come under way.
    room: Semaphore,
    counters: IngestCounters,
}

impl Ingest {
    /// A way into `storage`.
    pub fn new(storage: Arc<Storage>, limits: IngestLimits) -> Ingest {
        let room = Semaphore::new(limits.bytes_in_flight_max >> 10);
        Ingest { storage, limits, room, counters: IngestCounters::default() }
    }

    /// The bounds in force.
    pub fn limits(&self) -> &IngestLimits {
        &self.limits
    }

    /// The counters kept here.
    pub fn counters(&self) -> &IngestCounters {
        &self.counters
    }

    /// Takes a remote-write 1.0 request. `Ok` means that all of it is on disk; a refusal that other samples survived
    /// is [`IngestError::Partial`].
    pub async fn remote_write(&self, head: WriteHead<'_>, body: Bytes) -> Result<Written, IngestError> {
        self.counters.body_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let outcome = self.take(head, body).await;
        let counter = match &outcome {
            Ok(_) => &self.counters.requests_taken,
            Err(error) if error.status() >= 500 => &self.counters.requests_deferred,
            Err(_) => &self.counters.requests_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    async fn take(&self, head: WriteHead<'_>, body: Bytes) -> Result<Written, IngestError> {
        remote_write::check_head(head)?;
        if body.len() > self.limits.request_bytes_max {
            let (bytes, limit) = (body.len(), self.limits.request_bytes_max);
            let text = format!("the body has {bytes} bytes, more than limits.request_bytes_max = {limit}");
            return Err(IngestError::TooLarge(text));
        }
        let decoded_bytes = snappy::decoded_bytes(&body, self.limits.request_decoded_bytes_max)?;
        let mut room = self.reserve(2 * decoded_bytes)?;
        let rows = remote_write::read(&self.storage, &self.limits, &body, decoded_bytes)?;
        drop(body);
        // Rows mostly take less than twice the bytes they were read from; a sample of two bytes becomes one of 24.
        let more_bytes = rows.bytes().saturating_sub(2 * decoded_bytes);
        if more_bytes > ROWS_BYTES_FREE {
            room.merge(self.reserve(more_bytes)?);
        }
        let summary = self.storage.write(rows.batches).await?;
        conclude(summary, rows.refused)
    }

    /// What this body would bring to the shards, one batch each, without bringing it: for benches, and to look at.
    pub fn read(&self, body: &[u8]) -> Result<Vec<ShardBatch>, IngestError> {
        let decoded_bytes = snappy::decoded_bytes(body, self.limits.request_decoded_bytes_max)?;
        Ok(remote_write::read(&self.storage, &self.limits, body, decoded_bytes)?.batches)
    }

    fn reserve(&self, bytes: usize) -> Result<SemaphorePermit<'_>, IngestError> {
        let wanted = u32::try_from((bytes >> 10) + 1).unwrap_or(u32::MAX);
        let no_room = |_| IngestError::NoRoom { limit_bytes: self.limits.bytes_in_flight_max };
        self.room.try_acquire_many(wanted).map_err(no_room)
    }
}

/// Memory of a request's rows that is not counted on its own: small requests are bounded by their connections.
const ROWS_BYTES_FREE: usize = 64 << 10;
/// Reasons that an answer lists; they may quote the sender, and a few of them tell the story.
const REASONS_TOLD_MAX: usize = 8;

/// What was refused before it reached a shard.
#[derive(Debug, Default)]
struct RefusedRows {
    count: u64,
    first: Option<String>,
    reasons: Vec<(String, u64)>,
}

impl RefusedRows {
    fn add(&mut self, count: u64, reason: String, what: impl FnOnce() -> String) {
        self.count += count;
        if self.first.is_none() {
            self.first = Some(format!("{}: {reason}", what()));
        }
        if let Some((_, total)) = self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            *total += count;
        } else if self.reasons.len() < REASONS_TOLD_MAX {
            self.reasons.push((reason, count));
        }
    }
}

fn conclude(summary: WriteSummary, mut refused: RefusedRows) -> Result<Written, IngestError> {
    for (why, count) in &summary.refused {
        let first = summary.first_refused.as_ref();
        refused.add(*count, why.to_string(), || match first {
            Some((labels, timestamp_ms, _)) => format!("{labels} at {timestamp_ms}"),
            None => "a sample".to_owned(),
        });
    }
    if refused.count == 0 {
        return Ok(Written { samples: summary.stored_count });
    }
    Err(IngestError::Partial(PartialWrite {
        stored: summary.stored_count,
        refused: refused.count,
        first: refused.first.unwrap_or_default(),
        reasons: refused.reasons,
    }))
}

#[cfg(test)]
mod tests;
