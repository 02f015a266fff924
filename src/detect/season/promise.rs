//! The promise: how rarely a signal may alert in vain, and the evidence that this asks for.
//!
//! One false alert in ten weeks and a bucket of 60 s: a week has 10,080 buckets, so a bucket may be false once in
//! 100,800, which is ln 100,800 = 11.52 nats of evidence. A bucket adds at most 11.52 / 2.8 = 4.1 of them.

use super::WEEK_S;

#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    /// Evidence that alerts, in nats.
    pub(super) threshold: f64,
    /// The same if every hour were one look, in nats.
    pub(super) hourly_threshold: f64,
    /// Most that one bucket adds to uncalibrated evidence, in nats.
    pub(super) bucket_evidence_max: f64,
    /// Least calibrated threshold, as a share of `threshold`.
    pub(super) calibrated_min: f64,
    pub(super) tail: Tail,
}

/// How rarely an hour has much evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tail {
    /// An hour is one look: what wanders does so for longer.
    Exponential,
    /// An hour is many looks that have nothing to do with each other, and shows the largest: a Gumbel distribution.
    Largest,
}

impl Tail {
    /// Where the level lies below which this share of the hours is, in units in which the rarity of hours beyond a high
    /// level grows by a factor of e.
    pub(super) fn position(self, share: f64) -> f64 {
        match self {
            Tail::Exponential => -(1.0 - share).ln(),
            Tail::Largest => -(-share.ln()).ln(),
        }
    }
}

impl Promise {
    /// For buckets of 5 to 300 s.
    pub(super) fn new(bucket_s: f64, false_alerts_per_week: f64, calibrated_min: f64, tail: Tail) -> Promise {
        assert!((5.0..=300.0).contains(&bucket_s), "a bucket of {bucket_s} s is not one of 5 to 300 s");
        assert!(false_alerts_per_week > 0.0, "{false_alerts_per_week} false alerts a week need endless evidence");
        let threshold = (WEEK_S / (false_alerts_per_week * bucket_s)).ln();
        Promise {
            threshold,
            hourly_threshold: (WEEK_S / (false_alerts_per_week * 3_600.0)).ln(),
            bucket_evidence_max: threshold / buckets_needed(bucket_s),
            calibrated_min,
            tail,
        }
    }
}

/// The share of a difference that is learned in `span_s`, so that half of it is in `half_life_s`.
pub(super) fn gain(span_s: f64, half_life_s: f64) -> f64 {
    1.0 - 0.5_f64.powf(span_s / half_life_s)
}

/// Buckets that an alert takes at least: more than a restart of 30 s touches, and more than one.
fn buckets_needed(bucket_s: f64) -> f64 {
    match bucket_s {
        ..=19.0 => 54.0 / bucket_s,
        ..120.0 => 2.8,
        _ => 1.8,
    }
}
