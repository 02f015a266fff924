//! StatsD: what lines add up to, by the specifications of Etsy's and Datadog's, computed by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const FLUSH: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

/// A StatsD over a database in memory, its time moved by hand.
struct Flow {
    fixture: Fixture,
    clock: Clock,
    statsd: Statsd,
    counters: Arc<StatsdCounters>,
}

impl Flow {
    fn new() -> Flow {
        Flow::with_series_max(100)
    }

    fn with_series_max(series_max: usize) -> Flow {
        let (clock, counters) = (Clock::manual(NOW_MS), Arc::new(StatsdCounters::default()));
        let options = StatsdOptions { series_max, idle_timeout: HOUR };
        let statsd = Statsd::new(options, clock.clone(), counters.clone());
        let fixture = Fixture::with_clock(IngestLimits::default(), clock.clone());
        Flow { fixture, clock, statsd, counters }
    }

    fn flush(&mut self) -> Result<Written, IngestError> {
        self.clock.advance(FLUSH);
        self.fixture.runtime.block_on(self.fixture.ingest.flush_statsd(&mut self.statsd))
    }

    /// Takes lines and flushes.
    fn take(&mut self, lines: &str) {
        self.statsd.take(lines.as_bytes());
        assert_eq!(self.statsd.first_refused(), None);
        self.flush().expect("stored");
    }

    /// The values stored of each series, by time, the zero at its beginning too.
    fn values(&self) -> BTreeMap<String, Vec<f64>> {
        let values = |samples: Vec<(i64, f64)>| samples.into_iter().map(|(_, value)| value).collect();
        self.fixture.stored().into_iter().map(|(series, samples)| (series, values(samples))).collect()
    }

    fn values_of(&self, series: &str) -> Vec<f64> {
        let all = self.values();
        all.get(series).unwrap_or_else(|| panic!("{series} is none of {:?}", all.keys())).clone()
    }

    fn last_of(&self, series: &str) -> f64 {
        *self.values_of(series).last().expect("a series has samples")
    }

    fn refused(&self) -> u64 {
        self.counters.lines_refused.load(Ordering::Relaxed)
    }
}

#[test]
fn counter_grows_from_zero_and_is_told_at_each_flush() {
    let mut flow = Flow::new();
    flow.take("shop.orders:1|c\nshop.orders:2|c\n");
    flow.take("");
    flow.take("shop.orders:4|c");
    let (_, samples) = flow.fixture.stored().remove(0);
    // Zero is a millisecond behind the last moment at which nothing of it was known.
    let expected = [(1, 0.0), (10_000, 3.0), (20_000, 3.0), (30_000, 7.0)];
    assert_eq!(samples, expected.map(|(after_ms, value)| (NOW_MS + after_ms, value)));
    assert_eq!(flow.values().keys().collect::<Vec<_>>(), ["shop_orders_total"]);
}

