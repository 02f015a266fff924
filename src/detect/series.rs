//! What a worker remembers of one series: enough to know what the next sample adds.
//!
//! Samples at 0 s (100), 15 s (130), 30 s (5): the first starts the series, the second adds 30 spread over (0 s, 15 s],
//! the third, smaller than the one before, is a counter that began anew and adds 5. The series counts from 30 s after
//! its first sample, or what the setting says of lateness: by then every worker knows of it, so which buckets it belongs
//! to does not depend on who was faster. It is not the lateness that is learned of its job, which is another after a
//! restart.
//!
//! Always true: but for how long it is waited for ([`Series::arrived`]), everything here follows from the series' own
//! samples in their order; nothing from other series or arrival.

use std::sync::Arc;

use super::refresh::Refresh;
use super::window::Window;
use crate::model::{Labels, is_stale};

/// Silence after which a series is gone, in ms, unless it is a slow one: PromQL's lookback.
pub(crate) const LOOKBACK_MS: i64 = 300_000;
/// The interval that is assumed between the first two samples.
const INTERVAL_MS_ASSUMED: i64 = 60_000;
/// Longest distance of samples that is taken for an interval, in ms. Beyond the lookback it has to come twice.
const INTERVAL_MS_MAX: i64 = 600_000;
/// A gap this many intervals long, and so much more, still is none: one missed scrape is bridged.
const GAP_INTERVALS: f64 = 2.2;
const GAP_SLACK_MS: i64 = 5_000;
/// A value further from zero than this is taken as no number: the squares of sums of such would be none.
pub(crate) const VALUE_MAX: f64 = 1e100;
/// Half-life of the volume that a series is known for, in ms.
const VOLUME_HALF_LIFE_MS: f64 = 600_000.0;

/// Where a series goes: accumulators of a group.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Place among the worker's groups, and which of the groups that have had it.
    pub group: u32,
    pub tenancy: u32,
    /// Whether the group counts the series among its members.
    pub is_member: bool,
    /// One for each part of the expression that it feeds.
    pub lanes: Box<[Lane]>,
}

/// One sum of a group, as one series feeds it.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Which sum of the group.
    pub index: u32,
    /// Which part of the expression.
    pub operand: u16,
    /// What the series had in the latest buckets, where that is asked for.
    pub window: Option<Window>,
}

/// One series of interest.
#[derive(Debug)]
pub(crate) struct Series {
    pub labels: Arc<Labels>,
    /// Its job's place among those of the worker; none: there was no room.
    pub job: Option<u32>,
    pub feeds: Box<[Feed]>,
    /// The last sample; `i64::MIN` before the first.
    pub last_ms: i64,
    pub last_value: f64,
    /// The one before it.
    before: (i64, f64),
    /// The series counts in buckets that start here or later, …
    pub counts_from_ms: i64,
    /// … and counted until here before it was interrupted; `i64::MIN` if it never was.
    pub counted_until_ms: i64,
    /// Its usual volume then.
    pub counted_volume: f64,
    /// The staleness marker that ended it.
    pub ended_ms: Option<i64>,
    /// Usual distance of samples; 0 when not known.
    pub interval_ms: i64,
    refresh: Refresh,
    /// The silence that was taken for its end last.
    pause_ms: i64,
    /// By how much more than the lateness its samples come late, of late; at most [`LOOKBACK_MS`].
    pub lag_ms: i64,
    /// Usual increment a second.
    pub volume: f64,
    volume_weight: f64,
}

/// How much of a volume is left after a gap. The gap that was asked for last is remembered, for series that report at one
/// interval all ask for the same.
#[derive(Debug, Default)]
pub(crate) struct Fading {
    gap_ms: i64,
    keep: f64,
}

impl Fading {
    fn over(&mut self, gap_ms: i64) -> f64 {
        if gap_ms != self.gap_ms {
            self.gap_ms = gap_ms;
            self.keep = (-(gap_ms as f64) / VOLUME_HALF_LIFE_MS * std::f64::consts::LN_2).exp();
        }
        self.keep
    }
}

/// What a group needs to know of a series that feeds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub counts_from_ms: i64,
    pub interval_ms: i64,
    /// The beat of its values, if that is longer than the interval; 0 otherwise.
    pub refresh_ms: u32,
    pub volume: f64,
}

/// What a sample means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Not newer than the last one, or no number, or beyond [`VALUE_MAX`]: nothing changes.
    Ignored,
    /// The series begins, or begins again after being gone.
    Begins,
    /// It was silent for longer than usual; what happened in between is not known.
    Interrupted,
    /// From the sample before to this one.
    Continues(Stretch),
    /// The staleness marker.
    Ends,
}

