use proptest::prelude::*;

use super::blocks::{Block, median};
use super::*;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_H: f64 = 24.0;
/// A whole hour.
const START_MS: i64 = 1_767_225_600_000;

fn full(at: f64, within_hours: i64) -> FullOptions {
    FullOptions { at: Ceiling::Value(at), within_ms: within_hours * HOUR_MS, for_ms: 0, keep_firing_for_ms: 0 }
}

/// Noise between -1 and 1 that is the same on every run (a linear congruence).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    }
}

/// Feeds a value each `step_s`, as a function of the hours since the start. Tells when it began and ended, in hours.
fn feed(options: &FullOptions, hours: f64, step_s: i64, mut value: impl FnMut(f64, &mut Noise) -> f64) -> Told {
    let (mut saturation, mut noise, mut told) = (Saturation::new(), Noise(7), Told::default());
    let hour_of = |at_ms: i64| (at_ms - START_MS) as f64 / HOUR_MS as f64;
    let steps = (hours * 3_600.0) as i64 / step_s;
    for step in 0..steps {
        let end_ms = START_MS + step * step_s * 1_000;
        match saturation.observe(end_ms, Some(value(hour_of(end_ms), &mut noise)), options) {
            Some(Turn::Began(spell)) => {
                assert_eq!((spell.fired_ms, saturation.firing()), (end_ms, Some(spell)));
                assert!(spell.onset_ms < end_ms);
                told.began.push(hour_of(end_ms));
            }
            Some(Turn::Ended { at_ms, .. }) => {
                assert_eq!((at_ms, saturation.firing()), (end_ms, None));
                told.ended.push(hour_of(end_ms));
            }
            None => {}
        }
        if step % 97 == 0 {
            saturation = serde_json::from_str(&serde_json::to_string(&saturation).unwrap()).unwrap();
        }
    }
    told
}

#[derive(Debug, Default, PartialEq)]
struct Told {
    began: Vec<f64>,
    ended: Vec<f64>,
}

impl Told {
    /// Each began, and ended, within the hours given.
    fn assert(&self, began: &[std::ops::Range<f64>], ended: &[std::ops::Range<f64>]) {
        for (told, expected) in [(&self.began, began), (&self.ended, ended)] {
            assert_eq!(told.len(), expected.len(), "{self:?}");
            assert!(told.iter().zip(expected).all(|(told, expected)| expected.contains(told)), "{self:?}");
        }
    }
}

#[test]
fn disk_that_fills_is_told_before_it_is_full_and_again_when_it_was_emptied() {
    let disk = |hour: f64, noise: &mut Noise| {
        let filled = if (6.0..9.0).contains(&hour) { 0.1 * (hour - 6.0) } else { 0.0 };
        0.5 + filled + 0.001 * noise.next()
    };
    // Full in four hours from hour 7 on, at 10 % an hour; emptied at hour 9.
    feed(&full(1.0, 4), 24.0, 15, disk).assert(&[7.0..7.5], &[9.0..9.5]);
}

#[test]
fn free_bytes_that_run_out_are_told_as_well() {
    let bytes = |hour: f64, noise: &mut Noise| 1e12 - 2e10 * hour + 1e9 * noise.next();
    // 1e12 lasts for 50 hours; a day before the end is hour 26.
    feed(&full(0.0, 24), 49.0, 15, bytes).assert(&[25.5..27.0], &[]);
}

#[test]
fn value_at_rest_does_not_fire_however_near_to_its_limit() {
    let none = Told::default();
    assert_eq!(feed(&full(1.0, 4), 7.0 * DAY_H, 15, |_, _| 0.97), none);
    assert_eq!(feed(&full(1.0, 4), 7.0 * DAY_H, 15, |_, noise| 0.97 + 0.005 * noise.next()), none);
    assert_eq!(feed(&full(100.0, 4), 7.0 * DAY_H, 15, |_, noise| (90.0 + 2.0 * noise.next()).round()), none);
}

