//! A group in its first two days, while its season is learned: a level that follows, and on the second day
//! what the first was like at this time.
//!
//! ```text
//! expected 20 a bucket:  21 19 22 20 │ 6  5  7  6  6  │ 6  5 … │ 19 21 20 22
//! evidence (fires at 13):  0  0  0  0 │ 3  6  9  12 15 │ 19     │ falls
//! phase:                   normal     │ pending  firing         │ resolved after a minute back
//! ```
//!
//! Always true:
//! 1. It fires after [`WARM_UP_BUCKETS`] judged buckets and [`WARM_UP_SAMPLES`] samples at the earliest, and never on less
//!    than a minute of evidence.
//! 2. While there is strong suspicion the level stands still (2 % of its speed), and what it had learned since the last
//!    unsuspicious bucket is taken back: an incident does not become the expectation.
//! 3. After [`ACCEPT_AFTER_MS`] of suspicion the new level is accepted as normal, and a firing alert resolves.
//! 4. A bucket that cannot be judged changes nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::alarm::{Change, Incident};
use super::baseline::{Baseline, Gains, Scale, Seen};
use super::cusum::{Run, Tested, cap};
use super::daily::{Daily, quarter_at};
use super::options::{Directions, ModelOptions};
use super::outlook::Outlook;
use super::restless::Restless;
use super::series::LOOKBACK_MS;
use super::signal::Signal;
use super::transition::Side;

/// Judged buckets before anything fires.
pub(crate) const WARM_UP_BUCKETS: u64 = 40;
/// Samples of a series before anything fires, where they come more seldom than once a bucket.
const WARM_UP_SAMPLES: u64 = 12;
/// Suspicion that lasts this long is the new normal, in ms: two hours.
pub(crate) const ACCEPT_AFTER_MS: i64 = 7_200_000;
/// How much more, or less, than now there may have been a day ago for it to count.
const YESTERDAY_MAX: f64 = 20.0;
/// Share of the threshold from which on nothing is learned.
const SUSPICION: f64 = 0.7;
/// Below this evidence, in nats, the baseline is remembered as unsuspicious.
const UNSUSPICIOUS_NATS: f64 = 1.0;
/// Speed of learning under suspicion.
const SUSPICIOUS_PACE: f64 = 0.02;
/// Time that has to be back near normal before an alert resolves, in ms.
const RECOVERY_MS: i64 = 60_000;
/// The calendar excuses no larger change than this: further down there is nothing left that could be told from nothing.
const EXCUSED_CHANGE_MAX: f64 = 0.9;
/// Learning starts over from about here when the sources of a group change, in buckets.
const LOOSENED_BUCKETS: u64 = 20;

/// What is the same for every bucket of a watch's young groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct YoungTuning {
    /// Evidence that fires, in nats.
    threshold: f64,
    /// Of a bucket with a sample of its own.
    gains: Gains,
    /// The most that one bucket may add while series report in every one, in nats.
    usual_cap: f64,
    /// Fewest events that are expected of a bucket for a drop to be judged.
    least: f64,
    /// Drops, rises.
    tested: [Tested; 2],
}

impl YoungTuning {
    /// For the buckets of a signal.
    pub(crate) fn new(options: &ModelOptions, signal: &Signal) -> YoungTuning {
        let bucket_ms = signal.bucket_ms;
        let threshold = options.evidence_young(bucket_ms);
        YoungTuning {
            threshold,
            gains: Gains::new(bucket_ms),
            usual_cap: cap(threshold, bucket_ms, bucket_ms),
            least: options.min_volume / signal.window_buckets as f64,
            tested: [Side::Drop, Side::Rise].map(|side| Tested::of(side, options.min_change_young())),
        }
    }
}

/// One closed bucket, as a young group is to see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance {
    pub seen: Seen,
    pub end_ms: i64,
    pub bucket_ms: i64,
    pub interval_ms: i64,
    /// How far from ordinary the calendar says that this time may be, as a fraction.
    pub tolerance: f64,
    /// The least and the most events that came a day ago around this time, of as much exposure; none on the first day, and
    /// of values.
    pub usual: Option<[f64; 2]>,
    /// The shop's clock minus UTC, in ms.
    pub zone_offset_ms: i64,
    /// Whether a season is learned meanwhile.
    pub has_season: bool,
}

