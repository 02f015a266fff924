//! The part of a group's buckets that one worker adds up.
//!
//! ```text
//! bucket        41      42      43
//! node 1   ──────┼───────┼──▶                members: 1, 2, 3
//! node 2   ──────┼───────┼───────┼▶          41 and 42 are closed when node 3 arrives beyond their ends,
//! node 3   ────▶ ┊       ┊       ┊           or is overdue; then a `Partial` of each leaves for the judge
//! ```
//!
//! Always true:
//! 1. Buckets close in order, each once; what comes for a closed bucket is counted as late and dropped.
//! 2. A group without members rests: it closes nothing and tells the judge not to wait for it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::lateness::Jobs;
use super::measure::{Sum, Sums};
use super::series::{LOOKBACK_MS, Lane, Series, Standing, Stretch};
use super::signal::{Fold, OverTime, Rolled, Signal};
use crate::model::Labels;

/// Most buckets that may be open; what lies further ahead is not counted.
const OPEN_BUCKETS_MAX: i64 = 4096;

/// What a worker tells the judge, in order.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// From this bucket on, which may be earlier than it said before, the worker feeds the group; its `group` index is
    /// its own.
    Feeds { group: u32, watch: usize, labels: Arc<Labels>, from_bucket: i64 },
    /// One closed bucket.
    Partial { group: u32, bucket: i64, partial: Partial },
    /// The worker has nothing to say of the buckets before this one, as after a pause.
    Skips { group: u32, next: i64 },
    /// Nothing of this worker feeds the group any more.
    Rests { group: u32 },
    /// The worker, which does not feed the group, gives its place to another.
    Leaves { group: u32 },
    /// A sample of a series whose samples are beats; each is told as it comes, in the order of time.
    Beat { group: u32, at_ms: i64 },
}

impl Message {
    /// The index that the worker has for the group.
    pub(crate) fn group(&self) -> u32 {
        let (Message::Feeds { group, .. }
        | Message::Partial { group, .. }
        | Message::Skips { group, .. }
        | Message::Rests { group }
        | Message::Leaves { group }
        | Message::Beat { group, .. }) = self;
        *group
    }
}

/// One worker's share of one closed bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Partial {
    pub sums: Sums,
    /// Living series, and those of them that reported beyond the bucket's end.
    pub live: u32,
    pub reported: u32,
    /// Of the reporting, those that had a sample in the bucket itself.
    pub fresh: u32,
    /// Series that count from this bucket on, and their absence before it.
    pub joined: u32,
    /// Usual volume of the living, of the reporting, and of those that left at this bucket.
    pub live_volume: f64,
    pub reported_volume: f64,
    pub left_volume: f64,
    /// The series that left, in number.
    pub left: u32,
    /// The longest distance between samples of a reporting series, in ms.
    pub interval_ms: i64,
    /// The shortest beat of the values of a reporting series, in ms; 0 while one has none: then something new comes with
    /// every sample.
    pub refresh_ms: u32,
}

/// A bucket that is being filled. What is counted here is counted as the samples come, not as the bucket closes, so
/// that it does not depend on when that is.
#[derive(Clone, Debug, Default)]
struct OpenBucket {
    /// Of the first lane the amount, and the series that reported beyond the bucket's end; and those of the other lanes. Most
    /// groups have one lane, and their buckets cost no allocation.
    amount: f64,
    count: u32,
    others: Vec<(f64, u32)>,
    /// Series that reported beyond its end, their usual volume then, the longest of their intervals, and the shortest beat
    /// of their values.
    reported: u32,
    fresh: u32,
    volume: f64,
    interval_ms: i64,
    refresh_ms: u32,
}

impl OpenBucket {
    /// Amount and count of a lane.
    #[inline]
    fn lane(&mut self, lane: u32) -> (&mut f64, &mut u32) {
        if lane == 0 {
            return (&mut self.amount, &mut self.count);
        }
        let (amount, count) = &mut self.others[lane as usize - 1];
        (amount, count)
    }
}

