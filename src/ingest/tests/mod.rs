//! The way in, over a simulated disk: requests are built by `prost`, which knows nothing of our walker.

mod against_prost;
mod bounds;
mod budget;
mod exposition;
mod histograms;
mod influx;
mod json_lines;
mod made;
mod mixed;
pub(crate) mod proto;
mod requests;
mod snappy;
mod statsd;
mod under_way;
mod v2;
mod wire;

use std::sync::Arc;

use prost::Message;

use super::*;
use crate::clock::Clock;
use crate::disk::SimulatedDisk;
use crate::model::{Labels, Matcher, TimeRange};
use crate::storage::StorageOptions;
use crate::storage::tap::Interest;
use crate::storage::view::Columns;

/// What the clock shows in these tests.
pub(super) const NOW_MS: i64 = 1_700_000_000_000;

/// Remote write 1.0 as its specification has it. Texts are bytes here: whether they are UTF-8 is a label's own matter.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<proto::Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

/// A series with samples of these times and values.
pub(super) fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    let label = |(name, value): &(&str, &str)| Label { name: name.as_bytes().into(), value: value.as_bytes().into() };
    TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: samples.iter().map(|(timestamp, value)| Sample { timestamp: *timestamp, value: *value }).collect(),
        histograms: Vec::new(),
    }
}

/// The good neighbour of whatever a test sends.
pub(super) fn neighbour() -> TimeSeries {
    series(&[("__name__", "neighbour")], &[(NOW_MS, 7.0)])
}

pub(super) fn message(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    WriteRequest { timeseries }.encode_to_vec()
}

pub(super) fn compressed(message: &[u8]) -> Bytes {
    snap::raw::Encoder::new().compress_vec(message).expect("a message is compressed").into()
}

/// An ingest over a database in memory.
pub(super) struct Fixture {
    pub(super) storage: Arc<Storage>,
    pub(super) ingest: Ingest,
    pub(super) clock: Clock,
    runtime: tokio::runtime::Runtime,
}

impl Fixture {
    pub(super) fn new() -> Fixture {
        Fixture::with_limits(IngestLimits::default())
    }

    pub(super) fn with_limits(limits: IngestLimits) -> Fixture {
        Fixture::with_clock(limits, Clock::manual(NOW_MS))
    }

    /// One whose time a test moves.
    pub(super) fn with_clock(limits: IngestLimits, clock: Clock) -> Fixture {
        Fixture::with_storage(limits, clock, 100_000, Arc::new(|_: &Labels| false))
    }

    /// One whose head takes so many series, and whose shards ask `interest` about each that is new.
    pub(super) fn with_storage(limits: IngestLimits, clock: Clock, series_max: usize, interest: Interest) -> Fixture {
        let options = StorageOptions { series_max, ..StorageOptions::of_tests(2) };
        let disk = Arc::new(SimulatedDisk::new());
        let (storage, _, _) = Storage::open(options, disk, clock.clone(), interest).expect("an empty database opens");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Fixture { ingest: Ingest::new(storage.clone(), limits, clock.clone()), clock, storage, runtime }
    }

    /// Sends a body with the usual headers.
    pub(super) fn send_body(&self, body: Bytes) -> Result<Written, IngestError> {
        let head = WriteHead {
            content_type: Some("application/x-protobuf"),
            content_encoding: Some("snappy"),
            version: Some("0.1.0"),
        };
        self.runtime.block_on(self.ingest.remote_write(head, body))
    }

    pub(super) fn send(&self, timeseries: Vec<TimeSeries>) -> Result<Written, IngestError> {
        self.send_body(compressed(&message(timeseries)))
    }

    /// Sends what is refused in part, and says what was told.
    pub(super) fn send_in_part(&self, timeseries: Vec<TimeSeries>) -> PartialWrite {
        match self.send(timeseries) {
            Err(IngestError::Partial(partial)) => *partial,
            other => panic!("not refused in part: {other:?}"),
        }
    }

    pub(super) fn write(&self, batches: Vec<crate::storage::ShardBatch>) {
        self.runtime.block_on(self.storage.write(batches)).expect("acknowledged");
    }

    /// Everything stored, by series.
    pub(super) fn stored(&self) -> Vec<(String, Vec<(i64, f64)>)> {
        let every_name = Matcher::new("__name__", crate::model::MatchOp::NotEqual, "").expect("a matcher");
        let found = self.storage.view().select(&[every_name], TimeRange::ALL, usize::MAX).expect("a selection");
        let read = |series: &crate::storage::view::SeriesView| {
            let mut columns = Columns::default();
            series.read(TimeRange::ALL, &mut columns);
            (series.labels().to_string(), columns.iter().collect())
        };
        found.iter().map(read).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.storage.close();
    }
}
