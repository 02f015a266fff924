//! Which series of two vectors belong together, and what they come to.
//!
//! ```text
//! errors{code="500", node="1"}  ─┐ ignoring(code)
//! requests{node="1"}            ─┴─ both are {node="1"} to the match: errors / requests has {node="1"}
//! ```
//!
//! The match is worked out once from the labels of all rows, not once a step. What depends on values is checked where
//! they are: that at each step at most one row of the "one" side is there in a match. That side is held in memory, but
//! for the common case that each match has one row on either side: then nothing is.

use std::collections::HashMap;
use std::sync::Arc;

use super::binary::{Join, Joined};
use super::fill::fill;
use crate::model::{Labels, METRIC_NAME};
use crate::query::column::{Column, Steps};
use crate::query::error::QueryError;
use crate::query::eval::Context;
use crate::query::plan::{Group, Matching};
use crate::query::table::{Row, Scratch, Source, Table, nameless};
use crate::query::table::{hold, with_label};

/// The values of an operator between two vectors that is not a set operator.
pub(super) fn join<'q>(
    context: &Context<'q>,
    join: Join<'q>,
    matching: &Matching,
    left: Table<'q>,
    right: Table<'q>,
) -> Result<Table<'q>, QueryError> {
    let swapped = matches!(matching.group, Group::Right(_));
    let (mut many, mut one) = if swapped { (right, left) } else { (left, right) };
    let is_filled = matching.fill_left.is_some() || matching.fill_right.is_some();
    if is_filled {
        (many, one) = fill(context, matching, many, one)?;
    }
    let mut keys = Keys::default();
    let many_keys = keys.of_rows(&many.rows, matching);
    let one_keys = keys.of_rows(&one.rows, matching);
    let mut partners: Vec<Vec<usize>> = vec![Vec::new(); keys.known.len()];
    one_keys.iter().enumerate().for_each(|(row, key)| partners[*key].push(row));
    let matched = Matched { matching, many: &many, one: &one, swapped };
    let one_by_one = matching.group == Group::OneToOne && matched.is_one_by_one(&partners, &many_keys);
    let mut columns = Vec::new();
    if !one_by_one {
        columns = hold(context, &one)?;
        partners.iter_mut().for_each(|rows| rows.retain(|row| !columns[*row].is_empty()));
        matched.check_one_side(context, &columns, &partners, &one_keys, is_filled)?;
        if matching.group == Group::OneToOne {
            matched.check_many_side(context, join, &columns, &partners, &many_keys)?;
        }
    }
    let (rows, pairs) = matched.rows(context, join, &partners, &many_keys)?.into_iter().unzip();
    matched.visit_unmatched(context, &partners, &many_keys, if one_by_one { &one_keys } else { &[] })?;
    let one = if one_by_one { One::Computed(one.source) } else { One::Held(columns) };
    Ok(Table::new(rows, Pairs { join, many: many.source, one, pairs, swapped }))
}

/// Numbers for what rows have in common in a match.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) known: HashMap<Labels, usize>,
}

impl Keys {
    pub(super) fn of_rows(&mut self, rows: &[Row], matching: &Matching) -> Vec<usize> {
        rows.iter()
            .map(|row| {
                let next = self.known.len();
                *self.known.entry(key(&row.labels, matching)).or_insert(next)
            })
            .collect()
    }
}

fn key(labels: &Labels, matching: &Matching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|label| label == name);
    if matching.on { labels.filtered(listed) } else { labels.filtered(|name| name != METRIC_NAME && !listed(name)) }
}

/// Both sides of a match.
struct Matched<'m, 'q> {
    matching: &'m Matching,
    many: &'m Table<'q>,
    one: &'m Table<'q>,
    swapped: bool,
}

/// Labels of a result row, and the rows of both sides that it comes from.
type ResultRow = (Row, Vec<Pair>);

/// A row of either side, and the match that they are in.
#[derive(Clone, Copy)]
struct Pair {
    many: usize,
    one: usize,
    key: usize,
}

impl Matched<'_, '_> {
    /// Whether no match can have two rows on either side, whatever their values.
    fn is_one_by_one(&self, partners: &[Vec<usize>], keys: &[usize]) -> bool {
        let mut taken = vec![false; partners.len()];
        partners.iter().all(|rows| rows.len() <= 1) && keys.iter().all(|key| !std::mem::replace(&mut taken[*key], true))
    }

