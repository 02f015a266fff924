//! What always holds, for any buckets.

use proptest::prelude::*;

use super::super::array::{Late, Rare};
use super::super::{Bucket, CONVERSION, Class, ERRORS, GaugeSeason, ORDERS, Season, Tuning};
use super::series::{Draws, Kind, as_gauge, calm, gauge_tuning, plain, run, run_gauge, shop, tuning};

const DAY_MS: i64 = 86_400_000;

/// A season that has seen so many calm days, and the index of the next bucket.
fn warmed(class: Class, bucket_ms: i64, days: i64) -> (Season, i64) {
    let mut season = Season::new();
    let count = days * DAY_MS / bucket_ms;
    run(&mut season, &calm(bucket_ms, 0, count), &tuning(class, bucket_ms));
    (season, count)
}

fn most(season: &mut Season, buckets: &[Bucket], tuning: &Tuning) -> f64 {
    let verdicts = run(season, buckets, tuning);
    verdicts.iter().flat_map(|verdict| verdict.scores).fold(0.0, f64::max)
}

#[test]
fn state_is_small() {
    // What is learned from the second week on is as much again and more, and stands elsewhere.
    assert!(size_of::<Season>() <= 1_600, "{} bytes", size_of::<Season>());
    assert!(size_of::<GaugeSeason>() <= 1_600, "{} bytes", size_of::<GaugeSeason>());
}

#[test]
fn what_was_never_learned_is_written_as_zeros_and_takes_no_room_when_read() {
    let (late, zeros) = (Late::<f32, 168>::new(), vec![0.0_f32; 168]);
    assert_eq!(serde_json::to_string(&late).unwrap(), serde_json::to_string(&zeros).unwrap());
    let mut read: Late<f32, 168> = serde_json::from_str(&serde_json::to_string(&zeros).unwrap()).unwrap();
    assert!(!read.is_begun() && read.begun().is_empty() && read.at(167) == 0.0);
    read.begin()[167] = 1.5;
    let again: Late<f32, 168> = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!((again.at(0), again.at(167), again.begun().len()), (0.0, 1.5, 168));
    assert!(serde_json::from_str::<Late<f32, 168>>("[0.0]").is_err(), "too few");
}

#[test]
fn what_is_nothing_again_is_written_as_nothing_and_gives_its_room_back() {
    let mut rare = Rare::<i8, 96>::default();
    rare.set(7, 0);
    assert!(rare.is_nothing() && serde_json::to_string(&rare).unwrap() == "[]");
    rare.set(7, -3);
    rare.set(95, 2);
    let read: Rare<i8, 96> = serde_json::from_str(&serde_json::to_string(&rare).unwrap()).unwrap();
    assert_eq!((read.at(0), read.at(7), read.at(95)), (0, -3, 2));
    rare.set(7, 0);
    assert_eq!((rare.at(7), rare.at(95)), (0, 2));
    rare.set(95, 0);
    assert!(rare.is_nothing() && rare.at(95) == 0);
    assert!(serde_json::from_str::<Rare<i8, 96>>("[0, 1]").is_err(), "too few");
}

#[test]
fn gauge_written_and_read_anywhere_gives_the_same_verdicts() {
    let (buckets, tuning) = (shop(Kind::Latency, 300, 16), gauge_tuning(300_000));
    let whole = run_gauge(&mut GaugeSeason::new(), &buckets, &tuning);
    let mut season = GaugeSeason::new();
    for (index, (bucket, expected)) in buckets.iter().zip(&whole).enumerate() {
        if index % 7 == 0 {
            season = serde_json::from_str(&serde_json::to_string(&season).unwrap()).unwrap();
        }
        assert_eq!(season.observe(as_gauge(bucket), &tuning).as_ref(), Some(expected), "bucket {index}");
    }
}

