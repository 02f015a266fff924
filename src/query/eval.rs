//! From a plan to values: which expression is computed where.

use parking_lot::Mutex;

use super::budget::Budget;
use super::column::Grid;
use super::error::QueryError;
use super::leaf::{self, Shown};
use super::plan::{Plan, Rollup};
use super::table::Table;
use super::{aggregate, binary, functions, rollup};
use crate::storage::view::ReadView;

/// Distance of a subquery's steps when it names none, in ms: Prometheus's default evaluation interval.
pub(super) const SUBQUERY_STEP_MS: i64 = 60_000;
/// Most warnings, and most infos, of one answer.
const NOTES_MAX: usize = 10;

/// What every part of an evaluation knows.
#[derive(Clone, Copy)]
pub(super) struct Context<'q> {
    pub(super) view: &'q ReadView,
    pub(super) budget: &'q Budget,
    pub(super) notes: &'q Notes,
    /// The moments that are evaluated: the query's steps, or those of the subquery that we are in.
    pub(super) grid: Grid,
    /// What `start()` means.
    pub(super) query_start_ms: i64,
    /// What `end()` means.
    pub(super) query_end_ms: i64,
    pub(super) lookback_ms: i64,
}

/// Remarks for whoever asked, each once.
#[derive(Default)]
pub(super) struct Notes {
    warnings: Mutex<Vec<String>>,
    infos: Mutex<Vec<String>>,
}

impl Notes {
    pub(super) fn warn(&self, what: String) {
        note(&self.warnings, format!("PromQL warning: {what}"));
    }

    pub(super) fn inform(&self, what: String) {
        note(&self.infos, format!("PromQL info: {what}"));
    }

    /// Warnings and infos, in an order that does not depend on threads.
    pub(super) fn close(self) -> (Vec<String>, Vec<String>) {
        let sorted = |notes: Mutex<Vec<String>>| {
            let mut notes = notes.into_inner();
            notes.sort();
            notes
        };
        (sorted(self.warnings), sorted(self.infos))
    }
}

fn note(notes: &Mutex<Vec<String>>, what: String) {
    let mut notes = notes.lock();
    if notes.len() < NOTES_MAX && !notes.contains(&what) {
        notes.push(what);
    }
}

/// One number for each step.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Constant(f64),
    Steps(Vec<f64>),
}

impl Scalar {
    pub(super) fn at(&self, step: usize) -> f64 {
        match self {
            Scalar::Constant(value) => *value,
            Scalar::Steps(values) => values[step],
        }
    }

    pub(super) fn map(self, change: impl Fn(f64) -> f64) -> Scalar {
        match self {
            Scalar::Constant(value) => Scalar::Constant(change(value)),
            Scalar::Steps(values) => Scalar::Steps(values.into_iter().map(change).collect()),
        }
    }

    /// Both at each of `count` steps, put together by `join`.
    pub(super) fn zip(self, other: &Scalar, count: usize, join: impl Fn(f64, f64) -> f64) -> Scalar {
        match (&self, other) {
            (Scalar::Constant(left), Scalar::Constant(right)) => Scalar::Constant(join(*left, *right)),
            _ => Scalar::Steps((0..count).map(|step| join(self.at(step), other.at(step))).collect()),
        }
    }
}

/// What an expression came to; the values of a vector are computed when they are taken.
pub(super) enum Evaluated<'q> {
    Scalar(Scalar),
    Text(String),
    Vector(Table<'q>),
}

/// Evaluates any expression but a range, which only [`super::window`] reads.
pub(super) fn evaluate<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Evaluated<'q>, QueryError> {
    context.budget.check()?;
    Ok(match plan {
        Plan::Number(number) => Evaluated::Scalar(Scalar::Constant(*number)),
        Plan::Text(text) => Evaluated::Text(text.clone()),
        Plan::Selector(selector) => Evaluated::Vector(leaf::instant(context, selector, Shown::Value)?),
        Plan::Range(_) => return Err(QueryError::bad_data("a range vector can only be the argument of a function")),
        Plan::Rollup { function: Rollup::Absent, range, .. } => {
            Evaluated::Vector(functions::absent_over_time(context, range)?)
        }
        Plan::Rollup { function, range, parameter } => {
            let parameter = match parameter {
                Some(parameter) => scalar(context, parameter)?,
                None => Scalar::Constant(f64::NAN),
            };
            Evaluated::Vector(rollup::rollup(context, *function, range, parameter)?)
        }
        Plan::Aggregate { operator, grouping, parameter, inner } => {
            let inner = vector(context, inner)?;
            Evaluated::Vector(aggregate::aggregate(context, *operator, grouping, parameter.as_deref(), inner)?)
        }
        Plan::Binary { .. } => binary::binary(context, plan)?,
        Plan::Negate(inner) => match evaluate(context, inner)? {
            Evaluated::Scalar(scalar) => Evaluated::Scalar(scalar.map(|value| -value)),
            Evaluated::Vector(table) => {
                Evaluated::Vector(table.drop_names().map(|_, column| column.map(|_, value| -value)))
            }
            Evaluated::Text(_) => unreachable!("lowering negates no strings"),
        },
        Plan::Call { function, arguments } => functions::call(context, *function, arguments)?,
    })
}

/// Evaluates what lowering has found to be a vector.
pub(super) fn vector<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Table<'q>, QueryError> {
    match evaluate(context, plan)? {
        Evaluated::Vector(table) => Ok(table),
        Evaluated::Scalar(_) | Evaluated::Text(_) => unreachable!("lowering checked that this is a vector"),
    }
}

/// Evaluates what lowering has found to be a scalar.
pub(super) fn scalar<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Scalar, QueryError> {
    match evaluate(context, plan)? {
        Evaluated::Scalar(scalar) => Ok(scalar),
        Evaluated::Vector(_) | Evaluated::Text(_) => unreachable!("lowering checked that this is a scalar"),
    }
}

/// The text that lowering has found in an argument.
pub(super) fn text(plan: &Plan) -> &str {
    match plan {
        Plan::Text(text) => text,
        _ => unreachable!("lowering checked that this is a string"),
    }
}
