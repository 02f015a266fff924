use proptest::prelude::*;

use super::*;

const BUCKET_MS: i64 = 15_000;

fn above_two(for_ms: i64) -> LimitOptions {
    LimitOptions { above: Some(2.0), for_ms, ..LimitOptions::default() }
}

/// Feeds a value a bucket, the first at 0 s; NaN is fed as such, and infinity below zero is a bucket that is missing.
/// Tells what began (+) and ended (-), each with its second.
fn feed(options: &LimitOptions, values: &[f64]) -> Vec<String> {
    let (mut limit, mut told) = (Limit::default(), Vec::new());
    for (index, &value) in values.iter().enumerate() {
        let end_ms = index as i64 * BUCKET_MS;
        let value = (value != f64::NEG_INFINITY).then_some(value);
        match limit.observe(end_ms, BUCKET_MS, value, options) {
            Some(Turn::Began(spell)) => {
                assert_eq!((spell.fired_ms, limit.firing()), (end_ms, Some(spell)));
                told.push(format!("+{} since {}", end_ms / 1_000, spell.onset_ms / 1_000));
            }
            Some(Turn::Ended { at_ms, .. }) => {
                assert_eq!((at_ms, limit.firing()), (end_ms, None));
                told.push(format!("-{}", at_ms / 1_000));
            }
            None => {}
        }
        let text = serde_json::to_string(&limit).unwrap();
        limit = serde_json::from_str(&text).unwrap();
    }
    told
}

#[test]
fn value_beyond_for_a_minute_fires_and_a_minute_within_ends_it() {
    let values = [1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    // Above at 15, 30, 45, 60 and 75 s: a minute. Within from 105 to 150 s: four buckets of a quarter.
    assert_eq!(feed(&above_two(60_000), &values), ["+75 since 0", "-150"]);
}

#[test]
fn without_for_the_first_bucket_fires() {
    assert_eq!(feed(&above_two(0), &[3.0]), ["+0 since -15"]);
}

#[test]
fn what_is_interrupted_begins_anew() {
    let values = [3.0, 3.0, 3.0, 3.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0];
    assert_eq!(feed(&above_two(60_000), &values), ["+135 since 60"]);
    // And so does recovery: within at 15, 30, 45 s, beyond at 60 s.
    let values = [3.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0];
    assert_eq!(feed(&above_two(0), &values), ["+0 since -15", "-120"]);
}

#[test]
fn limit_itself_is_within_and_either_side_may_have_one() {
    assert!(feed(&above_two(0), &[2.0]).is_empty());
    let below = LimitOptions { below: Some(0.5), ..LimitOptions::default() };
    assert!(feed(&below, &[0.5]).is_empty());
    assert_eq!(feed(&below, &[0.4]), ["+0 since -15"]);
    let both = LimitOptions { above: Some(2.0), ..below };
    assert_eq!(feed(&both, &[1.0, 3.0, 0.1]), ["+15 since 0"], "one alert, whichever limit it is");
    assert_eq!(feed(&both, &[f64::INFINITY]), ["+0 since -15"]);
}

#[test]
fn missing_buckets_neither_fire_nor_resolve_and_their_time_does_not_count() {
    for missing in [f64::NAN, f64::NEG_INFINITY] {
        let mut values = vec![3.0, 3.0, missing, missing, missing, missing, 3.0, 3.0, 3.0];
        // Seen beyond: 15 s up to the second, and 15 s each at 90, 105 and 120 s.
        assert_eq!(feed(&above_two(60_000), &values), ["+120 since -15"], "{missing}");
        values.extend([missing; 40]);
        values.extend([1.0, 1.0, missing, 1.0, missing, 1.0]);
        // 49 buckets, then calm at 735, 750, 780 and 810 s.
        assert_eq!(feed(&above_two(60_000), &values)[1..], ["-810"], "{missing}");
    }
}

#[test]
fn after_a_long_gap_what_was_pending_begins_anew() {
    let mut values = vec![3.0, 3.0, 3.0, 3.0];
    values.extend([f64::NAN; 21]);
    values.extend([3.0; 5]);
    // The gap is 22 buckets, more than five minutes; then 375, 390, 405, 420, 435 s.
    assert_eq!(feed(&above_two(60_000), &values), ["+435 since 360"]);
}

#[test]
fn alert_is_kept_as_long_as_the_rule_says() {
    let options = LimitOptions { keep_firing_for_ms: 30_000, ..above_two(0) };
    assert_eq!(feed(&options, &[3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), ["+0 since -15", "-90"]);
}

#[test]
fn older_bucket_changes_nothing() {
    let (mut limit, options) = (Limit::default(), above_two(0));
    limit.observe(60_000, BUCKET_MS, Some(1.0), &options);
    let before = limit;
    for end_ms in [60_000, 0, i64::MIN] {
        assert_eq!(limit.observe(end_ms, BUCKET_MS, Some(3.0), &options), None);
    }
    assert_eq!(limit, before);
}

proptest! {
    /// Without gaps: it fires where all values of the last `for` are beyond, and ends where four are not.
    #[test]
    fn unbroken_buckets_fire_and_resolve_as_a_walk_back_says(
        values in prop::collection::vec(prop_oneof![Just(1.0), Just(3.0), Just(3.0)], 0..120),
        wait in 0..8_usize,
    ) {
        let mut expected = Vec::new();
        let mut is_firing = false;
        for end in 0..values.len() {
            let last = |count: usize, value: f64| {
                end + 1 >= count && values[end + 1 - count..=end].iter().all(|&one| one == value)
            };
            if !is_firing && last(wait + 1, 3.0) {
                expected.push(format!("+{}", end * 15));
                is_firing = true;
            } else if is_firing && last(4, 1.0) {
                expected.push(format!("-{}", end * 15));
                is_firing = false;
            }
        }
        let told = feed(&above_two(wait as i64 * BUCKET_MS), &values);
        let told: Vec<_> = told.iter().map(|told| told.split(' ').next().unwrap().to_owned()).collect();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn any_input_is_survived(
        buckets in prop::collection::vec((any::<i64>(), any::<Option<f64>>()), 0..50),
        bucket_ms in 1..3_600_000_i64,
        for_ms in any::<u32>(),
    ) {
        let mut limit = Limit::default();
        for (end_ms, value) in buckets {
            limit.observe(end_ms, bucket_ms, value, &above_two(for_ms.into()));
            let text = serde_json::to_string(&limit).unwrap();
            prop_assert_eq!(serde_json::from_str::<Limit>(&text).unwrap(), limit);
        }
    }
}
