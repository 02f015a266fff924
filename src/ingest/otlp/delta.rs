//! Deltas become running totals.
//!
//! A sender of deltas says "3 orders from 10:00 to 10:01, then 4 to 10:02"; stored are 3 at 10:01 and 7 at 10:02.
//!
//! ```text
//! (start, time] of a point    what is held: start S, last time T
//! start  = T                  follows:   added
//! start  > T                  a gap:     added; what comes later and lies within the gap is added too
//! S ≤ start < T < time        overlaps:  added, as the collector's deltatocumulative does
//! start, time of the last     sent again: nothing is added, the total is given again
//! start < S, or time ≤ T      too late:  refused, but for what fills a gap
//! ```
//!
//! What fills a gap was sent before what came first, and was told 503 then or took another way. Its time has a total
//! already, without it: it shows with the next point, and not before, so that the last point, sent again, gives the total
//! that it gave at first.
//!
//! A total changes when a point is read, not when its sample is stored: a request that is told 503 is sent again, is
//! recognised, and gives the same sample. One that is refused as a whole ([`DeltaRequest`] dropped, not committed)
//! changes nothing, so that its points may come again in other requests.
//!
//! Always true:
//! 1. No point is added twice.
//! 2. The totals held stand for at most `series_max` stored series: a number is one, a histogram of `n` buckets, of
//!    either kind, `n + 2`.
//!    What has filled gaps takes at most as much memory again, until the next point.
//! 3. What got no point for [`IDLE_MAX`] is forgotten when there is need, or within [`SWEEP_INTERVAL`] of further
//!    requests. What is forgotten, also by a restart, begins again at its next point: to PromQL a counter that was reset.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::{Mutex, MutexGuard};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::labels::Pair;
use super::message::PointHead;
use super::translate::PARTS_COUNT_MAX;
use crate::model::{FloatHistogram, SCHEMA_MIN};

/// After how much time without a point a total is forgotten.
const IDLE_MAX: Duration = Duration::from_secs(3600);
/// How often it is looked for such totals.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The same while there is no room for a new one.
const FULL_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Gaps that are remembered of one total; of more the oldest is forgotten, and nothing fills it.
const GAPS_MAX: usize = 16;

/// What is added up for one series of OpenTelemetry.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Total {
    Number(f64),
    Histogram(Box<HistogramTotal>),
    /// Of an exponential histogram.
    Native(Box<NativeTotal>),
}

/// The totals of an exponential histogram, in a layout that has room for all points so far.
#[derive(Clone, Debug)]
pub(super) struct NativeTotal(pub(super) FloatHistogram);

/// The totals of a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HistogramTotal {
    pub(super) count: u64,
    /// None as soon as one point has none.
    pub(super) sum: Option<f64>,
    pub(super) bounds: Box<[f64]>,
    /// One more than `bounds`, if the sender is right.
    pub(super) counts: Box<[u64]>,
}

/// Why a point is not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAdded {
    /// It lies before what is added up.
    TooLate,
    /// It begins a total for which there is no room.
    NoRoom,
}

/// A total under its key.
struct Held {
    start_ns: u64,
    /// Start and time of the last point.
    last: (u64, u64),
    /// Spans before that time of which no point has come, in their order.
    gaps: Vec<(u64, u64)>,
    seen: Duration,
    /// Up to the last point, as it was given then.
    total: Total,
    /// What has filled gaps since then.
    filled: Option<Total>,
}

/// All totals. One lock, held while one request is read.
pub(super) struct Deltas {
    series_max: usize,
    seed: u64,
    state: Mutex<State>,
    /// What `state` counted when it was last let go, for those who must not wait. Relaxed: it is a figure.
    series_count: AtomicUsize,
}

#[derive(Default)]
struct State {
    held: HashMap<u128, Held>,
    series_count: usize,
    swept: Duration,
}

/// The totals in the hands of one request, which takes the lock with its first delta.
pub(super) struct DeltaRequest<'a> {
    deltas: &'a Deltas,
    now: Duration,
    state: Option<MutexGuard<'a, State>>,
    /// What the totals were before this request, in the order of its changes.
    before: Vec<(u128, Option<Held>)>,
}

impl Deltas {
    /// Totals for at most `series_max` stored series.
    pub(super) fn new(series_max: usize) -> Deltas {
        // Drawn anew each start, so that nobody can prepare two series that share a total.
        let seed = std::hash::RandomState::new().hash_one(0_u64);
        Deltas { series_max, seed, state: Mutex::default(), series_count: AtomicUsize::new(0) }
    }

    /// How many stored series the totals stand for.
    pub(super) fn series_count(&self) -> usize {
        self.series_count.load(Ordering::Relaxed)
    }

