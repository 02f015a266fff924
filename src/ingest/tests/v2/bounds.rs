//! What bounds a request of version 2: counts while it is walked, and what references may unfold to.

use super::*;
use crate::ingest::remote_write::SYMBOLS_PER_SERIES_MAX;

fn told(outcome: Result<Written, IngestError>) -> (u16, String) {
    let error = outcome.expect_err("refused");
    (error.status(), error.to_string())
}

#[test]
fn empty_series_by_the_hundred_thousand_are_413() {
    let fixture = Fixture::new();
    let (status, words) = told(fixture.send_v2_message(&[0x2a, 0x00].repeat(100_001)));
    assert_eq!(status, 413);
    assert!(words.contains("limits.series_per_request_max = 100000"), "{words}");
    // One fewer is read, and each of them refused: none has a name.
    let (status, words) = told(fixture.send_v2_message(&[0x2a, 0x00].repeat(100_000)));
    assert_eq!(status, 400);
    assert!(words.starts_with("100000 refused, 0 stored"), "{words}");
}

#[test]
fn empty_symbols_by_the_million_are_413() {
    let fixture = Fixture::with_limits(IngestLimits { series_per_request_max: 50, ..IngestLimits::default() });
    let symbols_max = 50 * SYMBOLS_PER_SERIES_MAX;
    let neighbour = |symbol_count: usize| {
        let mut request = Request::new().with_neighbour();
        request.symbols.resize(symbol_count, Vec::new());
        request
    };
    let (status, words) = told(fixture.send_v2(&neighbour(symbols_max + 1)));
    assert_eq!(status, 413);
    assert!(words.contains("symbols") && words.contains("limits.series_per_request_max"), "{words}");
    assert!(fixture.stored().is_empty());
    assert_eq!(fixture.send_v2(&neighbour(symbols_max)).expect("just within").samples, 1);
}

#[test]
fn more_samples_than_allowed_are_413_known_or_not() {
    let fixture = Fixture::with_limits(IngestLimits { samples_per_request_max: 3, ..IngestLimits::default() });
    let samples: Vec<(i64, f64)> = (0..4).map(|index| (NOW_MS + index, 1.0)).collect();
    for _ in 0..2 {
        let (status, words) = told(fixture.send_v2(&Request::new().with(&[("__name__", "up")], &samples)));
        assert_eq!(status, 413);
        assert!(words.contains("limits.samples_per_request_max = 3"), "{words}");
        fixture.send_v2(&Request::new().with(&[("__name__", "up")], &samples[..3])).expect("just within");
    }
}

#[test]
fn series_of_a_million_references_is_refused_alone() {
    let fixture = Fixture::new();
    let mut request = Request::new().with_neighbour();
    request.timeseries.push(Referring { labels_refs: vec![1; 1_000_000], ..Referring::default() });
    let (status, words) = told(fixture.send_v2(&request));
    assert_eq!(status, 400);
    assert!(words.starts_with("1 refused, 1 stored") && words.contains("500000 labels"), "{words}");
    // The same in numbers of ten bytes.
    let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01].repeat(1_000_000);
    let message = [Request::new().with_neighbour().encode_to_vec(), field(5, &field(1, &longest))].concat();
    let (status, words) = told(fixture.send_v2_message(&message));
    assert_eq!(status, 400);
    assert!(words.starts_with("1 refused, 1 stored") && words.contains("500000 labels"), "{words}");
}

#[test]
fn number_without_an_end_in_a_packed_list_is_400_and_stores_nothing() {
    let fixture = Fixture::new();
    for packed in [vec![0xff; 11], vec![0x80; 5], vec![0x01, 0x80]] {
        let message = [Request::new().with_neighbour().encode_to_vec(), field(5, &field(1, &packed))].concat();
        let (status, words) = told(fixture.send_v2_message(&message));
        assert_eq!(status, 400);
        assert!(words.contains("a number") && words.contains("byte "), "{words}");
    }
    assert!(fixture.stored().is_empty());
}

#[test]
fn few_bytes_that_name_long_symbols_again_and_again_are_413() {
    let limits = IngestLimits { request_decoded_bytes_max: 1 << 20, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    let mut request = Request::new();
    let long = ["a", "b", "c"].map(|letter| letter.repeat(4_000));
    for index in 0..200 {
        let name = format!("m{index}");
        let labels = [("__name__", name.as_str()), ("a", &long[0]), ("b", &long[1]), ("c", &long[2])];
        request = request.with(&labels, &[(NOW_MS, 1.0)]);
    }
    assert!(request.encoded_len() < 20_000, "{} bytes", request.encoded_len());
    let (status, words) = told(fixture.send_v2(&request));
    assert_eq!(status, 413);
    assert!(words.contains("limits.request_decoded_bytes_max = 1048576"), "{words}");
    assert!(fixture.stored().is_empty());
    request.timeseries.truncate(80);
    assert_eq!(fixture.send_v2(&request).expect("just within").samples, 80);
}
