//! What is asked of a kind of signal, and the constants that follow from it for one bucket length.
//!
//! Orders at 60 s: the level goes 1 - 2^(-60/1200) = 3.4 % of the way every minute, so half of it in twenty.
//!
//! Always true: nothing here changes while a signal is watched but what is remembered of the latest bucket, and nothing
//! of it is saved.

use super::DAY_S;
use super::place::{LatestPlace, Place};
use super::promise::{Promise, Tail, gain};

/// How a kind of signal behaves. The figures were chosen on recorded shop traffic with incidents put in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Class {
    /// Slots of the day profile, at most [`super::SLOTS_COUNT_MAX`].
    pub(super) slots_count: usize,
    /// Alternatives that are tested, as ratios to the expectation: drops, rises. At most three each.
    pub(super) ratios: [&'static [f64]; 2],
    /// Share of the threshold from which on a bucket is suspicious.
    pub(super) suspicion: f64,
    /// Standard deviation of the wandering null, as a multiple of the learned one.
    pub(super) wander_inflation: f64,
    /// How far the null may wander, in learned standard deviations.
    pub(super) wander_deviations_max: f64,
    /// How far the null may wander, as a fraction of the expectation, however much was learned.
    pub(super) tolerance_max: f64,
    /// Smallest variance of the wander, relative to the expectation squared.
    pub(super) wander_variance_min: f64,
    pub(super) level_half_life_s: f64,
    /// Events that an hour of the week must outweigh to differ from the day profile.
    pub(super) hour_prior_events: f64,
    /// Whether buckets that say little count as fewer looks, which lowers the threshold.
    pub(super) counts_information: bool,
    /// Whether what already happened at this time yesterday is not told again.
    pub(super) remembers_yesterday: bool,
    /// Whether it lives by a clock that may be put forward or back.
    pub(super) follows_clock: bool,
    /// Whether the level counts for less when nothing was learned for a while.
    pub(super) ages: bool,
    /// Whether what is so every day or every week is not told again.
    pub(super) keeps_habits: bool,
    /// Noise of a bucket that does not shrink with its volume, as a fraction of the expectation.
    pub(super) relative_noise: f64,
    /// Least calibrated threshold, as a share of the nominal one.
    pub(super) calibrated_min: f64,
    /// How its evidence is distributed over the hours.
    pub(super) tail: Tail,
}

/// Orders, payments, visits: many, seasonal, both ways matter.
pub(crate) const ORDERS: Class = Class {
    slots_count: 192,
    ratios: [&[0.7, 0.5, 0.15], &[1.4, 1.9, 3.5]],
    suspicion: 0.7,
    wander_inflation: 1.5,
    wander_deviations_max: 2.5,
    tolerance_max: 0.4,
    wander_variance_min: 0.0004,
    level_half_life_s: 1_200.0,
    hour_prior_events: 60.0,
    counts_information: false,
    remembers_yesterday: true,
    follows_clock: true,
    ages: true,
    keeps_habits: true,
    relative_noise: 0.05,
    calibrated_min: 0.85,
    tail: Tail::Exponential,
};

/// Errors among requests: few, bursty; only more of them is trouble.
pub(crate) const ERRORS: Class = Class {
    slots_count: 24,
    ratios: [&[], &[2.5, 5.0, 12.0]],
    suspicion: 0.7,
    wander_inflation: 1.0,
    wander_deviations_max: 2.0,
    tolerance_max: 1.0,
    wander_variance_min: 0.0225,
    level_half_life_s: 3_600.0,
    hour_prior_events: 60.0,
    counts_information: true,
    remembers_yesterday: false,
    follows_clock: false,
    ages: false,
    keeps_habits: true,
    relative_noise: 0.0,
    calibrated_min: 0.7,
    tail: Tail::Largest,
};

/// Orders among visits: steady; only fewer of them is trouble.
pub(crate) const CONVERSION: Class = Class {
    slots_count: 96,
    ratios: [&[0.7, 0.5, 0.2], &[]],
    suspicion: 0.5,
    wander_inflation: 1.0,
    wander_deviations_max: 2.0,
    tolerance_max: 0.4,
    wander_variance_min: 0.0001,
    level_half_life_s: 1_500.0,
    hour_prior_events: 1_000.0,
    counts_information: false,
    remembers_yesterday: false,
    follows_clock: false,
    ages: false,
    keeps_habits: true,
    relative_noise: 0.0,
    calibrated_min: 0.85,
    tail: Tail::Largest,
};

/// An alternative to "all is well": the rate is this multiple of the expectation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alternative {
    pub(super) ratio: f64,
    pub(super) log_ratio: f64,
}

/// A class at one bucket length: thresholds, and how fast things are learned, as the share that one bucket (block,
/// hour, …) takes of the difference.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub(super) class: Class,
    pub(super) alternatives: [Vec<Alternative>; 2],
    pub(super) bucket_ms: i64,
    pub(super) bucket_s: f64,
    pub(super) promise: Promise,
    pub(super) minute_buckets: u32,
    pub(super) block_buckets: u32,
    pub(super) hour_buckets: u32,
    pub(super) level_gain: f64,
    pub(super) wander_gain: f64,
    pub(super) dispersion_gain: f64,
    pub(super) quarter_gain: f64,
    pub(super) quarter_of_hour_gain: f64,
    latest_place: LatestPlace,
}

impl Tuning {
    /// Evidence that alerts, in nats.
    pub(crate) fn threshold(&self) -> f64 {
        self.promise.threshold
    }

    /// Where a bucket lies by a clock that is so far ahead of UTC.
    pub(super) fn place(&self, end_ms: i64, clock_ms: i64) -> Place {
        self.latest_place.of(end_ms, clock_ms, self.bucket_ms, self.class.slots_count)
    }

    /// For buckets of `bucket_ms`, 5 to 300 s. `has_zone` says that buckets carry the shop's clock, so that a clock
    /// change needs neither a memory of yesterday nor a guess.
    pub(crate) fn new(class: Class, bucket_ms: i64, false_alerts_per_week: f64, has_zone: bool) -> Tuning {
        let bucket_s = bucket_ms as f64 / 1_000.0;
        let count = |span_s: f64| (span_s / bucket_s + 0.5) as u32;
        let alternative = |ratio: &f64| Alternative { ratio: *ratio, log_ratio: ratio.ln() };
        Tuning {
            class: Class {
                remembers_yesterday: class.remembers_yesterday && !has_zone,
                follows_clock: class.follows_clock && !has_zone,
                ..class
            },
            alternatives: class.ratios.map(|ratios| ratios.iter().map(alternative).collect()),
            bucket_ms,
            bucket_s,
            promise: Promise::new(bucket_s, false_alerts_per_week, class.calibrated_min, class.tail),
            minute_buckets: count(60.0).max(1),
            block_buckets: count(180.0).max(3),
            hour_buckets: count(3_600.0).max(1),
            level_gain: gain(bucket_s.max(60.0), class.level_half_life_s),
            wander_gain: gain(3_600.0, 4.0 * DAY_S),
            dispersion_gain: gain(bucket_s, 2.0 * DAY_S),
            quarter_gain: gain(900.0, 4.0 * DAY_S),
            // An hour of the day has four quarters a day: the same four days.
            quarter_of_hour_gain: gain(1.0, 16.0),
            latest_place: LatestPlace::default(),
        }
    }
}
