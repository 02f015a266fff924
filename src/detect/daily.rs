//! What comes every day at this time, of a value that has no season: a queue that is empty but at night, a backup's lag.
//!
//! At 3:00 the queue is 400 long for an hour, and else 2. Three nights that is told; from the fourth on what is between 2
//! and 500 is nothing new from 2:45 to 4:15. Had it lasted for hours, 400 would have been accepted, and the way back to 2
//! would be nothing new either.
//!
//! Always true:
//! 1. What did not come on three days excuses nothing; two days without it are bridged once it came for a week.
//! 2. What is excused does not move the level.
//!
//! What a season knows of a day (`season/routine.rs`) are logarithms, in which a queue of nothing has no place.

use serde::{Deserialize, Serialize};

const QUARTER_MS: i64 = 900_000;
const QUARTERS_COUNT: i64 = 96;
/// Days on which it must have come, and the most that are remembered.
const DAYS_MIN: u8 = 3;
const DAYS_MAX: u8 = 7;
/// What a day without it takes back.
const ABSENT_DAYS: u8 = 2;
/// How long the way back to an earlier level is open: a day.
const RETURN_QUARTERS: u8 = 96;
/// What has come again is at least so much of what it was.
const AGAIN_SHARE: f64 = 0.5;
/// What came without suspicion is far from usual by so much of what the quarter ranged over.
const FAR_SHARE: f64 = 0.25;
/// What is nothing new goes beyond what came by this share of its distance from the level, for it never comes alike.
const SLACK: f64 = 0.25;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Daily {
    /// Quarters of an hour in which something came, at most [`QUARTERS_COUNT`].
    known: Vec<Known>,
    open: Open,
    /// The level that was left when another was accepted, and for how many quarters the way back is open.
    left: f64,
    return_quarters: u8,
}

/// What came in a quarter of the day, the last time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Known {
    quarter: u8,
    days: u8,
    mean: f64,
    least: f64,
    most: f64,
}

/// The quarter that goes on.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Open {
    quarter: Option<u8>,
    count: u32,
    sum: f64,
    least: f64,
    most: f64,
    is_suspicious: bool,
}

/// The quarter of the day at a moment by the shop's clock, in ms since 1970.
pub(crate) fn quarter_at(local_ms: i64) -> u8 {
    local_ms.div_euclid(QUARTER_MS).rem_euclid(QUARTERS_COUNT) as u8
}

impl Daily {
    /// Whether something comes every day around this quarter.
    pub(crate) fn knows(&self, quarter: u8) -> bool {
        self.known_near(quarter).next().is_some()
    }

    fn known_near(&self, quarter: u8) -> impl Iterator<Item = &Known> {
        // It does not come by the second.
        self.known.iter().filter(move |known| {
            let apart = (i64::from(known.quarter) - i64::from(quarter)).rem_euclid(QUARTERS_COUNT);
            known.days >= DAYS_MIN && [0, 1, QUARTERS_COUNT - 1].contains(&apart)
        })
    }

    /// The least and the most that is nothing new in this quarter, where `expected` is usual; none where nothing else is.
    pub(crate) fn range(&self, quarter: u8, expected: f64) -> Option<[f64; 2]> {
        let back = (self.return_quarters > 0).then_some([self.left.min(expected), self.left.max(expected)]);
        let widened = |value: f64| value + SLACK * (value - expected);
        self.known_near(quarter).fold(back, |range, known| {
            let [least, most] = range.unwrap_or([expected; 2]);
            Some([least.min(widened(known.least)), most.max(widened(known.most))])
        })
    }

    /// Another level is accepted than this one.
    pub(crate) fn leave(&mut self, expected: f64) {
        if self.return_quarters == 0 {
            (self.left, self.return_quarters) = (expected, RETURN_QUARTERS);
        }
    }

