//! `and`, `or`, `unless`: which rows are shown, decided at each step by whether there is a row with the same key on the
//! other side.

use super::matching::Keys;
use crate::query::column::{Column, Steps};
use crate::query::error::QueryError;
use crate::query::eval::Context;
use crate::query::plan::Matching;
use crate::query::syntax::Operator;
use crate::query::table::{Row, Scratch, Source, Table, hold};

/// The rows of both sides that the operator keeps.
pub(super) fn evaluate<'q>(
    context: &Context<'q>,
    operator: Operator,
    matching: &Matching,
    left: Table<'q>,
    right: Table<'q>,
) -> Result<Table<'q>, QueryError> {
    let mut keys = Keys::default();
    let left_keys = keys.of_rows(&left.rows, matching);
    let right_keys = keys.of_rows(&right.rows, matching);
    let steps = context.grid.count;
    let mut there: Vec<Steps> = vec![Steps::none(steps); keys.known.len()];
    if operator == Operator::Or {
        let held = hold(context, &left)?;
        for (column, key) in held.iter().zip(&left_keys) {
            there[*key].unite(&column.occupied());
        }
        let rest = right.map(move |row, column| column.subtract(&there[right_keys[row]]));
        // A row that is never there keeps no place for one of the right with its labels.
        let is_there = |(_, column): &(Row, Column)| !column.occupied().is_empty();
        let left = Table::held(left.rows.into_iter().zip(held).filter(is_there).collect());
        return Ok(chain(left, rest).merge_same());
    }
    right.for_each(context.budget, steps, |row, column| {
        there[right_keys[row]].unite(&column.occupied());
        Ok(())
    })?;
    let keeps_matched = operator == Operator::And;
    Ok(left.map(move |row, column| {
        let matched = &there[left_keys[row]];
        if keeps_matched { column.retain(matched) } else { column.subtract(matched) }
    }))
}

/// The rows of one table and behind them those of another.
fn chain<'q>(first: Table<'q>, second: Table<'q>) -> Table<'q> {
    let mut rows = first.rows;
    let border = rows.len();
    rows.extend(second.rows);
    Table::new(rows, Chained { first: first.source, second: second.source, border })
}

struct Chained<'q> {
    first: Box<dyn Source + 'q>,
    second: Box<dyn Source + 'q>,
    border: usize,
}

impl Source for Chained<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        match index.checked_sub(self.border) {
            None => self.first.column(index, scratch),
            Some(index) => self.second.column(index, scratch),
        }
    }
}
