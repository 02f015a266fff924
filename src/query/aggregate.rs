//! Many series into one of each group.
//!
//! ```text
//! sum by (region) (x):   x{region="eu", node="1"}  1  2  3
//!                        x{region="eu", node="2"}  1  -  1   ─►  {region="eu"}  2  2  4
//!                        x{region="us", node="1"}  5  5  -   ─►  {region="us"}  5  5  -
//! ```
//!
//! The group of each row is worked out once from its labels. Rows are then taken one after the other and added to the
//! accumulators of their group, one for each step: what is held is groups × steps, however many rows there are. They
//! are added in the order of the rows, whatever thread computed them, so that a sum does not change from call to call.

use std::collections::HashMap;
use std::sync::Arc;

use super::column::Column;
use super::error::QueryError;
use super::eval::{Context, scalar, text};
use super::float::{Mean, Spread, Sum, format_plain, quantile};
use super::plan::{Aggregate, Grouping, Plan};
use super::rank;
use super::table::Table;
use crate::model::{Labels, METRIC_NAME};

/// Evaluates one aggregation over an evaluated vector.
pub(super) fn aggregate<'q>(
    context: &Context<'q>,
    operator: Aggregate,
    grouping: &Grouping,
    parameter: Option<&'q Plan>,
    inner: Table<'q>,
) -> Result<Table<'q>, QueryError> {
    let parameter = || parameter.expect("lowering gave a parameter to each operator that takes one");
    let groups = Groups::of(&inner.labels, grouping);
    let rows = match operator {
        Aggregate::Sum => groups.fold::<Sum>(context, &inner)?,
        Aggregate::Avg => groups.fold::<Mean>(context, &inner)?,
        Aggregate::Min => groups.fold::<Min>(context, &inner)?,
        Aggregate::Max => groups.fold::<Max>(context, &inner)?,
        Aggregate::Count => groups.fold::<Count>(context, &inner)?,
        Aggregate::Group => groups.fold::<Present>(context, &inner)?,
        Aggregate::Stdvar => groups.fold::<Spread>(context, &inner)?,
        Aggregate::Stddev => {
            let mut rows = groups.fold::<Spread>(context, &inner)?;
            rows.iter_mut().for_each(|(_, column)| column.map(|_, variance| variance.sqrt()));
            rows
        }
        Aggregate::Quantile => {
            let q = scalar(context, parameter())?;
            warn_of_quantile(context, |step| q.at(step));
            groups.over_values(context, &inner, |step, values| quantile(q.at(step), values))?
        }
        Aggregate::Topk | Aggregate::Bottomk => {
            let count = scalar(context, parameter())?;
            rank::choose(context, &groups, &inner, operator == Aggregate::Topk, &count)?
        }
        Aggregate::CountValues => count_values(context, &inner, grouping, text(parameter()))?,
    };
    Ok(Table::held(rows))
}

/// Says once that a quantile is asked for that no data can have.
pub(super) fn warn_of_quantile(context: &Context<'_>, q: impl Fn(usize) -> f64) {
    for step in 0..context.grid.count {
        if !(0.0..=1.0).contains(&q(step)) {
            context.notes.warn(format!("quantile value should be between 0 and 1, got {}", format_plain(q(step))));
        }
    }
}

/// The labels that name a row's group.
pub(super) fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    match grouping {
        Grouping::By(names) => labels.filtered(|name| names.iter().any(|wanted| wanted == name)),
        Grouping::Without(names) => {
            labels.filtered(|name| name != METRIC_NAME && !names.iter().any(|unwanted| unwanted == name))
        }
    }
}

/// Which rows belong together.
pub(super) struct Groups {
    /// The labels of each group, in order of their first row.
    pub(super) labels: Vec<Arc<Labels>>,
    /// The group of each row.
    pub(super) of_row: Vec<usize>,
}

impl Groups {
    fn of(rows: &[Arc<Labels>], grouping: &Grouping) -> Groups {
        let mut known: HashMap<Arc<Labels>, usize> = HashMap::new();
        let mut labels = Vec::new();
        let of_row = rows
            .iter()
            .map(|row| {
                let group = Arc::new(group_labels(row, grouping));
                *known.entry(group).or_insert_with_key(|group| {
                    labels.push(group.clone());
                    labels.len() - 1
                })
            })
            .collect();
        Groups { labels, of_row }
    }

