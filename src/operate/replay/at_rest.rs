//! The past of a data folder that no server has, or of a snapshot: read as it lies, and what rules record is laid over it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::history::{Firing, RuleHistory, Span};
use super::host::{Past, Row};
use crate::config::Config;
use crate::detect::{self, EvaluatedValue, Kind, Shared, TRANSITIONS_COUNT_MAX, Transition};
use crate::model::{Labels, METRIC_NAME, Matcher, TimeRange};
use crate::operate::learn::learn_options;
use crate::query::{Engine, Options, QueryError, Sampled, Value, plan};
use crate::rules::{Rule, RuleSample, RuleSet};
use crate::server::Evaluated;
use crate::storage::Overlay;
use crate::storage::view::ReadView;

/// Series that alerting rules make, and the label by which their alert is told.
const ALERT_SERIES: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];
const ALERT_NAME: &str = "alertname";

/// What rules make, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    records: BTreeSet<String>,
    alerts: BTreeSet<String>,
}

/// A view, and what is laid over it.
pub(super) struct StoredPast {
    view: ReadView,
    engine: Engine,
    overlay: Arc<Overlay>,
    made: Made,
}

impl Made {
    pub(super) fn of(rules: &RuleSet) -> Made {
        let mut made = Made::default();
        for rule in rules.groups.iter().flat_map(|group| &group.rules) {
            match rule {
                Rule::Recording(rule) => _ = made.records.insert(rule.record.clone()),
                Rule::Alerting(rule) => _ = made.alerts.insert(rule.alert.clone()),
                Rule::Anomaly(_) => {}
            }
        }
        made
    }

    /// Whether it is a series of these rules.
    fn has(&self, labels: &Labels) -> bool {
        let name = labels.get(METRIC_NAME).unwrap_or("");
        let is_alert = || labels.get(ALERT_NAME).is_some_and(|alert| self.alerts.contains(alert));
        self.records.contains(name) || (ALERT_SERIES.contains(&name) && is_alert())
    }

    /// The first record, or series of alerts, that a query may read.
    pub(super) fn read_by(&self, query: &str) -> Option<String> {
        let alerts = ALERT_SERIES.into_iter().filter(|_| !self.alerts.is_empty());
        let names = || self.records.iter().map(String::as_str).chain(alerts.clone());
        let selects = |matchers: &[Matcher], name: &str| {
            matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME).all(|matcher| matcher.matches(name))
        };
        let mut found = None;
        // What cannot be read fails when it is asked, and reads nothing.
        let plan = plan(query).ok()?;
        plan.each_selector(&mut |matchers| {
            found = found.take().or_else(|| names().find(|name| selects(matchers, name)).map(str::to_owned));
        });
        found
    }
}

impl StoredPast {
    /// From `from_ms` on, what these rules made is not that of the server but that of the replay.
    pub(super) fn new(stored: &ReadView, rules: &RuleSet, from_ms: i64, config: &Config) -> StoredPast {
        let made = Made::of(rules);
        let its_own = made.clone();
        let overlay = Overlay::new(from_ms, move |labels| its_own.has(labels));
        let engine = crate::server::DatabaseAtRest::engine(config);
        StoredPast { view: stored.clone().overlaid(&overlay), engine, overlay, made }
    }

    /// What an evaluated watch is told of these moments, which follow one another by its interval: asked together where that
    /// says the same and does not fail, else one at a time. Why a moment has no answer goes to `failure`.
    fn values(&self, one: &Evaluated, moments_ms: &[i64], failure: &mut Option<String>) -> Vec<EvaluatedValue> {
        let query = one.expression.as_str();
        let mut told = Vec::new();
        if let (Some(&from_ms), Some(&to_ms)) = (moments_ms.first(), moments_ms.last())
            && plan(query).is_ok_and(|plan| plan.reaches_back_only())
            && let Ok(rows) = self.range(query, from_ms, to_ms, one.interval_ms)
        {
            for row in &rows {
                let values = row.times_ms.iter().zip(&row.values);
                told.extend(values.filter_map(|(at_ms, value)| Some(one.told(&row.labels, *at_ms, value.number()?))));
            }
            told.sort_by_key(|value| value.at_ms);
            return told;
        }
        for &at_ms in moments_ms {
            match self.instant(query, at_ms) {
                Ok(samples) => told.extend(
                    samples.iter().filter_map(|sample| Some(one.told(&sample.labels, at_ms, sample.value.number()?))),
                ),
                Err(error) => _ = failure.get_or_insert_with(|| error.to_string()),
            }
        }
        told
    }
}

