//! A signal's season: what is expected of a bucket at this time of day and week, and how strongly it contradicts.
//!
//! ```text
//! bucket ─► Place ─► Profile × Level ─► Evidence ─► Calibration ─► score by direction
//!                       54 expected     9.4 nats    × 0.92 / 11.5    0.75
//!              ▲          ▲        ▲                                  │
//!              └──────────┴────────┴── Dispersion, Tolerance, … ◄─────┴─ Suspicion: may this be learned from?
//!          Shift: by which clock, where no zone is told
//! ```
//!
//! A shop takes 60 orders a minute on a Thursday at 11:00 and 54 are expected: the day profile says 50, this hour of
//! the week has 1.08 times that, and today's level is 1. Payment breaks and three minutes bring 20, 22 and 19. The first
//! speaks for "half" by 54 × 0.5 − 20 × 0.69 = 13 nats, divided by a noise of 1.6; a bucket may add 4.1. The third one
//! completes the 11.5 that alert, and the onset is the start of the first.
//!
//! Always true:
//! 1. A score of 1 alerts: [`Verdict::scores`] are evidence as a share of what the wanted rate of false alerts asks for.
//! 2. No clock is read and nothing is looked ahead for. The same buckets give the same verdicts, also when the state
//!    was written and read in between.
//! 3. The state is plain data of 3.5 KB, finite whatever the buckets hold, and 360 bytes more while something keeps coming.
//!    The hours of the week, the wander, the calibration and what is remembered of yesterday make up more than half of that,
//!    and take room from the first bucket on that says something of them; no other bucket costs an allocation.
//! 4. Absent buckets are neither learned nor accused. Age is counted in buckets, so a gap does not age a signal.
//! 5. Nobody is accused during the first two days.
//!
//! [`Season`] is for counts and ratios, [`GaugeSeason`] for values, [`Beat`] for what should come again and again.
//! Rates are events per exposure: a count has exposure 1, a ratio (orders among visits) its denominator.
//!
//! Deliberately absent: beginnings and ends of alerts, which are for who asks; and missing buckets, which are for
//! whoever knows what should have come.

mod array;
mod beat;
mod bucket;
mod calibration;
mod class;
mod dispersion;
mod distances;
mod evidence;
mod gauge;
mod habit;
mod level;
mod place;
mod profile;
mod promise;
mod quarter;
mod rests;
mod routine;
mod shift;
mod stored;
mod suspicion;
mod tolerance;
mod yesterday;

use serde::{Deserialize, Serialize};

pub(crate) use beat::Beat;
use bucket::COUNT_MAX;
pub(crate) use bucket::{Bucket, Verdict};
use calibration::Calibration;
pub(crate) use class::{CONVERSION, Class, ERRORS, ORDERS, Tuning};
use dispersion::Dispersion;
use evidence::{Evidence, Lead, Weighed};
pub(crate) use gauge::{GaugeBucket, GaugeSeason, GaugeTuning};
use habit::{Habit, Usual};
use level::Level;
use place::Place;
use profile::Profile;
use quarter::OpenQuarter;
use routine::Routine;
use shift::{Known, Shift};
use suspicion::{Suspicion, Suspicious};
use tolerance::{Noise, Tolerance};
use yesterday::Yesterday;

const DAY_S: f64 = 86_400.0;
const WEEK_S: f64 = 604_800.0;
/// Slots of the longest day profile.
const SLOTS_COUNT_MAX: usize = 192;
/// Least that is expected of a bucket.
const EXPECTED_MIN: f64 = 1e-3;
/// A gap of more buckets than this halves the evidence.
const GAP_BUCKETS: i64 = 10;

/// State of one signal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Season {
    last_ms: i64,
    buckets_count: u32,
    profile: Profile,
    level: Level,
    dispersion: Dispersion,
    evidence: Evidence,
    calibration: Calibration,
    suspicious: Suspicious,
    quarter: OpenQuarter,
    tolerance: Tolerance,
    yesterday: Yesterday,
    /// Behind all others: layout 2 of the checkpoint ends before it.
    #[serde(default)]
    shift: Shift,
    /// Layout 3 ends before it.
    #[serde(default)]
    habit: Habit,
    #[serde(default)]
    routine: Routine,
}

/// What is expected of a bucket before it is looked at.
#[derive(Clone, Copy, Debug)]
struct Expectation {
    /// Events per exposure at this time of day.
    rate: Option<f64>,
    hour_factor: f64,
    /// Events by season alone.
    unlevelled: f64,
    /// Events.
    expected: f64,
    /// Variance as a multiple of the expectation.
    dispersion: f64,
    /// Age of the signal: its buckets, not the wall's time.
    age_s: f64,
}

/// What a verdict is made of.
struct Judgement {
    scores: [f64; 2],
    leads: [Lead; 2],
    expectation: Expectation,
    calendar_tolerance: f64,
}

