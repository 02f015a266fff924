//! What a query cost, for whoever asked it to look at when it is over, well or not.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// A slip on which the engine writes what a query cost; clones are the same slip.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    used: Arc<Mutex<Used>>,
    /// Of each step, where somebody wants to know.
    by_step: Option<Arc<Mutex<Steps>>>,
}

/// Of each step its time, in ms since 1970 UTC, and samples.
type Steps = Vec<(i64, u64)>;

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Samples looked at, at each step those of its windows: one that lies in ten windows counts ten times, as
    /// Prometheus's `totalQueryableSamples` has it.
    pub queryable_samples: u64,
    /// Most samples held and read at a time.
    pub peak_samples: u64,
    /// Time to read the text and plan.
    pub preparation: Duration,
    /// Time to evaluate.
    pub evaluation: Duration,
}

impl Usage {
    /// A slip that takes [`Used::queryable_samples`] of each step, too.
    pub fn by_step() -> Usage {
        Usage { by_step: Some(Arc::default()), ..Usage::default() }
    }

    /// What was written; all 0 while the query runs.
    pub fn used(&self) -> Used {
        *self.used.lock()
    }

    /// Of each step its time, in ms since 1970 UTC, and the samples in its windows; `None` if nobody wanted to know.
    pub fn steps(&self) -> Option<Vec<(i64, u64)>> {
        self.by_step.as_ref().map(|steps| steps.lock().clone())
    }

    pub(super) fn wants_steps(&self) -> bool {
        self.by_step.is_some()
    }

    pub(super) fn write_steps(&self, steps: impl Iterator<Item = (i64, u64)>) {
        if let Some(by_step) = &self.by_step {
            *by_step.lock() = steps.collect();
        }
    }

    pub(super) fn write(&self, change: impl FnOnce(&mut Used)) {
        change(&mut self.used.lock());
    }
}
