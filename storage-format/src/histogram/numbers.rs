//! One histogram's numbers told by those of the one before it.

use super::Histogram;
use crate::Corruption;
use crate::bytes::{Cursor, append_varint, append_zigzag};

/// Whole numbers up to here are exact as floats.
const WHOLE_MAX: i64 = 1 << 53;

/// The integer that the float is, if it is one and comes back from it bit by bit.
fn whole(number: f64) -> Option<i64> {
    let integer = number as i64;
    let is_whole = integer.unsigned_abs() <= WHOLE_MAX as u64 && (integer as f64).to_bits() == number.to_bits();
    is_whole.then_some(integer)
}

/// Whether all counts of both are whole numbers.
pub(super) fn are_whole(one: &Histogram, two: &Histogram) -> bool {
    [one, two].into_iter().all(|histogram| histogram.numbers().skip(1).all(|number| whole(number).is_some()))
}

/// Appends the changes of whole counts: of the zero bucket, of the buckets, of the count beyond theirs.
pub(super) fn append_whole(out: &mut Vec<u8>, before: &Histogram, now: &Histogram) {
    let change = |(before, now): (f64, f64)| {
        let [before, now] = [before, now].map(|number| whole(number).expect("the caller has seen that it is"));
        now - before
    };
    let held = |histogram: &Histogram| histogram.zero_count;
    let changes = std::iter::once((held(before), held(now))).chain(before.buckets().zip(now.buckets())).map(change);
    let (mut unchanged, mut total) = (0_u64, 0_i64);
    for change in changes {
        total += change;
        if change == 0 {
            unchanged += 1;
            continue;
        }
        append_run(out, &mut unchanged);
        append_varint(out, zigzag(change) << 1);
    }
    append_run(out, &mut unchanged);
    append_zigzag(out, change((before.count, now.count)) - total);
}

fn append_run(out: &mut Vec<u8>, unchanged: &mut u64) {
    if *unchanged > 0 {
        append_varint(out, (*unchanged - 1) << 1 | 1);
        *unchanged = 0;
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Applies what [`append_whole`] told to the histogram before, whose counts are whole.
pub(super) fn read_whole(cursor: &mut Cursor<'_>, histogram: &mut Histogram) -> Result<(), Corruption> {
    let Histogram { zero_count, positive, negative, count, .. } = histogram;
    let mut counts = std::iter::once(zero_count).chain(positive).chain(negative);
    let mut left = counts.size_hint().0;
    let mut total = 0_i64;
    while left > 0 {
        let at = cursor.position();
        let token = cursor.varint()?;
        if token & 1 == 1 {
            let run = usize::try_from((token >> 1) + 1).unwrap_or(usize::MAX);
            left = left.checked_sub(run).ok_or(Corruption::at(at, "a run is longer than the histogram has buckets"))?;
            counts.nth(run - 1);
            continue;
        }
        let change = (token >> 2) as i64 ^ -((token >> 1 & 1) as i64);
        total = total.wrapping_add(change);
        add(counts.next().expect("a count is left"), change, at)?;
        left -= 1;
    }
    let at = cursor.position();
    add(count, cursor.zigzag()?.wrapping_add(total), at)
}

fn add(number: &mut f64, change: i64, at: usize) -> Result<(), Corruption> {
    let before = whole(*number).ok_or(Corruption::at(at, "a count that is no whole number changes by one"))?;
    let after = before.checked_add(change).filter(|after| after.unsigned_abs() <= WHOLE_MAX as u64);
    *number = after.ok_or(Corruption::at(at, "a count exceeds 2^53"))? as f64;
    Ok(())
}

/// Appends the zero count, the buckets and the count, each by the bits in which it differs.
pub(super) fn append_bits(out: &mut Vec<u8>, before: &Histogram, now: &Histogram) {
    let totals = |histogram: &Histogram| [histogram.count, histogram.zero_count];
    let pairs = totals(before).into_iter().zip(totals(now)).chain(before.buckets().zip(now.buckets()));
    let mut unchanged = 0_u64;
    for (before, now) in pairs {
        let difference = before.to_bits() ^ now.to_bits();
        if difference == 0 {
            unchanged += 1;
            continue;
        }
        append_equal(out, &mut unchanged);
        append_difference(out, difference);
    }
    append_equal(out, &mut unchanged);
}

fn append_equal(out: &mut Vec<u8>, unchanged: &mut u64) {
    if *unchanged > 0 {
        out.push(0);
        append_varint(out, *unchanged - 1);
        *unchanged = 0;
    }
}

/// Applies what [`append_bits`] told.
pub(super) fn read_bits(cursor: &mut Cursor<'_>, histogram: &mut Histogram) -> Result<(), Corruption> {
    let Histogram { zero_count, positive, negative, count, .. } = histogram;
    let mut counts = [count, zero_count].into_iter().chain(positive).chain(negative);
    let mut left = counts.size_hint().0;
    while left > 0 {
        let at = cursor.position();
        let lengths = cursor.u8()?;
        if lengths == 0 {
            let run = usize::try_from(cursor.varint()?.saturating_add(1)).unwrap_or(usize::MAX);
            left = left.checked_sub(run).ok_or(Corruption::at(at, "a run is longer than the histogram has buckets"))?;
            counts.nth(run - 1);
            continue;
        }
        let number = counts.next().expect("a count is left");
        *number = f64::from_bits(number.to_bits() ^ read_difference(cursor, lengths)?);
        left -= 1;
    }
    Ok(())
}

/// Appends a sum by the bits in which it differs.
pub(super) fn append_sum(out: &mut Vec<u8>, before: f64, now: f64) {
    match before.to_bits() ^ now.to_bits() {
        0 => out.push(0),
        difference => append_difference(out, difference),
    }
}

/// Applies what [`append_sum`] told.
pub(super) fn read_sum(cursor: &mut Cursor<'_>, sum: &mut f64) -> Result<(), Corruption> {
    let lengths = cursor.u8()?;
    if lengths != 0 {
        *sum = f64::from_bits(sum.to_bits() ^ read_difference(cursor, lengths)?);
    }
    Ok(())
}

/// Appends one byte of lengths and the bytes of a difference between its zero bytes.
fn append_difference(out: &mut Vec<u8>, difference: u64) {
    let high = difference.leading_zeros() / 8;
    let low = difference.trailing_zeros() / 8;
    let length = 8 - high - low;
    out.push((high << 4 | length) as u8);
    out.extend_from_slice(&(difference >> (8 * low)).to_le_bytes()[..length as usize]);
}

fn read_difference(cursor: &mut Cursor<'_>, lengths: u8) -> Result<u64, Corruption> {
    let (high, length) = (usize::from(lengths >> 4), usize::from(lengths & 0x0f));
    if length == 0 || high + length > 8 {
        return Err(cursor.corruption("a difference has no bytes or too many"));
    }
    Ok(cursor.word(length)? << (8 * (8 - high - length)))
}
