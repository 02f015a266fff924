//! What one query may use, counted while it runs.
//!
//! Checked after each series and at every few thousand units of work within one, by all threads that work on the query:
//! a query that is over its time, or whose client has left, ends within milliseconds wherever it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::error::QueryError;
use super::syntax::SyntaxLimits;
use crate::clock::Clock;

/// Bounds on every query.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most samples that a query may read and hold, together.
    pub samples_max: u64,
    /// Most series that all selectors of a query may match, together.
    pub series_max: usize,
    /// Most steps of a range query.
    pub points_max: usize,
    /// Longest query text, in bytes.
    pub text_bytes_max: usize,
    /// Deepest nesting of brackets and operators.
    pub depth_max: usize,
    /// Longest evaluation; a request may ask for less.
    pub timeout: Duration,
    /// How far back an instant selector looks for a sample, in ms.
    pub lookback_ms: i64,
    /// Distance of a subquery's steps when it names none, in ms; a minute where this is not given. In Prometheus it is
    /// the evaluation interval.
    pub subquery_step_ms: Option<i64>,
}

impl Limits {
    /// Those that the parser keeps to.
    pub(super) fn syntax(&self) -> SyntaxLimits {
        let (bytes_max, depth_max) = (self.text_bytes_max, self.depth_max);
        SyntaxLimits { bytes_max, depth_max, operators_max: OPERATORS_MAX, ..SyntaxLimits::default() }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            samples_max: 50_000_000,
            series_max: 300_000,
            points_max: 11_000,
            text_bytes_max: 64 * 1024,
            depth_max: 128,
            timeout: Duration::from_secs(120),
            lookback_ms: 5 * 60 * 1000,
            subquery_step_ms: None,
        }
    }
}

/// Set when the client leaves; clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// Ends the query at its next look at the flag.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody called [`Cancelled::cancel`].
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Most operators and subqueries of one query.
const OPERATORS_MAX: usize = 1_000;
/// Rows between two looks at the clock: a long row looks at it by itself.
const ROWS_UNTIMED_MAX: usize = 16;
/// Units of work (samples looked at) between two looks at the clock.
const WORK_UNCHECKED_MAX: usize = 1 << 16;

/// What a query holds in memory, which may outlive the account: what is kept for a second place in the query.
#[derive(Default)]
struct Held {
    samples: AtomicU64,
    /// Most of them before any were given back.
    peak: AtomicU64,
}

/// The account of one running query.
pub(super) struct Budget {
    clock: Clock,
    started: Duration,
    timeout: Duration,
    cancelled: Cancelled,
    samples_max: u64,
    held: Arc<Held>,
    /// Samples in the windows of all steps.
    queryable: AtomicU64,
    /// Those of each step; none where nobody wants to know.
    queryable_by_step: Vec<AtomicU64>,
    series_max: usize,
    series: AtomicUsize,
}

impl Budget {
    pub(super) fn open(limits: &Limits, clock: &Clock, timeout: Option<Duration>, cancelled: &Cancelled) -> Budget {
        Budget {
            clock: clock.clone(),
            started: clock.monotonic(),
            timeout: timeout.unwrap_or(limits.timeout).min(limits.timeout),
            cancelled: cancelled.clone(),
            samples_max: limits.samples_max,
            held: Arc::default(),
            queryable: AtomicU64::new(0),
            queryable_by_step: Vec::new(),
            series_max: limits.series_max,
            series: AtomicUsize::new(0),
        }
    }

    /// Fails when the time is over or the client has left.
    pub(super) fn check(&self) -> Result<(), QueryError> {
        if self.cancelled.is_set() {
            return Err(QueryError::Cancelled);
        }
        if self.clock.monotonic() - self.started >= self.timeout {
            return Err(QueryError::Timeout(self.timeout));
        }
        Ok(())
    }

    /// As [`Budget::check`], for a loop over rows, which begins at any index: whether the client has left is asked for each
    /// row, the clock for one in [`ROWS_UNTIMED_MAX`].
    #[inline]
    pub(super) fn check_row(&self, index: usize) -> Result<(), QueryError> {
        if index.is_multiple_of(ROWS_UNTIMED_MAX) {
            return self.check();
        }
        if self.cancelled.is_set() { Err(QueryError::Cancelled) } else { Ok(()) }
    }

