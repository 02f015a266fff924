//! From the plan of a query to a [`Signal`]: the one place that knows the tree of a query.
//!
//! ```text
//! sum by (region) (rate(failed[1m])) / sum by (region) (rate(paid[1m]))
//!
//! Binary /                                       Compute Divide
//! ├── Aggregate sum by region ─ Rollup rate      ├── Operand 0   failed, flow, sum
//! └── Aggregate sum by region ─ Rollup rate      └── Operand 1   paid, flow, sum        both grouped by region
//! ```
//!
//! Always true: all operands of a signal have the same grouping, and the ranges of all are whole numbers of its buckets.

use super::buckets::{BUCKET_MS_MIN, bucket_ms, buckets_of};
use super::formula::{Arithmetic, Formula};
use super::signal::{
    BUCKET_BOUND, EVALUATION_INTERVAL_MS, Fold, Operand, OverTime, Rolled, Signal, SignalError, Source,
};
use crate::model::{METRIC_NAME, MatchOp, Matcher};
use crate::query::{
    self, Aggregator, Edges, Function, Group, Grouping, Matching, Node, Operator, Plan, Range, RangeInput, Rollup,
    Selector, Shift,
};

/// Longest range, in ms: an hour.
const RANGE_MS_MAX: i64 = 3_600_000;
/// Longest range that each series keeps a window of its own for, in ms: five minutes.
const OWN_RANGE_MS_MAX: i64 = 300_000;
/// Most operands of an expression.
const OPERANDS_COUNT_MAX: usize = 16;

/// The signal of an expression that can be fed.
pub(super) fn streamed(expression: &str) -> Result<Signal, SignalError> {
    let plan = planned(expression)?;
    let mut compiler = Compiler::default();
    let formula = compiler.formula(&plan)?;
    let (Some(grouping), operands) = (compiler.grouping, compiler.operands) else {
        return Err(unsupported("a constant", "no sample changes it"));
    };
    signal(formula, operands, grouping)
}

/// The signal of an expression that is evaluated, for the reason given.
pub(super) fn evaluated(expression: &str, because: &SignalError) -> Result<Signal, SignalError> {
    let selectors = planned(expression)?.selectors();
    let source = Source::Evaluated {
        expression: expression.to_owned(),
        interval_ms: EVALUATION_INTERVAL_MS,
        because: because.to_string(),
    };
    let operand = Operand { matchers: Vec::new(), ..plain(Vec::new()) };
    Ok(Signal { source, selectors, ..signal(Formula::Operand(0), vec![operand], Grouping::Without(Vec::new()))? })
}

/// The beats of the series of a plain selector.
pub(super) fn beats(expression: &str) -> Result<Signal, SignalError> {
    match &planned(expression)?.node {
        Node::Selector(Selector { matchers, shift, edges: None }) if *shift == Shift::default() => {
            let operands = vec![plain(matchers.clone())];
            Ok(Signal { tells_beats: true, ..signal(Formula::Operand(0), operands, Grouping::Without(Vec::new()))? })
        }
        _ => Err(SignalError::Nothing(
            "absence is watched of the samples of series, so the expression must be a plain selector such as \
             job_runs_total{job=\"export\"}"
                .to_owned(),
        )),
    }
}

fn planned(expression: &str) -> Result<Plan, SignalError> {
    let plan = query::plan(expression).map_err(|error| SignalError::Syntax(error.to_string()))?;
    match plan.node {
        Node::Range(_) => {
            Err(SignalError::Nothing("a range of samples is no value: it needs a function such as rate()".to_owned()))
        }
        Node::Text(_) => Err(SignalError::Nothing("a text is no value".to_owned())),
        _ if plan.selectors().is_empty() => {
            Err(SignalError::Nothing("no series is selected, so nothing changes".to_owned()))
        }
        _ => Ok(plan),
    }
}

