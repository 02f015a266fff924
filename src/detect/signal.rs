//! An expression as something that can be fed sample by sample.
//!
//! `sum by (region) (rate(shop_orders_total{shop="de"}[1m]))` becomes: series that match
//! `{__name__="shop_orders_total", shop="de"}`, grouped by `region`, their increments counted in buckets of 15 s; four
//! buckets are the window.
//!
//! Always true: a window is a whole number of buckets, and a bucket lasts 5 to 15 s (a range below 20 s has fewer than
//! four).

use crate::model::{Labels, METRIC_NAME, Matcher};
use crate::query::{self, Aggregator, Function, Grouping, Node, Plan, Range, RangeInput, Rollup, Shift};

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

/// Why an expression cannot be watched. The author of the rule must change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// Not PromQL.
    #[error("{0}")]
    Syntax(String),
    /// PromQL, but of a shape that cannot be fed sample by sample yet.
    #[error(
        "{part} cannot be watched sample by sample: {why}; what can be: sum by (…) (rate(x[1m])) or increase, \
         histogram_quantile(0.95, sum by (le, …) (rate(x_bucket[1m]))), or a plain selector"
    )]
    Unsupported {
        /// The part of the expression.
        part: String,
        /// What is in the way.
        why: String,
    },
}

impl Signal {
    /// Compiles an expression of one of the three shapes that [`SignalError::Unsupported`] lists.
    pub fn compile(expression: &str) -> Result<Signal, SignalError> {
        signal_of(&query::plan(expression).map_err(|error| SignalError::Syntax(error.to_string()))?)
    }

    /// What finds the series whose samples feed the signal.
    pub(crate) fn selector(&self) -> &[Matcher] {
        &self.matchers
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

    /// The upper bound of the bucket that a histogram's series counts; 0 for other shapes. None: it has no readable
    /// one.
    pub(crate) fn bound_of(&self, labels: &Labels) -> Option<f64> {
        match self.shape {
            Shape::Quantile { .. } => labels.get(BUCKET_BOUND)?.parse().ok().filter(|bound: &f64| !bound.is_nan()),
            Shape::Sum { .. } | Shape::Gauge => Some(0.0),
        }
    }

    fn of_shape(self, shape: Shape) -> Signal {
        Signal { shape, ..self }
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

/// The one place that knows the tree of a query.
fn signal_of(plan: &Plan) -> Result<Signal, SignalError> {
    match &plan.node {
        Node::Call { function: Function::HistogramQuantile, arguments } => quantile_signal(arguments),
        Node::Selector(selector) if selector.edges.is_none() => {
            Ok(unshaped(&selector.matchers, selector.shift, BUCKET_MS_MAX, 1)?.of_shape(Shape::Gauge))
        }
        _ => sum_signal(plan),
    }
}

/// `sum by (…) (rate(x[1m]))`, or the rate alone, whose series are groups of one.
fn sum_signal(plan: &Plan) -> Result<Signal, SignalError> {
    match &plan.node {
        Node::Aggregate { operator: Aggregator::Sum, grouping, inner, .. } => match &inner.node {
            Node::Rollup { function, range, .. } => {
                Ok(Signal { grouping: grouping.clone(), ..rate_signal(*function, range)? })
            }
            Node::Aggregate { .. } => Err(unsupported("a sum of sums", "one sum is all there can be")),
            Node::Selector(_) => Err(unsupported("a sum of plain values", "sums are taken of rates only")),
            _ => sum_signal(inner),
        },
        Node::Aggregate { operator, .. } => {
            Err(unsupported(&format!("{}()", operator.name()), "the only aggregation supported is sum"))
        }
        Node::Rollup { function, range, .. } => rate_signal(*function, range),
        Node::Call { function, .. } => {
            Err(unsupported(&format!("{}()", function.name()), "this function is not supported"))
        }
        Node::Binary { operator, .. } => {
            Err(unsupported(&format!("the operator {}", operator.name()), "operators are not supported"))
        }
        Node::Plus(inner) => sum_signal(inner),
        Node::Negate(_) => Err(unsupported("the operator -", "operators are not supported")),
        Node::Range(_) => Err(unsupported("a range of samples", "it needs a function such as rate()")),
        Node::Number(_) | Node::Text(_) => Err(unsupported("a constant", "no sample changes it")),
        Node::Selector(_) => Err(unsupported("a plain value here", "the quantile is taken of rates only")),
    }
}

fn rate_signal(function: Rollup, range: &Range) -> Result<Signal, SignalError> {
    let name = format!("{}()", function.name());
    let per_second = match function {
        Rollup::Rate => true,
        Rollup::Increase => false,
        _ => return Err(unsupported(&name, "this function is not supported")),
    };
    let RangeInput::Selector(matchers) = &range.input else {
        return Err(unsupported("a subquery", "it needs a selector with a range, such as x[1m]"));
    };
    if !(BUCKET_MS_MIN..=RANGE_MS_MAX).contains(&range.range_ms) {
        return Err(unsupported(&name, "the range must lie between 5s and 1h"));
    }
    if range.edges.is_some() {
        return Err(unsupported("anchored or smoothed", "values between samples are not made up here"));
    }
    let signal = unshaped(matchers, range.shift, range.range_ms, window_buckets(range.range_ms))?;
    Ok(signal.of_shape(Shape::Sum { per_second }))
}

/// `histogram_quantile(0.95, sum by (le, …) (rate(x_bucket[1m])))`.
fn quantile_signal(arguments: &[Plan]) -> Result<Signal, SignalError> {
    let refuse = |why: &str| Err(unsupported("histogram_quantile()", why));
    let [Plan { node: Node::Number(quantile), .. }, inner] = arguments else {
        return refuse("the quantile must be a number");
    };
    if !(0.0..=1.0).contains(quantile) {
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
    Ok(inner.of_shape(Shape::Quantile { quantile: *quantile }))
}

/// A signal of each series that satisfies the matchers, its shape still to be said.
fn unshaped(matchers: &[Matcher], shift: Shift, range_ms: i64, window_buckets: i64) -> Result<Signal, SignalError> {
    if shift != Shift::default() {
        return Err(unsupported("`offset` or `@`", "a stream has only the present"));
    }
    Ok(Signal {
        shape: Shape::Gauge,
        grouping: Grouping::Without(Vec::new()),
        bucket_ms: range_ms / window_buckets,
        window_buckets: usize::try_from(window_buckets).expect("a range has at most 240 buckets"),
        matchers: matchers.to_vec(),
    })
}

/// Four where the range allows buckets of 5 to 15 s, else as many as keep them within those.
fn window_buckets(range_ms: i64) -> i64 {
    let fewest = (range_ms + BUCKET_MS_MAX - 1) / BUCKET_MS_MAX;
    fewest.max(WINDOW_BUCKETS.min(range_ms / BUCKET_MS_MIN)).max(1)
}

fn unsupported(part: &str, why: &str) -> SignalError {
    SignalError::Unsupported { part: part.to_owned(), why: why.to_owned() }
}
