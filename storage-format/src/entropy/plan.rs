//! Which form takes the fewest bits, told from histograms; nothing is written to find out.

use super::linear::{Linear, centre_shift};
use super::octave::{self, Octave};
use super::plain::{self, Packed};
use super::sketch::{Mode, Sketch};
use super::spike::Spike;
use super::tables::{ESCAPE, LOWEST, MIDDLE};
use super::{FORM_CONSTANT, FORM_PACKED, FORM_SPARSE, ans, fit};
use crate::bytes::append_zigzag;

/// Fewer residuals are packed or sparse.
const TABLE_COUNT_MIN: usize = 12;
/// Fewer have no spike.
const SPIKE_COUNT_MIN: usize = 16;
/// Residuals of a part: fewer pay less than their header costs.
const PART_COUNT_MIN: usize = 360;
/// Bits of a table's form besides its symbols.
const TABLE_BITS: u64 = 54;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plan {
    Simple(Simple),
    Spike { gaps: Simple, others: Simple, bits: u64 },
    Parts { bits: u64 },
}

/// A form besides spikes and parts and about what it takes.
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
            Plan::Spike { bits, .. } | Plan::Parts { bits } => *bits,
        }
    }
}

impl Simple {
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
                plain::append_sparse(value, residuals, out);
            }
            Form::Linear(linear) => linear.append(residuals, writer, out),
            Form::Octave(octave) => octave.append(residuals, writer, out),
        }
    }
}

/// Finds plans; keeps what a spike and parts need until they are written.
#[derive(Debug, Default)]
pub(super) struct Planner {
    pub(super) spike: Spike,
    pub(super) parts: Vec<Simple>,
}

impl Planner {
    pub(super) fn plan(&mut self, residuals: &[i64]) -> Plan {
        let (plan, mode) = simple(residuals);
        if matches!(plan.form, Form::Constant(_)) {
            return Plan::Simple(plan);
        }
        let spike = self.plan_spike(residuals, mode).filter(|spike| spike.cost_bits() < plan.bits);
        let plan = spike.unwrap_or(Plan::Simple(plan));
        self.plan_parts(residuals, mode.value).filter(|parts| parts.cost_bits() < plan.cost_bits()).unwrap_or(plan)
    }

    fn plan_spike(&mut self, residuals: &[i64], mode: Mode) -> Option<Plan> {
        if residuals.len() < SPIKE_COUNT_MIN || mode.count * 5 < residuals.len() {
            return None;
        }
        self.spike.read(mode.value, residuals);
        if self.spike.others.len() < SPIKE_COUNT_MIN / 4 {
            return None;
        }
        let (gaps, _) = simple(&self.spike.gaps);
        let (others, _) = simple(&self.spike.others);
        let bits = 8 * (3 + plain::varint_bytes(mode.value)) + gaps.bits + others.bits;
        Some(Plan::Spike { gaps, others, bits })
    }

    fn plan_parts(&mut self, residuals: &[i64], middle: i64) -> Option<Plan> {
        let count = residuals.len() / PART_COUNT_MIN;
        if count < 2 {
            return None;
        }
        let parts = residuals.chunks(residuals.len().div_ceil(count));
        if !drifts(parts.clone().map(|part| mean_and_variance(part, middle))) {
            return None;
        }
        self.parts.clear();
        self.parts.extend(parts.map(|part| simple(part).0));
        Some(Plan::Parts { bits: 8 * 2 + self.parts.iter().map(|part| part.bits).sum::<u64>() })
    }
}

/// Whether parts with these means and variances are far enough apart to pay for headers of their own.
fn drifts(parts: impl Iterator<Item = (f64, f64)>) -> bool {
    let extremes = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    let (mean, variance) = parts.fold((none, none), |(means, variances), (mean, variance)| {
        (extremes(means, mean), extremes(variances, variance))
    });
    variance.1 > 1.4 * variance.0 || (mean.1 - mean.0).powi(2) > 0.1 * variance.0
}

fn mean_and_variance(part: &[i64], middle: i64) -> (f64, f64) {
    let (mut sum, mut squares) = (0.0, 0.0);
    for residual in part {
        let distance = residual.wrapping_sub(middle) as f64;
        sum += distance;
        squares += distance * distance;
    }
    let mean = sum / part.len() as f64;
    (mean, squares / part.len() as f64 - mean * mean)
}

