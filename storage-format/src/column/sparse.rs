//! Sparse residuals: one value for most, and where and what the others are, both packed.
//!
//! A counter that grew by 1 at the 5th and the 8th of a hundred scrapes: common 0, two others, gaps 4 and 2, both 1:
//! `00 02  02 04 02 00 00 00  00 02`.

use super::pack;
use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

/// What a sparse list takes besides its packed parts, in bits.
pub(super) const HEAD_BITS: u32 = 24;

/// The residuals that are not the common one.
#[derive(Debug, Default)]
pub(super) struct Others {
    common: i64,
    /// For each, how many common ones stand between it and the one before.
    gaps: Vec<i64>,
    residuals: Vec<i64>,
}

impl Others {
    /// Takes all residuals that are not `common`.
    pub(super) fn take(&mut self, residuals: &[i64], common: i64) {
        self.common = common;
        self.gaps.clear();
        self.residuals.clear();
        let mut next = 0;
        for (index, residual) in residuals.iter().enumerate() {
            if *residual != common {
                self.gaps.push((index - next) as i64);
                self.residuals.push(*residual);
                next = index + 1;
            }
        }
    }

    pub(super) fn gaps(&self) -> &[i64] {
        &self.gaps
    }

    pub(super) fn residuals(&self) -> &[i64] {
        &self.residuals
    }

    pub(super) fn append(&self, gaps: &pack::Plan, residuals: &pack::Plan, out: &mut Vec<u8>) {
        append_zigzag(out, self.common);
        append_varint(out, self.gaps.len() as u64);
        gaps.append(&self.gaps, out);
        residuals.append(&self.residuals, out);
    }

    /// Reads a list and fills the residuals with it; `self` is scratch.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>, residuals: &mut [i64]) -> Result<(), Corruption> {
        residuals.fill(cursor.zigzag()?);
        let at = cursor.position();
        let count = cursor.varint()?;
        if count > residuals.len() as u64 {
            return Err(Corruption::at(at, "a sparse list is longer than its column"));
        }
        let count = count as usize;
        pack::read(cursor, count, &mut self.gaps)?;
        pack::read(cursor, count, &mut self.residuals)?;
        let mut next = 0;
        for (gap, residual) in self.gaps.iter().zip(&self.residuals) {
            if *gap as u64 >= (residuals.len() - next) as u64 {
                return Err(Corruption::at(at, "a sparse residual lies behind the last"));
            }
            next += *gap as usize + 1;
            residuals[next - 1] = *residual;
        }
        Ok(())
    }
}

/// How many residuals are not `common`.
pub(super) fn others(residuals: &[i64], common: i64) -> usize {
    residuals.iter().map(|residual| usize::from(*residual != common)).sum()
}
