//! Times, names and numbers as text.

use super::super::json::{self, JsonText};
use super::super::parameters::{parse_span_ms, parse_time_ms, unescape_label_name};
use super::*;
use crate::query::{Answer, Sampled, Value};

#[test]
fn times_are_seconds_or_rfc_3339() {
    let read = |text| parse_time_ms(text).ok();
    assert_eq!(read("4"), Some(4_000));
    assert_eq!(read("1435781451.781"), Some(1_435_781_451_781));
    assert_eq!(read("0.0005"), Some(1));
    assert_eq!(read("-1.25"), Some(-1_250));
    assert_eq!(read("1e3"), Some(1_000_000));
    assert_eq!(read("2015-07-01T20:10:51.781Z"), Some(1_435_781_451_781));
    assert_eq!(read("2015-07-01T22:10:51.781+02:00"), Some(1_435_781_451_781));
    assert!(read("-292273086-05-16T16:47:06Z") < Some(-1_000_000_000_000_000));
    assert!(read("292277025-08-18T07:12:54.999999999Z") > Some(1_000_000_000_000_000));
    for wrong in ["", "x", "inf", "NaN", "2015-07-01", "2015-13-01T00:00:00Z", "12:00"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[test]
fn durations_are_seconds_or_words() {
    assert_eq!(parse_span_ms("0.5"), Ok(500));
    assert_eq!(parse_span_ms("1h30m"), Ok(5_400_000));
    assert_eq!(parse_span_ms("-5"), Ok(-5_000));
    assert!(parse_span_ms("1e300").is_err());
    assert!(parse_span_ms("NaN").is_err());
    assert!(parse_span_ms("").is_err());
}

#[test]
fn label_names_are_unescaped_as_prometheus_escapes_them() {
    assert_eq!(unescape_label_name("job"), "job");
    assert_eq!(unescape_label_name("U__http_2e_status"), "http.status");
    assert_eq!(unescape_label_name("U__a__b_20ac_c"), "a_b€c");
    for not_escaped in ["U__a_zz_b", "U__a_2e", "U__d800_d800_", "U_a"] {
        assert_eq!(unescape_label_name(not_escaped), not_escaped);
    }
}

#[test]
fn strings_are_escaped_as_json_needs_it() {
    let mut text = JsonText::new();
    let awkward = "\u{0}\u{1f} \"\\/\n\r\t\u{7f}€😀</script>";
    text.string(awkward);
    let bytes = text.into_bytes();
    assert_eq!(serde_json::from_slice::<String>(&bytes).expect("it is JSON"), awkward);
    assert!(bytes.starts_with(b"\"\\u0000\\u001f \\\"\\\\/\\n\\r\\t"));
}

#[test]
fn values_are_written_as_go_writes_them() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-17.0, "-17"),
        (0.1, "0.1"),
        (999_999_999_999_999.0, "999999999999999"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1e-6, "0.000001"),
        (-1e-7, "-1e-07"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        let answer = Answer {
            value: Value::Vector(vec![(Arc::new(Labels::empty()), -1_001, Sampled::Number(value))]),
            warnings: Vec::new(),
            infos: Vec::new(),
            kept_as: None,
        };
        let text = String::from_utf8(json::answer(&answer, None).into_bytes()).expect("JSON is UTF-8");
        let expected = format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[-1.001,"{expected}"]}}]}}}}"#
        );
        assert_eq!(text, expected);
    }
}

#[test]
fn warnings_and_infos_are_there_only_when_there_are_any() {
    let many = |what: &str| (0..10).map(|index| format!("{what} {index}")).collect::<Vec<_>>();
    let answer =
        Answer { value: Value::Scalar(10, 1.0), warnings: many("w"), infos: vec!["i".to_owned()], kept_as: None };
    let text = String::from_utf8(json::answer(&answer, None).into_bytes()).expect("JSON is UTF-8");
    assert!(
        text.starts_with(
            r#"{"status":"success","data":{"resultType":"scalar","result":[0.01,"1"]},"warnings":["w 0","#
        )
    );
    assert!(text.ends_with(r#","w 9"],"infos":["i"]}"#), "{text}");
}
