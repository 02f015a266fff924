//! An expression as something that can be fed sample by sample.
//!
//! `sum by (region) (rate(shop_orders_total{shop="de"}[1m]))` becomes: series that match `{__name__="shop_orders_total",
//! shop="de"}`, grouped by `region`, their increments counted in buckets of 15 s; four buckets are the window.
//!
//! Always true: a window is a whole number of buckets, and a bucket lasts 5 to 15 s (a range below 20 s has fewer than four).

use promql_parser::label::{MatchOp as ParsedOp, Matcher as ParsedMatcher};
use promql_parser::parser::{AggregateExpr, Call, Expr, LabelModifier, MatrixSelector, VectorSelector, token};

use crate::model::{Labels, METRIC_NAME, MatchOp, Matcher};

/// The label that holds the upper bound of a histogram's bucket.
const BUCKET_BOUND: &str = "le";
/// Longest and shortest bucket, in ms.
const BUCKET_MS_MAX: i64 = 15_000;
const BUCKET_MS_MIN: i64 = 5_000;
/// Buckets of a window, where the range leaves the choice.
const WINDOW_BUCKETS: i64 = 4;
/// Longest range, in ms: an hour.
const RANGE_MS_MAX: i64 = 3_600_000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Signal {
    pub(crate) shape: Shape,
    pub(crate) grouping: Grouping,
    /// Length of a bucket, in ms of event time.
    pub(crate) bucket_ms: i64,
    /// Buckets of the range in brackets; 1 for a plain selector.
    pub(crate) window_buckets: usize,
    matchers: Vec<Matcher>,
}

/// What is computed of the series of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Sum of the increments in the window; of those a second when `per_second`.
    Sum { per_second: bool },
    /// The quantile of a histogram's observations in the window.
    Quantile { quantile: f64 },
    /// The last value.
    Gauge,
}

/// Which series belong together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Grouping {
    /// Those that agree in these labels.
    By(Vec<String>),
    /// Those that agree in all labels but these and the name.
    Without(Vec<String>),
}

/// Why an expression cannot be watched. The author of the rule must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// Not PromQL.
    #[error("not a PromQL expression: {0}")]
    Syntax(String),
    /// PromQL, but of a shape that cannot be fed sample by sample yet.
    #[error(
        "{part} cannot be watched sample by sample: {why}; what can be: sum by (…) (rate(x[1m])) or increase, \
         histogram_quantile(0.95, sum by (le, …) (rate(x_bucket[1m]))), or a plain selector"
    )]
    Unsupported {
        /// The part of the expression, as PromQL.
        part: String,
        /// What is in the way.
        why: String,
    },
}

impl Signal {
    /// Compiles an expression of one of the three shapes that [`SignalError::Unsupported`] lists.
    pub fn compile(expression: &str) -> Result<Signal, SignalError> {
        let parsed = promql_parser::parser::parse(expression).map_err(SignalError::Syntax)?;
        signal_of(&parsed)
    }

    /// Whether samples of this series feed the signal.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
    }

    /// The labels of the group to which a series belongs.
    pub fn group_of(&self, labels: &Labels) -> Labels {
        let is_bound = |name: &str| name == BUCKET_BOUND && matches!(self.shape, Shape::Quantile { .. });
        match &self.grouping {
            Grouping::By(names) => labels.filtered(|name| names.iter().any(|one| one == name) && !is_bound(name)),
            Grouping::Without(names) => {
                labels.filtered(|name| name != METRIC_NAME && !names.iter().any(|one| one == name) && !is_bound(name))
            }
        }
    }

    /// The upper bound of the bucket that a histogram's series counts; 0 for other shapes. None: it has no readable one.
    pub(crate) fn bound_of(&self, labels: &Labels) -> Option<f64> {
        match self.shape {
            Shape::Quantile { .. } => labels.get(BUCKET_BOUND)?.parse().ok().filter(|bound: &f64| !bound.is_nan()),
            Shape::Sum { .. } | Shape::Gauge => Some(0.0),
        }
    }

    /// Index of the bucket `(start, end]` that holds the moment.
    pub(crate) fn bucket_of(&self, timestamp_ms: i64) -> i64 {
        timestamp_ms.saturating_sub(1).div_euclid(self.bucket_ms)
    }

    /// Last moment of a bucket, in ms.
    pub(crate) fn end_ms(&self, bucket: i64) -> i64 {
        (bucket + 1).saturating_mul(self.bucket_ms)
    }

    /// Length of the window, in ms.
    pub(crate) fn window_ms(&self) -> i64 {
        self.window_buckets as i64 * self.bucket_ms
    }

    /// The first bucket that starts at the moment or later.
    pub(crate) fn first_whole_bucket(&self, timestamp_ms: i64) -> i64 {
        self.bucket_of(timestamp_ms) + 1
    }
}

/// The one place that knows the syntax tree.
fn signal_of(expression: &Expr) -> Result<Signal, SignalError> {
    match expression {
        Expr::Paren(inner) => signal_of(&inner.expr),
        Expr::Call(call) if call.func.name == "histogram_quantile" => quantile_signal(call),
        Expr::VectorSelector(selector) => {
            let grouping = Grouping::Without(Vec::new());
            Ok(Signal { shape: Shape::Gauge, grouping, ..unshaped(selector, BUCKET_MS_MAX, 1)? })
        }
        other => sum_signal(other),
    }
}

