//! Logarithm and power of two as Go computes them on x86-64.
//!
//! Interpolation within exponential buckets goes through both, and the C library's last digit differs: the half-way
//! point of (1,2] is 1.414213562373095 in Prometheus and 1.4142135623730951 by `f64::exp2`.
//!
//! The methods are those of FreeBSD's `e_log.c` and `e_exp.c`: a polynomial on a reduced argument, error below 1 ulp.

use super::bounds::scaled;

const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;

/// The logarithm to base 2.
pub(crate) fn log2(value: f64) -> f64 {
    if value.is_nan() || value < 0.0 {
        return f64::NAN;
    }
    if value == 0.0 {
        return f64::NEG_INFINITY;
    }
    if value.is_infinite() {
        return value;
    }
    let (fraction, exponent) = parted(value);
    if fraction == 0.5 {
        return exponent as f64 - 1.0;
    }
    natural_of_fraction(fraction) * std::f64::consts::LOG2_E + exponent as f64
}

/// `value = fraction * 2^exponent` with a fraction from 0.5 to 1, for a positive finite value.
fn parted(value: f64) -> (f64, i64) {
    let (value, shift) = if value < f64::MIN_POSITIVE { (value * (1_u64 << 52) as f64, 52) } else { (value, 0) };
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i64 - 1022 - shift;
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent)
}

/// The natural logarithm of a fraction from 0.5 to 1.
fn natural_of_fraction(fraction: f64) -> f64 {
    const ODD: [f64; 4] = [0.6666666666666735, 0.2857142874366239, 0.1818357216161805, 0.14798198605116586];
    const EVEN: [f64; 3] = [0.3999999999940942, 0.22222198432149784, 0.15313837699209373];
    let (fraction, halvings) =
        if fraction < std::f64::consts::FRAC_1_SQRT_2 { (fraction * 2.0, -1.0) } else { (fraction, 0.0) };
    let f = fraction - 1.0;
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let odd = s2 * (ODD[0] + s4 * (ODD[1] + s4 * (ODD[2] + s4 * ODD[3])));
    let even = s4 * (EVEN[0] + s4 * (EVEN[1] + s4 * EVEN[2]));
    let half_square = 0.5 * f * f;
    halvings * LN2_HIGH - ((half_square - (s * (half_square + (odd + even)) + halvings * LN2_LOW)) - f)
}

/// Two to the power of `exponent`.
pub(super) fn exp2(exponent: f64) -> f64 {
    if exponent.is_nan() {
        return exponent;
    }
    if exponent > 1023.9999999999999 {
        return f64::INFINITY;
    }
    if exponent < -1.0740e+03 {
        return 0.0;
    }
    let whole = (exponent + if exponent > 0.0 { 0.5 } else { -0.5 }).trunc();
    let rest = exponent - whole;
    let (high, low) = (rest * LN2_HIGH, -rest * LN2_LOW);
    let r = high - low;
    let t = r * r;
    const P: [f64; 5] = [
        0.16666666666666666,
        -0.0027777777777015593,
        6.613756321437934e-5,
        -1.6533902205465252e-6,
        4.1381367970572385e-8,
    ];
    let c = r - t * (P[0] + t * (P[1] + t * (P[2] + t * (P[3] + t * P[4]))));
    let power = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
    scaled(power * 0.5, whole as i64 + 1)
}
