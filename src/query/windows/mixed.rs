//! Functions over the windows of a series that has native histograms, with numbers between them or not.
//!
//! ```text
//! 1  2  h  h          rate, sum, avg    nothing, and a warning: numbers and histograms cannot be added
//!                     min, quantile, …  of 1 and 2 alone, and an info
//!                     count, changes    of all four, in the order of their times
//! ```

use std::sync::Arc;

use super::counter::{Change, Numbers};
use super::histogram_rate::Histograms;
use super::over_time::seconds;
use super::rollup::Rolled;
use super::window::{Samples, Window};
use crate::model::{CounterResetHint, FloatHistogram, HistogramMean, HistogramSum, MixedSchemas, Reconciled};
use crate::query::column::Column;
use crate::query::error::QueryError;
use crate::query::plan::Rollup;
use crate::query::remarks::{Remark, Remarks};
use crate::query::table::Scratch;

/// What a window comes to.
enum Found {
    Number(f64),
    Histogram(Arc<FloatHistogram>),
}

/// The values of one series, and what there is to say of it.
pub(super) fn roll(
    rolled: &Rolled<'_>,
    samples: &Samples,
    scratch: &mut Scratch,
    remarks: &mut Remarks,
) -> Result<Column, QueryError> {
    let windows = &rolled.windows;
    let mut column = Column::absent(windows.grid.count);
    let mut roller = Roller::new(rolled, samples, &mut scratch.indexes, &mut scratch.sorted)?;
    windows.each(samples, |window| {
        let mut said = Remarks::default();
        match roller.of(&window, &mut said)? {
            Some(Found::Number(value)) => column.set(window.step, value),
            Some(Found::Histogram(value)) => column.set_histogram(window.step, value),
            None => {}
        }
        remarks.unite(said);
        Ok(())
    })?;
    Ok(column)
}

/// What is known of the whole series, and a place to work in.
struct Roller<'r> {
    rolled: &'r Rolled<'r>,
    samples: &'r Samples,
    counter: Option<(Numbers<'r>, Histograms<'r>)>,
    sorted: &'r mut Vec<f64>,
}