/// A worker's side of a group.
#[derive(Debug)]
pub(crate) struct Group {
    pub watch: usize,
    pub labels: Arc<Labels>,
    /// Which of the groups that have had this place it is.
    pub tenancy: u32,
    /// The event time at which it got its place; `i64::MIN` before the first sample of all.
    placed_ms: i64,
    /// Indices of the series that live, or just ceased to.
    members: Vec<u32>,
    /// Members before this one do not hold the next bucket open.
    checked: usize,
    /// Operand and upper bound of the lanes.
    lanes: Vec<(u16, f64)>,
    /// Buckets before this one can be opened no more.
    closed_before: i64,
    /// The next bucket to close, and the sums of it and those behind it, by lane.
    next: i64,
    open: VecDeque<OpenBucket>,
    /// Room for the other lanes of a bucket, left by one that was closed.
    spare: Vec<(f64, u32)>,
    is_resting: bool,
    /// Of members that came back before their leaving was told.
    left_early: (u32, f64),
    /// Whether the worker has it on its list for the end of the batch.
    pub is_touched: bool,
}

impl Group {
    pub(crate) fn new(watch: usize, labels: Arc<Labels>, tenancy: u32, placed_ms: i64) -> Group {
        Group {
            watch,
            labels,
            tenancy,
            placed_ms,
            members: Vec::new(),
            checked: 0,
            lanes: Vec::new(),
            closed_before: i64::MIN,
            next: 0,
            open: VecDeque::new(),
            spare: Vec::new(),
            is_resting: true,
            left_early: (0, 0.0),
            is_touched: false,
        }
    }

    /// A look at what the next sample changes and the next bucket takes: what comes of it means nothing.
    pub(crate) fn glimpse(&self) -> u64 {
        let open = self.open.front();
        let reported = open.map_or(0, |open| open.reported ^ open.count);
        let lane = self.lanes.first().map_or(0, |lane| u32::from(lane.0));
        let member = self.members.first().copied().unwrap_or(0);
        self.next.cast_unsigned() ^ u64::from(reported ^ lane ^ member ^ self.left_early.0)
    }

    /// The lane of an operand's upper bound, a new one if need be.
    pub(crate) fn lane_of(&mut self, operand: u16, bound: f64) -> u32 {
        let lane = self.lanes.iter().position(|&known| known == (operand, bound)).unwrap_or_else(|| {
            self.lanes.push((operand, bound));
            self.lanes.len() - 1
        });
        u32::try_from(lane).expect("a group has fewer lanes than 32 bits count")
    }

    /// A series becomes a member; it counts from `counts_from_ms`.
    #[cold]
    pub(crate) fn join(&mut self, index: u32, group: u32, signal: &Signal, counts_from_ms: i64) -> Option<Message> {
        self.members.push(index);
        let from_bucket = signal.first_whole_bucket(counts_from_ms).max(self.closed_before);
        if !self.is_resting && from_bucket >= self.next {
            return None;
        }
        if self.is_resting || self.next - from_bucket > OPEN_BUCKETS_MAX {
            self.open.clear();
        } else {
            // It was heard later than others that began later.
            (from_bucket..self.next).for_each(|_| self.open.push_front(OpenBucket::default()));
        }
        (self.is_resting, self.next, self.checked) = (false, from_bucket, 0);
        Some(Message::Feeds { group, watch: self.watch, labels: self.labels.clone(), from_bucket })
    }

    /// While it rests, the end of the last bucket that it told of, or when it got its place.
    pub(crate) fn silent_since_ms(&self, signal: &Signal) -> Option<i64> {
        let has_told = self.closed_before > i64::MIN;
        let since_ms = if has_told { signal.end_ms(self.closed_before - 1) } else { self.placed_ms };
        (self.is_resting && !self.is_touched && since_ms > i64::MIN).then_some(since_ms)
    }

    /// Whether a series whose newest sample is this one would leave with the next bucket.
    pub(crate) fn is_past(&self, signal: &Signal, timestamp_ms: i64) -> bool {
        self.closed_before > i64::MIN && signal.end_ms(self.closed_before) > timestamp_ms.saturating_add(LOOKBACK_MS)
    }

    /// A member begins anew before its leaving was told.
    #[cold]
    pub(crate) fn leave_early(&mut self, index: u32, volume: f64) {
        self.members.retain(|&member| member != index);
        self.checked = 0;
        self.left_early.0 += 1;
        self.left_early.1 += volume;
    }

