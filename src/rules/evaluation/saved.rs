//! What rules know, as bytes, so that a restart goes on where it stopped.
//!
//! The bytes are a whole file of records (`storage-format`, chapter rules): first how many groups follow, then each
//! group with alerts, all JSON texts. It is replaced as a whole, and holds no samples: those are in the log.
//!
//! Always true: what is read is all of it or an error.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use storage_format::frame::FileKind;
use storage_format::rules::KIND_TEXT;

use super::super::group::RuleIdentity;
use super::alerting::{ActiveAlert, AlertState};
use super::{GroupState, Labels, RuleState};
use crate::journal::Texts;

/// Why the file of alerts cannot be read. The operator may remove it: pending alerts then begin anew.
#[derive(Debug, thiserror::Error)]
#[error("the file of alerts cannot be read: {what}; without it, pending alerts begin anew")]
pub struct RulesStateError {
    /// What is wrong with it.
    what: String,
}

/// What one group knows.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedGroup {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Its name.
    pub group: String,
    /// The moment of its last evaluation, in ms since 1970 UTC.
    pub at_ms: i64,
    pub(super) rules: Vec<SavedRule>,
}

/// The alerts of one rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SavedRule {
    pub identity: RuleIdentity,
    pub alerts: Vec<ActiveAlert>,
}

const FILE: Texts = Texts { file_kind: FileKind::Rules, record_kind: KIND_TEXT, entries: "groups" };

#[derive(Serialize, Deserialize)]
struct GroupText {
    file: String,
    group: String,
    at_ms: i64,
    rules: Vec<RuleText>,
}

#[derive(Serialize, Deserialize)]
struct RuleText {
    rule: RuleIdentity,
    alerts: Vec<AlertText>,
}

#[derive(Serialize, Deserialize)]
struct AlertText {
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    state: AlertState,
    /// As bits, for JSON has neither infinity nor NaN.
    value_bits: u64,
    active_at_ms: i64,
    fired_at_ms: Option<i64>,
    keep_firing_since_ms: Option<i64>,
    resolved_at_ms: Option<i64>,
}

impl GroupState {
    /// What a restart needs of this group; none if it was never evaluated or has no alerts.
    pub fn saved(&self) -> Option<SavedGroup> {
        let saved = |(rule, state): (&super::Rule, &RuleState)| {
            let alerts: Vec<ActiveAlert> = state.alerts.iter().cloned().collect();
            Some(SavedRule { identity: rule.identity()?, alerts }).filter(|rule| !rule.alerts.is_empty())
        };
        let rules: Vec<SavedRule> = self.group.rules.iter().zip(&self.rules).filter_map(saved).collect();
        let at_ms = self.last.filter(|_| !rules.is_empty())?.at_ms;
        Some(SavedGroup { file: self.group.file.clone(), group: self.group.name.clone(), at_ms, rules })
    }
}

impl SavedGroup {
    /// All of its alerts, in the order of rules and labels.
    pub fn alerts(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.rules.iter().flat_map(|rule| &rule.alerts)
    }
}

/// The file of alerts.
pub fn encode_saved(groups: &[SavedGroup], now_ms: i64) -> Vec<u8> {
    FILE.encode(groups.iter().map(text_of), now_ms)
}

/// Reads the file of alerts.
pub fn decode_saved(bytes: &[u8]) -> Result<Vec<SavedGroup>, RulesStateError> {
    let texts: Vec<GroupText> = FILE.decode(bytes).map_err(refuse)?;
    texts.into_iter().map(group_of).collect()
}

fn text_of(group: &SavedGroup) -> GroupText {
    let alert = |alert: &ActiveAlert| AlertText {
        labels: alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        annotations: alert.annotations.clone(),
        state: alert.state,
        value_bits: alert.value.to_bits(),
        active_at_ms: alert.active_at_ms,
        fired_at_ms: alert.fired_at_ms,
        keep_firing_since_ms: alert.keep_firing_since_ms,
        resolved_at_ms: alert.resolved_at_ms,
    };
    let rule =
        |rule: &SavedRule| RuleText { rule: rule.identity.clone(), alerts: rule.alerts.iter().map(alert).collect() };
    GroupText {
        file: path_text(&group.file),
        group: group.group.clone(),
        at_ms: group.at_ms,
        rules: group.rules.iter().map(rule).collect(),
    }
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn group_of(text: GroupText) -> Result<SavedGroup, RulesStateError> {
    let rule = |text: RuleText| {
        let alerts = text.alerts.into_iter().map(alert_of).collect::<Result<Vec<_>, _>>()?;
        Ok(SavedRule { identity: text.rule, alerts })
    };
    let rules = text.rules.into_iter().map(rule).collect::<Result<Vec<_>, RulesStateError>>()?;
    Ok(SavedGroup { file: text.file.into(), group: text.group, at_ms: text.at_ms, rules })
}

fn alert_of(text: AlertText) -> Result<ActiveAlert, RulesStateError> {
    let pairs = text.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(ActiveAlert {
        labels: Arc::new(Labels::from_pairs(pairs).map_err(refuse)?),
        annotations: text.annotations,
        state: text.state,
        value: f64::from_bits(text.value_bits),
        active_at_ms: text.active_at_ms,
        fired_at_ms: text.fired_at_ms,
        keep_firing_since_ms: text.keep_firing_since_ms,
        resolved_at_ms: text.resolved_at_ms,
    })
}

fn refuse(what: impl ToString) -> RulesStateError {
    RulesStateError { what: what.to_string() }
}
