//! Timestamp columns: nothing for an even beat, little for one that slips.

use std::fmt;

use super::head::TimestampsRow;
use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};
use crate::entropy;

/// Highest form that is a number of differences.
const ORDER_MAX: u8 = 2;
const FORM_SUBSET: u8 = 3;

/// The row of these timestamps, its body not yet placed.
pub(super) fn row(timestamps_ms: &[i64]) -> TimestampsRow {
    TimestampsRow {
        sample_count: timestamps_ms.len(),
        first_ms: timestamps_ms.first().copied().unwrap_or(0),
        last_ms: timestamps_ms.last().copied().unwrap_or(0),
        ..TimestampsRow::default()
    }
}

/// Writes bodies; keeps its buffers from one to the next.
#[derive(Default)]
pub(super) struct Encoder {
    entropy: entropy::Encoder,
    residuals: Vec<i64>,
    attempt: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// Appends the body of ascending timestamps. `base` is a row, and its timestamps, of which these may be some.
    pub(super) fn encode(&mut self, timestamps_ms: &[i64], base: Option<(usize, &[i64])>, out: &mut Vec<u8>) {
        if even_step(&row(timestamps_ms)).is_some_and(|step| is_even(timestamps_ms, step)) {
            return;
        }
        let start = out.len();
        let step = usual_step(timestamps_ms, &mut self.residuals);
        for order in 0..=ORDER_MAX {
            self.attempt.clear();
            self.attempt.push(order);
            append_zigzag(&mut self.attempt, step);
            beat_residuals(timestamps_ms, step, order, &mut self.residuals);
            self.entropy.encode(&self.residuals, &mut self.attempt);
            self.keep_if_smaller(start, out);
        }
        if let Some((row, base_ms)) = base
            && let Some(first) = subset_skips(timestamps_ms, base_ms, &mut self.residuals)
        {
            self.attempt.clear();
            self.attempt.push(FORM_SUBSET);
            append_varint(&mut self.attempt, row as u64);
            append_varint(&mut self.attempt, first as u64);
            self.entropy.encode(&self.residuals, &mut self.attempt);
            self.keep_if_smaller(start, out);
        }
    }

    fn keep_if_smaller(&self, start: usize, out: &mut Vec<u8>) {
        if out.len() == start || self.attempt.len() < out.len() - start {
            out.truncate(start);
            out.extend_from_slice(&self.attempt);
        }
    }
}

/// The row that a body picks its timestamps from, if it does.
pub(super) fn base(body: &[u8]) -> Result<Option<usize>, Corruption> {
    if body.first() != Some(&FORM_SUBSET) {
        return Ok(None);
    }
    let mut cursor = Cursor::new(&body[1..]);
    Ok(Some(cursor.varint_u32()? as usize))
}

/// Appends the timestamps of a row from its body. `base_ms` are those of the row that [`base`] names. On damage `timestamps_ms`
/// may hold a part of them.
pub(super) fn decode(
    row: &TimestampsRow,
    body: &[u8],
    base_ms: &[i64],
    residuals: &mut Vec<i64>,
    timestamps_ms: &mut Vec<i64>,
) -> Result<(), Corruption> {
    if body.is_empty() {
        return append_even(row, timestamps_ms);
    }
    let start = timestamps_ms.len();
    let mut cursor = Cursor::new(body);
    match cursor.u8()? {
        order @ 0..=ORDER_MAX => decode_beat(row, order, &mut cursor, residuals, timestamps_ms)?,
        FORM_SUBSET => decode_subset(row, &mut cursor, base_ms, residuals, timestamps_ms)?,
        _ => return Err(Corruption::at(0, "the form of timestamps is not one we read")),
    }
    cursor.expect_end()?;
    let decoded = &timestamps_ms[start..];
    let ends_right = decoded.last().is_none_or(|last| *last == row.last_ms);
    if ends_right && decoded.is_sorted() { Ok(()) } else { Err(out_of_order()) }
}

fn out_of_order() -> Corruption {
    Corruption::at(0, "timestamps run back or miss their end")
}

fn append_even(row: &TimestampsRow, timestamps_ms: &mut Vec<i64>) -> Result<(), Corruption> {
    let step = even_step(row).ok_or(Corruption::at(0, "timestamps are not even"))?;
    if row.last_ms < row.first_ms {
        return Err(out_of_order());
    }
    let mut next = row.first_ms;
    timestamps_ms.extend((0..row.sample_count).map(|_| {
        let time = next;
        next = next.wrapping_add(step);
        time
    }));
    Ok(())
}

