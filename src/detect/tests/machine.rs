//! The parts around a season: when it alerts, what it gathers, what it allows for, what it keeps for people.

use super::*;
use crate::detect::alarm::{Alarm, Change, Reading};
use crate::detect::measure::{Observed, Sum, Sums};
use crate::detect::signal::Fold;
use crate::detect::sources::Sources;
use crate::detect::stride::Stride;
use crate::detect::trail::{Point, Trail};
use crate::detect::transition::Side;

const BUCKET_MS: i64 = 15_000;

fn reading(score: f64, end_ms: i64) -> Reading {
    Reading { direction: Side::Drop, score, ratio: 0.5, onset_ms: 0, end_ms, is_large: true }
}

/// Ends of the buckets with which an alert began and ended, the scores being those of buckets of 15 s.
fn turns(scores: &[f64], options: &ModelOptions) -> Vec<(&'static str, i64)> {
    let mut alarm = Alarm::default();
    let mut turns = Vec::new();
    for (index, &score) in scores.iter().enumerate() {
        let end_ms = index as i64 * BUCKET_MS;
        match alarm.observe(reading(score, end_ms), options) {
            Some(Change::Fired(incident)) => turns.push(("fired", incident.fired_ms / BUCKET_MS)),
            Some(Change::Resolved(_)) => turns.push(("resolved", end_ms / BUCKET_MS)),
            None => {}
        }
    }
    turns
}

#[test]
fn an_alert_ends_after_three_minutes_of_low_scores_without_a_break() {
    let mut scores = vec![0.9, 1.0, 0.7];
    scores.extend([0.49; 11]); // buckets 3 to 13: 150 s
    scores.push(0.5); // 14
    scores.extend([0.1; 20]); // from 15 on; 180 s later is 27
    assert_eq!(turns(&scores, &ModelOptions::default()), [("fired", 1), ("resolved", 27)]);
    let kept = ModelOptions { keep_firing_for_ms: 60_000, ..ModelOptions::default() };
    assert_eq!(turns(&scores, &kept), [("fired", 1), ("resolved", 31)]);
}

#[test]
fn an_alert_waits_for_as_long_as_the_rule_says() {
    let patient = ModelOptions { for_ms: 30_000, ..ModelOptions::default() };
    assert_eq!(turns(&[1.0, 1.2, 0.9, 1.0, 1.1, 1.2, 1.3], &patient), [("fired", 5)]);
}

fn orders() -> Signal {
    Signal::compile("sum(rate(orders[1m]))").unwrap()
}

fn sums(amount: f64) -> Sums {
    Sums::of(vec![Sum { operand: 0, bound: 0.0, fold: Fold::Sum, amount, count: 1 }])
}

#[test]
fn a_stride_adds_up_the_buckets_that_end_on_its_own_length() {
    let (signal, mut stride) = (orders(), Stride::new());
    let read = |sums: &Sums| signal.observed(std::slice::from_ref(sums));
    assert!(!stride.follow(60_000, BUCKET_MS), "the first interval changes nothing");
    assert_eq!(stride.count(), 4);
    let mut steps = Vec::new();
    for bucket in 2..=12 {
        // Bucket 9 cannot be judged.
        let amount = sums(bucket as f64);
        steps.extend(stride.gather(bucket, (bucket != 9).then_some((&amount, read(&amount))), 1.0, &signal));
    }
    let observed: Vec<(i64, Observed)> = steps.iter().map(|step| (step.end_ms / BUCKET_MS, step.observed)).collect();
    let whole = Observed::Count { events: 4.0 + 5.0 + 6.0 + 7.0, exposure: 1.0 };
    assert_eq!(observed, [(4, Observed::Nothing), (8, whole), (12, Observed::Nothing)]);
}

#[test]
fn what_is_missing_of_a_count_makes_its_exposure_smaller() {
    let (signal, mut stride) = (orders(), Stride::new());
    let read = |sums: &Sums| signal.observed(std::slice::from_ref(sums));
    stride.follow(30_000, BUCKET_MS);
    let amount = sums(10.0);
    assert_eq!(stride.gather(0, Some((&amount, read(&amount))), 1.0, &signal), None);
    let step = stride.gather(1, Some((&amount, read(&amount))), 0.8, &signal).unwrap();
    assert_eq!(step.observed, Observed::Count { events: 20.0, exposure: 0.9 });
}

#[test]
fn a_stride_follows_an_interval_that_changed_for_good_and_no_single_gap() {
    let mut stride = Stride::new();
    for _ in 0..1_000 {
        stride.follow(15_400, BUCKET_MS);
    }
    assert_eq!(stride.count(), 1, "jitter is no interval");
    for _ in 0..20 {
        assert!(!stride.follow(30_000, BUCKET_MS));
    }
    stride.follow(15_000, BUCKET_MS);
    assert!((0..239).all(|_| !stride.follow(30_000, BUCKET_MS)));
    assert!(stride.follow(30_000, BUCKET_MS), "an hour of it");
    assert_eq!(stride.count(), 2);
}

#[test]
fn a_rolling_restart_ends_where_it_began() {
    let mut sources = Sources::new();
    for _ in 0..4 {
        // A fifth node comes, then one of five goes.
        sources.joined(0.25);
        sources.left(0.2);
    }
    let [low, high] = sources.allowance();
    assert!((low - 0.8).abs() < 1e-9 && (high - 1.0).abs() < 1e-9, "{low} to {high}");
    (0..600).for_each(|_| sources.fade(0.01));
    assert!(sources.allowance().iter().all(|bound| (bound - 1.0).abs() < 0.01), "{sources:?}");
}

#[test]
fn a_trail_is_short_while_all_is_well_and_never_longer_than_sixty() {
    let mut trail = Trail::default();
    let point = |at_s| Point { at_s, value: 1.0, expected: 2.0 };
    (0..100).for_each(|at_s| trail.add(point(at_s), false));
    assert_eq!(trail.points().len(), 12);
    (100..1_000).for_each(|at_s| trail.add(point(at_s), true));
    let points = trail.points();
    assert!((30..=60).contains(&points.len()), "{}", points.len());
    assert!(points.windows(2).all(|pair| pair[0].at_s < pair[1].at_s));
    assert!(points[0].at_s < 150, "the beginning is kept: {}", points[0].at_s);
    trail.count(Side::Drop, Some(30.0));
    trail.count(Side::Drop, Some(4.0));
    assert_eq!(trail.missing(Side::Drop), 34.0);
    trail.count(Side::Drop, None);
    assert_eq!(trail.missing(Side::Drop), 0.0);
}
