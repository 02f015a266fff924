//! Templates against what Prometheus made of the same ones, and against authors who mean no good.

use super::evaluate::OUTPUT_BYTES_MAX;
use super::{AlertFacts, Answer, Fact, Facts, Library, MessageData, MessageFacts, MessageTemplate, Template};
use crate::model::Labels;

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    Labels::from_pairs(pairs).unwrap()
}

/// Answers of the queries of `as_prometheus.txt`.
fn answer(query: &str) -> Answer {
    let one = |value: f64| Ok(vec![(Labels::empty(), value)]);
    match query {
        "absent_metric" => Ok(Vec::new()),
        "nan" => one(f64::NAN),
        _ if query.starts_with("label_replace") => {
            Ok(vec![(labels([("instance", "b")]), 2.0), (labels([("instance", "a")]), 1.0)])
        }
        _ => one(query.trim_start_matches("vector(").trim_end_matches(')').parse().map_err(|_| query.to_owned())?),
    }
}

fn rendered(template: &Template) -> String {
    let facts = Facts {
        labels: &labels([("region", "eu"), ("node", "7:90")]),
        value: 1234.5,
        histogram: None,
        external_labels: &labels([("cluster", "c1")]),
        external_url: "http://shop.example/prom",
        at_ms: 1_700_000_000_500,
        query: &answer,
        more: &[("expected", Fact::Number(2000.0)), ("direction", Fact::Text("drop"))],
    };
    template.render("A", &facts)
}

