//! What an operator makes of two things of which each is a number or a native histogram.
//!
//! ```text
//! histogram + histogram    histogram        number * histogram    histogram
//! histogram == histogram   kept or not      histogram / number    histogram
//! histogram </ number      histogram        number + histogram    nothing, and an info
//! ```

use crate::model::{CounterResetHint, FloatHistogram, Reconciled, Trim};
use crate::query::column::Element;
use crate::query::error::QueryError;
use crate::query::notes::Notes;
use crate::query::syntax::{Operator, Span};

/// What two elements come to.
pub(super) enum Outcome {
    Number(f64),
    Histogram(FloatHistogram),
    /// Of a comparison: whether it holds.
    Holds(bool),
    /// The operator makes nothing of them. As if they had not met.
    Nothing,
}

/// An operator, and where it tells what it cannot do.
#[derive(Clone, Copy)]
pub(super) struct Operation<'q> {
    pub(super) operator: Operator,
    pub(super) span: Span,
    pub(super) notes: &'q Notes,
}

impl Operation<'_> {
    /// Whether something else than a number may become of two numbers that are no comparison.
    pub(super) fn takes_numbers(self) -> bool {
        !matches!(self.operator, Operator::TrimUpper | Operator::TrimLower)
    }

    /// The result of an operator between any two elements.
    pub(super) fn join(self, left: Element<'_>, right: Element<'_>) -> Outcome {
        match (left, right) {
            (Element::Number(left), Element::Number(right)) if self.takes_numbers() => {
                if self.operator.is_comparison() {
                    Outcome::Holds(holds(self.operator, left, right))
                } else {
                    Outcome::Number(number(self.operator, left, right))
                }
            }
            (Element::Number(left), Element::Histogram(right)) if self.operator == Operator::Multiply => {
                scaled(right, |histogram| histogram.multiply(left))
            }
            (Element::Histogram(left), Element::Number(right)) => match self.operator {
                Operator::Multiply => scaled(left, |histogram| histogram.multiply(right)),
                Operator::Divide => scaled(left, |histogram| histogram.divide(right)),
                Operator::TrimUpper => Outcome::Histogram(left.trimmed(right, Trim::Above)),
                Operator::TrimLower => Outcome::Histogram(left.trimmed(right, Trim::Below)),
                _ => self.incompatible("histogram", "float"),
            },
            (Element::Histogram(left), Element::Histogram(right)) => self.histograms(left, right),
            (left, right) => self.incompatible(kind(left), kind(right)),
        }
    }

    fn histograms(self, left: &FloatHistogram, right: &FloatHistogram) -> Outcome {
        let mut sum = left.clone();
        let reconciled = match self.operator {
            Operator::Equal => return Outcome::Holds(left.same_bits(right)),
            Operator::NotEqual => return Outcome::Holds(!left.same_bits(right)),
            Operator::Add => sum.add(right),
            Operator::Subtract => {
                let reconciled = sum.subtract(right);
                sum.hint = CounterResetHint::Gauge;
                reconciled
            }
            _ => return self.incompatible("histogram", "histogram"),
        };
        let Ok(Reconciled { hints_collided, bounds_differed }) = reconciled else {
            let what = format!("incompatible bucket layout encountered for binary operator {}", self.operator.name());
            self.notes.warn(self.span, what);
            return Outcome::Nothing;
        };
        let way = if self.operator == Operator::Add { "addition" } else { "subtraction" };
        if hints_collided {
            // A sum of which half starts anew is no counter any more: Prometheus leaves it out.
            self.notes.warn(self.span, format!("conflicting counter resets during histogram {way}"));
            return Outcome::Nothing;
        }
        if bounds_differed {
            self.notes.inform(self.span, format!("mismatched custom buckets were reconciled during {way}"));
        }
        sum.compact(0);
        Outcome::Histogram(sum)
    }

    fn incompatible(self, left: &str, right: &str) -> Outcome {
        let operator = self.operator.name();
        let what = format!(
            "incompatible sample types encountered for binary operator {operator:?}: {left} {operator} {right}"
        );
        self.notes.inform(self.span, what);
        Outcome::Nothing
    }
}

fn kind(element: Element<'_>) -> &'static str {
    match element {
        Element::Number(_) => "float",
        Element::Histogram(_) => "histogram",
    }
}

fn scaled(histogram: &FloatHistogram, scale: impl FnOnce(&mut FloatHistogram)) -> Outcome {
    let mut scaled = histogram.clone();
    scale(&mut scaled);
    scaled.compact(0);
    Outcome::Histogram(scaled)
}

/// The result of an operator between two scalars.
pub(super) fn scalars(operator: Operator) -> Result<impl Fn(f64, f64) -> f64, QueryError> {
    if matches!(operator, Operator::TrimUpper | Operator::TrimLower) || operator.is_set() {
        let name = operator.name();
        return Err(QueryError::Execution(format!("operator {name:?} not allowed for Scalar operations")));
    }
    Ok(move |left, right| number(operator, left, right))
}

/// The result of arithmetic between two numbers; 0 or 1 of a comparison.
pub(super) fn number(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        // Of the sign of the dividend, like Go's math.Mod.
        Operator::Modulo => left % right,
        Operator::Power => left.powf(right),
        Operator::Atan2 => atan2(left, right),
        comparison => f64::from(u8::from(holds(comparison, left, right))),
    }
}

/// As Go's math.Atan2, which takes the arc of the quotient: where that is too small for a number, its sign is lost.
fn atan2(y: f64, x: f64) -> f64 {
    let is_quotient_lost = y != 0.0 && y / x == 0.0;
    if is_quotient_lost && x < 0.0 && x.is_finite() { std::f64::consts::PI } else { y.atan2(x) }
}

pub(super) fn holds(comparison: Operator, left: f64, right: f64) -> bool {
    match comparison {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => left < right,
        Operator::LessOrEqual => left <= right,
        Operator::Greater => left > right,
        Operator::GreaterOrEqual => left >= right,
        other => unreachable!("{other:?} compares nothing"),
    }
}
