//! How far the opening of the database is, for those who wait for it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted by whoever opens, read by anybody. Relaxed: figures, nothing depends on them.
#[derive(Debug, Default)]
pub struct RecoveryProgress {
    segment_count: AtomicU64,
    segments_read: AtomicU64,
    sample_count: AtomicU64,
}

impl RecoveryProgress {
    pub(super) fn begin_log(&self, segment_count: usize) {
        self.segment_count.store(segment_count as u64, Ordering::Relaxed);
    }

    pub(super) fn end_segment(&self) {
        self.segments_read.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_samples(&self, count: usize) {
        self.sample_count.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Segments of the log to read; 0 until that is known.
    pub fn segment_count(&self) -> u64 {
        self.segment_count.load(Ordering::Relaxed)
    }

    /// Segments read.
    pub fn segments_read(&self) -> u64 {
        self.segments_read.load(Ordering::Relaxed)
    }

    /// Samples read.
    pub fn sample_count(&self) -> u64 {
        self.sample_count.load(Ordering::Relaxed)
    }
}