#[test]
fn unit_of_a_gauge_does_not_matter() {
    let (buckets, tuning) = (shop(Kind::Latency, 300, 16), gauge_tuning(300_000));
    let in_seconds: Vec<Bucket> =
        buckets.iter().map(|bucket| Bucket { observed: bucket.observed / 1_000.0, ..*bucket }).collect();
    let whole = run_gauge(&mut GaugeSeason::new(), &buckets, &tuning);
    let scaled = run_gauge(&mut GaugeSeason::new(), &in_seconds, &tuning);
    assert!(whole.iter().any(|verdict| verdict.scores[1] >= 1.0));
    for (ours, theirs) in whole.iter().zip(&scaled) {
        assert!((ours.scores[1] - theirs.scores[1]).abs() < 1e-3, "{ours:?} {theirs:?}");
        assert_eq!(ours.expected.is_some(), theirs.expected.is_some());
        let ratio = ours.expected.unwrap_or(1_000.0) / theirs.expected.unwrap_or(1.0);
        assert!((ratio / 1_000.0 - 1.0).abs() < 1e-4, "{ratio}");
    }
}

#[test]
fn state_written_and_read_anywhere_gives_the_same_verdicts() {
    for (kind, class) in [(Kind::Orders, ORDERS), (Kind::Errors, ERRORS), (Kind::Conversion, CONVERSION)] {
        let tuning = tuning(class, 300_000);
        let buckets = shop(kind, 300, 16);
        let whole = run(&mut Season::new(), &buckets, &tuning);
        for every in [1, 7, 331, 2_000] {
            let mut season = Season::new();
            for (index, (&bucket, expected)) in buckets.iter().zip(&whole).enumerate() {
                // The state is long as text: once an hour is often enough for the shortest distance.
                if index % every == 0 && (every > 1 || index % 12 == 0 || (2_700..2_760).contains(&index)) {
                    let text = serde_json::to_string(&season).unwrap();
                    season = serde_json::from_str(&text).unwrap();
                }
                assert_eq!(season.observe(bucket, &tuning).as_ref(), Some(expected), "bucket {index}");
            }
        }
    }
}

#[test]
fn nobody_is_accused_during_the_first_two_days() {
    let tuning = tuning(ORDERS, 60_000);
    let (mut season, next) = warmed(ORDERS, 60_000, 1);
    let silence: Vec<Bucket> = (next..next + 1_440).map(|index| plain(60_000, index, 0.0)).collect();
    assert_eq!(most(&mut season, &silence, &tuning), 0.0);
}

#[test]
fn total_loss_alerts_after_four_minutes_and_dates_its_onset() {
    let tuning = tuning(ORDERS, 60_000);
    let (mut season, next) = warmed(ORDERS, 60_000, 3);
    let silence: Vec<Bucket> = (next..next + 4).map(|index| plain(60_000, index, 0.0)).collect();
    let verdicts = run(&mut season, &silence, &tuning);
    let alert = verdicts.iter().position(|verdict| verdict.scores[0] >= 1.0);
    assert!(matches!(alert, Some(2 | 3)), "{verdicts:?}");
    let start_s = (silence[0].end_ms / 1_000 - 60) as u32;
    assert_eq!(verdicts[3].onsets_s, [Some(start_s), None]);
}

#[test]
fn half_an_hour_of_a_drop_is_unlearned() {
    let tuning = tuning(ORDERS, 60_000);
    let (mut season, next) = warmed(ORDERS, 60_000, 3);
    let before = run(&mut season, &calm(60_000, next, 1), &tuning)[0].expected.unwrap();
    let drop: Vec<Bucket> = (next + 1..next + 31).map(|index| plain(60_000, index, 4.0)).collect();
    run(&mut season, &drop, &tuning);
    let after = run(&mut season, &calm(60_000, next + 31, 1), &tuning)[0].expected.unwrap();
    assert!((after / before - 1.0).abs() < 0.05, "{before} before, {after} after");
}

#[test]
fn new_normal_is_accepted_after_two_hours() {
    let tuning = tuning(ORDERS, 60_000);
    let (mut season, next) = warmed(ORDERS, 60_000, 3);
    let rise: Vec<Bucket> = (next..next + 300).map(|index| plain(60_000, index, 50.0)).collect();
    let verdicts = run(&mut season, &rise, &tuning);
    assert!(verdicts[10..120].iter().all(|verdict| verdict.scores[1] >= 1.0), "an alert of two hours");
    assert!(verdicts[280..].iter().all(|verdict| verdict.scores[1] < 0.5), "no alert of five hours");
}