#[test]
fn step_is_no_slope() {
    let step = |hour: f64, noise: &mut Noise| if hour < 6.0 { 0.7 } else { 0.9 } + 0.003 * noise.next();
    assert_eq!(feed(&full(1.0, 4), 24.0, 15, step), Told::default());
}

#[test]
fn logs_that_are_rotated_fire_twice_at_most_and_what_goes_beyond_them_does() {
    let logs = |hour: f64, noise: &mut Noise| {
        let used = if hour < 120.0 { 0.2 * (hour % 6.0) / 6.0 } else { 0.05 * (hour - 120.0) };
        (0.7 + used).min(1.0) + 0.002 * noise.next()
    };
    let told = feed(&full(1.0, 4), 126.0, 15, logs);
    assert!(told.began.len() <= 3, "{told:?}");
    // Beyond 90 %, where it was rotated before, from hour 124 on.
    assert!(told.began.iter().all(|hour| *hour < 12.0 || (124.0..125.0).contains(hour)), "{told:?}");
    assert!(told.began.last().is_some_and(|hour| *hour > 124.0), "{told:?}");
    let often = feed(&full(1.0, 4), 7.0 * DAY_H, 15, |hour, noise| 0.7 + 0.4 * (hour % 0.5) + 0.002 * noise.next());
    assert!(often.began.iter().all(|hour| *hour < 1.0), "{often:?}");
}

#[test]
fn full_disk_stays_told_though_it_is_at_rest() {
    let disk = |hour: f64, _: &mut Noise| if hour < 20.0 { (0.5 + 0.1 * hour).min(0.999) } else { 0.6 };
    feed(&full(1.0, 4), 24.0, 15, disk).assert(&[0.9..1.6], &[20.0..20.7]);
    // Reached, and around it: a pool whose 100 connections are all in use.
    let pool = |hour: f64, noise: &mut Noise| {
        let used = if hour < 10.0 { 20.0 } else { (20.0 + 10.0 * (hour - 10.0)).min(100.0) };
        used + 2.0 * noise.next()
    };
    // An hour before it is full, at hour 18, there are ten left.
    feed(&full(100.0, 1), 48.0, 15, pool).assert(&[16.8..17.5], &[]);
}

#[test]
fn fill_that_stops_in_time_ends() {
    let disk = |hour: f64, noise: &mut Noise| (0.5 + 0.1 * hour).min(0.9) + 0.0001 * noise.next();
    // At rest from hour 4 on; half of the pairs of an hour's blocks lie behind that half an hour later.
    feed(&full(1.0, 4), 24.0, 15, disk).assert(&[0.9..1.6], &[4.3..5.2]);
}

#[test]
fn certificate_is_told_two_weeks_ahead_from_the_first_blocks_on() {
    let options = full(0.0, 14 * 24);
    // Thirteen days left at first sight: the fifth block of five minutes is closed after 25 minutes.
    feed(&options, 24.0, 15, |hour, _| 13.0 * 86_400.0 - 3_600.0 * hour).assert(&[0.4..0.45], &[]);
    // Fifteen days left: a day later, until it is renewed.
    let renewed = |hour: f64| if hour < 72.0 { 15.0 } else { 90.0 };
    let left = feed(&options, 120.0, 60, |hour, _| renewed(hour) * 86_400.0 - 3_600.0 * hour);
    left.assert(&[24.0..26.0], &[72.0..76.0]);
    // The same as an instant, of which the time itself is the limit.
    let instant = FullOptions { at: Ceiling::Now, ..options };
    let expires = feed(&instant, 120.0, 60, |hour, _| (START_MS / 1_000) as f64 + renewed(hour) * 86_400.0);
    assert_eq!(expires, left);
    // One that has expired already.
    feed(&options, 1.0, 15, |hour, _| -3_600.0 * (1.0 + hour)).assert(&[0.05..0.1], &[]);
}

