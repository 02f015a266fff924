//! Operators between scalars and vectors: what becomes of two values.
//!
//! `2 < x` filters `x` and keeps its values and names; `2 < bool x` answers 0 or 1 and, like all arithmetic, drops the
//! names. Which series of two vectors belong together is [`super::matching`]'s to say, and [`super::sets`] has `and`,
//! `or` and `unless`.

use super::error::QueryError;
use super::eval::{Context, Evaluated, Scalar, evaluate};
use super::plan::{Node, Plan};
use super::syntax::tree::Operator;
use super::table::Table;
use super::{matching, sets};

/// Evaluates a [`Node::Binary`].
pub(super) fn binary<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Evaluated<'q>, QueryError> {
    let Node::Binary { operator, returns_bool, matching, left, right } = &plan.node else {
        unreachable!("called for binary operators only");
    };
    let join = Join { operator: *operator, returns_bool: *returns_bool };
    let (left, right) = (evaluate(context, left)?, evaluate(context, right)?);
    Ok(match (left, right) {
        (Evaluated::Scalar(left), Evaluated::Scalar(right)) => {
            Evaluated::Scalar(left.zip(&right, context.grid.count, |left, right| join.number(left, right)))
        }
        (Evaluated::Vector(left), Evaluated::Scalar(right)) => {
            Evaluated::Vector(join.with_scalar(context, left, right, false))
        }
        (Evaluated::Scalar(left), Evaluated::Vector(right)) => {
            Evaluated::Vector(join.with_scalar(context, right, left, true))
        }
        (Evaluated::Vector(left), Evaluated::Vector(right)) if operator.is_set() => {
            Evaluated::Vector(sets::evaluate(context, *operator, matching, left, right)?)
        }
        (Evaluated::Vector(left), Evaluated::Vector(right)) => {
            Evaluated::Vector(matching::join(context, join, matching, left, right)?)
        }
        (Evaluated::Text(_), _) | (_, Evaluated::Text(_)) => unreachable!("the parser puts no strings into operators"),
    })
}

/// What an operator does to two values.
#[derive(Clone, Copy)]
pub(super) struct Join {
    operator: Operator,
    pub(super) returns_bool: bool,
}

impl Join {
    /// The result of arithmetic; 0 or 1 of a comparison.
    fn number(self, left: f64, right: f64) -> f64 {
        match self.operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            // Of the sign of the dividend, like Go's math.Mod.
            Operator::Modulo => left % right,
            Operator::Power => left.powf(right),
            Operator::Atan2 => left.atan2(right),
            comparison => f64::from(u8::from(holds(comparison, left, right))),
        }
    }

    /// The result for vectors, where a comparison keeps `kept` or nothing.
    pub(super) fn element(self, left: f64, right: f64, kept: f64) -> Option<f64> {
        if self.operator.is_comparison() && !self.returns_bool {
            return holds(self.operator, left, right).then_some(kept);
        }
        Some(self.number(left, right))
    }

    /// Whether the result is no longer what the metric's name says.
    pub(super) fn changes_meaning(self) -> bool {
        !self.operator.is_comparison() && !matches!(self.operator, Operator::TrimUpper | Operator::TrimLower)
    }

    fn with_scalar<'q>(self, context: &Context<'q>, table: Table<'q>, scalar: Scalar, swapped: bool) -> Table<'q> {
        let sheds_names = self.returns_bool || self.changes_meaning();
        let table = if sheds_names { table.shed_names(context) } else { table };
        table.map(move |_, column| {
            column.filter_map(|step, value| {
                let other = scalar.at(step);
                if swapped { self.element(other, value, value) } else { self.element(value, other, value) }
            });
        })
    }
}

fn holds(comparison: Operator, left: f64, right: f64) -> bool {
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
