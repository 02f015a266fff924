//! Budgets of series a metric and a job: who is folded, what the sums are, and who is named.

use super::*;

/// A fixture whose metrics may have so many series.
fn per_metric(series_per_metric_max: usize) -> Fixture {
    Fixture::with_limits(IngestLimits { series_per_metric_max, ..IngestLimits::default() })
}

/// A request series of a user.
fn user(metric: &str, number: usize, samples: &[(i64, f64)]) -> TimeSeries {
    series(&[("__name__", metric), ("job", "shop"), ("user", &number.to_string())], samples)
}

fn users(metric: &str, numbers: std::ops::Range<usize>, at_ms: i64) -> Vec<TimeSeries> {
    numbers.map(|number| user(metric, number, &[(at_ms, number as f64)])).collect()
}

/// What is stored of the sum of a metric.
fn sum_of(fixture: &Fixture, metric: &str) -> Vec<(i64, f64)> {
    let name = format!(r#"{metric}{{__overflow__="true", job="shop"}}"#);
    fixture.stored().into_iter().find(|(labels, _)| *labels == name).map(|(_, samples)| samples).unwrap_or_default()
}

#[test]
fn series_past_the_budget_of_their_metric_are_summed_and_all_samples_are_taken() {
    let fixture = per_metric(2);
    fixture.send(users("sessions", 1..3, NOW_MS)).expect("taken");
    let written = fixture.send(users("sessions", 1..6, NOW_MS)).expect("taken");
    assert_eq!(written.samples, 5, "to the sender, all of it is taken");
    let stored = fixture.stored();
    assert_eq!(stored.len(), 3, "{stored:?}");
    assert_eq!(stored[1].0, r#"sessions{job="shop", user="1"}"#);
    assert_eq!(stored[2].0, r#"sessions{job="shop", user="2"}"#);
    assert_eq!(sum_of(&fixture, "sessions"), [(NOW_MS, 12.0)], "3 + 4 + 5");
    assert_eq!(fixture.ingest.overflow_sizes(), (3, 3, 1));
}

#[test]
fn series_that_are_in_memory_are_never_folded() {
    let fixture = per_metric(3);
    fixture.send(users("sessions", 1..4, NOW_MS)).expect("taken");
    // The same three in another order of labels, which the resolver does not know, beside two that are new.
    let turned = |number: usize| {
        let number = number.to_string();
        series(&[("user", &number), ("job", "shop"), ("__name__", "sessions")], &[(NOW_MS + 1, 1.0)])
    };
    fixture.send((1..6).map(turned).collect()).expect("taken");
    let stored = fixture.stored();
    assert_eq!(stored.len(), 4);
    assert!(stored[1..].iter().all(|(_, samples)| samples.len() == 2), "{stored:?}");
    assert_eq!(sum_of(&fixture, "sessions"), [(NOW_MS + 1, 2.0)]);
}

#[test]
fn other_metrics_have_their_own_budget() {
    let fixture = per_metric(2);
    let mut request = users("sessions", 0..10, NOW_MS);
    request.extend(users("carts", 0..2, NOW_MS));
    fixture.send(request).expect("taken");
    assert_eq!(fixture.storage.series_count_with("__name__", "carts"), 2);
    assert_eq!(fixture.storage.series_count_with("__name__", "sessions"), 3, "two and the sum");
    assert!(sum_of(&fixture, "carts").is_empty());
}

#[test]
fn a_job_has_a_budget_over_all_its_metrics() {
    let limits = IngestLimits { series_per_job_max: 4, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    fixture.send(users("a", 0..3, NOW_MS)).expect("taken");
    fixture.send(users("b", 0..1, NOW_MS)).expect("taken");
    let mut request = users("b", 0..3, NOW_MS);
    request.push(series(&[("__name__", "b"), ("job", "other")], &[(NOW_MS, 7.0)]));
    fixture.send(request).expect("taken");
    assert_eq!(sum_of(&fixture, "b"), [(NOW_MS, 3.0)], "users 1 and 2");
    assert!(sum_of(&fixture, "a").is_empty());
    assert_eq!(fixture.storage.series_count_with("job", "other"), 1);
    let figures = fixture.ingest.overflow(10);
    assert_eq!((figures[0].setting, figures[0].limit), ("limits.series_per_job_max", 4));
}

#[test]
fn sum_of_gauges_is_of_their_last_values_whichever_request_brings_them() {
    let fixture = per_metric(1);
    let at = |seconds: i64| NOW_MS + seconds * 1000;
    let send = |request: Vec<TimeSeries>| fixture.send(request).expect("taken");
    send(vec![user("queue", 1, &[(at(0), 1.0)])]);
    send(vec![user("queue", 3, &[(at(15), 10.0)])]);
    send(vec![user("queue", 4, &[(at(15), 100.0)])]);
    send(vec![user("queue", 3, &[(at(30), 12.0)])]);
    send(vec![user("queue", 4, &[(at(45), 107.0)])]);
    // The table in the module's documentation, worked out by hand.
    assert_eq!(sum_of(&fixture, "queue"), [(at(15), 10.0), (at(30), 112.0), (at(45), 119.0)]);
    // What comes again, or late, changes nothing.
    send(vec![user("queue", 3, &[(at(30), 12.0)]), user("queue", 4, &[(at(20), 999.0)])]);
    assert_eq!(sum_of(&fixture, "queue").len(), 3);
    // One that ends leaves the sum.
    send(vec![user("queue", 3, &[(at(60), crate::model::stale_nan())])]);
    assert_eq!(sum_of(&fixture, "queue").last(), Some(&(at(60), 107.0)));
}

#[test]
fn sum_of_counters_only_grows_through_resets_and_ends() {
    let fixture = per_metric(1);
    let at = |seconds: i64| NOW_MS + seconds * 1000;
    let send = |request: Vec<TimeSeries>| fixture.send(request).expect("taken");
    send(vec![user("orders_total", 1, &[(at(0), 1.0)])]);
    send(vec![user("orders_total", 3, &[(at(0), 1_000.0)]), user("orders_total", 4, &[(at(0), 50.0)])]);
    send(vec![user("orders_total", 3, &[(at(15), 1_007.0)]), user("orders_total", 4, &[(at(15), 2.0)])]);
    send(vec![
        user("orders_total", 3, &[(at(30), crate::model::stale_nan())]),
        user("orders_total", 4, &[(at(30), 5.0)]),
    ]);
    // 0; then 7, and 2 after a restart; then 3.
    assert_eq!(sum_of(&fixture, "orders_total"), [(at(0), 0.0), (at(15), 9.0), (at(30), 12.0)]);
}

#[test]
fn what_a_sender_says_of_a_metric_goes_before_its_name() {
    let fixture = per_metric(1);
    fixture.ingest.metadata().learn("jobs_total", MetricKind::Gauge, "", "");
    fixture.send(users("jobs_total", 1..2, NOW_MS)).expect("taken");
    fixture.send(users("jobs_total", 1..4, NOW_MS)).expect("taken");
    assert_eq!(sum_of(&fixture, "jobs_total"), [(NOW_MS, 5.0)], "a gauge: 2 + 3");
}

#[test]
fn buckets_are_summed_by_their_bound() {
    let fixture = per_metric(1);
    let bucket = |user: &str, le: &str, at_ms: i64, value: f64| {
        series(&[("__name__", "wait_bucket"), ("job", "shop"), ("le", le), ("user", user)], &[(at_ms, value)])
    };
    let all = |at_ms: i64, value: f64| {
        vec![
            bucket("1", "0.1", at_ms, 1.0),
            bucket("2", "0.1", at_ms, value),
            bucket("2", "+Inf", at_ms, 2.0 * value),
            bucket("3", "+Inf", at_ms, value),
        ]
    };
    fixture.send(vec![bucket("1", "0.1", NOW_MS, 1.0)]).expect("taken");
    fixture.send(all(NOW_MS, 10.0)).expect("taken");
    fixture.send(all(NOW_MS + 1, 15.0)).expect("taken");
    let sums: Vec<_> = fixture.stored().into_iter().filter(|(labels, _)| labels.contains("__overflow__")).collect();
    let expected = [
        (
            r#"wait_bucket{__overflow__="true", job="shop", le="+Inf"}"#.to_owned(),
            vec![(NOW_MS, 0.0), (NOW_MS + 1, 15.0)],
        ),
        (
            r#"wait_bucket{__overflow__="true", job="shop", le="0.1"}"#.to_owned(),
            vec![(NOW_MS, 0.0), (NOW_MS + 1, 5.0)],
        ),
    ];
    assert_eq!(sums, expected, "0.1: 5; +Inf: 10 and 5");
}

#[test]
fn many_samples_of_a_series_in_one_request_are_summed_moment_by_moment() {
    let fixture = per_metric(1);
    fixture.send(vec![user("queue", 1, &[(NOW_MS, 10.0)])]).expect("taken");
    let three = |base: f64| [(NOW_MS, base), (NOW_MS + 1, base + 1.0), (NOW_MS + 2, base + 2.0)];
    let request = (1..4).map(|number| user("queue", number, &three(10.0 * number as f64))).collect();
    fixture.send(request).expect("taken");
    assert_eq!(sum_of(&fixture, "queue"), [(NOW_MS, 50.0), (NOW_MS + 1, 52.0), (NOW_MS + 2, 54.0)]);
}

#[test]
fn sample_far_ahead_does_not_stop_a_sum() {
    let fixture = per_metric(1);
    fixture.send(users("queue", 1..2, NOW_MS)).expect("taken");
    let told = fixture.send_in_part(vec![user("queue", 2, &[(NOW_MS + 86_400_000, 5.0), (NOW_MS, 4.0)])]);
    assert_eq!((told.stored, told.refused), (1, 1));
    assert!(told.first.contains("future"), "{told}");
    assert_eq!(sum_of(&fixture, "queue"), [(NOW_MS, 4.0)]);
}

#[test]
fn the_label_that_exploded_is_named() {
    let fixture = per_metric(10);
    let request = (0..500).map(|number| {
        let (user, region) = (format!("user-{number}"), format!("region-{}", number % 3));
        series(&[("__name__", "logins"), ("job", "shop"), ("region", &region), ("user", &user)], &[(NOW_MS, 1.0)])
    });
    fixture.send(request.collect()).expect("taken");
    let figures = fixture.ingest.overflow(10);
    assert_eq!(figures.len(), 1);
    let one = &figures[0];
    assert_eq!((one.metric.as_str(), one.job.as_deref()), ("logins", Some("shop")));
    assert_eq!((one.setting, one.limit, one.series_count), ("limits.series_per_metric_max", 10, 11));
    assert_eq!((one.folded_series, one.folded_samples), (490, 490));
    let (label, values) = one.culprit.clone().expect("one label has most values");
    assert_eq!(label, "user");
    assert!((440..=540).contains(&values), "about 490: {values}");
}

#[test]
fn room_that_a_retired_series_leaves_is_taken_by_the_next() {
    let fixture = per_metric(2);
    fixture.send(users("sessions", 1..4, NOW_MS)).expect("taken");
    assert_eq!(fixture.storage.series_count_with("__name__", "sessions"), 3, "two and the sum");
    // What holds nothing goes at the second cut after it was last seen; each cut settles two hours.
    let hour_ms = 3_600_000;
    for round in 1..8 {
        fixture.clock.advance(std::time::Duration::from_millis(2 * hour_ms as u64));
        fixture.send(vec![series(&[("__name__", "other")], &[(NOW_MS + round * 2 * hour_ms, 1.0)])]).expect("taken");
        fixture.storage.maintain().expect("maintained");
    }
    assert_eq!(fixture.storage.series_count_with("__name__", "sessions"), 0);
    fixture.send(users("sessions", 7..9, NOW_MS + 14 * hour_ms)).expect("taken");
    assert_eq!(fixture.storage.series_count_with("__name__", "sessions"), 2);
}

#[test]
fn requests_at_the_same_time_do_not_pass_the_budget_together() {
    let limits = IngestLimits { series_per_metric_max: 100, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let fixture = &fixture;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                for request in 0..10 {
                    let first = 1_000 * thread + 10 * request;
                    let body = compressed(&message(users("sessions", first..first + 10, NOW_MS)));
                    runtime.block_on(fixture.ingest.remote_write(WriteHead::default(), body)).expect("taken");
                }
            });
        }
    });
    let count = fixture.storage.series_count_with("__name__", "sessions");
    assert!(count <= 101, "{count} series: 100 and the sum");
    assert!(fixture.ingest.budget_is_quiet(), "nothing is under way any more");
}

