//! Appending samples: the state that one more sample needs, 40 bytes a series.

use super::{
    FIRST_SAMPLE_BYTES, MANTISSA_BYTES, SAMPLE_BYTES_MAX, VALUE_DELTA_MAX, VALUE_EXPONENT, VALUE_STEPS, VALUE_XOR,
};
use crate::decimal;

/// Failed searches for an exponent after which a series counts as full-precision.
const RAW_STREAK_LONG: u8 = 4;
/// A full-precision series searches again once in so many samples.
const RAW_STREAK_PERIOD: u8 = 16;

/// Encodes the samples of one chunk, one behind the other, into bytes that the caller keeps.
///
/// The caller passes the same `Vec` each time; only complete samples are ever in it, so any moment's bytes with
/// [`Appender::count`] are a decodable stream.
///
/// ```
/// use storage_format::chunk::{Appender, decode};
/// let mut appender = Appender::default();
/// let mut stream = Vec::new();
/// for (timestamp_ms, value) in [(0, 100.0), (15_000, 109.0), (30_000, 102.5)] {
///     appender.append(&mut stream, timestamp_ms, value);
/// }
/// // The first sample whole; control, 15,000 in two bytes, +9; control, exponent 1 and 1,025 in seven bytes.
/// assert_eq!(stream.len(), 16 + 4 + 9);
/// let (mut timestamps, mut values) = (Vec::new(), Vec::new());
/// decode(&stream, 3, &mut timestamps, &mut values).unwrap();
/// assert_eq!((timestamps, values), (vec![0, 15_000, 30_000], vec![100.0, 109.0, 102.5]));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Appender {
    timestamp_ms: i64,
    delta_ms: i64,
    bits: u64,
    mantissa: i64,
    count: u32,
    exponent: u8,
    raw_streak: u8,
}

impl Appender {
    /// Number of samples in the stream.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Timestamp of the last sample in ms since 1970 UTC; 0 before the first.
    pub fn last_timestamp(&self) -> i64 {
        self.timestamp_ms
    }

    /// The last sample's value as its 64 bits; 0 before the first.
    pub fn last_bits(&self) -> u64 {
        self.bits
    }

    /// Appends one sample, at most [`SAMPLE_BYTES_MAX`] bytes.
    ///
    /// Any timestamps and any bits are possible; ascending and evenly spaced timestamps are the small ones.
    #[inline]
    pub fn append(&mut self, out: &mut Vec<u8>, timestamp_ms: i64, value: f64) {
        if self.count == 0 {
            return self.append_first(out, timestamp_ms, value);
        }
        out.reserve(SAMPLE_BYTES_MAX + 8);
        let control_at = out.len();
        let time_class = self.append_time(out, timestamp_ms);
        let value_class = self.append_value(out, value);
        out[control_at] = time_class << 4 | value_class;
        self.count += 1;
    }

    #[cold]
    fn append_first(&mut self, out: &mut Vec<u8>, timestamp_ms: i64, value: f64) {
        out.reserve(FIRST_SAMPLE_BYTES);
        out.extend_from_slice(&timestamp_ms.to_le_bytes());
        out.extend_from_slice(&value.to_bits().to_le_bytes());
        let mantissa = decimal::integer(value).unwrap_or(0);
        *self = Appender { timestamp_ms, bits: value.to_bits(), mantissa, count: 1, ..Appender::default() };
    }

    /// Appends a place for the control byte and the delta-of-delta; returns its class.
    #[inline]
    fn append_time(&mut self, out: &mut Vec<u8>, timestamp_ms: i64) -> u8 {
        let delta_ms = timestamp_ms.wrapping_sub(self.timestamp_ms);
        let change = delta_ms.wrapping_sub(self.delta_ms);
        self.timestamp_ms = timestamp_ms;
        self.delta_ms = delta_ms;
        if change == 0 {
            out.push(0);
            return 0;
        }
        out.push(0);
        let (class, bytes) = match decimal::signed_bytes(change) {
            1 => (1, 1),
            2 => (2, 2),
            3 | 4 => (3, 4),
            _ => (4, 8),
        };
        append_low_bytes(out, change as u64, bytes);
        class
    }

    /// Appends the value's bytes; returns its class.
    #[inline]
    fn append_value(&mut self, out: &mut Vec<u8>, value: f64) -> u8 {
        let bits = value.to_bits();
        if bits == self.bits {
            return 0;
        }
        let previous_bits = std::mem::replace(&mut self.bits, bits);
        if let Some(mantissa) = decimal::mantissa(value, self.exponent) {
            let change = mantissa - self.mantissa;
            if let Some(class) = step_class(change) {
                self.mantissa = mantissa;
                self.raw_streak = 0;
                return class;
            }
            let bytes = decimal::signed_bytes(change);
            if bytes <= usize::from(VALUE_DELTA_MAX) {
                self.mantissa = mantissa;
                self.raw_streak = 0;
                append_low_bytes(out, change as u64, bytes);
                return bytes as u8;
            }
        }
        self.append_other(out, value, previous_bits)
    }

    /// Appends a value that is not a small step at the present exponent.
    #[inline(never)]
    fn append_other(&mut self, out: &mut Vec<u8>, value: f64, previous_bits: u64) -> u8 {
        if let Some((exponent, mantissa)) = self.search(value) {
            (self.exponent, self.mantissa, self.raw_streak) = (exponent, mantissa, 0);
            out.push(exponent);
            append_low_bytes(out, mantissa as u64, MANTISSA_BYTES);
            return VALUE_EXPONENT;
        }
        append_xor(out, value.to_bits() ^ previous_bits);
        VALUE_XOR
    }

    /// The smallest exponent that holds `value`. Sixteen divisions for a value that has none are ten times the cost of
    /// an append, so a series of such values is asked only now and then.
    fn search(&mut self, value: f64) -> Option<(u8, i64)> {
        if !value.is_finite() {
            return None;
        }
        self.raw_streak += 1;
        if self.raw_streak > RAW_STREAK_LONG {
            if self.raw_streak < RAW_STREAK_LONG + RAW_STREAK_PERIOD {
                return None;
            }
            self.raw_streak = RAW_STREAK_LONG;
        }
        let form = |exponent| Some((exponent, decimal::mantissa(value, exponent)?));
        (0..=decimal::EXPONENT_MAX).find_map(form)
    }
}

/// The class of a step that takes no bytes.
#[inline]
fn step_class(change: i64) -> Option<u8> {
    let (smallest, largest) = (VALUE_STEPS[0], VALUE_STEPS[VALUE_STEPS.len() - 1]);
    if change == 0 || !(smallest..=largest).contains(&change) {
        return None;
    }
    let place = change - smallest - i64::from(change > 0); // there is no step of 0
    Some(VALUE_XOR + 1 + place as u8)
}

/// Appends the low `count` bytes of `word`: eight are written and the rest taken back, which costs no loop.
#[inline]
fn append_low_bytes(out: &mut Vec<u8>, word: u64, count: usize) {
    let length = out.len() + count;
    out.extend_from_slice(&word.to_le_bytes());
    out.truncate(length);
}

/// Appends how many high bytes are zero, how many bytes follow, and those between the zero bytes of both ends.
fn append_xor(out: &mut Vec<u8>, difference: u64) {
    let leading = difference.leading_zeros() / 8;
    let trailing = difference.trailing_zeros() / 8;
    let count = 8 - leading - trailing;
    out.push((leading << 4 | count) as u8);
    append_low_bytes(out, difference >> (8 * trailing), count as usize);
}
