//! What a value usually is at this time of day, and what the hour of the week adds, in logarithms.
//!
//! Always true: a slot or hour is learned from when it ends, never from part of it.

use serde::{Deserialize, Serialize};

use super::super::DAY_S;
use super::super::array::{self, Late};
use super::super::place::Place;
use super::super::stored::{add, approach, least_and_most};
use super::{Reading, SLOTS_COUNT};

/// Smallest share that a new day takes in a slot.
const SLOT_GAIN_MIN: f64 = 0.06;
/// Share of the way that a slot is drawn to the mean of its neighbours.
const SMOOTHING: f64 = 0.1;
/// What an hour of the week keeps of the weight of earlier weeks.
const WEEK_KEEP: f64 = 0.8;

/// Neighbouring slots that are so far apart, in logarithms, make a steep day.
const STEEP_MIN: f64 = 0.4;
/// And so far apart a cliff: three times.
const CLIFF_MIN: f64 = 1.1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Profile {
    #[serde(with = "array")]
    values: [f32; SLOTS_COUNT],
    hours_offsets: Late<f32, 168>,
    /// Weeks that each hour was learned from, older ones fading.
    hours_weeks: Late<f32, 168>,
    slot_sum: f32,
    slot_buckets: u32,
    hour_sum: f32,
    hour_buckets: u32,
    slot: Option<u8>,
    hour: Option<u8>,
    /// Days that each slot was learned from.
    #[serde(with = "array")]
    days_counts: [u8; SLOTS_COUNT],
}

impl Profile {
    pub(super) fn new() -> Profile {
        Profile {
            values: [0.0; SLOTS_COUNT],
            hours_offsets: Late::new(),
            hours_weeks: Late::new(),
            slot_sum: 0.0,
            slot_buckets: 0,
            hour_sum: 0.0,
            hour_buckets: 0,
            slot: None,
            hour: None,
            days_counts: [0; SLOTS_COUNT],
        }
    }

    /// What this time of day usually has, if it was seen on any day.
    pub(super) fn base(&self, place: &Place) -> Option<f64> {
        let between = place.between_slots(SLOTS_COUNT);
        let value = |slot: usize| f64::from(self.values[slot]);
        match (self.days_counts[between.before] > 0, self.days_counts[between.after] > 0) {
            (true, true) => Some(between.interpolate(value)),
            (true, false) => Some(value(between.before)),
            (false, true) => Some(value(between.after)),
            (false, false) => None,
        }
    }

    /// How far the least and the most of the slot of a time and of its neighbours are from what is expected, where the day is
    /// steep: it may go from one to the other at any moment there, and seconds of the one are in the other.
    pub(super) fn steep(&self, place: &Place, base: f64) -> [f64; 2] {
        let near = place.slots_near(SLOTS_COUNT);
        let [least, most] = least_and_most(near.map(|slot| f64::from(self.values[slot])));
        if most - least <= STEEP_MIN || near.iter().any(|&slot| self.days_counts[slot] == 0) {
            return [0.0; 2];
        }
        [least - base, most - base]
    }

    /// A look at the slot and the hour that go on: what comes of it means nothing.
    pub(super) fn glimpse(&self) -> u32 {
        let (slot, hour) = (self.slot.map_or(0, usize::from), self.hour.map_or(0, usize::from));
        let value =
            self.values.get(slot).zip(self.days_counts.get(slot)).map_or(0.0, |(value, days)| value + f32::from(*days));
        let (offset, weeks) = (self.hours_offsets.begun().get(hour), self.hours_weeks.begun().get(hour));
        let hours = offset.zip(weeks).map_or(0.0, |(offset, weeks)| offset + weeks);
        (value + hours + self.slot_sum).to_bits()
    }

    /// What this hour of the week adds; as if one more week had seen nothing.
    pub(super) fn hour_offset(&self, place: &Place) -> f64 {
        let hour = place.hour_of_week();
        let weeks = f64::from(self.hours_weeks.at(hour));
        f64::from(self.hours_offsets.at(hour)) * weeks / (weeks + 1.0)
    }

    /// Takes a bucket in; `is_learned` is false for those that say nothing of ordinary days.
    pub(super) fn learn(&mut self, place: &Place, reading: &Reading, is_learned: bool) {
        let (slot, hour) = (place.slot(SLOTS_COUNT) as u8, place.hour_of_week() as u8);
        if self.slot != Some(slot) {
            self.close_slot();
            self.slot = Some(slot);
        }
        if is_learned {
            let is_levelled = reading.base.is_some() && reading.age_s > 2.0 * DAY_S;
            let offset = if is_levelled { reading.level + reading.hour_offset } else { 0.0 };
            add(&mut self.slot_sum, reading.value - offset);
            self.slot_buckets += 1;
        }
        if self.hour != Some(hour) {
            self.close_hour(reading.age_s);
            self.hour = Some(hour);
        }
        if let (true, Some(base)) = (is_learned, reading.base) {
            add(&mut self.hour_sum, reading.value - base - reading.level);
            self.hour_buckets += 1;
        }
    }

    /// Shares of the day seen twice and of the week seen once.
    pub(super) fn learned(&self) -> (f64, f64) {
        let days: f64 = self.days_counts.iter().map(|&days| (f64::from(days) / 2.0).min(1.0)).sum();
        let hours = self.hours_weeks.begun().iter().filter(|&&weeks| weeks > 0.0).count();
        (days / SLOTS_COUNT as f64, hours as f64 / 168.0)
    }

    fn close_slot(&mut self) {
        let (sum, buckets) = (std::mem::take(&mut self.slot_sum), std::mem::take(&mut self.slot_buckets));
        let Some(slot) = self.slot.map(usize::from).filter(|&slot| slot < SLOTS_COUNT && buckets > 0) else { return };
        self.days_counts[slot] = self.days_counts[slot].saturating_add(1);
        let gain = (1.0 / f64::from(self.days_counts[slot])).max(SLOT_GAIN_MIN);
        approach(&mut self.values[slot], f64::from(sum) / f64::from(buckets), gain);
        let (before, middle) = ((slot + SLOTS_COUNT - 2) % SLOTS_COUNT, (slot + SLOTS_COUNT - 1) % SLOTS_COUNT);
        if self.days_counts[before] > 0 && self.days_counts[middle] > 0 {
            let values = [before, middle, slot].map(|slot| f64::from(self.values[slot]));
            let [least, most] = least_and_most(values);
            // A cliff would be worn down: what is drawn a little every day is drawn far.
            if most - least <= CLIFF_MIN {
                approach(&mut self.values[middle], 0.5 * (values[0] + values[2]), SMOOTHING);
            }
        }
    }

    fn close_hour(&mut self, age_s: f64) {
        let (sum, buckets) = (std::mem::take(&mut self.hour_sum), std::mem::take(&mut self.hour_buckets));
        let Some(hour) = self.hour.map(usize::from).filter(|&hour| hour < 168 && buckets > 0) else { return };
        if age_s > 7.0 * DAY_S {
            let weeks = &mut self.hours_weeks.begin()[hour];
            let more = WEEK_KEEP * f64::from(*weeks) + 1.0;
            *weeks = more as f32;
            approach(&mut self.hours_offsets.begin()[hour], f64::from(sum) / f64::from(buckets), 1.0 / more);
        }
    }
}
