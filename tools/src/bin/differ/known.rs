//! Where Prometheus 3.5 is known to answer otherwise than 3.14, whose answers Dozor's are, and why.

use crate::answer::{Answer, Outcome};

/// Takes out of the remarks what 3.5 never says, and the words that it says the rest with.
pub(crate) fn settle(answer: &mut Answer) {
    // 3.14 says that sorting a range query has no effect, and that histograms of different resets were added up.
    let is_new = |text: &str| {
        text.contains("is ineffective for range queries")
            || text.contains("conflicting counter resets")
            // 3.5 says it for fewer functions.
            || text.contains("ignored histograms in a range")
    };
    answer.warnings.retain(|text| !is_new(text));
    answer.infos.retain(|text| !is_new(text));
    for text in answer.warnings.iter_mut().chain(&mut answer.infos) {
        // 3.14 leaves an empty name out, and tells which buckets were repaired.
        *text = text.replace(" for metric name \"\"", "");
        if let (Some(from), Some(place)) = (text.find(", from buckets "), text.rfind(" (")) {
            text.replace_range(from..place, "");
        }
    }
}

/// Whether two remarks differ only in places that 3.5 is known to tell otherwise.
pub(crate) fn same_remark(query: &str, ours: &str, theirs: &str) -> bool {
    let (Some((text, place)), Some((their_text, their_place))) = (placed(ours), placed(theirs)) else { return false };
    if text != their_text {
        return false;
    }
    let at = query.chars().nth(their_place.saturating_sub(1));
    // 3.5 takes parentheses for a part of what they are around.
    place == their_place || at == Some('(')
        // It loses the place of subqueries.
        || their_place == 1 && query.contains(':')
        // Of several expressions that give cause for the same words, it tells another.
        || text.contains("quantile value") && query.matches("quantile").count() > 1
        || text.contains("incompatible sample types") || text.contains("bucket label")
}

/// Text and column of a remark upon a query of one line.
fn placed(remark: &str) -> Option<(&str, usize)> {
    let (text, place) = remark.strip_suffix(')')?.rsplit_once(" (1:")?;
    Some((text, place.parse().ok()?))
}

/// The reason, if the difference is known.
pub(crate) fn known(query: &str, what: &str, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    let fails = |answer: &Answer, part: &str| matches!(&answer.outcome, Outcome::Failed { text, .. } if text.contains(part));
    let is_empty = |answer: &Answer| matches!(&answer.outcome, Outcome::Rows { rows, .. } if rows.is_empty());
    if fails(ours, "multiple matches for labels") && what.starts_with("error: ours alone") {
        return Some("3.5 looks for doubled matches only where the operator yields something");
    }
    let parameter = ["int64", "value is NaN"].iter().any(|part| fails(ours, part));
    if parameter && is_empty(theirs) {
        return Some("3.5 does not look at the parameter of an aggregation over nothing");
    }
    if query.contains("histogram_fraction(") && what.starts_with("value:") && what.contains(", not NaN") {
        return Some("3.5 gives NaN for a fraction of a classic histogram from its lowest bound on");
    }
    if query.contains("info(") && query.contains("__name__") && what.starts_with("labels: ours alone") {
        return Some("3.5 drops series without job and instance where info() is told the metric's name");
    }
    if query.contains("info(") && (query.contains("offset") || query.contains('@')) {
        return Some("3.5 reads the info series of a shifted selector as of the query's time, from some of the chunks");
    }
    None
}