fn shown(text: &str) -> String {
    rendered(&Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

#[test]
fn templates_come_to_what_prometheus_makes_of_them() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in include_str!("as_prometheus.txt").split("\n\n").filter(|case| case.starts_with("{ ")) {
        let (template, expected) = case.split_once('\n').expect("a template and what it comes to");
        let template = template[2..].replace('⏎', "\n");
        let got = match Template::parse_plain(&template) {
            Err(error) => format!("! {}: {}", error.line, error.what),
            Ok(parsed) => {
                let text = rendered(&parsed);
                let failed = "<error expanding template: error executing template __alert_A: template: __alert_A:";
                match text.strip_prefix(failed).and_then(|rest| rest.strip_suffix('>')) {
                    Some(what) => format!("? {what}"),
                    None => format!("> {text}"),
                }
            }
        };
        if got.replace('\n', "⏎").trim_end() != expected.trim_end() {
            wrong.push(format!("{template}\n  Prometheus {expected}\n  here       {got}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 300, "{count} cases are not all");
}

#[test]
fn an_anomaly_has_facts_of_its_own_and_a_plain_alert_has_not() {
    assert_eq!(shown("{{ $value | humanize }} of {{ $expected }}: {{ $direction }}"), "1.234k of 2000: drop");
    let error = Template::parse_plain("{{ $expected }}").unwrap_err();
    assert_eq!(error.to_string(), "undefined variable \"$expected\"");
}

/// By `template.go` of Prometheus's main branch: `now` is the moment of evaluation in seconds, and a duration prints as Go's.
#[test]
fn functions_of_later_releases_are_known() {
    assert_eq!(shown("{{ now | printf \"%.1f\" }}"), "1700000000.5");
    assert_eq!(
        shown("{{ toDuration 5400.5 }} {{ (toDuration 90).Minutes }} {{ toDuration 0.0015 }}"),
        "1h30m0.5s 1.5 1.5ms"
    );
    assert_eq!(shown("{{ urlQueryEscape \"a b&c\" }}"), "a+b%26c");
}

#[test]
fn a_histogram_is_printed_and_is_no_number() {
    let facts = Facts {
        labels: &Labels::empty(),
        value: f64::NAN,
        histogram: Some("{count:3, sum:5}"),
        external_labels: &Labels::empty(),
        external_url: "",
        at_ms: 0,
        query: &answer,
        more: &[],
    };
    assert_eq!(Template::parse_plain("{{ $value }}").unwrap().render("A", &facts), "{count:3, sum:5}");
    let text = Template::parse_plain("{{ humanize $value }}").unwrap().render("A", &facts);
    assert!(text.ends_with("error calling humanize: can't convert *histogram.FloatHistogram to float>"), "{text}");
}

#[test]
fn faults_have_a_line_and_a_column() {
    for (text, place, what) in [
        ("{{ nope 1 }}", (1, 4), "function \"nope\" not defined"),
        ("a\nbé {{ $x }}", (2, 7), "undefined variable \"$x\""),
        ("{{ if true }}x", (1, 15), "unexpected EOF"),
        ("{{ $labels.a-b }}", (1, 13), "bad character U+002D '-'"),
        ("{{ range 3 }}{{ break }}{{ end }}{{ break }}", (1, 37), "{{break}} outside {{range}}"),
    ] {
        let error = Template::parse(text).unwrap_err();
        assert_eq!(((error.line, error.column), error.what.as_str()), (place, what), "{text}");
    }
}

#[test]
fn what_changes_while_an_alert_lasts_is_seen_wherever_it_stands() {
    for text in [
        "{{ $value }}",
        "{{ .Value }}",
        "{{ $.Value }}",
        "{{ if true }}{{ else }}{{ with $x := 1 }}{{ printf \"%v\" ($value | humanize) }}{{ end }}{{ end }}",
        "{{ define \"x\" }}{{ .Value }}{{ end }}{{ template \"x\" . }}",
        "{{ query \"up\" | len }}",
        "{{ now }}",
        "{{ $expected }}",
    ] {
        assert!(Template::parse(text).unwrap().is_volatile(), "{text}");
    }
    for text in ["plain", "{{ $labels.Value }}", "{{ $labels.region | toUpper }} {{ $direction }} {{ externalURL }}"] {
        assert!(!Template::parse(text).unwrap().is_volatile(), "{text}");
    }
}

/// What a stranger may write to keep a server busy, fill its memory or overflow its stack.
#[test]
fn templates_that_would_not_end_are_stopped_and_say_so() {
    let doubling = format!("{{{{ $x := \"ab\" }}}}{}", "{{ $x = print $x $x }}".repeat(40));
    let deep = format!("{}1{}", "{{ print ".to_owned() + &"(print ".repeat(40), ")".repeat(40) + " }}");
    let chained = format!("{{{{ {} }}}}", ["print"; 5000].join(" | "));
    for (text, what) in [
        ("{{ range 9223372036854775807 }}{{ end }}", "does too much"),
        ("{{ range $i := 100000 }}{{ range 100000 }}{{ end }}{{ end }}", "does too much"),
        ("{{ define \"x\" }}{{ template \"x\" . }}{{ end }}{{ template \"x\" . }}", "exceeded maximum template depth"),
        ("{{ define \"x\" }}{{ template \"x\" . }}{{ template \"x\" . }}{{ end }}{{ template \"x\" . }}", "maximum"),
        ("{{ range 1000000 }}0123456789{{ end }}", "the text grows longer"),
        ("{{ range 100000 }}{{ match \"(a*)*b{1,50}\" \"aaaaaaaaaaaaaaaaaaaaaaaaa\" }}{{ end }}", "does too much"),
        ("{{ range 100000 }}{{ $x := query \"1\" }}{{ end }}", "does too much"),
        ("{{ range 100000 }}{{ $x := printf \"%9999d\" 1 }}{{ end }}", "does too much"),
        (doubling.as_str(), "does too much"),
    ] {
        let shown = shown(text);
        assert!(shown.starts_with("<error expanding template: ") && shown.contains(what), "{text:.80}: {shown:.300}");
    }
    assert_eq!(shown(&deep), "1");
    assert!(shown(&chained).len() < OUTPUT_BYTES_MAX);
}

#[test]
fn templates_that_are_too_long_or_too_deep_are_refused() {
    for (text, what) in [
        ("x".repeat(100_000), "longer than 65536"),
        ("{{ ".to_owned() + &"(".repeat(10_000), "more than 60 deep"),
        ("{{ if 1 }}".repeat(5_000), "more than 60 deep"),
        ("{{ if 0 }}".to_owned() + &"{{ else if 0 }}".repeat(4_000), "more than 60 deep"),
        ("{{ block \"x\" 1 }}".repeat(3_000), "more than 60 deep"),
    ] {
        let error = Template::parse(&text).unwrap_err().to_string();
        assert!(error.contains(what), "{text:.40}: {error}");
    }
}

fn message() -> MessageFacts {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    MessageFacts {
        receiver: "duty \"x\"".to_owned(),
        status: "firing".to_owned(),
        alerts: vec![
            AlertFacts {
                status: "firing".to_owned(),
                labels: pairs(&[("alertname", "A"), ("region", "eu")]),
                annotations: pairs(&[("summary", "Orders <fell> & \"more\"")]),
                starts_at_ms: 1_772_366_400_123,
                ends_at_ms: None,
                generator_url: "http://x/g?a=b&c=d".to_owned(),
                fingerprint: "0123456789abcdef".to_owned(),
            },
            AlertFacts {
                status: "resolved".to_owned(),
                labels: pairs(&[("alertname", "A"), ("region", "us")]),
                annotations: Vec::new(),
                starts_at_ms: 1_772_366_400_000,
                ends_at_ms: Some(1_772_370_000_000),
                generator_url: String::new(),
                fingerprint: "1123456789abcdef".to_owned(),
            },
        ],
        group_labels: pairs(&[("alertname", "A")]),
        common_labels: pairs(&[("alertname", "A"), ("job", "shop")]),
        common_annotations: Vec::new(),
        external_url: "http://am.example".to_owned(),
    }
}

/// What `as_alertmanager.txt` had in `lib.tmpl`.
const LIBRARY: &str = r#"{{ define "subject" }}[{{ .Status | toUpper }}:{{ .Alerts.Firing | len }}] {{ .GroupLabels.SortedPairs.Values | join " " }}{{ end }}
{{ define "broken" }}
 {{ .Nope }}{{ end }}
{{ define "list" }}{{ range . }}{{ .Labels.region }} {{ template "pair" .Annotations }};{{ end }}{{ end }}
{{ define "pair" }}({{ range .SortedPairs }}{{ .Name }} = {{ .Value }}{{ end }}){{ end }}
"#;

#[test]
fn messages_come_to_what_alertmanager_makes_of_them() {
    let mut library = Library::new();
    library.add("lib.tmpl", LIBRARY).unwrap();
    let data = MessageData::new(&message());
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in include_str!("as_alertmanager.txt").trim_end_matches('\n').split("\n\n").skip(1) {
        let (template, expected) = case.split_once('\n').expect("a template and what it comes to");
        let (kind, template) = template.split_once(' ').expect("text or html");
        let got = match MessageTemplate::parse(template) {
            Err(error) => format!("? template: :{}: {}", error.line, error.what),
            Ok(parsed) => match parsed.fill(&library, &data, 1_772_400_000_000, kind == "html") {
                Ok(text) => format!("> {text}"),
                Err(error) => format!("? {error}"),
            },
        };
        if got.replace('\n', "⏎").trim_end() != expected.trim_end() {
            wrong.push(format!("{template}\n  Alertmanager {expected}\n  here         {got}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 80, "{count} cases are not all");
}

#[test]
fn a_template_that_is_called_and_defined_nowhere_is_named() {
    let mut library = Library::new();
    library.add("a.tmpl", "{{ define \"known\" }}x{{ end }}").unwrap();
    let missing = |text: &str| MessageTemplate::parse(text).unwrap().missing(&library);
    assert_eq!(missing("{{ template \"known\" . }}{{ define \"own\" }}{{ end }}{{ template \"own\" }}"), None);
    assert_eq!(missing("{{ if .Status }}{{ template \"unknown\" . }}{{ end }}").as_deref(), Some("unknown"));
}

/// What a label may hold to get out of its place in a page.
#[test]
fn values_stay_in_their_place_in_a_page() {
    let mut facts = message();
    facts.receiver = "\"><script>alert(1)</script>'`\u{202e}\0".to_owned();
    let data = MessageData::new(&facts);
    for template in ["<a href=\"{{ .Receiver }}\">x</a>", "<b title='{{ .Receiver }}'>x</b>", "<b>{{ .Receiver }}</b>"]
    {
        let page = MessageTemplate::parse(template).unwrap().fill(&Library::new(), &data, 0, true).unwrap();
        assert_eq!(page.matches('<').count(), 2, "{page}");
        assert_eq!(page.matches(['"', '\'']).count(), template.matches(['"', '\'']).count(), "{page}");
    }
}

#[test]
fn lists_that_grow_without_end_are_stopped() {
    let data = MessageData::new(&message());
    for (step, told) in [
        ("{{ $x = list $x $x }}", "does too much"),
        ("{{ $x = append $x $x }}", "does too much"),
        ("{{ $x = dict \"a\" $x \"b\" $x }}", "does too much"),
        ("{{ $x = list $x }}", "more than 60 deep"),
        ("{{ $x = dict \"a\" $x }}", "more than 60 deep"),
    ] {
        // Each stands once more in itself: forty times is a million million.
        let count = if told == "does too much" { 40 } else { 70 };
        let text = format!("{{{{ $x := list \"a\" }}}}{}{{{{ $x | toJson }}}}", step.repeat(count));
        let error = MessageTemplate::parse(&text).unwrap().fill(&Library::new(), &data, 0, false).unwrap_err();
        assert!(error.contains(told), "{step}: {error}");
    }
}
