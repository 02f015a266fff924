//! Takes in what one shard admitted, and tells the judge each bucket that is complete.
//!
//! ```text
//! while let Some(batch) = inbox.pop() {
//!     worker.handle(&batch);
//!     while worker.pending() > 0 { judge_is_slow(); worker.publish(); }
//! }
//! worker.settle(|| inbox.is_empty());
//! ```
//!
//! Always true:
//! 1. State has one owner; nothing here locks or waits.
//! 2. How far the worker has seen is published after the messages that follow from it.
//! 3. A sample not newer than its series' last one changes nothing, so reading some samples twice after a queue
//!    overflowed is harmless: hand over everything newer than [`Worker::last_timestamp`] of each series in *one* batch.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use super::by_name::ByName;
use super::event_time::EventTime;
use super::group::{Group, Message};
use super::judge::CACHED_COUNT;
use super::lateness::Jobs;
use super::series::{Fading, Feed, LOOKBACK_MS, Lane, Series, Step};
use super::shared::{BATCH_COUNT_MAX, Metrics, Shared};
use super::signal::{Rolled, Signal};
use super::window::Window;
use super::{GROUPS_COUNT_MAX, Watch};
use crate::model::{Labels, SeriesRef};
use crate::storage::tap::{Interest, TapBatch, TapRow};

/// Groups without news are looked at when event time has moved on by this much, in ms.
const SWEEP_INTERVAL_MS: u64 = 1000;

/// A sample further ahead of event time than this is ignored, in ms: four hours.
const AHEAD_MS_MAX: i64 = 14_400_000;

/// Most series that one worker keeps, those that ceased and whose slot is not in use again included; further ones are counted in [`Metrics`] and not
/// watched.
const SERIES_COUNT_MAX: usize = 4_000_000;

/// A group whose series were silent for so long gives its place to a new one when its watch has as many as it may, in ms
/// of event time.
pub(super) const SILENT_MS_MIN: i64 = 3_600_000;
/// How often room is looked for where there was none, in ms of event time.
pub(super) const RETRY_INTERVAL_MS: i64 = 60_000;

/// Rows whose series are fetched together.
const ROWS_AHEAD: usize = 16;

/// The detection worker of one shard.
pub struct Worker {
    index: usize,
    watches: Arc<[Watch]>,
    by_name: Arc<ByName>,
    shared: Arc<Shared>,
    jobs: Jobs,
    /// By the slot of its ref, which the shard gives to another series only when it has let go of the first.
    by_slot: HashMap<u32, (SeriesRef, u32)>,
    series: Vec<Series>,
    /// For each watch, its groups by their labels.
    by_labels: Vec<HashMap<Arc<Labels>, u32>>,
    groups: Vec<Group>,
    /// Places among the groups whose group was let go of.
    vacant: Vec<u32>,
    /// Of each watch the event time before which nobody is looked for who could make room.
    full_until_ms: Vec<i64>,
    /// Series that lack a group for want of room, and when they are tried again; and how often room was wanting of late.
    refused: Vec<u32>,
    retried_ms: i64,
    refusals: usize,
    /// Of each group the event time before which it need not be looked at, unless a series of it says something.
    due_ms: Vec<i64>,
    touched: Vec<u32>,
    fading: Fading,
    time: EventTime,
    swept_ms: i64,
    /// Messages that are not in the queue yet, or had no room there.
    unsent: VecDeque<Message>,
}

impl Worker {
    pub(crate) fn new(index: usize, watches: Arc<[Watch]>, shared: Arc<Shared>) -> Worker {
        let jobs = Jobs::new(shared.lateness_given_ms(), watches.len());
        let by_name = Arc::new(ByName::of(&watches));
        let by_labels = watches.iter().map(|_| HashMap::new()).collect();
        let full_until_ms = vec![i64::MIN; watches.len()];
        Worker {
            index,
            watches,
            by_name,
            shared,
            jobs,
            by_slot: HashMap::new(),
            series: Vec::new(),
            by_labels,
            groups: Vec::new(),
            vacant: Vec::new(),
            full_until_ms,
            refused: Vec::new(),
            retried_ms: i64::MIN,
            refusals: 0,
            due_ms: Vec::new(),
            touched: Vec::new(),
            fading: Fading::default(),
            time: EventTime::new(),
            swept_ms: i64::MIN,
            unsent: VecDeque::new(),
        }
    }

