//! How many series one metric, and one job, may have in memory; and what becomes of those that are more.
//!
//! A label whose values never end (a user's id, a session) fills the head until no series of anybody is taken. So a *new*
//! series of a metric that has its share already is not made; it is summed, together with its like, into one series:
//!
//! ```text
//! limits.series_per_metric_max = 2          in memory
//! http_requests_total{job="shop", user="1"}  ──►  itself
//! http_requests_total{job="shop", user="2"}  ──►  itself
//! http_requests_total{job="shop", user="3"}  ─┬►  http_requests_total{job="shop", __overflow__="true"}
//! http_requests_total{job="shop", user="4"}  ─┘
//! ```
//!
//! so that `sum(rate(http_requests_total[5m]))` is what it was. How the sums are made is in `overflow`; which label it was
//! that exploded, `/api/v1/status/tsdb` says.
//!
//! Always true:
//! 1. A series that is in memory is never folded, whatever the budgets say.
//! 2. Series of requests under way count like those in memory, so no number of senders at a time passes a budget.
//!    Near its end a series may be folded for others that then were refused; its next sample finds the room.
//! 3. What folding takes is bounded: [`OVERFLOW_SERIES_MAX`] sums of [`FOLDED_SERIES_MAX`] series together. What is past
//!    that is refused, by name.
//! 4. Floats are summed, native histograms of series past a budget are refused: a sum remembers the last of each of its
//!    series, and that is forty bytes of a float and hundreds of a histogram.
//! 5. What becomes of a sum's own samples is no word to a sender: they are ours. Those that no shard took are owed, and
//!    come again with the sum's next.
//!
//! Deliberately absent: a count of our own. The head's label index counts the series that are alive, so retirement and
//! restarts need no care here.

mod culprit;
mod overflow;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use storage_format::histogram::is_marker;

pub use overflow::{FOLDED_SERIES_MAX, OVERFLOW_LABEL, OVERFLOW_SERIES_MAX, OverflowFigures};

use overflow::Overflow;

use super::rows::{Rows, raw_key};
use super::verdict::RefusedRows;
use super::{IngestLimits, Metadata};
use crate::model::{Labels, METRIC_NAME, Sample};
use crate::storage::{NewSeries, Row, ShardBatch, Storage};

/// The label of which each value has a budget, besides the metric's name.
const JOB: &str = "job";

/// Which budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Budget {
    Metric,
    Job,
}

impl Budget {
    fn label(self) -> &'static str {
        match self {
            Budget::Metric => METRIC_NAME,
            Budget::Job => JOB,
        }
    }

    /// The setting.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Budget::Metric => "limits.series_per_metric_max",
            Budget::Job => "limits.series_per_job_max",
        }
    }
}

/// What series count against: a metric's name, or a job's.
type Key = (Budget, Box<str>);

/// The budgets, and the sums of what is past them. Shared by all requests.
pub(super) struct LabelBudget {
    series_per_metric_max: usize,
    series_per_job_max: usize,
    /// New series of requests under way, by what they count against. Held for look-ups and sums alone.
    under_way: Mutex<HashMap<Key, usize>>,
    overflow: Mutex<Overflow>,
    samples_folded: AtomicU64,
}

/// The new series of one request, counted against the budgets until it is dropped: by then they are in the head.
pub(super) struct UnderWay {
    budget: Arc<LabelBudget>,
    counts: Vec<(Key, usize)>,
}

/// What folding made of a request.
pub(super) struct Folded {
    /// Kept until the request's rows are in the head.
    pub(super) under_way: UnderWay,
    /// Samples that were summed instead of stored.
    pub(super) folded_count: u64,
    /// What the sums are now; `None` where nothing was summed.
    pub(super) sums: Option<Sums>,
}

/// New samples of sums. Dropped before they are known to be stored, they are owed: the sum's next ones bring them again.
pub(super) struct Sums {
    budget: Arc<LabelBudget>,
    batches: Vec<ShardBatch>,
    moments: Vec<overflow::Moments>,
}

impl LabelBudget {
    pub(super) fn new(limits: &IngestLimits) -> LabelBudget {
        LabelBudget {
            series_per_metric_max: limits.series_per_metric_max,
            series_per_job_max: limits.series_per_job_max,
            under_way: Mutex::default(),
            overflow: Mutex::default(),
            samples_folded: AtomicU64::new(0),
        }
    }

