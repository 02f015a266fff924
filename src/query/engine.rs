//! The door: a query's text and times in, its answer out.

use std::sync::Arc;
use std::time::Duration;

use super::budget::{Budget, Cancelled, Limits};
use super::cache::{AnswerCache, CacheFigures, Key, Known, Part, PlanCache, PlanFigures, reaches_back_only};
use super::column::{Column, Element, Grid};
use super::error::QueryError;
use super::eval::{Context, Evaluated, Scalar, Scene, evaluate};
use super::lower::{self, Frame, Lowered};
use super::notes::Notes;
use super::plan::{Kind, Node, Plan, Range};
use super::repeated::Repeated;
use super::syntax::{self, Edges};
use super::table::{Scratch, Table};
use super::usage::Usage;
use super::windows::{self, Samples, Windows};
use crate::clock::Clock;
use crate::model::{FloatHistogram, Labels, Matcher};
use crate::storage::view::{Columns, ReadView};

/// Evaluates queries, all under the same limits. Cheap to share; it holds no state of a query.
#[derive(Clone, Debug)]
pub struct Engine {
    limits: Limits,
    clock: Clock,
    delays_names: bool,
    cache: Option<Arc<AnswerCache>>,
    plans: Arc<PlanCache>,
    shares_parts: bool,
}

/// What one request asks for beside the query.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Longest evaluation, if that is less than the engine's own limit.
    pub timeout: Option<Duration>,
    /// How far back an instant selector looks, in ms; the engine's default when it is not given.
    pub lookback_ms: Option<i64>,
    /// Computes all steps, also those that are known.
    pub no_cache: bool,
    /// Set when the client leaves.
    pub cancelled: Cancelled,
    /// Where the cost is written.
    pub usage: Usage,
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
    /// The number of the kept answer that this one is, the same as when it was given out before; of this engine, and for
    /// range queries only.
    pub kept_as: Option<u64>,
}

/// A result, in the shapes that Prometheus knows. Times are ms since 1970 UTC.
#[derive(Clone, Debug)]
pub enum Value {
    /// One number at one time.
    Scalar(i64, f64),
    /// A string at one time.
    String(i64, String),
    /// One sample for each series, in the order of `sort` or `topk`, else of the labels.
    Vector(Vec<(Arc<Labels>, i64, Sampled)>),
    /// Samples of each series, in the order of the labels; none without samples.
    Matrix(Vec<Series>),
}

/// What a series has at a moment.
#[derive(Clone, Debug)]
pub enum Sampled {
    /// A number.
    Number(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl Sampled {
    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Sampled::Number(value) => Some(*value),
            Sampled::Histogram(_) => None,
        }
    }
}

/// One series of a [`Value::Matrix`].
#[derive(Clone, Debug)]
pub struct Series {
    /// What names it.
    pub labels: Arc<Labels>,
    /// Its numbers, ascending; the cache of answers may share them.
    pub points: Arc<Columns>,
    /// Its native histograms, ascending, by their time in ms since 1970 UTC.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// Parses a query and says what it would do, without data. Limits on text and nesting are the default ones.
pub fn plan(query: &str) -> Result<Plan, QueryError> {
    Ok(planned(query, &Limits::default(), Frame::default())?.plan)
}

fn planned(query: &str, limits: &Limits, frame: Frame) -> Result<Lowered, QueryError> {
    lower::lower(&syntax::parse(query, &limits.syntax())?, query, frame, limits.subquery_step_ms)
}

/// Parses a selector as `match[]` has it: a name, matchers, or both; not all of them satisfied by absent labels.
pub fn parse_matchers(selector: &str) -> Result<Vec<Matcher>, QueryError> {
    let matchers = lower::matchers(&syntax::parse_selector(selector, &Limits::default().syntax())?, selector)?;
    if matchers.iter().all(Matcher::matches_absent) {
        return Err(QueryError::bad_data("match[] must contain at least one non-empty matcher"));
    }
    Ok(matchers)
}

impl Engine {
    /// An engine that measures its queries' time by `clock`.
    pub fn new(limits: Limits, clock: Clock) -> Engine {
        Engine { limits, clock, delays_names: false, cache: None, plans: Arc::default(), shares_parts: true }
    }

    /// Whether functions leave the metric's name on until the end of the query, so that it can be grouped by. Prometheus
    /// calls this `promql-delayed-name-removal`.
    pub fn delaying_names(self, delays_names: bool) -> Engine {
        Engine { delays_names, ..self }
    }

    /// Whether functions leave names on until the end of a query.
    pub fn delays_names(&self) -> bool {
        self.delays_names
    }

