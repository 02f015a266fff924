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

use super::aggregate::{hold, with_label};
use super::binary::Join;
use super::column::{Column, Steps};
use super::error::QueryError;
use super::eval::Context;
use super::plan::{Group, Matching};
use super::table::{Row, Scratch, Source, Table, nameless};
use crate::model::{Labels, METRIC_NAME};

/// The values of an operator between two vectors that is not a set operator.
pub(super) fn join<'q>(
    context: &Context<'q>,
    join: Join,
    matching: &Matching,
    left: Table<'q>,
    right: Table<'q>,
) -> Result<Table<'q>, QueryError> {
    let swapped = matches!(matching.group, Group::Right(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
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
        matched.check_one_side(context, &columns, &partners)?;
        if matching.group == Group::OneToOne {
            matched.check_many_side(context, &columns, &partners, &many_keys)?;
        }
    }
    let (rows, pairs) = matched.rows(context, join, &partners, &many_keys)?.into_iter().unzip();
    let one = if one_by_one { One::Computed(one.source) } else { One::Held(columns) };
    Ok(Table::new(rows, Pairs { join, many: many.source, one, pairs, swapped, steps: context.grid.count }))
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
type ResultRow = (Row, Vec<(usize, usize)>);

impl Matched<'_, '_> {
    /// Whether no match can have two rows on either side, whatever their values.
    fn is_one_by_one(&self, partners: &[Vec<usize>], keys: &[usize]) -> bool {
        let mut taken = vec![false; partners.len()];
        partners.iter().all(|rows| rows.len() <= 1) && keys.iter().all(|key| !std::mem::replace(&mut taken[*key], true))
    }

    /// Two rows of the "one" side in one match are an error at each step at which there is anything to match with.
    fn check_one_side(
        &self,
        context: &Context<'_>,
        columns: &[Column],
        partners: &[Vec<usize>],
    ) -> Result<(), QueryError> {
        let steps = context.grid.count;
        let mut clash: Option<(usize, usize)> = None;
        let mut clashes = Steps::none(steps);
        for rows in partners.iter().filter(|rows| rows.len() > 1) {
            let mut seen = columns[rows[0]].occupied().into_owned();
            for row in &rows[1..] {
                let mut both = columns[*row].occupied().into_owned();
                both.intersect(&seen);
                seen.unite(&columns[*row].occupied());
                if !both.is_empty() {
                    clashes.unite(&both);
                    clash.get_or_insert((rows[0], *row));
                }
            }
        }
        let Some((first, second)) = clash else { return Ok(()) };
        self.many.for_each(context.budget, steps, |_, column| {
            let mut present = column.occupied().into_owned();
            present.intersect(&clashes);
            if present.is_empty() { Ok(()) } else { Err(self.many_to_many(first, second)) }
        })
    }

    fn many_to_many(&self, first: usize, second: usize) -> QueryError {
        let labels = |row: usize| &self.one.rows[row].labels;
        QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {} hand-side of the operation: [{}, {}];many-to-many \
             matching not allowed: matching labels must be unique on one side",
            key(labels(first), self.matching),
            if self.swapped { "left" } else { "right" },
            labels(second),
            labels(first),
        ))
    }

    /// Without `group_left` or `group_right` the other side may not have two rows in a match either.
    fn check_many_side(
        &self,
        context: &Context<'_>,
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
            partners[*key].iter().for_each(|partner| _ = matched.unite(&columns[*partner].occupied()));
            matched.intersect(&self.many.source.column(row, &mut scratch)?.occupied());
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
        join: Join,
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
                rows[index].1.push((many, *one));
            }
        }
        Ok(rows)
    }

    fn result_row(&self, context: &Context<'_>, join: Join, many: usize, one: usize) -> Result<Row, QueryError> {
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
    join: Join,
    many: Box<dyn Source + 'q>,
    one: One<'q>,
    pairs: Vec<Vec<(usize, usize)>>,
    swapped: bool,
    steps: usize,
}

/// One pair's values, and at which steps both of it were there.
struct Joined {
    column: Column,
    matched: Steps,
}

impl Pairs<'_> {
    fn join(&self, many: &Column, one: &Column) -> Joined {
        let mut matched = many.present.clone();
        matched.intersect(&one.present);
        let mut column = Column::absent(self.steps);
        for step in matched.iter() {
            let (many, one) = (many.values[step], one.values[step]);
            let (left, right) = if self.swapped { (one, many) } else { (many, one) };
            if let Some(value) = self.join.element(left, right, left) {
                column.set(step, value);
            }
        }
        Joined { column, matched }
    }
}

impl Source for Pairs<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let mut result = Column::absent(self.steps);
        let mut matched = Steps::none(self.steps);
        // Pairs with the same row of the "many" side stand together: it is computed once.
        for pairs in self.pairs[index].chunk_by(|a, b| a.0 == b.0) {
            let column = self.many.column(pairs[0].0, scratch)?;
            for (_, one) in pairs {
                let joined = match &self.one {
                    One::Held(columns) => self.join(&column, &columns[*one]),
                    One::Computed(source) => self.join(&column, &source.column(*one, scratch)?),
                };
                if matched.unite(&joined.matched).is_some() {
                    return Err(QueryError::execution(
                        "multiple matches for labels: grouping labels must ensure unique matches",
                    ));
                }
                result.unite(&joined.column)?;
            }
        }
        Ok(result)
    }
}
