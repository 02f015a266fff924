//! Which of the series underneath an anomaly moved most: the contribution of each part to the deviation.
//!
//! Workers hand over sums, so nothing of this is kept on the way of a sample. When somebody wants to know, the stored series
//! are asked, once as of before the onset and once as of now, and taken apart by every label in which they differ:
//!
//! ```text
//! sum(rate(shop_orders_total[1m]))      the hour before the onset    since the onset
//! {region="eu", node="eu-1"}                       6                        1
//! {region="eu", node="eu-2"}                       4                        1
//! {region="us", node="us-1"}                      10                       10
//!
//! 20 were expected, 12 came: 8 less                share of the 8
//! {region="eu"}      2, expected 10                     100 %
//! {node="eu-1"}      1, expected 6                       62 %
//! {node="eu-2"}      1, expected 4                       38 %
//! ```
//!
//! The share of a part is how much of the deviation would be gone if that part alone had stayed as it was: the expression is
//! computed once more with the part's series as they were. Of a sum that is its own deviation over the whole one's; of a
//! ratio, the change of the part's ratio weighted with its volume now, for the part's sides are first brought to that volume;
//! of a quantile, the part's observations above what it was, among all that came to lie there. Of a least or largest value it
//! is the other way round: how much of the deviation there would be if the part alone had changed.
//!
//! Always true:
//! 1. Labels that cut the series in the same way, as `node` and `instance` may, are one part with both labels.
//! 2. The metric's name, the bound of a histogram's bucket, and a label that the sides of an expression select differently
//!    are no parts.
//! 3. At most [`PARTS_COUNT_MAX`] parts are told, the largest share first; those that moved the other way are not told.
//!
//! What is evaluated in place of being fed is asked of the series of each part alone (`narrowed`); it has parts where those
//! add up.
//!
//! Deliberately absent: parts of beats that fail to come.

mod amounts;
mod ask;
mod narrowed;
mod split;

use std::sync::Arc;

use hashbrown::HashMap;

use super::signal::{BUCKET_BOUND, Signal, Source};
use crate::model::{Labels, METRIC_NAME};

pub use ask::Question;
use narrowed::Narrowing;

/// Most parts that are told.
pub const PARTS_COUNT_MAX: usize = 10;

/// A part of a group: its series with these values of these labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What tells it from the others.
    pub labels: Labels,
    /// What the expression says of it alone since the onset; none where it says nothing.
    pub value: Option<f64>,
    /// What it was expected to be: as in the hour before the onset; of a sum, as much of the group's expectation.
    pub expected: Option<f64>,
    /// Share of the whole deviation, 0 to 1; above 1 where others moved the other way.
    pub share: f64,
}

/// Before the onset, and since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    Now,
}

/// One series of one operand, with its mean amount on either side; none where it had none.
#[derive(Debug)]
struct Member {
    labels: Labels,
    operand: usize,
    bound: f64,
    before: Option<f64>,
    now: Option<f64>,
}

/// What is to be asked about a group, and what was answered so far.
#[derive(Debug)]
pub struct Inquiry<'a>(Asked<'a>);

#[derive(Debug)]
enum Asked<'a> {
    Fed(Fed<'a>),
    Evaluated(Narrowing<'a>),
}

/// Of a signal that is fed: the amounts of its series.
#[derive(Debug)]
struct Fed<'a> {
    signal: &'a Signal,
    group: &'a Labels,
    questions: Vec<Question>,
    members: Vec<Member>,
    places: HashMap<(usize, u64, Labels), usize>,
}