/// The time from one sample to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub from_ms: i64,
    pub to_ms: i64,
    pub from_value: f64,
    pub to_value: f64,
    /// The sample before the first; its time is `i64::MIN` if there was none.
    pub before: (i64, f64),
}

impl Stretch {
    /// What a counter counted in between.
    pub(crate) fn increment(&self) -> f64 {
        increment(self.from_value, self.to_value)
    }

    /// The value that is the last one at a moment from the first sample up to the second.
    pub(crate) fn value_at(&self, at_ms: i64) -> f64 {
        if at_ms == self.to_ms { self.to_value } else { self.from_value }
    }

    /// What a counter counted a second between its last two samples at such a moment; none unless both lie within
    /// `range_ms` before it.
    pub(crate) fn slope_at(&self, at_ms: i64, range_ms: i64) -> Option<f64> {
        let (first, second) = if at_ms == self.to_ms {
            ((self.from_ms, self.from_value), (self.to_ms, self.to_value))
        } else {
            (self.before, (self.from_ms, self.from_value))
        };
        let slope = increment(first.1, second.1) * 1000.0 / second.0.saturating_sub(first.0) as f64;
        (first.0 > at_ms - range_ms).then_some(slope)
    }
}

fn increment(from: f64, to: f64) -> f64 {
    if to < from { to } else { to - from }
}

impl Series {
    pub(crate) fn new(labels: Arc<Labels>, job: Option<u32>, feeds: Box<[Feed]>) -> Series {
        Series {
            labels,
            job,
            feeds,
            last_ms: i64::MIN,
            last_value: 0.0,
            before: (i64::MIN, 0.0),
            counts_from_ms: i64::MAX,
            counted_until_ms: i64::MIN,
            counted_volume: 0.0,
            ended_ms: None,
            interval_ms: 0,
            refresh: Refresh::NEW,
            pause_ms: 0,
            lag_ms: 0,
            volume: 0.0,
            volume_weight: 0.0,
        }
    }

    /// Takes in one sample. With `has_left` it begins anew, for somebody has counted it as gone.
    pub(crate) fn advance(
        &mut self,
        timestamp_ms: i64,
        value: f64,
        lateness_ms: i64,
        has_left: bool,
        fading: &mut Fading,
    ) -> Step {
        if timestamp_ms <= self.last_ms.max(self.ended_ms.unwrap_or(i64::MIN)) {
            return Step::Ignored;
        }
        if is_stale(value) {
            return self.end(timestamp_ms);
        }
        if value.is_nan() || value.abs() > VALUE_MAX {
            return Step::Ignored;
        }
        let stretch = Stretch {
            from_ms: self.last_ms,
            to_ms: timestamp_ms,
            from_value: self.last_value,
            to_value: value,
            before: self.before,
        };
        let step = if has_left { Step::Begins } else { self.step(stretch) };
        match step {
            Step::Continues(_) => self.learn(stretch, fading),
            _ => self.begin(step, timestamp_ms, lateness_ms),
        }
        self.before = (self.last_ms, self.last_value);
        (self.last_ms, self.last_value) = (timestamp_ms, value);
        step
    }

    fn step(&self, stretch: Stretch) -> Step {
        if self.last_ms == i64::MIN
            || self.ended_ms.is_some()
            || stretch.to_ms.saturating_sub(stretch.from_ms) > self.silence_ms()
        {
            Step::Begins
        } else if stretch.to_ms - stretch.from_ms > self.gap_ms_max() {
            Step::Interrupted
        } else {
            Step::Continues(stretch)
        }
    }

    #[cold]
    fn end(&mut self, timestamp_ms: i64) -> Step {
        if self.last_ms == i64::MIN || self.ended_ms.is_some() {
            return Step::Ignored;
        }
        self.ended_ms = Some(timestamp_ms);
        Step::Ends
    }

