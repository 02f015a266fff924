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
use super::eval::{Context, Scalar, scalar, text, vector};
use super::float::{Mean, Spread, Sum, format_go_g, format_plain, quantile};
use super::plan::{Grouping, Node, Plan};
use super::rank;
use super::syntax::tree::{Aggregator, Span};
use super::table::{Row, Table};
use crate::model::{Labels, METRIC_NAME};

/// Evaluates a [`Node::Aggregate`].
pub(super) fn aggregate<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Table<'q>, QueryError> {
    let Node::Aggregate { operator, grouping, parameter, inner } = &plan.node else {
        unreachable!("called for aggregations only");
    };
    let parameter = || parameter.as_deref().expect("the parser has checked that one is given");
    if *operator == Aggregator::CountValues {
        return Ok(Table::held(count_values(context, &vector(context, inner)?, grouping, text(parameter()))?));
    }
    let inner = vector(context, inner)?;
    let groups = Groups::of(&inner.rows, grouping);
    let rows = match operator {
        Aggregator::Sum => groups.fold::<Sum>(context, &inner)?,
        Aggregator::Avg => groups.fold::<Mean>(context, &inner)?,
        Aggregator::Min => groups.fold::<Min>(context, &inner)?,
        Aggregator::Max => groups.fold::<Max>(context, &inner)?,
        Aggregator::Count => groups.fold::<Count>(context, &inner)?,
        Aggregator::Group => groups.fold::<Present>(context, &inner)?,
        Aggregator::Stdvar => groups.fold::<Spread>(context, &inner)?,
        Aggregator::Stddev => {
            let mut rows = groups.fold::<Spread>(context, &inner)?;
            rows.iter_mut().for_each(|(_, column)| column.map(|_, variance| variance.sqrt()));
            rows
        }
        Aggregator::Quantile => {
            let q = scalar(context, parameter())?;
            warn_of_quantile(context, &q, parameter().span);
            groups.over_values(context, &inner, |step, values| quantile(q.at(step), values))?
        }
        Aggregator::Topk | Aggregator::Bottomk | Aggregator::Limitk | Aggregator::LimitRatio => {
            let count = scalar(context, parameter())?;
            rank::choose(context, &groups, &inner, *operator == Aggregator::Topk, &count)?
        }
        Aggregator::CountValues => unreachable!("returned above"),
    };
    Ok(Table::held(rows))
}

/// Says once for each such quantile that no data can have it.
pub(super) fn warn_of_quantile(context: &Context<'_>, q: &Scalar, at: Span) {
    let strange = (0..context.grid.count).map(|step| q.at(step)).filter(|q| !(0.0..=1.0).contains(q));
    strange.for_each(|q| {
        context.notes.warn(at, format!("quantile value should be between 0 and 1, got {}", format_go_g(q)))
    });
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
    /// One for each group, in order of their first row.
    pub(super) heads: Vec<Row>,
    /// The group of each row.
    pub(super) of_row: Vec<usize>,
}

impl Groups {
    fn of(rows: &[Row], grouping: &Grouping) -> Groups {
        let mut known: HashMap<Arc<Labels>, usize> = HashMap::new();
        let mut heads: Vec<Row> = Vec::new();
        let of_row = rows
            .iter()
            .map(|row| {
                let group = Arc::new(group_labels(&row.labels, grouping));
                let index = *known.entry(group).or_insert_with_key(|group| {
                    heads.push(Row::new(group.clone()));
                    heads.len() - 1
                });
                heads[index].sheds_name |= row.sheds_name;
                index
            })
            .collect();
        Groups { heads, of_row }
    }

    /// The rows of each group.
    pub(super) fn rows(&self) -> Vec<Vec<usize>> {
        let mut rows = vec![Vec::new(); self.heads.len()];
        for (row, group) in self.of_row.iter().enumerate() {
            rows[*group].push(row);
        }
        rows
    }

    /// One accumulator for each group and step.
    fn fold<A: Accumulator>(&self, context: &Context<'_>, inner: &Table<'_>) -> Result<Vec<(Row, Column)>, QueryError> {
        let steps = context.grid.count;
        let values_each = 1 + size_of::<A>().div_ceil(size_of::<f64>());
        context.budget.take_samples(self.heads.len() * steps * values_each)?;
        let mut accumulators: Vec<Vec<A>> = vec![vec![A::default(); steps]; self.heads.len()];
        let mut columns: Vec<Column> = vec![Column::absent(0); self.heads.len()];
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
        Ok(self.heads.iter().cloned().zip(columns).collect())
    }

    /// Something computed of all values of a group at a step.
    fn over_values(
        &self,
        context: &Context<'_>,
        inner: &Table<'_>,
        mut compute: impl FnMut(usize, &mut [f64]) -> f64,
    ) -> Result<Vec<(Row, Column)>, QueryError> {
        let steps = context.grid.count;
        let columns = hold(context, inner)?;
        let mut meter = context.budget.meter();
        let mut values = Vec::new();
        let mut results = Vec::new();
        for (head, rows) in self.heads.iter().zip(self.rows()) {
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
            results.push((head.clone(), result));
        }
        Ok(results)
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
) -> Result<Vec<(Row, Column)>, QueryError> {
    if label.is_empty() {
        return Err(QueryError::execution("invalid label name \"\" in count_values"));
    }
    let grouping = match grouping {
        Grouping::By(names) => Grouping::By(names.iter().cloned().chain([label.to_owned()]).collect()),
        Grouping::Without(names) => Grouping::Without(names.clone()),
    };
    let steps = context.grid.count;
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut results: Vec<(Row, Column)> = Vec::new();
    inner.for_each(context.budget, steps, |row, column| {
        for (step, value) in column.iter() {
            let labels = with_label(&inner.rows[row].labels, label, &format_plain(value))?;
            let group = group_labels(&labels, &grouping);
            let index = match known.get(&group) {
                Some(index) => *index,
                None => {
                    context.budget.take_samples(steps)?;
                    context.budget.check()?;
                    results.push((Row::new(Arc::new(group.clone())), Column::absent(steps)));
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
