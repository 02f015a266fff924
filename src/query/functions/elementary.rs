//! Functions of one number, computed by the formulas that Go has: others overflow where these do not, or end in other
//! digits.

use std::f64::consts::LN_2;

pub(super) use crate::model::log2;

/// From here on `x² + 1` is `x²`.
const LARGE: f64 = (1_u64 << 28) as f64;
/// Up to here `asinh(x)` and `atanh(x)` are `x`.
const NEAR_ZERO: f64 = 1.0 / LARGE;

pub(super) fn sinh(value: f64) -> f64 {
    let x = value.abs();
    let result = if x > 21.0 {
        x.exp() * 0.5
    } else if x > 0.5 {
        let power = x.exp();
        (power - 1.0 / power) * 0.5
    } else {
        return value.sinh();
    };
    result.copysign(value)
}

pub(super) fn cosh(value: f64) -> f64 {
    let power = value.abs().exp();
    if value.abs() > 21.0 { power * 0.5 } else { (power + 1.0 / power) * 0.5 }
}

pub(super) fn asinh(value: f64) -> f64 {
    if value.is_nan() || value.is_infinite() {
        return value;
    }
    let x = value.abs();
    let result = if x > LARGE {
        x.ln() + LN_2
    } else if x > 2.0 {
        (2.0 * x + 1.0 / ((x * x + 1.0).sqrt() + x)).ln()
    } else if x < NEAR_ZERO {
        x
    } else {
        (x + x * x / (1.0 + (1.0 + x * x).sqrt())).ln_1p()
    };
    result.copysign(value)
}

pub(super) fn acosh(x: f64) -> f64 {
    if x < 1.0 || x.is_nan() {
        f64::NAN
    } else if x >= LARGE {
        x.ln() + LN_2
    } else if x > 2.0 {
        (2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt())).ln()
    } else {
        let t = x - 1.0;
        (t + (2.0 * t + t * t).sqrt()).ln_1p()
    }
}

pub(super) fn atanh(value: f64) -> f64 {
    let x = value.abs();
    let result = if x > 1.0 || x.is_nan() {
        return f64::NAN;
    } else if x == 1.0 {
        f64::INFINITY
    } else if x < NEAR_ZERO {
        x
    } else if x < 0.5 {
        let double = x + x;
        0.5 * (double + double * x / (1.0 - x)).ln_1p()
    } else {
        0.5 * ((x + x) / (1.0 - x)).ln_1p()
    };
    result.copysign(value)
}
