//! Sums of series that are past a budget: one for each metric and job, and of buckets for each `le`.
//!
//! A sum is fed by requests that each bring a part of its series, so the last value of each is remembered:
//!
//! ```text
//!                    user="3"   user="4"    gauge: sum of the last values     counter: sum of the increments
//! request at 15 s        10                                          10                                   0
//! request at 15 s                   100           (15 s is written already)                               (0)
//! request at 30 s        12                                         112                                   2
//! request at 45 s                   107                             119                                   9
//! ```
//!
//! One sample a moment is added, at the moments of the samples that are summed; what came for a moment that is written
//! already shows in the next. A gauge that brought nothing for [`FOLDED_STALE_MS`], or ended, leaves its sum. A counter's
//! sum only grows; it begins at zero with the start of the process, which to `rate` is a restart like any other.
//!
//! A moment that no shard took, because its queue was full, is *owed*: the sender repeats its samples, which change nothing
//! any more, and with them, or the next, the moment is written as it was.

use std::sync::Arc;

use hashbrown::HashMap;

use super::Budget;
use super::culprit::Culprits;
use crate::ingest::verdict::RefusedRows;
use crate::ingest::{Metadata, MetricKind};
use crate::model::{Labels, METRIC_NAME, Sample, is_stale};
use crate::storage::{FUTURE_MS_MAX, NewSeries, Refusal};

/// The label of a sum.
pub const OVERFLOW_LABEL: &str = "__overflow__";
/// Sums that are made at most.
pub const OVERFLOW_SERIES_MAX: usize = 1_000;
/// Series whose last value is remembered at most, for all sums together: some forty bytes each.
pub const FOLDED_SERIES_MAX: usize = 500_000;
/// Event time without a sample after which a series does not count any more: Prometheus's lookback.
const FOLDED_STALE_MS: i64 = 5 * 60 * 1000;
/// Time between two looks at who does not count any more.
const SWEEP_INTERVAL_MS: i64 = 60 * 1000;
/// Moments that a sum owes at most: the newest of them, a quarter of an hour at the pace of most senders.
const OWED_MAX: usize = 64;
/// Buckets cannot be summed over their bounds.
const BUCKET_BOUND: &str = "le";

/// One sum, in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverflowFigures {
    /// The metric.
    pub metric: String,
    /// The job, if its series have one.
    pub job: Option<String>,
    /// The setting whose limit they passed.
    pub setting: &'static str,
    /// That limit.
    pub limit: u64,
    /// Series in memory that count against it.
    pub series_count: u64,
    /// Series that are summed at present.
    pub folded_series: u64,
    /// Samples that were, since the start.
    pub folded_samples: u64,
    /// The label with most values among them, and about how many.
    pub culprit: Option<(String, u64)>,
}

/// A sum by its labels, and samples of it in order of time.
pub(super) type Moments = (Arc<Labels>, Vec<Sample>);

/// All sums.
#[derive(Default)]
pub(super) struct Overflow {
    sums: HashMap<Arc<Labels>, Sum>,
    folded_count: usize,
    /// When it was looked who does not count any more.
    swept_ms: i64,
}

struct Sum {
    budget: Budget,
    only_grows: bool,
    total: f64,
    /// By the hash of the series' labels.
    last: HashMap<u64, Sample>,
    /// Newest moment that is written.
    written_ms: i64,
    /// Moments up to there that may not be stored, in order of time.
    owed: Vec<Sample>,
    /// When samples came last, by the clock.
    fed_ms: i64,
    folded_samples: u64,
    culprits: Culprits,
}

