use super::{
    LABELS_COUNT_MAX, Labels, LabelsError, MatchOp, Matcher, STALE_NAN_BITS, SeriesRef, format_general, format_plain,
    is_stale, percent_decoded, percent_encoded, quoted, quoted_bytes, stale_nan, unquoted,
};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn matches(pattern: &str, value: &str) -> bool {
    Matcher::new("l", MatchOp::Matches, pattern).unwrap().matches(value)
}

#[test]
fn pairs_are_sorted_and_empty_values_mean_absence() {
    let set = labels(&[("b", "2"), ("a", "1"), ("c", "")]);
    assert_eq!(set.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    assert_eq!(set.get("c"), None);
    assert_eq!(set, labels(&[("a", "1"), ("b", "2")]));
    assert_eq!(set.hash(), labels(&[("a", "1"), ("b", "2")]).hash());
}

#[test]
fn pieces_that_join_to_the_same_text_are_different_sets() {
    let (one, other) = (labels(&[("a", "bc")]), labels(&[("ab", "c")]));
    assert_ne!(one, other);
    assert_ne!(one.hash(), other.hash());
}

#[test]
fn a_name_given_twice_is_refused_even_with_the_same_value() {
    assert_eq!(Labels::from_pairs([("a", "1"), ("a", "1")]), Err(LabelsError::Duplicate("a".into())));
}

#[test]
fn each_limit_is_named() {
    let many: Vec<(String, &str)> = (0..=LABELS_COUNT_MAX).map(|index| (format!("l{index}"), "v")).collect();
    assert_eq!(Labels::from_pairs(many), Err(LabelsError::TooMany(65)));
    assert_eq!(Labels::from_pairs([("", "v")]), Err(LabelsError::EmptyName));
    assert_eq!(Labels::from_pairs([("n".repeat(1025), "v")]), Err(LabelsError::NameTooLong(1025)));
    let long = Labels::from_pairs([("n", "v".repeat(4097))]);
    assert_eq!(long, Err(LabelsError::ValueTooLong { name: "n".into(), bytes: 4097 }));
    let total = Labels::from_pairs((0..5).map(|index| (format!("n{index}"), "v".repeat(4096))));
    assert_eq!(total, Err(LabelsError::TooLong(5 * 4098)));
}

#[test]
fn sets_are_ordered_pair_by_pair() {
    let mut sets = [labels(&[("a", "2")]), labels(&[("a", "1"), ("b", "1")]), labels(&[("a", "1")]), Labels::empty()];
    sets.sort();
    let shown: Vec<String> = sets.iter().map(Labels::to_string).collect();
    assert_eq!(shown, ["{}", r#"{a="1"}"#, r#"{a="1", b="1"}"#, r#"{a="2"}"#]);
}

#[test]
fn labels_are_written_as_prometheus_writes_them() {
    assert_eq!(labels(&[("__name__", "up")]).to_string(), "up");
    assert_eq!(labels(&[("__name__", "up"), ("q", "a\"b\\c\nd")]).to_string(), r#"up{q="a\"b\\c\nd"}"#);
}

#[test]
fn a_pattern_is_anchored_and_its_dot_matches_newlines() {
    assert!(matches("a|bc", "bc"));
    assert!(!matches("a|bc", "abc"));
    assert!(matches("a.c", "a\nc"));
}

#[test]
fn perl_classes_are_ascii_as_in_re2() {
    assert!(matches(r"\d+", "123"));
    assert!(!matches(r"\d+", "١٢٣"));
    assert!(!matches(r"\w+", "é"));
    assert!(matches(r"[\w-]+", "a-b"));
    assert!(matches(r"\W", "é"));
    assert!(matches(r"\Qa.b\E+", "a.bb"));
    assert!(matches("[]a]+", "]a"));
    assert!(matches("[^]a]+", "bc"));
    assert!(matches("[a&&b]+", "a&b"));
    assert!(matches("[[:alpha:][]+", "a["));
}

#[test]
fn a_pattern_that_would_be_huge_is_refused_by_name() {
    let error = Matcher::new("path", MatchOp::Matches, "((a{1000}){1000}){1000}").unwrap_err();
    assert_eq!(error.name, "path");
    assert!(Matcher::new("path", MatchOp::Matches, "(").is_err());
}

#[test]
fn an_absent_label_compares_as_the_empty_string() {
    assert!(Matcher::equal("a", "").matches_absent());
    assert!(Matcher::new("a", MatchOp::NotMatches, ".+").unwrap().matches_absent());
    assert!(!Matcher::new("a", MatchOp::Matches, ".+").unwrap().matches_absent());
}

#[test]
fn the_staleness_marker_is_one_bit_pattern() {
    assert!(is_stale(stale_nan()));
    assert!(!is_stale(f64::NAN));
    assert_eq!(stale_nan().to_bits(), STALE_NAN_BITS);
}

#[test]
fn a_series_ref_gives_its_parts_back() {
    let series = SeriesRef::new(7, 0x00ab_cdef, 0xdead_beef);
    assert_eq!((series.shard(), series.generation(), series.slot()), (7, 0x00ab_cdef, 0xdead_beef));
}

#[test]
fn percent_escapes_are_bytes_of_utf_8() {
    assert_eq!(percent_decoded("a%2Bb%e2%82%AC").as_deref(), Some("a+b€"));
    for wrong in ["%", "%4", "%zz", "%ff", "%+1"] {
        assert_eq!(percent_decoded(wrong), None, "{wrong}");
    }
}

#[test]
fn texts_are_those_that_go_writes_where_it_has_the_choice() {
    // Each asked of Go's strconv.FormatFloat(value, 'g', -1, 64), by way of a Pushgateway's page.
    for (value, text) in [
        (0.0, "0"),
        (1.0, "1"),
        (0.05, "0.05"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (100_000.0, "100000"),
        (1_000_000.0, "1e+06"),
        (1_234_567.0, "1.234567e+06"),
        (2.5e-7, "2.5e-07"),
        (-1e21, "-1e+21"),
        (1e100, "1e+100"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(format_general(value), text);
    }
}

/// Half way between two texts of seventeen digits, as told by the decimals of the number itself.
#[test]
fn of_two_texts_as_near_the_even_one_is_written() {
    for (parts_of_32, exactly, plain, general) in [
        (89_680_936_119_549_i64, "2802529253735.90625", "2802529253735.9062", "2.8025292537359062e+12"),
        (-89_680_936_119_549, "-2802529253735.90625", "-2802529253735.9062", "-2.8025292537359062e+12"),
        (50_897_239_568_443, "1590538736513.84375", "1590538736513.8438", "1.5905387365138438e+12"),
        (67_108_848, "2097151.50000", "2097151.5", "2.0971515e+06"),
    ] {
        let value = parts_of_32 as f64 / 32.0;
        assert_eq!((format!("{value:.5}"), value * 32.0), (exactly.to_owned(), parts_of_32 as f64));
        assert_eq!((format_plain(value).as_str(), format_general(value).as_str()), (plain, general));
        assert_eq!(plain.parse(), Ok(value));
    }
}

#[test]
fn what_an_address_cannot_carry_is_escaped_and_comes_back() {
    assert_eq!(percent_encoded("a-_.~Z9 +/é&"), "a-_.~Z9%20%2B%2F%C3%A9%26");
    assert_eq!(percent_decoded(&percent_encoded("a b%/€")).as_deref(), Some("a b%/€"));
}

#[test]
fn quoted_texts_come_back_as_they_were() {
    for text in ["", "plain", "tab\tnew\nline\r", "\"q\" \\ back", "\u{7}\u{8}\u{b}\u{c}\u{1}\u{7f}\u{85}", "größe ✓"]
    {
        let shown = quoted(text);
        assert_eq!(unquoted(&shown[1..shown.len() - 1], '"').as_deref(), Some(text.as_bytes()), "{shown}");
    }
    assert_eq!(unquoted(r"\x41\101\u0041\U00000041\xff", '"'), Some(b"AAAA\xff".to_vec()));
    assert_eq!(unquoted(r#"it\'s "it""#, '\''), Some(br#"it's "it""#.to_vec()));
    for wrong in [r"\", r"\q", r"\x4", r"\x+4", r"\ud800", r"\400", r"\08", r"\'", "\"", "a\nb", r"\xé"] {
        assert_eq!(unquoted(wrong, '"'), None, "{wrong}");
    }
}

/// By hand from the Go specification and `strconv.Quote`'s documentation: what has no shape is written by its number.
#[test]
fn what_nobody_can_see_is_written_by_its_number() {
    let text = "a\u{a0}\u{ad}\u{200b}\u{2028}\u{feff}\u{e000}\u{e0001}é\u{301}";
    assert_eq!(quoted(text), "\"a\\u00a0\\u00ad\\u200b\\u2028\\ufeff\\ue000\\U000e0001é\u{301}\"");
    assert_eq!(quoted_bytes(b"a\xff\x7f"), "\"a\\xff\\x7f\"");
}