#[test]
fn slow_series_are_read_from_what_there_is() {
    let disk = |hour: f64, noise: &mut Noise| 0.5 + 0.1 * (hour - 6.0).clamp(0.0, 5.0) + 0.001 * noise.next();
    feed(&full(1.0, 4), 11.0, 300, disk).assert(&[7.0..7.6], &[]);
    feed(&full(1.0, 4), 11.0, 900, disk).assert(&[7.0..9.0], &[]);
}

#[test]
fn spikes_and_missing_values_do_not_matter() {
    let mut count = 0_u32;
    let disk = |hour: f64, noise: &mut Noise| {
        count += 1;
        match count % 5 {
            0 => 50.0,
            1 => f64::NAN,
            _ => 0.5 + 0.1 * (hour - 6.0).max(0.0) + 0.001 * noise.next(),
        }
    };
    feed(&full(1.0, 4), 10.0, 15, disk).assert(&[7.0..7.5], &[]);
}

#[test]
fn waits_as_long_as_the_rule_says() {
    let options = FullOptions { for_ms: HOUR_MS, ..full(1.0, 4) };
    feed(&options, 5.0, 15, |hour, _| 0.6 + 0.1 * hour).assert(&[1.4..1.55], &[]);
}

#[test]
fn forecast_says_slope_and_time() {
    let mut saturation = Saturation::new();
    for minute in 0..=120 {
        let used = 0.5 + 0.1 * f64::from(minute) / 60.0;
        saturation.observe(START_MS + i64::from(minute) * MINUTE_MS, Some(used), &full(1.0, 4));
    }
    let forecast = saturation.forecast().unwrap();
    assert!((forecast.per_hour - 0.1).abs() < 0.001, "{forecast:?}");
    // Full at hour 5; the last median is of the middle of its block, which is 2.5 minutes early and late.
    let hours = (forecast.full_ms.unwrap() - START_MS) as f64 / HOUR_MS as f64;
    assert!((hours - 5.0).abs() < 0.1, "{hours}");
    assert_eq!(Saturation::new().forecast(), None);
}

#[test]
fn older_value_changes_nothing() {
    let mut saturation = Saturation::new();
    saturation.observe(START_MS, Some(0.5), &full(1.0, 4));
    let before = saturation.clone();
    for (end_ms, value) in
        [(START_MS, Some(9.0)), (i64::MIN, Some(9.0)), (START_MS + 1, None), (START_MS + 1, Some(f64::NAN))]
    {
        assert_eq!(saturation.observe(end_ms, value, &full(1.0, 4)), None);
    }
    assert_eq!(saturation, before);
}

#[test]
fn state_is_small() {
    let mut saturation = Saturation::new();
    for minute in 0..10_000 {
        saturation.observe(START_MS + minute * MINUTE_MS, Some((minute % 60) as f64), &full(100.0, 400));
        assert!(saturation.blocks.closed().len() <= 12);
    }
    // The struct; twelve blocks, twelve values, four turns.
    let bytes = size_of::<Saturation>() + 12 * size_of::<Block>() + 12 * 4 + 4 * 8;
    assert!(bytes <= 400, "{bytes}");
    assert!(serde_json::to_string(&saturation).unwrap().len() < 1_000);
}

/// The middle of all slopes and the share that falls, in f64.
fn by_hand(points: &[(i32, f64)]) -> (f64, f64) {
    let mut slopes = Vec::new();
    for from in points {
        slopes.extend(points.iter().filter(|to| to.0 > from.0).map(|to| (to.1 - from.1) / f64::from(to.0 - from.0)));
    }
    slopes.sort_by(f64::total_cmp);
    let half = slopes.len() / 2;
    let middle = if slopes.len() % 2 == 1 { slopes[half] } else { (slopes[half - 1] + slopes[half]) / 2.0 };
    (middle, slopes.iter().filter(|slope| **slope < 0.0).count() as f64 / slopes.len() as f64)
}

