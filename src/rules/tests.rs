//! What a rule file becomes, how it is refused, and what its templates say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::detect::{Ceiling, Direction, Directions, Part, SignalClass};
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

/// The one rule with this expression and `anomaly` block.
fn with_block(expression: &str, block: &str) -> Result<AnomalyRule, RuleErrors> {
    let rule = format!("      - alert: A\n        expr: {expression}\n        for: 2m\n        anomaly: {block}\n");
    load_text(&format!("groups:\n  - name: g\n    rules:\n{rule}")).map(|mut set| set.rules.remove(0))
}

#[test]
fn a_block_may_have_limits_an_end_beats_a_class_and_a_clock() {
    let rule = with_block("load", "{ limit: { above: 2, for: 1m }, full: { at: 1, within: 4h } }").unwrap();
    assert_eq!(rule.options.directions, Directions::None);
    let limit = rule.options.limit.unwrap();
    assert_eq!((limit.above, limit.below, limit.for_ms), (Some(2.0), None, 60_000));
    let full = rule.options.full.unwrap();
    assert_eq!((full.at, full.within_ms, full.for_ms), (Ceiling::Value(1.0), 14_400_000, 120_000));
    let rule = with_block("expires", "{ full: { at: now, within: 7d }, limit: { below: 5 } }").unwrap();
    assert_eq!(rule.options.full.unwrap().at, Ceiling::Now);
    assert_eq!(rule.options.limit.unwrap().for_ms, 120_000, "that of the rule");
    assert!(with_block("runs", "{ direction: absent }").unwrap().options.absence.is_some());
    let orders = "{ direction: both, class: orders, timezone: Europe/Berlin, price: 40, min_change: 0 }";
    let rule = with_block("sum(rate(orders[1m]))", orders).unwrap();
    assert_eq!((rule.options.class, rule.options.price), (Some(SignalClass::Orders), Some(40.0)));
    assert_eq!(
        (rule.options.min_change, rule.zone.as_deref()),
        (Some(0.0), Some(&Zone::named("Europe/Berlin").unwrap()))
    );
}

#[test]
fn a_block_that_cannot_be_meant_is_refused() {
    let rate = "sum(rate(orders[1m]))";
    for (expression, block, part) in [
        (rate, "{ min_change: 0.5 }", "says nothing to watch for"),
        ("runs", "{ direction: absent, limit: { above: 1 } }", "absence is watched of samples"),
        ("load", "{ limit: { for: 1m } }", "the limit has neither above nor below"),
        ("load", "{ full: { at: soon, within: 1h } }", "full is at \"soon\""),
        ("load", "{ direction: rise, class: errors }", "this expression has a value"),
        (rate, "{ direction: rise, class: latency }", "this expression counts events"),
        (rate, "{ direction: drop, class: errors }", "only a rise is trouble"),
        (rate, "{ direction: both, class: conversion }", "only a drop is trouble"),
        (rate, "{ direction: drop, timezone: Berlin }", "did you mean Europe/Berlin?"),
        (rate, "{ direction: drop, false_alerts_per_series_week: 0 }", "must lie between 0.001 and 100"),
        (rate, "{ direction: drop, evidence: 13 }", "evidence"),
    ] {
        let refusal = with_block(expression, block).unwrap_err().to_string();
        assert!(refusal.contains(part), "{block}: {refusal}");
    }
}

#[test]
fn an_empty_file_has_no_rules() {
    assert!(load_text("").unwrap().rules.is_empty());
    assert!(load_text("groups: []\n").unwrap().rules.is_empty());
}

