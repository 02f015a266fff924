//! Alerts after a restart.
//!
//! What fires goes on firing if receivers were told so, however long nobody looked: only an evaluation can say that it
//! is over. What was pending has what it had spent of `for`, without the time in which nobody looked:
//!
//! ```text
//! for: 30m   12:00 pending    12:10 down    12:20 up: pending as if since 12:10, fires at 12:40
//! for: 30m   12:00 pending    12:25 down    12:30 up: 5 minutes are less than the grace period of 10, fires at 12:40
//! any        12:00 pending    12:10 down    13:20 up: longer than the outage tolerance of an hour, pending from now on
//! ```
//!
//! So does Prometheus, but for rules whose `for` is shorter than the grace period: those it begins anew.
//!
//! The first evaluation behind a restart ends nothing: senders may have yet to send what they kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::group::{AlertingRule, Rule};
use super::alerting::{ActiveAlert, ActiveAlerts, AlertState};
use super::saved::{SavedGroup, SavedRule};
use super::{Evaluation, GroupState};
use crate::model::Labels;

/// By what alerts are taken over from before a restart.
pub struct RestoreRules<'a> {
    /// Now, in ms since 1970 UTC.
    pub now_ms: i64,
    /// Longest time without evaluation after which pending alerts go on, in ms.
    pub outage_tolerance_ms: i64,
    /// Least time that a pending alert has still to wait, in ms; of rules whose `for` is shorter, none.
    pub grace_period_ms: i64,
    /// Since when receivers know this alert as firing, in ms since 1970 UTC.
    pub told: &'a dyn Fn(&Labels) -> Option<i64>,
}

impl GroupState {
    /// Takes over from what was saved of this group, before the first evaluation. Alerts of rules that are no more are
    /// left out: who told receivers of them has to tell that they are over.
    pub fn restore(&mut self, saved: &SavedGroup, rules: &RestoreRules<'_>) {
        let mut left: Vec<&SavedRule> = saved.rules.iter().collect();
        for (rule, state) in self.group.rules.iter().zip(&mut self.rules) {
            let (Rule::Alerting(alerting), Some(identity)) = (rule, rule.identity()) else { continue };
            let Some(index) = left.iter().position(|one| one.identity == identity) else { continue };
            let alerts = left.remove(index).alerts.iter();
            let kept = alerts.filter_map(|alert| rules.restored(alert.clone(), alerting, saved.at_ms));
            state.alerts = ActiveAlerts(kept.map(|alert| (alert.labels.clone(), alert)).collect());
            state.series = series_of(&state.alerts, alerting);
        }
        self.last = Some(Evaluation { at_ms: saved.at_ms, took: Duration::ZERO });
        self.is_settling = true;
    }
}

impl RestoreRules<'_> {
    /// The alert as it goes on, or none: then it begins anew when its series is still there.
    fn restored(&self, alert: ActiveAlert, rule: &AlertingRule, down_at_ms: i64) -> Option<ActiveAlert> {
        if let Some(fired_at_ms) = (self.told)(&alert.labels) {
            // The process may have died between telling and noting, or before it had noted an incident or two: what was
            // told counts, and is told to be over under its own start.
            let (state, fired_at_ms) = (AlertState::Firing, Some(fired_at_ms));
            return Some(ActiveAlert { state, fired_at_ms, resolved_at_ms: None, ..alert });
        }
        match alert.state {
            AlertState::Inactive => Some(alert),
            AlertState::Firing => None,
            AlertState::Pending => self.still_pending(alert, rule, down_at_ms),
        }
    }

    fn still_pending(&self, alert: ActiveAlert, rule: &AlertingRule, down_at_ms: i64) -> Option<ActiveAlert> {
        let down_ms = (self.now_ms - down_at_ms).max(0);
        if down_ms > self.outage_tolerance_ms {
            return None;
        }
        let remaining_ms = rule.for_ms - (down_at_ms - alert.active_at_ms);
        let has_grace = rule.for_ms >= self.grace_period_ms;
        let active_at_ms = match remaining_ms {
            // It fires at the next evaluation that still has its series.
            ..=0 => alert.active_at_ms,
            remaining_ms if has_grace && remaining_ms < self.grace_period_ms => {
                self.now_ms + self.grace_period_ms - rule.for_ms
            }
            _ => alert.active_at_ms + down_ms,
        };
        Some(ActiveAlert { active_at_ms, ..alert })
    }
}

/// The series that tell of these alerts, so that they end with them.
fn series_of(alerts: &ActiveAlerts, rule: &AlertingRule) -> BTreeSet<Arc<Labels>> {
    let active = alerts.iter().filter(|alert| alert.state != AlertState::Inactive);
    active.flat_map(|alert| alert.samples(rule)).filter_map(|sample| Some(sample.ok()?.labels)).collect()
}
