//! Functions over ranges: `rate(x[5m])`, `max_over_time(x[1h])`, …
//!
//! Worked example: a counter scraped every 15 s shows 100, 130, 10, 40 at 0, 15, 30, 45 s, and we want `rate(x[1m])` at
//! 50 s, the window being (-10 s, 50 s]. From first to last it went 40 - 100 = -60, plus the 130 that it had before the
//! reset: 70. The samples cover 45 s; the 5 s to the window's end are less than 1.1 average distances and count, and so
//! do the 10 s to its start, for a counter that rises 70 in 45 s would have needed 64 s to reach 100. So the increase
//! is 70 × (45 + 10 + 5) / 45 = 93.3, and the rate a sixtieth of that.

use super::column::Column;
use super::error::QueryError;
use super::eval::{Context, Scalar};
use super::float::{Mean, Spread, Sum, quantile};
use super::plan::{Range, Rollup};
use super::syntax::tree::Span;
use super::table::{Scratch, Source, Table};
use super::window::{Samples, Window, Windows};

/// An instant vector of one function's values over the windows of each series.
pub(super) fn rollup<'q>(
    context: &Context<'q>,
    function: Rollup,
    range: &'q Range,
    parameters: Vec<Scalar>,
) -> Result<Table<'q>, QueryError> {
    let mut windows = Windows::open(context, range)?;
    if !parameters.is_empty() {
        windows.repeat(context.grid.count);
    }
    let rows = windows.rows();
    let rolled = Rolled { function, windows, parameters, range_span: range.span, context: *context };
    let table = Table::new(rows, rolled);
    Ok(if keeps_name(function) { table } else { table.shed_names(context) })
}

/// Functions that show a stored sample as it is.
fn keeps_name(function: Rollup) -> bool {
    matches!(function, Rollup::Last | Rollup::First)
}

struct Rolled<'q> {
    function: Rollup,
    windows: Windows<'q>,
    parameters: Vec<Scalar>,
    /// Where the range stands, for remarks.
    range_span: Span,
    context: Context<'q>,
}

