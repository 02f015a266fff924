//! Records of kind 6: native histograms, those of one series side by side.

use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};
use crate::histogram::{Appender, Histogram, StreamReader};

/// Appends a payload of kind 6. Neighbours of one reference are told by each other.
pub fn append_histograms<R: Copy + Into<u64>>(out: &mut Vec<u8>, rows: &[(R, i64, &Histogram)]) {
    let mut before = 0_u64;
    let mut stream = Vec::new();
    for of_series in rows.chunk_by(|one, two| one.0.into() == two.0.into()) {
        let reference = of_series[0].0.into();
        let mut appender = Appender::default();
        stream.clear();
        for (_, timestamp_ms, histogram) in of_series {
            appender.append(&mut stream, *timestamp_ms, histogram);
        }
        append_zigzag(out, reference.wrapping_sub(before) as i64);
        append_varint(out, of_series.len() as u64);
        append_varint(out, stream.len() as u64);
        out.extend_from_slice(&stream);
        before = reference;
    }
}

/// Reads a payload of kind 6; calls `row` with reference, timestamp in ms since 1970 UTC and histogram, in the order
/// written. Returns the number of rows. On damage the rows before it have been told.
pub fn decode_histograms(payload: &[u8], mut row: impl FnMut(u64, i64, &Histogram)) -> Result<u32, Corruption> {
    let mut cursor = Cursor::new(payload);
    let (mut reference, mut rows) = (0_u64, 0_u32);
    while !cursor.is_at_end() {
        reference = reference.wrapping_add(cursor.zigzag()? as u64);
        let at = cursor.position();
        let count = cursor.varint_u32()?;
        let bytes = cursor.count(1)?;
        // A sample takes a time and a control byte at least.
        if count == 0 || count as usize > bytes / 2 {
            return Err(Corruption::at(at, "a series has no histograms, or more than bytes for them"));
        }
        let base = cursor.position() as u64;
        let mut reader = StreamReader::new(cursor.take(bytes)?, count);
        while let Some((timestamp_ms, histogram)) = reader.read().map_err(|corruption| corruption.moved(base))? {
            row(reference, timestamp_ms, histogram);
        }
        rows = rows.saturating_add(count);
    }
    Ok(rows)
}
