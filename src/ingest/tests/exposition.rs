//! Pushed texts: what of them is stored, refused and remembered.

use std::collections::BTreeMap;
use std::io::Write;

use proptest::prelude::*;

use super::*;

const OPEN_METRICS: TextPush<'_> = TextPush {
    content_type: Some("application/openmetrics-text; version=1.0.0"),
    content_encoding: None,
    extra_labels: &[],
    timestamp_ms: None,
};

impl Fixture {
    fn push_as(&self, push: TextPush<'_>, text: impl AsRef<[u8]>) -> Result<Written, IngestError> {
        self.runtime.block_on(self.ingest.import_text(push, Bytes::copy_from_slice(text.as_ref())))
    }

    fn push(&self, text: &str) -> Result<Written, IngestError> {
        self.push_as(TextPush::default(), text)
    }
}

fn partial(outcome: Result<Written, IngestError>) -> PartialWrite {
    match outcome {
        Err(IngestError::Partial(partial)) => *partial,
        other => panic!("not refused in part: {other:?}"),
    }
}

fn stored(series: &[(&str, &[(i64, f64)])]) -> Vec<(String, Vec<(i64, f64)>)> {
    series.iter().map(|(labels, samples)| (labels.to_string(), samples.to_vec())).collect()
}

#[test]
fn samples_are_stored_at_their_time_or_now() {
    let fixture = Fixture::new();
    let text = format!("up{{job=\"shop\"}} 1\nup 2 {}\n\norders_total 3", NOW_MS - 5);
    assert_eq!(fixture.push(&text).expect("taken").samples, 3);
    let at = TextPush { timestamp_ms: Some(NOW_MS - 7), ..TextPush::default() };
    assert_eq!(fixture.push_as(at, format!("later 4\nup 5 {NOW_MS}")).expect("taken").samples, 2);
    assert_eq!(
        fixture.stored(),
        stored(&[
            ("later", &[(NOW_MS - 7, 4.0)]),
            ("orders_total", &[(NOW_MS, 3.0)]),
            ("up", &[(NOW_MS - 5, 2.0), (NOW_MS, 5.0)]),
            (r#"up{job="shop"}"#, &[(NOW_MS, 1.0)]),
        ])
    );
}

#[test]
fn one_series_in_all_its_spellings_is_one_series() {
    let fixture = Fixture::new();
    let spellings = [
        r#"up{a="b",job="shop"}"#,
        r#"up{job="shop",a="b"}"#,
        r#"up { job = "shop" , a="b", }"#,
        r#"{"up",job="shop",a="b"}"#,
        r#"{__name__="up",job="shop",a="b",empty=""}"#,
    ];
    // Twice: the first time each is parsed, the second time each is known by its text.
    for round in 0..2 {
        let line = |(index, spelling): (usize, &&str)| format!("{spelling} 1 {}\n", NOW_MS + 10 * round + index as i64);
        let text: String = spellings.iter().enumerate().map(line).collect();
        assert_eq!(fixture.push(&text).expect("taken").samples, 5, "round {round}");
    }
    // And remote write means the same by it.
    let of_remote_write = series(&[("__name__", "up"), ("a", "b"), ("job", "shop")], &[(NOW_MS + 20, 1.0)]);
    fixture.send(vec![of_remote_write]).expect("taken");
    let all = fixture.stored();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].0.as_str(), all[0].1.len()), (r#"up{a="b", job="shop"}"#, 11));
}

