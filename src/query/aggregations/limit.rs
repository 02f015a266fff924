//! Some of the series, whatever their values: `limitk(3, x)`, `limit_ratio(0.1, x)`.
//!
//! A ratio chooses by the labels alone: they are hashed, the hash is taken as a place between 0 and 1, and `0.1` chooses
//! the series below 0.1 while `-0.9` chooses those from there on. So `limit_ratio(0.1, x) or limit_ratio(-0.9, x)` is all
//! of `x`, and another query with the same ratio chooses the same series; so does Prometheus, whose hash this is.

use xxhash_rust::xxh64::xxh64;

use super::grouping::Groups;
use crate::model::Labels;
use crate::model::format_general;
use crate::query::column::{Column, Steps};
use crate::query::error::QueryError;
use crate::query::eval::{Context, Scalar};
use crate::query::syntax::Span;
use crate::query::table::{Row, Table};

/// How many rows of a group are chosen, by step.
pub(super) struct Counts(Scalar);

impl Counts {
    pub(super) fn at(&self, step: usize) -> usize {
        let count = self.0.at(step);
        if count < 1.0 { 0 } else { count as usize }
    }
}

/// How many rows `topk(count, …)` shows at each step; none at all if it is none at every step.
pub(super) fn counts(parameter: &Scalar, steps: usize) -> Result<Option<Counts>, QueryError> {
    let all = || (0..steps).map(|step| parameter.at(step));
    if all().any(f64::is_nan) {
        return Err(QueryError::execution("Parameter value is NaN"));
    }
    let (smallest, largest) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    if largest < 1.0 {
        return Ok(None);
    }
    for (value, is_beyond, how) in
        [(smallest, smallest <= i64::MIN as f64, "underflows"), (largest, largest >= i64::MAX as f64, "overflows")]
    {
        if is_beyond {
            return Err(QueryError::Execution(format!("Scalar value {} {how} int64", format_general(value))));
        }
    }
    Ok(Some(Counts(parameter.clone())))
}

/// Of each group and at each step the first `counts` rows.
pub(super) fn first(
    context: &Context<'_>,
    groups: &Groups,
    inner: &Table<'_>,
    counts: &Counts,
) -> Result<Vec<(Row, Column)>, QueryError> {
    let steps = context.grid.count;
    context.budget.take_samples(groups.heads.len() * steps)?;
    let mut taken: Vec<Vec<usize>> = vec![vec![0; steps]; groups.heads.len()];
    let mut chosen = Vec::new();
    inner.for_each(context.budget, steps, |row, mut column| {
        let taken = &mut taken[groups.of_row[row]];
        let mut kept = Steps::none(steps);
        for step in column.occupied().iter().filter(|step| taken[*step] < counts.at(*step)) {
            kept.insert(step);
        }
        kept.iter().for_each(|step| taken[step] += 1);
        if !kept.is_empty() {
            context.budget.take_samples(steps)?;
            column.retain(&kept);
            chosen.push((inner.rows[row].clone(), column));
        }
        Ok(())
    })?;
    Ok(chosen)
}

/// The share `ratio` of the series.
pub(super) fn share<'q>(
    context: &Context<'q>,
    ratio: Scalar,
    at: Span,
    inner: Table<'q>,
) -> Result<Table<'q>, QueryError> {
    let steps = context.grid.count;
    let all = || (0..steps).map(|step| ratio.at(step));
    if all().all(|ratio| ratio == 0.0) {
        return inner.nothing(context);
    }
    if all().any(f64::is_nan) {
        return Err(QueryError::execution("Ratio value is NaN"));
    }
    for (outermost, capped) in [(all().fold(0.0, f64::max), 1.0), (all().fold(0.0, f64::min), -1.0)] {
        if outermost.abs() > 1.0 {
            let got = format_general(outermost);
            let what = format!("ratio value should be between -1 and 1, got {got}, capping to {capped}");
            context.notes.warn(at, what);
        }
    }
    let places: Vec<f64> = inner.rows.iter().map(|row| place(&row.labels)).collect();
    Ok(inner.map(move |row, column| {
        let mut kept = Steps::none(steps);
        let chosen = |step: &usize| is_chosen(ratio.at(*step).clamp(-1.0, 1.0), places[row]);
        column.occupied().iter().filter(chosen).for_each(|step| kept.insert(step));
        column.retain(&kept);
    }))
}

/// Where a label set lies between 0 and 1.
fn place(labels: &Labels) -> f64 {
    let mut bytes = Vec::with_capacity(256);
    for piece in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(piece.len()) {
            Ok(length) if length < u8::MAX => bytes.push(length),
            // Longer ones have a mark and three bytes of length.
            _ => bytes.extend([u8::MAX].into_iter().chain(piece.len().to_le_bytes().into_iter().take(3))),
        }
        bytes.extend_from_slice(piece.as_bytes());
    }
    xxh64(&bytes, 0) as f64 / u64::MAX as f64
}

/// Whether a ratio from -1 to 1 chooses what lies there.
fn is_chosen(ratio: f64, place: f64) -> bool {
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}