impl Past for StoredPast {
    fn instant(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError> {
        match self.engine.instant(&self.view, query, time_ms, &Options::default())?.value {
            Value::Scalar(_, value) => {
                Ok(vec![RuleSample { labels: Arc::new(Labels::empty()), value: Sampled::Number(value) }])
            }
            Value::Vector(series) => {
                Ok(series.into_iter().map(|(labels, _, value)| RuleSample { labels, value }).collect())
            }
            Value::String(..) | Value::Matrix(_) => {
                Err(QueryError::Execution("rule result is not a vector or scalar".to_owned()))
            }
        }
    }

    fn range(&self, query: &str, from_ms: i64, to_ms: i64, step_ms: i64) -> Result<Vec<Row>, QueryError> {
        let options = Options { no_cache: true, ..Options::default() };
        let value = self.engine.range(&self.view, query, from_ms, to_ms, step_ms, &options)?.value;
        let Value::Matrix(series) = value else {
            return Err(QueryError::Execution("a range query gives a matrix".to_owned()));
        };
        let row = |series: crate::query::Series| {
            let numbers = series.points.iter().map(|(at_ms, value)| (at_ms, Sampled::Number(value)));
            let histograms = series.histograms.iter().map(|(at_ms, value)| (*at_ms, Sampled::Histogram(value.clone())));
            let mut samples: Vec<(i64, Sampled)> = numbers.chain(histograms).collect();
            samples.sort_by_key(|(at_ms, _)| *at_ms);
            let (times_ms, values) = samples.into_iter().unzip();
            Row { labels: series.labels, times_ms, values }
        };
        Ok(series.into_iter().map(row).collect())
    }

    fn store(&mut self, time_ms: i64, samples: &[RuleSample]) -> Result<(), String> {
        let mut first = None;
        for sample in samples {
            let pushed = match &sample.value {
                Sampled::Number(value) => self.overlay.push(&sample.labels, time_ms, *value),
                Sampled::Histogram(value) => self.overlay.push_histogram(&sample.labels, time_ms, value.clone()),
            };
            first = first.or(pushed.err());
        }
        first.map_or(Ok(()), |error| Err(error.to_string()))
    }

    fn is_complete_for(&self, query: &str) -> bool {
        plan(query).is_ok_and(|plan| plan.reaches_back_only()) && self.made.read_by(query).is_none()
    }
}

/// Rules with an `anomaly` block, fed with everything from the first stored sample on: what is normal has to be learned.
/// What the server evaluates instead is evaluated over what is stored and recorded, at the moments at which it does.
/// What they did in `range` is told. `progress` is told the moment that was reached.
pub(super) fn anomalies(
    rules: &RuleSet,
    past: &StoredPast,
    range: TimeRange,
    config: &Config,
    notes: &mut Vec<String>,
    progress: &mut dyn FnMut(i64, TimeRange),
) -> anyhow::Result<Vec<RuleHistory>> {
    if rules.rules.is_empty() {
        return Ok(Vec::new());
    }
    let Some(stored) = past.view.span() else { bail!("nothing is stored") };
    let fed = TimeRange { to_ms: range.to_ms.min(stored.to_ms), ..stored };
    let options = learn_options(config)?;
    let mut evaluated = Evaluated::all_of(rules);
    // Feeding what is fed alone needs no looking.
    let is_fed_only = evaluated.is_empty();
    let mut failures = vec![None; rules.rules.len()];
    let mut evaluate = |shared: &Shared| {
        let mut told = Vec::new();
        for one in &mut evaluated {
            let moments_ms: Vec<i64> = std::iter::from_fn(|| one.take_due_ms(shared)).collect();
            told.extend(past.values(one, &moments_ms, &mut failures[one.watch]));
        }
        told
    };
    let evaluate: Option<detect::Evaluate<'_>> = if is_fed_only { None } else { Some(&mut evaluate) };
    let mut progress = |at_ms| progress(at_ms, fed);
    let learned = detect::learn(&past.view, fed, rules.watches(), options, evaluate, &mut progress);
    let learned = learned.context("rules with an anomaly block")?;
    if learned.transitions.len() == TRANSITIONS_COUNT_MAX {
        notes.push(format!("alerts of rules with an anomaly block are told up to {TRANSITIONS_COUNT_MAX} changes"));
    }
    let mut histories: Vec<RuleHistory> = rules.rules.iter().map(history_of).collect();
    for (failure, history) in failures.into_iter().zip(&mut histories) {
        history.failure = failure;
    }
    for transition in &learned.transitions {
        note(&mut histories[transition.watch], transition, rules, range);
    }
    histories.iter_mut().for_each(|history| find_spans(history, range));
    Ok(histories)
}

fn history_of(rule: &crate::rules::AnomalyRule) -> RuleHistory {
    RuleHistory {
        file: rule.file.clone(),
        group: rule.group.clone(),
        alert: rule.alert.clone(),
        expr: rule.expr.clone(),
        for_ms: rule.options.for_ms,
        keep_firing_for_ms: rule.options.keep_firing_for_ms,
        is_anomaly: true,
        ..RuleHistory::default()
    }
}

fn note(history: &mut RuleHistory, transition: &Transition, rules: &RuleSet, range: TimeRange) {
    let labels = Arc::new(rules.alert_for(transition, "").labels);
    let open = history.firings.iter().rposition(|firing| firing.resolved_ms.is_none() && firing.labels == labels);
    match (transition.kind, open) {
        (Kind::Firing, None) if transition.fired_ms <= range.to_ms => history.firings.push(Firing {
            labels,
            pending_ms: transition.onset_ms.min(transition.fired_ms),
            fired_ms: transition.fired_ms,
            resolved_ms: None,
            value: transition.value,
            is_cut: false,
        }),
        // What was over before is no business of this replay.
        (Kind::Resolved, Some(index)) if transition.at_ms < range.from_ms => _ = history.firings.remove(index),
        (Kind::Resolved, Some(index)) => history.firings[index].resolved_ms = Some(transition.at_ms),
        _ => {}
    }
}

/// When conditions held, as far as alerts say it: from `for` before they fired.
fn find_spans(history: &mut RuleHistory, range: TimeRange) {
    let mut spans: std::collections::BTreeMap<Arc<Labels>, Vec<Span>> = std::collections::BTreeMap::new();
    for firing in &history.firings {
        let (from_ms, end_ms) = (firing.fired_ms - history.for_ms, firing.resolved_ms.unwrap_or(range.to_ms));
        let to_ms = (end_ms - history.keep_firing_for_ms).max(firing.fired_ms);
        spans.entry(firing.labels.clone()).or_default().push(Span { from_ms, to_ms });
    }
    history.spans = spans.into_iter().collect();
}