    /// The rows of each group.
    pub(super) fn rows(&self) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.labels.len()];
        for (row, group) in self.of_row.iter().enumerate() {
            rows[*group].push(row);
        }
        rows
    }

    /// One accumulator for each group and step.
    fn fold<A: Accumulator>(
        &self,
        context: &Context<'_>,
        inner: &Table<'_>,
    ) -> Result<Vec<(Arc<Labels>, Column)>, QueryError> {
        let steps = context.grid.count;
        let values_each = 1 + size_of::<A>().div_ceil(size_of::<f64>());
        context.budget.take_samples(self.labels.len() * steps * values_each)?;
        let mut accumulators: Vec<Vec<A>> = vec![vec![A::default(); steps]; self.labels.len()];
        let mut columns: Vec<Column> = vec![Column::absent(0); self.labels.len()];
        columns.iter_mut().for_each(|column| column.present = super::column::Steps::none(steps));
        inner.for_each(context.budget, steps, |row, column| {
            let group = self.of_row[row];
            column.iter().for_each(|(step, value)| accumulators[group][step].add(value));
            columns[group].present.unite(&column.present);
            Ok(())
        })?;
        for (column, accumulators) in columns.iter_mut().zip(accumulators) {
            column.values = accumulators.into_iter().map(A::value).collect();
        }
        Ok(self.labels.iter().cloned().zip(columns).collect())
    }

    /// Something computed of all values of a group at a step.
    fn over_values(
        &self,
        context: &Context<'_>,
        inner: &Table<'_>,
        mut compute: impl FnMut(usize, &mut [f64]) -> f64,
    ) -> Result<Vec<(Arc<Labels>, Column)>, QueryError> {
        let steps = context.grid.count;
        let columns = hold(context, inner)?;
        let mut meter = context.budget.meter();
        let mut values = Vec::new();
        let mut results = Vec::new();
        for (labels, rows) in self.labels.iter().zip(self.rows()) {
            context.budget.take_samples(steps)?;
            let mut result = Column::absent(steps);
            for step in 0..steps {
                meter.work(rows.len())?;
                values.clear();
                values.extend(rows.iter().filter_map(|row| columns[*row].get(step)));
                if !values.is_empty() {
                    result.set(step, compute(step, &mut values));
                }
            }
            results.push((labels.clone(), result));
        }
        Ok(results)
    }
}

/// All columns of a table.
pub(super) fn hold(context: &Context<'_>, table: &Table<'_>) -> Result<Vec<Column>, QueryError> {
    let steps = context.grid.count;
    let mut columns = Vec::with_capacity(table.labels.len());
    table.for_each(context.budget, steps, |_, column| {
        context.budget.take_samples(steps)?;
        columns.push(column);
        Ok(())
    })?;
    Ok(columns)
}

/// What becomes of the values of one group at one step; none is asked for its value before it was given one.
trait Accumulator: Default + Clone {
    fn add(&mut self, value: f64);
    fn value(self) -> f64;
}

impl Accumulator for Sum {
    fn add(&mut self, value: f64) {
        Sum::add(self, value);
    }
    fn value(self) -> f64 {
        Sum::value(self)
    }
}

impl Accumulator for Mean {
    fn add(&mut self, value: f64) {
        Mean::add(self, value);
    }
    fn value(self) -> f64 {
        Mean::value(self)
    }
}

impl Accumulator for Spread {
    fn add(&mut self, value: f64) {
        Spread::add(self, value);
    }
    fn value(self) -> f64 {
        self.variance()
    }
}

/// Not a number until there is one, and then the smallest of them.
#[derive(Clone)]
struct Min(f64);

impl Default for Min {
    fn default() -> Min {
        Min(f64::NAN)
    }
}

impl Accumulator for Min {
    fn add(&mut self, value: f64) {
        if value < self.0 || self.0.is_nan() {
            self.0 = value;
        }
    }
    fn value(self) -> f64 {
        self.0
    }
}

/// Not a number until there is one, and then the largest of them.
#[derive(Clone)]
struct Max(f64);

impl Default for Max {
    fn default() -> Max {
        Max(f64::NAN)
    }
}

impl Accumulator for Max {
    fn add(&mut self, value: f64) {
        if value > self.0 || self.0.is_nan() {
            self.0 = value;
        }
    }
    fn value(self) -> f64 {
        self.0
    }
}

#[derive(Clone, Default)]
struct Count(f64);

impl Accumulator for Count {
    fn add(&mut self, _value: f64) {
        self.0 += 1.0;
    }
    fn value(self) -> f64 {
        self.0
    }
}

#[derive(Clone, Default)]
struct Present;

impl Accumulator for Present {
    fn add(&mut self, _value: f64) {}
    fn value(self) -> f64 {
        1.0
    }
}

/// One series for each value that occurs in a group, with how often it does.
fn count_values(
    context: &Context<'_>,
    inner: &Table<'_>,
    grouping: &Grouping,
    label: &str,
) -> Result<Vec<(Arc<Labels>, Column)>, QueryError> {
    if label.is_empty() {
        return Err(QueryError::execution("invalid label name \"\" in count_values"));
    }
    let grouping = match grouping {
        Grouping::By(names) => Grouping::By(names.iter().cloned().chain([label.to_owned()]).collect()),
        Grouping::Without(names) => Grouping::Without(names.clone()),
    };
    let steps = context.grid.count;
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut results: Vec<(Arc<Labels>, Column)> = Vec::new();
    inner.for_each(context.budget, steps, |row, column| {
        for (step, value) in column.iter() {
            let labels = with_label(&inner.labels[row], label, &format_plain(value))?;
            let group = group_labels(&labels, &grouping);
            let index = match known.get(&group) {
                Some(index) => *index,
                None => {
                    context.budget.take_samples(steps)?;
                    context.budget.check()?;
                    results.push((Arc::new(group.clone()), Column::absent(steps)));
                    known.insert(group, results.len() - 1);
                    results.len() - 1
                }
            };
            let column = &mut results[index].1;
            let before = column.get(step).unwrap_or(0.0);
            column.set(step, before + 1.0);
        }
        Ok(())
    })?;
    Ok(results)
}

/// The labels with one of them set, or removed if the value is empty.
pub(super) fn with_label(labels: &Labels, name: &str, value: &str) -> Result<Labels, QueryError> {
    labels.with(name, value).map_err(|error| QueryError::Execution(format!("label {name:?} cannot be set: {error}")))
}
