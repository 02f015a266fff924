//! Operators between scalars and vectors: what becomes of the values of two columns.
//!
//! `2 < x` filters `x` and keeps its values and names; `2 < bool x` answers 0 or 1 and, like all arithmetic, drops the
//! names. Which series of two vectors belong together is [`super::matching`]'s to say, [`super::sets`] has `and`, `or`
//! and `unless`, and [`super::elements`] what there is to do with native histograms.

use super::elements::{self, Operation, Outcome};
use super::{matching, sets};
use crate::query::column::{Column, Element, Steps};
use crate::query::error::QueryError;
use crate::query::eval::{Context, Evaluated, Scalar, evaluate};
use crate::query::plan::{Node, Plan};
use crate::query::table::Table;

/// Evaluates a [`Node::Binary`].
pub(in crate::query) fn binary<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Evaluated<'q>, QueryError> {
    let Node::Binary { operator, returns_bool, matching, left, right } = &plan.node else {
        unreachable!("called for binary operators only");
    };
    let operation = Operation { operator: *operator, span: plan.span, notes: context.notes };
    let join = Join { operation, returns_bool: *returns_bool };
    let (left, right) = (evaluate(context, left)?, evaluate(context, right)?);
    Ok(match (left, right) {
        (Evaluated::Scalar(left), Evaluated::Scalar(right)) => {
            Evaluated::Scalar(left.zip(&right, context.grid.count, elements::scalars(*operator)?))
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

/// What an operator does to two columns.
#[derive(Clone, Copy)]
pub(super) struct Join<'q> {
    operation: Operation<'q>,
    pub(super) returns_bool: bool,
}

/// One pair's values, and at which steps it came to something, be it that a comparison does not hold.
pub(super) struct Joined {
    pub(super) column: Column,
    pub(super) matched: Steps,
}

impl<'q> Join<'q> {
    /// Whether the result is no longer what the metric's name says.
    pub(super) fn changes_meaning(self) -> bool {
        !self.operation.operator.is_comparison() && self.operation.takes_numbers()
    }

    /// The values at the steps at which there is something on both sides.
    pub(super) fn columns(self, left: &Column, right: &Column) -> Joined {
        if left.histograms.is_none() && right.histograms.is_none() && self.operation.takes_numbers() {
            return self.numbers(left, right);
        }
        let mut joined = Joined { column: Column::absent(left.len()), matched: Steps::none(left.len()) };
        for step in left.occupied().iter() {
            let (Some(left), Some(right)) = (left.element(step), right.element(step)) else { continue };
            if self.element(step, left, right, left, &mut joined.column) {
                joined.matched.insert(step);
            }
        }
        joined
    }

    /// The steps at which the operator comes to something, be it that a comparison does not hold.
    pub(super) fn matched(self, left: &Column, right: &Column) -> Steps {
        if left.histograms.is_some() || right.histograms.is_some() || !self.operation.takes_numbers() {
            return self.columns(left, right).matched;
        }
        let mut both = left.present.clone();
        both.intersect(&right.present);
        both
    }

    /// As [`Join::columns`], of nothing but numbers.
    fn numbers(self, left: &Column, right: &Column) -> Joined {
        let operator = self.operation.operator;
        let mut matched = left.present.clone();
        matched.intersect(&right.present);
        let mut column = Column::absent(left.len());
        if operator.is_comparison() && !self.returns_bool {
            for step in matched.iter().filter(|step| elements::holds(operator, left.values[*step], right.values[*step]))
            {
                column.set(step, left.values[step]);
            }
        } else {
            for step in matched.iter() {
                column.values[step] = elements::number(operator, left.values[step], right.values[step]);
            }
            column.present = matched.clone();
        }
        Joined { column, matched }
    }

    /// Puts what two elements come to into a column, a comparison that holds leaving `kept`; answers whether they come
    /// to anything.
    fn element(
        self,
        step: usize,
        left: Element<'_>,
        right: Element<'_>,
        kept: Element<'_>,
        column: &mut Column,
    ) -> bool {
        match self.operation.join(left, right) {
            Outcome::Number(value) => column.set(step, value),
            Outcome::Histogram(value) => column.set_histogram(step, value.into()),
            Outcome::Holds(holds) if self.returns_bool => column.set(step, f64::from(u8::from(holds))),
            Outcome::Holds(true) => column.set_element(step, kept),
            Outcome::Holds(false) => {}
            Outcome::Nothing => return false,
        }
        true
    }

    fn with_scalar(self, context: &Context<'q>, table: Table<'q>, scalar: Scalar, swapped: bool) -> Table<'q> {
        let sheds_names = self.returns_bool || self.changes_meaning();
        let operator = self.operation.operator;
        let filters = operator.is_comparison() && !self.returns_bool;
        let joined = table.map(move |_, column| {
            if column.histograms.is_some() || !self.operation.takes_numbers() {
                *column = self.elements_with_scalar(column, &scalar, swapped);
            } else if filters {
                column.filter_map(|step, value| {
                    let (left, right) = ordered(value, scalar.at(step), swapped);
                    elements::holds(operator, left, right).then_some(value)
                });
            } else {
                column.map(|step, value| {
                    let (left, right) = ordered(value, scalar.at(step), swapped);
                    elements::number(operator, left, right)
                });
            }
        });
        // Names last: what came to nothing must not count as a second row with the same labels.
        if sheds_names { joined.shed_names(context) } else { joined }
    }

    fn elements_with_scalar(self, column: &Column, scalar: &Scalar, swapped: bool) -> Column {
        let mut result = Column::absent(column.len());
        for step in column.occupied().iter() {
            let Some(element) = column.element(step) else { continue };
            let (left, right) = ordered(element, Element::Number(scalar.at(step)), swapped);
            self.element(step, left, right, element, &mut result);
        }
        result
    }
}

/// The vector's value and the scalar as they stand in the query.
fn ordered<T>(value: T, scalar: T, swapped: bool) -> (T, T) {
    if swapped { (scalar, value) } else { (value, scalar) }
}