    /// Takes the series past a budget out of a request, and puts their sums in. Costs a request without new series
    /// nothing.
    pub(super) fn fold(
        self: &Arc<Self>,
        storage: &Storage,
        metadata: &Metadata,
        rows: &mut Rows,
        now_ms: i64,
    ) -> Folded {
        let counts = count_new(rows);
        let mut under_way = UnderWay { budget: self.clone(), counts };
        if under_way.counts.is_empty() {
            return Folded { under_way, folded_count: 0, sums: None };
        }
        let mut left = self.left(storage, &under_way.counts);
        if left.is_empty() {
            return Folded { under_way, folded_count: 0, sums: None };
        }
        let (mut excess, mut admitted) = (Vec::new(), HashSet::new());
        for batch in &mut rows.batches {
            for new in std::mem::take(&mut batch.new) {
                match exceeded(&new.labels, &mut left, &mut admitted, storage) {
                    None => batch.new.push(new),
                    Some(budget) => excess.push((budget, new)),
                }
            }
        }
        if excess.is_empty() {
            return Folded { under_way, folded_count: 0, sums: None };
        }
        self.forget_under_way(&mut under_way.counts, &excess);
        refuse_histograms(&mut excess, &mut rows.refused);
        let before = rows.refused.count;
        let samples: usize = excess.iter().map(|(_, new)| new.samples.len()).sum();
        let moments = self.overflow.lock().fold(excess, &mut rows.refused, metadata, now_ms);
        let folded_count = samples as u64 - (rows.refused.count - before);
        self.samples_folded.fetch_add(folded_count, Ordering::Relaxed);
        Folded { under_way, folded_count, sums: Some(Sums::new(self.clone(), moments, storage)) }
    }

    /// Notes the request's new series as under way. Returns the budgets that they would pass, with what is left of each:
    /// negative where others have more under way than there is room for.
    fn left(&self, storage: &Storage, counts: &[(Key, usize)]) -> HashMap<Key, isize> {
        // First noted, then counted: a series is in one of the two, and for a moment in both.
        let others: Vec<usize> = {
            let mut under_way = self.under_way.lock();
            let note = |(key, count): &(Key, usize)| {
                let all = under_way.entry(key.clone()).or_insert(0);
                *all += count;
                *all - count
            };
            counts.iter().map(note).collect()
        };
        let mut left = HashMap::new();
        for ((key, count), others) in counts.iter().zip(others) {
            let taken = storage.series_count_with(key.0.label(), &key.1) + others;
            if taken + count > self.max(key.0) {
                left.insert(key.clone(), self.max(key.0) as isize - taken as isize);
            }
        }
        left
    }

    fn max(&self, budget: Budget) -> usize {
        let max = match budget {
            Budget::Metric => self.series_per_metric_max,
            Budget::Job => self.series_per_job_max,
        };
        max.min(isize::MAX as usize)
    }

    /// Series that were folded are not under way any more: others may have their room.
    fn forget_under_way(&self, counts: &mut [(Key, usize)], excess: &[(Budget, NewSeries)]) {
        let mut folded: HashMap<(Budget, &str), usize> = HashMap::new();
        for (_, new) in excess {
            each_key(&new.labels, |key| *folded.entry(key).or_default() += 1);
        }
        let mut under_way = self.under_way.lock();
        for (key, count) in counts {
            let gone = folded.get(&(key.0, key.1.as_ref())).copied().unwrap_or(0);
            *count -= gone;
            release(&mut under_way, key, gone);
        }
    }

    /// Samples that were summed instead of stored, since the start.
    pub(super) fn samples_folded(&self) -> u64 {
        self.samples_folded.load(Ordering::Relaxed)
    }

    /// Series that sums are made of at present, and these sums.
    pub(super) fn sizes(&self) -> (usize, usize) {
        self.overflow.lock().sizes()
    }

    #[cfg(test)]
    pub(super) fn is_quiet(&self) -> bool {
        self.under_way.lock().is_empty()
    }

    /// The sums, those of most series first.
    pub(super) fn figures(&self, storage: &Storage, limit: usize) -> Vec<OverflowFigures> {
        let mut figures = self.overflow.lock().figures(limit);
        for one in &mut figures {
            let (budget, value) = match &one.job {
                Some(job) if one.setting == Budget::Job.setting() => (Budget::Job, job.as_str()),
                _ => (Budget::Metric, one.metric.as_str()),
            };
            one.limit = self.max(budget) as u64;
            one.series_count = storage.series_count_with(budget.label(), value) as u64;
        }
        figures
    }
}

