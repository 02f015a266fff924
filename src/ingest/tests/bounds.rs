//! What bounds a request, and all requests together.

use super::*;

fn told(outcome: Result<Written, IngestError>) -> (u16, String) {
    let error = outcome.expect_err("refused");
    (error.status(), error.to_string())
}

/// A body that declares so many inflated bytes.
fn declaring(decoded_bytes: u32, body_bytes: usize) -> Bytes {
    let mut body = Vec::new();
    prost::encode_length_delimiter(decoded_bytes as usize, &mut body).expect("a Vec has room");
    body.resize(body_bytes, 0);
    body.into()
}

#[test]
fn body_over_the_limit_is_413_and_names_the_setting() {
    let fixture = Fixture::with_limits(IngestLimits { request_bytes_max: 1_000, ..IngestLimits::default() });
    let (status, words) = told(fixture.send_body(Bytes::from(vec![0; 1_001])));
    assert_eq!(status, 413);
    assert!(words.contains("limits.request_bytes_max = 1000"), "{words}");
}

#[test]
fn bomb_of_twenty_bytes_is_refused_by_what_it_declares() {
    let fixture = Fixture::new();
    let (status, words) = told(fixture.send_body(declaring(3 << 30, 20)));
    assert_eq!(status, 413);
    assert!(words.contains("limits.request_decoded_bytes_max"), "{words}");
    // Within the limit, but more than twenty bytes can make.
    let (status, words) = told(fixture.send_body(declaring(1 << 20, 20)));
    assert_eq!(status, 400);
    assert!(words.contains("cannot inflate"), "{words}");
    assert_eq!(told(fixture.send_body(Bytes::new())).0, 400);
    assert_eq!(told(fixture.send_body(Bytes::from_static(&[0xff; 20]))).0, 400);
}

#[test]
fn honest_compression_is_no_bomb() {
    let fixture = Fixture::new();
    // The most that snappy makes of anything: one byte, 4 MiB of it, in a field that is stepped over.
    let mut request = vec![0x1a];
    prost::encode_length_delimiter(4 << 20, &mut request).expect("a Vec has room");
    request.resize(request.len() + (4 << 20), 7);
    let body = compressed(&request);
    assert!(request.len() / body.len() >= 20, "{} bytes became {}", request.len(), body.len());
    assert_eq!(fixture.send_body(body).expect("taken").samples, 0);
}

#[test]
fn block_that_is_shorter_or_longer_than_declared_is_400() {
    let fixture = Fixture::new();
    let body = compressed(&message(vec![neighbour()]));
    for declared in [body[0] - 1, body[0] + 1] {
        let mut wrong = body.to_vec();
        wrong[0] = declared;
        let (status, words) = told(fixture.send_body(wrong.into()));
        assert_eq!(status, 400);
        assert!(words.contains("not a snappy block"), "{words}");
    }
    assert!(fixture.stored().is_empty());
}