impl Glance {
    /// Of the day.
    fn quarter(&self) -> u8 {
        quarter_at(self.end_ms.saturating_sub(self.bucket_ms / 2).saturating_add(self.zone_offset_ms))
    }

    /// How long a sample stands, in ms: longer intervals than [`LOOKBACK_MS`] have buckets without a value.
    fn standing_ms(&self) -> i64 {
        self.interval_ms.clamp(self.bucket_ms, LOOKBACK_MS.max(self.bucket_ms))
    }

    /// Whether the calendar says that this time may be further from ordinary than what fires at others.
    fn is_excused(&self, options: &ModelOptions) -> bool {
        self.tolerance > options.min_change_young()
    }

    /// Smallest change that fires.
    fn min_change(&self, options: &ModelOptions) -> f64 {
        options.min_change_young().max(self.tolerance.min(EXCUSED_CHANGE_MAX))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Normal,
    Pending { since_ms: i64 },
    Firing(Incident),
}

/// State of one group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Young {
    baselines: Baselines,
    /// Evidence by direction (drop, rise) and alternative.
    runs: [[Run; 3]; 2],
    phase: Phase,
    judged: u64,
    suspicious_since_ms: Option<i64>,
    /// The latest (observed, expected), at most a minute of them.
    recent: VecDeque<(f64, f64)>,
    /// When the group came back near normal.
    recovered_ms: Option<i64>,
    /// Bounds of the expectation, relative to it, that follow from sources having left or joined.
    low_factor: f64,
    high_factor: f64,
    /// Of a value that has no season. Layout 4 of the checkpoint ends before it.
    #[serde(default)]
    daily: Option<Box<Daily>>,
    /// Since an alert of the last days. Layout 5 of the checkpoint ends before it.
    #[serde(default)]
    restless: Option<Box<Restless>>,
}

/// What is expected, and what was when the latest unsuspicious bucket was seen; a checkpoint has both.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "(Baseline, Baseline)", into = "(Baseline, Baseline)")]
struct Baselines {
    latest: Baseline,
    /// None while it is the latest one.
    trusted: Option<Box<Baseline>>,
}

impl Baselines {
    fn unsuspicious(&self) -> &Baseline {
        self.trusted.as_deref().unwrap_or(&self.latest)
    }
}

impl From<(Baseline, Baseline)> for Baselines {
    fn from((latest, trusted): (Baseline, Baseline)) -> Baselines {
        Baselines { latest, trusted: (trusted != latest).then(|| Box::new(trusted)) }
    }
}

impl From<Baselines> for (Baseline, Baseline) {
    fn from(Baselines { latest, trusted }: Baselines) -> (Baseline, Baseline) {
        (latest, trusted.map_or(latest, |trusted| *trusted))
    }
}

impl Young {
    pub(crate) fn new(scale: Scale) -> Young {
        Young {
            baselines: Baselines { latest: Baseline::new(scale), trusted: None },
            runs: [[Run::default(); 3]; 2],
            phase: Phase::Normal,
            judged: 0,
            suspicious_since_ms: None,
            recent: VecDeque::new(),
            recovered_ms: None,
            low_factor: 1.0,
            high_factor: 1.0,
            daily: None,
            restless: None,
        }
    }

    /// Whether it alerted so often that this is how it is.
    pub(crate) fn is_restless(&self) -> bool {
        self.restless.as_ref().is_some_and(|restless| restless.is_known())
    }

    /// The expectation of a bucket: events, or a value.
    pub(crate) fn expected(&self) -> f64 {
        self.baselines.latest.expected()
    }

