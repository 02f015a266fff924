//! What a rule file becomes, how it is refused, and what its templates say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::template::{Facts, Template};
use super::*;
use crate::detect::{Direction, Directions};
use crate::disk::{Disk, SimulatedDisk};

fn load_text(text: &str) -> Result<RuleSet, RuleErrors> {
    let disk = SimulatedDisk::new();
    disk.create_folder(Path::new("/etc")).unwrap();
    disk.replace(Path::new("/etc/shop.yml"), text.as_bytes()).unwrap();
    load(&disk, &[PathBuf::from("/etc/shop.yml")])
}

fn refusal(text: &str) -> String {
    load_text(text).unwrap_err().to_string()
}

const SHOP: &str = r#"
groups:
  - name: checkout
    interval: 30s
    labels: { team: shop, severity: low }
    rules:
      - alert: OrderRateDrop
        expr: sum by (region) (rate(shop_orders_total[1m]))
        anomaly: { direction: drop }
        labels: { severity: critical }
        annotations: { summary: "Orders in {{ $labels.region }} fell to {{ $value | humanize }}/s" }
      - alert: CheckoutLatencyRise
        expr: histogram_quantile(0.95, sum by (le, region) (rate(shop_checkout_seconds_bucket[1m])))
        for: 1m30s
        keep_firing_for: 5m
        anomaly:
          direction: rise
          min_change: 0.5
          min_volume: 20
          false_alerts_per_series_week: 0.5
"#;

#[test]
fn a_file_of_prometheus_with_anomaly_blocks_is_read() {
    let rules = load_text(SHOP).unwrap().rules;
    let [orders, latency] = rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((orders.group.as_str(), orders.alert.as_str()), ("checkout", "OrderRateDrop"));
    assert_eq!(orders.options, ModelOptions { directions: Directions::Drop, ..ModelOptions::default() });
    let expected = ModelOptions {
        directions: Directions::Rise,
        class: None,
        false_alerts_per_series_week: 0.5,
        min_change: Some(0.5),
        min_volume: 20.0,
        for_ms: 90_000,
        keep_firing_for_ms: 300_000,
        ..ModelOptions::default()
    };
    assert_eq!(latency.options, expected);
}

#[test]
fn an_empty_file_has_no_rules() {
    assert!(load_text("").unwrap().rules.is_empty());
    assert!(load_text("groups: []\n").unwrap().rules.is_empty());
}

fn transition(kind: Kind) -> Transition {
    Transition {
        watch: 0,
        labels: Arc::new(Labels::from_pairs([("region", "eu")]).unwrap()),
        kind,
        direction: Direction::Drop,
        value: 1234.5,
        expected: 5000.0,
        onset_ms: 1000,
        fired_ms: 75_000,
        at_ms: 400_000,
        explanation: None,
    }
}

#[test]
fn a_transition_becomes_an_alert_whose_labels_stay_the_same() {
    let rules = load_text(SHOP).unwrap();
    let fired = rules.alert_for(&transition(Kind::Firing), "http://dozor:9090");
    assert_eq!(
        fired.labels.to_string(),
        r#"{alertname="OrderRateDrop", direction="drop", region="eu", severity="critical", team="shop"}"#
    );
    let annotation = |name: &str| fired.annotations.iter().find(|one| one.0 == name).map(|one| one.1.as_str());
    assert_eq!(annotation("summary"), Some("Orders in eu fell to 1.234k/s"));
    assert_eq!(annotation("expected"), Some("5000"));
    assert_eq!(annotation("deviation"), Some("-75 %"));
    assert_eq!(annotation("onset"), Some("1970-01-01T00:00:01Z"));
    assert_eq!(annotation("lost"), None, "nobody counted");
    assert_eq!((fired.starts_at_ms, fired.ends_at_ms), (75_000, None));
    assert_eq!(
        fired.generator_url,
        "http://dozor:9090/graph?g0.expr=sum%20by%20%28region%29%20%28rate%28shop_orders_total%5B1m%5D%29%29&g0.tab=0"
    );
    let resolved = rules.alert_for(&transition(Kind::Resolved), "http://dozor:9090");
    assert_eq!((resolved.starts_at_ms, resolved.ends_at_ms), (75_000, Some(400_000)));
    assert_eq!(resolved.labels, fired.labels);
}

