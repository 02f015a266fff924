//! Bits one behind the other, the low ones of a byte first.

/// Bits that [`word`] gives at any position.
pub(super) const WORD_BITS: u32 = 57;

/// The bits from `bit` on, at least [`WORD_BITS`]; behind the end they are zero.
#[inline(always)]
pub(super) fn word(bytes: &[u8], bit: usize) -> u64 {
    let at = bit / 8;
    let whole = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
    let word = match whole {
        Some(whole) => u64::from_le_bytes(*whole),
        None => last_word(bytes, at),
    };
    word >> (bit % 8)
}

#[cold]
#[inline(never)]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut whole = [0; 8];
    let count = rest.len().min(8);
    whole[..count].copy_from_slice(&rest[..count]);
    u64::from_le_bytes(whole)
}

/// The lowest `bits` bits set, fewer than 64.
#[inline(always)]
pub(super) fn mask(bits: u32) -> u64 {
    !(u64::MAX << bits)
}

/// Appends bits; the last byte is filled with zeros by [`Writer::end`].
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    waiting: u64,
    count: u32,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out, waiting: 0, count: 0 }
    }

    /// The low `bits` of a value, at most 64.
    #[inline(always)]
    pub(super) fn push(&mut self, value: u64, bits: u32) {
        if bits > 32 {
            self.push_half(value & mask(32), 32);
            self.push_half(value >> 32 & mask(bits - 32), bits - 32);
        } else {
            self.push_half(value & mask(bits), bits);
        }
    }

    #[inline(always)]
    fn push_half(&mut self, value: u64, bits: u32) {
        self.waiting |= value << self.count;
        self.count += bits;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.waiting as u32).to_le_bytes());
            self.waiting >>= 32;
            self.count -= 32;
        }
    }

    pub(super) fn end(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.waiting.to_le_bytes()[..bytes]);
    }
}
