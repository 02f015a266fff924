//! A group as the judge has it: what its feeders told, and what its buckets come to.
//!
//! Four nodes of a region are to report, and three have 9, 11 and 10 orders: 3 of 4 are less than 80 %, so the bucket is not
//! judged, and neither a drop nor the end of one. With the fourth's 10 it is 40 of 40 expected, and all is well.
//!
//! Always true: a bucket to which fewer than [`REPORTED_SHARE_MIN`] of the living series reported is not judged.

use std::sync::Arc;

use super::Watch;
use super::alarm::Change;
use super::feeders::Feeders;
use super::fixed::Fixed;
use super::group::Partial;
use super::hold::Turn;
use super::measure::{Observed, Sums};
use super::model::{Closed, Day, Model};
use super::options::{Directions, ModelOptions};
use super::pending::Pending;
use super::shared::Metrics;
use super::signal::Signal;
use super::transition::{Direction, Transition};
use super::tuning::Tunings;
use crate::model::Labels;

/// Share of the living series that must have reported for a bucket to be judged.
const REPORTED_SHARE_MIN: f64 = 0.8;

/// A group with all that is known of it.
pub(crate) struct Judged {
    pub watch: usize,
    pub labels: Arc<Labels>,
    pub model: Model,
    pub fixed: Option<Box<Fixed>>,
    /// The last bucket that was judged or passed over.
    pub closed: Option<i64>,
    /// Sums of the latest buckets, at most a window of them.
    pub window: Vec<Sums>,
    /// The next bucket that each feeding worker will tell.
    feeders: Feeders,
    pending: Pending,
    /// Whether the judge has it on its list.
    pub is_waiting: bool,
}

/// Buckets that were looked at, until they are entered into the metrics.
#[derive(Debug, Default)]
pub(super) struct Tally {
    closed: usize,
    unknown: usize,
}

impl Tally {
    pub(super) fn enter(self, metrics: &Metrics) {
        Metrics::add(&metrics.buckets_closed, self.closed);
        Metrics::add(&metrics.buckets_unknown, self.unknown);
    }
}

impl Judged {
    pub(super) fn new(watch: usize, labels: Arc<Labels>, model: Model, fixed: Option<Box<Fixed>>) -> Judged {
        Judged {
            watch,
            labels,
            model,
            fixed,
            closed: None,
            window: Vec::new(),
            feeders: Feeders::default(),
            pending: Pending::default(),
            is_waiting: false,
        }
    }

    pub(super) fn expect_from(&mut self, worker: usize, bucket: i64) {
        self.feeders.expect_from(worker, bucket);
    }

    pub(super) fn expect_no_more(&mut self, worker: usize) {
        self.feeders.forget(worker);
    }

    pub(super) fn tell_up_to(&mut self, worker: usize, next: i64) {
        self.feeders.tell_up_to(worker, next);
    }

    pub(super) fn take(&mut self, worker: usize, bucket: i64, partial: Partial) {
        self.tell_up_to(worker, bucket + 1);
        if self.closed.is_none_or(|closed| bucket > closed) {
            self.pending.add(bucket, partial);
        }
    }

    /// A worker tells a bucket; whether that is all of it, and the next to be judged: nobody else feeds the group, and nothing
    /// of it waits.
    pub(super) fn has_whole(&mut self, worker: usize, bucket: i64) -> bool {
        let is_next = self.pending.first().is_none() && self.closed.is_none_or(|closed| bucket > closed);
        is_next && self.feeders.tell_alone(worker, bucket + 1)
    }

    /// Whether nobody feeds it, and nothing of it waits.
    pub(super) fn is_unfed(&self) -> bool {
        self.feeders.are_none() && self.pending.first().is_none()
    }

    /// What fires does so no more.
    pub(super) fn forget_firing(&mut self, options: &ModelOptions) {
        self.model.forget_unwatched(Directions::None);
        let unlimited = ModelOptions { limit: None, full: None, ..*options };
        self.fixed.iter_mut().for_each(|fixed| fixed.forget_unwatched(&unlimited));
    }

    /// Whether every feeder has told its part of the oldest bucket.
    pub(super) fn is_told(&self) -> bool {
        self.pending.first().is_some_and(|bucket| self.feeders.have_told(bucket))
    }

    /// The oldest bucket, if nobody will add to it.
    pub(super) fn next_complete(&mut self, signal: &Signal, seen_by_all_ms: i64) -> Option<(i64, Partial)> {
        let bucket = self.pending.first()?;
        if !self.is_told() || seen_by_all_ms < signal.end_ms(bucket) - signal.bucket_ms {
            return None;
        }
        self.pending.pop()
    }

