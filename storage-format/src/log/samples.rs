//! Records of kind 2: rows of reference, timestamp and value.

use crate::Corruption;
use crate::bytes::{Cursor, append_zigzag};
use crate::decimal;

/// Longest row: tag, exponent, value, and two varints.
pub const ROW_BYTES_MAX: usize = 1 + 1 + 8 + 10 + 10;

/// Bytes before the first row: base timestamp and row count.
const HEAD_BYTES: usize = 12;

const VALUE_BYTES: u8 = 0x0f;
const DECIMAL: u8 = 0x10;
const TIMESTAMP: u8 = 0x20;
const REFERENCE: u8 = 0x40;
const EXPONENT: u8 = 0x80;

/// Exponents that are tried for a value that is no integer; others are rare enough in fresh samples to go as raw bits.
const EXPONENT_TRIED_MAX: u8 = 4;

/// Writes one payload of kind 2, row by row.
///
/// ```
/// use storage_format::log::{SamplesEncoder, decode_samples};
/// let mut payload = Vec::new();
/// let mut encoder = SamplesEncoder::begin(&mut payload, 15_000);
/// encoder.push(&mut payload, 0, 15_000, 12.5);
/// encoder.push(&mut payload, 1, 15_000, 7.0);
/// assert_eq!(encoder.finish(&mut payload), 2);
/// assert_eq!(payload.len(), 12 + 3 + 2);
///
/// let mut rows = Vec::new();
/// decode_samples(&payload, |reference, timestamp_ms, value| rows.push((reference, timestamp_ms, value))).unwrap();
/// assert_eq!(rows, [(0, 15_000, 12.5), (1, 15_000, 7.0)]);
/// ```
#[derive(Clone, Debug)]
pub struct SamplesEncoder {
    start: usize,
    row_count: u32,
    exponent_hint: u8,
    timestamp_ms: i64,
    expected_reference: u64,
}

impl SamplesEncoder {
    /// Starts a payload at the end of `out`. The base costs nothing to rows that have it as their timestamp.
    pub fn begin(out: &mut Vec<u8>, base_timestamp_ms: i64) -> SamplesEncoder {
        let start = out.len();
        out.extend_from_slice(&base_timestamp_ms.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        SamplesEncoder { start, row_count: 0, exponent_hint: 1, timestamp_ms: base_timestamp_ms, expected_reference: 0 }
    }

    /// Appends one row, at most [`ROW_BYTES_MAX`] bytes.
    ///
    /// Rows whose reference is one more than the last and whose timestamp is the same are the smallest; reserving
    /// room for all rows beforehand saves growing.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, reference: u64, timestamp_ms: i64, value: f64) {
        let row = self.encode_value(value);
        let same_timestamp = timestamp_ms == self.timestamp_ms;
        let next_reference = reference == self.expected_reference;
        let start = out.len();
        out.extend_from_slice(&row.word.to_le_bytes());
        out.truncate(start + row.bytes);
        if !(same_timestamp && next_reference) {
            out[start] |= self.append_keys(out, reference, timestamp_ms);
        }
        self.timestamp_ms = timestamp_ms;
        self.expected_reference = reference.wrapping_add(1);
        self.row_count += 1;
    }

    /// Number of rows so far.
    pub fn row_count(&self) -> u32 {
        self.row_count
    }

    /// Writes the row count into the head and returns it.
    pub fn finish(self, out: &mut [u8]) -> u32 {
        let at = self.start + 8;
        out[at..at + 4].copy_from_slice(&self.row_count.to_le_bytes());
        self.row_count
    }

    /// Appends what differs from the row that was expected; returns the bits that say so.
    #[cold]
    fn append_keys(&self, out: &mut Vec<u8>, reference: u64, timestamp_ms: i64) -> u8 {
        let mut bits = 0;
        if timestamp_ms != self.timestamp_ms {
            append_zigzag(out, timestamp_ms.wrapping_sub(self.timestamp_ms));
            bits |= TIMESTAMP;
        }
        if reference != self.expected_reference {
            append_zigzag(out, reference.wrapping_sub(self.expected_reference) as i64);
            bits |= REFERENCE;
        }
        bits
    }

    #[inline]
    fn encode_value(&mut self, value: f64) -> Row {
        if let Some(mantissa) = decimal::integer(value) {
            return Row::integer(mantissa);
        }
        self.encode_fraction(value)
    }

    fn encode_fraction(&mut self, value: f64) -> Row {
        let hint = self.exponent_hint;
        let others = (1..=EXPONENT_TRIED_MAX).filter(|exponent| *exponent != hint);
        for exponent in std::iter::once(hint).chain(others) {
            if let Some(mantissa) = decimal::mantissa(value, exponent) {
                self.exponent_hint = exponent;
                return Row::decimal(mantissa, exponent);
            }
        }
        Row::raw(value)
    }
}

/// A tag and its value, in the low `bytes` bytes of `word`.
struct Row {
    word: u128,
    bytes: usize,
}

impl Row {
    #[inline]
    fn integer(mantissa: i64) -> Row {
        let count = if mantissa == 0 { 0 } else { decimal::signed_bytes(mantissa) };
        Row { word: u128::from(DECIMAL | count as u8) | u128::from(mantissa as u64) << 8, bytes: 1 + count }
    }

    fn decimal(mantissa: i64, exponent: u8) -> Row {
        let count = decimal::signed_bytes(mantissa);
        let tag = u128::from(EXPONENT | DECIMAL | count as u8);
        Row { word: tag | u128::from(exponent) << 8 | u128::from(mantissa as u64) << 16, bytes: 2 + count }
    }

    fn raw(value: f64) -> Row {
        let bits = value.to_bits();
        let cut = bits.trailing_zeros().min(63) as usize / 8;
        Row { word: u128::from((8 - cut) as u8) | u128::from(bits >> (8 * cut)) << 8, bytes: 1 + 8 - cut }
    }
}

/// Reads a payload of kind 2: calls `row` with reference, timestamp in ms, and value, in the order written.
///
/// Returns the row count. On an error the rows before it have been given already.
pub fn decode_samples(payload: &[u8], mut row: impl FnMut(u64, i64, f64)) -> Result<u32, Corruption> {
    let mut cursor = Cursor::new(payload);
    let mut timestamp_ms = cursor.i64()?;
    let row_count = cursor.u32()?;
    debug_assert_eq!(cursor.position(), HEAD_BYTES);
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
