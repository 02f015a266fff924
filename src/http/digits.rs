//! Numbers as digits, for answers that have hundreds of thousands of them.
//!
//! A point is put together from its end, as division gives digits, in a few bytes on the stack, and appended at once:
//!
//! ```text
//! [1795305600,"0.37"]        0.37 × 10^6 = 370,000, which divided by 10^6 is 0.37 again
//!          ◄── filled        so the digits are 37 behind a point, and two zeros were too many
//! ```
//!
//! Always true: what is written here is what [`format_float`](crate::model::format_float) would write.

/// Longest text that is put together: brackets, twenty digits and a sign of the time, as many of the value.
const BYTES_MAX: usize = 64;
/// Digits of each number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};
/// Digits behind the point that are looked for.
const DECIMALS: usize = 6;
const DECIMALS_POWER: f64 = 1e6;
/// Decimals of no more digits than fifteen are told apart by their floats: one that gives back the float is the only one
/// so short, and hence, without zeros at its end, the shortest.
const MANTISSA_MAX: f64 = 1e15;

/// A text that grows to the front.
pub(super) struct Digits {
    bytes: [u8; BYTES_MAX],
    start: usize,
}

impl Digits {
    pub(super) fn new() -> Digits {
        Digits { bytes: [0; BYTES_MAX], start: BYTES_MAX }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    #[inline]
    pub(super) fn put<const N: usize>(&mut self, text: &[u8; N]) {
        self.start -= N;
        self.bytes[self.start..self.start + N].copy_from_slice(text);
    }

    /// A whole number.
    #[inline]
    pub(super) fn put_whole(&mut self, number: u64) {
        let mut rest = number;
        while rest >= 100 {
            self.put(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        if rest >= 10 {
            self.put(&PAIRS[rest as usize]);
        } else {
            self.put(&[b'0' + rest as u8]);
        }
    }

    /// Seconds with three decimals, or none where they are zeros.
    #[inline]
    pub(super) fn put_timestamp(&mut self, timestamp_ms: i64) {
        let magnitude_ms = timestamp_ms.unsigned_abs();
        let rest = magnitude_ms % 1000;
        if rest > 0 {
            self.put(&[100, 10, 1].map(|unit| b'0' + (rest / unit % 10) as u8));
            self.put(b".");
        }
        self.put_whole(magnitude_ms / 1000);
        if timestamp_ms < 0 {
            self.put(b"-");
        }
    }

    /// A value, if it is a number of a few digits. Else nothing is put, and it is false.
    #[inline]
    pub(super) fn put_value(&mut self, value: f64) -> bool {
        let magnitude = value.abs();
        let whole = magnitude as u64;
        if magnitude <= MANTISSA_MAX && whole as f64 == magnitude {
            self.put_whole(whole);
        } else if !self.put_decimal(magnitude) {
            return false;
        }
        if value.is_sign_negative() {
            self.put(b"-");
        }
        true
    }

    fn put_decimal(&mut self, magnitude: f64) -> bool {
        let mantissa = (magnitude * DECIMALS_POWER).round_ties_even();
        // Not a number is not less, either.
        if !(mantissa < MANTISSA_MAX && mantissa / DECIMALS_POWER == magnitude) {
            return false;
        }
        let (mut rest, mut decimals) = (mantissa as u64, DECIMALS);
        while rest.is_multiple_of(10) {
            rest /= 10;
            decimals -= 1;
        }
        for _ in 0..decimals {
            self.put(&[b'0' + (rest % 10) as u8]);
            rest /= 10;
        }
        self.put(b".");
        self.put_whole(rest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Digits;
    use crate::model::format_float;

    fn written(value: f64) -> Option<String> {
        let mut digits = Digits::new();
        digits.put_value(value).then(|| String::from_utf8(digits.as_bytes().to_vec()).expect("digits"))
    }

    #[test]
    fn short_numbers_are_written_as_the_slow_way_writes_them() {
        let mut short = 0;
        let mut state = 1_u64;
        for round in 0..200_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mantissa = (state >> 11) >> (state % 53);
            let decimal = mantissa as f64 / 10_f64.powi((round % 9) as i32);
            for value in [decimal, -decimal, f64::from_bits(state), decimal * 0.1] {
                if let Some(text) = written(value) {
                    assert_eq!(text, format_float(value), "{:x}", value.to_bits());
                    short += 1;
                }
            }
        }
        assert!(short > 200_000, "{short} of them were short");
    }

    #[test]
    fn edges_are_written_as_the_slow_way_writes_them() {
        let edges = [0.0, -0.0, 1.0, -1.0, 9.0, 10.0, 99.0, 100.0, 101.0, 1e15, 1e15 + 2.0, 999_999_999.999_999];
        for value in edges.into_iter().chain([0.000_001, 0.5, 0.1 + 0.2, 1e-7, 1_000_000_000.5, 123.456]) {
            assert!(written(value).is_none_or(|text| text == format_float(value)), "{value}");
        }
        assert_eq!(written(0.37).as_deref(), Some("0.37"));
        assert_eq!(written(-12.5).as_deref(), Some("-12.5"));
        assert_eq!(written(-0.0).as_deref(), Some("-0"));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 1e-300] {
            assert_eq!(written(value), None);
        }
    }

    #[test]
    fn times_have_three_decimals_or_none() {
        let of = |timestamp_ms| {
            let mut digits = Digits::new();
            digits.put_timestamp(timestamp_ms);
            String::from_utf8(digits.as_bytes().to_vec()).expect("digits")
        };
        assert_eq!([of(1_795_305_600_000), of(4_500), of(-1), of(0)], ["1795305600", "4.500", "-0.001", "0"]);
        assert_eq!(of(i64::MIN), "-9223372036854775.808");
    }
}