fn signal(formula: Formula, mut operands: Vec<Operand>, grouping: Grouping) -> Result<Signal, SignalError> {
    let ranges: Vec<i64> = operands.iter().map(|operand| operand.range_ms).filter(|&range_ms| range_ms > 0).collect();
    let Some(bucket_ms) = bucket_ms(&ranges) else {
        return Err(unsupported("ranges of different lengths", "they are no multiples of the same 5 to 15 s"));
    };
    for operand in &mut operands {
        operand.window_buckets =
            usize::try_from(buckets_of(operand.range_ms, bucket_ms)).expect("a range has at most 720 buckets").max(1);
    }
    let unit = |index: usize| match operands[index].rolled {
        Rolled::Flow { per_second: true } => 1000.0 / bucket_ms as f64,
        _ => operands[index].window_buckets as f64,
    };
    Ok(Signal {
        source: Source::Streamed,
        has_flows: operands
            .iter()
            .any(|operand| matches!(operand.rolled, Rolled::Flow { .. } | Rolled::Increase { .. })),
        count: formula.count(&operands, unit),
        observed_operands: formula.observed_operands(&operands),
        formula,
        window_buckets: flows(&operands).map(|operand| operand.window_buckets).max().unwrap_or(1),
        operands,
        grouping,
        bucket_ms,
        tells_beats: false,
        selectors: Vec::new(),
    })
}

/// The operands of which several buckets are added up; the windows of others are kept where their series are.
fn flows(operands: &[Operand]) -> impl Iterator<Item = &Operand> {
    operands.iter().filter(|operand| matches!(operand.rolled, Rolled::Flow { .. }))
}

/// A plain selector.
fn plain(matchers: Vec<Matcher>) -> Operand {
    Operand { matchers, rolled: Rolled::Last, fold: Fold::Sum, is_histogram: false, range_ms: 0, window_buckets: 1 }
}

/// What was found of an expression so far.
#[derive(Default)]
struct Compiler {
    operands: Vec<Operand>,
    grouping: Option<Grouping>,
}

impl Compiler {
    fn formula(&mut self, plan: &Plan) -> Result<Formula, SignalError> {
        match &plan.node {
            Node::Number(number) => Ok(Formula::Number(*number)),
            Node::Plus(inner) => self.formula(inner),
            Node::Negate(inner) => Ok(computed(Arithmetic::Multiply, Formula::Number(-1.0), self.formula(inner)?)),
            Node::Binary { operator, matching, left, right, .. } => self.binary(*operator, matching, left, right),
            Node::Call { function: Function::HistogramQuantile, arguments } => self.quantile(arguments),
            Node::Call { function, .. } => {
                Err(unsupported(&format!("{}()", function.name()), "this function looks at what is stored"))
            }
            Node::Aggregate { operator, grouping, inner, .. } => {
                let (operand, _) = operand(inner)?;
                self.add(folded(*operator, operand)?, grouping.clone()).map(Formula::Operand)
            }
            Node::Rollup { .. } | Node::Selector(_) => {
                let (operand, part) = operand(plan)?;
                if !operand.matchers.iter().any(|one| one.name() == METRIC_NAME && one.op() == MatchOp::Equal) {
                    return Err(unsupported(&part, "the series of several metrics are not told apart"));
                }
                self.add(operand, Grouping::Without(Vec::new())).map(Formula::Operand)
            }
            Node::Range(_) | Node::Text(_) => Err(unsupported("this", "it is no value")),
        }
    }

    fn binary(
        &mut self,
        operator: Operator,
        matching: &Matching,
        left: &Plan,
        right: &Plan,
    ) -> Result<Formula, SignalError> {
        let part = format!("the operator {}", operator.name());
        let arithmetic = match operator {
            Operator::Add => Arithmetic::Add,
            Operator::Subtract => Arithmetic::Subtract,
            Operator::Multiply => Arithmetic::Multiply,
            Operator::Divide => Arithmetic::Divide,
            _ => return Err(unsupported(&part, "it is none of + - * /")),
        };
        let (left, right) = (self.formula(left)?, self.formula(right)?);
        let is_between_groups = !matches!((&left, &right), (Formula::Number(_), _) | (_, Formula::Number(_)));
        if is_between_groups && !pairs_groups(matching, self.grouping.as_ref()) {
            return Err(unsupported(&part, "its sides are not matched group by group"));
        }
        Ok(computed(arithmetic, left, right))
    }

