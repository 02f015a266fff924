//! A column's values as whole numbers, with what these do not give: corrections and exceptions.

use super::exceptions::{self, Run};
pub use super::scale::Scale;
use super::scale::{decimals, integer_of, write_values};
use super::{Effort, SAMPLES_MAX, plan};
use crate::decimal::EXPONENT_MAX;

/// A column's values as whole numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// One a sample; a filler where the value is an exception.
    pub integers: Vec<i64>,
    /// How the values come from them.
    pub scale: Scale,
    /// One a sample with a near-decimal scale, else none: units in the last place.
    pub(super) corrections: Vec<i64>,
    pub(super) exceptions: Vec<Run>,
}

impl Numbers {
    /// Takes these values, 1 to [`SAMPLES_MAX`]; `hint` is the scale that an earlier column of the series had.
    pub fn read(&mut self, values: &[f64], effort: Effort, hint: Option<Scale>) {
        assert!((1..=SAMPLES_MAX).contains(&values.len()), "a column has 1 to {SAMPLES_MAX} samples");
        if effort == Effort::Plain {
            return self.take_bits(values);
        }
        let hint = hint.filter(|scale| *scale != Scale::Raw);
        if hint.is_some_and(|scale| self.take(values, scale)) {
            return;
        }
        // A few values tell the scale nearly always; if they mislead, all are asked.
        let scale = plan::scale(values, values.len().div_ceil(plan::SCALE_SAMPLES), 0);
        if self.take(values, scale) {
            return;
        }
        let exponent_min = if let Scale::Decimal { exponent } = scale { exponent } else { 0 };
        for scale in [plan::scale(values, 1, exponent_min), plan::hard_scale(values, EXPONENT_MAX + 1)] {
            if self.take(values, scale) {
                return;
            }
        }
        self.take_bits(values);
    }

    fn take_bits(&mut self, values: &[f64]) {
        assert!(self.take(values, Scale::Raw), "every value has bits");
    }

    /// Appends the values, the same 64 bits each.
    pub fn append_values(&self, values: &mut Vec<f64>) {
        let before = values.len();
        values.resize(before + self.integers.len(), 0.0);
        let values = &mut values[before..];
        write_values(&self.integers, &self.corrections, self.scale, values);
        for run in &self.exceptions {
            values[run.start..run.start + run.length].fill(f64::from_bits(run.bits));
        }
    }

    /// Whether one integer gives every value that is no exception.
    pub(super) fn is_constant(&self) -> bool {
        let first = self.integers[0];
        self.corrections.is_empty() && self.integers.iter().all(|integer| *integer == first)
    }

    pub(super) fn clear(&mut self) {
        self.integers.clear();
        self.corrections.clear();
        self.exceptions.clear();
    }

    /// Takes the values with this scale. False, and then nothing is of use, where too many are exceptions.
    fn take(&mut self, values: &[f64], scale: Scale) -> bool {
        self.clear();
        self.scale = scale;
        if let Scale::Decimal { exponent } = scale {
            self.integers.resize(values.len(), 0);
            if decimals(values, exponent, &mut self.integers) {
                return true;
            }
            self.integers.clear();
        }
        self.take_each(values, scale)
    }

    fn take_each(&mut self, values: &[f64], scale: Scale) -> bool {
        let near = matches!(scale, Scale::NearDecimal { .. });
        let mut exceptions_left = values.len() / plan::SAMPLES_PER_EXCEPTION + 1;
        let mut filler = values.iter().find_map(|value| integer_of(*value, scale)).unwrap_or_default();
        for (index, value) in values.iter().enumerate() {
            if let Some(taken) = integer_of(*value, scale) {
                filler = taken;
            } else {
                if !exceptions::is_named(*value) {
                    if exceptions_left == 0 {
                        return false;
                    }
                    exceptions_left -= 1;
                }
                exceptions::push(&mut self.exceptions, index, value.to_bits());
            }
            self.integers.push(filler.0);
            if near {
                self.corrections.push(filler.1);
            }
        }
        true
    }
}