#[test]
fn extra_labels_take_the_place_of_own_ones_and_keep_series_apart() {
    let fixture = Fixture::new();
    let labels = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let text = "up{job=\"own\",node=\"1\"} 1\nup 2\n";
    let pushes = [labels(&[("job", "a")]), labels(&[("job", "b"), ("node", "")]), labels(&[])];
    for _ in 0..2 {
        for extra_labels in &pushes {
            let push = TextPush { extra_labels, ..TextPush::default() };
            // Of the second push both lines are one series and one time: the first value stays.
            let _ = fixture.push_as(push, text);
        }
    }
    let names: Vec<String> = fixture.stored().into_iter().map(|(labels, _)| labels).collect();
    let expected = ["up", r#"up{job="a"}"#, r#"up{job="a", node="1"}"#, r#"up{job="b"}"#, r#"up{job="own", node="1"}"#];
    assert_eq!(names, expected);
}

#[test]
fn refused_lines_leave_their_neighbours_and_are_told() {
    let fixture = Fixture::new();
    let text = "a 1\nb{c=d} 2\n# TYPE e strange\ne 3\nf{g=\"1\",g=\"2\"} 4\nh x\nh y\n";
    let told = partial(fixture.push(text));
    assert_eq!((told.stored, told.refused), (2, 5));
    assert_eq!(told.first, "line 2, \"b{c=d} 2\": a label's value is not in quotes");
    let count = |what: &str| told.reasons.iter().find(|(reason, _)| reason.contains(what)).map(|(_, count)| *count);
    assert_eq!(
        (count("value is not a number"), count("the type is none"), count("twice")),
        (Some(2), Some(1), Some(1))
    );
    assert_eq!(fixture.stored(), stored(&[("a", &[(NOW_MS, 1.0)]), ("e", &[(NOW_MS, 3.0)])]));
}

#[test]
fn refused_line_of_a_known_series_is_refused_as_that_of_an_unknown_one() {
    let fixture = Fixture::new();
    fixture.push("a{b=\"c\"} 1\nd 1").expect("taken");
    let known = partial(fixture.push("a{b=\"c\"} x\nd {a=\"} 2\nd\na{b=\"c\"}}1\na{b=\"c\"} 1 2 3"));
    let unknown = partial(Fixture::new().push("a{b=\"c\"} x\nd {a=\"} 2\nd\na{b=\"c\"}}1\na{b=\"c\"} 1 2 3"));
    assert_eq!((known.stored, known.refused, known.reasons), (0, 5, unknown.reasons));
}

#[test]
fn openmetrics_that_was_cut_off_is_stored_and_told() {
    let fixture = Fixture::new();
    assert_eq!(fixture.push_as(OPEN_METRICS, "a 1 1700000000.5\n# EOF\n").expect("taken").samples, 1);
    let told = partial(fixture.push_as(OPEN_METRICS, "a 2 1700000001\n"));
    assert_eq!((told.stored, told.refused), (1, 1));
    assert!(told.first.contains("# EOF"), "{}", told.first);
    let told = partial(fixture.push_as(OPEN_METRICS, "a 3 1700000002\n# EOF\nb 1\nb 2\n"));
    assert_eq!((told.stored, told.refused), (1, 2));
    let times = [(NOW_MS + 500, 1.0), (NOW_MS + 1000, 2.0), (NOW_MS + 2000, 3.0)];
    assert_eq!(fixture.stored(), stored(&[("a", &times)]));
}

#[test]
fn exemplars_do_not_hide_known_series() {
    let fixture = Fixture::new();
    for second in 0..3 {
        let text = format!(
            "a_bucket{{le=\"1\"}} {second} 170000000{second} # {{id=\"}} \"}} 1\na_total {second} 170000000{second} # {{}} 1\n# EOF"
        );
        assert_eq!(fixture.push_as(OPEN_METRICS, text).expect("taken").samples, 2);
    }
    let times = [0, 1, 2].map(|second: i64| (NOW_MS + 1000 * second, second as f64));
    assert_eq!(fixture.stored(), stored(&[(r#"a_bucket{le="1"}"#, &times), ("a_total", &times)]));
}

#[test]
fn what_is_no_text_is_refused_whole() {
    let fixture = Fixture::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"up 1\n").expect("a Vec takes all");
    let gzip = gzip.finish().expect("a Vec takes all");
    for (body, at) in [(gzip.as_slice(), "byte 0"), (b"up\xff 1\n", "byte 2"), (b"a 1\0\nb 2", "byte 3")] {
        let error = fixture.push_as(TextPush::default(), body).expect_err("refused");
        assert_eq!(error.status(), 400);
        assert!(matches!(&error, IngestError::Malformed(what) if what.contains(at)), "{error}");
    }
    let protobuf = TextPush { content_type: Some("application/vnd.google.protobuf"), ..TextPush::default() };
    assert_eq!(fixture.push_as(protobuf, "up 1").expect_err("refused").status(), 415);
    assert!(fixture.stored().is_empty());
    assert_eq!(fixture.push("").expect("nothing is nothing wrong").samples, 0);
    let zipped = TextPush { content_encoding: Some("gzip"), ..TextPush::default() };
    assert_eq!(fixture.push_as(zipped, gzip).expect("taken").samples, 1);
}

#[test]
fn limits_count_new_series_and_samples() {
    let limits = IngestLimits { series_per_request_max: 3, samples_per_request_max: 6, ..IngestLimits::default() };
    let fixture = Fixture::with_limits(limits);
    let told = |text: &str| fixture.push(text).expect_err("refused").to_string();
    assert!(told("a 1\nb 1\nc 1\nd 1\n").contains("limits.series_per_request_max = 3"));
    assert!(fixture.stored().is_empty(), "over a limit nothing is stored");
    assert!(told(&"x\n".repeat(7)).contains("more wrong lines than limits.samples_per_request_max = 6"));
    // Many samples of one new series are one series.
    let many: String = (0..6).map(|index| format!("a 1 {}\n", NOW_MS + index)).collect();
    assert_eq!(fixture.push(&many).expect("taken").samples, 6);
    assert!(told(&format!("{many}a 1 {}", NOW_MS + 6)).contains("limits.samples_per_request_max = 6"));
}

#[test]
fn descriptions_are_kept_and_what_a_push_does_not_say_stays() {
    let fixture = Fixture::new();
    let text = "# HELP a_seconds First.\n# TYPE a_seconds gauge\na_seconds 1\n# TYPE b histogram\n# HELP b Second.\n";
    fixture.push(text).expect("taken");
    fixture.push_as(OPEN_METRICS, "# TYPE a_seconds summary\n# UNIT a_seconds seconds\n# EOF").expect("taken");
    let meta = |kind, help: &str, unit: &str| MetricMeta { kind, help: help.to_owned(), unit: unit.to_owned() };
    let expected = [
        ("a_seconds".to_owned(), meta(MetricKind::Summary, "First.", "seconds")),
        ("b".to_owned(), meta(MetricKind::Histogram, "Second.", "")),
    ];
    assert_eq!(fixture.ingest.metadata().all(), expected);
    let changes = fixture.ingest.metadata().changes();
    fixture.push("# HELP a_seconds First.\n# HELP b Second.").expect("taken");
    assert_eq!(fixture.ingest.metadata().changes(), changes, "nothing new");
}

/// The last word on what a text stores: `lines`, which knows no look-ups, into maps.
fn oracle(text: &[u8], now_ms: i64) -> (BTreeMap<String, BTreeMap<i64, u64>>, u64) {
    let (mut all, mut refused): (BTreeMap<String, BTreeMap<i64, u64>>, _) = (BTreeMap::new(), 0);
    for line in lines(text, Format::Text) {
        let Ok(line) = line else {
            refused += 1;
            continue;
        };
        let Line::Sample(sample) = line else { continue };
        let own = sample.labels.iter().map(|(name, value)| (name.into_owned(), value.into_owned()));
        let pairs = own.chain([("__name__".to_owned(), sample.name.clone().into_owned())]);
        match Labels::from_pairs(pairs) {
            Ok(labels) => {
                let times = all.entry(labels.to_string()).or_default();
                times.insert(sample.timestamp_ms.unwrap_or(now_ms), sample.value.to_bits());
            }
            Err(_) => refused += 1,
        }
    }
    (all, refused)
}

/// Lines of few series in many spellings, good and bad.
fn any_lines() -> impl Strategy<Value = Vec<String>> {
    let series = prop::sample::select(vec![
        "a",
        "a{}",
        "a {b=\"c\"}",
        "a{b=\"c\"}",
        "a{b=\"}\"}",
        "a{b=\"# {\"}",
        "{\"a\"}",
        "{\"a\",b=\"c\"}",
        "a{b=\"c\",}",
        "a{b=\"c\"",
        "a}",
        "a{b=\"c\"}}",
        "a{b=\"\\\"} 5\"}",
        "a{b=\"c\",b=\"d\"}",
        "a{b=\"\"}",
        "é",
        "# HELP a",
        "#",
        "",
    ]);
    let rest = prop::sample::select(vec![
        " 1",
        "\t1",
        "1",
        " 2 ",
        " NaN",
        " x",
        "",
        " 1 # {} 1",
        " 1 # {b=\"}\"} 1",
        " 1 }",
        " {b=\"c\"} 1",
        " 1 1 1",
        " # {} 1",
    ]);
    let line = (series, rest).prop_map(|(series, rest)| format!("{series}{rest}"));
    prop::collection::vec(line, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn looking_known_series_up_stores_what_reading_each_line_does(pushes in prop::collection::vec(any_lines(), 1..5)) {
        let fixture = Fixture::new();
        for (round, push) in pushes.iter().enumerate() {
            // Every line has a time of its own, so that none of them is the repetition of another.
            let mut expected = BTreeMap::new();
            for (index, line) in push.iter().enumerate() {
                let at_ms = NOW_MS + 100 * round as i64 + index as i64;
                let (all, not) = oracle(line.as_bytes(), at_ms);
                expected.extend(all.into_iter().flat_map(|(labels, times)| {
                    times.into_iter().map(move |(ms, bits)| ((labels.clone(), ms), bits))
                }));
                let at = TextPush { timestamp_ms: Some(at_ms), ..TextPush::default() };
                match fixture.push_as(at, line) {
                    Ok(_) => prop_assert_eq!(not, 0, "{}", line),
                    Err(IngestError::Partial(partial)) => prop_assert_eq!(partial.refused, not, "{}", line),
                    Err(other) => panic!("{line}: {other}"),
                }
            }
            let found: BTreeMap<(String, i64), u64> = fixture
                .stored()
                .into_iter()
                .flat_map(|(labels, times)| times.into_iter().map(move |(ms, value)| ((labels.clone(), ms), value.to_bits())))
                .filter(|((_, ms), _)| *ms >= NOW_MS + 100 * round as i64)
                .collect();
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn any_bytes_are_stored_or_refused_and_never_end_the_shard(
        body in prop::collection::vec(prop::sample::select(b"ab{}\"=, \n\\#1\t\xff\0".to_vec()), 0..200),
        is_open in any::<bool>(),
    ) {
        let fixture = Fixture::new();
        let push = if is_open { OPEN_METRICS } else { TextPush::default() };
        for _ in 0..2 {
            let _ = fixture.push_as(push, &body);
        }
        prop_assert_eq!(fixture.push("after 1").expect("taken").samples, 1);
    }
}