impl Sums {
    fn new(budget: Arc<LabelBudget>, mut moments: Vec<overflow::Moments>, storage: &Storage) -> Sums {
        let mut batches = vec![ShardBatch::default(); storage.shard_count()];
        for (labels, samples) in &mut moments {
            let all = samples.clone();
            overflow::forget_oldest(samples);
            add_to(&mut batches, labels, all, storage);
        }
        Sums { budget, batches, moments }
    }

    /// The samples, to be stored.
    pub(super) fn take_batches(&mut self) -> Vec<ShardBatch> {
        std::mem::take(&mut self.batches)
    }

    /// Says that they are stored, or refused.
    pub(super) fn settle(mut self) {
        self.moments.clear();
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        if !self.moments.is_empty() {
            self.budget.overflow.lock().owe(std::mem::take(&mut self.moments));
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.counts.is_empty() {
            return;
        }
        let mut under_way = self.budget.under_way.lock();
        for (key, count) in &self.counts {
            release(&mut under_way, key, *count);
        }
    }
}

/// Takes the native histograms out of series that will be summed.
fn refuse_histograms(excess: &mut Vec<(Budget, NewSeries)>, refused: &mut RefusedRows) {
    excess.retain_mut(|(budget, new)| {
        if new.histograms.is_empty() {
            return true;
        }
        let before = new.samples.len();
        new.histograms.clear();
        new.samples.retain(|sample| !is_marker(sample.value.to_bits()));
        let reason = format!("past {}, and native histograms are not summed", budget.setting());
        refused.add((before - new.samples.len()) as u64, reason, || new.labels.to_string());
        !new.samples.is_empty()
    });
}

fn release(under_way: &mut HashMap<Key, usize>, key: &Key, count: usize) {
    if let hashbrown::hash_map::Entry::Occupied(mut entry) = under_way.entry(key.clone()) {
        *entry.get_mut() -= count;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// Adds samples of a sum to a write.
fn add_to(batches: &mut [ShardBatch], labels: &Arc<Labels>, samples: Vec<Sample>, storage: &Storage) {
    if samples.is_empty() {
        return;
    }
    let raw_hash = storage.resolver().raw_hash(&raw_key(labels));
    let known = storage.resolver().known().get(raw_hash);
    match known {
        Some(series) => {
            let row = |sample: Sample| Row { series, timestamp_ms: sample.timestamp_ms, value: sample.value };
            batches[series.shard()].rows.extend(samples.into_iter().map(row));
        }
        None => {
            let new = NewSeries::new(labels.clone(), raw_hash, samples);
            batches[storage.shard_of(labels)].new.push(new);
        }
    }
}

/// What a series counts against.
fn each_key<'a>(labels: &'a Labels, mut count: impl FnMut((Budget, &'a str))) {
    for (name, value) in labels.iter() {
        match name {
            METRIC_NAME => count((Budget::Metric, value)),
            JOB => count((Budget::Job, value)),
            _ => {}
        }
    }
}

/// New series of a request by what they count against.
fn count_new(rows: &Rows) -> Vec<(Key, usize)> {
    let mut counts: HashMap<(Budget, &str), usize> = HashMap::new();
    for new in rows.batches.iter().flat_map(|batch| &batch.new) {
        each_key(&new.labels, |key| *counts.entry(key).or_default() += 1);
    }
    counts.into_iter().map(|((budget, value), count)| ((budget, value.into()), count)).collect()
}

/// The budget that this series passes, if it is new and passes one. Takes it from what is left otherwise.
fn exceeded(
    labels: &Arc<Labels>,
    left: &mut HashMap<Key, isize>,
    admitted: &mut HashSet<Arc<Labels>>,
    storage: &Storage,
) -> Option<Budget> {
    let (mut tight, mut passed) = (false, None);
    each_key(labels, |(budget, value)| {
        if let Some(left) = left.get(&KeyRef(budget, value)) {
            tight = true;
            if *left <= 0 {
                passed = Some(budget);
            }
        }
    });
    // What is in memory already, or comes a second time, counts nothing; it is looked for only where that matters.
    if !tight || storage.has_series(labels) || admitted.contains(labels) {
        return None;
    }
    if passed.is_none() {
        admitted.insert(labels.clone());
        each_key(labels, |(budget, value)| {
            if let Some(left) = left.get_mut(&KeyRef(budget, value)) {
                *left -= 1;
            }
        });
    }
    passed
}

/// A [`Key`] that is borrowed.
#[derive(Hash)]
struct KeyRef<'a>(Budget, &'a str);

impl hashbrown::Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}
