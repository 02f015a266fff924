//! Floats as decimals: most measured values were once a short decimal number, and its digits are shorter than its bits.
//!
//! A value is `mantissa / 10^exponent`, divided by IEEE rules, which gives the nearest float to that decimal: 12.5 is
//! 125 and exponent 1. Only a form that divides back to the very same 64 bits is used, so -0.0, NaN and infinities never
//! have one.

/// Largest exponent; 10^15 and every mantissa up to 2^53 are exact floats, so one division rounds once.
pub(crate) const EXPONENT_MAX: u8 = 15;

/// Largest magnitude of a mantissa.
pub(crate) const MANTISSA_MAX: i64 = 1 << 53;

/// Powers of ten by exponent; filled to sixteen so that a nibble indexes it without a check.
pub(crate) const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Bound of a scaled value: 2^51, up to which [`ROUNDER`] rounds.
const SCALED_MAX: f64 = 2_251_799_813_685_248.0;

/// Adding it to a float below 2^51 in magnitude leaves the nearest integer in the low bits of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// The integer that `value` is, if it is one up to [`MANTISSA_MAX`].
#[inline]
pub(crate) fn integer(value: f64) -> Option<i64> {
    let mantissa = value as i64;
    let fits = (mantissa as f64).to_bits() == value.to_bits() && mantissa.unsigned_abs() <= MANTISSA_MAX as u64;
    fits.then_some(mantissa)
}

/// The mantissa of `value` at `exponent`, if it gives back the same bits.
#[inline]
pub(crate) fn mantissa(value: f64, exponent: u8) -> Option<i64> {
    if exponent == 0 {
        return integer(value);
    }
    let power = POWERS[usize::from(exponent & 15)];
    let scaled = value * power;
    if scaled.is_nan() || scaled.abs() >= SCALED_MAX {
        return None;
    }
    let mantissa = (scaled + ROUNDER).to_bits() as i64 - ROUNDER.to_bits() as i64;
    (value_of(mantissa, exponent).to_bits() == value.to_bits()).then_some(mantissa)
}

/// The value of a decimal form; `exponent` is at most [`EXPONENT_MAX`].
#[inline]
pub(crate) fn value_of(mantissa: i64, exponent: u8) -> f64 {
    mantissa as f64 / POWERS[usize::from(exponent & 15)]
}

/// How many bytes of two's complement hold `value`: 1 to 8.
#[inline]
pub(crate) fn signed_bytes(value: i64) -> usize {
    let bits = 65 - (value ^ (value >> 63)).leading_zeros() as usize;
    bits.div_ceil(8)
}

/// The low `count` bytes of `word` as a signed number, 0 for no bytes.
#[inline]
pub(crate) fn sign_extend(word: u64, count: usize) -> i64 {
    if count == 0 {
        return 0;
    }
    let unused = 64 - 8 * count as u32;
    ((word << unused) as i64) >> unused
}
