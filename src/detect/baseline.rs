//! What is expected of a group, and how far it usually strays.
//!
//! A count of 20 orders a bucket strays by √20 if orders are independent, more if they come in bursts; the
//! *dispersion*, variance over mean, is measured on buckets and on blocks of them, the largest counts, and it is never
//! taken below 1. A latency strays by factors, so its logarithm is watched; a gauge that can be zero or less is watched
//! as it is.
//!
//! Always true: one bucket moves the level by a bounded step, however wild it is, but for [`Baseline::learn_unlimited`] and the
//! first step away from nothing.

use serde::{Deserialize, Serialize};

use super::cusum::{Score, Tested};
use super::measure::divided;

/// Half-life of the level, in ms of event time.
const LEVEL_HALF_LIFE_MS: f64 = 1_200_000.0;
/// Buckets of the two blocks on which slow noise is measured. Of counts only the shorter one is used: over the longer
/// one a shop's day is not noise.
const BLOCK_BUCKETS: [u32; 2] = [12, 60];
/// Gains of the two measures of noise: of a bucket, and of a block.
const BUCKET_NOISE_GAIN: f64 = 1.0 / 160.0;
const BLOCK_NOISE_GAIN: f64 = 1.0 / 24.0;
/// Gain of the share of extreme buckets: four hours of 15 s.
const EXTREMES_GAIN: f64 = 1.0 / 960.0;
/// What extreme buckets may make of the mean likelihood of a change when there is none, which is 1 at most with all others.
const OF_EXTREMES: f64 = 0.5;
/// Buckets whose noise is taken as it is; later ones are limited to what is already believed.
const UNLIMITED_COUNT: u64 = 20;
/// Standard deviations in a mean absolute deviation, if noise is normal.
const DEVIATIONS_IN_MEAN: f64 = 1.2533;
/// What is nothing most of the time has a small mean deviation and a large variance: so much of the mean square counts, which
/// is less than what the mean deviation says where noise is normal.
const SQUARE_SHARE: f64 = 0.85;
/// Variance, relative to the level's square, that every count has: 5 %, squared.
const COUNT_SPREAD_SQUARED: f64 = 0.0025;
/// Smallest spread of a level: 2 % of it.
const LEVEL_SPREAD_MIN: f64 = 0.02;
/// A value of zero is read as this share of the level where logarithms are taken, and what is less than this far below the
/// level, in logarithms, is surely above that.
const LOG_FLOOR: f64 = 0.01;
const LOG_FLOOR_DISTANCE: f64 = 4.5;

/// One bucket, as the model is to see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Increments of a sum; value of a quantile or gauge.
    pub value: f64,
    /// Share of the usual volume that reported; 1 for levels.
    pub share: f64,
}

/// Level and noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    scale: Scale,
    /// Expected events a bucket, or the expected value, or its logarithm.
    level: f64,
    /// Buckets learned from since the last start.
    learned: u64,
    /// Mean absolute deviation of a bucket: of a count in units of the root of its expectation.
    deviation: f64,
    blocks: [Block; 2],
    /// The mean square of a bucket's deviation, in the units of `deviation`. Layout 3 of the checkpoint ends before it.
    #[serde(default)]
    square: f64,
    /// Of values: the share of buckets that speak for a drop, and for a rise, half as strongly as one may or more.
    #[serde(default)]
    extremes: [f64; 2],
}

/// The same measure on sums over consecutive buckets, which are larger where neighbours stray together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    /// Mean absolute deviation, as that of a bucket.
    mean_deviation: f64,
    /// Blocks that were completed.
    completed: u64,
    /// The block that is being filled.
    count: u32,
    deviation: f64,
    expected: f64,
}

