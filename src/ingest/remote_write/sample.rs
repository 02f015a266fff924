//! A sample, which both versions write alike: `value = 1` (double), `timestamp = 2` (int64, ms).
//!
//! Version 2 may add `start_timestamp = 3`, which is not stored.

use super::FIELD_2_BYTES;
use crate::ingest::wire::{Fields, Value, WireError, whole_varint};
use crate::model::Sample;

const FIELD_1_DOUBLE: u8 = 0x09;
const FIELD_2_VARINT: u8 = 0x10;

/// A sample's field, with its tag and length, as it stands in nearly every request: the value, left out if it is zero,
/// and a time of six bytes, from the year 1971 to 2109. Also gives what stands behind it. None if it is anything else.
#[inline]
pub(super) fn usual_sample(field: &[u8]) -> Option<(Sample, &[u8])> {
    if let Some(([FIELD_2_BYTES, 16, FIELD_1_DOUBLE, rest @ ..], behind)) = field.split_first_chunk::<18>()
        && let Some((bits, time)) = rest.split_first_chunk()
        && let Some(timestamp_ms) = usual_time(time)
    {
        return Some((Sample { timestamp_ms, value: f64::from_le_bytes(*bits) }, behind));
    }
    if let Some(([FIELD_2_BYTES, 7, time @ ..], behind)) = field.split_first_chunk::<9>()
        && let Some(timestamp_ms) = usual_time(time)
    {
        return Some((Sample { timestamp_ms, value: 0.0 }, behind));
    }
    None
}

/// A timestamp's field, if its number takes six bytes: seven bits in each, all at once.
#[inline]
fn usual_time(field: &[u8]) -> Option<i64> {
    let [FIELD_2_VARINT, a, b, c, d, e, f] = *field else { return None };
    let bytes = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
    if bytes & 0x8080_8080_8080 != 0x0080_8080_8080 {
        return None;
    }
    let pairs = bytes & 0x007f_007f_007f | (bytes & 0x7f00_7f00_7f00) >> 1;
    let number = pairs & 0x3fff | pairs >> 2 & 0x3fff << 14 | pairs >> 4 & 0x3fff << 28;
    Some(number as i64)
}

/// Reads a sample whose message ends at `base` in the body.
#[inline]
pub(super) fn sample(bytes: &[u8], base: usize) -> Result<Sample, WireError> {
    // As senders write it: the value, left out if it is zero, then the timestamp and nothing else.
    let (bits, rest) = match bytes {
        [FIELD_1_DOUBLE, a, b, c, d, e, f, g, h, rest @ ..] => {
            (u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest)
        }
        rest => (0, rest),
    };
    if let [FIELD_2_VARINT, varint @ ..] = rest
        && let Some(timestamp) = whole_varint(varint)
    {
        return Ok(Sample { timestamp_ms: timestamp as i64, value: f64::from_bits(bits) });
    }
    sample_in_any_order(bytes, base)
}

#[cold]
fn sample_in_any_order(bytes: &[u8], base: usize) -> Result<Sample, WireError> {
    let mut fields = Fields::new(bytes, base.saturating_sub(bytes.len()));
    let (mut timestamp_ms, mut bits) = (0_i64, 0_u64);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Fixed64(fixed)) => bits = fixed,
            (2, Value::Varint(varint)) => timestamp_ms = varint as i64,
            (1 | 2, _) => return Err(fields.error("a sample's value or timestamp of the wrong type")),
            _ => {}
        }
    }
    Ok(Sample { timestamp_ms, value: f64::from_bits(bits) })
}
