//! Which part of a request of version 2 is stored, and what its sender is told.

use super::*;
use crate::ingest::remote_write::Version;

const UP: (&str, &str) = ("__name__", "up");

/// `neighbour` is stored although the other series of the request is refused; returns what the sender is told.
fn refused_alone(request: Request) -> PartialWrite {
    let fixture = Fixture::new();
    let told = match fixture.send_v2(&request.with_neighbour()) {
        Err(IngestError::Partial(told)) => *told,
        other => panic!("not refused in part: {other:?}"),
    };
    assert_eq!(told.stored, 1, "{told}");
    assert_eq!(fixture.stored(), [("neighbour".to_owned(), vec![(NOW_MS, 7.0)])]);
    told
}

#[test]
fn request_written_by_hand_is_stored() {
    let fixture = Fixture::new();
    #[rustfmt::skip]
    let message = [
        0x22, 0,                                            // symbols: 0 is empty
        0x22, 8, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_',
        0x22, 2, b'u', b'p',
        0x2a, 24,                                           // a series
            0x0a, 2, 1, 2,                                  //   references 1 and 2
            0x12, 16,                                       //   a sample
                0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f,         //     1.5
                0x10, 0x80, 0xd0, 0x95, 0xff, 0xbc, 0x31,   //     1,700,000,000,000
            0x2a, 0,                                        //   no description
    ];
    assert_eq!(fixture.send_v2_message(&message).expect("taken").samples, 1);
    assert_eq!(fixture.stored(), [("up".to_owned(), vec![(NOW_MS, 1.5)])]);
}

