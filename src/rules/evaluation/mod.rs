//! Rules at work: what a group asks, records and alerts on at one moment. No thread and no clock.
//!
//! ```text
//! rule 1  ask at t ─► labels of the rule over the sample's ─► store ─┐
//! rule 2  ask at t (sees what rule 1 stored) ◄───────────────────────┘
//!         ─► alerts: inactive ─► pending ─ for ─► firing ─ keep_firing_for ─► resolved
//!         ─► store ALERTS{alertstate="…"} and ALERTS_FOR_STATE; what was there at t−1 and is not now: stale
//! ```
//!
//! `up == 0` with `for: 1m`, evaluated every 15 s, has `{job="shop"}` from 12:00:07 on. The alert is pending at
//! 12:00:07, :22, :37, :52 and fires at 12:01:07, which [`GroupState::evaluate`] returns as a [`Alert`]. At 12:01:22 the
//! series is gone: the alert is resolved, which is returned too, and its series end with a staleness marker.
//!
//! Always true:
//! 1. What a rule stores is stored before the next one asks.
//! 2. A rule that fails leaves its alerts and series as they are; but one that makes more alerts than `limit` has none
//!    afterwards.
//! 3. What is returned as firing is returned as resolved later: by an evaluation, by [`GroupState::succeed`], or by
//!    [`GroupState::dissolve`].
//! 4. Equal answers at equal moments give equal alerts, in equal order.

mod alerting;
mod recording;
mod report;
mod restore;
mod saved;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::group::{Rule, RuleGroup, RuleIdentity};
use crate::model::{Labels, LabelsError, METRIC_NAME, stale_nan};
use crate::notify::Alert;
use crate::query::{QueryError, Sampled};

pub use alerting::{ALERTS_PER_RULE_MAX, ActiveAlert, AlertState, RESOLVED_RETENTION_MS};
pub use report::{GroupReport, Reloaded, RuleReport, RulesReport};
pub use restore::RestoreRules;
pub use saved::{RulesStateError, SavedGroup, decode_saved, encode_saved};

/// One series of an answer.
#[derive(Clone, Debug)]
pub struct RuleSample {
    /// What names it.
    pub labels: Arc<Labels>,
    /// What it is at the moment that was asked about.
    pub value: Sampled,
}

/// What evaluation needs of its surroundings.
pub trait RuleHost {
    /// Evaluates a query at a moment, in ms since 1970 UTC. A scalar is one sample without labels.
    fn ask(&self, query: &str, time_ms: i64) -> Result<Vec<RuleSample>, QueryError>;

    /// Stores samples, all at the moment `time_ms`, so that the next [`RuleHost::ask`] sees them. Staleness markers are
    /// among them. Fails with the reason when some or all are not stored.
    fn store(&mut self, time_ms: i64, samples: &[RuleSample]) -> Result<(), String>;

    /// A time that only goes forward, to say how long something took.
    fn monotonic(&self) -> Duration;

    /// Whether the rules that are left of a group shall not be evaluated any more.
    fn is_stopping(&self) -> bool {
        false
    }
}

/// What the templates of alerts may name, the same for all rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// How people reach this server, without a slash at its end.
    pub external_url: String,
    /// Labels of this server, which templates may name.
    pub external_labels: Labels,
    /// Offset of queries in groups that give none, in ms.
    pub query_offset_ms: i64,
}

/// How a rule's last evaluation went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There was none.
    #[default]
    Unknown,
    /// Well.
    Good,
    /// It failed, and why.
    Bad(String),
}

/// When something was evaluated, and how long that took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The moment that it was for, in ms since 1970 UTC.
    pub at_ms: i64,
    /// How long it took.
    pub took: Duration,
}

/// What an evaluation of a group came to.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// Alerts that began to fire or were resolved, in the order of the rules.
    pub alerts: Vec<Alert>,
    /// Rules that were evaluated.
    pub rules_count: usize,
    /// Rules that failed.
    pub failed_count: usize,
    /// Samples that rules returned.
    pub samples_count: usize,
}

