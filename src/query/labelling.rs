//! Functions that change labels and leave values alone.

use std::sync::Arc;

use super::aggregate::with_label;
use super::budget::Budget;
use super::error::QueryError;
use super::table::Table;
use crate::model::{Labels, METRIC_NAME, compile_pattern};

/// `label_replace(v, to, template, from, pattern)`: where the whole value of `from` matches, `to` becomes the template
/// with `$1` or `${name}` replaced by what they captured.
pub(super) fn replace<'q>(budget: &Budget, table: Table<'q>, texts: [&str; 4]) -> Result<Table<'q>, QueryError> {
    let [to, template, from, pattern] = texts;
    check_name("label_replace", to)?;
    let regex = compile_pattern(pattern)
        .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    relabel(budget, table, to, |labels| {
        let value = labels.get(from).unwrap_or("");
        let Some(captures) = regex.captures(value) else { return Ok(labels.clone()) };
        let mut replaced = String::new();
        captures.expand(template, &mut replaced);
        Ok(Arc::new(with_label(labels, to, &replaced)?))
    })
}

/// `label_join(v, to, separator, from…)`.
pub(super) fn join<'q>(
    budget: &Budget,
    table: Table<'q>,
    to: &str,
    separator: &str,
    from: &[&str],
) -> Result<Table<'q>, QueryError> {
    check_name("label_join", to)?;
    relabel(budget, table, to, |labels| {
        let values: Vec<&str> = from.iter().map(|name| labels.get(name).unwrap_or("")).collect();
        Ok(Arc::new(with_label(labels, to, &values.join(separator))?))
    })
}

/// What the labels become longer is held in memory, and counts as that many values.
fn relabel<'q>(
    budget: &Budget,
    mut table: Table<'q>,
    to: &str,
    change: impl Fn(&Arc<Labels>) -> Result<Arc<Labels>, QueryError>,
) -> Result<Table<'q>, QueryError> {
    for row in &mut table.rows {
        budget.check()?;
        let changed = change(&row.labels)?;
        budget.take_samples(bytes(&changed).saturating_sub(bytes(&row.labels)) / size_of::<f64>())?;
        row.labels = changed;
        // A name that was given here on purpose stays.
        row.sheds_name &= to != METRIC_NAME;
    }
    Ok(table.merge_same())
}

fn bytes(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn check_name(function: &str, name: &str) -> Result<(), QueryError> {
    if name.is_empty() {
        return Err(QueryError::Execution(format!("invalid destination label name in {function}: {name:?}")));
    }
    Ok(())
}