impl Source for Rolled<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let mut samples = std::mem::take(&mut scratch.samples);
        self.windows.read(index, &mut samples, scratch)?;
        let column = self.compute(&samples, scratch);
        scratch.samples = samples;
        let (column, steps) = (column?, self.context.grid.count);
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

    fn compute(&self, samples: &Samples, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let windows = &self.windows;
        let range_seconds = windows.range_ms as f64 / 1000.0;
        match self.function {
            Rollup::Rate | Rollup::Increase => {
                find_resets(&samples.numbers.values, &mut scratch.indexes);
                let divisor = if self.function == Rollup::Rate { range_seconds } else { 1.0 };
                let mut resets = Resets { indexes: &scratch.indexes, next: 0 };
                windows.roll(samples, |window| {
                    let rise = resets.rise(&window, &samples.numbers.values)?;
                    Some(rise * extrapolation(&window, rise, true) / divisor)
                })
            }
            Rollup::Delta => windows.roll(samples, |window| {
                let (first, last) = ends(&window)?;
                Some((last - first) * extrapolation(&window, last - first, false))
            }),
            Rollup::Irate => windows.roll(samples, |window| last_two(&window, true)),
            Rollup::Idelta => windows.roll(samples, |window| last_two(&window, false)),
            Rollup::Deriv => windows.roll(samples, |window| Some(line(&window, window.timestamps_ms[0])?.slope)),
            Rollup::PredictLinear => windows.roll(samples, |window| {
                // Lowering gave it its parameter; the line is laid through the evaluation time, not the window's end.
                let line = line(&window, self.context.grid.time_ms(window.step))?;
                Some(line.slope * self.parameters[0].at(window.step) + line.intercept)
            }),
            Rollup::Avg => windows.roll(samples, |window| Some(mean(window.values))),
            Rollup::Sum => windows.roll(samples, |window| Some(sum(window.values))),
            Rollup::Min => windows.roll(samples, |window| Some(extreme(window.values, |a, b| a < b))),
            Rollup::Max => windows.roll(samples, |window| Some(extreme(window.values, |a, b| a > b))),
            Rollup::Count => windows.roll(samples, |window| Some(window.values.len() as f64)),
            Rollup::First => windows.roll(samples, |window| window.values.first().copied()),
            Rollup::Last => windows.roll(samples, |window| window.values.last().copied()),
            Rollup::Present | Rollup::Absent => windows.roll(samples, |_| Some(1.0)),
            Rollup::Stdvar => windows.roll(samples, |window| Some(variance(window.values))),
            Rollup::Stddev => windows.roll(samples, |window| Some(variance(window.values).sqrt())),
            Rollup::Quantile => windows.roll(samples, |window| {
                scratch.sorted.clear();
                scratch.sorted.extend_from_slice(window.values);
                Some(quantile(self.parameters[0].at(window.step), &mut scratch.sorted))
            }),
            Rollup::Mad => windows.roll(samples, |window| {
                scratch.sorted.clear();
                scratch.sorted.extend_from_slice(window.values);
                Some(median_deviation(&mut scratch.sorted))
            }),
            Rollup::TsOfFirst => windows.roll(samples, |window| window.timestamps_ms.first().map(|ms| seconds(*ms))),
            Rollup::TsOfLast => windows.roll(samples, |window| window.timestamps_ms.last().map(|ms| seconds(*ms))),
            Rollup::TsOfMin => windows.roll(samples, |window| time_of(&window, |a, b| a <= b)),
            Rollup::TsOfMax => windows.roll(samples, |window| time_of(&window, |a, b| a >= b)),
            Rollup::DoubleExponentialSmoothing => windows.roll(samples, |window| smoothed(&window, &self.parameters)),
            Rollup::Changes => {
                windows.roll(samples, |window| Some(pairs(window.values, |a, b| a != b && !(a.is_nan() && b.is_nan()))))
            }
            Rollup::Resets => windows.roll(samples, |window| Some(pairs(window.values, |a, b| b < a))),
        }
    }
}

/// The indexes of samples that are smaller than the one before.
fn find_resets(values: &[f64], indexes: &mut Vec<usize>) {
    indexes.clear();
    indexes.extend((1..values.len()).filter(|&index| values[index] < values[index - 1]));
}

/// The resets of a whole series, and the first of them that a window can still hold.
struct Resets<'s> {
    indexes: &'s [usize],
    next: usize,
}

impl Resets<'_> {
    /// How far a counter rose from the window's first to its last sample.
    fn rise(&mut self, window: &Window<'_>, values: &[f64]) -> Option<f64> {
        let (first, last) = ends(window)?;
        while self.next < self.indexes.len() && self.indexes[self.next] <= window.first {
            self.next += 1;
        }
        let behind = window.first + window.values.len();
        let inside = self.indexes[self.next..].iter().take_while(|index| **index < behind);
        Some(inside.fold(last - first, |rise, index| rise + values[index - 1]))
    }
}

/// First and last value of a window with at least two.
fn ends(window: &Window<'_>) -> Option<(f64, f64)> {
    match window.values {
        [first, .., last] => Some((*first, *last)),
        _ => None,
    }
}

/// By what the change between the first and the last sample is multiplied to stand for the whole window.
fn extrapolation(window: &Window<'_>, change: f64, is_counter: bool) -> f64 {
    let times = window.timestamps_ms;
    let (first_ms, last_ms) = (times[0], times[times.len() - 1]);
    let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1000.0;
    let covered = seconds(first_ms, last_ms);
    let distance = covered / (times.len() - 1) as f64;
    let threshold = distance * 1.1;
    let (mut before, mut after) = (seconds(window.start_ms, first_ms), seconds(last_ms, window.end_ms));
    if before >= threshold {
        before = distance / 2.0;
    }
    if is_counter && change > 0.0 && window.values[0] >= 0.0 {
        // A counter was not below zero: do not go back further than to where it would have been zero.
        before = before.min(covered * (window.values[0] / change));
    }
    if after >= threshold {
        after = distance / 2.0;
    }
    (covered + before + after) / covered
}