#[test]
fn equal_rules_have_different_identities_and_one_that_measures_something_else_another() {
    let rule = "      - alert: A\n        expr: up\n        anomaly: { direction: drop }\n";
    let text = format!("groups:\n  - name: g\n    rules:\n{rule}{rule}");
    let twice: Vec<String> = load_text(&text).unwrap().watches().into_iter().map(|watch| watch.identity).collect();
    assert_ne!(twice[0], twice[1]);
    let stricter = load_text(&text.replacen("drop }", "drop, min_change: 0.4 }", 1)).unwrap().watches();
    assert_eq!(stricter[0].identity, twice[0], "what was learned still applies");
    let changed = load_text(&text.replacen("expr: up", "expr: down", 1)).unwrap().watches();
    assert!(!twice.contains(&changed[0].identity));
}

#[test]
fn an_unknown_key_is_refused_with_line_and_caret() {
    let text = SHOP.replace("keep_firing_for", "keep_fireing_for");
    let message = refusal(&text);
    let expected = "/etc/shop.yml:15:9: unknown field `keep_fireing_for`";
    assert!(message.starts_with(expected), "{message}");
    assert!(message.contains("\n15 |         keep_fireing_for: 5m\n   |         ^"), "{message}");
}

#[test]
fn rules_without_an_anomaly_block_are_refused_by_name() {
    let alert = refusal("groups:\n- name: g\n  rules:\n  - alert: Down\n    expr: up == 0\n");
    assert_eq!(
        alert,
        "/etc/shop.yml:4:12: the alert \"Down\" is not evaluated by this version\n  |\n4 |   - alert: Down\n  |            ^\n  \
         = add an anomaly block, such as anomaly: { direction: drop }, or remove it"
    );
    let record = refusal("groups:\n- name: g\n  rules:\n  - record: a:b\n    expr: sum(up)\n");
    assert!(record.starts_with("/etc/shop.yml:4:13: the recording rule \"a:b\" is not evaluated"), "{record}");
}

#[test]
fn every_fault_of_a_file_is_told_at_once() {
    let text = r#"groups:
  - name: g
    rules:
      - alert: A
        expr: sum(irate(x[1m]))
        anomaly: { direction: both }
      - alert: B
        expr: up
        for: 5 minutes
        anomaly: { direction: drop, min_change: 3 }
        labels: { level: "{{ $value }}" }
        annotations: { a: "x {{ $labels.a | toUpper }}" }
  - name: g
"#;
    let message = refusal(text);
    for expected in [
        "shop.yml:9:14: \"5 minutes\" is no duration",
        "shop.yml:10:49: min_change is 3, but must lie between 0 and 0.9",
        "= a fraction of the expectation: 0.3 is 30 %",
        "shop.yml:11:26: the label \"level\" depends on what changes until the alert resolves",
        "shop.yml:12:45: this is not known in a template: toUpper",
        "shop.yml:13:11: the group \"g\" is in this file twice",
    ] {
        assert!(message.contains(expected), "{expected:?} is not in\n{message}");
    }
}

#[test]
fn what_is_no_yaml_is_refused_at_its_place() {
    let message = refusal("groups:\n  - name: [a\n");
    assert!(message.starts_with("/etc/shop.yml:"), "{message}");
    let message = refusal(
        "groups:\n  - name: a\n    rules:\n    - alert: A\n      expr: up\n      anomaly: { direction: down }\n",
    );
    assert!(message.starts_with("/etc/shop.yml:6:29: "), "{message}");
    let missing = load(&SimulatedDisk::new(), &[PathBuf::from("/none.yml")]).unwrap_err().to_string();
    assert!(missing.starts_with("/none.yml: "), "{missing}");
}

#[test]
fn durations_are_read_as_prometheus_reads_them() {
    for (text, ms) in [("0", 0), ("90s", 90_000), ("1h30m", 5_400_000), ("500ms", 500), ("1d12h", 129_600_000)] {
        assert_eq!(duration::parse(text), Ok(ms), "{text}");
    }
    for text in ["", "5", "m", "1m1h", "1m1m", "-1s", "1.5h", "1 m", "9999999999999999y", "2y"] {
        assert!(duration::parse(text).is_err(), "{text}");
    }
}

