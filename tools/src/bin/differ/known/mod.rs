//! Where Prometheus 3.5 is known to answer otherwise than 3.14, whose answers Dozor's are, and why.
//!
//! A rule has two questions to answer. Whether a difference may be the one that it knows, which the words of any query
//! tell; then the query is made as small as it gets while its answers still differ. Whether it is that one: only of the
//! smallest query, so exactly.
//!
//! ```text
//! sum(abs(timestamp(up @ 5 offset 1m)) + odd)  ─► timestamp, @ and offset: perhaps
//! timestamp(up @ 5 offset 1m)                  ─► nothing else is left: known
//! ```
//!
//! Always true: a difference that no rule knows in its smallest form is told.

mod rules;
#[cfg(test)]
mod tests;

use crate::answer::{Answer, Outcome, Row};

/// Says what both versions say with the same words, those of 3.5.
pub(crate) fn settle(answer: &mut Answer) {
    for text in answer.warnings.iter_mut().chain(&mut answer.infos) {
        // 3.14 leaves an empty name out, and tells which buckets were repaired.
        if text.contains("needed to be fixed for monotonicity") || text.contains("bucket label") {
            strip_name(text);
        }
        *text = text.replace(" for metric name \"\"", "");
        if let (Some(from), Some(place)) = (text.find(", from buckets "), text.rfind(" (")) {
            text.replace_range(from..place, "");
        }
    }
}

/// Whether 3.14 alone may say this to the question.
pub(crate) fn is_new(query: &str, is_instant: bool, text: &str) -> bool {
    let asks = |part: &str| query.contains(part);
    let of_native = asks("native") || asks("mixed");
    text.contains("is ineffective for range queries") && asks("sort") && (!is_instant || asks(":"))
        || text.contains("conflicting counter resets") && of_native
        // 3.5 says it for fewer functions.
        || text.contains("ignored histograms in a range") && of_native && asks("_over_time")
}

/// Takes `for metric name "…"` out.
fn strip_name(text: &mut String) {
    if let (Some(from), Some(place)) = (text.find(" for metric name "), text.rfind(" (")) {
        text.replace_range(from..place, "");
    }
}

/// Whether two remarks differ only in places that 3.5 is known to tell otherwise.
pub(crate) fn same_remark(query: &str, ours: &str, theirs: &str) -> bool {
    let (Some((text, place)), Some((their_text, their_place))) = (placed(ours), placed(theirs)) else { return false };
    if shortened(text) != shortened(their_text) {
        return false;
    }
    let at = query.as_bytes().get(their_place.saturating_sub(1)).copied();
    // 3.5 takes parentheses for a part of what they are around.
    place == their_place || at == Some(b'(')
        // It loses the place of subqueries.
        || their_place == 1 && query.contains(':')
        // Of several expressions that give cause for the same words, it tells another.
        || text.contains("quantile") && query.matches("quantile").count() > 1
        || text.contains("ratio value") && query.matches("limit_ratio").count() > 1
        || text.contains("might not be a counter") && query.matches("rate(").count() + query.matches("increase(").count() > 1
        || text.contains("incompatible sample types") || text.contains("bucket label")
}

/// Text and column of a remark upon a query of one line.
fn placed(remark: &str) -> Option<(&str, usize)> {
    let (text, place) = remark.strip_suffix(')')?.rsplit_once(" (1:")?;
    Some((text, place.parse().ok()?))
}

/// Remarks with numbers to twelve digits, as those are of values that may differ behind that.
fn shortened(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive([' ', ',']) {
        let bare = word.trim_end_matches([' ', ',']);
        match bare.parse::<f64>() {
            Ok(number) => out.push_str(&format!("{number:.11e}{}", &word[bare.len()..])),
            _ => out.push_str(word),
        }
    }
    out
}

/// A difference that is known: its reason, and how to tell it.
struct Rule {
    reason: &'static str,
    /// Whether a question of any size may show it.
    may_be: fn(&Case<'_>) -> bool,
    /// Whether that is all that a question shows which cannot be made smaller.
    is: fn(&Case<'_>) -> bool,
}

/// What is known of a difference.
pub(crate) enum Known {
    Surely(&'static str),
    /// The smallest question that differs will tell.
    Perhaps,
}

/// Of which questions the rules are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    OfAny,
    /// Those that cannot be made smaller.
    OfSmall,
}

/// Whether the difference is known.
pub(crate) fn known(case: &Case<'_>, rules: Rules) -> Option<Known> {
    let mut may_be = rules::RULES.iter().filter(|rule| (rule.may_be)(case));
    match rules {
        Rules::OfAny => may_be.next().map(|_| Known::Perhaps),
        Rules::OfSmall => may_be.find(|rule| (rule.is)(case)).map(|rule| Known::Surely(rule.reason)),
    }
}

/// What there is to tell a difference by.
pub(crate) struct Case<'c> {
    pub(crate) query: &'c str,
    pub(crate) is_instant: bool,
    /// In what the answers differ; the word before the colon is the kind.
    pub(crate) what: &'c str,
    pub(crate) ours: &'c Answer,
    pub(crate) theirs: &'c Answer,
}

impl Case<'_> {
    fn asks(&self, part: &str) -> bool {
        self.query.contains(part)
    }

    fn asks_any(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.asks(part))
    }

    /// Whether nothing is around this.
    fn begins(&self, parts: &[&str]) -> bool {
        let query = self.query.trim_start_matches('(');
        parts.iter().any(|part| query.starts_with(part))
    }

    fn differs_in(&self, kinds: &[&str]) -> bool {
        kinds.iter().any(|kind| self.what.starts_with(kind))
    }

    fn ours_fails(&self, part: &str) -> bool {
        fails(self.ours, part) && self.differs_in(&["error: ours alone"])
    }

    fn theirs_fails(&self, part: &str) -> bool {
        fails(self.theirs, part) && self.differs_in(&["error: theirs alone"])
    }

    /// Whether native histograms may be asked for.
    fn asks_native(&self) -> bool {
        self.asks_any(&["native", "mixed"])
    }

    /// Whether a comparison leaves out what it does not hold for.
    fn filters(&self) -> bool {
        [" == ", " != ", " < ", " <= ", " > ", " >= "].iter().any(|operator| {
            self.query.match_indices(operator).any(|(at, _)| !self.query[at + operator.len()..].starts_with("bool"))
        })
    }

    /// Whether a subquery is evaluated at moments that are in none of its windows.
    fn has_idle_moments(&self) -> bool {
        self.asks(":") && (!self.is_instant || self.query.matches(":").count() > 1 || self.asks("@"))
    }

    fn our_rows(&self) -> &[Row] {
        rows(self.ours)
    }

    fn their_rows(&self) -> &[Row] {
        rows(self.theirs)
    }
}

fn rows(answer: &Answer) -> &[Row] {
    match &answer.outcome {
        Outcome::Rows { rows, .. } => rows,
        Outcome::Failed { .. } => &[],
    }
}

fn fails(answer: &Answer, part: &str) -> bool {
    matches!(&answer.outcome, Outcome::Failed { text, .. } if text.contains(part))
}
