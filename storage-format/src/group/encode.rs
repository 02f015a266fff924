//! Writing groups.

use std::collections::HashMap;

use super::head::{Body, ColumnRow, TimestampsRow, append_group};
use super::read_back::ReadBack;
use super::resemblance::Resemblance;
use super::{COLUMNS_MAX, KIND_FLOATS, KIND_HISTOGRAMS, KIND_SAME, histograms, timestamps};
use crate::column::{self, Effort, Numbers, SAMPLES_MAX};
use crate::histogram::Histogram;

/// One series' samples on their way into a group.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Ascending, in ms since 1970 UTC; at most `column::SAMPLES_MAX`.
    pub timestamps_ms: &'a [i64],
    /// As many.
    pub values: &'a [f64],
}

/// A group that reads back as something else than it was made of, in whatever way it is coded: a fault of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} of a group reads back as something else than was written")]
pub struct NotReadBack {
    /// The first that does.
    pub column: usize,
}

/// Writes groups, and reads back each; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub struct GroupEncoder {
    read_back: ReadBack,
    columns: column::Encoder,
    timestamps: timestamps::Encoder,
    resemblance: Resemblance,
    /// By column; without integers for those that are the same as another.
    numbers: Vec<Numbers>,
    rows: Vec<ColumnRow>,
    bodies: Bodies,
}

/// Bodies one behind the other, in row order.
#[derive(Debug, Default)]
struct Bodies {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Bodies {
    fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

impl GroupEncoder {
    /// Appends one group with these columns in this order, [`COLUMNS_MAX`] at most, and returns the effort that it has: if
    /// with this one it does not read back as what it was made of, that is [`Effort::Plain`]. If it does not with that
    /// either, `out` is as before. Panics if a column has fewer values than timestamps or the other way round, too many of
    /// them, or timestamps that descend.
    pub fn encode(&mut self, columns: &[Column<'_>], effort: Effort, out: &mut Vec<u8>) -> Result<Effort, NotReadBack> {
        self.encode_with_histograms(columns, &[], effort, out)
    }

    /// As [`GroupEncoder::encode`]; where a column has histograms, each of them has its marker among the values. Columns
    /// without any may have none behind the last that has some.
    pub fn encode_with_histograms(
        &mut self,
        columns: &[Column<'_>],
        histograms: &[&[Histogram]],
        effort: Effort,
        out: &mut Vec<u8>,
    ) -> Result<Effort, NotReadBack> {
        let mut read_back = std::mem::take(&mut self.read_back);
        let append = |effort, out: &mut Vec<u8>| self.append_group(columns, histograms, effort, out);
        let appended = append_checked(effort, out, append, |bytes| read_back.first_other(bytes, columns, histograms));
        self.read_back = read_back;
        appended
    }

    fn append_group(&mut self, columns: &[Column<'_>], histograms: &[&[Histogram]], effort: Effort, out: &mut Vec<u8>) {
        assert!(columns.len() <= COLUMNS_MAX, "{} columns in a group", columns.len());
        let distinct = self.sort_timestamps(columns);
        self.bodies.bytes.clear();
        self.bodies.ends.clear();
        self.encode_timestamps(&distinct);
        for (row, _) in self.rows.iter_mut().zip(histograms).filter(|(_, histograms)| !histograms.is_empty()) {
            row.kind = KIND_HISTOGRAMS;
        }
        if effort != Effort::Plain {
            self.find_same(columns);
        }
        self.read_numbers(columns, effort);
        if effort == Effort::Compact {
            self.resemblance.choose(&self.numbers, &mut self.rows);
        }
        for (index, column) in columns.iter().enumerate() {
            if self.rows[index].kind == KIND_HISTOGRAMS {
                let bodies = &mut self.bodies.bytes;
                histograms::append_body(column.values, histograms[index], effort, &mut self.columns, bodies);
                self.bodies.ends.push(self.bodies.bytes.len());
            } else {
                self.encode_column(index, effort);
            }
        }
        self.append(&distinct, out);
    }

    /// Finds the distinct timestamp columns, the most frequent first, and starts the rows of the columns with them.
    fn sort_timestamps<'c>(&mut self, columns: &[Column<'c>]) -> Vec<&'c [i64]> {
        let mut uses: Vec<(usize, usize)> = Vec::new();
        let mut distinct: Vec<&[i64]> = Vec::new();
        let mut by_sum = HashMap::new();
        let mut rows = Vec::with_capacity(columns.len());
        for column in columns {
            let times = column.timestamps_ms;
            assert!(times.len() <= SAMPLES_MAX, "{} samples in a column", times.len());
            assert_eq!(times.len(), column.values.len(), "timestamps and values of a column");
            let found = *by_sum.entry((times.len(), sum(times))).or_insert(distinct.len());
            let is_found = distinct.get(found).is_some_and(|other| *other == times);
            let index = if is_found { found } else { distinct.len() };
            if !is_found {
                assert!(times.is_sorted(), "timestamps of a column descend");
                distinct.push(times);
                uses.push((0, index));
            }
            uses[index].0 += 1;
            rows.push(index);
        }
        uses.sort_by_key(|(count, index)| (std::cmp::Reverse(*count), *index));
        let mut places = vec![0u16; uses.len()];
        for (place, (_, index)) in uses.iter().enumerate() {
            places[*index] = place as u16;
        }
        self.rows.clear();
        self.rows.extend(rows.into_iter().map(|index| ColumnRow {
            kind: KIND_FLOATS,
            timestamps: places[index],
            reference: None,
            is_referred_to: false,
            body: Body::default(),
        }));
        uses.into_iter().map(|(_, index)| distinct[index]).collect()
    }