    /// What it made of the latest bucket, the events of a whole volume being counted among `usual_exposure`.
    pub(crate) fn outlook(
        &self,
        bucket: &Glance,
        usual_exposure: f64,
        options: &ModelOptions,
        tuning: &YoungTuning,
    ) -> Outlook {
        let (threshold, expected) = (tuning.threshold, self.expected());
        let share = if self.baselines.latest.scale() == Scale::Count { bucket.seen.share } else { 1.0 };
        Outlook {
            end_ms: bucket.end_ms,
            observed: bucket.seen.value,
            expected: Some(expected * share),
            bounds: Some(self.baselines.latest.within(expected, bucket.min_change(options)).map(|bound| bound * share)),
            exposure: usual_exposure * share,
            buckets: 1,
            scores: self.most().map(|evidence| evidence / threshold),
            threshold,
        }
    }

    /// A look at each part of the state that the next bucket takes: what comes of it means nothing.
    pub(crate) fn glimpse(&self) -> u64 {
        let runs = self.runs.as_flattened().iter().step_by(2).fold(0, |seen, run| seen ^ run.evidence.to_bits());
        let recent = self.recent.front().map_or(0, |pair| pair.0.to_bits());
        runs ^ recent ^ self.judged ^ self.baselines.latest.glimpse()
    }

    /// The alert, while there is one.
    pub(crate) fn firing(&self) -> Option<Incident> {
        if let Phase::Firing(incident) = self.phase { Some(incident) } else { None }
    }

    /// What speaks for a direction that is not watched is forgotten.
    pub(crate) fn forget_unwatched(&mut self, directions: Directions) {
        for direction in [Side::Drop, Side::Rise] {
            if !directions.each().contains(&direction) {
                self.runs[direction.index()] = [Run::default(); 3];
            }
        }
        if self.firing().is_some_and(|incident| !directions.each().contains(&incident.direction)) {
            self.phase = Phase::Normal;
        }
    }

    /// Whether it neither fires nor is about to.
    pub(crate) fn is_calm(&self) -> bool {
        self.phase == Phase::Normal
    }

    /// Sources with this share of the volume left: between the old level and the part of those that stayed all is well,
    /// for the rest may have taken over their work.
    pub(crate) fn sources_left(&mut self, share: f64) {
        self.low_factor *= 1.0 - share;
        self.loosen();
    }

    /// Sources joined, this many for each one before.
    pub(crate) fn sources_joined(&mut self, share: f64) {
        self.high_factor *= 1.0 + share;
        self.loosen();
    }

    fn loosen(&mut self) {
        if self.suspicious_since_ms.is_none() {
            self.baselines.latest.loosen(LOOSENED_BUCKETS);
            self.baselines.trusted.iter_mut().for_each(|trusted| trusted.loosen(LOOSENED_BUCKETS));
            self.restless.iter_mut().for_each(|restless| restless.loosen(LOOSENED_BUCKETS));
        }
    }

    /// The value is often zero or less, though it was not so in its first minutes: logarithms do not fit it. Unless something
    /// is wrong with it just now, it is looked at anew.
    pub(crate) fn drop_logarithms(&mut self) {
        let is_well = self.is_calm() && self.suspicious_since_ms.is_none();
        if is_well && self.baselines.latest.scale() == Scale::Log {
            self.begin_without_logarithms();
        }
    }

    /// What comes daily is known by values, whatever they are compared by.
    fn begin_without_logarithms(&mut self) {
        *self = Young { daily: self.daily.take(), ..Young::new(Scale::Linear) };
    }

    /// Judges one bucket.
    pub(crate) fn observe(&mut self, bucket: &Glance, options: &ModelOptions, tuning: &YoungTuning) -> Option<Change> {
        if self.is_unfit_for_logarithms(bucket.seen) {
            self.begin_without_logarithms();
        }
        self.judged += 1;
        self.remember_alerts(bucket, tuning);
        if self.is_warming_up(bucket) {
            self.learn(bucket, 1.0, tuning);
            self.baselines.trusted = None;
            self.remember_day(bucket, false);
            return None;
        }
        let nothing_new = self.nothing_new(bucket);
        let is_extreme = self.weigh(bucket, nothing_new, options, tuning);
        let [of_drop, of_rise] = self.most();
        let evidence = of_drop.max(of_rise);
        self.remember(bucket, evidence, is_extreme, tuning);
        if self.suspicious_since_ms.is_some_and(|since_ms| bucket.end_ms - since_ms >= ACCEPT_AFTER_MS) {
            return self.accept();
        }
        match self.phase {
            Phase::Firing(incident) => self.recover(incident, bucket, options),
            _ if evidence < tuning.threshold => {
                self.phase = Phase::Normal;
                None
            }
            Phase::Normal | Phase::Pending { .. } => self.fire(evidence, bucket, options),
        }
    }

