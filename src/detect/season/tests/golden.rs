//! The same verdicts as the reference: the model was first written in Python, with its state in the same precision,
//! and that program's answers for the shop of [`super::series`] are kept in [`super::golden_figures`]. It follows no clock
//! and keeps no habits, its level does not age, its runs of values are cut at twice the threshold, it takes every hour for
//! one look, and of a conversion the hour of the week for known after 300 events, the level after 20 minutes.

use super::super::promise::Tail;
use super::super::{Bucket, CONVERSION, Class, ERRORS, GaugeSeason, ORDERS, Season, Verdict};
use super::golden_figures::{
    CONVERSION_BY_MINUTE, ERRORS_BY_MINUTE, Golden, LATENCY_BY_MINUTE, ORDERS_BY_MINUTE, ORDERS_BY_QUARTER_MINUTE,
};
use super::series::{Kind, START_MS, gauge_tuning, run, run_gauge, shop, tuning};

/// Largest difference to the reference, as a share of the figure or of 1.
const DIFFERENCE_MAX: f64 = 1e-4;

const REFERENCE_ORDERS: Class = Class { follows_clock: false, ages: false, keeps_habits: false, ..ORDERS };
const REFERENCE_ERRORS: Class = Class { tail: Tail::Exponential, ..ERRORS };
const REFERENCE_CONVERSION: Class =
    Class { tail: Tail::Exponential, hour_prior_events: 300.0, level_half_life_s: 1_200.0, ..CONVERSION };

#[test]
fn orders_by_minute_are_judged_as_by_the_reference() {
    compare(Kind::Orders, REFERENCE_ORDERS, 60, 16, &ORDERS_BY_MINUTE);
}

#[test]
fn orders_by_quarter_minute_are_judged_as_by_the_reference() {
    compare(Kind::Orders, REFERENCE_ORDERS, 15, 5, &ORDERS_BY_QUARTER_MINUTE);
}

#[test]
fn errors_are_judged_as_by_the_reference() {
    compare(Kind::Errors, REFERENCE_ERRORS, 60, 16, &ERRORS_BY_MINUTE);
}

#[test]
fn conversion_is_judged_as_by_the_reference() {
    compare(Kind::Conversion, REFERENCE_CONVERSION, 60, 16, &CONVERSION_BY_MINUTE);
}

#[test]
fn latency_is_judged_as_by_the_reference() {
    let buckets = shop(Kind::Latency, 60, 16);
    let mut tuning = gauge_tuning(60_000);
    tuning.grows_beyond_wander = false;
    let verdicts = run_gauge(&mut GaugeSeason::new(), &buckets, &tuning);
    // Where nothing is known the reference expects what it sees.
    compare_verdicts(&buckets, &verdicts, &LATENCY_BY_MINUTE, |bucket| bucket.observed);
}

#[test]
fn smallest_visible_drop_is_that_of_the_reference() {
    let tuning = tuning(REFERENCE_ORDERS, 60_000);
    let mut season = Season::new();
    run(&mut season, &shop(Kind::Orders, 60, 16), &tuning);
    for (expected, drop) in [(3.0, None), (5.0, Some(0.95)), (10.0, Some(0.8)), (1_000.0, Some(0.8))] {
        assert_eq!(season.detectable_drop(expected, 180.0, &tuning), drop, "{expected} a minute");
    }
}

fn compare(kind: Kind, class: Class, bucket_s: i64, days: i64, golden: &Golden) {
    let buckets = shop(kind, bucket_s, days);
    let tuning = tuning(class, bucket_s * 1_000);
    let mut season = Season::new();
    let verdicts = run(&mut season, &buckets, &tuning);
    // Where nothing is known the reference expects next to nothing.
    compare_verdicts(&buckets, &verdicts, golden, |_| 0.001);
    assert_eq!((100.0 * season.learned(&tuning)).round(), golden.learned_percent);
}

fn compare_verdicts(buckets: &[Bucket], verdicts: &[Verdict], golden: &Golden, unknown: fn(&Bucket) -> f64) {
    let events: f64 = buckets.iter().map(|bucket| bucket.observed).sum();
    assert_eq!([buckets.len() as u64, events as u64], golden.counts, "the shop itself differs");
    let ends_s: Vec<i64> = buckets.iter().map(|bucket| bucket.end_ms / 1_000).collect();
    let figures = |index: usize| {
        let Verdict { scores: [drop, rise], expected, tolerance, .. } = verdicts[index];
        [drop, rise, expected.unwrap_or_else(|| unknown(&buckets[index])), tolerance]
    };
    for &(day, minute, expected, onset_s) in golden.points {
        let end_s = START_MS / 1_000 + day * 86_400 + (minute + 1) * 60;
        let index = ends_s.binary_search(&end_s).expect("the bucket is there");
        assert_close(figures(index), expected, &format!("day {day} minute {minute}"));
        let leading = usize::from(verdicts[index].scores[1] > verdicts[index].scores[0]);
        assert_eq!(verdicts[index].onsets_s[leading].unwrap_or(0), onset_s, "onset on day {day} minute {minute}");
    }
    let mut sums = [0.0; 4];
    for index in 0..buckets.len() {
        sums.iter_mut().zip(figures(index)).for_each(|(sum, figure)| *sum += figure);
    }
    assert_close(sums, golden.sums, "sums over all buckets");
    assert_eq!(alerts(&ends_s, verdicts, 0), golden.drops, "drops");
    assert_eq!(alerts(&ends_s, verdicts, 1), golden.rises, "rises");
}

fn assert_close(ours: [f64; 4], theirs: [f64; 4], what: &str) {
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        assert!((ours - theirs).abs() <= DIFFERENCE_MAX * theirs.abs().max(1.0), "{what}: {ours} instead of {theirs}");
    }
}

/// From a score of 1 until it was below 0.5 for three minutes: [start, end] in s.
fn alerts(ends_s: &[i64], verdicts: &[Verdict], side: usize) -> Vec<[i64; 2]> {
    let (mut alerts, mut firing, mut low_since) = (Vec::new(), None, None);
    for (&end_s, verdict) in ends_s.iter().zip(verdicts) {
        let score = verdict.scores[side];
        match firing {
            None if score >= 1.0 => (firing, low_since) = (Some(end_s), None),
            Some(_) if score >= 0.5 => low_since = None,
            Some(start_s) => {
                let since_s = *low_since.get_or_insert(end_s);
                if end_s - since_s >= 180 {
                    alerts.push([start_s, end_s]);
                    firing = None;
                }
            }
            None => {}
        }
    }
    assert!(firing.is_none(), "every incident of the shop ends");
    alerts
}
