//! Beats: as by the reference (see [`super::golden`]), and by hand.

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

/// After so many beats: the deadline; of so many alerts: some by their index.
struct Golden {
    beats: usize,
    deadlines: &'static [(usize, f64)],
    alerts: usize,
    fired: &'static [(usize, f64)],
}

fn compare(every_s: i64, golden: &Golden) {
    let beats = job(every_s, 36);
    assert_eq!(beats.len(), golden.beats, "the job itself differs");
    let (deadlines, fired) = feed(&mut Beat::new(), &beats);
    for &(index, deadline) in golden.deadlines {
        assert!((deadlines[index] - deadline).abs() < 0.2, "beat {index}: {} instead of {deadline}", deadlines[index]);
    }
    assert_eq!(fired.len(), golden.alerts, "{fired:?}");
    for &(index, at) in golden.fired {
        assert!((fired[index] - at).abs() < 0.2, "alert {index}: {} instead of {at}", fired[index]);
    }
}

#[test]
fn job_every_five_minutes_is_judged_as_by_the_reference() {
    compare(
        300,
        &Golden {
            beats: 6_535,
            deadlines: &[
                (18, 0.0),
                (19, 1_767_253_676.2),
                (185, 1_767_303_285.4),
                (370, 1_767_387_395.5),
                (1_000, 1_767_690_503.5),
                (2_900, 1_768_547_137.7),
                (3_100, 1_768_635_363.5),
            ],
            alerts: 31,
            fired: &[(0, 1_767_305_642.9), (13, 1_768_428_633.1), (14, 1_768_652_045.0), (30, 1_770_279_206.7)],
        },
    );
}

#[test]
fn job_every_forty_minutes_is_judged_as_by_the_reference() {
    compare(
        2_400,
        &Golden {
            beats: 843,
            deadlines: &[
                (19, 1_767_299_061.6),
                (100, 1_767_601_896.9),
                (300, 1_768_298_896.6),
                (374, 1_768_560_576.3),
                (500, 1_769_011_106.8),
            ],
            alerts: 35,
            fired: &[(0, 1_767_311_282.7), (14, 1_768_542_882.1), (17, 1_768_886_247.2), (34, 1_770_285_437.8)],
        },
    );
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
    assert!((170.0..190.0).contains(&wait_s), "{wait_s}");
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
