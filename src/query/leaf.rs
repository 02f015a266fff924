//! Selectors: from stored samples to columns.
//!
//! An instant selector at step `t` shows the newest sample in `(t - lookback, t]`, unless that is a staleness marker.
//! With a lookback of 300 s and a sample at 0 s, step 299 s shows it and step 300 s does not.

use std::sync::Arc;

use std::collections::HashMap;

use super::column::{Column, Element, Grid, places_of};
use super::error::QueryError;
use super::eval::{Context, ResetsWanted};
use super::plan::{Selector, Shift};
use super::remarks::Remarks;
use super::syntax::{Edges, Span};
use super::table::{Row, Scratch, Source, Table};
use super::windows::{self, Samples};
use crate::model::{CounterResetHint, FloatHistogram, Matcher, TimeRange, is_stale};
use crate::storage::view::{Columns, SeriesView, stands_for_histogram};

/// What a selector shows of a sample.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Its value.
    Value,
    /// Its timestamp in seconds: `timestamp(x)`.
    Seconds,
    /// Since when it counts, in seconds, if its sender said so: `start_timestamp(x)`.
    StartSeconds,
}

/// The moments that a shifted selector looks at. Under `@` that is a single one, whatever the step.
pub(super) fn looked_at(steps: Grid, shift: Shift) -> Grid {
    match shift.at_ms {
        Some(at_ms) => Grid::instant(at_ms.saturating_sub(shift.offset_ms)),
        None => Grid { start_ms: steps.start_ms.saturating_sub(shift.offset_ms), ..steps },
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
    let series = context.view.find(matchers, range, context.budget.series_left())?;
    context.budget.take_series(series.len())?;
    Ok((series, range))
}

/// An instant vector of stored series.
pub(super) fn instant<'q>(context: &Context<'q>, selector: &Selector, shown: Shown) -> Result<Table<'q>, QueryError> {
    let grid = looked_at(context.grid, selector.shift);
    // Of `timestamp(x smoothed)` the samples' own times are wanted.
    let smoothed_at = match selector.edges {
        Some((Edges::Smoothed, span)) if shown == Shown::Value => Some(span),
        _ => None,
    };
    let (read_until, window_ms) = match smoothed_at {
        None => (grid, context.lookback_ms),
        Some(_) => {
            let read_until = Grid { start_ms: grid.start_ms.saturating_add(context.lookback_ms), ..grid };
            (read_until, context.lookback_ms.saturating_mul(2))
        }
    };
    let (series, range) = select(context, &selector.matchers, read_until, window_ms)?;
    let rows = series.iter().map(|series| Row::new(series.labels().clone())).collect();
    Ok(Table::new(rows, Instant { series, range, grid, shown, smoothed_at, context: *context }))
}

struct Instant<'q> {
    series: Vec<SeriesView>,
    range: TimeRange,
    grid: Grid,
    shown: Shown,
    /// Where the selector stands, if values between samples are made up.
    smoothed_at: Option<Span>,
    context: Context<'q>,
}

impl Source for Instant<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let column = self.shown(index, scratch)?;
        if self.context.counts_samples {
            self.count_samples(&column);
        }
        if self.shown == Shown::StartSeconds { self.starts_of(index, &column) } else { Ok(column) }
    }
}

impl Instant<'_> {
    /// The values of one row, or the times of its samples.
    fn shown(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let (series, samples) = (&self.series[index], &mut scratch.samples);
        if self.grid.count == 1
            && self.smoothed_at.is_none()
            && let Some(column) = self.newest_of_all(series)
        {
            self.context.budget.take_samples(1)?;
            return Ok(column.spread_to(self.context.grid.count));
        }
        samples.clear();
        series.read_both(self.range, &mut samples.numbers, &mut samples.histograms);
        let (budget, lookback_ms, steps) = (self.context.budget, self.context.lookback_ms, self.context.grid.count);
        budget.take_samples(samples.numbers.len())?;
        if !samples.histograms.is_empty() {
            budget.take_samples(samples.histograms.iter().map(|(_, one)| places_of(one)).sum())?;
            if self.context.resets == ResetsWanted::Found {
                find_resets(&mut samples.histograms);
            }
        }
        let column = if let Some(at) = self.smoothed_at {
            drop_stale(&mut samples.numbers);
            samples.histograms.retain(|(_, histogram)| !histogram.is_stale());
            let mut remarks = Remarks::default();
            let column = windows::instants(samples, self.grid, lookback_ms, &mut remarks);
            remarks.tell(self.context.notes, at, series.labels().metric_name().unwrap_or(""));
            column
        } else if !samples.histograms.is_empty() {
            newest_of_both(samples, self.grid, lookback_ms, self.shown)
        } else {
            newest(&samples.numbers, self.grid, lookback_ms, self.shown)
        };
        Ok(column.spread_to(steps))
    }

    /// Notes what a query looks at of a row.
    fn count_samples(&self, column: &Column) {
        let budget = self.context.budget;
        budget.note_queryable(column.count());
        if budget.counts_by_step() {
            column.occupied().iter().for_each(|step| budget.note_queryable_at(step, 1));
        }
    }

    /// In place of samples' times the times since when they count, as far as those are known.
    fn starts_of(&self, index: usize, times: &Column) -> Result<Column, QueryError> {
        let starts = self.series[index].starts_ms(self.range);
        self.context.budget.take_samples(starts.len())?;
        let starts: HashMap<i64, i64> = starts.into_iter().collect();
        let mut column = Column::absent(times.len());
        for (step, seconds) in times.iter() {
            if let Some(start_ms) = starts.get(&((seconds * 1000.0).round() as i64)) {
                column.set(step, *start_ms as f64 / 1000.0);
            }
        }
        Ok(column)
    }

    /// The column of a single moment, where the newest sample of the series is the one that it shows.
    fn newest_of_all(&self, series: &SeriesView) -> Option<Column> {
        let moment_ms = self.grid.start_ms;
        let newest = series.newest_by(moment_ms).filter(|newest| !stands_for_histogram(newest.value))?;
        let mut column = Column::absent(1);
        if newest.timestamp_ms > moment_ms.saturating_sub(self.context.lookback_ms) && !is_stale(newest.value) {
            let seconds = newest.timestamp_ms as f64 / 1000.0;
            column.set(0, if self.shown == Shown::Value { newest.value } else { seconds });
        }
        Some(column)
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
            Shown::Seconds | Shown::StartSeconds => column.set(step, time_ms as f64 / 1000.0),
        }
    }
    column
}

/// Puts into each histogram of which it is not known whether the counter started anew before it.
pub(super) fn find_resets(histograms: &mut [(i64, Arc<FloatHistogram>)]) {
    let mut before: Option<usize> = None;
    for index in 0..histograms.len() {
        let one = &histograms[index].1;
        if one.is_stale() {
            continue;
        }
        if let Some(before) = before.filter(|_| one.hint == CounterResetHint::Unknown) {
            let is_reset = one.detect_reset(&histograms[before].1);
            let hint = if is_reset { CounterResetHint::Reset } else { CounterResetHint::NotReset };
            Arc::make_mut(&mut histograms[index].1).hint = hint;
        }
        before = Some(index);
    }
}

/// Removes the staleness markers: to a range they are no samples.
pub(super) fn drop_stale(samples: &mut Columns) {
    if !samples.has_value(is_stale) {
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