    /// Begins a request; `now` is monotonic.
    pub(super) fn request(&self, now: Duration) -> DeltaRequest<'_> {
        DeltaRequest { deltas: self, now, state: None, before: Vec::new() }
    }
}

impl DeltaRequest<'_> {
    /// Adds a point and gives the total up to it; nothing if the point fills a gap.
    pub(super) fn add(
        &mut self,
        metric: &str,
        labels: &mut [Pair<'_>],
        head: PointHead,
        point: Total,
    ) -> Result<Option<&Total>, NotAdded> {
        let key = key(self.deltas.seed, point.kind(), metric, labels);
        let state = self.state.get_or_insert_with(|| self.deltas.state.lock());
        state.sweep(self.now, SWEEP_INTERVAL);
        if !state.has_room(&key, &point, self.deltas.series_max) {
            state.sweep(self.now, FULL_SWEEP_INTERVAL);
            if !state.has_room(&key, &point, self.deltas.series_max) {
                return Err(NotAdded::NoRoom);
            }
        }
        let added = state.add(key, head, point, self.now)?;
        let (is_last, before) = match added {
            Added::Again => (true, None),
            Added::Last(before) => (true, Some(before)),
            Added::InGap(before) => (false, Some(Some(before))),
        };
        self.before.extend(before.map(|before| (key, before)));
        Ok(is_last.then(|| &state.held[&key].total))
    }

    /// Keeps what was added.
    pub(super) fn commit(mut self) {
        self.before.clear();
    }
}

impl Drop for DeltaRequest<'_> {
    fn drop(&mut self) {
        let Some(state) = &mut self.state else { return };
        for (key, before) in self.before.drain(..).rev() {
            state.put(key, before);
        }
        self.deltas.series_count.store(state.series_count, Ordering::Relaxed);
    }
}

/// What became of a point, and what was held before.
enum Added {
    /// It is the last one once more: nothing.
    Again,
    /// It is the last one now.
    Last(Option<Held>),
    /// It lies before that.
    InGap(Held),
}

/// The gaps when a point follows that ends after `last_ns`. What it overlaps is no gap any more.
fn gaps_before(gaps: &[(u64, u64)], last_ns: u64, (start_ns, time_ns): (u64, u64)) -> Vec<(u64, u64)> {
    let new = (last_ns, start_ns.min(time_ns));
    let kept = gaps.iter().chain([&new]).map(|gap| (gap.0, gap.1.min(start_ns)));
    let mut kept: Vec<(u64, u64)> = kept.filter(|gap| gap.0 < gap.1).collect();
    kept.drain(..kept.len().saturating_sub(GAPS_MAX));
    kept
}

/// The gaps when a point fills one, or a part of it; `None` if it lies in none.
fn gaps_without(gaps: &[(u64, u64)], (start_ns, time_ns): (u64, u64)) -> Option<Vec<(u64, u64)>> {
    let is_around = |gap: &(u64, u64)| gap.0 <= start_ns && start_ns < time_ns && time_ns <= gap.1;
    let filled = gaps.iter().position(is_around)?;
    let (from_ns, to_ns) = gaps[filled];
    let rest = [(from_ns, start_ns), (time_ns, to_ns)].into_iter().filter(|gap| gap.0 < gap.1);
    let mut gaps = gaps.to_vec();
    gaps.splice(filled..=filled, rest);
    gaps.drain(..gaps.len().saturating_sub(GAPS_MAX));
    Some(gaps)
}

impl State {
    fn has_room(&self, key: &u128, point: &Total, series_max: usize) -> bool {
        let held = self.held.get(key);
        // A known histogram keeps its room unless its buckets change.
        let added = match held.map(|held| &held.total) {
            Some(total @ Total::Native(_)) => total.plus(point.clone()).series_count(),
            _ => point.series_count(),
        };
        self.series_count - held.map_or(0, |held| held.total.series_count()) + added <= series_max
    }

    fn add(&mut self, key: u128, head: PointHead, point: Total, now: Duration) -> Result<Added, NotAdded> {
        let span = (head.start_ns, head.time_ns);
        let mut place = match self.held.entry(key) {
            Entry::Vacant(place) => {
                self.series_count += point.series_count();
                let gaps = Vec::new();
                place.insert(Held { start_ns: span.0, last: span, gaps, seen: now, total: point, filled: None });
                return Ok(Added::Last(None));
            }
            Entry::Occupied(place) => place,
        };
        let held = place.get_mut();
        if held.last == span {
            held.seen = now;
            return Ok(Added::Again);
        }
        let is_last = span.1 > held.last.1;
        let (last, gaps) = match is_last {
            _ if span.0 < held.start_ns => return Err(NotAdded::TooLate),
            true => (span, gaps_before(&held.gaps, held.last.1, span)),
            false if !held.total.is_like(&point) => return Err(NotAdded::TooLate),
            false => (held.last, gaps_without(&held.gaps, span).ok_or(NotAdded::TooLate)?),
        };
        let (total, filled) = match (&held.filled, is_last) {
            (None, true) => (held.total.plus(point), None),
            (Some(filled), true) => (held.total.plus(filled.clone()).plus(point), None),
            (None, false) => (held.total.clone(), Some(point)),
            (Some(filled), false) => (held.total.clone(), Some(filled.plus(point))),
        };
        self.series_count = self.series_count + total.series_count() - held.total.series_count();
        let next = Held { start_ns: held.start_ns, last, gaps, seen: now, total, filled };
        let before = place.insert(next);
        Ok(if is_last { Added::Last(Some(before)) } else { Added::InGap(before) })
    }

