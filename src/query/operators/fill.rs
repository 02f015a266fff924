//! `fill`, `fill_left`, `fill_right`: a number in place of the series that the other side of an operator lacks.
//!
//! ```text
//! errors{node="1"}  3 _ 4                      3 0 4
//!                           + fill_left(0)  +            of {node="1"}: 13 10 14
//! all{node="1"}    10 10 10                   10 10 10
//! ```
//!
//! For each match a row without a metric's name is made up that has the number at the steps at which that side has
//! nothing of the match and the other one has something. From there on the rows are like any others. Under `group_left`
//! and `group_right` it is the many side that `fill_left` is for, whichever side of the operator that is: so Prometheus
//! does it.

use std::sync::Arc;

use super::matching::Keys;
use crate::model::Labels;
use crate::query::column::{Column, Steps};
use crate::query::error::QueryError;
use crate::query::eval::Context;
use crate::query::plan::Matching;
use crate::query::table::hold;
use crate::query::table::{Row, Table};

/// The rows of both sides and those that stand in for missing ones: the many side, then the one.
pub(super) fn fill<'q>(
    context: &Context<'_>,
    matching: &Matching,
    many: Table<'q>,
    one: Table<'q>,
) -> Result<(Table<'q>, Table<'q>), QueryError> {
    let mut keys = Keys::default();
    let (many_keys, one_keys) = (keys.of_rows(&many.rows, matching), keys.of_rows(&one.rows, matching));
    let mut labels: Vec<(Labels, usize)> = keys.known.into_iter().collect();
    labels.sort_unstable_by_key(|(_, key)| *key);
    let labels: Vec<Arc<Labels>> = labels.into_iter().map(|(labels, _)| Arc::new(labels)).collect();
    let mut many = Side::hold(context, many, &many_keys, labels.len())?;
    let mut one = Side::hold(context, one, &one_keys, labels.len())?;
    let missing_of_many = matching.fill_left.map(|number| one.lacking(&many, &labels, number));
    let missing_of_one = matching.fill_right.map(|number| many.lacking(&one, &labels, number));
    many.rows.extend(missing_of_many.into_iter().flatten());
    one.rows.extend(missing_of_one.into_iter().flatten());
    Ok((Table::held(many.rows), Table::held(one.rows)))
}

/// One side of a match, held in memory.
struct Side {
    rows: Vec<(Row, Column)>,
    /// At which steps there is anything, by match.
    there: Vec<Steps>,
}

impl Side {
    fn hold(context: &Context<'_>, table: Table<'_>, keys: &[usize], count: usize) -> Result<Side, QueryError> {
        let steps = context.grid.count;
        // A row for each match may be made up.
        context.budget.take_samples(steps.saturating_mul(count))?;
        let columns = hold(context, &table)?;
        let mut there = vec![Steps::none(steps); count];
        columns.iter().zip(keys).for_each(|(column, key)| _ = there[*key].unite(&column.occupied()));
        Ok(Side { rows: table.rows.into_iter().zip(columns).collect(), there })
    }

    /// The rows that `other` lacks of the matches that are here.
    fn lacking(&self, other: &Side, labels: &[Arc<Labels>], number: f64) -> Vec<(Row, Column)> {
        let mut rows = Vec::new();
        for (key, labels) in labels.iter().enumerate() {
            let mut missing = self.there[key].clone();
            missing.subtract(&other.there[key]);
            if !missing.is_empty() {
                let mut column = Column::absent(0);
                column.values = vec![number; self.steps()];
                column.present = missing;
                rows.push((Row::new(labels.clone()), column));
            }
        }
        rows
    }

    /// Only asked where there is a row.
    fn steps(&self) -> usize {
        self.rows.first().map_or(0, |(_, column)| column.len())
    }
}
