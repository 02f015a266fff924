//! Exceptions: runs of samples whose bits no whole number gives.
//!
//! Three stale markers behind 10 samples: `01 0a 19`, one run, gap 10, 8 × 3 + kind 1.

use crate::Corruption;
use crate::bytes::{Cursor, append_varint};

/// Bits by kind less one; kind 0 tells its own.
const NAMED: [u64; 6] = [
    0x7ff0_0000_0000_0002,
    0x7ff8_0000_0000_0001,
    0x7ff8_0000_0000_0000,
    0x8000_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
];
const KIND_BITS: u32 = 3;
const KIND_MAX: u64 = NAMED.len() as u64;

/// A run of equal samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) bits: u64,
}

/// Whether no whole number could give it and a byte or two tell it: such exceptions are free in any number.
pub(super) fn is_named(value: f64) -> bool {
    NAMED.contains(&value.to_bits())
}

/// Adds a sample behind those that are there.
pub(super) fn push(runs: &mut Vec<Run>, index: usize, bits: u64) {
    match runs.last_mut() {
        Some(run) if run.start + run.length == index && run.bits == bits => run.length += 1,
        _ => runs.push(Run { start: index, length: 1, bits }),
    }
}

pub(super) fn append(runs: &[Run], out: &mut Vec<u8>) {
    append_varint(out, runs.len() as u64);
    let mut end = 0;
    for run in runs {
        append_varint(out, (run.start - end) as u64);
        let kind = NAMED.iter().position(|bits| *bits == run.bits).map_or(0, |index| index as u64 + 1);
        append_varint(out, (run.length as u64) << KIND_BITS | kind);
        if kind == 0 {
            out.extend_from_slice(&run.bits.to_le_bytes());
        }
        end = run.start + run.length;
    }
}

/// Appends the runs of a column of `count` samples.
pub(super) fn read(cursor: &mut Cursor<'_>, count: usize, runs: &mut Vec<Run>) -> Result<(), Corruption> {
    let run_count = cursor.count(2)?;
    let mut end = 0;
    for _ in 0..run_count {
        let at = cursor.position();
        let gap = cursor.varint()?;
        let length_and_kind = cursor.varint()?;
        let (length, kind) = (length_and_kind >> KIND_BITS, length_and_kind & ((1 << KIND_BITS) - 1));
        if kind > KIND_MAX {
            return Err(Corruption::at(at, "an exception is of an unknown kind"));
        }
        let room = (count - end) as u64;
        if gap > room || length == 0 || length > room - gap {
            return Err(Corruption::at(at, "exceptions lie outside of the column"));
        }
        let bits = if kind == 0 { cursor.u64()? } else { NAMED[kind as usize - 1] };
        let run = Run { start: end + gap as usize, length: length as usize, bits };
        end = run.start + run.length;
        runs.push(run);
    }
    Ok(())
}