    fn put(&mut self, key: u128, held: Option<Held>) {
        let added = held.as_ref().map_or(0, |held| held.total.series_count());
        let replaced = match held {
            Some(held) => self.held.insert(key, held),
            None => self.held.remove(&key),
        };
        self.series_count = self.series_count + added - replaced.map_or(0, |held| held.total.series_count());
    }

    /// Forgets what had no point for long, unless that was looked for a moment ago.
    fn sweep(&mut self, now: Duration, interval: Duration) {
        if now.saturating_sub(self.swept) < interval {
            return;
        }
        self.swept = now;
        self.held.retain(|_, held| now.saturating_sub(held.seen) < IDLE_MAX);
        self.series_count = self.held.values().map(|held| held.total.series_count()).sum();
    }
}

impl Total {
    /// How many stored series it becomes: of a histogram its count and sum too.
    fn series_count(&self) -> usize {
        match self {
            Total::Number(_) => 1,
            Total::Histogram(total) => total.counts.len().max(total.bounds.len() + 1) + 2,
            Total::Native(total) => total.0.buckets_count() + 2,
        }
    }

    /// Part of the key, so that a total is always of the kind of the points that are given for it.
    fn kind(&self) -> u8 {
        match self {
            Total::Number(_) => 0,
            Total::Histogram(_) => 1,
            Total::Native(_) => 2,
        }
    }

    /// Whether a point can be added without a new beginning.
    fn is_like(&self, point: &Total) -> bool {
        match (self, point) {
            (Total::Histogram(total), Total::Histogram(point)) => total.bounds == point.bounds,
            (total, point) => total.kind() == point.kind(),
        }
    }

    /// The total with a point added. What cannot be added up, as its buckets have other bounds, begins anew.
    fn plus(&self, point: Total) -> Total {
        match (self, point) {
            (Total::Number(total), Total::Number(number)) => Total::Number(total + number),
            (Total::Histogram(total), Total::Histogram(point)) if total.bounds == point.bounds => {
                Total::Histogram(Box::new(total.plus(&point)))
            }
            (Total::Native(total), Total::Native(point)) => Total::Native(Box::new(total.plus(&point))),
            (_, point) => point,
        }
    }
}

impl PartialEq for NativeTotal {
    fn eq(&self, other: &NativeTotal) -> bool {
        self.0.same_bits(&other.0)
    }
}

impl NativeTotal {
    /// In the coarser of both layouts, or in one that is coarser yet, so that it has no more buckets than a point may have.
    fn plus(&self, point: &NativeTotal) -> NativeTotal {
        let mut total = self.0.clone();
        total.add(&point.0).expect("both have exponential buckets");
        while total.buckets_count() > 2 * PARTS_COUNT_MAX && total.schema > SCHEMA_MIN {
            total.reduce_resolution(total.schema - 1);
        }
        // As far apart as no two observations are: a new beginning.
        if total.buckets_count() > 2 * PARTS_COUNT_MAX { point.clone() } else { NativeTotal(total) }
    }
}

impl HistogramTotal {
    fn plus(&self, point: &HistogramTotal) -> HistogramTotal {
        let counts = self.counts.iter().zip(&point.counts).map(|(total, count)| total.wrapping_add(*count));
        HistogramTotal {
            count: self.count.wrapping_add(point.count),
            sum: self.sum.zip(point.sum).map(|(total, sum)| total + sum),
            bounds: self.bounds.clone(),
            counts: counts.collect(),
        }
    }
}

/// Names the total of a metric of this kind with these labels, which are sorted for it.
fn key(seed: u64, kind: u8, metric: &str, labels: &mut [Pair<'_>]) -> u128 {
    labels.sort_unstable();
    let mut bytes = Vec::with_capacity(256);
    bytes.push(kind);
    let texts = labels.iter().flat_map(|(name, value)| [&**name, &**value]);
    for text in std::iter::once(metric).chain(texts) {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh3_128_with_seed(&bytes, seed)
}
