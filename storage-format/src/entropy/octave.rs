//! Octave form, for heavy tails: sign, octave and half of the octave by a table, the bits below as they are.

use super::RESIDUALS_MAX;
use super::ans;
use super::bits::{self, mask, word};
use super::histogram::Counts;
use super::tables::{ESCAPE, Frequencies, OCTAVE, STORED, SYMBOLS};
use crate::Corruption;
use crate::bytes::{Cursor, append_zigzag};

/// Longest run of plain bits is 14 longer and fits a word.
pub(super) const SHIFT_MAX: u32 = 41;
/// Symbols of a sign.
const STEPS: u32 = 31;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Octave {
    pub(super) table: u8,
    pub(super) shift: u32,
    pub(super) centre: i64,
}

/// The symbol of a distance from the centre, and how many bits are below it.
#[inline(always)]
fn symbol(distance: i64, shift: u32) -> (u8, u32) {
    let sign = distance >> 63;
    let steps = (distance ^ sign) as u64 >> shift;
    let step = if steps < 2 {
        steps as u32
    } else {
        let octave = steps.ilog2();
        2 * octave + (steps >> (octave - 1) & 1) as u32
    };
    if step >= STEPS {
        return (ESCAPE, 0);
    }
    let symbol = 1 + step + (sign as u32 & STEPS);
    (symbol as u8, low_bits(step, shift))
}

/// How many residuals have which symbol, and the bits below all of them; residuals come with how often they occur.
pub(super) fn count(residuals: impl Iterator<Item = (i64, u16)>, centre: i64, shift: u32) -> (Counts, u64) {
    let mut counts = [0; SYMBOLS];
    let mut low_bits = 0;
    for (residual, times) in residuals {
        let (symbol, bits) = symbol(residual.wrapping_sub(centre), shift);
        counts[usize::from(symbol)] += times as i16;
        low_bits += u64::from(bits) * u64::from(times);
    }
    (counts, low_bits)
}

fn low_bits(step: u32, shift: u32) -> u32 {
    shift + (step / 2).saturating_sub(1)
}

/// The smallest magnitude of a step.
pub(super) fn floor(step: u32) -> u64 {
    if step < 2 { u64::from(step) } else { u64::from(2 + (step & 1)) << (step / 2 - 1) }
}

impl Octave {
    pub(super) fn append(&self, residuals: &[i64], writer: &mut ans::Writer, out: &mut Vec<u8>) {
        out.push(super::FORM_OCTAVE + self.shift as u8);
        out.push(self.table);
        append_zigzag(out, self.centre);
        let mut symbols = [ESCAPE; RESIDUALS_MAX];
        let symbols = &mut symbols[..residuals.len()];
        if self.table == STORED {
            self.read_symbols(residuals, &[1; SYMBOLS], symbols);
            writer.append_with_table(symbols, out);
        } else {
            let table = &OCTAVE[usize::from(self.table)];
            self.read_symbols(residuals, &table.frequencies, symbols);
            writer.append(table.encoding(), symbols, out);
        }
        let mut low = bits::Writer::new(out);
        for (residual, symbol) in residuals.iter().zip(symbols.iter()) {
            if *symbol != ESCAPE {
                let distance = residual.wrapping_sub(self.centre);
                let step = (u32::from(*symbol) - 1) % STEPS;
                low.push((distance ^ distance >> 63) as u64, low_bits(step, self.shift));
            }
        }
        low.end();
        for (residual, symbol) in residuals.iter().zip(symbols) {
            if *symbol == ESCAPE {
                append_zigzag(out, residual.wrapping_sub(self.centre));
            }
        }
    }

    fn read_symbols(&self, residuals: &[i64], frequencies: &Frequencies, symbols: &mut [u8]) {
        for (residual, place) in residuals.iter().zip(symbols) {
            let (symbol, _) = symbol(residual.wrapping_sub(self.centre), self.shift);
            *place = if frequencies[usize::from(symbol)] > 0 { symbol } else { ESCAPE };
        }
    }
}

/// What a symbol stands for: a magnitude and how many bits are below it; all bits of `sign` are those of the residual.
#[derive(Clone, Copy, Default)]
struct Step {
    floor: u64,
    sign: i64,
    bits: u32,
}

fn steps(shift: u32) -> [Step; SYMBOLS] {
    let mut steps = [Step::default(); SYMBOLS];
    for (symbol, place) in steps.iter_mut().enumerate().take(2 * STEPS as usize + 1).skip(1) {
        let step = (symbol as u32 - 1) % STEPS;
        let sign = if symbol as u32 > STEPS { -1 } else { 0 };
        *place = Step { floor: floor(step) << shift, sign, bits: low_bits(step, shift) };
    }
    steps
}

/// Fills the slice from the bytes behind the form and gives how many they were.
#[inline(always)]
pub(super) fn decode(shift: u32, bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    let mut cursor = Cursor::new(bytes);
    let number = cursor.u8()?;
    let centre = cursor.zigzag()?;
    let mut at = cursor.position();
    let mut symbols = [ESCAPE; RESIDUALS_MAX];
    let symbols = &mut symbols[..residuals.len()];
    at += if number == STORED {
        ans::decode_with_table(&bytes[at..], symbols)
    } else {
        let table = OCTAVE.get(usize::from(number)).ok_or(Corruption::at(0, "a table of octaves is unknown"))?;
        ans::decode(table.decoding(), &bytes[at..], symbols)
    }
    .map_err(|error| error.moved(at as u64))?;
    let steps = steps(shift);
    let low = &bytes[at..];
    let mut bit = 0;
    for (residual, symbol) in residuals.iter_mut().zip(symbols.iter()) {
        let step = steps[usize::from(*symbol) % SYMBOLS];
        let magnitude = step.floor + (word(low, bit) & mask(step.bits));
        *residual = centre.wrapping_add(magnitude as i64 ^ step.sign);
        bit += step.bits as usize;
    }
    at += bit.div_ceil(8);
    if at > bytes.len() {
        return Err(Corruption::at(bytes.len(), "low bits end early"));
    }
    if !symbols.contains(&ESCAPE) {
        return Ok(at);
    }
    let mut cursor = Cursor::new(&bytes[at..]);
    for (residual, symbol) in residuals.iter_mut().zip(symbols.iter()) {
        if *symbol == ESCAPE {
            *residual = centre.wrapping_add(cursor.zigzag().map_err(|error| error.moved(at as u64))?);
        }
    }
    Ok(at + cursor.position())
}