    /// Takes in a value, where `expected` is usual.
    pub(crate) fn add(&mut self, quarter: u8, value: f64, expected: f64, is_suspicious: bool) {
        if self.open.quarter != Some(quarter) {
            self.close(expected);
            self.open = Open { quarter: Some(quarter), least: value, most: value, ..Open::default() };
        }
        let open = &mut self.open;
        open.count = open.count.saturating_add(1);
        open.sum += value;
        (open.least, open.most) = (open.least.min(value), open.most.max(value));
        open.is_suspicious |= is_suspicious;
    }

    fn close(&mut self, expected: f64) {
        let Open { quarter: Some(quarter), count: count @ 1.., sum, least, most, is_suspicious } = self.open else {
            return;
        };
        let mean = sum / f64::from(count);
        let has_left = self.return_quarters > 0;
        let usual = if has_left { self.left } else { expected };
        self.return_quarters = self.return_quarters.saturating_sub(1);
        if has_left && (mean - usual).abs() < AGAIN_SHARE * (expected - usual).abs() {
            self.return_quarters = 0;
        }
        let place = self.known.iter().position(|known| known.quarter == quarter);
        let is_far = is_suspicious || (mean - usual).abs() > FAR_SHARE * (most - least);
        let again = place.filter(|_| is_far).map_or(0.0, |place| (mean - usual) / (self.known[place].mean - usual));
        match place {
            Some(place) if again > 0.0 => {
                let days = self.known[place].days;
                // Less than before, as behind a day that had an incident besides, is no further day of it and none without.
                let days = if again > AGAIN_SHARE { days.saturating_add(1).min(DAYS_MAX) } else { days };
                self.known[place] = Known { quarter, days, mean, least, most };
            }
            Some(place) => {
                let known = &mut self.known[place];
                known.days = known.days.saturating_sub(ABSENT_DAYS);
                if known.days == 0 {
                    self.known.swap_remove(place);
                }
            }
            None if is_suspicious || has_left && is_far => {
                self.known.push(Known { quarter, days: 1, mean, least, most })
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Daily, QUARTERS_COUNT};

    /// Days of a level of 2 with 400 in the quarters 12 to 15 of those that `comes` chooses; what is nothing new in the
    /// quarter 13 behind each.
    fn days(comes: impl IntoIterator<Item = bool>) -> Vec<Option<[f64; 2]>> {
        let mut daily = Daily::default();
        let mut day = |comes: bool| {
            for quarter in 0..QUARTERS_COUNT as u8 {
                let is_then = comes && (12..16).contains(&quarter);
                (0..60).for_each(|_| daily.add(quarter, if is_then { 400.0 } else { 2.0 }, 2.0, is_then));
            }
            daily.range(13, 2.0)
        };
        comes.into_iter().map(&mut day).collect()
    }

    #[test]
    fn what_comes_on_three_days_is_nothing_new_on_the_fourth_and_around_that_time_only() {
        assert_eq!(days([true; 4]), [None, None, Some([2.0, 499.5]), Some([2.0, 499.5])]);
        let mut daily = Daily::default();
        for quarter in (0..5).flat_map(|_| 0..QUARTERS_COUNT as u8) {
            let is_then = quarter == 0;
            daily.add(quarter, if is_then { -4.0 } else { 0.0 }, 0.0, is_then);
        }
        let near: Vec<u8> = (0..96).filter(|&quarter| daily.range(quarter, 0.0).is_some()).collect();
        assert_eq!(near, [0, 1, 95]);
        assert_eq!(daily.range(95, 0.0), Some([-5.0, 0.0]));
    }

    #[test]
    fn a_weekend_without_it_is_bridged_after_a_week_and_three_days_are_not() {
        let week = [true; 7];
        let known = |absent: usize| days(week.into_iter().chain(vec![false; absent])).pop().flatten().is_some();
        assert_eq!([1, 2, 3].map(known), [true, true, false]);
        assert!(days([true, true, false, true, true]).iter().all(Option::is_none));
    }
}
