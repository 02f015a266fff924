//! An expression as something that can be fed sample by sample.
//!
//! `sum by (region) (rate(shop_orders_total{shop="de"}[1m]))` becomes: series that match
//! `{__name__="shop_orders_total", shop="de"}`, grouped by `region`, their increments counted in buckets of 15 s; four
//! buckets are the window. `sum by (region) (rate(failed[1m])) / sum by (region) (rate(paid[1m]))` has two such
//! operands, and a group holds the series of both.
//!
//! What is fed: sums, averages, minima, maxima and counts `by` or `without` labels, or the series themselves, of `rate`,
//! `increase`, `irate`, of plain selectors, and of `avg`, `min`, `max`, `sum`, `count` and `last_over_time` of up to five
//! minutes; `histogram_quantile` of such a sum with `le`; and `+ - * /` of all these among each other, if they are
//! grouped alike, and with numbers. What else PromQL can say is evaluated every 15 s ([`Source::Evaluated`]).
//!
//! # Where it says something else than a query
//!
//! At the end of a bucket the value of a signal is what the expression evaluates to there, to rounding, but for this:
//!
//! 1. `rate` and `increase` are not extrapolated. Of an increment whose samples lie on both sides of the window's edge
//!    the part within counts, as if it had come evenly: what `rate(x[1m] smoothed)` says. PromQL's own `rate` takes the
//!    increments between samples within the window, and adds up to 1.1 mean distances of samples at either edge, at
//!    the mean slope. With *A* the increments between samples inside, *s* the time from the first of them to the last,
//!    *d* their mean distance, *g* and *h* the increments across the edges, the two differ by at most
//!    max(*g* + *h*, *A* · 2.2 *d* / *s*) a series and window; not at all where a counter grows evenly.
//! 2. A series counts from 30 s after its first sample (or what the setting says of lateness), also after a gap; what a counter counted in a
//!    gap is not known to have been counted then, and nothing stands for it.
//! 3. A sample that is older than its series' newest, or no number, is not looked at; a series that reports more seldom
//!    than every five minutes has its last value until the next.
//! 4. Of a fraction of counters the side above counts as zero while it has no series, so that the first error is one.
//! 5. When a counter started is seen by its falling, not by a start time that its sender tells.
//! 6. A range that is no multiple of its bucket's length is as much shorter as rounding makes it: less than a
//!    millisecond a bucket.
//!
//! Always true: a window is a whole number of buckets, and a bucket lasts 5 to 15 s (a range below 20 s has fewer than
//! four).

use serde::{Deserialize, Serialize};

use super::compile;
use super::formula::{Count, Formula, Weights};
use crate::model::{Labels, METRIC_NAME, Matcher};
use crate::query::Grouping;

/// The label that holds the upper bound of a histogram's bucket.
pub(super) const BUCKET_BOUND: &str = "le";
/// How often an expression is evaluated that cannot be fed, in ms of event time.
pub(super) const EVALUATION_INTERVAL_MS: i64 = 15_000;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Signal {
    pub(super) source: Source,
    pub(super) formula: Formula,
    pub(super) operands: Vec<Operand>,
    /// Whether increments of counters are part of it.
    pub(super) has_flows: bool,
    /// What the formula says of events, if it does.
    pub(super) count: Option<Count>,
    /// The operands whose increments are the observations that the value is made of, as those of a quantile.
    pub(super) observed_operands: Weights,
    pub(super) grouping: Grouping,
    /// Length of a bucket, in ms of event time.
    pub(crate) bucket_ms: i64,
    /// Buckets that a value is made of: those of the longest range of a `rate` or `increase`; 1 where there is none.
    pub(crate) window_buckets: usize,
    /// Whether each sample is told by itself, and nothing is judged bucket by bucket.
    pub(super) tells_beats: bool,
    /// All selectors of an expression that is evaluated: their samples say what time it is.
    pub(super) selectors: Vec<Vec<Matcher>>,
}

/// Where the values of a signal come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the samples, as they come.
    Streamed,
    /// From a query that is evaluated again and again; its results go to [`super::Shared::tell_evaluated`].
    Evaluated {
        /// The expression.
        expression: String,
        /// At multiples of this, in ms of event time since 1970 UTC.
        interval_ms: i64,
        /// Why it cannot be fed, a part of a sentence.
        because: String,
    },
}

/// Series that are selected, what becomes of each, and what becomes of all of a group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operand {
    pub matchers: Vec<Matcher>,
    pub rolled: Rolled,
    pub fold: Fold,
    /// Whether its series count the observations up to the bound in their label `le`.
    pub is_histogram: bool,
    /// Length of the range in brackets, in ms; 0 without one.
    pub range_ms: i64,
    /// The buckets of that range, at least 1.
    pub window_buckets: usize,
}

/// What a series comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rolled {
    /// The increments of a counter, which add up over buckets; a second when `per_second`.
    Flow { per_second: bool },
    /// The last value.
    Last,
    /// The increments a second between the last two samples.
    Slope,
    /// The increments in the window, as a value of the series by itself.
    Increase { per_second: bool },
    /// The samples in the window.
    OverTime(OverTime),
}