fn rendered(template: &str, value: f64) -> String {
    let labels = Labels::from_pairs([("region", "eu"), ("node", "7")]).unwrap();
    let facts = Facts { labels: &labels, value, expected: 20.0, direction: "drop" };
    Template::parse(template).unwrap_or_else(|error| panic!("{template}: {error}")).render(&facts)
}

/// Expected values worked out from the definitions in Prometheus's template/template.go and Go's %.4g.
#[test]
fn numbers_are_humanized_as_prometheus_does() {
    for (function, value, expected) in [
        ("humanize", 0.0, "0"),
        ("humanize", 1.0, "1"),
        ("humanize", 999.99, "1000"),
        ("humanize", 1_234_567.0, "1.235M"),
        ("humanize", -12_345.0, "-12.35k"),
        ("humanize", 0.123_456, "123.5m"),
        ("humanize", 1e-7, "100n"),
        ("humanize", 1e30, "1e+06Y"),
        ("humanize", f64::NAN, "NaN"),
        ("humanize", f64::INFINITY, "+Inf"),
        ("humanize1024", 0.5, "0.5"),
        ("humanize1024", 1023.0, "1023"),
        ("humanize1024", 1_048_576.0, "1Mi"),
        ("humanize1024", 1536.0, "1.5ki"),
        ("humanizeDuration", 0.0, "0s"),
        ("humanizeDuration", 0.001_5, "1.5ms"),
        ("humanizeDuration", 59.5, "59.5s"),
        ("humanizeDuration", 61.9, "1m 1s"),
        ("humanizeDuration", 3723.0, "1h 2m 3s"),
        ("humanizeDuration", -90_061.0, "-1d 1h 1m 1s"),
        ("humanizePercentage", 0.123_456, "12.35%"),
        ("humanizePercentage", 1.0, "100%"),
        ("printf \"%.2f\"", 2.345_6, "2.35"),
        ("printf \"%.1f%% of all\"", 42.0, "42.0% of all"),
        ("printf \"%.3g\"", 123_456.0, "1.23e+05"),
        ("printf \"%v\"", 1e21, "1e+21"),
        ("printf \"%e\"", 1500.0, "1.500000e+03"),
    ] {
        assert_eq!(rendered(&format!("{{{{ $value | {function} }}}}"), value), expected, "{function} of {value}");
    }
}

#[test]
fn templates_are_filled_in() {
    assert_eq!(rendered("plain", 1.0), "plain");
    assert_eq!(rendered("{{$labels.region}}/{{ .Labels.node }}/{{ $labels.none }}.", 1.0), "eu/7/.");
    assert_eq!(rendered("{{ $value }} of {{ $expected }}: {{ $direction }}", 0.25), "0.25 of 20: drop");
    assert_eq!(rendered("{{ humanize $value }} {{ printf \"%.1f}}\" .Value }}", 2500.0), "2.5k 2500.0}}");
    assert_eq!(rendered("{{ $value | humanize | printf \"<%s>\" }}", 2500.0), "<2.5k>");
    assert_eq!(rendered("{{ $value }}", 1e-5), "1e-05");
    assert_eq!(rendered("{{ $value }}", 123_456.75), "123456.75");
    assert_eq!(rendered("{{ $value }}", 123_456_789.0), "1.23456789e+08");
}

#[test]
fn unknown_constructs_are_refused() {
    for (template, what) in [
        ("{{ $value", "a {{ is never closed"),
        ("{{ }}", "a place is empty"),
        ("{{ range query \"up\" }}x{{ end }}", "not known in a template: \"up\""),
        ("{{ $value | }}", "a pipe leads nowhere"),
        ("{{ $labels.a | humanize }}", "a text is used as a number"),
        ("{{ $value | printf \"%s\" }}", "%s is used for a number"),
        ("{{ $value | printf \"%5.2f\" }}", "no width"),
        ("{{ $value | printf \"%d\" }}", "printf takes one of"),
        ("{{ $value | printf \"none\" }}", "printf has no verb"),
        ("{{- $value }}", "not known in a template: -"),
        ("{{ if $value }}", "not known in a template: if"),
    ] {
        let error = Template::parse(template).unwrap_err().to_string();
        assert!(error.contains(what), "{template}: {error}");
    }
}
