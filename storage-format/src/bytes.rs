//! Integers in bytes: fixed widths, LEB128 varints, zigzag; each read is bounds-checked.
//!
//! A varint holds seven bits a byte, low ones first, the high bit set on all but the last: 300 is `ac 02`.
//! Zigzag folds the sign into the lowest bit, so that -1 is 1 and 1 is 2.

use crate::Corruption;

/// Longest varint: ten bytes hold 64 bits.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

pub(crate) fn append_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn append_zigzag(out: &mut Vec<u8>, value: i64) {
    append_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// The integer at `at`. Panics outside of `bytes`: for layouts whose length is checked already.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

/// As [`u16_at`].
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

/// As [`u16_at`].
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

/// As [`u16_at`].
pub(crate) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(array_at(bytes, at))
}

/// Appends a text behind its length as 32 bits.
pub(crate) fn append_u32_text(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).expect("a text is shorter than a record's 64 MiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has N bytes")
}

/// Reads fields one behind the other; errors carry the position.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.remaining() == 0
    }

    pub(crate) fn corruption(&self, what: &'static str) -> Corruption {
        Corruption::at(self.position, what)
    }

    /// Fails unless all bytes were read.
    pub(crate) fn expect_end(&self) -> Result<(), Corruption> {
        if self.is_at_end() { Ok(()) } else { Err(self.corruption("bytes are left after the last field")) }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Corruption> {
        let rest = &self.bytes[self.position..];
        let taken = rest.get(..count).ok_or(self.corruption("the bytes end within a field"))?;
        self.position += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corruption> {
        Ok(self.take(N)?.try_into().expect("take gives N bytes"))
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Corruption> {
        let byte = self.bytes.get(self.position).ok_or(self.corruption("the bytes end within a field"))?;
        self.position += 1;
        Ok(*byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Corruption> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Corruption> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Corruption> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Corruption> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Corruption> {
        // Most are of one byte.
        match self.bytes.get(self.position) {
            Some(byte) if *byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Corruption> {
        let mut value = 0u64;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.u8()?;
            if index == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.corruption("a varint exceeds 64 bits"))
    }

    /// The next `count` bytes, at most eight, as the low bytes of a word whose others are zero.
    #[inline]
    pub(crate) fn word(&mut self, count: usize) -> Result<u64, Corruption> {
        let rest = &self.bytes[self.position..];
        if let Some(whole) = rest.first_chunk::<8>() {
            self.position += count;
            let keep = if count == 0 { 0 } else { u64::MAX >> (64 - 8 * count) };
            return Ok(u64::from_le_bytes(*whole) & keep);
        }
        let mut bytes = [0; 8];
        bytes[..count].copy_from_slice(self.take(count)?);
        Ok(u64::from_le_bytes(bytes))
    }

    #[inline]
    pub(crate) fn varint_u32(&mut self) -> Result<u32, Corruption> {
        let at = self.position;
        u32::try_from(self.varint()?).map_err(|_| Corruption::at(at, "a number exceeds 32 bits"))
    }

    #[inline]
    pub(crate) fn zigzag(&mut self) -> Result<i64, Corruption> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number of things of which each takes at least `bytes_min` of the bytes that are left.
    pub(crate) fn count(&mut self, bytes_min: usize) -> Result<usize, Corruption> {
        let at = self.position;
        let count = self.varint()?;
        if count > (self.remaining() / bytes_min) as u64 {
            return Err(Corruption::at(at, "a count exceeds the bytes that are left"));
        }
        Ok(count as usize)
    }

    /// UTF-8 text of `length` bytes.
    pub(crate) fn text(&mut self, length: u64) -> Result<&'a str, Corruption> {
        let at = self.position;
        let length = usize::try_from(length).map_err(|_| Corruption::at(at, "the bytes end within a field"))?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Corruption::at(at, "a text is not UTF-8"))
    }

    /// What [`append_u32_text`] wrote.
    pub(crate) fn u32_text(&mut self) -> Result<&'a str, Corruption> {
        let length = self.u32()?;
        self.text(u64::from(length))
    }

    pub(crate) fn varint_text(&mut self) -> Result<&'a str, Corruption> {
        let length = self.varint()?;
        self.text(length)
    }
}
