//! Since when samples count: of a sample, of a whole series, of none.

use super::*;

/// The message with its start, which `prost` leaves out where it is zero.
#[derive(Clone, Copy, PartialEq, Message)]
struct StartedSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(int64, tag = "3")]
    start_timestamp: i64,
}

/// One that has observed nothing.
#[derive(Clone, Copy, PartialEq, Message)]
struct StartedHistogram {
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(int64, tag = "17")]
    start_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StartedSeries {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<StartedSample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<StartedHistogram>,
    #[prost(int64, tag = "6")]
    created_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StartedRequest {
    #[prost(bytes = "vec", repeated, tag = "4")]
    symbols: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<StartedSeries>,
}

/// One series, with samples of these times, each with its start.
fn request(labels: &[(&str, &str)], samples: &[(i64, i64)], created_timestamp: i64) -> StartedRequest {
    let mut symbols = Request::new();
    let labels_refs = symbols.references(labels);
    let sample = |(timestamp, start_timestamp): &(i64, i64)| StartedSample {
        value: 1.5,
        timestamp: *timestamp,
        start_timestamp: *start_timestamp,
    };
    let samples = samples.iter().map(sample).collect();
    let timeseries = vec![StartedSeries { labels_refs, samples, histograms: Vec::new(), created_timestamp }];
    StartedRequest { symbols: symbols.symbols, timeseries }
}

impl Fixture {
    fn starts(&self, metric: &str) -> Vec<(i64, i64)> {
        let named = [Matcher::equal("__name__", metric)];
        let found = self.storage.view().select(&named, TimeRange::ALL, 1).expect("one series");
        found.iter().flat_map(|series| series.starts_ms(TimeRange::ALL)).collect()
    }
}

#[test]
fn starts_are_stored_whether_the_series_is_known_or_not() {
    let fixture = Fixture::new();
    let up = [("__name__", "up"), ("job", "shop")];
    let mut expected = Vec::new();
    for round in 0..3 {
        let at = NOW_MS + 100 * round;
        // Alone, and beside one that does not say.
        for (samples, starts) in [
            (vec![(at, at - 5)], vec![(at, at - 5)]),
            (vec![(at + 10, 0), (at + 20, at - 5), (at + 30, -1)], vec![(at + 20, at - 5), (at + 30, -1)]),
            (vec![(at + 40, 0)], vec![]),
        ] {
            let written = fixture.send_v2_message(&request(&up, &samples, 0).encode_to_vec());
            assert_eq!(written.expect("all of it").samples, samples.len() as u64, "starts are no samples");
            expected.extend(starts);
        }
        assert_eq!(fixture.starts("up"), expected, "round {round}");
    }
}

#[test]
fn what_a_series_says_of_its_start_holds_for_samples_that_say_nothing() {
    let fixture = Fixture::new();
    let mut expected = Vec::new();
    for round in 0..2 {
        let at = NOW_MS + 100 * round;
        let samples = [(at, 0), (at + 1, at - 3), (at + 2, 0)];
        fixture.send_v2_message(&request(&[("__name__", "up")], &samples, at - 9).encode_to_vec()).expect("all of it");
        expected.extend([(at, at - 9), (at + 1, at - 3), (at + 2, at - 9)]);
        assert_eq!(fixture.starts("up"), expected, "round {round}");
    }
}

#[test]
fn histograms_have_starts_as_samples_do() {
    let fixture = Fixture::new();
    let mut expected = Vec::new();
    for round in 0..2 {
        let at = NOW_MS + 100 * round;
        let mut sent = request(&[("__name__", "latency")], &[(at, at - 5)], at - 9);
        sent.timeseries[0].histograms = [(at + 1, at - 3), (at + 2, 0)]
            .map(|(timestamp, start_timestamp)| StartedHistogram { sum: 0.5, timestamp, start_timestamp })
            .to_vec();
        fixture.send_v2_message(&sent.encode_to_vec()).expect("all of it");
        expected.extend([(at, at - 5), (at + 1, at - 3), (at + 2, at - 9)]);
        assert_eq!(fixture.starts("latency"), expected, "round {round}");
    }
}

#[test]
fn starts_of_a_series_whose_labels_stand_apart_are_stored_once() {
    let fixture = Fixture::new();
    fixture.send_v2_message(&request(&[("__name__", "up")], &[(NOW_MS, 0)], 0).encode_to_vec()).expect("all of it");
    // The same series in front, then a sample, then another label: `up{job="shop"}`.
    let mut whole = Request::new();
    let mut series = Vec::new();
    for (pair, content) in [(("__name__", "up"), true), (("job", "shop"), false)] {
        let packed: Vec<u8> = whole.references(&[pair]).iter().map(|number| *number as u8).collect();
        series.extend(field(1, &packed));
        if content {
            let sample = StartedSample { value: 2.0, timestamp: NOW_MS + 1, start_timestamp: NOW_MS - 4 };
            series.extend(field(2, &sample.encode_to_vec()));
        }
    }
    let mut message = whole.encode_to_vec();
    message.extend(field(5, &series));
    fixture.send_v2_message(&message).expect("all of it");
    let shop = [Matcher::equal("__name__", "up"), Matcher::equal("job", "shop")];
    let found = fixture.storage.view().select(&shop, TimeRange::ALL, 1).expect("one series");
    assert_eq!(found[0].starts_ms(TimeRange::ALL), [(NOW_MS + 1, NOW_MS - 4)]);
    assert_eq!(fixture.storage.started_series_count(), 1, "the one in front has none");
}

#[test]
fn the_label_of_companions_is_refused_by_name() {
    let fixture = Fixture::new();
    let labels = [("__name__", "up"), ("__start_timestamp__", "ms")];
    let first = fixture.send_in_part(vec![series(&labels, &[(NOW_MS, 1.0)]), neighbour()]);
    assert!(first.first.contains("__start_timestamp__ is reserved"), "{}", first.first);
    let Err(IngestError::Partial(second)) = fixture.send_v2(&Request::new().with(&labels, &[(NOW_MS, 1.0)])) else {
        panic!("taken")
    };
    assert!(second.first.contains("__start_timestamp__ is reserved"), "{}", second.first);
    assert_eq!(fixture.stored().len(), 1);
}

#[test]
fn companions_take_nothing_of_a_label_budget() {
    let fixture = Fixture::with_limits(IngestLimits { series_per_metric_max: 2, ..IngestLimits::default() });
    for node in ["1", "2", "3"] {
        let message = request(&[("__name__", "up"), ("node", node)], &[(NOW_MS, NOW_MS - 9)], 0).encode_to_vec();
        fixture.send_v2_message(&message).expect("all of it");
    }
    let names: Vec<String> = fixture.stored().into_iter().map(|(labels, _)| labels).collect();
    assert_eq!(names.len(), 3, "two series and a sum: {names:?}");
    assert!(names.iter().any(|name| name.contains("__overflow__")), "{names:?}");
    assert_eq!(fixture.storage.started_series_count(), 2, "a sum has none");
}
