//! Plans, kept: a dashboard asks the same texts again and again, and a rule the same one every few seconds.
//!
//! ```text
//! sum(rate(x{code=~"5.."}[5m]))     a pattern to compile takes a tenth of a millisecond, the rest next to nothing
//! max_over_time(x[range()])         the plan is one for the query's times, and kept with them
//! ```
//!
//! Always true: all that is kept counts at most [`BYTES_MAX`] bytes and [`PLANS_MAX`] plans, what was used longest ago going
//! first; and a text that is refused is read again each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::query::error::QueryError;
use crate::query::lower::{Frame, Lowered};
use crate::query::plan::Plan;
use crate::recent::Recent;

/// Most plans that are kept.
const PLANS_MAX: usize = 512;
/// Most bytes that all kept plans count.
const BYTES_MAX: usize = 8 << 20;
/// Bytes that the plan of one byte of text counts, beside the text.
const BYTES_EACH: usize = 8;
/// Bytes that a pattern counts: compiled, and with what it learns while it is used, most take less.
const PATTERN_BYTES: usize = 64 << 10;

/// Plans that may be used again. Shared by all queries.
#[derive(Debug)]
pub(in crate::query) struct PlanCache {
    kept: Mutex<Recent<String, KeptPlan>>,
    used: AtomicU64,
    unused: AtomicU64,
}

#[derive(Debug)]
struct KeptPlan {
    plan: Arc<Plan>,
    /// The times that it is for, if it depends on them.
    frame: Option<Frame>,
}

/// How often plans were used again, and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanFigures {
    /// Queries whose plan was known.
    pub used: u64,
    /// Queries whose text was read, those included that are refused.
    pub unused: u64,
    /// Plans that are kept.
    pub count: usize,
    /// Bytes that they take, about.
    pub bytes: usize,
}

impl Default for PlanCache {
    fn default() -> PlanCache {
        let kept = Mutex::new(Recent::new(PLANS_MAX, BYTES_MAX));
        PlanCache { kept, used: AtomicU64::new(0), unused: AtomicU64::new(0) }
    }
}

impl PlanCache {
    /// The plan of a text at these times: as it is known, or made by `prepare`.
    pub(in crate::query) fn plan(
        &self,
        text: &str,
        frame: Frame,
        prepare: impl FnOnce() -> Result<Lowered, QueryError>,
    ) -> Result<Arc<Plan>, QueryError> {
        if let Some(plan) = self.find(text, frame) {
            self.used.fetch_add(1, Ordering::Relaxed);
            return Ok(plan);
        }
        self.unused.fetch_add(1, Ordering::Relaxed);
        let Lowered { plan, depends_on_frame, patterns } = prepare()?;
        let plan = Arc::new(plan);
        let bytes = size_of::<KeptPlan>() + text.len() * (1 + BYTES_EACH) + patterns * PATTERN_BYTES;
        let kept = KeptPlan { plan: plan.clone(), frame: depends_on_frame.then_some(frame) };
        let gone = self.kept.lock().insert(text.to_owned(), kept, bytes);
        drop(gone); // with the lock free again
        Ok(plan)
    }

    pub(in crate::query) fn figures(&self) -> PlanFigures {
        let (used, unused) = (self.used.load(Ordering::Relaxed), self.unused.load(Ordering::Relaxed));
        let kept = self.kept.lock();
        PlanFigures { used, unused, count: kept.count(), bytes: kept.bytes() }
    }

    fn find(&self, text: &str, frame: Frame) -> Option<Arc<Plan>> {
        let mut kept = self.kept.lock();
        let known = kept.get(text).filter(|known| known.frame.is_none_or(|of| of == frame))?;
        Some(known.plan.clone())
    }
}

#[cfg(test)]
mod tests;
