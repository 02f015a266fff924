//! A group that has a season: what it learns, how far it may stray, and the alerts of either direction.
//!
//! A minute with 20 orders where 54 were expected has a score of 0.4 and the next one 0.7; the third has 1.05 and fires,
//! its onset the start of the first. The buckets are those of the [`Stride`], not the signal's.
//!
//! Always true: it learns from every bucket that was judged, whether it decides or not; its alarms move only while it
//! decides.

use serde::{Deserialize, Serialize};

use super::alarm::{Alarm, Change, Incident, Reading};
use super::measure::Observed;
use super::model::{Closed, Day};
use super::options::{Directions, ModelOptions};
use super::outlook::Outlook;
use super::season::{Bucket, GaugeBucket, GaugeSeason, Season, Verdict};
use super::signal::Signal;
use super::sources::Sources;
use super::stride::{Step, Stride};
use super::transition::Side;
use super::tuning::Tunings;

/// Time in which most of the way to a new level is behind a season, in ms.
const FOLLOWING_MS: f64 = 3_600_000.0;
/// A score from which on a bucket is not learned from in any class.
const SUSPICIOUS_SCORE: f64 = 0.5;
/// What a drop that can be seen is seen within, in s.
const SEEN_WITHIN_S: f64 = 180.0;
/// Speed of learning under suspicion.
const SUSPICIOUS_PACE: f64 = 0.02;
/// Values of zero or less that are no chance any more.
const OFTEN_MIN: u32 = 3;

/// What is learned, by what the signal measures.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Kernel {
    Count(Season),
    Value(GaugeSeason),
}

/// State of one group's season.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seasonal {
    kernel: Kernel,
    stride: Stride,
    sources: Sources,
    alarms: [Alarm; 2],
    /// Values seen, and those of zero or less.
    values: u32,
    nonpositive: u32,
}

impl Seasonal {
    pub(crate) fn new(is_of_counts: bool, stride: Stride) -> Seasonal {
        Seasonal {
            kernel: if is_of_counts { Kernel::Count(Season::new()) } else { Kernel::Value(GaugeSeason::new()) },
            stride,
            sources: Sources::new(),
            alarms: [Alarm::Normal; 2],
            values: 0,
            nonpositive: 0,
        }
    }