impl Expectation {
    /// Events by the day profile alone.
    fn by_day(&self) -> f64 {
        self.unlevelled / self.hour_factor
    }

    /// How far events are from so many, in natural logarithms. A few of either kind keep times without traffic near what is
    /// usual.
    fn distance(&self, observed: f64, expected: f64) -> f64 {
        let few = 4.0 * self.dispersion;
        ((observed + few) / (expected + few)).ln()
    }

    fn is_warm(&self) -> bool {
        self.rate.is_some()
    }

    fn bounds(&self, tolerance: f64) -> [f64; 2] {
        let noise = 3.0 * (self.dispersion * self.expected).sqrt();
        let low = self.expected * (1.0 - tolerance) - noise;
        [low.max(0.0), self.expected * (1.0 + tolerance) + noise]
    }
}

impl Usual {
    fn new(expectation: &Expectation, level: &Level) -> Usual {
        Usual { hour_offset: expectation.hour_factor.ln(), level: level.level().ln() }
    }
}

impl Season {
    /// A signal that was never seen.
    pub(crate) fn new() -> Season {
        Season {
            last_ms: 0,
            buckets_count: 0,
            profile: Profile::new(),
            level: Level::new(),
            dispersion: Dispersion::new(),
            evidence: Evidence::new(),
            calibration: Calibration::new(),
            suspicious: Suspicious::default(),
            quarter: OpenQuarter::default(),
            tolerance: Tolerance::new(),
            yesterday: Yesterday::new(),
            shift: Shift::default(),
            habit: Habit::default(),
            routine: Routine::default(),
        }
    }

    /// A look at each part of the state that the next bucket takes: what comes of it means nothing.
    pub(crate) fn glimpse(&self) -> u64 {
        let bits = self.profile.glimpse() ^ self.calibration.glimpse() ^ self.evidence.glimpse();
        let level = self.level.level() + self.dispersion.of_buckets();
        u64::from(bits ^ self.buckets_count) ^ level.to_bits() ^ self.quarter.is_begun()
    }

    /// Judges a bucket and learns from it. `None` when it is not one: no finite count of zero or more, or not newer
    /// than the last.
    pub(crate) fn observe(&mut self, bucket: Bucket, tuning: &Tuning) -> Option<Verdict> {
        self.judge(bucket, tuning, |season, judgement| {
            let Judgement { scores, leads, expectation, calendar_tolerance } = judgement;
            let tolerance = season.evidence.null(calendar_tolerance, tuning).tolerance;
            Verdict {
                scores,
                expected: expectation.rate.map(|_| expectation.expected),
                tolerance,
                bounds: expectation.bounds(tolerance),
                onsets_s: leads.map(|lead| lead.onset_s()),
                ratios: leads.map(|lead| lead.ratio()),
            }
        })
    }

    /// The least and the most events per exposure that are usual around the time of day of a bucket that ends then, once a
    /// day was seen.
    pub(crate) fn usual_rates(&self, end_ms: i64, zone_offset_ms: i64, tuning: &Tuning) -> Option<[f64; 2]> {
        let place = tuning.place(end_ms, zone_offset_ms.saturating_add(self.shift.clock_ms()));
        self.profile.rates_near(&place, tuning.class.slots_count)
    }

    /// The same for who only asks for the scores.
    pub(crate) fn score(&mut self, bucket: Bucket, tuning: &Tuning) -> Option<[f64; 2]> {
        self.judge(bucket, tuning, |_, judgement| judgement.scores)
    }

    /// Judges, learns, and hands out what the judgement is `told` as: nobody who asks for scores alone has the rest moved
    /// about.
    fn judge<T>(&mut self, bucket: Bucket, tuning: &Tuning, told: impl FnOnce(&Season, Judgement) -> T) -> Option<T> {
        let is_first = self.buckets_count == 0;
        let bucket = bucket.limited().filter(|bucket| is_first || bucket.end_ms > self.last_ms)?;
        self.arrive(&bucket, tuning);
        let clock_ms = bucket.zone_offset_ms.saturating_add(self.shift.clock_ms());
        let place = tuning.place(bucket.end_ms, clock_ms);
        let expectation = self.expectation(&bucket, &place, tuning);
        let variance = || self.tolerance.variance(&place);
        self.evidence.refresh(&place, variance, bucket.calendar_tolerance, expectation.dispersion, tuning);
        let leads = self.weigh(&bucket, &place, &expectation, tuning);
        let nats = leads.map(|lead| lead.evidence);
        self.calibration.enter(nats, bucket.end_ms, &tuning.promise);
        let scores = if nats == [0.0; 2] { nats } else { self.scores(nats, tuning) };
        let is_suspicious = expectation.is_warm() && scores[0].max(scores[1]) > tuning.class.suspicion;
        let unlearned_s = self.suspicious.unlearned_s(tuning.bucket_s);
        let suspicion = self.suspicious.next(is_suspicious, tuning.bucket_s);
        // After an hour's incident the level is an hour old: judged by it, the recovery itself looks like an incident.
        if tuning.class.ages && suspicion == Suspicion::None && unlearned_s > 0.0 {
            self.level.age(unlearned_s, tuning);
        }
        self.level.guard(nats[0].max(nats[1]), suspicion);
        self.learn(&bucket, &place, &expectation, suspicion, tuning);
        self.buckets_count = self.buckets_count.saturating_add(1);
        let calendar_tolerance = bucket.calendar_tolerance;
        Some(told(self, Judgement { scores, leads, expectation, calendar_tolerance }))
    }

