//! Many series, one at a time: the labels of all are known at once, the values of each when they are asked for.
//!
//! `rate(x[1m]) * 60` over 10,000 series is a table of 10,000 label sets and a chain of two sources. Asking the chain
//! for row 17 decodes series 17, takes its rates into a column, and multiplies that. No more columns exist at a time
//! than threads work on the query, unless somebody has to hold them (sorting, the "one" side of a match, a part that stands
//! in the query twice).
//!
//! Always true: a row may turn out to have no value at any step; which rows there are does not depend on the values.
//!
//! Most functions take the metric's name off their rows, either at once or, where [`Context::delays_names`] says so, by a
//! mark: then the name goes at the very end, and is there to be grouped by until then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::budget::{Budget, Hold};
use super::column::{Column, same_labelset};
use super::error::QueryError;
use super::eval::Context;
use super::windows::Samples;
use crate::model::{Labels, METRIC_NAME};

/// From this number of rows on they are computed by all threads.
const PARALLEL_ROWS_MIN: usize = 64;
/// Most rows that are computed ahead of the one that takes them in order.
const BLOCK_ROWS_MAX: usize = 256;
/// About how many places for values are computed ahead at most: 8 MiB of them, and a row for each thread in any case.
const BLOCK_PLACES_MAX: usize = 1 << 20;
/// A block is made so large that it takes about this long: all queries share the threads, and the rows of another one
/// get their turn between two blocks.
const BLOCK_TIME: Duration = Duration::from_millis(20);

/// What computes the rows of a table.
pub(super) trait Source: Send + Sync {
    /// The values of one row over all steps.
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError>;

    /// The values of all rows, if they are held.
    fn held(&self) -> Option<Held> {
        None
    }
}

/// Memory that a thread uses again from row to row.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) samples: Samples,
    pub(super) indexes: Vec<usize>,
    pub(super) sorted: Vec<f64>,
}

/// What is known of a series before its values are.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) labels: Arc<Labels>,
    /// Whether the metric's name is to go at the end.
    pub(super) sheds_name: bool,
}

impl Row {
    /// A row that keeps its labels as they are.
    pub(super) fn new(labels: Arc<Labels>) -> Row {
        Row { labels, sheds_name: false }
    }
}

/// Rows, and what computes the values that belong to them.
pub(super) struct Table<'q> {
    pub(super) rows: Vec<Row>,
    pub(super) source: Box<dyn Source + 'q>,
}

impl<'q> Table<'q> {
    pub(super) fn new(rows: Vec<Row>, source: impl Source + 'q) -> Table<'q> {
        Table { rows, source: Box::new(source) }
    }

    /// Rows whose values are known already.
    pub(super) fn held(rows: Vec<(Row, Column)>) -> Table<'q> {
        let (rows, columns) = rows.into_iter().unzip();
        Table::new(rows, Held::new(columns, Vec::new()))
    }

