//! Labels and annotations that mean no good, in every kind of body.

use super::{alert, body, integrations, message_of};
use crate::model::Labels;
use crate::notify::Alert;

const RECEIVERS: &str = r#"
global: { slack_api_url: 'http://p/' }
receivers:
- name: a
  webhook_configs: [{ url: 'http://p/' }]
  pagerduty_configs: [{ routing_key: k, details: { all: '{{ range .Alerts }}{{ .Labels.shop }}{{ end }}' } }]
  slack_configs: [{ text: '{{ (index .Alerts 0).Labels.shop }}', channel: '{{ .CommonLabels.shop }}' }]
  telegram_configs:
  - { bot_token: t, chat_id: 1 }
  - { bot_token: t, chat_id: 1, parse_mode: MarkdownV2 }
"#;

fn with(value: &str) -> Alert {
    let pairs = [("alertname", "A"), ("severity", value), ("shop", value)];
    let annotations = vec![("summary".to_owned(), value.to_owned())];
    Alert {
        labels: Labels::from_pairs(pairs).unwrap(),
        annotations,
        generator_url: value.to_owned(),
        ..alert("eu", None)
    }
}

#[test]
fn whatever_labels_say_bodies_stay_json_and_no_service_loses_a_message() {
    let long = "ж".repeat(2048);
    let values = [
        "say \"hi\"\\ \n\r\t\u{0}\u{7f}",
        "</script>{{ .Nope }}{% raw %}",
        "\u{202e}gnp.exe\u{2066}\u{feff}\u{2028}",
        "{\"a\": [1, 2",
        "[1, 2]",
        "null",
        "%s%n$1${x}",
        "&lt;b&gt; <b> <a href='x",
        "_*[]()~`>#+-=|{}.!",
        long.as_str(),
    ];
    for value in values {
        for integration in integrations(RECEIVERS) {
            let sent = body(&integration, &message_of(vec![with(value), with(value)]));
            match integration.name() {
                "a" => assert_eq!(sent["commonLabels"]["shop"], value),
                "a/pagerduty/0" => {
                    assert_eq!(sent["payload"]["severity"], "error");
                    assert_eq!(sent["payload"]["custom_details"]["firing"][0]["labels"]["shop"], value);
                    assert!(!sent["payload"]["summary"].as_str().unwrap().is_empty());
                }
                "a/slack/0" => assert_eq!(sent["attachments"][0]["text"], value),
                _ => assert!(sent["text"].as_str().unwrap().encode_utf16().count() <= 4096),
            }
        }
    }
}

#[test]
fn an_event_too_large_for_pagerduty_shows_fewer_alerts() {
    let long = "x".repeat(4000);
    let alerts = (0..400).map(|index| Alert { starts_at_ms: index, ..with(&long) }).collect();
    let integration = &integrations(RECEIVERS)[1];
    let request = integration.request(&message_of(alerts)).unwrap();
    assert!(request.body.len() <= 512_000, "{}", request.body.len());
    let details = &serde_json::from_slice::<serde_json::Value>(&request.body).unwrap()["payload"]["custom_details"];
    // All are counted, and some are shown.
    assert_eq!(details["num_firing"], 400);
    assert!(!details["firing"].as_array().unwrap().is_empty());
}
