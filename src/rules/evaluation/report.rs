//! What is told of rules to those who ask: a copy, so that nobody waits for an evaluation.

use std::sync::Arc;

use super::super::RuleSet;
use super::super::group::RuleGroup;
use super::{ActiveAlert, AlertState, Evaluation, GroupState, Health};

/// All rules, as of now.
#[derive(Clone, Debug, Default)]
pub struct RulesReport {
    /// The rules in force.
    pub set: Arc<RuleSet>,
    /// Each group of [`RuleSet::groups`], sorted by file and name.
    pub groups: Vec<Arc<GroupReport>>,
}

/// A group, as of its last evaluation.
#[derive(Clone, Debug)]
pub struct GroupReport {
    /// The group.
    pub group: Arc<RuleGroup>,
    /// How often it is evaluated, in ms.
    pub interval_ms: i64,
    /// When it was evaluated last.
    pub last: Option<Evaluation>,
    /// In the order of [`RuleGroup::rules`].
    pub rules: Vec<RuleReport>,
}

/// A rule, as of its last evaluation.
#[derive(Clone, Debug, Default)]
pub struct RuleReport {
    /// How its last evaluation went.
    pub health: Health,
    /// When that was.
    pub last: Option<Evaluation>,
    /// Its alerts that are pending or fire, in the order of their labels.
    pub alerts: Vec<ActiveAlert>,
}

impl GroupState {
    /// What is told of the group, which is evaluated every `interval_ms`.
    pub fn report(&self, interval_ms: i64) -> GroupReport {
        let is_active = |alert: &&ActiveAlert| alert.state != AlertState::Inactive;
        let rules = self.rules.iter().map(|rule| RuleReport {
            health: rule.health.clone(),
            last: rule.last,
            alerts: rule.alerts().filter(is_active).cloned().collect(),
        });
        GroupReport { group: self.group.clone(), interval_ms, last: self.last, rules: rules.collect() }
    }
}

impl RuleReport {
    /// The highest state among its alerts.
    pub fn state(&self) -> AlertState {
        self.alerts.iter().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive)
    }
}

/// What a reload put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Groups of rules.
    pub groups: usize,
    /// Rules, those with an `anomaly` block among them.
    pub rules: usize,
}
