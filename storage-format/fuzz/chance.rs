//! Chance that is the same at each run, and bytes changed by it: for tests that feed readers what nobody wrote.

/// Numbers without a pattern, the same at each run.
pub(crate) struct Chance(u64);

impl Chance {
    /// The seed must not be 0.
    pub(crate) fn of(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) as usize % bound.max(1)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len())]
    }
}

/// The seed, changed in one to four places, and sometimes its length.
pub(crate) fn changed(seed: &[u8], others: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        let magnitude = chance.below(8);
        let length = chance.below(1 << magnitude).min(bytes.len() - at);
        match chance.below(9) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
            2 | 3 if !bytes.is_empty() => bytes[at] = chance.one_of(&[0, 1, 2, 0x7f, 0x80, 0xfe, 0xff]),
            4 => put_number(&mut bytes, at, chance),
            5 => bytes.truncate(at),
            6 => drop(bytes.drain(at..at + length)),
            7 => {
                let copy = bytes[at..at + length].to_vec();
                let to = chance.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => {
                let other = &others[chance.below(others.len())];
                let from = chance.below(other.len());
                let piece = &other[from..other.len().min(from + length)];
                bytes.splice(at..bytes.len().min(at + piece.len()), piece.iter().copied());
            }
        }
    }
    bytes
}

/// Writes a number that a length, a count or an offset should not be.
fn put_number(bytes: &mut [u8], at: usize, chance: &mut Chance) {
    let length = bytes.len() as u64;
    let number = chance.one_of(&[
        0,
        1,
        length.wrapping_sub(1),
        length,
        length + 1,
        1 << 31,
        u32::MAX.into(),
        1 << 63,
        u64::MAX - 7,
        u64::MAX,
    ]);
    let width = chance.one_of(&[2, 4, 8]);
    for (place, byte) in bytes[at..].iter_mut().zip(&number.to_le_bytes()[..width]) {
        *place = *byte;
    }
}
