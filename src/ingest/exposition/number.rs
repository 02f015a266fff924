//! Values and times, as Go's `ParseFloat` reads them, without its hexadecimal forms.

use super::Format;
use super::line::What;
use crate::model::NORMAL_NAN_BITS;

/// The NaN that Prometheus stores for one that it reads: never the one that marks a series as stale.
const NORMAL_NAN: f64 = f64::from_bits(NORMAL_NAN_BITS);

/// Digits of a number that [`short`] reads, its point included.
const DIGITS_MAX: usize = 15;
const POWERS_OF_TEN: [f64; DIGITS_MAX] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];

/// Times of OpenMetrics beyond ± this, in ms, are none: a float holds every whole number up to here.
const TIME_MS_MAX: f64 = (1_u64 << 53) as f64;

/// Reads a value: a decimal number, `NaN`, or an infinity with or without a sign.
#[inline]
pub(super) fn value(text: &[u8]) -> Result<f64, What> {
    const WHAT: What = "its value is not a number";
    if let Some(value) = short(text) {
        return Ok(value);
    }
    let digits = std::str::from_utf8(text).map_err(|_| WHAT)?;
    let value: f64 = digits.parse().map_err(|_| WHAT)?;
    if value.is_finite() { Ok(value) } else { special(digits, value) }
}

/// Reads `-12.5` and the like, of up to fifteen digits: digits and power of ten are floats exactly, so their quotient is
/// rounded once and is the nearest float (Clinger, PLDI 1990). Most values are so short, and this takes a third of the
/// instructions of the standard library's reader, which takes the others.
#[inline]
fn short(text: &[u8]) -> Option<f64> {
    let (is_negative, text) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if text.len() > DIGITS_MAX {
        return None;
    }
    let (number, whole_digits) = append_digits(0, text);
    let (number, fraction_digits) = match &text[whole_digits..] {
        [] => (number, 0),
        [b'.', fraction @ ..] => match append_digits(number, fraction) {
            (number, count) if count == fraction.len() => (number, count),
            _ => return None,
        },
        _ => return None,
    };
    if whole_digits + fraction_digits == 0 {
        return None;
    }
    let value = number as f64 / POWERS_OF_TEN[fraction_digits];
    Some(if is_negative { -value } else { value })
}

/// Appends the digits that `text` starts with to a number, and says how many they are: at most 18 of them fit.
#[inline]
fn append_digits(mut number: u64, text: &[u8]) -> (u64, usize) {
    let mut count = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number * 10 + u64::from(digit);
        count += 1;
    }
    (number, count)
}

/// What is not finite must say so: a number that is too large is none.
#[cold]
fn special(text: &str, value: f64) -> Result<f64, What> {
    if text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err("its value is larger than a float can be");
    }
    match value.is_nan() {
        true if text.starts_with(['+', '-']) => Err("its value is a NaN with a sign"),
        true => Ok(NORMAL_NAN),
        false => Ok(value),
    }
}

/// Reads a time, in ms since 1970 UTC: whole milliseconds, in OpenMetrics seconds with a fraction.
#[inline]
pub(super) fn timestamp_ms(text: &[u8], format: Format) -> Result<i64, What> {
    match format {
        Format::Text => whole(text).ok_or("its timestamp is not a whole number of milliseconds"),
        Format::OpenMetrics => {
            // Rounded, not cut off: 1.001 s as a float is a little less than that.
            let ms = (value(text).map_err(|_| "its timestamp is not a number of seconds")? * 1000.0).round();
            let held = ms.abs() <= TIME_MS_MAX;
            if held { Ok(ms as i64) } else { Err("its timestamp is not a number of seconds near the present") }
        }
    }
}

#[inline]
fn whole(text: &[u8]) -> Option<i64> {
    if (1..=18).contains(&text.len())
        && let (number, count) = append_digits(0, text)
        && count == text.len()
    {
        return i64::try_from(number).ok();
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
