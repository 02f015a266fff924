//! Functions over ranges: `rate(x[5m])`, `max_over_time(x[1h])`, …
//!
//! A series is decoded once, a window moves over its samples, and each window becomes one value of a column:
//!
//! ```text
//! numbers only            here, by over_time.rs; rate, increase and delta by counter.rs
//! native histograms too   mixed.rs, whose rates are histogram_rate.rs's
//! anchored, smoothed      edges.rs
//! changes, resets         pairs.rs, whatever the samples are
//! ```

use super::counter::{Change, Numbers};
use super::over_time::{
    exponentially_smoothed, largest, line, mean, median_deviation, quantile_of, seconds, smallest, sum, time_of,
    variance,
};
use super::pairs::{self, Counted};
use super::window::{Samples, Window, Windows};
use super::{edges, mixed};
use crate::model::format_general;
use crate::query::column::Column;
use crate::query::error::QueryError;
use crate::query::eval::{Context, Scalar};
use crate::query::plan::{Range, RangeInput, Rollup};
use crate::query::remarks::Remarks;
use crate::query::syntax::{Edges, Span};
use crate::query::table::{Scratch, Source, Table};

/// An instant vector of one function's values over the windows of each series. Each parameter comes with its place.
pub(in crate::query) fn rollup<'q>(
    context: &Context<'q>,
    function: Rollup,
    range: &'q Range,
    parameters: Vec<(Scalar, Span)>,
) -> Result<Table<'q>, QueryError> {
    check_edges(function, range.edges)?;
    let mut windows = Windows::open(context, range)?;
    if !parameters.is_empty() {
        windows.repeat(context.grid.count);
    }
    let rows = windows.rows();
    let range_span = match range.input {
        // Prometheus tells the place of the first argument, which here is not the range.
        _ if function == Rollup::Quantile => parameters[0].1,
        RangeInput::Selector(_) => range.span,
        // Prometheus forgets where a subquery stands and tells the query's beginning.
        RangeInput::Subquery { .. } => Span { start: 0, end: 0 },
    };
    let rolled = Rolled { function, windows, parameters, edges: range.edges, range_span, context: *context };
    let table = Table::new(rows, rolled);
    Ok(if keeps_name(function) { table } else { table.shed_names_apart(context) })
}

/// Fails for functions that make nothing of the samples outside their window.
pub(in crate::query) fn check_edges(function: Rollup, edges: Option<Edges>) -> Result<(), QueryError> {
    use Rollup::{Changes, Delta, Increase, Rate, Resets};
    let (edges, of) = match edges {
        None => return Ok(()),
        Some(Edges::Anchored) => ("anchored", [Changes, Delta, Increase, Rate, Resets].as_slice()),
        Some(Edges::Smoothed) => ("smoothed", [Delta, Increase, Rate].as_slice()),
    };
    if of.contains(&function) {
        return Ok(());
    }
    let names: Vec<&str> = of.iter().map(|function| function.name()).collect();
    let (names, name) = (names.join(", "), function.name());
    Err(QueryError::Execution(format!("{edges} modifier can only be used with: {names} - not with {name}")))
}

/// Functions that show a stored sample as it is.
fn keeps_name(function: Rollup) -> bool {
    matches!(function, Rollup::Last | Rollup::First)
}

/// A function over the windows of all series.
pub(super) struct Rolled<'q> {
    pub(super) function: Rollup,
    pub(super) windows: Windows<'q>,
    parameters: Vec<(Scalar, Span)>,
    edges: Option<Edges>,
    /// Where the range stands, for remarks.
    range_span: Span,
    context: Context<'q>,
}

impl Source for Rolled<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let mut samples = std::mem::take(&mut scratch.samples);
        self.windows.read(index, &mut samples, scratch)?;
        let mut remarks = Remarks::default();
        let column = self.compute(&samples, scratch, &mut remarks);
        scratch.samples = samples;
        let (column, steps) = (column?, self.context.grid.count);
        if remarks != Remarks::default() {
            let name = self.windows.label_set(index).metric_name().unwrap_or("");
            remarks.tell(self.context.notes, self.range_span, name);
        }
        if !column.present.is_empty() {
            self.doubt_counter(index);
        }
        Ok(if self.windows.grid.count == steps { column } else { column.spread(steps) })
    }
}

/// How the names of counters end, by convention.
const COUNTER_ENDINGS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

