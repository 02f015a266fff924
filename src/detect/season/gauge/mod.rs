//! The season of a value: a latency, a load, whatever is multiplied rather than counted when it changes.
//!
//! At 11:00 a request usually takes 120 ms, which is e^4.79; Fridays 5 % more, today as ever: 4.84 is expected with a
//! spread of 0.1. A bucket of 220 ms is 5.39 and speaks for "80 % more" (0.6 in logarithms) by
//! 0.6 × (0.55 − 0.3) / 0.02 = 7.5 nats, if the noise is twice the square of the spread. The cap of 4.1 makes three of
//! them needed.
//!
//! Always true: what holds for [`super::Season`], on the logarithm of the value.

mod evidence;
mod noise;
mod profile;
mod wander;

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use super::evidence::Lead;
use super::habit::{Habit, Usual};
use super::place::{LatestPlace, Place};
use super::promise::{Promise, Tail, gain};
use super::routine::Routine;
use super::stored::add;
use super::suspicion::{Suspicion, Suspicious};
use super::{DAY_S, GAP_BUCKETS, Verdict};
use evidence::{Evidence, Null, Weighed};
use noise::Noise;
use profile::Profile;
use wander::Wander;

/// Slots of the day profile.
const SLOTS_COUNT: usize = 192;
/// Logarithms of the ratios that are tested: drops, rises.
const ALTERNATIVES: [&[f64]; 2] = [&[-0.7], &[0.3, 0.6, 1.0]];
/// Share of the threshold from which on a bucket is suspicious.
const SUSPICION: f64 = 0.5;
const WANDER_VARIANCE_MIN: f64 = 0.0036;
const WANDER_INFLATION: f64 = 1.5;
const WANDER_DEVIATIONS_MAX: f64 = 2.5;
const TOLERANCE_MAX: f64 = 0.3;
const CALIBRATED_MIN: f64 = 0.7;
const LEVEL_HALF_LIFE_S: f64 = 3_600.0;
/// Least length of a block of buckets, in s, and in buckets.
const BLOCK_S: f64 = 300.0;
const BLOCK_BUCKETS_MIN: f64 = 5.0;
/// Speed of learning under suspicion.
const SUSPICIOUS_PACE: f64 = 0.02;
/// Below this evidence, in nats, the level is trusted.
const TRUSTED_NATS: f64 = 1.0;
/// Smaller values count as this, and larger ones as that.
const VALUE_MIN: f64 = 1e-9;
const VALUE_MAX: f64 = 1e18;

/// One closed bucket of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GaugeBucket {
    /// Its end, in ms since 1970.
    pub(crate) end_ms: i64,
    /// The value, zero or more, in its own unit.
    pub(crate) value: f64,
    /// The shop's clock minus UTC, in ms; 0 without a configured zone.
    pub(crate) zone_offset_ms: i64,
    /// How far from ordinary the calendar says that this time may be, as a fraction; 0 on ordinary days.
    pub(crate) calendar_tolerance: f64,
}

/// What is promised, and how fast things are learned, for one bucket length.
#[derive(Clone, Debug)]
pub(crate) struct GaugeTuning {
    promise: Promise,
    bucket_ms: i64,
    bucket_s: f64,
    level_gain: f64,
    /// Buckets over which it is looked whether neighbours move together.
    block_buckets: u32,
    noise_gain: f64,
    noise_of_hour_gain: f64,
    quarter_gain: f64,
    quarter_of_hour_gain: f64,
    /// Whether evidence may grow until enough is left without what the wander explains.
    pub(super) grows_beyond_wander: bool,
    latest_place: LatestPlace,
}

impl GaugeTuning {
    /// Evidence that alerts, in nats.
    pub(crate) fn threshold(&self) -> f64 {
        self.promise.threshold
    }

    /// For buckets of `bucket_ms`, 5 to 300 s.
    pub(crate) fn new(bucket_ms: i64, false_alerts_per_week: f64) -> GaugeTuning {
        let bucket_s = bucket_ms as f64 / 1_000.0;
        GaugeTuning {
            promise: Promise::new(bucket_s, false_alerts_per_week, CALIBRATED_MIN, Tail::Exponential),
            bucket_ms,
            bucket_s,
            level_gain: gain(bucket_s, LEVEL_HALF_LIFE_S),
            block_buckets: (BLOCK_S / bucket_s).ceil().max(BLOCK_BUCKETS_MIN) as u32,
            noise_gain: gain(bucket_s, 2.0 * DAY_S),
            // Sixteen hours of the same hour of the day.
            noise_of_hour_gain: gain(bucket_s, 57_600.0),
            quarter_gain: gain(900.0, 4.0 * DAY_S),
            quarter_of_hour_gain: gain(1.0, 16.0),
            grows_beyond_wander: true,
            latest_place: LatestPlace::default(),
        }
    }
}

