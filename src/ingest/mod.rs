//! Strangers' bytes become rows: inflate, walk in place, resolve, split by shard.
//!
//! ```text
//! body ─► snappy (length checked first) ─► walk the protobuf ─► hash of the raw labels ─► known? ─► row for its shard
//!                                                                                    └─ no ─► parse, sort, validate
//! ```
//!
//! A known series costs one hash and one look-up; only an unknown one is parsed. Nothing is allocated a sample, but for
//! a native histogram, which is read as a whole and checked. That is
//! remote write, by far the most of it; all others fill the same rows:
//!
//! | room | reads | keeps |
//! | --- | --- | --- |
//! | `remote_write` | versions 1.0 and 2.0 | buffers a thread |
//! | `exposition` | Prometheus's text, OpenMetrics | |
//! | `pushgateway` | pushes of groups | the groups, on disk, stored again until they end |
//! | `otlp` | OpenTelemetry's metrics, protobuf and JSON | running totals of deltas |
//! | `influx` | line protocol | |
//! | `statsd` | lines from datagrams and connections | counters, gauges, histograms and sets between two flushes |
//! | `json_lines` | VictoriaMetrics's exports, and writes them | |
//! | `metadata` | what all of these say about types, help texts and units | the last of it |
//! | `budget` | new series past a label budget | sums in their place |
//!
//! Always true:
//! 1. Bytes that are no request are refused as a whole, with the position, before anything of them is stored.
//! 2. One bad sample or series never spoils its neighbours: what could be stored is stored, and the answer (400) says
//!    how many were not, which was the first, and why. Senders try again only after 429 and 5xx, so a 400 must mean
//!    that sending the same again is of no use.
//! 3. The memory of all requests under way is bounded: a request that finds no room is told 503 at once. Under way is a
//!    request until its last sample is stored, also when its sender has left.

mod body;
mod budget;
mod exposition;
mod foreign;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod histogram;
mod influx;
mod json_lines;
mod limits;
mod made;
mod metadata;
mod metadata_file;
mod otlp;
mod protobuf;
mod pushgateway;
mod remote_write;
mod rows;
mod snappy;
mod statsd;
mod verdict;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

pub use budget::{FOLDED_SERIES_MAX, OVERFLOW_LABEL, OVERFLOW_SERIES_MAX, OverflowFigures};
pub use exposition::{Format, LabelPairs, Line, LineError, Lines, Sample, TextPush, lines};
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use fuzzing::{Protocol, Reading, inflate, otlp_of_json, read_push, restored};
pub use influx::{InfluxPrecision, InfluxWrite};
pub use json_lines::{JsonLine, JsonLineError, append_left_out, append_line};
pub use limits::IngestLimits;
pub use made::{MadeSample, MadeValue};
pub use metadata::{Metadata, MetricKind, MetricMeta};
pub use metadata_file::RestoredMetadata;
pub use otlp::{OtlpAnswer, OtlpEncoding, OtlpOptions};
pub use protobuf::{
    append_bytes, append_fixed64, append_head, append_number, append_varint, field_bytes, varint_bytes,
};
pub use pushgateway::{
    Group, GroupKey, KeptFamily, OWN_HELP, Push, PushCounters, PushError, PushSettings, Pushgateway, ShownFamily,
    ShownMetric, ShownValue,
};
pub use statsd::{Statsd, StatsdCounters, StatsdOptions};
pub use verdict::{IngestError, PartialWrite, Written};
pub(crate) use wire::{Fields, Value, WireError};

use budget::{Folded, LabelBudget, Sums};
use rows::{Rows, RowsBuilder};
use verdict::{REFUSALS, SAMPLE_REFUSALS, conclude};

use crate::clock::Clock;
use crate::storage::{Kept, Refusal, Storage, WriteError, WriteSummary};

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
    /// Texts of Influx's line protocol, which are stepped over.
    pub texts_skipped: AtomicU64,
    /// Samples of `__overflow__` sums that were not stored: after a restart, what a sum was before stays.
    pub sums_refused: AtomicU64,
    /// Requests that were not taken whole, in the order of [`REFUSALS`]; so are writes of a state that is kept here.
    refused: [AtomicU64; REFUSALS.len()],
    /// Samples that were refused among others that were stored, in the order of [`SAMPLE_REFUSALS`].
    samples_refused: [AtomicU64; SAMPLE_REFUSALS.len()],
}

