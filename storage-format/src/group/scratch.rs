//! What a reader keeps from one column to the next: buffers, and what others will ask for again.

use super::head::{ColumnRow, Head, TimestampsRow};
use super::timestamps;
use crate::Corruption;
use crate::column::{Decoder, Numbers};

/// Columns remembered because others refer to them: a target's trees of references have about as many inner nodes.
const REMEMBERED_MAX: usize = 32;
/// Timestamps remembered: a target rarely has more that are not even.
const TIMESTAMPS_REMEMBERED_MAX: usize = 4;

/// Buffers of reading, kept from one column to the next; a fresh one serves as well, only slower.
///
/// It remembers a head, timestamps and the columns that others refer to, by the very bytes they were decoded from. So it may go from
/// group to group and from file to file, and a group that has taken another's place in memory is never mistaken for it.
#[derive(Debug, Default)]
pub struct Scratch {
    head: KeptHead,
    decoder: Decoder,
    residuals: Vec<i64>,
    base_ms: Vec<i64>,
    key: Vec<u8>,
    timestamps: Vec<RememberedTimestamps>,
    next_timestamps: usize,
    columns: Vec<RememberedColumn>,
    next_column: usize,
}

/// The head of a group, with the bytes that say all of it.
#[derive(Debug, Default)]
pub(super) struct KeptHead {
    bytes: Vec<u8>,
    group_bytes: usize,
    pub(super) head: Head,
}

#[derive(Debug, Default)]
struct RememberedTimestamps {
    key: Vec<u8>,
    timestamps_ms: Vec<i64>,
}

/// A column that others refer to: its numbers, and all that they follow from.
#[derive(Debug, Default)]
struct RememberedColumn {
    /// Its body, and behind it that of its reference.
    bytes: Vec<u8>,
    body_bytes: usize,
    has_reference: bool,
    numbers: Numbers,
}

impl RememberedColumn {
    fn is(&self, count: usize, body: &[u8], reference: Option<&[u8]>) -> bool {
        let (own, other) = self.bytes.split_at(self.body_bytes);
        self.numbers.integers.len() == count
            && self.has_reference == reference.is_some()
            && own == body
            && other == reference.unwrap_or_default()
    }
}

/// One group's bytes with its head.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) head: &'a Head,
    pub(super) bytes: &'a [u8],
}

impl<'a> Source<'a> {
    fn row(&self, column: u16) -> &'a ColumnRow {
        &self.head.columns[usize::from(column)]
    }

    fn sample_count(&self, row: &ColumnRow) -> usize {
        self.head.timestamps[usize::from(row.timestamps)].sample_count
    }
}

impl Scratch {
    /// The head of this group, read only if it is not the one kept; to be given back.
    pub(super) fn take_head(&mut self, group: &[u8]) -> Result<KeptHead, Corruption> {
        let kept = std::mem::take(&mut self.head);
        let is_this = kept.group_bytes == group.len() && !kept.bytes.is_empty() && group.starts_with(&kept.bytes);
        if is_this {
            return Ok(kept);
        }
        let head = Head::open(group)?;
        let KeptHead { mut bytes, .. } = kept;
        bytes.clear();
        bytes.extend_from_slice(&group[..head.bytes()]);
        Ok(KeptHead { bytes, group_bytes: group.len(), head })
    }

    pub(super) fn keep_head(&mut self, head: KeptHead) {
        self.head = head;
    }

    /// Appends the timestamps of row `index`. On damage `timestamps_ms` may hold a part of them.
    pub(super) fn append_timestamps(
        &mut self,
        source: Source<'_>,
        index: u16,
        timestamps_ms: &mut Vec<i64>,
    ) -> Result<(), Corruption> {
        let row = &source.head.timestamps[usize::from(index)];
        let (at, body) = source.head.checked_body(source.bytes, row.body)?;
        if body.is_empty() {
            return timestamps::decode(row, body, &[], &mut self.residuals, timestamps_ms);
        }
        let moved = |corruption: Corruption| corruption.moved(at as u64);
        let base = base_of(source, body).map_err(moved)?;
        self.key.clear();
        append_key(row, body, &mut self.key);
        if let Some((row, body)) = base {
            append_key(row, body, &mut self.key);
        }
        if let Some(known) = self.timestamps.iter().find(|known| known.key == self.key) {
            timestamps_ms.extend_from_slice(&known.timestamps_ms);
            return Ok(());
        }
        self.base_ms.clear();
        if let Some((row, body)) = base {
            timestamps::decode(row, body, &[], &mut self.residuals, &mut self.base_ms).map_err(moved)?;
        }
        let start = timestamps_ms.len();
        timestamps::decode(row, body, &self.base_ms, &mut self.residuals, timestamps_ms).map_err(moved)?;
        self.remember_timestamps(&timestamps_ms[start..]);
        Ok(())
    }