impl<'a> Inquiry<'a> {
    /// About a group whose deviation began at `onset_ms`, as of `now_ms`, both in ms of event time. None where a group has
    /// no parts.
    pub fn of(signal: &'a Signal, group: &'a Labels, onset_ms: i64, now_ms: i64) -> Option<Inquiry<'a>> {
        if signal.tells_beats {
            return None;
        }
        Some(Inquiry(match signal.source() {
            Source::Streamed => {
                let questions = ask::questions(signal, group, onset_ms, now_ms);
                Asked::Fed(Fed { signal, group, questions, members: Vec::new(), places: HashMap::new() })
            }
            Source::Evaluated { expression, .. } => {
                Asked::Evaluated(Narrowing::of(signal, expression, group, onset_ms, now_ms))
            }
        }))
    }

    /// The queries whose answers are wanted. An answer may bring more of them.
    pub fn questions(&self) -> &[Question] {
        match &self.0 {
            Asked::Fed(fed) => &fed.questions,
            Asked::Evaluated(narrowing) => &narrowing.questions,
        }
    }

    /// Takes the answer to one of them: labels and value of each series. They are answered in their order.
    pub fn answered(&mut self, question: usize, series: impl IntoIterator<Item = (Arc<Labels>, f64)>) {
        match &mut self.0 {
            Asked::Fed(fed) => fed.answered(question, series),
            Asked::Evaluated(narrowing) => narrowing.answered(question, series),
        }
    }

    /// The parts that moved most. `expected` is what was expected of the group, where something was; `is_drop` says which
    /// way it went, where it went a way: then there are no parts if the series say the opposite.
    pub fn parts(&self, expected: Option<f64>, is_drop: Option<bool>) -> Vec<Part> {
        match &self.0 {
            Asked::Fed(fed) => fed.parts(expected, is_drop),
            Asked::Evaluated(narrowing) => narrowing.parts(expected, is_drop),
        }
    }
}

impl Fed<'_> {
    fn answered(&mut self, question: usize, series: impl IntoIterator<Item = (Arc<Labels>, f64)>) {
        let Question { operand, side, factor, .. } = self.questions[question];
        let is_histogram = self.signal.operands[operand].is_histogram;
        for (labels, value) in series.into_iter().filter(|(_, value)| value.is_finite()) {
            if self.signal.group_of(&labels) != *self.group {
                continue;
            }
            let bound = if is_histogram { super::signal::bound_of(&labels) } else { Some(0.0) };
            let Some(bound) = bound else { continue };
            let kept = |name: &str| name != METRIC_NAME && !(is_histogram && name == BUCKET_BOUND);
            let labels = labels.filtered(kept);
            let place = *self.places.entry((operand, bound.to_bits(), labels.clone())).or_insert_with(|| {
                self.members.push(Member { labels, operand, bound, before: None, now: None });
                self.members.len() - 1
            });
            let amount = match side {
                Side::Before => &mut self.members[place].before,
                Side::Now => &mut self.members[place].now,
            };
            *amount = Some(amount.unwrap_or(0.0) + value * factor);
        }
    }

    fn parts(&self, expected: Option<f64>, is_drop: Option<bool>) -> Vec<Part> {
        let Some(whole) = amounts::Whole::of(self.signal, &self.members, expected) else { return Vec::new() };
        if is_drop.is_some_and(|is_drop| is_drop != (whole.deviation() < 0.0)) {
            return Vec::new();
        }
        let members: Vec<&Labels> = self.members.iter().map(|member| &member.labels).collect();
        let cuts = split::cuts(&members, |name| split::is_selected_alike(self.signal, name));
        told(cuts.iter().flat_map(|cut| whole.parts(cut)).collect())
    }
}

/// Those that moved most.
fn told(mut parts: Vec<Part>) -> Vec<Part> {
    parts.retain(|part| part.share > SHARE_MIN);
    parts.sort_by(|one, other| other.share.total_cmp(&one.share).then_with(|| one.labels.cmp(&other.labels)));
    parts.truncate(PARTS_COUNT_MAX);
    parts
}

/// What amounts before are multiplied with to be what was expected of all of them.
fn outlook(expected: Option<f64>, before: f64) -> f64 {
    let ratio = expected.map_or(1.0, |expected| expected / before);
    if ratio.is_finite() && ratio > 0.0 { ratio } else { 1.0 }
}

/// Whether it is so far from the expectation that its parts can be told.
fn is_deviation(deviation: f64, expected: f64) -> bool {
    deviation.abs() > DEVIATION_MIN * expected.abs()
}

/// Below this fraction of the expectation there is no deviation whose parts could be told.
const DEVIATION_MIN: f64 = 0.02;
/// A smaller share is not told.
const SHARE_MIN: f64 = 0.005;

#[cfg(test)]
mod tests;
