use std::time::Duration;

use super::*;

#[test]
fn exposition_has_help_type_and_series_in_order() {
    let registry = Registry::new();
    let late = registry.counter("b_total", "Counted.", &[("why", "late")]);
    let early = registry.counter("b_total", "Counted.", &[("why", "a \"quoted\"\\\n")]);
    let level = registry.gauge("a_bytes", "A level.", &[]);
    registry.gauge_fn("c_ratio", "Asked.", &[], || 0.25);
    late.add(3);
    late.increment();
    early.increment();
    level.set(7);
    level.add(-9);
    let expected = "# HELP a_bytes A level.\n# TYPE a_bytes gauge\na_bytes -2\n\
        # HELP b_total Counted.\n# TYPE b_total counter\nb_total{why=\"a \\\"quoted\\\"\\\\\\n\"} 1\nb_total{why=\"late\"} 4\n\
        # HELP c_ratio Asked.\n# TYPE c_ratio gauge\nc_ratio 0.25\n";
    assert_eq!(registry.render(), expected);
}

#[test]
fn latency_shows_quantiles_sum_and_count() {
    let registry = Registry::new();
    let latency = registry.latency("wait_seconds", "Waited.", &[("queue", "q")]);
    for milliseconds in 1..=100 {
        latency.record(Duration::from_millis(milliseconds));
    }
    let text = registry.render();
    let value = |start: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(start)).expect("the line is there");
        line.rsplit(' ').next().expect("a line has a value").parse().expect("it is a number")
    };
    assert!((value("wait_seconds{queue=\"q\",quantile=\"0.5\"}") - 0.05).abs() < 0.001);
    assert!((value("wait_seconds{queue=\"q\",quantile=\"0.99\"}") - 0.099).abs() < 0.001);
    assert!((value("wait_seconds_sum{queue=\"q\"}") - 5.05).abs() < 1e-9);
    assert_eq!(value("wait_seconds_count{queue=\"q\"}"), 100.0);
    latency.record(Duration::from_secs(1 << 40));
    assert_eq!(latency.count(), 101);
}

#[test]
fn histogram_counts_what_is_at_or_below_each_bound() {
    let registry = Registry::new();
    let lag = registry.histogram("lag_seconds", "Lag.", &[("kind", "rule")], &[0.5, 1.0]);
    for value in [0.25, 0.5, 0.75, 8.0] {
        lag.record(value);
    }
    assert_eq!(lag.count(), 4);
    let expected = "# HELP lag_seconds Lag.\n# TYPE lag_seconds histogram\n\
        lag_seconds_bucket{kind=\"rule\",le=\"0.5\"} 2\nlag_seconds_bucket{kind=\"rule\",le=\"1\"} 3\n\
        lag_seconds_bucket{kind=\"rule\",le=\"+Inf\"} 4\nlag_seconds_sum{kind=\"rule\"} 9.5\n\
        lag_seconds_count{kind=\"rule\"} 4\n";
    assert_eq!(registry.render(), expected);
}

#[test]
fn gauges_of_one_label_are_asked_for_together() {
    let registry = Registry::new();
    registry.gauges_fn("lag_seconds", "Lag.", "job", || vec![("a\"b".to_owned(), 1.5), ("c".to_owned(), 0.0)]);
    let expected = "# HELP lag_seconds Lag.\n# TYPE lag_seconds gauge\n\
        lag_seconds{job=\"a\\\"b\"} 1.5\nlag_seconds{job=\"c\"} 0\n";
    assert_eq!(registry.render(), expected);
}

#[test]
#[should_panic(expected = "registered twice")]
fn same_series_twice_is_a_mistake() {
    let registry = Registry::new();
    registry.counter("a_total", "A.", &[]);
    registry.counter("a_total", "A.", &[]);
}

#[test]
fn process_numbers_are_those_of_the_system() {
    let registry = Registry::new();
    register_process(&registry);
    let text = registry.render();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).expect("the line is there");
        line.rsplit(' ').next().expect("a line has a value").parse().expect("it is a number")
    };
    assert!(value("process_resident_memory_bytes") > 500_000.0);
    assert!(value("process_open_fds") >= 3.0);
    let since_epoch = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    let now_seconds = since_epoch.as_secs_f64();
    let age_seconds = now_seconds - value("process_start_time_seconds");
    assert!((-2.0..3600.0).contains(&age_seconds), "started {age_seconds} s ago");
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert!(text.contains("dozor_build_info{version=\""));
}
