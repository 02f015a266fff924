//! What rules did over a stretch of time, and what they would have done with another `for`.
//!
//! ```text
//! condition   ▁▁████▁▁██▁▁▁███████████▁▁▁       three spans: 3, 1 and 10 evaluations behind the first
//! for: 0s       ●        ●      ●               fires 3 times
//! for: 2m            (one evaluation a minute)  twice: the span of 1 min does not last so long
//! for: 4m                                       once
//! ```
//!
//! Always true: with the rule's own `for`, [`RuleHistory::fired_count_with`] says how often it did fire, where its alerts
//! were not ended by a `limit`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Labels, TimeRange};

const WEEK_MS: f64 = 7.0 * 86_400_000.0;

/// One alert, from its beginning to its end. Times are ms since 1970 UTC.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::operate) struct Firing {
    pub labels: Arc<Labels>,
    /// Since when its condition held.
    pub pending_ms: i64,
    pub fired_ms: i64,
    /// None: it fired to the end of what was replayed.
    pub resolved_ms: Option<i64>,
    /// What the expression was worth when it fired.
    pub value: f64,
    /// Whether the condition held at the very first evaluation, so that it may have begun earlier.
    pub is_cut: bool,
}

/// The evaluations in a row at which a condition held: the first and the last of them, in ms since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operate) struct Span {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// What one alerting rule did.
#[derive(Clone, Debug, Default)]
pub(in crate::operate) struct RuleHistory {
    pub file: PathBuf,
    pub group: String,
    pub alert: String,
    pub expr: String,
    pub interval_ms: i64,
    pub for_ms: i64,
    pub keep_firing_for_ms: i64,
    /// Whether it has an `anomaly` block: then only longer `for` can be told.
    pub is_anomaly: bool,
    /// In the order in which they fired.
    pub firings: Vec<Firing>,
    /// When the condition held, by the labels of the alert, each in order of time.
    pub spans: Vec<(Arc<Labels>, Vec<Span>)>,
    /// Evaluations that failed, and why the last of them did.
    pub failed_count: u64,
    pub failure: Option<String>,
}

/// Figures of one rule. Times are ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::operate) struct Totals {
    pub fired_count: usize,
    pub series_count: usize,
    pub firing_ms: i64,
    pub longest_ms: i64,
    pub median_ms: i64,
    /// Alerts a week, at the rate of the stretch.
    pub per_week: f64,
}

impl Firing {
    /// How long it fired, in ms, until `end_ms` if it did not end.
    pub(in crate::operate) fn lasted_ms(&self, end_ms: i64) -> i64 {
        self.resolved_ms.unwrap_or(end_ms) - self.fired_ms
    }
}

impl RuleHistory {
    /// Figures over what was replayed.
    pub(in crate::operate) fn totals(&self, range: TimeRange) -> Totals {
        let mut lasted: Vec<i64> = self.firings.iter().map(|firing| firing.lasted_ms(range.to_ms)).collect();
        lasted.sort_unstable();
        let mut series: Vec<&Arc<Labels>> = self.firings.iter().map(|firing| &firing.labels).collect();
        series.sort_unstable();
        series.dedup();
        let weeks = (range.to_ms - range.from_ms).max(1) as f64 / WEEK_MS;
        Totals {
            fired_count: lasted.len(),
            series_count: series.len(),
            firing_ms: lasted.iter().sum(),
            longest_ms: lasted.last().copied().unwrap_or(0),
            median_ms: median(&lasted),
            per_week: lasted.len() as f64 / weeks,
        }
    }

    /// How often it would have fired with another `for`, in ms. None: that cannot be told.
    pub(in crate::operate) fn fired_count_with(&self, for_ms: i64) -> Option<usize> {
        if self.is_anomaly && for_ms < self.for_ms {
            return None;
        }
        Some(self.spans.iter().map(|(_, spans)| self.fired_count_of(spans, for_ms)).sum())
    }

    fn fired_count_of(&self, spans: &[Span], for_ms: i64) -> usize {
        let (mut count, mut fires_until_ms) = (0, None);
        for span in spans {
            let goes_on = fires_until_ms.is_some_and(|until_ms| span.from_ms <= until_ms);
            let fires = goes_on || span.to_ms - span.from_ms >= for_ms;
            count += usize::from(fires && !goes_on);
            fires_until_ms = fires.then(|| self.resolved_ms_behind(*span));
        }
        count
    }

    /// The evaluation at which an alert ends whose condition does not come back behind a span.
    fn resolved_ms_behind(&self, span: Span) -> i64 {
        let interval_ms = self.interval_ms.max(1);
        let kept = (self.keep_firing_for_ms + interval_ms - 1) / interval_ms;
        span.to_ms + interval_ms * (1 + kept)
    }

    /// The shortest `for` of [`LADDER_MS`] that halves the alerts at least and tells them [`LATER_MS_MAX`] later at most, and
    /// how many there would be. None: none does.
    pub(in crate::operate) fn halving_for_ms(&self) -> Option<(i64, usize)> {
        let now = self.fired_count_with(self.for_ms)?;
        let longer = LADDER_MS.into_iter().filter(|for_ms| (1..=LATER_MS_MAX).contains(&(for_ms - self.for_ms)));
        let counted = longer.filter_map(|for_ms| Some((for_ms, self.fired_count_with(for_ms)?)));
        counted.into_iter().find(|(_, count)| now >= 2 && *count * 2 <= now)
    }
}

/// What `for` is tried with, in ms.
pub(in crate::operate) const LADDER_MS: [i64; 9] =
    [0, 30_000, 60_000, 120_000, 240_000, 300_000, 600_000, 900_000, 1_800_000];

/// Nobody wants to be told still later, in ms.
const LATER_MS_MAX: i64 = 600_000;

/// Of values in order; of an even number the mean of the two in the middle. 0 of none.
fn median(sorted: &[i64]) -> i64 {
    match sorted.len() {
        0 => 0,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2,
    }
}
