//! The season: how many events a bucket has at this time of day, and how this hour of the week differs from other days.
//!
//! With 192 slots of 7.5 minutes, 11:00:30 lies 57 % of the way from the centre of slot 87 to that of slot 88: 53 orders
//! a minute in the one and 55 in the other make 54.1. Fridays at eleven had 600 orders where the day profile
//! expected 500: with 60 prior events that is a factor of 660 / 560 = 1.18.
//!
//! Always true:
//! 1. A slot or hour is learned from when it ends, never from part of it.
//! 2. Rates are events per unit of exposure, so a ratio is a profile like any other.

use serde::{Deserialize, Serialize};

use super::array::{self, Late};
use super::class::Tuning;
use super::place::Place;
use super::stored::{add, approach, least_and_most};
use super::{Bucket, DAY_S, Expectation, SLOTS_COUNT_MAX};

/// Smallest share that a new day takes in a slot.
const SLOT_GAIN_MIN: f64 = 0.06;
/// A slot with as many events as this gives all it may to its neighbours, in proportion to the share.
const SMOOTHED_EVENTS: f64 = 20.0;
/// One odd bucket is learned as this multiple of the expectation and so many events at most: it is not suspicious yet,
/// and a counter's mishap would otherwise be expected tomorrow.
const ODD_FACTOR: f64 = 10.0;
const ODD_EVENTS: f64 = 20.0;
/// Neighbouring slots of which one has so many times the events of the other make a steep day, if that is not chance by so
/// many standard deviations.
const STEEP_MIN: f64 = 1.5;
/// And so many times the events a cliff.
const CLIFF_MIN: f64 = 3.0;
const STEEP_DEVIATIONS: f64 = 4.0;
/// Longest slots of which that is asked, in s: an hour is no moment.
const STEEP_SLOT_S_MAX: f64 = 900.0;
/// What an hour of the week keeps of earlier weeks.
const WEEK_KEEP: f64 = 0.8;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Profile {
    #[serde(with = "array")]
    rates: [f32; SLOTS_COUNT_MAX],
    /// Events and expectations by hour of the week, older weeks fading.
    hours_observed: Late<f32, 168>,
    hours_expected: Late<f32, 168>,
    /// Events, levelled out, and exposure of the slot that goes on.
    slot_observed: f32,
    slot_exposure: f32,
    hour_observed: f32,
    hour_expected: f32,
    /// Running mean of the exposure of a bucket.
    exposure: f32,
    slot: Option<u8>,
    hour: Option<u8>,
    /// Days that each slot was learned from.
    #[serde(with = "array")]
    days_counts: [u8; SLOTS_COUNT_MAX],
}

impl Profile {
    pub(super) fn new() -> Profile {
        Profile {
            rates: [0.0; SLOTS_COUNT_MAX],
            hours_observed: Late::new(),
            hours_expected: Late::new(),
            slot_observed: 0.0,
            slot_exposure: 0.0,
            hour_observed: 0.0,
            hour_expected: 0.0,
            exposure: 0.0,
            slot: None,
            hour: None,
            days_counts: [0; SLOTS_COUNT_MAX],
        }
    }

    /// The first bucket has this exposure.
    pub(super) fn begin(&mut self, exposure: f64) {
        self.exposure = exposure as f32;
    }

    /// Events per unit of exposure at this time of day, if it was seen on any day.
    pub(super) fn rate(&self, place: &Place, slots_count: usize) -> Option<f64> {
        let between = place.between_slots(slots_count);
        let rate = |slot: usize| f64::from(self.rates[slot]);
        match (self.days_counts[between.before] > 0, self.days_counts[between.after] > 0) {
            (true, true) => Some(between.interpolate(rate)),
            (true, false) => Some(rate(between.before)),
            (false, true) => Some(rate(between.after)),
            (false, false) => None,
        }
    }

    /// The least and the most of the two slots that a time lies between, if both were seen: where a day begins by the hour,
    /// neither is far from it.
    pub(super) fn rates_near(&self, place: &Place, slots_count: usize) -> Option<[f64; 2]> {
        let near = place.between_slots(slots_count);
        let is_seen = self.days_counts[near.before] > 0 && self.days_counts[near.after] > 0;
        is_seen.then(|| least_and_most([near.before, near.after].map(|slot| f64::from(self.rates[slot]))))
    }

    /// The least and the most of the slot of a time and of its neighbours as multiples of what is expected, where the day is
    /// steep: it may go from one to the other at any moment there, and seconds of the one are in the other.
    pub(super) fn steep(&self, place: &Place, dispersion: f64, tuning: &Tuning) -> [f64; 2] {
        let count = tuning.class.slots_count;
        let near = place.slots_near(count);
        let [least, most] = least_and_most(near.map(|slot| f64::from(self.rates[slot])));
        if !self.is_steep([least, most], dispersion, tuning) || near.iter().any(|&slot| self.days_counts[slot] == 0) {
            return [1.0; 2];
        }
        let rate = self.rate(place, count).unwrap_or(0.0);
        if rate > 0.0 { [least / rate, most / rate] } else { [1.0; 2] }
    }

    /// Whether slots of these rates, at least and at most, are farther apart than chance has it.
    fn is_steep(&self, [least, most]: [f64; 2], dispersion: f64, tuning: &Tuning) -> bool {
        let slot_s = DAY_S / tuning.class.slots_count as f64;
        let events = f64::from(self.exposure) * slot_s / tuning.bucket_s;
        let is_chance = (most - least) * events < STEEP_DEVIATIONS * (most * events * dispersion).sqrt();
        slot_s <= STEEP_SLOT_S_MAX && most > STEEP_MIN * least && !is_chance
    }

