//! What maintenance is at, for those who wait for it.

use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

/// One long piece of work at a time, and how far it is. Figures: nothing depends on them.
#[derive(Debug, Default)]
pub struct Progress {
    work: ArcSwapOption<&'static str>,
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    pub(super) fn begin(&self, work: &'static str, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.work.store(Some(std::sync::Arc::new(work)));
    }

    pub(super) fn advance(&self, by: u64) {
        self.done.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn finish(&self) {
        self.work.store(None);
    }

    /// What runs now, how many of its series are done, and how many there are; `None` at rest.
    pub fn now(&self) -> Option<(&'static str, u64, u64)> {
        let work = self.work.load_full()?;
        Some((*work, self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed)))
    }
}