    /// Adds a stretch of a series. Returns whether a part of it came too late, or hours too early.
    pub(crate) fn add(&mut self, signal: &Signal, lanes: &mut [Lane], stretch: Stretch, of: Standing) -> bool {
        let start = bucket_near(self.next, stretch.from_ms + 1, signal);
        // The last bucket that it reaches, and the last beyond whose end it reports.
        let last = bucket_near(start, stretch.to_ms, signal);
        let last_passed = if stretch.to_ms == signal.end_ms(last) { last } else { last - 1 };
        let counts_before = of.counts_from_ms <= signal.end_ms(start - 1);
        let first_counting =
            if counts_before { start } else { start.max(signal.first_whole_bucket(of.counts_from_ms)) };
        let is_far = last - self.next >= OPEN_BUCKETS_MAX;
        let first = if is_far { last + 1 } else { first_counting.max(self.next) };
        for lane in lanes {
            let operand = &signal.operands[usize::from(lane.operand)];
            match (operand.rolled, &mut lane.window) {
                (Rolled::Flow { .. }, _) => {
                    for bucket in first..last + 1 {
                        let (amount, count) = self.open_bucket(bucket).lane(lane.index);
                        *amount += share(signal, bucket, stretch);
                        *count += u32::from(bucket <= last_passed);
                    }
                }
                (Rolled::Last, _) => {
                    for bucket in first..last_passed + 1 {
                        self.fold(bucket, lane.index, operand.fold, stretch.value_at(signal.end_ms(bucket)));
                    }
                }
                (Rolled::Slope, _) => {
                    for bucket in first..last_passed + 1 {
                        let slope = stretch.slope_at(signal.end_ms(bucket), operand.range_ms);
                        slope.into_iter().for_each(|slope| self.fold(bucket, lane.index, operand.fold, slope));
                    }
                }
                (Rolled::Increase { per_second }, Some(window)) => {
                    let unit = if per_second { 1000.0 / operand.range_ms as f64 } else { 1.0 };
                    for bucket in start..last + 1 {
                        window.push(bucket, share(signal, bucket, stretch));
                        if (first..=last_passed).contains(&bucket) {
                            let increase = window.value(OverTime::Sum, bucket).unwrap_or(0.0);
                            self.fold(bucket, lane.index, operand.fold, increase * unit);
                        }
                    }
                }
                (Rolled::OverTime(over), Some(window)) => {
                    for bucket in start..last + 1 {
                        if bucket == last {
                            window.push(bucket, stretch.to_value);
                        }
                        if (first..=last_passed).contains(&bucket) {
                            let value = window.value(over, bucket);
                            value.into_iter().for_each(|value| self.fold(bucket, lane.index, operand.fold, value));
                        }
                    }
                }
                (Rolled::Increase { .. } | Rolled::OverTime(_), None) => {
                    unreachable!("such lanes are made with a window")
                }
            }
        }
        self.report(signal, first..last_passed + 1, stretch, of);
        let last = if signal.has_flows { last } else { last_passed };
        is_far || (first_counting <= last && first_counting < self.next)
    }

    /// A series has reported beyond the ends of these buckets.
    fn report(&mut self, signal: &Signal, buckets: Range<i64>, stretch: Stretch, of: Standing) {
        for bucket in buckets {
            let end_ms = signal.end_ms(bucket);
            let open = self.open_bucket(bucket);
            open.refresh_ms = if open.reported == 0 { of.refresh_ms } else { open.refresh_ms.min(of.refresh_ms) };
            open.reported += 1;
            open.fresh += u32::from(stretch.to_ms == end_ms || stretch.from_ms > end_ms - signal.bucket_ms);
            open.volume += of.volume;
            open.interval_ms = open.interval_ms.max(of.interval_ms);
        }
    }

    /// A series has this value at the end of a bucket.
    fn fold(&mut self, bucket: i64, lane: u32, fold: Fold, value: f64) {
        let (amount, count) = self.open_bucket(bucket).lane(lane);
        *amount = if *count == 0 { value } else { fold.put_together(*amount, value) };
        *count += 1;
    }

