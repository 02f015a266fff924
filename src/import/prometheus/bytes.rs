//! Numbers as Prometheus writes them: big-endian, and Go's varints. Nothing is read behind the end.

/// Bytes that are read from front to back.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Seven bits a byte, the low ones first; the highest bit says that more follow.
    pub(super) fn uvarint(&mut self) -> Option<u64> {
        let mut number = 0;
        for index in 0..10 {
            let byte = self.u8()?;
            // The tenth byte has room for one bit.
            if index == 9 && byte > 1 {
                return None;
            }
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// As [`Bytes::uvarint`], for a length or a count of things that take a byte or more each.
    pub(super) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.uvarint()?).ok()
    }

    /// The sign is in the lowest bit.
    pub(super) fn varint(&mut self) -> Option<i64> {
        let number = self.uvarint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

/// Bits that are read from the highest of the first byte on.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits that are done.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// As many bits as one number, the first of them the highest. At most 64.
    pub(super) fn number(&mut self, count: u32) -> Option<u64> {
        let mut number: u64 = 0;
        let mut left = count as usize;
        while left > 0 {
            let byte = *self.bytes.get(self.at / 8)?;
            let free = 8 - self.at % 8;
            let taken = free.min(left);
            let bits = u64::from(byte) >> (free - taken) & ((1 << taken) - 1);
            number = number << taken | bits;
            self.at += taken;
            left -= taken;
        }
        Some(number)
    }

    /// A number of few bits if it is small: ones that tell how many, a zero, then those bits.
    pub(super) fn varbit(&mut self) -> Option<u64> {
        let width = self.varbit_width()?;
        self.number(width)
    }

    /// As [`Bits::varbit`], of what may be negative. Of the bits the highest alone is positive.
    pub(super) fn varbit_signed(&mut self) -> Option<i64> {
        let width = self.varbit_width()?;
        let number = self.number(width)? as i64;
        Some(if (1..64).contains(&width) && number > 1 << (width - 1) { number - (1 << width) } else { number })
    }

    fn varbit_width(&mut self) -> Option<u32> {
        for width in [0, 3, 6, 9, 12, 18, 25, 56] {
            if !self.bit()? {
                return Some(width);
            }
        }
        Some(64)
    }
}