    /// A look at the slot and the hour that go on: what comes of it means nothing.
    pub(super) fn glimpse(&self) -> u32 {
        let (slot, hour) = (self.slot.map_or(0, usize::from), self.hour.map_or(0, usize::from));
        let rate =
            self.rates.get(slot).zip(self.days_counts.get(slot)).map_or(0.0, |(rate, days)| rate + f32::from(*days));
        let (seen, had) = (self.hours_observed.begun().get(hour), self.hours_expected.begun().get(hour));
        let hours = seen.zip(had).map_or(0.0, |(seen, had)| seen + had);
        (rate + hours + self.slot_observed).to_bits()
    }

    /// How this hour of the week compares with the day profile.
    pub(super) fn hour_factor(&self, place: &Place, prior_events: f64) -> f64 {
        if !self.hours_expected.is_begun() {
            return 1.0;
        }
        place.between_hours_of_week().interpolate(|hour| {
            (f64::from(self.hours_observed.at(hour)) + prior_events)
                / (f64::from(self.hours_expected.at(hour)) + prior_events)
        })
    }

    /// Takes a bucket in; `is_learned` is false for those that say nothing of ordinary days.
    pub(super) fn learn(
        &mut self,
        bucket: &Bucket,
        place: &Place,
        expectation: &Expectation,
        level: f64,
        is_learned: bool,
        tuning: &Tuning,
    ) {
        if expectation.is_warm() {
            approach(&mut self.exposure, bucket.exposure, 0.01);
        }
        let (slot, hour) = (place.slot(tuning.class.slots_count) as u8, place.hour_of_week() as u8);
        if self.slot != Some(slot) {
            self.close_slot(tuning);
            self.slot = Some(slot);
        }
        let mut observed = bucket.observed;
        let mut levelled = observed;
        if expectation.is_warm() && expectation.age_s > 2.0 * DAY_S {
            observed = observed.min(ODD_FACTOR * expectation.expected + ODD_EVENTS);
            levelled = observed / (expectation.hour_factor * level).clamp(0.3, 3.0);
        }
        if is_learned {
            add(&mut self.slot_observed, levelled);
            add(&mut self.slot_exposure, bucket.exposure);
        }
        if self.hour != Some(hour) {
            self.close_hour(expectation.age_s);
            self.hour = Some(hour);
        }
        if let (true, Some(rate)) = (is_learned, expectation.rate) {
            add(&mut self.hour_observed, observed);
            add(&mut self.hour_expected, (bucket.exposure * rate * level).min(super::COUNT_MAX));
        }
    }

    #[cold]
    fn close_slot(&mut self, tuning: &Tuning) {
        let count = tuning.class.slots_count;
        let (observed, exposure) = (f64::from(self.slot_observed), f64::from(self.slot_exposure));
        (self.slot_observed, self.slot_exposure) = (0.0, 0.0);
        let Some(slot) = self.slot.map(usize::from).filter(|&slot| slot < count && exposure > 0.0) else { return };
        self.days_counts[slot] = self.days_counts[slot].saturating_add(1);
        let gain = (1.0 / f64::from(self.days_counts[slot])).max(SLOT_GAIN_MIN);
        if self.days_counts[slot] == 1 {
            self.rates[slot] = (observed / exposure) as f32;
        } else {
            approach(&mut self.rates[slot], observed / exposure, gain);
        }
        self.smooth((slot + count - 2) % count, (slot + count - 1) % count, slot, tuning);
    }

    /// Draws a slot towards its neighbours, the more the fewer events it has.
    fn smooth(&mut self, before: usize, slot: usize, after: usize, tuning: &Tuning) {
        if self.days_counts[before] == 0 || self.days_counts[slot] == 0 {
            return;
        }
        let slot_buckets = DAY_S / tuning.class.slots_count as f64 / tuning.bucket_s;
        let events = f64::from(self.rates[slot]) * f64::from(self.exposure) * slot_buckets;
        let share = (SMOOTHED_EVENTS / (events + 1e-9)).min(0.5);
        // A cliff would be worn down: what is drawn a little every day is drawn far.
        let [least, most] = least_and_most([before, slot, after].map(|slot| f64::from(self.rates[slot])));
        let is_cliff = most > CLIFF_MIN * least && self.is_steep([least, most], 1.0, tuning);
        if share > 0.02 && !(is_cliff && tuning.class.keeps_habits) {
            let neighbours = 0.5 * (f64::from(self.rates[before]) + f64::from(self.rates[after]));
            approach(&mut self.rates[slot], neighbours, 0.5 * share);
        }
    }

    #[cold]
    fn close_hour(&mut self, age_s: f64) {
        let (observed, expected) = (f64::from(self.hour_observed), f64::from(self.hour_expected));
        (self.hour_observed, self.hour_expected) = (0.0, 0.0);
        let Some(hour) = self.hour.map(usize::from).filter(|&hour| hour < 168) else { return };
        // A week is compared with the one before, so the first one has nothing to say.
        if expected > 0.0 && age_s > 7.0 * DAY_S {
            for (hours, sum) in [(&mut self.hours_observed, observed), (&mut self.hours_expected, expected)] {
                let hours = hours.begin();
                hours[hour] = (WEEK_KEEP * f64::from(hours[hour]) + sum) as f32;
            }
        }
    }

    /// Share of the day that was seen twice, half for once; and share of the week that has its own factor.
    pub(super) fn learned(&self, slots_count: usize) -> (f64, f64) {
        let days: f64 = self.days_counts[..slots_count].iter().map(|&days| (f64::from(days) / 2.0).min(1.0)).sum();
        let hours = self.hours_expected.begun().iter().filter(|&&expected| expected > 0.0).count();
        (days / slots_count as f64, hours as f64 / 168.0)
    }
}
