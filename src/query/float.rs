//! Numbers as Prometheus rounds, adds and ranks them.

use crate::model::{Sum, format_exponent, format_general, format_plain};

/// A number rounded to two digits, as Go's `%.2g` writes it: an exponent below 1e-4 and from 100 on.
pub(super) fn format_two_digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_plain(value);
    }
    let rounded: f64 = format!("{value:.1e}").parse().expect("a number was written");
    if (1e-4..1e2).contains(&rounded.abs()) { format_plain(rounded) } else { format_exponent(rounded) }
}

/// A number as a label's value in OpenMetrics: as [`format_general`] has it, whole ones with `.0`.
pub(super) fn format_open_metrics(value: f64) -> String {
    let text = format_general(value);
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_whole { text + ".0" } else { text }
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
