//! What the head writes into the log: definitions of series, rows, belated rows, deletions. Whole records, their
//! chains still open.

use storage_format::histogram::Histogram;
use storage_format::{frame, log};

use crate::model::{SeriesRef, TimeRange};

/// Bytes reserved for a row of the log: most take three or four.
const ROW_BYTES_USUAL: usize = 6;

/// Definitions are cut into records of about this size, so that damage takes few of them, and no request, however
/// large the limits allow it to be, makes a record too long for the format.
const DEFINITIONS_BYTES: usize = 256 << 10;

/// Rows, or series, in one record at most. The longest rows then still fit the format's longest record.
const RECORD_ROWS_MAX: usize = 1 << 20;
const _: () = assert!(RECORD_ROWS_MAX * log::SAMPLE_BYTES_MAX + 4096 <= frame::RECORD_BYTES_MAX);

/// Histograms in one record at most: the largest, with a layout and bounds of their own, still fit the longest record.
const RECORD_HISTOGRAMS_MAX: usize = 32;

/// A row of the log.
pub(in crate::storage) type LogRow = (SeriesRef, i64, f64);

/// Records that give series their references.
pub(super) struct Definitions<'a> {
    records: &'a mut Vec<u8>,
    shard: u8,
    opened: Option<usize>,
}

impl Definitions<'_> {
    pub(super) fn begin(records: &mut Vec<u8>, shard: u8) -> Definitions<'_> {
        Definitions { records, shard, opened: None }
    }

    pub(super) fn push<'l>(&mut self, series: SeriesRef, labels: impl ExactSizeIterator<Item = (&'l str, &'l str)>) {
        let opened = *self.opened.get_or_insert_with(|| frame::begin_record(self.records));
        log::append_series(self.records, series.0, labels);
        if self.records.len() - opened > DEFINITIONS_BYTES {
            self.seal();
        }
    }

    /// Bytes of the records, those before the first definition included.
    pub(super) fn bytes(&self) -> usize {
        self.records.len()
    }

    pub(super) fn finish(mut self) {
        self.seal();
    }

    fn seal(&mut self) {
        if let Some(opened) = self.opened.take() {
            frame::seal_payload(self.records, opened, log::KIND_SERIES, u16::from(self.shard));
        }
    }
}

/// Appends the rows of one shard, in the order in which they were admitted.
pub(super) fn encode_samples(rows: &[LogRow], kind: u8, shard: u8, records: &mut Vec<u8>) {
    records.reserve(rows.len() * ROW_BYTES_USUAL);
    for rows in rows.chunks(RECORD_ROWS_MAX) {
        let start = frame::begin_record(records);
        log::append_samples(records, rows);
        frame::seal_payload(records, start, kind, u16::from(shard));
    }
}

/// Appends the histograms of one shard; the record with their markers comes behind.
pub(super) fn encode_histograms(rows: &[(SeriesRef, i64, &Histogram)], shard: u8, records: &mut Vec<u8>) {
    for rows in rows.chunks(RECORD_HISTOGRAMS_MAX) {
        let start = frame::begin_record(records);
        log::append_histograms(records, rows);
        frame::seal_payload(records, start, log::KIND_HISTOGRAMS, u16::from(shard));
    }
}

/// Appends that everything of these series in `range` was removed.
pub(super) fn encode_deletion(series: &[SeriesRef], range: TimeRange, shard: u8, records: &mut Vec<u8>) {
    for series in series.chunks(RECORD_ROWS_MAX) {
        let start = frame::begin_record(records);
        log::append_deletion(records, range.from_ms, range.to_ms, series);
        frame::seal_payload(records, start, log::KIND_DELETION, u16::from(shard));
    }
}
