//! `/api/v1/anomalies`: why what fires by the stream fires, in figures.
//!
//! Times are in seconds since 1970; a figure that is not known is `null`. Those that fire come first, then those that
//! ended a while ago, the latest first.

use super::call::Call;
use super::json::JsonText;
use super::reply::{ApiError, Reply};
use super::watching::data;
use crate::detect::{Explanation, Part};
use crate::rules::AnomalyReport;

/// All that the server remembers.
pub(super) async fn anomalies(call: Call) -> Result<Reply, ApiError> {
    let reports = (call.front.services.anomalies)();
    Ok(data(&[], |text| {
        text.raw(r#"{"anomalies":"#);
        text.list(&reports, one);
        text.raw("}");
    }))
}

fn one(text: &mut JsonText, report: &AnomalyReport) {
    let (alert, explanation) = (&report.alert, &report.explanation);
    text.raw(r#"{"labels":"#);
    text.labels(&alert.labels);
    text.raw(r#","annotations":"#);
    text.pairs(alert.annotations.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    for (name, value) in [
        ("state", if alert.ends_at_ms.is_some() { "resolved" } else { "firing" }),
        ("direction", explanation.direction.name()),
        ("detector", explanation.detector.name()),
        ("expr", &report.expr),
        ("generatorURL", &alert.generator_url),
    ] {
        text.raw(&format!(r#","{name}":"#));
        text.string(value);
    }
    moment(text, "onset", Some(explanation.onset_ms));
    moment(text, "detectedAt", Some(explanation.detected_ms));
    moment(text, "endedAt", alert.ends_at_ms);
    figures(text, explanation);
    text.raw(r#","line":"#);
    text.list(&explanation.line, |text, point| {
        text.raw(&format!("[{},", point.at_s));
        text.number_or_null(Some(f64::from(point.value)));
        text.raw(",");
        text.number_or_null(Some(f64::from(point.expected)));
        text.raw("]");
    });
    text.raw(r#","parts":"#);
    text.list(&explanation.parts, part);
    text.raw("}");
}

fn part(text: &mut JsonText, part: &Part) {
    text.raw(r#"{"labels":"#);
    text.labels(&part.labels);
    for (name, value) in [("value", part.value), ("expected", part.expected), ("share", Some(part.share))] {
        text.raw(&format!(r#","{name}":"#));
        text.number_or_null(value);
    }
    text.raw("}");
}

fn figures(text: &mut JsonText, explanation: &Explanation) {
    let (lower, upper) = explanation.bounds.map_or((None, None), |[lower, upper]| (Some(lower), Some(upper)));
    let (evidence, threshold) = explanation.evidence.map_or((None, None), |[has, alerts]| (Some(has), Some(alerts)));
    for (name, value) in [
        ("value", Some(explanation.value)),
        ("expected", explanation.expected),
        ("lower", lower),
        ("upper", upper),
        ("deviation", explanation.deviation()),
        ("evidence", evidence),
        ("threshold", threshold),
        ("learned", explanation.learned),
        ("detectableDrop", explanation.detectable_drop),
        ("perHour", explanation.forecast.map(|forecast| forecast.per_hour)),
    ] {
        text.raw(&format!(r#","{name}":"#));
        text.number_or_null(value);
    }
    moment(text, "fullAt", explanation.forecast.and_then(|forecast| forecast.full_ms));
    text.raw(r#","lost":"#);
    match explanation.lost_events {
        None => text.raw("null"),
        Some(events) => {
            text.raw(r#"{"events":"#);
            text.number_or_null(Some(events));
            text.raw(r#","money":"#);
            text.number_or_null(explanation.lost_money);
            text.raw("}");
        }
    }
}

fn moment(text: &mut JsonText, name: &str, at_ms: Option<i64>) {
    text.raw(&format!(r#","{name}":"#));
    match at_ms {
        Some(at_ms) => text.seconds(at_ms),
        None => text.raw("null"),
    }
}
