//! What the head writes into the log: definitions of series, rows, belated rows, deletions. Whole records, their
//! chains still open.

use storage_format::{frame, log};

use crate::model::{SeriesRef, TimeRange};

/// Kind of a record of belated rows; laid out as other rows are.
pub(super) const KIND_BELATED: u8 = 4;
/// Kind of a record that removes samples: from and to in ms, both included, and the series.
pub(super) const KIND_DELETION: u8 = 5;

/// Bytes reserved for a row of the log: most take five to eight.
const ROW_BYTES_USUAL: usize = 12;

/// Definitions are cut into records of about this size, so that damage takes few of them, and no request, however
/// large the limits allow it to be, makes a record too long for the format.
const DEFINITIONS_BYTES: usize = 256 << 10;

/// Rows, or series, in one record at most. The longest rows then still fit the format's longest record.
const RECORD_ROWS_MAX: usize = 1 << 20;
const _: () = assert!(RECORD_ROWS_MAX * log::ROW_BYTES_MAX + 4096 <= frame::RECORD_BYTES_MAX);

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
        let mut encoder = log::SamplesEncoder::begin(records, rows[0].1);
        for (series, timestamp_ms, value) in rows {
            encoder.push(records, series.0, *timestamp_ms, *value);
        }
        encoder.finish(records);
        frame::seal_payload(records, start, kind, u16::from(shard));
    }
}

/// Appends that everything of these series in `range` was removed.
pub(super) fn encode_deletion(series: &[SeriesRef], range: TimeRange, shard: u8, records: &mut Vec<u8>) {
    for series in series.chunks(RECORD_ROWS_MAX) {
        let start = frame::begin_record(records);
        records.extend_from_slice(&range.from_ms.to_le_bytes());
        records.extend_from_slice(&range.to_ms.to_le_bytes());
        records.extend_from_slice(&(series.len() as u32).to_le_bytes());
        records.extend(series.iter().flat_map(|series| series.0.to_le_bytes()));
        frame::seal_payload(records, start, KIND_DELETION, u16::from(shard));
    }
}
