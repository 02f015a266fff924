//! The same as last week: what lasted for hours at this time of the week was no incident, and is not told again.
//!
//! A wholesaler takes 60 orders a minute on weekday mornings and 2 on Saturdays. On the first Saturday 60 are expected from
//! 8:30 on; it alerts, and at 10:30 what lasts for two hours is accepted. 2 / 60 is remembered for the hours since 8, also
//! for those in which nothing was learned. On the next Saturday at 8:30 the null is "between 3 % and 100 %", nothing is
//! suspicious. When Monday brings back what was before, which the level has left meanwhile, that is nothing new either.
//!
//! Always true:
//! 1. What ended before it was accepted leaves nothing: an incident does not excuse the one of the week after.
//! 2. An hour without anything excuses nothing before the second week that has it.
//! 3. What is not so again is forgotten after a week, and where the level came from after five days.

use serde::{Deserialize, Serialize};

use super::DAY_S;
use super::distances::Distances;
use super::place::Place;
use super::stored::add;
use super::suspicion::Suspicion;

const HOURS_COUNT: usize = 168;
/// How long the way back to an earlier level is open, in s: a long weekend, and a day.
const RETURN_S: f64 = 5.0 * DAY_S;
/// From how far it is a way back, and how near it has been gone, in natural logarithms; and how much further it may lead.
const LEFT_MIN: f64 = 0.3;
const BACK_MAX: f64 = 0.1;

/// How far below usual an hour without anything is remembered to have been the first time.
const OUTAGE_MAX: f64 = 0.25;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Habit {
    /// From the day profile, by hour of the week.
    distances: Distances<HOURS_COUNT>,
    /// The hour that goes on: what it saw, and what the day profile alone makes of it.
    hour: Option<u8>,
    observed: f32,
    expected: f32,
    /// Whether a bucket of it was suspicious, and is not known to have been an incident's.
    is_odd: bool,
    /// Whether suspicion lasts that may be an incident's; the hours closed since it began are remembered on trial.
    is_on_trial: bool,
    hours_on_trial: u8,
    /// The level that was left for what is known, as a logarithm, and for how many buckets the way back is open.
    left_level: f32,
    return_buckets: u32,
    has_left: bool,
}

/// What a season makes of a bucket, in natural logarithms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// What the hour of the week adds to the day profile.
    pub(super) hour_offset: f64,
    /// What today adds.
    pub(super) level: f64,
}

impl Habit {
    /// The least and the largest distance from the expectation that is nothing new, in natural logarithms: what is so
    /// around this time every week, and the level that was left.
    pub(super) fn range(&self, place: &Place, usual: impl FnOnce() -> Usual) -> [f64; 2] {
        let of_week = self.of_week(place);
        if of_week == [0.0; 2] && self.return_buckets == 0 {
            return of_week;
        }
        let Usual { hour_offset, level } = usual();
        let back = if self.return_buckets > 0 { f64::from(self.left_level) - level } else { 0.0 };
        let mut range = [0.0_f64; 2];
        if of_week[0] < 0.0 {
            range[0] = range[0].min(of_week[0] - hour_offset + back);
        }
        if of_week[1] > 0.0 {
            range[1] = range[1].max(of_week[1] - hour_offset + back);
        }
        if back.abs() > LEFT_MIN {
            let back = back + back.signum() * BACK_MAX;
            range = [range[0].min(back), range[1].max(back)];
        }
        range
    }

    /// The least and the largest distance from the day profile that was so a week ago.
    fn of_week(&self, place: &Place) -> [f64; 2] {
        if self.distances.are_none() {
            return [0.0; 2];
        }
        // What begins late in an hour is seen whole in the next.
        let hour = place.hour_of_week();
        let near = [hour, (hour + 1) % HOURS_COUNT].map(|hour| self.distances.at(hour));
        [near[0].min(near[1]).min(0.0), near[0].max(near[1]).max(0.0)]
    }

    /// Takes a bucket in. `distance` says how far the sums of an hour are from the day profile, in natural logarithms.
    pub(super) fn add(
        &mut self,
        place: &Place,
        (observed, expected): (f64, f64),
        suspicion: Suspicion,
        distance: impl FnOnce(f64, f64) -> f64,
    ) {
        let hour = place.hour_of_week() as u8;
        if self.hour != Some(hour) {
            self.close(distance);
            (self.hour, self.is_odd) = (Some(hour), false);
        }
        match suspicion {
            Suspicion::None if self.is_on_trial => self.acquit(),
            Suspicion::None => {}
            Suspicion::First => (self.is_on_trial, self.is_odd) = (true, true),
            Suspicion::Lasting => self.is_odd = true,
            Suspicion::Accepted => (self.is_on_trial, self.hours_on_trial, self.is_odd) = (false, 0, true),
        }
        add(&mut self.observed, observed);
        add(&mut self.expected, expected);
    }

    /// Remembers the level that is about to be left for what was accepted, or is so every week.
    pub(super) fn leave(&mut self, place: &Place, suspicion: Suspicion, usual: impl FnOnce() -> Usual, bucket_s: f64) {
        let of_week = self.of_week(place);
        if self.return_buckets == 0 && of_week == [0.0; 2] && suspicion != Suspicion::Accepted {
            return;
        }
        let Usual { hour_offset, level } = usual();
        // What leads nearer to the season is a way back itself.
        let leads_away = |known: f64| known != 0.0 && (known - hour_offset).abs() > level.abs().max(LEFT_MIN);
        if self.return_buckets > 0 {
            self.return_buckets -= 1;
            let left = (f64::from(self.left_level) - level).abs();
            self.has_left |= left > LEFT_MIN;
            if self.has_left && left < BACK_MAX {
                self.return_buckets = 0;
            }
        } else if suspicion == Suspicion::Accepted || of_week.into_iter().any(leads_away) {
            (self.left_level, self.return_buckets, self.has_left) = (level as f32, (RETURN_S / bucket_s) as u32, false);
        }
    }

    /// It was an incident.
    fn acquit(&mut self) {
        for back in 1..=usize::from(self.hours_on_trial) {
            let hour = (usize::from(self.hour.unwrap_or(0)) + HOURS_COUNT - back) % HOURS_COUNT;
            self.distances.forget(hour);
        }
        (self.is_on_trial, self.hours_on_trial, self.is_odd) = (false, 0, false);
    }

    fn close(&mut self, distance: impl FnOnce(f64, f64) -> f64) {
        let (observed, expected) = (f64::from(self.observed), f64::from(self.expected));
        (self.observed, self.expected) = (0.0, 0.0);
        let Some(hour) = self.hour.map(usize::from).filter(|&hour| hour < HOURS_COUNT && expected > 0.0) else {
            return;
        };
        self.hours_on_trial = self.hours_on_trial.saturating_add(u8::from(self.is_on_trial));
        let distance = distance(observed, expected);
        let is_again = self.distances.is_again(hour, distance);
        if self.is_odd || is_again {
            // Nothing at all is an outage, however long it lasts, until a second week has it.
            let is_outage = observed == 0.0 && !is_again;
            self.distances.keep(hour, if is_outage { distance.max(-OUTAGE_MAX) } else { distance });
        } else {
            self.distances.forget(hour);
        }
    }
}
