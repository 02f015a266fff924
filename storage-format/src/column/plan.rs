//! Which codes a column gets: the one place where that is chosen. A reader needs none of it.
//!
//! | what is asked | answer |
//! | --- | --- |
//! | do 48 of the values fit m / 10^e? | the smallest e that all fit, or all but one that needs 4 digits more |
//! | is that e above 9, or is there none? | what 96 neighbours take as decimal, product, near-decimal, binary and raw: the least |
//! | does a number divide all? another one nearly all? | divided; with remainders |
//! | what do residuals take by each order, log2(1 + 2 × distance to the middle) summed up? | the order that takes least |
//! | is there a reference? | orders for what it leaves, too |
//! | which of these are within 4 % of the least, in a compacted block two of each way? | they are coded, the shortest is kept |
//! | are all residuals the same? all but one of 128? | constant; sparse |
//! | else, in a compacted block | entropy |
//! | else, in a fresh one: are half the same? | sparse if that takes less than packed |
//! | else | packed |
//!
//! What each is worth, in bytes a sample: fresh and compacted columns of 1,440 samples of a shop's fleet, and compacted ones of
//! 600 samples of a node exporter and a Prometheus server.
//!
//! | without | fleet, fresh | fleet, compacted | exporters, compacted |
//! | --- | --- | --- | --- |
//! | nothing | 0.847 | 0.786 | 0.220 |
//! | sparse lists | 0.879 | 0.786 | 0.220 |
//! | averages of steps | 0.847 | 0.793 | 0.220 |
//! | second differences | 0.848 | 0.787 | 0.220 |
//! | a second order that is coded too | 0.847 | 0.786 | 0.221 |
//! | near-decimals | 0.847 | 0.786 | 0.233 |
//! | products | 0.847 | 0.786 | 0.220 |
//! | remainders | 0.847 | 0.786 | 0.229 |
//!
//! Coding all within 15 % instead of 4 % takes 9 ns a sample more, for 0.03 % of the fleet and 0.3 % of the exporters.
//!
//! Tried and left out: predictors with other weights, such as 3/4 of the last number and 1/4 of the one before (0.3 %);
//! orders by mean distance to the mean, which takes a series of zeros and jumps for a smooth one (1 % of the exporters);
//! orders found on half of the numbers (0.3 % longer for 1 ns a sample); packed blocks beside entropy in compacted
//! columns (by their estimate they were taken too often: 0.9 % longer).

use super::exceptions::is_named;
use super::pack::BLOCK_SAMPLES;
use super::predict::{FRACTION_MAX, Order, Slope};
use super::scale::{SHIFT_MAX, Scale, integer_of};
use super::{Effort, sparse};
use crate::decimal::EXPONENT_MAX;

/// Values that tell the scale.
pub(super) const SCALE_SAMPLES: usize = 48;
/// Of so many values one may not fit: it becomes an exception, eleven bytes.
pub(super) const SAMPLES_PER_EXCEPTION: usize = 48;
/// A value with so many more digits than the others is left to be an exception; with fewer, all get its digits.
const EXCEPTION_DIGITS: u8 = 4;
/// From 9 digits on, what looks decimal may be a sum or product of decimals.
const EASY_EXPONENT_MAX: u8 = 9;
/// Largest exponent that is tried for near-decimals.
const NEAR_EXPONENT_MAX: u8 = 12;
/// What the sum of logarithms leaves out of a random number's bits: it counts where two series are weighed against one.
const RANDOM_BITS: u64 = 3 << (51 - MAGNITUDE_SHIFT);
/// Neighbours by which scales are compared.
const COST_SAMPLES: usize = 96;
/// What a value costs that a scale does not fit.
const MISFIT_BITS: u64 = 88 << (52 - MAGNITUDE_SHIFT);
/// Low bits that are left out of a logarithm, and its unit.
const MAGNITUDE_SHIFT: u32 = 40;
const MAGNITUDE_UNIT: f64 = (1u64 << (52 - MAGNITUDE_SHIFT)) as f64;