impl Block {
    #[inline]
    fn add(&mut self, deviation: f64, expected: f64, buckets: u32, look: f64) {
        self.count += 1;
        self.deviation += deviation;
        self.expected += expected;
        if self.count == buckets {
            self.completed += 1;
            let deviation = self.deviation.abs() / self.expected.sqrt();
            let gain = (look * BLOCK_NOISE_GAIN).max(1.0 / self.completed as f64);
            self.mean_deviation += gain * (deviation - self.mean_deviation);
            (self.count, self.deviation, self.expected) = (0, 0.0, 0.0);
        }
    }
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scale {
    /// Numbers of events.
    Count,
    /// Positive values, by their logarithm.
    Log,
    /// Any values.
    Linear,
}

/// How much is learned from a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gains {
    /// The share of the way to its value that the level goes.
    level: f64,
    /// How much of a look it is, for the noise: 1, and less where the value was seen in buckets before it already.
    look: f64,
}

impl Gains {
    /// For buckets of this length that are a look each.
    pub(crate) fn new(bucket_ms: i64) -> Gains {
        let level = 1.0 - (-(bucket_ms as f64) / LEVEL_HALF_LIFE_MS * std::f64::consts::LN_2).exp();
        Gains { level, look: 1.0 }
    }

    /// Of a value that stands for so many buckets. Its first bucket says most, and each of them something: that it still
    /// stands. Taken as a look each, three samples of an incident made themselves the noise; taken as one, the noise of an
    /// afternoon was learned by the next day.
    pub(crate) fn of_standing(self, buckets: f64) -> Gains {
        Gains { look: 1.0 / buckets.max(1.0).sqrt(), ..self }
    }
}

impl Baseline {
    pub(crate) fn new(scale: Scale) -> Baseline {
        Baseline {
            scale,
            level: 0.0,
            learned: 0,
            deviation: 0.0,
            blocks: [Block::default(); 2],
            square: 0.0,
            extremes: [0.0; 2],
        }
    }

    /// A look at both of its ends, for whoever wants it fetched: what comes of it means nothing.
    pub(crate) fn glimpse(&self) -> u64 {
        self.level.to_bits() ^ self.blocks[0].completed ^ self.blocks[1].completed
    }

    pub(crate) fn scale(&self) -> Scale {
        self.scale
    }

    /// The expected value of a bucket: events, or the value itself.
    pub(crate) fn expected(&self) -> f64 {
        if self.scale == Scale::Log { self.level.exp() } else { self.level }
    }

    /// What was learned weighs less from now on, so that a new level is found soon; the step to it is not noise.
    pub(crate) fn loosen(&mut self, learned_max: u64) {
        self.learned = self.learned.min(learned_max);
        for block in &mut self.blocks {
            (block.count, block.deviation, block.expected) = (0, 0.0, 0.0);
        }
    }

    /// Strays as far as another baseline of the same values, if that strays further.
    pub(crate) fn stray_like(&mut self, other: &Baseline) {
        self.deviation = self.deviation.max(other.deviation);
        self.square = self.square.max(other.square);
        for (block, other) in self.blocks.iter_mut().zip(&other.blocks) {
            block.mean_deviation = block.mean_deviation.max(other.mean_deviation);
        }
    }

    /// Moves the level towards a bucket, at the usual speed when `pace` is 1.
    #[inline]
    pub(crate) fn learn(&mut self, seen: Seen, gains: Gains, pace: f64) {
        let deviation = self.deviation_of(seen);
        let is_trusted = pace >= 1.0 && self.is_without_scale();
        let limited = if is_trusted { deviation } else { self.limited(deviation) };
        self.take(limited, gains, pace);
    }

    /// As [`Baseline::learn`] at the usual speed, from all that a bucket deviates.
    pub(crate) fn learn_unlimited(&mut self, seen: Seen, gains: Gains) {
        let deviation = self.deviation_of(seen);
        self.take(deviation, gains, 1.0);
    }

    #[inline]
    fn deviation_of(&mut self, seen: Seen) -> f64 {
        let value = self.transformed(seen);
        if self.learned == 0 {
            self.level = value;
        }
        self.learned += 1;
        value - self.level
    }

