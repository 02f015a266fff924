//! The door: a query's text and times in, its answer out.

use std::sync::Arc;
use std::time::Duration;

use super::budget::{Budget, Cancelled, Limits};
use super::column::{Column, Grid};
use super::error::QueryError;
use super::eval::{Context, Evaluated, Notes, Scalar, evaluate};
use super::plan::{Kind, Plan, Range, Selector, Shift};
use super::table::{Scratch, Table};
use super::window::Windows;
use super::{lower, text};
use crate::clock::Clock;
use crate::model::{Labels, Matcher};
use crate::storage::view::{Columns, ReadView};

/// Evaluates queries, all under the same limits. Cheap to share; it holds no state of a query.
#[derive(Clone, Debug)]
pub struct Engine {
    limits: Limits,
    clock: Clock,
}

/// What one request asks for beside the query.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Longest evaluation, if that is less than the engine's own limit.
    pub timeout: Option<Duration>,
    /// How far back an instant selector looks, in ms; the engine's default when it is not given.
    pub lookback_ms: Option<i64>,
    /// Set when the client leaves.
    pub cancelled: Cancelled,
}

/// What a query came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The result proper.
    pub value: Value,
    /// What was wrong with the data or the query without being an error; at most 10.
    pub warnings: Vec<String>,
    /// What may have been meant otherwise; at most 10.
    pub infos: Vec<String>,
}

/// A result, in the shapes that Prometheus knows. Times are ms since 1970 UTC.
#[derive(Clone, Debug)]
pub enum Value {
    /// One number at one time.
    Scalar(i64, f64),
    /// A string at one time.
    String(i64, String),
    /// One sample for each series, in the order of `sort` or `topk`, else of the labels.
    Vector(Vec<(Arc<Labels>, i64, f64)>),
    /// Samples of each series, in the order of the labels; none without samples.
    Matrix(Vec<Series>),
}

/// One series of a [`Value::Matrix`].
#[derive(Clone, Debug)]
pub struct Series {
    /// What names it.
    pub labels: Arc<Labels>,
    /// Its samples, ascending.
    pub points: Columns,
}

/// Parses a query and says what it would do, without data. Limits on text and nesting are the default ones.
pub fn plan(query: &str) -> Result<Plan, QueryError> {
    let limits = Limits::default();
    lower::parse(&text::check(query, limits.text_bytes_max, limits.depth_max)?)
}

/// Parses a selector as `match[]` has it: a name, matchers, or both; not all of them satisfied by absent labels.
pub fn parse_matchers(selector: &str) -> Result<Vec<Matcher>, QueryError> {
    match plan(selector)? {
        Plan::Selector(Selector { matchers, shift }) if shift == Shift::default() => Ok(matchers),
        _ => Err(QueryError::BadData(format!("{selector:?} is not a plain series selector"))),
    }
}

impl Engine {
    /// An engine that measures its queries' time by `clock`.
    pub fn new(limits: Limits, clock: Clock) -> Engine {
        Engine { limits, clock }
    }

    /// The bounds on every query.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Evaluates at one moment, in ms since 1970 UTC. A range such as `x[5m]` gives the stored samples themselves.
    pub fn instant(&self, view: &ReadView, query: &str, time_ms: i64, options: &Options) -> Result<Answer, QueryError> {
        let plan = self.parse(query)?;
        self.run(view, Grid::instant(bounded_ms(time_ms)?), time_ms, options, |context| match &plan {
            Plan::Range(range) => raw_samples(context, range),
            _ => Ok(match evaluate(context, &plan)? {
                Evaluated::Scalar(scalar) => Value::Scalar(time_ms, scalar.at(0)),
                Evaluated::Text(text) => Value::String(time_ms, text),
                Evaluated::Vector(table) => Value::Vector(
                    table
                        .collect(context.budget, 1)?
                        .into_iter()
                        .map(|(labels, column)| (labels, time_ms, column.values[0]))
                        .collect(),
                ),
            }),
        })
    }

