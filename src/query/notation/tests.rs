//! What is written, and what comes of it by Prometheus's documentation of unit tests.

use super::*;

fn numbers(text: &str) -> Vec<Option<f64>> {
    let number = |written: WrittenValue| written.value.number().expect("a number");
    parse_values(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .into_iter()
        .map(|one| one.map(number))
        .collect()
}

fn all<const N: usize>(values: [f64; N]) -> Vec<Option<f64>> {
    values.map(Some).to_vec()
}

#[test]
fn values_are_expanded() {
    assert_eq!(numbers("-2+4x3"), all([-2.0, 2.0, 6.0, 10.0]));
    assert_eq!(numbers(" 1-2x4"), all([1.0, -1.0, -3.0, -5.0, -7.0]));
    assert_eq!(numbers(" 1x4"), all([1.0; 5]));
    assert_eq!(numbers("1 _x2 _ 5"), [Some(1.0), None, None, None, Some(5.0)]);
    assert_eq!(numbers("-1e1+1e1x2 .5 1_000 0xff"), all([-10.0, 0.0, 10.0, 0.5, 1000.0, 255.0]));
    // An x with digits behind it repeats: this is no hexadecimal number.
    assert_eq!(numbers("0x2"), all([0.0; 3]));
    assert!(numbers("stale")[0].is_some_and(crate::model::is_stale));
    assert_eq!(numbers("Inf -inf"), all([f64::INFINITY, f64::NEG_INFINITY]));
}

#[test]
fn histograms_grow_step_by_step() {
    let values = parse_values("{{count:3 sum:5}}+{{count:1 sum:2}}x2 7").unwrap();
    let counts = values.iter().flatten().map(|written| match &written.value {
        Sampled::Histogram(histogram) => histogram.count,
        Sampled::Number(number) => *number,
    });
    assert_eq!(counts.collect::<Vec<f64>>(), [3.0, 4.0, 5.0, 7.0]);
}

/// Each of them is refused by promtool too.
#[test]
fn what_is_no_value_is_refused() {
    for text in [
        "1 2,3",
        "stalex3",
        "1x",
        "x3",
        "1+x3",
        "1+1",
        "1x-1",
        "1 x 3",
        "_x",
        "0x1x2",
        "-_",
        "Infx2",
        "1+infx2",
        "1\n2",
        "1e1000",
        "--1",
        "{{schema:1}}5",
        "{{schema:1 foo:2}}",
        "{{count:1}}+{{count:1}}",
        "1x99999999",
        "5 \"",
    ] {
        assert!(parse_values(text).is_err(), "{text}");
    }
    assert!(parse_values(&"1x900000 ".repeat(2)).is_err(), "too many together");
}

#[test]
fn series_are_read_up_to_their_end() {
    for (text, labels, rest) in [
        ("x 1 2", "x", " 1 2"),
        ("x{a=\"b\",} 1", "x{a=\"b\"}", " 1"),
        ("x{a=\"}\\\"\", b='{'} 1", "x{a=\"}\\\"\", b=\"{\"}", " 1"),
        ("{\"x.y\", a=`b`}", "x.y{a=\"b\"}", ""),
        ("{}", "{}", ""),
        ("", "{}", ""),
    ] {
        let (read, left) = parse_series(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((read.to_string().as_str(), left), (labels, rest), "{text}");
    }
    for text in ["x{a=\"b\"", "x{a!=\"b\"}", "x{a=~\"b\"}", "x{a=b}", "x{a=\"b\" b=\"c\"}", "1x", "x{a=\"b\", a=\"c\"}"]
    {
        assert!(parse_series(text).is_err(), "{text}");
    }
}
