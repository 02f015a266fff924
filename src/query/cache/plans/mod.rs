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

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::query::error::QueryError;
use crate::query::lower::{Frame, Lowered};
use crate::query::plan::Plan;

/// Most plans that are kept.
const PLANS_MAX: usize = 512;
/// Most bytes that all kept plans count.
const BYTES_MAX: usize = 8 << 20;
/// Bytes that the plan of one byte of text counts, beside the text.
const BYTES_EACH: usize = 8;
/// Bytes that a pattern counts: compiled, and with what it learns while it is used, most take less.
const PATTERN_BYTES: usize = 64 << 10;

/// Plans that may be used again. Shared by all queries.
#[derive(Debug, Default)]
pub(in crate::query) struct PlanCache {
    kept: Mutex<Kept>,
    used: AtomicU64,
    unused: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    plans: HashMap<String, KeptPlan>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct KeptPlan {
    plan: Arc<Plan>,
    /// The times that it is for, if it depends on them.
    frame: Option<Frame>,
    bytes: usize,
    used_at: u64,
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
        self.keep(text, KeptPlan { plan: plan.clone(), frame: depends_on_frame.then_some(frame), bytes, used_at: 0 });
        Ok(plan)
    }

    pub(in crate::query) fn figures(&self) -> PlanFigures {
        let (used, unused) = (self.used.load(Ordering::Relaxed), self.unused.load(Ordering::Relaxed));
        let kept = self.kept.lock();
        PlanFigures { used, unused, count: kept.plans.len(), bytes: kept.bytes }
    }

    fn find(&self, text: &str, frame: Frame) -> Option<Arc<Plan>> {
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        let known = kept.plans.get_mut(text).filter(|known| known.frame.is_none_or(|of| of == frame))?;
        kept.clock += 1;
        known.used_at = kept.clock;
        Some(known.plan.clone())
    }

    fn keep(&self, text: &str, plan: KeptPlan) {
        let mut gone = Vec::new(); // freed when the lock is free again
        let mut kept = self.kept.lock();
        kept.clock += 1;
        kept.bytes += plan.bytes;
        let plan = KeptPlan { used_at: kept.clock, ..plan };
        gone.extend(kept.plans.insert(text.to_owned(), plan));
        kept.bytes -= gone.iter().map(|before| before.bytes).sum::<usize>();
        while kept.bytes > BYTES_MAX || kept.plans.len() > PLANS_MAX {
            let oldest = kept.plans.iter().min_by_key(|(_, plan)| plan.used_at);
            let Some(text) = oldest.map(|(text, _)| text.clone()) else { break };
            let plan = kept.plans.remove(&text).expect("it was found just now");
            kept.bytes -= plan.bytes;
            gone.push(plan);
        }
        drop(kept);
    }
}

#[cfg(test)]
mod tests;
