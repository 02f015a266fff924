//! Evidence that the rate has changed: log-likelihood ratios against a null that may itself wander a little.
//!
//! 30 orders are expected and 15 come, which the alternative "half" explains better by 15 × ln 0.5 + 30 × 0.5 = 4.6
//! nats. Had this signal been seen to wander by 5 %, "it wandered to 92 %" would explain 0.6 of them, and 4.0 count. The
//! more events, the more is explained: a fall of ten thousand orders to nine thousand is no evidence at all.
//!
//! Always true:
//! 1. One bucket adds at most a cap so small that one odd bucket never alerts.
//! 2. A run that speaks against its alternative is forgotten; its next bucket starts anew and dates the onset.

use serde::{Deserialize, Serialize};

use super::DAY_S;
use super::class::{Alternative, Tuning};
use super::place::Place;
use super::stored::approach;

/// Below this a run is not compared with the wandering null, in nats.
const COMPARED_NATS: f64 = 0.5;

/// The buckets that speak for one alternative, summed: each divided by the noise, and capped.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Run {
    observed: f32,
    expected: f32,
    /// Evidence that alerts under this alternative, in nats.
    threshold: f32,
    /// Start of the run's first bucket, in s since 1970.
    start_s: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Evidence {
    runs: [[Run; 3]; 2],
    /// Running mean of the expectation over a day.
    expected: f32,
    /// Variance of the wander at this time of day, relative to the expectation squared.
    wander_variance: f32,
    minute_number: i64,
}

/// What "all is well" allows: a wander with this variance, within this fraction of the expectation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Null {
    pub(super) variance: f64,
    pub(super) tolerance: f64,
}

/// One bucket as evidence sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighed {
    pub(super) observed: f64,
    /// What is expected at least and at most, for drops and rises.
    pub(super) expected: [f64; 2],
    /// Variance as a multiple of the expectation.
    pub(super) dispersion: f64,
    /// Most that the bucket may add, by direction, in nats.
    pub(super) evidence_max: [f64; 2],
    /// How much more evidence it takes than that of others, by direction.
    pub(super) stretches: [f64; 2],
    pub(super) start_s: u32,
}

/// The alternative with most evidence on one side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lead {
    /// In nats, not calibrated.
    pub(super) evidence: f64,
    pub(super) start_s: u32,
    /// What its run saw and what it expected, in one unit.
    pub(super) observed: f64,
    pub(super) expected: f64,
}

impl Lead {
    /// Start of the run, if there is one.
    pub(super) fn onset_s(&self) -> Option<u32> {
        (self.evidence > 0.0).then_some(self.start_s)
    }

    /// What the run saw as a multiple of what it expected; 1 without a run.
    pub(super) fn ratio(&self) -> f64 {
        if self.expected > 0.0 { self.observed / self.expected } else { 1.0 }
    }
}

impl Evidence {
    pub(super) fn new() -> Evidence {
        Evidence { runs: [[Run::default(); 3]; 2], expected: 0.0, wander_variance: 0.0025, minute_number: i64::MIN }
    }

    /// What came until now was compared with what was not to be expected.
    pub(super) fn forget(&mut self) {
        for run in self.runs.as_flattened_mut() {
            *run = Run { threshold: run.threshold, ..Run::default() };
        }
    }

    /// A look at either end: what comes of it means nothing.
    pub(super) fn glimpse(&self) -> u32 {
        self.runs[0][0].start_s ^ self.runs[1][2].start_s ^ self.expected.to_bits()
    }

    /// After a gap old evidence is worth half.
    pub(super) fn halve(&mut self) {
        for run in self.runs.as_flattened_mut() {
            run.observed *= 0.5;
            run.expected *= 0.5;
        }
    }

    /// Once a minute: the wander at this time of day, and what every alternative needs.
    pub(super) fn refresh(
        &mut self,
        place: &Place,
        wander_variance: impl Fn() -> f64,
        calendar_tolerance: f64,
        dispersion: f64,
        tuning: &Tuning,
    ) {
        if place.minute_number == self.minute_number {
            return;
        }
        self.minute_number = place.minute_number;
        let class = &tuning.class;
        let allowed = calendar_tolerance / class.wander_deviations_max;
        self.wander_variance = wander_variance().max(class.wander_variance_min).max(allowed * allowed) as f32;
        for (runs, alternatives) in self.runs.iter_mut().zip(&tuning.alternatives) {
            for (run, alternative) in runs.iter_mut().zip(alternatives) {
                run.threshold = threshold(f64::from(self.expected), dispersion, alternative, tuning) as f32;
            }
        }
    }