/// Averages of these weights are tried: of about four numbers, of about 32 steps.
const LEVEL_WEIGHT: u8 = 2;
const STEP_WEIGHT: u8 = 5;
/// Numbers whose average step is where an average of steps begins.
const STEP_SAMPLES: usize = 33;
/// An order must save this share of bits over the one below it.
const ORDER_SHARE_MAX: f64 = 0.99;
/// An order that takes up to so much more than the best may be the best in truth, and the entropy code is asked.
const SECOND_SHARE_MAX: f64 = 1.04;

/// Divisors that nearly all numbers of a series may have: ticks, words, cache lines, pages.
const FREQUENT_DIVISORS: [i64; 5] = [10, 8, 64, 1000, 4096];
/// Quotients that tell one, and how many of them may be off.
const DIVISOR_SAMPLES: usize = 64;
const DIVISOR_MISFITS_MAX: i32 = 8;
/// What a remainder costs: its place and itself.
const REMAINDER_BITS: f64 = 14.0;

/// Growth by which a slope is found.
const SLOPE_SAMPLES: usize = 256;
/// A slope so near to a whole number is that number, disturbed.
const WHOLE_SLOPE_NEAR: f64 = 1e-3;
/// Bits of a slope's product with the reference's growth, so that none is cut off.
const PRODUCT_BITS_MAX: f64 = 61.0;

/// One residual of so many may be another one, for a sparse list to be asked.
const SAMPLES_PER_SPARSE: usize = 2;
/// With so few, nothing beats the list, and entropy codes are not asked.
const SAMPLES_PER_SPARSE_SURELY: usize = 128;
/// Residuals that tell the common one.
const COMMON_SAMPLES: usize = 17;

/// How residuals are told that are not all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Sparse,
    /// The one that takes fewer bits.
    SparseOrPacked,
    Packed,
    Entropy,
}

/// The scale for a column of which every `step`-th value is asked, from `exponent_min` digits on.
pub(super) fn scale(values: &[f64], step: usize, exponent_min: u8) -> Scale {
    let asked = values.iter().step_by(step).filter(|value| !is_named(**value));
    let mut counts = [0usize; EXPONENT_MAX as usize + 2];
    let mut highest = exponent_min;
    for value in asked {
        let exponent = exponent_of(*value, exponent_min);
        highest = highest.max(exponent);
        counts[usize::from(exponent)] += 1;
    }
    let mut misfits_left = counts.iter().sum::<usize>() / SAMPLES_PER_EXCEPTION;
    let mut exponent = highest;
    while exponent > exponent_min && counts[usize::from(exponent)] <= misfits_left {
        misfits_left -= counts[usize::from(exponent)];
        exponent -= 1;
    }
    if highest < exponent + EXCEPTION_DIGITS && highest <= EXPONENT_MAX {
        exponent = highest;
    }
    if exponent <= EASY_EXPONENT_MAX { Scale::Decimal { exponent } } else { hard_scale(values, exponent) }
}

/// The smallest exponent whose decimal gives back the value; one more than the largest, if none does.
fn exponent_of(value: f64, exponent_min: u8) -> u8 {
    let fits = |exponent: &u8| integer_of(value, Scale::Decimal { exponent: *exponent }).is_some();
    (exponent_min..=EXPONENT_MAX).find(fits).unwrap_or(EXPONENT_MAX + 1)
}

