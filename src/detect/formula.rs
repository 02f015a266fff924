//! What an expression computes of its operands: a small tree, and whether what it says is a number of events.
//!
//! ```text
//! 100 * (1 - sum(rate(failed[1m])) / sum(rate(paid[1m])))        operands: 0 failed, 1 paid
//!
//! as a fraction of sums      100 · (paid − failed) / paid
//! events among exposure      (paid − failed) of paid, times 100
//! ```
//!
//! A fraction of few events has no logarithm worth looking at, so a model is given its two sides, not their quotient.
//!
//! Always true: events and exposure are sums and differences of increments, each counting once, without a constant; there
//! is something that adds to the events, and exposure is only ever added up.

use super::signal::{Fold, Operand, Rolled};
use crate::model::{METRIC_NAME, MatchOp};

/// What an expression computes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    /// An operand, by its index.
    Operand(usize),
    /// The quantile of the observations that a histogram's operand counts.
    Quantile(f64, usize),
    /// A constant.
    Number(f64),
    /// Two of them put together.
    Compute(Arithmetic, Box<Formula>, Box<Formula>),
}

/// How two values are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Events among exposure: weighted sums of operands' increments, and what their quotient is multiplied with to give the
/// value of the expression. Without exposure the value is that of one bucket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Count {
    pub events: Weights,
    /// Empty for a plain count.
    pub exposure: Weights,
    pub scale: f64,
}

/// Operands by their index, and what each is multiplied with.
pub(crate) type Weights = Vec<(usize, f64)>;

impl Arithmetic {
    pub(crate) fn of(self, left: f64, right: f64) -> f64 {
        match self {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => left / right,
        }
    }
}

impl Formula {
    /// The value, where every part has one.
    pub(crate) fn value(
        &self,
        operand: &impl Fn(usize) -> Option<f64>,
        quantile: &impl Fn(f64, usize) -> Option<f64>,
    ) -> Option<f64> {
        match self {
            Formula::Operand(index) => operand(*index),
            Formula::Quantile(share, index) => quantile(*share, *index),
            Formula::Number(number) => Some(*number),
            Formula::Compute(arithmetic, left, right) => {
                Some(arithmetic.of(left.value(operand, quantile)?, right.value(operand, quantile)?))
            }
        }
    }

    /// The number of events that the expression says, if it does. `unit` is what a bucket's increment of an operand is
    /// multiplied with to have the operand's own unit.
    pub(crate) fn count(&self, operands: &[Operand], unit: impl Fn(usize) -> f64) -> Option<Count> {
        let fraction = self.fraction(operands, &unit)?;
        let (events, exposure) = (fraction.above.weights()?, fraction.below.map(|below| below.weights()));
        let exposure = match exposure {
            None => Vec::new(),
            Some(exposure) => exposure.filter(|weights| weights.iter().all(|&(_, weight)| weight > 0.0))?,
        };
        let is_mean = !exposure.is_empty() && events.iter().any(|&(index, _)| is_quantity(&operands[index]));
        if is_mean || events.iter().all(|&(_, weight)| weight <= 0.0) {
            return None;
        }
        let (above, below) = (largest(&events), if exposure.is_empty() { 1.0 } else { largest(&exposure) });
        let scaled =
            |weights: Weights, by: f64| weights.into_iter().map(|(index, weight)| (index, weight / by)).collect();
        Some(Count { events: scaled(events, above), exposure: scaled(exposure, below), scale: above / below })
    }

    /// The operands whose observations the value is made of, if it is made of observations.
    pub(crate) fn observed_operands(&self, operands: &[Operand]) -> Weights {
        match self {
            Formula::Quantile(_, index) => vec![(*index, 1.0)],
            Formula::Operand(_) | Formula::Number(_) => Vec::new(),
            Formula::Compute(Arithmetic::Divide, _, below) => match below.fraction(operands, &|_| 1.0) {
                Some(Fraction { above, below: None }) => above.weights().unwrap_or_default(),
                _ => Vec::new(),
            },
            Formula::Compute(_, left, right) => {
                let left = left.observed_operands(operands);
                if left.is_empty() { right.observed_operands(operands) } else { left }
            }
        }
    }