    /// The time of the clock that the query is measured by.
    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// How long the query has run.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started)
    }

    /// Counts samples that were read, or places for values that are about to be allocated.
    pub(super) fn take_samples(&self, count: usize) -> Result<(), QueryError> {
        let before = self.held.samples.fetch_add(count as u64, Ordering::Relaxed);
        if before.saturating_add(count as u64) > self.samples_max {
            return Err(QueryError::Execution(format!(
                "query processing would load too many samples into memory: more than {}; select less, or raise the \
                 query samples limit",
                self.samples_max
            )));
        }
        Ok(())
    }

    /// Notes samples in windows, for [`super::Used::queryable_samples`].
    pub(super) fn note_queryable(&self, count: usize) {
        self.queryable.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts [`Budget::note_queryable`] by step from now on.
    pub(super) fn count_by_step(&mut self, steps: usize) {
        self.queryable_by_step.resize_with(steps, AtomicU64::default);
    }

    /// Whether somebody wants to know them.
    pub(super) fn counts_by_step(&self) -> bool {
        !self.queryable_by_step.is_empty()
    }

    /// Notes samples in the window of one step.
    pub(super) fn note_queryable_at(&self, step: usize, count: usize) {
        if let Some(at_step) = self.queryable_by_step.get(step) {
            at_step.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// What was noted so far.
    pub(super) fn queryable(&self) -> Queryable {
        Queryable { total: self.queryable.load(Ordering::Relaxed), by_step: self.by_step().collect() }
    }

    /// Notes once more what was noted between two moments.
    pub(super) fn note_again(&self, between: &Queryable) {
        self.queryable.fetch_add(between.total, Ordering::Relaxed);
        for (at_step, count) in self.queryable_by_step.iter().zip(&between.by_step) {
            at_step.fetch_add(*count, Ordering::Relaxed);
        }
    }

    /// Notes what was noted of one step at all that follow, so that `steps` have it.
    pub(super) fn note_at_all_steps(&self, of_first: &Queryable, steps: usize) {
        self.queryable.fetch_add(of_first.total * (steps as u64).saturating_sub(1), Ordering::Relaxed);
        let count = of_first.by_step.first().copied().unwrap_or(0);
        self.queryable_by_step.iter().take(steps).skip(1).for_each(|step| _ = step.fetch_add(count, Ordering::Relaxed));
    }

    /// Those of each step.
    pub(super) fn by_step(&self) -> impl Iterator<Item = u64> {
        self.queryable_by_step.iter().map(|count| count.load(Ordering::Relaxed))
    }

    /// Samples in the windows of all steps, and the most that were counted at a time.
    pub(super) fn totals(&self) -> (u64, u64) {
        let (samples, peak) = (self.held.samples.load(Ordering::Relaxed), self.held.peak.load(Ordering::Relaxed));
        (self.queryable.load(Ordering::Relaxed), samples.max(peak))
    }

    /// Counts places for values like [`Budget::take_samples`], until the guard is dropped.
    pub(super) fn hold(&self, count: usize) -> Result<Hold, QueryError> {
        let hold = Hold { held: self.held.clone(), count: count as u64 };
        self.take_samples(count)?;
        Ok(hold)
    }

    /// Samples that are counted now.
    #[cfg(test)]
    pub(super) fn samples(&self) -> u64 {
        self.held.samples.load(Ordering::Relaxed)
    }

    /// Most samples that the query may read and hold.
    pub(super) fn samples_max(&self) -> u64 {
        self.samples_max
    }

    /// Counts series that a selector matched.
    pub(super) fn take_series(&self, count: usize) -> Result<(), QueryError> {
        let before = self.series.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > self.series_max {
            return Err(QueryError::Execution(format!(
                "the query selects more than {} series: narrow it, or raise the query series limit",
                self.series_max
            )));
        }
        Ok(())
    }

    /// How many series a selector may still match.
    pub(super) fn series_left(&self) -> usize {
        self.series_max.saturating_sub(self.series.load(Ordering::Relaxed))
    }

    /// A meter for one loop, which looks at the clock now and then.
    pub(super) fn meter(&self) -> Meter<'_> {
        Meter { budget: self, unchecked: 0 }
    }
}

/// Samples in windows, as [`Budget::note_queryable`] counts them.
pub(super) struct Queryable {
    total: u64,
    /// Empty where nobody wants to know them by step.
    by_step: Vec<u64>,
}

impl Queryable {
    /// Those that were noted since `before`.
    pub(super) fn since(mut self, before: &Queryable) -> Queryable {
        self.total -= before.total;
        self.by_step.iter_mut().zip(&before.by_step).for_each(|(count, before)| *count -= before);
        self
    }
}

/// Memory that is counted as long as this lives.
pub(super) struct Hold {
    held: Arc<Held>,
    count: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The count only falls here, so its peaks are what it was before.
        let before = self.held.samples.fetch_sub(self.count, Ordering::Relaxed);
        self.held.peak.fetch_max(before, Ordering::Relaxed);
    }
}

/// Spares a loop from looking at the clock in every turn.
pub(super) struct Meter<'b> {
    budget: &'b Budget,
    unchecked: usize,
}

impl Meter<'_> {
    /// Counts `work` samples looked at.
    pub(super) fn work(&mut self, work: usize) -> Result<(), QueryError> {
        self.unchecked += work + 1;
        if self.unchecked < WORK_UNCHECKED_MAX {
            return Ok(());
        }
        self.unchecked = 0;
        self.budget.check()
    }
}
