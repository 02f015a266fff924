//! Maintenance by a schedule: what is silent at times that are known beforehand.

use crate::model::Labels;
use crate::notify::matchers::Matchers;
use crate::notify::routing::TimeInterval;

/// Alerts that are held back whenever a time interval says so.
#[derive(Clone, Debug)]
pub struct Window {
    matchers: Matchers,
    interval: TimeInterval,
}

impl Window {
    pub(crate) fn new(matchers: Matchers, interval: TimeInterval) -> Window {
        Window { matchers, interval }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        self.interval.name()
    }

    pub(super) fn holds_back(&self, labels: &Labels, now_ms: i64) -> bool {
        self.matchers.matches(labels) && self.interval.contains(now_ms)
    }
}
