//! A sample, which both versions write alike: `value = 1` (double), `timestamp = 2` (int64, ms).
//!
//! Version 2 may add `start_timestamp = 3`, which is not stored.

use crate::ingest::wire::{Fields, Value, WireError, whole_varint};
use crate::model::Sample;

const FIELD_1_DOUBLE: u8 = 0x09;
const FIELD_2_VARINT: u8 = 0x10;

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