/// A group and what it remembers from one evaluation to the next.
#[derive(Clone, Debug)]
pub struct GroupState {
    group: Arc<RuleGroup>,
    rules: Vec<RuleState>,
    /// Series of rules that are no more, to be ended by the next evaluation.
    stale: BTreeSet<Arc<Labels>>,
    last: Option<Evaluation>,
    /// Whether alerts that were restored may be missing from answers without being over: at the first evaluation.
    is_settling: bool,
}

/// What a rule remembers.
#[derive(Clone, Debug, Default)]
pub struct RuleState {
    health: Health,
    last: Option<Evaluation>,
    /// What it stored last.
    series: BTreeSet<Arc<Labels>>,
    alerts: alerting::ActiveAlerts,
}

impl RuleState {
    /// How its last evaluation went.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// When it was evaluated last.
    pub fn last(&self) -> Option<Evaluation> {
        self.last
    }

    /// Its alerts, in the order of their labels: those that are pending or fire, and those that were resolved in the
    /// last [`RESOLVED_RETENTION_MS`].
    pub fn alerts(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.alerts.iter()
    }
}

impl GroupState {
    /// A group that was never evaluated.
    pub fn new(group: Arc<RuleGroup>) -> GroupState {
        let rules = vec![RuleState::default(); group.rules.len()];
        GroupState { group, rules, stale: BTreeSet::new(), last: None, is_settling: false }
    }

    /// The group.
    pub fn group(&self) -> &Arc<RuleGroup> {
        &self.group
    }

    /// State of the rules, in the order of [`RuleGroup::rules`].
    pub fn rules(&self) -> &[RuleState] {
        &self.rules
    }

    /// When it was evaluated last.
    pub fn last(&self) -> Option<Evaluation> {
        self.last
    }

    /// Whether one of its rules stored this series last.
    pub fn has_series(&self, labels: &Labels) -> bool {
        self.rules.iter().any(|rule| rule.series.contains(labels))
    }

    /// Evaluates all rules at a moment, in ms since 1970 UTC, later than that of the evaluation before.
    pub fn evaluate(&mut self, at_ms: i64, surroundings: &Surroundings, host: &mut dyn RuleHost) -> Evaluated {
        let began = host.monotonic();
        let sample_ms = at_ms - self.query_offset_ms(surroundings);
        let mut evaluated = Evaluated::default();
        let mut stored = BTreeSet::new();
        let group = self.group.clone();
        for (rule, state) in group.rules.iter().zip(&mut self.rules) {
            if host.is_stopping() {
                break;
            }
            let rule_began = host.monotonic();
            let samples = match rule {
                Rule::Anomaly(_) => continue,
                Rule::Recording(rule) => recording::samples(rule, group.limit, sample_ms, host),
                Rule::Alerting(rule) => {
                    let moment = alerting::Moment { at_ms, sample_ms, is_settling: self.is_settling };
                    let outcome = state.alerts.evaluate(rule, group.limit, moment, surroundings, host);
                    evaluated.alerts.extend(outcome.alerts);
                    outcome.samples
                }
            };
            evaluated.rules_count += 1;
            let outcome = samples.and_then(|samples| {
                evaluated.samples_count += samples.len();
                state.store(sample_ms, samples, &mut stored, host)
            });
            state.last = Some(Evaluation { at_ms, took: host.monotonic().saturating_sub(rule_began) });
            evaluated.failed_count += usize::from(outcome.is_err());
            state.health = outcome.map_or_else(Health::Bad, |()| Health::Good);
        }
        self.is_settling = false;
        self.end_stale(sample_ms, host);
        self.last = Some(Evaluation { at_ms, took: host.monotonic().saturating_sub(began) });
        evaluated
    }

    /// How far before the moment of an evaluation it asks, in ms.
    pub fn query_offset_ms(&self, surroundings: &Surroundings) -> i64 {
        self.group.query_offset_ms.unwrap_or(surroundings.query_offset_ms)
    }

    /// Ends the series of rules that are no more.
    fn end_stale(&mut self, sample_ms: i64, host: &mut dyn RuleHost) {
        if !self.stale.is_empty() && host.store(sample_ms, &markers(&self.stale)).is_ok() {
            self.stale.clear();
        }
    }

