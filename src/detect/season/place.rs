//! Where a bucket lies in the local day and week.
//!
//! A bucket of 60 s that ends on a Thursday at 10:01:00 UTC, in a shop one hour ahead, has its middle at 11:00:30: hour
//! of the week 11 (weeks begin on Thursday, as the epoch did), quarter 44 of the day.
//!
//! Always true: a bucket belongs to where its middle lies, by the clock of the shop.

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
}

/// Between the centres of two neighbouring parts of a circle: `weight` is the share of the later one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Between {
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) weight: f64,
}

impl Place {
    pub(super) fn of(end_ms: i64, zone_offset_ms: i64, bucket_ms: i64) -> Place {
        let middle_ms = end_ms.saturating_add(zone_offset_ms).saturating_sub(bucket_ms / 2);
        Place {
            middle_ms,
            minute_number: middle_ms.div_euclid(60_000),
            quarter_number: middle_ms.div_euclid(900_000),
            day_s: middle_ms.rem_euclid(DAY_MS) as f64 / 1_000.0,
            week_hours: middle_ms.rem_euclid(7 * DAY_MS) as f64 / 3_600_000.0,
        }
    }

    /// Which of `slots_count` equal parts of the day.
    pub(super) fn slot(&self, slots_count: usize) -> usize {
        (self.day_s * slots_count as f64 / super::DAY_S) as usize
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
        Between::of(self.day_s / (super::DAY_S / slots_count as f64), slots_count)
    }

    pub(super) fn between_hours_of_day(&self) -> Between {
        Between::of(self.day_s / 3_600.0, 24)
    }

    pub(super) fn between_hours_of_week(&self) -> Between {
        Between::of(self.week_hours, 168)
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
