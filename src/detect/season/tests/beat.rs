//! Beats of jobs whose schedule is known, and what their absence must say.

use proptest::prelude::*;

use super::super::Beat;
use super::series::{Draws, START_MS};

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// A job from 6:00 to 22:00, every `every_s` or so, in s since [`START_MS`]. It hangs on day 16 from 12:00 to 14:00,
/// and from day 20 on it does not run from 8:00 to 10:00.
fn job(every_s: i64, days: i64) -> Vec<i64> {
    let (mut draws, mut beats, mut at_s) = (Draws::new(), Vec::new(), 6 * HOUR_S);
    while at_s < days * DAY_S {
        let (day, hour) = (at_s / DAY_S, at_s % DAY_S / HOUR_S);
        if hour >= 22 {
            at_s = (day + 1) * DAY_S + 6 * HOUR_S;
        } else if day == 16 && (12..14).contains(&hour) {
            at_s = day * DAY_S + 14 * HOUR_S;
        } else if day >= 20 && (8..10).contains(&hour) {
            at_s = day * DAY_S + 10 * HOUR_S;
        } else {
            beats.push(at_s);
            at_s += every_s * 4 / 5 + every_s * draws.successes(64, 4) as i64 / 80;
        }
    }
    beats
}

/// Feeds them; deadlines after each, and what fired, in s since 1970.
fn feed(beat: &mut Beat, beats_s: &[i64]) -> (Vec<f64>, Vec<f64>) {
    let (mut deadlines, mut fired) = (Vec::new(), Vec::new());
    for at_s in beats_s {
        fired.extend(beat.observe(START_MS + at_s * 1_000, 0).map(seconds));
        deadlines.push(beat.deadline_ms().map_or(0.0, seconds));
    }
    (deadlines, fired)
}

fn seconds(at_ms: i64) -> f64 {
    at_ms as f64 / 1_000.0
}

/// The alerts of a job, each as its day and hour since [`START_MS`].
fn alerts(beats_s: &[i64]) -> Vec<(i64, f64)> {
    let (_, fired) = feed(&mut Beat::new(), beats_s);
    let since_start = fired.into_iter().map(|at_s| at_s - seconds(START_MS));
    since_start.map(|at_s| ((at_s / DAY_S as f64) as i64, at_s % DAY_S as f64 / HOUR_S as f64)).collect()
}

/// A job with beats every `every_s` or so while `runs` says so of the day and the hour.
fn scheduled(every_s: i64, days: i64, runs: impl Fn(i64, f64) -> bool) -> Vec<i64> {
    let (mut draws, mut beats, mut at_s) = (Draws::new(), Vec::new(), 0);
    while at_s < days * DAY_S {
        if runs(at_s / DAY_S, (at_s % DAY_S) as f64 / HOUR_S as f64) {
            beats.push(at_s);
            at_s += every_s * 4 / 5 + every_s * draws.successes(64, 4) as i64 / 80;
        } else {
            at_s += 60;
        }
    }
    beats
}

/// Whether the alerts are of these days, within these hours.
fn assert_alerts(beats_s: &[i64], expected: &[(i64, std::ops::Range<f64>)]) {
    let alerts = alerts(beats_s);
    let fits = |(alert, expected): (&(i64, f64), &(i64, std::ops::Range<f64>))| {
        alert.0 == expected.0 && expected.1.contains(&alert.1)
    };
    let is_right = alerts.len() == expected.len() && alerts.iter().zip(expected).all(fits);
    assert!(is_right, "{alerts:?} instead of {expected:?}");
}

#[test]
fn rest_is_known_from_its_third_day_on_and_a_hang_in_between_is_told() {
    // From 6:00 to 22:00; it hangs on day 16 at noon, and rests from day 20 on from 8:00 to 10:00.
    for every_s in [60, 300, 900] {
        let late = 4.0 * every_s as f64 / HOUR_S as f64;
        let from = |hour: f64| hour..hour + late;
        let expected = [(0, from(22.0)), (1, from(22.0)), (16, from(12.0)), (20, from(8.0)), (21, from(8.0))];
        assert_alerts(&job(every_s, 36), &expected);
    }
}

#[test]
fn rests_are_found_of_jobs_that_come_every_few_minutes_or_hours_at_any_minute() {
    for every_s in [60, 300, 1_200, 2_400, 3_600, 5_400] {
        let fired = alerts(&scheduled(every_s, 42, |_, hour| (6.25..22.5).contains(&hour)));
        assert!(fired.len() <= 3, "every {every_s} s: {fired:?}");
        assert!(fired.iter().all(|alert| alert.0 <= 3), "every {every_s} s: {fired:?}");
    }
}

#[test]
fn weekend_is_known_after_the_first() {
    // Day 0 is a Thursday; days 2 and 3 are a weekend. The nights of Monday and Tuesday are the first two on end, and from
    // then on they are known; so the second weekend is told at the time of day at which beats should have come.
    let shop = scheduled(300, 42, |day, hour| !matches!(day % 7, 2 | 3) && (6.0..20.0).contains(&hour));
    assert_alerts(&shop, &[(0, 20.0..20.4), (1, 20.0..20.4), (4, 20.0..20.4), (5, 20.0..20.4), (9, 6.0..6.4)]);
}