    #[cold]
    fn begin(&mut self, step: Step, timestamp_ms: i64, lateness_ms: i64) {
        if step == Step::Begins {
            self.counted_until_ms = i64::MIN;
            (self.volume, self.volume_weight) = (0.0, 0.0);
            let pause_ms = timestamp_ms.saturating_sub(self.last_ms);
            let is_slow =
                pause_ms <= INTERVAL_MS_MAX && pause_ms.abs_diff(self.pause_ms) <= pause_ms.unsigned_abs() / 10;
            self.interval_ms = if is_slow && self.ended_ms.is_none() { pause_ms } else { 0 };
            self.pause_ms = pause_ms;
        } else {
            if self.last_ms > self.counts_from_ms {
                self.counted_until_ms = self.last_ms;
                self.counted_volume = self.volume;
            }
            let gap_ms = timestamp_ms - self.last_ms;
            // One long silence must not make the next one look usual.
            self.interval_ms = gap_ms.min(INTERVAL_MS_ASSUMED.max(2 * self.interval_ms));
        }
        self.ended_ms = None;
        self.counts_from_ms = timestamp_ms.saturating_add(lateness_ms);
    }

    fn learn(&mut self, stretch: Stretch, fading: &mut Fading) {
        let gap_ms = stretch.to_ms - stretch.from_ms;
        self.interval_ms = match self.interval_ms {
            0 => gap_ms,
            known => known + (gap_ms - known) / 4,
        }
        .max(1);
        self.refresh.take(stretch.from_value != stretch.to_value, gap_ms);
        let keep = fading.over(gap_ms);
        let rate = stretch.increment() * 1000.0 / gap_ms as f64;
        let weight = self.volume_weight * keep + (1.0 - keep);
        self.volume += (rate - self.volume) * (1.0 - keep) / weight;
        self.volume_weight = weight;
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            counts_from_ms: self.counts_from_ms,
            interval_ms: self.interval_ms,
            refresh_ms: self.refresh.beat_ms(),
            volume: self.volume,
        }
    }

    /// A look at both ends of the state that the next sample changes; the group that it feeds first, if it feeds one.
    pub(crate) fn glimpse(&self) -> Option<u32> {
        let first = self.feeds.first()?;
        let lane = first.lanes.first().map_or(0, |lane| i64::from(lane.index));
        std::hint::black_box(self.last_ms ^ self.lag_ms ^ self.pause_ms ^ lane);
        Some(first.group)
    }

    /// A group no longer counts the series among its members.
    pub(crate) fn leave(&mut self, group: u32) {
        self.feeds.iter_mut().filter(|feed| feed.group == group).for_each(|feed| feed.is_member = false);
    }

    /// Its newest sample came when the newest event time seen was `seen_ms`. A clock that is behind stays behind, so what
    /// comes next is waited for accordingly; of one delay little is left after some samples.
    pub(crate) fn arrived(&mut self, seen_ms: i64, lateness_ms: i64) {
        let lateness_ms = self.lateness_ms(lateness_ms);
        let behind_ms = seen_ms.saturating_sub(self.last_ms).saturating_sub(lateness_ms).clamp(0, LOOKBACK_MS);
        self.lag_ms = behind_ms.max(self.lag_ms - (self.lag_ms - behind_ms + 3) / 4);
    }

    /// Whether a group that it feeds does not count it: it has been silent for too long, measured by the others' time.
    pub(crate) fn has_left(&self) -> bool {
        self.feeds.iter().any(|feed| !feed.is_member)
    }

    /// The longest gap that is bridged, in ms.
    fn gap_ms_max(&self) -> i64 {
        let interval_ms = if self.interval_ms == 0 { INTERVAL_MS_ASSUMED } else { self.interval_ms };
        (interval_ms.min(INTERVAL_MS_MAX) as f64 * GAP_INTERVALS) as i64 + GAP_SLACK_MS
    }

    /// The silence after which it is gone, in ms.
    pub(crate) fn silence_ms(&self) -> i64 {
        LOOKBACK_MS.max(self.gap_ms_max())
    }

    /// The event time up to which its next sample is in time for certain.
    pub(crate) fn awaited_until_ms(&self) -> i64 {
        self.last_ms.saturating_add(self.gap_ms_max())
    }

    /// How late its samples may come, as long as nothing is known of its job: `least_ms`, or two of its intervals.
    pub(crate) fn lateness_ms(&self, least_ms: i64) -> i64 {
        least_ms.max(2 * self.interval_ms.min(INTERVAL_MS_MAX))
    }

    /// Whether its next sample can no longer arrive in time, `seen_ms` being the newest event time seen and `waited_ms` how
    /// long samples are waited for that are late.
    pub(crate) fn is_overdue(&self, seen_ms: i64, waited_ms: i64) -> bool {
        let wait_ms = self.gap_ms_max() + waited_ms + self.lag_ms;
        seen_ms > self.last_ms.saturating_add(wait_ms)
    }
}
