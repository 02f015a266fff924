//! Selectors: from stored samples to columns.
//!
//! An instant selector at step `t` shows the newest sample in `(t - lookback, t]`, unless that is a staleness marker.
//! With a lookback of 300 s and a sample at 0 s, step 299 s shows it and step 300 s does not.

use super::budget::Budget;
use super::column::{Column, Element, Grid, places_of};
use super::error::QueryError;
use super::eval::Context;
use super::plan::{Selector, Shift};
use super::table::{Row, Scratch, Source, Table};
use super::window::Samples;
use crate::model::{Matcher, TimeRange, is_stale};
use crate::storage::view::{Columns, SeriesView};

/// What a selector shows of a sample.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Its value.
    Value,
    /// Its timestamp in seconds: `timestamp(x)`.
    Seconds,
}

/// The moments that a shifted selector looks at. Under `@` that is a single one, whatever the step.
pub(super) fn looked_at(context: &Context<'_>, shift: Shift) -> Grid {
    match shift.at_ms {
        Some(at_ms) => Grid::instant(at_ms.saturating_sub(shift.offset_ms)),
        None => Grid { start_ms: context.grid.start_ms.saturating_sub(shift.offset_ms), ..context.grid },
    }
}

/// The stored series that satisfy the matchers and may have samples in the windows that end at the grid's moments.
pub(super) fn select(
    context: &Context<'_>,
    matchers: &[Matcher],
    grid: Grid,
    window_ms: i64,
) -> Result<(Vec<SeriesView>, TimeRange), QueryError> {
    let range = TimeRange { from_ms: grid.start_ms.saturating_sub(window_ms).saturating_add(1), to_ms: grid.last_ms() };
    let series = context.view.select(matchers, range, context.budget.series_left())?;
    context.budget.take_series(series.len())?;
    Ok((series, range))
}

/// An instant vector of stored series.
pub(super) fn instant<'q>(context: &Context<'q>, selector: &Selector, shown: Shown) -> Result<Table<'q>, QueryError> {
    let grid = looked_at(context, selector.shift);
    let (series, range) = select(context, &selector.matchers, grid, context.lookback_ms)?;
    let rows = series.iter().map(|series| Row::new(series.labels().clone())).collect();
    let leaf = Instant {
        series,
        range,
        grid,
        lookback_ms: context.lookback_ms,
        shown,
        steps: context.grid.count,
        counts_samples: context.counts_samples,
        budget: context.budget,
    };
    Ok(Table::new(rows, leaf))
}

struct Instant<'q> {
    series: Vec<SeriesView>,
    range: TimeRange,
    grid: Grid,
    lookback_ms: i64,
    shown: Shown,
    steps: usize,
    counts_samples: bool,
    budget: &'q Budget,
}

impl Source for Instant<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let (series, samples) = (&self.series[index], &mut scratch.samples);
        samples.clear();
        series.read(self.range, &mut samples.numbers);
        self.budget.take_samples(samples.numbers.len())?;
        let column = if series.has_histograms() {
            series.read_histograms(self.range, &mut samples.histograms);
            self.budget.take_samples(samples.histograms.iter().map(|(_, one)| places_of(one)).sum())?;
            newest_of_both(samples, self.grid, self.lookback_ms, self.shown)
        } else {
            newest(&samples.numbers, self.grid, self.lookback_ms, self.shown)
        };
        if self.counts_samples {
            let repeats = if self.grid.count == self.steps { 1 } else { self.steps };
            self.budget.note_queryable(column.count() * repeats);
            if self.budget.counts_by_step() {
                let at = |step| self.budget.note_queryable_at(step, 1);
                match repeats {
                    1 => (0..self.steps).filter(|step| column.element(*step).is_some()).for_each(at),
                    _ => (0..self.steps).take(column.count() * self.steps).for_each(at),
                }
            }
        }
        Ok(if self.grid.count == self.steps { column } else { column.spread(self.steps) })
    }
}

/// For each moment the newest sample within the lookback.
fn newest(samples: &Columns, grid: Grid, lookback_ms: i64, shown: Shown) -> Column {
    let mut column = Column::absent(grid.count);
    let times = &samples.timestamps_ms;
    let mut next = 0;
    for (step, moment_ms) in grid.times_ms().enumerate() {
        while next < times.len() && times[next] <= moment_ms {
            next += 1;
        }
        let Some(newest) = next.checked_sub(1) else { continue };
        let value = samples.values[newest];
        if times[newest] <= moment_ms.saturating_sub(lookback_ms) || is_stale(value) {
            continue;
        }
        column.set(step, if shown == Shown::Value { value } else { times[newest] as f64 / 1000.0 });
    }
    column
}

/// [`newest`] of a series that has native histograms, too.
fn newest_of_both(samples: &Samples, grid: Grid, lookback_ms: i64, shown: Shown) -> Column {
    let mut column = Column::absent(grid.count);
    let (numbers, histograms) = (&samples.numbers, &samples.histograms);
    for (step, moment_ms) in grid.times_ms().enumerate() {
        let number = numbers.timestamps_ms.partition_point(|time_ms| *time_ms <= moment_ms).checked_sub(1);
        let histogram = histograms.partition_point(|(time_ms, _)| *time_ms <= moment_ms).checked_sub(1);
        let number = number.map(|index| (numbers.timestamps_ms[index], Element::Number(numbers.values[index])));
        let histogram = histogram.map(|index| (histograms[index].0, Element::Histogram(&histograms[index].1)));
        let Some((time_ms, element)) = number.into_iter().chain(histogram).max_by_key(|(time_ms, _)| *time_ms) else {
            continue;
        };
        let stale = match element {
            Element::Number(value) => is_stale(value),
            Element::Histogram(value) => value.is_stale(),
        };
        if stale || time_ms <= moment_ms.saturating_sub(lookback_ms) {
            continue;
        }
        match shown {
            Shown::Value => column.set_element(step, element),
            Shown::Seconds => column.set(step, time_ms as f64 / 1000.0),
        }
    }
    column
}

/// Removes the staleness markers: to a range they are no samples.
pub(super) fn drop_stale(samples: &mut Columns) {
    if !samples.values.iter().copied().any(is_stale) {
        return;
    }
    let mut kept = 0;
    for index in 0..samples.len() {
        if !is_stale(samples.values[index]) {
            samples.timestamps_ms[kept] = samples.timestamps_ms[index];
            samples.values[kept] = samples.values[index];
            kept += 1;
        }
    }
    samples.timestamps_ms.truncate(kept);
    samples.values.truncate(kept);
}