    /// Keeps the timestamps that the present key gave.
    fn remember_timestamps(&mut self, timestamps_ms: &[i64]) {
        if self.timestamps.len() < TIMESTAMPS_REMEMBERED_MAX {
            self.timestamps.push(RememberedTimestamps::default());
        }
        let slot = self.next_timestamps % self.timestamps.len();
        let remembered = &mut self.timestamps[slot];
        std::mem::swap(&mut remembered.key, &mut self.key);
        remembered.timestamps_ms.clear();
        remembered.timestamps_ms.extend_from_slice(timestamps_ms);
        self.next_timestamps = (slot + 1) % TIMESTAMPS_REMEMBERED_MAX;
    }

    /// Appends the values of a column of floats. On damage they are as before.
    pub(super) fn append_floats(
        &mut self,
        source: Source<'_>,
        column: u16,
        values: &mut Vec<f64>,
    ) -> Result<(), Corruption> {
        let row = source.row(column);
        if source.sample_count(row) == 0 {
            return Ok(());
        }
        if row.is_referred_to {
            let slot = self.numbers(source, column)?;
            self.columns[slot].numbers.append_values(values);
            return Ok(());
        }
        let reference = self.reference(source, row)?;
        let (at, body) = source.head.checked_body(source.bytes, row.body)?;
        let reference = reference.map(|slot| self.columns[slot].numbers.integers.as_slice());
        let decoded = self.decoder.decode_values(body, source.sample_count(row), reference, values);
        decoded.map_err(|corruption| corruption.moved(at as u64))
    }

    fn reference(&mut self, source: Source<'_>, row: &ColumnRow) -> Result<Option<usize>, Corruption> {
        row.reference.map(|reference| self.numbers(source, reference)).transpose()
    }

    /// The slot with the numbers of a column that others refer to. Recurs once at most: such a column's reference has none.
    fn numbers(&mut self, source: Source<'_>, column: u16) -> Result<usize, Corruption> {
        let row = source.row(column);
        let count = source.sample_count(row);
        let body = source.head.body(source.bytes, row.body).1;
        let reference_body =
            row.reference.map(|reference| source.head.body(source.bytes, source.row(reference).body).1);
        if let Some(slot) = self.columns.iter().position(|slot| slot.is(count, body, reference_body)) {
            return Ok(slot);
        }
        let reference = self.reference(source, row)?;
        let (at, body) = source.head.checked_body(source.bytes, row.body)?;
        let slot = self.free_slot(reference);
        let mut remembered = std::mem::take(&mut self.columns[slot]);
        remembered.bytes.clear();
        remembered.body_bytes = 0;
        let integers = reference.map(|reference| self.columns[reference].numbers.integers.as_slice());
        self.decoder
            .decode(body, count, integers, &mut remembered.numbers)
            .map_err(|corruption| corruption.moved(at as u64))?;
        remembered.bytes.extend_from_slice(body);
        remembered.body_bytes = body.len();
        remembered.has_reference = reference_body.is_some();
        remembered.bytes.extend_from_slice(reference_body.unwrap_or_default());
        self.columns[slot] = remembered;
        Ok(slot)
    }

    /// A slot to overwrite, in turn, but not the one that is needed to fill it.
    fn free_slot(&mut self, needed: Option<usize>) -> usize {
        if self.columns.len() < REMEMBERED_MAX {
            self.columns.push(RememberedColumn::default());
            return self.columns.len() - 1;
        }
        if needed == Some(self.next_column) {
            self.next_column = (self.next_column + 1) % REMEMBERED_MAX;
        }
        let slot = self.next_column;
        self.next_column = (slot + 1) % REMEMBERED_MAX;
        slot
    }
}

/// The row that a body of timestamps is picked from, if it is, and that row's body.
fn base_of<'a>(source: Source<'a>, body: &[u8]) -> Result<Option<(&'a TimestampsRow, &'a [u8])>, Corruption> {
    let Some(base) = timestamps::base(body)? else { return Ok(None) };
    let row = source.head.timestamps.get(base);
    let row = row.ok_or(Corruption::at(0, "timestamps are picked from others that do not exist"))?;
    let (_, base_body) = source.head.checked_body(source.bytes, row.body)?;
    if timestamps::base(base_body)?.is_some() {
        return Err(Corruption::at(0, "timestamps are picked from others that are picked themselves"));
    }
    Ok(Some((row, base_body)))
}

/// All that a row's timestamps follow from.
fn append_key(row: &TimestampsRow, body: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(&(row.sample_count as u64).to_le_bytes());
    key.extend_from_slice(&row.first_ms.to_le_bytes());
    key.extend_from_slice(&row.last_ms.to_le_bytes());
    key.extend_from_slice(&row.body.bytes.to_le_bytes());
    key.extend_from_slice(body);
}