    #[inline]
    fn take(&mut self, deviation: f64, gains: Gains, pace: f64) {
        if pace >= 1.0 {
            self.learn_noise(deviation, gains.look);
        }
        self.level += gains.level.max(1.0 / self.learned as f64) * pace * deviation;
    }

    /// A deviation, or four times the usual one if it is larger.
    #[inline]
    fn limited(&self, deviation: f64) -> f64 {
        if self.learned <= UNLIMITED_COUNT {
            return deviation;
        }
        // Nearly all are so surely smaller that neither a root need be taken nor the noise be asked for, which is 1 at least.
        if self.scale == Scale::Count {
            let square = deviation * deviation;
            if square < 15.0 * self.count_variance(1.0) || square < 15.0 * self.count_variance(self.dispersion()) {
                return deviation;
            }
        }
        let limit = 4.0 * self.spread();
        deviation.clamp(-limit, limit)
    }

    /// Whether it was nothing so far: four times the deviation of that is nothing too, and would be for ever.
    fn is_without_scale(&self) -> bool {
        self.scale == Scale::Linear && self.level == 0.0 && self.square == 0.0
    }

    /// Between which values a change from what is expected is smaller than this.
    #[inline]
    pub(crate) fn within(&self, expected: f64, change: f64) -> [f64; 2] {
        let by = if self.scale() == Scale::Linear { change * self.linear_unit() } else { change * expected };
        [expected - by, expected + by]
    }

    /// The ratio of a bucket, or of a sum of buckets, to its expectation. Finite: it is kept in the checkpoint.
    pub(crate) fn ratio(&self, observed: f64, expected: f64) -> f64 {
        match self.scale {
            Scale::Log => (observed - expected).exp().min(f64::MAX),
            Scale::Count => (observed / expected.max(f64::MIN_POSITIVE)).clamp(f64::MIN, f64::MAX),
            Scale::Linear => (1.0 + (observed - expected) / self.linear_unit()).clamp(f64::MIN, f64::MAX),
        }
    }

    /// A bucket and its expectation on the scale on which they are compared.
    #[inline]
    pub(crate) fn pair(&self, seen: Seen) -> (f64, f64) {
        match self.scale {
            Scale::Count => (seen.value, (self.level * seen.share).max(0.0)),
            Scale::Log | Scale::Linear => (self.transformed(seen), self.level),
        }
    }

    /// What a bucket and its expectation ([`Baseline::pair`]) say of a direction's alternatives, for each in turn. `factor`
    /// widens the expectation, `least_expected` is the fewest events that a count is compared with.
    #[inline]
    pub(crate) fn score(
        &self,
        pair: (f64, f64),
        tested: &Tested,
        factor: f64,
        least_expected: f64,
        mut tell: impl FnMut(usize, Score),
    ) {
        let (observed, expected) = pair;
        let alternatives = tested.alternatives.iter().enumerate();
        if self.scale == Scale::Count {
            let expected = expected.max(least_expected) * factor;
            let noise = self.dispersion() + COUNT_SPREAD_SQUARED * expected;
            for (index, alternative) in alternatives {
                let for_it = observed * alternative.log_beyond + expected * (tested.tolerated - alternative.ratio);
                tell(index, Score { for_it, noise, observed, expected });
            }
            return;
        }
        // The distances from the level that the ratios mean.
        let unit = if self.scale == Scale::Linear { self.linear_unit() } else { 0.0 };
        let shift =
            |ratio: f64, log_ratio: f64| if self.scale == Scale::Log { log_ratio } else { (ratio - 1.0) * unit };
        let (from, variance) = (shift(tested.tolerated, tested.log_tolerated), self.spread().powi(2));
        let deviation = observed - expected;
        for (index, alternative) in alternatives {
            let to = shift(alternative.ratio, alternative.log_ratio);
            let for_it = (to - from) * (deviation - (from + to) / 2.0);
            tell(index, Score { for_it, noise: variance, observed: deviation, expected: 1.0 });
        }
    }

