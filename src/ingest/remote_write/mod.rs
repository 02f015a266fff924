//! Remote write, both versions: a message in a snappy block, walked in place.
//!
//! ```text
//! Content-Type: application/x-protobuf                                           ─► version 1
//! Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request      ─► version 2
//! ```
//!
//! What a sender says besides its samples never costs one of them: a description that cannot be read is passed over.
//!
//! Always true: rows leave here only when all of the message was walked, so one that ends in garbage stores nothing.

mod found;
mod histogram;
mod metadata;
mod sample;
mod symbols;
mod v1;
mod v2;

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::rows::Rows;
use super::{Ingest, IngestError, ROWS_BYTES_FREE, WriteHead, Written, snappy};
use crate::storage::ShardBatch;

#[cfg(test)]
pub(super) use symbols::SYMBOLS_PER_SERIES_MAX;
pub(super) use symbols::Secrets;

/// Largest buffer that a thread keeps for the next request.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Tags of fields 1 and 2 by what is in them, as every sender encodes them.
const FIELD_1_BYTES: u8 = 0x0a;
const FIELD_2_BYTES: u8 = 0x12;

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// `prometheus.WriteRequest`
    One,
    /// `io.prometheus.write.v2.Request`
    Two,
}

/// What a thread uses again from request to request.
#[derive(Default)]
struct Buffers {
    inflated: Vec<u8>,
    v2: v2::Buffers,
}

impl Ingest {
    /// Takes a remote-write request. `Ok` means that all of it is on disk; a refusal that other samples survived is
    /// [`IngestError::Partial`].
    pub async fn remote_write(&self, head: WriteHead<'_>, body: Bytes) -> Result<Written, IngestError> {
        self.counters.body_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let outcome = self.take_remote_write(head, body).await;
        self.count(&outcome);
        outcome
    }

    async fn take_remote_write(&self, head: WriteHead<'_>, body: Bytes) -> Result<Written, IngestError> {
        let version = version(head)?;
        if body.len() > self.limits.request_bytes_max {
            return Err(self.too_long(body.len()));
        }
        let decoded_bytes = snappy::decoded_bytes(&body, self.limits.request_decoded_bytes_max)?;
        let mut room = self.reserve(2 * decoded_bytes)?;
        let turn = self.turn().await;
        let rows = self.read_body(version, &body, decoded_bytes)?;
        drop((body, turn));
        // Rows mostly take less than twice the bytes they were read from; a sample of two bytes becomes one of 24.
        let more_bytes = rows.bytes().saturating_sub(2 * decoded_bytes);
        if more_bytes > ROWS_BYTES_FREE {
            room.merge(self.reserve(more_bytes)?);
        }
        self.store(rows, Some(room)).await
    }

    /// What this body would bring to the shards, one batch each, without bringing it: for benches, and to look at.
    pub fn read(&self, head: WriteHead<'_>, body: &[u8]) -> Result<Vec<ShardBatch>, IngestError> {
        let decoded_bytes = snappy::decoded_bytes(body, self.limits.request_decoded_bytes_max)?;
        Ok(self.read_body(version(head)?, body, decoded_bytes)?.batches)
    }

    fn read_body(&self, version: Version, body: &[u8], decoded_bytes: usize) -> Result<Rows, IngestError> {
        with_buffers(|buffers| {
            snappy::inflate(body, decoded_bytes, &mut buffers.inflated)?;
            let Buffers { inflated, v2 } = buffers;
            match version {
                Version::One => v1::read_message(self, inflated),
                Version::Two => v2::read_message(self, inflated, v2),
            }
        })
    }

    /// Reads an inflated message.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn read_message(&self, version: Version, message: &[u8]) -> Result<Rows, IngestError> {
        match version {
            Version::One => v1::read_message(self, message),
            Version::Two => v2::read_message(self, message, &mut v2::Buffers::default()),
        }
    }
}

/// Lends this thread's buffers, and gives memory back that an unusual request took.
fn with_buffers<T>(work: impl FnOnce(&mut Buffers) -> T) -> T {
    thread_local! {
        static BUFFERS: RefCell<Buffers> = RefCell::default();
    }
    BUFFERS.with_borrow_mut(|buffers| {
        let done = work(buffers);
        if buffers.inflated.capacity() > KEPT_BYTES_MAX {
            buffers.inflated = Vec::new();
        }
        if buffers.v2.bytes() > KEPT_BYTES_MAX {
            buffers.v2 = v2::Buffers::default();
        }
        done
    })
}

/// Which version the headers announce. Fails when it is none of ours.
fn version(head: WriteHead<'_>) -> Result<Version, IngestError> {
    const SPOKEN: &str = "this server takes remote write with Content-Encoding snappy and Content-Type \
                          application/x-protobuf, for 1.0 alone or with proto=prometheus.WriteRequest, \
                          for 2.0 with proto=io.prometheus.write.v2.Request";
    let unsupported =
        |header: &str, value: &str| Err(IngestError::Unsupported(format!("{header} {value:?} is not read; {SPOKEN}")));
    if let Some(encoding) = head.content_encoding
        && !encoding.eq_ignore_ascii_case("snappy")
    {
        return unsupported("Content-Encoding", encoding);
    }
    let Some(content_type) = head.content_type else { return Ok(Version::One) };
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().unwrap_or("").eq_ignore_ascii_case("application/x-protobuf") {
        return unsupported("Content-Type", content_type);
    }
    let mut version = Version::One;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.eq_ignore_ascii_case("proto") {
            version = match value.trim_matches('"') {
                "prometheus.WriteRequest" => Version::One,
                "io.prometheus.write.v2.Request" => Version::Two,
                _ => return unsupported("Content-Type", content_type),
            };
        }
    }
    Ok(version)
}