    /// With at most so many bytes of answers kept, to go on from when they are asked for again. 0: none are.
    pub fn caching(self, bytes_max: usize) -> Engine {
        Engine { cache: (bytes_max > 0).then(|| Arc::new(AnswerCache::new(bytes_max))), ..self }
    }

    /// Whether a part that stands in a query more than once is evaluated once.
    #[cfg(test)]
    pub(super) fn sharing_parts(self, shares_parts: bool) -> Engine {
        Engine { shares_parts, ..self }
    }

    /// How often answers were used again.
    pub fn cache_figures(&self) -> CacheFigures {
        self.cache.as_ref().map(|cache| cache.figures()).unwrap_or_default()
    }

    /// How often a query's plan was known already.
    pub fn plan_figures(&self) -> PlanFigures {
        self.plans.figures()
    }

    /// The bounds on every query.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Evaluates at one moment, in ms since 1970 UTC. A range such as `x[5m]` gives the stored samples themselves.
    pub fn instant(&self, view: &ReadView, query: &str, time_ms: i64, options: &Options) -> Result<Answer, QueryError> {
        let time_ms = bounded_ms(time_ms)?;
        let frame = Frame { start_ms: time_ms, end_ms: time_ms, step_ms: 0 };
        let plan = self.prepare(query, frame, options)?;
        self.run(view, (query, &plan), Grid::instant(time_ms), frame, options, |context| match &plan.node {
            Node::Range(range) => raw_samples(context, range),
            _ => Ok(match evaluate(context, &plan)? {
                Evaluated::Scalar(scalar) => Value::Scalar(time_ms, scalar.at(0)),
                Evaluated::Text(text) => Value::String(time_ms, text),
                Evaluated::Vector(table) => vector(context, table.settle_names(), time_ms, plan.orders_rows())?,
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
        let frame = Frame { start_ms, end_ms, step_ms };
        let plan = self.prepare(query, frame, options)?;
        if !matches!(plan.kind(), Kind::Scalar | Kind::Vector) {
            return Err(QueryError::BadData(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                plan.kind().name()
            )));
        }
        let lookback_ms = self.lookback_ms(options);
        let cache = self.cache.as_ref().filter(|_| !options.no_cache && reaches_back_only(&plan));
        // The stamp first: whatever is read behind it, and changes behind it, is then known to have changed.
        let cached = cache.and_then(|cache| Some((cache, view.stamp(self.clock.monotonic())?)));
        let Some((cache, stamp)) = cached else {
            return Ok(self.part(view, query, &plan, grid, frame, options)?.answer());
        };
        let key = Key::new(query, grid, lookback_ms);
        let (part, serial) = match cache.find(&key, grid, view) {
            Some(Known { part, count, serial }) if count == grid.count => (part, serial),
            Some(Known { part, count, .. }) => {
                let rest = Grid { start_ms: grid.time_ms(count), count: grid.count - count, ..grid };
                (part.join(self.part(view, query, &plan, rest, frame, options)?), None)
            }
            None => (self.part(view, query, &plan, grid, frame, options)?, None),
        };
        // What damage left out must not be taken for all there is once the file can be read again.
        if view.left_out().is_empty() {
            cache.keep(key, stamp, grid, &part, serial);
        }
        Ok(Answer { kept_as: serial, ..part.answer() })
    }

    /// The series of a range query at some of its steps.
    fn part(
        &self,
        view: &ReadView,
        query: &str,
        plan: &Plan,
        grid: Grid,
        frame: Frame,
        options: &Options,
    ) -> Result<Part, QueryError> {
        let answer = self.run(view, (query, plan), grid, frame, options, |context| {
            let mut series = match evaluate(context, plan)? {
                Evaluated::Scalar(scalar) => vec![constant_series(grid, &scalar)],
                Evaluated::Vector(table) => matrix(context, &table.settle_names())?,
                Evaluated::Text(_) => unreachable!("the kind was checked"),
            };
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            Ok(Value::Matrix(series))
        })?;
        let Value::Matrix(series) = answer.value else { unreachable!("made above") };
        Ok(Part { series, warnings: answer.warnings, infos: answer.infos })
    }

    fn lookback_ms(&self, options: &Options) -> i64 {
        options.lookback_ms.filter(|ms| *ms > 0).unwrap_or(self.limits.lookback_ms)
    }

    fn prepare(&self, query: &str, frame: Frame, options: &Options) -> Result<Arc<Plan>, QueryError> {
        let began = self.clock.monotonic();
        let plan = self.plans.plan(query, frame, || planned(query, &self.limits, frame));
        options.usage.write(|used| used.preparation = self.clock.monotonic().saturating_sub(began));
        plan
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
        (query, plan): (&str, &Plan),
        grid: Grid,
        frame: Frame,
        options: &Options,
        evaluate: impl FnOnce(&Context<'_>) -> Result<Value, QueryError>,
    ) -> Result<Answer, QueryError> {
        let mut budget = Budget::open(&self.limits, &self.clock, options.timeout, &options.cancelled);
        if options.usage.wants_steps() {
            budget.count_by_step(grid.count);
        }
        let notes = Notes::default();
        let scene = Scene::of_query(grid);
        let repeated = if self.shares_parts { Repeated::of(plan, scene, &budget) } else { Repeated::default() };
        let Scene { grid, counts_samples, resets } = scene;
        let context = Context {
            view,
            budget: &budget,
            notes: &notes,
            repeated: &repeated,
            grid,
            frame,
            counts_samples,
            delays_names: self.delays_names,
            resets,
            lookback_ms: self.lookback_ms(options),
        };
        let value = evaluate(&context);
        options.usage.write(|used| {
            (used.queryable_samples, used.peak_samples) = budget.totals();
            used.evaluation = budget.elapsed();
        });
        options.usage.write_steps(grid.times_ms().zip(budget.by_step()));
        let value = value?;
        let (mut warnings, infos) = notes.close(query);
        warnings.extend(view.left_out());
        Ok(Answer { value, warnings, infos, kept_as: None })
    }
}

impl Part {
    fn answer(self) -> Answer {
        Answer { value: Value::Matrix(self.series), warnings: self.warnings, infos: self.infos, kept_as: None }
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
    series(grid, Arc::new(Labels::empty()), &Column::full(values))
}

/// `is_ordered`: the order of the rows is the query's own.
fn vector(context: &Context<'_>, table: Table<'_>, time_ms: i64, is_ordered: bool) -> Result<Value, QueryError> {
    let mut rows = table.collect(context.budget, 1)?;
    if !is_ordered {
        rows.sort_unstable_by(|a, b| a.0.labels.cmp(&b.0.labels));
    }
    let sampled = |column: &Column| match column.element(0) {
        Some(Element::Histogram(histogram)) => Sampled::Histogram(histogram.clone()),
        _ => Sampled::Number(column.values[0]),
    };
    Ok(Value::Vector(rows.into_iter().map(|(row, column)| (row.labels, time_ms, sampled(&column))).collect()))
}

fn matrix(context: &Context<'_>, table: &Table<'_>) -> Result<Vec<Series>, QueryError> {
    let mut all = Vec::new();
    table.for_each(context.budget, context.grid.count, |row, column| {
        context.budget.take_samples(column.count())?;
        if !column.is_empty() {
            all.push(series(context.grid, table.rows[row].labels.clone(), &column));
        }
        Ok(())
    })?;
    Ok(all)
}

fn series(grid: Grid, labels: Arc<Labels>, column: &Column) -> Series {
    let count = column.present.count();
    let (timestamps_ms, values) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut points = Columns { timestamps_ms, values, ..Columns::default() };
    column.iter().for_each(|(step, value)| points.push(grid.time_ms(step), value));
    let histograms = column.iter_histograms().map(|(step, value)| (grid.time_ms(step), value.clone())).collect();
    Series { labels, points: Arc::new(points), histograms }
}

/// The samples of a range, for a query that is nothing but `x[5m]`.
fn raw_samples(context: &Context<'_>, range: &Range) -> Result<Value, QueryError> {
    let windows = Windows::open(context, range)?;
    let mut scratch = Scratch::default();
    let mut all = Vec::new();
    for (row, head) in windows.rows().into_iter().enumerate() {
        context.budget.check()?;
        let mut samples = Samples::default();
        windows.read(row, &mut samples, &mut scratch)?;
        let Samples { numbers: mut points, histograms, .. } = samples;
        if let Some(edges) = range.edges {
            if !histograms.is_empty() {
                let name = if edges == Edges::Anchored { "anchored" } else { "smoothed" };
                return Err(QueryError::Execution(format!("{name} modifier is not supported with histograms")));
            }
            let end_ms = windows.grid.start_ms;
            points = windows::points(&points, (end_ms.saturating_sub(range.range_ms), end_ms), edges);
        }
        context.budget.note_queryable(points.len() + histograms.len());
        context.budget.note_queryable_at(0, points.len() + histograms.len());
        if !points.is_empty() || !histograms.is_empty() {
            all.push(Series { labels: head.labels, points: Arc::new(points), histograms });
        }
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Value::Matrix(all))
}