    pub(super) fn null(&self, calendar_tolerance: f64, tuning: &Tuning) -> Null {
        let class = &tuning.class;
        let variance = f64::from(self.wander_variance);
        Null {
            variance: variance * class.wander_inflation * class.wander_inflation,
            tolerance: (class.wander_deviations_max * variance.sqrt()).min(class.tolerance_max.max(calendar_tolerance)),
        }
    }

    /// Follows the expectation of a bucket.
    pub(super) fn follow(&mut self, expected: f64, tuning: &Tuning) {
        if self.expected == 0.0 {
            self.expected = expected as f32;
        } else {
            approach(&mut self.expected, expected, (tuning.bucket_s / DAY_S).min(1.0));
        }
    }

    /// Evidence of a drop that so many equal buckets give when nothing came before them, in nats.
    pub(super) fn of_drop(&self, weighed: &Weighed, buckets_count: u32, null: Null, tuning: &Tuning) -> f64 {
        let mut fresh = self.clone();
        fresh.forget();
        (0..buckets_count).fold(0.0, |_, _| fresh.weigh(weighed, null, tuning)[0].evidence)
    }

    /// Adds a bucket to all runs; the leads of drops and rises.
    pub(super) fn weigh(&mut self, weighed: &Weighed, null: Null, tuning: &Tuning) -> [Lead; 2] {
        let mut leads = [Lead::default(); 2];
        for (side, lead) in leads.iter_mut().enumerate() {
            let threshold = tuning.promise.threshold * weighed.stretches[side];
            for (run, alternative) in self.runs[side].iter_mut().zip(&tuning.alternatives[side]) {
                let nats = run.add(weighed, side, alternative, 2.0 * threshold);
                let evidence = if nats > COMPARED_NATS {
                    let unexplained = nats - run.explained(alternative, null);
                    (unexplained * tuning.promise.threshold / f64::from(run.threshold)).clamp(0.0, 1.5 * threshold)
                } else {
                    nats
                };
                if evidence > lead.evidence {
                    let (observed, expected) = (f64::from(run.observed), f64::from(run.expected));
                    *lead = Lead { evidence, start_s: run.start_s, observed, expected };
                }
            }
        }
        leads
    }
}

/// Buckets that carry little information each are not looks of their own: `N` of them with `I` nats are `N I` looks.
fn threshold(expected: f64, dispersion: f64, alternative: &Alternative, tuning: &Tuning) -> f64 {
    if !tuning.class.counts_information {
        return tuning.promise.threshold;
    }
    let information = (expected / dispersion * (alternative.ratio - 1.0 - alternative.log_ratio)).min(1.0);
    (tuning.promise.threshold + (information + 1e-9).ln()).max(0.5 * tuning.promise.threshold)
}

impl Run {
    /// Adds a bucket; the run's evidence against a null that does not wander, 0 to `nats_max`.
    fn add(&mut self, weighed: &Weighed, side: usize, alternative: &Alternative, nats_max: f64) -> f64 {
        let (observed, expected) = (weighed.observed, weighed.expected[side]);
        let mut scale = 1.0 / weighed.dispersion;
        let nats = alternative.nats(observed, expected) * scale;
        if nats > weighed.evidence_max[side] {
            scale *= weighed.evidence_max[side] / nats;
        }
        if self.observed == 0.0 && self.expected == 0.0 {
            self.start_s = weighed.start_s;
        }
        let mut observed = f64::from(self.observed) + observed * scale;
        let mut expected = f64::from(self.expected) + expected * scale;
        let mut nats = alternative.nats(observed, expected);
        if nats <= 0.0 {
            (observed, expected, nats) = (0.0, 0.0, 0.0);
        } else if nats > nats_max {
            let share = nats_max / nats;
            (observed, expected, nats) = (observed * share, expected * share, nats_max);
        }
        (self.observed, self.expected) = (observed as f32, expected as f32);
        nats
    }

    /// Nats that the best wandering null explains, if it wanders the alternative's way.
    fn explained(&self, alternative: &Alternative, null: Null) -> f64 {
        let (observed, expected) = (f64::from(self.observed), f64::from(self.expected));
        let linear = 1.0 - expected * null.variance;
        let best = 0.5 * (linear + (linear * linear + 4.0 * observed * null.variance).sqrt());
        let best = best.clamp(1.0 - null.tolerance, 1.0 + null.tolerance);
        let wander = best - 1.0;
        if wander * (alternative.ratio - 1.0) <= 0.0 {
            return 0.0;
        }
        observed * best.max(1e-9).ln() - expected * wander - wander * wander / (2.0 * null.variance)
    }
}

impl Alternative {
    /// Log-likelihood ratio of this many Poisson events, in nats.
    fn nats(&self, observed: f64, expected: f64) -> f64 {
        observed * self.log_ratio + expected * (1.0 - self.ratio)
    }
}
