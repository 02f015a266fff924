//! What a rule file becomes, how it is refused, and what its templates say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::detect::Directions;
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
          evidence: 16
"#;

#[test]
fn a_file_of_prometheus_with_anomaly_blocks_is_read() {
    let rules = load_text(SHOP).unwrap().rules;
    let [orders, latency] = rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((orders.group.as_str(), orders.alert.as_str()), ("checkout", "OrderRateDrop"));
    assert_eq!(orders.options, ModelOptions { directions: Directions::Drop, ..ModelOptions::default() });
    let expected = ModelOptions {
        directions: Directions::Rise,
        min_change: 0.5,
        min_volume: 20.0,
        evidence: 16.0,
        for_ms: 90_000,
        keep_firing_for_ms: 300_000,
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
    }
}

#[test]
fn a_transition_becomes_an_alert_whose_labels_stay_the_same() {
    let rules = load_text(SHOP).unwrap();
    let fired = rules.alert_for(&transition(Kind::Firing), "http://dozor:9090");
    assert_eq!(
        fired.labels.to_string(),
        r#"{alertname="OrderRateDrop", region="eu", severity="critical", team="shop"}"#
    );
    assert_eq!(fired.annotations, [("summary".to_owned(), "Orders in eu fell to 1.234k/s".to_owned())]);
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
fn equal_rules_have_different_identities_and_changed_ones_another() {
    let rule = "      - alert: A\n        expr: up\n        anomaly: { direction: drop }\n";
    let text = format!("groups:\n  - name: g\n    rules:\n{rule}{rule}");
    let twice: Vec<String> = load_text(&text).unwrap().watches().into_iter().map(|watch| watch.identity).collect();
    assert_ne!(twice[0], twice[1]);
    let changed = load_text(&text.replacen("drop }", "drop, min_change: 0.4 }", 1)).unwrap().watches();
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
        annotations: { a: "x {{ $labels.a | toUper }}" }
  - name: g
"#;
    let message = refusal(text);
    for expected in [
        "shop.yml:5:15: irate() cannot be watched sample by sample: this function is not supported",
        "shop.yml:9:14: \"5 minutes\" is no duration",
        "shop.yml:10:49: min_change is 3, but must lie between 0.05 and 0.9",
        "= a fraction of the expectation: 0.3 is 30 %",
        "shop.yml:11:26: the label \"level\" depends on what changes until the alert resolves",
        "shop.yml:12:45: function \"toUper\" not defined",
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