/// What is said of the samples in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverTime {
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Last,
}

/// How the series of a group become one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fold {
    #[default]
    Sum,
    Avg,
    Min,
    Max,
    Count,
}

impl Fold {
    /// One amount made of two.
    pub(crate) fn put_together(self, one: f64, other: f64) -> f64 {
        match self {
            Fold::Sum | Fold::Avg | Fold::Count => one + other,
            Fold::Min => one.min(other),
            Fold::Max => one.max(other),
        }
    }
}

impl Rolled {
    /// Whether each series keeps a [`super::window::Window`].
    pub(crate) fn is_windowed(self) -> bool {
        matches!(self, Rolled::Increase { .. } | Rolled::OverTime(_))
    }
}

/// Why an expression cannot be watched as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// Not PromQL. The author of the rule must change it.
    #[error("{0}")]
    Syntax(String),
    /// It has no series, or is nothing that could be judged. The author of the rule must change it.
    #[error("{0}")]
    Nothing(String),
    /// PromQL, but nothing that can be fed sample by sample: it can be evaluated.
    #[error("{part} cannot be watched sample by sample: {why}")]
    Unsupported {
        /// The part of the expression.
        part: String,
        /// What is in the way.
        why: String,
    },
}

impl Signal {
    /// Compiles an expression that can be fed sample by sample, or says what is in the way.
    pub fn compile(expression: &str) -> Result<Signal, SignalError> {
        compile::streamed(expression)
    }

    /// Compiles an expression as it can be: fed sample by sample, else evaluated.
    /// Fails when it is not PromQL, or has no series.
    pub fn of(expression: &str) -> Result<Signal, SignalError> {
        compile::streamed(expression).or_else(|error| match error {
            SignalError::Unsupported { .. } => compile::evaluated(expression, &error),
            SignalError::Syntax(_) | SignalError::Nothing(_) => Err(error),
        })
    }

    /// The stamps of the samples of a plain selector, each series by itself: for watching whether they keep coming.
    pub fn beats(expression: &str) -> Result<Signal, SignalError> {
        compile::beats(expression)
    }

    /// Where its values come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What finds the series whose samples feed the signal; none where it is evaluated.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = &[Matcher]> {
        self.operands.iter().map(|operand| operand.matchers.as_slice())
    }

    /// Whether it is judged by how far event time has come, and not bucket by bucket as they close.
    pub(crate) fn is_driven_by_time(&self) -> bool {
        self.tells_beats || self.source != Source::Streamed
    }

    /// What finds every series whose samples matter to it.
    pub(super) fn all_selectors(&self) -> impl Iterator<Item = &[Matcher]> {
        // That of an expression that is evaluated is fed by nobody.
        let fed = self.selectors().filter(|matchers| !matchers.is_empty());
        fed.chain(self.selectors.iter().map(Vec::as_slice))
    }

    /// Whether samples of this series feed the signal, or say for it what time it is.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.operands.iter().any(|operand| operand.matches(labels))
            || self.selectors.iter().any(|matchers| all_match(matchers, labels))
    }

    /// The labels of the group to which a series belongs.
    pub fn group_of(&self, labels: &Labels) -> Labels {
        match &self.grouping {
            Grouping::By(names) => labels.filtered(|name| names.iter().any(|one| one == name)),
            Grouping::Without(names) => {
                labels.filtered(|name| name != METRIC_NAME && !names.iter().any(|one| one == name))
            }
        }
    }

    /// The operands that a series feeds, and for each the upper bound of the bucket that it counts, 0 where it is no
    /// histogram's. One whose bound cannot be read feeds none.
    pub(crate) fn lanes_of<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = (u16, f64)> + 'a {
        self.operands.iter().enumerate().filter(|(_, operand)| operand.matches(labels)).filter_map(
            |(index, operand)| {
                let index = u16::try_from(index).expect("an expression has few operands");
                Some((index, if operand.is_histogram { bound_of(labels)? } else { 0.0 }))
            },
        )
    }

    /// Index of the bucket `(start, end]` that holds the moment.
    pub(crate) fn bucket_of(&self, timestamp_ms: i64) -> i64 {
        timestamp_ms.saturating_sub(1).div_euclid(self.bucket_ms)
    }

    /// Last moment of a bucket, in ms.
    pub(crate) fn end_ms(&self, bucket: i64) -> i64 {
        (bucket + 1).saturating_mul(self.bucket_ms)
    }

    /// The first bucket that starts at the moment or later.
    pub(crate) fn first_whole_bucket(&self, timestamp_ms: i64) -> i64 {
        self.bucket_of(timestamp_ms) + 1
    }
}

impl Operand {
    fn matches(&self, labels: &Labels) -> bool {
        all_match(&self.matchers, labels)
    }
}

/// Of none nothing satisfies all: an expression that is evaluated is fed by nobody.
fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    !matchers.is_empty() && matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
}

pub(super) fn bound_of(labels: &Labels) -> Option<f64> {
    labels.get(BUCKET_BOUND)?.parse().ok().filter(|bound: &f64| !bound.is_nan())
}
