//! References and timestamps as runs: rows in which both go on by the same steps.
//!
//! A scrape is one run, references up by one at one moment. So is the past of one series that a sender caught up on,
//! one reference with the timestamps up by the interval.

use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

const REFERENCE_JUMPS: u64 = 1;
const OTHER_STEPS: u64 = 2;
const FLAG_BITS: u32 = 2;

/// What the next row is expected to be, and the steps that the row behind it is expected to take.
#[derive(Clone, Copy)]
struct Expected {
    reference: u64,
    timestamp_ms: i64,
    reference_step: u64,
    timestamp_step_ms: i64,
}

const START: Expected = Expected { reference: 0, timestamp_ms: 0, reference_step: 1, timestamp_step_ms: 0 };

/// Rows in a row: the first one, and the steps to each that follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) row_count: u32,
    pub(super) reference: u64,
    pub(super) timestamp_ms: i64,
    pub(super) reference_step: u64,
    pub(super) timestamp_step_ms: i64,
}

/// Appends the runs of these keys, each as long as it can be.
pub(super) fn append_runs(out: &mut Vec<u8>, keys: impl Iterator<Item = (u64, i64)> + Clone) {
    let mut keys = keys;
    let mut expected = START;
    let mut next = keys.next();
    while let Some((reference, timestamp_ms)) = next {
        let (reference_step, timestamp_step_ms) = steps(&keys, (reference, timestamp_ms), expected);
        let mut run = Run { row_count: 1, reference, timestamp_ms, reference_step, timestamp_step_ms };
        let mut behind = run.behind();
        next = keys.next();
        while next == Some(behind) {
            behind = (behind.0.wrapping_add(reference_step), behind.1.wrapping_add(timestamp_step_ms));
            run.row_count += 1;
            next = keys.next();
        }
        append_run(out, run, expected);
        expected = Expected { reference: behind.0, timestamp_ms: behind.1, reference_step, timestamp_step_ms };
    }
}

/// The steps of the run that begins at `first`: those expected, unless three rows have others in common.
fn steps(rest: &(impl Iterator<Item = (u64, i64)> + Clone), first: (u64, i64), expected: Expected) -> (u64, i64) {
    let mut rest = rest.clone();
    let usual = (expected.reference_step, expected.timestamp_step_ms);
    let (Some(second), Some(third)) = (rest.next(), rest.next()) else { return usual };
    let step = difference(first, second);
    if step == difference(second, third) { step } else { usual }
}

fn difference(from: (u64, i64), to: (u64, i64)) -> (u64, i64) {
    (to.0.wrapping_sub(from.0), to.1.wrapping_sub(from.1))
}

fn append_run(out: &mut Vec<u8>, run: Run, expected: Expected) {
    let timestamp_jump_ms = run.timestamp_ms.wrapping_sub(expected.timestamp_ms);
    let reference_jump = run.reference.wrapping_sub(expected.reference) as i64;
    let same_steps =
        (run.reference_step, run.timestamp_step_ms) == (expected.reference_step, expected.timestamp_step_ms);
    let mut flags = 0;
    flags |= if reference_jump == 0 { 0 } else { REFERENCE_JUMPS };
    flags |= if same_steps { 0 } else { OTHER_STEPS };
    append_varint(out, u64::from(run.row_count) << FLAG_BITS | flags);
    append_zigzag(out, timestamp_jump_ms);
    if reference_jump != 0 {
        append_zigzag(out, reference_jump);
    }
    if !same_steps {
        append_zigzag(out, run.reference_step as i64);
        append_zigzag(out, run.timestamp_step_ms);
    }
}

impl Run {
    /// The key of the row behind the first.
    fn behind(&self) -> (u64, i64) {
        (self.reference.wrapping_add(self.reference_step), self.timestamp_ms.wrapping_add(self.timestamp_step_ms))
    }

    fn read(cursor: &mut Cursor<'_>, expected: &mut Expected) -> Result<Run, Corruption> {
        let at = cursor.position();
        let head = cursor.varint()?;
        let row_count = u32::try_from(head >> FLAG_BITS).unwrap_or(0);
        if row_count == 0 {
            return Err(Corruption::at(at, "a run has no rows, or more than a record"));
        }
        expected.timestamp_ms = expected.timestamp_ms.wrapping_add(cursor.zigzag()?);
        if head & REFERENCE_JUMPS != 0 {
            expected.reference = expected.reference.wrapping_add(cursor.zigzag()? as u64);
        }
        if head & OTHER_STEPS != 0 {
            expected.reference_step = cursor.zigzag()? as u64;
            expected.timestamp_step_ms = cursor.zigzag()?;
        }
        let Expected { reference, timestamp_ms, reference_step, timestamp_step_ms } = *expected;
        expected.reference = reference.wrapping_add(reference_step.wrapping_mul(row_count.into()));
        expected.timestamp_ms = timestamp_ms.wrapping_add(timestamp_step_ms.wrapping_mul(row_count.into()));
        Ok(Run { row_count, reference, timestamp_ms, reference_step, timestamp_step_ms })
    }
}

/// The runs of a payload, checked: they have as many rows as the payload.
pub(super) struct Runs<'a> {
    cursor: Cursor<'a>,
    rows_left: u32,
    expected: Expected,
}

impl<'a> Runs<'a> {
    /// Walks over the runs of `row_count` rows; the cursor then stands behind them.
    pub(super) fn parse(cursor: &mut Cursor<'a>, row_count: u32) -> Result<Runs<'a>, Corruption> {
        let runs = Runs { cursor: cursor.clone(), rows_left: row_count, expected: START };
        let (mut rows_left, mut expected) = (row_count, START);
        while rows_left > 0 {
            let at = cursor.position();
            let run = Run::read(cursor, &mut expected)?;
            let too_long = Corruption::at(at, "the runs have more rows than the record");
            rows_left = rows_left.checked_sub(run.row_count).ok_or(too_long)?;
        }
        Ok(runs)
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if self.rows_left == 0 {
            return None;
        }
        let run = Run::read(&mut self.cursor, &mut self.expected).expect("`parse` walked over it");
        self.rows_left -= run.row_count;
        Some(run)
    }
}
