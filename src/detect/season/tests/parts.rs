//! The parts, by hand.

use super::super::calibration::Calibration;
use super::super::place::{Between, Place};
use super::super::promise::{Promise, Tail};
use super::super::quarter::Quarter;
use super::super::yesterday::Yesterday;
use super::super::{CONVERSION, Class, ORDERS, Tuning};
use super::series::START_MS;

const HOUR_MS: i64 = 3_600_000;

#[test]
fn place_is_the_middle_by_the_local_clock() {
    let place = Place::of(START_MS + 10 * HOUR_MS + 60_000, HOUR_MS, 60_000);
    assert_eq!((place.day_s, place.hour_of_week(), place.quarter(), place.slot(192)), (39_630.0, 11, 44, 88));
    // 88.0667 slots are 0.5667 behind the centre of slot 87.
    let Between { before, after, weight } = place.between_slots(192);
    assert_eq!((before, after), (87, 88));
    assert!((weight - 0.566_667).abs() < 1e-5);
}

#[test]
fn bucket_that_ends_at_midnight_belongs_to_the_day_before() {
    let place = Place::of(START_MS, 0, 60_000);
    assert_eq!((place.hour_of_day(), place.hour_of_week(), place.quarter()), (23, 167, 95));
    let Between { before, after, .. } = Place::of(START_MS + 60_000, 0, 60_000).between_hours_of_day();
    assert_eq!((before, after), (23, 0), "the first minute lies between eleven and midnight's centres");
}

#[test]
fn time_before_1970_has_a_place() {
    let place = Place::of(-30_000, 0, 60_000);
    assert_eq!((place.minute_number, place.day_s), (-1, 86_340.0));
}

#[test]
fn threshold_is_the_logarithm_of_buckets_a_false_alert() {
    let tuning = |bucket_ms| Tuning::new(ORDERS, bucket_ms, 0.1, false);
    // ln(403,200), ln(100,800), ln(20,160).
    for (bucket_ms, threshold, buckets) in [(15_000, 12.907, 3.6), (60_000, 11.521, 2.8), (300_000, 9.911, 1.8)] {
        let tuning = tuning(bucket_ms);
        assert!((tuning.promise.threshold - threshold).abs() < 1e-3, "{}", tuning.promise.threshold);
        assert!((tuning.promise.threshold / tuning.promise.bucket_evidence_max - buckets).abs() < 1e-9);
    }
}

#[test]
fn zone_makes_the_memory_of_yesterday_and_the_search_for_the_clock_unneeded() {
    for (class, has_zone, is_needed) in [(ORDERS, false, true), (ORDERS, true, false), (CONVERSION, false, false)] {
        let Class { remembers_yesterday, follows_clock, .. } = Tuning::new(class, 60_000, 0.1, has_zone).class;
        assert_eq!([remembers_yesterday, follows_clock], [is_needed; 2]);
    }
}

/// Of ten hours five have 1.9 nats at most, one 2.2, three 4.4, one 4.6: the median is 2.0, nine in ten are below 4.5.
#[test]
fn calibration_goes_by_the_tail_of_its_class() {
    for (tail, threshold) in [(Tail::Exponential, 12.46), (Tail::Largest, 11.37)] {
        let promise = Promise::new(60.0, 0.1, 0.7, tail);
        let mut calibration = Calibration::new();
        calibration.begin(0);
        for hour in 0..480 {
            let nats = [1.9, 4.4, 1.9, 4.4, 1.9, 2.2, 1.9, 4.4, 1.9, 4.6][hour as usize % 10];
            calibration.enter([nats, 0.0], hour * HOUR_MS + 60_000, &promise);
        }
        let factor = calibration.factors()[0];
        assert!((promise.threshold / factor - threshold).abs() < 0.15, "{tail:?}: {}", promise.threshold / factor);
    }
}

/// Day 3 of the shop, quarter 32 (8:00) held 600 of 1,000 and was suspicious.
/// Enters so many hours from `from` on, of which those that `alerts` says have evidence that alerts, in whole days.
fn hours(calibration: &mut Calibration, from: i64, count: i64, promise: &Promise, alerts: impl Fn(i64) -> bool) {
    for hour in from..from + count {
        let enough = 1.2 * promise.threshold / calibration.factors()[1];
        let nats = if alerts(hour) { enough } else { 0.5 };
        calibration.enter([0.0, nats], (hour + 1) * HOUR_MS, promise);
    }
}