    /// Takes over from the state of the group that this one takes the place of: alerts and series of rules with the
    /// same kind, name and labels, the first from the first where there are several. Returns the alerts that fired and
    /// have no rule any more, resolved as of `at_ms`.
    pub fn succeed(&mut self, before: GroupState, at_ms: i64, surroundings: &Surroundings) -> Vec<Alert> {
        let mut earlier: Vec<Option<(RuleIdentity, RuleState)>> = before
            .group
            .rules
            .iter()
            .map(Rule::identity)
            .zip(before.rules)
            .map(|(id, state)| Some((id?, state)))
            .collect();
        for (rule, state) in self.group.rules.iter().zip(&mut self.rules) {
            let Some(identity) = rule.identity() else { continue };
            let same = earlier.iter_mut().find(|one| one.as_ref().is_some_and(|(other, _)| *other == identity));
            if let Some((_, before)) = same.and_then(Option::take) {
                *state = RuleState { health: Health::Unknown, ..before };
            }
        }
        self.last = before.last;
        self.is_settling |= before.is_settling;
        self.stale.extend(before.stale);
        let mut resolved = Vec::new();
        for (rule, left) in before.group.rules.iter().zip(earlier) {
            let Some((_, left)) = left else { continue };
            self.stale.extend(left.series);
            if let Rule::Alerting(rule) = rule {
                resolved.extend(left.alerts.resolved(rule, at_ms, surroundings));
            }
        }
        resolved
    }

    /// Ends a group that is no more: its alerts that fire, resolved as of `at_ms`; and the series that it stored last, to
    /// be given to [`GroupState::end_series`] when rules that took its place had the time to go on with them.
    pub fn dissolve(self, at_ms: i64, surroundings: &Surroundings) -> (Vec<Alert>, BTreeSet<Arc<Labels>>) {
        let (mut resolved, mut series) = (Vec::new(), self.stale);
        for (rule, state) in self.group.rules.iter().zip(self.rules) {
            series.extend(state.series);
            if let Rule::Alerting(rule) = rule {
                resolved.extend(state.alerts.resolved(rule, at_ms, surroundings));
            }
        }
        (resolved, series)
    }

    /// Stores staleness markers at `sample_ms` for series of a group that is no more.
    pub fn end_series(series: &BTreeSet<Arc<Labels>>, sample_ms: i64, host: &mut dyn RuleHost) -> Result<(), String> {
        if series.is_empty() { Ok(()) } else { host.store(sample_ms, &markers(series)) }
    }
}

impl RuleState {
    /// Stores what the rule returned, and the end of what it returned before and does not now. `stored` is what rules of
    /// this group have stored at this moment, which is not ended.
    fn store(
        &mut self,
        sample_ms: i64,
        mut samples: Vec<RuleSample>,
        stored: &mut BTreeSet<Arc<Labels>>,
        host: &mut dyn RuleHost,
    ) -> Result<(), String> {
        let series: BTreeSet<Arc<Labels>> = samples.iter().map(|sample| sample.labels.clone()).collect();
        stored.extend(series.iter().cloned());
        let ended = self.series.iter().filter(|labels| !stored.contains(*labels)).cloned().collect();
        samples.extend(markers(&ended));
        if samples.is_empty() {
            return Ok(());
        }
        let outcome = host.store(sample_ms, &samples);
        // Also when some were refused: a series that was never there can be ended, one that was must be.
        self.series = series;
        outcome
    }
}

fn markers(series: &BTreeSet<Arc<Labels>>) -> Vec<RuleSample> {
    let marker = |labels: &Arc<Labels>| RuleSample { labels: labels.clone(), value: Sampled::Number(stale_nan()) };
    series.iter().map(marker).collect()
}

/// Labels with others set over them, in place of the metric's name; an empty value removes one.
fn overlaid<'a, 'o: 'a>(
    base: &'a Labels,
    over: impl Iterator<Item = (&'o str, &'o str)> + Clone,
) -> Result<Labels, LabelsError> {
    let is_over = |name: &str| name == METRIC_NAME || over.clone().any(|(other, _)| other == name);
    let inherited = base.iter().filter(|(name, _)| !is_over(name));
    let over: Vec<(&'a str, &'a str)> = over.clone().collect();
    Labels::from_pairs(inherited.chain(over))
}

/// What a rule says when two of its series have the same labels in the end.
const SAME_LABELS: &str = "vector contains metrics with the same labelset after applying";

#[cfg(test)]
mod tests;