/// The cheapest form besides spikes and parts.
fn simple(residuals: &[i64]) -> (Simple, Mode) {
    let (min, max) = residuals.iter().fold((i64::MAX, i64::MIN), |(min, max), one| (min.min(*one), max.max(*one)));
    if min == max {
        let plan = Simple { form: Form::Constant(min), bits: 8 * (1 + plain::varint_bytes(min)) };
        return (plan, Mode { value: min, count: residuals.len() });
    }
    let span = max.wrapping_sub(min) as u64;
    let mut plan = packed(residuals.len(), min, span);
    let sketch = Sketch::of(residuals, min, span);
    if sketch.mode.count * 4 > residuals.len() * 3 {
        plan = plan.or(sparse(residuals, sketch.mode.value));
    }
    if residuals.len() >= TABLE_COUNT_MIN {
        let linear = linear_plan(residuals.len(), &sketch);
        plan = plan.or(linear);
        if sketch.shape.is_odd(linear.bits as f64 / residuals.len() as f64) {
            plan = octave_plan(residuals, &sketch, plan);
        }
    }
    (plan, sketch.mode)
}

fn packed(count: usize, min: i64, span: u64) -> Simple {
    let width = u64::BITS - span.leading_zeros();
    let bits = 8 * (2 + plain::varint_bytes(min)) + (count as u64 * u64::from(width)).next_multiple_of(8);
    Simple { form: Form::Packed(Packed { base: min, width }), bits }
}

fn sparse(residuals: &[i64], value: i64) -> Simple {
    let (mut bytes, mut next) = (2 + plain::varint_bytes(value), 0);
    for (index, residual) in residuals.iter().enumerate() {
        if *residual != value {
            bytes += plain::varint_bytes((index - next) as i64) + plain::varint_bytes(residual.wrapping_sub(value));
            next = index + 1;
        }
    }
    Simple { form: Form::Sparse(value), bits: 8 * bytes }
}

/// Escapes are told by steps, as a varint.
fn escape_bits(span: u64, shift: u32) -> u32 {
    8 * (span >> shift).max(1).ilog2().div_ceil(7)
}

fn linear_plan(count: usize, sketch: &Sketch) -> Simple {
    let shift = sketch.shape.shift();
    let histogram = &sketch.histogram;
    let fold = shift - histogram.bin_shift;
    let rest_bits = count as u64 * u64::from(shift) + TABLE_BITS;
    let around = |bin: i64, origin: u8| {
        let centre = histogram.residual(bin) >> centre_shift(shift) << centre_shift(shift);
        let bin = centre.wrapping_sub(histogram.base) >> histogram.bin_shift;
        let counts = histogram.counts(bin, fold, i64::from(origin));
        let fit = fit::linear(&counts, origin, escape_bits(sketch.span, shift), rest_bits);
        Simple { form: Form::Linear(Linear { table: fit.table, shift, centre }), bits: fit.bits + rest_bits }
    };
    // The middle of the step at the centre, not its lower end.
    let mean = histogram.trimmed_mean() - f64::from((1u32 << fold) - 1) / 2.0;
    let (floor, ceiling) = (mean.floor() as i64, mean.ceil() as i64);
    let mut plan = around(floor, MIDDLE).or(around(histogram.first as i64, LOWEST));
    if ceiling > floor && shift <= 2 {
        plan = plan.or(around(ceiling, MIDDLE));
    }
    plan
}

/// The cheapest of octaves if it is better than what there is.
fn octave_plan(residuals: &[i64], sketch: &Sketch, before: Simple) -> Simple {
    let Some((bits, centre, shift)) = octaves_of_points(sketch) else { return before };
    // Few points tell too little entropy, never too much.
    if bits > before.bits as f64 / residuals.len() as f64 {
        return before;
    }
    let (counts, low_bits) = octave::count(residuals.iter().map(|residual| (*residual, 1)), centre, shift);
    let rest_bits = low_bits + TABLE_BITS + 8 * (plain::varint_bytes(centre) - 1);
    let fit = fit::octave(&counts, escape_bits(sketch.span, 0), rest_bits);
    let octave = Octave { table: fit.table, shift, centre };
    before.or(Simple { form: Form::Octave(octave), bits: fit.bits + rest_bits })
}

/// Bits a residual, centre and shift of the octaves that are best at the points of a sketch.
fn octaves_of_points(sketch: &Sketch) -> Option<(f64, i64, u32)> {
    let points = || sketch.points.iter().copied();
    let mut best: Option<(u64, i64, u32)> = None;
    for (centre, drops) in [(sketch.min, &[6][..]), (sketch.shape.median, &[6, 3]), (0, &[6, 3])] {
        let octave = sketch.shape.typical_distance(centre).max(1).ilog2();
        let shifts = drops.iter().map(|drop| octave.saturating_sub(*drop));
        for shift in shifts.filter(|shift| *shift <= octave::SHIFT_MAX) {
            let (counts, low_bits) = octave::count(points(), centre, shift);
            let escapes = counts[usize::from(ESCAPE)] as u64;
            let bits = fit::entropy_bits(&counts) + low_bits + escapes * u64::from(escape_bits(sketch.span, 0));
            if best.is_none_or(|(least, ..)| bits < least) {
                best = Some((bits, centre, shift));
            }
        }
    }
    let total: f64 = points().map(|(_, times)| f64::from(times)).sum();
    best.map(|(bits, centre, shift)| (bits as f64 / total, centre, shift))
}
