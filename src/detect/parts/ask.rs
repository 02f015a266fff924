//! What is asked of the stored series: each operand without its aggregation, over the hour before the onset and since.
//!
//! ```text
//! sum by (region) (rate(shop_orders_total[1m])) of {region="eu"}, onset 12:00, now 12:04
//!
//! rate({"__name__"="shop_orders_total","region"="eu"}[3600000ms])    at 12:00
//! rate({"__name__"="shop_orders_total","region"="eu"}[240000ms])     at 12:04
//! ```
//!
//! Always true: an answer is a mean over its time, in the unit that the operand has in the expression, when it was
//! multiplied with the question's factor.

use super::Side;
use crate::detect::signal::{Fold, Operand, OverTime, Rolled, Signal};
use crate::model::{Labels, MatchOp, Matcher};
use crate::query::{Grouping, quote};

/// How far back before the onset is looked, in ms.
pub(super) const BEFORE_MS: i64 = 3_600_000;
/// How much of the present is looked at, in ms: what happens now, and not for so short a time that a rate has no two samples.
const NOW_MS_MIN: i64 = 60_000;
const NOW_MS_MAX: i64 = 600_000;

/// One query.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// PromQL.
    pub query: String,
    /// The moment that it is asked about, in ms since 1970 UTC.
    pub at_ms: i64,
    pub(super) operand: usize,
    pub(super) side: Side,
    pub(super) factor: f64,
}

/// Two for each operand.
pub(super) fn questions(signal: &Signal, group: &Labels, onset_ms: i64, now_ms: i64) -> Vec<Question> {
    let step_ms = signal.bucket_ms;
    let in_steps = |span_ms: i64| (span_ms + step_ms - 1) / step_ms * step_ms;
    let mut questions = Vec::new();
    for (index, operand) in signal.operands.iter().enumerate() {
        let series = selector(signal, operand, group);
        let least_ms = operand.range_ms.max(NOW_MS_MIN);
        let since_ms = now_ms.saturating_sub(onset_ms).clamp(least_ms, least_ms.max(NOW_MS_MAX));
        for (side, at_ms, span_ms) in [(Side::Before, onset_ms, BEFORE_MS), (Side::Now, now_ms, since_ms)] {
            let (query, factor) = mean(operand, &series, in_steps(span_ms), step_ms);
            questions.push(Question { query, at_ms, operand: index, side, factor });
        }
    }
    questions
}

/// The operand's series of one group; others may be among them, whose labels are more.
fn selector(signal: &Signal, operand: &Operand, group: &Labels) -> String {
    let mut conditions = text_of(&operand.matchers);
    let names: Vec<&str> = match &signal.grouping {
        Grouping::By(names) => names.iter().map(String::as_str).collect(),
        Grouping::Without(_) => group.iter().map(|(name, _)| name).collect(),
    };
    let equal = |name: &str| format!("{}={}", quote(name), quote(group.get(name).unwrap_or("")));
    conditions.extend(names.into_iter().map(equal));
    format!("{{{}}}", conditions.join(","))
}

/// Each condition as it stands within braces.
pub(super) fn text_of(matchers: &[Matcher]) -> Vec<String> {
    let name_and_value =
        |matcher: &Matcher| format!("{}{}{}", quote(matcher.name()), sign(matcher), quote(matcher.value()));
    matchers.iter().map(name_and_value).collect()
}

fn sign(matcher: &Matcher) -> &'static str {
    match matcher.op() {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Matches => "=~",
        MatchOp::NotMatches => "!~",
    }
}

/// The mean of what each series comes to, over a span of whole steps. A series that was there for a part of it counts for
/// that part where amounts are added up.
fn mean(operand: &Operand, series: &str, span_ms: i64, step_ms: i64) -> (String, f64) {
    let share_of_a_step = step_ms as f64 / span_ms as f64;
    let stepwise = |function: &str| format!("{function}({}[{span_ms}ms:{step_ms}ms])", rolled(operand, series));
    match (operand.rolled, operand.fold) {
        (_, Fold::Count) => (stepwise("count_over_time"), share_of_a_step),
        (Rolled::Flow { per_second } | Rolled::Increase { per_second }, _) => {
            let factor = if per_second { 1.0 } else { operand.range_ms as f64 / 1000.0 };
            (format!("rate({series}[{span_ms}ms])"), factor)
        }
        (Rolled::Slope, _) => (format!("rate({series}[{span_ms}ms])"), 1.0),
        (_, Fold::Sum) => (stepwise("sum_over_time"), share_of_a_step),
        (_, Fold::Avg | Fold::Min | Fold::Max) => (stepwise("avg_over_time"), 1.0),
    }
}

/// What one series comes to at a moment.
fn rolled(operand: &Operand, series: &str) -> String {
    let function = match operand.rolled {
        Rolled::Last => return series.to_owned(),
        Rolled::Flow { per_second: true } | Rolled::Increase { per_second: true } => "rate",
        Rolled::Flow { per_second: false } | Rolled::Increase { per_second: false } => "increase",
        Rolled::Slope => "irate",
        Rolled::OverTime(OverTime::Avg) => "avg_over_time",
        Rolled::OverTime(OverTime::Min) => "min_over_time",
        Rolled::OverTime(OverTime::Max) => "max_over_time",
        Rolled::OverTime(OverTime::Sum) => "sum_over_time",
        Rolled::OverTime(OverTime::Count) => "count_over_time",
        Rolled::OverTime(OverTime::Last) => "last_over_time",
    };
    format!("{function}({series}[{}ms])", operand.range_ms)
}