    /// How much of what there is to learn was learned, 0 to 1: half for the day, seen twice, a quarter each for the
    /// hours of the week and for a week of calibration.
    pub(crate) fn learned(&self, tuning: &Tuning) -> f64 {
        let (day, week) = self.profile.learned(tuning.class.slots_count);
        0.5 * day + 0.25 * week + 0.25 * self.calibration.learned()
    }

    /// The smallest drop, as a fraction in steps of 0.05, that would alert within `span_s` while `expected` events a
    /// bucket are expected. `None` if not even a total loss would.
    pub(crate) fn detectable_drop(&self, expected: f64, span_s: f64, tuning: &Tuning) -> Option<f64> {
        let (null, factors) = (self.evidence.null(0.0, tuning), self.calibration.factors());
        let alerts = |drop: &f64| {
            let weighed = Weighed {
                observed: expected * (1.0 - drop),
                expected: [expected; 2],
                dispersion: self.dispersion.dispersion() + tuning.class.relative_noise.powi(2) * expected,
                evidence_max: self.calibration.bucket_evidence_max(&tuning.promise),
                stretches: self.calibration.stretches(),
                start_s: 0,
            };
            let buckets_count = (span_s / tuning.bucket_s) as u32;
            self.evidence.of_drop(&weighed, buckets_count, null, tuning) * factors[0] >= tuning.promise.threshold
        };
        (1..=20).map(|step| f64::from(step) / 20.0).find(alerts)
    }

    /// Whether it alerted so often that it takes more evidence than of others.
    pub(crate) fn is_restless(&self) -> bool {
        self.calibration.stretches() != [1.0; 2]
    }

    /// Whether it has seen enough to accuse anybody.
    pub(crate) fn is_grown(&self, tuning: &Tuning) -> bool {
        f64::from(self.buckets_count) * tuning.bucket_s > 2.0 * DAY_S
    }

    /// Sources left or joined: how far the level wandered before says nothing of how far it goes now.
    pub(crate) fn loosen(&mut self) {
        self.level.loosen();
    }

    /// Evidence as a share of what alerts.
    fn scores(&self, nats: [f64; 2], tuning: &Tuning) -> [f64; 2] {
        let factors = self.calibration.factors();
        [0, 1].map(|side| nats[side] * factors[side] / tuning.promise.threshold)
    }

    fn arrive(&mut self, bucket: &Bucket, tuning: &Tuning) {
        if self.buckets_count == 0 {
            self.profile.begin(bucket.exposure);
            self.calibration.begin(bucket.end_ms);
        } else if bucket.end_ms.saturating_sub(self.last_ms) > GAP_BUCKETS * tuning.bucket_ms {
            self.evidence.halve();
        }
        self.last_ms = bucket.end_ms;
    }

    fn expectation(&self, bucket: &Bucket, place: &Place, tuning: &Tuning) -> Expectation {
        let rate = self.profile.rate(place, tuning.class.slots_count);
        let prior_events = tuning.class.hour_prior_events * self.dispersion.at_length();
        let hour_factor = self.profile.hour_factor(place, prior_events);
        let unlevelled = (bucket.exposure * rate.unwrap_or(0.0) * hour_factor).min(COUNT_MAX);
        Expectation {
            rate,
            hour_factor,
            unlevelled,
            expected: (unlevelled * self.level.level()).max(EXPECTED_MIN),
            dispersion: self.dispersion.dispersion(),
            age_s: f64::from(self.buckets_count) * tuning.bucket_s,
        }
    }