proptest! {
    #[test]
    fn slope_is_the_middle_of_all_pairs(points in prop::collection::btree_map(-99..99_i32, -50..50_i32, 2..=12)) {
        let points: Vec<_> = points.into_iter().map(|(number, value)| (number, f64::from(value))).collect();
        let blocks: Vec<_> = points.iter().map(|&(number, value)| Block { number, median: value as f32 }).collect();
        let found = slope(&blocks, 48).unwrap();
        let (middle, falling) = by_hand(&points);
        prop_assert!((f64::from(found.per_block) - middle).abs() < 1e-4);
        prop_assert!((f64::from(found.falling) - falling).abs() < 1e-6);
        prop_assert!(!found.is_clear || blocks.len() >= 5 && falling >= 0.79);
    }

    /// With no more values than are kept, a block is the median of them all.
    #[test]
    fn blocks_are_medians(values in prop::collection::vec((0..20 * 300_i64, -1000..1000_i32), 1..100)) {
        let mut by_block = std::collections::BTreeMap::<i64, Vec<(i64, i32)>>::new();
        for (second, value) in values {
            let block = by_block.entry(second / 300).or_default();
            if block.len() < 12 && !block.iter().any(|other| other.0 == second) {
                block.push((second, value));
            }
        }
        let mut blocks = Blocks::new();
        for block in by_block.values_mut() {
            block.sort_unstable();
            for &(second, value) in block.iter() {
                blocks.add(second * 1_000, value.into(), 20 * 300_000);
            }
        }
        blocks.add(20 * 300_000, 0.0, 20 * 300_000);
        let mut expected = Vec::new();
        for (&number, block) in &by_block {
            let mut values: Vec<i32> = block.iter().map(|one| one.1).collect();
            values.sort_unstable();
            let half = values.len() / 2;
            let twice = if values.len() % 2 == 1 { 2 * values[half] } else { values[half - 1] + values[half] };
            expected.push((number as i32, f64::from(twice) / 2.0));
        }
        let from = expected.len().saturating_sub(12);
        let found: Vec<_> = blocks.closed().iter().map(|block| (block.number, f64::from(block.median))).collect();
        prop_assert_eq!(found, &expected[from..]);
    }

    /// Of more values evenly spaced ones are kept: their median lies near that of all.
    #[test]
    fn median_of_many_rising_values_is_near_their_middle(count in 1..2_000_i64) {
        let mut blocks = Blocks::new();
        for index in 0..count {
            blocks.add(index * 300_000 / count, index as f64, HOUR_MS);
        }
        blocks.add(300_000, 0.0, HOUR_MS);
        let middle = f64::from(blocks.closed()[0].median) / count as f64;
        prop_assert!((middle - 0.5).abs() <= 0.5 / 6.0 + 0.5 / count as f64, "{}", middle);
    }

    #[test]
    fn any_input_is_survived_and_stays_finite(
        values in prop::collection::vec((any::<i64>(), any::<Option<f64>>()), 0..200),
        in_order in any::<bool>(),
        at in prop_oneof![any::<f64>().prop_map(Ceiling::Value), Just(Ceiling::Now), Just(Ceiling::Value(0.0))],
        within_ms in 1..3_153_600_000_000_i64,
    ) {
        let mut values = values;
        if in_order {
            values.sort_by_key(|value| value.0);
        }
        let options = FullOptions { at, within_ms, for_ms: 0, keep_firing_for_ms: 0 };
        let mut saturation = Saturation::new();
        for (end_ms, value) in values {
            saturation.observe(end_ms, value, &options);
            saturation.forecast();
        }
        let text = serde_json::to_string(&saturation).unwrap();
        prop_assert_eq!(serde_json::from_str::<Saturation>(&text).unwrap(), saturation, "{}", text);
    }
}

#[test]
fn median_of_even_and_odd_many() {
    assert_eq!([median(&mut [3.0, 1.0, 2.0]), median(&mut [4.0, 1.0, 2.0, 3.0]), median(&mut [7.0])], [2.0, 2.5, 7.0]);
}
