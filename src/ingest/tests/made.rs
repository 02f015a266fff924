//! Samples that are made here go the way of every other: stored, bounded, seen by the taps.

use parking_lot::Mutex;

use super::*;
use crate::model::{FloatHistogram, STALE_NAN_BITS, stale_nan};

fn named(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("labels")
}

fn numbers<'a>(labels: &'a [Labels], value: f64) -> Vec<MadeSample<'a>> {
    labels.iter().map(|labels| MadeSample { labels, value: MadeValue::Number(value) }).collect()
}

fn take(fixture: &Fixture, time_ms: i64, samples: &[MadeSample<'_>]) -> Result<(), IngestError> {
    fixture.runtime.block_on(fixture.ingest.take_made(time_ms, samples))
}

#[test]
fn numbers_and_markers_are_stored_and_their_series_shown_to_the_taps() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let interest: Interest = Arc::new(move |labels: &Labels| {
        noted.lock().push(labels.to_string());
        false
    });
    let fixture = Fixture::with_storage(IngestLimits::default(), Clock::manual(NOW_MS), 100, interest);
    let series = [named(&[("__name__", "r"), ("job", "a")]), named(&[("__name__", "r"), ("job", "b")])];
    take(&fixture, NOW_MS, &numbers(&series, 3.0)).expect("taken");
    take(&fixture, NOW_MS + 1, &numbers(&series[..1], stale_nan())).expect("taken");
    let stored = fixture.stored();
    assert_eq!(stored[1], (r#"r{job="b"}"#.to_owned(), vec![(NOW_MS, 3.0)]));
    assert_eq!((stored[0].1[0], stored[0].1[1].1.to_bits()), ((NOW_MS, 3.0), STALE_NAN_BITS));
    let mut asked = asked.lock().clone();
    asked.sort();
    assert_eq!(asked, [r#"r{job="a"}"#, r#"r{job="b"}"#]);
}

#[test]
fn many_samples_become_as_many_writes_as_the_limits_of_a_request_ask_for() {
    let limits = IngestLimits { series_per_request_max: 3, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    let series: Vec<Labels> =
        (0..10).map(|node| named(&[("__name__", "r"), ("node", node.to_string().as_str())])).collect();
    take(&fixture, NOW_MS, &numbers(&series, 1.0)).expect("taken");
    assert_eq!(fixture.stored().len(), 10);
}

#[test]
fn what_is_refused_is_told_and_the_rest_is_stored() {
    let fixture = Fixture::new();
    let series = [named(&[("__name__", "a")]), named(&[("__name__", "b")]), named(&[("__name__", "c")])];
    take(&fixture, NOW_MS, &numbers(&series[..1], 1.0)).expect("taken");
    // Another value of the same moment, and a histogram of a resolution that there is not.
    let broken = FloatHistogram { schema: 77, sum: 1.0, ..FloatHistogram::stale() };
    let mut samples = numbers(&series[..2], 2.0);
    samples.push(MadeSample { labels: &series[2], value: MadeValue::Histogram(&broken) });
    let told = take(&fixture, NOW_MS, &samples).expect_err("two are refused").told();
    assert!(told.contains("2 refused, 1 stored"), "{told}");
    let stored: Vec<String> = fixture.stored().into_iter().map(|(labels, _)| labels).collect();
    assert_eq!(stored, ["a", "b"]);
}
