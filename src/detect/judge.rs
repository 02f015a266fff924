//! Merges what the workers say, and judges each bucket of each group once.
//!
//! ```text
//! worker 0:  feeds eu from 41 · 41 · 42 · 43     bucket 42 of eu is judged when both have told it, and when every
//! worker 1:  feeds eu from 42 · 42               worker has seen its start: a third one would have said "feeds eu"
//! ```
//!
//! Always true:
//! 1. Buckets of a group are judged in order, each once, also across a restart: what was judged before a checkpoint is
//!    dropped when the log is replayed.
//! 2. A bucket to which fewer than [`REPORTED_SHARE_MIN`] of the living series reported is not judged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::absence::Absence;
use super::alarm::Change;
use super::band::Band;
use super::calendar::{Calendar, Zone};
use super::explanation::Explanation;
use super::fixed::Fixed;
use super::group::{Message, Partial};
use super::hold::{Spell, Turn};
use super::measure::{Observed, Sums};
use super::model::{Closed, Day, Model};
use super::shared::{Metrics, Shared};
use super::signal::Signal;
use super::stride::Stride;
use super::suspect::Suspect;
use super::transition::{Direction, Firing, Transition};
use super::tuning::Tunings;
use super::{GROUPS_COUNT_MAX, Watch};
use crate::model::Labels;

/// Share of the living series that must have reported for a bucket to be judged.
pub(crate) const REPORTED_SHARE_MIN: f64 = 0.8;

/// Merges, judges, remembers.
pub struct Judge {
    pub(crate) watches: Arc<[Watch]>,
    /// Of each watch.
    pub(crate) tunings: Vec<Tunings>,
    pub(crate) zones: Vec<Arc<Zone>>,
    calendar: Arc<Calendar>,
    /// Of watches that wait for beats: the series by the index of their group.
    pub(crate) absences: Vec<Option<Absence<usize>>>,
    shared: Arc<Shared>,
    pub(crate) by_labels: Vec<HashMap<Arc<Labels>, usize>>,
    pub(crate) groups: Vec<Judged>,
    /// For each worker, the judge's group of each of the worker's.
    of_worker: Vec<HashMap<u32, usize>>,
    /// Groups that hold partial sums.
    waiting: Vec<usize>,
    /// Groups before this one are drawn.
    drawn_max: usize,
    bands: Vec<Band>,
}

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
    feeders: Vec<(usize, i64)>,
    partials: BTreeMap<i64, Partial>,
    is_waiting: bool,
}

impl Judge {
    pub(crate) fn new(watches: Arc<[Watch]>, shared: Arc<Shared>) -> Judge {
        let by_labels = watches.iter().map(|_| HashMap::new()).collect();
        let of_worker = shared.queues.iter().map(|_| HashMap::new()).collect();
        let mut judge = Judge {
            watches,
            tunings: Vec::new(),
            zones: Vec::new(),
            calendar: Arc::default(),
            absences: Vec::new(),
            shared,
            by_labels,
            groups: Vec::new(),
            of_worker,
            waiting: Vec::new(),
            drawn_max: 0,
            bands: Vec::new(),
        };
        judge.live_by(Zone::utc(), Calendar::default());
        judge
    }

    /// The clock by which days and weeks are learned where a watch has none of its own, and the days that are not like
    /// others. UTC and none by default. Call it before anything else.
    pub fn live_by(&mut self, zone: Zone, calendar: impl Into<Arc<Calendar>>) {
        let zone = Arc::new(zone);
        let zone_of = |watch: &Watch| watch.zone.clone().unwrap_or_else(|| zone.clone());
        self.zones = self.watches.iter().map(zone_of).collect();
        // Without a clock that changes, what comes an hour late twice a year is recognised on the next day.
        let has_clock = |zone: &Arc<Zone>| **zone != Zone::utc();
        let tunings =
            |(watch, zone): (&Watch, &Arc<Zone>)| Tunings::new(&watch.signal, &watch.options, has_clock(zone));
        self.tunings = self.watches.iter().zip(&self.zones).map(tunings).collect();
        let absence =
            |(watch, zone): (&Watch, &Arc<Zone>)| Some(Absence::new(watch.options.absence?, Zone::clone(zone)));
        self.absences = self.watches.iter().zip(&self.zones).map(absence).collect();
        self.calendar = calendar.into();
    }

