//! The cheapest table for given counts of symbols.

use std::sync::LazyLock;

use super::RESIDUALS_MAX;
use super::histogram::Counts;
use super::tables::{
    COST_UNIT, ESCAPE, ESCAPE_BITS, Frequencies, LINEAR, LOWEST, MIDDLE, OCTAVE, STORED, STORED_STEP_BITS, SYMBOLS,
    Table,
};

/// Parts of a step in which a reach is counted.
const REACH_UNIT: u32 = 64;
/// A stored table costs its reader the time of some hundred residuals: it has to save one part in so many.
const STORED_GAIN: u64 = 50;

/// A table and what symbols and escapes cost by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    pub(super) table: u8,
    pub(super) bits: u64,
}

impl Fit {
    /// `rest_bits` cost the same whichever table is taken.
    fn or_stored(self, counts: &Counts, escape_bits: u32, rest_bits: u64) -> Fit {
        let bits = stored_bits(counts, escape_bits);
        let least = bits + (bits + rest_bits) / STORED_GAIN;
        if least < self.bits { Fit { table: STORED, bits } } else { self }
    }
}

/// Tables of an origin by their reach, ascending.
type Row = Vec<(u32, u8)>;

static ABOVE_LOWEST: LazyLock<Row> = LazyLock::new(|| row(LOWEST));
static AROUND_MIDDLE: LazyLock<Row> = LazyLock::new(|| row(MIDDLE));

fn row(origin: u8) -> Row {
    let tables = LINEAR.iter().enumerate().filter(|(_, table)| table.origin == origin);
    let reach = |table: &Table| reach(&table.frequencies.map(|frequency| frequency as i16), origin);
    let mut row: Row = tables.map(|(index, table)| (reach(table), index as u8)).collect();
    row.sort_unstable();
    row
}

/// The tables of about this reach, and in any case those before and behind it.
fn near(row: &Row, reach: u32) -> &[(u32, u8)] {
    let (least, most) = (reach - reach / 4, reach + reach / 3);
    let first = row.partition_point(|(other, _)| *other < least);
    let end = row.partition_point(|(other, _)| *other <= most);
    &row[first.saturating_sub(1)..(end + 1).min(row.len())]
}

/// Mean distance of symbols from the origin; escapes do not count.
fn reach(counts: &Counts, origin: u8) -> u32 {
    let (mut sum, mut total) = (0, 0);
    for (symbol, count) in counts.iter().enumerate().skip(1) {
        let distance = (symbol as i32 - i32::from(origin)).unsigned_abs();
        sum += distance * *count as u32;
        total += *count as u32;
    }
    sum * REACH_UNIT / total.max(1)
}

/// The cheapest table of steps whose centre is that of the counts.
pub(super) fn linear(counts: &Counts, origin: u8, escape_bits: u32, rest_bits: u64) -> Fit {
    let row = if origin == LOWEST { &ABOVE_LOWEST } else { &AROUND_MIDDLE };
    let near = near(row, reach(counts, origin)).iter().map(|(_, index)| (*index, &LINEAR[usize::from(*index)]));
    let fit = cheapest(near, counts, escape_bits);
    if origin == MIDDLE { fit.or_stored(counts, escape_bits, rest_bits) } else { fit }
}

/// The cheapest table of octaves.
pub(super) fn octave(counts: &Counts, escape_bits: u32, rest_bits: u64) -> Fit {
    let all = OCTAVE.iter().enumerate().map(|(index, table)| (index as u8, table));
    cheapest(all, counts, escape_bits).or_stored(counts, escape_bits, rest_bits)
}

fn cheapest<'a>(tables: impl Iterator<Item = (u8, &'a Table)>, counts: &Counts, escape_bits: u32) -> Fit {
    let costs = tables.map(|(index, table)| (cost(counts, &table.costs), index, table));
    let (cost, index, table) = costs.min_by_key(|(cost, ..)| *cost).expect("there are tables");
    let escapes = escapes(counts, &table.frequencies);
    let bits = u64::from(cost / COST_UNIT) + escapes * u64::from(escape_bits);
    Fit { table: index, bits: bits.saturating_sub(escapes * u64::from(ESCAPE_BITS)) }
}

fn cost(counts: &Counts, costs: &[i16; SYMBOLS]) -> u32 {
    counts.iter().zip(costs).map(|(count, cost)| i32::from(*count) * i32::from(*cost)).sum::<i32>() as u32
}

fn escapes(counts: &Counts, frequencies: &Frequencies) -> u64 {
    let unknown = counts.iter().zip(frequencies).skip(1).filter(|(_, frequency)| **frequency == 0);
    unknown.map(|(count, _)| *count as u64).sum::<u64>() + counts[usize::from(ESCAPE)] as u64
}

/// What is written if a table made for these counts comes along.
fn stored_bits(counts: &Counts, escape_bits: u32) -> u64 {
    let entropy = entropy_bits(counts);
    let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
    let table = 8 * 3 + (last - first + 1) as u64 * u64::from(STORED_STEP_BITS);
    // Frequencies are round, and states whole.
    entropy + entropy / 128 + table + counts[usize::from(ESCAPE)] as u64 * u64::from(escape_bits)
}

/// Of each whole number up to all residuals, in parts of a bit.
static LOGARITHMS: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let parts = |number: usize| ((number.max(1) as f64).log2() * f64::from(COST_UNIT)).round() as u16;
    (0..=RESIDUALS_MAX).map(parts).collect()
});

/// The fewest bits that symbols with these counts take.
pub(super) fn entropy_bits(counts: &Counts) -> u64 {
    let logarithms = LOGARITHMS.as_slice();
    let total: usize = counts.iter().map(|count| *count as usize).sum();
    let saved: u32 = counts.iter().map(|count| *count as u32 * u32::from(logarithms[*count as usize])).sum();
    u64::from((total as u32 * u32::from(logarithms[total]) - saved) / COST_UNIT)
}
