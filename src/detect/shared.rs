//! What workers and the judge have in common: one bounded queue a worker, how far each has seen, and counters.
//!
//! | what | bound | when full |
//! | --- | --- | --- |
//! | queue of a worker to the judge | [`QUEUE_COUNT_MAX`] messages | the worker keeps the rest and says so by [`super::Worker::pending`] |
//! | values of evaluated watches | [`EVALUATED_COUNT_MAX`] values | who evaluates waits |
//! | groups that are asked about, and those that were removed | [`REMOVED_COUNT_MAX`] each | the next are asked about ten minutes later |
//!
//! Atomics: `seen_ms` of a worker is stored with Release after every message about samples up to then is in its queue;
//! the judge loads it with Acquire *before* it empties the queues. `count` of a queue is lowered with Release when the judge
//! has taken a batch, and loaded with Acquire by the worker, who finds room where it was. The counters are Relaxed: nobody
//! decides by them. What a worker has learned of lateness is replaced as a whole, once a minute of event time; who asks
//! combines those of all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use crossbeam::queue::ArrayQueue;

use super::group::Message;
use super::lateness::{JobLateness, LATENESS_MS_DEFAULT, Told};
use super::unheard::Unheard;
use crate::model::Labels;

/// Most messages on the way from one worker to the judge, and how many of them go together at most.
const QUEUE_COUNT_MAX: usize = 16_384;
pub(super) const BATCH_COUNT_MAX: usize = 128;

/// Most values of evaluated watches on the way to the judge.
const EVALUATED_COUNT_MAX: usize = 16_384;
/// Most groups of which is asked at a time whether those that fed them were removed.
pub(super) const REMOVED_COUNT_MAX: usize = 100;

/// A value of a watch whose expression is evaluated ([`super::Source::Evaluated`]).
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedValue {
    /// Index of the watch, as they were given to [`super::start`].
    pub watch: usize,
    /// The labels that the value has, those of its group.
    pub labels: Arc<Labels>,
    /// As of when, in ms since 1970 UTC; a multiple of the interval, and newer than the one before.
    pub at_ms: i64,
    /// The value.
    pub value: f64,
}

/// Queues, progress and counters.
pub struct Shared {
    queues: Vec<Queue>,
    pub(crate) evaluated: ArrayQueue<EvaluatedValue>,
    /// Groups that fire and of which nothing comes, and those of them that were removed.
    unheard: ArcSwap<Vec<Unheard>>,
    removed: ArrayQueue<Unheard>,
    seen_ms: Vec<AtomicI64>,
    /// What the setting says of lateness, what each worker has learned, and what was known before the start.
    lateness_given_ms: Option<i64>,
    lateness: Vec<ArcSwap<Told>>,
    lateness_before: ArcSwap<Vec<JobLateness>>,
    /// Counters for `/metrics`.
    pub metrics: Metrics,
}

/// Counters of all workers and the judge together.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Samples that were newer than their series' last one.
    pub samples_fed: AtomicU64,
    /// Samples that were not, or lay hours ahead, and changed nothing.
    pub samples_ignored: AtomicU64,
    /// Samples of which a part fell into a bucket that was closed already, or lay hours ahead of the open ones.
    pub samples_late: AtomicU64,
    /// Series that were not watched because their watch has [`super::GROUPS_COUNT_MAX`] groups that are heard.
    pub groups_refused: AtomicU64,
    /// Groups that were let go of to make room for others, their series having been silent for an hour and more.
    pub groups_replaced: AtomicU64,
    /// Series whose job's lateness is not learned because their worker knows [`super::JOBS_COUNT_MAX`] jobs.
    pub series_unlearned: AtomicU64,
    /// Series that were not watched because their worker keeps as many as it may.
    pub series_refused: AtomicU64,
    /// Buckets that all workers have closed, judged or not.
    pub buckets_closed: AtomicU64,
    /// Of those, the ones that were not judged because telemetry was missing.
    pub buckets_unknown: AtomicU64,
    /// Groups that the judge knows.
    pub groups: AtomicU64,
    /// Of those, the ones that alerted so often that they need more evidence than others; counted anew every ten minutes.
    pub groups_restless: AtomicU64,
}

