//! Operators between scalars and vectors, and which series of two vectors belong together.
//!
//! ```text
//! errors{code="500", node="1"}  ─┐ ignoring(code)
//! requests{node="1"}            ─┴─ both are {node="1"} to the match: errors / requests has {node="1"}
//! ```
//!
//! The match is worked out once from the labels of all rows, not once a step. What depends on values is checked where
//! they are: that at each step at most one row of the "one" side is there in a match.

use std::collections::HashMap;
use std::sync::Arc;

use super::aggregate::hold;
use super::column::{Column, Steps};
use super::error::QueryError;
use super::eval::{Context, Evaluated, Scalar, evaluate};
use super::plan::{Group, Matching, Operator, Plan};
use super::table::{Scratch, Source, Table, nameless};
use crate::model::{Labels, METRIC_NAME};

/// Evaluates a [`Plan::Binary`].
pub(super) fn binary<'q>(context: &Context<'q>, plan: &'q Plan) -> Result<Evaluated<'q>, QueryError> {
    let Plan::Binary { operator, returns_bool, matching, left, right } = plan else {
        unreachable!("called for binary operators only");
    };
    let join = Join { operator: *operator, returns_bool: *returns_bool };
    let (left, right) = (evaluate(context, left)?, evaluate(context, right)?);
    Ok(match (left, right) {
        (Evaluated::Scalar(left), Evaluated::Scalar(right)) => {
            Evaluated::Scalar(left.zip(&right, context.grid.count, |left, right| join.number(left, right)))
        }
        (Evaluated::Vector(left), Evaluated::Scalar(right)) => Evaluated::Vector(join.with_scalar(left, right, false)?),
        (Evaluated::Scalar(left), Evaluated::Vector(right)) => Evaluated::Vector(join.with_scalar(right, left, true)?),
        (Evaluated::Vector(left), Evaluated::Vector(right)) if operator.is_set() => {
            Evaluated::Vector(set(context, *operator, matching, left, right)?)
        }
        (Evaluated::Vector(left), Evaluated::Vector(right)) => {
            Evaluated::Vector(join.vectors(context, matching, left, right)?)
        }
        (Evaluated::Text(_), _) | (_, Evaluated::Text(_)) => unreachable!("lowering puts no strings into operators"),
    })
}

/// What an operator does to two values.
#[derive(Clone, Copy)]
struct Join {
    operator: Operator,
    returns_bool: bool,
}

impl Join {
    /// The result of arithmetic; 0 or 1 of a comparison.
    fn number(self, left: f64, right: f64) -> f64 {
        match self.operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            // Of the sign of the dividend, like Go's math.Mod.
            Operator::Modulo => left % right,
            Operator::Power => left.powf(right),
            Operator::Atan2 => left.atan2(right),
            comparison => f64::from(u8::from(holds(comparison, left, right))),
        }
    }

    /// The result for vectors, where a comparison keeps `kept` or nothing.
    fn element(self, left: f64, right: f64, kept: f64) -> Option<f64> {
        if self.operator.is_comparison() && !self.returns_bool {
            return holds(self.operator, left, right).then_some(kept);
        }
        Some(self.number(left, right))
    }

    fn drops_name(self) -> bool {
        self.returns_bool || !self.operator.is_comparison()
    }

    fn with_scalar<'q>(self, table: Table<'q>, scalar: Scalar, swapped: bool) -> Result<Table<'q>, QueryError> {
        let table = if self.drops_name() { table.drop_names() } else { table };
        Ok(table.map(move |_, column| {
            column.filter_map(|step, value| {
                let other = scalar.at(step);
                if swapped { self.element(other, value, value) } else { self.element(value, other, value) }
            });
        }))
    }

    fn vectors<'q>(
        self,
        context: &Context<'q>,
        matching: &Matching,
        left: Table<'q>,
        right: Table<'q>,
    ) -> Result<Table<'q>, QueryError> {
        let swapped = matches!(matching.group, Group::Right(_));
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let mut keys = Keys::default();
        let many_keys = keys.of_rows(&many.labels, matching);
        let one_keys = keys.of_rows(&one.labels, matching);
        let columns = hold(context, &one)?;
        let mut partners: Vec<Vec<usize>> = vec![Vec::new(); keys.known.len()];
        for (row, key) in one_keys.iter().enumerate() {
            if !columns[row].present.is_empty() {
                partners[*key].push(row);
            }
        }
        let matched = Matched { matching, many: &many, one: &one, swapped };
        matched.check_one_side(context, &columns, &partners)?;
        if matching.group == Group::OneToOne {
            matched.check_many_side(context, &columns, &partners, &many_keys)?;
        }
        let rows = matched.rows(context, self, &partners, &many_keys)?;
        let (labels, pairs) = rows.into_iter().unzip();
        let steps = context.grid.count;
        let source = Pairs { join: self, many: many.source, one: columns, pairs, swapped, steps };
        Ok(Table::new(labels, source))
    }
}

