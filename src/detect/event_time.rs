//! How far event time has come, without being led astray by a node whose clock is wrong.
//!
//! Samples at 12:00:10, 12:00:12, 13:00:11, 12:00:14: it is 12:00:14. The third is an hour ahead, and one sample does
//! not move the time of all others: were it 13:00:11, every other series would be overdue. When more than half of some
//! samples lie far ahead, as after a pause, or far behind, as when the first sample was the wrong one, time goes there.
//!
//! Always true: it only decides when buckets close and who is overdue, never what a sample counts for.

/// A sample this far from the present time, in ms, moves it only together with others.
const STEP_MS_MAX: i64 = 60_000;
/// The number of samples that decide: two of each series, but within these.
const SAMPLES_COUNT: (usize, usize) = (3, 256);

/// The event time that one worker has seen.
#[derive(Debug)]
pub(crate) struct EventTime {
    seen_ms: i64,
    samples: usize,
    /// Those of them that lie far ahead, and far behind.
    ahead: Vec<i64>,
    behind: Vec<i64>,
}

impl EventTime {
    pub(crate) fn new() -> EventTime {
        EventTime { seen_ms: i64::MIN, samples: 0, ahead: Vec::new(), behind: Vec::new() }
    }

    /// In ms since 1970 UTC; `i64::MIN` before the first sample.
    pub(crate) fn seen_ms(&self) -> i64 {
        self.seen_ms
    }

    /// Somebody else has seen this time.
    pub(crate) fn reach(&mut self, seen_ms: i64) {
        self.seen_ms = self.seen_ms.max(seen_ms);
    }

    /// A sample of one of so many series.
    #[inline]
    pub(crate) fn observe(&mut self, timestamp_ms: i64, series_count: usize) {
        if self.seen_ms == i64::MIN {
            self.seen_ms = timestamp_ms;
        }
        self.samples += 1;
        if timestamp_ms > self.seen_ms.saturating_add(STEP_MS_MAX) {
            self.ahead.push(timestamp_ms);
        } else if timestamp_ms < self.seen_ms.saturating_sub(STEP_MS_MAX) {
            self.behind.push(timestamp_ms);
        } else {
            self.seen_ms = self.seen_ms.max(timestamp_ms);
        }
        if self.samples >= (2 * series_count).clamp(SAMPLES_COUNT.0, SAMPLES_COUNT.1) {
            self.decide();
        }
    }

    /// Goes where most samples lie: to the latest fifth of them, for the newest of all may be a wrong one again.
    #[cold]
    fn decide(&mut self) {
        for far in [&mut self.ahead, &mut self.behind] {
            if 2 * far.len() > self.samples {
                far.sort_unstable();
                self.seen_ms = far[(far.len() * 4 / 5).min(far.len() - 1)];
            }
            far.clear();
        }
        self.samples = 0;
    }
}
