//! Suspicion: whether what is seen may be learned from.
//!
//! At a threshold of 11.5 nats orders are suspicious from 8.0 on. The first such bucket takes back what was learned
//! since evidence began to grow, the following ones are not learned from, and after two hours of them without a break
//! the new state is accepted: it is learned from, evidence falls, and the alert resolves.

use serde::{Deserialize, Serialize};

/// Suspicion that lasts longer than this is the new normal, in s.
const ACCEPTED_AFTER_S: f64 = 7_200.0;

/// What a bucket is, for those who learn from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    None,
    /// The first after an unsuspicious one.
    First,
    Lasting,
    /// For so long that it is the new normal.
    Accepted,
}

impl Suspicion {
    pub(super) fn is_some(self) -> bool {
        self != Suspicion::None
    }

    /// Whether level and profile follow.
    pub(super) fn is_learned(self) -> bool {
        matches!(self, Suspicion::None | Suspicion::Accepted)
    }
}

/// Counts the suspicious buckets without a break.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Suspicious {
    buckets_count: u32,
}

impl Suspicious {
    /// For how long nothing was learned, in s; 0 when the new state was accepted, which is learned from.
    pub(super) fn unlearned_s(&self, bucket_s: f64) -> f64 {
        let span_s = f64::from(self.buckets_count) * bucket_s;
        if span_s > ACCEPTED_AFTER_S { 0.0 } else { span_s }
    }

    pub(super) fn next(&mut self, is_suspicious: bool, bucket_s: f64) -> Suspicion {
        if !is_suspicious {
            self.buckets_count = 0;
            return Suspicion::None;
        }
        self.buckets_count = self.buckets_count.saturating_add(1);
        match self.buckets_count {
            1 => Suspicion::First,
            count if f64::from(count) * bucket_s > ACCEPTED_AFTER_S => Suspicion::Accepted,
            _ => Suspicion::Lasting,
        }
    }
}