/// State of one value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GaugeSeason {
    last_ms: i64,
    buckets_count: u32,
    profile: Profile,
    /// Today against the season, in logarithms; and as it was when last trusted.
    level: f32,
    trusted_level: f32,
    noise: Noise,
    wander: Wander,
    evidence: Evidence,
    calibration: Calibration,
    suspicious: Suspicious,
    /// Behind all others: layout 3 of the checkpoint ends before it.
    #[serde(default)]
    habit: Habit,
    #[serde(default)]
    routine: Routine,
}

/// One bucket in logarithms.
#[derive(Clone, Copy, Debug)]
struct Reading {
    value: f64,
    /// What this time of day usually has, if it was ever seen.
    base: Option<f64>,
    /// What this hour of the week adds.
    hour_offset: f64,
    /// What today adds.
    level: f64,
    hour: usize,
    age_s: f64,
}

/// What a verdict is made of.
struct Judgement {
    scores: [f64; 2],
    leads: [Lead; 2],
    reading: Reading,
    null: Null,
    /// Variance of a bucket.
    noise: f64,
}

impl Reading {
    fn expected(&self) -> f64 {
        self.base.unwrap_or(0.0) + self.hour_offset + self.level
    }

    fn usual(&self) -> Usual {
        Usual { hour_offset: self.hour_offset, level: self.level }
    }

    fn deviation(&self) -> f64 {
        self.value - self.expected()
    }

    fn bounds(&self, tolerance: f64, variance: f64) -> [f64; 2] {
        let distance = tolerance + 3.0 * variance.sqrt();
        [(self.expected() - distance).exp(), (self.expected() + distance).exp()]
    }
}

impl GaugeSeason {
    /// A look at each part of the state that the next bucket takes: what comes of it means nothing.
    pub(crate) fn glimpse(&self) -> u64 {
        let bits = self.profile.glimpse() ^ self.calibration.glimpse() ^ self.level.to_bits();
        u64::from(bits ^ self.buckets_count)
    }

    /// A value that was never seen.
    pub(crate) fn new() -> GaugeSeason {
        GaugeSeason {
            last_ms: 0,
            buckets_count: 0,
            profile: Profile::new(),
            level: 0.0,
            trusted_level: 0.0,
            noise: Noise::new(),
            wander: Wander::new(),
            evidence: Evidence::default(),
            calibration: Calibration::new(),
            suspicious: Suspicious::default(),
            habit: Habit::default(),
            routine: Routine::default(),
        }
    }

    /// Judges a bucket and learns from it. `None` when it is not one: no finite value of zero or more, or not newer
    /// than the last.
    pub(crate) fn observe(&mut self, bucket: GaugeBucket, tuning: &GaugeTuning) -> Option<Verdict> {
        let Judgement { scores, leads, reading, null, noise } = self.judge(bucket, tuning)?;
        Some(Verdict {
            scores,
            expected: reading.base.map(|_| reading.expected().exp()),
            tolerance: null.tolerance,
            bounds: reading.bounds(null.tolerance, noise),
            onsets_s: leads.map(|lead| lead.onset_s()),
            ratios: leads.map(|lead| lead.ratio()),
        })
    }

    /// The same for who only asks for the scores.
    pub(crate) fn score(&mut self, bucket: GaugeBucket, tuning: &GaugeTuning) -> Option<[f64; 2]> {
        self.judge(bucket, tuning).map(|judgement| judgement.scores)
    }

    fn judge(&mut self, bucket: GaugeBucket, tuning: &GaugeTuning) -> Option<Judgement> {
        let is_newer = self.buckets_count == 0 || bucket.end_ms > self.last_ms;
        if !is_newer || !bucket.value.is_finite() || bucket.value < 0.0 {
            return None;
        }
        self.arrive(bucket.end_ms, tuning);
        let place = tuning.latest_place.of(bucket.end_ms, bucket.zone_offset_ms, tuning.bucket_ms, SLOTS_COUNT);
        let reading = self.read(&bucket, &place, tuning);
        let null = self.null(&bucket, &place);
        let noise = self.noise.variance(reading.hour) * self.noise.inflation();
        let leads = if reading.base.is_some() && reading.age_s > 2.0 * DAY_S {
            let weighed = Weighed {
                deviations: self.deviations(&reading, &place),
                variance: noise,
                evidence_max: self.calibration.bucket_evidence_max(&tuning.promise),
                stretches: self.calibration.stretches(),
                start_s: (bucket.end_ms.saturating_sub(tuning.bucket_ms) / 1_000) as u32,
            };
            self.evidence.weigh(&weighed, null, tuning)
        } else {
            Default::default()
        };
        let nats = leads.map(|lead| lead.evidence);
        self.calibration.enter(nats, bucket.end_ms, &tuning.promise);
        let factors = self.calibration.factors();
        let scores = [0, 1].map(|side| nats[side] * factors[side] / tuning.promise.threshold);
        let is_suspicious = reading.base.is_some() && scores[0].max(scores[1]) > SUSPICION;
        let suspicion = self.suspicious.next(is_suspicious, tuning.bucket_s);
        self.guard(nats[0].max(nats[1]), suspicion);
        self.learn(&bucket, &place, &reading, suspicion, tuning);
        self.buckets_count = self.buckets_count.saturating_add(1);
        Some(Judgement { scores, leads, reading, null, noise })
    }