    /// Says of a series whether any watch wants it: for the shard's tap.
    pub fn interest(&self) -> Interest {
        let (watches, by_name) = (self.watches.clone(), self.by_name.clone());
        Arc::new(move |labels| {
            by_name.candidates(labels).into_iter().any(|watch| watches[watch].signal.matches(labels))
        })
    }

    /// Takes in one batch that was admitted just now, closes what it completed, and sends as much of it as the queue takes.
    pub fn handle(&mut self, batch: &TapBatch) {
        self.take(batch, true);
    }

    /// As [`Worker::handle`], of what was admitted a while ago: how late it came cannot be told any more.
    pub fn make_up(&mut self, batch: &TapBatch) {
        self.take(batch, false);
    }

    fn take(&mut self, batch: &TapBatch, is_fresh: bool) {
        for (series, labels) in &batch.series {
            self.introduce(*series, labels);
        }
        // What anybody had seen before: up to there buckets may be closed already.
        let seen_before_ms = is_fresh.then(|| self.time.seen_ms().max(self.shared.frontier_ms()));
        let (mut fed, mut late) = (0, 0);
        for rows in batch.rows.chunks(ROWS_AHEAD) {
            let places = self.foresee(rows);
            for (row, place) in rows.iter().zip(places) {
                let Some(index) = place else { continue };
                self.time.observe(row.timestamp_ms, self.series.len());
                if row.timestamp_ms > self.time.seen_ms().saturating_add(AHEAD_MS_MAX) {
                    continue;
                }
                match self.feed(index, row, seen_before_ms) {
                    Fed::Ignored => continue,
                    Fed::InTime => {}
                    Fed::Late => late += 1,
                }
                fed += 1;
            }
        }
        if let Some(newest_ms) = batch.newest_ms {
            self.time.observe(newest_ms, self.series.len());
        }
        let metrics = &self.shared.metrics;
        Metrics::add(&metrics.samples_fed, fed);
        Metrics::add(&metrics.samples_ignored, batch.rows.len() - fed);
        Metrics::add(&metrics.samples_late, late);
        self.advance();
    }

    /// Finds the series of the next rows, and looks at what they are going to change, so that the processor fetches it for
    /// all of them at once and not for one after the other. Few series lie in its cache anyway.
    fn foresee(&self, next: &[TapRow]) -> [Option<u32>; ROWS_AHEAD] {
        let mut places = [None; ROWS_AHEAD];
        places.iter_mut().zip(next).for_each(|(place, row)| *place = self.index_of(row.series));
        if self.series.len() > CACHED_COUNT {
            let groups = places.iter().flatten().filter_map(|&place| self.series[place as usize].glimpse());
            std::hint::black_box(groups.fold(0, |seen, group| seen ^ self.groups[group as usize].glimpse()));
        }
        places
    }

    /// Tells the judge that this worker is idle and does not hold anybody back. `is_inbox_empty` is asked after the
    /// progress of the others was read: what arrives in an inbox that is empty *then* is newer, or late.
    pub fn settle(&mut self, is_inbox_empty: impl FnOnce() -> bool) {
        let frontier_ms = self.shared.frontier_ms();
        if is_inbox_empty() {
            self.time.reach(frontier_ms);
            self.advance();
        }
    }

    /// Messages that the judge's queue had no room for. While there are any, hand over no further batch.
    pub fn pending(&self) -> usize {
        self.unsent.len()
    }

    /// Sends what the queue has room for.
    pub fn publish(&mut self) {
        self.shared.send(self.index, &mut self.unsent);
        if self.unsent.is_empty() {
            self.shared.publish_seen(self.index, self.time.seen_ms());
        }
    }

    /// The newest timestamp that was taken in of a series, in ms; none if it is unknown or had no sample.
    pub fn last_timestamp(&self, series: SeriesRef) -> Option<i64> {
        let one = &self.series[self.index_of(series)? as usize];
        (one.last_ms > i64::MIN).then_some(one.last_ms.max(one.ended_ms.unwrap_or(i64::MIN)))
    }

