//! `count_values("version", build)`: one series for each value that occurs in a group, with how often it does.
//!
//! Of 1, 2 and 1 it makes `{version="1"} 2` and `{version="2"} 1`. A native histogram's value is its text.

use std::collections::HashMap;
use std::sync::Arc;

use super::grouping::group_labels;
use crate::model::Labels;
use crate::model::format_plain;
use crate::query::column::{Column, Element};
use crate::query::error::QueryError;
use crate::query::eval::{Context, vector};
use crate::query::plan::{Grouping, Plan};
use crate::query::syntax::quote;
use crate::query::table::with_label;
use crate::query::table::{Row, Table};

/// Counts the values of `argument`, which become values of `label`.
pub(super) fn count_values<'q>(
    context: &Context<'q>,
    argument: &'q Plan,
    grouping: &Grouping,
    label: &str,
) -> Result<Table<'q>, QueryError> {
    if label.is_empty() {
        return Err(QueryError::Execution(format!("invalid label name {}", quote(label))));
    }
    let grouping = match grouping {
        Grouping::By(names) => Grouping::By(names.iter().cloned().chain([label.to_owned()]).collect()),
        Grouping::Without(names) => Grouping::Without(names.clone()),
    };
    let inner = vector(context, argument)?;
    let steps = context.grid.count;
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut results: Vec<(Row, Column)> = Vec::new();
    inner.for_each(context.budget, steps, |row, column| {
        for step in column.occupied().iter() {
            let value = match column.element(step) {
                Some(Element::Number(value)) => format_plain(value),
                Some(Element::Histogram(histogram)) => histogram.to_string(),
                None => continue,
            };
            let labels = with_label(&inner.rows[row].labels, label, &value)?;
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
    Ok(Table::held(results))
}
