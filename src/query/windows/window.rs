//! Ranges: a window that moves over the samples of each series.
//!
//! The samples of a series are decoded once for all steps. Two indexes move over them: one behind the last sample that
//! is not younger than the step, one behind the last that is too old. A range of 60 s at step `t` holds `(t - 60 s, t]`.

use std::sync::Arc;

use crate::model::{CounterResetHint, FloatHistogram, Labels, TimeRange};
use crate::query::budget::{Budget, Meter};
use crate::query::column::{Column, Grid, places_of};
use crate::query::error::QueryError;
use crate::query::eval::{self, Context, Evaluated, ResetsWanted};
use crate::query::functions;
use crate::query::leaf::{drop_stale, find_resets, looked_at, select};
use crate::query::plan::{Plan, Range, RangeInput};
use crate::query::syntax::Edges;
use crate::query::table::{Row, Scratch, Table};
use crate::storage::view::{Columns, SeriesView};

/// Most steps that a subquery may be evaluated at.
const SUBQUERY_POINTS_MAX: i64 = 2_000_000;
/// How many numbers are looked at in the time that a histogram takes, roughly.
pub(super) const HISTOGRAM_WORK: usize = 64;

/// All samples of one series that some window holds, without staleness markers.
#[derive(Default)]
pub(in crate::query) struct Samples {
    pub(in crate::query) numbers: Columns,
    /// Ascending by their times in ms; none for nearly all series.
    pub(in crate::query) histograms: Vec<(i64, Arc<FloatHistogram>)>,
    /// Since when each number counts, in ms since 1970 UTC, 0 where that is not known; empty when it is of none.
    pub(super) number_starts_ms: Vec<i64>,
    /// As `number_starts_ms`, of the histograms.
    pub(super) histogram_starts_ms: Vec<i64>,
}

impl Samples {
    pub(in crate::query) fn clear(&mut self) {
        self.numbers.clear();
        self.histograms.clear();
        self.number_starts_ms.clear();
        self.histogram_starts_ms.clear();
    }

    /// Takes over since when samples count, given by their times, ascending.
    fn set_starts(&mut self, starts: &[(i64, i64)]) {
        let start_of = |time_ms: i64| match starts.binary_search_by_key(&time_ms, |(time_ms, _)| *time_ms) {
            Ok(index) => starts[index].1,
            Err(_) => 0,
        };
        self.number_starts_ms.extend(self.numbers.timestamps_ms.iter().map(|time_ms| start_of(*time_ms)));
        self.histogram_starts_ms.extend(self.histograms.iter().map(|(time_ms, _)| start_of(*time_ms)));
    }
}

/// The samples of one window: numbers, equal in length, and native histograms.
#[derive(Clone, Copy)]
pub(super) struct Window<'s> {
    pub(super) timestamps_ms: &'s [i64],
    pub(super) values: &'s [f64],
    pub(in crate::query) histograms: &'s [(i64, Arc<FloatHistogram>)],
    /// Index of the first number among those of the whole series.
    pub(super) first: usize,
    /// Index of the first histogram among those of the whole series.
    pub(super) first_histogram: usize,
    /// The window is `(start_ms, end_ms]`.
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) step: usize,
}

/// Where the samples of windows come from, and where the windows end.
pub(in crate::query) struct Windows<'q> {
    input: Input<'q>,
    /// The windows' ends.
    pub(in crate::query) grid: Grid,
    pub(super) range_ms: i64,
    /// How far before its start and behind its end samples count for a window, to make up what lies on its edges; in ms.
    pub(super) reach_ms: (i64, i64),
    resets: ResetsWanted,
    lookback_ms: i64,
    budget: &'q Budget,
    /// At how many steps of the query one window is looked at, for the count of samples; 0 where they do not count.
    looks: usize,
}

enum Input<'q> {
    Stored(Vec<SeriesView>, TimeRange),
    Evaluated(Table<'q>, Grid),
}

