use proptest::prelude::*;

use super::*;

type Pairs = Vec<(String, String)>;

/// A sample with all that it says, owned.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    name: String,
    labels: Pairs,
    bits: u64,
    timestamp_ms: Option<i64>,
}

fn told(sample: &Sample<'_>) -> Told {
    let labels = sample.labels.iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let (name, bits) = (sample.name.clone().into_owned(), sample.value.to_bits());
    Told { name, labels, bits, timestamp_ms: sample.timestamp_ms }
}

fn sample(name: &str, labels: &[(&str, &str)], value: f64, timestamp_ms: Option<i64>) -> Told {
    let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Told { name: name.to_owned(), labels, bits: value.to_bits(), timestamp_ms }
}

/// The samples of a text and its errors.
fn read(text: impl AsRef<[u8]>, format: Format) -> (Vec<Told>, Vec<String>) {
    let (mut samples, mut errors) = (Vec::new(), Vec::new());
    for line in lines(text.as_ref(), format) {
        match line {
            Ok(Line::Sample(sample)) => samples.push(told(&sample)),
            Ok(_) => {}
            Err(error) => errors.push(error.to_string()),
        }
    }
    (samples, errors)
}

/// The only sample of a text without errors.
fn one(text: &str, format: Format) -> Told {
    let (mut samples, errors) = read(text, format);
    assert!(errors.is_empty() && samples.len() == 1, "{text}: {samples:?} {errors:?}");
    samples.remove(0)
}

/// What is said of a line that is refused alone: its neighbours are read.
fn refused(line: &str, format: Format) -> String {
    let (samples, errors) = read(format!("before 1\n{line}\nafter 2\n"), format);
    assert_eq!(samples.iter().map(|sample| sample.name.as_str()).collect::<Vec<_>>(), ["before", "after"], "{line}");
    assert_eq!(errors.len(), 1, "{line}: {errors:?}");
    errors[0].strip_prefix("line 2: ").expect("the second line").to_owned()
}

#[test]
fn samples_of_the_text_format_say_name_labels_value_and_time() {
    let text = Format::Text;
    assert_eq!(one("up 1", text), sample("up", &[], 1.0, None));
    assert_eq!(one("up 1 1395066363000\n", text), sample("up", &[], 1.0, Some(1_395_066_363_000)));
    assert_eq!(one("up -0 -3982045", text), sample("up", &[], -0.0, Some(-3_982_045)));
    let expected =
        sample("http_requests_total", &[("method", "post"), ("code", "200")], 1027.0, Some(1_395_066_363_000));
    for written in [
        r#"http_requests_total{method="post",code="200"} 1027 1395066363000"#,
        r#"http_requests_total{method="post",code="200",} 1027 1395066363000"#,
        "\t http_requests_total {  method = \"post\"\t, code=\"200\" , }\t1.027e3  1395066363000 \t",
        r#"http_requests_total{method="post",code="200"}1027 1395066363000"#,
        r#"{"http_requests_total",method="post",code="200"} 1027 1395066363000"#,
        r#"{method="post","http_requests_total","code"="200"} 1027 1395066363000"#,
        r#"{__name__="http_requests_total",method="post",code="200"} 1027 1395066363000"#,
    ] {
        assert_eq!(one(written, text), expected, "{written}");
    }
}

