#![doc = include_str!("../../spec/entropy.md")]

mod ans;
mod bits;
mod fit;
mod histogram;
mod linear;
mod octave;
mod plain;
mod plan;
mod sketch;
mod spike;
mod tables;
#[cfg(test)]
mod tests;

use crate::Corruption;
use crate::bytes::Cursor;
use plan::{Plan, Planner};

/// Residuals in one call at most.
pub(crate) const RESIDUALS_MAX: usize = 4096;

/// Forms up to `linear::SHIFT_MAX` are linear with that shift.
const FORM_OCTAVE: u8 = 64;
const FORM_CONSTANT: u8 = 128;
const FORM_PACKED: u8 = 129;
const FORM_SPARSE: u8 = 130;
const FORM_SPIKE: u8 = 131;
const FORM_PARTS: u8 = 132;

/// Writes residuals; keeps its buffers from one column to the next.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    planner: Planner,
    writer: ans::Writer,
}

impl Encoder {
    /// Appends the residuals, at most [`RESIDUALS_MAX`] of any 64 bits each, in the form that takes the fewest bytes.
    pub(crate) fn encode(&mut self, residuals: &[i64], out: &mut Vec<u8>) {
        assert!(residuals.len() <= RESIDUALS_MAX, "{} residuals in one column", residuals.len());
        if !residuals.is_empty() {
            let plan = self.planner.plan(residuals);
            self.append(&plan, residuals, out);
        }
    }

    fn append(&mut self, plan: &Plan, residuals: &[i64], out: &mut Vec<u8>) {
        match plan {
            Plan::Spike { gaps, others, .. } => {
                out.push(FORM_SPIKE);
                self.planner.spike.append(gaps, others, &mut self.writer, out);
            }
            Plan::Parts { .. } => {
                let parts = &self.planner.parts;
                out.extend([FORM_PARTS, parts.len() as u8]);
                for (part, plan) in residuals.chunks(residuals.len().div_ceil(parts.len())).zip(parts) {
                    plan.append(part, &mut self.writer, out);
                }
            }
            Plan::Simple(simple) => simple.append(residuals, &mut self.writer, out),
        }
    }
}

/// Appends `count` residuals, at most [`RESIDUALS_MAX`], and returns how many of the bytes they took; on damage the
/// residuals are as before.
#[inline(always)]
pub(crate) fn decode(bytes: &[u8], count: usize, residuals: &mut Vec<i64>) -> Result<usize, Corruption> {
    if count > RESIDUALS_MAX {
        return Err(Corruption::at(0, "a column has too many residuals"));
    }
    let before = residuals.len();
    residuals.resize(before + count, 0);
    let result = decode_slice(bytes, &mut residuals[before..]);
    if result.is_err() {
        residuals.truncate(before);
    }
    result
}

#[inline(always)]
fn decode_slice(bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    if residuals.is_empty() {
        return Ok(0);
    }
    if bytes.first() == Some(&FORM_SPIKE) {
        let taken = spike::decode(&bytes[1..], residuals).map_err(|error| error.moved(1))?;
        return Ok(1 + taken);
    }
    let (mut at, length) = match bytes {
        [FORM_PARTS, 0, ..] => return Err(Corruption::at(1, "residuals come in no parts")),
        [FORM_PARTS, parts, ..] => (2, residuals.len().div_ceil(usize::from(*parts))),
        _ => (0, residuals.len()),
    };
    for part in residuals.chunks_mut(length) {
        at += decode_simple(&bytes[at..], part).map_err(|error| error.moved(at as u64))?;
    }
    Ok(at)
}

/// Every form besides spikes and parts.
#[inline(always)]
fn decode_simple(bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    let (form, rest) = bytes.split_first().ok_or(Corruption::at(0, "residuals have no form"))?;
    let taken = match *form {
        FORM_CONSTANT => decode_constant(rest, residuals),
        FORM_PACKED => plain::decode_packed(rest, residuals),
        FORM_SPARSE => plain::decode_sparse(rest, residuals),
        form if u32::from(form) <= linear::SHIFT_MAX => linear::decode(u32::from(form), rest, residuals),
        form if (FORM_OCTAVE..=FORM_OCTAVE + octave::SHIFT_MAX as u8).contains(&form) => {
            octave::decode(u32::from(form - FORM_OCTAVE), rest, residuals)
        }
        _ => return Err(Corruption::at(0, "the form of residuals is unknown")),
    };
    Ok(1 + taken.map_err(|error| error.moved(1))?)
}

fn decode_constant(bytes: &[u8], residuals: &mut [i64]) -> Result<usize, Corruption> {
    let mut cursor = Cursor::new(bytes);
    residuals.fill(cursor.zigzag()?);
    Ok(cursor.position())
}
