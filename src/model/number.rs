//! Numbers as texts, as Go writes them, with which clients compare ours byte by byte: the fewest digits that read back the
//! same, and of two texts that are as near to the number the one with an even last digit. Rust takes the larger of those:
//!
//! ```
//! use dozor::model::{format_float, format_general, format_plain};
//!
//! // 2,802,529,253,735.90625 lies half way between the two.
//! assert_eq!(2802529253735.90625_f64.to_string(), "2802529253735.9063");
//! assert_eq!(format_float(2802529253735.90625), "2802529253735.9062");
//! assert_eq!(format_general(2802529253735.90625), "2.8025292537359062e+12");
//! assert_eq!(format_plain(1e21), "1000000000000000000000");
//! ```
//!
//! Always true: what is written reads back as the same number, NaN as NaN.

/// A sample's value as Prometheus's JSON has it: the shortest digits that read back the same, an exponent only below
/// 1e-6 and from 1e21 on, `NaN`, `+Inf` and `-Inf` by name.
///
/// ```
/// use dozor::model::format_float;
/// assert_eq!(format_float(0.1), "0.1");
/// assert_eq!(format_float(1e20), "100000000000000000000");
/// assert_eq!(format_float(1e21), "1e+21");
/// assert_eq!(format_float(1e-7), "1e-07");
/// assert_eq!(format_float(f64::NEG_INFINITY), "-Inf");
/// ```
pub fn format_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-6..1e21).contains(&magnitude) {
        return format_exponent(value);
    }
    format_plain(value)
}

/// As [`format_float`], but never with an exponent: scalars, and the label values of `count_values`.
pub fn format_plain(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        // Rust's Display is the shortest round trip without an exponent, which is Go's 'f' with precision -1.
        let shortest = value.to_string();
        let decimals = shortest.len() - shortest.find('.').map_or(shortest.len(), |point| point + 1);
        if may_tie(value, decimals) {
            with_even_digit(value, shortest, format!("{value:.decimals$}"))
        } else {
            shortest
        }
    }
}

/// As Go's `%g` and `%v` write it: an exponent below 1e-4 and from 1e6 on.
pub fn format_general(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-4..1e6).contains(&magnitude) {
        return format_exponent(value);
    }
    format_plain(value)
}

/// A finite number with its exponent, which has a sign always, and two digits at least: `1e-07`.
pub fn format_exponent(value: f64) -> String {
    let mut text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("LowerExp writes an e");
    let places = digits.find('.').map_or(0, |point| digits.len() - point - 1);
    let shift: isize = exponent.parse().expect("LowerExp writes a number behind the e");
    if places.checked_add_signed(-shift).is_some_and(|decimals| may_tie(value, decimals)) {
        text = with_even_digit(value, text, format!("{value:.places$e}"));
    }
    let (digits, exponent) = text.split_once('e').expect("LowerExp writes an e");
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Whether the number may lie half way between two texts of so many decimals: then it has one binary place more.
fn may_tie(value: f64, decimals: usize) -> bool {
    let (bits, hidden) = (value.to_bits(), 1_u64 << 52);
    let exponent = i32::try_from(bits >> 52 & 0x7ff).expect("eleven bits");
    let mantissa = bits & (hidden - 1) | if exponent > 0 { hidden } else { 0 };
    let lowest = exponent.max(1) - 1075 + mantissa.trailing_zeros().cast_signed();
    mantissa != 0 && usize::try_from(-lowest) == Ok(decimals + 1)
}

/// Of two texts that are as near to the number, Go takes the one with an even last digit, and Rust the larger.
fn with_even_digit(value: f64, shortest: String, even: String) -> String {
    if even.parse() == Ok(value) { even } else { shortest }
}
