//! What is watched and what fires, in Prometheus's shape.

use hyper::StatusCode;

use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{ApiError, Reply, json};
use crate::notify::{Alert, rfc3339};
use crate::rules::AnomalyRule;

/// `/api/v1/alerts`: those that fire.
pub(super) async fn alerts(call: Call) -> Result<Reply, ApiError> {
    let firing = (call.front.services.firing)();
    Ok(data(|text| {
        text.raw(r#"{"alerts":"#);
        text.list(&firing, alert);
        text.raw("}");
    }))
}

/// `/api/v1/rules`: all, by group, with those of their alerts that fire.
pub(super) async fn rules(call: Call) -> Result<Reply, ApiError> {
    let firing = (call.front.services.firing)();
    let rules = &call.front.services.rules.rules;
    Ok(data(|text| {
        text.raw(r#"{"groups":"#);
        text.list(rules.chunk_by(|one, next| (&one.file, &one.group) == (&next.file, &next.group)), |text, group| {
            text.raw(r#"{"name":"#);
            text.string(&group[0].group);
            text.raw(r#","file":"#);
            text.string(&group[0].file.to_string_lossy());
            text.raw(r#","rules":"#);
            text.list(group, |text, one| rule(text, one, &firing));
            text.raw(r#","interval":0}"#);
        });
        text.raw("}");
    }))
}

fn rule(text: &mut JsonText, rule: &AnomalyRule, firing: &[Alert]) {
    let own: Vec<&Alert> = firing.iter().filter(|one| one.labels.get("alertname") == Some(&rule.alert)).collect();
    text.raw(if own.is_empty() { r#"{"state":"inactive","name":"# } else { r#"{"state":"firing","name":"# });
    text.string(&rule.alert);
    text.raw(r#","query":"#);
    text.string(&rule.expr);
    text.raw(r#","duration":"#);
    text.seconds(rule.options.for_ms);
    text.raw(r#","keepFiringFor":"#);
    text.seconds(rule.options.keep_firing_for_ms);
    text.raw(r#","labels":"#);
    text.pairs(rule.labels());
    text.raw(r#","annotations":"#);
    text.pairs(rule.annotations());
    text.raw(r#","alerts":"#);
    text.list(own, alert);
    text.raw(r#","health":"ok","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"alerting"}"#);
}

fn alert(text: &mut JsonText, alert: &Alert) {
    text.raw(r#"{"labels":"#);
    text.labels(&alert.labels);
    text.raw(r#","annotations":"#);
    text.pairs(alert.annotations.iter().map(|(name, annotation)| (name.as_str(), annotation.as_str())));
    text.raw(r#","state":"firing","activeAt":"#);
    text.string(&rfc3339(alert.starts_at_ms));
    // What the signal is worth by now is asked for by a query; an alert keeps what it said.
    text.raw(r#","value":""}"#);
}

fn data(write: impl FnOnce(&mut JsonText)) -> Reply {
    json(StatusCode::OK, success(&[], &[], write))
}