impl<'r> Roller<'r> {
    fn new(
        rolled: &'r Rolled<'r>,
        samples: &'r Samples,
        indexes: &'r mut Vec<usize>,
        sorted: &'r mut Vec<f64>,
    ) -> Result<Roller<'r>, QueryError> {
        let windows = &rolled.windows;
        let counter = match Change::of(rolled.function, windows.range_ms) {
            Some(change) => Some((Numbers::new(change, samples, indexes), Histograms::new(windows, change, samples)?)),
            None => None,
        };
        Ok(Roller { rolled, samples, counter, sorted })
    }

    fn of(&mut self, window: &Window<'_>, remarks: &mut Remarks) -> Result<Option<Found>, QueryError> {
        let number = |value: f64| Ok(Some(Found::Number(value)));
        match self.rolled.function {
            Rollup::Rate | Rollup::Increase | Rollup::Delta => Ok(self.change(window, remarks)),
            Rollup::Irate => Ok(self.last_two(window, true, remarks)),
            Rollup::Idelta => Ok(self.last_two(window, false, remarks)),
            Rollup::Sum | Rollup::Avg => self.total(window, remarks),
            Rollup::Count => number((window.values.len() + window.histograms.len()) as f64),
            Rollup::Present | Rollup::Absent => number(1.0),
            Rollup::First => Ok(first(window)),
            Rollup::Last => Ok(last(window)),
            Rollup::TsOfFirst => {
                let histogram = window.histograms.first().map(|(time_ms, _)| *time_ms);
                Ok(window.timestamps_ms.first().copied().into_iter().chain(histogram).min().map(time))
            }
            Rollup::TsOfLast => {
                let histogram = window.histograms.last().map(|(time_ms, _)| *time_ms);
                Ok(window.timestamps_ms.last().copied().into_iter().chain(histogram).max().map(time))
            }
            Rollup::DoubleExponentialSmoothing => {
                // Its parameters are checked even where there are no numbers.
                let value = self.rolled.number(window, self.sorted)?;
                self.note_ignored(window, remarks);
                Ok(value.map(Found::Number))
            }
            _ => {
                self.note_ignored(window, remarks);
                if window.values.is_empty() {
                    return Ok(None);
                }
                Ok(self.rolled.number(window, self.sorted)?.map(Found::Number))
            }
        }
    }

    fn note_ignored(&self, window: &Window<'_>, remarks: &mut Remarks) {
        if !window.values.is_empty() && !window.histograms.is_empty() {
            remarks.add(Remark::HistogramsIgnored);
        }
    }

    fn change(&mut self, window: &Window<'_>, remarks: &mut Remarks) -> Option<Found> {
        let (numbers, histograms) = self.counter.as_mut()?;
        if window.histograms.is_empty() {
            return numbers.of(window, remarks).map(Found::Number);
        }
        if !window.values.is_empty() {
            remarks.add(Remark::Mixed);
            return None;
        }
        histograms.of(window, remarks).map(|value| Found::Histogram(Arc::new(value)))
    }

    /// The change between the two newest samples, if they are of one kind.
    fn last_two(&mut self, window: &Window<'_>, is_rate: bool, remarks: &mut Remarks) -> Option<Found> {
        let newest_number = window.timestamps_ms.last();
        let newest_histogram = window.histograms.last().map(|(time_ms, _)| time_ms);
        if newest_number > newest_histogram {
            let before = window.timestamps_ms.len().checked_sub(2).map(|index| &window.timestamps_ms[index]);
            if newest_histogram > before {
                remarks.add(Remark::Mixed);
                return None;
            }
            let change = Change { is_counter: is_rate, divisor: 1.0 };
            let numbers = Numbers::new(change, self.samples, &mut Vec::new()).last_two(window, is_rate);
            return numbers.map(Found::Number);
        }
        let before = window.histograms.len().checked_sub(2).map(|index| &window.histograms[index].0);
        if newest_number > before {
            remarks.add(Remark::Mixed);
            return None;
        }
        let starts_ms = &self.samples.histogram_starts_ms;
        let change = Histograms::last_two(window, is_rate, starts_ms, remarks)?;
        Some(Found::Histogram(Arc::new(change)))
    }

    fn total(&mut self, window: &Window<'_>, remarks: &mut Remarks) -> Result<Option<Found>, QueryError> {
        if window.histograms.is_empty() {
            return Ok(self.rolled.number(window, self.sorted)?.map(Found::Number));
        }
        if !window.values.is_empty() {
            remarks.add(Remark::Mixed);
            return Ok(None);
        }
        let total = match self.rolled.function {
            Rollup::Sum => aggregate(window, remarks, HistogramSum::of, HistogramSum::add, HistogramSum::histogram),
            _ => aggregate(window, remarks, HistogramMean::of, HistogramMean::add, HistogramMean::histogram),
        };
        Ok(total.map(|total| Found::Histogram(Arc::new(total))))
    }
}

/// Adds up all histograms of a window that has at least one.
fn aggregate<T>(
    window: &Window<'_>,
    remarks: &mut Remarks,
    of: impl Fn(&FloatHistogram) -> T,
    add: impl Fn(&mut T, &FloatHistogram) -> Result<Reconciled, MixedSchemas>,
    histogram: impl Fn(&T) -> FloatHistogram,
) -> Option<FloatHistogram> {
    let ((_, first), others) = window.histograms.split_first()?;
    let mut total = of(first);
    for (_, other) in others {
        match add(&mut total, other) {
            Ok(reconciled) if reconciled.bounds_differed => remarks.add(Remark::BoundsAggregated),
            Ok(_) => {}
            Err(MixedSchemas) => {
                *remarks = Remarks::only(Remark::MixedSchemas);
                return None;
            }
        }
    }
    let says = |hint: CounterResetHint| window.histograms.iter().any(|(_, one)| one.hint == hint);
    if says(CounterResetHint::Reset) && says(CounterResetHint::NotReset) {
        remarks.add(Remark::ResetsCollide);
    }
    Some(histogram(&total))
}

fn time(time_ms: i64) -> Found {
    Found::Number(seconds(time_ms))
}

fn first(window: &Window<'_>) -> Option<Found> {
    match (window.timestamps_ms.first(), window.histograms.first()) {
        (Some(number_ms), Some((histogram_ms, _))) if number_ms < histogram_ms => Some(Found::Number(window.values[0])),
        (_, Some((_, histogram))) => Some(Found::Histogram(histogram.clone())),
        (number_ms, None) => number_ms.map(|_| Found::Number(window.values[0])),
    }
}

fn last(window: &Window<'_>) -> Option<Found> {
    let number = window.values.last().map(|value| Found::Number(*value));
    match (window.timestamps_ms.last(), window.histograms.last()) {
        (Some(number_ms), Some((histogram_ms, _))) if histogram_ms < number_ms => number,
        (_, Some((_, histogram))) => Some(Found::Histogram(histogram.clone())),
        (_, None) => number,
    }
}
