//! Groups: the columns of one target over some 1,440 scrapes. (Chapter to come: `spec/group.md`.)

use crate::Corruption;
use crate::column::Effort;

/// Columns in one group at most.
pub const COLUMNS_MAX: usize = 1024;

/// One series' samples on their way into a group.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// What names the series, sorted by name: tells the writer which columns may resemble each other.
    pub labels: &'a [(&'a str, &'a str)],
    /// Ascending, in ms since 1970 UTC; at most `column::SAMPLES_MAX`.
    pub timestamps_ms: &'a [i64],
    /// As many.
    pub values: &'a [f64],
}

/// Writes groups; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct GroupEncoder {}

impl GroupEncoder {
    /// Appends one group with these columns in this order.
    pub fn encode(&mut self, columns: &[Column<'_>], effort: Effort, out: &mut Vec<u8>) {
        let _ = (columns, effort, out);
        unimplemented!("to come")
    }
}

/// One group, its head checked. Columns are checked as they are read.
#[derive(Clone, Copy, Debug)]
pub struct GroupReader<'a> {
    bytes: &'a [u8],
}

/// Buffers of reading, kept from one column to the next. May remember decoded columns of the group read last.
#[derive(Debug, Default)]
pub struct Scratch {}

impl<'a> GroupReader<'a> {
    /// Checks the head: counts, directory, checksum.
    pub fn open(bytes: &'a [u8]) -> Result<GroupReader<'a>, Corruption> {
        Ok(GroupReader { bytes })
    }

    /// Number of columns.
    pub fn column_count(&self) -> usize {
        let _ = self.bytes;
        unimplemented!("to come")
    }

    /// Number of samples of a column.
    pub fn sample_count(&self, column: usize) -> usize {
        let _ = column;
        unimplemented!("to come")
    }

    /// Appends one column, its checksum and those of the columns it refers to checked. On damage both are as before.
    pub fn read(
        &self,
        column: usize,
        scratch: &mut Scratch,
        timestamps_ms: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<(), Corruption> {
        let _ = (column, scratch, timestamps_ms, values);
        unimplemented!("to come")
    }
}