impl IngestCounters {
    /// Requests that were not taken whole, by reason; and writes of what is kept here: pushed groups that are stored
    /// again, flushes of StatsD.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REFUSALS.into_iter().zip(self.refused.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Samples and series refused alone, by reason.
    pub fn samples_refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SAMPLE_REFUSALS.into_iter().zip(self.samples_refused.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    fn note(&self, error: &IngestError) {
        self.refused[error.reason()].fetch_add(1, Ordering::Relaxed);
        if let IngestError::Partial(partial) | IngestError::Crowded(partial) = error {
            for (counter, count) in self.samples_refused.iter().zip(partial.by_kind) {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

/// The way in. Shared by all connections.
pub struct Ingest {
    storage: Arc<Storage>,
    limits: IngestLimits,
    /// KiB that may still come under way.
    room: Arc<Semaphore>,
    /// Bodies that may be inflated and read at a time: one a core, so that the threads of sockets, of which there are
    /// more, go on serving everybody else.
    turns: Semaphore,
    budget: Arc<LabelBudget>,
    counters: IngestCounters,
    metadata: Arc<Metadata>,
    clock: Clock,
    otlp: otlp::Otlp,
    /// What the keys of remote write 2.0 are made with.
    secrets: remote_write::Secrets,
}

impl Ingest {
    /// A way into `storage`.
    pub fn new(storage: Arc<Storage>, limits: IngestLimits, clock: Clock) -> Ingest {
        let room = Arc::new(Semaphore::new((limits.bytes_in_flight_max >> 10).min(Semaphore::MAX_PERMITS)));
        let turns = Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from));
        let budget = Arc::new(LabelBudget::new(&limits));
        let (counters, metadata) = (IngestCounters::default(), Arc::default());
        let otlp = otlp::Otlp::new(OtlpOptions::default());
        let secrets = remote_write::Secrets::new(storage.resolver());
        Ingest { storage, limits, room, turns, budget, counters, metadata, clock, otlp, secrets }
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
        let mut room = self.reserve(2 * body.len())?;
        let turn = self.turn().await;
        let inflated = body::inflate(&body, encoding, self.limits.request_decoded_bytes_max)?;
        room.merge(self.reserve(2 * (inflated.len().saturating_sub(body.len())))?);
        let rows = {
            let mut builder = RowsBuilder::new(&self.storage, &self.limits, &self.metadata);
            read(&inflated, &mut builder)?;
            builder.finish()
        };
        let more_bytes = rows.bytes().saturating_sub(2 * inflated.len());
        drop((inflated, turn));
        if more_bytes > ROWS_BYTES_FREE {
            room.merge(self.reserve(more_bytes)?);
        }
        self.store(rows, Some(room)).await
    }

    /// Stores rows that no body brought, of a state that is kept here. What is refused is counted as a request's would
    /// be.
    async fn take_own(&self, fill: impl FnOnce(&mut RowsBuilder<'_>)) -> Result<Written, IngestError> {
        let rows = {
            let mut builder = RowsBuilder::new(&self.storage, &self.limits, &self.metadata).of_own();
            fill(&mut builder);
            builder.finish()
        };
        let outcome = self.store(rows, None).await;
        if let Err(error) = &outcome {
            self.counters.note(error);
        }
        outcome
    }

    /// Every request's rows come this way to the shards: labels that are more than allowed are refused, series past a
    /// budget summed. The room that they take is given back when they are stored, which goes on when the sender leaves.
    async fn store(&self, mut rows: Rows, room: Option<OwnedSemaphorePermit>) -> Result<Written, IngestError> {
        self.limits.refuse_labels(&mut rows);
        // Sums go on when they are made: better before than after it is known that nothing can be stored.
        self.storage.check_busy()?;
        let Folded { under_way, folded_count, sums } =
            self.budget.fold(&self.storage, &self.metadata, &mut rows, self.clock.now_ms());
        let kept: Kept = Arc::new((room, under_way));
        let written = self.storage.write_keeping(rows.batches, Some(kept.clone()));
        let Some(sums) = sums else {
            drop(kept);
            return conclude(written.await?, rows.refused);
        };
        // Both are handed over before one of them is waited for.
        let (written, homeless) = tokio::join!(written, self.store_sums(sums, kept));
        let (mut summary, homeless) = (written?, homeless?);
        // To the sender, its samples count; the sums are ours.
        summary.stored_count += folded_count.saturating_sub(homeless.refused_count());
        summary.refused.extend(homeless.refused);
        summary.first_refused = summary.first_refused.or(homeless.first_refused);
        conclude(summary, rows.refused)
    }

    /// Stores samples of sums. The sender's are in these sums whatever becomes of a moment of them, so what is refused
    /// is counted and no word to the sender; but for sums that found no room as series, which are returned.
    async fn store_sums(&self, mut sums: Sums, kept: Kept) -> Result<WriteSummary, WriteError> {
        let summary = self.storage.write_keeping(sums.take_batches(), Some(kept)).await?;
        sums.settle();
        let is_homeless = |reason: &Refusal| *reason == Refusal::TooManySeries;
        let (homeless, refused): (Vec<_>, Vec<_>) = summary.refused.into_iter().partition(|(why, _)| is_homeless(why));
        for (reason, count) in refused {
            if self.counters.sums_refused.fetch_add(count, Ordering::Relaxed) == 0 {
                tracing::warn!(%reason, "a moment of an __overflow__ sum is not stored; further ones are only counted");
            }
        }
        let first_refused = summary.first_refused.filter(|(_, _, why)| is_homeless(why));
        Ok(WriteSummary { refused: homeless, first_refused, ..WriteSummary::default() })
    }

    /// What is past the label budgets, and by which label: the sums of most series first.
    pub fn overflow(&self, limit: usize) -> Vec<OverflowFigures> {
        self.budget.figures(&self.storage, limit)
    }

    /// Samples summed since the start; series that are summed at present; their sums.
    pub fn overflow_sizes(&self) -> (u64, usize, usize) {
        let (series, sums) = self.budget.sizes();
        (self.budget.samples_folded(), series, sums)
    }

    #[cfg(test)]
    pub(super) fn budget_is_quiet(&self) -> bool {
        self.budget.is_quiet()
    }

    /// Bytes of requests under way.
    pub fn bytes_in_flight(&self) -> usize {
        self.limits.bytes_in_flight_max.saturating_sub(self.room.available_permits() << 10)
    }

    /// Why a request with a body of so many bytes would not be taken now, if that is known without a look at it. Counts
    /// it as told to try again.
    pub fn busy(&self, body_bytes: u64) -> Option<IngestError> {
        if body_bytes > self.limits.request_bytes_max as u64 {
            return None; // for which there is never room, and another answer
        }
        let has_room = (self.room.available_permits() as u64) << 10 >= body_bytes.saturating_mul(2);
        let error = match self.storage.check_busy() {
            Err(error) => error.into(),
            Ok(()) if has_room => return None,
            Ok(()) => self.no_room(),
        };
        let outcome = Err(error);
        self.count(&outcome);
        outcome.err()
    }

    /// A turn to inflate and read a body. Those who wait hold memory that is counted.
    async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("the semaphore is never closed")
    }

    fn count(&self, outcome: &Result<Written, IngestError>) {
        if let Err(error) = outcome {
            self.counters.note(error);
        }
        let counter = match outcome {
            Ok(_) => &self.counters.requests_taken,
            Err(error) if error.status() >= 500 => &self.counters.requests_deferred,
            Err(_) => &self.counters.requests_refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn no_room(&self) -> IngestError {
        IngestError::NoRoom { limit_bytes: self.limits.bytes_in_flight_max }
    }

    fn too_long(&self, bytes: usize) -> IngestError {
        let (setting, limit) = ("request_bytes_max", self.limits.request_bytes_max);
        IngestError::TooLarge {
            setting,
            what: format!("the body has {bytes} bytes, more than limits.{setting} = {limit}"),
        }
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, IngestError> {
        let wanted = u32::try_from((bytes >> 10) + 1).unwrap_or(u32::MAX);
        self.room.clone().try_acquire_many_owned(wanted).map_err(|_| self.no_room())
    }
}

/// Memory of a request's rows that is not counted on its own: small requests are bounded by their connections.
const ROWS_BYTES_FREE: usize = 64 << 10;

#[cfg(test)]
pub(crate) use tests::proto;

#[cfg(test)]
mod tests;
