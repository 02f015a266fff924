//! What fires by the stream and why, for those who ask: as of a second ago at most.
//!
//! Always true: it is told from here on, and only here forgotten; alerts do not depend on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::parts::Key;
use crate::detect::{Explanation, Kind, Part, Transition};
use crate::notify::Alert;
use crate::rules::{AnomalyReport, RuleSet};

/// How many that ended are remembered.
const ENDED_COUNT_MAX: usize = 100;
/// How often the figures of what fires are looked up.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Written by the judge's thread, completed by that which finds parts, read by http.
#[derive(Default)]
pub(super) struct Anomalies {
    firing: ArcSwap<Vec<AnomalyReport>>,
    /// The latest first.
    ended: Mutex<VecDeque<(Key, AnomalyReport)>>,
}

impl Anomalies {
    /// Those that fire, then those that ended.
    pub(super) fn all(&self) -> Vec<AnomalyReport> {
        let mut all = Vec::clone(&self.firing.load());
        all.extend(self.ended.lock().iter().map(|(_, report)| report.clone()));
        all
    }

    /// Remembers what ended; the alerts are those of the transitions.
    pub(super) fn note(&self, transitions: &[Transition], alerts: &[Alert], rules: &RuleSet) {
        for (transition, alert) in transitions.iter().zip(alerts) {
            let (Kind::Resolved, Some(explanation)) = (transition.kind, &transition.explanation) else { continue };
            let expr = rules.rules[transition.watch].expr.clone();
            let report = AnomalyReport { alert: alert.clone(), expr, explanation: Explanation::clone(explanation) };
            let mut ended = self.ended.lock();
            ended.push_front((Key::of(transition), report));
            ended.truncate(ENDED_COUNT_MAX);
        }
    }

    /// Adds the parts of one that ended before they were found.
    pub(super) fn complete(&self, key: &Key, parts: &[Part]) {
        if let Some((_, report)) = self.ended.lock().iter_mut().find(|(known, _)| known == key) {
            report.explanation.parts = parts.to_vec();
        }
    }

    /// Takes what fires now.
    pub(super) fn look(&self, firing: Vec<AnomalyReport>) {
        self.firing.store(Arc::new(firing));
    }
}