#[test]
fn bucket_that_is_no_newer_count_changes_nothing() {
    let tuning = tuning(ORDERS, 60_000);
    let (mut season, next) = warmed(ORDERS, 60_000, 3);
    let before = serde_json::to_string(&season).unwrap();
    for bucket in [
        plain(60_000, next - 1, 20.0),
        plain(60_000, next - 100, 20.0),
        plain(60_000, next, f64::NAN),
        plain(60_000, next, f64::INFINITY),
        plain(60_000, next, -1.0),
        Bucket { exposure: f64::NAN, ..plain(60_000, next, 20.0) },
    ] {
        assert_eq!(season.observe(bucket, &tuning), None, "{bucket:?}");
    }
    assert_eq!(serde_json::to_string(&season).unwrap(), before);
}

#[test]
fn calendar_widens_the_null_and_stops_learning_the_day() {
    let tuning = tuning(ORDERS, 60_000);
    let (season, next) = warmed(ORDERS, 60_000, 4);
    let campaign = |calendar_tolerance: f64| {
        let mut season = season.clone();
        let rise = (next..next + 30).map(|index| Bucket { calendar_tolerance, ..plain(60_000, index, 29.0) });
        most(&mut season, &rise.collect::<Vec<_>>(), &tuning)
    };
    assert!(campaign(0.0) >= 1.0, "half more for half an hour is something");
    assert!(campaign(0.6) < 0.5, "but not in a campaign");
}

#[test]
fn more_volume_shows_a_drop_sooner() {
    let tuning = tuning(ORDERS, 60_000);
    let delay = |trials: u64| {
        let (mut season, mut draws) = (Season::new(), Draws::new());
        let buckets: Vec<Bucket> = (0..3 * 1_440 + 120)
            .map(|index| plain(60_000, index, draws.successes(trials, if index < 3 * 1_440 { 4 } else { 2 }) as f64))
            .collect();
        let verdicts = run(&mut season, &buckets, &tuning);
        assert!(verdicts[..3 * 1_440].iter().all(|verdict| verdict.scores[0] < 1.0), "calm at {trials}");
        verdicts[3 * 1_440..].iter().position(|verdict| verdict.scores[0] >= 1.0)
    };
    let (few, some, many) = (delay(16).unwrap_or(120), delay(60).expect("seen"), delay(400).expect("seen"));
    assert!(many <= some && some < few, "{many} {some} {few}");
    assert_eq!(many, 2, "a hundred a minute: the third minute");
}

#[test]
fn unit_of_exposure_does_not_matter() {
    let tuning = tuning(CONVERSION, 300_000);
    let buckets = shop(Kind::Conversion, 300, 16);
    let whole = run(&mut Season::new(), &buckets, &tuning);
    assert!(whole.iter().any(|verdict| verdict.scores[0] >= 1.0));
    // Powers of two leave every mantissa as it is.
    for unit in [0.25, 1_024.0] {
        let scaled: Vec<Bucket> =
            buckets.iter().map(|bucket| Bucket { exposure: bucket.exposure * unit, ..*bucket }).collect();
        assert_eq!(run(&mut Season::new(), &scaled, &tuning), whole, "unit {unit}");
    }
}

/// Minutes from a change to the alert, of a value around 40 that scatters by `spread` for two weeks.
fn minutes_to_alert(spread: f64, ratio: f64, minutes: i64) -> Option<usize> {
    let (mut draws, tuning, mut season) = (Draws::new(), gauge_tuning(60_000), GaugeSeason::new());
    let changes = 14 * 1_440 + 600;
    let mut bucket = |minute: i64| {
        // Of 64 trials at one in four, 16 succeed, give or take 3.46.
        let noise = (draws.successes(64, 4) as f64 - 16.0) / 12.0_f64.sqrt();
        plain(60_000, minute, 40.0 * (spread * noise).exp() * if minute >= changes { ratio } else { 1.0 })
    };
    let before: Vec<Bucket> = (0..changes).map(&mut bucket).collect();
    let after: Vec<Bucket> = (changes..changes + minutes).map(&mut bucket).collect();
    let verdicts = run_gauge(&mut season, &before, &tuning);
    assert!(verdicts.iter().flat_map(|verdict| verdict.scores).all(|score| score < 1.0), "calm with {spread}");
    let verdicts = run_gauge(&mut season, &after, &tuning);
    verdicts.iter().position(|verdict| verdict.scores[usize::from(ratio > 1.0)] >= 1.0)
}

