//! Forms without symbols: one value; values of equal width; one value with few others.

use super::bits::{self, WORD_BITS, mask, word};
use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

/// How many bytes the zigzag of a value takes.
pub(super) fn varint_bytes(value: i64) -> u64 {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    u64::from((u64::BITS - zigzag.leading_zeros()).max(1).div_ceil(7))
}

/// Bits above the smallest residual, as many for each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Packed {
    pub(super) base: i64,
    pub(super) width: u32,
}

impl Packed {
    pub(super) fn append(self, residuals: &[i64], out: &mut Vec<u8>) {
        out.push(self.width as u8);
        append_zigzag(out, self.base);
        let mut writer = bits::Writer::new(out);
        for residual in residuals {
            writer.push(residual.wrapping_sub(self.base) as u64, self.width);
        }
        writer.end();
    }
}

#[inline(always)]
pub(super) fn decode_packed(bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    let mut cursor = Cursor::new(bytes);
    let width = u32::from(cursor.u8()?);
    if width > 64 {
        return Err(Corruption::at(0, "packed residuals are wider than 64 bits"));
    }
    let base = cursor.zigzag()?;
    let packed = cursor.take((residuals.len() * width as usize).div_ceil(8))?;
    let mut bit = 0;
    if width <= WORD_BITS {
        for residual in residuals {
            *residual = base.wrapping_add((word(packed, bit) & mask(width)) as i64);
            bit += width as usize;
        }
    } else {
        for residual in residuals {
            let low = word(packed, bit) & mask(32);
            let high = word(packed, bit + 32) & mask(width - 32);
            *residual = base.wrapping_add((low | high << 32) as i64);
            bit += width as usize;
        }
    }
    Ok(cursor.position())
}

/// The few residuals that are not `value`, one behind the other.
pub(super) fn append_sparse(value: i64, residuals: &[i64], out: &mut Vec<u8>) {
    append_zigzag(out, value);
    append_varint(out, residuals.iter().filter(|residual| **residual != value).count() as u64);
    let mut next = 0;
    for (index, residual) in residuals.iter().enumerate() {
        if *residual != value {
            append_varint(out, (index - next) as u64);
            append_zigzag(out, residual.wrapping_sub(value));
            next = index + 1;
        }
    }
}

pub(super) fn decode_sparse(bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    let mut cursor = Cursor::new(bytes);
    let value = cursor.zigzag()?;
    residuals.fill(value);
    let mut rest = residuals;
    for _ in 0..cursor.count(2)? {
        let gap = cursor.varint()?;
        let place = usize::try_from(gap).ok().filter(|gap| *gap < rest.len());
        let place = place.ok_or(cursor.corruption("a residual stands behind the last"))?;
        rest[place] = value.wrapping_add(cursor.zigzag()?);
        rest = &mut rest[place + 1..];
    }
    Ok(cursor.position())
}
