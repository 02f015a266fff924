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
//! 2. A group that waits for a worker costs nothing until that worker tells something of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::absence::Absence;
use super::band::Band;
use super::calendar::{Calendar, Zone};
use super::explanation::Explanation;
use super::fixed::Fixed;
use super::group::{Message, Partial};
use super::hold::Spell;
use super::judged::{Judged, Tally};
use super::measure::Sums;
use super::model::{Day, Model};
use super::shared::{Metrics, Shared};
use super::stride::Stride;
use super::suspect::Suspect;
use super::transition::{Direction, Firing, Transition};
use super::tuning::Tunings;
use super::unheard::UNHEARD_MS_MAX;
use super::worker::{RETRY_INTERVAL_MS, SILENT_MS_MIN, longest_silent};
use super::{GROUPS_COUNT_MAX, Watch};
use crate::model::Labels;

/// Groups whose state is fetched together.
const GROUPS_AHEAD: usize = 16;
/// So many groups, or series of a worker, lie in the processor's cache.
pub(super) const CACHED_COUNT: usize = 8_000;

/// Merges, judges, remembers.
pub struct Judge {
    pub(crate) watches: Arc<[Watch]>,
    /// Of each watch.
    pub(crate) tunings: Vec<Tunings>,
    pub(crate) zones: Vec<Arc<Zone>>,
    calendar: Arc<Calendar>,
    /// Of watches that wait for beats: the series by the index of their group.
    pub(crate) absences: Vec<Option<Absence<usize>>>,
    /// Those watches.
    awaiting: Vec<usize>,
    pub(super) shared: Arc<Shared>,
    pub(crate) by_labels: Vec<HashMap<Arc<Labels>, usize>>,
    pub(crate) groups: Vec<Judged>,
    /// For each worker, the judge's group of each of the worker's, which it numbers as they come; none: it is not fed, or was refused.
    of_worker: Vec<Vec<Option<usize>>>,
    /// Places among the groups whose group was let go of.
    vacant: Vec<usize>,
    /// Of each watch that is evaluated the event time before which nobody is looked for who could make room.
    full_until_ms: Vec<i64>,
    /// Groups that a worker has let go of, and when they were looked at last: the event time that all had seen.
    leaving: Vec<usize>,
    pub(super) looked_ms: i64,
    /// When those that fire and of which nothing comes were looked for last.
    pub(super) given_up_ms: i64,
    /// How long what fires is kept of which nothing comes, in ms of event time.
    pub(super) unheard_max_ms: i64,
    /// The group behind which it is asked next whether it was removed.
    pub(super) asked_index: usize,
    /// The event time that all had seen at the last poll, and since when it goes on without a jump.
    pub(super) polled_ms: i64,
    pub(super) steady_since_ms: i64,
    /// Groups that hold partial sums, but for those that wait for a worker to tell more.
    waiting: Vec<usize>,
    /// Groups before this one are drawn.
    drawn_max: usize,
    bands: Vec<Band>,
}

/// What one [`Judge::poll`] comes to.
#[derive(Default)]
struct Round {
    seen_by_all_ms: i64,
    /// Whether nobody begins to feed a group.
    is_settled: bool,
    /// Of a watch and the end of a bucket, the day that was asked for last.
    today: Option<(usize, i64, Day)>,
    tally: Tally,
    transitions: Vec<Transition>,
}

