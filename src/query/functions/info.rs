//! `info(x, {version=~".+"})`: series get labels of the info metrics that describe the same target.
//!
//! ```text
//! x{instance="a", job="1"}                               5  6
//! target_info{instance="a", job="1", version="3"}        1  -      ─►  x{instance="a", job="1", version="3"}  5  -
//! target_info{instance="a", job="1", version="4"}        -  1          x{instance="a", job="1", version="4"}  -  6
//! ```
//!
//! A series and an info series belong together when `instance` and `job` are the same. Which info series there is may
//! differ from step to step: what was chosen is worked out once for each target, as sets of steps; a series of the
//! argument becomes a row for each of these sets. Of two info series of one metric the one with the newer sample is
//! chosen.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{Labels, METRIC_NAME, MatchOp, Matcher};
use crate::query::column::{Column, Steps};
use crate::query::error::QueryError;
use crate::query::eval::{Context, vector};
use crate::query::leaf::{self, Shown};
use crate::query::plan::{Node, Plan, Range, RangeInput, Selector, Shift};
use crate::query::syntax::quote;
use crate::query::table::{Row, Scratch, Source, Table};
use crate::query::table::{hold, with_label};

/// The info metric that is meant when none is named.
const TARGET_INFO: &str = "target_info";
/// What info metrics are called, where it is only said which are not meant.
const INFO_NAMES: &str = ".+_info";
/// The labels that tell targets apart.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// Evaluates `info(x)` and `info(x, {…})`.
pub(super) fn info<'q>(context: &Context<'q>, arguments: &'q [Plan]) -> Result<Table<'q>, QueryError> {
    let base = vector(context, &arguments[0])?;
    let wanted = Wanted::of(arguments.get(1))?;
    let shift = reference(&arguments[0]).unwrap_or_default();
    let infos = Infos::read(context, &wanted, shift, &wanted.targets(&base.rows))?;
    let choices = infos.choices(context, &base)?;
    let mut parts = Vec::new();
    let mut rows = Vec::new();
    for (index, row) in base.rows.iter().enumerate() {
        context.budget.check()?;
        let choices = if wanted.is_info(row) { None } else { choices.get(&Target::of(&row.labels)) };
        let of_row = wanted.parts(context, &infos, row, choices)?;
        if of_row.is_empty() {
            // It is not shown, but what is wrong with it is told.
            base.source.column(index, &mut Scratch::default())?;
        }
        for part in of_row {
            rows.push(Row { labels: part.labels, sheds_name: row.sheds_name });
            parts.push((index, part.outcome));
        }
    }
    Ok(Table::new(rows, Enriched { inner: base.source, parts }).merge_same())
}

/// `instance` and `job`, empty where they are absent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Target<'l>([&'l str; 2]);

impl Target<'_> {
    fn of(labels: &Labels) -> Target<'_> {
        Target(IDENTIFYING.map(|name| labels.get(name).unwrap_or("")))
    }
}

/// Which labels of which info metrics are wanted.
struct Wanted {
    names: Vec<Matcher>,
    data: Vec<Matcher>,
}