#[test]
fn value_that_is_steady_for_weeks_need_not_change_more_than_others_to_alert() {
    for spread in [0.01, 0.025, 0.05, 0.1] {
        for (ratio, minutes) in [(3.0, 6), (2.0, 8), (1.8, 8), (0.5, 8), (0.3, 6)] {
            let seen = minutes_to_alert(spread, ratio, 60);
            assert!(seen.is_some_and(|seen| seen < minutes), "{spread}, {ratio}: {seen:?}");
        }
        let seen = minutes_to_alert(spread, 1.5, 60);
        assert!(seen.is_some_and(|seen| seen < 45), "{spread}: {seen:?}");
        assert_eq!(minutes_to_alert(spread, 1.2, 60), None, "a fifth is what values wander by");
    }
}

#[test]
fn value_that_wanders_for_minutes_is_no_surer_for_being_asked_every_quarter_minute() {
    let (mut draws, tuning) = (Draws::new(), gauge_tuning(15_000));
    let mut alerts = 0;
    for _ in 0..4 {
        let mut wander = 0.0;
        let mut bucket = |index: i64| {
            // By a fifth, of which e^(-1/20) is left after 15 s.
            let noise = (draws.successes(64, 4) as f64 - 16.0) / 12.0_f64.sqrt();
            wander = 0.951 * wander + 0.2 * (1.0 - 0.951_f64.powi(2)).sqrt() * noise;
            plain(15_000, index, 40.0 * wander.exp())
        };
        let week: Vec<Bucket> = (0..7 * 5_760).map(&mut bucket).collect();
        let verdicts = run_gauge(&mut GaugeSeason::new(), &week, &tuning);
        let is_alert: Vec<bool> =
            verdicts.iter().map(|verdict| verdict.scores[0].max(verdict.scores[1]) >= 1.0).collect();
        alerts += is_alert.windows(2).filter(|pair| pair[1] && !pair[0]).count();
    }
    assert!(alerts <= 1, "{alerts} in four weeks");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn one_odd_bucket_never_alerts(observed in prop_oneof![0.0..1e12_f64, 0.0..200.0_f64], at in 1_i64..60) {
        for (class, bucket_ms) in [(ORDERS, 60_000), (ERRORS, 60_000), (CONVERSION, 60_000), (ORDERS, 300_000)] {
            let tuning = tuning(class, bucket_ms);
            let (mut season, next) = warmed(class, bucket_ms, 3);
            let mut buckets = calm(bucket_ms, next, 100);
            buckets[at as usize].observed = observed;
            prop_assert!(most(&mut season, &buckets, &tuning) < 1.0);
        }
    }

    #[test]
    fn one_odd_value_never_alerts(value in prop_oneof![0.0..1e12_f64, 0.0..200.0_f64], at in 1_i64..60) {
        for bucket_ms in [60_000, 300_000] {
            let tuning = gauge_tuning(bucket_ms);
            let mut season = GaugeSeason::new();
            let next = 3 * DAY_MS / bucket_ms;
            run_gauge(&mut season, &calm(bucket_ms, 0, next), &tuning);
            let mut buckets = calm(bucket_ms, next, 100);
            buckets[at as usize].observed = value;
            let verdicts = run_gauge(&mut season, &buckets, &tuning);
            prop_assert!(verdicts.iter().flat_map(|verdict| verdict.scores).all(|score| score < 1.0));
        }
    }

    #[test]
    fn thirty_seconds_never_alert(
        losses in prop::array::uniform3(0.0..1.0_f64),
        excess in prop::option::of(1.0..1e6_f64),
        at in 1_i64..60,
    ) {
        let tuning = tuning(ORDERS, 15_000);
        let (mut season, next) = warmed(ORDERS, 15_000, 3);
        let mut buckets = calm(15_000, next, 100);
        for (bucket, loss) in buckets[at as usize..].iter_mut().zip(losses) {
            bucket.observed *= excess.map_or(loss, |excess| excess * loss);
        }
        prop_assert!(most(&mut season, &buckets, &tuning) < 1.0);
    }

    #[test]
    fn state_is_finite_after_any_numbers(
        figures in prop::collection::vec((extreme(), extreme(), extreme(), -50_000_000_i64..50_000_000), 40),
        class in prop::sample::select(vec![ORDERS, ERRORS, CONVERSION]),
        odd_every in 1_usize..40,
        gap_every in 100_usize..3_000,
    ) {
        let tuning = tuning(class, 300_000);
        let (mut season, mut gauge, gauge_tuning) = (Season::new(), GaugeSeason::new(), gauge_tuning(300_000));
        let mut end_ms = 0;
        for (index, &(observed, exposure, calendar_tolerance, zone_offset_ms)) in figures.iter().cycle().take(3_000).enumerate() {
            end_ms += if index % gap_every == 0 { 40_000_000 } else { 300_000 };
            let bucket = if index % odd_every == 0 {
                Bucket { end_ms, observed, exposure, zone_offset_ms, calendar_tolerance, allowance: [1.0; 2] }
            } else {
                Bucket { end_ms, observed: 20.0, exposure: 1.0, zone_offset_ms: 0, calendar_tolerance: 0.0, allowance: [1.0; 2] }
            };
            let verdicts = [season.observe(bucket, &tuning), gauge.observe(as_gauge(&bucket), &gauge_tuning)];
            for verdict in verdicts.into_iter().flatten() {
                prop_assert!(verdict.scores.iter().all(|score| (0.0..=2.5).contains(score)), "{verdict:?}");
                prop_assert!(verdict.expected.is_none_or(f64::is_finite) && verdict.tolerance.is_finite());
            }
        }
        // JSON writes null for what is not finite, and nobody reads that as a number.
        let text = serde_json::to_string(&season).unwrap();
        prop_assert!(serde_json::from_str::<Season>(&text).is_ok(), "{text}");
        let text = serde_json::to_string(&gauge).unwrap();
        prop_assert!(serde_json::from_str::<GaugeSeason>(&text).is_ok(), "{text}");
    }
}

