//! Quoted texts, characters and numbers as Go writes them.
//!
//! `"a\x20b"` and `` `a b` `` are the same text, `'a'` is the number 97, and so are `0x61`, `0o141`, `0141` and `9_7`.

use super::tree::Number;
use crate::model::{self, Escaped, unescaped};

/// The text within its quotes, or what is wrong with it.
pub(super) fn unquoted(written: &str) -> Result<String, String> {
    let inside = &written[1..written.len() - 1];
    if written.starts_with('`') {
        return Ok(inside.replace('\r', ""));
    }
    let bytes = model::unquoted(inside, '"').ok_or("invalid syntax")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A number or a character constant, or what is wrong with it.
pub(super) fn number(written: &str) -> Result<Number, String> {
    if written.starts_with('\'') {
        return character(written).map(Number::Int);
    }
    let illegal = || format!("illegal number syntax: {written:?}");
    let digits = without_underscores(written).ok_or_else(illegal)?;
    let unsigned = digits.trim_start_matches(['+', '-']);
    let is_hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    let looks_like_a_float = written.contains(['.', 'p', 'P']) || !is_hexadecimal && written.contains(['e', 'E']);
    if looks_like_a_float {
        return float(&digits, is_hexadecimal).map(Number::Float).ok_or_else(illegal);
    }
    let (radix, of_radix) = match unsigned.get(..2) {
        Some("0x" | "0X") => (16, &unsigned[2..]),
        Some("0o" | "0O") => (8, &unsigned[2..]),
        Some("0b" | "0B") => (2, &unsigned[2..]),
        Some(_) if unsigned.starts_with('0') => (8, unsigned),
        _ => (10, unsigned),
    };
    let overflow = || format!("integer overflow: {written:?}");
    if of_radix.is_empty() || !of_radix.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(illegal());
    }
    if !of_radix.chars().all(|digit| digit.is_digit(radix)) {
        // `08` is no octal number, and is a float that is not written as one.
        let is_decimal = unsigned.chars().all(|digit| digit.is_ascii_digit());
        return Err(if is_decimal { overflow() } else { illegal() });
    }
    let magnitude = u64::from_str_radix(of_radix, radix).map_err(|_| overflow())?;
    let signed = if digits.starts_with('-') { -i128::from(magnitude) } else { i128::from(magnitude) };
    match i64::try_from(signed) {
        Ok(number) => Ok(Number::Int(number)),
        Err(_) if signed < 0 => Err(overflow()),
        Err(_) => Ok(Number::Overflow),
    }
}

fn character(written: &str) -> Result<i64, String> {
    let mut letters = written[1..written.len() - 1].chars();
    let (letter, rest) = match letters.next() {
        None => return Err("invalid syntax".to_owned()),
        Some('\\') => {
            let (escaped, rest) = unescaped(letters.as_str(), '\'').ok_or("invalid syntax")?;
            let code = match escaped {
                Escaped::Byte(byte) => i64::from(byte),
                Escaped::Letter(letter) => i64::from(u32::from(letter)),
            };
            (code, rest)
        }
        Some(letter) => (i64::from(u32::from(letter)), letters.as_str()),
    };
    if rest.is_empty() { Ok(letter) } else { Err(format!("malformed character constant: {written}")) }
}

/// Underscores stand between digits, or between a radix and a digit.
fn without_underscores(written: &str) -> Option<String> {
    let is_misplaced = written.ends_with('_') || written.contains("__") || written.starts_with('_');
    let has_radix = written.contains(['x', 'X', 'o', 'O', 'b', 'B']);
    let is_lone = written.contains('_') && !has_radix && written.contains("._");
    (!is_misplaced && !is_lone).then(|| written.replace('_', ""))
}

fn float(digits: &str, is_hexadecimal: bool) -> Option<f64> {
    if is_hexadecimal { hexadecimal_float(digits) } else { digits.parse().ok().filter(|value: &f64| value.is_finite()) }
}

/// `0x1.8p3` is 12: digits of base 16, and a power of two that must be there.
fn hexadecimal_float(digits: &str) -> Option<f64> {
    let (sign, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, digits.trim_start_matches('+')),
    };
    let (mantissa, exponent) = unsigned[2..].split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || whole.len() + fraction.len() > 13 {
        return None;
    }
    let units = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let places = i32::try_from(4 * fraction.len()).ok()?;
    let value = sign * units as f64 * f64::powi(2.0, exponent.checked_sub(places)?);
    value.is_finite().then_some(value)
}