#[test]
fn rate_says_how_many_measurements_one_stands_for() {
    let mut flow = Flow::new();
    flow.take("hits:3|c|@0.1\nwait:1000|ms|@0.25\nwait:2000|ms");
    assert_eq!(flow.last_of("hits_total"), 30.0);
    assert_eq!(flow.last_of("wait_seconds_count"), 5.0);
    assert_eq!(flow.last_of("wait_seconds_sum"), 6.0);
    assert_eq!(flow.last_of(r#"wait_seconds_bucket{le="1.0"}"#), 4.0);
}

#[test]
fn counter_never_falls_and_holds_decrements_against_what_comes() {
    let mut flow = Flow::new();
    flow.take("jobs:5|c\njobs:-2|c");
    flow.take("jobs:-2|c");
    flow.take("jobs:1|c");
    flow.take("jobs:4|c");
    assert_eq!(flow.values_of("jobs_total"), [0.0, 3.0, 3.0, 3.0, 6.0]);
}

#[test]
fn gauge_keeps_its_value_and_signs_are_changes() {
    let mut flow = Flow::new();
    flow.take("queue:10|g");
    flow.take("queue:-3|g\nqueue:+1.5|g");
    flow.take("");
    flow.take("queue:0|g\nqueue:-4|g");
    assert_eq!(flow.values_of("queue"), [10.0, 8.5, 8.5, -4.0]);
}

#[test]
fn timer_is_a_histogram_in_seconds() {
    let mut flow = Flow::new();
    flow.take("page.time:320|ms\npage.time:250|ms\npage.time:90000|ms\npage.time:0.4|ms");
    let bucket = |bound: &str| flow.last_of(&format!("page_time_seconds_bucket{{le=\"{bound}\"}}"));
    assert_eq!([bucket("0.001"), bucket("0.1"), bucket("0.25"), bucket("0.5")], [1.0, 1.0, 2.0, 3.0]);
    assert_eq!([bucket("60.0"), bucket("+Inf")], [3.0, 4.0]);
    assert_eq!(flow.last_of("page_time_seconds_count"), 4.0);
    assert!((flow.last_of("page_time_seconds_sum") - 90.5704).abs() < 1e-9);
    assert_eq!(flow.values().len(), 17, "14 bounds, +Inf, sum and count");
    assert!(flow.values().values().all(|values| values[0] == 0.0), "all begin at zero");
}

#[test]
fn histogram_and_distribution_keep_their_unit() {
    let mut flow = Flow::new();
    flow.take("basket:49.9:50|h\nbasket:51|d\nbasket:7e9|d");
    assert_eq!(flow.last_of(r#"basket_bucket{le="50.0"}"#), 2.0);
    assert_eq!(flow.last_of(r#"basket_bucket{le="100.0"}"#), 3.0);
    assert_eq!(flow.last_of(r#"basket_bucket{le="1000000.0"}"#), 3.0);
    assert_eq!(flow.last_of(r#"basket_bucket{le="+Inf"}"#), 4.0);
    assert_eq!(flow.last_of("basket_count"), 4.0);
}

#[test]
fn set_counts_distinct_values_of_one_flush() {
    let mut flow = Flow::new();
    flow.take("visitors:ann|s\nvisitors:bob|s\nvisitors:ann|s\nvisitors:a:b|s");
    flow.take("visitors:ann|s");
    flow.take("");
    assert_eq!(flow.values_of("visitors"), [3.0, 1.0, 0.0]);
}

#[test]
fn tags_of_either_kind_are_labels_in_any_order() {
    let mut flow = Flow::new();
    flow.take("a:1|c|#zone:eu,http.path:/x:y,canary\na:1|c|@1|#canary,http.path:/x:y,zone:eu|c:abc|T1700000000");
    flow.take("a,zone=eu,canary=true,http.path=/x:2|c");
    assert_eq!(flow.values().len(), 2);
    assert_eq!(flow.last_of(r#"a_total{canary="true", http_path="/x:y", zone="eu"}"#), 2.0);
    assert_eq!(flow.last_of(r#"a_total{canary="true", http_path="/x", zone="eu"}"#), 2.0);
}

#[test]
fn later_tag_of_one_name_wins() {
    let mut flow = Flow::new();
    flow.take("a,zone=us:1|c|#zone:eu,zone:asia,empty:,:nameless");
    assert_eq!(flow.last_of(r#"a_total{zone="asia"}"#), 1.0);
}

#[test]
fn series_without_lines_ends_with_a_marker_and_begins_again_at_zero() {
    let mut flow = Flow::new();
    flow.take("old:5|c\nkept:1|g");
    for _ in 0..6 {
        flow.clock.advance(Duration::from_secs(590));
        flow.take("kept:1|g");
    }
    let (_, old) = flow.fixture.stored().into_iter().find(|(series, _)| series == "old_total").expect("it was stored");
    assert!(crate::model::is_stale(old.last().expect("a sample").1), "{old:?}");
    assert_eq!(old.iter().filter(|(_, value)| crate::model::is_stale(*value)).count(), 1);
    assert_eq!(flow.last_of("kept"), 1.0);
    flow.take("old:2|c");
    let values = flow.values_of("old_total");
    assert_eq!(values[values.len() - 2..], [0.0, 2.0]);
    assert_eq!(flow.counters.series.load(Ordering::Relaxed), 2);
}

#[test]
fn every_stored_series_of_a_timer_ends() {
    let mut flow = Flow::new();
    flow.take("t:1|ms");
    flow.clock.advance(HOUR);
    flow.take("");
    let ended =
        flow.values().into_values().filter(|values| values.last().is_some_and(|last| crate::model::is_stale(*last)));
    assert_eq!(ended.count(), 17);
    assert_eq!(flow.counters.series.load(Ordering::Relaxed), 0);
}

#[test]
fn flush_that_is_not_taken_loses_no_increment() {
    let mut flow = Flow::new();
    let all = flow.fixture.ingest.room.available_permits();
    flow.statsd.take(b"a:1|c\nv:x|s");
    // A database that is closed takes nothing.
    flow.fixture.storage.close();
    assert!(flow.flush().is_err());
    assert_eq!(flow.counters.flushes_failed.load(Ordering::Relaxed), 1);
    flow.fixture = Fixture::with_clock(IngestLimits::default(), flow.clock.clone());
    flow.statsd.take(b"a:2|c\nv:y|s");
    flow.flush().expect("stored");
    assert_eq!((flow.last_of("a_total"), flow.last_of("v")), (3.0, 2.0));
    assert_eq!(flow.fixture.ingest.room.available_permits(), all);
}

#[test]
fn two_flushes_within_a_millisecond_are_both_stored() {
    let mut flow = Flow::new();
    flow.take("a:1|c");
    flow.statsd.take(b"a:1|c");
    flow.fixture.runtime.block_on(flow.fixture.ingest.flush_statsd(&mut flow.statsd)).expect("stored");
    assert_eq!(flow.values_of("a_total"), [0.0, 1.0, 2.0]);
}

#[test]
fn bad_line_is_counted_and_its_neighbours_are_taken() {
    let bad = [
        "a",
        "a:",
        "a:1",
        "a:1|",
        "a:1|x",
        ":1|c",
        "a:x|c",
        "a:1|c|@0",
        "a:0|c|@1e-310",
        "a:1|c|@2",
        "a:1|c|@-1",
        "a:1|c|@x",
        "a:nan|g",
        "a:inf|g",
        "a:1e999|g",
        "a:|s",
        "a:1:|c",
        "a:1:x|c",
        "a:1|c|",
        "a:1|c|?",
        "_e{1,1}:a|b",
        "_sc|a|0",
        "a:1|c|#__name__:b",
        "a:1|ms|#le:1",
    ];
    for line in bad {
        let mut flow = Flow::new();
        flow.statsd.take(format!("before:1|g\n{line}\r\n\nafter:2|g").as_bytes());
        let told = flow.statsd.first_refused().unwrap_or_else(|| panic!("{line} is taken"));
        assert!(told.starts_with(&format!("{line:?}: ")), "{told}");
        flow.flush().expect("stored");
        assert_eq!(flow.values().into_keys().collect::<Vec<_>>(), ["after", "before"], "{line}");
        let taken = flow.counters.lines_taken.load(Ordering::Relaxed);
        assert_eq!((taken, flow.refused()), (2, 1), "{line}");
    }
}

#[test]
fn name_of_one_type_is_not_taken_over_by_another() {
    let mut flow = Flow::new();
    flow.statsd.take(b"a:1|g\na:b|s\na:2|h\na:3|c\na:4|ms");
    assert_eq!(flow.refused(), 2, "a set and a histogram would be stored by the gauge's name");
    assert!(flow.statsd.first_refused().expect("told").contains("another type"));
    flow.flush().expect("stored");
    assert_eq!((flow.last_of("a"), flow.last_of("a_total"), flow.last_of("a_seconds_count")), (1.0, 3.0, 1.0));
}

#[test]
fn series_past_the_limit_are_refused_and_known_ones_go_on() {
    let mut flow = Flow::with_series_max(2);
    flow.statsd.take(b"a:1|c\nb:1|c\nc:1|c\na:1|c");
    assert!(flow.statsd.first_refused().expect("told").contains("statsd.series_max = 2"));
    flow.flush().expect("stored");
    assert_eq!(flow.values().len(), 2);
    assert_eq!(flow.last_of("a_total"), 2.0);
}

#[test]
fn long_lines_and_labels_over_the_limits_are_refused() {
    let mut flow = Flow::new();
    let tags = |count: usize| (0..count).map(|index| format!("t{index}:x")).collect::<Vec<_>>().join(",");
    let lines = [
        format!("a:1|c|#t:{}", "x".repeat(4_096)),
        format!("a:1|c|#{}:x", "n".repeat(1_025)),
        // The name and 63 tags are what a series may have; a timer's buckets have `le` too.
        format!("a:1|c|#{}", tags(64)),
        format!("a:1|ms|#{}", tags(63)),
    ];
    flow.statsd.take(lines.join("\n").as_bytes());
    assert_eq!((flow.refused(), flow.counters.series.load(Ordering::Relaxed)), (4, 0));
    assert!(flow.statsd.first_refused().expect("told").contains("4096 bytes"));
    flow.take(&[format!("a:1|c|#{}", tags(63)), format!("a:1|ms|#{}", tags(62))].join("\n"));
    assert_eq!(flow.values().len(), 18);
}

#[test]
fn numbers_that_add_up_to_more_than_there_is_stay_numbers() {
    let mut flow = Flow::new();
    flow.take("a:1e308|c|@0.001\na:1e308|c\ng:1e308|g\ng:+1.7e308|g\nt:1e308|h|@0.0001\nt:0|h|@2.3e-308");
    assert!(flow.values().into_values().flatten().all(f64::is_finite));
}

#[test]
fn flush_larger_than_a_request_may_be_is_stored_in_parts() {
    let limits = IngestLimits { series_per_request_max: 60, samples_per_request_max: 120, ..IngestLimits::default() };
    let mut flow = Flow::new();
    flow.fixture = Fixture::with_clock(limits, flow.clock.clone());
    let lines: String = (0..20).map(|index| format!("t{index}:1|ms\n")).collect();
    flow.take(&lines);
    assert_eq!(flow.values().len(), 20 * 17);
}

#[test]
fn kinds_are_told() {
    let mut flow = Flow::new();
    flow.take("a:1|c\nb:1|g\nd:1|ms\ne:1|s");
    let all = flow.fixture.ingest.metadata().all();
    let kinds: Vec<(&str, MetricKind)> = all.iter().map(|(family, meta)| (family.as_str(), meta.kind)).collect();
    let expected = [
        ("a_total", MetricKind::Counter),
        ("b", MetricKind::Gauge),
        ("d_seconds", MetricKind::Histogram),
        ("e", MetricKind::Gauge),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn values_of_sets_are_bounded_until_the_next_flush() {
    let mut flow = Flow::new();
    let values =
        |range: std::ops::Range<usize>| range.map(|value| format!("v{}:{value}|s\n", value % 2)).collect::<String>();
    flow.statsd.take(values(0..1_000_001).as_bytes());
    assert_eq!(flow.refused(), 1);
    flow.statsd.take(b"v0:0|s");
    assert_eq!(flow.refused(), 1, "a known value takes no room");
    assert!(flow.statsd.first_refused().expect("told").contains("1000000 values"));
    flow.flush().expect("stored");
    assert_eq!((flow.last_of("v0"), flow.last_of("v1")), (500_000.0, 500_000.0));
    flow.take("v0:new|s");
}

/// A line of a counter, as its parts: name, tag, how many.
fn increments() -> impl Strategy<Value = Vec<(u8, u8, u32)>> {
    prop::collection::vec((0..3_u8, 0..3_u8, 0..1_000_u32), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn counters_are_the_sums_of_their_lines_however_they_are_cut(lines in increments(), flush_each in 1..20_usize) {
        let mut flow = Flow::new();
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for some in lines.chunks(flush_each) {
            let text = |(name, tag, count): &(u8, u8, u32)| format!("n{name}:{count}|c|#t:{tag}\n");
            flow.take(&some.iter().map(text).collect::<String>());
            for (name, tag, count) in some {
                *sums.entry(format!("n{name}_total{{t=\"{tag}\"}}")).or_default() += f64::from(*count);
            }
        }
        let lasts: BTreeMap<String, f64> = flow.values().into_iter().map(|(series, values)| (series, *values.last().expect("samples"))).collect();
        prop_assert_eq!(lasts, sums);
        for values in flow.values().into_values() {
            prop_assert!(values.is_sorted() && values[0] == 0.0, "{:?}", values);
        }
    }

    #[test]
    fn hostile_datagrams_never_panic_and_the_state_is_bounded(
        texts in prop::collection::vec(r"([a-z:|@#,=+.0-9é]|:1\|c|:1\|ms|:x\|s|\|#a:b|\n){0,60}", 0..40),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut flow = Flow::with_series_max(5);
        for text in &texts {
            flow.statsd.take(text.as_bytes());
        }
        flow.statsd.take(&bytes);
        prop_assert!(flow.counters.series.load(Ordering::Relaxed) <= 5);
        let lines = texts.iter().map(String::as_bytes).chain([bytes.as_slice()]);
        let lines = lines.flat_map(|text| text.split(|byte| *byte == b'\n')).filter(|line| !line.trim_ascii().is_empty());
        prop_assert_eq!(flow.counters.lines_taken.load(Ordering::Relaxed) + flow.refused(), lines.count() as u64);
        flow.flush().expect("whatever was taken can be stored");
    }
}

#[test]
fn what_is_refused_of_a_flush_is_counted_by_its_reason() {
    let mut flow = Flow::new();
    // Somebody else was there before, at the moment of the flush.
    let other = series(&[("__name__", "shop_orders_total")], &[(NOW_MS + 10_000, 99.0)]);
    flow.fixture.send(vec![other]).expect("stored");
    flow.statsd.take(b"shop.orders:3|c");
    assert_eq!(flow.flush().expect_err("a contradiction").status(), 400);
    let counters = flow.fixture.ingest.counters();
    let writes: Vec<(&str, u64)> = counters.refused().filter(|(_, count)| *count > 0).collect();
    assert_eq!(writes, [("partial", 1)]);
    let samples: Vec<(&str, u64)> = counters.samples_refused().filter(|(_, count)| *count > 0).collect();
    assert_eq!(samples, [("conflict", 1)]);
    flow.fixture.storage.close();
    assert_eq!(flow.flush().expect_err("nothing is taken").status(), 503);
    let closing = flow.fixture.ingest.counters().refused().find(|(reason, _)| *reason == "closing");
    assert_eq!(closing, Some(("closing", 1)));
}
