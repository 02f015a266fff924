//! Functions of scalars, strings and instant vectors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::histogram::{Asked, Places, of_histograms};
use super::histogram_functions;
use super::{calendar, elementary, info, labelling};
use crate::model::{Labels, METRIC_NAME, MatchOp, Matcher};
use crate::query::aggregations;
use crate::query::aggregations::warn_of_quantile;
use crate::query::column::{Column, Steps};
use crate::query::error::QueryError;
use crate::query::eval::{Context, Evaluated, Scalar, evaluate, scalar, text, vector};
use crate::query::leaf::{self, Shown};
use crate::query::lower::Frame;
use crate::query::plan::{Function, Node, Plan, Range, RangeInput, Rollup, Selector};
use crate::query::syntax::Span;
use crate::query::table::{Row, Table};
use crate::query::windows;

/// Evaluates one call whose arguments the parser has checked. `span` is where it stands.
pub(in crate::query) fn call<'q>(
    context: &Context<'q>,
    function: Function,
    arguments: &'q [Plan],
    span: Span,
) -> Result<Evaluated<'q>, QueryError> {
    if let Some(compute) = elementwise(function) {
        return Ok(Evaluated::Vector(each(context, vector(context, &arguments[0])?, move |_, value| compute(value))));
    }
    if let Some(number) = histogram_functions::number(function) {
        let table = vector(context, &arguments[0])?;
        return Ok(Evaluated::Vector(histogram_functions::each(context, table, number)));
    }
    Ok(Evaluated::Vector(match function {
        Function::Time => return Ok(Evaluated::Scalar(time(context)?)),
        Function::Pi => return Ok(Evaluated::Scalar(Scalar::Constant(std::f64::consts::PI))),
        Function::Start | Function::End | Function::Step | Function::Range => {
            return Ok(Evaluated::Scalar(Scalar::Constant(of_frame(function, context.frame))));
        }
        Function::MinOf | Function::MaxOf => {
            let choose = if function == Function::MinOf { smallest } else { largest };
            let (left, right) = (scalar(context, &arguments[0])?, scalar(context, &arguments[1])?);
            return Ok(Evaluated::Scalar(left.zip(&right, context.grid.count, choose)));
        }
        Function::Scalar => return Ok(Evaluated::Scalar(only_value(context, vector(context, &arguments[0])?)?)),
        Function::Vector => of_scalar(context, &scalar(context, &arguments[0])?)?,
        Function::Timestamp => timestamp(context, &arguments[0])?,
        Function::StartTimestamp => start_timestamp(context, &arguments[0])?,
        Function::Absent => absent(context, &arguments[0])?,
        Function::Sort | Function::SortDesc => {
            aggregations::sort(context, vector(context, &arguments[0])?, function == Function::SortDesc, span)?
        }
        Function::Round | Function::Clamp | Function::ClampMin | Function::ClampMax => {
            bounded(context, function, arguments)?
        }
        Function::LabelReplace => {
            let texts = [1, 2, 3, 4].map(|index| text(&arguments[index]));
            labelling::replace(context.budget, vector(context, &arguments[0])?, texts)?
        }
        Function::LabelJoin => {
            let sources: Vec<&str> = arguments[3..].iter().map(text).collect();
            labelling::join(
                context.budget,
                vector(context, &arguments[0])?,
                text(&arguments[1]),
                text(&arguments[2]),
                &sources,
            )?
        }
        Function::SortByLabel | Function::SortByLabelDesc => {
            let labels: Vec<&str> = arguments[1..].iter().map(text).collect();
            let descending = function == Function::SortByLabelDesc;
            aggregations::sort_by_label(context, vector(context, &arguments[0])?, &labels, descending, span)?
        }
        Function::HistogramQuantile | Function::HistogramQuantiles | Function::HistogramFraction => {
            histograms(context, function, arguments)?
        }
        Function::Info => info::info(context, arguments)?,
        date => {
            let part = calendar::part(date);
            let table = match arguments.first() {
                Some(argument) => vector(context, argument)?,
                None => of_scalar(context, &time(context)?)?,
            };
            each(context, table, move |_, value| part(value))
        }
    }))
}

/// Functions of histograms of both kinds.
fn histograms<'q>(context: &Context<'q>, function: Function, arguments: &'q [Plan]) -> Result<Table<'q>, QueryError> {
    let quantile = |argument: &'q Plan| {
        let q = scalar(context, argument)?;
        warn_of_quantile(context, &q, argument.span);
        Ok::<Scalar, QueryError>(q)
    };
    let (asked, argument, repair) = match function {
        Function::HistogramQuantile => (Asked::Quantile(quantile(&arguments[0])?), &arguments[1], &arguments[1]),
        Function::HistogramQuantiles => {
            let all = arguments[2..].iter().map(quantile).collect::<Result<_, _>>()?;
            (Asked::Quantiles(text(&arguments[1]).to_owned(), all), &arguments[0], &arguments[1])
        }
        _ => {
            let asked = Asked::Fraction(scalar(context, &arguments[0])?, scalar(context, &arguments[1])?);
            (asked, &arguments[2], &arguments[2])
        }
    };
    let places = Places { vector: argument.span, repair: repair.span };
    of_histograms(context, asked, vector(context, argument)?, places)
}

