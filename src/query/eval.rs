//! From a plan to values: which expression is computed where.

use super::budget::Budget;
use super::column::{Column, Grid};
use super::error::QueryError;
use super::leaf::{self, Shown};
use super::lower::Frame;
use super::notes::Notes;
use super::plan::{Function, Node, Plan, Rollup};
use super::repeated::Repeated;
use super::syntax::{Aggregator, Operator};
use super::table::Table;
use super::{aggregations, functions, operators, windows};
use crate::storage::view::ReadView;

/// Distance of a subquery's steps when it names none, in ms: Prometheus's default evaluation interval.
pub(super) const SUBQUERY_STEP_MS: i64 = 60_000;
/// What every part of an evaluation knows.
#[derive(Clone, Copy)]
pub(super) struct Context<'q> {
    pub(super) view: &'q ReadView,
    pub(super) budget: &'q Budget,
    pub(super) notes: &'q Notes,
    /// The parts that are evaluated once for all their places.
    pub(super) repeated: &'q Repeated<'q>,
    /// The moments that are evaluated: the query's steps, or those of the subquery that we are in.
    pub(super) grid: Grid,
    /// The times of the query as it was asked.
    pub(super) frame: Frame,
    pub(super) lookback_ms: i64,
    /// Whether samples count as looked at: those within a subquery count when it is looked at.
    pub(super) counts_samples: bool,
    /// Whether metrics' names go at the end of the query, and not where they lose their meaning.
    pub(super) delays_names: bool,
    /// What is to be known of the resets of stored histograms.
    pub(super) resets: ResetsWanted,
}

/// That of a context in which the places differ at which an expression may stand. What is equal, and is evaluated in equal
/// scenes of a query, comes to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scene {
    pub(super) grid: Grid,
    pub(super) counts_samples: bool,
    pub(super) resets: ResetsWanted,
}

/// Whether selectors tell of each native histogram if the counter started anew before it, where that is not stored.
///
/// Prometheus finds it out when only counts and sums are wanted, and so do warnings of resets that contradict each other
/// depend on that: `histogram_count(sum(h))` has them where `sum(h)` has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ResetsWanted {
    /// Nobody asked.
    Stored,
    /// Within a function of counts and sums.
    Found,
    /// Within something that needs the buckets, whatever else it is in.
    Never,
}

impl Scene {
    /// What a query as a whole is evaluated in.
    pub(super) fn of_query(grid: Grid) -> Scene {
        Scene { grid, counts_samples: true, resets: ResetsWanted::Stored }
    }

    /// What the inner expression of a subquery is evaluated in.
    pub(super) fn of_subquery(self, grid: Grid) -> Scene {
        Scene { grid, counts_samples: false, resets: ResetsWanted::Never }
    }

    /// What the arguments of an expression are evaluated in.
    pub(super) fn within(self, node: &Node) -> Scene {
        use Function::{
            HistogramAvg, HistogramCount, HistogramFraction, HistogramQuantile, HistogramQuantiles, HistogramSum,
        };
        let resets = match node {
            Node::Call { function: HistogramCount | HistogramSum | HistogramAvg, .. } => ResetsWanted::Found,
            Node::Call { function: HistogramQuantile | HistogramQuantiles | HistogramFraction, .. }
            | Node::Binary { operator: Operator::TrimUpper | Operator::TrimLower, .. } => ResetsWanted::Never,
            _ => self.resets,
        };
        let resets = if self.resets == ResetsWanted::Never { self.resets } else { resets };
        let grid = if self.grid.count > 1 && is_fixed(node) { Grid { count: 1, ..self.grid } } else { self.grid };
        Scene { grid, resets, ..self }
    }
}

impl<'q> Context<'q> {
    pub(super) fn scene(&self) -> Scene {
        Scene { grid: self.grid, counts_samples: self.counts_samples, resets: self.resets }
    }

    /// The same query in another scene.
    pub(super) fn at(&self, scene: Scene) -> Context<'q> {
        let Scene { grid, counts_samples, resets } = scene;
        Context { grid, counts_samples, resets, ..*self }
    }
}