/// As promtool reads them; each was given to it too (`tests/e2e/rule_files.rs`).
#[test]
fn what_has_no_value_is_empty_or_not_there() {
    for text in ["~\n", "---\n", "# nothing\n", "groups:\n- ~\n", "groups:\n- name: g\n  rules:\n  -\n"] {
        let groups = load_text(text).unwrap().groups;
        assert!(groups.iter().all(|group| group.rules.is_empty()), "{text}");
    }
    let text =
        "groups:\n- name: g\n  limit: 5.9\n  rules:\n  - { alert: A, expr: up, annotations: { runbook: , ~: x } }\n";
    let set = load_text(text).unwrap();
    let [Rule::Alerting(rule)] = set.groups[0].rules.as_slice() else { panic!("{set:?}") };
    assert_eq!(rule.annotations().collect::<Vec<_>>(), [("runbook", "")]);
    assert_eq!(set.groups[0].limit, 5);
    let refusal = refusal("groups:\n- name: g\n  limit: \"5\"\n");
    assert!(refusal.contains(":3:") && refusal.contains("without quotes"), "{refusal}");
}

/// What people get wrong most, each with where it is and what to do; `|` is the start of a rule below `groups:`.
#[test]
fn mistakes_that_are_often_made_are_told_with_their_place_and_what_to_do() {
    for (text, place, hint) in [
        ("- name: shop\n  rules: []\n", "1:1", "groups: stands above the list of groups"),
        ("group:\n- name: shop\n", "1:1", "did you mean groups?"),
        ("groups:\n  name: g\n  rules: []\n", "2:3", "begin each group with a dash"),
        ("groups:\n- name: g\n  rules:\n    alert: A\n    expr: up\n", "4:5", "begin each rule with a dash"),
        ("groups:\n- name: g\n- name: g\n", "3:9", "give one of both another name"),
        ("|expr: up\n    exp: up == 0", "5:5", "did you mean expr?"),
        ("|alert: A\n    for: 5m\n", "4:5", "add what is to be evaluated"),
        ("|alert: A\n    expr: up\n    severity: page", "6:5", "write labels: { severity: … }"),
        ("|alert: A\n    expr: up\n    summary: x", "6:5", "write annotations: { summary: … }"),
        ("|alert: A\n    expr: up\n    annotation: { a: b }", "6:5", "did you mean annotations?"),
        ("|alert: A\n    expr: up\n    for: 5min", "6:10", "write for instance 30s, 5m or 1h30m"),
        ("|alert: A\n    expr: up\n    expr: up", "6:5", "remove one of both"),
        ("|alert: A\n    expr: up\n    labels: { a: [b] }", "6:18", "without brackets"),
        ("|alert: A\n\texpr: up", "5:1", "indent with spaces"),
        ("|alert: A\n    expr: up\n   for: 5m", "6:4", "indent it as far as the keys above"),
        ("|alert: A\n    expr: up\n    annotations:\n      a: Down: x", "7:14", "stands in quotes"),
        (
            "|alert: A\n    expr: up\n    annotations:\n      a: {{ $value }} x",
            "7:10",
            "begins with {{ stands in quotes",
        ),
        ("|alert: A\n    expr: \"up{a=\"b\"}\"", "5:18", "quotes within quotes"),
        ("|alert: A\n    expr: {a=\"b\"}", "5:11", "begins with { stands in quotes"),
        ("|alert: A\n    expr: *up", "5:11", "begins with * stands in quotes"),
        ("|alert: A\n    expr: up\n---\ngroups: []", "7:1", "without --- between"),
        ("|alert: A\n    expr: sum(rate(x[5m])", "5:26", "a ) is missing"),
        ("|alert: A\n    expr: rate(x) > 5", "5:16", "rate needs a range: rate(…[5m])"),
        ("|alert: A\n    expr: histogram_quantil(0.9, x)", "5:11", "did you mean histogram_quantile?"),
        ("|alert: A\n    expr: up = 0", "5:14", "equal is =="),
        ("|alert: A\n    expr: up{a=b}", "5:16", "stands in quotes: \"b\""),
        ("|alert: A\n    expr: sum(x) by a", "5:21", "write by (region, node)"),
        ("|alert: A\n    expr: rate(x[5min])", "5:18", "write durations as 30s"),
        ("|alert: A\n    expr: |\n      sum(\n        rate(x)\n      )", "7:14", "rate needs a range"),
        ("|alert: A\n    expr: >-\n      sum(x)\n      + rate(x)", "7:14", "rate needs a range"),
        ("|alert: A\n    expr: sum(x)\n      + \n\n      rate(é, 'x', x)", "8:12", ""),
        ("|alert: A\n    expr: up\n    annotations: { a: '{{ $lable.x }}' }", "6:27", "did you mean $labels?"),
        (
            "|alert: A\n    expr: up\n    annotations: { a: '{{ $value | humanise }}' }",
            "6:36",
            "did you mean humanize?",
        ),
        (
            "|alert: A\n    expr: up\n    annotations:\n      a: |\n        x\n        {{ $lables.x }}",
            "9:12",
            "$labels?",
        ),
        ("|alert: A\n    expr: up\n    annotations: { a: '{{ $labels.x }' }", "6:37", "{{ ends with }}"),
        ("|alert: A\n    expr: up\n    annotations: { a: '{{ $labels.a-b }}' }", "6:36", "index $labels"),
        ("|alert: A\n    expr: x\n    anomaly: { dirction: drop }", "6:16", "did you mean direction?"),
        ("|alert: A\n    expr: x\n    anomaly: { direction: down }", "6:27", "did you mean drop?"),
        ("|alert: A\n    expr: x\n    anomaly: drop", "6:14", "anomaly: { direction: drop }"),
        ("|alert: A\n    expr: x\n    anomaly: { direction: drop, min_change: a }", "6:45", "without a unit"),
    ] {
        let text = match text.strip_prefix('|') {
            Some(rule) => format!("groups:\n- name: g\n  rules:\n  - {rule}\n"),
            None => text.to_owned(),
        };
        let message = refusal(&text);
        assert!(message.starts_with(&format!("/etc/shop.yml:{place}: ")), "{text}{message}");
        assert!(message.contains(hint), "{text}{message}");
        let (_, column) = place.split_once(':').unwrap();
        let caret = message.lines().find(|line| line.trim_end().ends_with('^') && line.contains('|')).unwrap();
        let (margin, behind) = caret.split_once("| ").unwrap();
        assert_eq!((margin.trim(), behind.chars().count()), ("", column.parse().unwrap()), "{message}");
    }
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
        unheard_since_ms: None,
        is_removed: false,
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
    let given_up = Transition { unheard_since_ms: Some(80_000), ..transition(Kind::Resolved) };
    let annotations = rules.alert_for(&given_up, "http://dozor:9090").annotations;
    let why = "unknown: no data since 1970-01-01T00:01:20.000Z; it is no longer kept";
    assert!(annotations.contains(&("telemetry".to_owned(), why.to_owned())), "{annotations:?}");
    assert!(resolved.annotations.iter().all(|(name, _)| name != "telemetry"));
}

