//! `changes` and `resets`: how many samples of a window differ from the one before.
//!
//! Of the whole series we keep, for each sample, how many changes there were up to it: 5 5 7 7 5 gives 0 0 1 1 2. A window
//! from the second to the last sample then has 2 - 0 changes, whatever its length. Numbers and histograms are one
//! sequence, ordered by time; from the one to the other is always a change.

use super::counter::starts_anew;
use super::window::{HISTOGRAM_WORK, Samples, Window, Windows};
use crate::model::FloatHistogram;
use crate::query::column::Column;
use crate::query::error::QueryError;
use crate::query::syntax::Edges;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Another value.
    Changes,
    /// A counter that started anew.
    Resets,
}

/// How often it happened in each window. `running` is only a place to work in.
pub(super) fn count(
    windows: &Windows<'_>,
    counted: Counted,
    edges: Option<Edges>,
    samples: &Samples,
    running: &mut Vec<usize>,
) -> Result<Column, QueryError> {
    run(windows, counted, samples, running)?;
    windows.roll(samples, |window| {
        let (first, last) = ends(&window, edges)?;
        Some((running[last] - running[first]) as f64)
    })
}

/// First and last sample of a window, as indexes of the whole sequence. An anchored window begins with the last sample
/// that is not behind its start.
fn ends(window: &Window<'_>, edges: Option<Edges>) -> Option<(usize, usize)> {
    let first = window.first + window.first_histogram;
    let count = window.values.len() + window.histograms.len();
    if edges.is_none() {
        return Some((first, first + count - 1));
    }
    let outside = window.timestamps_ms.partition_point(|time_ms| *time_ms <= window.start_ms)
        + window.histograms.partition_point(|(time_ms, _)| *time_ms <= window.start_ms);
    (outside < count).then(|| (first + outside.saturating_sub(1), first + count - 1))
}

/// Counts up to each sample.
fn run(windows: &Windows<'_>, counted: Counted, samples: &Samples, running: &mut Vec<usize>) -> Result<(), QueryError> {
    running.clear();
    if !samples.histograms.is_empty() || !samples.number_starts_ms.is_empty() {
        return run_mixed(windows, counted, samples, running);
    }
    match counted {
        Counted::Changes => run_numbers(&samples.numbers.values, running, differ),
        Counted::Resets => run_numbers(&samples.numbers.values, running, |before, now| now < before),
    }
    Ok(())
}

fn run_numbers(values: &[f64], running: &mut Vec<usize>, happened: impl Fn(f64, f64) -> bool) {
    let (mut before, mut total) = (values.first().copied().unwrap_or(0.0), 0);
    running.extend(values.iter().enumerate().map(|(index, now)| {
        total += usize::from(index > 0 && happened(before, *now));
        before = *now;
        total
    }));
}

fn run_mixed(
    windows: &Windows<'_>,
    counted: Counted,
    samples: &Samples,
    running: &mut Vec<usize>,
) -> Result<(), QueryError> {
    let mut meter = windows.meter();
    let mut sequence: Vec<Sample<'_>> = Sample::numbers(samples).chain(Sample::histograms(samples)).collect();
    sequence.sort_by_key(|sample| sample.time_ms);
    let mut total = 0;
    for (index, now) in sequence.iter().enumerate() {
        meter.work(HISTOGRAM_WORK)?;
        total += usize::from(index > 0 && happened(counted, &sequence[index - 1], now));
        running.push(total);
    }
    Ok(())
}

/// A sample of either kind.
struct Sample<'s> {
    time_ms: i64,
    /// Since when it counts; 0 if that is not known.
    start_ms: i64,
    seen: Seen<'s>,
}

#[derive(Clone, Copy)]
enum Seen<'s> {
    Number(f64),
    Histogram(&'s FloatHistogram),
}

impl<'s> Sample<'s> {
    fn numbers(samples: &'s Samples) -> impl Iterator<Item = Sample<'s>> {
        let start_ms = |index: usize| samples.number_starts_ms.get(index).copied().unwrap_or(0);
        let numbers = samples.numbers.iter().enumerate();
        numbers.map(move |(index, (time_ms, value))| Sample {
            time_ms,
            start_ms: start_ms(index),
            seen: Seen::Number(value),
        })
    }

    fn histograms(samples: &'s Samples) -> impl Iterator<Item = Sample<'s>> {
        let start_ms = |index: usize| samples.histogram_starts_ms.get(index).copied().unwrap_or(0);
        let histograms = samples.histograms.iter().enumerate();
        histograms.map(move |(index, (time_ms, one))| Sample {
            time_ms: *time_ms,
            start_ms: start_ms(index),
            seen: Seen::Histogram(one),
        })
    }
}

fn happened(counted: Counted, before: &Sample<'_>, now: &Sample<'_>) -> bool {
    let told = || starts_anew((before.time_ms, before.start_ms), (now.time_ms, now.start_ms));
    match (counted, before.seen, now.seen) {
        (Counted::Changes, Seen::Number(before), Seen::Number(now)) => differ(before, now),
        (Counted::Changes, Seen::Histogram(before), Seen::Histogram(now)) => !now.same_bits(before),
        (Counted::Resets, Seen::Number(before), Seen::Number(now)) => now < before || told(),
        (Counted::Resets, Seen::Histogram(before), Seen::Histogram(now)) => told() || now.detect_reset(before),
        (_, Seen::Number(_), Seen::Histogram(_)) | (_, Seen::Histogram(_), Seen::Number(_)) => true,
    }
}

fn differ(before: f64, now: f64) -> bool {
    before != now && !(before.is_nan() && now.is_nan())
}