    /// The series that were introduced, in no order.
    pub fn series(&self) -> impl Iterator<Item = (SeriesRef, &Arc<Labels>)> + '_ {
        self.by_slot.values().map(|(series, index)| (*series, &self.series[*index as usize].labels))
    }

    /// Counters of all workers, and the queues.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn index_of(&self, series: SeriesRef) -> Option<u32> {
        self.by_slot.get(&series.slot()).filter(|(known, _)| *known == series).map(|&(_, index)| index)
    }

    fn introduce(&mut self, series: SeriesRef, labels: &Arc<Labels>) {
        if self.index_of(series).is_some() {
            return;
        }
        let watches = self.watches.clone();
        let candidates = self.by_name.candidates(labels);
        let feeds: Vec<Feed> =
            candidates.iter().filter_map(|&watch| self.feed_of(watch, &watches[watch], labels)).collect();
        let refusals = std::mem::take(&mut self.refusals);
        Metrics::add(&self.shared.metrics.groups_refused, refusals);
        // What only an evaluated expression looks at says what time it is.
        if feeds.is_empty() && !candidates.iter().any(|&watch| watches[watch].signal.matches(labels)) {
            return;
        }
        let one = Series::new(labels.clone(), self.job_of(labels, &candidates), feeds.into_boxed_slice());
        let before = self.by_slot.get(&series.slot()).map(|&(_, index)| index);
        let index = match before {
            Some(index) => {
                self.forget(index);
                self.series[index as usize] = one;
                index
            }
            None if self.series.len() >= SERIES_COUNT_MAX => {
                return Metrics::add(&self.shared.metrics.series_refused, 1);
            }
            None => {
                self.series.push(one);
                u32::try_from(self.series.len() - 1).expect("SERIES_COUNT_MAX fits 32 bits")
            }
        };
        self.by_slot.insert(series.slot(), (series, index));
        self.refused.extend((refusals > 0).then_some(index));
    }

    /// Takes a series that the shard has let go of out of the groups that still count it.
    fn forget(&mut self, index: u32) {
        let one = &self.series[index as usize];
        for feed in one.feeds.iter().filter(|feed| feed.is_member) {
            self.groups[feed.group as usize].leave_early(index, one.volume);
            self.due_ms[feed.group as usize] = i64::MIN;
        }
    }

    /// The place of the job that sends a series, which now feeds those of the candidates that match it.
    fn job_of(&mut self, labels: &Labels, candidates: &[usize]) -> Option<u32> {
        let shared = &self.shared;
        let job = self.jobs.place_of(labels, |name| shared.lateness_before(name));
        if job.is_none() {
            Metrics::add(&shared.metrics.series_unlearned, 1);
        }
        for &index in candidates {
            let signal = &self.watches[index].signal;
            if signal.is_driven_by_time() && signal.matches(labels) {
                self.jobs.feed(index, job);
            }
        }
        job
    }

    fn feed_of(&mut self, index: usize, watch: &Watch, labels: &Labels) -> Option<Feed> {
        let signal = &watch.signal;
        let mut lanes = signal.lanes_of(labels).peekable();
        lanes.peek()?;
        let group_labels = signal.group_of(labels);
        let known = self.by_labels[index].get(&group_labels).copied();
        let group = known.or_else(|| self.new_group(index, watch, Arc::new(group_labels)))?;
        let of_group = &mut self.groups[group as usize];
        let tenancy = of_group.tenancy;
        let lanes = lanes.map(|(operand, bound)| {
            let one = &signal.operands[usize::from(operand)];
            let window = one.rolled.is_windowed().then(|| Window::new(one.window_buckets));
            Lane { index: of_group.lane_of(operand, bound), operand, window }
        });
        Some(Feed { group, tenancy, is_member: false, lanes: lanes.collect() })
    }

    /// A place for a group; none when the watch has as many as it may, and all of them are heard.
    fn new_group(&mut self, index: usize, watch: &Watch, labels: Arc<Labels>) -> Option<u32> {
        if self.by_labels[index].len() >= GROUPS_COUNT_MAX && !self.make_room(index, watch) {
            self.refusals += 1;
            return None;
        }
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.groups.push(Group::new(index, Arc::default(), 0, i64::MIN));
            self.due_ms.push(i64::MIN);
            u32::try_from(self.groups.len() - 1).expect("GROUPS_COUNT_MAX a watch fits 32 bits")
        });
        let group = &mut self.groups[place as usize];
        *group = Group::new(index, labels.clone(), group.tenancy, self.time.seen_ms());
        self.due_ms[place as usize] = i64::MIN;
        self.by_labels[index].insert(labels, place);
        Some(place)
    }

    /// Lets go of the groups of a watch that were silent for longest, a quarter of those that were for [`SILENT_MS_MIN`].
    /// Whether there was any.
    fn make_room(&mut self, index: usize, watch: &Watch) -> bool {
        let seen_ms = self.time.seen_ms();
        if seen_ms < self.full_until_ms[index] {
            return false;
        }
        let latest_ms = seen_ms.saturating_sub(SILENT_MS_MIN);
        let known = &mut self.by_labels[index];
        let silent_since = |place: u32| self.groups[place as usize].silent_since_ms(&watch.signal);
        let silent = known.values().filter_map(|&place| Some((silent_since(place)?, place)));
        let going = longest_silent(silent.filter(|(since_ms, _)| *since_ms <= latest_ms).collect());
        for &place in &going {
            let group = &mut self.groups[place as usize];
            known.remove(&group.labels);
            *group = Group::new(index, Arc::default(), group.tenancy.wrapping_add(1), i64::MIN);
            self.due_ms[place as usize] = i64::MAX;
            self.unsent.push_back(Message::Leaves { group: place });
        }
        self.vacant.extend(&going);
        if going.is_empty() {
            self.full_until_ms[index] = seen_ms.saturating_add(RETRY_INTERVAL_MS);
        }
        !going.is_empty()
    }

    /// Tries once more for those that were refused and are heard, for there may be room by now.
    #[cold]
    fn retry(&mut self) {
        let heard_ms = self.time.seen_ms().saturating_sub(LOOKBACK_MS);
        let mut refused = std::mem::take(&mut self.refused);
        refused.sort_unstable();
        refused.dedup();
        for index in refused {
            if self.series[index as usize].last_ms >= heard_ms {
                self.feed_again(index);
            } else {
                self.refused.push(index);
            }
        }
    }

    /// Finds the groups anew that a series feeds: one of them was let go of while it was silent, or was refused.
    #[cold]
    fn feed_again(&mut self, index: u32) {
        let watches = self.watches.clone();
        let one = &mut self.series[index as usize];
        let labels = one.labels.clone();
        let mut known = std::mem::take(&mut one.feeds).into_vec();
        known.retain(|feed| self.groups[feed.group as usize].tenancy == feed.tenancy);
        let candidates = self.by_name.clone().candidates(&labels);
        let feed_of = |watch: usize| {
            let place = known.iter().position(|feed| self.groups[feed.group as usize].watch == watch);
            place.map(|place| known.swap_remove(place)).or_else(|| self.feed_of(watch, &watches[watch], &labels))
        };
        let feeds = candidates.into_iter().filter_map(feed_of).collect();
        self.series[index as usize].feeds = feeds;
        let is_refused = std::mem::take(&mut self.refusals) > 0;
        self.refused.extend(is_refused.then_some(index));
    }

    fn feed(&mut self, index: u32, row: &TapRow, seen_before_ms: Option<i64>) -> Fed {
        let is_known = |feed: &Feed| self.groups[feed.group as usize].tenancy == feed.tenancy;
        if !self.series[index as usize].feeds.iter().all(is_known) {
            self.feed_again(index);
        }
        let one = &mut self.series[index as usize];
        let volume = one.volume;
        let step = one.advance(row.timestamp_ms, row.value, self.jobs.unlearned_ms(), one.has_left(), &mut self.fading);
        if step != Step::Ignored {
            if let Some(seen_before_ms) = seen_before_ms {
                let behind_ms = seen_before_ms.saturating_sub(row.timestamp_ms);
                self.jobs.note(one.job, behind_ms.saturating_sub(one.lag_ms));
            }
            one.arrived(self.time.seen_ms(), self.jobs.unlearned_ms());
        }
        let standing = one.standing();
        // A backlog of long ago: it joins when it has come near the present, not to leave again at once.
        let is_past = step == Step::Begins
            && one.feeds.iter().any(|feed| {
                let group = &self.groups[feed.group as usize];
                group.is_past(&self.watches[group.watch].signal, row.timestamp_ms)
            });
        let mut is_late = is_past;
        for feed in &mut one.feeds {
            let group = &mut self.groups[feed.group as usize];
            let signal = &self.watches[group.watch].signal;
            match step {
                Step::Ignored => return Fed::Ignored,
                Step::Begins if is_past => {}
                Step::Begins => {
                    if feed.is_member {
                        group.leave_early(index, volume);
                    }
                    feed.is_member = true;
                    self.unsent.extend(group.join(index, feed.group, signal, standing.counts_from_ms));
                }
                Step::Continues(stretch) => is_late |= group.add(signal, &mut feed.lanes, stretch, standing),
                Step::Interrupted | Step::Ends => {}
            }
            if matches!(step, Step::Begins | Step::Interrupted) {
                keep_in_windows(signal, &mut feed.lanes, row);
            }
            if signal.tells_beats && !is_past && step != Step::Ends {
                self.unsent.push_back(Message::Beat { group: feed.group, at_ms: row.timestamp_ms });
            }
            if !group.is_touched {
                group.is_touched = true;
                self.touched.push(feed.group);
            }
        }
        if is_late { Fed::Late } else { Fed::InTime }
    }

    /// Closes what nobody holds open any more.
    fn advance(&mut self) {
        let seen_ms = self.time.seen_ms();
        self.jobs.pass(seen_ms);
        if let Some(news) = self.jobs.news() {
            self.shared.tell_lateness(self.index, news);
        }
        let mut touched = std::mem::take(&mut self.touched);
        self.unsent.reserve(touched.len().min(BATCH_COUNT_MAX));
        for &group in &touched {
            self.groups[group as usize].is_touched = false;
        }
        if !self.refused.is_empty() && seen_ms.saturating_sub(self.retried_ms) >= RETRY_INTERVAL_MS {
            self.retried_ms = seen_ms;
            self.retry();
        }
        if seen_ms.abs_diff(self.swept_ms) >= SWEEP_INTERVAL_MS {
            self.swept_ms = seen_ms;
            touched.iter().for_each(|&group| self.due_ms[group as usize] = i64::MIN);
            for group in 0..self.groups.len() {
                if self.due_ms[group] <= seen_ms {
                    self.close(group);
                }
            }
        } else {
            touched.iter().for_each(|&group| self.close(group as usize));
        }
        touched.clear();
        self.touched = touched;
        self.publish();
    }

    fn close(&mut self, index: usize) {
        let group = &mut self.groups[index];
        let signal = &self.watches[group.watch].signal;
        group.close(index as u32, signal, &mut self.series, self.time.seen_ms(), &self.jobs, &mut self.unsent);
        self.due_ms[index] = group.due_ms(signal, &self.series);
    }
}

/// A sample that continues nothing is one of its window all the same.
fn keep_in_windows(signal: &Signal, lanes: &mut [Lane], row: &TapRow) {
    for lane in lanes {
        if let (Rolled::OverTime(_), Some(window)) =
            (signal.operands[usize::from(lane.operand)].rolled, &mut lane.window)
        {
            window.push(signal.bucket_of(row.timestamp_ms), row.value);
        }
    }
}

/// Of places and since when each was silent, those that were for longest: a quarter, and one at least if there is any.
/// So many at once, lest a thousand new groups look through all of them a thousand times.
pub(super) fn longest_silent<P: Ord>(mut silent: Vec<(i64, P)>) -> Vec<P> {
    let count = silent.len().div_ceil(4);
    silent.sort_unstable();
    silent.into_iter().take(count).map(|(_, place)| place).collect()
}

/// What became of a row.
enum Fed {
    Ignored,
    InTime,
    Late,
}
