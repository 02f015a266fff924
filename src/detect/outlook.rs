//! What the model that decides made of the latest bucket.

use serde::{Deserialize, Serialize};

use super::signal::Signal;
use super::trail::Point;
use super::transition::Side;

/// One bucket, as it was expected and as it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outlook {
    /// Its end, in ms since 1970 UTC.
    pub end_ms: i64,
    /// Events among the exposure, or the value.
    pub observed: f64,
    /// Likewise; none when this time of day was never seen.
    pub expected: Option<f64>,
    /// Between which ordinary buckets lie, likewise.
    pub bounds: Option<[f64; 2]>,
    pub exposure: f64,
    /// Buckets of the signal that it is of.
    pub buckets: usize,
    /// Evidence of a drop and of a rise, as a share of what alerts.
    pub scores: [f64; 2],
    /// What alerts, in nats.
    pub threshold: f64,
}

impl Outlook {
    /// In the unit of the expression.
    pub(crate) fn in_unit(&self, amount: f64, signal: &Signal) -> f64 {
        signal.expected(amount, self.exposure, self.buckets)
    }

    /// As a point of a line.
    pub(crate) fn point(&self, signal: &Signal) -> Point {
        Point {
            at_s: u32::try_from(self.end_ms / 1_000).unwrap_or(0),
            value: self.in_unit(self.observed, signal) as f32,
            expected: self.expected.map_or(f32::NAN, |expected| self.in_unit(expected, signal) as f32),
        }
    }

    /// Events that were expected and did not come, or of a rise came and were not expected.
    pub(crate) fn missing(&self, side: Side) -> Option<f64> {
        Some(side.sign() * (self.observed - self.expected?))
    }
}
