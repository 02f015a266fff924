//! Where a bucket lies in the local day and week.
//!
//! A bucket of 60 s that ends on a Thursday at 10:01:00 UTC, in a shop one hour ahead, has its middle at 11:00:30: hour
//! of the week 11 (weeks begin on Thursday, as the epoch did), quarter 44 of the day.
//!
//! Always true: a bucket belongs to where its middle lies, by the clock of the shop.

use std::cell::Cell;

const DAY_MS: i64 = 86_400_000;

/// The middle of a bucket, by the local clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// In ms since 1970.
    pub(super) middle_ms: i64,
    pub(super) minute_number: i64,
    /// Quarters of an hour since 1970.
    pub(super) quarter_number: i64,
    pub(super) day_s: f64,
    pub(super) week_hours: f64,
    between_hours_of_week: Between,
    slots: Slots,
}

/// Where it lies among so many equal parts of the day.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slots {
    count: usize,
    slot: usize,
    between: Between,
}

/// The place that was asked for last. The groups of a watch come one after the other with the same bucket, and a place
/// takes half a dozen divisions.
#[derive(Clone, Debug, Default)]
pub(super) struct LatestPlace(Cell<Option<Place>>);

/// Between the centres of two neighbouring parts of a circle: `weight` is the share of the later one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Between {
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) weight: f64,
}

impl LatestPlace {
    /// As [`Place::of`], for buckets and a profile that are always equally long, the latter of so many slots.
    pub(super) fn of(&self, end_ms: i64, zone_offset_ms: i64, bucket_ms: i64, slots_count: usize) -> Place {
        let middle_ms = middle_ms(end_ms, zone_offset_ms, bucket_ms);
        if let Some(place) = self.0.get()
            && place.middle_ms == middle_ms
        {
            return place;
        }
        let place = Place::at(middle_ms, slots_count);
        self.0.set(Some(place));
        place
    }
}

fn middle_ms(end_ms: i64, zone_offset_ms: i64, bucket_ms: i64) -> i64 {
    end_ms.saturating_add(zone_offset_ms).saturating_sub(bucket_ms / 2)
}

impl Place {
    pub(super) fn of(end_ms: i64, zone_offset_ms: i64, bucket_ms: i64) -> Place {
        Place::at(middle_ms(end_ms, zone_offset_ms, bucket_ms), super::SLOTS_COUNT_MAX)
    }

    fn at(middle_ms: i64, slots_count: usize) -> Place {
        let day_s = middle_ms.rem_euclid(DAY_MS) as f64 / 1_000.0;
        let week_hours = middle_ms.rem_euclid(7 * DAY_MS) as f64 / 3_600_000.0;
        Place {
            middle_ms,
            minute_number: middle_ms.div_euclid(60_000),
            quarter_number: middle_ms.div_euclid(900_000),
            day_s,
            week_hours,
            between_hours_of_week: Between::of(week_hours, 168),
            slots: Slots::of(day_s, slots_count),
        }
    }

    /// Which of `slots_count` equal parts of the day.
    pub(super) fn slot(&self, slots_count: usize) -> usize {
        self.slots(slots_count).slot
    }

    /// The slot before, the same, and the one behind.
    pub(super) fn slots_near(&self, slots_count: usize) -> [usize; 3] {
        let slot = self.slot(slots_count);
        [(slot + slots_count - 1) % slots_count, slot, (slot + 1) % slots_count]
    }

    pub(super) fn quarter(&self) -> usize {
        self.quarter_number.rem_euclid(96) as usize
    }

    pub(super) fn hour_of_day(&self) -> usize {
        (self.day_s / 3_600.0) as usize
    }

    pub(super) fn hour_of_week(&self) -> usize {
        self.week_hours as usize
    }

    pub(super) fn between_slots(&self, slots_count: usize) -> Between {
        self.slots(slots_count).between
    }

    fn slots(&self, count: usize) -> Slots {
        if self.slots.count == count { self.slots } else { Slots::of(self.day_s, count) }
    }

    pub(super) fn between_hours_of_day(&self) -> Between {
        Between::of(self.day_s / 3_600.0, 24)
    }

    pub(super) fn between_hours_of_week(&self) -> Between {
        self.between_hours_of_week
    }
}

impl Slots {
    fn of(day_s: f64, count: usize) -> Slots {
        Slots {
            count,
            slot: (day_s * count as f64 / super::DAY_S) as usize,
            between: Between::of(day_s / (super::DAY_S / count as f64), count),
        }
    }
}

impl Between {
    fn of(position: f64, count: usize) -> Between {
        let from_centre = position - 0.5;
        // Half a part past midnight lies after the last part's centre.
        if from_centre < 0.0 {
            return Between { before: count - 1, after: 0, weight: from_centre + 1.0 };
        }
        let before = from_centre as usize;
        let after = if before + 1 == count { 0 } else { before + 1 };
        Between { before, after, weight: from_centre - before as f64 }
    }

    pub(super) fn interpolate(&self, value: impl Fn(usize) -> f64) -> f64 {
        (1.0 - self.weight) * value(self.before) + self.weight * value(self.after)
    }
}
