//! Sums and means of native histograms within groups.
//!
//! A group that has both a number and a histogram at a step answers nothing there, and says so:
//!
//! ```text
//! sum(x):   x{node="1"}   5    -    {{count:2}}
//!           x{node="2"}   -    1    {{count:3}}     ─►  {}   -   1   {{count:5}}
//!           x{node="3"}   {{count:7}}  -  -
//! ```
//!
//! Always true: nothing of this exists for a group before it meets its first histogram.

use std::sync::Arc;

use crate::model::{CounterResetHint, FloatHistogram, HistogramMean, HistogramSum, MixedSchemas, Reconciled};
use crate::query::budget::Budget;
use crate::query::column::{Column, places_of};
use crate::query::error::QueryError;
use crate::query::notes::Notes;
use crate::query::syntax::Span;
use crate::query::syntax::quote;

/// A running sum or mean.
enum Running {
    Sum(Box<HistogramSum>),
    Mean(Box<HistogramMean>),
}

impl Running {
    fn of(first: &FloatHistogram, is_mean: bool) -> Running {
        if is_mean {
            Running::Mean(Box::new(HistogramMean::of(first)))
        } else {
            Running::Sum(Box::new(HistogramSum::of(first)))
        }
    }

    fn add(&mut self, next: &FloatHistogram) -> Result<Reconciled, MixedSchemas> {
        match self {
            Running::Sum(sum) => sum.add(next),
            Running::Mean(mean) => mean.add(next),
        }
    }

    fn histogram(&self) -> FloatHistogram {
        match self {
            Running::Sum(sum) => sum.histogram(),
            Running::Mean(mean) => mean.histogram(),
        }
    }
}

/// What a group's histograms at one step have come to.
enum Cell {
    /// There was none yet.
    Empty,
    /// Their sum or mean, and which hints were seen: that a counter started anew, that it did not.
    Running { running: Running, reset: bool, went_on: bool },
    /// There was a number before the first of them: the step has no answer, and they are not added.
    Mixed,
    /// They cannot be added. Whether there was a number by then.
    Incompatible { had_number: bool },
}

/// What is said of the groups of one aggregation.
#[derive(Clone, Copy)]
pub(super) struct Remarks<'n> {
    pub(super) notes: &'n Notes,
    /// Where the aggregated expression stands.
    pub(super) at: Span,
}

/// The histograms of one group, by step.
pub(super) struct HistogramGroup {
    cells: Vec<Cell>,
    is_mean: bool,
}

impl HistogramGroup {
    pub(super) fn new(steps: usize, is_mean: bool, budget: &Budget) -> Result<HistogramGroup, QueryError> {
        budget.take_samples(steps * size_of::<Cell>().div_ceil(size_of::<f64>()))?;
        Ok(HistogramGroup { cells: (0..steps).map(|_| Cell::Empty).collect(), is_mean })
    }

    /// Takes in the histograms of a row of this name. `result` tells at which steps the group had a number before.
    pub(super) fn take(
        &mut self,
        column: &Column,
        result: &Column,
        name: Option<&str>,
        budget: &Budget,
        remarks: Remarks<'_>,
    ) -> Result<(), QueryError> {
        let mut meter = budget.meter();
        for (step, histogram) in column.iter_histograms() {
            meter.work(histogram.buckets_count())?;
            let cell = &mut self.cells[step];
            let had_number = result.present.has(step);
            match cell {
                Cell::Mixed | Cell::Incompatible { .. } => {}
                Cell::Empty if had_number => *cell = Cell::Mixed,
                Cell::Empty => {
                    budget.take_samples(2 * places_of(histogram))?;
                    let running = Running::of(histogram, self.is_mean);
                    *cell = Cell::Running { running, reset: says_reset(histogram), went_on: says_went_on(histogram) };
                }
                Cell::Running { running, reset, went_on } => {
                    *reset |= says_reset(histogram);
                    *went_on |= says_went_on(histogram);
                    match running.add(histogram) {
                        Ok(reconciled) if reconciled.bounds_differed => remarks.bounds_differed(),
                        Ok(_) => {}
                        Err(MixedSchemas) => {
                            remarks.schemas_mixed(name.unwrap_or(""));
                            *cell = Cell::Incompatible { had_number };
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts the answers into the group's column, which has the answers of its numbers.
    pub(super) fn close(self, result: &mut Column, remarks: Remarks<'_>) {
        for (step, cell) in self.cells.into_iter().enumerate() {
            let is_mixed = match &cell {
                Cell::Empty => continue,
                Cell::Mixed => true,
                Cell::Incompatible { had_number } => *had_number,
                Cell::Running { .. } => result.present.has(step),
            };
            result.present.remove(step);
            if is_mixed {
                remarks.kinds_mixed();
                continue;
            }
            if let Cell::Running { running, reset, went_on } = cell {
                if reset && went_on {
                    remarks.hints_collided();
                }
                result.set_histogram(step, Arc::new(running.histogram()));
            }
        }
    }
}

fn says_reset(histogram: &FloatHistogram) -> bool {
    histogram.hint == CounterResetHint::Reset
}

fn says_went_on(histogram: &FloatHistogram) -> bool {
    histogram.hint == CounterResetHint::NotReset
}

impl Remarks<'_> {
    /// Says that histograms were left out of an aggregation of this name.
    pub(super) fn ignored(self, aggregation: &str) {
        self.notes.inform(self.at, format!("ignored histogram in {aggregation} aggregation"));
    }

    fn bounds_differed(self) {
        self.notes.inform(self.at, "mismatched custom buckets were reconciled during aggregation");
    }

    fn hints_collided(self) {
        self.notes.warn(self.at, "conflicting counter resets during histogram aggregation");
    }

    fn kinds_mixed(self) {
        self.notes.warn(self.at, "encountered a mix of histograms and floats for aggregation");
    }

    fn schemas_mixed(self, name: &str) {
        let what = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
        self.notes.warn(self.at, format!("{what} {}", quote(name)));
    }
}
