//! Groups of rules go through the past, each at the very instants at which a server would have evaluated it.
//!
//! ```text
//! checkout every 15 s   :07  :22  :37  :52  :07        an evaluation is the server's own: rules, alerts, what is
//! payment every 60 s      :11                 :11      recorded is seen by whoever asks later
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use super::history::{Firing, RuleHistory, Span};
use super::host::{Host, Past};
use crate::model::{Labels, TimeRange};
use crate::rules::{ActiveAlert, AlertState, GroupState, Health, Rule, RuleGroup, RuleSet, RuleState, Surroundings};

/// Most spans in which conditions held, of all rules: what is told of them must fit into memory.
const SPANS_COUNT_MAX: usize = 2_000_000;

/// What is replayed.
pub(super) struct Order<'a> {
    pub rules: &'a RuleSet,
    /// From the first to the last moment at which a group may be evaluated.
    pub range: TimeRange,
    /// Interval of groups that give none.
    pub interval_ms: i64,
    pub surroundings: Surroundings,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    /// Of alerting rules that are evaluated, in the order of files, groups and rules.
    pub rules: Vec<RuleHistory>,
    pub evaluations_count: u64,
}

/// A rule as it is watched during a replay.
struct Watched {
    history: RuleHistory,
    alerts: HashMap<Arc<Labels>, Alert>,
    spans: BTreeMap<Arc<Labels>, Vec<Span>>,
}

#[derive(Default)]
struct Alert {
    /// When its condition held last in a row.
    span: Option<Span>,
    /// Its place among the rule's firings, while it fires.
    firing: Option<usize>,
    /// The evaluation that knew it last.
    seen_ms: i64,
}

/// Replays; `progress` is told the moment that was reached.
pub(super) fn evaluate<P: Past>(
    order: &Order<'_>,
    host: &mut Host<P>,
    progress: &mut dyn FnMut(i64),
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let groups: Vec<&Arc<RuleGroup>> = order.rules.groups.iter().filter(|group| group.is_evaluated()).collect();
    let (mut states, mut watched, mut due) = (Vec::new(), Vec::new(), BinaryHeap::new());
    for (index, group) in groups.iter().enumerate() {
        let interval_ms = group.interval_ms.unwrap_or(order.interval_ms);
        let state = GroupState::new(Arc::clone(group));
        let end_ms = order.range.to_ms - state.query_offset_ms(&order.surroundings);
        host.expect(index, interval_ms, end_ms, group.rules.iter().filter_map(expression));
        due.push(Reverse((group.slot_ms(interval_ms, order.range.from_ms - 1) + interval_ms, index, interval_ms)));
        watched.push(group.rules.iter().map(|rule| Watched::of(group, rule, interval_ms)).collect::<Vec<_>>());
        states.push(state);
    }
    let (mut spans_count, mut firsts_ms) = (0, vec![None; groups.len()]);
    while let Some(Reverse((at_ms, index, interval_ms))) = due.pop() {
        if at_ms > order.range.to_ms || host.past.is_broken() {
            break;
        }
        host.enter(index);
        let first_ms = *firsts_ms[index].get_or_insert(at_ms);
        states[index].evaluate(at_ms, &order.surroundings, host);
        for (rule, watched) in states[index].rules().iter().zip(&mut watched[index]) {
            let Some(watched) = watched else { continue };
            spans_count += watched.look(rule, at_ms, first_ms);
        }
        if spans_count > SPANS_COUNT_MAX {
            anyhow::bail!(
                "conditions began to hold more than {SPANS_COUNT_MAX} times: ask for a shorter time or for fewer rules"
            );
        }
        outcome.evaluations_count += 1;
        progress(at_ms);
        due.push(Reverse((at_ms + interval_ms, index, interval_ms)));
    }
    outcome.rules = watched.into_iter().flatten().flatten().map(Watched::history).collect();
    Ok(outcome)
}

/// The query of a rule that is evaluated.
fn expression(rule: &Rule) -> Option<&str> {
    match rule {
        Rule::Recording(rule) => Some(&rule.expr),
        Rule::Alerting(rule) => Some(&rule.expr),
        Rule::Anomaly(_) => None,
    }
}

impl Watched {
    fn of(group: &RuleGroup, rule: &Rule, interval_ms: i64) -> Option<Watched> {
        let Rule::Alerting(rule) = rule else { return None };
        let history = RuleHistory {
            file: group.file.clone(),
            group: group.name.clone(),
            alert: rule.alert.clone(),
            expr: rule.expr.clone(),
            interval_ms,
            for_ms: rule.for_ms,
            keep_firing_for_ms: rule.keep_firing_for_ms,
            ..RuleHistory::default()
        };
        Some(Watched { history, alerts: HashMap::new(), spans: BTreeMap::new() })
    }

    /// Notes what an evaluation changed, the first of all being that of `first_ms`; returns how many spans began.
    fn look(&mut self, rule: &RuleState, at_ms: i64, first_ms: i64) -> usize {
        let mut begun = 0;
        if let Health::Bad(why) = rule.health() {
            self.history.failed_count += 1;
            self.history.failure = Some(why.clone());
            // What was there stays as it was, unless it was thrown away as too much.
            if rule.alerts().next().is_some() {
                return 0;
            }
        }
        for alert in rule.alerts() {
            begun += usize::from(self.note(alert, at_ms, first_ms));
        }
        let gone = self.alerts.extract_if(|_, alert| alert.seen_ms != at_ms).collect::<Vec<_>>();
        for (labels, alert) in gone {
            self.end_span(&labels, alert.span);
            if let Some(index) = alert.firing {
                self.history.firings[index].resolved_ms = Some(at_ms);
            }
        }
        begun
    }

    /// Notes one alert; says whether a span began.
    fn note(&mut self, alert: &ActiveAlert, at_ms: i64, first_ms: i64) -> bool {
        let known = self.alerts.entry(alert.labels.clone()).or_default();
        known.seen_ms = at_ms;
        let holds = alert.state != AlertState::Inactive && alert.keep_firing_since_ms.is_none();
        let begins = holds && known.span.is_none();
        let ended = match (&mut known.span, holds) {
            (Some(span), true) => {
                span.to_ms = at_ms;
                None
            }
            (span @ None, true) => {
                *span = Some(Span { from_ms: at_ms, to_ms: at_ms });
                None
            }
            (span, false) => span.take(),
        };
        match (alert.state, known.firing) {
            (AlertState::Firing, None) => {
                known.firing = Some(self.history.firings.len());
                self.history.firings.push(Firing {
                    labels: alert.labels.clone(),
                    pending_ms: alert.active_at_ms,
                    fired_ms: alert.fired_at_ms.unwrap_or(at_ms),
                    resolved_ms: None,
                    value: alert.value,
                    is_cut: alert.active_at_ms == first_ms,
                });
            }
            (AlertState::Inactive, Some(index)) => {
                self.history.firings[index].resolved_ms = Some(alert.resolved_at_ms.unwrap_or(at_ms));
                known.firing = None;
            }
            _ => {}
        }
        self.end_span(&alert.labels, ended);
        begins
    }

    fn end_span(&mut self, labels: &Arc<Labels>, span: Option<Span>) {
        if let Some(span) = span {
            self.spans.entry(labels.clone()).or_default().push(span);
        }
    }

    fn history(mut self) -> RuleHistory {
        for (labels, alert) in std::mem::take(&mut self.alerts) {
            self.end_span(&labels, alert.span);
        }
        self.history.spans = self.spans.into_iter().collect();
        self.history
    }
}
