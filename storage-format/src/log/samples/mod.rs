//! Records of kinds 3 and 4: samples in columns, by runs of keys and by forms of values.

mod forms;
mod runs;

use crate::Corruption;
use crate::bytes::{Cursor, append_varint};
use forms::{FormReader, FormWriter};
use runs::{Runs, append_runs};

/// Longest that a row can get, its share of everything that is told once for several rows included; a payload has at
/// most 64 bytes more.
pub const SAMPLE_BYTES_MAX: usize = 32;

/// Appends a payload of kind 3 or 4: rows of reference, timestamp in ms since 1970 UTC, and value, in their order.
///
/// Rows whose reference is one more than that of the row before, at the same timestamp, are the smallest.
/// Panics if there are 2^32 rows or more.
///
/// ```
/// use storage_format::log::{append_samples, decode_samples};
/// let rows = [(0, 15_000, 12.5), (1, 15_000, 7.0), (2, 15_000, 7.0)];
/// let mut payload = Vec::new();
/// append_samples(&mut payload, &rows);
/// assert_eq!(payload.len(), 13);
///
/// let mut read = Vec::new();
/// decode_samples(&payload, |reference, timestamp_ms, value| read.push((reference, timestamp_ms, value))).unwrap();
/// assert_eq!(read, rows);
/// ```
pub fn append_samples<R: Copy + Into<u64>>(out: &mut Vec<u8>, rows: &[(R, i64, f64)]) {
    let row_count = u32::try_from(rows.len()).expect("a record has less than 2^32 rows");
    append_varint(out, row_count.into());
    append_runs(out, rows.iter().map(|(reference, timestamp_ms, _)| ((*reference).into(), *timestamp_ms)));
    let mut forms = FormWriter::with_capacity(rows.len());
    for (_, _, value) in rows {
        forms.push(*value);
    }
    forms.finish(out);
}

/// Reads a payload of kind 3 or 4: calls `row` with reference, timestamp in ms, and value, in the order written.
///
/// Returns the row count. On an error the rows before it have been given already.
pub fn decode_samples(payload: &[u8], mut row: impl FnMut(u64, i64, f64)) -> Result<u32, Corruption> {
    let mut cursor = Cursor::new(payload);
    let row_count = cursor.varint_u32()?;
    // A row takes at least the four bits of its form.
    if row_count as usize > 2 * cursor.remaining() {
        return Err(cursor.corruption("a count exceeds the bytes that are left"));
    }
    let runs = Runs::parse(&mut cursor, row_count)?;
    let mut values = FormReader::parse(&mut cursor, row_count as usize)?;
    for run in runs {
        let (mut reference, mut timestamp_ms) = (run.reference, run.timestamp_ms);
        for _ in 0..run.row_count {
            row(reference, timestamp_ms, values.next()?);
            reference = reference.wrapping_add(run.reference_step);
            timestamp_ms = timestamp_ms.wrapping_add(run.timestamp_step_ms);
        }
    }
    values.finish()?;
    Ok(row_count)
}
