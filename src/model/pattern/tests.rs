use proptest::prelude::*;

use super::compile_pattern;

fn matches(pattern: &str, value: &str) -> bool {
    compile_pattern(pattern).unwrap_or_else(|what| panic!("{pattern}: {what}")).is_match(value)
}

#[test]
fn perl_classes_are_ascii_while_the_dot_and_groups_are_unicode() {
    for (pattern, yes, no) in [
        (r"\d", "7", "٣"),
        (r"\D", "٣", "7"),
        (r"\w+", "a_9", "é"),
        (r"\W", "é", "_"),
        (r"\s", "\u{c}", "\u{b}"),
        (r"\S", "\u{a0}", " "),
        (r"[\d\-x]", "-", "٣"),
        (r"[^\W]", "a", "é"),
        (r"[[:alpha:]]", "Z", "é"),
        (r"[[:^alpha:]]", "é", "Z"),
        (r"\pN", "٣", "a"),
        (r"\p{Greek}+", "αβ", "ab"),
        (r"\p{^Greek}", "a", "α"),
        (r"\P{^Greek}", "α", "a"),
        (r"[\pL_]", "é", "1"),
        (r".", "é", "éé"),
        (r".", "\n", ""),
        (r"a.*z", "a\n\nz", "a\n"),
        (r"é\b.*", "éa", "é"),
        (r"(?i)ÄK", "äk", "AK"),
        (r"(?i:x)y", "Xy", "XY"),
        (r"(?-s:.)", "a", "\n"),
    ] {
        assert!(matches(pattern, yes), "{pattern} {yes:?}");
        assert!(!matches(pattern, no), "{pattern} {no:?}");
    }
    assert!(!matches(r"a\bé", "aé") || matches(r"a\b.*", "aé"));
    assert!(matches(r"a\b.", "aé"), "é is no character of a word");
    assert!(matches(r"a\Bb", "ab"));
    assert!(!matches(r"a\B.*", "aé"));
}

#[test]
fn the_whole_value_must_match() {
    assert!(!matches("a|b", "ab"));
    assert!(!matches("a", "a\n"));
    assert!(matches("a$", "a"));
    assert!(matches("(?m)a$\n^b", "a\nb"));
    assert!(matches(r"\Aab\z", "ab"));
    assert!(matches("", ""));
    assert!(!matches("", "a"));
}

#[test]
fn what_regex_would_take_for_syntax_is_plain() {
    for (pattern, value) in [
        ("[a&&b]", "&"),
        ("[a~~b]", "~"),
        ("[[a]", "["),
        ("[a[]", "["),
        ("[]a]+", "]a"),
        ("[^]a]", "b"),
        ("[a-]", "-"),
        ("[-a]", "-"),
        ("[+--]", ","),
        (r"\<a\>", "<a>"),
        (r"a\b{start}", "a{start}"),
        ("a{,3}", "a{,3}"),
        ("a{01}", "a{01}"),
        ("{", "{"),
        ("a{x}", "a{x}"),
        ("}", "}"),
        ("]", "]"),
        (r"\Qa.b*\E+", "a.b**"),
        (r"\Q[", "["),
        (r"\_\-\/\#\ ", "_-/# "),
        (r"\x41\x{1f600}\101\0\a\f\v", "A😀A\0\u{7}\u{c}\u{b}"),
        (r"[\x41-\x43\101]", "B"),
        ("a{2}b{1,}c{0,2}", "aabb"),
        ("x{1000}", &"x".repeat(1000)),
        ("(?:x{10}){100}", &"x".repeat(1000)),
        ("(?P<n>a)(?<m>b)", "ab"),
        ("(?U)a+?b", "aab"),
        ("(|a)b", "b"),
        ("^*a", "a"),
        ("(?i)a(?-i)*b", "Aab"),
        ("a*(?i)*B", "aab"),
    ] {
        assert!(matches(pattern, value), "{pattern} {value:?}");
    }
}

#[test]
fn what_go_refuses_is_refused() {
    for pattern in [
        "(",
        ")",
        "a)|(b",
        "[a",
        "[]",
        "[z-a]",
        "[a--]",
        "[[:no:]]",
        "*",
        "+a",
        "(?:*)",
        "a|*",
        "a**",
        "a+*",
        "a??+",
        "a{2}{3}",
        "x{1001}",
        "x{2,1}",
        "x{1,1001}",
        "x{99999999999999999999}",
        "(?:x{10}){101}",
        "((a{100}){5}){3}",
        r"\1",
        r"\8",
        r"\C",
        r"\Z",
        r"\G",
        r"\y",
        r"\u0041",
        r"\é",
        r"\x",
        r"\x4",
        r"\x{}",
        r"\x{110000}",
        r"\p",
        r"\p{",
        r"\p{Nothing}",
        r"a\",
        "(?x)a b",
        "(?u)a",
        "(?R)a",
        "(?-)a",
        "(?i-)a",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?P=n)",
        "(?P<a.b>x)",
        "(?P<>x)",
        "(?P<n>a)(?P<n>b)",
        "(?",
        "(?i",
    ] {
        assert!(compile_pattern(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn large_patterns_are_refused_and_not_compiled() {
    assert!(compile_pattern(&"a".repeat(4097)).is_err());
    assert!(compile_pattern(&"(".repeat(2000)).is_err());
    assert!(compile_pattern(&format!("{}a{}", "(".repeat(200), ")".repeat(200))).is_err());
    assert!(compile_pattern(r"(?:\pL{500}){2}").is_err());
}

proptest! {
    #[test]
    fn a_quoted_text_matches_itself_alone(text in "\\PC{0,20}", other in "\\PC{0,20}") {
        prop_assume!(!text.contains("\\E"));
        let pattern = format!(r"\Q{text}\E");
        prop_assert!(matches(&pattern, &text));
        prop_assert_eq!(matches(&pattern, &other), text == other);
    }

    #[test]
    fn a_class_has_just_its_ranges(a in 33..127u8, b in 33..127u8, other in any::<char>()) {
        let (low, high) = (a.min(b), a.max(b));
        let pattern = format!("[\\x{low:02x}-\\x{{{high:x}}}]");
        let is_in = (u32::from(low)..=u32::from(high)).contains(&u32::from(other));
        prop_assert_eq!(matches(&pattern, &other.to_string()), is_in);
        let negated = pattern.replacen('[', "[^", 1);
        prop_assert_eq!(matches(&negated, &other.to_string()), !is_in);
    }

    #[test]
    fn nothing_that_is_written_stops_the_reader(pattern in r"[()\[\]{}*+?|^$.\\a-eQEpPxdDwWbBzAi0-9:,<>&~=!é-]{0,24}") {
        // What is translated is a pattern to `regex`, but for its bounds and what it knows of names.
        if let Err(what) = compile_pattern(&pattern) {
            prop_assert!(
                what.starts_with("error parsing regexp: ")
                    || what.contains("size limit")
                    || what.contains("Unicode")
                    || what.contains("nest")
                    || what.contains("capture group")
                    || what.contains("duplicate"),
                "{}: {}", pattern, what
            );
        }
    }
}
