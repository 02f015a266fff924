//! What was seen of a signal, looked up: for people who read of an incident later.
//!
//! An alert of the stream has its explanation, which is known a moment after the alert. One of an evaluated rule has its last
//! value, and its expression without the limit, evaluated over the hour before.
//!
//! Always true: nothing waits for it; what cannot be had is left out; at most [`WANTED_MAX`] are looked up in turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::http::Services;
use crate::incident::{ChartPoint, Figures, Incidents};
use crate::model::Labels;
use crate::notify::Alert;
use crate::query::{Cancelled, Engine, Options, Value, measured};
use crate::rules::{AnomalyReport, Rule, RulesReport};
use crate::storage::view::ReadView;

/// Signals whose figures are wanted and not there yet; past it the oldest are given up.
const WANTED_MAX: usize = 1_000;
/// How many are looked up in one look.
const AT_ONCE_MAX: usize = 5;
/// How often the figures of one are looked for.
const TRIES_MAX: u32 = 5;
/// Points of a chart.
const POINTS_COUNT: i64 = 60;
/// How far a chart reaches back, in ms.
const CHART_MS: i64 = 3_600_000;
/// Longest query for a chart.
const QUERY_TIMEOUT: Duration = Duration::from_millis(500);

/// Where figures come from.
pub(super) struct Figuring {
    wanted: VecDeque<Wanted>,
    anomalies: Arc<dyn Fn() -> Vec<AnomalyReport> + Send + Sync>,
    rules: Arc<dyn Fn() -> RulesReport + Send + Sync>,
    view: Arc<dyn Fn() -> ReadView + Send + Sync>,
    engine: Arc<Engine>,
}

struct Wanted {
    incident: String,
    alert: Alert,
    tries: u32,
}

impl Figuring {
    /// From where http has them too.
    pub(super) fn of(services: &Services) -> Figuring {
        Figuring {
            wanted: VecDeque::new(),
            anomalies: services.anomalies.clone(),
            rules: services.rules.clone(),
            view: services.view.clone(),
            engine: services.engine.clone(),
        }
    }

    /// The figures of this alert are to be looked up: when it begins, and, to show how it went, when it ends.
    pub(super) fn want(&mut self, incident: &str, alert: &Alert) {
        if self.wanted.len() >= WANTED_MAX {
            self.wanted.pop_front();
        }
        self.wanted.push_back(Wanted { incident: incident.to_owned(), alert: alert.clone(), tries: 0 });
    }

    /// Looks some of them up.
    pub(super) fn look_up(&mut self, incidents: &Incidents) {
        if self.wanted.is_empty() {
            return;
        }
        let anomalies = (self.anomalies)();
        let now: Vec<Wanted> = self.wanted.drain(..self.wanted.len().min(AT_ONCE_MAX)).collect();
        for mut wanted in now {
            let found = explained(&wanted.alert, &anomalies).or_else(|| self.evaluated(&wanted.alert));
            wanted.tries += 1;
            match found {
                Some(figures) => note(incidents, &wanted, figures),
                None if wanted.tries < TRIES_MAX => self.wanted.push_back(wanted),
                None => {}
            }
        }
    }

    /// Of an evaluated rule.
    fn evaluated(&self, alert: &Alert) -> Option<Figures> {
        let report = (self.rules)();
        let name = alert.labels.get("alertname")?;
        let rules = report.groups.iter().flat_map(|group| group.group.rules.iter().zip(&group.rules));
        let mut named = rules.filter_map(|(rule, told)| match rule {
            Rule::Alerting(rule) if rule.alert == name => Some((rule, told)),
            _ => None,
        });
        named.find_map(|(rule, told)| {
            let active = told.alerts.iter().find(|active| *active.labels == alert.labels);
            let chart = self.chart(&rule.expr, alert);
            let value = active.map(|active| active.value).or_else(|| chart.last().and_then(|point| point.1));
            (value.is_some() || !chart.is_empty()).then_some(Figures { value, expected: None, chart })
        })
    }

    /// The expression over the hour before the alert, or up to its end.
    fn chart(&self, expr: &str, alert: &Alert) -> Vec<ChartPoint> {
        let query = measured(expr).unwrap_or_else(|| expr.to_owned());
        let end_ms = alert.ends_at_ms.unwrap_or(alert.starts_at_ms);
        let start_ms = end_ms.saturating_sub(CHART_MS.max(end_ms.saturating_sub(alert.began_ms()).min(8 * CHART_MS)));
        let step_ms = (end_ms.saturating_sub(start_ms) / (POINTS_COUNT - 1)).max(1_000);
        let options = Options { timeout: Some(QUERY_TIMEOUT), cancelled: Cancelled::default(), ..Options::default() };
        let answer = self.engine.range(&(self.view)(), &query, start_ms, end_ms, step_ms, &options);
        let Ok(Value::Matrix(series)) = answer.map(|answer| answer.value) else { return Vec::new() };
        let alike = series.iter().filter(|series| is_part_of(&series.labels, &alert.labels));
        let Some(series) = alike.max_by_key(|series| series.labels.len()) else { return Vec::new() };
        let points = series.points.timestamps_ms.iter().zip(&series.points.values);
        points.map(|(at_ms, value)| (*at_ms, finite(*value), None)).collect()
    }
}

/// Notes figures. Those of the end take the place of those of the beginning only if they show it too.
fn note(incidents: &Incidents, wanted: &Wanted, mut figures: Figures) {
    let Wanted { incident, alert, .. } = wanted;
    if alert.ends_at_ms.is_some() {
        let known = incidents.get(incident);
        let is_it =
            |fingerprint, starts_at_ms| (fingerprint, starts_at_ms) == (alert.fingerprint(), alert.starts_at_ms);
        let earlier = known.iter().flat_map(|known| &known.signals);
        let earlier = earlier.filter(|signal| is_it(signal.fingerprint, signal.alert.starts_at_ms));
        let mut earlier = earlier.filter_map(|signal| Some((signal.alert.began_ms(), signal.figures.as_ref()?)));
        if let Some((began_ms, earlier)) = earlier.next_back() {
            if figures.chart.first().is_none_or(|first| first.0 > began_ms) {
                return;
            }
            (figures.value, figures.expected) = (earlier.value, earlier.expected);
        }
    }
    incidents.note_figures(incident, alert, figures);
}

/// Of an alert of the stream.
fn explained(alert: &Alert, anomalies: &[AnomalyReport]) -> Option<Figures> {
    let report = anomalies.iter().find(|report| {
        report.alert.labels == alert.labels && report.alert.ends_at_ms.is_some() == alert.ends_at_ms.is_some()
    })?;
    let explanation = &report.explanation;
    let point = |point: &crate::detect::Point| {
        let value = |value: f32| finite(f64::from(value));
        (i64::from(point.at_s) * 1000, value(point.value), value(point.expected))
    };
    Some(Figures {
        value: finite(explanation.value),
        expected: explanation.expected.and_then(finite),
        chart: explanation.line.iter().map(point).collect(),
    })
}

fn is_part_of(labels: &Labels, whole: &Labels) -> bool {
    labels.iter().filter(|(name, _)| *name != "__name__").all(|(name, value)| whole.get(name) == Some(value))
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}