fn decode_beat(
    row: &TimestampsRow,
    order: u8,
    cursor: &mut Cursor<'_>,
    residuals: &mut Vec<i64>,
    timestamps_ms: &mut Vec<i64>,
) -> Result<(), Corruption> {
    let step = cursor.zigzag()?;
    read_residuals(row, cursor, residuals)?;
    for _ in 0..order {
        let mut sum = 0i64;
        for residual in residuals.iter_mut() {
            sum = sum.wrapping_add(*residual);
            *residual = sum;
        }
    }
    timestamps_ms.push(row.first_ms);
    let beat = (1..).map(|index| nth(row.first_ms, step, index));
    timestamps_ms.extend(residuals.iter().zip(beat).map(|(residual, place)| place.wrapping_add(*residual)));
    Ok(())
}

fn decode_subset(
    row: &TimestampsRow,
    cursor: &mut Cursor<'_>,
    base_ms: &[i64],
    skips: &mut Vec<i64>,
    timestamps_ms: &mut Vec<i64>,
) -> Result<(), Corruption> {
    let outside = Corruption::at(0, "timestamps are picked from others that do not exist");
    cursor.varint()?;
    let mut position = cursor.varint()?;
    read_residuals(row, cursor, skips)?;
    let pick = |position: u64| usize::try_from(position).ok().and_then(|position| base_ms.get(position)).ok_or(outside);
    timestamps_ms.push(*pick(position)?);
    for skip in skips.iter() {
        let skip = u64::try_from(*skip).map_err(|_| outside)?;
        position = position.saturating_add(skip).saturating_add(1);
        timestamps_ms.push(*pick(position)?);
    }
    if timestamps_ms[timestamps_ms.len() - row.sample_count] == row.first_ms { Ok(()) } else { Err(outside) }
}

/// Replaces `residuals` by those of all samples but the first.
fn read_residuals(row: &TimestampsRow, cursor: &mut Cursor<'_>, residuals: &mut Vec<i64>) -> Result<(), Corruption> {
    let count = row.sample_count.checked_sub(1).ok_or(cursor.corruption("no samples have timestamps"))?;
    residuals.clear();
    let rest = cursor.clone().take(cursor.remaining())?;
    let at = cursor.position() as u64;
    let taken = entropy::decode(rest, count, residuals).map_err(|corruption| corruption.moved(at))?;
    cursor.take(taken).map(|_| ())
}

/// The step of an even row, if its span has one.
fn even_step(row: &TimestampsRow) -> Option<i64> {
    let span = row.last_ms.wrapping_sub(row.first_ms);
    match row.sample_count {
        0 | 1 => (span == 0).then_some(0),
        count => (span as u64).is_multiple_of(count as u64 - 1).then(|| (span as u64 / (count as u64 - 1)) as i64),
    }
}

fn is_even(timestamps_ms: &[i64], step: i64) -> bool {
    timestamps_ms.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step)
}

/// The median difference: the beat, whatever happened to single scrapes.
fn usual_step(timestamps_ms: &[i64], differences: &mut Vec<i64>) -> i64 {
    differences.clear();
    differences.extend(timestamps_ms.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
    let middle = differences.len() / 2;
    *differences.select_nth_unstable(middle).1
}

/// Timestamp `index` of an even beat.
fn nth(first_ms: i64, step: i64, index: usize) -> i64 {
    first_ms.wrapping_add(step.wrapping_mul(index as i64))
}

fn beat_residuals(timestamps_ms: &[i64], step: i64, order: u8, residuals: &mut Vec<i64>) {
    residuals.clear();
    let places = (1..).map(|index| nth(timestamps_ms[0], step, index));
    residuals.extend(timestamps_ms[1..].iter().zip(places).map(|(time, place)| time.wrapping_sub(place)));
    for _ in 0..order {
        let mut before = 0i64;
        for residual in residuals.iter_mut() {
            (before, *residual) = (*residual, residual.wrapping_sub(before));
        }
    }
}

/// Where in `base_ms` the first timestamp is, with `skips` filled; `None` if any is not there.
fn subset_skips(timestamps_ms: &[i64], base_ms: &[i64], skips: &mut Vec<i64>) -> Option<usize> {
    skips.clear();
    let mut picked = timestamps_ms.iter();
    let first_ms = picked.next()?;
    let first = base_ms.iter().position(|base| base == first_ms)?;
    let mut rest = base_ms[first + 1..].iter();
    for time in picked {
        skips.push(rest.position(|base| base == time)? as i64);
    }
    Some(first)
}