/// The cheapest scale of those that long or endless decimals may have.
pub(super) fn hard_scale(values: &[f64], exponent: u8) -> Scale {
    let count = values.len().min(COST_SAMPLES);
    let start = (values.len() - count) / 2;
    let neighbours = &values[start..start + count];
    let decimal = (exponent <= EXPONENT_MAX).then_some(Scale::Decimal { exponent });
    let product = (1..=NEAR_EXPONENT_MAX).map(|exponent| Scale::Product { exponent });
    let near = (0..=NEAR_EXPONENT_MAX).map(|exponent| Scale::NearDecimal { exponent });
    let binary = binary_shift(values).map(|shift| Scale::Binary { shift });
    let candidates = decimal.into_iter().chain(product).chain(binary).chain(near);
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
    let mut bits = [0; 2];
    let mut correction_bits = 0;
    let mut before = None;
    for value in values {
        let Some((integer, correction)) = integer_of(*value, scale) else {
            bits = bits.map(|bits| bits + MISFIT_BITS);
            continue;
        };
        let (first, integer_before) = *before.get_or_insert((integer, integer));
        bits[0] += magnitude_bits(integer.wrapping_sub(first));
        bits[1] += magnitude_bits(integer.wrapping_sub(integer_before));
        correction_bits += magnitude_bits(correction) + if correction == 0 { 0 } else { RANDOM_BITS };
        before = Some((first, integer));
    }
    (bits[0].min(bits[1]) + correction_bits) as f64 / MAGNITUDE_UNIT
}

/// About the logarithm of 1 + 2 × |number| in units: a float's exponent, its mantissa being the fraction.
#[inline]
fn magnitude_bits(number: i64) -> u64 {
    const ONE: u64 = 1.0f64.to_bits() >> MAGNITUDE_SHIFT;
    let float = 1.0 + 2.0 * (number.unsigned_abs() as i64 as f64).abs();
    (float.to_bits() >> MAGNITUDE_SHIFT) - ONE
}

/// An order, and about how many bits its residuals take.
pub(super) type Weighed = (Order, f64);

/// The order whose residuals are smallest; for a compacted block a second one where it is nearly as good. `residuals` is
/// scratch.
pub(super) fn order(numbers: &[i64], effort: Effort, residuals: &mut Vec<i64>) -> (Weighed, Option<Weighed>) {
    let (mut best, mut second) = ((Order::Number, f64::MAX), (Order::Number, f64::MAX));
    for order in orders(numbers, effort) {
        order.take(numbers, residuals);
        let bits = residual_bits(residuals, effort);
        if bits < best.1 * ORDER_SHARE_MAX {
            (best, second) = ((order, bits), best);
        } else if bits < second.1 {
            second = (order, bits);
        }
    }
    let is_asked = effort == Effort::Compact && is_close(second.1, best.1);
    (best, is_asked.then_some(second))
}

/// Whether what is worse by the estimate may be better in truth.
pub(super) fn is_close(bits: f64, best_bits: f64) -> bool {
    bits < best_bits * SECOND_SHARE_MAX
}

/// The orders that are worth a try, the simpler ones first.
fn orders(numbers: &[i64], effort: Effort) -> impl Iterator<Item = Order> {
    let second = (numbers.len() > 2).then(|| Order::Second { second: numbers[1] });
    let start = numbers.len().min(STEP_SAMPLES);
    let step = numbers[start - 1] / (start as i64 - 1).max(1);
    let averages = [Order::Level { weight: LEVEL_WEIGHT }, Order::Step { weight: STEP_WEIGHT, step }];
    // Blocks have bases of their own, which do what an average does.
    let averages = averages.into_iter().filter(move |_| effort == Effort::Compact && start == STEP_SAMPLES);
    [Order::Number, Order::Difference].into_iter().chain(second).chain(averages)
}

/// About how many bits residuals take: the sum of what each takes by its distance to the middle.
fn residual_bits(residuals: &[i64], effort: Effort) -> f64 {
    let scope = if effort == Effort::Compact { residuals.len().max(1) } else { BLOCK_SAMPLES };
    residuals.chunks(scope).map(block_bits).sum()
}

fn block_bits(residuals: &[i64]) -> f64 {
    let middle = middle_of_few(residuals);
    let bits = residuals.iter().map(|residual| magnitude_bits(residual.wrapping_sub(middle)));
    bits.sum::<u64>() as f64 / MAGNITUDE_UNIT
}