/// Functions that make one number of one number.
fn elementwise(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Abs => f64::abs,
        Function::Ceil => f64::ceil,
        Function::Floor => f64::floor,
        Function::Exp => f64::exp,
        Function::Sqrt => f64::sqrt,
        Function::Ln => ln,
        Function::Log2 => elementary::log2,
        Function::Log10 => |value| ln(value) * (1.0 / std::f64::consts::LN_10),
        Function::Sgn => sign,
        Function::Sin => f64::sin,
        Function::Cos => f64::cos,
        Function::Tan => f64::tan,
        Function::Asin => f64::asin,
        Function::Acos => f64::acos,
        Function::Atan => f64::atan,
        Function::Sinh => elementary::sinh,
        Function::Cosh => elementary::cosh,
        Function::Tanh => f64::tanh,
        Function::Asinh => elementary::asinh,
        Function::Acosh => elementary::acosh,
        Function::Atanh => elementary::atanh,
        Function::Deg => |radians| radians * 180.0 / std::f64::consts::PI,
        Function::Rad => |degrees| degrees * std::f64::consts::PI / 180.0,
        _ => return None,
    })
}

/// Whether a number has fewer digits than others because it is so near to zero.
fn is_tiny(value: f64) -> bool {
    value > 0.0 && value < f64::MIN_POSITIVE
}

/// The natural logarithm. Of the tiniest numbers it is what Prometheus on amd64 makes of it, where Go takes their digits
/// for those of a number from 2^-1023 on.
fn ln(value: f64) -> f64 {
    if !is_tiny(value) {
        return value.ln();
    }
    (value / f64::MIN_POSITIVE).ln_1p() - 1023.0 * std::f64::consts::LN_2
}

/// Zero and NaN stay what they are.
fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    }
}

/// Changes each value and drops the names, as almost all functions do.
pub(super) fn each<'q>(
    context: &Context<'q>,
    table: Table<'q>,
    compute: impl Fn(usize, f64) -> f64 + Send + Sync + 'q,
) -> Table<'q> {
    // Names last: histograms go, and must not count as a second row with the same labels.
    table.map(move |_, column| column.map(&compute)).shed_names(context)
}

/// Seconds that are known of a query before it is evaluated.
fn of_frame(function: Function, frame: Frame) -> f64 {
    let ms = match function {
        Function::Start => frame.start_ms,
        Function::End => frame.end_ms,
        Function::Step => frame.step_ms,
        _ => frame.end_ms - frame.start_ms,
    };
    ms as f64 / 1000.0
}

fn time(context: &Context<'_>) -> Result<Scalar, QueryError> {
    context.budget.take_samples(context.grid.count)?;
    Ok(Scalar::Steps(context.grid.times_ms().map(|time_ms| time_ms as f64 / 1000.0).collect()))
}

/// A vector of one series without labels.
pub(in crate::query) fn of_scalar<'q>(context: &Context<'q>, scalar: &Scalar) -> Result<Table<'q>, QueryError> {
    context.budget.take_samples(context.grid.count)?;
    let values = (0..context.grid.count).map(|step| scalar.at(step)).collect();
    Ok(Table::held(vec![(Row::new(Arc::new(Labels::empty())), Column::full(values))]))
}

/// The value of the vector's only series, or NaN if there is none or more than one.
fn only_value(context: &Context<'_>, table: Table<'_>) -> Result<Scalar, QueryError> {
    let steps = context.grid.count;
    context.budget.take_samples(steps)?;
    let mut values = vec![f64::NAN; steps];
    let mut seen = Steps::none(steps);
    table.for_each(context.budget, steps, |_, column| {
        for (step, value) in column.iter() {
            values[step] = if seen.has(step) { f64::NAN } else { value };
        }
        seen.unite(&column.present);
        Ok(())
    })?;
    Ok(Scalar::Steps(values))
}

