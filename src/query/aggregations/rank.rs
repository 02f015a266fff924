//! Choosing and ordering series by their values or labels: `topk`, `bottomk`, `sort`, `sort_by_label`.
//!
//! Not a number comes last in every order, and what is sorted stays in the order of the input where it is equal.

use std::cmp::Ordering;

use super::grouping::Groups;
use super::histogram_groups::Remarks;
use super::limit::Counts;
use super::natural::natural;
use crate::query::column::{Column, Steps};
use crate::query::error::QueryError;
use crate::query::eval::Context;
use crate::query::syntax::Span;
use crate::query::table::hold;
use crate::query::table::{Row, Table};

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

/// Of each group and at each step the `counts` rows with the largest (or smallest) numbers.
pub(super) fn choose(
    context: &Context<'_>,
    groups: &Groups,
    inner: &Table<'_>,
    largest: bool,
    counts: &Counts,
    remarks: Remarks<'_>,
) -> Result<Vec<(Row, Column)>, QueryError> {
    let steps = context.grid.count;
    let mut columns = hold(context, inner)?;
    if columns.iter().flat_map(Column::iter_histograms).any(|(step, _)| counts.at(step) > 0) {
        remarks.ignored(if largest { "topk" } else { "bottomk" });
    }
    let mut chosen: Vec<Steps> = vec![Steps::none(steps); columns.len()];
    let mut result = Vec::new();
    let mut meter = context.budget.meter();
    for rows in groups.rows() {
        for step in 0..steps {
            meter.work(rows.len())?;
            let mut best = Best { largest, count: counts.at(step), kept: Vec::new() };
            for &row in &rows {
                if let Some(value) = columns[row].get(step) {
                    best.offer(value, row);
                }
            }
            best.kept.iter().for_each(|(_, row)| chosen[*row].insert(step));
            if steps == 1 {
                // An instant query shows each group in its order.
                best.kept.sort_by(|a, b| order(largest, a.0, b.0));
                result.extend(best.kept.iter().map(|(_, row)| *row));
            }
        }
        if steps > 1 {
            result.extend(rows);
        }
    }
    let mut take = |row: usize| {
        let mut column = std::mem::replace(&mut columns[row], Column::absent(0));
        column.retain(&chosen[row]);
        (inner.rows[row].clone(), column)
    };
    Ok(result.into_iter().map(&mut take).collect())
}

/// The largest (or smallest) numbers seen so far, as a heap whose root is the first to go. It is filled and emptied as
/// Prometheus does it, so that of equal numbers the same ones are kept.
struct Best {
    largest: bool,
    /// Most that are kept.
    count: usize,
    /// Numbers and their rows.
    kept: Vec<(f64, usize)>,
}

impl Best {
    fn offer(&mut self, value: f64, row: usize) {
        if self.kept.len() < self.count {
            self.kept.push((value, row));
            self.rise(self.kept.len() - 1);
            return;
        }
        let Some(&(root, _)) = self.kept.first() else { return };
        let beats = if self.largest { value > root } else { value < root };
        if beats || (root.is_nan() && !value.is_nan()) {
            self.kept[0] = (value, row);
            self.sink();
        }
    }

    /// Whether one place is to go before another.
    fn goes_before(&self, one: usize, other: usize) -> bool {
        let (one, other) = (self.kept[one].0, self.kept[other].0);
        one.is_nan() || if self.largest { one < other } else { one > other }
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.goes_before(place, (place - 1) / 2) {
            self.kept.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    /// Puts the root where it belongs.
    fn sink(&mut self) {
        let mut place = 0;
        while 2 * place + 1 < self.kept.len() {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let first = if right < self.kept.len() && self.goes_before(right, left) { right } else { left };
            if !self.goes_before(first, place) {
                break;
            }
            self.kept.swap(first, place);
            place = first;
        }
    }
}

/// The rows in the order of their numbers: only an instant query has such an order.
pub(in crate::query) fn sort<'q>(
    context: &Context<'q>,
    inner: Table<'q>,
    descending: bool,
    span: Span,
) -> Result<Table<'q>, QueryError> {
    let numbers = inner.map(|_, column| column.histograms = None);
    if !has_order(context, span) {
        return Ok(numbers);
    }
    let mut rows = numbers.collect(context.budget, 1)?;
    rows.sort_by(|a, b| order(descending, a.1.values[0], b.1.values[0]));
    Ok(Table::held(rows))
}

/// The rows in the order of the values of these labels, numbers in them by size; then of all labels.
pub(in crate::query) fn sort_by_label<'q>(
    context: &Context<'q>,
    inner: Table<'q>,
    labels: &[&str],
    descending: bool,
    span: Span,
) -> Result<Table<'q>, QueryError> {
    if !has_order(context, span) {
        return Ok(inner);
    }
    let mut rows = inner.collect(context.budget, 1)?;
    rows.sort_by(|(a, _), (b, _)| {
        let (a, b) = if descending { (b, a) } else { (a, b) };
        let (a, b) = (&a.labels, &b.labels);
        let by_value = |label: &&str| natural(a.get(label).unwrap_or(""), b.get(label).unwrap_or(""));
        let first = labels.iter().map(by_value).find(|order| order.is_ne());
        first.unwrap_or_else(|| a.cmp(b))
    });
    Ok(Table::held(rows))
}

/// Whether the result has an order of its own; says so if it has not.
fn has_order(context: &Context<'_>, span: Span) -> bool {
    if context.grid.count != 1 {
        let what = "sort is ineffective for range queries since results are always ordered by labels";
        context.notes.warn(span, what);
    }
    context.grid.count == 1
}
