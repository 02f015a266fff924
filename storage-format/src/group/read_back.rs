//! What was written, read again and compared with what it was made of.
//!
//! A checksum says that bytes are those that were written, not that they mean what they were to mean. A code that takes
//! something off a column and does not put back the same would lose values in silence, and the samples' log is gone a
//! little later.

use super::encode::Column;
use super::{GroupReader, Scratch, read_histograms};
use crate::Corruption;
use crate::histogram::{Histogram, is_marker};

/// Buffers of reading back.
#[derive(Debug, Default)]
pub(super) struct ReadBack {
    scratch: Scratch,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

impl ReadBack {
    /// The first column of the group that is exactly these bytes which is not what it was made of; its histograms are
    /// those of the same place, where there are any.
    pub(super) fn first_other(
        &mut self,
        bytes: &[u8],
        columns: &[Column<'_>],
        histograms: &[&[Histogram]],
    ) -> Option<usize> {
        let Ok(group) = GroupReader::open(bytes) else { return Some(0) };
        if group.column_count() != columns.len() {
            return Some(group.column_count().min(columns.len()));
        }
        (0..columns.len()).find(|&index| {
            let histograms = histograms.get(index).copied().unwrap_or_default();
            let is_same = self.is_same(&group, index, &columns[index]);
            !is_same.unwrap_or(false) || !self.has_histograms(bytes, index, histograms).unwrap_or(false)
        })
    }

    fn is_same(&mut self, group: &GroupReader<'_>, index: usize, column: &Column<'_>) -> Result<bool, Corruption> {
        self.timestamps_ms.clear();
        self.values.clear();
        group.read(index, &mut self.scratch, &mut self.timestamps_ms, &mut self.values)?;
        // Which marker a histogram has follows from the histogram, and that is compared.
        let are_same = |(a, b): (&f64, &f64)| {
            let (a, b) = (a.to_bits(), b.to_bits());
            a == b || is_marker(a) && is_marker(b)
        };
        Ok(self.timestamps_ms == column.timestamps_ms
            && self.values.len() == column.values.len()
            && self.values.iter().zip(column.values).all(are_same))
    }

    /// Whether these are the histograms of a column whose timestamps and values were read before.
    fn has_histograms(&mut self, bytes: &[u8], index: usize, expected: &[Histogram]) -> Result<bool, Corruption> {
        if expected.is_empty() {
            return Ok(true);
        }
        let marked = self.timestamps_ms.iter().zip(&self.values).filter(|(_, value)| is_marker(value.to_bits()));
        let times_ms: Vec<i64> = marked.map(|(timestamp_ms, _)| *timestamp_ms).collect();
        let mut left = times_ms.iter().zip(expected);
        let mut is_same = times_ms.len() == expected.len();
        read_histograms(bytes, index, &mut self.scratch, |timestamp_ms, histogram| {
            is_same &= left.next().is_some_and(|(at_ms, other)| *at_ms == timestamp_ms && histogram.same_bits(other));
        })?;
        Ok(is_same && left.next().is_none())
    }
}
