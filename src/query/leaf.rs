//! Selectors: from stored samples to columns.
//!
//! An instant selector at step `t` shows the newest sample in `(t - lookback, t]`, unless that is a staleness marker.
//! With a lookback of 300 s and a sample at 0 s, step 299 s shows it and step 300 s does not.

use super::budget::Budget;
use super::column::{Column, Grid};
use super::error::QueryError;
use super::eval::Context;
use super::plan::{At, Selector, Shift};
use super::table::{Scratch, Source, Table};
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
    let offset_ms = shift.offset_ms;
    let at = |time_ms: i64| Grid::instant(time_ms.saturating_sub(offset_ms));
    match shift.at {
        Some(At::Time(time_ms)) => at(time_ms),
        Some(At::Start) => at(context.query_start_ms),
        Some(At::End) => at(context.query_end_ms),
        None => Grid { start_ms: context.grid.start_ms.saturating_sub(offset_ms), ..context.grid },
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
    let labels = series.iter().map(|series| series.labels().clone()).collect();
    let leaf = Instant {
        series,
        range,
        grid,
        lookback_ms: context.lookback_ms,
        shown,
        steps: context.grid.count,
        budget: context.budget,
    };
    Ok(Table::new(labels, leaf))
}

struct Instant<'q> {
    series: Vec<SeriesView>,
    range: TimeRange,
    grid: Grid,
    lookback_ms: i64,
    shown: Shown,
    steps: usize,
    budget: &'q Budget,
}

impl Source for Instant<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let samples = &mut scratch.samples;
        samples.clear();
        self.series[index].read(self.range, samples);
        self.budget.take_samples(samples.len())?;
        let column = newest(samples, self.grid, self.lookback_ms, self.shown);
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