#[test]
fn more_series_or_samples_than_allowed_is_413_and_stores_nothing() {
    let limits = IngestLimits { series_per_request_max: 2, samples_per_request_max: 3, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    let one = |name: &str, count: i64| {
        series(&[("__name__", name)], &(0..count).map(|index| (NOW_MS + index, 1.0)).collect::<Vec<_>>())
    };
    for _ in 0..2 {
        let (status, words) = told(fixture.send(vec![one("a", 1), one("b", 1), one("c", 1)]));
        assert_eq!(status, 413);
        assert!(words.contains("limits.series_per_request_max = 2"), "{words}");
        let (status, words) = told(fixture.send(vec![one("a", 2), one("b", 2)]));
        assert_eq!(status, 413);
        assert!(words.contains("limits.samples_per_request_max = 3"), "{words}");
    }
    assert!(fixture.stored().is_empty());
    assert_eq!(fixture.send(vec![one("a", 2), one("b", 1)]).expect("just within").samples, 3);
    // Known series are counted as unknown ones are.
    assert_eq!(told(fixture.send(vec![one("a", 2), one("b", 2)])).0, 413);
}

#[test]
fn bytes_in_flight_are_bounded_and_given_back() {
    let limits = IngestLimits { bytes_in_flight_max: 64 << 10, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    // Inflated and as rows: twice 40 KiB are more than 64.
    let large = series(&[("__name__", "a")], &(0..2_500).map(|index| (NOW_MS - index, 1.0)).collect::<Vec<_>>());
    let request = message(vec![large]);
    assert!((40 << 10..60 << 10).contains(&request.len()), "{}", request.len());
    let error = fixture.send_body(compressed(&request)).expect_err("refused");
    assert_eq!((error.status(), error.retry_after_s()), (503, Some(1)));
    for _ in 0..100 {
        assert_eq!(fixture.send(vec![neighbour()]).expect("there is room").samples, 1);
        assert_eq!(told(fixture.send_body(compressed(&[0x0a, 0x7f]))).0, 400);
    }
    assert_eq!(fixture.ingest.room.available_permits(), 64, "all of it was given back");
}

#[test]
fn outcomes_are_counted() {
    let limits = IngestLimits { bytes_in_flight_max: 1 << 10, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    fixture.send(vec![neighbour()]).expect("taken");
    assert_eq!(told(fixture.send_body(Bytes::from_static(b"\x01"))).0, 400);
    let wide = series(&[("__name__", "a"), ("b", &"c".repeat(2_000))], &[(NOW_MS, 1.0)]);
    assert_eq!(told(fixture.send(vec![wide])).0, 503);
    let counters = fixture.ingest.counters();
    let counts = [&counters.requests_taken, &counters.requests_refused, &counters.requests_deferred];
    assert_eq!(counts.map(|counter| counter.load(Ordering::Relaxed)), [1, 1, 1]);
}

#[test]
fn samples_that_wait_for_a_block_are_asked_for_again_until_they_are_stored() {
    const HOUR_MS: i64 = 3_600_000;
    let fixture = Fixture::new();
    let up = |samples: &[(i64, f64)]| series(&[("__name__", "up")], samples);
    fixture.send(vec![up(&[(NOW_MS - 9 * HOUR_MS, 1.0), (NOW_MS, 1.0)])]).expect("stored");
    fixture.storage.maintain().expect("all but the last hours are sealed");
    let count = crate::storage::BELATED_SAMPLES_MAX as i64 + 5;
    let history: Vec<(i64, f64)> = (0..count).map(|at| (NOW_MS - 8 * HOUR_MS + at, at as f64)).collect();
    let belated = || vec![series(&[("__name__", "history")], &history)];
    let crowded = fixture.send(belated()).expect_err("more than the series may have aside");
    assert_eq!(
        (crowded.status(), crowded.retry_after_s(), crowded.written().samples),
        (503, Some(1), count as u64 - 5)
    );
    fixture.storage.maintain().expect("the cut makes room");
    assert_eq!(fixture.send(belated()).expect("now it is stored").samples, count as u64);
    let stored = fixture.stored();
    assert_eq!(stored[0], ("history".to_owned(), history));
}

#[test]
fn millions_of_empty_messages_are_counted_while_they_are_read() {
    let fixture = Fixture::new();
    // 32 MiB inflated, 16 million series without labels: within every limit of bytes.
    let empty_series = [0x0a, 0x00].repeat(16 << 20);
    let (status, words) = told(fixture.send_body(compressed(&empty_series)));
    assert_eq!(status, 413);
    assert!(words.contains("limits.series_per_request_max = 100000"), "{words}");
    // One series, and two million samples of zero bytes.
    let samples = [0x12, 0x00].repeat(2 << 20);
    let mut series = vec![0x0a];
    prost::encode_length_delimiter(samples.len(), &mut series).expect("a Vec has room");
    series.extend(samples);
    let (status, words) = told(fixture.send_body(compressed(&series)));
    assert_eq!(status, 413);
    assert!(words.contains("limits.samples_per_request_max = 1000000"), "{words}");
    let refused: Vec<(&str, u64)> = fixture.ingest.counters().refused().filter(|(_, count)| *count > 0).collect();
    assert_eq!(refused, [("series_per_request_max", 1), ("samples_per_request_max", 1)]);
}

#[test]
fn every_refusal_is_counted_by_its_reason() {
    let fixture = Fixture::with_limits(IngestLimits { request_bytes_max: 1_000, ..IngestLimits::default() });
    let body = compressed(&message(vec![neighbour()]));
    let head = |content_type| WriteHead { content_type: Some(content_type), ..WriteHead::default() };
    let outcome = fixture.runtime.block_on(fixture.ingest.remote_write(head("text/html"), body));
    assert_eq!(outcome.expect_err("refused").status(), 415);
    assert_eq!(told(fixture.send_body(Bytes::from_static(b"\x01"))).0, 400);
    assert_eq!(told(fixture.send_body(Bytes::from(vec![0; 1_001]))).0, 413);
    assert_eq!(told(fixture.send_body(declaring(3 << 30, 20))).0, 413);
    let late = series(&[("__name__", "a")], &[(NOW_MS, 1.0), (NOW_MS, 2.0), (NOW_MS + 86_400_000, 3.0)]);
    let nameless = series(&[("b", "c")], &[(NOW_MS, 1.0)]);
    assert_eq!(fixture.send_in_part(vec![late, nameless]).refused, 3);
    let counters = fixture.ingest.counters();
    let requests: Vec<(&str, u64)> = counters.refused().filter(|(_, count)| *count > 0).collect();
    let expected = ["unsupported", "malformed", "partial", "request_bytes_max", "request_decoded_bytes_max"];
    assert_eq!(requests, expected.map(|reason| (reason, 1)));
    let samples: Vec<(&str, u64)> = counters.samples_refused().filter(|(_, count)| *count > 0).collect();
    assert_eq!(samples, [("too_far_ahead", 1), ("conflict", 1), ("unreadable", 1)]);
}

#[test]
fn labels_of_new_series_are_bounded_where_a_few_bytes_name_them_again_and_again() {
    let fixture = Fixture::new();
    let limits = IngestLimits { request_decoded_bytes_max: 1_000, ..IngestLimits::default() };
    let mut rows = RowsBuilder::new(&fixture.storage, &limits, fixture.ingest.metadata());
    let long = "x".repeat(500);
    let mut begin = |number: &str| rows.series([("__name__", "up"), ("number", number), ("long", &long)]);
    for _ in 0..100 {
        begin("1").expect("one series, however often it is named");
    }
    for number in ["2", "3"] {
        begin(number).expect("within twice the limit");
    }
    match begin("4") {
        Err(error @ IngestError::TooLarge { setting: "request_decoded_bytes_max", .. }) => {
            assert_eq!(error.status(), 413);
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn histograms_that_are_refused_count_too() {
    let fixture = Fixture::new();
    let histograms = [0x22, 0x00].repeat(2 << 20);
    let mut series = vec![0x0a];
    prost::encode_length_delimiter(histograms.len(), &mut series).expect("a Vec has room");
    series.extend(histograms);
    let (status, words) = told(fixture.send_body(compressed(&series)));
    assert_eq!(status, 413, "{words}");
    assert!(words.contains("limits.samples_per_request_max = 1000000"), "{words}");
}

#[test]
fn answer_that_quotes_is_cut() {
    let error = IngestError::Malformed("é".repeat(100_000));
    assert!(error.told().len() <= 4_100, "{} bytes", error.told().len());
}