impl Overflow {
    /// Sums these series, and returns the sums' new samples. Refuses what there is no room for.
    pub(super) fn fold(
        &mut self,
        excess: Vec<(Budget, NewSeries)>,
        refused: &mut RefusedRows,
        metadata: &Metadata,
        now_ms: i64,
    ) -> Vec<Moments> {
        self.sweep(now_ms);
        // In order of time, whichever series they are of.
        let mut by_sum: HashMap<Arc<Labels>, Vec<(u64, Sample)>> = HashMap::new();
        for (budget, new) in excess {
            let labels = sum_labels(&new.labels);
            if !self.make_room(&labels, &new.labels, budget, metadata) {
                let reason = format!(
                    "past {}, and more series are past it than can be summed ({FOLDED_SERIES_MAX} into \
                     {OVERFLOW_SERIES_MAX})",
                    budget.setting()
                );
                refused.add(new.samples.len() as u64, reason, || new.labels.to_string());
                continue;
            }
            let series = new.labels.hash();
            // A sum is not written for moments that it has passed, and what is old would count as if it were of now.
            let written_ms = self.sums.get(&labels).map_or(i64::MIN, |sum| sum.written_ms);
            let oldest_ms = written_ms.min(now_ms).saturating_sub(FOLDED_STALE_MS);
            let samples = by_sum.entry(labels).or_default();
            for sample in new.samples {
                if sample.timestamp_ms < oldest_ms {
                    let reason = format!("past {}, and older than what its sum still takes", budget.setting());
                    refused.add(1, reason, || new.labels.to_string());
                    continue;
                }
                if sample.timestamp_ms > now_ms.saturating_add(FUTURE_MS_MAX) {
                    refused.add(1, Refusal::TooFarAhead.to_string(), || new.labels.to_string());
                } else {
                    samples.push((series, sample));
                }
            }
        }
        let mut added = Vec::new();
        for (labels, mut samples) in by_sum {
            samples.sort_by_key(|(_, sample)| sample.timestamp_ms);
            let Some(sum) = self.sums.get_mut(&labels) else { continue };
            self.folded_count -= sum.last.len();
            let written = sum.take(&samples);
            self.folded_count += sum.last.len();
            sum.fed_ms = now_ms;
            added.push((labels, written));
        }
        added
    }

    /// Notes moments that may not be stored. What has no sum any more is forgotten.
    pub(super) fn owe(&mut self, moments: Vec<Moments>) {
        for (labels, samples) in moments {
            let Some(sum) = self.sums.get_mut(&labels) else { continue };
            sum.owed.extend(samples);
            sum.owed.sort_by_key(|sample| sample.timestamp_ms);
            forget_oldest(&mut sum.owed);
        }
    }

    /// Whether one more series can be summed under these labels; makes the sum where there is none.
    fn make_room(&mut self, labels: &Arc<Labels>, of: &Labels, budget: Budget, metadata: &Metadata) -> bool {
        if !self.sums.contains_key(labels) {
            if self.sums.len() >= OVERFLOW_SERIES_MAX {
                return false;
            }
            let only_grows = only_grows(of.metric_name().unwrap_or(""), metadata);
            self.sums.insert(labels.clone(), Sum::new(budget, only_grows));
        }
        let sum = self.sums.get_mut(labels).expect("inserted above");
        let has_room = self.folded_count < FOLDED_SERIES_MAX || sum.last.contains_key(&of.hash());
        if has_room {
            sum.culprits.see(of);
        }
        has_room
    }

    /// Forgets the series that do not count any more, and sums without series.
    fn sweep(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.swept_ms) < SWEEP_INTERVAL_MS {
            return;
        }
        self.swept_ms = now_ms;
        self.sums.retain(|_, sum| {
            // One sender's clock that is ahead makes nobody else stale.
            sum.forget_before(sum.written_ms.min(now_ms).saturating_sub(FOLDED_STALE_MS));
            !sum.last.is_empty() && now_ms.saturating_sub(sum.fed_ms) < FOLDED_STALE_MS
        });
        self.folded_count = self.sums.values().map(|sum| sum.last.len()).sum();
    }

    /// Series that are summed, and sums.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.folded_count, self.sums.len())
    }

    pub(super) fn figures(&self, limit: usize) -> Vec<OverflowFigures> {
        let figures = |(labels, sum): (&Arc<Labels>, &Sum)| OverflowFigures {
            metric: labels.metric_name().unwrap_or("").to_owned(),
            job: labels.get(super::JOB).map(str::to_owned),
            setting: sum.budget.setting(),
            limit: 0,
            series_count: 0,
            folded_series: sum.last.len() as u64,
            folded_samples: sum.folded_samples,
            culprit: sum.culprits.worst().map(|(name, count)| (name.to_owned(), count)),
        };
        let mut all: Vec<OverflowFigures> = self.sums.iter().map(figures).collect();
        let key = |one: &OverflowFigures| (std::cmp::Reverse(one.folded_series), one.metric.clone(), one.job.clone());
        all.sort_by_cached_key(key);
        all.truncate(limit);
        all
    }
}