    /// The same table once more, if its values are held: both show the same ones.
    pub(super) fn again(&self) -> Option<Table<'static>> {
        Some(Table::new(self.rows.clone(), self.source.held()?))
    }

    /// The table with all its values computed and held. `counted`: [`places_held`], for which there is room.
    pub(super) fn hold_all(self, context: &Context<'_>, counted: Hold) -> Result<Table<'static>, QueryError> {
        let mut counted = vec![counted];
        let mut columns = Vec::with_capacity(self.rows.len());
        self.for_each(context.budget, context.grid.count, |_, column| {
            if column.histograms.is_some() {
                counted.push(context.budget.hold(column.count())?);
            }
            columns.push(column);
            Ok(())
        })?;
        Ok(Table::new(self.rows, Held::new(columns, counted)))
    }

    /// The table in which `change` was done to each column; it is told the row's index.
    pub(super) fn map(self, change: impl Fn(usize, &mut Column) + Send + Sync + 'q) -> Table<'q> {
        Table { rows: self.rows, source: Box::new(Mapped { inner: self.source, change }) }
    }

    /// Without the metric's name on any row, now or at the end. Rows that come to have the same labels become one.
    pub(super) fn shed_names(self, context: &Context<'_>) -> Table<'q> {
        self.shed(context, false)
    }

    /// As [`Table::shed_names`], but of rows that come to have the same labels only one may have values, at whatever
    /// steps: what Prometheus wants of functions over ranges.
    pub(super) fn shed_names_apart(self, context: &Context<'_>) -> Table<'q> {
        self.shed(context, true)
    }

    fn shed(mut self, context: &Context<'_>, apart: bool) -> Table<'q> {
        if context.delays_names {
            self.rows.iter_mut().for_each(|row| row.sheds_name = true);
            return self;
        }
        let had_one_name = self.has_one_name();
        self.rows.iter_mut().for_each(|row| row.labels = nameless(&row.labels));
        if had_one_name { self } else { self.merge(apart) }
    }

    /// Takes off the names that were to go at the end.
    pub(super) fn settle_names(mut self) -> Table<'q> {
        if self.rows.iter().all(|row| !row.sheds_name) {
            return self;
        }
        for row in self.rows.iter_mut().filter(|row| row.sheds_name) {
            row.labels = nameless(&row.labels);
            row.sheds_name = false;
        }
        self.merge_same()
    }

    /// Whether all rows have the same name, so that without it they differ as before.
    fn has_one_name(&self) -> bool {
        let mut names = self.rows.iter().map(|row| reserved(&row.labels));
        names.next().is_none_or(|first| names.all(|other| other == first))
    }

    /// Makes one row of those with equal labels. That two of them have a value at the same step is an error of the data,
    /// found when the row is computed.
    pub(super) fn merge_same(self) -> Table<'q> {
        self.merge(false)
    }

    fn merge(self, apart: bool) -> Table<'q> {
        let mut first: HashMap<&Labels, usize> = HashMap::with_capacity(self.rows.len());
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let part = *first.entry(&row.labels).or_insert(parts.len());
            if part == parts.len() {
                parts.push(vec![index]);
            } else {
                parts[part].push(index);
            }
        }
        if parts.len() == self.rows.len() {
            return self;
        }
        let rows = parts.iter().map(|indexes| self.rows[indexes[0]].clone()).collect();
        Table::new(rows, Merged { inner: self.source, parts, apart })
    }

    /// Takes every row in order; rows are computed in parallel ahead of that, the fewer the more places one takes: a native
    /// histogram at each step takes a hundred times those of numbers. `steps` is the length of the columns.
    pub(super) fn for_each(
        &self,
        budget: &Budget,
        steps: usize,
        mut take: impl FnMut(usize, Column) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let rows = self.rows.len();
        let mut scratch = Scratch::default();
        if rows < PARALLEL_ROWS_MIN {
            for index in 0..rows {
                budget.check()?;
                take(index, self.source.column(index, &mut scratch)?)?;
            }
            return Ok(());
        }
        let block_min = rayon::current_num_threads().min(BLOCK_ROWS_MAX);
        let (mut start, mut block) = (0, block_min);
        while start < rows {
            let began = budget.now();
            let columns: Result<Vec<Column>, QueryError> = (start..rows.min(start + block))
                .into_par_iter()
                .map_init(Scratch::default, |scratch, index| {
                    budget.check_row(index)?;
                    self.source.column(index, scratch)
                })
                .collect();
            let columns = columns?;
            let places: usize = columns.iter().map(|column| column.count().max(steps)).sum();
            let _held = budget.hold(places)?;
            let block_max = (BLOCK_PLACES_MAX / places.div_ceil(block).max(1)).clamp(block_min, BLOCK_ROWS_MAX);
            for (ahead, column) in columns.into_iter().enumerate() {
                budget.check_row(ahead)?;
                take(start + ahead, column)?;
            }
            start += block;
            block = if budget.now() - began < BLOCK_TIME { block * 2 } else { block / 2 }.clamp(block_min, block_max);
        }
        Ok(())
    }

    /// None of the rows. They are computed all the same, for what is wrong with them is told.
    pub(super) fn nothing(&self, context: &Context<'_>) -> Result<Table<'q>, QueryError> {
        self.for_each(context.budget, context.grid.count, |_, _| Ok(()))?;
        Ok(Table::held(Vec::new()))
    }

    /// Computes all rows and holds those that have a value.
    pub(super) fn collect(&self, budget: &Budget, steps: usize) -> Result<Vec<(Row, Column)>, QueryError> {
        let mut rows = Vec::new();
        self.for_each(budget, steps, |index, column| {
            if !column.is_empty() {
                budget.take_samples(steps)?;
                rows.push((self.rows[index].clone(), column));
            }
            Ok(())
        })?;
        Ok(rows)
    }
}

/// Labels that say what a metric is, and no longer hold once something was computed of it.
fn is_reserved(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

fn reserved(labels: &Labels) -> [Option<&str>; 3] {
    let mut found = [None; 3];
    // They start with two underscores, and labels are in order: what comes behind cannot be one.
    for (name, value) in labels.iter().take_while(|(name, _)| *name <= "__unit__") {
        match name {
            METRIC_NAME => found[0] = Some(value),
            "__type__" => found[1] = Some(value),
            "__unit__" => found[2] = Some(value),
            _ => {}
        }
    }
    found
}

/// The labels without the metric's name, type and unit; the same allocation when there are none.
pub(super) fn nameless(labels: &Arc<Labels>) -> Arc<Labels> {
    if reserved(labels) == [None; 3] { labels.clone() } else { Arc::new(labels.filtered(|name| !is_reserved(name))) }
}

/// Columns that are there, for as many tables as show them.
#[derive(Clone)]
pub(super) struct Held(Arc<HeldColumns>);

struct HeldColumns {
    columns: Vec<Column>,
    /// What they take, where it is given back.
    _counted: Vec<Hold>,
}

impl Held {
    pub(super) fn new(columns: Vec<Column>, counted: Vec<Hold>) -> Held {
        Held(Arc::new(HeldColumns { columns, _counted: counted }))
    }
}

impl Source for Held {
    fn column(&self, index: usize, _scratch: &mut Scratch) -> Result<Column, QueryError> {
        Ok(self.0.columns[index].clone())
    }

    fn held(&self) -> Option<Held> {
        Some(self.clone())
    }
}

/// Places for values that rows take when they are held, as a budget counts them, native histograms apart.
pub(super) fn places_held(rows: usize, steps: usize) -> usize {
    let each = steps + steps.div_ceil(u64::BITS as usize) + size_of::<Column>() / size_of::<f64>();
    rows.saturating_mul(each)
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
    /// Whether only one of the parts may have values.
    apart: bool,
}

impl Source for Merged<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let (first, others) =
            self.parts[index].split_first().expect("each row of the merged table was made of at least one row");
        let mut whole = self.inner.column(*first, scratch)?;
        for other in others {
            let other = self.inner.column(*other, scratch)?;
            if self.apart && !whole.is_empty() && !other.is_empty() {
                return Err(same_labelset());
            }
            whole.unite(&other)?;
        }
        Ok(whole)
    }
}

/// All columns of a table.
pub(super) fn hold(context: &Context<'_>, table: &Table<'_>) -> Result<Vec<Column>, QueryError> {
    let steps = context.grid.count;
    let mut columns = Vec::with_capacity(table.rows.len());
    table.for_each(context.budget, steps, |_, column| {
        context.budget.take_samples(steps)?;
        columns.push(column);
        Ok(())
    })?;
    Ok(columns)
}

/// The labels with one of them set, or removed if the value is empty.
pub(super) fn with_label(labels: &Labels, name: &str, value: &str) -> Result<Labels, QueryError> {
    labels.with(name, value).map_err(|error| QueryError::Execution(format!("label {name:?} cannot be set: {error}")))
}
