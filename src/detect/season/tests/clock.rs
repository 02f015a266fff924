//! The clock by which a shop lives, where nobody says which that is.

use super::super::{Bucket, Class, ORDERS, Season, Tuning, Verdict};
use super::series::{Draws, START_MS, tuning};

const HOUR_MS: i64 = 3_600_000;
/// The first minute of the day on which something happens.
const MINUTE: i64 = 16 * 1_440;

/// Orders that are expected in a minute of the day: more and more in the morning, and few soon after ten in the evening.
fn usual(minute: i64) -> f64 {
    let towards = |at: f64, length: f64| 1.0 / (1.0 + ((at - minute.rem_euclid(1_440) as f64) / length).exp());
    40.0 + 260.0 * towards(480.0, 70.0) * towards(1_320.0, -20.0)
}

/// A shop by the minute: which minute of the day it is there, and which share of its customers come.
fn shop(days: i64, clock: impl Fn(i64) -> i64, health: impl Fn(i64) -> f64) -> Vec<Bucket> {
    let mut draws = Draws::new();
    let bucket = |minute: i64| {
        let trials = 4.0 * usual(clock(minute)) * health(minute);
        Bucket {
            end_ms: START_MS + (minute + 1) * 60_000,
            observed: draws.successes(trials as u64, 4) as f64,
            exposure: 1.0,
            zone_offset_ms: 0,
            calendar_tolerance: 0.0,
            allowance: [1.0; 2],
        }
    };
    (0..days * 1_440).map(bucket).collect()
}

fn observe(season: &mut Season, bucket: &Bucket, tuning: &Tuning) -> Verdict {
    season.observe(*bucket, tuning).expect("every bucket is newer")
}

/// The minutes, from [`MINUTE`] on, in which something alerts; and the clock in the end.
fn judged(buckets: &[Bucket], class: Class) -> (Vec<i64>, i64) {
    let (mut season, tuning) = (Season::new(), tuning(class, 60_000));
    let verdicts: Vec<Verdict> = buckets.iter().map(|bucket| observe(&mut season, bucket, &tuning)).collect();
    let alerts = |minute: &i64| verdicts[(MINUTE + minute) as usize].scores.iter().any(|&score| score >= 1.0);
    let minutes = 0..buckets.len() as i64 - MINUTE;
    (minutes.filter(alerts).collect(), season.shift.clock_ms())
}

/// Until half past two in the night nobody knows of it.
fn put_forward(minute: i64) -> i64 {
    if minute >= MINUTE + 150 { minute + 60 } else { minute }
}

#[test]
fn clock_that_is_put_forward_is_found_and_nobody_is_alerted() {
    let buckets = shop(20, put_forward, |_| 1.0);
    let (alerts, clock_ms) = judged(&buckets, ORDERS);
    assert_eq!((alerts, clock_ms), (Vec::new(), HOUR_MS));
    let (alerts, clock_ms) = judged(&buckets, Class { follows_clock: false, ..ORDERS });
    assert!(!alerts.is_empty(), "the change is large enough to alert");
    assert_eq!(clock_ms, 0);
}

#[test]
fn morning_after_is_expected_by_the_new_clock() {
    let (mut season, tuning) = (Season::new(), tuning(ORDERS, 60_000));
    let buckets = shop(18, put_forward, |_| 1.0);
    let verdicts: Vec<Verdict> = buckets.iter().map(|bucket| observe(&mut season, bucket, &tuning)).collect();
    for minute in [330, 390, 450, 1_290, 1_350] {
        let index = MINUTE + 1_440 + minute;
        let truth = usual(put_forward(index));
        let expected = verdicts[index as usize].expected.unwrap();
        assert!((expected / truth - 1.0).abs() < 0.15, "minute {minute}: {expected} instead of {truth}");
    }
}

#[test]
fn clock_that_is_put_back_again_is_found() {
    let there_and_back = |minute: i64| if minute < MINUTE + 5 * 1_440 { put_forward(minute) } else { minute };
    let (_, clock_ms) = judged(&shop(19, there_and_back, |_| 1.0), ORDERS);
    assert_eq!(clock_ms, HOUR_MS);
    let (_, clock_ms) = judged(&shop(24, there_and_back, |_| 1.0), ORDERS);
    assert_eq!(clock_ms, 0);
}

#[test]
fn incident_on_the_flank_of_the_morning_is_told_as_soon_and_is_no_clock() {
    // Where it goes up, fewer customers are what came an hour earlier, too.
    for minutes in [360..390, 390..480, 1_260..1_380] {
        let health = |minute: i64| if minutes.contains(&(minute - MINUTE)) { 0.5 } else { 1.0 };
        let buckets = shop(18, |minute| minute, health);
        let (alerts, clock_ms) = judged(&buckets, ORDERS);
        let (alerts_before, _) = judged(&buckets, Class { follows_clock: false, ..ORDERS });
        assert!(minutes.contains(&alerts[0]), "{alerts:?}");
        assert_eq!((alerts, clock_ms), (alerts_before, 0), "{minutes:?}");
    }
}

#[test]
fn holiday_and_campaign_are_no_clock() {
    for health in [0.7, 1.4] {
        let slowly = |minute: i64| {
            let share = ((minute - MINUTE).min(MINUTE + 1_440 - minute) as f64 / 60.0).clamp(0.0, 1.0);
            1.0 + (health - 1.0) * share
        };
        let (_, clock_ms) = judged(&shop(20, |minute| minute, slowly), ORDERS);
        assert_eq!(clock_ms, 0, "{health}");
    }
}

#[test]
fn search_for_the_clock_goes_on_after_a_restart() {
    let tuning = tuning(ORDERS, 60_000);
    let buckets = shop(18, put_forward, |_| 1.0);
    let (mut season, mut before) = (Season::new(), Vec::new());
    for bucket in &buckets {
        if bucket.end_ms >= START_MS + MINUTE * 60_000 {
            before.push(season.clone());
        }
        observe(&mut season, bucket, &tuning);
    }
    assert!(before.iter().any(|season| season.shift.is_in_doubt()), "a restart meets a clock in doubt");
    // Once an hour, and wherever the clock is in doubt or has just moved.
    for (index, saved) in before.iter().enumerate().step_by(61) {
        let (mut whole, text) = (saved.clone(), serde_json::to_string(saved).unwrap());
        let mut restarted: Season = serde_json::from_str(&text).unwrap();
        for bucket in buckets[MINUTE as usize + index..].iter().take(240) {
            assert_eq!(observe(&mut whole, bucket, &tuning), observe(&mut restarted, bucket, &tuning), "{index}");
        }
    }
}
