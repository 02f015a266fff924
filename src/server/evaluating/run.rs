//! One group while it is evaluated again and again.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use super::figures::GroupFigures;
use crate::rules::{GroupReport, GroupState, RuleGroup};

/// A group, its state and what is told of it.
pub(super) struct Run {
    pub(super) group: Arc<RuleGroup>,
    pub(super) interval_ms: i64,
    pub(super) figures: Arc<GroupFigures>,
    /// None when another group has taken over from it.
    state: Mutex<Option<GroupState>>,
    report: ArcSwap<GroupReport>,
}

impl Run {
    pub(super) fn new(state: GroupState, interval_ms: i64, figures: Arc<GroupFigures>) -> Run {
        let report = ArcSwap::from_pointee(state.report(interval_ms));
        Run { group: state.group().clone(), interval_ms, figures, state: Mutex::new(Some(state)), report }
    }

    /// The state, when nobody evaluates it.
    pub(super) fn state(&self) -> MutexGuard<'_, Option<GroupState>> {
        self.state.lock()
    }

    /// As of the last evaluation.
    pub(super) fn report(&self) -> Arc<GroupReport> {
        self.report.load_full()
    }

    /// What is told from now on.
    pub(super) fn publish(&self, state: &GroupState) {
        self.report.store(Arc::new(state.report(self.interval_ms)));
    }
}
