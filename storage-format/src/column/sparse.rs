//! Sparse residuals: one value for most, and a list of the others.
//!
//! A counter that grew by 1 at the 5th and the 7th of a hundred scrapes: `00 02  04 02  01 02`.

use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

/// Appends the residuals, of which most are `common`.
pub(super) fn append(residuals: &[i64], common: i64, out: &mut Vec<u8>) {
    append_zigzag(out, common);
    append_varint(out, others(residuals, common) as u64);
    let mut next = 0;
    for (index, residual) in residuals.iter().enumerate() {
        if *residual != common {
            append_varint(out, (index - next) as u64);
            append_zigzag(out, residual.wrapping_sub(common));
            next = index + 1;
        }
    }
}

/// How many residuals are not `common`.
pub(super) fn others(residuals: &[i64], common: i64) -> usize {
    residuals.iter().map(|residual| usize::from(*residual != common)).sum()
}

/// Fills the residuals.
pub(super) fn read(cursor: &mut Cursor<'_>, residuals: &mut [i64]) -> Result<(), Corruption> {
    let common = cursor.zigzag()?;
    residuals.fill(common);
    let count = cursor.count(2)?;
    let mut next = 0;
    for _ in 0..count {
        let at = cursor.position();
        let gap = cursor.varint()?;
        let residual = usize::try_from(gap).ok().and_then(|gap| residuals[next..].get_mut(gap));
        let residual = residual.ok_or(Corruption::at(at, "a sparse residual lies behind the last"))?;
        *residual = common.wrapping_add(cursor.zigzag()?);
        next += gap as usize + 1;
    }
    Ok(())
}