    fn is_warming_up(&self, bucket: &Glance) -> bool {
        let seen_ms = self.judged.saturating_mul(bucket.bucket_ms.unsigned_abs());
        self.judged <= WARM_UP_BUCKETS || seen_ms <= WARM_UP_SAMPLES * bucket.standing_ms().unsigned_abs()
    }

    /// A value of zero or less before the warm-up ends says that this gauge is not one of ratios.
    fn is_unfit_for_logarithms(&self, seen: Seen) -> bool {
        self.judged < WARM_UP_BUCKETS && self.baselines.latest.scale() == Scale::Log && seen.value <= 0.0
    }

    /// Adds a bucket's evidence to all runs. Says for each direction whether it speaks for it half as strongly as
    /// one may or more.
    fn weigh(
        &mut self,
        bucket: &Glance,
        nothing_new: Option<[f64; 2]>,
        options: &ModelOptions,
        tuning: &YoungTuning,
    ) -> [bool; 2] {
        let threshold = tuning.threshold;
        let pair = self.baselines.latest.pair(bucket.seen);
        let cap = if bucket.interval_ms <= bucket.bucket_ms {
            tuning.usual_cap
        } else {
            cap(threshold, bucket.bucket_ms, bucket.interval_ms)
        };
        let caps = self.caps(cap, bucket);
        let mut is_extreme = [false; 2];
        let start_ms = bucket.end_ms - bucket.bucket_ms;
        let yesterday = self.yesterday(pair.1, bucket);
        let is_thin = self.baselines.latest.scale() == Scale::Count && self.expected() < tuning.least;
        for &direction in options.directions.each() {
            let (factor, least) = match direction {
                Side::Drop => (self.low_factor * yesterday[0], 0.0),
                Side::Rise => (self.high_factor * yesterday[1], tuning.least),
            };
            let runs = &mut self.runs[direction.index()];
            if direction == Side::Drop && is_thin {
                *runs = [Run::default(); 3];
                continue;
            }
            let usual = &tuning.tested[direction.index()];
            let excused = bucket.is_excused(options).then(|| Tested::of(direction, bucket.min_change(options)));
            let tested = excused.as_ref().unwrap_or(usual);
            let side = direction.index();
            let pair = nothing_new.map_or(pair, |range| (pair.0, range[side]));
            self.baselines.latest.score(pair, tested, factor, least, |alternative, score| {
                is_extreme[side] |= score.for_it >= 0.5 * cap * score.noise;
                runs[alternative].add(score, start_ms, caps[side], threshold);
            });
        }
        let kept = usize::try_from((RECOVERY_MS / bucket.bucket_ms).max(1)).expect("a minute has few buckets");
        if self.recent.len() >= kept {
            self.recent.pop_front();
        }
        self.recent.push_back(pair);
        is_extreme
    }

    /// The least and the largest multiple of the expectation that is nothing new: on the second day the level and the first
    /// day agree on what is odd. The morning comes every day.
    fn yesterday(&self, expected: f64, bucket: &Glance) -> [f64; 2] {
        let is_count = self.baselines.latest.scale() == Scale::Count;
        let Some([least, most]) = bucket.usual.filter(|_| is_count) else { return [1.0; 2] };
        let of = |usual: f64| usual / expected.max(f64::MIN_POSITIVE);
        [of(least).clamp(1.0 / YESTERDAY_MAX, 1.0), of(most).clamp(1.0, YESTERDAY_MAX)]
    }

