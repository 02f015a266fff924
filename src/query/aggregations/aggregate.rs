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

use std::collections::BTreeSet;

use super::accumulator::{Accumulator, Count, Max, Min, OfHistograms, Present, Variance};
use super::count_values::count_values;
use super::grouping::Groups;
use super::histogram_groups::{HistogramGroup, Remarks};
use super::{limit, rank};
use crate::model::Sum;
use crate::model::format_general;
use crate::query::column::{Column, Steps};
use crate::query::error::QueryError;
use crate::query::eval::{Context, Scalar, scalar, text, vector};
use crate::query::float::{Mean, quantile};
use crate::query::plan::{Node, Plan};
use crate::query::syntax::{Aggregator, Span};
use crate::query::table::{Row, Table, hold};

/// Evaluates a [`Node::Aggregate`].
pub(in crate::query) fn aggregate<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Table<'q>, QueryError> {
    let Node::Aggregate { operator, grouping, parameter, inner: argument } = &plan.node else {
        unreachable!("called for aggregations only");
    };
    let given = parameter.as_deref();
    let parameter = || given.expect("the parser has checked that one is given");
    if *operator == Aggregator::CountValues {
        return count_values(context, argument, grouping, text(parameter()));
    }
    let number = given.map(|plan| scalar(context, plan)).transpose()?;
    let number = || number.as_ref().expect("evaluated for those that take one");
    let inner = vector(context, argument)?;
    let groups = Groups::of(&inner.rows, grouping);
    let of = Of { context, groups: &groups, inner: &inner, name: operator.name(), at: argument.span };
    let rows = match operator {
        Aggregator::Sum => of.fold::<Sum>()?,
        Aggregator::Avg => of.fold::<Mean>()?,
        Aggregator::Min => of.fold::<Min>()?,
        Aggregator::Max => of.fold::<Max>()?,
        Aggregator::Count => of.fold::<Count>()?,
        Aggregator::Group => of.fold::<Present>()?,
        Aggregator::Stdvar => of.fold::<Variance>()?,
        Aggregator::Stddev => {
            let mut rows = of.fold::<Variance>()?;
            rows.iter_mut().for_each(|(_, column)| column.map(|_, variance| variance.sqrt()));
            rows
        }
        Aggregator::Quantile => {
            warn_of_extreme_quantiles(context, number(), parameter().span);
            of.over_values(|step, values| quantile(number().at(step), values))?
        }
        Aggregator::Topk | Aggregator::Bottomk => {
            let largest = *operator == Aggregator::Topk;
            let Some(counts) = limit::counts(number(), context.grid.count)? else { return inner.nothing(context) };
            let remarks = Remarks { notes: context.notes, at: plan.span };
            rank::choose(context, &groups, &inner, largest, &counts, remarks)?
        }
        Aggregator::Limitk => {
            let Some(counts) = limit::counts(number(), context.grid.count)? else { return inner.nothing(context) };
            limit::first(context, &groups, &inner, &counts)?
        }
        Aggregator::LimitRatio => return limit::share(context, number().clone(), parameter().span, inner),
        Aggregator::CountValues => unreachable!("returned above"),
    };
    Ok(Table::held(rows))
}

/// Says once for each such quantile that no data can have it.
pub(in crate::query) fn warn_of_quantile(context: &Context<'_>, q: &Scalar, at: Span) {
    let strange = (0..context.grid.count).map(|step| q.at(step)).filter(|q| !(0.0..=1.0).contains(q));
    let different: BTreeSet<u64> = strange.map(f64::to_bits).collect();
    different.into_iter().for_each(|q| warn_of_strange_quantile(context, f64::from_bits(q), at));
}

fn warn_of_strange_quantile(context: &Context<'_>, q: f64, at: Span) {
    context.notes.warn(at, format!("quantile value should be between 0 and 1, got {}", format_general(q)));
}

/// Of an aggregation's quantiles only the outermost are told.
fn warn_of_extreme_quantiles(context: &Context<'_>, q: &Scalar, at: Span) {
    let all = || (0..context.grid.count).map(|step| q.at(step));
    if all().any(f64::is_nan) {
        return warn_of_strange_quantile(context, f64::NAN, at);
    }
    let (largest, smallest) = (all().fold(0.0, f64::max), all().fold(0.0, f64::min));
    if largest > 1.0 {
        warn_of_strange_quantile(context, largest, at);
    }
    if smallest < 0.0 {
        warn_of_strange_quantile(context, smallest, at);
    }
}

