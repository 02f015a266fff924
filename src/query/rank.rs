//! Choosing and ordering series by their values: `topk`, `bottomk`, `sort`, `sort_desc`.
//!
//! Not a number comes last in every order, and what is equal stays in the order of the input.

use std::cmp::Ordering;

use super::aggregate::{Groups, hold};
use super::column::{Column, Steps};
use super::error::QueryError;
use super::eval::{Context, Scalar};
use super::float::format_plain;
use super::syntax::tree::Span;
use super::table::{Row, Table};

/// Ascending or descending, NaN last in both.
pub(super) fn order(descending: bool, a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => b.total_cmp_numbers(a),
        (false, false) => a.total_cmp_numbers(b),
    }
}

trait Numbers {
    fn total_cmp_numbers(self, other: f64) -> Ordering;
}

impl Numbers for f64 {
    /// Unlike `total_cmp`, both zeros are equal.
    fn total_cmp_numbers(self, other: f64) -> Ordering {
        self.partial_cmp(&other).unwrap_or(Ordering::Equal)
    }
}

/// Of each group and at each step the `count` rows with the largest (or smallest) values.
pub(super) fn choose(
    context: &Context<'_>,
    groups: &Groups,
    inner: &Table<'_>,
    largest: bool,
    count: &Scalar,
) -> Result<Vec<(Row, Column)>, QueryError> {
    let steps = context.grid.count;
    let mut columns = hold(context, inner)?;
    let mut chosen: Vec<Steps> = vec![Steps::none(steps); columns.len()];
    let mut result = Vec::new();
    let mut meter = context.budget.meter();
    for rows in groups.rows() {
        for step in 0..steps {
            meter.work(rows.len())?;
            let mut candidates: Vec<usize> =
                rows.iter().copied().filter(|row| columns[*row].present.has(step)).collect();
            if candidates.is_empty() {
                continue;
            }
            candidates.sort_by(|a, b| order(largest, columns[*a].values[step], columns[*b].values[step]));
            candidates.truncate(whole_count(count.at(step))?);
            candidates.iter().for_each(|row| chosen[*row].insert(step));
            if steps == 1 {
                // An instant query shows each group in its order.
                result.extend(candidates);
            }
        }
        if steps > 1 {
            result.extend(rows);
        }
    }
    let mut take = |row: usize| {
        let mut column = std::mem::replace(&mut columns[row], Column::absent(0));
        column.present.intersect(&chosen[row]);
        (inner.rows[row].clone(), column)
    };
    Ok(result.into_iter().map(&mut take).collect())
}

/// How many rows `topk(count, …)` shows.
fn whole_count(count: f64) -> Result<usize, QueryError> {
    if count.is_nan() {
        return Err(QueryError::execution("Parameter value is NaN"));
    }
    if count >= i64::MAX as f64 || count <= i64::MIN as f64 {
        return Err(QueryError::Execution(format!("Scalar value {} overflows int64", format_plain(count))));
    }
    Ok(if count < 1.0 { 0 } else { count as usize })
}

/// The rows in the order of their values: only an instant query has such an order.
pub(super) fn sort<'q>(
    context: &Context<'q>,
    inner: Table<'q>,
    descending: bool,
    span: Span,
) -> Result<Table<'q>, QueryError> {
    if context.grid.count != 1 {
        let what = "sort is ineffective for range queries since results are always ordered by labels";
        context.notes.warn(span, what);
        return Ok(inner);
    }
    let mut rows = inner.collect(context.budget, 1)?;
    rows.sort_by(|a, b| order(descending, a.1.values[0], b.1.values[0]));
    Ok(Table::held(rows))
}
