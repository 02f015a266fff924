//! Prometheus's XOR chunk, after Gorilla (VLDB 2015): what its remote read understands, and nothing that we store.
//!
//! ```text
//! count (2, BE) │ time: varint │ value: 64 bits │ step: uvarint │ difference │ change of step, difference │ …
//!
//! change of step   0                              none
//!                  10 + 14, 110 + 17, 1110 + 20   that fits so many bits
//!                  1111 + 64                      any
//! ```
//!
//! How a value differs from the one before is told in `bits.rs`.

use super::bits::Bits;

/// Samples of a chunk, as many as Prometheus has in its own.
pub(super) const CHUNK_SAMPLES: usize = 120;

impl Bits<'_> {
    fn uvarint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.write(number & 0x7f | 0x80, 8);
            number >>= 7;
        }
        self.write(number, 8);
    }

    fn varint(&mut self, number: i64) {
        self.uvarint((number << 1 ^ number >> 63).cast_unsigned());
    }

    /// How much the step between two samples differs from the one before.
    fn change_of_step(&mut self, change: i64) {
        for (prefix, prefix_bits, bits) in [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)] {
            let half = 1_i64 << (bits - 1);
            if (1 - half..=half).contains(&change) {
                self.write(prefix, prefix_bits);
                return self.write(change.cast_unsigned(), bits);
            }
        }
        self.write(0b1111, 4);
        self.write(change.cast_unsigned(), 64);
    }
}

/// Writes the chunk of at most [`CHUNK_SAMPLES`] samples, ascending in ms, in place of what `data` holds.
pub(super) fn encode(times_ms: &[i64], values: &[f64], data: &mut Vec<u8>) {
    assert!(times_ms.len() == values.len() && times_ms.len() <= CHUNK_SAMPLES, "{} samples", times_ms.len());
    data.clear();
    data.extend_from_slice(&(times_ms.len() as u16).to_be_bytes());
    let mut bits = Bits::new(data);
    let (mut step_ms, mut window) = (0_i64, None);
    for (index, (time_ms, value)) in times_ms.iter().zip(values).enumerate() {
        let Some(before) = index.checked_sub(1) else {
            bits.varint(*time_ms);
            bits.write(value.to_bits(), 64);
            continue;
        };
        // Wraps where Go's does: a reader adds it up again the same way.
        let step_now_ms = time_ms.wrapping_sub(times_ms[before]);
        match step_now_ms.wrapping_sub(step_ms) {
            _ if index == 1 => bits.uvarint(step_now_ms.cast_unsigned()),
            0 => bits.write(0, 1),
            change => bits.change_of_step(change),
        }
        step_ms = step_now_ms;
        bits.difference(value.to_bits() ^ values[before].to_bits(), &mut window);
    }
}