/// `sum by (…) (rate(x[1m]))`, or the rate alone, whose series are groups of one.
fn sum_signal(expression: &Expr) -> Result<Signal, SignalError> {
    match expression {
        Expr::Paren(inner) => sum_signal(&inner.expr),
        Expr::Aggregate(sum) => {
            let grouping = grouping_of(sum)?;
            match sum_signal(&sum.expr)? {
                inner if inner.grouping == Grouping::Without(Vec::new()) => Ok(Signal { grouping, ..inner }),
                _ => Err(unsupported(expression, "a sum of sums is not supported")),
            }
        }
        Expr::Call(call) => match call.func.name {
            "rate" | "increase" => rate_signal(call),
            name => Err(unsupported(expression, &format!("{name}() is not supported"))),
        },
        Expr::VectorSelector(_) => Err(unsupported(expression, "sums are taken of rates only, not of plain values")),
        Expr::Binary(_) => Err(unsupported(expression, "operators between vectors are not supported")),
        _ => Err(unsupported(expression, "this kind of expression is not supported")),
    }
}

fn rate_signal(call: &Call) -> Result<Signal, SignalError> {
    let argument = call.args.args.first().map(|argument| strip(argument));
    let Some(Expr::MatrixSelector(MatrixSelector { vs, range })) = argument else {
        return Err(unsupported(&Expr::Call(call.clone()), "it needs a selector with a range, such as x[1m]"));
    };
    let range_ms = i64::try_from(range.as_millis()).unwrap_or(i64::MAX);
    if !(BUCKET_MS_MIN..=RANGE_MS_MAX).contains(&range_ms) {
        return Err(unsupported(&Expr::Call(call.clone()), "the range must lie between 5s and 1h"));
    }
    let shape = Shape::Sum { per_second: call.func.name == "rate" };
    Ok(Signal { shape, ..unshaped(vs, range_ms, window_buckets(range_ms))? })
}

/// `histogram_quantile(0.95, sum by (le, …) (rate(x_bucket[1m])))`.
fn quantile_signal(call: &Call) -> Result<Signal, SignalError> {
    let refuse = |why: &str| Err(unsupported(&Expr::Call(call.clone()), why));
    let [quantile, inner] = call.args.args.as_slice() else { return refuse("it takes a quantile and a vector") };
    let Expr::NumberLiteral(quantile) = strip(quantile) else { return refuse("the quantile must be a number") };
    let quantile = quantile.val;
    if !(0.0..=1.0).contains(&quantile) {
        return refuse("the quantile must lie between 0 and 1");
    }
    let inner = sum_signal(inner)?;
    if inner.shape != (Shape::Sum { per_second: true }) {
        return refuse("the vector must be a rate");
    }
    let keeps_bound = match &inner.grouping {
        Grouping::By(names) => names.iter().any(|name| name == BUCKET_BOUND),
        Grouping::Without(names) => names.iter().all(|name| name != BUCKET_BOUND),
    };
    if !keeps_bound {
        return refuse("the sum drops the label `le`; write sum by (le, …)");
    }
    Ok(Signal { shape: Shape::Quantile { quantile }, ..inner })
}

fn strip(expression: &Expr) -> &Expr {
    match expression {
        Expr::Paren(inner) => strip(&inner.expr),
        other => other,
    }
}

fn grouping_of(sum: &AggregateExpr) -> Result<Grouping, SignalError> {
    if sum.op.id() != token::T_SUM {
        return Err(unsupported(&Expr::Aggregate(sum.clone()), "the only aggregation supported is sum"));
    }
    Ok(match &sum.modifier {
        None => Grouping::By(Vec::new()),
        Some(LabelModifier::Include(names)) => Grouping::By(names.labels.clone()),
        Some(LabelModifier::Exclude(names)) => Grouping::Without(names.labels.clone()),
    })
}

/// A signal of the selector's series with everything but its shape.
fn unshaped(selector: &VectorSelector, range_ms: i64, window_buckets: i64) -> Result<Signal, SignalError> {
    let refuse = |why: &str| unsupported(&Expr::VectorSelector(selector.clone()), why);
    if selector.offset.is_some() || selector.at.is_some() {
        return Err(refuse("`offset` and `@` have no meaning on a stream"));
    }
    if !selector.matchers.or_matchers.is_empty() {
        return Err(refuse("`or` between matchers is not supported"));
    }
    let mut matchers = Vec::new();
    if let Some(name) = &selector.name {
        matchers.push(Matcher::equal(METRIC_NAME, name));
    }
    for parsed in &selector.matchers.matchers {
        matchers.push(matcher_of(parsed).map_err(|error| refuse(&error.to_string()))?);
    }
    Ok(Signal {
        shape: Shape::Gauge,
        grouping: Grouping::Without(Vec::new()),
        bucket_ms: range_ms / window_buckets,
        window_buckets: usize::try_from(window_buckets).expect("a range has at most 240 buckets"),
        matchers,
    })
}

/// Four where the range allows buckets of 5 to 15 s, else as many as keep them within those.
fn window_buckets(range_ms: i64) -> i64 {
    let fewest = (range_ms + BUCKET_MS_MAX - 1) / BUCKET_MS_MAX;
    fewest.max(WINDOW_BUCKETS.min(range_ms / BUCKET_MS_MIN)).max(1)
}

fn matcher_of(parsed: &ParsedMatcher) -> Result<Matcher, crate::model::MatcherError> {
    let op = match parsed.op {
        ParsedOp::Equal => MatchOp::Equal,
        ParsedOp::NotEqual => MatchOp::NotEqual,
        ParsedOp::Re(_) => MatchOp::Matches,
        ParsedOp::NotRe(_) => MatchOp::NotMatches,
    };
    Matcher::new(parsed.name.clone(), op, parsed.value.clone())
}

fn unsupported(part: &Expr, why: &str) -> SignalError {
    SignalError::Unsupported { part: part.to_string(), why: why.to_owned() }
}