    /// Another calendar for what is judged from now on, from the next minute of event time at the latest; what was judged
    /// stays as it was judged.
    pub fn excuse(&mut self, calendar: Arc<Calendar>) {
        self.calendar = calendar;
    }

    /// Takes in what the workers have sent, judges the buckets that are complete, and returns what began or ended,
    /// in the order of each group.
    pub fn poll(&mut self) -> Vec<Transition> {
        // Before the queues: what a worker sent about samples up to here is in them.
        let seen_by_all_ms = self.shared.seen_by_all_ms();
        let shared = self.shared.clone();
        let mut transitions = Vec::new();
        for (worker, queue) in shared.queues.iter().enumerate() {
            for _ in 0..queue.capacity() {
                let Some(message) = queue.pop() else { break };
                transitions.extend(self.take(worker, message));
            }
        }
        transitions.extend(self.miss(seen_by_all_ms));
        for _ in 0..shared.evaluated.len() {
            let Some(told) = shared.evaluated.pop() else { break };
            transitions.extend(self.observe_evaluated(told.watch, &told.labels, told.at_ms, told.value));
        }
        let waiting = std::mem::take(&mut self.waiting);
        for index in waiting {
            let group = &mut self.groups[index];
            let (watch, tunings) = (&self.watches[group.watch], &mut self.tunings[group.watch]);
            while let Some((bucket, partial)) = group.next_complete(&watch.signal, seen_by_all_ms) {
                let day = Day::at(watch.signal.end_ms(bucket), &self.zones[group.watch], &self.calendar);
                transitions.extend(group.judge(bucket, &partial, day, watch, tunings, &shared.metrics));
                if index < self.drawn_max {
                    self.bands.extend(group.band(watch.signal.end_ms(bucket), watch));
                }
            }
            group.is_waiting = !group.partials.is_empty();
            if group.is_waiting {
                self.waiting.push(index);
            }
        }
        transitions
    }

    /// Keeps from now on what the first so many groups were expected to be, for [`Judge::take_bands`].
    pub fn draw(&mut self, groups_max: usize) {
        self.drawn_max = groups_max;
    }

    /// The buckets that were judged since this was asked last, in the order of each group. Whoever lets them be drawn
    /// asks after each [`Judge::poll`], for they wait without a bound.
    pub fn take_bands(&mut self) -> Vec<Band> {
        std::mem::take(&mut self.bands)
    }

    /// The alerts that fire now.
    pub fn firing(&self) -> Vec<Firing> {
        let firing = |(group, direction, spell): (&Judged, Direction, Spell)| {
            group.firing(direction, spell, &self.watches[group.watch])
        };
        self.spells().map(firing).collect()
    }

    /// The alerts that fire now, each with the figures behind it.
    pub fn explained(&mut self) -> Vec<(Firing, Explanation)> {
        let (watches, mut tunings) = (self.watches.clone(), std::mem::take(&mut self.tunings));
        let explain = |(group, direction, spell): (&Judged, Direction, Spell)| {
            let (watch, tunings) = (&watches[group.watch], &mut tunings[group.watch]);
            (group.firing(direction, spell, watch), group.explain(direction, spell, spell.fired_ms, watch, tunings))
        };
        let explained = self.spells().map(explain).collect();
        self.tunings = tunings;
        explained
    }

    /// Groups that do not fire and soon may, so many at most.
    pub fn suspects(&self, count_max: usize) -> Vec<Suspect> {
        self.groups.iter().filter_map(|group| group.suspect(&self.watches[group.watch])).take(count_max).collect()
    }