/// What a worker says, in order. What follows from a batch of samples goes together, so that the room in which it is told
/// is soon used again, and lies in the processor's cache.
struct Queue {
    /// None of them empty, so there are no more of them than messages.
    batches: ArrayQueue<Vec<Message>>,
    /// Messages in all of them.
    count: AtomicUsize,
}

impl Queue {
    fn new() -> Queue {
        Queue { batches: ArrayQueue::new(QUEUE_COUNT_MAX), count: AtomicUsize::new(0) }
    }

    /// Takes the next batch of the worker's messages; whether there was room for it.
    fn send(&self, unsent: &mut VecDeque<Message>) -> bool {
        let count = unsent.len().min(BATCH_COUNT_MAX);
        if self.count.load(Ordering::Acquire) + count > QUEUE_COUNT_MAX {
            return false;
        }
        let batch: Vec<Message> =
            if count == unsent.len() { std::mem::take(unsent).into() } else { unsent.drain(..count).collect() };
        self.count.fetch_add(count, Ordering::Relaxed);
        assert!(self.batches.push(batch).is_ok(), "each of at most {QUEUE_COUNT_MAX} messages has room for a batch");
        true
    }

    fn receive(&self) -> Option<Vec<Message>> {
        let batch = self.batches.pop()?;
        self.count.fetch_sub(batch.len(), Ordering::Release);
        Some(batch)
    }
}

impl Shared {
    pub(crate) fn new(worker_count: usize, lateness_given_ms: Option<i64>) -> Shared {
        Shared {
            queues: (0..worker_count).map(|_| Queue::new()).collect(),
            evaluated: ArrayQueue::new(EVALUATED_COUNT_MAX),
            unheard: ArcSwap::default(),
            removed: ArrayQueue::new(REMOVED_COUNT_MAX),
            seen_ms: (0..worker_count).map(|_| AtomicI64::new(i64::MIN)).collect(),
            lateness_given_ms,
            lateness: (0..worker_count).map(|_| ArcSwap::default()).collect(),
            lateness_before: ArcSwap::default(),
            metrics: Metrics::default(),
        }
    }

    /// Messages that wait for the judge, of all workers.
    pub fn queue_depth(&self) -> usize {
        self.queues.iter().map(|queue| queue.count.load(Ordering::Acquire)).sum()
    }

    /// Groups that fire and of which nothing has come for a quarter of an hour, at most 100, as of at most ten minutes of
    /// event time ago; the same list until it is asked anew.
    pub fn unheard(&self) -> Arc<Vec<Unheard>> {
        self.unheard.load_full()
    }

    /// Those that fed this group were removed, and the others of their job go on: its alerts end with the next
    /// [`super::Judge::poll`], if nothing has come of it since. Gives it back when too many wait for that already.
    pub fn end_removed(&self, group: Unheard) -> Result<(), Unheard> {
        self.removed.push(group)
    }

    pub(super) fn ask(&self, unheard: Vec<Unheard>) {
        if !(unheard.is_empty() && self.unheard.load().is_empty()) {
            self.unheard.store(Arc::new(unheard));
        }
    }

    pub(super) fn next_removed(&self) -> Option<Unheard> {
        self.removed.pop()
    }

    pub(crate) fn worker_count(&self) -> usize {
        self.queues.len()
    }

    /// Puts as many of a worker's messages into its queue as there is room for.
    pub(crate) fn send(&self, worker: usize, unsent: &mut VecDeque<Message>) {
        while !unsent.is_empty() && self.queues[worker].send(unsent) {}
    }

    /// Takes the messages of all workers from their queues, each worker's in order.
    pub(crate) fn receive(&self) -> Vec<(usize, Vec<Message>)> {
        let mut batches = Vec::new();
        for (worker, queue) in self.queues.iter().enumerate() {
            // What comes meanwhile comes next time.
            let of_worker = (0..queue.batches.len()).map_while(|_| queue.receive());
            batches.extend(of_worker.map(|batch| (worker, batch)));
        }
        batches
    }

    /// The newest event time that any worker has seen, in ms; `i64::MIN` before the first sample.
    pub fn frontier_ms(&self) -> i64 {
        self.seen_ms.iter().map(|seen| seen.load(Ordering::Acquire)).max().unwrap_or(i64::MIN)
    }

