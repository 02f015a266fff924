//! Numbers as Go and Prometheus's templates write them.
//!
//! 1234567 is `1.235M` humanized, `1.177Mi` by powers of 1024, `14d 6h 56m 7s` as a duration; 0.0123 is `12.3m`,
//! `1.23%`.

use super::literal;
use super::tree::Number;
use crate::model::format_general;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
/// Significant digits of everything humanized.
const DIGITS: usize = 4;

/// Four digits and the SI prefix.
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value, DIGITS);
    }
    let (scaled, prefix) = if value.abs() >= 1.0 { shrunk(value, 1000.0, &LARGE) } else { grown(value) };
    format!("{}{prefix}", general(scaled, DIGITS))
}

/// Four digits and the prefix of powers of 1024.
pub(super) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return general(value, DIGITS);
    }
    let (scaled, prefix) = shrunk(value, 1024.0, &BINARY);
    format!("{}{prefix}", general(scaled, DIGITS))
}

/// Seconds as days, hours, minutes and seconds.
pub(super) fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return general(seconds, DIGITS);
    }
    if seconds == 0.0 {
        return format!("{}s", general(seconds, DIGITS));
    }
    if seconds.abs() < 1.0 {
        let (scaled, prefix) = grown(seconds);
        return format!("{}{prefix}s", general(scaled, DIGITS));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs() as i64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {rest}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {rest}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {rest}s")
    } else {
        format!("{sign}{}s", general(seconds.abs(), DIGITS))
    }
}

/// A fraction as per cent.
pub(super) fn humanize_percentage(fraction: f64) -> String {
    format!("{}%", general(fraction * 100.0, DIGITS))
}

/// A number by a verb of `printf`.
pub(super) fn formatted(value: f64, verb: char, precision: Option<usize>) -> String {
    match (verb, precision) {
        _ if !value.is_finite() => special(value),
        ('f', _) => format!("{value:.*}", precision.unwrap_or(6)),
        ('e', _) => exponential(&format!("{value:.*e}", precision.unwrap_or(6))),
        (_, Some(precision)) => general(value, precision),
        (_, None) => format_general(value),
    }
}

/// With the point and the zeros that the flag `#` keeps.
pub(super) fn with_point(digits: &str, verb: char, precision: Option<usize>) -> String {
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let mut mantissa = mantissa.to_owned();
    if !mantissa.contains('.') {
        mantissa.push('.');
    }
    if matches!(verb, 'g' | 'G' | 'v') {
        let significant = mantissa.trim_start_matches(['-', '0', '.']).chars().filter(char::is_ascii_digit).count();
        let shown = if significant == 0 { 1 } else { significant };
        mantissa.push_str(&"0".repeat(precision.unwrap_or(6).max(1).saturating_sub(shown)));
    }
    mantissa + exponent
}

/// `%.<digits>g`.
fn general(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return special(value);
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent = exponent_of(&scientific);
    if exponent < -4 || exponent >= digits as i32 {
        let (mantissa, exponent) = scientific.split_once('e').expect("Rust writes an exponent");
        return exponential(&format!("{}e{exponent}", without_zeros(mantissa)));
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).expect("the exponent is below the digits");
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn exponent_of(scientific: &str) -> i32 {
    scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).expect("Rust writes an exponent")
}

/// Go writes the exponent with a sign and at least two digits.
fn exponential(scientific: &str) -> String {
    let (mantissa, _) = scientific.split_once('e').expect("Rust writes an exponent");
    let exponent = exponent_of(scientific);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn without_zeros(decimal: &str) -> &str {
    if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal }
}

fn special(value: f64) -> String {
    let name = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    };
    name.to_owned()
}

fn shrunk(mut value: f64, step: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let mut prefix = "";
    for &next in prefixes {
        if value.abs() < step {
            break;
        }
        (prefix, value) = (next, value / step);
    }
    (value, prefix)
}

fn grown(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        (prefix, value) = (next, value * 1000.0);
    }
    (value, prefix)
}

/// A number as Prometheus's functions read it from a text, or what is wrong with it.
pub(super) fn parsed(text: &str) -> Result<f64, &'static str> {
    match literal::number(text) {
        // Unlike in a template, 010 is ten in a text, 0x10 nothing, and zero has a sign.
        Ok(Number::Int(_)) if text.contains('_') => return decimal(&text.replace('_', "")).ok_or("invalid syntax"),
        Ok(Number::Float(number)) if !text.contains('_') => return Ok(number),
        _ => {}
    }
    let number = decimal(text).ok_or("invalid syntax")?;
    if number.is_infinite() && text.contains(|digit: char| digit.is_ascii_digit()) {
        return Err("value out of range");
    }
    Ok(number)
}

fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    let magnitude = match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" if text.len() == 3 => f64::NAN,
        lower if lower.starts_with(|first: char| first.is_ascii_digit() || first == '.') => lower.parse().ok()?,
        _ => return None,
    };
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}
