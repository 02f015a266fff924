//! An alerting rule at one moment: its alerts, and what they are from one evaluation to the next.
//!
//! ```text
//!                   for has passed            series gone, keep_firing_for has passed
//!  series ─► pending ────────────► firing ─────────────────────────────────────────► inactive ─ 15 min ─► forgotten
//!               └─ series gone: forgotten                    series again: pending, as a new alert ◄─┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::group::AlertingRule;
use super::super::{ALERT_NAME, cut};
use super::{RuleHost, RuleSample, SAME_LABELS, Surroundings, overlaid};
use crate::model::{Labels, METRIC_NAME, percent_encoded};
use crate::notify::Alert;
use crate::query::Sampled;
use crate::template::{Facts, Template};

/// How long a resolved alert is remembered, in ms.
pub const RESOLVED_RETENTION_MS: i64 = 15 * 60 * 1000;
/// Most alerts of one rule whose group has no lower limit: a tenth of those that the outbox takes.
pub const ALERTS_PER_RULE_MAX: usize = 10_000;
/// The series of alerts, and the label that says which state.
const ALERTS: &str = "ALERTS";
const ALERT_STATE: &str = "alertstate";
/// The series that says since when an alert is active, in s since 1970.
const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// What an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum AlertState {
    /// Over.
    Inactive,
    /// Its series is there, but not long enough.
    Pending,
    /// It fires.
    Firing,
}

impl AlertState {
    /// Prometheus's word for it.
    pub fn name(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// One alert of a rule. Times are ms since 1970 UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveAlert {
    /// What names it.
    pub labels: Arc<Labels>,
    /// Its annotations, filled in at the last evaluation that had its series; sorted by name.
    pub annotations: Vec<(String, String)>,
    /// What it is.
    pub state: AlertState,
    /// What its expression was worth at the last evaluation that had its series.
    pub value: f64,
    /// Since when its series is there.
    pub active_at_ms: i64,
    /// Since when it fires or fired.
    pub fired_at_ms: Option<i64>,
    /// Since when its series is gone while it goes on firing.
    pub keep_firing_since_ms: Option<i64>,
    /// When it was resolved.
    pub resolved_at_ms: Option<i64>,
}

/// The alerts of one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveAlerts(pub(super) BTreeMap<Arc<Labels>, ActiveAlert>);

/// When a rule is evaluated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The moment of the evaluation.
    pub at_ms: i64,
    /// The moment that is asked about: before it by the query offset.
    pub sample_ms: i64,
    /// Whether an alert stays what it is while its series is missing.
    pub is_settling: bool,
}

/// What a rule came to.
pub(super) struct Outcome {
    /// What began to fire or was resolved.
    pub alerts: Vec<Alert>,
    /// What is to be stored, or why the rule failed.
    pub samples: Result<Vec<RuleSample>, String>,
}

impl ActiveAlerts {
    pub(super) fn iter(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.0.values()
    }