    /// Rows without a partner come to nothing, but what is wrong with them is told all the same. The "one" side's are
    /// those of `one_keys`.
    fn visit_unmatched(
        &self,
        context: &Context<'_>,
        partners: &[Vec<usize>],
        many_keys: &[usize],
        one_keys: &[usize],
    ) -> Result<(), QueryError> {
        let mut scratch = Scratch::default();
        let mut of_many = vec![false; partners.len()];
        many_keys.iter().for_each(|key| of_many[*key] = true);
        for (row, _) in many_keys.iter().enumerate().filter(|(_, key)| partners[**key].is_empty()) {
            context.budget.check()?;
            self.many.source.column(row, &mut scratch)?;
        }
        for (row, _) in one_keys.iter().enumerate().filter(|(_, key)| !of_many[**key]) {
            context.budget.check()?;
            self.one.source.column(row, &mut scratch)?;
        }
        Ok(())
    }

    /// Two rows of the "one" side in one match are an error at each step at which there is anything to match with, and
    /// always where what is missing `is_filled`.
    fn check_one_side(
        &self,
        context: &Context<'_>,
        columns: &[Column],
        partners: &[Vec<usize>],
        keys: &[usize],
        is_filled: bool,
    ) -> Result<(), QueryError> {
        let steps = context.grid.count;
        let mut clashes = Steps::none(steps);
        for rows in partners.iter().filter(|rows| rows.len() > 1) {
            let mut seen = columns[rows[0]].occupied().into_owned();
            for row in &rows[1..] {
                let mut both = columns[*row].occupied().into_owned();
                both.intersect(&seen);
                seen.unite(&columns[*row].occupied());
                clashes.unite(&both);
            }
        }
        if !is_filled && !clashes.is_empty() {
            let mut there = Steps::none(steps);
            self.many.for_each(context.budget, steps, |_, column| {
                there.unite(&column.occupied());
                Ok(())
            })?;
            clashes.intersect(&there);
        }
        let Some(step) = clashes.iter().next() else { return Ok(()) };
        let mut first: HashMap<usize, usize> = HashMap::new();
        for (row, key) in keys.iter().enumerate().filter(|(row, _)| columns[*row].element(step).is_some()) {
            if let Some(first) = first.insert(*key, row) {
                return Err(self.many_to_many(first, row));
            }
        }
        Ok(())
    }

