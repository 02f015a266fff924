//! Values and times, as Go's `ParseFloat` reads them, without its hexadecimal forms.

use super::Format;
use super::line::What;

/// The NaN that Prometheus stores for one that it reads: never the one that marks a series as stale.
const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Times of OpenMetrics beyond ± this, in ms, are none: a float holds every whole number up to here.
const TIME_MS_MAX: f64 = (1_u64 << 53) as f64;

/// Reads a value: a decimal number, `NaN`, or an infinity with or without a sign.
#[inline]
pub(super) fn value(text: &[u8]) -> Result<f64, What> {
    const WHAT: What = "its value is not a number";
    let digits = std::str::from_utf8(text).map_err(|_| WHAT)?;
    let value: f64 = digits.parse().map_err(|_| WHAT)?;
    if value.is_finite() { Ok(value) } else { special(digits, value) }
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
        Format::Text => {
            const WHAT: What = "its timestamp is not a whole number of milliseconds";
            std::str::from_utf8(text).ok().and_then(|digits| digits.parse().ok()).ok_or(WHAT)
        }
        Format::OpenMetrics => {
            // Rounded, not cut off: 1.001 s as a float is a little less than that.
            let ms = (value(text).map_err(|_| "its timestamp is not a number of seconds")? * 1000.0).round();
            let held = ms.abs() <= TIME_MS_MAX;
            if held { Ok(ms as i64) } else { Err("its timestamp is not a number of seconds near the present") }
        }
    }
}