    /// The alerts that there are.
    pub(crate) fn firing(&self) -> impl Iterator<Item = Incident> + '_ {
        self.alarms.iter().filter_map(Alarm::firing)
    }

    /// Whether it alerted so often that it takes more evidence than of others.
    pub(crate) fn is_restless(&self) -> bool {
        match &self.kernel {
            Kernel::Count(season) => season.is_restless(),
            Kernel::Value(season) => season.is_restless(),
        }
    }

    /// The least and the most events that are usual around this time of day, of so much exposure in a bucket of the signal,
    /// once a day was seen; none of values.
    pub(crate) fn usual(
        &self,
        end_ms: i64,
        exposure: f64,
        day: Day,
        signal: &Signal,
        tunings: &mut Tunings,
    ) -> Option<[f64; 2]> {
        let (Kernel::Count(season), bucket_ms @ 1..) = (&self.kernel, self.bucket_ms(signal)) else { return None };
        let rates = season.usual_rates(end_ms, day.zone_offset_ms, tunings.of_count(bucket_ms))?;
        // A plain count has the exposure 1 in each of its buckets, whatever their length.
        let buckets = if signal.has_exposure() { 1.0 } else { self.stride.count() as f64 };
        Some(rates.map(|rate| rate * exposure / buckets))
    }

    /// A look at each part of the state that the next bucket takes: what comes of it means nothing.
    pub(crate) fn glimpse(&self) -> u64 {
        let kernel = match &self.kernel {
            Kernel::Count(season) => season.glimpse(),
            Kernel::Value(season) => season.glimpse(),
        };
        kernel ^ self.stride.count() as u64 ^ self.sources.allowance()[0].to_bits() ^ u64::from(self.values)
    }

    pub(crate) fn stride(&self) -> &Stride {
        &self.stride
    }

    /// Follows the interval of the series. Says whether its buckets have another length from now on, so that what was
    /// learned is of no use.
    pub(crate) fn follow(&mut self, interval_ms: i64, bucket_ms: i64) -> bool {
        self.stride.follow(interval_ms, bucket_ms)
    }

    /// Whether it has seen enough to accuse anybody.
    pub(crate) fn is_grown(&self, tunings: &mut Tunings, signal: &Signal) -> bool {
        let bucket_ms = self.bucket_ms(signal);
        match &self.kernel {
            _ if bucket_ms == 0 => false,
            Kernel::Count(season) => season.is_grown(tunings.of_count(bucket_ms)),
            Kernel::Value(season) => season.is_grown(tunings.of_value(bucket_ms)),
        }
    }

    /// Whether at most one of so many values was zero or less.
    pub(crate) fn is_positive(&self, values_per_nonpositive: u32) -> bool {
        self.nonpositive <= self.values / values_per_nonpositive
    }

    /// Whether several were, which is more than so many allow for.
    pub(crate) fn is_often_nonpositive(&self, values_per_nonpositive: u32) -> bool {
        self.nonpositive >= OFTEN_MIN && !self.is_positive(values_per_nonpositive)
    }

    /// Alarms of directions that are not watched stand still, and would fire for ever.
    pub(crate) fn forget_unwatched(&mut self, directions: Directions) {
        for direction in [Side::Drop, Side::Rise] {
            if !directions.each().contains(&direction) {
                self.alarms[direction.index()] = Alarm::Normal;
            }
        }
    }

    /// Sources with this share of the volume left.
    pub(crate) fn sources_left(&mut self, share: f64) {
        if let (true, Kernel::Count(season)) = (self.sources.left(share), &mut self.kernel) {
            season.loosen();
        }
    }

    /// Sources joined, this many for each one before.
    pub(crate) fn sources_joined(&mut self, share: f64) {
        if let (true, Kernel::Count(season)) = (self.sources.joined(share), &mut self.kernel) {
            season.loosen();
        }
    }

    /// Takes in the signal's next bucket; while it `decides`, what it made of the season's bucket that this one completes,
    /// and what begins or ends with it.
    pub(crate) fn observe(
        &mut self,
        closed: &Closed<'_>,
        signal: &Signal,
        options: &ModelOptions,
        tunings: &mut Tunings,
        decides: bool,
    ) -> Option<(Outlook, Vec<Change>)> {
        let step = self.stride.gather(closed.index, closed.judged, closed.share, signal)?;
        let verdict = self.judge(step, closed, signal, tunings, decides)?;
        let outlook = Outlook {
            end_ms: step.end_ms,
            observed: step.amount()?,
            expected: verdict.expected,
            bounds: verdict.expected.map(|_| verdict.bounds),
            exposure: step.exposure(),
            buckets: self.stride.count(),
            scores: verdict.scores,
            threshold: tunings.threshold(self.bucket_ms(signal)),
        };
        Some((outlook, self.decide(step.end_ms, &verdict, signal, options)))
    }

    fn decide(&mut self, end_ms: i64, verdict: &Verdict, signal: &Signal, options: &ModelOptions) -> Vec<Change> {
        let mut changes = Vec::new();
        for &direction in options.directions.each() {
            let side = direction.index();
            let reading = Reading {
                direction,
                score: verdict.scores[side],
                ratio: verdict.ratios[side],
                onset_ms: verdict.onsets_s[side].map_or(end_ms, |onset_s| i64::from(onset_s) * 1_000),
                end_ms,
                is_large: self.is_large(direction, verdict, signal, options),
            };
            changes.extend(self.alarms[side].observe(reading, options));
        }
        changes
    }

    /// How much of what there is to learn was learned, 0 to 1.
    pub(crate) fn learned(&self, tunings: &mut Tunings, signal: &Signal) -> f64 {
        match (&self.kernel, self.bucket_ms(signal)) {
            (_, 0) => 0.0,
            (Kernel::Count(season), bucket_ms) => season.learned(tunings.of_count(bucket_ms)),
            (Kernel::Value(season), _) => season.learned(),
        }
    }

    /// The smallest drop that would alert within three minutes while so many events a bucket are expected.
    pub(crate) fn detectable_drop(&self, expected: f64, tunings: &mut Tunings, signal: &Signal) -> Option<f64> {
        match (&self.kernel, self.bucket_ms(signal)) {
            (Kernel::Count(season), bucket_ms) if bucket_ms > 0 => {
                season.detectable_drop(expected, SEEN_WITHIN_S, tunings.of_count(bucket_ms))
            }
            _ => None,
        }
    }

    /// Learns from a bucket; what it says, while it `decides`.
    fn judge(
        &mut self,
        step: Step,
        closed: &Closed<'_>,
        signal: &Signal,
        tunings: &mut Tunings,
        decides: bool,
    ) -> Option<Verdict> {
        let bucket_ms = self.bucket_ms(signal);
        let Day { zone_offset_ms, tolerance: calendar_tolerance } = closed.day;
        let told = |verdict: Verdict| (verdict.scores, Some(verdict));
        let (scores, verdict) = match (&mut self.kernel, step.observed) {
            (Kernel::Count(season), Observed::Count { events: observed, exposure }) => {
                let allowance = if signal.has_exposure() { [1.0; 2] } else { self.sources.allowance() };
                let end_ms = step.end_ms;
                let bucket = Bucket { end_ms, observed, exposure, zone_offset_ms, calendar_tolerance, allowance };
                let tuning = tunings.of_count(bucket_ms);
                if decides { told(season.observe(bucket, tuning)?) } else { (season.score(bucket, tuning)?, None) }
            }
            (Kernel::Value(season), Observed::Value(value)) => {
                self.values = self.values.saturating_add(1);
                if value <= 0.0 {
                    self.nonpositive = self.nonpositive.saturating_add(1);
                    return None;
                }
                let bucket = GaugeBucket { end_ms: step.end_ms, value, zone_offset_ms, calendar_tolerance };
                let tuning = tunings.of_value(bucket_ms);
                if decides { told(season.observe(bucket, tuning)?) } else { (season.score(bucket, tuning)?, None) }
            }
            _ => return None,
        };
        let is_suspicious = scores[0].max(scores[1]) > SUSPICIOUS_SCORE;
        let pace = if is_suspicious { SUSPICIOUS_PACE } else { 1.0 };
        self.sources.fade(pace * bucket_ms as f64 / FOLLOWING_MS);
        verdict
    }

    /// Whether change and volume are as large as the rule asks for. Of a rise it is what was seen that must be enough.
    fn is_large(&self, direction: Side, verdict: &Verdict, signal: &Signal, options: &ModelOptions) -> bool {
        let ratio = verdict.ratios[direction.index()];
        let change = direction.sign() * (ratio - 1.0);
        let Kernel::Count(_) = self.kernel else { return change >= options.min_change_grown() };
        let expected = verdict.expected.unwrap_or(0.0) * signal.window_buckets as f64 / self.stride.count() as f64;
        let volume = match direction {
            Side::Drop => expected,
            Side::Rise => expected * ratio,
        };
        change >= options.min_change_grown() && volume >= options.min_volume
    }

    /// Length of its buckets, in ms; 0 before the first.
    fn bucket_ms(&self, signal: &Signal) -> i64 {
        self.stride.count() as i64 * signal.bucket_ms
    }
}