/// Any number at all, or one of usual size.
fn extreme() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), 0.0..1e3_f64, Just(0.0), Just(f64::MAX), Just(1e9), Just(1e-300)]
}

/// A shop whose day turned out busier while trouble hid it: the level is as old as the trouble was long.
#[test]
fn level_is_found_again_soon_after_an_hour_of_trouble() {
    let way_after = |trouble_minutes: i64, class: Class| {
        let tuning = tuning(class, 60_000);
        let (mut season, next) = warmed(class, 60_000, 5);
        // As if it had wandered before, as real shops do.
        season.loosen();
        let trouble: Vec<Bucket> = (next..next + trouble_minutes).map(|index| plain(60_000, index, 2.0)).collect();
        assert_eq!(most(&mut season, &trouble, &tuning) >= 1.0, trouble_minutes > 0);
        let after = next + trouble_minutes;
        let busier: Vec<Bucket> = (after..after + 30).map(|index| plain(60_000, index, 24.0)).collect();
        let verdicts = run(&mut season, &busier, &tuning);
        assert!(verdicts.iter().all(|verdict| verdict.scores[1] < 0.5), "it is no surge");
        // From 20 a minute to 24.
        [15, 29].map(|minute| (verdicts[minute].expected.unwrap() - 20.0) / 4.0)
    };
    let unaged = Class { ages: false, ..ORDERS };
    for slow in [way_after(0, ORDERS), way_after(60, unaged)] {
        assert!(slow[0] < 0.45 && slow[1] < 0.6, "{slow:?}");
    }
    let soon = way_after(60, ORDERS);
    assert!(soon[0] > 0.55 && soon[1] > 0.75, "{soon:?}");
}