#[test]
fn more_sums_than_there_may_be_are_refused_by_name() {
    let limits = IngestLimits { series_per_job_max: 1, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    let metrics: Vec<String> = (0..OVERFLOW_SERIES_MAX + 3).map(|number| format!("metric_{number}")).collect();
    let request = metrics.iter().map(|metric| series(&[("__name__", metric), ("job", "shop")], &[(NOW_MS, 1.0)]));
    let told = fixture.send_in_part(request.collect());
    assert_eq!((told.stored, told.refused), (OVERFLOW_SERIES_MAX as u64 + 1, 2));
    assert!(told.first.contains("limits.series_per_job_max"), "{told}");
}

#[test]
fn labels_may_be_allowed_less_and_the_setting_is_named() {
    let limits = IngestLimits {
        labels_per_series_max: 3,
        label_name_bytes_max: 10,
        label_value_bytes_max: 20,
        ..IngestLimits::default()
    };
    let fixture = Fixture::with_limits(limits);
    let up = ("__name__", "up");
    for (labels, setting) in [
        (vec![up, ("a", "1"), ("b", "1"), ("c", "1")], "limits.labels_per_series_max = 3"),
        (vec![up, ("long_name_of_a_label", "1")], "limits.label_name_bytes_max = 10"),
        (vec![up, ("a", "a value of more than twenty")], "limits.label_value_bytes_max = 20"),
    ] {
        let told = fixture.send_in_part(vec![series(&labels, &[(NOW_MS, 1.0), (NOW_MS + 1, 1.0)]), neighbour()]);
        assert!(told.refused == 2 && told.first.contains(setting), "{told}");
    }
    fixture.send(vec![series(&[up, ("a", "1"), ("b", "2")], &[(NOW_MS, 1.0)])]).expect("within all of them");
    let refused: u64 = fixture.ingest.counters().samples_refused().map(|(_, count)| count).sum();
    assert_eq!(refused, 6);
}

#[test]
fn history_of_a_folded_series_is_refused_and_does_not_count_as_if_it_were_of_now() {
    let fixture = per_metric(1);
    let at = |seconds: i64| NOW_MS + seconds * 1000;
    fixture.send(vec![user("orders_total", 1, &[(at(-15), 1.0)])]).expect("taken");
    fixture.send(vec![user("orders_total", 2, &[(at(-15), 10.0)])]).expect("taken");
    // An hour of another one, which is in no memory.
    let told = fixture.send_in_part(vec![user("orders_total", 3, &[(at(-3_600), 0.0), (at(-3_000), 5_000.0)])]);
    assert_eq!((told.stored, told.refused), (0, 2));
    assert!(told.first.contains("older than what its sum still takes"), "{told}");
    fixture.send(vec![user("orders_total", 2, &[(at(0), 12.0)])]).expect("taken");
    assert_eq!(sum_of(&fixture, "orders_total"), [(at(-15), 0.0), (at(0), 2.0)]);
}

#[test]
fn sender_whose_clock_is_ahead_makes_nobody_else_stale() {
    let clock = Clock::manual(NOW_MS);
    let limits = IngestLimits { series_per_metric_max: 1, ..IngestLimits::default() };
    let fixture = Fixture::with_clock(limits, clock.clone());
    let at = |seconds: i64| NOW_MS + seconds * 1000;
    let send = |request: Vec<TimeSeries>| fixture.send(request).expect("taken");
    send(vec![user("queue", 1, &[(at(0), 1.0)])]);
    send(vec![user("queue", 2, &[(at(0), 10.0)])]);
    send(vec![user("queue", 3, &[(at(540), 100.0)])]);
    clock.advance(std::time::Duration::from_secs(120));
    send(vec![user("queue", 2, &[(at(120), 20.0)])]);
    send(vec![user("queue", 3, &[(at(555), 100.0)])]);
    assert_eq!(sum_of(&fixture, "queue").last(), Some(&(at(555), 120.0)));
}

/// The ingest after a restart: sums are forgotten, series in memory are not.
fn restart(fixture: &mut Fixture) {
    fixture.ingest = Ingest::new(fixture.storage.clone(), *fixture.ingest.limits(), fixture.clock.clone());
}

#[test]
fn sum_that_contradicts_what_it_was_before_a_restart_is_no_word_to_the_sender() {
    let mut fixture = per_metric(1);
    fixture.send(users("queue", 1..2, NOW_MS)).expect("taken");
    fixture.send(vec![user("queue", 3, &[(NOW_MS, 10.0)])]).expect("taken");
    restart(&mut fixture);
    // Sent again, as its answer was lost, with one that is new.
    let again = vec![user("queue", 3, &[(NOW_MS, 10.0)]), user("queue", 4, &[(NOW_MS, 100.0)])];
    assert_eq!(fixture.send(again).expect("nothing of the sender's is refused").samples, 2);
    let counters = fixture.ingest.counters();
    assert_eq!(counters.sums_refused.load(Ordering::Relaxed), 1);
    assert!(counters.refused().all(|(_, count)| count == 0), "no request was refused");
    fixture.send(vec![user("queue", 3, &[(NOW_MS + 15_000, 12.0)])]).expect("taken");
    assert_eq!(sum_of(&fixture, "queue"), [(NOW_MS, 10.0), (NOW_MS + 15_000, 112.0)], "the first stays; 12 + 100");
}

#[test]
fn what_the_sender_contradicts_itself_is_told_beside_a_sum() {
    let fixture = per_metric(1);
    fixture.send(users("queue", 1..2, NOW_MS)).expect("taken");
    let told = fixture.send_in_part(vec![user("queue", 1, &[(NOW_MS, 99.0)]), user("queue", 2, &[(NOW_MS, 2.0)])]);
    assert_eq!((told.stored, told.refused), (1, 1));
    assert_eq!(fixture.ingest.counters().sums_refused.load(Ordering::Relaxed), 0);
    assert_eq!(sum_of(&fixture, "queue"), [(NOW_MS, 2.0)]);
}

#[test]
fn samples_whose_sum_finds_no_room_as_a_series_are_refused() {
    let limits = IngestLimits { series_per_metric_max: 1, ..IngestLimits::default() };
    let fixture = Fixture::with_storage(limits, Clock::manual(NOW_MS), 1, Arc::new(|_: &Labels| false));
    fixture.send(users("queue", 1..2, NOW_MS)).expect("taken");
    let told = fixture.send_in_part(users("queue", 1..3, NOW_MS + 1));
    assert_eq!((told.stored, told.refused), (1, 1));
    assert!(told.first.contains("head.series_max") && told.first.contains("__overflow__"), "{told}");
}

/// Two fixtures that know the first user; the sums of the first, whose storage takes nothing any more, become the second's.
fn hand_on(act: impl Fn(&Fixture)) -> Fixture {
    let (failing, mut working) = (per_metric(1), per_metric(1));
    for fixture in [&failing, &working] {
        fixture.send(users("queue", 1..2, NOW_MS)).expect("taken");
    }
    failing.storage.close();
    act(&failing);
    working.ingest.budget = failing.ingest.budget.clone();
    working
}

#[test]
fn moments_of_a_sum_that_no_shard_took_are_written_when_the_sender_repeats_itself() {
    let first = || vec![user("queue", 2, &[(NOW_MS, 10.0)])];
    let second = || vec![user("queue", 2, &[(NOW_MS + 1, 12.0)]), user("queue", 3, &[(NOW_MS + 1, 100.0)])];
    let fixture = hand_on(|failing| {
        for request in [first(), second()] {
            assert_eq!(failing.send(request).expect_err("nothing is taken").status(), 503);
        }
    });
    fixture.send(first()).expect("taken");
    assert_eq!(sum_of(&fixture, "queue"), [(NOW_MS, 10.0), (NOW_MS + 1, 112.0)]);
    fixture.send(second()).expect("taken");
    assert_eq!(sum_of(&fixture, "queue").len(), 2, "owed once");
    assert_eq!(fixture.ingest.counters().sums_refused.load(Ordering::Relaxed), 0);
}

#[test]
fn moments_that_a_sum_owes_are_bounded() {
    let many: Vec<(i64, f64)> = (0..100).map(|index| (NOW_MS + index, index as f64)).collect();
    let fixture = hand_on(|failing| {
        failing.send(vec![user("queue", 2, &many[..50])]).expect_err("nothing is taken");
        failing.send(vec![user("queue", 2, &many[50..])]).expect_err("nothing is taken");
    });
    fixture.send(vec![user("queue", 2, &many[99..])]).expect("taken");
    assert_eq!(sum_of(&fixture, "queue"), many[36..], "the newest 64");
}