    fn many_to_many(&self, first: usize, second: usize) -> QueryError {
        let labels = |row: usize| &self.one.rows[row].labels;
        let mut both = [labels(first), labels(second)];
        both.sort();
        QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {} hand-side of the operation: [{}, {}];many-to-many \
             matching not allowed: matching labels must be unique on one side",
            written(&key(labels(first), self.matching)),
            if self.swapped { "left" } else { "right" },
            written(both[0]),
            written(both[1]),
        ))
    }

    /// Without `group_left` or `group_right` the other side may not have two rows in a match either, where both come to
    /// something.
    fn check_many_side(
        &self,
        context: &Context<'_>,
        join: Join<'_>,
        columns: &[Column],
        partners: &[Vec<usize>],
        keys: &[usize],
    ) -> Result<(), QueryError> {
        let steps = context.grid.count;
        let mut rows: Vec<usize> = vec![0; partners.len()];
        keys.iter().for_each(|key| rows[*key] += 1);
        let crowded = |key: usize| rows[key] > 1 && !partners[key].is_empty();
        if !keys.iter().any(|key| crowded(*key)) {
            return Ok(());
        }
        let mut seen: HashMap<usize, Steps> = HashMap::new();
        let mut scratch = Scratch::default();
        for (row, key) in keys.iter().enumerate().filter(|(_, key)| crowded(**key)) {
            context.budget.check()?;
            let mut matched = Steps::none(steps);
            let column = self.many.source.column(row, &mut scratch)?;
            for partner in &partners[*key] {
                matched.unite(&join.matched(&column, &columns[*partner]));
            }
            if seen.entry(*key).or_insert_with(|| Steps::none(steps)).unite(&matched).is_some() {
                return Err(QueryError::execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
        }
        Ok(())
    }

    /// The rows of the result: pairs that come to have the same labels are one row.
    fn rows(
        &self,
        context: &Context<'_>,
        join: Join<'_>,
        partners: &[Vec<usize>],
        keys: &[usize],
    ) -> Result<Vec<ResultRow>, QueryError> {
        let mut known: HashMap<Arc<Labels>, usize> = HashMap::new();
        let mut rows: Vec<ResultRow> = Vec::new();
        for (many, key) in keys.iter().enumerate() {
            // Series that are never there together may all be partners: many times many pairs.
            context.budget.take_samples(partners[*key].len())?;
            context.budget.check()?;
            for one in &partners[*key] {
                let row = self.result_row(context, join, many, *one)?;
                let index = *known.entry(row.labels.clone()).or_insert_with(|| {
                    rows.push((row, Vec::new()));
                    rows.len() - 1
                });
                rows[index].1.push(Pair { many, one: *one, key: *key });
            }
        }
        Ok(rows)
    }

    fn result_row(&self, context: &Context<'_>, join: Join<'_>, many: usize, one: usize) -> Result<Row, QueryError> {
        let mut labels = self.many.rows[many].labels.clone();
        if join.changes_meaning() || (join.returns_bool && !context.delays_names) {
            labels = nameless(&labels);
        }
        match &self.matching.group {
            Group::OneToOne => {
                let listed = |name: &str| self.matching.labels.iter().any(|label| label == name);
                labels = Arc::new(labels.filtered(|name| listed(name) == self.matching.on));
            }
            Group::Left(included) | Group::Right(included) => {
                for name in included {
                    let value = self.one.rows[one].labels.get(name).unwrap_or("");
                    labels = Arc::new(with_label(&labels, name, value)?);
                }
            }
        }
        Ok(Row { labels, sheds_name: context.delays_names && join.returns_bool })
    }
}

/// The columns of the "one" side.
enum One<'q> {
    Held(Vec<Column>),
    /// Each is asked for once.
    Computed(Box<dyn Source + 'q>),
}

/// The values of matched rows.
struct Pairs<'q> {
    join: Join<'q>,
    many: Box<dyn Source + 'q>,
    one: One<'q>,
    pairs: Vec<Vec<Pair>>,
    swapped: bool,
}

impl Pairs<'_> {
    fn join(&self, many: &Column, one: usize, scratch: &mut Scratch) -> Result<Joined, QueryError> {
        let computed;
        let one = match &self.one {
            One::Held(columns) => &columns[one],
            One::Computed(source) => {
                computed = source.column(one, scratch)?;
                &computed
            }
        };
        Ok(if self.swapped { self.join.columns(one, many) } else { self.join.columns(many, one) })
    }
}

impl Source for Pairs<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        if let [pair] = self.pairs[index].as_slice() {
            let many = self.many.column(pair.many, scratch)?;
            return Ok(self.join(&many, pair.one, scratch)?.column);
        }
        let mut result: Option<Column> = None;
        let mut matched: HashMap<usize, Steps> = HashMap::new();
        // Pairs with the same row of the "many" side stand together: it is computed once.
        for pairs in self.pairs[index].chunk_by(|a, b| a.many == b.many) {
            let column = self.many.column(pairs[0].many, scratch)?;
            for pair in pairs {
                let joined = self.join(&column, pair.one, scratch)?;
                let same_match = matched.entry(pair.key).or_insert_with(|| Steps::none(column.len()));
                if same_match.unite(&joined.matched).is_some() {
                    return Err(QueryError::execution(
                        "multiple matches for labels: grouping labels must ensure unique matches",
                    ));
                }
                match &mut result {
                    None => result = Some(joined.column),
                    Some(result) => result.unite(&joined.column)?,
                }
            }
        }
        Ok(result.expect("a result row comes from at least one pair"))
    }
}

/// Labels as Prometheus writes them into a message: the metric's name is one of them.
fn written(labels: &Labels) -> String {
    let is_plain = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let pairs = labels
        .iter()
        .map(|(name, value)| if is_plain(name) { format!("{name}={value:?}") } else { format!("{name:?}={value:?}") });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