impl Wanted {
    fn of(selector: Option<&Plan>) -> Result<Wanted, QueryError> {
        let matchers = match selector.map(|plan| &plan.node) {
            Some(Node::Selector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let (mut names, data): (Vec<_>, Vec<_>) = matchers.into_iter().partition(|one| one.name() == METRIC_NAME);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
        } else if names.iter().all(|one| matches!(one.op(), MatchOp::NotEqual | MatchOp::NotMatches)) {
            names.insert(0, Matcher::new(METRIC_NAME, MatchOp::Matches, INFO_NAMES)?);
        }
        Ok(Wanted { names, data })
    }

    /// Whether a series is of such a metric itself; then it stays as it is.
    fn is_info(&self, row: &Row) -> bool {
        let name = row.labels.metric_name().unwrap_or("");
        self.names.iter().all(|one| one.matches(name))
    }

    /// The targets of the rows that are to be described.
    fn targets<'r>(&self, rows: &'r [Row]) -> HashSet<Target<'r>> {
        rows.iter().filter(|row| !self.is_info(row)).map(|row| Target::of(&row.labels)).collect()
    }

    fn wants(&self, label: &str) -> bool {
        label != METRIC_NAME && (self.data.is_empty() || self.data.iter().any(|one| one.name() == label))
    }

    /// What becomes of a row: by the info series that were chosen for its target, and for the steps that have none.
    fn parts(
        &self,
        context: &Context<'_>,
        infos: &Infos,
        row: &Row,
        choices: Option<&Choices>,
    ) -> Result<Vec<Part>, QueryError> {
        let unchanged = |outcome| Part { labels: row.labels.clone(), outcome };
        if self.is_info(row) {
            return Ok(vec![unchanged(Outcome::All)]);
        }
        let mut parts = Vec::new();
        let mut rest = Steps::all(context.grid.count);
        for (chosen, steps) in choices.into_iter().flatten() {
            rest.subtract(steps);
            parts.push(match self.added(infos, &row.labels, chosen) {
                Ok(added) => {
                    let mut labels = Labels::clone(&row.labels);
                    for (name, value) in added {
                        labels = with_label(&labels, name, value)?;
                    }
                    Part { labels: Arc::new(labels), outcome: Outcome::Only(steps.clone()) }
                }
                Err(label) => {
                    let what = format!("conflicting label: {label}");
                    unchanged(Outcome::Refused(steps.clone(), what))
                }
            });
        }
        // Without any info series the wanted labels are absent, and that may not be what is wanted.
        if !rest.is_empty() && self.data.iter().all(Matcher::matches_absent) {
            parts.push(unchanged(Outcome::Only(rest)));
        }
        Ok(parts)
    }

    /// The labels that these info series add; fails with the one that two of them have different values for.
    fn added<'i>(
        &self,
        infos: &'i Infos,
        labels: &Labels,
        chosen: &[usize],
    ) -> Result<BTreeMap<&'i str, &'i str>, &'i str> {
        let mut added = BTreeMap::new();
        for (name, value) in chosen.iter().flat_map(|index| infos.rows[*index].iter()) {
            if !self.wants(name) || labels.get(name).is_some() {
                continue;
            }
            if added.insert(name, value).is_some_and(|before| before != value) {
                return Err(name);
            }
        }
        Ok(added)
    }
}

/// What becomes of a row at some of the steps.
struct Part {
    labels: Arc<Labels>,
    outcome: Outcome,
}

enum Outcome {
    /// It is there at all steps.
    All,
    /// It is there at these steps.
    Only(Steps),
    /// If it is there at one of these steps, the query fails.
    Refused(Steps, String),
}

/// Sets of info series that were chosen together, with the steps at which they were.
type Choices = BTreeMap<Vec<usize>, Steps>;

/// The info series of all targets.
struct Infos {
    rows: Vec<Arc<Labels>>,
    /// When each was sampled, in seconds.
    columns: Vec<Column>,
}

impl Infos {
    /// Reads the info series of these targets. Each label of a target narrows them only if any target has it.
    fn read(
        context: &Context<'_>,
        wanted: &Wanted,
        shift: Shift,
        targets: &HashSet<Target<'_>>,
    ) -> Result<Infos, QueryError> {
        let mut known: [BTreeSet<&str>; 2] = Default::default();
        for target in targets {
            for (values, value) in known.iter_mut().zip(target.0) {
                values.extend(Some(value).filter(|value| !value.is_empty()));
            }
        }
        if known.iter().all(BTreeSet::is_empty) {
            return Ok(Infos { rows: Vec::new(), columns: Vec::new() });
        }
        let mut matchers: Vec<Matcher> = wanted.names.iter().chain(&wanted.data).cloned().collect();
        for (name, values) in IDENTIFYING.into_iter().zip(&known) {
            matchers.extend(values.first().filter(|_| values.len() == 1).map(|only| Matcher::equal(name, *only)));
        }
        let selector = Selector { matchers, shift, edges: None };
        let numbers = leaf::instant(context, &selector, Shown::Seconds)?;
        check_numbers(context, &leaf::instant(context, &selector, Shown::Value)?)?;
        let fits = |row: &Row| {
            let of_target = IDENTIFYING.into_iter().zip(&known);
            let mut fits = of_target.filter(|(_, values)| !values.is_empty());
            fits.all(|(name, values)| row.labels.get(name).is_some_and(|value| values.contains(value)))
        };
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for (row, column) in numbers.rows.iter().zip(hold(context, &numbers)?) {
            if fits(row) && !column.is_empty() {
                rows.push(row.labels.clone());
                columns.push(column);
            }
        }
        Ok(Infos { rows, columns })
    }

