//! Residuals of a column, each in as many bits as it is surprising. (Chapter to come: `spec/entropy.md`.)

use crate::Corruption;
use crate::bytes::{Cursor, append_zigzag};

/// Writes residuals; keeps its buffers from one column to the next.
#[derive(Debug, Default)]
pub(crate) struct Encoder {}

impl Encoder {
    /// Appends the residuals, at most `column::SAMPLES_MAX` of any 64 bits each.
    pub(crate) fn encode(&mut self, residuals: &[i64], out: &mut Vec<u8>) {
        for residual in residuals {
            append_zigzag(out, *residual);
        }
    }
}

/// Appends `count` residuals and returns how many of the bytes they took.
pub(crate) fn decode(bytes: &[u8], count: usize, residuals: &mut Vec<i64>) -> Result<usize, Corruption> {
    let mut cursor = Cursor::new(bytes);
    for _ in 0..count {
        residuals.push(cursor.zigzag()?);
    }
    Ok(cursor.position())
}
