//! Numbers as Prometheus writes and adds them.

use crate::model::Sum;

/// A sample's value as Prometheus's JSON has it: the shortest digits that read back the same, an exponent only below
/// 1e-6 and from 1e21 on, `NaN`, `+Inf` and `-Inf` by name.
///
/// ```
/// use dozor::query::format_float;
/// assert_eq!(format_float(0.1), "0.1");
/// assert_eq!(format_float(1e20), "100000000000000000000");
/// assert_eq!(format_float(1e21), "1e+21");
/// assert_eq!(format_float(1e-7), "1e-07");
/// assert_eq!(format_float(f64::NEG_INFINITY), "-Inf");
/// ```
pub fn format_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-6..1e21).contains(&magnitude) {
        return go_exponent(value);
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

/// A number within a message, as Go's `%g` writes it: an exponent below 1e-4 and from 1e6 on.
pub(super) fn format_go_g(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-4..1e6).contains(&magnitude) {
        return go_exponent(value);
    }
    format_plain(value)
}

/// A number rounded to two digits, as Go's `%.2g` writes it: an exponent below 1e-4 and from 100 on.
pub(super) fn format_two_digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_plain(value);
    }
    let rounded: f64 = format!("{value:.1e}").parse().expect("a number was written");
    if (1e-4..1e2).contains(&rounded.abs()) { format_plain(rounded) } else { go_exponent(rounded) }
}

/// A number as a label's value in OpenMetrics: as [`format_go_g`], whole ones with `.0`.
pub(super) fn format_open_metrics(value: f64) -> String {
    let text = format_go_g(value);
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_whole { text + ".0" } else { text }
}

/// Rust writes `1e-7` where Go writes `1e-07`: a sign always, and two digits at least.
fn go_exponent(value: f64) -> String {
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

/// So far below the largest number that no window's sum of such values overflows.
const EVEN_VALUE_MAX: f64 = 1e290;

impl Sum {
    /// The sum of the values one after the other, to the last bit what [`Sum::add`] makes of them, without asking at each
    /// which of the two is larger: what an addition loses is the same number by Knuth's way as by Neumaier's, as long as
    /// nothing overflows. Four sums side by side would be a little faster, and in a quarter of all means another last bit.
    pub(super) fn of_all(values: &[f64]) -> Sum {
        let mut sum = Sum::default();
        let mut may_overflow = false;
        for value in values {
            may_overflow |= value.abs() > EVEN_VALUE_MAX;
            let total = sum.total + value;
            let taken = total - sum.total;
            sum.lost += (sum.total - (total - taken)) + (value - taken);
            sum.total = total;
        }
        if may_overflow {
            sum = Sum::default();
            values.iter().for_each(|value| sum.add(*value));
        }
        sum
    }
}

/// A mean that is a compensated sum until that would overflow, and a running mean from there on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: Sum,
    pub(super) count: f64,
    running: bool,
}

impl Mean {
    /// The mean of the values.
    pub(super) fn of_all(values: &[f64]) -> f64 {
        let (sum, count) = (Sum::of_all(values), values.len() as f64);
        if sum.total.is_finite() {
            return sum.total / count + sum.lost / count;
        }
        let mut mean = Mean::default();
        values.iter().for_each(|value| mean.add(*value));
        mean.value()
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = Sum::of(value);
            return;
        }
        if !self.running {
            let mut next = self.sum;
            next.add(value);
            if next.total.is_finite() || next.total.is_nan() {
                self.sum = next;
                return;
            }
            self.running = true;
            self.sum.total /= self.count - 1.0;
            self.sum.lost /= self.count - 1.0;
        }
        let share = (self.count - 1.0) / self.count;
        self.sum = Sum { total: self.sum.total * share, lost: self.sum.lost * share };
        self.sum.add(value / self.count);
    }

    pub(super) fn value(self) -> f64 {
        if self.running { self.sum.value() } else { self.sum.total / self.count + self.sum.lost / self.count }
    }
}

/// Sum of squared distances from the mean, in one pass (Welford), with compensated sums.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Spread {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let distance = value - self.mean.value();
        self.mean.add(distance / self.count);
        self.squares.add(distance * (value - self.mean.value()));
    }

    /// The population variance; not a number if any value was infinite or none.
    pub(super) fn variance(self) -> f64 {
        self.squares.value() / self.count
    }
}

/// The `q` quantile of the values, between neighbours by proportion, NaN being the smallest of all. Sorts them.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(nan_first);
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// The order of numbers, with NaN before all of them.
pub(super) fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}