    #[inline]
    fn open_bucket(&mut self, bucket: i64) -> &mut OpenBucket {
        let index = usize::try_from(bucket - self.next).expect("closed buckets are skipped by the caller");
        while self.open.len() <= index {
            self.open.push_back(OpenBucket::default());
        }
        let open = &mut self.open[index];
        if open.others.len() + 1 < self.lanes.len() {
            if open.others.capacity() == 0 {
                open.others = std::mem::take(&mut self.spare);
            }
            open.others.resize(self.lanes.len() - 1, (0.0, 0));
        }
        open
    }

    /// Closes every bucket that nobody holds open, and says so.
    pub(crate) fn close(
        &mut self,
        group: u32,
        signal: &Signal,
        series: &mut [Series],
        seen_ms: i64,
        jobs: &Jobs,
        told: &mut VecDeque<Message>,
    ) {
        let mut is_skipping = false;
        while !self.is_resting && self.is_next_complete(signal, series, seen_ms, jobs) {
            is_skipping = !self.tell_next(group, signal, series, told);
            if self.members.is_empty() {
                self.is_resting = true;
                self.open.clear();
                told.push_back(Message::Rests { group });
            }
        }
        if is_skipping && !self.is_resting {
            told.push_back(Message::Skips { group, next: self.next });
        }
    }

    /// The event time before which it closes nothing more, unless a series of it or of its past says something: known after
    /// [`Group::close`], and for certain, however long samples are waited for that are late.
    pub(crate) fn due_ms(&self, signal: &Signal, series: &[Series]) -> i64 {
        if self.is_resting {
            return i64::MAX;
        }
        let end_ms = signal.end_ms(self.next);
        let next = self.members.get(self.checked).map(|&member| &series[member as usize]);
        let held_ms = next.filter(|one| is_awaited(one, end_ms, signal.bucket_ms)).map(Series::awaited_until_ms);
        end_ms.max(held_ms.unwrap_or(i64::MIN))
    }

    fn is_next_complete(&mut self, signal: &Signal, series: &[Series], seen_ms: i64, jobs: &Jobs) -> bool {
        let end_ms = signal.end_ms(self.next);
        if seen_ms < end_ms {
            return false;
        }
        while let Some(&member) = self.members.get(self.checked) {
            let one = &series[member as usize];
            if is_awaited(one, end_ms, signal.bucket_ms) && !one.is_overdue(seen_ms, jobs.waited_ms(one)) {
                return false;
            }
            self.checked += 1;
        }
        true
    }

    /// Closes the next bucket, and says what it has, if there was anybody in it. Whether there was.
    fn tell_next(&mut self, group: u32, signal: &Signal, series: &mut [Series], told: &mut VecDeque<Message>) -> bool {
        let (bucket, end_ms) = (self.next, signal.end_ms(self.next));
        let open = self.open.pop_front().unwrap_or_default();
        let (left, left_volume) = std::mem::take(&mut self.left_early);
        let mut counts = Counts { live: open.reported, live_volume: open.volume, left, left_volume, joined: 0 };
        if !self.members.iter().all(|&member| has_reported(&series[member as usize], end_ms, signal.bucket_ms)) {
            counts = self.count_members(counts, group, end_ms, signal.bucket_ms, series);
        }
        self.next += 1;
        (self.closed_before, self.checked) = (self.next, 0);
        let is_told = counts.live > 0 || counts.left > 0;
        if is_told {
            let Counts { live, live_volume, joined, left, left_volume } = counts;
            let OpenBucket { reported, fresh, volume: reported_volume, interval_ms, refresh_ms, .. } = open;
            let sums = match self.lanes[..] {
                [lane] => Sums::One(sum_of(lane, (open.amount, open.count), signal)),
                _ => self.sums(open, signal),
            };
            let partial = Partial {
                sums,
                live,
                reported,
                fresh,
                joined,
                live_volume,
                reported_volume,
                left_volume,
                left,
                interval_ms,
                refresh_ms,
            };
            told.push_back(Message::Partial { group, bucket, partial });
        }
        is_told
    }