impl Sum {
    fn new(budget: Budget, only_grows: bool) -> Sum {
        Sum {
            budget,
            only_grows,
            total: 0.0,
            last: HashMap::new(),
            written_ms: i64::MIN,
            owed: Vec::new(),
            fed_ms: i64::MIN,
            folded_samples: 0,
            culprits: Culprits::default(),
        }
    }

    /// Takes samples in order of time. Returns what is to be written: what is owed, and one for each moment behind the
    /// last.
    fn take(&mut self, samples: &[(u64, Sample)]) -> Vec<Sample> {
        self.folded_samples += samples.len() as u64;
        let mut written = std::mem::take(&mut self.owed);
        for moment in samples.chunk_by(|a, b| a.1.timestamp_ms == b.1.timestamp_ms) {
            for (series, sample) in moment {
                self.count(*series, *sample);
            }
            let timestamp_ms = moment[0].1.timestamp_ms;
            if timestamp_ms > self.written_ms {
                self.written_ms = timestamp_ms;
                written.push(Sample { timestamp_ms, value: self.total });
            }
        }
        written
    }

    /// Takes one sample. One that is not newer than the last of its series, or no number that can be summed, changes
    /// nothing.
    fn count(&mut self, series: u64, sample: Sample) {
        let before = self.last.get(&series).copied();
        if before.is_some_and(|before| before.timestamp_ms >= sample.timestamp_ms) {
            return;
        }
        if is_stale(sample.value) {
            let ended = self.last.remove(&series);
            self.total -= ended.filter(|_| !self.only_grows).map_or(0.0, |ended| ended.value);
            return;
        }
        if !sample.value.is_finite() {
            return;
        }
        self.last.insert(series, sample);
        self.total += match (self.only_grows, before) {
            (false, before) => sample.value - before.map_or(0.0, |before| before.value),
            (true, None) => 0.0,
            // A counter that is less than it was has begun anew.
            (true, Some(before)) if sample.value < before.value => sample.value.max(0.0),
            (true, Some(before)) => sample.value - before.value,
        };
    }

    fn forget_before(&mut self, oldest_ms: i64) {
        self.last.retain(|_, last| last.timestamp_ms >= oldest_ms);
        if !self.only_grows {
            // Anew, so that rounding does not add up.
            self.total = self.last.values().map(|last| last.value).sum();
        }
    }
}

/// Leaves the newest of a sum's moments, no more than may be owed.
pub(super) fn forget_oldest(moments: &mut Vec<Sample>) {
    moments.drain(..moments.len().saturating_sub(OWED_MAX));
}

/// What names the sum that a series goes to.
fn sum_labels(labels: &Labels) -> Arc<Labels> {
    let kept = labels.filtered(|name| matches!(name, METRIC_NAME | super::JOB | BUCKET_BOUND));
    Arc::new(kept.with(OVERFLOW_LABEL, "true").expect("four labels of a label set are one"))
}

/// Whether a metric is a counter: by what its sender said, else by the names that such metrics have.
fn only_grows(metric: &str, metadata: &Metadata) -> bool {
    match metadata.kind(metric) {
        MetricKind::Counter => true,
        MetricKind::Gauge | MetricKind::GaugeHistogram | MetricKind::Info | MetricKind::StateSet => false,
        MetricKind::Unknown | MetricKind::Histogram | MetricKind::Summary => {
            ["_total", "_count", "_sum", "_bucket"].iter().any(|ending| metric.ends_with(ending))
        }
    }
}
