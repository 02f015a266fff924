//! A door for fuzzing, in tests and behind the feature `fuzzing` alone: reads what strangers send as [`Ingest`] does,
//! and stores nothing of it.

use super::rows::Rows;
use super::{
    InfluxWrite, Ingest, IngestError, OtlpEncoding, RowsBuilder, Statsd, TextPush, body, influx, json_lines, otlp,
    remote_write,
};
use crate::storage::{Resolver, ShardBatch};

pub use super::pushgateway::{read_push, restored};

/// What a body is written in, after it was inflated.
#[derive(Clone, Copy, Debug)]
pub enum Protocol<'a> {
    /// `prometheus.WriteRequest`
    RemoteWrite1,
    /// `io.prometheus.write.v2.Request`
    RemoteWrite2,
    /// Prometheus's text format, or OpenMetrics.
    Text(TextPush<'a>),
    /// OpenTelemetry's metrics.
    Otlp(OtlpEncoding),
    /// Influx's line protocol.
    Influx(InfluxWrite<'a>),
    /// VictoriaMetrics's lines, with these labels put to each series.
    JsonLines(&'a [(String, String)]),
}

/// What was read of a body.
pub struct Reading {
    /// What would go to the shards, one batch each.
    pub batches: Vec<ShardBatch>,
    /// Samples and series that would not.
    pub refused_count: u64,
}

impl From<Rows> for Reading {
    fn from(rows: Rows) -> Reading {
        Reading { batches: rows.batches, refused_count: rows.refused.count }
    }
}

impl Ingest {
    /// Reads a body. What it adds to running totals is forgotten.
    pub fn read_as(&self, protocol: Protocol<'_>, body: &[u8]) -> Result<Reading, IngestError> {
        let version = match protocol {
            Protocol::RemoteWrite1 => Some(remote_write::Version::One),
            Protocol::RemoteWrite2 => Some(remote_write::Version::Two),
            _ => None,
        };
        if let Some(version) = version {
            return self.read_message(version, body).map(Reading::from);
        }
        let mut rows = self.rows();
        match protocol {
            Protocol::RemoteWrite1 | Protocol::RemoteWrite2 => unreachable!("these were read above"),
            Protocol::Text(push) => self.read_text_into(push, body, &mut rows)?,
            Protocol::Otlp(encoding) => self.read_otlp_alone(encoding, body, &mut rows)?,
            Protocol::Influx(write) => drop(influx::read(body, write, self.clock.now_ms(), &mut rows)?),
            Protocol::JsonLines(extra) => {
                json_lines::read_lines(body, &mut rows, extra, self.limits.samples_per_request_max)?;
            }
        }
        Ok(rows.finish().into())
    }

    /// What a flush would store.
    pub fn read_flush(&self, statsd: &mut Statsd) -> Result<Reading, IngestError> {
        let mut rows = self.rows().of_own();
        statsd.flush_into(&mut rows)?;
        Ok(rows.finish().into())
    }

    /// The map of known series.
    pub fn resolver(&self) -> &Resolver {
        self.storage.resolver()
    }

    fn rows(&self) -> RowsBuilder<'_> {
        RowsBuilder::new(&self.storage, &self.limits, &self.metadata)
    }
}

/// Inflates a body by its `Content-Encoding`.
pub fn inflate(body: &[u8], encoding: &str, decoded_bytes_max: usize) -> Result<Vec<u8>, IngestError> {
    body::inflate(body, Some(encoding), decoded_bytes_max).map(std::borrow::Cow::into_owned)
}

/// OpenTelemetry's JSON as protobuf.
pub fn otlp_of_json(body: &[u8]) -> Result<Vec<u8>, IngestError> {
    otlp::to_protobuf(body)
}
