//! Symbols to bits and back by a table's states: four lanes take turns, so that none waits for the one before.

use super::RESIDUALS_MAX;
use super::bits::{mask, word};
use super::tables::{Decoding, Encoding, STATE_BITS, STATES, SYMBOLS, Stored, decoding};
use crate::Corruption;
use crate::bytes::Cursor;

pub(super) const LANES: usize = 4;

/// What the longest stream takes, and a word to write beyond it.
const STREAM_BYTES_MAX: usize = (RESIDUALS_MAX * STATE_BITS as usize) / 8 + 16;

/// Bits filled from the highest address downwards: what is written last is read first.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Box<[u8; STREAM_BYTES_MAX]>,
    position: usize,
    /// Its low `count` bits wait to be written.
    waiting: u64,
    count: u32,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer { bytes: Box::new([0; STREAM_BYTES_MAX]), position: STREAM_BYTES_MAX, waiting: 0, count: 0 }
    }
}

impl Writer {
    /// Appends the stream of these symbols, each of which has a frequency.
    pub(super) fn append(&mut self, encoding: &Encoding, symbols: &[u8], out: &mut Vec<u8>) {
        (self.position, self.waiting, self.count) = (STREAM_BYTES_MAX, 0, 0);
        let lanes = symbols.len().min(LANES);
        let states = self.push_symbols(encoding, symbols);
        for state in states[..lanes].iter().rev() {
            self.push(*state, STATE_BITS);
        }
        self.push(1, 1);
        self.flush();
        // What is left of the word stands in the byte below, over zeros.
        let first = self.position - usize::from(self.count > 0);
        out.extend_from_slice(&self.bytes[first..]);
    }

    /// The same behind a table made for them.
    pub(super) fn append_with_table(&mut self, symbols: &[u8], out: &mut Vec<u8>) {
        let mut counts = [0; SYMBOLS];
        for symbol in symbols {
            counts[usize::from(*symbol)] += 1;
        }
        let stored = Stored::of(&counts);
        stored.append(out);
        let frequencies = stored.frequencies().expect("a table that is written has its states");
        self.append(&Encoding::new(&frequencies), symbols, out);
    }

    /// From the last symbol to the first; gives the state of each lane before its first symbol.
    fn push_symbols(&mut self, encoding: &Encoding, symbols: &[u8]) -> [u32; LANES] {
        let (told, last) = symbols.split_at(symbols.len().saturating_sub(LANES));
        let mut states = [0; LANES];
        for (index, symbol) in last.iter().enumerate() {
            states[(told.len() + index) % LANES] = encoding.first(*symbol);
        }
        let (groups, rest) = told.as_chunks::<LANES>();
        for lane in (0..rest.len()).rev() {
            states[lane] = self.push_symbol(encoding, rest[lane], states[lane]);
        }
        self.flush();
        for group in groups.iter().rev() {
            for lane in (0..LANES).rev() {
                states[lane] = self.push_symbol(encoding, group[lane], states[lane]);
            }
            self.flush();
        }
        states
    }

    #[inline(always)]
    fn push_symbol(&mut self, encoding: &Encoding, symbol: u8, state: u32) -> u32 {
        let emission = encoding.symbols[usize::from(symbol) % encoding.symbols.len()];
        let bits = state.wrapping_add(emission.bits) >> 16;
        self.push(state, bits);
        let place = (state >> bits).wrapping_add(emission.offset) as usize;
        u32::from(encoding.states[place % STATES])
    }

    #[inline(always)]
    fn push(&mut self, value: u32, bits: u32) {
        self.waiting = self.waiting << bits | u64::from(value) & mask(bits);
        self.count += bits;
    }

    /// Moves whole bytes out; fewer than eight bits stay. What is written below the new position is written again.
    #[inline(always)]
    fn flush(&mut self) {
        let word = self.waiting.wrapping_shl(64 - self.count);
        self.bytes[self.position - 8..self.position].copy_from_slice(&word.to_le_bytes());
        self.position -= (self.count / 8) as usize;
        self.count %= 8;
    }
}

/// Reads as many symbols as the slice has, of a stream at the start of these bytes; gives the bytes it took.
#[inline(always)]
pub(super) fn decode(steps: &Decoding, bytes: &[u8], symbols: &mut [u8]) -> Result<usize, Corruption> {
    let start = bytes.first().map_or(8, |first| first.trailing_zeros());
    if start == 8 {
        return Err(Corruption::at(0, "a stream of symbols has no start"));
    }
    let mut bit = start as usize + 1;
    let lanes = symbols.len().min(LANES);
    let mut states = [0; LANES];
    for state in &mut states[..lanes] {
        *state = word(bytes, bit) as u32 & mask(STATE_BITS) as u32;
        bit += STATE_BITS as usize;
    }
    let told = symbols.len() - lanes;
    let (groups, rest) = symbols.split_at_mut(told / LANES * LANES);
    for group in groups.as_chunks_mut::<LANES>().0 {
        let mut bits = word(bytes, bit);
        for (symbol, state) in group.iter_mut().zip(&mut states) {
            let step = steps[*state as usize % STATES];
            let count = step >> 16 & 0xff;
            *symbol = (step >> 24) as u8;
            *state = (step & 0xffff) + (bits & mask(count)) as u32;
            bits >>= count;
            bit += count as usize;
        }
    }
    for (index, symbol) in rest.iter_mut().enumerate() {
        let state = &mut states[index % LANES];
        let step = steps[*state as usize % STATES];
        *symbol = (step >> 24) as u8;
        if index < told % LANES {
            let count = step >> 16 & 0xff;
            *state = (step & 0xffff) + (word(bytes, bit) & mask(count)) as u32;
            bit += count as usize;
        }
    }
    let taken = bit.div_ceil(8);
    if taken > bytes.len() {
        return Err(Corruption::at(bytes.len(), "a stream of symbols ends early"));
    }
    Ok(taken)
}

/// Reads a table and then symbols by it.
#[inline(always)]
pub(super) fn decode_with_table(bytes: &[u8], symbols: &mut [u8]) -> Result<usize, Corruption> {
    let mut cursor = Cursor::new(bytes);
    let frequencies = Stored::read(&mut cursor)?;
    let at = cursor.position();
    let taken = decode(&decoding(&frequencies), &bytes[at..], symbols);
    Ok(at + taken.map_err(|error| error.moved(at as u64))?)
}
