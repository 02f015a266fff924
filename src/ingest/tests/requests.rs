//! Which part of a request is stored, and what its sender is told.

use super::*;

const UP: (&str, &str) = ("__name__", "up");

/// `neighbour` is stored although the other series of the request is refused; returns what the sender is told.
fn refused_alone(bad: TimeSeries) -> PartialWrite {
    let fixture = Fixture::new();
    let told = fixture.send_in_part(vec![bad, neighbour()]);
    assert_eq!(told.stored, 1, "{told}");
    assert_eq!(fixture.stored(), [("neighbour".to_owned(), vec![(NOW_MS, 7.0)])]);
    told
}

#[test]
fn request_is_stored_and_counted() {
    let fixture = Fixture::new();
    let request = vec![series(&[UP, ("node", "1")], &[(NOW_MS - 15_000, 1.0), (NOW_MS, 0.0)]), neighbour()];
    assert_eq!(fixture.send(request.clone()).expect("taken").samples, 3);
    let expected = [
        ("neighbour".to_owned(), vec![(NOW_MS, 7.0)]),
        (r#"up{node="1"}"#.to_owned(), vec![(NOW_MS - 15_000, 1.0), (NOW_MS, 0.0)]),
    ];
    assert_eq!(fixture.stored(), expected);
    assert_eq!(fixture.send(request).expect("the same again is taken").samples, 3);
    assert_eq!(fixture.stored(), expected, "and is still there once");
}

#[test]
fn empty_request_is_fine() {
    let fixture = Fixture::new();
    assert_eq!(fixture.send(Vec::new()).expect("taken").samples, 0);
    assert_eq!(fixture.send(vec![series(&[UP], &[])]).expect("taken").samples, 0);
    assert_eq!(fixture.storage.series_count(), 0, "a series without samples is not made");
}

#[test]
fn other_value_for_a_stored_moment_is_refused_by_count() {
    let fixture = Fixture::new();
    fixture.send(vec![series(&[UP], &[(NOW_MS, 1.0), (NOW_MS + 1, 1.0)])]).expect("taken");
    let told = fixture.send_in_part(vec![series(&[UP], &[(NOW_MS, 2.0), (NOW_MS + 1, 2.0), (NOW_MS + 2, 3.0)])]);
    assert_eq!((told.stored, told.refused), (1, 2));
    assert!(told.first.contains("up") && told.first.contains(&NOW_MS.to_string()), "{told}");
    assert_eq!(fixture.stored()[0].1, [(NOW_MS, 1.0), (NOW_MS + 1, 1.0), (NOW_MS + 2, 3.0)]);
    let error = IngestError::Partial(Box::new(told));
    assert_eq!((error.status(), error.retry_after_s(), error.written().samples), (400, None, 1));
}

#[test]
fn series_without_a_name_is_refused_alone() {
    assert!(refused_alone(series(&[], &[(NOW_MS, 1.0)])).first.contains("__name__ is missing"));
    assert!(refused_alone(series(&[("node", "1")], &[(NOW_MS, 1.0)])).first.contains(r#"{node="1"}"#));
    assert!(refused_alone(series(&[("__name__", "")], &[(NOW_MS, 1.0)])).first.contains("__name__ is missing"));
}

#[test]
fn series_with_bad_labels_is_refused_alone_and_named() {
    let twice = refused_alone(series(&[UP, ("a", "1"), ("a", "2")], &[(NOW_MS, 1.0), (NOW_MS + 1, 1.0)]));
    assert_eq!(twice.refused, 2, "samples are counted");
    assert!(twice.first.contains("\"a\" is given twice"), "{twice}");
    assert!(refused_alone(series(&[UP, ("", "x")], &[(NOW_MS, 1.0)])).first.contains("name is empty"));

    let long_name = "n".repeat(1025);
    assert!(refused_alone(series(&[UP, (&long_name, "x")], &[(NOW_MS, 1.0)])).first.contains("1025"));
    let long_value = "v".repeat(4097);
    assert!(refused_alone(series(&[UP, ("a", &long_value)], &[(NOW_MS, 1.0)])).first.contains("4097"));

    let mut not_text = series(&[UP], &[(NOW_MS, 1.0)]);
    not_text.labels.push(Label { name: b"a".to_vec(), value: vec![0xff, 0xfe] });
    assert!(refused_alone(not_text).first.contains("UTF-8"));
}

/// `up` and so many more labels.
fn many_labels(count: usize, value: &str) -> TimeSeries {
    let names: Vec<String> = (0..count).map(|index| format!("label_{index:02}")).collect();
    let mut labels = vec![UP];
    labels.extend(names.iter().map(|name| (name.as_str(), value)));
    series(&labels, &[(NOW_MS, 1.0)])
}

#[test]
fn sixty_four_labels_are_taken_and_sixty_five_refused() {
    let told = refused_alone(many_labels(64, "x"));
    assert!(told.first.contains("65 labels"), "{told}");
    refused_alone(many_labels(5_000, "x"));
    let fixture = Fixture::new();
    fixture.send(vec![many_labels(63, "x")]).expect("64 labels are taken");
    assert_eq!(fixture.storage.series_count(), 1);
}

#[test]
fn empty_value_is_the_absence_of_the_label_however_many_there_are() {
    let fixture = Fixture::new();
    let mut padded = many_labels(200, "");
    padded.labels.push(Label { name: b"zone".to_vec(), value: b"eu".to_vec() });
    fixture.send(vec![padded]).expect("taken");
    assert_eq!(fixture.stored()[0].0, r#"up{zone="eu"}"#);
}

#[test]
fn encodings_of_one_series_are_one_series() {
    let fixture = Fixture::new();
    let orders = [
        vec![UP, ("a", "1"), ("b", "2")],
        vec![("b", "2"), ("a", "1"), UP],
        vec![("b", "2"), ("empty", ""), UP, ("a", "1")],
    ];
    for round in 0..2 {
        for (index, labels) in orders.iter().enumerate() {
            let time = NOW_MS + round * 10 + index as i64;
            fixture.send(vec![series(labels, &[(time, 1.0)])]).expect("taken");
        }
    }
    assert_eq!(fixture.storage.series_count(), 1);
    assert_eq!(fixture.stored()[0].0, r#"up{a="1", b="2"}"#);
    assert_eq!(fixture.stored()[0].1.len(), 6);
}

/// One series, its fields in the order of `parts`: `l` a label, `s` a sample.
fn in_order(parts: &[(char, &str)]) -> Vec<u8> {
    let mut content = Vec::new();
    for (kind, text) in parts {
        let part = match kind {
            'l' => series(&[text.split_once('=').expect("a pair")], &[]),
            _ => series(&[], &[(NOW_MS + text.parse::<i64>().expect("a number"), 1.0)]),
        };
        part.encode(&mut content).expect("a Vec has room");
    }
    let mut message = vec![0x0a];
    prost::encode_length_delimiter(content.len(), &mut message).expect("a Vec has room");
    message.extend(content);
    message
}

#[test]
fn labels_behind_samples_belong_to_the_series_too() {
    let fixture = Fixture::new();
    let [whole, front, behind, between] = [
        in_order(&[('l', "__name__=up"), ('l', "node=1"), ('s', "1")]),
        in_order(&[('l', "__name__=up"), ('s', "2")]),
        in_order(&[('s', "3"), ('l', "__name__=up"), ('l', "node=1")]),
        in_order(&[('l', "__name__=up"), ('s', "4"), ('l', "node=1"), ('s', "5")]),
    ];
    // Each when the series are unknown and again when all are known; the second time in another order.
    for request in [[&between, &behind, &front, &whole].map(Vec::as_slice).concat(), {
        [&whole, &front, &behind, &between].map(Vec::as_slice).concat()
    }] {
        let written = fixture.send_body(compressed(&request)).expect("taken");
        assert_eq!(written.samples, 5);
    }
    let at = |offsets: &[i64]| offsets.iter().map(|offset| (NOW_MS + offset, 1.0)).collect::<Vec<_>>();
    let expected = [("up".to_owned(), at(&[2])), (r#"up{node="1"}"#.to_owned(), at(&[1, 3, 4, 5]))];
    assert_eq!(fixture.stored(), expected);
}

#[test]
fn fields_that_nobody_knows_are_stepped_over() {
    let fixture = Fixture::new();
    let mut request = message(vec![neighbour()]);
    request.extend([0x1a, 3, 1, 2, 3]); // metadata, not even a message
    request.extend([0x78, 0xff, 0x7f]); // field 15, a varint
    request.extend([0x7d, 1, 2, 3, 4]); // field 15, 32 bits
    request.extend([0x79, 1, 2, 3, 4, 5, 6, 7, 8]); // field 15, 64 bits
    assert_eq!(fixture.send_body(compressed(&request)).expect("taken").samples, 1);
}

#[test]
fn descriptions_are_learned_and_damaged_ones_passed_over() {
    let fixture = Fixture::new();
    let described = |kind: u8, texts: &[(u8, &str)]| {
        let mut content = vec![0x08, kind];
        for (number, text) in texts {
            content.extend([number << 3 | 2, text.len() as u8]);
            content.extend(text.as_bytes());
        }
        [&[0x1a, content.len() as u8], &content[..]].concat()
    };
    let mut request = message(vec![neighbour()]);
    request.extend(described(1, &[(2, "orders_total"), (4, "Orders taken."), (5, "orders")]));
    request.extend(described(3, &[(2, "latency_seconds")]));
    request.extend(described(0, &[(2, "nothing_is_told")]));
    request.extend(described(2, &[(4, "of no metric")]));
    request.extend([0x1a, 2, 0x12, 0x7f]);
    assert_eq!(fixture.send_body(compressed(&request)).expect("taken").samples, 1);
    let told = |kind, help: &str, unit: &str| MetricMeta { kind, help: help.into(), unit: unit.into() };
    let expected = [
        ("latency_seconds".to_owned(), told(MetricKind::Histogram, "", "")),
        ("orders_total".to_owned(), told(MetricKind::Counter, "Orders taken.", "orders")),
    ];
    assert_eq!(fixture.ingest.metadata().all(), expected);
}

#[test]
fn bad_native_histogram_is_refused_by_name_and_its_neighbour_stored() {
    for _ in 0..2 {
        let fixture = Fixture::new();
        // Field 4 of a series: `up` with a histogram of an observation in no bucket, when unknown and when known.
        let mut content = series(&[UP], &[(NOW_MS, 1.0)]).encode_to_vec();
        content.extend([0x22, 2, 8, 1]);
        let mut request = vec![0x0a, content.len() as u8];
        request.extend(content);
        request.extend(message(vec![neighbour()]));
        for _ in 0..2 {
            let refused = fixture.send_body(compressed(&request));
            let Err(IngestError::Partial(told)) = refused else { panic!("not refused in part: {refused:?}") };
            assert_eq!((told.stored, told.refused), (2, 1));
            assert!(told.to_string().contains("native histogram"), "{told}");
        }
    }
}

#[test]
fn every_moment_of_64_bits_is_answered() {
    for timestamp_ms in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
        let fixture = Fixture::new();
        let outcome = fixture.send(vec![series(&[UP], &[(timestamp_ms, 1.0)]), neighbour()]);
        let stored = match outcome {
            Ok(written) => written.samples,
            Err(IngestError::Partial(told)) => told.stored,
            Err(error) => panic!("at {timestamp_ms}: {error}"),
        };
        let held: usize = fixture.stored().iter().map(|(_, samples)| samples.len()).sum();
        assert_eq!(held as u64, stored, "at {timestamp_ms}");
        assert_eq!(stored, if (-1..=1).contains(&timestamp_ms) { 2 } else { 1 }, "at {timestamp_ms}");
        for _ in 0..3 {
            fixture.storage.maintain().expect("whatever the moment, blocks can be cut");
        }
        let held: usize = fixture.stored().iter().map(|(_, samples)| samples.len()).sum();
        assert_eq!(held as u64, stored, "at {timestamp_ms}, from blocks");
    }
}

#[test]
fn headers_of_other_bodies_are_415() {
    let fixture = Fixture::new();
    let body = compressed(&message(vec![neighbour()]));
    let status = |content_type: Option<&str>, content_encoding: Option<&str>| {
        let head = WriteHead { content_type, content_encoding, version: None };
        match fixture.runtime.block_on(fixture.ingest.remote_write(head, body.clone())) {
            Ok(_) => 204,
            Err(error) => error.status(),
        }
    };
    assert_eq!(status(Some("application/x-protobuf"), Some("snappy")), 204);
    assert_eq!(status(Some("Application/X-Protobuf; proto=prometheus.WriteRequest"), Some("Snappy")), 204);
    assert_eq!(status(Some("application/x-protobuf;proto=\"prometheus.WriteRequest\""), None), 204);
    assert_eq!(status(None, None), 204, "senders of before the specification name nothing");
    assert_eq!(status(Some("application/x-protobuf;proto=io.prometheus.write.v3.Request"), Some("snappy")), 415);
    assert_eq!(status(Some("application/x-protobuf;proto="), Some("snappy")), 415);
    assert_eq!(status(Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"), Some("zstd")), 415);
    assert_eq!(status(Some("application/json"), Some("snappy")), 415);
    assert_eq!(status(Some(""), Some("snappy")), 415);
    assert_eq!(status(Some("application/x-protobuf"), Some("zstd")), 415);
    assert_eq!(status(Some("application/x-protobuf"), Some("gzip")), 415);
}