#[test]
fn names_in_quotes_have_any_letters() {
    let expected = sample("http.größe", &[("shop.id", "4"), ("le", "+Inf")], 2.0, None);
    assert_eq!(one(r#"{"http.größe","shop.id"="4",le="+Inf"} 2"#, Format::Text), expected);
    assert_eq!(one(r#"{"a\"\\b\nc"} 2"#, Format::Text).name, "a\"\\b\nc");
    assert_eq!(one(r#"job:rate:5m{} 2"#, Format::Text), sample("job:rate:5m", &[], 2.0, None));
}

#[test]
fn labels_without_a_value_are_none_and_the_others_are_bounded() {
    let line = |count: usize| {
        let labels: String = (0..count).map(|index| format!("l{index}=\"v\",e{index}=\"\",")).collect();
        format!("a{{{labels}}} 1")
    };
    assert_eq!(one(&line(64), Format::Text).labels.len(), 64);
    assert_eq!(refused(&line(65), Format::Text), "it has more labels than a series may have");
}

#[test]
fn escapes_stand_for_what_they_say_and_unknown_ones_for_themselves() {
    // The example of the format's documentation.
    let line = r#"msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9"#;
    let labels = [("path", r"C:\DIR\FILE.TXT"), ("error", "Cannot find file:\n\"FILE.TXT\"")];
    assert_eq!(one(line, Format::Text), sample("msdos_file_access_time_seconds", &labels, 1_458_255_915.0, None));
    assert_eq!(one(r#"a{b="\d} # {"} 1"#, Format::Text), sample("a", &[("b", r"\d} # {")], 1.0, None));
    assert_eq!(one(r#"a{b="\\"} 1"#, Format::Text), sample("a", &[("b", r"\")], 1.0, None));
}

#[test]
fn nothing_is_allocated_where_nothing_is_escaped() {
    let all: Vec<_> = lines(br#"a{b="c","d.e"="f"} 1"#, Format::Text).collect();
    let [Ok(Line::Sample(Sample { name: Cow::Borrowed("a"), labels, .. }))] = all.as_slice() else { panic!("{all:?}") };
    assert!(labels.iter().all(|(name, value)| matches!((name, value), (Cow::Borrowed(_), Cow::Borrowed(_)))));
}

#[test]
fn values_are_those_that_go_reads() {
    let value = |text: &str| f64::from_bits(one(&format!("a {text}"), Format::Text).bits);
    for (text, expected) in [
        ("+Inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("Infinity", f64::INFINITY),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1.5E-3", 0.0015),
        ("1e-400", 0.0),
        ("4.9e-324", f64::from_bits(1)),
        ("1.7976931348623157e308", f64::MAX),
        ("0.1", 0.1),
        ("9007199254740993", 9_007_199_254_740_992.0),
    ] {
        assert_eq!(value(text).to_bits(), expected.to_bits(), "{text}");
    }
    // Prometheus's normal NaN, so that nobody can send the one that says "stale".
    assert_eq!([value("NaN"), value("nan")].map(f64::to_bits), [0x7ff8_0000_0000_0001; 2]);
    for text in
        ["0x1p-2", "1_000", "1,5", "--1", "e5", ".", "1e", "infin", "1e999", "-1e999", "+NaN", "-nan", "\"1\"", "١"]
    {
        assert!(refused(&format!("a {text}"), Format::Text).contains("its value is"), "{text}");
    }
}

#[test]
fn times_are_milliseconds_in_text_and_seconds_in_openmetrics() {
    let ms = |text: &str, format| one(&format!("a 1 {text}"), format).timestamp_ms;
    assert_eq!(ms("1520879607789", Format::Text), Some(1_520_879_607_789));
    for (text, expected) in [
        ("1520879607.789", 1_520_879_607_789),
        ("1520879607", 1_520_879_607_000),
        ("1.520879607789e9", 1_520_879_607_789),
        ("-1.5", -1500),
        // As floats all of these are a little off.
        ("1.001", 1001),
        ("1700000000.999", 1_700_000_000_999),
        ("0.0004", 0),
    ] {
        assert_eq!(ms(text, Format::OpenMetrics), Some(expected), "{text}");
    }
    for (text, format) in [
        ("1520879607.789", Format::Text),
        ("9223372036854775808", Format::Text),
        ("now", Format::Text),
        ("NaN", Format::OpenMetrics),
        ("+Inf", Format::OpenMetrics),
        ("1e15", Format::OpenMetrics),
    ] {
        assert!(refused(&format!("a 1 {text}"), format).starts_with("its timestamp is not"), "{text}");
    }
    assert_eq!(refused("a 1 2 3", Format::Text), "something stands behind its timestamp");
}

#[test]
fn exemplars_are_read_over() {
    let bucket = r##"foo_bucket{le="10"} 17 1520879607.789 # {trace_id="a}b # {\""} 9.8 1520879607.789"##;
    assert_eq!(one(bucket, Format::OpenMetrics), sample("foo_bucket", &[("le", "10")], 17.0, Some(1_520_879_607_789)));
    for line in ["foo_total 17 # {} 1", "foo_total 17.0 # {a=\"b\",c=\"d\"} 1e3 17", "foo_total 17 # {a=\"b\",} NaN"] {
        assert_eq!(one(line, Format::OpenMetrics), sample("foo_total", &[], 17.0, None), "{line}");
        assert_eq!(one(line, Format::Text), sample("foo_total", &[], 17.0, None), "{line}");
    }
    for line in
        ["a 1 # note", "a 1 # {b=\"c\"}", "a 1 # {\"b\"} 1", "a 1 # {b=\"c\"} 1 2 3", "a 1 # {b=\"c\"} x", "a 1 #"]
    {
        assert!(refused(line, Format::OpenMetrics).contains("exemplar"), "{line}");
    }
}

#[test]
fn lines_that_are_not_of_the_format_are_refused_alone_and_say_why() {
    for (line, why) in [
        ("a", "no value"),
        ("a{}", "no value"),
        ("a{b=\"c\"}", "no value"),
        ("1a 1", "neither a metric's name"),
        ("a.b 1", "other names go into quotes"),
        ("a{b=\"c\" 1", ", or }"),
        ("a{b=\"c} 1", "does not end"),
        ("a{b=\"c\\\"} 1", "does not end"),
        ("a{b=c} 1", "not in quotes"),
        ("a{b} 1", "= is expected"),
        ("a{1b=\"c\"} 1", "a label's name"),
        ("a{b.c=\"d\"} 1", "= is expected"),
        ("a{,} 1", "a label's name"),
        ("a{b=\"c\",,} 1", "a label's name"),
        ("a{b=\"c\" d=\"e\"} 1", ", or }"),
        ("a{\"b\"} 1", "named twice"),
        ("a{__name__=\"b\"} 1", "named twice"),
        ("{\"a\",\"b\"} 1", "named twice"),
        ("{b=\"c\"} 1", "no name"),
        ("{\"\"} 1", "no name"),
        ("{} 1", "no name"),
        ("\"a\" 1", "neither a metric's name"),
        ("# TYPE a thing", "the type is none"),
        ("# TYPE a", "the type is none"),
        ("# TYPE a stateset", "the type is none"),
        ("# HELP 1a x", "a metric's name is expected"),
        ("# HELP a.b x", "goes into quotes"),
        ("# HELP \"a x", "does not end"),
    ] {
        assert!(refused(line, Format::Text).contains(why), "{line}: {}", refused(line, Format::Text));
    }
    let (samples, errors) = read(b"a 1\nb{c=\"\xff\"} 2\nd 3", Format::Text);
    assert_eq!((samples.len(), errors), (2, vec!["line 2: it is not UTF-8".to_owned()]));
}

#[test]
fn metadata_is_read_with_its_escapes() {
    let text = "# HELP  a_seconds   How long\\nit takes: C:\\\\ \\x \\\"q\\\"\n#\tTYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP b\n\
                # TYPE \"c.d\" untyped \n# HELP \"c.d\" ü";
    let told = |format| lines(text.as_bytes(), format).map(|line| line.expect("of the format")).collect::<Vec<_>>();
    let help = |family, help: &'static str| Line::Help { family: Cow::Borrowed(family), help: Cow::Borrowed(help) };
    let kind = |family, kind| Line::Type { family: Cow::Borrowed(family), kind };
    // One blank parts the name from the text, further ones belong to the text.
    let mut expected = vec![
        help("a_seconds", "  How long\nit takes: C:\\ \\x \\\"q\\\""),
        kind("a_seconds", MetricKind::Histogram),
        help("b", ""),
        kind("c.d", MetricKind::Unknown),
        help("c.d", "ü"),
    ];
    assert_eq!(told(Format::Text), expected);
    expected[0] = help("a_seconds", "  How long\nit takes: C:\\ \\x \"q\"");
    expected.insert(2, Line::Unit { family: Cow::Borrowed("a_seconds"), unit: "seconds" });
    assert_eq!(told(Format::OpenMetrics), expected);
    for (name, expected) in [
        ("counter", MetricKind::Counter),
        ("gauge", MetricKind::Gauge),
        ("summary", MetricKind::Summary),
        ("gaugehistogram", MetricKind::GaugeHistogram),
        ("info", MetricKind::Info),
        ("stateset", MetricKind::StateSet),
        ("unknown", MetricKind::Unknown),
    ] {
        let line = format!("# TYPE a {name}");
        let all: Vec<_> = lines(line.as_bytes(), Format::OpenMetrics).collect();
        assert_eq!(all, [Ok(kind("a", expected))]);
    }
}

#[test]
fn comments_blank_lines_and_carriage_returns_say_nothing() {
    let text = "\r\n# a comment\r\n#\n#HELP a b\n# HELP\n \t\n#TYPE\nup{a=\"b\"} 1\r\n\n# HELPER a b\nup 2 3\r\n";
    let (samples, errors) = read(text, Format::Text);
    assert_eq!(samples, [sample("up", &[("a", "b")], 1.0, None), sample("up", &[], 2.0, Some(3))]);
    assert_eq!(errors, [""; 0]);
    let mut all = lines(b"\n\nup 1\n\nup x", Format::Text);
    assert!(all.next().is_some_and(|line| line.is_ok()) && all.number() == 3);
    assert_eq!(all.next(), Some(Err(LineError { line: 5, what: "its value is not a number" })));
    assert_eq!(all.next(), None);
}

#[test]
fn openmetrics_ends_at_eof_and_text_does_not() {
    let text = b"a 1\n# EOF\nb 2\n";
    let mut all = lines(text, Format::OpenMetrics);
    assert!(all.next().is_some_and(|line| line.is_ok()) && !all.has_ended());
    assert_eq!(all.next().map(|line| line.map_err(|error| error.line)), Some(Err(3)));
    assert!(all.has_ended());
    assert_eq!(read(text, Format::Text).0.len(), 2);
}

#[test]
fn the_content_type_chooses_the_format() {
    for (content_type, expected) in [
        (None, Some(Format::Text)),
        (Some("text/plain; version=0.0.4; charset=utf-8"), Some(Format::Text)),
        (Some("application/x-www-form-urlencoded"), Some(Format::Text)),
        (Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), Some(Format::OpenMetrics)),
        (Some("Application/OpenMetrics-Text"), Some(Format::OpenMetrics)),
        (Some("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"), None),
    ] {
        assert_eq!(Format::of_content_type(content_type), expected, "{content_type:?}");
    }
}

/// As the formats' texts say that it is written, by their own words and not by our reader's.
fn written(sample: &Told, format: Format, is_name_quoted: bool) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let is_plain = |name: &str| name.chars().all(|letter| letter.is_ascii_alphabetic());
    let mut items = Vec::new();
    if is_name_quoted {
        items.push(format!("\"{}\"", escaped(&sample.name)));
    }
    for (name, value) in &sample.labels {
        let name = if is_plain(name) { name.clone() } else { format!("\"{}\"", escaped(name)) };
        items.push(format!("{name}=\"{}\"", escaped(value)));
    }
    let name = if is_name_quoted { "" } else { sample.name.as_str() };
    let mut line = format!("{name}{{{}}} {:?}", items.join(","), f64::from_bits(sample.bits));
    if let Some(ms) = sample.timestamp_ms {
        line.push_str(&match format {
            Format::Text => format!(" {ms}"),
            Format::OpenMetrics => format!(" {}.{:03}", ms / 1000, ms % 1000),
        });
    }
    line
}

fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!['a', 'Z', '}', '{', '"', '\\', '\n', 'n', ' ', ',', '=', '#', 'ü', '\t']),
        1..9,
    )
    .prop_map(|letters| letters.into_iter().collect())
}

fn any_sample() -> impl Strategy<Value = Told> {
    let labels = prop::collection::vec((any_text(), any_text()), 0..5);
    // Positive: the text of a negative time of OpenMetrics is not that simple.
    let time = prop::option::of(0_i64..(1 << 50));
    let number = any::<f64>().prop_filter("NaN is one of many", |value| !value.is_nan());
    (any_text(), labels, number, time).prop_map(|(name, labels, value, timestamp_ms)| Told {
        name,
        labels,
        bits: value.to_bits(),
        timestamp_ms,
    })
}

/// Letters that mean something, so that most lines nearly are of the format.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 24] = [
        b"a",
        b"b",
        b"{",
        b"}",
        b"\"",
        b"=",
        b",",
        b" ",
        b"\n",
        b"\\",
        b"# ",
        b"HELP ",
        b"TYPE ",
        b"counter",
        b"1",
        b"2.5",
        b"NaN",
        b"# EOF\n",
        b"\r",
        b"\t",
        b"\xff",
        b"\0",
        b"\xc3\xbc",
        b"__name__",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(samples in prop::collection::vec(any_sample(), 1..6), is_open in any::<bool>()) {
        let format = if is_open { Format::OpenMetrics } else { Format::Text };
        let is_plain = |name: &str| name.chars().all(|letter| letter.is_ascii_alphabetic());
        let text: Vec<String> = samples.iter().map(|sample| written(sample, format, !is_plain(&sample.name))).collect();
        prop_assert_eq!(read(text.join("\n"), format), (samples, vec![]));
    }

    #[test]
    fn simple_lines_are_read_as_prometheus_parse_reads_them(
        name in "[a-z_][a-z0-9_]{0,9}",
        labels in prop::collection::vec(("[a-z_]{1,5}", "[a-z0-9/.: ]{0,8}"), 0..4),
        value in "-?[0-9]{1,9}(\\.[0-9]{1,9})?(e-?[0-9]{1,2})?|NaN|[+-]Inf",
        time in prop::option::of("[0-9]{1,14}"),
    ) {
        let pairs = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect::<Vec<_>>().join(",");
        let pairs = if pairs.is_empty() { pairs } else { format!("{{{pairs}}}") };
        let line = format!("{name}{pairs} {value} {}", time.unwrap_or_default());
        let prometheus_parse::LineInfo::Sample { metric_name, labels, value, timestamp } =
            prometheus_parse::LineInfo::parse(&line) else { panic!("{line}") };
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').expect("a pair");
            (name.to_owned(), value.trim_matches('"').to_owned())
        };
        let expected = Told {
            name: metric_name.to_owned(),
            labels: labels.map(|labels| labels.split(',').map(split).filter(|(_, value)| !value.is_empty()).collect()).unwrap_or_default(),
            bits: if value == "NaN" { 0x7ff8_0000_0000_0001 } else { value.parse::<f64>().unwrap().to_bits() },
            timestamp_ms: timestamp.map(|time| time.parse().unwrap()),
        };
        let is_name = |(name, _): &(String, String)| name == "__name__";
        prop_assume!(!expected.labels.iter().any(is_name));
        prop_assert_eq!(one(&line, Format::Text), expected);
    }

    #[test]
    fn short_and_long_numbers_are_the_nearest_floats(text in "[+-]?[0-9]{0,18}\\.?[0-9]{0,18}(e-?[0-9]{1,3})?") {
        let expected = text.parse::<f64>().ok().filter(|value| value.is_finite());
        let read = number::value(text.as_bytes());
        prop_assert_eq!(read.ok().map(f64::to_bits), expected.map(f64::to_bits), "{}", text);
        let ms = number::timestamp_ms(text.as_bytes(), Format::Text);
        prop_assert_eq!(ms.ok(), text.parse::<i64>().ok(), "{}", text);
    }

    #[test]
    fn hostile_bytes_are_read_or_refused_line_by_line(body in any_body(), is_open in any::<bool>()) {
        let format = if is_open { Format::OpenMetrics } else { Format::Text };
        let mut all = lines(&body, format);
        let mut last = 0;
        while let Some(line) = all.next() {
            prop_assert!(all.number() > last);
            last = all.number();
            if let Ok(Line::Sample(sample)) = line {
                prop_assert!(!sample.name.is_empty());
                let _ = sample.labels.iter().count();
            }
        }
        prop_assert!(last <= body.iter().filter(|byte| **byte == b'\n').count() + 1);
    }
}
