//! A beat: something that comes again and again, and when its absence is an alert.
//!
//! A job runs every five minutes from 6:00 to 22:00, give or take half a minute. After the run at 12:00 three are
//! expected until 12:15, and the third is overdue at 12:15:30, which is the deadline. After the one at 21:58 it is at
//! 22:14 on the first two nights; from then on the night is one of its [`Rests`], and the deadline is at 6:15.
//!
//! Always true:
//! 1. Before [`BEATS_MIN`] beats there is no deadline.
//! 2. A gap that was alerted does not make gaps normal, unless it comes again at its time of day.
//!
//! Deliberately absent: the watermark. Who knows it compares it with [`Beat::deadline_ms`].

use serde::{Deserialize, Serialize};

use super::array;
use super::rests::{Rests, Span, same_ms};
use super::stored::{add, approach};

const HOUR_MS: i64 = 3_600_000;
const HOUR_S: f64 = 3_600.0;
/// Beats before there is a deadline.
const BEATS_MIN: u32 = 20;
/// Expected beats that must fail to come, at least.
const MISSED_MIN: f64 = 3.0;
/// Longest look ahead for a deadline: two weeks.
const HOURS_AHEAD_MAX: i64 = 336;
/// Hours that are closed after a long silence: ten weeks tell the schedule as well as a year does.
const HOURS_CLOSED_MAX: i64 = 1_680;
/// Median gap up to which an hour's own rate is used, in s: a few beats an hour fall into one or the next.
const GAP_S_OF_RATES: f64 = 900.0;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Beat {
    last_ms: i64,
    deadline_ms: Option<i64>,
    /// The hour that goes on, since 1970 by the local clock.
    hour_number: i64,
    hour_beats: u32,
    beats_count: u32,
    /// Median and ninety-ninth percentile of the gaps, in s.
    gap_median_s: f32,
    gap_high_s: f32,
    /// Beats by hour of the week.
    #[serde(with = "array")]
    rates: [f32; 168],
    /// Weeks that each hour was learned from, and weeks on end that it was missed.
    #[serde(with = "array")]
    weeks_seen: [u8; 168],
    #[serde(with = "array")]
    weeks_missed: [u8; 168],
    /// Whether an alerted gap touches the hour that goes on.
    is_missed: bool,
    rests: Rests,
}

impl Beat {
    /// Nothing has come yet.
    pub(crate) fn new() -> Beat {
        Beat {
            last_ms: 0,
            deadline_ms: None,
            hour_number: 0,
            hour_beats: 0,
            beats_count: 0,
            gap_median_s: 0.0,
            gap_high_s: 0.0,
            rates: [0.0; 168],
            weeks_seen: [0; 168],
            weeks_missed: [0; 168],
            is_missed: false,
            rests: Rests::default(),
        }
    }