    fn weigh(&mut self, bucket: &Bucket, place: &Place, expectation: &Expectation, tuning: &Tuning) -> [Lead; 2] {
        if !expectation.is_warm() {
            return [Lead::default(); 2];
        }
        let expected = expectation.expected;
        self.evidence.follow(expected, tuning);
        if expectation.age_s <= 2.0 * DAY_S {
            return [Lead::default(); 2];
        }
        let class = &tuning.class;
        let null = self.evidence.null(bucket.calendar_tolerance, tuning);
        let factors = self.factors(place, expectation, tuning);
        let weighed = Weighed {
            observed: bucket.observed,
            expected: [0, 1].map(|side| expected * factors[side] * bucket.allowance[side]),
            dispersion: expectation.dispersion + class.relative_noise * class.relative_noise * expected,
            evidence_max: self.calibration.bucket_evidence_max(&tuning.promise),
            stretches: self.calibration.stretches(),
            start_s: (bucket.end_ms.saturating_sub(tuning.bucket_ms) / 1_000) as u32,
        };
        self.evidence.weigh(&weighed, null, tuning)
    }

    fn learn(
        &mut self,
        bucket: &Bucket,
        place: &Place,
        expectation: &Expectation,
        suspicion: Suspicion,
        tuning: &Tuning,
    ) {
        if expectation.is_warm() {
            if tuning.class.keeps_habits {
                self.follow_habits(bucket, place, expectation, suspicion, tuning);
            }
            self.level.learn(bucket, expectation, suspicion, tuning);
            self.dispersion.learn(bucket.observed, expectation.expected, suspicion, tuning);
            self.turn_quarter(place, expectation, tuning);
            if tuning.class.follows_clock && bucket.calendar_tolerance == 0.0 {
                self.follow_clock(bucket, place, expectation, tuning);
            }
            self.quarter.add(bucket.observed, expectation.expected, suspicion);
        }
        let is_learned = bucket.calendar_tolerance == 0.0 && suspicion.is_learned();
        self.profile.learn(bucket, place, expectation, self.level.level(), is_learned, tuning);
    }

    /// The least and the largest multiple of the expectation that is nothing new: what is expected soon or was a moment ago,
    /// where the day is steep, what was so yesterday, is so every day
    /// or every week, and what clocks expect that are possible.
    fn factors(&self, place: &Place, expectation: &Expectation, tuning: &Tuning) -> [f64; 2] {
        let class = &tuning.class;
        let mut factors = if class.remembers_yesterday { self.yesterday.factors(place) } else { [1.0; 2] };
        let of_week = self.habit.range(place, || Usual::new(expectation, &self.level));
        let steep = self.profile.steep(place, expectation.dispersion, tuning);
        factors = [factors[0].min(steep[0]), factors[1].max(steep[1])];
        let of_day = self.routine.range(place);
        let (least, most) = (of_week[0].min(of_day[0]), of_week[1].max(of_day[1]));
        if least < 0.0 {
            factors[0] = factors[0].min(least.exp());
        }
        if most > 0.0 {
            factors[1] = factors[1].max(most.exp());
        }
        if !class.follows_clock || !self.shift.is_in_doubt() {
            return factors;
        }
        let known = Known::new(&self.profile, &self.level, &self.dispersion, tuning);
        let of_clocks = self.shift.factors(place, expectation, &known, tuning);
        [factors[0].min(of_clocks[0]), factors[1].max(of_clocks[1])]
    }

    /// When the clock was moved, what was compared with the old one is worth nothing.
    fn follow_clock(&mut self, bucket: &Bucket, place: &Place, expectation: &Expectation, tuning: &Tuning) {
        if self.shift.is_over(place) {
            let known = Known::new(&self.profile, &self.level, &self.dispersion, tuning);
            if self.shift.turn(place, expectation.age_s, &known, tuning) {
                self.level.set(self.shift.day_level());
                self.evidence.forget();
                self.yesterday = Yesterday::new();
                return;
            }
        }
        self.shift.add(bucket.observed, expectation.unlevelled);
    }

    fn follow_habits(
        &mut self,
        bucket: &Bucket,
        place: &Place,
        expectation: &Expectation,
        suspicion: Suspicion,
        tuning: &Tuning,
    ) {
        self.habit.leave(place, suspicion, || Usual::new(expectation, &self.level), tuning.bucket_s);
        let distance = |observed: f64, expected: f64| expectation.distance(observed, expected);
        self.habit.add(place, (bucket.observed, expectation.by_day()), suspicion, distance);
    }

    fn turn_quarter(&mut self, place: &Place, expectation: &Expectation, tuning: &Tuning) {
        let Some(quarter) = self.quarter.turn(place) else { return };
        if tuning.class.keeps_habits {
            let distance = expectation.distance(quarter.observed, quarter.expected);
            self.routine.remember(quarter.index, distance, quarter.is_suspicious);
        }
        if tuning.class.remembers_yesterday {
            self.yesterday.remember(&quarter, expectation.dispersion, place);
        }
        if !quarter.is_suspicious && expectation.age_s > 3.0 * DAY_S {
            let noise = Noise { dispersion: expectation.dispersion, of_buckets: self.dispersion.of_buckets() };
            self.tolerance.learn(&quarter, noise, tuning);
        }
    }
}

#[cfg(test)]
mod tests;