/// Of a selector the samples' own times; of anything else the time of the evaluation.
fn timestamp<'q>(context: &Context<'q>, argument: &'q Plan) -> Result<Table<'q>, QueryError> {
    if let Node::Selector(selector) = &argument.node {
        return Ok(leaf::instant(context, selector, Shown::Seconds)?.shed_names(context));
    }
    let grid = context.grid;
    let table = vector(context, argument)?;
    let times = table.map(move |_, column| {
        for step in column.occupied().into_owned().iter() {
            column.set(step, grid.time_ms(step) as f64 / 1000.0);
        }
        column.histograms = None;
    });
    Ok(times.shed_names(context))
}

/// Of a selector since when its samples count; of anything else nothing is known.
fn start_timestamp<'q>(context: &Context<'q>, argument: &'q Plan) -> Result<Table<'q>, QueryError> {
    match &argument.node {
        Node::Selector(selector) => Ok(leaf::instant(context, selector, Shown::StartSeconds)?.shed_names(context)),
        _ => Ok(Table::held(Vec::new())),
    }
}

fn bounded<'q>(context: &Context<'q>, function: Function, arguments: &'q [Plan]) -> Result<Table<'q>, QueryError> {
    let table = vector(context, &arguments[0])?;
    let bound = |index: usize, otherwise: f64| match arguments.get(index) {
        Some(argument) => scalar(context, argument),
        None => Ok(Scalar::Constant(otherwise)),
    };
    match function {
        Function::Round => {
            let to = bound(1, 1.0)?;
            Ok(each(context, table, move |step, value| round(value, to.at(step))))
        }
        Function::ClampMin => {
            let min = bound(1, f64::NAN)?;
            Ok(each(context, table, move |step, value| largest(min.at(step), value)))
        }
        Function::ClampMax => {
            let max = bound(1, f64::NAN)?;
            Ok(each(context, table, move |step, value| smallest(max.at(step), value)))
        }
        _ => {
            let (min, max) = (bound(1, f64::NAN)?, bound(2, f64::NAN)?);
            let clamped = table.map(move |_, column| {
                column.filter_map(|step, value| {
                    let (min, max) = (min.at(step), max.at(step));
                    (max >= min || min.is_nan() || max.is_nan()).then(|| largest(min, smallest(max, value)))
                });
            });
            Ok(clamped.shed_names(context))
        }
    }
}

/// To the nearest multiple, halves up. By the inverse, so that 0.1 does not give 0.30000000000000004.
fn round(value: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (value * inverse + 0.5).floor() / inverse
}

/// Unlike `f64::max`, not a number if either is not, but for an infinite one, and zero rather than minus zero.
fn largest(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a > b || (a == b && a.is_sign_positive()) {
        a
    } else {
        b
    }
}

/// As [`largest`], turned round.
fn smallest(a: f64, b: f64) -> f64 {
    -largest(-a, -b)
}

/// 1 at the steps at which the vector is empty.
fn absent<'q>(context: &Context<'q>, argument: &'q Plan) -> Result<Table<'q>, QueryError> {
    let Evaluated::Vector(table) = evaluate(context, argument)? else {
        unreachable!("the parser has checked that this is a vector");
    };
    let labels = match &argument.node {
        Node::Selector(Selector { matchers, .. }) => absent_labels(matchers)?,
        _ => Labels::empty(),
    };
    Ok(Table::held(vec![(Row::new(Arc::new(labels)), empty_steps(context, &table)?)]))
}

/// 1 at the steps at which no series has a sample in the window.
pub(in crate::query) fn absent_over_time<'q>(context: &Context<'q>, range: &'q Range) -> Result<Table<'q>, QueryError> {
    let labels = match &range.input {
        RangeInput::Selector(matchers) => absent_labels(matchers)?,
        RangeInput::Subquery { .. } => Labels::empty(),
    };
    // By `last`, which keeps the names: rows that differ in them alone must not count as duplicates here.
    let table = windows::rollup(context, Rollup::Last, range, Vec::new())?;
    Ok(Table::held(vec![(Row::new(Arc::new(labels)), empty_steps(context, &table)?)]))
}

fn empty_steps(context: &Context<'_>, table: &Table<'_>) -> Result<Column, QueryError> {
    let steps = context.grid.count;
    context.budget.take_samples(steps)?;
    let mut column = Column::full(vec![1.0; steps]);
    table.for_each(context.budget, steps, |_, row| {
        column.present.subtract(&row.occupied());
        Ok(())
    })?;
    Ok(column)
}

/// What is known of a series that is not there: a label's value, unless it is compared again behind that.
fn absent_labels(matchers: &[Matcher]) -> Result<Labels, QueryError> {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    for one in matchers.iter().filter(|one| one.name() != METRIC_NAME) {
        if one.op() == MatchOp::Equal && settled.insert(one.name()) {
            known.insert(one.name(), one.value());
        } else {
            known.remove(one.name());
        }
    }
    Labels::from_pairs(known).map_err(|error| QueryError::Execution(error.to_string()))
}
