//! What alerts again and again and ends by itself is how a group is, and no trouble.
//!
//! A heating goes on and off within the hour. The first minutes of a group were calm, so little noise is expected, and
//! what is suspicious is hardly learned from: it would alert at every turn for days. So from its first alert on another
//! baseline learns from everything, and when the third alert of a day ends, the group strays as far as that one says.
//!
//! Always true:
//! 1. The first two alerts of a day change nothing.
//! 2. Only the noise is taken over, never the level; from then on it is learned as ever.
//! 3. It is there while there was an alert within two days, and no longer.

use serde::{Deserialize, Serialize};

use super::baseline::{Baseline, Gains, Seen};

/// Alerts, the older ones counting less, with which alerts are how a group is: three within six hours or so.
const ALERTS_MIN: f64 = 2.5;
/// Time in which an alert comes to count half as much, in ms: a day.
const HALF_LIFE_MS: f64 = 86_400_000.0;
/// So few are forgotten.
const ALERTS_FORGOTTEN: f64 = 0.25;

/// Since an alert of the last days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Restless {
    /// What the baseline would be if nothing were suspicious.
    unsuspecting: Baseline,
    /// Those that ended by themselves.
    alerts: f64,
}

impl Restless {
    /// The first alert begins, and this is what was expected.
    pub(crate) fn new(baseline: &Baseline) -> Restless {
        Restless { unsuspecting: *baseline, alerts: 0.0 }
    }

    /// Whether alerts are how the group is.
    pub(crate) fn is_known(&self) -> bool {
        self.alerts >= ALERTS_MIN
    }

    /// As [`Baseline::loosen`].
    pub(crate) fn loosen(&mut self, learned_max: u64) {
        self.unsuspecting.loosen(learned_max);
    }

    /// Learns from a bucket.
    pub(crate) fn learn(&mut self, seen: Seen, gains: Gains, bucket_ms: i64) {
        self.unsuspecting.learn_unlimited(seen, gains);
        self.alerts *= (-(bucket_ms as f64) / HALF_LIFE_MS * std::f64::consts::LN_2).exp();
    }

    /// Whether what there was is so long ago that it says nothing any more.
    pub(crate) fn is_over(&self) -> bool {
        self.alerts < ALERTS_FORGOTTEN
    }

    /// An alert ended by itself. Gives what the noise is to be taken from, if alerts are how the group is.
    pub(crate) fn ended(&mut self) -> Option<&Baseline> {
        self.alerts += 1.0;
        self.is_known().then_some(&self.unsuspecting)
    }
}