    /// The most that a bucket may add to the runs of each direction, of which no bucket may add more than this.
    fn caps(&self, cap: f64, bucket: &Glance) -> [f64; 2] {
        if self.baselines.latest.scale() == Scale::Count {
            return [cap; 2];
        }
        // A value stands until the next sample, and is one surprise.
        let share = bucket.bucket_ms as f64 / bucket.interval_ms.max(bucket.bucket_ms) as f64;
        self.baselines.unsuspicious().surprise_max().map(|nats| cap.min(nats * share))
    }

    /// Most evidence of each direction.
    #[inline]
    fn most(&self) -> [f64; 2] {
        self.runs.each_ref().map(|[one, two, three]| {
            let larger = |one: f64, other: f64| if other > one { other } else { one };
            larger(larger(one.evidence, two.evidence), three.evidence)
        })
    }

    /// The first run with so much evidence.
    fn run_of(&self, evidence: f64) -> Option<(Side, Run)> {
        let of_side = |side: Side| self.runs[side.index()].iter().map(move |run| (side, *run));
        of_side(Side::Drop).chain(of_side(Side::Rise)).find(|(_, run)| run.evidence == evidence)
    }

    /// Learns from an unsuspicious bucket; under suspicion goes back to what was trusted and almost stands still.
    fn remember(&mut self, bucket: &Glance, evidence: f64, is_extreme: [bool; 2], tuning: &YoungTuning) {
        let is_suspicious = evidence >= SUSPICION * tuning.threshold || matches!(self.phase, Phase::Firing(_));
        match (is_suspicious, self.suspicious_since_ms) {
            (true, None) => {
                self.suspicious_since_ms = Some(bucket.end_ms);
                self.baselines.latest = *self.baselines.unsuspicious();
            }
            (false, Some(_)) => self.suspicious_since_ms = None,
            _ => {}
        }
        if evidence < UNSUSPICIOUS_NATS && !is_suspicious {
            self.baselines.trusted = None;
        } else {
            self.baselines.trusted.get_or_insert_with(|| Box::new(self.baselines.latest));
        }
        if !is_suspicious {
            // An incident takes it back, as it does the level: it does not make itself ordinary.
            let gains = self.gains(bucket, tuning);
            self.baselines.latest.learn_extremes(is_extreme, gains);
        }
        self.remember_day(bucket, is_suspicious);
        let comes_daily = self.daily.as_ref().is_some_and(|daily| daily.knows(bucket.quarter()));
        // What comes every day at this time goes again, and is not the level.
        self.learn(bucket, if is_suspicious || comes_daily { SUSPICIOUS_PACE } else { 1.0 }, tuning);
    }

    /// The least and the most that is nothing new at this time of the day, as the model compares them; none where that is the
    /// level alone.
    fn nothing_new(&self, bucket: &Glance) -> Option<[f64; 2]> {
        let baseline = &self.baselines.latest;
        let range = self.daily.as_ref()?.range(bucket.quarter(), baseline.expected())?;
        Some(range.map(|value| baseline.pair(Seen { value, share: 1.0 }).0))
    }

    /// What comes of a value that has no season is remembered by the time of day.
    fn remember_day(&mut self, bucket: &Glance, is_suspicious: bool) {
        let is_without_season = match self.baselines.latest.scale() {
            Scale::Count => false,
            Scale::Log => !bucket.has_season,
            Scale::Linear => true,
        };
        if is_without_season {
            let daily = self.daily.get_or_insert_default();
            daily.add(bucket.quarter(), bucket.seen.value, self.baselines.latest.expected(), is_suspicious);
        }
    }

    fn remember_alerts(&mut self, bucket: &Glance, tuning: &YoungTuning) {
        let Some(mut restless) = self.restless.take() else { return };
        restless.learn(bucket.seen, self.gains(bucket, tuning), bucket.bucket_ms);
        let stays = self.firing().is_some() || !restless.is_over();
        self.restless = stays.then_some(restless);
    }

    #[inline]
    fn gains(&self, bucket: &Glance, tuning: &YoungTuning) -> Gains {
        if bucket.interval_ms <= bucket.bucket_ms || self.baselines.latest.scale() == Scale::Count {
            return tuning.gains;
        }
        tuning.gains.of_standing(bucket.standing_ms() as f64 / bucket.bucket_ms as f64)
    }