/// A number that divides nearly all of these quotients, of which none divides all; 1 if there is none worth it.
///
/// Clocks tick in tens of nanoseconds and memory is handed out in pages, and now and then a number is off.
pub(super) fn frequent_divisor(quotients: &[i64]) -> i64 {
    let step = quotients.len().div_ceil(DIVISOR_SAMPLES);
    let mut best = (1, 0.0);
    for divisor in FREQUENT_DIVISORS {
        let (mut before, mut fits, mut misfits) = (0, 0, 0);
        for quotient in quotients.iter().step_by(step) {
            if quotient % divisor != 0 {
                misfits += 1;
                if misfits > DIVISOR_MISFITS_MAX {
                    break;
                }
            } else if *quotient != before {
                fits += 1;
            }
            before = *quotient;
        }
        let saved = f64::from(fits) * (divisor as f64).log2() - f64::from(misfits) * REMAINDER_BITS;
        if misfits <= DIVISOR_MISFITS_MAX && saved > best.1 {
            best = (divisor, saved);
        }
    }
    if best.1 >= quotients.len().div_ceil(step) as f64 { best.0 } else { 1 }
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

/// The slope with a fraction as long as the reference's growth, if its products have room for that.
fn fixed_point(slope: f64, reference: &[i64]) -> Option<Slope> {
    let first = reference[0];
    let largest = reference.iter().map(|number| number.wrapping_sub(first).unsigned_abs()).max()?;
    let growth_bits = (largest as f64).log2().ceil().max(0.0);
    let room_bits = PRODUCT_BITS_MAX - growth_bits - slope.abs().log2().max(0.0);
    let nearest = slope.round();
    let is_whole = nearest != 0.0 && (slope - nearest).abs() < WHOLE_SLOPE_NEAR;
    let fraction = if is_whole { 0.0 } else { growth_bits.min(room_bits).floor() };
    if !(0.0..=f64::from(FRACTION_MAX)).contains(&fraction) {
        return None;
    }
    let scaled = (slope * fraction.exp2()).round();
    if scaled == 0.0 {
        return None;
    }
    let zeros = (scaled as i64).trailing_zeros().min(fraction as u32);
    Some(Slope { slope: scaled as i64 >> zeros, fraction: (fraction as u32 - zeros) as u8 })
}

/// The code for so many residuals, of which so many are not the common one.
pub(super) fn code(others: usize, count: usize, effort: Effort) -> Code {
    match effort {
        _ if others * SAMPLES_PER_SPARSE_SURELY <= count => Code::Sparse,
        Effort::Compact => Code::Entropy,
        Effort::Fresh if others * SAMPLES_PER_SPARSE <= count => Code::SparseOrPacked,
        Effort::Fresh | Effort::Plain => Code::Packed,
    }
}

/// The residual that most are, if most are the same, and how many are not. 0 if there are none.
pub(super) fn common(residuals: &[i64]) -> (i64, usize) {
    let common = middle_of_few(residuals);
    (common, sparse::others(residuals, common))
}

/// Of a few residuals the most frequent, if it is a quarter of them, else the median. 0 if there are none.
fn middle_of_few(residuals: &[i64]) -> i64 {
    let mut asked = [0; COMMON_SAMPLES];
    let step = residuals.len().div_ceil(COMMON_SAMPLES).max(1);
    let mut count = 0;
    for (place, residual) in asked.iter_mut().zip(residuals.iter().step_by(step)) {
        *place = *residual;
        count += 1;
    }
    let asked = &mut asked[..count];
    asked.sort_unstable();
    let runs = asked.chunk_by(|a, b| a == b);
    let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
    let middle = asked.get(count / 2).copied().unwrap_or(0);
    if longest.len() * 4 > count { longest[0] } else { middle }
}