    /// A look at each part of the state that the next bucket takes: what comes of it means nothing.
    pub(super) fn glimpse(&self) -> u64 {
        let window = self.window.first().map_or(0, |sums| u64::from(sums.is_single()));
        window ^ self.feeders.glimpse() ^ self.model.glimpse()
    }

    /// Judges a bucket that is newer than those before.
    pub(super) fn judge(
        &mut self,
        bucket: i64,
        partial: &Partial,
        day: Day,
        watch: &Watch,
        tunings: &mut Tunings,
        tally: &mut Tally,
    ) -> Vec<Transition> {
        let signal = &watch.signal;
        if self.closed.is_some_and(|closed| bucket > closed + 1) {
            self.window.clear();
        }
        self.closed = Some(bucket);
        if self.window.len() == signal.window_buckets {
            self.window.remove(0);
        }
        self.window.push(partial.sums.clone());
        tally.closed += 1;
        // Where events are counted among others, both sides grow with their sources.
        if !signal.has_exposure() {
            self.follow_sources(partial);
        }
        let observed = self.observed(partial, watch);
        tally.unknown += usize::from(observed.is_none());
        let at_ms = signal.end_ms(bucket);
        let closed = Closed {
            index: bucket,
            judged: observed.map(|observed| (&partial.sums, observed)),
            share: share_of(partial, signal),
            interval_ms: partial.interval_ms.max(partial.refresh_ms.into()),
            day,
        };
        let outcome = self.model.observe(&closed, signal, &watch.options, tunings);
        let window = &self.window;
        let turns = self.fixed.as_mut().map(|fixed| {
            let value = observed.map(|_| signal.value(window));
            fixed.observe(at_ms, signal.bucket_ms, value, &watch.options)
        });
        if outcome.is_anew {
            tracing::info!(labels = %self.labels, watch = watch.identity, "its series report at another interval: its season is learned anew");
        }
        if outcome.changes.is_empty() && turns.as_ref().is_none_or(Vec::is_empty) {
            return Vec::new();
        }
        let changes = outcome.changes.into_iter().map(|change| of_change(change, at_ms));
        let turns: Vec<(Direction, Turn)> = changes.chain(turns.into_iter().flatten()).collect();
        turns.into_iter().map(|(direction, turn)| self.tell(direction, turn, watch, tunings)).collect()
    }

    fn follow_sources(&mut self, partial: &Partial) {
        if partial.left > 0 {
            let before = partial.live_volume + partial.left_volume;
            let share = if before > 0.0 {
                partial.left_volume / before
            } else {
                f64::from(partial.left) / f64::from(partial.left + partial.live)
            };
            self.model.sources_left(share);
        }
        let before = partial.live - partial.joined;
        if partial.joined > 0 && before > 0 {
            self.model.sources_joined(f64::from(partial.joined) / f64::from(before));
        }
    }

    /// What the bucket has; none when it cannot be judged.
    fn observed(&self, partial: &Partial, watch: &Watch) -> Option<Observed> {
        if partial.live == 0 || f64::from(partial.reported) < REPORTED_SHARE_MIN * f64::from(partial.live) {
            return None;
        }
        if watch.signal.needs_all_series() && partial.reported < partial.live {
            return None;
        }
        let observed = watch.signal.observed(std::slice::from_ref(&partial.sums));
        let is_enough = match observed {
            Observed::Count { .. } => share_of(partial, &watch.signal) > 0.0,
            Observed::Value(_) => {
                let observations = watch.signal.observations(&self.window);
                observations.is_none_or(|count| count >= watch.options.min_volume)
            }
            // Nobody visited: no events among no exposure, which adds nothing to the buckets around it.
            Observed::Nothing => watch.signal.has_exposure(),
        };
        is_enough.then_some(observed)
    }
}

/// What a model says, as everything else says it.
fn of_change(change: Change, at_ms: i64) -> (Direction, Turn) {
    match change {
        Change::Fired(incident) => (incident.direction.into(), Turn::Began(incident.spell())),
        Change::Resolved(incident) => (incident.direction.into(), Turn::Ended { spell: incident.spell(), at_ms }),
    }
}

/// Share of the usual volume that reported. Of a ratio both parts are missing alike.
fn share_of(partial: &Partial, signal: &Signal) -> f64 {
    if partial.reported == partial.live || partial.live_volume <= 0.0 || signal.has_exposure() {
        1.0
    } else {
        partial.reported_volume / partial.live_volume
    }
}
