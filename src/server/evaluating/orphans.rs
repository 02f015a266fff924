//! Alerts that receivers take for firing and no rule does.
//!
//! After a restart the outbox may have alerts that fire and that no rule knows of: their rule was changed or removed
//! while the server was down, or the process died between telling them and noting them. Nobody else would end them.
//!
//! Those whose rule says that they are over while nothing is known of what they speak of wait here too.
//!
//! Always true: an alert is ended here only when every group that might have it was evaluated well since the start and
//! does not have it; those of a group that is broken stay.

use std::sync::Arc;
use std::time::Duration;

use super::run::Run;
use crate::notify::Alert;
use crate::rules::{AlertState, GroupState, Health, Rule};

/// Those that were firing at the start and have not been found in any group.
pub(super) struct Orphans {
    alerts: Vec<Alert>,
    /// Until when nobody looks at them, by the clock that only goes forward.
    pub(super) rests_until: Duration,
}

impl Orphans {
    pub(super) fn new(firing: Vec<Alert>) -> Orphans {
        Orphans { alerts: firing, rests_until: Duration::ZERO }
    }

    /// One more: its rule has ended it, and that is not to be told yet.
    pub(super) fn add(&mut self, alert: Alert) {
        self.alerts.retain(|other| other.labels != alert.labels);
        self.alerts.push(alert);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Hands those to `end` that nobody has, each while no group that might have it is being evaluated, and with the
    /// moment for which the first of these was evaluated last. What it does not end stays.
    pub(super) fn settle(&mut self, runs: &[Arc<Run>], mut end: impl FnMut(&Alert, Option<i64>) -> bool) {
        self.alerts.retain(|alert| {
            let name = alert.labels.get("alertname").unwrap_or("");
            // In the order of the groups; whoever evaluates holds one of them and waits for none.
            let states: Vec<_> = runs.iter().filter(|run| has_alert_named(run, name)).map(|run| run.state()).collect();
            let verdicts = states.iter().filter_map(|state| state.as_ref()).map(|state| verdict(state, name, alert));
            match verdicts.fold(Verdict::Gone, Verdict::or) {
                Verdict::Unknown => true,
                Verdict::Known => false,
                Verdict::Gone => {
                    let evaluated = states.iter().filter_map(|state| state.as_ref()?.last());
                    !end(alert, evaluated.map(|last| last.at_ms).min())
                }
            }
        });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Known,
    Unknown,
    Gone,
}

impl Verdict {
    fn or(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Known, _) | (_, Verdict::Known) => Verdict::Known,
            (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
            (Verdict::Gone, Verdict::Gone) => Verdict::Gone,
        }
    }
}

fn has_alert_named(run: &Run, name: &str) -> bool {
    run.group.rules.iter().any(|rule| matches!(rule, Rule::Alerting(rule) if rule.alert == name))
}

/// What a group says of an alert that might be of one of its rules.
fn verdict(state: &GroupState, name: &str, alert: &Alert) -> Verdict {
    let rules = state.group().rules.iter().zip(state.rules());
    let of_name = rules.filter(|(rule, _)| matches!(rule, Rule::Alerting(rule) if rule.alert == name));
    let verdict = of_name.map(|(_, state)| {
        let found = state.alerts().find(|one| *one.labels == alert.labels).map(|one| one.state);
        match (found, state.health()) {
            (Some(AlertState::Firing), _) => Verdict::Known,
            (Some(AlertState::Pending), _) | (_, Health::Unknown | Health::Bad(_)) => Verdict::Unknown,
            (Some(AlertState::Inactive) | None, Health::Good) => Verdict::Gone,
        }
    });
    verdict.fold(Verdict::Gone, Verdict::or)
}
