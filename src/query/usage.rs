//! What a query cost, for whoever asked it to look at when it is over, well or not.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// A slip on which the engine writes what a query cost; clones are the same slip.
#[derive(Clone, Debug, Default)]
pub struct Usage(Arc<Mutex<Used>>);

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
    /// What was written; all 0 while the query runs.
    pub fn used(&self) -> Used {
        *self.0.lock()
    }

    pub(super) fn write(&self, change: impl FnOnce(&mut Used)) {
        change(&mut self.0.lock());
    }
}
