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

mod body;
mod exposition;
mod limits;
mod metadata;
mod metadata_file;
mod remote_write;
mod rows;
mod snappy;
mod verdict;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use exposition::{Format, LabelPairs, Line, LineError, Lines, Sample, TextPush, lines};
pub use limits::IngestLimits;
pub use metadata::{Metadata, MetricKind, MetricMeta};
pub use metadata_file::RestoredMetadata;
pub use verdict::{IngestError, PartialWrite, Written};

use rows::{Rows, RowsBuilder};
use verdict::conclude;

use crate::clock::Clock;
use crate::storage::Storage;

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
    metadata: Arc<Metadata>,
    clock: Clock,
    /// What the keys of remote write 2.0 are made with.
    secrets: remote_write::Secrets,
}

impl Ingest {
    /// A way into `storage`.
    pub fn new(storage: Arc<Storage>, limits: IngestLimits, clock: Clock) -> Ingest {
        let room = Semaphore::new(limits.bytes_in_flight_max >> 10);
        let secrets = remote_write::Secrets::new(storage.resolver());
        Ingest { storage, limits, room, counters: IngestCounters::default(), metadata: Arc::default(), clock, secrets }
    }

    /// What is known of the metrics' types and meanings.
    pub fn metadata(&self) -> &Arc<Metadata> {
        &self.metadata
    }

    /// The bounds in force.
    pub fn limits(&self) -> &IngestLimits {
        &self.limits
    }

    /// The counters kept here.
    pub fn counters(&self) -> &IngestCounters {
        &self.counters
    }

    /// Takes a request of any other protocol: `read` makes rows of its inflated body. Only when it has read all of it
    /// do they go to the shards, so a body that it refuses stores nothing.
    async fn take_rows(
        &self,
        body: Bytes,
        encoding: Option<&str>,
        read: impl FnOnce(&[u8], &mut RowsBuilder<'_>) -> Result<(), IngestError>,
    ) -> Result<Written, IngestError> {
        self.counters.body_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let outcome = self.take_read(body, encoding, read).await;
        self.count(&outcome);
        outcome
    }

    async fn take_read(
        &self,
        body: Bytes,
        encoding: Option<&str>,
        read: impl FnOnce(&[u8], &mut RowsBuilder<'_>) -> Result<(), IngestError>,
    ) -> Result<Written, IngestError> {
        if body.len() > self.limits.request_bytes_max {
            return Err(self.too_long(body.len()));
        }
        let inflated = body::inflate(&body, encoding, self.limits.request_decoded_bytes_max)?;
        let mut room = self.reserve(2 * inflated.len())?;
        let rows = {
            let mut builder = RowsBuilder::new(&self.storage, &self.limits, &self.metadata);
            read(&inflated, &mut builder)?;
            builder.finish()
        };
        let more_bytes = rows.bytes().saturating_sub(2 * inflated.len());
        drop(inflated);
        if more_bytes > ROWS_BYTES_FREE {
            room.merge(self.reserve(more_bytes)?);
        }
        self.store(rows).await
    }

    /// Stores rows that no body brought, of a state that is kept here.
    #[expect(dead_code, reason = "the groups of pushes will come this way")]
    async fn take_own(&self, fill: impl FnOnce(&mut RowsBuilder<'_>)) -> Result<Written, IngestError> {
        let rows = {
            let mut builder = RowsBuilder::new(&self.storage, &self.limits, &self.metadata);
            fill(&mut builder);
            builder.finish()
        };
        self.store(rows).await
    }

    async fn store(&self, rows: Rows) -> Result<Written, IngestError> {
        let summary = self.storage.write(rows.batches).await?;
        conclude(summary, rows.refused)
    }

    fn count(&self, outcome: &Result<Written, IngestError>) {
        let counter = match outcome {
            Ok(_) => &self.counters.requests_taken,
            Err(error) if error.status() >= 500 => &self.counters.requests_deferred,
            Err(_) => &self.counters.requests_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn too_long(&self, bytes: usize) -> IngestError {
        let limit = self.limits.request_bytes_max;
        IngestError::TooLarge(format!("the body has {bytes} bytes, more than limits.request_bytes_max = {limit}"))
    }

    fn reserve(&self, bytes: usize) -> Result<SemaphorePermit<'_>, IngestError> {
        let wanted = u32::try_from((bytes >> 10) + 1).unwrap_or(u32::MAX);
        let no_room = |_| IngestError::NoRoom { limit_bytes: self.limits.bytes_in_flight_max };
        self.room.try_acquire_many(wanted).map_err(no_room)
    }
}

/// Memory of a request's rows that is not counted on its own: small requests are bounded by their connections.
const ROWS_BYTES_FREE: usize = 64 << 10;
#[cfg(test)]
mod tests;