fn holds(comparison: Operator, left: f64, right: f64) -> bool {
    match comparison {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => left < right,
        Operator::LessOrEqual => left <= right,
        Operator::Greater => left > right,
        Operator::GreaterOrEqual => left >= right,
        other => unreachable!("{other:?} compares nothing"),
    }
}

/// Numbers for what rows have in common in a match.
#[derive(Default)]
struct Keys {
    known: HashMap<Labels, usize>,
}

impl Keys {
    fn of_rows(&mut self, rows: &[Arc<Labels>], matching: &Matching) -> Vec<usize> {
        rows.iter()
            .map(|labels| {
                let next = self.known.len();
                *self.known.entry(key(labels, matching)).or_insert(next)
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
type ResultRow = (Arc<Labels>, Vec<(usize, usize)>);

impl Matched<'_, '_> {
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
            let mut seen = columns[rows[0]].present.clone();
            for row in &rows[1..] {
                let mut both = columns[*row].present.clone();
                both.intersect(&seen);
                seen.unite(&columns[*row].present);
                if !both.is_empty() {
                    clashes.unite(&both);
                    clash.get_or_insert((rows[0], *row));
                }
            }
        }
        let Some((first, second)) = clash else { return Ok(()) };
        self.many.for_each(context.budget, steps, |_, column| {
            let mut present = column.present;
            present.intersect(&clashes);
            if present.is_empty() { Ok(()) } else { Err(self.many_to_many(first, second)) }
        })
    }

    fn many_to_many(&self, first: usize, second: usize) -> QueryError {
        let labels = &self.one.labels;
        QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {} hand-side of the operation: [{}, {}];many-to-many \
             matching not allowed: matching labels must be unique on one side",
            key(&labels[first], self.matching),
            if self.swapped { "left" } else { "right" },
            labels[second],
            labels[first],
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
            partners[*key].iter().for_each(|partner| _ = matched.unite(&columns[*partner].present));
            matched.intersect(&self.many.source.column(row, &mut scratch)?.present);
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
                let labels = self.result_labels(join, many, *one)?;
                let index = *known.entry(labels).or_insert_with_key(|labels| {
                    rows.push((labels.clone(), Vec::new()));
                    rows.len() - 1
                });
                rows[index].1.push((many, *one));
            }
        }
        Ok(rows)
    }

    fn result_labels(&self, join: Join, many: usize, one: usize) -> Result<Arc<Labels>, QueryError> {
        let mut labels = self.many.labels[many].clone();
        if join.drops_name() {
            labels = nameless(&labels);
        }
        match &self.matching.group {
            Group::OneToOne => {
                let listed = |name: &str| self.matching.labels.iter().any(|label| label == name);
                Ok(Arc::new(labels.filtered(|name| listed(name) == self.matching.on)))
            }
            Group::Left(included) | Group::Right(included) => {
                for name in included {
                    let value = self.one.labels[one].get(name).unwrap_or("");
                    labels = Arc::new(super::aggregate::with_label(&labels, name, value)?);
                }
                Ok(labels)
            }
        }
    }
}

/// The values of matched rows.
struct Pairs<'q> {
    join: Join,
    many: Box<dyn Source + 'q>,
    one: Vec<Column>,
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
                let joined = self.join(&column, &self.one[*one]);
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

/// `and`, `or`, `unless`.
fn set<'q>(
    context: &Context<'q>,
    operator: Operator,
    matching: &Matching,
    left: Table<'q>,
    right: Table<'q>,
) -> Result<Table<'q>, QueryError> {
    let mut keys = Keys::default();
    let left_keys = keys.of_rows(&left.labels, matching);
    let right_keys = keys.of_rows(&right.labels, matching);
    let steps = context.grid.count;
    let mut there: Vec<Steps> = vec![Steps::none(steps); keys.known.len()];
    if operator == Operator::Or {
        let held = hold(context, &left)?;
        for (column, key) in held.iter().zip(&left_keys) {
            there[*key].unite(&column.present);
        }
        let rest = right.map(move |row, column| column.present.subtract(&there[right_keys[row]]));
        let left = Table::held(left.labels.into_iter().zip(held).collect());
        return Ok(chain(left, rest).merge_same());
    }
    right.for_each(context.budget, steps, |row, column| {
        there[right_keys[row]].unite(&column.present);
        Ok(())
    })?;
    let keeps_matched = operator == Operator::And;
    Ok(left.map(move |row, column| {
        let matched = &there[left_keys[row]];
        if keeps_matched { column.present.intersect(matched) } else { column.present.subtract(matched) }
    }))
}

/// The rows of one table and behind them those of another.
fn chain<'q>(first: Table<'q>, second: Table<'q>) -> Table<'q> {
    let mut labels = first.labels;
    let border = labels.len();
    labels.extend(second.labels);
    Table::new(labels, Chained { first: first.source, second: second.source, border })
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
