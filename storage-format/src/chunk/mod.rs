#![doc = include_str!("../../spec/chunk.md")]

mod append;
mod decode;
mod stored;
#[cfg(test)]
mod tests;

pub use append::Appender;
pub use decode::decode;
pub use stored::{StoredChunk, decode_stored, encode_stored, open_stored};

/// Kind of a chunk whose stream is byte-aligned deltas, the only one so far.
pub const KIND_DELTA: u8 = 1;

/// Bytes of the first sample: timestamp and value as they are.
pub const FIRST_SAMPLE_BYTES: usize = 16;

/// Longest sample after the first: control byte, eight bytes of time, nine of value.
pub const SAMPLE_BYTES_MAX: usize = 18;

/// Largest low nibble that means a difference of mantissas; the number is its length in bytes.
const VALUE_DELTA_MAX: u8 = 6;
const VALUE_EXPONENT: u8 = 7;
const VALUE_XOR: u8 = 8;
/// The step that a low nibble above [`VALUE_XOR`] is, without bytes.
const VALUE_STEPS: [i64; 7] = [-3, -2, -1, 1, 2, 3, 4];
/// Bytes of a mantissa behind a new exponent.
const MANTISSA_BYTES: usize = 7;

/// Bytes of delta-of-delta by high nibble.
const TIME_BYTES: [u8; 5] = [0, 1, 2, 4, 8];