    pub(super) fn evaluate(
        &mut self,
        rule: &AlertingRule,
        limit: usize,
        moment: Moment,
        surroundings: &Surroundings,
        host: &dyn RuleHost,
    ) -> Outcome {
        let found = match found(rule, moment, surroundings, host) {
            Ok(found) => found,
            Err(why) => return Outcome { alerts: Vec::new(), samples: Err(why) },
        };
        let (mut alerts, mut samples, mut active_count) = (Vec::new(), Vec::new(), 0);
        let is_there: Vec<Arc<Labels>> = found.keys().cloned().collect();
        self.merge(found);
        self.0.retain(|labels, alert| {
            let before = alert.state;
            let is_kept = alert.advance(rule, is_there.binary_search(labels).is_ok(), moment);
            if (before == AlertState::Firing) != (alert.state == AlertState::Firing) {
                alerts.push(alert.told(rule, surroundings));
            }
            if is_kept && alert.state != AlertState::Inactive {
                active_count += 1;
                samples.extend(alert.samples(rule));
            }
            is_kept
        });
        let limit = if limit == 0 { ALERTS_PER_RULE_MAX } else { limit.min(ALERTS_PER_RULE_MAX) };
        if active_count <= limit {
            return Outcome { alerts, samples: samples.into_iter().collect() };
        }
        // What began to fire at this moment was told to nobody; what fired before is over for all that is known.
        alerts.retain(|alert| alert.ends_at_ms.is_some());
        let fired_before = |alert: &&ActiveAlert| alert.fired_at_ms.is_some_and(|fired_ms| fired_ms < moment.at_ms);
        let ended = std::mem::take(&mut self.0);
        let ended = ended.values().filter(fired_before).filter(|alert| alert.state == AlertState::Firing);
        alerts.extend(ended.map(|alert| alert.ended(moment.at_ms).told(rule, surroundings)));
        Outcome { alerts, samples: Err(format!("exceeded limit of {limit} with {active_count} alerts")) }
    }

    /// Takes new alerts in, and of known ones what they are worth and say now.
    fn merge(&mut self, found: BTreeMap<Arc<Labels>, ActiveAlert>) {
        for (labels, new) in found {
            match self.0.get_mut(&labels) {
                Some(known) if known.state != AlertState::Inactive => {
                    (known.value, known.annotations) = (new.value, new.annotations);
                }
                _ => {
                    self.0.insert(labels, new);
                }
            }
        }
    }

    /// The alerts that fire, resolved as of a moment: their rule is no more.
    pub(super) fn resolved(&self, rule: &AlertingRule, at_ms: i64, surroundings: &Surroundings) -> Vec<Alert> {
        let firing = self.iter().filter(|alert| alert.state == AlertState::Firing);
        firing.map(|alert| alert.ended(at_ms).told(rule, surroundings)).collect()
    }
}

/// The alerts that the answer says are there, by their labels.
fn found(
    rule: &AlertingRule,
    moment: Moment,
    surroundings: &Surroundings,
    host: &dyn RuleHost,
) -> Result<BTreeMap<Arc<Labels>, ActiveAlert>, String> {
    let mut found = BTreeMap::new();
    for sample in host.ask(&rule.expr, moment.sample_ms).map_err(|error| error.to_string())? {
        let alert = alert_of(rule, &sample, moment.at_ms, surroundings, host)?;
        if found.insert(alert.labels.clone(), alert).is_some() {
            return Err(format!("{SAME_LABELS} alert labels"));
        }
    }
    Ok(found)
}

/// The pending alert of a sample: the rule's labels over the sample's.
fn alert_of(
    rule: &AlertingRule,
    sample: &RuleSample,
    at_ms: i64,
    surroundings: &Surroundings,
    host: &dyn RuleHost,
) -> Result<ActiveAlert, String> {
    let value = sample.value.number().unwrap_or(0.0);
    let filled = |templates: &[(String, Template)]| -> Vec<(String, String)> {
        let text = |template| filled_in(&rule.alert, template, sample, at_ms, surroundings, host);
        templates.iter().map(|(name, template)| (name.clone(), text(template))).collect()
    };
    let own: Vec<(String, String)> = filled(&rule.labels).into_iter().map(|(name, text)| (name, cut(text))).collect();
    let pairs = own.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let over = pairs.filter(|(name, _)| *name != ALERT_NAME).chain([(ALERT_NAME, rule.alert.as_str())]);
    let labels = Arc::new(overlaid(&sample.labels, over).map_err(|error| error.to_string())?);
    Ok(ActiveAlert {
        labels,
        annotations: filled(&rule.annotations),
        state: AlertState::Pending,
        value,
        active_at_ms: at_ms,
        fired_at_ms: None,
        keep_firing_since_ms: None,
        resolved_at_ms: None,
    })
}

