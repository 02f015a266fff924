//! Rules and alerts in Prometheus's shape, and the order to read the rules again.

use hyper::StatusCode;

use super::ReloadTold;
use super::admin;
use super::call::Call;
use super::json::{JsonText, success};
use super::reply::{ApiError, Reply, json};
use super::rule_filter::RuleFilter;
use crate::model::{format_exponent, format_plain};
use crate::notify::{Alert, rfc3339};
use crate::rules::{
    ActiveAlert, AlertingRule, AnomalyRule, Evaluation, GroupReport, Health, RecordingRule, Rule, RuleReport,
    RulesReport,
};

/// The label that holds a rule's name.
const ALERT_NAME: &str = "alertname";

/// `/api/v1/alerts`: those that are pending or fire.
pub(super) async fn alerts(call: Call) -> Result<Reply, ApiError> {
    let services = &call.front.services;
    let (report, firing) = ((services.rules)(), (services.firing)());
    let of_stream = firing.iter().filter(|alert| report.set.rules.iter().any(|rule| is_of(rule, alert)));
    Ok(data(&[], |text| {
        text.raw(r#"{"alerts":["#);
        let active = report.groups.iter().flat_map(|group| &group.rules).flat_map(|rule| &rule.alerts);
        let (mut active, mut of_stream, mut is_first) = (active.peekable(), of_stream.peekable(), true);
        while active.peek().is_some() || of_stream.peek().is_some() {
            text.raw(if std::mem::take(&mut is_first) { "" } else { "," });
            match active.next() {
                Some(one) => active_alert(text, one),
                None => of_stream.next().into_iter().for_each(|one| alert(text, one)),
            }
        }
        text.raw("]}");
    }))
}

/// `/api/v1/rules`: all, by group, with their alerts.
pub(super) async fn rules(call: Call) -> Result<Reply, ApiError> {
    let (front, parameters) = call.parameters().await?;
    let filter = RuleFilter::read(&parameters)?;
    let (report, firing) = ((front.services.rules)(), (front.services.firing)());
    let page = filter.page(&report)?;
    Ok(data(&[], |text| {
        text.raw(r#"{"groups":"#);
        text.list(&page.groups, |text, (group, indexes)| {
            text.raw(r#"{"name":"#);
            text.string(&group.group.name);
            text.raw(r#","file":"#);
            text.string(&group.group.file.to_string_lossy());
            text.raw(r#","rules":"#);
            text.list(indexes, |text, &index| {
                rule(text, &report, group, index, &firing, filter.excludes_alerts());
            });
            text.raw(r#","interval":"#);
            text.seconds(group.interval_ms);
            text.raw(&format!(r#","limit":{}"#, group.group.limit));
            evaluation(text, group.last);
            text.raw("}");
        });
        if let Some(token) = &page.next_token {
            text.raw(r#","groupNextToken":"#);
            text.string(token);
        }
        text.raw("}");
    }))
}

/// `/-/reload`: reads the settings and the files that they name again. What is wrong in them is told, and changes
/// nothing; so is what waits for a restart.
pub(super) async fn reload(call: Call) -> Result<Reply, ApiError> {
    let (front, _) = admin::admitted(call).await?;
    let reloaded = admin::carry_out(front, "reload", |services| (services.reload)()).await?;
    let ReloadTold { rules, waiting } = reloaded.map_err(ApiError::bad_data)?;
    let waits = (!waiting.is_empty()).then(|| format!("these settings wait for a restart: {}", waiting.join(", ")));
    Ok(data(&Vec::from_iter(waits), |text| {
        text.raw(&format!(r#"{{"groups":{},"rules":{}}}"#, rules.groups, rules.rules));
    }))
}

fn is_of(rule: &AnomalyRule, alert: &Alert) -> bool {
    alert.labels.get(ALERT_NAME) == Some(&rule.alert)
}

fn rule(
    text: &mut JsonText,
    report: &RulesReport,
    group: &GroupReport,
    index: usize,
    firing: &[Alert],
    excludes_alerts: bool,
) {
    let state = &group.rules[index];
    match &group.group.rules[index] {
        Rule::Recording(rule) => recording(text, rule, state),
        Rule::Alerting(rule) => alerting(text, rule, state, excludes_alerts),
        Rule::Anomaly(index) => anomaly(text, &report.set.rules[*index], firing, excludes_alerts),
    }
}

fn recording(text: &mut JsonText, rule: &RecordingRule, state: &RuleReport) {
    text.raw(r#"{"name":"#);
    text.string(&rule.record);
    text.raw(r#","query":"#);
    text.string(&rule.query);
    if !rule.labels.is_empty() {
        text.raw(r#","labels":"#);
        text.pairs(rule.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    health(text, state);
    text.raw(r#","type":"recording"}"#);
}

fn alerting(text: &mut JsonText, rule: &AlertingRule, state: &RuleReport, excludes_alerts: bool) {
    text.raw(r#"{"state":"#);
    text.string(state.state().name());
    described(text, (&rule.alert, &rule.query), (rule.for_ms, rule.keep_firing_for_ms));
    text.pairs(rule.labels());
    text.raw(r#","annotations":"#);
    text.pairs(rule.annotations());
    text.raw(r#","alerts":"#);
    match excludes_alerts {
        true => text.raw("null"),
        false => text.list(&state.alerts, active_alert),
    }
    health(text, state);
    text.raw(r#","type":"alerting"}"#);
}

fn anomaly(text: &mut JsonText, rule: &AnomalyRule, firing: &[Alert], excludes_alerts: bool) {
    let own: Vec<&Alert> = firing.iter().filter(|alert| is_of(rule, alert)).collect();
    text.raw(if own.is_empty() { r#"{"state":"inactive""# } else { r#"{"state":"firing""# });
    described(text, (&rule.alert, &rule.expr), (rule.options.for_ms, rule.options.keep_firing_for_ms));
    text.pairs(rule.labels());
    text.raw(r#","annotations":"#);
    text.pairs(rule.annotations());
    text.raw(r#","alerts":"#);
    match excludes_alerts {
        true => text.raw("null"),
        false => text.list(own, alert),
    }
    text.raw(r#","health":"ok","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"alerting"}"#);
}

/// From the name of an alert to the key of its labels.
fn described(text: &mut JsonText, (name, expr): (&str, &str), (for_ms, keep_firing_for_ms): (i64, i64)) {
    text.raw(r#","name":"#);
    text.string(name);
    text.raw(r#","query":"#);
    text.string(expr);
    text.raw(r#","duration":"#);
    text.seconds(for_ms);
    text.raw(r#","keepFiringFor":"#);
    text.seconds(keep_firing_for_ms);
    text.raw(r#","labels":"#);
}

fn health(text: &mut JsonText, state: &RuleReport) {
    match &state.health {
        Health::Unknown => text.raw(r#","health":"unknown""#),
        Health::Good => text.raw(r#","health":"ok""#),
        Health::Bad(why) => {
            text.raw(r#","health":"err","lastError":"#);
            text.string(why);
        }
    }
    evaluation(text, state.last);
}

fn evaluation(text: &mut JsonText, last: Option<Evaluation>) {
    let took_s = last.map_or(0.0, |last| last.took.as_secs_f64());
    text.raw(&format!(r#","evaluationTime":{},"lastEvaluation":"#, format_plain(took_s)));
    // As Go writes a time that is not set.
    text.string(&last.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |last| rfc3339(last.at_ms)));
}

fn active_alert(text: &mut JsonText, alert: &ActiveAlert) {
    text.raw(r#"{"labels":"#);
    text.labels(&alert.labels);
    text.raw(r#","annotations":"#);
    text.pairs(alert.annotations.iter().map(|(name, annotation)| (name.as_str(), annotation.as_str())));
    text.raw(r#","state":"#);
    text.string(alert.state.name());
    text.raw(r#","activeAt":"#);
    text.string(&rfc3339(alert.active_at_ms));
    if let Some(since_ms) = alert.keep_firing_since_ms {
        text.raw(r#","keepFiringSince":"#);
        text.string(&rfc3339(since_ms));
    }
    text.raw(r#","value":"#);
    text.string(&exponential(alert.value));
    text.raw("}");
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

/// The fewest digits that name the number, always with an exponent: `1.5e+03`.
fn exponential(value: f64) -> String {
    if value.is_finite() { format_exponent(value) } else { format_plain(value) }
}

pub(super) fn data(warnings: &[String], write: impl FnOnce(&mut JsonText)) -> Reply {
    json(StatusCode::OK, success(warnings, &[], write))
}

#[cfg(test)]
mod tests {
    use super::exponential;

    /// As Go's `strconv.FormatFloat(value, 'e', -1, 64)`.
    #[test]
    fn values_of_alerts_have_an_exponent_of_two_digits() {
        for (value, text) in
            [(1.0, "1e+00"), (0.0, "0e+00"), (-1500.0, "-1.5e+03"), (0.012, "1.2e-02"), (1e100, "1e+100")]
        {
            assert_eq!(exponential(value), text);
        }
        assert_eq!(exponential(f64::INFINITY), "+Inf");
        assert_eq!(exponential(f64::NAN), "NaN");
    }
}
