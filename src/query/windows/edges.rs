//! `anchored` and `smoothed`: ranges whose edges have samples of their own.
//!
//! ```text
//!          │         window          │
//! ──1──────│──3───────────5──────────│──7──
//! anchored  from 1, the last sample before the window, to 5, the last within it: 4
//! smoothed  from a sample made up between 1 and 3 to one made up between 5 and 7: 2 to 5.9, say
//! ```
//!
//! Nothing is extrapolated then. Samples count that lie up to a lookback outside the window: before its start, and for
//! `smoothed` behind its end too. Between two samples of a counter of which the second is a start from zero, what is made
//! up lies on the line from zero at the first one's time. `x smoothed` without a range makes up the value at each step.

use std::sync::Arc;

use super::counter::Change;
use super::histogram_rate::{add, is_gauge, subtract};
use super::window::{Samples, Window, Windows};
use crate::model::{CounterResetHint, FloatHistogram};
use crate::query::column::{Column, Element, Grid};
use crate::query::error::QueryError;
use crate::query::plan::Rollup;
use crate::query::remarks::{Remark, Remarks};
use crate::query::syntax::Edges;
use crate::storage::view::Columns;

type Point = (i64, Arc<FloatHistogram>);

/// `rate`, `increase` or `delta` over windows with such edges.
pub(super) fn roll(
    windows: &Windows<'_>,
    function: Rollup,
    edges: Edges,
    samples: &Samples,
    remarks: &mut Remarks,
) -> Result<Column, QueryError> {
    let change = Change::of(function, windows.range_ms).expect("other functions were refused");
    let is_smoothed = edges == Edges::Smoothed;
    let mut column = Column::absent(windows.grid.count);
    windows.each(samples, |window| {
        let mut said = Remarks::default();
        match (window.values.is_empty(), window.histograms.is_empty()) {
            (false, false) => said.add(Remark::Mixed),
            (false, true) => {
                if let Some(value) = of_numbers(&window, change, is_smoothed) {
                    column.set(window.step, value);
                }
            }
            (true, _) => {
                if let Some(value) = of_histograms(&window, change, is_smoothed, &mut said) {
                    column.set_histogram(window.step, Arc::new(value));
                }
            }
        }
        remarks.unite(said);
        Ok(())
    })?;
    Ok(column)
}

/// The samples that a window's edges are made of, as indexes; `first` is at or before its start if there is one there.
#[derive(Clone, Copy)]
struct Ends {
    first: usize,
    last: usize,
}

/// None when there is nothing behind the window's start, or nothing before its end.
fn ends(times_ms: &[i64], (start_ms, end_ms): (i64, i64), is_smoothed: bool) -> Option<Ends> {
    let all_but_last = &times_ms[..times_ms.len().checked_sub(1)?];
    let first = all_but_last.partition_point(|time_ms| *time_ms <= start_ms).saturating_sub(1);
    let last = match is_smoothed {
        true => all_but_last.partition_point(|time_ms| *time_ms < end_ms),
        false => all_but_last.len(),
    };
    let is_within = times_ms[last] > start_ms && !(is_smoothed && times_ms[first] > end_ms);
    is_within.then_some(Ends { first, last })
}

/// The value of a straight line between two samples; of a counter that started anew from zero.
fn between((from_ms, from): (i64, f64), (to_ms, to): (i64, f64), at_ms: i64, is_counter: bool) -> f64 {
    let from = if is_counter && to < from { 0.0 } else { from };
    from + (to - from) * (at_ms - from_ms) as f64 / (to_ms - from_ms) as f64
}

/// The values at a window's start and end.
fn edge_values(
    (times_ms, values): (&[i64], &[f64]),
    ends: Ends,
    (start_ms, end_ms): (i64, i64),
    is_smoothed: bool,
    is_counter: bool,
) -> (f64, f64) {
    let Ends { first, last } = ends;
    let made_up = |from: usize, at_ms: i64| {
        let sample = |index: usize| (times_ms[index], values[index]);
        between(sample(from), sample(from + 1), at_ms, is_counter)
    };
    let left = if is_smoothed && times_ms[first] < start_ms { made_up(first, start_ms) } else { values[first] };
    let right =
        if is_smoothed && last > 0 && times_ms[last] > end_ms { made_up(last - 1, end_ms) } else { values[last] };
    (left, right)
}

