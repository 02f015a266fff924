//! Where time comes from, so that a test or a simulation can be another source of it.
//!
//! Two kinds of time are kept apart. The *wall clock* says what to stamp and what lies in the future; it may jump.
//! The *monotonic clock* measures waiting: timeouts, backoff, latencies. Detection uses neither: it lives in event time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The system's clocks, or one that a test moves by hand. Cheap to clone; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { start: Instant },
    Manual { wall_ms: Arc<AtomicI64>, start_ms: i64 },
}

impl Clock {
    /// The machine's own clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clocks")]
    pub fn system() -> Clock {
        Clock(Source::System { start: Instant::now() })
    }

    /// A clock that stands at `wall_ms` until [`Clock::advance`] moves it.
    pub fn manual(wall_ms: i64) -> Clock {
        Clock(Source::Manual { wall_ms: Arc::new(AtomicI64::new(wall_ms)), start_ms: wall_ms })
    }

    /// Milliseconds since 1970 UTC.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clocks")]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System { .. } => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
            }
            Source::Manual { wall_ms, .. } => wall_ms.load(Ordering::SeqCst),
        }
    }

    /// Time since this clock was made; never goes back.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::System { start } => start.elapsed(),
            Source::Manual { wall_ms, start_ms } => {
                let passed_ms = wall_ms.load(Ordering::SeqCst) - start_ms;
                Duration::from_millis(u64::try_from(passed_ms).unwrap_or(0))
            }
        }
    }

    /// Moves a manual clock forward. The system's clock cannot be moved: a call on it is a mistake in a test.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System { .. } => panic!("the system's clock cannot be advanced"),
            Source::Manual { wall_ms, .. } => {
                let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
                wall_ms.fetch_add(by_ms, Ordering::SeqCst);
            }
        }
    }
}
