//! Decoding a stream into two columns.

use std::slice::IterMut;

use super::{
    FIRST_SAMPLE_BYTES, MANTISSA_BYTES, SAMPLE_BYTES_MAX, TIME_BYTES, VALUE_DELTA_MAX, VALUE_EXPONENT, VALUE_STEPS,
    VALUE_XOR,
};
use crate::Corruption;
use crate::bytes::{i64_at, u64_at};
use crate::decimal;

/// Bytes that are looked at for a sample: its longest form, so that its fields are read as whole words.
const WINDOW_BYTES: usize = SAMPLE_BYTES_MAX;

type Samples<'a> = std::iter::Zip<IterMut<'a, i64>, IterMut<'a, f64>>;

/// Appends the `count` samples of a stream to two columns, timestamps in ms since 1970 UTC.
///
/// Refuses a stream that ends early, goes on behind the last sample, or holds a class or number that the chapter does
/// not allow; the columns are then as before.
pub fn decode(stream: &[u8], count: usize, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), Corruption> {
    let (timestamps_before, values_before) = (timestamps.len(), values.len());
    // Each sample takes a byte at least, so a wrong count cannot ask for more memory than the stream's length.
    if count > stream.len() {
        return Err(Corruption::at(stream.len(), "a chunk has fewer bytes than samples"));
    }
    timestamps.resize(timestamps_before + count, 0);
    values.resize(values_before + count, 0.0);
    let columns = (&mut timestamps[timestamps_before..], &mut values[values_before..]);
    let decoded = decode_columns(stream, columns.0, columns.1);
    if decoded.is_err() {
        timestamps.truncate(timestamps_before);
        values.truncate(values_before);
    }
    decoded
}

fn decode_columns(stream: &[u8], timestamps: &mut [i64], values: &mut [f64]) -> Result<(), Corruption> {
    let mut samples = timestamps.iter_mut().zip(values.iter_mut());
    let mut position = 0;
    if let Some((timestamp_ms, value)) = samples.next() {
        let mut state = State::first(stream)?;
        (*timestamp_ms, *value) = (state.timestamp_ms, f64::from_bits(state.bits));
        position = FIRST_SAMPLE_BYTES + decode_rest(&stream[FIRST_SAMPLE_BYTES..], &mut state, samples)?;
    }
    if position != stream.len() {
        return Err(Corruption::at(position, "bytes are left after the last sample"));
    }
    Ok(())
}

/// Decodes all but the first sample; returns the bytes they took.
fn decode_rest(stream: &[u8], state: &mut State, mut samples: Samples<'_>) -> Result<usize, Corruption> {
    let moved = |corruption: Corruption| corruption.moved(FIRST_SAMPLE_BYTES as u64);
    let position = decode_windows(stream, state, &mut samples).map_err(moved)?;
    if samples.len() == 0 {
        return Ok(position);
    }
    // Less than a window is left: the last samples are decoded from a copy with room behind it, by the same loop.
    let tail = &stream[position..];
    let mut padded = [0; 2 * WINDOW_BYTES];
    padded[..tail.len()].copy_from_slice(tail);
    let moved = |corruption: Corruption| corruption.moved((FIRST_SAMPLE_BYTES + position) as u64);
    let used = decode_windows(&padded, state, &mut samples).map_err(moved)?;
    if used > tail.len() || samples.len() != 0 {
        return Err(Corruption::at(FIRST_SAMPLE_BYTES + stream.len(), "a chunk ends before its last sample"));
    }
    Ok(position + used)
}

/// Decodes while there are samples to come and a whole window to read; returns the bytes used.
fn decode_windows(stream: &[u8], state: &mut State, samples: &mut Samples<'_>) -> Result<usize, Corruption> {
    let mut position = 0;
    // A copy, for the compiler to keep in registers.
    let mut now = *state;
    while let Some(window) = stream.get(position..position + WINDOW_BYTES) {
        let Some((timestamp_ms, value)) = samples.next() else { break };
        let window = window.first_chunk().expect("the slice is one window long");
        let usual = &USUAL[usize::from(window[0])];
        position += match usual.bytes {
            0 => now.step(window),
            _ => now.step_usual(usual, window),
        }
        .map_err(|what| Corruption::at(position, what))?;
        (*timestamp_ms, *value) = (now.timestamp_ms, f64::from_bits(now.bits));
    }
    *state = now;
    Ok(position)
}

/// What a control byte says of a sample of the usual forms: a time of up to four bytes; and a value as it was, or one told by
/// its difference to the mantissa before. One look-up and no branch tells where the next sample starts, which is all that
/// decoding waits for.
#[derive(Clone, Copy)]
struct Usual {
    /// Length of the sample, control byte included; 0 if it is of another form.
    bytes: u8,
    time_bytes: u8,
    value_bytes: u8,
    /// The difference where it takes no bytes.
    step: i8,
    /// Whether the bits are those of the sample before.
    is_same: bool,
}

/// By control byte.
static USUAL: [Usual; 256] = {
    let mut all = [Usual { bytes: 0, time_bytes: 0, value_bytes: 0, step: 0, is_same: false }; 256];
    let mut control = 0;
    while control < 256 {
        let (time, value) = (control >> 4, (control & 15) as u8);
        if time < TIME_BYTES.len() - 1 && value != VALUE_EXPONENT && value != VALUE_XOR {
            let time_bytes = TIME_BYTES[time];
            let (value_bytes, step) = match value {
                0..=VALUE_DELTA_MAX => (value, 0),
                _ => (0, VALUE_STEPS[(value - VALUE_XOR - 1) as usize] as i8),
            };
            let bytes = 1 + time_bytes + value_bytes;
            all[control] = Usual { bytes, time_bytes, value_bytes, step, is_same: value == 0 };
        }
        control += 1;
    }
    all
};

