//! Values that stand still between two looks of who counts them, and those that come every day at the same time.

use super::*;

/// A gauge that is scraped every 15 s for so many days.
fn gauge(days: i64, value: impl FnMut(i64) -> f64) -> (Vec<Arc<Labels>>, Vec<Row>) {
    scraped("queue_length", days, 15_000, value)
}

/// Chance, drawn anew after `every_ms`.
fn drawn(every_ms: i64, mut draw: impl FnMut() -> f64) -> impl FnMut(i64) -> f64 {
    let mut drawn = (i64::MIN, 0.0);
    move |at_ms| {
        let number = at_ms.div_euclid(every_ms);
        if drawn.0 != number {
            drawn = (number, draw());
        }
        drawn.1
    }
}

#[test]
fn twenty_equal_samples_are_one_look_at_a_queue() {
    let broken_ms = 5 * DAY_MS + 10 * HOUR_MS;
    let mut false_alarms = 0;
    for seed in 0..5 {
        let mut chance = Chance(seed);
        let mut held = drawn(300_000, move || chance.poisson(6.0));
        let queue = gauge(6, |at_ms| held(at_ms) + if at_ms >= broken_ms { 20.0 } else { 0.0 });
        let fired = fired_ms("queue_length", &queue);
        // In the first hour nobody knows yet that it is counted so seldom.
        false_alarms += fired.iter().filter(|&&at_ms| at_ms > HOUR_MS && at_ms < broken_ms).count();
        let is_told = |at_ms: &i64| (broken_ms..broken_ms + HOUR_MS).contains(at_ms);
        assert!(fired.iter().any(is_told), "seed {seed}: {fired:?}");
    }
    assert!(false_alarms <= 1, "{false_alarms} in 27 days");
}

#[test]
fn orders_that_are_counted_once_a_minute_are_judged_by_the_minute() {
    let broken_ms = 4 * DAY_MS + 10 * HOUR_MS;
    for seed in 0..3 {
        let mut chance = Chance(seed);
        let mut total = 0.0;
        let mut counted = drawn(60_000, move || {
            total += chance.poisson(100.0);
            total
        });
        let mut lost = 0.0;
        let mut last = 0.0;
        let (_, rows) = gauge(5, |at_ms| {
            let now = counted(at_ms);
            if (broken_ms..broken_ms + HOUR_MS).contains(&at_ms) {
                lost += 0.6 * (now - last);
            }
            last = now;
            now - lost
        });
        let fired = fired_ms("sum(rate(orders[1m]))", &(vec![labels(&[("__name__", "orders")])], rows));
        assert_eq!(fired.len(), 1, "{fired:?}");
        assert!((broken_ms..broken_ms + 6 * 60_000).contains(&fired[0]), "{} ms", fired[0] - broken_ms);
    }
}

#[test]
fn a_backup_lags_every_night_and_is_told_three_times() {
    let mut chance = Chance(3);
    let broken_ms = 12 * DAY_MS + 15 * HOUR_MS;
    let lag = gauge(13, |at_ms| {
        let is_night = (HOUR_MS..HOUR_MS + 1_800_000).contains(&(at_ms % DAY_MS));
        let is_broken = (broken_ms..broken_ms + HOUR_MS).contains(&at_ms);
        if is_night || is_broken { 50.0 + 100.0 * chance.share() } else { 0.0 }
    });
    let fired = fired_ms("queue_length", &lag);
    let (nights, told): (Vec<i64>, Vec<i64>) = fired.into_iter().partition(|&at_ms| at_ms < broken_ms);
    assert!((1..=3).contains(&nights.len()) && nights.iter().all(|&at_ms| at_ms < 4 * DAY_MS), "{nights:?}");
    assert_eq!(told.len(), 1);
    assert!((broken_ms..broken_ms + 120_000).contains(&told[0]), "{} ms", told[0] - broken_ms);
}

#[test]
fn what_fills_for_six_hours_every_night_is_accepted_and_known_from_the_fourth_on() {
    let mut chance = Chance(5);
    let queue = gauge(14, |at_ms| {
        let is_night = (HOUR_MS..7 * HOUR_MS).contains(&(at_ms % DAY_MS));
        chance.poisson(2.0) + if is_night { 300.0 + 20.0 * chance.normal() } else { 0.0 }
    });
    let fired = fired_ms("queue_length", &queue);
    let nights: Vec<i64> = fired.iter().map(|at_ms| at_ms / DAY_MS).collect();
    assert!(nights.contains(&0) && nights.iter().all(|&night| night < 4), "{nights:?}");
}

#[test]
fn an_incident_at_the_time_of_what_comes_daily_does_not_make_it_unknown() {
    let mut chance = Chance(5);
    let queue = gauge(16, |at_ms| {
        let (day, hour) = (at_ms / DAY_MS, (at_ms % DAY_MS) as f64 / HOUR_MS as f64);
        let nightly = 400.0 * (-((hour - 3.0) / 0.5).powi(2)).exp() * (0.8 + 0.4 * chance.share());
        let is_broken = day == 9 && (2.0..4.0).contains(&hour);
        (chance.poisson(2.0) + nightly).round() + if is_broken { 150.0 } else { 0.0 }
    });
    let nights: Vec<i64> = fired_ms("queue_length", &queue).iter().map(|at_ms| at_ms / DAY_MS).collect();
    assert!(nights.contains(&0) && nights.iter().all(|&night| night < 4 || night == 9), "{nights:?}");
}
