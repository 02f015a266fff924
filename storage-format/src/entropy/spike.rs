//! Spike form: one value that is frequent, the gaps between the others, and the others.

use super::plan::Simple;
use super::{RESIDUALS_MAX, ans, decode_simple};
use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

/// Residuals apart from a frequent value.
#[derive(Default, Debug)]
pub(super) struct Spike {
    pub(super) value: i64,
    /// How many residuals of `value` stand before each of the others.
    pub(super) gaps: Vec<i64>,
    pub(super) others: Vec<i64>,
}

impl Spike {
    pub(super) fn read(&mut self, value: i64, residuals: &[i64]) {
        self.value = value;
        self.gaps.clear();
        self.others.clear();
        let mut next = 0;
        for (index, residual) in residuals.iter().enumerate() {
            if *residual != value {
                self.gaps.push((index - next) as i64);
                self.others.push(*residual);
                next = index + 1;
            }
        }
    }

    pub(super) fn append(&self, gaps: &Simple, others: &Simple, writer: &mut ans::Writer, out: &mut Vec<u8>) {
        append_zigzag(out, self.value);
        append_varint(out, self.others.len() as u64);
        gaps.append(&self.gaps, writer, out);
        others.append(&self.others, writer, out);
    }
}

#[inline(always)]
pub(super) fn decode(bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    let mut cursor = Cursor::new(bytes);
    let value = cursor.zigzag()?;
    let count = cursor.varint()?;
    if count == 0 || count > residuals.len() as u64 {
        return Err(Corruption::at(0, "there are more residuals apart than residuals"));
    }
    let mut gaps = [0; RESIDUALS_MAX];
    let gaps = &mut gaps[..count as usize];
    let at = cursor.position();
    let at = at + decode_simple(&bytes[at..], gaps).map_err(|error| error.moved(at as u64))?;
    let places = gaps.iter().fold(count, |sum: u64, gap| sum.saturating_add(*gap as u64));
    if places > residuals.len() as u64 {
        return Err(Corruption::at(at, "a residual stands behind the last"));
    }
    let others = &mut residuals[..count as usize];
    let at = at + decode_simple(&bytes[at..], others).map_err(|error| error.moved(at as u64))?;
    // From the last one down, each moves to a place at or behind its own.
    let mut end = places as usize;
    residuals[end..].fill(value);
    for (index, gap) in gaps.iter().enumerate().rev() {
        let place = end - 1;
        residuals[place] = residuals[index];
        end = place - *gap as usize;
        residuals[end..place].fill(value);
    }
    Ok(at)
}