/// One aggregation and what it is of.
struct Of<'a, 'q> {
    context: &'a Context<'q>,
    groups: &'a Groups,
    inner: &'a Table<'q>,
    /// The aggregation's, for remarks.
    name: &'static str,
    /// Where the aggregated expression stands.
    at: Span,
}

impl Of<'_, '_> {
    fn remarks(&self) -> Remarks<'_> {
        Remarks { notes: self.context.notes, at: self.at }
    }

    /// One accumulator for each group and step.
    fn fold<A: Accumulator>(&self) -> Result<Vec<(Row, Column)>, QueryError> {
        let (heads, steps) = (&self.groups.heads, self.context.grid.count);
        let values_each = 1 + size_of::<A>().div_ceil(size_of::<f64>());
        self.context.budget.take_samples(heads.len() * steps * values_each)?;
        let mut accumulators: Vec<Vec<A>> = vec![vec![A::default(); steps]; heads.len()];
        let mut columns: Vec<Column> = vec![Column::absent(0); heads.len()];
        columns.iter_mut().for_each(|column| column.present = Steps::none(steps));
        let mut histograms: Vec<Option<HistogramGroup>> = Vec::new();
        let mut first_rows = vec![usize::MAX; heads.len()];
        self.inner.for_each(self.context.budget, steps, |row, column| {
            let group = self.groups.of_row[row];
            if first_rows[group] > row && !column.is_empty() {
                first_rows[group] = row;
            }
            column.iter().for_each(|(step, value)| accumulators[group][step].add(value));
            columns[group].present.unite(&column.present);
            if column.histograms.is_some() {
                histograms.resize_with(heads.len(), || None);
                self.take(row, &column, &mut columns[group], &mut accumulators[group], &mut histograms[group])?;
            }
            Ok(())
        })?;
        for (column, accumulators) in columns.iter_mut().zip(accumulators) {
            column.values = accumulators.into_iter().map(A::value).collect();
        }
        for (column, histograms) in columns.iter_mut().zip(histograms) {
            if let Some(histograms) = histograms {
                histograms.close(column, self.remarks());
            }
        }
        Ok(self.ordered(columns, &first_rows))
    }

    /// The groups in the order of the first of their rows that has anything, as Prometheus has them: of equal ones
    /// `topk` chooses by that.
    fn ordered(&self, columns: Vec<Column>, first_rows: &[usize]) -> Vec<(Row, Column)> {
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by_key(|group| first_rows[*group]);
        let mut columns: Vec<Option<Column>> = columns.into_iter().map(Some).collect();
        let mut take = |group: usize| (self.groups.heads[group].clone(), columns[group].take());
        order.into_iter().map(&mut take).map(|(head, column)| (head, column.expect("each is taken once"))).collect()
    }

    /// Takes in a row's histograms, as the aggregation does.
    fn take<A: Accumulator>(
        &self,
        row: usize,
        column: &Column,
        result: &mut Column,
        accumulators: &mut [A],
        group: &mut Option<HistogramGroup>,
    ) -> Result<(), QueryError> {
        let is_mean = match A::OF_HISTOGRAMS {
            OfHistograms::Ignore => {
                if column.iter_histograms().next().is_some() {
                    self.remarks().ignored(self.name);
                }
                return Ok(());
            }
            OfHistograms::Count => {
                column.iter_histograms().for_each(|(step, _)| accumulators[step].add(0.0));
                result.present.unite(&column.occupied());
                return Ok(());
            }
            OfHistograms::Sum => false,
            OfHistograms::Mean => true,
        };
        let (budget, labels) = (self.context.budget, &self.inner.rows[row].labels);
        if group.is_none() {
            *group = Some(HistogramGroup::new(accumulators.len(), is_mean, budget)?);
        }
        let group = group.as_mut().expect("made above");
        group.take(column, result, labels.metric_name(), budget, self.remarks())
    }

    /// Something computed of all numbers of a group at a step.
    fn over_values(&self, mut compute: impl FnMut(usize, &mut [f64]) -> f64) -> Result<Vec<(Row, Column)>, QueryError> {
        let (context, steps) = (self.context, self.context.grid.count);
        let columns = hold(context, self.inner)?;
        if columns.iter().any(|column| column.iter_histograms().next().is_some()) {
            self.remarks().ignored(self.name);
        }
        let mut meter = context.budget.meter();
        let mut values = Vec::new();
        let (mut results, mut first_rows) = (Vec::new(), Vec::new());
        for rows in self.groups.rows() {
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
            let first = rows.iter().copied().find(|row| !columns[*row].is_empty());
            first_rows.push(first.unwrap_or(usize::MAX));
            results.push(result);
        }
        Ok(self.ordered(results, &first_rows))
    }
}
