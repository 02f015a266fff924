//! Which form takes the fewest bits, told from histograms; nothing is written to find out.

use super::histogram::{Counts, Histogram};
use super::linear::{self, Linear, centre_shift};
use super::octave::{self, Octave};
use super::plain::{Packed, append_sparse};
use super::spike::Spike;
use super::tables::{COST_UNIT, ESCAPE, LINEAR, OCTAVE, SYMBOLS, Table};
use super::{FORM_CONSTANT, FORM_PACKED, FORM_SPARSE, ans};
use crate::bytes::append_zigzag;

/// Fewer residuals are packed or sparse.
const TABLE_COUNT_MIN: usize = 12;
/// Bits of a table's form besides its symbols.
const TABLE_BITS: u64 = 8 * 6;
const SAMPLE_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plan {
    Simple(Simple),
    Spike { gaps: Simple, others: Simple, bits: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Simple {
    pub(super) form: Form,
    pub(super) bits: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    Constant(i64),
    Packed(Packed),
    Sparse(i64),
    Linear(Linear),
    Octave(Octave),
}

impl Plan {
    pub(super) fn cost_bits(&self) -> u64 {
        match self {
            Plan::Simple(simple) => simple.bits,
            Plan::Spike { bits, .. } => *bits,
        }
    }
}

impl Simple {
    fn new(form: Form, bits: u64) -> Simple {
        Simple { form, bits }
    }

    fn or(self, other: Simple) -> Simple {
        if other.bits < self.bits { other } else { self }
    }

    pub(super) fn append(&self, residuals: &[i64], writer: &mut ans::Writer, out: &mut Vec<u8>) {
        match self.form {
            Form::Constant(value) => {
                out.push(FORM_CONSTANT);
                append_zigzag(out, value);
            }
            Form::Packed(packed) => {
                out.push(FORM_PACKED);
                packed.append(residuals, out);
            }
            Form::Sparse(value) => {
                out.push(FORM_SPARSE);
                append_sparse(value, residuals, out);
            }
            Form::Linear(linear) => linear.append(residuals, writer, out),
            Form::Octave(octave) => octave.append(residuals, writer, out),
        }
    }
}

/// Finds plans; keeps what a spike needs until it is written.
#[derive(Default)]
pub(super) struct Planner {
    pub(super) spike: Spike,
}

/// A plan and what was seen on the way.
struct Seen {
    plan: Simple,
    /// The most frequent value and about how many of the residuals have it.
    mode: (i64, u32),
}

impl Planner {
    pub(super) fn plan(&mut self, residuals: &[i64]) -> Plan {
        let Seen { plan, mode: (value, count) } = simple(residuals);
        let plain = Plan::Simple(plan);
        let total = residuals.len() as u32;
        if matches!(plan.form, Form::Constant(_)) || total < 16 || count * 5 < total {
            return plain;
        }
        self.spike.read(value, residuals);
        if self.spike.others.len() < 4 {
            return plain;
        }
        let gaps = simple(&self.spike.gaps).plan;
        let others = simple(&self.spike.others).plan;
        let bits = 8 * (2 + varint_bytes(value) + 1) + gaps.bits + others.bits;
        if bits < plan.bits { Plan::Spike { gaps, others, bits } } else { plain }
    }
}

fn varint_bytes(value: i64) -> u64 {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    u64::from((64 - zigzag.leading_zeros()).max(1).div_ceil(7))
}

fn simple(residuals: &[i64]) -> Seen {
    let (min, max) = residuals.iter().fold((i64::MAX, i64::MIN), |(min, max), residual| (min.min(*residual), max.max(*residual)));
    if min == max {
        let plan = Simple::new(Form::Constant(min), 8 * (1 + varint_bytes(min)));
        return Seen { plan, mode: (min, residuals.len() as u32) };
    }
    let span = max.wrapping_sub(min) as u64;
    let width = 64 - span.leading_zeros();
    let bits = 8 * (2 + varint_bytes(min)) + (residuals.len() as u64 * u64::from(width)).next_multiple_of(8);
    let mut plan = Simple::new(Form::Packed(Packed { base: min, width }), bits);
    let (histogram, mode, deviation) = window(residuals, min, span);
    if u64::from(mode.1) * 4 > residuals.len() as u64 * 3 {
        plan = plan.or(sparse(residuals, mode.0));
    }
    if residuals.len() >= TABLE_COUNT_MIN {
        plan = plan.or(linear_plan(residuals.len(), &histogram, deviation));
        if residuals.len() >= 24 && heavy(&histogram, deviation) {
            plan = plan.or(octave_plan(residuals, min));
        }
    }
    Seen { plan, mode }
}

fn sparse(residuals: &[i64], value: i64) -> Simple {
    let (mut bytes, mut next) = (2 + varint_bytes(value), 0);
    for (index, residual) in residuals.iter().enumerate() {
        if *residual != value {
            bytes += varint_bytes((index - next) as i64) + varint_bytes(residual.wrapping_sub(value));
            next = index + 1;
        }
    }
    Simple::new(Form::Sparse(value), 8 * bytes)
}

/// A histogram of the bulk, the most frequent value with its count, and the deviation of the bulk.
fn window(residuals: &[i64], min: i64, span: u64) -> (Histogram, (i64, u32), f64) {
    if span < super::histogram::BINS as u64 {
        let histogram = Histogram::of(residuals, min, 0);
        let (bin, count) = histogram.mode();
        let mode = (min + bin as i64, count);
        let (q1, q3) = histogram.quantiles(4);
        let (p5, p95) = histogram.quantiles(20);
        let deviation = ((q3 - q1) as f64 / 1.35).max((p95 - p5) as f64 / 3.6);
        return (histogram, mode, deviation);
    }
    let mut sample = [0; SAMPLE_MAX];
    let count = residuals.len().min(SAMPLE_MAX);
    let sample = &mut sample[..count];
    for (index, place) in sample.iter_mut().enumerate() {
        *place = residuals[index * residuals.len() / count];
    }
    sample.sort_unstable();
    let between = |low: usize, high: usize| sample[high].wrapping_sub(sample[low]) as u64 as f64;
    let deviation =
        (between(count / 4, count * 3 / 4) / 1.35).max(between(count / 20, count - 1 - count / 20) / 3.6);
    let bin_shift = centre_shift(shift_of(deviation)).min(54);
    let middle = sample[count / 2] >> bin_shift << bin_shift;
    let histogram = Histogram::of(residuals, middle.wrapping_sub(128 << bin_shift), bin_shift);
    let mode = sample_mode(sample);
    let mode = (mode.0, (mode.1 as usize * residuals.len() / count) as u32);
    (histogram, mode, deviation)
}

fn sample_mode(sorted: &[i64]) -> (i64, u32) {
    sorted
        .chunk_by(|a, b| a == b)
        .map(|equal| (equal[0], equal.len() as u32))
        .max_by_key(|(_, count)| *count)
        .expect("a sample is not empty")
}

fn shift_of(deviation: f64) -> u32 {
    if deviation > 6.5 { (deviation / 3.5).log2() as u32 } else { 0 }
}

fn heavy(histogram: &Histogram, _deviation: f64) -> bool {
    let _ = histogram;
    true
}

fn cost(counts: &Counts, table: &Table) -> u32 {
    counts.iter().zip(&table.costs).map(|(count, cost)| i32::from(*count) * i32::from(*cost)).sum::<i32>() as u32
}

fn cheapest(tables: &[Table], origin: u8, counts: &Counts) -> (u32, u8) {
    let costs = tables.iter().enumerate().filter(|(_, table)| table.origin == origin);
    let costs = costs.map(|(index, table)| (cost(counts, table), index as u8));
    costs.min().expect("there are tables")
}

fn linear_plan(count: usize, histogram: &Histogram, deviation: f64) -> Simple {
    let shift = shift_of(deviation).min(linear::SHIFT_MAX - 1);
    let mut best = Simple::new(Form::Constant(0), u64::MAX);
    for shift in shift.saturating_sub(1)..=shift + 1 {
        if shift < histogram.bin_shift { continue }
        let fold = shift - histogram.bin_shift;
        let (low, high) = histogram.quantiles(50);
        let mean = histogram.mean(low, high) - f64::from((1u32 << fold) - 1) / 2.0;
        let mode = histogram.mode().0 as i64 - ((1 << fold) - 1) / 2;
        let mut try_centre = |centre: i64, origin: u8| {
            let residual = histogram.residual(centre) >> centre_shift(shift) << centre_shift(shift);
            let centre = residual.wrapping_sub(histogram.base) >> histogram.bin_shift;
            let counts = histogram.counts(centre, fold, i64::from(origin));
            let (cost, table) = cheapest(&LINEAR, origin, &counts);
            let bits = u64::from(cost / COST_UNIT) + count as u64 * u64::from(shift) + TABLE_BITS;
            let linear = Linear { table, shift, centre: residual };
            best = best.or(Simple::new(Form::Linear(linear), bits));
        };
        try_centre(mean.floor() as i64, 32);
        if mean.ceil() != mean.floor() {
            try_centre(mean.ceil() as i64, 32);
        }
        if mode != mean.floor() as i64 && mode != mean.ceil() as i64 {
            try_centre(mode, 32);
        }
        try_centre(histogram.first as i64, 1);
    }
    best
}

fn octave_plan(residuals: &[i64], min: i64) -> Simple {
    let mut sorted = residuals.to_vec();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    let mut best = Simple::new(Form::Constant(0), u64::MAX);
    for (centre, drops) in
        [(min, &[6u32][..]), (sorted[sorted.len() / 64], &[6]), (median, &[6, 5, 3]), (0, &[6, 5, 3])]
    {
        let mut distances: Vec<u64> =
            sorted.iter().map(|r| { let d = r.wrapping_sub(centre); (d ^ d >> 63) as u64 }).collect();
        distances.sort_unstable();
        let octave = distances[distances.len() / 2].max(1).ilog2();
        for drop in drops {
            let shift = octave.saturating_sub(*drop);
            if shift > octave::SHIFT_MAX { continue }
            let mut counts = [0i16; SYMBOLS];
            let mut low = 0;
            for residual in residuals {
                let (symbol, bits) = octave::symbol(residual.wrapping_sub(centre), shift);
                counts[usize::from(symbol)] += 1;
                low += u64::from(bits);
            }
            let _ = ESCAPE;
            let (cost, table) = cheapest(&OCTAVE, 1, &counts);
            let bits = u64::from(cost / COST_UNIT) + low + TABLE_BITS + 8 * (varint_bytes(centre) - 1);
            best = best.or(Simple::new(Form::Octave(Octave { table, shift, centre }), bits));
        }
    }
    best
}