impl<'q> Windows<'q> {
    /// Finds the series; nothing is decoded yet.
    pub(in crate::query) fn open(context: &Context<'q>, range: &'q Range) -> Result<Windows<'q>, QueryError> {
        let grid = looked_at(context.grid, range.shift);
        let reach_ms = match range.edges {
            None => (0, 0),
            Some(Edges::Anchored) => (context.lookback_ms, 0),
            Some(Edges::Smoothed) => (context.lookback_ms, context.lookback_ms),
        };
        let input = match &range.input {
            RangeInput::Selector(matchers) => {
                let read_until = Grid { start_ms: grid.start_ms.saturating_add(reach_ms.1), ..grid };
                let read_ms = range.range_ms.saturating_add(reach_ms.0).saturating_add(reach_ms.1);
                let (series, read) = select(context, matchers, read_until, read_ms)?;
                Input::Stored(series, read)
            }
            RangeInput::Subquery { inner, step_ms } => {
                subquery(context, inner, subquery_grid(grid, range.range_ms, *step_ms)?)?
            }
        };
        let (range_ms, resets, budget) = (range.range_ms, context.resets, context.budget);
        let looks = match context.counts_samples {
            false => 0,
            true if grid.count == context.grid.count => 1,
            true => context.grid.count,
        };
        let lookback_ms = context.lookback_ms;
        Ok(Windows { input, grid, range_ms, reach_ms, resets, lookback_ms, budget, looks })
    }

    /// Looks at the one window of an `@` once for each step, for functions that depend on the step in another way too.
    pub(super) fn repeat(&mut self, steps: usize) {
        if self.grid.count != steps {
            self.grid = Grid { step_ms: 0, count: steps, ..self.grid };
            self.looks = self.looks.min(1);
        }
    }

    /// A meter for a loop over the samples of a whole series.
    pub(super) fn meter(&self) -> Meter<'_> {
        self.budget.meter()
    }

    pub(in crate::query) fn rows(&self) -> Vec<Row> {
        match &self.input {
            Input::Stored(series, _) => series.iter().map(|series| Row::new(series.labels().clone())).collect(),
            Input::Evaluated(table, _) => table.rows.clone(),
        }
    }

    pub(super) fn label_set(&self, index: usize) -> &Labels {
        match &self.input {
            Input::Stored(series, _) => series[index].labels(),
            Input::Evaluated(table, _) => &table.rows[index].labels,
        }
    }

    /// All samples of one series that some window holds, without staleness markers.
    pub(in crate::query) fn read(
        &self,
        index: usize,
        samples: &mut Samples,
        scratch: &mut Scratch,
    ) -> Result<(), QueryError> {
        samples.clear();
        match &self.input {
            Input::Stored(series, range) => {
                let series = &series[index];
                series.read_both(*range, &mut samples.numbers, &mut samples.histograms);
                drop_stale(&mut samples.numbers);
                if !samples.histograms.is_empty() {
                    samples.histograms.retain(|(_, histogram)| !histogram.is_stale());
                    if self.resets == ResetsWanted::Found {
                        find_resets_of(series, *range, self.lookback_ms, &mut samples.histograms);
                    }
                }
                let starts = series.starts_ms(*range);
                if !starts.is_empty() {
                    self.budget.take_samples(starts.len())?;
                    samples.set_starts(&starts);
                }
            }
            Input::Evaluated(table, inner) => {
                let column = table.source.column(index, scratch)?;
                for (step, value) in column.iter() {
                    samples.numbers.push(inner.time_ms(step), value);
                }
                for (step, histogram) in column.iter_histograms() {
                    samples.histograms.push((inner.time_ms(step), of_unknown_resets(histogram)));
                }
            }
        }
        let histogram_places: usize = samples.histograms.iter().map(|(_, one)| places_of(one)).sum();
        self.budget.take_samples(samples.numbers.len() + histogram_places)
    }

    /// The value of `compute` for each window that has a number. For series without histograms.
    pub(super) fn roll(
        &self,
        samples: &Samples,
        mut compute: impl FnMut(Window<'_>) -> Option<f64>,
    ) -> Result<Column, QueryError> {
        let mut column = Column::absent(self.grid.count);
        self.each(samples, |window| {
            if let Some(value) = compute(window) {
                column.set(window.step, value);
            }
            Ok(())
        })?;
        Ok(column)
    }

    /// Visits each window that is not empty.
    pub(super) fn each(
        &self,
        samples: &Samples,
        mut visit: impl FnMut(Window<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let (times, histograms) = (&samples.numbers.timestamps_ms, &samples.histograms);
        let mut meter = self.budget.meter();
        let (mut first, mut behind) = (0, 0);
        let (mut first_histogram, mut behind_histograms) = (0, 0);
        let mut queryable = 0;
        for (step, end_ms) in self.grid.times_ms().enumerate() {
            let start_ms = end_ms.saturating_sub(self.range_ms);
            let (from_ms, to_ms) = (start_ms.saturating_sub(self.reach_ms.0), end_ms.saturating_add(self.reach_ms.1));
            behind = past(times, behind, to_ms);
            first = past(&times[..behind], first, from_ms);
            while behind_histograms < histograms.len() && histograms[behind_histograms].0 <= to_ms {
                behind_histograms += 1;
            }
            while first_histogram < behind_histograms && histograms[first_histogram].0 <= from_ms {
                first_histogram += 1;
            }
            let held = behind - first + behind_histograms - first_histogram;
            queryable += held;
            if self.looks > 0 && self.budget.counts_by_step() {
                (step..step + self.looks).for_each(|step| self.budget.note_queryable_at(step, held));
            }
            meter.work(behind - first + (behind_histograms - first_histogram) * HISTOGRAM_WORK)?;
            if first == behind && first_histogram == behind_histograms {
                continue;
            }
            visit(Window {
                timestamps_ms: &times[first..behind],
                values: &samples.numbers.values[first..behind],
                histograms: &histograms[first_histogram..behind_histograms],
                first,
                first_histogram,
                start_ms,
                end_ms,
                step,
            })?;
        }
        self.budget.note_queryable(queryable * self.looks);
        Ok(())
    }
}

/// How many samples a window moves by, mostly, from one step to the next.
const NEAR_SAMPLES: usize = 8;

/// The index of the first time from `from` on that is later than `moment_ms`.
#[inline]
fn past(times_ms: &[i64], from: usize, moment_ms: i64) -> usize {
    let rest = &times_ms[from..];
    match rest.iter().take(NEAR_SAMPLES).position(|time_ms| *time_ms > moment_ms) {
        Some(near) => from + near,
        None => from + rest.partition_point(|time_ms| *time_ms <= moment_ms),
    }
}

/// Finds out which histograms of a range the counter started anew before: of the first by the one before the range.
fn find_resets_of(
    series: &SeriesView,
    range: TimeRange,
    lookback_ms: i64,
    histograms: &mut Vec<(i64, Arc<FloatHistogram>)>,
) {
    let mut before = Vec::new();
    if histograms.first().is_some_and(|(_, first)| first.hint == CounterResetHint::Unknown) {
        let (from_ms, to_ms) = (range.from_ms.saturating_sub(lookback_ms), range.from_ms.saturating_sub(1));
        series.read_both(TimeRange { from_ms, to_ms }, &mut Columns::default(), &mut before);
    }
    let known = before.pop().filter(|(_, histogram)| !histogram.is_stale());
    let known_count = usize::from(known.is_some());
    histograms.splice(0..0, known);
    find_resets(histograms);
    histograms.drain(..known_count);
}

/// What a subquery shows of a histogram may leave out others between: what was known of resets no longer holds.
fn of_unknown_resets(histogram: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    match histogram.hint {
        CounterResetHint::Unknown | CounterResetHint::Gauge => histogram.clone(),
        CounterResetHint::Reset | CounterResetHint::NotReset => {
            Arc::new(FloatHistogram { hint: CounterResetHint::Unknown, ..FloatHistogram::clone(histogram) })
        }
    }
}

/// The moments at which the inner expression of a subquery is evaluated: all multiples of the step that some window holds.
pub(in crate::query) fn subquery_grid(windows: Grid, range_ms: i64, step_ms: Option<i64>) -> Result<Grid, QueryError> {
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
    Ok(Grid { start_ms, step_ms, count: usize::try_from(count).expect("checked to be small") })
}

/// Evaluates the inner expression at these moments.
fn subquery<'q>(context: &Context<'q>, inner: &'q Plan, grid: Grid) -> Result<Input<'q>, QueryError> {
    if grid.count == 0 {
        // Between two steps: nothing is evaluated, and nothing can be wrong with it.
        return Ok(Input::Evaluated(Table::held(Vec::new()), grid));
    }
    let inside = context.at(context.scene().of_subquery(grid));
    match eval::evaluate(&inside, inner)? {
        Evaluated::Vector(table) => Ok(Input::Evaluated(table, grid)),
        Evaluated::Scalar(scalar) => Ok(Input::Evaluated(functions::of_scalar(&inside, &scalar)?, grid)),
        Evaluated::Text(_) => unreachable!("the parser lets no strings into subqueries"),
    }
}
