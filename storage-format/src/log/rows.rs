//! Records of kind 2: rows one behind the other, as version 1 of the log wrote samples. They are read, never written.

use crate::Corruption;
use crate::bytes::Cursor;
use crate::decimal;

const VALUE_BYTES: u8 = 0x0f;
const DECIMAL: u8 = 0x10;
const TIMESTAMP: u8 = 0x20;
const REFERENCE: u8 = 0x40;
const EXPONENT: u8 = 0x80;

/// Reads a payload of kind 2: calls `row` with reference, timestamp in ms, and value, in the order written.
///
/// Returns the row count. On an error the rows before it have been given already.
pub fn decode_rows(payload: &[u8], mut row: impl FnMut(u64, i64, f64)) -> Result<u32, Corruption> {
    let mut cursor = Cursor::new(payload);
    let mut timestamp_ms = cursor.i64()?;
    let row_count = cursor.u32()?;
    let mut expected_reference = 0u64;
    for _ in 0..row_count {
        let tag = cursor.u8()?;
        let value = decode_value(&mut cursor, tag)?;
        if tag & TIMESTAMP != 0 {
            timestamp_ms = timestamp_ms.wrapping_add(cursor.zigzag()?);
        }
        if tag & REFERENCE != 0 {
            expected_reference = expected_reference.wrapping_add(cursor.zigzag()? as u64);
        }
        row(expected_reference, timestamp_ms, value);
        expected_reference = expected_reference.wrapping_add(1);
    }
    cursor.expect_end()?;
    Ok(row_count)
}

fn decode_value(cursor: &mut Cursor<'_>, tag: u8) -> Result<f64, Corruption> {
    let exponent = if tag & EXPONENT != 0 { cursor.u8()? } else { 0 };
    let count = usize::from(tag & VALUE_BYTES);
    if count > 8 {
        return Err(cursor.corruption("a value has more than eight bytes"));
    }
    let word = cursor.word(count)?;
    if tag & DECIMAL == 0 {
        return decode_raw(cursor, tag, word, count);
    }
    let mantissa = decimal::sign_extend(word, count);
    if exponent > decimal::EXPONENT_MAX || mantissa.unsigned_abs() > decimal::MANTISSA_MAX as u64 {
        return Err(cursor.corruption("a decimal is out of range"));
    }
    Ok(decimal::value_of(mantissa, exponent))
}

fn decode_raw(cursor: &Cursor<'_>, tag: u8, word: u64, count: usize) -> Result<f64, Corruption> {
    if tag & EXPONENT != 0 {
        return Err(cursor.corruption("raw bits have an exponent"));
    }
    let bits = if count == 0 { 0 } else { word << (64 - 8 * count as u32) };
    Ok(f64::from_bits(bits))
}