    /// Hands the judge a value of an evaluated watch; gives it back when there is no room.
    pub fn tell_evaluated(&self, value: EvaluatedValue) -> Result<(), EvaluatedValue> {
        self.evaluated.push(value)
    }

    /// The event time that every worker has seen, but for late samples, in ms; `i64::MIN` before the first sample.
    pub fn seen_by_all_ms(&self) -> i64 {
        self.seen_ms.iter().map(|seen| seen.load(Ordering::Acquire)).min().unwrap_or(i64::MIN)
    }

    /// How long late samples of the series are waited for that feed a watch, in ms of event time: of all jobs among them
    /// the longest.
    pub fn lateness_ms(&self, watch: usize) -> i64 {
        let learned = self.lateness.iter().filter_map(|told| *told.load().of_watch.get(watch)?);
        learned.max().unwrap_or_else(|| self.lateness_given_ms.unwrap_or(LATENESS_MS_DEFAULT))
    }

    /// How late the samples of each job come and how long they are waited for, by name; of jobs that several workers take
    /// in the longest.
    pub fn lateness_of_jobs(&self) -> Vec<JobLateness> {
        let mut jobs: Vec<JobLateness> = self.lateness.iter().flat_map(|told| told.load().jobs.clone()).collect();
        jobs.sort_by(|one, other| one.job.cmp(&other.job));
        jobs.dedup_by(|other, one| {
            let is_same = other.job == one.job;
            if is_same {
                one.merge(other);
            }
            is_same
        });
        jobs
    }

    pub(crate) fn lateness_given_ms(&self) -> Option<i64> {
        self.lateness_given_ms
    }

    pub(crate) fn tell_lateness(&self, worker: usize, told: Told) {
        self.lateness[worker].store(Arc::new(told));
    }

    /// What was known before the start.
    pub(crate) fn remember_lateness(&self, before: Vec<JobLateness>) {
        self.lateness_before.store(Arc::new(before));
    }

    pub(crate) fn all_lateness_before(&self) -> Arc<Vec<JobLateness>> {
        self.lateness_before.load_full()
    }

    pub(crate) fn lateness_before(&self, job: &str) -> Option<JobLateness> {
        self.lateness_before.load().iter().find(|known| *known.job == *job).cloned()
    }

    pub(crate) fn publish_seen(&self, worker: usize, seen_ms: i64) {
        self.seen_ms[worker].store(seen_ms, Ordering::Release);
    }
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        if count > 0 {
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_messages_as_a_queue_takes_are_sent_and_the_rest_is_kept_in_order() {
        let shared = Shared::new(2, None);
        let count = QUEUE_COUNT_MAX + 300;
        let message = |number: usize| Message::Skips { group: 0, next: number as i64 };
        let numbers = |messages: &[Message]| -> Vec<i64> {
            let number = |message: &Message| if let Message::Skips { next, .. } = message { Some(*next) } else { None };
            messages.iter().filter_map(number).collect()
        };
        let mut unsent: VecDeque<Message> = (0..count).map(message).collect();
        shared.send(1, &mut unsent);
        assert_eq!((shared.queue_depth(), unsent.len()), (QUEUE_COUNT_MAX, 300));
        shared.send(1, &mut unsent);
        assert_eq!(unsent.len(), 300, "there is no room");
        let mut received = shared.receive();
        assert_eq!(shared.queue_depth(), 0);
        shared.send(1, &mut unsent);
        received.extend(shared.receive());
        assert!(unsent.is_empty() && shared.receive().is_empty());
        assert!(received.iter().all(|(worker, batch)| *worker == 1 && (1..=BATCH_COUNT_MAX).contains(&batch.len())));
        let received: Vec<Message> = received.into_iter().flat_map(|(_, batch)| batch).collect();
        assert_eq!(numbers(&received), (0..count as i64).collect::<Vec<_>>());
        // One by one they are as many batches as messages.
        for number in 0..count {
            unsent.push_back(message(number));
            shared.send(0, &mut unsent);
        }
        assert_eq!((shared.queue_depth(), unsent.len()), (QUEUE_COUNT_MAX, 300));
    }
}