    fn learn(&mut self, bucket: &Glance, pace: f64, tuning: &YoungTuning) {
        let gains = self.gains(bucket, tuning);
        self.baselines.latest.learn(bucket.seen, gains, pace);
        // The level is on its way to what the changed sources report; so are the bounds that allow for them.
        if (self.low_factor, self.high_factor) == (1.0, 1.0) {
            return;
        }
        let keep = 1.0 - pace * bucket.bucket_ms as f64 / 600_000.0;
        self.low_factor = 1.0 - (1.0 - self.low_factor) * keep;
        self.high_factor = 1.0 + (self.high_factor - 1.0) * keep;
    }

    /// What so much evidence begins, which is that of a run.
    #[cold]
    fn fire(&mut self, evidence: f64, bucket: &Glance, options: &ModelOptions) -> Option<Change> {
        let (direction, run) = self.run_of(evidence)?;
        let ratio = if run.expected > 0.0 { self.baselines.latest.run_ratio(run.observed, run.expected) } else { 1.0 };
        let is_large = direction.sign() * (ratio - 1.0) >= bucket.min_change(options);
        if !is_large {
            self.phase = Phase::Normal;
            return None;
        }
        let since_ms = if let Phase::Pending { since_ms } = self.phase { since_ms } else { bucket.end_ms };
        if bucket.end_ms - since_ms < options.for_ms {
            self.phase = Phase::Pending { since_ms };
            return None;
        }
        let incident = Incident { direction, onset_ms: run.onset_ms, fired_ms: bucket.end_ms, ratio };
        self.phase = Phase::Firing(incident);
        self.recovered_ms = None;
        self.restless.get_or_insert_with(|| Box::new(Restless::new(&self.baselines.latest)));
        Some(Change::Fired(incident))
    }

    #[cold]
    fn recover(&mut self, incident: Incident, bucket: &Glance, options: &ModelOptions) -> Option<Change> {
        if !self.is_back(incident, bucket.min_change(options)) {
            self.recovered_ms = None;
            return None;
        }
        let recovered_ms = *self.recovered_ms.get_or_insert(bucket.end_ms);
        if bucket.end_ms - recovered_ms < options.keep_firing_for_ms {
            return None;
        }
        self.calm();
        if let Some(baseline) = self.restless.as_mut().and_then(|restless| restless.ended()) {
            self.baselines.latest.stray_like(baseline);
        }
        Some(Change::Resolved(incident))
    }

    /// Whether the last minute was within half the change, but never counting less than half of `min_change` or more
    /// than all of it.
    fn is_back(&self, incident: Incident, min_change: f64) -> bool {
        let allowed = ((incident.ratio - 1.0).abs() / 2.0).clamp(min_change / 2.0, min_change);
        let is_count = self.baselines.latest.scale() == Scale::Count;
        let (mut observed, mut expected) = (0.0, 0.0);
        for &(seen, wanted) in &self.recent {
            // Work that piled up and comes at once is not to pass for a minute of health.
            observed += if is_count && incident.direction == Side::Drop { seen.min(1.5 * wanted) } else { seen };
            expected += wanted;
        }
        if !is_count {
            (observed, expected) = (observed / self.recent.len() as f64, expected / self.recent.len() as f64);
        }
        let change = self.baselines.latest.ratio(observed, expected) - 1.0;
        incident.direction.sign() * change < allowed
    }

    /// What lasted for hours is normal.
    #[cold]
    fn accept(&mut self) -> Option<Change> {
        let incident = self.firing();
        self.daily.iter_mut().for_each(|daily| daily.leave(self.baselines.latest.expected()));
        self.baselines.latest.loosen(1);
        self.calm();
        self.judged = 0;
        incident.map(Change::Resolved)
    }

    fn calm(&mut self) {
        self.phase = Phase::Normal;
        self.runs = [[Run::default(); 3]; 2];
        self.suspicious_since_ms = None;
        self.recovered_ms = None;
        self.baselines.trusted = None;
    }
}