impl Judge {
    pub(crate) fn new(watches: Arc<[Watch]>, shared: Arc<Shared>) -> Judge {
        let by_labels = watches.iter().map(|_| HashMap::new()).collect();
        let full_until_ms = vec![i64::MIN; watches.len()];
        let of_worker = vec![Vec::new(); shared.worker_count()];
        let mut judge = Judge {
            watches,
            tunings: Vec::new(),
            zones: Vec::new(),
            calendar: Arc::default(),
            absences: Vec::new(),
            awaiting: Vec::new(),
            shared,
            by_labels,
            groups: Vec::new(),
            of_worker,
            vacant: Vec::new(),
            full_until_ms,
            leaving: Vec::new(),
            looked_ms: i64::MIN,
            given_up_ms: i64::MIN,
            unheard_max_ms: UNHEARD_MS_MAX,
            asked_index: 0,
            polled_ms: i64::MIN,
            steady_since_ms: i64::MIN,
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
        self.awaiting = (0..self.absences.len()).filter(|&watch| self.absences[watch].is_some()).collect();
        self.calendar = calendar.into();
    }

    /// For how long an alert is kept of whose group nothing comes, in ms of event time; half a day by default.
    pub fn keep_unheard(&mut self, max_ms: i64) {
        self.unheard_max_ms = max_ms;
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
        let mut round = Round { seen_by_all_ms, ..Round::default() };
        let shared = self.shared.clone();
        let batches = shared.receive();
        // Whoever is about to feed a group is known before any bucket of it is judged.
        let is_feeding = |message: &Message| matches!(message, Message::Feeds { .. });
        round.is_settled = !batches.iter().flat_map(|(_, batch)| batch).any(is_feeding);
        for (worker, mut batch) in batches {
            for next in batch.chunks_mut(GROUPS_AHEAD) {
                self.foresee(next.iter().filter_map(|message| self.group_at(worker, message.group())));
                next.iter_mut().for_each(|message| self.take(worker, message, &mut round));
            }
        }
        round.transitions.extend(self.miss(seen_by_all_ms));
        for _ in 0..shared.evaluated.len() {
            let Some(told) = shared.evaluated.pop() else { break };
            round.transitions.extend(self.observe_evaluated(told.watch, &told.labels, told.at_ms, told.value));
        }
        self.judge_complete(&mut round);
        self.end_all_removed(&mut round.transitions);
        self.look_after_unheard(seen_by_all_ms, &mut round.transitions);
        round.tally.enter(&self.shared.metrics);
        round.transitions
    }

    /// Judges what waited for others, and nobody will add to any more.
    fn judge_complete(&mut self, round: &mut Round) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let (mut count, mut at) = (0, 0);
        while let Some(&index) = waiting.get(at) {
            if at.is_multiple_of(GROUPS_AHEAD) {
                self.foresee(waiting[at..].iter().take(GROUPS_AHEAD).copied());
            }
            at += 1;
            while let Some((bucket, partial)) = self.next_complete(index, round.seen_by_all_ms) {
                self.judge(index, bucket, &partial, round);
            }
            let group = &mut self.groups[index];
            group.is_waiting = group.is_told();
            if group.is_waiting {
                waiting[count] = index;
                count += 1;
            }
        }
        waiting.truncate(count);
        self.waiting = waiting;
    }

    fn next_complete(&mut self, index: usize, seen_by_all_ms: i64) -> Option<(i64, Partial)> {
        let group = &mut self.groups[index];
        group.next_complete(&self.watches[group.watch].signal, seen_by_all_ms)
    }

    /// Judges a bucket to which nobody will add any more.
    fn judge(&mut self, index: usize, bucket: i64, partial: &Partial, round: &mut Round) {
        let group = &mut self.groups[index];
        let (watch, tunings) = (&self.watches[group.watch], &mut self.tunings[group.watch]);
        let end_ms = watch.signal.end_ms(bucket);
        // Buckets end together, whoever's they are.
        let day = match round.today {
            Some((of, at_ms, day)) if (of, at_ms) == (group.watch, end_ms) => day,
            _ => Day::at(end_ms, &self.zones[group.watch], &self.calendar),
        };
        round.today = Some((group.watch, end_ms, day));
        let mut told = group.judge(bucket, partial, day, watch, tunings, &mut round.tally);
        round.transitions.append(&mut told);
        if index < self.drawn_max {
            self.bands.extend(group.band(end_ms, watch));
        }
    }