    /// Evaluates at `start`, `start + step`, … up to `end`, all in ms (since 1970 UTC).
    pub fn range(
        &self,
        view: &ReadView,
        query: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &Options,
    ) -> Result<Answer, QueryError> {
        let grid = self.grid(start_ms, end_ms, step_ms)?;
        let plan = self.parse(query)?;
        if !matches!(plan.kind(), Kind::Scalar | Kind::Vector) {
            return Err(QueryError::BadData(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                plan.kind().name()
            )));
        }
        self.run(view, grid, end_ms, options, |context| {
            let mut series = match evaluate(context, &plan)? {
                Evaluated::Scalar(scalar) => vec![constant_series(grid, &scalar)],
                Evaluated::Vector(table) => matrix(context, &table)?,
                Evaluated::Text(_) => unreachable!("the kind was checked"),
            };
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            Ok(Value::Matrix(series))
        })
    }

    fn parse(&self, query: &str) -> Result<Plan, QueryError> {
        lower::parse(&text::check(query, self.limits.text_bytes_max, self.limits.depth_max)?)
    }

    fn grid(&self, start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Grid, QueryError> {
        let (start_ms, end_ms) = (bounded_ms(start_ms)?, bounded_ms(end_ms)?);
        if end_ms < start_ms {
            return Err(QueryError::bad_data("end timestamp must not be before start time"));
        }
        if step_ms <= 0 {
            return Err(QueryError::bad_data(
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        let steps = usize::try_from((end_ms - start_ms) / step_ms).unwrap_or(usize::MAX);
        if steps > self.limits.points_max {
            return Err(QueryError::BadData(format!(
                "exceeded maximum resolution of {} points per timeseries: ask for a larger step or a shorter time",
                self.limits.points_max
            )));
        }
        Ok(Grid { start_ms, step_ms, count: steps + 1 })
    }

    fn run(
        &self,
        view: &ReadView,
        grid: Grid,
        end_ms: i64,
        options: &Options,
        evaluate: impl FnOnce(&Context<'_>) -> Result<Value, QueryError>,
    ) -> Result<Answer, QueryError> {
        let budget = Budget::open(&self.limits, &self.clock, options.timeout, &options.cancelled);
        let notes = Notes::default();
        let context = Context {
            view,
            budget: &budget,
            notes: &notes,
            grid,
            query_start_ms: grid.start_ms,
            query_end_ms: end_ms,
            lookback_ms: options.lookback_ms.filter(|ms| *ms > 0).unwrap_or(self.limits.lookback_ms),
        };
        let value = evaluate(&context)?;
        let (mut warnings, infos) = notes.close();
        warnings.extend(view.left_out());
        Ok(Answer { value, warnings, infos })
    }
}

/// Furthest moment from 1970 that can be asked for, in ms: durations added to it cannot overflow.
const TIME_MS_MAX: i64 = i64::MAX / 4;

fn bounded_ms(time_ms: i64) -> Result<i64, QueryError> {
    if (-TIME_MS_MAX..=TIME_MS_MAX).contains(&time_ms) {
        return Ok(time_ms);
    }
    Err(QueryError::BadData(format!("the time {time_ms} ms is too far from 1970")))
}

fn constant_series(grid: Grid, scalar: &Scalar) -> Series {
    let values = (0..grid.count).map(|step| scalar.at(step)).collect();
    Series { labels: Arc::new(Labels::empty()), points: points(grid, &Column::full(values)) }
}

fn matrix(context: &Context<'_>, table: &Table<'_>) -> Result<Vec<Series>, QueryError> {
    let mut series = Vec::new();
    table.for_each(context.budget, context.grid.count, |row, column| {
        let count = column.present.count();
        context.budget.take_samples(count)?;
        if count > 0 {
            series.push(Series { labels: table.labels[row].clone(), points: points(context.grid, &column) });
        }
        Ok(())
    })?;
    Ok(series)
}

fn points(grid: Grid, column: &Column) -> Columns {
    let count = column.present.count();
    let (timestamps_ms, values) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut points = Columns { timestamps_ms, values, ..Columns::default() };
    column.iter().for_each(|(step, value)| points.push(grid.time_ms(step), value));
    points
}

/// The samples of a range, for a query that is nothing but `x[5m]`.
fn raw_samples(context: &Context<'_>, range: &Range) -> Result<Value, QueryError> {
    let windows = Windows::open(context, range)?;
    let mut scratch = Scratch::default();
    let mut series = Vec::new();
    for (row, labels) in windows.labels().into_iter().enumerate() {
        context.budget.check()?;
        let mut points = Columns::default();
        windows.read(row, &mut points, &mut scratch)?;
        if !points.is_empty() {
            series.push(Series { labels, points });
        }
    }
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Value::Matrix(series))
}
