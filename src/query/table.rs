//! Many series, one at a time: the labels of all are known at once, the values of each when they are asked for.
//!
//! `rate(x[1m]) * 60` over 10,000 series is a table of 10,000 label sets and a chain of two sources. Asking the chain
//! for row 17 decodes series 17, takes its rates into a column, and multiplies that. No more columns exist at a time
//! than threads work on the query, unless an operator has to hold them (sorting, the "one" side of a match).
//!
//! Always true: a row may turn out to have no value at any step; which rows there are does not depend on the values.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::budget::Budget;
use super::column::Column;
use super::error::QueryError;
use crate::model::Labels;
use crate::storage::view::Columns;

/// From this number of rows on they are computed by all threads.
const PARALLEL_ROWS_MIN: usize = 64;
/// Most rows that are computed ahead of the one that takes them in order.
const BLOCK_ROWS_MAX: usize = 256;
/// Most values that are computed ahead.
const BLOCK_VALUES_MAX: usize = 1 << 22;
/// A block is made so large that it takes about this long: all queries share the threads, and the rows of another one
/// get their turn between two blocks.
const BLOCK_TIME: Duration = Duration::from_millis(20);

/// What computes the rows of a table.
pub(super) trait Source: Send + Sync {
    /// The values of one row over all steps.
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError>;
}

/// Memory that a thread uses again from row to row.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) samples: Columns,
    pub(super) indexes: Vec<usize>,
    pub(super) sorted: Vec<f64>,
}

/// Label sets, and what computes the values that belong to them.
pub(super) struct Table<'q> {
    pub(super) labels: Vec<Arc<Labels>>,
    pub(super) source: Box<dyn Source + 'q>,
}

impl<'q> Table<'q> {
    pub(super) fn new(labels: Vec<Arc<Labels>>, source: impl Source + 'q) -> Table<'q> {
        Table { labels, source: Box::new(source) }
    }

    /// Rows whose values are known already.
    pub(super) fn held(rows: Vec<(Arc<Labels>, Column)>) -> Table<'q> {
        let (labels, columns) = rows.into_iter().unzip();
        Table::new(labels, Held(columns))
    }

    /// The table in which `change` was done to each column; it is told the row's index.
    pub(super) fn map(self, change: impl Fn(usize, &mut Column) + Send + Sync + 'q) -> Table<'q> {
        Table { labels: self.labels, source: Box::new(Mapped { inner: self.source, change }) }
    }

    /// Without the metric's name on any row. Rows that come to have the same labels become one.
    pub(super) fn drop_names(mut self) -> Table<'q> {
        self.labels.iter_mut().for_each(|labels| *labels = nameless(labels));
        self.merge_same()
    }

    /// Makes one row of those with equal labels. That two of them have a value at the same step is an error of the data,
    /// found when the row is computed.
    pub(super) fn merge_same(self) -> Table<'q> {
        let mut first: HashMap<&Labels, usize> = HashMap::with_capacity(self.labels.len());
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for (index, labels) in self.labels.iter().enumerate() {
            let row = *first.entry(labels).or_insert(parts.len());
            if row == parts.len() {
                parts.push(vec![index]);
            } else {
                parts[row].push(index);
            }
        }
        if parts.len() == self.labels.len() {
            return self;
        }
        let labels = parts.iter().map(|indexes| self.labels[indexes[0]].clone()).collect();
        Table::new(labels, Merged { inner: self.source, parts })
    }

    /// Takes every row in order; rows are computed in parallel ahead of that.
    /// `steps` is the length of the columns.
    pub(super) fn for_each(
        &self,
        budget: &Budget,
        steps: usize,
        mut take: impl FnMut(usize, Column) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let rows = self.labels.len();
        let mut scratch = Scratch::default();
        if rows < PARALLEL_ROWS_MIN {
            for index in 0..rows {
                budget.check()?;
                take(index, self.source.column(index, &mut scratch)?)?;
            }
            return Ok(());
        }
        let block_max = (BLOCK_VALUES_MAX / steps.max(1)).clamp(1, BLOCK_ROWS_MAX);
        let block_min = rayon::current_num_threads().min(block_max);
        let (mut start, mut block) = (0, block_min);
        while start < rows {
            let began = budget.now();
            let columns: Result<Vec<Column>, QueryError> = (start..rows.min(start + block))
                .into_par_iter()
                .map_init(Scratch::default, |scratch, index| {
                    budget.check()?;
                    self.source.column(index, scratch)
                })
                .collect();
            for (ahead, column) in columns?.into_iter().enumerate() {
                budget.check()?;
                take(start + ahead, column)?;
            }
            start += block;
            block = if budget.now() - began < BLOCK_TIME { block * 2 } else { block / 2 }.clamp(block_min, block_max);
        }
        Ok(())
    }

    /// Computes all rows and holds those that have a value.
    pub(super) fn collect(&self, budget: &Budget, steps: usize) -> Result<Vec<(Arc<Labels>, Column)>, QueryError> {
        let mut rows = Vec::new();
        self.for_each(budget, steps, |index, column| {
            if !column.present.is_empty() {
                budget.take_samples(steps)?;
                rows.push((self.labels[index].clone(), column));
            }
            Ok(())
        })?;
        Ok(rows)
    }
}

/// The labels without the metric's name; the same allocation when there is none.
pub(super) fn nameless(labels: &Arc<Labels>) -> Arc<Labels> {
    if labels.metric_name().is_none() { labels.clone() } else { Arc::new(labels.without_metric_name()) }
}

struct Held(Vec<Column>);

impl Source for Held {
    fn column(&self, index: usize, _scratch: &mut Scratch) -> Result<Column, QueryError> {
        Ok(self.0[index].clone())
    }
}

struct Mapped<'q, F> {
    inner: Box<dyn Source + 'q>,
    change: F,
}

impl<F: Fn(usize, &mut Column) + Send + Sync> Source for Mapped<'_, F> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let mut column = self.inner.column(index, scratch)?;
        (self.change)(index, &mut column);
        Ok(column)
    }
}

struct Merged<'q> {
    inner: Box<dyn Source + 'q>,
    parts: Vec<Vec<usize>>,
}

impl Source for Merged<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let (first, others) =
            self.parts[index].split_first().expect("each row of the merged table was made of at least one row");
        let mut whole = self.inner.column(*first, scratch)?;
        for other in others {
            whole.unite(&self.inner.column(*other, scratch)?)?;
        }
        Ok(whole)
    }
}