    /// Looks at the groups that are next, so that the processor fetches the state of all of them at once and not of one
    /// after the other. Few groups lie in its cache anyway.
    fn foresee(&self, next: impl Iterator<Item = usize>) {
        if self.groups.len() > CACHED_COUNT {
            std::hint::black_box(next.fold(0, |seen, index| seen ^ self.groups[index].glimpse()));
        }
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
        if !known.contains_key(labels) && known.len() >= GROUPS_COUNT_MAX && !self.make_room(watch, at_ms) {
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
        let mut tally = Tally::default();
        let told = group.judge(bucket, &partial, day, watch, tunings, &mut tally);
        tally.enter(&self.shared.metrics);
        if index < self.drawn_max {
            self.bands.extend(group.band(watch.signal.end_ms(bucket), watch));
        }
        told
    }

    /// The group that a worker calls so; none: it was refused, or never fed.
    fn group_at(&self, worker: usize, group: u32) -> Option<usize> {
        self.of_worker[worker].get(group as usize).copied().flatten()
    }

    fn take(&mut self, worker: usize, message: &mut Message, round: &mut Round) {
        if let Message::Feeds { group, watch, labels, from_bucket } = message {
            return self.take_feeder(worker, *group, *watch, labels, *from_bucket);
        }
        let Some(index) = self.group_at(worker, message.group()) else { return };
        let group = &mut self.groups[index];
        match message {
            Message::Feeds { .. } => {}
            Message::Partial { bucket, partial, .. } => {
                let watch = group.watch;
                let start_ms = self.watches[watch].signal.end_ms(*bucket - 1);
                // As most are. Absence is told first, and before what waits.
                let may_be_whole =
                    round.is_settled && round.seen_by_all_ms >= start_ms && self.absences[watch].is_none();
                if may_be_whole && group.has_whole(worker, *bucket) {
                    return self.judge(index, *bucket, partial, round);
                }
                group.take(worker, *bucket, std::mem::take(partial));
                self.wake(index);
            }
            Message::Skips { next, .. } => {
                group.tell_up_to(worker, *next);
                self.wake(index);
            }
            Message::Beat { at_ms, .. } => round.transitions.extend(self.beat(index, *at_ms)),
            Message::Rests { .. } => {
                group.expect_no_more(worker);
                self.wake(index);
            }
            Message::Leaves { group, .. } => {
                self.of_worker[worker][*group as usize] = None;
                self.leaving.push(index);
            }
        }
    }

    /// A worker feeds a group from a bucket on.
    #[cold]
    fn take_feeder(&mut self, worker: usize, group: u32, watch: usize, labels: &Arc<Labels>, from_bucket: i64) {
        let known = &self.by_labels[watch];
        // Those that fire stay when their series are long gone, beside as many as each worker may have.
        let count_max = GROUPS_COUNT_MAX * (self.of_worker.len() + 1);
        let is_refused = known.len() >= count_max && !known.contains_key(labels);
        Metrics::add(&self.shared.metrics.groups_refused, usize::from(is_refused));
        let index = (!is_refused).then(|| self.group_of(watch, labels));
        if let Some(index) = index {
            self.groups[index].expect_from(worker, from_bucket);
        }
        let known = &mut self.of_worker[worker];
        known.resize(known.len().max(group as usize + 1), None);
        known[group as usize] = index;
    }

    /// A group may have a bucket that is complete now.
    fn wake(&mut self, index: usize) {
        let group = &mut self.groups[index];
        if !group.is_waiting && group.is_told() {
            group.is_waiting = true;
            self.waiting.push(index);
        }
    }

    fn beat(&mut self, index: usize, at_ms: i64) -> Vec<Transition> {
        let group = &self.groups[index];
        let Some(absence) = &mut self.absences[group.watch] else { return Vec::new() };
        let Ok(turns) = absence.observe(&index, at_ms) else {
            Metrics::add(&self.shared.metrics.groups_refused, 1);
            return Vec::new();
        };
        let (watch, tunings) = (&self.watches[group.watch], &mut self.tunings[group.watch]);
        turns.into_iter().map(|turn| group.tell(Direction::Absent, turn, watch, tunings)).collect()
    }

    /// Who is absent, now that every worker has seen this time. What a watch's watermark has passed it stays passed when
    /// samples are waited for longer.
    fn miss(&mut self, seen_by_all_ms: i64) -> Vec<Transition> {
        let mut transitions = Vec::new();
        for &watch in &self.awaiting {
            let Some(absence) = &mut self.absences[watch] else { continue };
            for (index, turn) in absence.advance(seen_by_all_ms.saturating_sub(self.shared.lateness_ms(watch))) {
                let (group, tunings) = (&self.groups[index], &mut self.tunings[watch]);
                transitions.push(group.tell(Direction::Absent, turn, &self.watches[watch], tunings));
            }
        }
        transitions
    }

    /// The group of these labels, a new one if need be.
    pub(crate) fn group_of(&mut self, watch: usize, labels: &Arc<Labels>) -> usize {
        if let Some(&index) = self.by_labels[watch].get(labels) {
            return index;
        }
        let model = Model::new(self.tunings[watch].is_of_counts(), Stride::new());
        let fixed = Fixed::of(&self.watches[watch].options);
        let group = Judged::new(watch, labels.clone(), model, fixed);
        let index = match self.vacant.pop() {
            Some(index) => {
                self.groups[index] = group;
                index
            }
            None => {
                self.groups.push(group);
                self.groups.len() - 1
            }
        };
        self.by_labels[watch].insert(labels.clone(), index);
        Metrics::add(&self.shared.metrics.groups, 1);
        index
    }

    /// Lets go of the groups that no worker has a place for any more, unless they fire or are awaited.
    pub(super) fn let_leave(&mut self) {
        if self.leaving.is_empty() {
            return;
        }
        let awaited: HashSet<usize> =
            self.absences.iter().flatten().flat_map(Absence::saved).map(|(index, _)| *index).collect();
        let (mut leaving, mut gone) = (std::mem::take(&mut self.leaving), Vec::new());
        leaving.sort_unstable();
        leaving.dedup();
        leaving.retain(|&index| {
            let group = &self.groups[index];
            let may_leave = group.is_unfed() && group.spells().next().is_none() && !awaited.contains(&index);
            gone.extend(may_leave.then_some(index));
            group.is_unfed() && !may_leave
        });
        self.leaving = leaving;
        if gone.is_empty() {
            return;
        }
        // Another worker may have a place for it, at which nobody has been heard since.
        for place in self.of_worker.iter_mut().flatten() {
            *place = place.filter(|index| gone.binary_search(index).is_err());
        }
        self.let_go(&gone);
    }

    /// Lets go of the groups of an evaluated watch that had no value for longest. Whether there was any.
    fn make_room(&mut self, watch: usize, at_ms: i64) -> bool {
        if at_ms < self.full_until_ms[watch] {
            return false;
        }
        let signal = &self.watches[watch].signal;
        let silent = self.by_labels[watch].values().filter_map(|&index| {
            let group = &self.groups[index];
            let since_ms = signal.end_ms(group.closed?);
            let may_go = since_ms <= at_ms.saturating_sub(SILENT_MS_MIN) && group.spells().next().is_none();
            may_go.then_some((since_ms, index))
        });
        let going = longest_silent(silent.collect());
        if going.is_empty() {
            self.full_until_ms[watch] = at_ms.saturating_add(RETRY_INTERVAL_MS);
        }
        self.let_go(&going);
        !going.is_empty()
    }

    fn let_go(&mut self, going: &[usize]) {
        for &index in going {
            let group = &mut self.groups[index];
            self.by_labels[group.watch].remove(&group.labels);
            *group = Judged::new(group.watch, Arc::default(), Model::none(), None);
        }
        self.vacant.extend(going);
        let metrics = &self.shared.metrics;
        metrics.groups.fetch_sub(going.len() as u64, Ordering::Relaxed);
        Metrics::add(&metrics.groups_replaced, going.len());
    }
}