    /// Every alert that there is.
    fn spells<'a>(&'a self) -> impl Iterator<Item = (&'a Judged, Direction, Spell)> {
        let of_group = |group: &'a Judged| group.spells().map(move |(direction, spell)| (group, direction, spell));
        let own = self.groups.iter().flat_map(of_group);
        let absences = self.absences.iter().flatten().flat_map(Absence::firing);
        own.chain(absences.map(|(index, spell)| (&self.groups[*index], Direction::Absent, spell)))
    }

    /// Counters of all workers, and the queues.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Judges a value that an evaluated watch has at a moment, a multiple of its interval; one that is not newer than
    /// the last of its group changes nothing.
    pub fn observe_evaluated(&mut self, watch: usize, labels: &Arc<Labels>, at_ms: i64, value: f64) -> Vec<Transition> {
        let known = &self.by_labels[watch];
        if !known.contains_key(labels) && known.len() >= GROUPS_COUNT_MAX {
            Metrics::add(&self.shared.metrics.groups_refused, 1);
            return Vec::new();
        }
        let index = self.group_of(watch, labels);
        let (group, tunings) = (&mut self.groups[index], &mut self.tunings[watch]);
        let (zone, watch) = (&self.zones[watch], &self.watches[watch]);
        let bucket = watch.signal.bucket_of(at_ms);
        if group.closed.is_some_and(|closed| bucket <= closed) {
            return Vec::new();
        }
        let partial = Partial {
            sums: Sums::of_value(value),
            live: 1,
            reported: 1,
            fresh: 1,
            interval_ms: watch.signal.bucket_ms,
            ..Partial::default()
        };
        let day = Day::at(watch.signal.end_ms(bucket), zone, &self.calendar);
        let told = group.judge(bucket, &partial, day, watch, tunings, &self.shared.metrics);
        if index < self.drawn_max {
            self.bands.extend(group.band(watch.signal.end_ms(bucket), watch));
        }
        told
    }

    fn take(&mut self, worker: usize, message: Message) -> Vec<Transition> {
        match message {
            Message::Feeds { group, watch, labels, from_bucket } => {
                let index = self.group_of(watch, &labels);
                self.of_worker[worker].insert(group, index);
                self.groups[index].expect_from(worker, from_bucket);
            }
            Message::Partial { group, bucket, partial } => {
                let index = self.of_worker[worker][&group];
                let group = &mut self.groups[index];
                group.take(worker, bucket, partial);
                if !group.is_waiting {
                    group.is_waiting = true;
                    self.waiting.push(index);
                }
            }
            Message::Skips { group, next } => {
                let index = self.of_worker[worker][&group];
                self.groups[index].tell_up_to(worker, next);
            }
            Message::Beat { group, at_ms } => {
                let index = self.of_worker[worker][&group];
                return self.beat(index, at_ms);
            }
            Message::Rests { group } => {
                let index = self.of_worker[worker][&group];
                self.groups[index].feeders.retain(|feeder| feeder.0 != worker);
            }
        }
        Vec::new()
    }

    fn beat(&mut self, index: usize, at_ms: i64) -> Vec<Transition> {
        let group = &self.groups[index];
        let Some(absence) = &mut self.absences[group.watch] else { return Vec::new() };
        let turns = absence.observe(&index, at_ms).unwrap_or_default();
        let (watch, tunings) = (&self.watches[group.watch], &mut self.tunings[group.watch]);
        turns.into_iter().map(|turn| group.tell(Direction::Absent, turn, watch, tunings)).collect()
    }

    /// Who is absent, now that every worker has seen this time. What a watch's watermark has passed it stays passed when
    /// samples are waited for longer.
    fn miss(&mut self, seen_by_all_ms: i64) -> Vec<Transition> {
        let shared = &self.shared;
        let absent =
            self.absences.iter_mut().enumerate().filter_map(|(watch, absence)| Some((watch, absence.as_mut()?)));
        let absent = absent
            .flat_map(|(watch, absence)| absence.advance(seen_by_all_ms.saturating_sub(shared.lateness_ms(watch))));
        let (groups, watches, tunings) = (&self.groups, &self.watches, &mut self.tunings);
        let tell = |(index, turn): (usize, Turn)| {
            let group = &groups[index];
            group.tell(Direction::Absent, turn, &watches[group.watch], &mut tunings[group.watch])
        };
        absent.map(tell).collect()
    }

    /// The group of these labels, a new one if need be.
    pub(crate) fn group_of(&mut self, watch: usize, labels: &Arc<Labels>) -> usize {
        if let Some(&index) = self.by_labels[watch].get(labels) {
            return index;
        }
        let index = self.groups.len();
        self.groups.push(Judged {
            watch,
            labels: labels.clone(),
            model: Model::new(self.tunings[watch].is_of_counts(), Stride::new()),
            fixed: Fixed::of(&self.watches[watch].options),
            closed: None,
            window: Vec::new(),
            feeders: Vec::new(),
            partials: BTreeMap::new(),
            is_waiting: false,
        });
        self.by_labels[watch].insert(labels.clone(), index);
        Metrics::add(&self.shared.metrics.groups, 1);
        index
    }
}

