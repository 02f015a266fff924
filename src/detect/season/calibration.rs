//! Calibration: how much evidence this very signal gathers while all is well.
//!
//! Every hour the most evidence of the hour goes into a histogram. A signal whose hours have 2.0 nats at the median and
//! 4.5 at nine in ten grows by 2.5 nats for every factor of 5 in rarity. One hour in 1,680 (ten weeks) is 168 times
//! rarer than one in ten: 4.5 + 2.5 × ln 168 / ln 5 = 12.5 nats. Where 11.5 were asked for, its evidence counts
//! 11.5 / 12.5 = 0.92.
//!
//! That is where an hour is one look. Where it is many, and shows the largest of them, 2.5 nats are a factor of 6.6 (the
//! Gumbel distribution): 4.5 + 2.5 × (ln 1,680 − 2.25) / ln 6.6 = 11.4 nats, and it counts 11.5 / 11.4.
//!
//! A signal that alerts in every fourth hour for twelve days has no incidents, it is like that: robots break its pages. Of
//! one that is new, seventeen such hours on end are enough: a burst at the top of every hour is told for a day or so.
//! Its evidence counts two thirds then, and two thirds of that each time it alerts twice a day again. What one bucket may
//! add stays as it was, so an alert takes longer.
//!
//! Always true:
//! 1. An hour with an alert is not entered.
//! 2. Evidence is not scaled before a week of hours was seen, nor beyond the bounds of its class, but for a signal that is
//!    restless.

use serde::{Deserialize, Serialize};

use super::DAY_S;
use super::array::Late;
use super::promise::{Promise, gain};
use super::stored::approach;

const BLOCK_MS: i64 = 3_600_000;
/// Width of a histogram's bin, in nats, and how many there are.
const BIN_NATS: f64 = 0.5;
const BINS_COUNT: usize = 48;
/// Share of itself that the histogram keeps at every hour: a half-life of 19 days.
const HOUR_KEEP: f64 = 0.9985;
/// Hours before the first calibration.
const BLOCKS_MIN: u32 = 168;
/// Calibrated anew after so many hours.
const BLOCKS_BETWEEN: u32 = 24;
/// Most that a threshold rises.
const CALIBRATED_MAX: f64 = 1.5;

/// Share of hours with an alert, over eight days or so, from which on a signal is restless.
const RESTLESS_SHARE: f64 = 0.16;
const RESTLESS_HALF_LIFE_S: f64 = 8.0 * DAY_S;
/// Hours without one that a new signal is taken to have seen: it is restless after seventeen hours on end with one.
const CALM_HOURS_ASSUMED: f64 = 96.0;
/// What evidence counts less with every step, and how many there are.
const STEP: f64 = 1.5;
const STEPS_MAX: u8 = 6;
/// Hours with an alert, in a day, that ask for a further step once it was; and days without any that take one back.
const RESTLESS_HOURS: u8 = 2;
const CALM_DAYS: u8 = 28;
const DAY_HOURS: u8 = 24;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Calibration {
    sides: [Side; 2],
    block_start_ms: i64,
}

/// Drops or rises.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Side {
    /// Hours by their most evidence.
    hours: Late<f32, BINS_COUNT>,
    factor: f32,
    block_evidence_max: f32,
    blocks_count: u32,
    /// Layout 3 of the checkpoint ends before it.
    #[serde(default)]
    restless: Restless,
}

/// Whether a signal alerts so often that it means nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Restless {
    steps: u8,
    /// Whether it was restless, and has not been calm for long since.
    was: bool,
    /// Running mean of hours with an alert.
    alert_share: f32,
    /// Of the day that goes on: its hours, and those with an alert.
    hours: u8,
    alert_hours: u8,
    calm_days: u8,
}

impl Calibration {
    pub(super) fn new() -> Calibration {
        let side = || Side {
            hours: Late::new(),
            factor: 1.0,
            block_evidence_max: 0.0,
            blocks_count: 0,
            restless: Restless::default(),
        };
        Calibration { sides: [side(), side()], block_start_ms: 0 }
    }

    /// The first bucket ends here.
    pub(super) fn begin(&mut self, end_ms: i64) {
        self.block_start_ms = end_ms;
    }

    /// A look at what the next bucket takes: what comes of it means nothing.
    pub(super) fn glimpse(&self) -> u32 {
        (self.sides[0].factor + self.sides[1].factor).to_bits() ^ self.block_start_ms as u32
    }

    /// What evidence of either side counts.
    pub(super) fn factors(&self) -> [f64; 2] {
        self.sides.each_ref().map(|side| f64::from(side.factor) / side.restless.stretch())
    }

    /// How much more evidence of either side it takes than that of others, 1 or more.
    pub(super) fn stretches(&self) -> [f64; 2] {
        self.sides.each_ref().map(|side| side.restless.stretch())
    }