/// Whether it is an aggregation that comes to the same at every step: it is evaluated at the first of them. Other such
/// expressions are computed a row at a time, and the selectors in them look at one moment anyway.
fn is_fixed(node: &Node) -> bool {
    match node {
        // It yields its rows one at a time, too.
        Node::Aggregate { operator: Aggregator::LimitRatio, .. } => false,
        Node::Aggregate { parameter, inner, .. } => {
            inner.is_same_at_every_step() && parameter.as_deref().is_none_or(Plan::is_same_at_every_step)
        }
        _ => false,
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

/// Evaluates any expression but a range, which only [`super::windows`] reads.
pub(super) fn evaluate<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Evaluated<'q>, QueryError> {
    match context.repeated.part(plan) {
        None => compute(context, plan),
        Some(part) => part.evaluate(context, plan),
    }
}

/// Evaluates an expression, whether or not it stands in other places too.
pub(super) fn compute<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Evaluated<'q>, QueryError> {
    context.budget.check()?;
    let steps = context.grid.count;
    let context = &context.at(context.scene().within(&plan.node));
    Ok(match &plan.node {
        Node::Number(number) => Evaluated::Scalar(Scalar::Constant(*number)),
        Node::Text(text) => Evaluated::Text(text.clone()),
        Node::Selector(selector) => Evaluated::Vector(leaf::instant(context, selector, Shown::Value)?),
        Node::Range(_) => return Err(QueryError::bad_data("a range vector can only be the argument of a function")),
        Node::Rollup { function: Rollup::Absent, range, .. } => {
            windows::check_edges(Rollup::Absent, range.edges)?;
            Evaluated::Vector(functions::absent_over_time(context, range)?)
        }
        Node::Rollup { function, range, parameters } => {
            let parameter = |plan: &'q Plan| Ok::<_, QueryError>((scalar(context, plan)?, plan.span));
            let parameters = parameters.iter().map(parameter).collect::<Result<_, _>>()?;
            Evaluated::Vector(windows::rollup(context, *function, range, parameters)?)
        }
        Node::Aggregate { .. } => Evaluated::Vector(aggregate(context, plan, steps)?),
        Node::Binary { .. } => operators::binary(context, plan)?,
        Node::Negate(inner) => match evaluate(context, inner)? {
            Evaluated::Scalar(scalar) => Evaluated::Scalar(scalar.map(|value| -value)),
            Evaluated::Vector(table) => Evaluated::Vector(table.map(|_, column| column.negate()).shed_names(context)),
            Evaluated::Text(_) => unreachable!("no string can be negated, says the parser"),
        },
        Node::Plus(inner) => evaluate(context, inner)?,
        Node::Call { function, arguments } => functions::call(context, *function, arguments, plan.span)?,
    })
}

/// An aggregation at so many steps; it may have to be evaluated at the first of them alone.
fn aggregate<'q>(context: &Context<'q>, plan: &'q Plan, steps: usize) -> Result<Table<'q>, QueryError> {
    if context.grid.count == steps {
        return aggregations::aggregate(context, plan);
    }
    let before = context.budget.queryable();
    let table = aggregations::aggregate(context, plan)?;
    context.budget.note_at_all_steps(&context.budget.queryable().since(&before), steps);
    Ok(table.map(move |_, column| *column = std::mem::replace(column, Column::absent(0)).spread_to(steps)))
}

/// Evaluates what is known to be a vector.
pub(super) fn vector<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Table<'q>, QueryError> {
    match evaluate(context, plan)? {
        Evaluated::Vector(table) => Ok(table),
        Evaluated::Scalar(_) | Evaluated::Text(_) => unreachable!("the parser has checked that this is a vector"),
    }
}

/// Evaluates what is known to be a scalar.
pub(super) fn scalar<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Scalar, QueryError> {
    match evaluate(context, plan)? {
        Evaluated::Scalar(scalar) => Ok(scalar),
        Evaluated::Vector(_) | Evaluated::Text(_) => unreachable!("the parser has checked that this is a scalar"),
    }
}

/// The text of what is known to be a string.
pub(super) fn text(plan: &Plan) -> &str {
    match &plan.node {
        Node::Text(text) => text,
        _ => unreachable!("the parser has checked that this is a string"),
    }
}
