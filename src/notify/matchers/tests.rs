use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("labels")
}

fn parsed(text: &str) -> String {
    Matchers::parse(text).map_or_else(|what| format!("refused: {what}"), |matchers| matchers.to_string())
}

#[test]
fn both_grammars_are_read_and_shown_as_alertmanager_shows_them() {
    for (text, shown) in [
        (r#"severity="critical""#, r#"{severity="critical"}"#),
        ("severity = critical", r#"{severity="critical"}"#),
        (r#"{b="2", a="1",}"#, r#"{a="1",b="2"}"#),
        (r#"a=~"x|y",a!~z,a!=b"#, r#"{a!="b",a=~"x|y",a!~"z"}"#),
        ("", "{}"),
        ("{}", "{}"),
        ("foo=", r#"{foo=""}"#),
        (r#"foo="""#, r#"{foo=""}"#),
        // Only the grammar of today takes such names.
        (r#""dc name"=eu"#, r#"{"dc name"="eu"}"#),
        ("größe=\"L\"", "{größe=\"L\"}"),
        (r#"a="caf\u00e9\t""#, "{a=\"caf\\\\u00e9\\\\t\"}"),
        // Only the classic one takes such values.
        ("url=~/cart\\?a=.*", r#"{url=~"/cart\\?a=.*"}"#),
        ("{a=b", r#"{a="b"}"#),
        ("a=b c", r#"{a="b c"}"#),
        (r#"a="x, \"y\", z\\""#, r#"{a="x, \"y\", z\\"}"#),
    ] {
        assert_eq!(parsed(text), shown, "{text}");
    }
}

#[test]
fn what_neither_grammar_reads_is_refused() {
    for text in ["foo", "a=b,,c=d", "=b", r#"a="b"#, r#"a=b"c"#, "a~b", r#"a=~"(""#, "1a={"] {
        assert!(parsed(text).starts_with("refused: "), "{text}: {}", parsed(text));
    }
}

#[test]
fn an_absent_label_compares_as_the_empty_text() {
    let alert = labels(&[("a", "1")]);
    for (text, matches) in
        [("b=\"\"", true), ("b!=\"\"", false), ("b=~\".*\"", true), ("a=1,b=~\".+\"", false), ("", true)]
    {
        assert_eq!(Matchers::parse(text).unwrap().matches(&alert), matches, "{text}");
    }
}
