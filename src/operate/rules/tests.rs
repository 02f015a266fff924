//! Unit tests of rules with an `anomaly` block, and the small parts that both commands are made of.

use std::path::Path;

use super::junit::{Suite, document};
use super::run::{Setting, run};
use super::test_file::TestFile;
use super::{check, compare};
use crate::rules::load_text;

/// What fails of a file's first group.
fn failures(rules: &str, tests: &str) -> Vec<String> {
    let rules = load_text(Path::new("shop.yml"), rules).unwrap_or_else(|errors| panic!("{errors}"));
    let file: TestFile = serde_saphyr::from_str(tests).unwrap_or_else(|error| panic!("{error}"));
    let setting = Setting::of(&file, &rules).expect("the file is right");
    run(&file.tests[0], &setting)
}

const ANOMALY: &str = r#"groups:
- name: shop
  rules:
  - alert: OrderRateDrop
    expr: sum by (region) (rate(shop_orders_total[1m]))
    anomaly: { direction: drop }
    labels: { severity: critical }
    annotations: { summary: "Orders in {{ $labels.region }} {{ $direction }}" }
"#;

/// An hour of 100 orders a second in each region, then none in one of them for ten minutes, then 100 again.
const DROP: &str = r#"evaluation_interval: 15s
tests:
- interval: 15s
  input_series:
  - { series: 'shop_orders_total{region="eu"}', values: 0+1500x240 360000x40 361500+1500x80 }
  - { series: 'shop_orders_total{region="us"}', values: 0+1500x380 }
  alert_rule_test:
  - { eval_time: 59m, alertname: OrderRateDrop }
  - eval_time: 66m
    alertname: OrderRateDrop
    exp_alerts:
    - { exp_labels: { region: eu, severity: critical, direction: drop }, exp_annotations: { summary: Orders in eu drop } }
  - { eval_time: 85m, alertname: OrderRateDrop }
"#;

#[test]
fn anomalies_fire_and_end_in_the_time_of_the_input_series() {
    assert_eq!(failures(ANOMALY, DROP), Vec::<String>::new());
    let wrong = failures(ANOMALY, &DROP.replace("Orders in eu drop", "Orders in eu rise"));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("time: 66m") && wrong[0].contains("Orders in eu drop"), "{}", wrong[0]);
}

#[test]
fn annotations_of_an_anomaly_ask_the_input_series() {
    let asking =
        ANOMALY.replace("$direction }}", "$direction }} of {{ query `count(shop_orders_total)` | first | value }}");
    let tests = DROP.replace("Orders in eu drop", "Orders in eu drop of 2");
    assert_eq!(failures(&asking, &tests), Vec::<String>::new());
}

/// No sum of increments and no last value: such an expression is asked about, every 15 s of the input series' time.
#[test]
fn an_anomaly_that_cannot_be_fed_is_evaluated_in_the_time_of_the_input_series() {
    let evaluated =
        ANOMALY.replace("sum by (region) (rate(shop_orders_total[1m]))", "stddev by (region) (queue_length)");
    let evaluated = evaluated.replace("direction: drop", "direction: rise, min_volume: 0");
    let mut noise = String::new();
    for round in 0..400 {
        let spread = if (280..340).contains(&round) { 500 } else { 10 };
        noise.push_str(&format!("{} ", 1000 + spread + round * 7 % 5));
    }
    let tests = format!(
        "evaluation_interval: 15s\ntests:\n- interval: 15s\n  input_series:\n  \
         - {{ series: 'queue_length{{region=\"eu\", node=\"1\"}}', values: 1000x400 }}\n  \
         - {{ series: 'queue_length{{region=\"eu\", node=\"2\"}}', values: {noise} }}\n  alert_rule_test:\n  \
         - {{ eval_time: 69m, alertname: OrderRateDrop }}\n  \
         - {{ eval_time: 80m, alertname: OrderRateDrop, exp_alerts: [ {{ exp_labels: {{ region: eu, severity: critical, direction: rise }}, \
         exp_annotations: {{ summary: Orders in eu rise }} }} ] }}\n"
    );
    assert_eq!(failures(&evaluated, &tests), Vec::<String>::new());
}

#[test]
fn a_file_that_would_run_for_ages_is_refused() {
    let tests = "evaluation_interval: 1ms\ntests: [ { promql_expr_test: [ { expr: up, eval_time: 9d } ] } ]\n";
    let failures = failures("", tests);
    assert!(failures[0].contains("evaluations are more than 1000000"), "{failures:?}");
}

#[test]
fn alerts_of_one_side_only_are_shown_with_a_sign() {
    let alert = |region: &str| compare::SeenAlert {
        labels: [("alertname".to_owned(), "A".to_owned()), ("region".to_owned(), region.to_owned())].into(),
        annotations: [].into(),
    };
    let shown = compare::shown_alerts(&[alert("eu")], &[alert("us")], true);
    let expected = "        - Labels:{alertname=\"A\", region=\"eu\"}\n        + Labels:{alertname=\"A\", region=\"us\"}\n          Annotations:{}";
    assert_eq!(shown, expected);
}

#[test]
fn junit_tells_each_group_and_escapes_what_it_quotes() {
    let suite = Suite {
        name: "shop_test.yml".to_owned(),
        cases: vec![("good".to_owned(), Vec::new()), ("bad".to_owned(), vec!["a < \"b\" & \u{1}c".to_owned()])],
        abort: None,
    };
    let text = document(&[suite]);
    assert!(text.contains("<testsuite name=\"shop_test.yml\" tests=\"2\" failures=\"1\" errors=\"0\">"), "{text}");
    assert!(text.contains("<failure>a &lt; &quot;b&quot; &amp; c</failure>"), "{text}");
}

#[test]
fn rules_that_are_there_twice_are_told_where() {
    let text = "groups:\n- name: a\n  labels: { team: shop }\n  rules:\n  - { alert: A, expr: up }\n  - { record: A, expr: up }\n\
                - name: b\n  rules:\n  - expr: up\n    alert: A\n    labels: { team: shop }\n  - { alert: A, expr: up }\n";
    let set = load_text(Path::new("shop.yml"), text).unwrap_or_else(|errors| panic!("{errors}"));
    let told: Vec<String> = check::duplicates(&set).iter().map(ToString::to_string).collect();
    // By promtool too the first two and the third are one, and the fourth, without the group's label, another.
    let expected = "shop.yml:6:5: A{team=\"shop\"} is there twice\n  |\n6 |   - { record: A, expr: up }\n  |     ^\n  = the first is at shop.yml:5; ";
    assert!(told[0].starts_with(expected), "{}", told[0]);
    assert!(told[1].starts_with("shop.yml:9:5: A{team=\"shop\"} is there twice"), "{}", told[1]);
    assert_eq!(told.len(), 2, "{told:?}");
}
