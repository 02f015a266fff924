//! Evidence that a value has changed by a factor: normal deviations in logarithms, against a null that wanders.
//!
//! A value that has stayed within 3 % for weeks doubles. Of the evidence a wander of 15 % explains more than half, however
//! much there is, so a run grows until what is *not* explained is enough; only the smallest rise has a quarter of an hour
//! in which it may pass as a wander.
//!
//! Always true: one bucket adds at most its cap, and takes away as much at most.

use serde::{Deserialize, Serialize};

use super::super::evidence::Lead;
use super::{ALTERNATIVES, GaugeTuning};

/// What a run may grow to, as multiples of the threshold: with what the null explains, without that, and for a small rise
/// that is young.
const GROWN_MAX: f64 = 8.0;
const UNEXPLAINED_MAX: f64 = 1.5;
const SHORT_MAX: f64 = 2.0;
/// A rise of this size is small, and for so long, in s.
const SMALL_RISE: f64 = 0.3;
const SMALL_FOR_S: u32 = 900;
/// Below this a run is not compared with the wandering null, in nats.
const COMPARED_NATS: f64 = 0.5;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Evidence {
    runs: [[Run; 3]; 2],
}

/// The buckets that speak for one alternative, each by the inverse of its variance.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Run {
    deviations: f32,
    weights: f32,
    /// Start of the run's first bucket, in s since 1970.
    start_s: u32,
}

/// A wander with this variance, within this bound, in logarithms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Null {
    pub(super) variance: f64,
    pub(super) tolerance: f64,
}

/// One bucket as evidence sees it, in logarithms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighed {
    /// From the least and from the most that is nothing new, for drops and rises.
    pub(super) deviations: [f64; 2],
    pub(super) variance: f64,
    /// Most that the bucket may add, by direction, in nats.
    pub(super) evidence_max: [f64; 2],
    /// How much more evidence it takes than that of others, by direction.
    pub(super) stretches: [f64; 2],
    pub(super) start_s: u32,
}

impl Evidence {
    /// After a gap old evidence is worth half.
    pub(super) fn halve(&mut self) {
        self.runs.as_flattened_mut().iter_mut().for_each(|run| run.shrink(0.5));
    }

    /// Adds a bucket to all runs; the leads of drops and rises.
    pub(super) fn weigh(&mut self, weighed: &Weighed, null: Null, tuning: &GaugeTuning) -> [Lead; 2] {
        let mut leads = [Lead::default(); 2];
        for (side, lead) in leads.iter_mut().enumerate() {
            let unexplained_max = UNEXPLAINED_MAX * tuning.promise.threshold * weighed.stretches[side];
            for (run, &alternative) in self.runs[side].iter_mut().zip(ALTERNATIVES[side]) {
                let mut evidence = run.add(weighed, side, alternative, tuning);
                if evidence > COMPARED_NATS {
                    evidence = (evidence - run.explained(alternative, null)).max(0.0);
                    if evidence > unexplained_max {
                        if tuning.grows_beyond_wander {
                            run.shrink(unexplained_max / evidence);
                        }
                        evidence = unexplained_max;
                    }
                }
                if evidence > lead.evidence {
                    let observed = (f64::from(run.deviations) / f64::from(run.weights)).exp();
                    *lead = Lead { evidence, start_s: run.start_s, observed, expected: 1.0 };
                }
            }
        }
        leads
    }
}

impl Run {
    fn shrink(&mut self, share: f64) {
        self.deviations = (f64::from(self.deviations) * share) as f32;
        self.weights = (f64::from(self.weights) * share) as f32;
    }

    /// Adds a bucket; the run's evidence against a null that does not wander.
    fn add(&mut self, weighed: &Weighed, side: usize, alternative: f64, tuning: &GaugeTuning) -> f64 {
        let (deviation, evidence_max) = (weighed.deviations[side], weighed.evidence_max[side]);
        let mut weight = 1.0 / weighed.variance;
        let nats = (alternative * (deviation - 0.5 * alternative) * weight).abs();
        if nats > evidence_max {
            weight *= evidence_max / nats;
        }
        if self.deviations == 0.0 && self.weights == 0.0 {
            self.start_s = weighed.start_s;
        }
        let deviations = f64::from(self.deviations) + deviation * weight;
        let weights = f64::from(self.weights) + weight;
        let is_young = weighed.start_s.saturating_sub(self.start_s) < SMALL_FOR_S;
        let is_short = alternative == SMALL_RISE && is_young || !tuning.grows_beyond_wander;
        let threshold = tuning.promise.threshold * weighed.stretches[side];
        let nats_max = threshold * if is_short { SHORT_MAX } else { GROWN_MAX };
        let nats = alternative * deviations - 0.5 * alternative * alternative * weights;
        let share = if nats > nats_max { nats_max / nats } else { f64::from(u8::from(nats > 0.0)) };
        (self.deviations, self.weights) = ((deviations * share) as f32, (weights * share) as f32);
        nats.clamp(0.0, nats_max)
    }

    /// Nats that the best wandering null explains, if it wanders the alternative's way.
    fn explained(&self, alternative: f64, null: Null) -> f64 {
        let (deviations, weights) = (f64::from(self.deviations), f64::from(self.weights));
        let best = (deviations / (weights + 1.0 / null.variance)).clamp(-null.tolerance, null.tolerance);
        if best * alternative <= 0.0 {
            return 0.0;
        }
        best * deviations - 0.5 * best * best * weights - 0.5 * best * best / null.variance
    }
}