    /// Enters the members that did not report, that joined or that left; the latter are members no more.
    #[cold]
    fn count_members(
        &mut self,
        mut counts: Counts,
        group: u32,
        end_ms: i64,
        bucket_ms: i64,
        series: &mut [Series],
    ) -> Counts {
        self.members.retain(|&member| {
            let one = &mut series[member as usize];
            let stays = counts.enter(one, end_ms, bucket_ms);
            if !stays {
                one.leave(group);
            }
            stays
        });
        counts
    }

    /// What a bucket of several lanes comes to; its room is kept.
    fn sums(&mut self, mut open: OpenBucket, signal: &Signal) -> Sums {
        open.others.resize(self.lanes.len().saturating_sub(1), (0.0, 0));
        let totals = std::iter::once((open.amount, open.count)).chain(open.others.iter().copied());
        let sums = self.lanes.iter().zip(totals).map(|(&lane, total)| sum_of(lane, total, signal)).collect();
        open.others.clear();
        self.spare = open.others;
        Sums::of(sums)
    }
}

fn sum_of((operand, bound): (u16, f64), (amount, count): (f64, u32), signal: &Signal) -> Sum {
    Sum { operand, bound, fold: signal.operands[usize::from(operand)].fold, amount, count }
}

/// The bucket of a moment that lies in this one or the next, as most do: a division less; or else wherever it lies.
fn bucket_near(bucket: i64, timestamp_ms: i64, signal: &Signal) -> i64 {
    let into_ms = timestamp_ms.saturating_sub(signal.end_ms(bucket - 1));
    if (1..=signal.bucket_ms).contains(&into_ms) {
        bucket
    } else if (1..=signal.bucket_ms).contains(&(into_ms - signal.bucket_ms)) {
        bucket + 1
    } else {
        signal.bucket_of(timestamp_ms)
    }
}

/// Whether a member has more to say of a bucket, if it comes in time.
fn is_awaited(one: &Series, end_ms: i64, bucket_ms: i64) -> bool {
    one.last_ms < end_ms && one.ended_ms.is_none() && one.counts_from_ms <= end_ms - bucket_ms
}

/// Whether a member has counted for longer than this bucket and reported beyond its end, so that nothing more is to be said
/// of it.
fn has_reported(one: &Series, end_ms: i64, bucket_ms: i64) -> bool {
    one.last_ms >= end_ms && one.ended_ms.is_none() && one.counts_from_ms <= end_ms - 2 * bucket_ms
}

/// The members of a bucket in number, and their usual volume; as in [`Partial`].
struct Counts {
    live: u32,
    live_volume: f64,
    joined: u32,
    left: u32,
    left_volume: f64,
}

impl Counts {
    /// Enters a member that did not report, that joined or that left. Returns whether it stays a member.
    fn enter(&mut self, one: &Series, end_ms: i64, bucket_ms: i64) -> bool {
        let start_ms = end_ms - bucket_ms;
        let counted_before = one.counted_until_ms > i64::MIN;
        let counts = one.counts_from_ms <= start_ms;
        let is_gone = match one.ended_ms {
            Some(ended_ms) => end_ms > ended_ms,
            None => end_ms > one.last_ms.saturating_add(one.silence_ms()),
        };
        if is_gone {
            if counts || counted_before {
                self.left += 1;
                self.left_volume += one.volume;
            }
            return false;
        }
        if counts && start_ms - one.counts_from_ms < bucket_ms && !counted_before {
            self.joined += 1;
        }
        let (until_ms, volume) =
            if counts { (one.last_ms, one.volume) } else { (one.counted_until_ms, one.counted_volume) };
        if (counts || counted_before) && until_ms < end_ms {
            self.live += 1;
            self.live_volume += volume;
        }
        true
    }
}

/// The part of a counter's increment that falls into a bucket, spread evenly over the stretch.
fn share(signal: &Signal, bucket: i64, stretch: Stretch) -> f64 {
    let end_ms = signal.end_ms(bucket);
    let overlap_ms = stretch.to_ms.min(end_ms) - stretch.from_ms.max(end_ms - signal.bucket_ms);
    stretch.increment() * overlap_ms as f64 / (stretch.to_ms - stretch.from_ms) as f64
}