    /// The most that a bucket may speak for a drop, and for a rise, in nats. A queue that is empty nine times of ten and
    /// holds three orders the tenth time is far from its level then, and yet that is worth no more than ln 5.
    pub(crate) fn surprise_max(&self) -> [f64; 2] {
        self.extremes.map(|share| (OF_EXTREMES / share).ln())
    }

    /// Takes in whether a bucket of values spoke half as strongly as one may or more, for a drop and for a rise.
    pub(crate) fn learn_extremes(&mut self, is_extreme: [bool; 2], gains: Gains) {
        if self.scale == Scale::Count {
            return;
        }
        let seen = f64::from(BLOCK_BUCKETS[0]) * (self.blocks[0].completed + 1) as f64;
        let gain = (gains.look * EXTREMES_GAIN).max(1.0 / seen);
        for (share, is_extreme) in self.extremes.iter_mut().zip(is_extreme) {
            *share += gain * (f64::from(u8::from(is_extreme)) - *share);
        }
    }

    /// The change over a run, as a ratio to the expectation.
    pub(crate) fn run_ratio(&self, observed: f64, expected: f64) -> f64 {
        match self.scale {
            Scale::Count => self.ratio(observed, expected),
            Scale::Log => (observed / expected).exp().min(f64::MAX),
            Scale::Linear => (1.0 + observed / expected / self.linear_unit()).clamp(f64::MIN, f64::MAX),
        }
    }

    fn transformed(&self, seen: Seen) -> f64 {
        match self.scale {
            Scale::Count => divided(seen.value, seen.share),
            Scale::Linear => seen.value,
            Scale::Log => {
                let log = seen.value.max(f64::MIN_POSITIVE).ln();
                if self.learned == 0 || log > self.level - LOG_FLOOR_DISTANCE {
                    return log;
                }
                seen.value.max(self.level.exp() * LOG_FLOOR).max(f64::MIN_POSITIVE).ln()
            }
        }
    }

    /// What a change of 100 % means for a linear value: its level, or its usual noise where that is larger.
    fn linear_unit(&self) -> f64 {
        self.level.abs().max(3.0 * self.noise().sqrt()).max(f64::MIN_POSITIVE)
    }

    /// Dispersion of a count, variance of a level.
    fn noise(&self) -> f64 {
        let [short, long] = &self.blocks;
        let deviation = self.deviation.max(short.mean_deviation);
        if self.scale == Scale::Count {
            return (DEVIATIONS_IN_MEAN * deviation).powi(2).max(SQUARE_SHARE * self.square);
        }
        (DEVIATIONS_IN_MEAN * deviation.max(long.mean_deviation)).powi(2).max(SQUARE_SHARE * self.square)
    }

    fn dispersion(&self) -> f64 {
        self.noise().max(1.0)
    }

    /// The usual distance of a bucket from the level.
    fn spread(&self) -> f64 {
        match self.scale {
            Scale::Count => self.count_variance(self.dispersion()).sqrt(),
            Scale::Log => self.noise().sqrt().max(LEVEL_SPREAD_MIN),
            Scale::Linear => self.noise().sqrt().max(LEVEL_SPREAD_MIN * self.level.abs()).max(f64::MIN_POSITIVE.sqrt()),
        }
    }

    fn count_variance(&self, dispersion: f64) -> f64 {
        let level = self.level.max(0.0);
        dispersion * level.max(1.0) + COUNT_SPREAD_SQUARED * level * level
    }

    #[inline]
    fn learn_noise(&mut self, deviation: f64, look: f64) {
        let (expected, strays) = if self.scale == Scale::Count {
            let expected = self.level.max(1.0);
            (expected, deviation / expected.sqrt())
        } else {
            (1.0, deviation)
        };
        let gain = (look * BUCKET_NOISE_GAIN).max(1.0 / self.learned as f64);
        self.deviation += gain * (strays.abs() - self.deviation);
        self.square += gain * (strays * strays - self.square);
        for (block, buckets) in self.blocks.iter_mut().zip(BLOCK_BUCKETS) {
            block.add(deviation, expected, buckets, look);
        }
    }
}
