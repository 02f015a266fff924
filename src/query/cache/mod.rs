//! Answers to range queries, kept: a dashboard that is asked for again a minute later has only its last steps computed.
//!
//! ```text
//! 12:00  asked for 11:00 … 12:00 ─────────────────────── computed, kept
//! 12:01  asked for 11:01 … 12:01    └─ as it was ─┘└ new ┘
//!                                             11:59  oldest sample written since (storage says so)
//! ```
//!
//! Always true:
//! 1. A step is shown from here only if nothing that it looks at has changed since it was computed: the query looks at no
//!    moment behind the step ([`reaches_back_only`]), and no sample as old as the step came or went.
//! 2. All that is kept takes at most the bytes allowed, the answer that was used longest ago going first.

mod plans;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub(super) use plans::PlanCache;
pub use plans::PlanFigures;

use super::column::{Grid, places_of};
use super::engine::Series;
use super::plan::{Function, Node, Plan, Range, RangeInput, Shift};
use super::syntax::Edges;
use crate::recent::Recent;
use crate::storage::view::{Columns, ReadView, Stamp};

/// Most answers that are kept, however small.
const ANSWERS_MAX: usize = 1_024;
/// The largest part of all bytes that one answer may take.
const ANSWER_SHARE: usize = 4;

/// Answers that may be used again. Shared by all queries.
#[derive(Debug)]
pub(super) struct AnswerCache {
    bytes_max: usize,
    kept: Mutex<Recent<Key, Answered>>,
    /// The number of the next answer.
    serial: AtomicU64,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    used: AtomicU64,
    unused: AtomicU64,
}

/// How often answers were used again, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Range queries some of whose steps were known.
    pub used: u64,
    /// Range queries that might have been known, and were not.
    pub unused: u64,
    /// Bytes that the kept answers take, about.
    pub bytes: usize,
}

/// What answers have in common that may go on from one another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    query: String,
    step_ms: i64,
    /// Where its steps lie between multiples of their distance.
    phase_ms: i64,
    lookback_ms: i64,
}

#[derive(Debug)]
struct Answered {
    serial: u64,
    stamp: Stamp,
    grid: Grid,
    part: Arc<Part>,
}

/// What is known of an answer that is asked for.
pub(super) struct Known {
    /// The first steps.
    pub(super) part: Part,
    /// How many those are.
    pub(super) count: usize,
    /// The number of the kept answer, if it is the whole answer that is asked for, and no more.
    pub(super) serial: Option<u64>,
}

/// Series over some steps, with the remarks made of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    /// In the order of their labels.
    pub(super) series: Vec<Series>,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

impl Key {
    pub(super) fn new(query: &str, grid: Grid, lookback_ms: i64) -> Key {
        let (step_ms, phase_ms) = (grid.step_ms, grid.start_ms.rem_euclid(grid.step_ms));
        Key { query: query.to_owned(), step_ms, phase_ms, lookback_ms }
    }
}

impl AnswerCache {
    pub(super) fn new(bytes_max: usize) -> AnswerCache {
        let kept = Mutex::new(Recent::new(ANSWERS_MAX, bytes_max));
        AnswerCache { bytes_max, kept, serial: AtomicU64::new(0), figures: Figures::default() }
    }

    pub(super) fn figures(&self) -> CacheFigures {
        let Figures { used, unused } = &self.figures;
        let (used, unused) = (used.load(Ordering::Relaxed), unused.load(Ordering::Relaxed));
        CacheFigures { used, unused, bytes: self.kept.lock().bytes() }
    }

    /// The first steps of the grid, as many as are known. To be asked when the view's new stamp has been taken.
    pub(super) fn find(&self, key: &Key, grid: Grid, view: &ReadView) -> Option<Known> {
        let found = self.find_whole(key, grid, view);
        let counter = if found.is_some() { &self.figures.used } else { &self.figures.unused };
        counter.fetch_add(1, Ordering::Relaxed);
        let (part, count, serial) = found?;
        let (first_ms, last_ms, more) = (grid.start_ms, grid.time_ms(count - 1), grid.count - count);
        let series = part.series.iter().filter_map(|series| between(series, (first_ms, last_ms), more));
        let part = Part { series: series.collect(), warnings: part.warnings.clone(), infos: part.infos.clone() };
        Some(Known { part, count, serial })
    }

    fn find_whole(&self, key: &Key, grid: Grid, view: &ReadView) -> Option<(Arc<Part>, usize, Option<u64>)> {
        let mut kept = self.kept.lock();
        let answered = kept.get(key)?;
        let known_ms = answered.grid.last_ms().min(view.unchanged_before_ms(answered.stamp).saturating_sub(1));
        if grid.start_ms < answered.grid.start_ms || known_ms < grid.start_ms {
            return None;
        }
        let count = usize::try_from((known_ms - grid.start_ms) / grid.step_ms + 1).unwrap_or(usize::MAX);
        let is_all = grid == answered.grid && count >= grid.count;
        Some((answered.part.clone(), count.min(grid.count), is_all.then_some(answered.serial)))
    }

