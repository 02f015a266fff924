//! A sample, which both versions write alike: `value = 1` (double), `timestamp = 2` (int64, ms).
//!
//! Version 2 may add `start_timestamp = 3` (int64, ms): since when the sample counts, 0 if that is not known. One of the
//! wrong type is none. In version 1 the number is nobody else's, and is read alike.

use super::FIELD_2_BYTES;
use crate::ingest::wire::{Fields, Value, WireError, whole_varint};
use crate::model::Sample;

const FIELD_1_DOUBLE: u8 = 0x09;
const FIELD_5_BYTES: u8 = 0x2a;
const FIELD_2_VARINT: u8 = 0x10;

/// Reads samples as they stand in nearly every request: the value, left out if it is zero, and a time of six bytes, from
/// the year 1971 to 2109, often the same as in the sample before.
pub(super) struct UsualTimes {
    /// The field of the last sample, in the low seven bytes.
    encoded: u64,
    timestamp_ms: i64,
}

impl UsualTimes {
    pub(super) fn new() -> UsualTimes {
        UsualTimes { encoded: u64::MAX, timestamp_ms: 0 }
    }

    /// A sample's field, with its tag and length, and behind it nothing but perhaps a description. None if it is anything
    /// else.
    #[inline(always)]
    pub(super) fn whole_sample(&mut self, fields: &[u8]) -> Option<Sample> {
        let (bits, time, rest) = if let Some((sample, rest)) = fields.split_first_chunk::<18>()
            && u32_at(sample, 0) & 0x00ff_ffff == u32::from_le_bytes([FIELD_2_BYTES, 16, FIELD_1_DOUBLE, 0])
        {
            (u64_at(sample, 3), u64_at(sample, 10) >> 8, rest)
        } else if let Some((sample, rest)) = fields.split_first_chunk::<9>()
            && [sample[0], sample[1]] == [FIELD_2_BYTES, 7]
        {
            (0, u64_at(sample, 1) >> 8, rest)
        } else {
            return None;
        };
        if time != self.encoded {
            (self.encoded, self.timestamp_ms) = (time, usual_time(time)?);
        }
        let is_whole = match rest {
            [] => true,
            [FIELD_5_BYTES, length @ 0..0x80, rest @ ..] => usize::from(*length) == rest.len(),
            _ => false,
        };
        is_whole.then_some(Sample { timestamp_ms: self.timestamp_ms, value: f64::from_bits(bits) })
    }
}

/// A timestamp's field in the low seven bytes, if its number takes six: seven bits in each, all at once.
#[cold]
fn usual_time(field: u64) -> Option<i64> {
    if field & 0x80_8080_8080_80ff != 0x00_8080_8080_8000 | u64::from(FIELD_2_VARINT) {
        return None;
    }
    let bytes = field >> 8;
    let pairs = bytes & 0x007f_007f_007f | (bytes & 0x7f00_7f00_7f00) >> 1;
    let number = pairs & 0x3fff | pairs >> 2 & 0x3fff << 14 | pairs >> 4 & 0x3fff << 28;
    Some(number as i64)
}

#[inline(always)]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the bytes were counted"))
}

#[inline(always)]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the bytes were counted"))
}

/// Reads a sample whose message ends at `base` in the body, and since when it counts, in ms since 1970 UTC; 0 if that is
/// not said.
#[inline]
pub(super) fn sample(bytes: &[u8], base: usize) -> Result<(Sample, i64), WireError> {
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
        return Ok((Sample { timestamp_ms: timestamp as i64, value: f64::from_bits(bits) }, 0));
    }
    sample_in_any_order(bytes, base)
}

#[cold]
fn sample_in_any_order(bytes: &[u8], base: usize) -> Result<(Sample, i64), WireError> {
    let mut fields = Fields::new(bytes, base.saturating_sub(bytes.len()));
    let (mut timestamp_ms, mut bits, mut start_ms) = (0_i64, 0_u64, 0_i64);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Fixed64(fixed)) => bits = fixed,
            (2, Value::Varint(varint)) => timestamp_ms = varint as i64,
            (3, Value::Varint(varint)) => start_ms = varint as i64,
            (1 | 2, _) => return Err(fields.error("a sample's value or timestamp of the wrong type")),
            _ => {}
        }
    }
    Ok((Sample { timestamp_ms, value: f64::from_bits(bits) }, start_ms))
}