#[test]
fn request_is_stored_once_however_often_it_comes() {
    let fixture = Fixture::new();
    let request = Request::new().with(&[UP, ("node", "1")], &[(NOW_MS - 15_000, 1.0), (NOW_MS, 0.0)]).with_neighbour();
    for _ in 0..3 {
        assert_eq!(fixture.send_v2(&request).expect("taken").samples, 3);
    }
    let expected = [
        ("neighbour".to_owned(), vec![(NOW_MS, 7.0)]),
        (r#"up{node="1"}"#.to_owned(), vec![(NOW_MS - 15_000, 1.0), (NOW_MS, 0.0)]),
    ];
    assert_eq!(fixture.stored(), expected);
    assert_eq!(fixture.send_v2(&Request::default()).expect("an empty one is taken").samples, 0);
    assert_eq!(fixture.send_v2(&Request::new().with(&[("__name__", "bare")], &[])).expect("taken").samples, 0);
    assert_eq!(fixture.storage.series_count(), 2, "a series without samples is not made");
}

#[test]
fn one_series_under_other_numbers_and_by_the_other_version_is_one_series() {
    let fixture = Fixture::new();
    let labels = [UP, ("a", "1"), ("b", "2")];
    for round in 0..2 {
        let at = |index: i64| [(NOW_MS + round * 10 + index, 1.0)];
        fixture.send_v2(&Request::new().with(&labels, &at(0))).expect("taken");
        fixture.send_v2(&Request::new().with_neighbour().with(&labels, &at(1))).expect("taken");
        let reversed: Vec<_> = labels.iter().rev().copied().collect();
        fixture.send_v2(&Request::new().with(&reversed, &at(2))).expect("taken");
        fixture.send(vec![series(&labels, &at(3))]).expect("taken");
        fixture.send_v2(&Request::new().with(&[UP, ("a", "1"), ("b", "2"), ("c", "")], &at(4))).expect("taken");
    }
    let stored = fixture.stored();
    assert_eq!(stored.len(), 2);
    assert_eq!((stored[1].0.as_str(), stored[1].1.len()), (r#"up{a="1", b="2"}"#, 10));
}

#[test]
fn series_is_known_again_whatever_bytes_its_references_take() {
    // As many symbols stand before those of the series, so that these have numbers of one, two and three bytes.
    for padding in [0, 125, 126, 200, 20_000] {
        let fixture = Fixture::new();
        let mut request = Request::new();
        let name = request.reference("__name__");
        request.symbols.resize(request.symbols.len() + padding, b"padding".to_vec());
        let (value, label, node) = (request.reference("up"), request.reference("node"), request.reference("1"));
        let samples = series(&[], &[(NOW_MS, 1.0)]).samples;
        request.timeseries.push(Referring {
            labels_refs: vec![name, value, label, node],
            samples,
            histograms: Vec::new(),
        });
        assert_eq!(fixture.send_v2(&request).expect("taken").samples, 1);
        for again in [request, Request::new().with(&[UP, ("node", "1")], &[(NOW_MS, 1.0)])] {
            let rows = fixture.ingest.read_message(Version::Two, &again.encode_to_vec()).expect("a request");
            let (known, new): (usize, usize) =
                rows.batches.iter().fold((0, 0), |(rows, new), batch| (rows + batch.rows.len(), new + batch.new.len()));
            assert_eq!((known, new), (1, 0), "{padding} symbols before");
        }
        assert_eq!(fixture.stored()[0].0, r#"up{node="1"}"#);
    }
}

#[test]
fn times_that_take_fewer_or_more_bytes_than_usual_are_read() {
    let fixture = Fixture::new();
    let times = [0, 1, 127, (1 << 35) - 1, 1 << 35, NOW_MS, NOW_MS + 1];
    for _ in 0..2 {
        for (index, time) in times.into_iter().enumerate() {
            let name = format!("m{index}");
            for value in [1.5, 0.0] {
                let labels = [("__name__", name.as_str()), ("value", if value == 0.0 { "0" } else { "1" })];
                let written = fixture.send_v2(&Request::new().with(&labels, &[(time, value)]));
                assert_eq!(written.expect("taken").samples, 1, "at {time}");
            }
        }
    }
    let stored: Vec<(i64, f64)> = fixture.stored().into_iter().flat_map(|(_, samples)| samples).collect();
    let expected: Vec<(i64, f64)> = times.into_iter().flat_map(|time| [(time, 0.0), (time, 1.5)]).collect();
    assert_eq!(stored, expected);

    // Side by side in one request, each time once and again.
    let mut request = Request::new();
    for (index, time) in times.into_iter().enumerate() {
        for label in ["0", "1"] {
            request = request.with(&[("__name__", &format!("m{index}")), ("value", label)], &[(time, 3.0)]);
        }
    }
    let rows = fixture.ingest.read_message(Version::Two, &request.encode_to_vec()).expect("a request");
    let mut read: Vec<i64> = rows.batches.iter().flat_map(|batch| &batch.rows).map(|row| row.timestamp_ms).collect();
    read.sort_unstable();
    assert_eq!(read, times.into_iter().flat_map(|time| [time, time]).collect::<Vec<i64>>());
}

#[test]
fn same_numbers_for_other_symbols_are_other_series() {
    let fixture = Fixture::new();
    for node in ["1", "2", "3"] {
        fixture.send_v2(&Request::new().with(&[UP, ("node", node)], &[(NOW_MS, 1.0)])).expect("taken");
    }
    // A name and a value that change places, and text that moves from one to the other.
    for (name, value) in [("x", "y"), ("y", "x"), ("xy", "z"), ("x", "yz")] {
        fixture.send_v2(&Request::new().with(&[UP, (name, value)], &[(NOW_MS, 1.0)])).expect("taken");
    }
    assert_eq!(fixture.storage.series_count(), 7);
}

#[test]
fn same_texts_in_other_pairs_are_other_series() {
    let fixture = Fixture::new();
    let lists = [
        [UP, ("a", "b"), ("b", "c"), ("c", "a")],
        [UP, ("a", "c"), ("b", "a"), ("c", "b")],
        [UP, ("a", "a"), ("b", "b"), ("c", "c")],
        [UP, ("a", "b"), ("b", "a"), ("c", "c")],
    ];
    for _ in 0..2 {
        for labels in &lists {
            fixture.send_v2(&Request::new().with(labels, &[(NOW_MS, 1.0)])).expect("taken");
        }
        assert_eq!(fixture.storage.series_count(), lists.len());
    }
}

#[test]
fn same_pairs_in_another_order_are_the_same_series() {
    let fixture = Fixture::new();
    let request = |labels: &[(&str, &str)], value| Request::new().with(labels, &[(NOW_MS + value as i64, value)]);
    fixture.send_v2(&request(&[UP, ("a", "1"), ("b", "2")], 1.0)).expect("taken");
    let other = request(&[("b", "2"), UP, ("a", "1")], 2.0);
    let rows = fixture.ingest.read_message(Version::Two, &other.encode_to_vec()).expect("a request");
    assert!(rows.batches.iter().all(|batch| batch.new.is_empty()), "it is known");
    fixture.send_v2(&other).expect("taken");
    let expected = [(r#"up{a="1", b="2"}"#.to_owned(), vec![(NOW_MS + 1, 1.0), (NOW_MS + 2, 2.0)])];
    assert_eq!(fixture.stored(), expected);
}

#[test]
fn references_to_nothing_and_odd_ones_refuse_their_series_alone() {
    let referring = |labels_refs: Vec<u32>| {
        let mut request = Request::new().with_neighbour();
        request.timeseries[0] = Referring {
            labels_refs,
            samples: series(&[], &[(NOW_MS, 1.0), (NOW_MS + 1, 1.0)]).samples,
            histograms: Vec::new(),
        };
        request
    };
    let told = refused_alone(referring(vec![1, 2, 3, 3]));
    assert_eq!(told.refused, 2, "samples are counted");
    assert!(told.first.contains("reference 3 is to none of the 3 symbols"), "{told}");
    assert!(refused_alone(referring(vec![1, u32::MAX])).first.contains("4294967295"));
    assert!(refused_alone(referring(vec![1, 2, 1])).first.contains("3 label references are not pairs"));
    assert!(refused_alone(referring(vec![])).first.contains("__name__ is missing"));
    assert!(refused_alone(referring(vec![1, 0])).first.contains("__name__ is missing"));
    assert!(refused_alone(referring(vec![1, 2, 0, 2])).first.contains("name is empty"));
    assert!(refused_alone(referring(vec![1, 2, 1, 2])).first.contains("given twice"));
}

#[test]
fn symbols_of_an_earlier_request_are_forgotten() {
    let fixture = Fixture::new();
    fixture.send_v2(&Request::new().with(&[UP, ("a", "1"), ("b", "2")], &[(NOW_MS, 1.0)])).expect("taken");
    let mut request = Request::new().with(&[UP], &[(NOW_MS, 1.0)]);
    request.timeseries[0].labels_refs = vec![1, 2, 3, 4, 5, 6];
    let refused = fixture.send_v2(&request);
    assert!(matches!(&refused, Err(IngestError::Partial(told)) if told.stored == 0), "{refused:?}");
}

#[test]
fn first_symbol_that_is_not_empty_refuses_the_request() {
    let fixture = Fixture::new();
    let mut request = Request::new().with_neighbour();
    request.symbols[0] = b"full".to_vec();
    let error = fixture.send_v2(&request).expect_err("refused");
    assert!(error.status() == 400 && error.to_string().contains("first symbol"), "{error}");
    assert!(fixture.stored().is_empty());
}

#[test]
fn symbol_that_is_not_text_costs_only_the_series_that_name_it() {
    let mut request = Request::new().with(&[UP, ("a", "b")], &[(NOW_MS, 1.0)]);
    request.symbols[4] = vec![0xff, 0xfe];
    assert!(refused_alone(request).first.contains("UTF-8"));
    let mut unused = Request::new().with_neighbour();
    unused.symbols.push(vec![0xff, 0xfe]);
    assert_eq!(Fixture::new().send_v2(&unused).expect("taken").samples, 1);
}

#[test]
fn sixty_four_labels_are_taken_and_sixty_five_refused() {
    let names: Vec<String> = (0..64).map(|index| format!("label_{index:02}")).collect();
    let labels = |count: usize| {
        let mut labels = vec![UP];
        labels.extend(names[..count].iter().map(|name| (name.as_str(), "x")));
        labels
    };
    let told = refused_alone(Request::new().with(&labels(64), &[(NOW_MS, 1.0)]));
    assert!(told.first.contains("65 labels"), "{told}");
    let fixture = Fixture::new();
    for _ in 0..2 {
        let request = Request::new().with(&labels(63), &[(NOW_MS, 1.0)]);
        assert_eq!(fixture.send_v2(&request).expect("64 labels are taken").samples, 1);
    }
}

#[test]
fn what_is_not_stored_is_stepped_over_and_a_bad_native_histogram_refused() {
    let fixture = Fixture::new();
    let series = |parts: &[&[u8]]| field(5, &[&[0x0a, 2, 1, 2], parts.concat().as_slice()].concat());
    let started = [0x12, 6, 0x10, 0x80, 0x01, 0x18, 0x80, 0x01]; // a sample at 128 with a start timestamp
    let (exemplar, created) = ([0x22, 2, 0x7f, 0x7f], [0x30, 0x05]);
    let symbols = Request { timeseries: Vec::new(), ..Request::new().with(&[UP], &[]) }.encode_to_vec();
    let message = [symbols.as_slice(), &series(&[&started, &exemplar, &created])].concat();
    for _ in 0..2 {
        assert_eq!(fixture.send_v2_message(&message).expect("taken").samples, 1);
    }
    assert_eq!(fixture.stored(), [("up".to_owned(), vec![(128, 0.0)])]);
    let histogram = [symbols.as_slice(), &series(&[&started, &[0x1a, 2, 0x08, 1]])].concat();
    for fixture in [&fixture, &Fixture::new()] {
        let refused = fixture.send_v2_message(&histogram);
        let Err(IngestError::Partial(told)) = refused else { panic!("not refused in part: {refused:?}") };
        assert_eq!((told.stored, told.refused), (1, 1));
        assert!(told.to_string().contains("native histogram"), "{told}");
    }
}

/// A request of one described series.
fn described(metric: &str, kind: u8, help: &str, unit: &str) -> Vec<u8> {
    let mut request = Request::new().with(&[("__name__", metric)], &[(NOW_MS, 1.0)]);
    let (help, unit) = (request.reference(help) as u8, request.reference(unit) as u8);
    let series = [request.timeseries.remove(0).encode_to_vec(), field(5, &[0x08, kind, 0x18, help, 0x20, unit])];
    [request.encode_to_vec(), field(5, &series.concat())].concat()
}

#[test]
fn descriptions_are_learned_under_the_name_of_the_family() {
    let fixture = Fixture::new();
    let all = [
        described("orders_total", 1, "Orders taken.", "orders"),
        described("latency_seconds_bucket", 3, "Time to answer.", "seconds"),
        described("latency_seconds_count", 3, "Time to answer.", "seconds"),
        described("sizes_sum", 5, "", "bytes"),
        described("rows_count", 2, "A gauge keeps its name.", ""),
        described("untold", 0, "", ""),
    ];
    for message in all {
        fixture.send_v2_message(&message).expect("taken");
    }
    let told = |kind, help: &str, unit: &str| MetricMeta { kind, help: help.into(), unit: unit.into() };
    let expected = [
        ("latency_seconds".to_owned(), told(MetricKind::Histogram, "Time to answer.", "seconds")),
        ("orders_total".to_owned(), told(MetricKind::Counter, "Orders taken.", "orders")),
        ("rows_count".to_owned(), told(MetricKind::Gauge, "A gauge keeps its name.", "")),
        ("sizes".to_owned(), told(MetricKind::Summary, "", "bytes")),
    ];
    assert_eq!(fixture.ingest.metadata().all(), expected);
}

#[test]
fn changed_description_of_a_known_series_is_noticed_in_time() {
    let fixture = Fixture::new();
    let help = || fixture.ingest.metadata().all().remove(0).1.help;
    fixture.send_v2_message(&described("up", 2, "Before.", "")).expect("taken");
    assert_eq!(help(), "Before.");
    let after = described("up", 2, "After.", "");
    let noticed = (0..1_000).position(|_| {
        fixture.send_v2_message(&after).expect("taken");
        help() == "After."
    });
    assert!(noticed.is_some_and(|requests| requests < 200), "after {noticed:?} requests");
}

#[test]
fn damaged_descriptions_are_passed_over() {
    for damage in [&[0x08][..], &[0x08, 1, 0x18, 0x7f], &[0x0b], &[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
        let fixture = Fixture::new();
        let mut request = Request::new().with(&[UP], &[(NOW_MS, 1.0)]);
        let content = [request.timeseries.remove(0).encode_to_vec(), field(5, damage)].concat();
        let message = [request.encode_to_vec(), field(5, &content)].concat();
        for _ in 0..200 {
            assert_eq!(fixture.send_v2_message(&message).expect("taken").samples, 1);
        }
        assert!(fixture.ingest.metadata().all().iter().all(|(family, _)| family == "up"));
    }
}

#[test]
fn request_announced_as_the_other_version_is_refused_and_not_taken_for_an_empty_one() {
    let fixture = Fixture::new();
    let of_1 = message(vec![neighbour()]);
    let of_2 = Request::default().with_neighbour().encode_to_vec();
    for (version, message, expected) in [
        (Version::Two, &of_1, "the body is remote write 1.0 and is announced as 2.0"),
        (Version::One, &of_2, "the body is remote write 2.0 and is announced as 1.0"),
    ] {
        match fixture.ingest.read_message(version, message) {
            Err(IngestError::Malformed(words)) => assert!(words.contains(expected), "{words}"),
            _ => panic!("not refused, though nothing of it can be stored"),
        }
    }
    assert!(fixture.ingest.read_message(Version::One, &[]).is_ok(), "an empty request is one");
}
