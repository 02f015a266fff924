//! Reading groups.

use super::head::{ColumnRow, Head, TimestampsRow};
use super::scratch::{Scratch, Source};
use super::{KIND_FLOATS, KIND_HISTOGRAMS, KIND_SAME, histograms};
use crate::Corruption;

/// One group, its head checked. Columns are checked as they are read. What asks about a column panics unless it is below
/// [`Self::column_count`]; what reads one fails.
#[derive(Clone, Debug)]
pub struct GroupReader<'a> {
    bytes: &'a [u8],
    head: Head,
}

impl<'a> GroupReader<'a> {
    /// Checks the head: counts, rows, references, checksum. `bytes` is exactly one group. Costs a few nanoseconds a column,
    /// so who reads several columns of a group opens it once.
    pub fn open(bytes: &'a [u8]) -> Result<GroupReader<'a>, Corruption> {
        Ok(GroupReader { bytes, head: Head::open(bytes)? })
    }

    /// Number of columns.
    pub fn column_count(&self) -> usize {
        self.head.columns.len()
    }

    /// Number of samples of a column.
    pub fn sample_count(&self, column: usize) -> usize {
        self.timestamps_row(column).sample_count
    }

    /// First and last timestamp of a column, in ms, without decoding it; `None` if it has no samples.
    pub fn time_range(&self, column: usize) -> Option<(i64, i64)> {
        let row = self.timestamps_row(column);
        (row.sample_count > 0).then_some((row.first_ms, row.last_ms))
    }

    /// Which of the group's distinct timestamp columns a column has: two with equal answers have equal timestamps.
    pub fn timestamps_index(&self, column: usize) -> usize {
        usize::from(self.row(column).timestamps)
    }

    /// The column that this one is told by, or is the same as.
    pub fn reference(&self, column: usize) -> Option<usize> {
        self.row(column).reference.map(usize::from)
    }

    /// Whether a column is the same as the one it refers to.
    pub fn is_copy(&self, column: usize) -> bool {
        self.row(column).kind == KIND_SAME
    }

    /// Bytes of a column's body: without its row, its timestamps and what it refers to.
    pub fn body_bytes(&self, column: usize) -> usize {
        self.row(column).body.bytes as usize
    }

    /// Appends one column, its checksum and those of the columns it refers to checked. On damage both are as before.
    pub fn read(
        &self,
        column: usize,
        scratch: &mut Scratch,
        timestamps_ms: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<(), Corruption> {
        let source = Source { head: &self.head, bytes: self.bytes };
        read(source, column, scratch, timestamps_ms, values)
    }

    /// Appends the values of one column alone: for a reader that has these timestamps already, by [`Self::timestamps_index`].
    pub fn read_values(&self, column: usize, scratch: &mut Scratch, values: &mut Vec<f64>) -> Result<(), Corruption> {
        read_values(Source { head: &self.head, bytes: self.bytes }, column, scratch, values)
    }

    /// Checks every checksum that opening did not, and decodes nothing.
    pub fn check(&self) -> Result<(), Corruption> {
        let timestamps = self.head.timestamps.iter().map(|row| row.body);
        let columns = self.head.columns.iter().map(|row| row.body);
        timestamps.chain(columns).try_for_each(|body| self.head.checked_body(self.bytes, body).map(|_| ()))
    }

    fn row(&self, column: usize) -> &ColumnRow {
        &self.head.columns[column]
    }

    fn timestamps_row(&self, column: usize) -> &TimestampsRow {
        &self.head.timestamps[self.timestamps_index(column)]
    }
}

/// Appends one column of the group that is exactly these bytes, as [`GroupReader::open`] and [`GroupReader::read`] do, but
/// `scratch` keeps the head: for who reads here and there and cannot keep the group open.
pub fn read_column(
    bytes: &[u8],
    column: usize,
    scratch: &mut Scratch,
    timestamps_ms: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), Corruption> {
    let kept = scratch.take_head(bytes)?;
    let read = read(Source { head: &kept.head, bytes }, column, scratch, timestamps_ms, values);
    scratch.keep_head(kept);
    read
}

fn read(
    source: Source<'_>,
    column: usize,
    scratch: &mut Scratch,
    timestamps_ms: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), Corruption> {
    let (timestamps_before, values_before) = (timestamps_ms.len(), values.len());
    read_values(source, column, scratch, values)?;
    let timestamps = source.head.columns[column].timestamps;
    let appended = scratch.append_timestamps(source, timestamps, timestamps_ms);
    if appended.is_err() {
        timestamps_ms.truncate(timestamps_before);
        values.truncate(values_before);
    }
    appended
}

fn read_values(
    source: Source<'_>,
    column: usize,
    scratch: &mut Scratch,
    values: &mut Vec<f64>,
) -> Result<(), Corruption> {
    let row = row_of(source, column)?;
    let floats = match (row.kind, row.reference) {
        (KIND_FLOATS, _) => column as u16,
        (KIND_SAME, Some(original)) => original,
        (KIND_HISTOGRAMS, None) => {
            let (at, body) = source.head.checked_body(source.bytes, row.body)?;
            let count = source.head.timestamps[usize::from(row.timestamps)].sample_count;
            return histograms::append_values(body, count, values).map_err(|corruption| corruption.moved(at as u64));
        }
        _ => return Err(Corruption::at(0, "the kind of a column is not one we read")),
    };
    scratch.append_floats(source, floats, values)
}

/// The row of a column.
pub(super) fn row_of(source: Source<'_>, column: usize) -> Result<&ColumnRow, Corruption> {
    source.head.columns.get(column).ok_or(Corruption::at(0, "a column that its group does not have"))
}