    /// Most that a bucket may add to the evidence of either side, in nats.
    pub(super) fn bucket_evidence_max(&self, promise: &Promise) -> [f64; 2] {
        self.sides.each_ref().map(|side| promise.bucket_evidence_max / f64::from(side.factor))
    }

    /// Enters the evidence of a bucket that ends at `end_ms`.
    pub(super) fn enter(&mut self, evidence: [f64; 2], end_ms: i64, promise: &Promise) {
        if end_ms.saturating_sub(self.block_start_ms) >= BLOCK_MS {
            self.block_start_ms = end_ms;
            self.sides.iter_mut().for_each(|side| side.close_block(promise));
        }
        for (side, evidence) in self.sides.iter_mut().zip(evidence) {
            side.block_evidence_max = side.block_evidence_max.max(evidence as f32);
        }
    }

    /// How much of a week of hours was seen, by the side that saw more, 0 to 1.
    pub(super) fn learned(&self) -> f64 {
        let blocks_count = self.sides[0].blocks_count.max(self.sides[1].blocks_count);
        (f64::from(blocks_count) / f64::from(BLOCKS_MIN)).min(1.0)
    }
}

impl Restless {
    fn stretch(&self) -> f64 {
        STEP.powi(i32::from(self.steps))
    }

    /// Behind so many hours without an alert.
    fn close_hour(&mut self, is_alert: bool, calm_hours: u32) {
        let alert = f64::from(u8::from(is_alert));
        let usual = gain(BLOCK_MS as f64 / 1_000.0, RESTLESS_HALF_LIFE_S);
        approach(&mut self.alert_share, alert, usual.max(1.0 / (CALM_HOURS_ASSUMED + f64::from(calm_hours))));
        self.hours = self.hours.saturating_add(1);
        self.alert_hours = self.alert_hours.saturating_add(u8::from(is_alert));
        let is_restless =
            if self.was { self.alert_hours >= RESTLESS_HOURS } else { f64::from(self.alert_share) > RESTLESS_SHARE };
        if is_restless {
            self.steps = self.steps.saturating_add(1).min(STEPS_MAX);
            (self.was, self.alert_hours, self.calm_days) = (true, 0, 0);
        }
        if self.hours >= DAY_HOURS {
            self.close_day();
        }
    }

    fn close_day(&mut self) {
        self.calm_days = if self.alert_hours == 0 { self.calm_days.saturating_add(1) } else { 0 };
        (self.hours, self.alert_hours) = (0, 0);
        if self.calm_days >= CALM_DAYS {
            self.calm_days = 0;
            self.was = self.steps > 0;
            self.steps = self.steps.saturating_sub(1);
            self.alert_share = 0.0;
        }
    }
}

impl Side {
    #[cold]
    fn close_block(&mut self, promise: &Promise) {
        let evidence = f64::from(self.block_evidence_max);
        let is_begun = evidence > 0.0 || self.blocks_count > 0;
        let is_alert = evidence * f64::from(self.factor) >= promise.threshold * self.restless.stretch();
        self.restless.close_hour(is_alert, self.blocks_count);
        if is_begun && !is_alert {
            let bins = self.hours.begin();
            bins.iter_mut().for_each(|hours| *hours = (f64::from(*hours) * HOUR_KEEP) as f32);
            bins[((evidence / BIN_NATS) as usize).min(BINS_COUNT - 1)] += 1.0;
            self.blocks_count = self.blocks_count.saturating_add(1);
        }
        self.block_evidence_max = 0.0;
        if self.blocks_count >= BLOCKS_MIN && self.blocks_count.is_multiple_of(BLOCKS_BETWEEN) {
            let calibrated = self.threshold(promise);
            let bounds = (promise.calibrated_min * promise.threshold, CALIBRATED_MAX * promise.threshold);
            self.factor = (promise.threshold / calibrated.clamp(bounds.0, bounds.1)) as f32;
        }
    }

    /// The evidence that this side exceeds as rarely as was asked for, if its tail is that of its class.
    fn threshold(&self, promise: &Promise) -> f64 {
        let total = self.hours.begun().iter().map(|&hours| f64::from(hours)).sum::<f64>();
        let (median, ninth_decile) = (self.quantile(0.5 * total), self.quantile(0.9 * total));
        let [of_median, of_ninth_decile] = [0.5, 0.9].map(|share| promise.tail.position(share));
        let scale = (ninth_decile - median) / (of_ninth_decile - of_median);
        ninth_decile + scale * (promise.hourly_threshold - of_ninth_decile)
    }

    /// The evidence below which this many hours lie.
    fn quantile(&self, rank: f64) -> f64 {
        let mut below = 0.0;
        for (bin, &hours) in self.hours.begun().iter().enumerate() {
            let hours = f64::from(hours);
            if hours > 0.0 && below + hours >= rank {
                return (bin as f64 + (rank - below) / hours) * BIN_NATS;
            }
            below += hours;
        }
        BINS_COUNT as f64 * BIN_NATS
    }
}
