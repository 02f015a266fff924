//! `as_alertmanager.json` is what Alertmanager 0.33.1 sent to a listener for these alerts by this file: when three fired, when
//! one of them had ended, and when all had.

use serde_json::{Map, Value};

use super::{NOON_MS, alert, body, message_of, prepared, read_file};
use crate::notify::{Alert, Message};

const FILE: &str = r#"
global:
  pagerduty_url: http://127.0.0.1:1/pd
  slack_api_url: http://127.0.0.1:1/slack
  telegram_api_url: http://127.0.0.1:1/tg
templates: ['*.tmpl']
receivers:
- name: 'duty.team'
  webhook_configs: [{url: 'http://127.0.0.1:1/hook'}, {url: 'http://127.0.0.1:1/hook1', max_alerts: 1}]
  pagerduty_configs:
  - routing_key: abc
    severity: '{{ .CommonLabels.severity }}'
    class: c
    component: 'x{{ .Status }}'
    group: g
    details: {extra: '{{ .CommonLabels.job }}'}
    images: [{src: 'http://i/', href: 'http://h/', alt: a}]
    links: [{href: 'http://l/{{ .Status }}', text: t}]
  - routing_key: abc
  slack_configs:
  - send_resolved: true
    channel: '#x'
    title: 'T {{ .Status }}'
    text: '{{ range .Alerts }}{{ .Annotations.summary }}{{ end }}'
    fields: [{title: f, value: '{{ .Status }}', short: true}, {title: g, value: h}]
    actions: [{type: button, text: 'Go', url: 'http://a/{{ .Status }}'}, {type: button, text: B, name: n, value: v, style: danger, confirm: {text: sure}}]
    footer: f
    short_fields: false
    link_names: true
  - {send_resolved: true}
  telegram_configs:
  - {bot_token: 'T0:k', chat_id: -5, message_thread_id: 7, disable_notifications: true}
  - {bot_token: 'T0:k', chat_id: -5, parse_mode: MarkdownV2, message: 'a.b {{ .Status }}'}
  - {bot_token: 'T0:k', chat_id: -5, parse_mode: '', message: 'a.b {{ .Status }}'}
"#;
/// What its integrations are called in `as_alertmanager.json`, in order.
const NAMES: [&str; 9] = [
    "webhook",
    "webhook_short",
    "pagerduty",
    "pagerduty_default",
    "slack",
    "slack_default",
    "telegram",
    "telegram_markdown",
    "telegram_plain",
];
/// Alertmanager's own name and pages, which ours differ in.
const ITS_NAMES: &str = r#"{{ define "__alertmanager" }}Alertmanager{{ end }}
{{ define "__alertmanagerURL" }}{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver | urlquery }}{{ end }}"#;

/// In Alertmanager's order, with those of these regions resolved.
fn message(resolved: &[&str]) -> Message {
    let end = |region: &str| resolved.contains(&region).then_some(NOON_MS + 2 * 3_600_000 + 500);
    let asia = Alert { starts_at_ms: NOON_MS + 3_600_000, ..alert("asia", end("asia")) };
    let mut eu = Alert { starts_at_ms: NOON_MS + 123, ..alert("eu", end("eu")) };
    eu.annotations[0].1 = "Orders <fell> & \"more\"".to_owned();
    eu.generator_url = "http://x/g?a=b&c=d".to_owned();
    let mut us = alert("us", end("us"));
    us.annotations.push(("x".to_owned(), "1".to_owned()));
    us.generator_url = "http://x/g".to_owned();
    message_of(vec![asia, eu, us])
}

/// Times as moments, everything else as text, without what must differ: another hash, and why Alertmanager sent it.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let differs = ["fingerprint", "notification_reason", "timestamp"];
            let kept = map.iter().filter(|(name, _)| !differs.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| (name.clone(), comparable(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(comparable).collect()),
        Value::String(text) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => Value::String(time.as_millisecond().to_string()),
            Err(_) => value.clone(),
        },
        // Alertmanager reads its details as YAML, to which an empty address is nothing and "1" a number.
        Value::Null => Value::String(String::new()),
        other => Value::String(other.to_string()),
    }
}

#[test]
fn requests_are_those_of_alertmanager() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("names.tmpl"), ITS_NAMES).unwrap();
    let (configs, mistakes) = read_file(FILE, folder.path());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let expected: Value = serde_json::from_str(include_str!("as_alertmanager.json")).unwrap();
    let mut count = 0;
    for (moment, resolved) in [("firing", &[][..]), ("mixed", &["eu"]), ("resolved", &["asia", "eu", "us"])] {
        for (name, config) in NAMES.iter().zip(&configs) {
            let Some(expected) = expected[moment].get(name) else { continue };
            let own = body(&prepared(config), &message(resolved));
            assert_eq!(comparable(&own), comparable(expected), "{name}, {moment}");
            count += 1;
        }
    }
    assert_eq!(count, 25);
}

#[test]
fn who_hears_of_the_end_is_as_in_alertmanager() {
    let yaml = "
receivers:
- name: a
  webhook_configs: [{ url: http://p/ }, { url: http://p/, send_resolved: false }]
  slack_configs: [{ api_url: http://p/ }]
  pagerduty_configs: [{ routing_key: k }]
  telegram_configs: [{ bot_token: t, chat_id: 1 }]
";
    let (configs, mistakes) = read_file(yaml, std::path::Path::new("."));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let told: Vec<(&str, bool)> = configs.iter().map(|one| (one.name.as_str(), one.sends_resolved)).collect();
    let expected =
        [("a", true), ("a/webhook/1", false), ("a/pagerduty/0", true), ("a/slack/0", false), ("a/telegram/0", true)];
    assert_eq!(told, expected);
}