#[test]
fn rest_in_which_beats_come_again_is_none_any_more() {
    // Nights are worked from day 10 on; on day 20 it hangs at 23:00 for four hours. Of
    // that hour of the week one without beats and one with them are known, so half of the beats are expected.
    let runs = |day: i64, hour: f64| match day {
        ..10 => (6.0..22.0).contains(&hour),
        20 => hour < 23.0,
        21 => hour >= 3.0,
        _ => true,
    };
    assert_alerts(&scheduled(300, 30, runs), &[(0, 22.0..22.4), (1, 22.0..22.4), (20, 23.0..23.5)]);
}

#[test]
fn hangs_on_days_apart_are_all_told() {
    // For an hour at noon on every third day: the same time of day, but no rest.
    let fired = alerts(&scheduled(300, 30, |day, hour| day % 3 != 2 || !(12.0..13.0).contains(&hour)));
    assert_eq!(fired.iter().map(|alert| alert.0).collect::<Vec<_>>(), [2, 5, 8, 11, 14, 17, 20, 23, 26, 29]);
}

#[test]
fn two_missing_beats_with_jitter_are_none() {
    let mut beat = Beat::new();
    let beats = scheduled(300, 3, |_, _| true);
    feed(&mut beat, &beats);
    let (last_s, deadline_ms) = (beats[beats.len() - 1], beat.deadline_ms().unwrap());
    let wait = (seconds(deadline_ms - START_MS) - last_s as f64) / 300.0;
    // Gaps spread by a tenth: the third missing beat may be that much later than three gaps, and is overdue then.
    assert!((3.01..3.3).contains(&wait), "{wait}");
}

#[test]
fn three_missing_beats_are_an_absence() {
    let mut beat = Beat::new();
    let even: Vec<i64> = (0..40).map(|index| index * 60).collect();
    let (deadlines, fired) = feed(&mut beat, &even);
    assert!(fired.is_empty());
    assert!(deadlines[..19].iter().all(|&deadline| deadline == 0.0), "nineteen beats are too few");
    // The median is within a step of 5 % of the minute.
    let wait_s = deadlines[39] - (START_MS / 1_000 + even[39]) as f64;
    assert!((170.0..200.0).contains(&wait_s), "{wait_s}");
}

#[test]
fn absence_is_dated_by_its_deadline_and_ends_with_a_beat() {
    let mut beat = Beat::new();
    feed(&mut beat, &(0..40).map(|index| index * 60).collect::<Vec<_>>());
    let deadline_ms = beat.deadline_ms();
    assert_eq!(beat.observe(START_MS + 4_000_000, 0), deadline_ms);
    assert_eq!(beat.observe(START_MS + 4_060_000, 0), None);
}

#[test]
fn beat_that_is_no_newer_changes_nothing() {
    let mut beat = Beat::new();
    feed(&mut beat, &(0..40).map(|index| index * 60).collect::<Vec<_>>());
    let before = serde_json::to_string(&beat).unwrap();
    assert_eq!(beat.observe(START_MS + 39 * 60_000, 0), None);
    assert_eq!(beat.observe(START_MS, 0), None);
    assert_eq!(serde_json::to_string(&beat).unwrap(), before);
}

#[test]
fn beats_written_and_read_anywhere_give_the_same_deadlines() {
    let beats = job(300, 12);
    let whole = feed(&mut Beat::new(), &beats);
    let mut beat = Beat::new();
    let mut deadlines = Vec::new();
    for at_s in beats.chunks(5) {
        deadlines.extend(feed(&mut beat, at_s).0);
        beat = serde_json::from_str(&serde_json::to_string(&beat).unwrap()).unwrap();
    }
    assert_eq!(deadlines, whole.0);
}

#[test]
fn silence_of_a_century_is_closed_in_time() {
    let mut beat = Beat::new();
    feed(&mut beat, &job(300, 8));
    assert!(beat.observe(START_MS + 36_500 * DAY_S * 1_000, 0).is_some());
    assert_eq!(beat.deadline_ms(), None, "ten weeks without a beat are the schedule");
    assert_eq!(beat.observe(i64::MAX, 0), None);
}

#[test]
fn beat_is_small() {
    assert!(size_of::<Beat>() <= 1_100, "{} bytes", size_of::<Beat>());
}

proptest! {
    #[test]
    fn any_instants_are_survived(mut instants in prop::collection::vec(any::<i64>(), 0..100), is_in_order in any::<bool>()) {
        if is_in_order {
            instants.sort_unstable();
        }
        let mut beat = Beat::new();
        for at_ms in instants {
            beat.observe(at_ms, 3_600_000);
            let text = serde_json::to_string(&beat).unwrap();
            beat = serde_json::from_str(&text).expect("what is remembered is finite");
        }
    }
}