impl Judged {
    fn expect_from(&mut self, worker: usize, bucket: i64) {
        match self.feeders.iter_mut().find(|feeder| feeder.0 == worker) {
            Some(feeder) => feeder.1 = feeder.1.min(bucket),
            None => self.feeders.push((worker, bucket)),
        }
    }

    fn tell_up_to(&mut self, worker: usize, next: i64) {
        self.feeders.iter_mut().filter(|feeder| feeder.0 == worker).for_each(|feeder| feeder.1 = next);
    }

    fn take(&mut self, worker: usize, bucket: i64, partial: Partial) {
        self.tell_up_to(worker, bucket + 1);
        if self.closed.is_none_or(|closed| bucket > closed) {
            self.partials.entry(bucket).or_default().merge(partial);
        }
    }

    /// The oldest bucket, if nobody will add to it.
    fn next_complete(&mut self, signal: &Signal, seen_by_all_ms: i64) -> Option<(i64, Partial)> {
        let (&bucket, _) = self.partials.first_key_value()?;
        let is_told = self.feeders.iter().all(|&(_, next)| next > bucket);
        if !is_told || seen_by_all_ms < signal.end_ms(bucket) - signal.bucket_ms {
            return None;
        }
        self.partials.pop_first()
    }

    fn judge(
        &mut self,
        bucket: i64,
        partial: &Partial,
        day: Day,
        watch: &Watch,
        tunings: &mut Tunings,
        metrics: &Metrics,
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
        Metrics::add(&metrics.buckets_closed, 1);
        // Where events are counted among others, both sides grow with their sources.
        if !signal.has_exposure() {
            self.follow_sources(partial);
        }
        let observed = self.observed(partial, watch);
        Metrics::add(&metrics.buckets_unknown, usize::from(observed.is_none()));
        let at_ms = signal.end_ms(bucket);
        let closed = Closed {
            index: bucket,
            judged: observed.map(|observed| (&partial.sums, observed)),
            share: share_of(partial, signal),
            interval_ms: partial.interval_ms,
            day,
        };
        let outcome = self.model.observe(&closed, signal, &watch.options, tunings);
        let value = observed.map(|_| signal.value(&self.window));
        let turns = self.fixed.as_mut().map(|fixed| fixed.observe(at_ms, signal.bucket_ms, value, &watch.options));
        if outcome.is_anew {
            tracing::info!(labels = %self.labels, watch = watch.identity, "its series report at another interval: its season is learned anew");
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
        let observations = watch.signal.observations(&self.window);
        let is_enough = match observed {
            Observed::Count { .. } => share_of(partial, &watch.signal) > 0.0,
            Observed::Value(_) => observations.is_none_or(|count| count >= watch.options.min_volume),
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

impl Partial {
    fn merge(&mut self, other: Partial) {
        self.sums.merge(&other.sums);
        self.live += other.live;
        self.reported += other.reported;
        self.fresh += other.fresh;
        self.joined += other.joined;
        self.left += other.left;
        self.live_volume += other.live_volume;
        self.reported_volume += other.reported_volume;
        self.left_volume += other.left_volume;
        self.interval_ms = self.interval_ms.max(other.interval_ms);
    }
}
