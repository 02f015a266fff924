//! Bits of Prometheus's chunks: what its two kinds have in common.
//!
//! ```text
//! varbit      0                                               zero
//!             10 + 3, 110 + 6, 1110 + 9, 11110 + 12,
//!             111110 + 18, 1111110 + 25, 11111110 + 56        that fits so many bits
//!             11111111 + 64                                   any
//! difference  0                                               none
//!             10 + bits                                       differs within the window of the one before
//!             11 + 5: zeros before + 6: how many bits (64 as 0) + bits
//! ```

/// Bits, the highest of each byte first.
pub(super) struct Bits<'d> {
    bytes: &'d mut Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u32,
}

/// The bits in which values differed last: zeros before them, zeros behind.
#[derive(Clone, Copy)]
pub(super) struct Window {
    before: u32,
    behind: u32,
}

impl Bits<'_> {
    /// Goes on behind what `bytes` holds.
    pub(super) fn new(bytes: &mut Vec<u8>) -> Bits<'_> {
        Bits { bytes, free: 0 }
    }

    /// Bytes so far, those before the bits included.
    pub(super) fn bytes_count(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the lowest `count` bits, the highest of them first.
    pub(super) fn write(&mut self, bits: u64, count: u32) {
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

    /// A varbit of what cannot be negative.
    pub(super) fn varbit(&mut self, number: u64) {
        self.varbit_of(number, |bits| number >> bits == 0);
    }

    /// A varbit of what can. Of so many bits the highest alone is positive.
    pub(super) fn varbit_signed(&mut self, number: i64) {
        self.varbit_of(number.cast_unsigned(), |bits| {
            let half = 1_i64 << (bits - 1);
            (1 - half..=half).contains(&number)
        });
    }

    fn varbit_of(&mut self, bits: u64, fits: impl Fn(u32) -> bool) {
        if bits == 0 {
            return self.write(0, 1);
        }
        for (ones, count) in (1_u32..).zip([3, 6, 9, 12, 18, 25, 56]) {
            if fits(count) {
                self.write((1 << (ones + 1)) - 2, ones + 1);
                return self.write(bits, count);
            }
        }
        self.write(0xff, 8);
        self.write(bits, 64);
    }

    /// In which bits a value differs from the one before.
    pub(super) fn difference(&mut self, difference: u64, window: &mut Option<Window>) {
        if difference == 0 {
            return self.write(0, 1);
        }
        let now = Window { before: difference.leading_zeros().min(31), behind: difference.trailing_zeros() };
        match *window {
            Some(last) if now.before >= last.before && now.behind >= last.behind => {
                self.write(0b10, 2);
                self.write(difference >> last.behind, 64 - last.before - last.behind);
            }
            _ => {
                let count = 64 - now.before - now.behind;
                self.write(0b11, 2);
                self.write(u64::from(now.before), 5);
                self.write(u64::from(count % 64), 6);
                self.write(difference >> now.behind, count);
                *window = Some(now);
            }
        }
    }
}