    /// `histogram_quantile(0.95, sum by (le, …) (rate(x_bucket[1m])))`.
    fn quantile(&mut self, arguments: &[Plan]) -> Result<Formula, SignalError> {
        let refuse = |why: &str| Err(unsupported("histogram_quantile()", why));
        let [Plan { node: Node::Number(quantile), .. }, inner] = arguments else {
            return refuse("the quantile is not a number");
        };
        if !(0.0..=1.0).contains(quantile) {
            return refuse("the quantile does not lie between 0 and 1");
        }
        let (operand, grouping) = match &inner.node {
            Node::Aggregate { operator: Aggregator::Sum, grouping, inner, .. } => (operand(inner)?.0, grouping.clone()),
            _ => (operand(inner)?.0, Grouping::Without(Vec::new())),
        };
        if !matches!(operand.rolled, Rolled::Flow { .. }) {
            return refuse("it is not taken of a rate or increase");
        }
        let Some(grouping) = without_bound(grouping) else {
            return refuse("the sum drops the label `le`, so the histograms are native ones");
        };
        let says_so = |one: &Matcher| one.name() == METRIC_NAME && one.value().ends_with("_bucket");
        if matches!(grouping, Grouping::Without(_)) && !operand.matchers.iter().any(says_so) {
            return refuse("its metric is not called x_bucket, so the histograms may be native ones");
        }
        let operand = Operand { is_histogram: true, ..operand };
        Ok(Formula::Quantile(*quantile, self.add(operand, grouping)?))
    }

    /// The index of an operand, which may be there already.
    fn add(&mut self, operand: Operand, grouping: Grouping) -> Result<usize, SignalError> {
        let grouping = sorted(grouping);
        if self.grouping.get_or_insert_with(|| grouping.clone()) != &grouping {
            return Err(unsupported("an operator", "its sides are grouped differently"));
        }
        if let Some(known) = self.operands.iter().position(|one| *one == operand) {
            return Ok(known);
        }
        if self.operands.len() == OPERANDS_COUNT_MAX {
            return Err(unsupported("an expression", &format!("it has more than {OPERANDS_COUNT_MAX} operands")));
        }
        self.operands.push(operand);
        Ok(self.operands.len() - 1)
    }
}

/// Whether a group on one side belongs to the group with the same labels on the other, and to no other.
fn pairs_groups(matching: &Matching, grouping: Option<&Grouping>) -> bool {
    let Matching { on, labels, group, fill_left, fill_right } = matching;
    let is_same = match grouping {
        Some(Grouping::By(names)) if *on => {
            names.iter().all(|name| labels.contains(name)) && labels.iter().all(|one| names.contains(one))
        }
        Some(Grouping::By(names)) => !names.iter().any(|name| labels.contains(name)),
        _ => !on && labels.is_empty(),
    };
    is_same && *group == Group::OneToOne && fill_left.is_none() && fill_right.is_none()
}

/// Two formulas put together; of two numbers one.
fn computed(arithmetic: Arithmetic, left: Formula, right: Formula) -> Formula {
    match (left, right) {
        (Formula::Number(left), Formula::Number(right)) => Formula::Number(arithmetic.of(left, right)),
        (left, right) => Formula::Compute(arithmetic, Box::new(left), Box::new(right)),
    }
}

/// What each series comes to, and what to call it.
fn operand(plan: &Plan) -> Result<(Operand, String), SignalError> {
    match &plan.node {
        Node::Plus(inner) => operand(inner),
        Node::Selector(selector) => {
            let part = "a plain selector".to_owned();
            if selector.edges.is_some() {
                return Err(unsupported(&part, "values between samples are not made up here"));
            }
            check_shift(selector.shift)?;
            Ok((plain(selector.matchers.clone()), part))
        }
        Node::Rollup { function, range, .. } => {
            let part = format!("{}()", function.name());
            Ok((rolled(*function, range, &part)?, part))
        }
        Node::Aggregate { operator, .. } => {
            Err(unsupported(&format!("{}() of an aggregation", operator.name()), "one aggregation is all there can be"))
        }
        Node::Binary { operator, .. } => Err(unsupported(
            &format!("an aggregation over the operator {}", operator.name()),
            "what is aggregated must be series, or a function over their samples",
        )),
        Node::Negate(_) => Err(unsupported("an aggregation over the operator -", "write the sign in front of it")),
        Node::Call { function, .. } => {
            Err(unsupported(&format!("{}()", function.name()), "this function looks at what is stored"))
        }
        Node::Range(_) | Node::Number(_) | Node::Text(_) => Err(unsupported("a constant", "no sample changes it")),
    }
}

