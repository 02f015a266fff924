//! `changes` and `resets`: how many samples of a window differ from the one before.
//!
//! Of the whole series we keep, for each sample, how many changes there were up to it: 5 5 7 7 5 gives 0 0 1 1 2. A window
//! from the second to the last sample then has 2 - 0 changes, whatever its length. Numbers and histograms are one
//! sequence, ordered by time; from the one to the other is always a change.

use super::column::Column;
use super::counter::starts_anew;
use super::error::QueryError;
use super::syntax::Edges;
use super::window::{Samples, Window, Windows};
use crate::model::FloatHistogram;

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
    run(counted, samples, running);
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

/// One sample of either kind.
#[derive(Clone, Copy)]
enum Seen<'s> {
    Number(f64),
    Histogram(&'s FloatHistogram),
}

fn run(counted: Counted, samples: &Samples, running: &mut Vec<usize>) {
    running.clear();
    let starts = |starts_ms: &[i64], index: usize| starts_ms.get(index).copied().unwrap_or(0);
    let numbers = samples.numbers.iter().enumerate();
    let mut numbers = numbers
        .map(|(index, (time_ms, value))| (time_ms, starts(&samples.number_starts_ms, index), Seen::Number(value)))
        .peekable();
    let histograms = samples.histograms.iter().enumerate();
    let mut histograms = histograms
        .map(|(index, (time_ms, one))| (*time_ms, starts(&samples.histogram_starts_ms, index), Seen::Histogram(one)))
        .peekable();
    let mut before: Option<(i64, i64, Seen<'_>)> = None;
    let mut total = 0;
    loop {
        let number_is_next = match (numbers.peek(), histograms.peek()) {
            (None, None) => return,
            (Some(number), Some(histogram)) => number.0 < histogram.0,
            (number, _) => number.is_some(),
        };
        let Some(now) = (if number_is_next { numbers.next() } else { histograms.next() }) else { return };
        total += usize::from(before.is_some_and(|before| happened(counted, before, now)));
        running.push(total);
        before = Some(now);
    }
}

fn happened(counted: Counted, before: (i64, i64, Seen<'_>), now: (i64, i64, Seen<'_>)) -> bool {
    let told = || starts_anew((before.0, before.1), (now.0, now.1));
    match (counted, before.2, now.2) {
        (Counted::Changes, Seen::Number(before), Seen::Number(now)) => {
            before != now && !(before.is_nan() && now.is_nan())
        }
        (Counted::Changes, Seen::Histogram(before), Seen::Histogram(now)) => !now.same_bits(before),
        (Counted::Resets, Seen::Number(before), Seen::Number(now)) => now < before || told(),
        (Counted::Resets, Seen::Histogram(before), Seen::Histogram(now)) => told() || now.detect_reset(before),
        (_, Seen::Number(_), Seen::Histogram(_)) | (_, Seen::Histogram(_), Seen::Number(_)) => true,
    }
}
