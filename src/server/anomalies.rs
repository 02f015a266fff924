//! What fires by the stream and why, for those who ask: as of a second ago at most.
//!
//! Always true: it is told from here on, and only here forgotten; alerts do not depend on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::detect::{Judge, Kind, Transition};
use crate::rules::{AnomalyReport, RuleSet};

/// How many that ended are remembered.
const ENDED_COUNT_MAX: usize = 100;
/// How often the figures of what fires are looked up.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Written by the judge's thread, read by http.
#[derive(Default)]
pub(super) struct Anomalies {
    firing: ArcSwap<Vec<AnomalyReport>>,
    /// The latest first.
    ended: Mutex<VecDeque<AnomalyReport>>,
}

impl Anomalies {
    /// Those that fire, then those that ended.
    pub(super) fn all(&self) -> Vec<AnomalyReport> {
        let mut all = Vec::clone(&self.firing.load());
        all.extend(self.ended.lock().iter().cloned());
        all
    }

    /// Remembers what ended.
    pub(super) fn note(&self, transitions: &[Transition], rules: &RuleSet, external_url: &str) {
        let resolved = transitions.iter().filter(|transition| transition.kind == Kind::Resolved);
        for (transition, explanation) in resolved.filter_map(|one| Some((one, one.explanation.as_deref()?))) {
            let mut ended = self.ended.lock();
            ended.push_front(rules.report_for(transition, explanation.clone(), external_url));
            ended.truncate(ENDED_COUNT_MAX);
        }
    }

    /// Looks up what fires.
    pub(super) fn look(&self, judge: &mut Judge, rules: &RuleSet, external_url: &str) {
        let explained = judge.explained().into_iter();
        let report = |(firing, explanation): (crate::detect::Firing, _)| {
            rules.report_for(&firing.transition(), explanation, external_url)
        };
        self.firing.store(Arc::new(explained.map(report).collect()));
    }
}