fn rolled(function: Rollup, range: &Range, part: &str) -> Result<Operand, SignalError> {
    let rolled = match function {
        Rollup::Rate => Rolled::Flow { per_second: true },
        Rollup::Increase => Rolled::Flow { per_second: false },
        Rollup::Irate => Rolled::Slope,
        Rollup::Avg => Rolled::OverTime(OverTime::Avg),
        Rollup::Min => Rolled::OverTime(OverTime::Min),
        Rollup::Max => Rolled::OverTime(OverTime::Max),
        Rollup::Sum => Rolled::OverTime(OverTime::Sum),
        Rollup::Count => Rolled::OverTime(OverTime::Count),
        Rollup::Last => Rolled::OverTime(OverTime::Last),
        _ => return Err(unsupported(part, "this function looks at all samples of the range at once")),
    };
    let RangeInput::Selector(matchers) = &range.input else {
        return Err(unsupported("a subquery", "it is evaluated at moments of its own"));
    };
    check_shift(range.shift)?;
    let is_interpolated = matches!((range.edges, rolled), (Some(Edges::Smoothed), Rolled::Flow { .. }));
    if range.edges.is_some() && !is_interpolated {
        return Err(unsupported("anchored or smoothed", "values between samples are not made up here"));
    }
    let operand = Operand { rolled, range_ms: range.range_ms, ..plain(matchers.clone()) };
    check_range(&operand, part)?;
    Ok(operand)
}

fn check_range(operand: &Operand, part: &str) -> Result<(), SignalError> {
    if !(BUCKET_MS_MIN..=RANGE_MS_MAX).contains(&operand.range_ms) {
        return Err(unsupported(part, "the range does not lie between 5s and 1h"));
    }
    if operand.rolled.is_windowed() && operand.range_ms > OWN_RANGE_MS_MAX {
        return Err(unsupported(part, "the range is longer than 5m, too long to be kept for each series"));
    }
    Ok(())
}

fn check_shift(shift: Shift) -> Result<(), SignalError> {
    if shift == Shift::default() {
        Ok(())
    } else {
        Err(unsupported("`offset` or `@`", "a stream has only the present"))
    }
}

/// An operand whose series become one value in this way.
fn folded(operator: Aggregator, operand: Operand) -> Result<Operand, SignalError> {
    let fold = match operator {
        Aggregator::Sum => Fold::Sum,
        Aggregator::Avg => Fold::Avg,
        Aggregator::Min => Fold::Min,
        Aggregator::Max => Fold::Max,
        Aggregator::Count => Fold::Count,
        _ => return Err(unsupported(&format!("{}()", operator.name()), "it is none of sum, avg, min, max, count")),
    };
    let rolled = match (operand.rolled, fold) {
        // The least of the rates is not made of sums.
        (Rolled::Flow { per_second }, Fold::Min | Fold::Max) => Rolled::Increase { per_second },
        (rolled, _) => rolled,
    };
    let operand = Operand { rolled, fold, ..operand };
    if operand.range_ms > 0 {
        check_range(&operand, &format!("{}() of a rate", operator.name()))?;
    }
    Ok(operand)
}

/// The groups of a histogram: as its series are grouped, without the bound. None if they are not told apart by it.
fn without_bound(grouping: Grouping) -> Option<Grouping> {
    let has_bound = |names: &[String]| names.iter().any(|name| name == BUCKET_BOUND);
    match grouping {
        Grouping::By(mut names) => {
            let keeps = has_bound(&names);
            names.retain(|name| name != BUCKET_BOUND);
            keeps.then_some(Grouping::By(names))
        }
        Grouping::Without(names) if has_bound(&names) => None,
        Grouping::Without(mut names) => {
            names.push(BUCKET_BOUND.to_owned());
            Some(Grouping::Without(names))
        }
    }
}

fn sorted(grouping: Grouping) -> Grouping {
    let sort = |mut names: Vec<String>| {
        names.sort_unstable();
        names.dedup();
        names
    };
    match grouping {
        Grouping::By(names) => Grouping::By(sort(names)),
        Grouping::Without(names) => Grouping::Without(sort(names)),
    }
}

fn unsupported(part: &str, why: &str) -> SignalError {
    SignalError::Unsupported { part: part.to_owned(), why: why.to_owned() }
}