/// The change between the last two samples; of a counter per second, and from zero if it was reset between them.
fn last_two(window: &Window<'_>, is_counter: bool) -> Option<f64> {
    let [.., before, last] = window.values else { return None };
    let [.., before_ms, last_ms] = window.timestamps_ms else { return None };
    if !is_counter {
        return Some(last - before);
    }
    let rise = if last < before { *last } else { last - before };
    Some(rise / ((last_ms - before_ms) as f64 / 1000.0))
}

struct Line {
    slope: f64,
    intercept: f64,
}

/// Least squares through at least two samples, with `origin_ms` as the time at which the intercept is taken.
fn line(window: &Window<'_>, origin_ms: i64) -> Option<Line> {
    let values = window.values;
    if values.len() < 2 {
        return None;
    }
    if values.iter().all(|value| *value == values[0]) {
        let flat = if values[0].is_infinite() { f64::NAN } else { 0.0 };
        return Some(Line { slope: flat, intercept: values[0] + flat });
    }
    let (mut x, mut y, mut xy, mut xx) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for (time_ms, value) in window.timestamps_ms.iter().zip(values) {
        let seconds = (time_ms - origin_ms) as f64 / 1000.0;
        x.add(seconds);
        y.add(*value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    let (x, y, n) = (x.value(), y.value(), values.len() as f64);
    let slope = (xy.value() - x * y / n) / (xx.value() - x * x / n);
    Some(Line { slope, intercept: y / n - slope * x / n })
}

fn sum(values: &[f64]) -> f64 {
    let mut sum = Sum::default();
    values.iter().for_each(|value| sum.add(*value));
    sum.value()
}

fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    values.iter().for_each(|value| mean.add(*value));
    mean.value()
}

fn variance(values: &[f64]) -> f64 {
    let mut spread = Spread::default();
    values.iter().for_each(|value| spread.add(*value));
    spread.variance()
}

/// The value that is `better` than all others; not a number only if all are.
fn extreme(values: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let choose = |best: f64, value: &f64| if better(*value, best) || best.is_nan() { *value } else { best };
    values.iter().fold(f64::NAN, choose)
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// When the last value was seen that is `better` than all before it or equal to the best.
fn time_of(window: &Window<'_>, better: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let mut best: Option<(f64, i64)> = None;
    for (value, time_ms) in window.values.iter().zip(window.timestamps_ms) {
        if best.is_none_or(|(best, _)| better(*value, best) || best.is_nan()) {
            best = Some((*value, *time_ms));
        }
    }
    best.map(|(_, time_ms)| seconds(time_ms))
}

/// Holt's linear method: a level and a trend, each the weighted mean of what it was and what is seen.
fn smoothed(window: &Window<'_>, parameters: &[Scalar]) -> Option<f64> {
    let [first, second, ..] = window.values else { return None };
    let (level_weight, trend_weight) = (parameters[0].at(window.step), parameters[1].at(window.step));
    let (mut before, mut level, mut trend) = (0.0, *first, second - first);
    for (index, value) in window.values[1..].iter().enumerate() {
        if index > 0 {
            trend = trend_weight * (level - before) + (1.0 - trend_weight) * trend;
        }
        (before, level) = (level, level_weight * value + (1.0 - level_weight) * (level + trend));
    }
    Some(level)
}

fn median_deviation(values: &mut [f64]) -> f64 {
    let median = quantile(0.5, values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    quantile(0.5, values)
}

fn pairs(values: &[f64], counts: impl Fn(f64, f64) -> bool) -> f64 {
    values.windows(2).filter(|pair| counts(pair[0], pair[1])).count() as f64
}