#[test]
fn signal_that_alerts_every_few_hours_needs_more_evidence_and_no_larger_buckets() {
    let promise = Promise::new(60.0, 0.1, 1.0, Tail::Exponential);
    let begun = || {
        let mut calibration = Calibration::new();
        calibration.begin(0);
        calibration
    };
    let (mut incidents, mut restless) = (begun(), begun());
    hours(&mut incidents, 0, 56 * 24, &promise, |hour| hour % 12 == 0);
    assert_eq!(incidents.stretches(), [1.0; 2], "two hours of incidents a day are incidents");
    hours(&mut restless, 0, 16 * 24, &promise, |hour| hour % 4 == 0);
    let stretch = restless.stretches()[1];
    assert!(stretch >= 1.5 && restless.stretches()[0] == 1.0, "{:?}", restless.stretches());
    let alone = promise.threshold / promise.bucket_evidence_max;
    let needed = promise.threshold / restless.factors()[1] / restless.bucket_evidence_max(&promise)[1];
    assert!((needed / alone - stretch).abs() < 1e-6, "{needed} buckets, {alone} of others, {stretch}");
    let mut new = begun();
    hours(&mut new, 0, 20, &promise, |_| true);
    assert!(new.stretches()[1] >= 1.5, "it was never calm: {:?}", new.stretches());
    let mut known = begun();
    hours(&mut known, 0, 28 * 24, &promise, |hour| hour >= 27 * 24 + 4);
    assert_eq!(known.stretches(), [1.0; 2], "it was calm for weeks");
    // It heals: a step back every four weeks, and at the first two alerts of a day one more.
    hours(&mut restless, 16 * 24, 29 * 24, &promise, |_| false);
    assert!((restless.stretches()[1] - stretch / 1.5).abs() < 1e-6);
    hours(&mut restless, 45 * 24, 24, &promise, |hour| hour % 12 == 0);
    assert!((restless.stretches()[1] - stretch).abs() < 1e-6);
    hours(&mut restless, 46 * 24, 400 * 24, &promise, |_| false);
    assert_eq!(restless.stretches(), [1.0; 2]);
}

fn late_morning() -> Yesterday {
    let mut yesterday = Yesterday::new();
    let quarter = Quarter { index: 32, hour: 8, observed: 600.0, expected: 1_000.0, is_suspicious: true };
    yesterday.remember(&quarter, 1.0, &at(3, 33));
    yesterday
}

fn at(day: i64, quarter: i64) -> Place {
    Place::of(START_MS + (day * 96 + quarter) * 900_000 + 60_000, 0, 60_000)
}

#[test]
fn deviation_of_yesterday_is_remembered_for_a_day_and_its_neighbours() {
    let yesterday = late_morning();
    // (600 + 4) / (1000 + 4) × 0.95 = 0.5715, to the nearest 32nd of an octave 2^(-26/32) = 0.5694.
    for quarter in [31, 32, 33] {
        let [drop, rise] = yesterday.factors(&at(4, quarter));
        assert!((drop - 0.5694).abs() < 1e-4 && rise == 1.0, "quarter {quarter}: {drop} {rise}");
    }
    assert_eq!(yesterday.factors(&at(3, 33)), [1.0; 2], "not the same day");
    assert_eq!(yesterday.factors(&at(4, 34)), [1.0; 2], "not half an hour later");
    assert_eq!(yesterday.factors(&at(6, 32)), [1.0; 2], "not for weeks");
}

#[test]
fn large_deviation_is_told_every_day() {
    for (observed, is_suspicious) in [(440.0, true), (2_300.0, true), (600.0, false), (900.0, true)] {
        let mut yesterday = Yesterday::new();
        let quarter = Quarter { index: 32, hour: 8, observed, expected: 1_000.0, is_suspicious };
        yesterday.remember(&quarter, 1.0, &at(3, 33));
        assert_eq!(yesterday.factors(&at(4, 32)), [1.0; 2], "{observed}");
    }
}