/// The low `count` bytes of `word`, at most seven, as a signed number, 0 for no bytes: without a branch.
#[inline(always)]
fn low_signed(word: u64, count: u8) -> i64 {
    // In two steps, as a shift by 64 is none.
    let unused = 63 - 8 * u32::from(count & 7);
    (((word << 1) << unused) as i64 >> 1) >> unused
}

/// What the next sample is told by: that of the encoder, without its heuristics.
#[derive(Clone, Copy)]
struct State {
    timestamp_ms: i64,
    delta_ms: i64,
    bits: u64,
    mantissa: i64,
    exponent: u8,
}

impl State {
    fn first(stream: &[u8]) -> Result<State, Corruption> {
        if stream.len() < FIRST_SAMPLE_BYTES {
            return Err(Corruption::at(stream.len(), "a chunk ends within its first sample"));
        }
        let bits = u64_at(stream, 8);
        let mantissa = decimal::integer(f64::from_bits(bits)).unwrap_or(0);
        Ok(State { timestamp_ms: i64_at(stream, 0), delta_ms: 0, bits, mantissa, exponent: 0 })
    }

    /// Decodes one sample of the usual forms from the start of `window`; returns its length.
    #[inline(always)]
    fn step_usual(&mut self, usual: &Usual, window: &[u8; WINDOW_BYTES]) -> Result<usize, &'static str> {
        self.delta_ms = self.delta_ms.wrapping_add(low_signed(u64_at(window, 1), usual.time_bytes));
        self.timestamp_ms = self.timestamp_ms.wrapping_add(self.delta_ms);
        let value_at = 1 + usize::from(usual.time_bytes & 7);
        let change = low_signed(u64_at(window, value_at), usual.value_bytes) + i64::from(usual.step);
        let mantissa = self.mantissa + change;
        if mantissa.unsigned_abs() > decimal::MANTISSA_MAX as u64 {
            return Err("a mantissa is out of range");
        }
        self.mantissa = mantissa;
        let bits = decimal::value_of(mantissa, self.exponent).to_bits();
        self.bits = if usual.is_same { self.bits } else { bits };
        Ok(usize::from(usual.bytes))
    }

    /// Decodes one sample of any form from the start of `window`; returns its length.
    #[inline]
    fn step(&mut self, window: &[u8; WINDOW_BYTES]) -> Result<usize, &'static str> {
        let control = window[0];
        let time_bytes = self.step_time(control >> 4, u64_at(window, 1))?;
        let value_at = 1 + time_bytes;
        let rest: &[u8; 9] = window[value_at..value_at + 9].try_into().expect("the range has nine bytes");
        Ok(value_at + self.step_value(control & 15, rest)?)
    }

    #[inline(always)]
    fn step_time(&mut self, class: u8, word: u64) -> Result<usize, &'static str> {
        let mut bytes = 0;
        if class != 0 {
            bytes = usize::from(*TIME_BYTES.get(usize::from(class)).ok_or("a time class is unknown")?);
            self.delta_ms = self.delta_ms.wrapping_add(decimal::sign_extend(word, bytes));
        }
        self.timestamp_ms = self.timestamp_ms.wrapping_add(self.delta_ms);
        Ok(bytes)
    }

    #[inline(always)]
    fn step_value(&mut self, class: u8, rest: &[u8; 9]) -> Result<usize, &'static str> {
        if class == 0 {
            return Ok(0);
        }
        let bytes = usize::from(class);
        if class > VALUE_DELTA_MAX {
            return self.step_other(class, rest);
        }
        self.set_mantissa(self.mantissa + decimal::sign_extend(u64_at(rest, 0), bytes))?;
        Ok(bytes)
    }

    #[inline(always)]
    fn set_mantissa(&mut self, mantissa: i64) -> Result<(), &'static str> {
        if mantissa.unsigned_abs() > decimal::MANTISSA_MAX as u64 {
            return Err("a mantissa is out of range");
        }
        self.mantissa = mantissa;
        self.bits = decimal::value_of(mantissa, self.exponent).to_bits();
        Ok(())
    }

    fn step_other(&mut self, class: u8, rest: &[u8; 9]) -> Result<usize, &'static str> {
        match class {
            VALUE_EXPONENT => self.step_exponent(rest),
            VALUE_XOR => self.step_xor(rest),
            _ => {
                self.set_mantissa(self.mantissa + VALUE_STEPS[usize::from(class - VALUE_XOR - 1)])?;
                Ok(0)
            }
        }
    }

    fn step_exponent(&mut self, rest: &[u8; 9]) -> Result<usize, &'static str> {
        if rest[0] > decimal::EXPONENT_MAX {
            return Err("an exponent is out of range");
        }
        self.exponent = rest[0];
        self.set_mantissa(decimal::sign_extend(u64_at(rest, 1), MANTISSA_BYTES))?;
        Ok(1 + MANTISSA_BYTES)
    }

    fn step_xor(&mut self, rest: &[u8; 9]) -> Result<usize, &'static str> {
        let leading = u32::from(rest[0] >> 4);
        let count = u32::from(rest[0] & 15);
        if count == 0 || leading + count > 8 {
            return Err("an XOR has impossible lengths");
        }
        let middle = u64_at(rest, 1) & (u64::MAX >> (64 - 8 * count));
        self.bits ^= middle << (64 - 8 * (leading + count));
        Ok(1 + count as usize)
    }
}
