//! Functions that change labels and leave values alone.

use std::sync::Arc;

use regex::Captures;

use crate::model::{Labels, METRIC_NAME, compile_pattern};
use crate::query::budget::Budget;
use crate::query::error::QueryError;
use crate::query::table::Table;
use crate::query::table::with_label;

/// `label_replace(v, to, template, from, pattern)`: where the whole value of `from` matches, `to` becomes the template
/// with `$1` or `${name}` replaced by what they captured.
pub(super) fn replace<'q>(budget: &Budget, table: Table<'q>, texts: [&str; 4]) -> Result<Table<'q>, QueryError> {
    let [to, template, from, pattern] = texts;
    let regex = compile_pattern(pattern)
        .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
    check_name("label_replace", "destination", to)?;
    relabel(budget, table, to, |labels| {
        let Some(captures) = regex.captures(labels.get(from).unwrap_or("")) else { return Ok(None) };
        Ok(Some(with_label(labels, to, &expanded(template, &captures))?))
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
    from.iter().try_for_each(|name| check_name("label_join", "source", name))?;
    check_name("label_join", "destination", to)?;
    relabel(budget, table, to, |labels| {
        let values: Vec<&str> = from.iter().map(|name| labels.get(name).unwrap_or("")).collect();
        Ok(Some(with_label(labels, to, &values.join(separator))?))
    })
}

/// Gives the rows other labels where `change` has any. What the labels become longer is held in memory, and counts as
/// that many values.
fn relabel<'q>(
    budget: &Budget,
    mut table: Table<'q>,
    to: &str,
    change: impl Fn(&Labels) -> Result<Option<Labels>, QueryError>,
) -> Result<Table<'q>, QueryError> {
    for row in &mut table.rows {
        budget.check()?;
        if let Some(changed) = change(&row.labels)? {
            budget.take_samples(bytes(&changed).saturating_sub(bytes(&row.labels)) / size_of::<f64>())?;
            row.labels = Arc::new(changed);
            // A name that was given here on purpose stays.
            row.sheds_name &= to != METRIC_NAME;
        }
    }
    Ok(table.merge_same())
}

fn bytes(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn check_name(function: &str, role: &str, name: &str) -> Result<(), QueryError> {
    if name.is_empty() {
        return Err(QueryError::Execution(format!("invalid {role} label name in {function}(): {name}")));
    }
    Ok(())
}

/// A template with what was captured in place of `$name` and `${name}`, as Go does it: a name is as long as can be, `$$`
/// is a `$`, a `$` before anything else stands for itself, and what is not captured is empty.
fn expanded(template: &str, captures: &Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            out.push('$');
            rest = behind;
        } else if let Some((name, behind)) = reference(rest) {
            out.push_str(captured(name, captures));
            rest = behind;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// The name behind a `$`, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let text = braced.unwrap_or(text);
    let (name, behind) = text.split_at(text.find(|c: char| !is_of_name(c)).unwrap_or(text.len()));
    if name.is_empty() {
        return None;
    }
    if braced.is_some() { Some((name, behind.strip_prefix('}')?)) } else { Some((name, behind)) }
}

fn is_of_name(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

/// A number is a group's, unless it has a zero in front or is absurdly large; then it is a name that no group has.
fn captured<'c>(name: &str, captures: &Captures<'c>) -> &'c str {
    let found = match name.parse::<usize>() {
        Ok(index) if name == "0" || !name.starts_with('0') => captures.get(index),
        Ok(_) => None,
        Err(_) => captures.name(name),
    };
    found.map_or("", |group| group.as_str())
}
