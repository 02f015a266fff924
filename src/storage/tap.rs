//! Where admitted samples can be listened to, without storage knowing who listens.
//!
//! Each shard puts the samples of the series that are of interest on its own bounded queue, in the order in which it
//! admitted them. It never waits and never drops in silence: when the queue is full it raises a flag, and the listener,
//! finding the flag, reads what it missed from the head.

use std::sync::Arc;

use crate::model::{Labels, SeriesRef};

/// One admitted sample of a series of interest.
#[derive(Clone, Copy, Debug)]
pub struct TapRow {
    /// The series, introduced by an earlier or the same batch.
    pub series: SeriesRef,
    /// Milliseconds since 1970 UTC; may be older than an earlier row of the series.
    pub timestamp_ms: i64,
    /// The admitted bits, a staleness marker perhaps.
    pub value: f64,
}

/// What one shard admitted in one go.
#[derive(Clone, Debug, Default)]
pub struct TapBatch {
    /// Series of interest that appear for the first time.
    pub series: Vec<(SeriesRef, Arc<Labels>)>,
    /// Samples in the order of admission.
    pub rows: Vec<TapRow>,
}

/// Says of a new series whether the listener wants its samples. Asked once a series, in the shard's thread.
pub type Interest = Arc<dyn Fn(&Labels) -> bool + Send + Sync>;