    fn encode_timestamps(&mut self, distinct: &[&[i64]]) {
        let widest = (0..distinct.len()).rev().max_by_key(|index| distinct[*index].len());
        for (index, times) in distinct.iter().enumerate() {
            let base = widest.filter(|widest| *widest != index).map(|widest| (widest, distinct[widest]));
            self.timestamps.encode(times, base, &mut self.bodies.bytes);
            self.bodies.ends.push(self.bodies.bytes.len());
        }
    }

    /// Points each column to an earlier one with the same timestamps and bits. Of several that agree in a few places only
    /// the first is compared: a copy that is missed costs bytes, nothing else.
    fn find_same(&mut self, columns: &[Column<'_>]) {
        let mut by_glance = HashMap::new();
        let floats = columns.iter().enumerate();
        let floats: Vec<_> = floats.filter(|(index, _)| self.rows[*index].kind == KIND_FLOATS).collect();
        for (index, column) in floats {
            let timestamps = self.rows[index].timestamps;
            let first = *by_glance.entry((timestamps, glance(column.values))).or_insert(index);
            let is_same = first != index && same_bits(columns[first].values, column.values);
            if is_same {
                self.rows[index].kind = KIND_SAME;
                self.rows[index].reference = Some(first as u16);
            }
        }
    }

    fn read_numbers(&mut self, columns: &[Column<'_>], effort: Effort) {
        self.numbers.resize_with(columns.len().max(self.numbers.len()), Numbers::default);
        for ((column, row), numbers) in columns.iter().zip(&self.rows).zip(&mut self.numbers) {
            numbers.integers.clear();
            if row.kind == KIND_FLOATS && !column.values.is_empty() {
                numbers.read(column.values, effort, None);
            }
        }
    }

    /// Appends the body of a column, told by its reference if the column's encoder finds that worth it.
    fn encode_column(&mut self, index: usize, effort: Effort) {
        let row = &mut self.rows[index];
        // No values have no bytes.
        if row.kind == KIND_FLOATS && !self.numbers[index].integers.is_empty() {
            let reference = row.reference.map(|reference| self.numbers[usize::from(reference)].integers.as_slice());
            if !self.columns.encode(&self.numbers[index], effort, reference, &mut self.bodies.bytes) {
                row.reference = None;
            }
        }
        self.bodies.ends.push(self.bodies.bytes.len());
    }

    fn append(&self, distinct: &[&[i64]], out: &mut Vec<u8>) {
        let timestamps: Vec<TimestampsRow> = distinct.iter().map(|times| timestamps::row(times)).collect();
        append_group(self.rows.len(), timestamps.len(), self.bodies.iter(), out, |out| {
            let mut bodies = self.bodies.iter();
            for (row, body) in timestamps.iter().zip(&mut bodies) {
                row.append(body.len(), out);
            }
            for ((index, row), body) in self.rows.iter().enumerate().zip(&mut bodies) {
                row.append(index, body.len(), out);
            }
        });
    }
}

/// Appends with this effort, or plainly if `first_other` says of the bytes that a column is not what it was made of.
pub(super) fn append_checked(
    effort: Effort,
    out: &mut Vec<u8>,
    mut append: impl FnMut(Effort, &mut Vec<u8>),
    mut first_other: impl FnMut(&[u8]) -> Option<usize>,
) -> Result<Effort, NotReadBack> {
    let start = out.len();
    append(effort, out);
    let Some(column) = first_other(&out[start..]) else { return Ok(effort) };
    out.truncate(start);
    if effort == Effort::Plain {
        return Err(NotReadBack { column });
    }
    append_checked(Effort::Plain, out, append, first_other)
}

fn sum(times: &[i64]) -> i64 {
    times.iter().fold(0, |sum, time| sum.wrapping_add(*time))
}

/// Bits at a few places, to tell most columns apart.
fn glance(values: &[f64]) -> [u64; 5] {
    let last = values.len().saturating_sub(1);
    [0, last / 4, last / 2, last - last / 4, last].map(|index| values.get(index).map_or(0, |value| value.to_bits()))
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