    /// Keeps an answer that was computed since `stamp`, or that was the kept one with this number and still is.
    pub(super) fn keep(&self, key: Key, stamp: Stamp, grid: Grid, part: &Part, serial: Option<u64>) {
        let bytes = key.query.len() + part.series.iter().map(bytes_of).sum::<usize>() + size_of::<Answered>();
        if bytes > self.bytes_max / ANSWER_SHARE {
            return;
        }
        let serial = serial.unwrap_or_else(|| self.serial.fetch_add(1, Ordering::Relaxed));
        let answered = Answered { serial, stamp, grid, part: Arc::new(part.clone()) };
        let gone = self.kept.lock().insert(key, answered, bytes);
        drop(gone); // with the lock free again
    }
}

fn bytes_of(series: &Series) -> usize {
    let histograms = series.histograms.iter().map(|(_, one)| size_of::<f64>() * places_of(one) + size_of::<i64>());
    size_of::<Series>()
        + series.labels.heap_bytes()
        + series.points.len() * (size_of::<i64>() + size_of::<f64>())
        + histograms.sum::<usize>()
}

/// What a series has from the first moment to the last, with room for some numbers more; none if that is nothing.
fn between(series: &Series, (first_ms, last_ms): (i64, i64), more: usize) -> Option<Series> {
    let times = &series.points.timestamps_ms;
    let numbers =
        times.partition_point(|time_ms| *time_ms < first_ms)..times.partition_point(|time_ms| *time_ms <= last_ms);
    let histograms = &series.histograms;
    let histograms = &histograms[histograms.partition_point(|(time_ms, _)| *time_ms < first_ms)
        ..histograms.partition_point(|(time_ms, _)| *time_ms <= last_ms)];
    if numbers.len() == times.len() && histograms.len() == series.histograms.len() && more == 0 {
        return Some(series.clone());
    }
    if numbers.is_empty() && histograms.is_empty() {
        return None;
    }
    let count = numbers.len() + more;
    let (timestamps_ms, values) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut points = Columns { timestamps_ms, values, ..Columns::default() };
    points.timestamps_ms.extend_from_slice(&times[numbers.clone()]);
    points.values.extend_from_slice(&series.points.values[numbers]);
    Some(Series { labels: series.labels.clone(), points: Arc::new(points), histograms: histograms.to_vec() })
}

impl Part {
    /// This part with a later one behind it.
    pub(super) fn join(self, later: Part) -> Part {
        let mut series = Vec::with_capacity(self.series.len().max(later.series.len()));
        let (mut earlier, mut later_series) = (self.series.into_iter().peekable(), later.series.into_iter().peekable());
        loop {
            let order = match (earlier.peek(), later_series.peek()) {
                (Some(one), Some(other)) => one.labels.cmp(&other.labels),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            let mut next = if order.is_le() { earlier.next() } else { later_series.next() }.expect("peeked above");
            if order.is_eq() {
                let behind = later_series.next().expect("peeked above");
                let points = Arc::make_mut(&mut next.points);
                points.timestamps_ms.extend_from_slice(&behind.points.timestamps_ms);
                points.values.extend_from_slice(&behind.points.values);
                next.histograms.extend(behind.histograms);
            }
            series.push(next);
        }
        let union = |mut one: Vec<String>, other: Vec<String>| {
            one.extend(other);
            one.sort();
            one.dedup();
            one
        };
        Part { series, warnings: union(self.warnings, later.warnings), infos: union(self.infos, later.infos) }
    }
}

/// Whether what a plan comes to at a step depends on nothing behind the step, nor on the other steps of the query.
pub(super) fn reaches_back_only(plan: &Plan) -> bool {
    let range_does = |range: &Range| {
        let inner_does = match &range.input {
            RangeInput::Selector(_) => true,
            RangeInput::Subquery { inner, .. } => reaches_back_only(inner),
        };
        inner_does && looks_back(range.shift) && range.edges != Some(Edges::Smoothed)
    };
    match &plan.node {
        Node::Number(_) | Node::Text(_) => true,
        Node::Selector(selector) => looks_back(selector.shift) && selector.edges.is_none(),
        Node::Range(range) => range_does(range),
        Node::Rollup { range, parameters, .. } => range_does(range) && parameters.iter().all(reaches_back_only),
        Node::Aggregate { parameter, inner, .. } => {
            reaches_back_only(inner) && parameter.as_deref().is_none_or(reaches_back_only)
        }
        Node::Binary { left, right, .. } => reaches_back_only(left) && reaches_back_only(right),
        Node::Negate(inner) | Node::Plus(inner) => reaches_back_only(inner),
        Node::Call { function: Function::Start | Function::End | Function::Range, .. } => false,
        Node::Call { arguments, .. } => arguments.iter().all(reaches_back_only),
    }
}

fn looks_back(shift: Shift) -> bool {
    shift.at_ms.is_none() && shift.offset_ms >= 0
}

#[cfg(test)]
mod tests;
