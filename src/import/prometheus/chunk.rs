//! A chunk of floats: Gorilla's XOR code (VLDB 2015, section 4.1), with steps of time in ms.
//!
//! ```text
//! count u16 │ time varint │ value 64 bits │ step uvarint │ value │ change of step │ value │ …
//!
//! change of step   0 → none    10 → 14 bits    110 → 17    1110 → 20    1111 → 64
//! value            0 → the same    10 → bits of the XOR where those of the last one were    11 → 5 bits: zeros before,
//!                  6 bits: how many (0 is 64), then those
//! ```

use super::super::sample::AnySample;
use super::bytes::{Bits, Bytes};
use super::record::Buckets;
use crate::model::Sample;

/// The code of a chunk's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Xor,
    /// Native histograms.
    Histogram(Buckets),
    Unknown(u8),
}

impl Encoding {
    pub(super) fn of(byte: u8) -> Encoding {
        match byte {
            1 => Encoding::Xor,
            2 => Encoding::Histogram(Buckets::Integers),
            3 => Encoding::Histogram(Buckets::Floats),
            other => Encoding::Unknown(other),
        }
    }
}

/// How many samples a chunk says it has, whatever its encoding.
pub(super) fn count(data: &[u8]) -> Option<u16> {
    Bytes::new(data).u16()
}

/// Reads all samples. `None` where the data ends early or contradicts itself; what was appended then is of no use.
pub(in crate::import) fn read_xor(data: &[u8], samples: &mut Vec<AnySample>) -> Option<()> {
    let mut head = Bytes::new(data);
    let count = head.u16()?;
    if count == 0 {
        return Some(());
    }
    let mut timestamp_ms = head.varint()?;
    let mut value = head.u64()?;
    samples.push(Sample { timestamp_ms, value: f64::from_bits(value) }.into());
    if count == 1 {
        return Some(());
    }
    // The step of an unsorted chunk would be negative, which is a large number here: it wraps as it did when written.
    let mut step_ms = head.uvarint()? as i64;
    let mut bits = Bits::new(head.rest());
    let mut window = Window::default();
    for index in 1..count {
        if index > 1 {
            step_ms = step_ms.wrapping_add(change_of_step(&mut bits)?);
        }
        timestamp_ms = timestamp_ms.wrapping_add(step_ms);
        value ^= window.read(&mut bits)?;
        samples.push(Sample { timestamp_ms, value: f64::from_bits(value) }.into());
    }
    Some(())
}

fn change_of_step(bits: &mut Bits<'_>) -> Option<i64> {
    for width in [0, 14, 17, 20] {
        if !bits.bit()? {
            if width == 0 {
                return Some(0);
            }
            let number = bits.number(width)? as i64;
            // From -(2^(n-1) - 1) to 2^(n-1): the highest bit alone is positive.
            return Some(if number > 1 << (width - 1) { number - (1 << width) } else { number });
        }
    }
    bits.number(64).map(|number| number as i64)
}

/// Where the bits of an XOR lie that are not zero.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
    zeros_before: u32,
    width: u32,
}

impl Window {
    /// Reads the bits in which a number differs from the one before.
    pub(super) fn read(&mut self, bits: &mut Bits<'_>) -> Option<u64> {
        if !bits.bit()? {
            return Some(0);
        }
        if bits.bit()? {
            self.zeros_before = bits.number(5)? as u32;
            self.width = match bits.number(6)? as u32 {
                0 => 64,
                width => width,
            };
        }
        let zeros_behind = 64u32.checked_sub(self.zeros_before + self.width)?;
        // No window was given yet.
        if self.width == 0 {
            return None;
        }
        Some(bits.number(self.width)? << zeros_behind)
    }
}