    /// Whether it alerted so often that it takes more evidence than of others.
    pub(crate) fn is_restless(&self) -> bool {
        self.calibration.stretches() != [1.0; 2]
    }

    /// Whether it has seen enough to accuse anybody.
    pub(crate) fn is_grown(&self, tuning: &GaugeTuning) -> bool {
        f64::from(self.buckets_count) * tuning.bucket_s > 2.0 * DAY_S
    }

    /// How much of what there is to learn was learned, 0 to 1: as of [`super::Season`].
    pub(crate) fn learned(&self) -> f64 {
        let (day, week) = self.profile.learned();
        0.5 * day + 0.25 * week + 0.25 * self.calibration.learned()
    }

    fn arrive(&mut self, end_ms: i64, tuning: &GaugeTuning) {
        if self.buckets_count == 0 {
            self.calibration.begin(end_ms);
        } else if end_ms.saturating_sub(self.last_ms) > GAP_BUCKETS * tuning.bucket_ms {
            self.evidence.halve();
        }
        self.last_ms = end_ms;
    }

    fn read(&self, bucket: &GaugeBucket, place: &Place, tuning: &GaugeTuning) -> Reading {
        Reading {
            value: bucket.value.clamp(VALUE_MIN, VALUE_MAX).ln(),
            base: self.profile.base(place),
            hour_offset: self.profile.hour_offset(place),
            level: f64::from(self.level),
            hour: place.hour_of_day(),
            age_s: f64::from(self.buckets_count) * tuning.bucket_s,
        }
    }

    fn null(&self, bucket: &GaugeBucket, place: &Place) -> Null {
        let variance = self.wander.variance(place).max(WANDER_VARIANCE_MIN);
        let null = Null {
            variance: variance * WANDER_INFLATION * WANDER_INFLATION,
            tolerance: (WANDER_DEVIATIONS_MAX * variance.sqrt()).min(TOLERANCE_MAX),
        };
        if bucket.calendar_tolerance > 0.0 {
            let tolerance = null.tolerance.max(bucket.calendar_tolerance.min(1.0));
            return Null { variance: null.variance.max(tolerance * tolerance), tolerance };
        }
        null
    }

    /// How far a bucket is below and above what is nothing new: what is expected, soon or a moment ago where the day is
    /// steep, and what is so every day or every week.
    fn deviations(&self, reading: &Reading, place: &Place) -> [f64; 2] {
        let (of_week, of_day) = (self.habit.range(place, || reading.usual()), self.routine.range(place));
        let steep = self.profile.steep(place, reading.base.unwrap_or(0.0));
        let known = [of_week[0].min(of_day[0]).min(steep[0]), of_week[1].max(of_day[1]).max(steep[1])];
        known.map(|known| reading.deviation() - known)
    }

    /// Remembers the level while it is trusted; goes back to it when suspicion begins.
    fn guard(&mut self, nats: f64, suspicion: Suspicion) {
        if nats < TRUSTED_NATS {
            self.trusted_level = self.level;
        }
        if suspicion == Suspicion::First {
            self.level = self.trusted_level;
        }
    }

    fn learn(
        &mut self,
        bucket: &GaugeBucket,
        place: &Place,
        reading: &Reading,
        suspicion: Suspicion,
        tuning: &GaugeTuning,
    ) {
        if reading.base.is_some() {
            let deviation = reading.deviation();
            self.habit.leave(place, suspicion, || reading.usual(), tuning.bucket_s);
            if reading.age_s > DAY_S {
                self.follow(deviation, suspicion, tuning);
            }
            self.noise.learn(deviation, reading.hour, suspicion, self.buckets_count, tuning);
            let variance = self.noise.variance(reading.hour);
            if let Some(quarter) = self.wander.turn(place, reading.age_s, tuning) {
                self.routine.remember(quarter.index, quarter.deviation, quarter.is_suspicious);
            }
            self.wander.add(deviation, variance * self.noise.inflation(), suspicion);
            let from_day = reading.value - reading.base.unwrap_or(0.0);
            self.habit.add(place, (from_day, 1.0), suspicion, |sum, count| sum / count);
        }
        let is_learned = bucket.calendar_tolerance <= 0.0 && suspicion.is_learned();
        self.profile.learn(place, reading, is_learned);
    }

    fn follow(&mut self, deviation: f64, suspicion: Suspicion, tuning: &GaugeTuning) {
        let pace = if suspicion.is_learned() { 1.0 } else { SUSPICIOUS_PACE };
        let usual_max = 3.0 * self.noise.deviation();
        // What was accepted may be far off, so it is followed in larger steps.
        let step_max = if suspicion == Suspicion::Accepted { usual_max.max(0.5) } else { usual_max };
        add(&mut self.level, tuning.level_gain * pace * deviation.clamp(-step_max, step_max));
    }
}