/// The indexes of the samples strictly within the window, between the edges' own.
fn inner(times_ms: &[i64], ends: Ends, (start_ms, end_ms): (i64, i64)) -> std::ops::Range<usize> {
    let from = ends.first + usize::from(times_ms[ends.first] <= start_ms);
    let behind = ends.last + usize::from(times_ms[ends.last] < end_ms);
    from..behind.max(from)
}

fn of_numbers(window: &Window<'_>, change: Change, is_smoothed: bool) -> Option<f64> {
    let (times_ms, values) = (window.timestamps_ms, window.values);
    let edges_ms = (window.start_ms, window.end_ms);
    let ends = ends(times_ms, edges_ms, is_smoothed)?;
    let (left, right) = edge_values((times_ms, values), ends, edges_ms, is_smoothed, change.is_counter);
    let mut rise = right - left;
    if change.is_counter {
        let mut before = left;
        for value in values[inner(times_ms, ends, edges_ms)].iter().copied().chain([right]) {
            if value < before {
                rise += before;
            }
            before = value;
        }
    }
    Some(rise / change.divisor)
}

/// [`between`] for histograms. None where two layouts cannot be joined.
fn between_histograms(
    (from_ms, from): &Point,
    (to_ms, to): &Point,
    at_ms: i64,
    is_counter: bool,
    remarks: &mut Remarks,
) -> Option<FloatHistogram> {
    if at_ms == *from_ms {
        return Some(FloatHistogram::clone(from));
    }
    let mut made_up = FloatHistogram::clone(to);
    if at_ms == *to_ms {
        return Some(made_up);
    }
    let share = (at_ms - from_ms) as f64 / (to_ms - from_ms) as f64;
    if is_counter && to.detect_reset(from) {
        made_up.multiply(share);
        return Some(made_up);
    }
    subtract(&mut made_up, from, remarks).then_some(())?;
    made_up.multiply(share);
    add(&mut made_up, from, remarks).then_some(made_up)
}

fn of_histograms(
    window: &Window<'_>,
    change: Change,
    is_smoothed: bool,
    remarks: &mut Remarks,
) -> Option<FloatHistogram> {
    let points = window.histograms;
    let times_ms: Vec<i64> = points.iter().map(|(time_ms, _)| *time_ms).collect();
    let ends = ends(&times_ms, (window.start_ms, window.end_ms), is_smoothed)?;
    let Ends { first, last } = ends;
    check(&points[first..=last], change.is_counter, remarks)?;
    let mut made_up = |from: usize, at_ms: i64| {
        between_histograms(&points[from], &points[from + 1], at_ms, change.is_counter, remarks)
    };
    let left = if is_smoothed && times_ms[first] < window.start_ms {
        made_up(first, window.start_ms)?
    } else {
        FloatHistogram::clone(&points[first].1)
    };
    let right = if is_smoothed && last > 0 && times_ms[last] > window.end_ms {
        made_up(last - 1, window.end_ms)?
    } else {
        FloatHistogram::clone(&points[last].1)
    };
    if !change.is_counter && (!is_gauge(&left) || !is_gauge(&right)) {
        remarks.add(Remark::NotGauge);
    }
    let mut rise = right.clone();
    subtract(&mut rise, &left, remarks).then_some(())?;
    if change.is_counter {
        let is_spent =
            is_smoothed && times_ms[first] < window.start_ms && points[first + 1].1.detect_reset(&points[first].1);
        if let Some(correction) = correction(points, ends, (&left, &right), is_spent, remarks)? {
            add(&mut rise, &correction, remarks).then_some(())?;
        }
    }
    rise.divide(change.divisor);
    rise.hint = CounterResetHint::Gauge;
    rise.compact(0);
    Some(rise)
}

/// Whether the histograms can be joined at all.
fn check(points: &[Point], is_counter: bool, remarks: &mut Remarks) -> Option<()> {
    let has_custom = points[0].1.has_custom_buckets();
    for (_, one) in points {
        if one.has_custom_buckets() != has_custom {
            remarks.add(Remark::MixedSchemas);
            return None;
        }
        if is_counter && is_gauge(one) {
            remarks.add(Remark::NotCounter);
        }
    }
    Some(())
}

