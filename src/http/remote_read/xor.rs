//! Prometheus's XOR chunk, after Gorilla (VLDB 2015): what its remote read understands, and nothing that we store.
//!
//! ```text
//! count (2, BE) │ time: varint │ value: 64 bits │ step: uvarint │ value code │ change of step, value code │ …
//!
//! change of step   0                              none
//!                  10 + 14, 110 + 17, 1110 + 20   that fits so many bits
//!                  1111 + 64                      any
//! value code       0                              as before
//!                  10 + bits                      differs within the window of the one before
//!                  11 + 5: zeros before + 6: how many bits (64 as 0) + bits
//! ```

/// Samples of a chunk, as many as Prometheus has in its own.
pub(super) const CHUNK_SAMPLES: usize = 120;
/// Longest chunk of so many samples, in bytes: 68 bits of time and 77 of value each, and the head.
pub(super) const CHUNK_BYTES_MAX: usize = CHUNK_SAMPLES * (68 + 77) / 8 + 32;

/// Bits, the highest of each byte first.
struct Bits<'d> {
    bytes: &'d mut Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u32,
}

impl Bits<'_> {
    /// Appends the lowest `count` bits, the highest of them first.
    fn write(&mut self, bits: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            let piece = (bits >> (left - taken)) & ((1 << taken) - 1);
            let last = self.bytes.last_mut().expect("one was pushed when none was free");
            *last |= (piece << (self.free - taken)) as u8;
            self.free -= taken;
            left -= taken;
        }
    }

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

/// The bits in which values differed last: zeros before them, zeros behind.
#[derive(Clone, Copy)]
struct Span {
    before: u32,
    behind: u32,
}

/// Writes the chunk of at most [`CHUNK_SAMPLES`] samples, ascending in ms, in place of what `data` holds.
pub(super) fn encode(times_ms: &[i64], values: &[f64], data: &mut Vec<u8>) {
    assert!(times_ms.len() == values.len() && times_ms.len() <= CHUNK_SAMPLES, "{} samples", times_ms.len());
    data.clear();
    data.extend_from_slice(&(times_ms.len() as u16).to_be_bytes());
    let mut bits = Bits { bytes: data, free: 0 };
    let (mut step_ms, mut span) = (0_i64, None);
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
        write_value(&mut bits, value.to_bits() ^ values[before].to_bits(), &mut span);
    }
}

fn write_value(bits: &mut Bits<'_>, difference: u64, span: &mut Option<Span>) {
    if difference == 0 {
        return bits.write(0, 1);
    }
    let now = Span { before: difference.leading_zeros().min(31), behind: difference.trailing_zeros() };
    match *span {
        Some(last) if now.before >= last.before && now.behind >= last.behind => {
            bits.write(0b10, 2);
            bits.write(difference >> last.behind, 64 - last.before - last.behind);
        }
        _ => {
            let count = 64 - now.before - now.behind;
            bits.write(0b11, 2);
            bits.write(u64::from(now.before), 5);
            bits.write(u64::from(count % 64), 6);
            bits.write(difference >> now.behind, count);
            *span = Some(now);
        }
    }
}
