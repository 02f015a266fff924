//! Parts of an expression that is evaluated: the same is asked of the series of each part alone.
//!
//! ```text
//! sum(rate(orders_total[1m] offset 1m))                      the hour before the onset    now
//! of all                                                                25                16
//! which series are there?     orders_total{region="eu"}, orders_total{region="us"}
//! of orders_total{region="eu"}                                          10                 2
//! of orders_total{region="us"}                                          15                14
//! ```
//!
//! Always true:
//! 1. Parts are told only where they add up to the whole, before and now: then the change of each is its share of the whole's.
//!    Of a standard deviation there are none.
//! 2. At most [`PARTS_ASKED_MAX`] are asked about; a cut into more is passed over.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ask::{BEFORE_MS, Question, text_of};
use super::split::{Cut, cuts};
use super::{Part, Side, is_deviation, outlook, told};
use crate::detect::signal::{BUCKET_BOUND, Signal};
use crate::model::{Labels, METRIC_NAME, Matcher};
use crate::query::narrowed;

/// Parts that are asked about, of all cuts together.
const PARTS_ASKED_MAX: usize = 40;
/// The hour before is looked at every so many ms.
const STEP_MS: i64 = 60_000;
/// How far parts may be from adding up, as a fraction of what they come to.
const SUM_TOLERANCE: f64 = 0.01;

/// What a question is about.
#[derive(Clone, Copy, Debug)]
enum About {
    Series,
    Whole,
    Part { cut: usize, part: usize },
}

/// What something comes to, before and now; nothing where there is none.
#[derive(Clone, Copy, Debug, Default)]
struct Sides {
    before: f64,
    now: f64,
}

#[derive(Debug)]
pub(super) struct Narrowing<'a> {
    signal: &'a Signal,
    expression: &'a str,
    group: &'a Labels,
    onset_ms: i64,
    now_ms: i64,
    pub(super) questions: Vec<Question>,
    /// Of each question.
    about: Vec<About>,
    series: BTreeSet<Labels>,
    whole: Sides,
    /// Of each cut, what its parts come to.
    cuts: Vec<(Cut, Vec<Sides>)>,
}

impl<'a> Narrowing<'a> {
    pub(super) fn of(
        signal: &'a Signal,
        expression: &'a str,
        group: &'a Labels,
        onset_ms: i64,
        now_ms: i64,
    ) -> Narrowing<'a> {
        let mut narrowing = Narrowing {
            signal,
            expression,
            group,
            onset_ms,
            now_ms,
            questions: Vec::new(),
            about: Vec::new(),
            series: BTreeSet::new(),
            whole: Sides::default(),
            cuts: Vec::new(),
        };
        narrowing.ask(expression.to_owned(), About::Whole);
        let span_ms = now_ms.saturating_sub(onset_ms).max(0).saturating_add(BEFORE_MS);
        for matchers in signal.all_selectors() {
            let query = format!("last_over_time({{{}}}[{span_ms}ms])", text_of(matchers).join(","));
            narrowing.push(query, now_ms, Side::Now, 1.0, About::Series);
        }
        narrowing
    }

    /// Before and now.
    fn ask(&mut self, expression: String, about: About) {
        let before = format!("sum_over_time(({expression})[{BEFORE_MS}ms:{STEP_MS}ms])");
        self.push(before, self.onset_ms, Side::Before, STEP_MS as f64 / BEFORE_MS as f64, about);
        self.push(expression, self.now_ms, Side::Now, 1.0, about);
    }

    fn push(&mut self, query: String, at_ms: i64, side: Side, factor: f64, about: About) {
        self.questions.push(Question { query, at_ms, operand: 0, side, factor });
        self.about.push(about);
    }

    /// Takes an answer; behind that to the last question about series there are more questions.
    pub(super) fn answered(&mut self, question: usize, series: impl IntoIterator<Item = (Arc<Labels>, f64)>) {
        let Question { side, factor, .. } = self.questions[question];
        let (cut, part) = match self.about[question] {
            About::Series => return self.take_series(question, series),
            About::Whole => (None, 0),
            About::Part { cut, part } => (Some(cut), part),
        };
        let of_group = series.into_iter().find(|(labels, _)| self.signal.group_of(labels) == *self.group);
        let Some((_, value)) = of_group.filter(|(_, value)| value.is_finite()) else { return };
        let sides = match cut {
            None => &mut self.whole,
            Some(cut) => &mut self.cuts[cut].1[part],
        };
        match side {
            Side::Before => sides.before = value * factor,
            Side::Now => sides.now = value,
        }
    }

    fn take_series(&mut self, question: usize, series: impl IntoIterator<Item = (Arc<Labels>, f64)>) {
        let group = self.group;
        let may_be_of_group =
            |labels: &Labels| group.iter().all(|(name, value)| labels.get(name).is_none_or(|other| other == value));
        let cutting = |name: &str| name != METRIC_NAME && name != BUCKET_BOUND && group.get(name).is_none();
        for (labels, _) in series {
            if may_be_of_group(&labels) {
                self.series.insert(labels.filtered(cutting));
            }
        }
        if question + 1 == self.questions.len() {
            self.ask_of_parts();
        }
    }

    fn ask_of_parts(&mut self) {
        let series: Vec<&Labels> = self.series.iter().collect();
        let mut left = PARTS_ASKED_MAX;
        let mut asked = Vec::new();
        for cut in cuts(&series, |_| true) {
            if cut.names.len() <= left {
                left -= cut.names.len();
                asked.push(cut);
            }
        }
        for (index, cut) in asked.into_iter().enumerate() {
            let conditions: Vec<Matcher> =
                cut.values.iter().map(|value| Matcher::equal(&*cut.label, &**value)).collect();
            self.cuts.push((cut, vec![Sides::default(); conditions.len()]));
            for (part, condition) in conditions.iter().enumerate() {
                let query = narrowed(self.expression, std::slice::from_ref(condition)).expect("it was compiled");
                self.ask(query, About::Part { cut: index, part });
            }
        }
    }

    pub(super) fn parts(&self, expected: Option<f64>, is_drop: Option<bool>) -> Vec<Part> {
        let Sides { before, now } = self.whole;
        // What was expected of the whole is expected of its parts, each as much as it had of it.
        let outlook = outlook(expected, before);
        let deviation = now - before * outlook;
        let is_other_way = is_drop.is_some_and(|is_drop| is_drop != (deviation < 0.0));
        if is_other_way || !is_deviation(deviation, before * outlook) {
            return Vec::new();
        }
        let adding_up = self.cuts.iter().filter(|(_, parts)| {
            adds_up(parts.iter().map(|part| part.now), now) && adds_up(parts.iter().map(|part| part.before), before)
        });
        let parts = adding_up.flat_map(|(cut, parts)| {
            cut.names.iter().zip(parts).map(|(labels, sides)| Part {
                labels: labels.clone(),
                value: Some(sides.now),
                expected: Some(sides.before * outlook),
                share: (sides.now - sides.before * outlook) / deviation,
            })
        });
        told(parts.collect())
    }
}

fn adds_up(parts: impl Iterator<Item = f64>, whole: f64) -> bool {
    let (mut sum, mut size) = (0.0, whole.abs());
    parts.for_each(|part| (sum, size) = (sum + part, size + part.abs()));
    (sum - whole).abs() <= SUM_TOLERANCE * size
}