#[test]
fn annotations_ask_queries_and_labels_do_not() {
    let asking =
        SHOP.replace("summary: \"", "summary: \"{{ with query `stock` }}{{ (index . 0).Value }} left. {{ end }}");
    let rules = load_text(&asking).unwrap();
    assert!(rules.rules[0].asks() && !load_text(SHOP).unwrap().rules[0].asks());
    let answer = |query: &str| {
        assert_eq!(query, "stock");
        Ok(vec![(Labels::empty(), 3.0)])
    };
    let summary = |alert: &Alert| alert.annotations.iter().find(|one| one.0 == "summary").unwrap().1.clone();
    let alert = rules.alert_with(&transition(Kind::Firing), "", &answer);
    assert!(summary(&alert).starts_with("3 left. Orders in eu fell"), "{alert:?}");
    let unanswered = rules.alert_for(&transition(Kind::Firing), "");
    assert!(summary(&unanswered).starts_with("<error expanding template: "), "{unanswered:?}");
    assert_eq!(unanswered.labels, alert.labels);
    let labelled = SHOP.replace("severity: critical", "severity: \"{{ query `up` | first | value }}\"");
    assert!(refusal(&labelled).contains("severity"), "{}", refusal(&labelled));
}

#[test]
fn parts_are_told_with_their_shares_when_they_are_known() {
    let part = |region: &str, value, share| {
        let labels = Labels::from_pairs([("region", region)]).unwrap();
        Part { labels, value, expected: Some(10.0), share }
    };
    let parts = vec![part("eu", Some(2.5), 0.976), part("us", None, 0.024)];
    let explanation = Explanation { expected: Some(5000.0), parts, ..Explanation::of_drop(1000, 75_000, 1234.5) };
    let transition = Transition { explanation: Some(Box::new(explanation)), ..transition(Kind::Resolved) };
    let alert = load_text(SHOP).unwrap().alert_for(&transition, "");
    let told = alert.annotations.iter().find(|one| one.0 == "parts").map(|one| one.1.as_str());
    assert_eq!(told, Some(r#"98 % {region="eu"} 2.5, expected 10; 2 % {region="us"} unknown, expected 10"#));
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
fn a_file_of_prometheus_is_read_as_it_is() {
    let text = r#"
groups:
  - name: node
    interval: 30s
    query_offset: 5s
    limit: 10
    labels: { team: shop, severity: low }
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
        labels: { severity: 1 }
      - alert: Down
        expr: |
          up == 0
        for: 5m
        keep_firing_for: 1h
        labels: { severity: critical, value: "{{ $value }}" }
        annotations: { summary: "{{ $labels.job }}" }
      - alert: OrderRateDrop
        expr: rate(shop_orders_total[1m])
        anomaly: { direction: drop }
  - name: empty
    labels:
    rules:
"#;
    let set = load_text(text).unwrap_or_else(|error| panic!("{error}"));
    let [node, empty] = set.groups.as_slice() else { panic!("{set:?}") };
    assert_eq!((node.interval_ms, node.query_offset_ms, node.limit), (Some(30_000), Some(5000), 10));
    assert_eq!((empty.interval_ms, empty.query_offset_ms, empty.limit, empty.rules.len()), (None, None, 0, 0));
    let [Rule::Recording(record), Rule::Alerting(alert), Rule::Anomaly(0)] = node.rules.as_slice() else {
        panic!("{node:?}")
    };
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!((record.record.as_str(), record.expr.as_str()), ("job:up:sum", "sum by (job) (up)"));
    assert_eq!(record.labels, owned(&[("severity", "1"), ("team", "shop")]));
    assert_eq!((alert.alert.as_str(), alert.expr.as_str()), ("Down", "up == 0\n"));
    assert_eq!((alert.for_ms, alert.keep_firing_for_ms), (300_000, 3_600_000));
    let labels: Vec<(&str, &str)> = alert.labels().collect();
    assert_eq!(labels, [("severity", "critical"), ("team", "shop"), ("value", "{{ $value }}")]);
    assert_eq!(set.rules[0].alert, "OrderRateDrop");
    assert!(node.is_evaluated() && !empty.is_evaluated());
}

/// Each of them is refused by Prometheus too.
#[test]
fn what_prometheus_refuses_is_refused_with_its_place() {
    for (rule, expected) in [
        ("{ record: a, alert: B, expr: up }", ":4:27: a rule is an alert or a record, not both"),
        ("{ expr: up }", ":4:7: a rule needs a name"),
        ("{ record: a, expr: '' }", ":4:26: the expression is empty"),
        ("{ alert: A, expr: 'sum(up' }", ":4:32: 1:7: parse error: unclosed left parenthesis"),
        ("{ record: a, expr: up, for: 5m }", ":4:35: for has no meaning for a recording rule"),
        ("{ record: a, expr: up, keep_firing_for: 5m }", ":4:47: keep_firing_for has no meaning"),
        ("{ record: a, expr: up, annotations: { a: b } }", ":4:48: annotations have no meaning"),
        ("{ record: 'a{b=\"c\"}', expr: up }", ":4:17: the metric's name \"a{b=\\\"c\\\"}\" has braces in it"),
        ("{ record: a, expr: up, labels: { __name__: b } }", ":4:50: the label \"__name__\" is set by the rule"),
        ("{ alert: A, expr: up, labels: { '': b } }", ":4:43: the name of a label is empty"),
        ("{ alert: A, expr: up, annotations: { '': b } }", ":4:48: the name of an annotation is empty"),
        ("{ alert: A, expr: up, annotations: { a: '{{ $labels.x' } }", ":4:60: unclosed action"),
        ("{ alert: A, expr: up, for: 5 }", ":4:34: \"5\" is no duration"),
        ("{ alert: A, expr: up, fore: 5m }", ":4:29: unknown field `fore`"),
        ("{ alert: A }", "missing field `expr`"),
    ] {
        let message = refusal(&format!("groups:\n  - name: g\n    rules:\n    - {rule}\n"));
        assert!(message.contains(expected), "{rule}\n{message}");
    }
    for (group, expected) in [
        ("{ name: '' }", ":2:13: the group's name is empty"),
        ("{ name: g, interval: often }", "\"often\" is no duration"),
        ("{ name: g, labels: { __name__: x } }", "the label \"__name__\" is set by the rule itself"),
    ] {
        let message = refusal(&format!("groups:\n  - {group}\n"));
        assert!(message.contains(expected), "{group}\n{message}");
    }
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
        "shop.yml:9:14: \"5 minutes\" is no duration",
        "shop.yml:10:49: min_change is 3, but must lie between 0 and 0.9",
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
    for text in ["", "5", "m", "1m1h", "1m1m", "-1s", "1.5h", "1 m", "9999999999999999y", "300y"] {
        assert!(duration::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_pack_that_is_not_there_is_refused_with_those_that_are() {
    let refused = load(&SimulatedDisk::new(), &[PathBuf::from("pack:bank")]).unwrap_err().to_string();
    assert!(refused.contains("pack:bank") && refused.contains("there is no such pack; there is: shop"), "{refused}");
}

#[test]
fn the_pack_is_loaded_whole() {
    let set = load(&SimulatedDisk::new(), &[PathBuf::from("pack:shop")]).unwrap_or_else(|errors| panic!("{errors}"));
    let names = |rules: &[Rule]| -> Vec<String> {
        let name = |rule: &Rule| match rule {
            Rule::Alerting(rule) => Some(rule.alert.clone()),
            Rule::Anomaly(index) => Some(set.rules[*index].alert.clone()),
            Rule::Recording(_) => None,
        };
        rules.iter().filter_map(name).collect()
    };
    let mut loaded: Vec<String> = set.groups.iter().flat_map(|group| names(&group.rules)).collect();
    // What stands in the files, line by line, as no reader of YAML sees it.
    let pack = Pack::named("shop").expect("it is there");
    let lines = pack.files().iter().flat_map(|file| file.text.lines());
    let mut written: Vec<String> = lines
        .filter_map(|line| line.trim_start().strip_prefix("- alert: "))
        .map(|name| name.trim().to_owned())
        .collect();
    loaded.sort();
    written.sort();
    assert!(written.len() > 100, "{written:?}");
    assert_eq!(loaded, written);
}

#[test]
fn a_rule_that_is_judged_otherwise_is_another_one() {
    let with = |block: &str| {
        let text = format!(
            "groups:\n  - name: g\n    rules:\n      - {{ alert: A, expr: 'sum(rate(orders[1m]))', anomaly: {{ {block} }} }}\n"
        );
        load_text(&text).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let before = with("direction: drop");
    assert!(with("direction: drop").has_anomalies_of(&before));
    for block in ["direction: rise", "direction: drop, min_change: 0.2", "direction: drop, timezone: Asia/Tokyo"] {
        assert!(!with(block).has_anomalies_of(&before), "{block}");
    }
}
