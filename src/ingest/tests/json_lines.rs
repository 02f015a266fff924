//! JSON lines: what VictoriaMetrics takes is taken, and what we write comes back bit for bit.

use proptest::prelude::*;

use super::*;
use crate::model::{STALE_NAN_BITS, stale_nan};

/// Prometheus's ordinary NaN.
const NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

impl Fixture {
    fn send_lines(&self, body: &[u8], extra: &[(&str, &str)]) -> Result<Written, IngestError> {
        let extra: Vec<(String, String)> =
            extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.runtime.block_on(self.ingest.json_lines(Bytes::copy_from_slice(body), None, &extra))
    }
}

/// Labels as written, times and bits of values.
type ReadLine = (Vec<(String, String)>, Vec<(i64, u64)>);

fn read(line: &str) -> Result<ReadLine, JsonLineError> {
    let mut read = JsonLine::default();
    read.read(line.as_bytes(), 100)?;
    let labels = read.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok((labels, read.samples().map(|(timestamp_ms, value)| (timestamp_ms, value.to_bits())).collect()))
}

fn value_of(text: &str) -> Option<u64> {
    let line = format!(r#"{{"metric":{{"a":"b"}},"values":[{text}],"timestamps":[1]}}"#);
    read(&line).ok().map(|(_, samples)| samples[0].1)
}

#[test]
fn every_spelling_of_a_value_is_read() {
    let infinity = f64::INFINITY.to_bits();
    for text in ["Inf", "inf", "+Inf", "Infinity", r#""Infinity""#, r#""infinity""#, r#""Inf""#, r#""inf""#] {
        assert_eq!(value_of(text), Some(infinity), "{text}");
    }
    for text in ["-Inf", "-inf", "-Infinity", r#""-Infinity""#, r#""-Inf""#] {
        assert_eq!(value_of(text), Some(f64::NEG_INFINITY.to_bits()), "{text}");
    }
    for text in ["null", "NaN", "nan", r#""null""#, r#""NaN""#, r#""nan""#] {
        assert_eq!(value_of(text), Some(NAN_BITS), "{text}");
    }
    for (text, value) in [("1", 1.0), ("-0", -0.0), ("1e+06", 1e6), ("4.9e-324", 5e-324), ("0.1", 0.1)] {
        assert_eq!(value_of(text), Some(f64::to_bits(value)), "{text}");
    }
    for text in ["", "1e999", "0x10", "true", r#""1""#, r#""foo""#, "[1]", "1_000", "--1"] {
        assert_eq!(value_of(text), None, "{text}");
    }
}

#[test]
fn fields_come_in_any_order_and_unknown_ones_are_passed_over() {
    let line = r#" { "timestamps" : [ 1 , -2 ] , "x" : {"y":[1,"]",null,{}]} , "values":[1.5,2],"metric":{"b":"2","a":"1"} } "#;
    let (labels, samples) = read(line).expect("it is right");
    assert_eq!(labels, [("b", "2"), ("a", "1")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(samples, [(1, 1.5f64.to_bits()), (-2, 2f64.to_bits())]);
}

#[test]
fn escapes_of_json_and_of_go_are_read() {
    let value = |text: &str| {
        read(&format!(r#"{{"metric":{{"a":"{text}"}},"values":[1],"timestamps":[1]}}"#)).map(|read| read.0[0].1.clone())
    };
    let good = [
        (r#"\"\\\/\n\t\r\b\f"#, "\"\\/\n\t\r\u{8}\u{c}"),
        (r"\u00e9\ud83d\ude00", "é😀"),
        (r"\a\v\x7f\U0001f600", "\u{7}\u{b}\u{7f}😀"),
        ("é😀", "é😀"),
    ];
    for (text, expected) in good {
        assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
    }
    for text in [r"\ud83d", r"\ud83d\u0041", r"\ude00", r"\u00e", r"\q", r"\é", r"\xff", r"\U99999999", "\\"] {
        assert!(value(text).is_err(), "{text}");
    }
}

#[test]
fn line_that_is_not_of_the_form_says_where() {
    let wrong = |line: &str| match read(line) {
        Err(JsonLineError::Malformed { at, .. }) => at,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(wrong("foo"), 0);
    assert_eq!(wrong(r#"{"metric":123}"#), 10);
    assert_eq!(wrong(r#"{"metric":{"a":1}}"#), 15);
    assert_eq!(wrong(r#"{"metric":{"a":"b"},"values":[1,x],"timestamps":[1,2]}"#), 32);
    assert_eq!(wrong(r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1.5]}"#), 47);
    for line in [
        "{}",
        "[1]",
        r#"{"metric":{},"values":[1],"timestamps":[1]}"#,
        r#"{"metric":{"a":"b"},"values":[],"timestamps":[]}"#,
        r#"{"metric":{"a":"b"},"values":[1,2],"timestamps":[1]}"#,
        r#"{"metric":{"a":"b"},"values":null,"timestamps":[1]}"#,
        r#"{"metric":{"a":"b"},"timestamps":[1]}"#,
        r#"{"metric":{"a":"b"},"values":[2],"timestamps":[4]}{}"#,
        r#"{"metric":{"a":"b"},"values":[2],"values":[2],"timestamps":[4]}"#,
        r#"{"metric":{"a":"b"},"values":[2],"timestamps":[4],"nan_bits":["7ff8000000000002"]}"#,
        r#"{"metric":{"a":"b"},"values":[null],"timestamps":[4],"nan_bits":["3ff0000000000000"]}"#,
        r#"{"metric":{"a":"b"},"values":[2],"timestamps":[4]"#,
        r#"{"left_out":["a block"]}"#,
    ] {
        wrong(line);
    }
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    wrong(&deep);
    assert_eq!(read("  \r"), Err(JsonLineError::Empty));
    let many = format!(r#"{{"metric":{{"a":"b"}},"values":[{}1],"timestamps":[1]}}"#, "1,".repeat(100));
    assert_eq!(read(&many), Err(JsonLineError::TooManySamples));
}

#[test]
fn staleness_marker_is_null_to_others_and_itself_to_us() {
    let labels = Labels::from_pairs([("__name__", "up")]).expect("labels");
    let mut text = Vec::new();
    append_line(&labels, &[1, 2, 3], &[f64::from_bits(NAN_BITS), stale_nan(), f64::NEG_INFINITY], &mut text);
    let text = String::from_utf8(text).expect("JSON is text");
    let expected = r#"{"metric":{"__name__":"up"},"values":[null,null,"-Infinity"],"timestamps":[1,2,3],"nan_bits":["7ff8000000000001","7ff0000000000002"]}"#;
    assert_eq!(text, format!("{expected}\n"));
    let json: serde_json::Value = serde_json::from_str(&text).expect("whoever reads JSON can read it");
    assert_eq!(json["values"][1], serde_json::Value::Null);
    let (_, samples) = read(&text).expect("we read what we write");
    assert_eq!(samples, [(1, NAN_BITS), (2, STALE_NAN_BITS), (3, f64::NEG_INFINITY.to_bits())]);

    let mut ordinary = Vec::new();
    append_line(&labels, &[1], &[f64::from_bits(NAN_BITS)], &mut ordinary);
    assert!(!String::from_utf8_lossy(&ordinary).contains("nan_bits"), "an ordinary NaN needs no more than null");
}

#[test]
fn bad_line_is_refused_alone_with_its_number() {
    let fixture = Fixture::new();
    let good = |name: &str| format!(r#"{{"metric":{{"__name__":"{name}"}},"values":[1],"timestamps":[{NOW_MS}]}}"#);
    let body = format!("{}\n\ngarbage\n{}", good("one"), good("two"));
    let Err(IngestError::Partial(partial)) = fixture.send_lines(body.as_bytes(), &[]) else {
        panic!("a part is wrong")
    };
    assert_eq!((partial.stored, partial.refused), (2, 1));
    assert_eq!(partial.first, "line 3 at byte 0: here should be an object: {");
    let names: Vec<String> = fixture.stored().into_iter().map(|(labels, _)| labels).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn line_with_more_labels_than_a_series_may_have_is_refused_alone_where_the_first_of_them_ends() {
    let fixture = Fixture::new();
    // With the name that is `count` labels, and as many without a value, which are none.
    let line = |name: &str, count: usize| {
        let labels: String = (1..count).map(|index| format!(r#","l{index:02}":"v","e{index}":"""#)).collect();
        format!(r#"{{"metric":{{"__name__":"{name}"{labels}}},"values":[1],"timestamps":[{NOW_MS}]}}"#)
    };
    let body = format!("{}\n{}\n{}", line("one", 64), line("two", 65), line("three", 1));
    let Err(IngestError::Partial(partial)) = fixture.send_lines(body.as_bytes(), &[]) else {
        panic!("a part is wrong")
    };
    assert_eq!((partial.stored, partial.refused), (2, 1));
    let at = line("two", 65).find(r#","e64""#).expect("it is there");
    assert_eq!(partial.first, format!("line 2 at byte {at}: it has more labels than a series may have"));
}

#[test]
fn extra_labels_take_the_place_of_own_ones() {
    let fixture = Fixture::new();
    let body = format!(r#"{{"metric":{{"__name__":"up","job":"own"}},"values":[1],"timestamps":[{NOW_MS}]}}"#);
    let written = fixture.send_lines(body.as_bytes(), &[("job", "theirs"), ("site", "eu")]).expect("it is right");
    assert_eq!(written.samples, 1);
    assert_eq!(fixture.stored()[0].0, r#"up{job="theirs", site="eu"}"#);
}

#[test]
fn more_samples_than_a_request_may_have_are_refused_as_a_whole() {
    let fixture = Fixture::with_limits(IngestLimits { samples_per_request_max: 2, ..IngestLimits::default() });
    let line = |values: &str, times: &str| {
        format!("{{\"metric\":{{\"__name__\":\"up\"}},\"values\":[{values}],\"timestamps\":[{times}]}}\n")
    };
    let one = line("1,2,3", "1,2,3");
    assert_eq!(fixture.send_lines(one.as_bytes(), &[]).expect_err("too many").status(), 413);
    let several = line("1", "1").repeat(3);
    assert_eq!(fixture.send_lines(several.as_bytes(), &[]).expect_err("too many").status(), 413);
    assert!(fixture.stored().is_empty());
}

proptest! {
    #[test]
    fn what_is_written_comes_back_bit_for_bit(
        samples in prop::collection::vec((any::<i64>(), any::<u64>()), 1..40),
        value in "\\PC{1,20}|[\\x00-\\x7f]{1,20}",
    ) {
        let labels = Labels::from_pairs([("__name__", "m"), ("label", value.as_str())]).expect("labels");
        let (times, bits): (Vec<i64>, Vec<u64>) = samples.iter().copied().unzip();
        let values: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
        let mut text = Vec::new();
        append_line(&labels, &times, &values, &mut text);
        let text = String::from_utf8(text).expect("JSON is text");
        prop_assert_eq!(text.matches('\n').count(), 1, "one line");
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        let (back, came) = read(&text).expect("we read what we write");
        prop_assert_eq!(&back[1].1, &value);
        prop_assert_eq!(came, samples);
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = JsonLine::default().read(&bytes, 10);
    }

    #[test]
    fn damaged_lines_never_panic(at in 0usize..130, byte in any::<u8>(), cut in 0usize..130) {
        let line = r#"{"metric":{"__name__":"up","a":"\u00e9\ud83d\ude00\n"},"values":[1e5,null,"-Inf"],"timestamps":[1,2,3],"nan_bits":["7ff0000000000002"]}"#;
        let mut bytes = line.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = JsonLine::default().read(&bytes, 10);
        let _ = JsonLine::default().read(&bytes[..cut], 10);
    }
}
