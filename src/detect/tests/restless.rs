//! Groups that are judged by a level that follows, and whose first minutes say little of how they are.

use super::*;

const MINUTE_MS: i64 = 60_000;

/// A heating that is off for its first hour and goes on and off by turns of `turn_ms` from then on; from `broken_ms` on it
/// draws far more for an hour.
fn heating(seed: u64, turn_ms: i64, broken_ms: i64) -> (Vec<Arc<Labels>>, Vec<Row>) {
    let mut chance = Chance(seed);
    scraped("heating_amperes", 6, 15_000, |at_ms| {
        let is_on = at_ms >= HOUR_MS && (at_ms / turn_ms) % 2 == 1;
        let is_broken = (broken_ms..broken_ms + HOUR_MS).contains(&at_ms);
        0.2 * chance.normal() + if is_on { 5.0 } else { 0.0 } + if is_broken { 60.0 } else { 0.0 }
    })
}

#[test]
fn what_goes_on_and_off_is_told_a_few_times_and_what_is_further_off_than_that_still_is() {
    let broken_ms = 4 * DAY_MS + 10 * HOUR_MS;
    for turn_ms in [10, 20, 40].map(|minutes| minutes * MINUTE_MS) {
        for seed in 0..3 {
            let fired = fired_ms("heating_amperes", &heating(seed, turn_ms, broken_ms));
            let (before, told): (Vec<i64>, Vec<i64>) = fired.into_iter().partition(|&at_ms| at_ms < broken_ms);
            assert!((1..=4).contains(&before.len()), "every {turn_ms} ms, seed {seed}: {before:?}");
            assert_eq!(told.len(), 1, "every {turn_ms} ms, seed {seed}: {told:?}");
            assert!(told[0] < broken_ms + 5 * MINUTE_MS, "every {turn_ms} ms, seed {seed}: {told:?}");
        }
    }
}

#[test]
fn two_incidents_of_a_day_do_not_hide_the_third() {
    for seed in 0..6 {
        let mut chance = Chance(seed);
        let begun_ms = [0, 1, 2].map(|index| 10 * HOUR_MS + index * 40 * MINUTE_MS);
        let broken =
            |at_ms: i64| begun_ms.iter().position(|&since_ms| (since_ms..since_ms + 10 * MINUTE_MS).contains(&at_ms));
        let queue =
            scraped("queue", 1, 15_000, |at_ms| chance.poisson(3.0) + if broken(at_ms).is_some() { 20.0 } else { 0.0 });
        let fired = fired_ms("queue", &queue);
        let told: Vec<_> = fired.iter().map(|&at_ms| broken(at_ms)).collect();
        assert_eq!(told, [Some(0), Some(1), Some(2)], "seed {seed}: {fired:?}");
    }
}

#[test]
fn a_dozen_samples_are_seen_before_anything_fires_however_seldom_they_come() {
    for seed in 0..100 {
        let (mut chance, begins) = (Chance(seed), seed as f64);
        let swinging = scraped("clock_offset", 1, 5 * MINUTE_MS, |at_ms| {
            2.0 * (std::f64::consts::TAU * at_ms as f64 / (2 * HOUR_MS) as f64 + begins).sin() + 0.5 * chance.normal()
        });
        let fired = fired_ms("clock_offset", &swinging);
        assert!(fired.iter().all(|&at_ms| at_ms >= HOUR_MS), "seed {seed}: {fired:?}");
    }
}

#[test]
fn a_value_that_is_zero_now_and_then_is_told_though_its_first_hour_had_no_zero() {
    let broken_ms = 5 * DAY_MS + 10 * HOUR_MS;
    for seed in 0..6 {
        let mut chance = Chance(seed);
        let sessions = scraped("sessions", 6, 5 * MINUTE_MS, |at_ms| {
            let few = chance.poisson(4.0);
            let is_first = at_ms < HOUR_MS;
            (if is_first { few.max(1.0) } else { few })
                + if (broken_ms..broken_ms + 2 * HOUR_MS).contains(&at_ms) { 16.0 } else { 0.0 }
        });
        let fired = fired_ms("sessions", &sessions);
        let (before, told): (Vec<i64>, Vec<i64>) = fired.into_iter().partition(|&at_ms| at_ms < broken_ms);
        assert!(before.len() <= 1, "seed {seed}: {before:?}");
        assert!(told.first().is_some_and(|&at_ms| at_ms < broken_ms + HOUR_MS), "seed {seed}: {told:?}");
    }
}

#[test]
fn orders_that_come_in_bundles_are_no_trouble_on_the_first_day() {
    let mut false_alarms = 0;
    for seed in 0..6 {
        let (mut chance, mut total) = (Chance(seed), 0.0);
        let bundles = scraped("orders", 1, 15_000, |_| {
            total += if chance.below(10) == 0 { chance.poisson(100.0) } else { 0.0 };
            total
        });
        false_alarms += fired_ms("sum(rate(orders[1m]))", &bundles).len();
    }
    assert!(false_alarms <= 4, "{false_alarms} in six days");
}
