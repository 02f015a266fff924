//! Scales: how a value comes from its whole number.
//!
//! 12.5 is 125 / 10^1. What a program makes of 9 ms as 9 × 0.001 is not the float nearest to 0.009: it is the product
//! of 9 and the float nearest to 0.001, or 9 / 10^3 and one unit in the last place. 0.1015625 is 13 × 2^-7.
//!
//! The loops over a column are written without branches, for the compiler to make vector instructions of.

use crate::decimal::{POWERS, value_of};

/// The floats nearest to 10^-exponent.
const UNITS: [f64; 16] =
    [1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15];

/// How a value comes from its whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The integer divided by 10^exponent, exponent at most 15.
    Decimal {
        /// Digits behind the point.
        exponent: u8,
    },
    /// The integer multiplied by the float nearest to 10^-exponent, as programs convert units.
    Product {
        /// Digits behind the point, 1 to 15.
        exponent: u8,
    },
    /// The float whose bits are those of the decimal plus a correction, a column of its own.
    NearDecimal {
        /// Digits behind the point.
        exponent: u8,
    },
    /// The integer times 2^-shift, shift within ±960.
    Binary {
        /// Bits behind the point.
        shift: i16,
    },
    /// The integer is the 64 bits themselves.
    Raw,
}

impl Default for Scale {
    fn default() -> Scale {
        Scale::Decimal { exponent: 0 }
    }
}

/// Integers of decimals lie within ±this.
pub(super) const INTEGER_BOUND: i64 = 1 << 51;
/// Largest shift of a binary scale: 2^960 and 2^-960 are ordinary floats.
pub(super) const SHIFT_MAX: i16 = 960;
/// Added to a float within ±2^51 it leaves the nearest integer in the low bits of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// Larger corrections than this are no rounding errors.
const CORRECTION_BOUND: i64 = 1 << 20;

/// 2^exponent; `exponent` is within ±1000.
pub(super) fn power_of_two(exponent: i16) -> f64 {
    f64::from_bits(((1023 + i64::from(exponent)) as u64) << 52)
}

/// Not 0 where the integer lies outside of what decimals may have.
#[inline]
fn beyond_bound(integer: i64) -> u64 {
    (integer.wrapping_add(INTEGER_BOUND) as u64) >> 52
}

/// Whether all integers may be those of decimals.
pub(super) fn within_bound(integers: &[i64]) -> bool {
    integers.iter().fold(0, |beyond, integer| beyond | beyond_bound(*integer)) == 0
}

/// The nearest integer, and the same as a float. Both are nonsense where it lies outside of ±2^51, and the integer then
/// does as well.
#[inline]
fn nearest(scaled: f64) -> (i64, f64) {
    let sum = scaled + ROUNDER;
    ((sum.to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64), sum - ROUNDER)
}

/// The float of an integer within ±2^51, in two operations that have vector forms everywhere.
#[inline]
fn float_of(integer: i64) -> f64 {
    f64::from_bits(integer.wrapping_add(ROUNDER.to_bits() as i64) as u64) - ROUNDER
}

/// Writes the integers of decimals and tells whether each gives back its value.
pub(super) fn decimals(values: &[f64], exponent: u8, integers: &mut [i64]) -> bool {
    let power = POWERS[usize::from(exponent & 15)];
    let mut wrong = 0;
    let pairs = values.iter().zip(integers);
    if exponent == 0 {
        for (value, integer) in pairs {
            let (number, float) = nearest(*value);
            *integer = number;
            wrong |= float.to_bits() ^ value.to_bits() | beyond_bound(number);
        }
    } else {
        for (value, integer) in pairs {
            let (number, float) = nearest(*value * power);
            *integer = number;
            wrong |= (float / power).to_bits() ^ value.to_bits() | beyond_bound(number);
        }
    }
    wrong == 0
}

/// The integer of one value, and its correction, which is 0 for all but near-decimals. None where the scale has no
/// integer that gives back the value.
#[inline]
pub(super) fn integer_of(value: f64, scale: Scale) -> Option<(i64, i64)> {
    match scale {
        Scale::Decimal { exponent } => {
            let (integer, float) = nearest(value * POWERS[usize::from(exponent & 15)]);
            let back = float / POWERS[usize::from(exponent & 15)];
            (beyond_bound(integer) == 0 && back.to_bits() == value.to_bits()).then_some((integer, 0))
        }
        Scale::Product { exponent } => {
            let (integer, float) = nearest(value * POWERS[usize::from(exponent & 15)]);
            let back = float * UNITS[usize::from(exponent & 15)];
            (beyond_bound(integer) == 0 && back.to_bits() == value.to_bits()).then_some((integer, 0))
        }
        Scale::NearDecimal { exponent } => {
            let (integer, _) = nearest(value * POWERS[usize::from(exponent & 15)]);
            let correction = (value.to_bits() as i64).wrapping_sub(value_of(integer, exponent).to_bits() as i64);
            let near = correction.unsigned_abs() < CORRECTION_BOUND as u64;
            (beyond_bound(integer) == 0 && near).then_some((integer, correction))
        }
        Scale::Binary { shift } => {
            let integer = (value * power_of_two(shift)) as i64;
            let back = integer as f64 * power_of_two(-shift);
            (back.to_bits() == value.to_bits()).then_some((integer, 0))
        }
        Scale::Raw => Some((value.to_bits() as i64, 0)),
    }
}

/// Writes the values of integers; those of decimals are within their bound.
pub(super) fn write_values(integers: &[i64], corrections: &[i64], scale: Scale, values: &mut [f64]) {
    let pairs = values.iter_mut().zip(integers);
    match scale {
        Scale::Decimal { exponent: 0 } => {
            for (value, integer) in pairs {
                *value = float_of(*integer);
            }
        }
        Scale::Decimal { exponent } => {
            let power = POWERS[usize::from(exponent & 15)];
            for (value, integer) in pairs {
                *value = float_of(*integer) / power;
            }
        }
        Scale::Product { exponent } => {
            let unit = UNITS[usize::from(exponent & 15)];
            for (value, integer) in pairs {
                *value = float_of(*integer) * unit;
            }
        }
        Scale::NearDecimal { exponent } => {
            let power = POWERS[usize::from(exponent & 15)];
            for ((value, integer), correction) in pairs.zip(corrections) {
                let decimal = float_of(*integer) / power;
                *value = f64::from_bits(decimal.to_bits().wrapping_add(*correction as u64));
            }
        }
        Scale::Binary { shift } => {
            let unit = power_of_two(-shift);
            for (value, integer) in pairs {
                *value = *integer as f64 * unit;
            }
        }
        Scale::Raw => {
            for (value, integer) in pairs {
                *value = f64::from_bits(*integer as u64);
            }
        }
    }
}