impl Rolled<'_> {
    /// Remarks upon a rate of what does not look like a counter.
    fn doubt_counter(&self, index: usize) {
        if !matches!(self.function, Rollup::Rate | Rollup::Increase) {
            return;
        }
        let name = self.windows.label_set(index).metric_name().unwrap_or("");
        if !name.is_empty() && !COUNTER_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let endings = COUNTER_ENDINGS.join("/");
            let what = format!("metric might not be a counter, name does not end in {endings}: {name:?}");
            self.context.notes.inform(self.range_span, what);
        }
    }

    fn compute(&self, samples: &Samples, scratch: &mut Scratch, remarks: &mut Remarks) -> Result<Column, QueryError> {
        let (windows, indexes) = (&self.windows, &mut scratch.indexes);
        match (self.function, self.edges) {
            (Rollup::Changes, edges) => return pairs::count(windows, Counted::Changes, edges, samples, indexes),
            (Rollup::Resets, edges) => return pairs::count(windows, Counted::Resets, edges, samples, indexes),
            (function, Some(edges)) => return edges::roll(windows, function, edges, samples, remarks),
            _ if !samples.histograms.is_empty() => return mixed::roll(self, samples, scratch, remarks),
            _ => {}
        }
        if let Some(change) = Change::of(self.function, windows.range_ms) {
            let mut numbers = Numbers::new(change, samples, indexes);
            return windows.roll(samples, |window| numbers.of(&window, remarks));
        }
        match self.function {
            Rollup::Irate | Rollup::Idelta => {
                let is_counter = self.function == Rollup::Irate;
                let unused = Change { is_counter: false, divisor: 1.0 };
                let numbers = Numbers::new(unused, samples, indexes);
                windows.roll(samples, |window| numbers.last_two(&window, is_counter))
            }
            // Each by itself, so that the choice of the function is made once a series.
            Rollup::Avg => windows.roll(samples, |window| Some(mean(window.values))),
            Rollup::Sum => windows.roll(samples, |window| Some(sum(window.values))),
            Rollup::Min => windows.roll(samples, |window| Some(smallest(window.values))),
            Rollup::Max => windows.roll(samples, |window| Some(largest(window.values))),
            Rollup::Count => windows.roll(samples, |window| Some(window.values.len() as f64)),
            Rollup::First => windows.roll(samples, |window| window.values.first().copied()),
            Rollup::Last => windows.roll(samples, |window| window.values.last().copied()),
            Rollup::Present | Rollup::Absent => windows.roll(samples, |_| Some(1.0)),
            Rollup::TsOfFirst => windows.roll(samples, |window| window.timestamps_ms.first().map(|ms| seconds(*ms))),
            Rollup::TsOfLast => windows.roll(samples, |window| window.timestamps_ms.last().map(|ms| seconds(*ms))),
            _ => {
                let mut column = Column::absent(windows.grid.count);
                windows.each(samples, |window| {
                    if let Some(value) = self.number(&window, &mut scratch.sorted)? {
                        column.set(window.step, value);
                    }
                    Ok(())
                })?;
                Ok(column)
            }
        }
    }

    /// What the numbers of a window come to, for functions that look at nothing else; `sorted` is a place to work in.
    pub(super) fn number(&self, window: &Window<'_>, sorted: &mut Vec<f64>) -> Result<Option<f64>, QueryError> {
        let values = window.values;
        let parameter = |index: usize| self.parameters[index].0.at(window.step);
        Ok(match self.function {
            Rollup::Avg => Some(mean(values)),
            Rollup::Sum => Some(sum(values)),
            Rollup::Min => Some(smallest(values)),
            Rollup::Max => Some(largest(values)),
            Rollup::Stdvar => Some(variance(values)),
            Rollup::Stddev => Some(variance(values).sqrt()),
            Rollup::Mad => Some(median_deviation(values, sorted)),
            Rollup::TsOfMin => time_of(window, |a, b| a <= b),
            Rollup::TsOfMax => time_of(window, |a, b| a >= b),
            Rollup::Quantile => {
                let q = parameter(0);
                if !(0.0..=1.0).contains(&q) {
                    let what = format!("quantile value should be between 0 and 1, got {}", format_general(q));
                    self.context.notes.warn(self.parameters[0].1, what);
                }
                Some(quantile_of(q, values, sorted))
            }
            Rollup::Deriv => match window.timestamps_ms.first() {
                Some(first_ms) => line(window, *first_ms).map(|line| line.slope),
                None => None,
            },
            Rollup::PredictLinear => {
                // The line is laid through the evaluation time, not the window's end.
                let line = line(window, self.context.grid.time_ms(window.step));
                line.map(|line| line.slope * parameter(0) + line.intercept)
            }
            Rollup::DoubleExponentialSmoothing => exponentially_smoothed(values, parameter(0), parameter(1))?,
            other => unreachable!("{} has a path of its own", other.name()),
        })
    }
}
