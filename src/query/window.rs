//! Ranges: a window that moves over the samples of each series.
//!
//! The samples of a series are decoded once for all steps. Two indexes move over them: one behind the last sample that
//! is not younger than the step, one behind the last that is too old. A range of 60 s at step `t` holds `(t - 60 s, t]`.

use std::sync::Arc;

use super::budget::Budget;
use super::column::{Column, Grid};
use super::error::QueryError;
use super::eval::{self, Context, Evaluated};
use super::leaf::{drop_stale, looked_at, select};
use super::plan::{Plan, Range, RangeInput};
use super::table::{Scratch, Table};
use crate::model::{Labels, TimeRange};
use crate::storage::view::{Columns, SeriesView};

/// Most steps that a subquery may be evaluated at.
const SUBQUERY_POINTS_MAX: i64 = 2_000_000;

/// The samples of one window, equal in length and not empty.
#[derive(Clone, Copy)]
pub(super) struct Window<'s> {
    pub(super) timestamps_ms: &'s [i64],
    pub(super) values: &'s [f64],
    /// Index of the first sample in the whole series.
    pub(super) first: usize,
    /// The window is `(start_ms, end_ms]`.
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) step: usize,
}

/// Where the samples of windows come from, and where the windows end.
pub(super) struct Windows<'q> {
    input: Input<'q>,
    /// The windows' ends.
    pub(super) grid: Grid,
    pub(super) range_ms: i64,
    budget: &'q Budget,
}

enum Input<'q> {
    Stored(Vec<SeriesView>, TimeRange),
    Evaluated(Table<'q>, Grid),
}

impl<'q> Windows<'q> {
    /// Finds the series; nothing is decoded yet.
    pub(super) fn open(context: &Context<'q>, range: &'q Range) -> Result<Windows<'q>, QueryError> {
        let grid = looked_at(context, range.shift);
        let input = match &range.input {
            RangeInput::Selector(matchers) => {
                let (series, read) = select(context, matchers, grid, range.range_ms)?;
                Input::Stored(series, read)
            }
            RangeInput::Subquery { inner, step_ms } => subquery(context, inner, grid, range.range_ms, *step_ms)?,
        };
        Ok(Windows { input, grid, range_ms: range.range_ms, budget: context.budget })
    }

    /// Looks at the one window of an `@` once for each step, for functions that depend on the step in another way too.
    pub(super) fn repeat(&mut self, steps: usize) {
        if self.grid.count != steps {
            self.grid = Grid { step_ms: 0, count: steps, ..self.grid };
        }
    }

    pub(super) fn labels(&self) -> Vec<Arc<Labels>> {
        match &self.input {
            Input::Stored(series, _) => series.iter().map(|series| series.labels().clone()).collect(),
            Input::Evaluated(table, _) => table.labels.clone(),
        }
    }

    pub(super) fn label_set(&self, index: usize) -> &Labels {
        match &self.input {
            Input::Stored(series, _) => series[index].labels(),
            Input::Evaluated(table, _) => &table.labels[index],
        }
    }

    /// All samples of one series that some window holds, without staleness markers.
    pub(super) fn read(&self, index: usize, samples: &mut Columns, scratch: &mut Scratch) -> Result<(), QueryError> {
        samples.clear();
        match &self.input {
            Input::Stored(series, range) => {
                series[index].read(*range, samples);
                self.budget.take_samples(samples.len())?;
                drop_stale(samples);
            }
            Input::Evaluated(table, inner) => {
                let column = table.source.column(index, scratch)?;
                self.budget.take_samples(column.present.count())?;
                for (step, value) in column.iter() {
                    samples.push(inner.time_ms(step), value);
                }
            }
        }
        Ok(())
    }

    /// The value of `compute` for each window that is not empty.
    pub(super) fn roll(
        &self,
        samples: &Columns,
        mut compute: impl FnMut(Window<'_>) -> Option<f64>,
    ) -> Result<Column, QueryError> {
        let mut column = Column::absent(self.grid.count);
        let times = &samples.timestamps_ms;
        let mut meter = self.budget.meter();
        let (mut first, mut behind) = (0, 0);
        for (step, end_ms) in self.grid.times_ms().enumerate() {
            let start_ms = end_ms.saturating_sub(self.range_ms);
            while behind < times.len() && times[behind] <= end_ms {
                behind += 1;
            }
            while first < behind && times[first] <= start_ms {
                first += 1;
            }
            meter.work(behind - first)?;
            if first == behind {
                continue;
            }
            let window = Window {
                timestamps_ms: &times[first..behind],
                values: &samples.values[first..behind],
                first,
                start_ms,
                end_ms,
                step,
            };
            if let Some(value) = compute(window) {
                column.set(step, value);
            }
        }
        Ok(column)
    }
}

/// Evaluates the inner expression at all multiples of the step that some window holds.
fn subquery<'q>(
    context: &Context<'q>,
    inner: &'q Plan,
    windows: Grid,
    range_ms: i64,
    step_ms: Option<i64>,
) -> Result<Input<'q>, QueryError> {
    let step_ms = step_ms.unwrap_or(eval::SUBQUERY_STEP_MS);
    let before_ms = windows.start_ms.saturating_sub(range_ms);
    // The first multiple strictly behind the open end; rounding down also below zero.
    let start_ms = (before_ms.div_euclid(step_ms) + 1).saturating_mul(step_ms);
    let span_ms = windows.last_ms().saturating_sub(start_ms);
    let count = if span_ms < 0 { 0 } else { span_ms / step_ms + 1 };
    if count > SUBQUERY_POINTS_MAX {
        return Err(QueryError::Execution(format!(
            "a subquery would be evaluated at {count} steps, more than {SUBQUERY_POINTS_MAX}: use a larger step"
        )));
    }
    let grid = Grid { start_ms, step_ms, count: usize::try_from(count).expect("checked to be small") };
    let inside = Context { grid, ..*context };
    match eval::evaluate(&inside, inner)? {
        Evaluated::Vector(table) => Ok(Input::Evaluated(table, grid)),
        Evaluated::Scalar(_) | Evaluated::Text(_) => unreachable!("lowering let only vectors into subqueries"),
    }
}
