//! Which codes a column gets: the one place where that is chosen. A reader needs none of it.
//!
//! | what is asked | answer |
//! | --- | --- |
//! | do 48 of the values fit m / 10^e? | the smallest e that all but one fit, if it is at most 8 |
//! | else: what would 96 neighbours cost as decimal, near-decimal, binary, raw? | the cheapest |
//! | how far do numbers, differences and their differences spread, by block? | the order that spreads least |
//! | does a slope times the reference spread less still? | then it is told by reference |
//! | are all residuals the same? all but a few? | constant; sparse |
//! | else | packed in a fresh block, entropy in a compacted one, unless packed is smaller |

use super::exceptions::is_named;
use super::predict::Slope;
use super::scale::{SHIFT_MAX, Scale, integer_of};
use super::{Effort, sparse};
use crate::decimal::{self, EXPONENT_MAX};

/// Values that tell the scale.
pub(super) const SCALE_SAMPLES: usize = 48;
/// Among so many, one may not fit: it becomes an exception.
const SCALE_SAMPLES_OF_ONE_MISFIT: usize = 16;
/// Values that cannot be a coincidence: from 9 digits on, what looks decimal may be a sum or product of decimals.
const EASY_EXPONENT_MAX: u8 = 8;
/// Largest exponent that is tried for near-decimals.
const NEAR_EXPONENT_MAX: u8 = 12;
/// Neighbours by which scales are compared.
const COST_SAMPLES: usize = 96;
/// What a value costs that a scale does not fit.
const MISFIT_BITS: f64 = 88.0;

/// Samples over which the spread of an order is taken.
const SPREAD_SAMPLES: usize = 256;
/// An order must save this share of bits over the one below it.
const ORDER_SHARE_MAX: f64 = 0.98;

/// What a reference costs by itself, in bits.
pub(super) const SLOPE_BITS: f64 = 48.0;
/// Growth by which a slope is found.
const SLOPE_SAMPLES: usize = 256;

/// One residual of so many may be another one in a sparse list: two bytes each, against a bit or two for all.
const SAMPLES_PER_SPARSE: usize = 16;
/// With so few, nothing beats the list, and entropy codes are not asked.
const SAMPLES_PER_SPARSE_SURELY: usize = 128;
/// Residuals that tell the common one.
const COMMON_SAMPLES: usize = 33;

/// An order of differences, and about how many bits its residuals take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) order: u8,
    pub(super) bits: f64,
}

/// How residuals are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Code {
    /// All are this one.
    Constant(i64),
    /// Nearly all are this one.
    Sparse(i64),
    Packed,
    /// Entropy, unless packed is smaller.
    Entropy,
}

/// The scale for a column of which every `step`-th value is asked.
pub(super) fn scale(values: &[f64], step: usize) -> Scale {
    let exponents = values.iter().step_by(step).filter(|value| !is_named(**value)).map(|value| exponent_of(*value));
    let mut counts = [0usize; EXPONENT_MAX as usize + 2];
    exponents.for_each(|exponent| counts[usize::from(exponent)] += 1);
    let asked: usize = counts.iter().sum();
    let mut misfits_left = asked / SCALE_SAMPLES_OF_ONE_MISFIT.max(asked / 64);
    let mut exponent = counts.len() - 1;
    while exponent > 0 && counts[exponent] <= misfits_left {
        misfits_left -= counts[exponent];
        exponent -= 1;
    }
    let exponent = exponent as u8;
    if exponent <= EASY_EXPONENT_MAX { Scale::Decimal { exponent } } else { hard_scale(values, exponent) }
}

/// The smallest exponent whose decimal gives back the value; one more than the largest, if none does.
fn exponent_of(value: f64) -> u8 {
    (0..=EXPONENT_MAX).find(|exponent| decimal::mantissa(value, *exponent).is_some()).unwrap_or(EXPONENT_MAX + 1)
}

/// The cheapest scale of those that long or endless decimals may have.
fn hard_scale(values: &[f64], exponent: u8) -> Scale {
    let count = values.len().min(COST_SAMPLES);
    let start = (values.len() - count) / 2;
    let neighbours = &values[start..start + count];
    let decimal = (exponent <= EXPONENT_MAX).then_some(Scale::Decimal { exponent });
    let near = (0..=NEAR_EXPONENT_MAX).map(|exponent| Scale::NearDecimal { exponent });
    let binary = binary_shift(values).map(|shift| Scale::Binary { shift });
    let candidates = decimal.into_iter().chain(binary).chain(near);
    let mut best = (Scale::Raw, scale_bits(neighbours, Scale::Raw));
    for candidate in candidates {
        let bits = scale_bits(neighbours, candidate);
        if bits < best.1 {
            best = (candidate, bits);
        }
    }
    best.0
}

/// Bits behind the point that all ordinary values have at most.
fn binary_shift(values: &[f64]) -> Option<i16> {
    let ordinary = values.iter().filter(|value| value.is_normal());
    let shift = ordinary.map(|value| {
        let bits = value.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i16 - 1023;
        let zeros = (bits | 1 << 52).trailing_zeros() as i16;
        52 - zeros - exponent
    });
    shift.max().filter(|shift| shift.abs() <= SHIFT_MAX)
}

