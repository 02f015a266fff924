//! Linear form: equal steps of 2^shift around a centre by a table, the bits below as they are.

use super::RESIDUALS_MAX;
use super::ans;
use super::bits::{self, mask, word};
use super::tables::{ESCAPE, Frequencies, LINEAR, MIDDLE, STORED, SYMBOLS};
use crate::Corruption;
use crate::bytes::{Cursor, append_zigzag};

/// A word at any bit holds what is below the steps.
pub(super) const SHIFT_MAX: u32 = bits::WORD_BITS;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Linear {
    pub(super) table: u8,
    pub(super) shift: u32,
    /// A multiple of [`granularity`].
    pub(super) centre: i64,
}

/// Bits of a centre that are zero: a quarter of a step is fine enough.
pub(super) fn centre_shift(shift: u32) -> u32 {
    shift.saturating_sub(2)
}

impl Linear {
    pub(super) fn append(&self, residuals: &[i64], writer: &mut ans::Writer, out: &mut Vec<u8>) {
        out.push(self.shift as u8);
        out.push(self.table);
        append_zigzag(out, self.centre >> centre_shift(self.shift));
        let mut symbols = [ESCAPE; RESIDUALS_MAX];
        let symbols = &mut symbols[..residuals.len()];
        if self.table == STORED {
            self.read_symbols(residuals, MIDDLE, &[1; SYMBOLS], symbols);
            writer.append_with_table(symbols, out);
        } else {
            let table = &LINEAR[usize::from(self.table)];
            self.read_symbols(residuals, table.origin, &table.frequencies, symbols);
            writer.append(table.encoding(), symbols, out);
        }
        if self.shift > 0 {
            let mut low = bits::Writer::new(out);
            for residual in residuals {
                low.push(residual.wrapping_sub(self.centre) as u64, self.shift);
            }
            low.end();
        }
        for (residual, symbol) in residuals.iter().zip(symbols) {
            if *symbol == ESCAPE {
                append_zigzag(out, residual.wrapping_sub(self.centre) >> self.shift);
            }
        }
    }

    fn read_symbols(&self, residuals: &[i64], origin: u8, frequencies: &Frequencies, symbols: &mut [u8]) {
        let mut known = [ESCAPE; SYMBOLS];
        for (symbol, frequency) in frequencies.iter().enumerate() {
            known[symbol] = if *frequency > 0 { symbol as u8 } else { ESCAPE };
        }
        for (residual, symbol) in residuals.iter().zip(symbols) {
            let steps = residual.wrapping_sub(self.centre) >> self.shift;
            let place = steps.wrapping_add(i64::from(origin)) as u64 as usize;
            *symbol = known.get(place).copied().unwrap_or(ESCAPE);
        }
    }
}

/// Fills the slice from the bytes behind the form and gives how many they were.
#[inline(always)]
pub(super) fn decode(shift: u32, bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    let mut cursor = Cursor::new(bytes);
    let number = cursor.u8()?;
    let centre = cursor.zigzag()? << centre_shift(shift);
    let mut at = cursor.position();
    let mut symbols = [ESCAPE; RESIDUALS_MAX];
    let symbols = &mut symbols[..residuals.len()];
    let origin = if number == STORED {
        at += ans::decode_with_table(&bytes[at..], symbols).map_err(|error| error.moved(at as u64))?;
        MIDDLE
    } else {
        let table = LINEAR.get(usize::from(number)).ok_or(Corruption::at(0, "a table of steps is unknown"))?;
        at += ans::decode(table.decoding(), &bytes[at..], symbols).map_err(|error| error.moved(at as u64))?;
        table.origin
    };
    let base = centre.wrapping_sub(i64::from(origin) << shift);
    for (residual, symbol) in residuals.iter_mut().zip(symbols.iter()) {
        *residual = base.wrapping_add(i64::from(*symbol) << shift);
    }
    if shift > 0 {
        at += add_low_bits(shift, &bytes[at..], residuals).map_err(|error| error.moved(at as u64))?;
    }
    if !symbols.contains(&ESCAPE) {
        return Ok(at);
    }
    let mut cursor = Cursor::new(&bytes[at..]);
    for (residual, symbol) in residuals.iter_mut().zip(symbols.iter()) {
        if *symbol == ESCAPE {
            let steps = cursor.zigzag().map_err(|error| error.moved(at as u64))?;
            *residual = residual.wrapping_add(steps.wrapping_add(i64::from(origin)) << shift);
        }
    }
    Ok(at + cursor.position())
}

#[inline(always)]
fn add_low_bits(shift: u32, bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    let taken = (residuals.len() * shift as usize).div_ceil(8);
    let bytes = bytes.get(..taken).ok_or(Corruption::at(bytes.len(), "low bits end early"))?;
    let mut bit = 0;
    for residual in residuals {
        *residual = residual.wrapping_add((word(bytes, bit) & mask(shift)) as i64);
        bit += shift as usize;
    }
    Ok(taken)
}
