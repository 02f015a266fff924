//! Durations and numbers as they are written.
//!
//! `1h30m` is 5,400 seconds, and so is `5400`; units go from the largest to the smallest, each at most once. A day has
//! 24 hours, a week 7 days, a year 365.

use super::string::quote;

/// The units of a duration, each with its nanoseconds, from the largest.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];
const NANOSECONDS_MAX: u64 = i64::MAX as u64;
const NANOSECONDS_A_SECOND: u64 = 1_000_000_000;
/// The longest duration, in seconds.
const SECONDS_MAX: f64 = i64::MAX as f64 / 1e9;

/// The seconds of a duration like `1h30m`.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let nanoseconds = nanoseconds(text)?;
    let whole = (nanoseconds / NANOSECONDS_A_SECOND) as f64;
    Ok(whole + (nanoseconds % NANOSECONDS_A_SECOND) as f64 / 1e9)
}

fn nanoseconds(text: &str) -> Result<u64, String> {
    let invalid = || format!("not a valid duration string: {}", quote(text));
    let too_long = || "duration out of range".to_owned();
    let (mut total, mut units_left, mut rest) = (0_u64, &UNITS[..], text);
    while !rest.is_empty() {
        let (digits, behind) = split(rest, |c| c.is_ascii_digit());
        let (unit, behind) = split(behind, |c| !c.is_ascii_digit());
        let count: u64 = digits.parse().map_err(|_| invalid())?;
        let Some(position) = UNITS.iter().position(|(name, _)| *name == unit) else {
            let unknown = format!("unknown unit {} in duration {}", quote(unit), quote(text));
            return Err(if unit.is_empty() { invalid() } else { unknown });
        };
        if position < UNITS.len() - units_left.len() {
            return Err(invalid());
        }
        units_left = &UNITS[position + 1..];
        let added = count.checked_mul(UNITS[position].1).and_then(|part| total.checked_add(part));
        total = added.filter(|sum| *sum <= NANOSECONDS_MAX).ok_or_else(too_long)?;
        rest = behind;
    }
    Ok(total)
}

fn split(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// Whether so many seconds are a duration at all.
pub(super) fn is_in_range(seconds: f64) -> bool {
    (-SECONDS_MAX..=SECONDS_MAX).contains(&seconds)
}

/// The nanoseconds nearest to so many seconds; the longest duration for anything longer.
pub(super) fn to_nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

/// A duration as Prometheus writes it: `5400000` ms are `1h30m`. Years and weeks only if nothing is left over.
pub(super) fn format_ms(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let (mut left, mut out) = (ms.unsigned_abs(), if ms < 0 { String::from("-") } else { String::new() });
    for (name, nanoseconds) in UNITS {
        let unit_ms = nanoseconds / 1_000_000;
        if (matches!(name, "y" | "w") && left % unit_ms != 0) || left < unit_ms {
            continue;
        }
        out.push_str(&format!("{}{name}", left / unit_ms));
        left %= unit_ms;
    }
    out
}

/// The value of a number: decimal, `0x` hexadecimal, octal with a leading 0, a fraction, `inf` or `nan`, with
/// underscores between digits.
pub(super) fn number(text: &str) -> Result<f64, String> {
    if let Some(value) = integer(text) {
        return Ok(value as f64);
    }
    let failed = |why: &str| format!("error parsing number: strconv.ParseFloat: parsing {}: {why}", quote(text));
    if text.starts_with("0x") || text.starts_with("0X") || !underscores_separate_digits(text) {
        return Err(failed("invalid syntax"));
    }
    let value: f64 = text.replace('_', "").parse().map_err(|_| failed("invalid syntax"))?;
    if value.is_infinite() && !text.eq_ignore_ascii_case("inf") {
        return Err(failed("value out of range"));
    }
    Ok(value)
}

/// The value of an integer of at most 63 bits.
fn integer(text: &str) -> Option<i64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // An underscore may stand between a prefix and the first digit.
    let digits = if radix == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    if !underscores_separate_digits(digits) {
        return None;
    }
    i64::from_str_radix(&digits.replace('_', ""), radix).ok().filter(|value| *value >= 0)
}

fn underscores_separate_digits(text: &str) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let underscores = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_');
    underscores.into_iter().all(|(at, _)| at > 0 && is_digit(bytes.get(at - 1)) && is_digit(bytes.get(at + 1)))
}