/// A template of a label or an annotation, filled in. The one place where rules that are evaluated do so.
fn filled_in(
    alert: &str,
    template: &Template,
    sample: &RuleSample,
    at_ms: i64,
    surroundings: &Surroundings,
    host: &dyn RuleHost,
) -> String {
    let histogram = match &sample.value {
        Sampled::Number(_) => None,
        Sampled::Histogram(histogram) => Some(histogram.to_string()),
    };
    let query = |query: &str| {
        let answer = host.ask(query, at_ms).map_err(|error| error.to_string())?;
        let rows = answer.into_iter().map(|row| (Labels::clone(&row.labels), row.value.number().unwrap_or(0.0)));
        Ok(rows.collect())
    };
    let facts = Facts {
        labels: &sample.labels,
        value: sample.value.number().unwrap_or(0.0),
        histogram: histogram.as_deref(),
        external_labels: &surroundings.external_labels,
        external_url: &surroundings.external_url,
        at_ms,
        query: &query,
        more: &[],
    };
    template.render(alert, &facts)
}

impl ActiveAlert {
    /// Takes it on to this moment. False: it is to be forgotten.
    fn advance(&mut self, rule: &AlertingRule, is_there: bool, moment: Moment) -> bool {
        let at_ms = moment.at_ms;
        if is_there {
            self.keep_firing_since_ms = None;
        } else if self.state == AlertState::Inactive {
            return self.resolved_at_ms.is_none_or(|resolved_ms| at_ms - resolved_ms <= RESOLVED_RETENTION_MS);
        } else if moment.is_settling {
            return true;
        } else if self.state == AlertState::Pending {
            return false;
        } else if !self.keeps_firing(rule, at_ms) {
            (self.state, self.resolved_at_ms) = (AlertState::Inactive, Some(at_ms));
            return true;
        }
        if self.state == AlertState::Pending && at_ms - self.active_at_ms >= rule.for_ms {
            (self.state, self.fired_at_ms) = (AlertState::Firing, Some(at_ms));
        }
        true
    }

    /// Whether it goes on firing without its series.
    fn keeps_firing(&mut self, rule: &AlertingRule, at_ms: i64) -> bool {
        rule.keep_firing_for_ms > 0 && at_ms - *self.keep_firing_since_ms.get_or_insert(at_ms) < rule.keep_firing_for_ms
    }

    fn ended(&self, at_ms: i64) -> ActiveAlert {
        ActiveAlert { state: AlertState::Inactive, resolved_at_ms: Some(at_ms), ..self.clone() }
    }

    /// What receivers are told of it.
    pub(super) fn told(&self, rule: &AlertingRule, surroundings: &Surroundings) -> Alert {
        let url = &surroundings.external_url;
        Alert {
            labels: Labels::clone(&self.labels),
            annotations: self.annotations.clone(),
            starts_at_ms: self.fired_at_ms.unwrap_or(self.active_at_ms),
            ends_at_ms: self.resolved_at_ms.filter(|_| self.state == AlertState::Inactive),
            generator_url: format!("{url}/graph?g0.expr={}&g0.tab=1", percent_encoded(&rule.query)),
        }
    }

    /// The series that tell of it.
    pub(super) fn samples(&self, rule: &AlertingRule) -> [Result<RuleSample, String>; 2] {
        let sample = |value: f64, over: &[(&str, &str)]| {
            let labels = overlaid(&self.labels, over.iter().copied()).map_err(|error| error.to_string())?;
            Ok(RuleSample { labels: Arc::new(labels), value: Sampled::Number(value) })
        };
        let name = (ALERT_NAME, rule.alert.as_str());
        let active_at_s = self.active_at_ms.div_euclid(1000) as f64;
        [
            sample(1.0, &[(METRIC_NAME, ALERTS), name, (ALERT_STATE, self.state.name())]),
            sample(active_at_s, &[(METRIC_NAME, ALERTS_FOR_STATE), name]),
        ]
    }
}
