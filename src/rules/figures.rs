//! The figures behind an alert, as texts: annotations that a rule need not write.
//!
//! ```text
//! expected 0.9   deviation -63 %   onset 2026-01-01T12:01:00Z   lost 101   confidence learning 87 %
//! ```

use jiff::Timestamp;

use crate::detect::{Explanation, Part, Transition};
use crate::notify::rfc3339;

/// The annotation that tells why an alert ended later than its rule.
pub(crate) const TELEMETRY: &str = "telemetry";
/// Parts that an annotation names; the answer of `/api/v1/anomalies` has all that are known.
const PARTS_TOLD_MAX: usize = 5;

/// When the change seems to have begun; empty for a time that no calendar has.
pub(super) fn onset(transition: &Transition) -> String {
    Timestamp::from_millisecond(transition.onset_ms).map(|onset| onset.to_string()).unwrap_or_default()
}

/// How far the value is from what was expected, as a fraction of that.
pub(super) fn deviation(transition: &Transition) -> Option<f64> {
    let deviation = transition.value / transition.expected - 1.0;
    (deviation.is_finite()).then_some(deviation)
}

/// Events that were lost, or of a rise came too many.
pub(super) fn lost(transition: &Transition) -> Option<f64> {
    transition.explanation.as_ref()?.lost_events
}

/// Names and texts, those that are known.
pub(super) fn of(transition: &Transition) -> Vec<(&'static str, String)> {
    let explanation = transition.explanation.as_deref();
    let expected = Some(transition.expected).filter(|expected| !expected.is_nan());
    let onset = Some(onset(transition)).filter(|onset| !onset.is_empty());
    let figures = [
        ("expected", expected.map(number)),
        ("deviation", deviation(transition).map(percent)),
        ("onset", onset),
        ("detector", explanation.map(|explanation| explanation.detector.name().to_owned())),
        (
            "bounds",
            explanation.and_then(|one| one.bounds).map(|[low, high]| format!("{} to {}", number(low), number(high))),
        ),
        ("evidence", explanation.and_then(evidence)),
        (TELEMETRY, transition.unheard_since_ms.map(if transition.is_removed { removed } else { given_up })),
        ("lost", lost(transition).map(|events| format!("{events:.0}"))),
        ("lost_money", explanation.and_then(|one| one.lost_money).map(|money| format!("{money:.2}"))),
        ("confidence", explanation.and_then(Explanation::confidence)),
        ("detectable_drop", explanation.and_then(|one| one.detectable_drop).map(|drop| percent(-drop))),
        ("parts", explanation.map(|one| parts(&one.parts)).filter(|text| !text.is_empty())),
    ];
    figures.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

/// Why an alert ended of which nothing had come for too long; `since_ms` in ms since 1970 UTC.
pub(crate) fn given_up(since_ms: i64) -> String {
    format!("unknown: no data since {}; it is no longer kept", rfc3339(since_ms))
}

/// Why an alert ended whose senders were removed; `since_ms` in ms since 1970 UTC.
fn removed(since_ms: i64) -> String {
    format!(
        "removed: no data since {}, and nobody scrapes its targets any more; others of their job go on",
        rfc3339(since_ms)
    )
}

/// Evidence and what alerts.
fn evidence(explanation: &Explanation) -> Option<String> {
    let [evidence, threshold] = explanation.evidence?;
    Some(format!("{evidence:.1} of {threshold:.1} nats"))
}

/// Those that moved most, with their shares of the deviation.
fn parts(parts: &[Part]) -> String {
    let known = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), number);
    let told = |part: &Part| {
        let (share, labels) = (100.0 * part.share, &part.labels);
        format!("{share:.0} % {labels} {}, expected {}", known(part.value), known(part.expected))
    };
    parts.iter().take(PARTS_TOLD_MAX).map(told).collect::<Vec<String>>().join("; ")
}

/// With four digits that count.
fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = (3 - digits).clamp(0, 12) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn percent(fraction: f64) -> String {
    format!("{:+.0} %", 100.0 * fraction)
}
