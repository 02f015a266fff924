//! Evidence that something changed: log-likelihood ratios, added up bucket by bucket and never below zero.
//!
//! Against "all is well, give or take half of `min_change`" stand three alternatives a side: changed by `min_change`,
//! by about double, by about everything. With `min_change` 0.3, a bucket of 20 expected orders to which 6 came has 20 ×
//! (0.3 × ln(0.42/0.85) + 0.43) = 4.4 nats for the middle alternative "fell to 42 %"; capped, five such buckets make
//! the 13 that fire.
//!
//! Always true: one bucket adds at most a cap so small that at least a minute of them is needed.

use serde::{Deserialize, Serialize};

use super::transition::Side;

/// Evidence does not grow beyond this share of the threshold, so that it can also go away.
const EVIDENCE_SHARE_MAX: f64 = 1.5;

/// What a bucket says of one alternative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    /// Nats in favour of the alternative before the cap, times the noise: that of most buckets is below zero, where it
    /// does not matter how far.
    pub for_it: f64,
    /// More than 0.
    pub noise: f64,
    /// What was seen and what was expected; their sums over a run estimate the change.
    pub observed: f64,
    pub expected: f64,
}

/// The evidence for one alternative, and the run of buckets it is made of.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    pub evidence: f64,
    /// Start of the first bucket of the run, in ms.
    pub onset_ms: i64,
    pub observed: f64,
    pub expected: f64,
}

impl Run {
    /// Takes in a bucket that starts at `start_ms`.
    pub(crate) fn add(&mut self, score: Score, start_ms: i64, cap: f64, threshold: f64) {
        if self.evidence == 0.0 && score.for_it <= 0.0 {
            return;
        }
        // Not `f64::min`, which asks for numbers that are none.
        let lesser = |one: f64, other: f64| if one < other { one } else { other };
        let nats = lesser(score.for_it / score.noise, cap);
        if self.evidence + nats <= 0.0 {
            *self = Run::default();
            return;
        }
        if self.evidence == 0.0 {
            self.onset_ms = start_ms;
        }
        self.evidence = lesser(self.evidence + nats, threshold * EVIDENCE_SHARE_MAX);
        self.observed += score.observed;
        self.expected += score.expected;
    }
}

/// What is tested on one side, and the logarithms that this takes, for they are the same for every bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tested {
    /// The ratio to the expectation that still counts as being well.
    pub tolerated: f64,
    pub log_tolerated: f64,
    pub alternatives: [Alternative; 3],
}

/// A ratio to the expectation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alternative {
    pub ratio: f64,
    pub log_ratio: f64,
    /// Of the ratio to what is tolerated.
    pub log_beyond: f64,
}

impl Tested {
    pub(crate) fn of(direction: Side, min_change: f64) -> Tested {
        let tolerated = 1.0 + direction.sign() * min_change / 2.0;
        let ratios = match direction {
            Side::Drop => [1.0 - min_change, (1.0 - min_change) * 0.6, (1.0 - min_change) * 0.2],
            Side::Rise => [1.0 + min_change, 1.0 + 2.5 * min_change, 1.0 + 6.0 * min_change],
        };
        let alternative =
            |ratio: f64| Alternative { ratio, log_ratio: ratio.ln(), log_beyond: (ratio / tolerated).ln() };
        Tested { tolerated, log_tolerated: tolerated.ln(), alternatives: ratios.map(alternative) }
    }
}

/// The most that one bucket may add: a minute of buckets, and two intervals of the slowest series, stay just below the
/// threshold.
pub(crate) fn cap(threshold: f64, bucket_ms: i64, interval_ms: i64) -> f64 {
    let needed_ms = (4 * 15_000).max(2 * interval_ms + 30_000);
    threshold / (needed_ms as f64 / bucket_ms as f64 + 0.2)
}