    /// The expression as one weighted sum of increments over another.
    fn fraction(&self, operands: &[Operand], unit: &impl Fn(usize) -> f64) -> Option<Fraction> {
        match self {
            Formula::Number(number) => Some(Fraction::of(Linear::constant(*number))),
            Formula::Quantile(..) => None,
            Formula::Operand(index) => {
                let operand = &operands[*index];
                let is_sum = matches!(operand.rolled, Rolled::Flow { .. }) && operand.fold == Fold::Sum;
                is_sum.then(|| Fraction::of(Linear { terms: vec![(*index, unit(*index))], constant: 0.0 }))
            }
            Formula::Compute(arithmetic, left, right) => {
                let (left, right) = (left.fraction(operands, unit)?, right.fraction(operands, unit)?);
                match arithmetic {
                    Arithmetic::Add => left.plus(right),
                    Arithmetic::Subtract => left.plus(right.times(-1.0)),
                    Arithmetic::Multiply => match (left.as_number(), right.as_number()) {
                        (Some(number), _) => Some(right.times(number)),
                        (_, Some(number)) => Some(left.times(number)),
                        _ => None,
                    },
                    Arithmetic::Divide => left.over(right),
                }
            }
        }
    }
}

/// A weighted sum of increments and a constant.
#[derive(Clone, Debug, PartialEq)]
struct Linear {
    /// Sorted by operand, none zero.
    terms: Weights,
    constant: f64,
}

/// One weighted sum, or one over another.
#[derive(Clone, Debug, PartialEq)]
struct Fraction {
    above: Linear,
    below: Option<Linear>,
}

impl Linear {
    fn constant(constant: f64) -> Linear {
        Linear { terms: Vec::new(), constant }
    }

    fn times(mut self, number: f64) -> Linear {
        self.terms.iter_mut().for_each(|term| term.1 *= number);
        Linear { terms: self.terms, constant: self.constant * number }
    }

    fn plus(mut self, other: Linear) -> Linear {
        for (index, weight) in other.terms {
            match self.terms.iter_mut().find(|term| term.0 == index) {
                Some(term) => term.1 += weight,
                None => self.terms.push((index, weight)),
            }
        }
        self.terms.retain(|term| term.1 != 0.0);
        self.terms.sort_by_key(|term| term.0);
        Linear { terms: self.terms, constant: self.constant + other.constant }
    }

    /// The terms, if each counts as much as the others and there is nothing else.
    fn weights(self) -> Option<Weights> {
        let largest = largest(&self.terms);
        let is_alike = self.terms.iter().all(|&(_, weight)| (weight.abs() / largest - 1.0).abs() < 1e-9);
        (self.constant == 0.0 && largest > 0.0 && is_alike).then_some(self.terms)
    }
}

impl Fraction {
    fn of(above: Linear) -> Fraction {
        Fraction { above, below: None }
    }

    fn as_number(&self) -> Option<f64> {
        (self.below.is_none() && self.above.terms.is_empty()).then_some(self.above.constant)
    }

    fn times(self, number: f64) -> Fraction {
        Fraction { above: self.above.times(number), below: self.below }
    }

    fn plus(self, other: Fraction) -> Option<Fraction> {
        match (self.below, other.below) {
            (None, None) => Some(Fraction::of(self.above.plus(other.above))),
            (Some(below), Some(others)) => {
                (below == others).then(|| Fraction { above: self.above.plus(other.above), below: Some(below) })
            }
            (Some(below), None) => with_number(self.above, below, &other.above),
            (None, Some(below)) => with_number(other.above, below, &self.above),
        }
    }

    fn over(self, other: Fraction) -> Option<Fraction> {
        match other.as_number() {
            Some(number) => Some(self.times(1.0 / number)),
            None if self.below.is_none() && other.below.is_none() => {
                Some(Fraction { above: self.above, below: Some(other.above) })
            }
            None => None,
        }
    }
}

/// `above / below` and a number, as one fraction.
fn with_number(above: Linear, below: Linear, number: &Linear) -> Option<Fraction> {
    let is_number = number.terms.is_empty();
    is_number.then(|| Fraction { above: above.plus(below.clone().times(number.constant)), below: Some(below) })
}

fn largest(weights: &Weights) -> f64 {
    weights.iter().map(|&(_, weight)| weight.abs()).fold(0.0, f64::max)
}

/// Whether a counter adds up seconds or bytes rather than events, as its name says: over a number of events it makes a
/// mean.
fn is_quantity(operand: &Operand) -> bool {
    let is_name = |name: &str| ["_sum", "_seconds_total", "_bytes_total"].iter().any(|end| name.ends_with(end));
    operand.matchers.iter().any(|one| one.name() == METRIC_NAME && one.op() == MatchOp::Equal && is_name(one.value()))
}