/// About how many bits these values take with this scale.
fn scale_bits(values: &[f64], scale: Scale) -> f64 {
    let mut bits = [0.0; 2];
    let mut correction_bits = 0.0;
    let mut before = None;
    for value in values {
        let Some((integer, correction)) = integer_of(*value, scale) else {
            bits = bits.map(|bits| bits + MISFIT_BITS);
            continue;
        };
        let (first, integer_before) = *before.get_or_insert((integer, integer));
        bits[0] += magnitude_bits(integer.wrapping_sub(first));
        bits[1] += magnitude_bits(integer.wrapping_sub(integer_before));
        correction_bits += magnitude_bits(correction);
        before = Some((first, integer));
    }
    bits[0].min(bits[1]) + correction_bits
}

fn magnitude_bits(number: i64) -> f64 {
    (1.0 + 2.0 * number.unsigned_abs() as f64).log2()
}

/// The order of differences whose residuals spread least.
pub(super) fn order(numbers: &[i64]) -> Order {
    let mut bits = [0.0; 3];
    for block in numbers.chunks(SPREAD_SAMPLES) {
        let spread = spread(block);
        for (bits, spread) in bits.iter_mut().zip(spread) {
            *bits += block.len() as f64 * (1.0 + 2.0 * spread).log2();
        }
    }
    let mut best = Order { order: 0, bits: bits[0] };
    for order in 1..if numbers.len() < 3 { 2 } else { 3 } {
        let bits = bits[usize::from(order)];
        if bits < best.bits * ORDER_SHARE_MAX {
            best = Order { order, bits };
        }
    }
    best
}

/// Mean distance to the mean, of the numbers, their differences, and the differences of these.
fn spread(block: &[i64]) -> [f64; 3] {
    let count = block.len() as f64;
    let first = block[0];
    let mean = block.iter().map(|number| number.wrapping_sub(first) as f64).sum::<f64>() / count;
    let mean = first.wrapping_add(mean as i64);
    let step = block[block.len() - 1].wrapping_sub(first) / block.len().max(2) as i64;
    let (mut before, mut step_before) = (first.wrapping_sub(step), step);
    let mut sums = [0.0; 3];
    for number in block {
        let difference = number.wrapping_sub(before);
        let second = difference.wrapping_sub(step_before);
        sums[0] += number.wrapping_sub(mean).unsigned_abs() as f64;
        sums[1] += difference.wrapping_sub(step).unsigned_abs() as f64;
        sums[2] += second.unsigned_abs() as f64;
        (before, step_before) = (*number, difference);
    }
    sums.map(|sum| sum / count)
}

/// By how much numbers grow when the reference does: the least squares of their differences.
pub(super) fn slope(numbers: &[i64], reference: &[i64]) -> Option<Slope> {
    let count = numbers.len().min(SLOPE_SAMPLES + 1);
    let growth = |column: &[i64], index: usize| column[index].wrapping_sub(column[index - 1]) as f64;
    let (mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0);
    for index in 1..count {
        let (other, own) = (growth(reference, index), growth(numbers, index));
        x += other;
        y += own;
        xx += other * other;
        xy += other * own;
    }
    let pairs = (count - 1) as f64;
    let variance = xx - x * x / pairs;
    if variance <= 0.0 {
        return None;
    }
    fixed_point((xy - x * y / pairs) / variance, reference)
}

/// The slope with as long a fraction as its products with the reference's growth have room for.
fn fixed_point(slope: f64, reference: &[i64]) -> Option<Slope> {
    let first = reference[0];
    let largest = reference.iter().map(|number| number.wrapping_sub(first).unsigned_abs()).max()?;
    let growth_bits = (largest as f64).log2().ceil();
    // A whole slope needs no fraction; another one as many bits as its products have, up to 20.
    let nearest = slope.round();
    let fraction = if (slope - nearest).abs() < 1e-3 { 0.0 } else { growth_bits.min(20.0) };
    let scaled = (slope * fraction.exp2()).round();
    if scaled == 0.0 || !(scaled.abs().log2() + growth_bits < 62.0) {
        return None;
    }
    let zeros = (scaled as i64).trailing_zeros().min(fraction as u32);
    Some(Slope { slope: scaled as i64 >> zeros, fraction: (fraction as u32 - zeros) as u8 })
}

/// How these residuals are told.
pub(super) fn code(residuals: &[i64], effort: Effort) -> Code {
    let common = common(residuals);
    let others = sparse::others(residuals, common);
    let per_sparse = match effort {
        Effort::Fresh => SAMPLES_PER_SPARSE,
        Effort::Compact => SAMPLES_PER_SPARSE_SURELY,
    };
    match effort {
        _ if others == 0 => Code::Constant(common),
        _ if others * per_sparse <= residuals.len() => Code::Sparse(common),
        Effort::Fresh => Code::Packed,
        Effort::Compact => Code::Entropy,
    }
}

/// The median of a few: the common one, if most are the same. 0 if there are none.
fn common(residuals: &[i64]) -> i64 {
    let mut asked = [0; COMMON_SAMPLES];
    let step = residuals.len().div_ceil(COMMON_SAMPLES).max(1);
    let mut count = 0;
    for (place, residual) in asked.iter_mut().zip(residuals.iter().step_by(step)) {
        *place = *residual;
        count += 1;
    }
    let asked = &mut asked[..count];
    asked.sort_unstable();
    asked.get(count / 2).copied().unwrap_or(0)
}
