//! Rows into groups: `sum by (region) (…)`.
//!
//! Which group a row belongs to is known from its labels alone (`grouping.rs`), before any value is. Its column is then
//! added to what its group needs (`accumulator.rs`, `histogram_groups.rs`) and forgotten: what is held is groups × steps,
//! never rows × steps. Only what chooses among rows (`rank.rs`, `limit.rs`) or tells their values apart
//! (`count_values.rs`) keeps more. `aggregate.rs` names them all.

mod accumulator;
mod aggregate;
mod count_values;
mod grouping;
mod histogram_groups;
mod limit;
mod natural;
mod rank;

pub(super) use aggregate::{aggregate, warn_of_quantile};
pub(super) use rank::{sort, sort_by_label};

#[cfg(test)]
mod tests;