    /// When absence becomes an alert, in ms since 1970, if no beat comes before.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        self.deadline_ms
    }

    /// A beat came. Says since when its absence was an alert, if it was. One that is not newer than the last changes
    /// nothing.
    pub(crate) fn observe(&mut self, at_ms: i64, zone_offset_ms: i64) -> Option<i64> {
        if self.beats_count > 0 && at_ms <= self.last_ms {
            return None;
        }
        let hour_number = at_ms.saturating_add(zone_offset_ms).div_euclid(HOUR_MS);
        let fired_ms = self.deadline_ms.filter(|&deadline_ms| deadline_ms < at_ms);
        if self.beats_count == 0 {
            self.hour_number = hour_number;
        } else {
            self.is_missed |= fired_ms.is_some();
            if fired_ms.is_none() {
                self.learn_gap(at_ms.saturating_sub(self.last_ms) as f64 / 1_000.0);
            }
            self.close_hours(hour_number);
            self.is_missed |= fired_ms.is_some();
            self.learn_rest(at_ms.saturating_add(zone_offset_ms), zone_offset_ms);
        }
        self.hour_beats = self.hour_beats.saturating_add(1);
        self.beats_count = self.beats_count.saturating_add(1);
        self.last_ms = at_ms;
        self.deadline_ms = self.deadline(zone_offset_ms);
        fired_ms
    }

    fn learn_gap(&mut self, gap_s: f64) {
        if self.beats_count == 1 {
            (self.gap_median_s, self.gap_high_s) = (gap_s as f32, gap_s as f32);
            return;
        }
        let gain = match self.beats_count {
            ..200 => 0.05,
            200..2_000 => 0.01,
            _ => 0.003,
        };
        let median_s = f64::from(self.gap_median_s);
        let step_s = gain * median_s;
        add(&mut self.gap_median_s, if gap_s > median_s { step_s } else { -step_s });
        // Longer gaps are missed beats, not the spread.
        if gap_s < 1.9 * median_s {
            let is_high = gap_s > f64::from(self.gap_high_s);
            add(&mut self.gap_high_s, step_s * if is_high { 0.98 } else { -0.02 });
        }
    }

    /// A gap in which enough beats failed to come is a rest, or may become one.
    fn learn_rest(&mut self, local_ms: i64, zone_offset_ms: i64) {
        let same_ms = same_ms(self.gap_median_s.into());
        let gap = Span { from_ms: self.last_ms.saturating_add(zone_offset_ms), to_ms: local_ms };
        let long_ms = self.needed() * f64::from(self.gap_median_s) * 1_000.0;
        self.rests.contradict(local_ms, same_ms);
        if self.beats_count >= BEATS_MIN && gap.to_ms.saturating_sub(gap.from_ms) as f64 > long_ms {
            self.rests.learn(gap, same_ms);
        }
    }

    /// Expected beats that must fail to come: the third is overdue when it is later than beats are.
    fn needed(&self) -> f64 {
        let spread = f64::from(self.gap_high_s) / f64::from(self.gap_median_s) - 1.0;
        (1.0 + 1.4 * spread).max(MISSED_MIN + spread)
    }

    /// Closes the hours before `hour_number`.
    fn close_hours(&mut self, hour_number: i64) {
        let first = self.hour_number.max(hour_number.saturating_sub(HOURS_CLOSED_MAX));
        for closed in first..hour_number {
            self.close_hour(closed.rem_euclid(168) as usize);
        }
        if hour_number > self.hour_number {
            self.hour_number = hour_number;
            self.is_missed = false;
        }
    }

    fn close_hour(&mut self, hour: usize) {
        let beats = std::mem::take(&mut self.hour_beats);
        self.weeks_missed[hour] = if self.is_missed { self.weeks_missed[hour].saturating_add(1) } else { 0 };
        let is_learned = !self.is_missed || self.weeks_missed[hour] >= 2;
        if is_learned && self.beats_count > 1 {
            let gain = 1.0 / (f64::from(self.weeks_seen[hour]) + 1.0).min(4.0);
            approach(&mut self.rates[hour], f64::from(beats), gain);
            self.weeks_seen[hour] = self.weeks_seen[hour].saturating_add(1);
        }
    }

    /// The instant at which enough expected beats have failed to come. Behind a rest they are counted anew.
    fn deadline(&self, zone_offset_ms: i64) -> Option<i64> {
        if self.beats_count < BEATS_MIN {
            return None;
        }
        let (needed, same_ms) = (self.needed(), same_ms(self.gap_median_s.into()));
        let mut from_ms = self.last_ms.saturating_add(zone_offset_ms);
        let end_ms = from_ms.saturating_add(HOURS_AHEAD_MAX * HOUR_MS);
        let mut expected = 0.0;
        while from_ms < end_ms {
            let hour_number = from_ms.div_euclid(HOUR_MS);
            let hour_end_ms = (hour_number + 1).saturating_mul(HOUR_MS);
            let rest = self.rests.next(from_ms, hour_end_ms, same_ms);
            let to_ms = rest.map_or(hour_end_ms, |rest| rest.from_ms.max(from_ms));
            let rate = self.rate(hour_number.rem_euclid(168) as usize);
            let beats = rate * to_ms.saturating_sub(from_ms) as f64 / 1_000.0;
            if rate > 0.0 && expected + beats >= needed {
                let wait_ms = (needed - expected) / rate * 1_000.0;
                return Some(from_ms.saturating_add(wait_ms.round() as i64).saturating_sub(zone_offset_ms));
            }
            (from_ms, expected) = rest.map_or((to_ms, expected + beats), |rest| (rest.to_ms, 0.0));
        }
        None
    }

    /// Beats a second that are expected in this hour of the week.
    fn rate(&self, hour: usize) -> f64 {
        let gap_s = f64::from(self.gap_median_s);
        let usual = 1.0 / gap_s;
        if gap_s > GAP_S_OF_RATES || self.weeks_seen[hour] == 0 {
            return usual;
        }
        let own = f64::from(self.rates[hour]) / HOUR_S;
        if own < 0.25 * usual { 0.0 } else { own.min(usual) }
    }
}