/// What a counter had before each start anew between the edges, added up; none if there was no such start. The one
/// before the second sample `is_spent` when the left edge was made up across it.
///
/// The last sample is left to `right`, which is that sample or says of resets what it says.
fn correction(
    points: &[Point],
    Ends { first, last }: Ends,
    (left, right): (&FloatHistogram, &FloatHistogram),
    is_spent: bool,
    remarks: &mut Remarks,
) -> Option<Option<FloatHistogram>> {
    let (mut before, from) = if is_spent { (points[first + 1].1.as_ref(), first + 2) } else { (left, first + 1) };
    let mut correction: Option<FloatHistogram> = None;
    if from > last {
        return Some(None);
    }
    for now in points[from..last].iter().map(|(_, one)| one.as_ref()).chain([right]) {
        if now.detect_reset(before) {
            match &mut correction {
                None => correction = Some(before.clone()),
                Some(sum) => add(sum, before, remarks).then_some(())?,
            }
        }
        before = now;
    }
    Some(correction)
}

/// What `x smoothed` shows at each moment: the sample there, one made up between its neighbours, or the last one before.
pub(in crate::query) fn instants(samples: &Samples, grid: Grid, lookback_ms: i64, remarks: &mut Remarks) -> Column {
    let mut column = Column::absent(grid.count);
    let (times_ms, histograms) = (&samples.numbers.timestamps_ms, &samples.histograms);
    for (step, moment_ms) in grid.times_ms().enumerate() {
        let (from_ms, to_ms) = (moment_ms.saturating_sub(lookback_ms), moment_ms.saturating_add(lookback_ms));
        let within = times_ms.partition_point(|time_ms| *time_ms <= from_ms)
            ..times_ms.partition_point(|time_ms| *time_ms <= to_ms);
        let near = histograms.partition_point(|(time_ms, _)| *time_ms <= from_ms)
            ..histograms.partition_point(|(time_ms, _)| *time_ms <= to_ms);
        if !within.is_empty() && !near.is_empty() {
            remarks.add(Remark::Mixed);
        } else if near.is_empty() {
            let numbers = (&times_ms[within.clone()], &samples.numbers.values[within]);
            if let Some(value) = number_at(numbers, moment_ms) {
                column.set(step, value);
            }
        } else if let Some(value) = histogram_at(&histograms[near], moment_ms, remarks) {
            column.set_element(step, Element::Histogram(&value));
        }
    }
    column
}

fn number_at((times_ms, values): (&[i64], &[f64]), at_ms: i64) -> Option<f64> {
    let next = times_ms.partition_point(|time_ms| *time_ms < at_ms);
    let sample = |index: usize| (times_ms[index], values[index]);
    match (next, times_ms.get(next)) {
        (_, Some(time_ms)) if *time_ms == at_ms => Some(values[next]),
        (1.., Some(_)) => Some(between(sample(next - 1), sample(next), at_ms, false)),
        (1.., None) => Some(values[next - 1]),
        (0, _) => None,
    }
}

fn histogram_at(points: &[Point], at_ms: i64, remarks: &mut Remarks) -> Option<Arc<FloatHistogram>> {
    let next = points.partition_point(|(time_ms, _)| *time_ms < at_ms);
    let (before, after) = (next.checked_sub(1).map(|index| &points[index]), points.get(next));
    if let Some((_, after)) = after.filter(|(time_ms, _)| *time_ms == at_ms) {
        return Some(after.clone());
    }
    let before = before?;
    let Some(after) = after else {
        // What it says of resets is about the sample before it, and this is not that sample.
        let hint = CounterResetHint::Unknown;
        return Some(Arc::new(FloatHistogram { hint, ..FloatHistogram::clone(&before.1) }));
    };
    let is_counter = !is_gauge(&before.1) || !is_gauge(&after.1);
    if before.1.has_custom_buckets() != after.1.has_custom_buckets() {
        remarks.add(Remark::MixedSchemas);
        return None;
    }
    between_histograms(before, after, at_ms, is_counter, remarks).map(Arc::new)
}

/// The samples of a range with such edges, a sample at either end made up; none if the window has none.
pub(in crate::query) fn points(samples: &Columns, edges_ms: (i64, i64), edges: Edges) -> Columns {
    let is_smoothed = edges == Edges::Smoothed;
    let (times_ms, values) = (samples.timestamps_ms.as_slice(), samples.values.as_slice());
    let mut points = Columns::default();
    let Some(ends) = ends(times_ms, edges_ms, is_smoothed) else { return points };
    let (left, right) = edge_values((times_ms, values), ends, edges_ms, is_smoothed, false);
    points.push(edges_ms.0, left);
    inner(times_ms, ends, edges_ms).for_each(|index| points.push(times_ms[index], values[index]));
    points.push(edges_ms.1, right);
    points
}
