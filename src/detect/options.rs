//! How a watch is judged: what its rule says.

use serde::{Deserialize, Serialize};

use super::absence::AbsenceOptions;
use super::limit::LimitOptions;
use super::saturation::FullOptions;
use super::transition::Side;

const WEEK_MS: f64 = 604_800_000.0;
/// Smallest change that fires while a group is young, if its rule does not say, and whatever its rule says.
const MIN_CHANGE_YOUNG: f64 = 0.3;
const MIN_CHANGE_YOUNG_MIN: f64 = 0.05;

/// Which changes are watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    /// Falling below the expectation.
    Drop,
    /// Rising above it.
    Rise,
    /// Either.
    Both,
    /// Neither: what is usual does not matter.
    None,
}

impl Directions {
    pub(crate) fn each(self) -> &'static [Side] {
        match self {
            Directions::Drop => &[Side::Drop],
            Directions::Rise => &[Side::Rise],
            Directions::Both => &[Side::Drop, Side::Rise],
            Directions::None => &[],
        }
    }
}

/// What kind of thing a signal measures: how it usually behaves, and what is trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalClass {
    /// Orders, payments, visits: many, seasonal, and both ways matter.
    Orders,
    /// Errors among requests: few and bursty, and only more of them is trouble.
    Errors,
    /// Orders among visits: steady, and only fewer of them is trouble.
    Conversion,
    /// Latencies, loads, lengths of queues: values that change by factors.
    Latency,
}

/// How a watch is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelOptions {
    /// Which changes are watched for.
    pub directions: Directions,
    /// What kind of thing it is; by default what its expression and its directions suggest.
    pub class: Option<SignalClass>,
    /// How often a series may fire in vain, in alerts a week; 0.001 to 100.
    pub false_alerts_per_series_week: f64,
    /// Smallest change that fires, as a fraction of the expectation, 0 to 0.9; by default 0.3 during a group's first
    /// two days, and 0 from then on: what it is seen to vary by is enough.
    pub min_change: Option<f64>,
    /// A limit that is one whatever is usual.
    pub limit: Option<LimitOptions>,
    /// What must not be reached, and how long before that somebody is told.
    pub full: Option<FullOptions>,
    /// Whether it is the beats of the series that are watched, and nothing else.
    pub absence: Option<AbsenceOptions>,
    /// Money that one lost event costs.
    pub price: Option<f64>,
    /// Fewest expected events in a window for a drop to be judged; a rise needs to reach as many.
    pub min_volume: f64,
    /// How long the evidence must last before it fires, in ms of event time.
    pub for_ms: i64,
    /// How long an alert stays after recovery, in ms of event time.
    pub keep_firing_for_ms: i64,
}

impl Default for ModelOptions {
    fn default() -> ModelOptions {
        ModelOptions {
            directions: Directions::Both,
            class: None,
            false_alerts_per_series_week: 0.1,
            min_change: None,
            limit: None,
            full: None,
            absence: None,
            price: None,
            min_volume: 10.0,
            for_ms: 0,
            keep_firing_for_ms: 0,
        }
    }
}

impl ModelOptions {
    /// Smallest change that fires while a group is young.
    pub(crate) fn min_change_young(&self) -> f64 {
        self.min_change.unwrap_or(MIN_CHANGE_YOUNG).max(MIN_CHANGE_YOUNG_MIN)
    }

    /// Smallest change that fires later.
    pub(crate) fn min_change_grown(&self) -> f64 {
        self.min_change.unwrap_or(0.0)
    }

    /// Evidence that fires while a group is young, in nats: the logarithm of the buckets for each false alert.
    pub(crate) fn evidence_young(&self, bucket_ms: i64) -> f64 {
        (WEEK_MS / (self.false_alerts_per_series_week * bucket_ms as f64)).ln()
    }
}