    /// Which info series are chosen for each target, at which steps.
    fn choices(&self, context: &Context<'_>, base: &Table<'_>) -> Result<HashMap<Target<'_>, Choices>, QueryError> {
        let mut by_target: HashMap<Target<'_>, BTreeMap<&str, Vec<usize>>> = HashMap::new();
        for (index, labels) in self.rows.iter().enumerate() {
            let name = labels.metric_name().unwrap_or("");
            by_target.entry(Target::of(labels)).or_default().entry(name).or_default().push(index);
        }
        let mut all = HashMap::new();
        let mut meter = context.budget.meter();
        for (target, metrics) in by_target {
            let mut choices = Choices::new();
            for step in 0..context.grid.count {
                meter.work(metrics.len())?;
                let mut chosen = Vec::new();
                for candidates in metrics.values() {
                    chosen.extend(self.newest(context, base, candidates, step)?);
                }
                if !chosen.is_empty() {
                    choices.entry(chosen).or_insert_with(|| Steps::none(context.grid.count)).insert(step);
                }
            }
            all.insert(target, choices);
        }
        Ok(all)
    }

    /// The candidate with the newest sample. Two of the same age are an error, if there is anything to describe.
    fn newest(
        &self,
        context: &Context<'_>,
        base: &Table<'_>,
        candidates: &[usize],
        step: usize,
    ) -> Result<Option<usize>, QueryError> {
        let mut newest: Option<(f64, usize)> = None;
        for &candidate in candidates {
            let Some(seconds) = self.columns[candidate].get(step) else { continue };
            match newest {
                Some((known, _)) if known > seconds => {}
                Some((known, other)) if known == seconds => {
                    if occupied(context, base)?.has(step) {
                        return Err(self.doubled(other, candidate, seconds));
                    }
                }
                _ => newest = Some((seconds, candidate)),
            }
        }
        Ok(newest.map(|(_, candidate)| candidate))
    }

    fn doubled(&self, one: usize, other: usize, seconds: f64) -> QueryError {
        let ms = (seconds * 1000.0).round() as i64;
        let [one, other] = [one, other].map(|index| written(&self.rows[index]));
        QueryError::Execution(format!(
            "found duplicate series for info metric: existing {one} @ {ms}, new {other} @ {ms}"
        ))
    }
}

/// The steps at which any row is there.
fn occupied(context: &Context<'_>, table: &Table<'_>) -> Result<Steps, QueryError> {
    let mut all = Steps::none(context.grid.count);
    table.for_each(context.budget, context.grid.count, |_, column| {
        all.unite(&column.occupied());
        Ok(())
    })?;
    Ok(all)
}

/// Native histograms describe nothing.
fn check_numbers(context: &Context<'_>, infos: &Table<'_>) -> Result<(), QueryError> {
    infos.for_each(context.budget, context.grid.count, |row, column| match column.iter_histograms().next() {
        None => Ok(()),
        Some(_) => {
            let labels = written(&infos.rows[row].labels);
            Err(QueryError::Execution(format!("this should be an info metric, with float samples: {labels}")))
        }
    })
}

/// A label set with its name among the labels, as messages of Prometheus have it.
fn written(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// The moment that the first selector of an expression looks at: info series are read as of then.
fn reference(plan: &Plan) -> Option<Shift> {
    let of_range = |range: &Range| match &range.input {
        RangeInput::Selector(_) => Some(range.shift),
        RangeInput::Subquery { inner, .. } => reference(inner).map(|inner| match inner.at_ms {
            Some(_) => inner,
            None => Shift { offset_ms: inner.offset_ms.saturating_add(range.shift.offset_ms), ..range.shift },
        }),
    };
    match &plan.node {
        Node::Selector(selector) => Some(selector.shift),
        Node::Range(range) => of_range(range),
        Node::Rollup { range, parameters, .. } => of_range(range).or_else(|| parameters.iter().find_map(reference)),
        Node::Aggregate { inner, parameter, .. } => {
            reference(inner).or_else(|| parameter.as_deref().and_then(reference))
        }
        Node::Binary { left, right, .. } => reference(left).or_else(|| reference(right)),
        Node::Negate(inner) | Node::Plus(inner) => reference(inner),
        Node::Call { arguments, .. } => arguments.iter().find_map(reference),
        Node::Number(_) | Node::Text(_) => None,
    }
}

struct Enriched<'q> {
    inner: Box<dyn Source + 'q>,
    /// For each row the row that it comes from, and when it does.
    parts: Vec<(usize, Outcome)>,
}

impl Source for Enriched<'_> {
    fn column(&self, index: usize, scratch: &mut Scratch) -> Result<Column, QueryError> {
        let (row, outcome) = &self.parts[index];
        let mut column = self.inner.column(*row, scratch)?;
        match outcome {
            Outcome::All => {}
            Outcome::Only(steps) => column.retain(steps),
            Outcome::Refused(steps, what) => {
                if column.occupied().meets(steps) {
                    return Err(QueryError::Execution(what.clone()));
                }
                column.retain(&Steps::none(column.values.len()));
            }
        }
        Ok(column)
    }
}
