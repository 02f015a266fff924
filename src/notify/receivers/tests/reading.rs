//! What is refused, where, and with which advice.

use std::path::Path;

use super::{integrations, read_file};

fn mistakes(yaml: &str) -> Vec<String> {
    read_file(yaml, Path::new("/nowhere")).1
}

#[test]
fn every_mistake_is_told_with_its_place_and_what_to_do() {
    let found = mistakes(
        "global:
  slack_api_urll: http://x/
  smtp_from: a@b
  http_config: { proxy_url: http://proxy/ }
receivers:
- name: a
  email_configs: [{ to: a@b }]
  webhook_configs:
  - { max_alerts: many, urll: http://x/ }
  - { url: 'http://169.254.169.254/', timeout: soon }
  - { url: http://p/, url_file: f, http_config: { tls_config: { insecure_skip_verify: true } } }
  pagerduty_configs:
  - { service_key: k }
  - { routing_key: k, description: '{{ .Status', send_resolved: maybe }
  slack_configs:
  - { channel: x, title: '{{ template \"nope\" . }}' }
  telegram_configs:
  - { bot_token: t, parse_mode: Html }
",
    );
    let expected = [
        "2:3: global has no key slack_api_urll here; remove it; known are resolve_timeout, ",
        "4:18: http_config has no key proxy_url here; remove it: Dozor looks names up itself",
        "7:3: a receiver has no key email_configs here; Dozor tells by webhook_configs, ",
        "9:25: webhook_configs has no key urll here; remove it; known are send_resolved, ",
        "9:5: a webhook has no url; add url or url_file",
        "9:19: max_alerts is \"many\"; write a whole number",
        "10:12: url cannot be used: 169.254.169.254 is a link-local address",
        "10:48: timeout \"soon\": ",
        "11:12: there are both url and url_file; remove one of them",
        "11:87: insecure_skip_verify would tell anybody who answers; trust the receiver's certificate by ca_file",
        "13:7: pagerduty_configs has no key service_key here; make an integration of the Events API version 2",
        "13:5: a PagerDuty receiver has no routing_key; add routing_key_file",
        "14:36: the template cannot be read, at its line 1, column 11: ",
        "14:65: send_resolved is \"maybe\"; write true or false",
        "16:5: a Slack receiver has neither api_url nor app_token; add api_url_file",
        "18:5: a Telegram receiver needs one of chat_id and chat_id_file",
        "18:33: parse_mode is \"Html\"; write HTML, MarkdownV2, ",
    ];
    for expected in expected {
        assert!(found.iter().any(|mistake| mistake.starts_with(expected)), "{expected}\n{}", found.join("\n"));
    }
    assert!(found.len() <= expected.len() + 1, "{}", found.join("\n"));
}

#[test]
fn a_template_that_nobody_defines_is_refused() {
    let yaml = "receivers: [{ name: a, slack_configs: [{ api_url: http://p/, title: '{{ template \"nope\" . }}' }] }]";
    assert_eq!(mistakes(yaml).len(), 1);
    assert!(mistakes(yaml)[0].contains("the template \"nope\" is defined nowhere"), "{:?}", mistakes(yaml));
}

#[test]
fn a_receiver_without_integrations_is_fine() {
    assert!(mistakes("receivers: [{ name: blackhole }]").is_empty());
}

#[test]
fn what_is_secret_is_not_shown() {
    let yaml = "
global: { slack_api_url: 'http://p/services/SECRET', http_config: { basic_auth: { username: u, password: SECRET } } }
receivers:
- name: a
  webhook_configs: [{ url: 'http://p/SECRET', http_config: { authorization: { credentials: SECRET } } }]
  pagerduty_configs: [{ routing_key: SECRET }]
  slack_configs: [{ channel: c }, { app_token: SECRET }]
  telegram_configs: [{ bot_token: SECRET, chat_id: 1 }]
";
    let (configs, _) = read_file(yaml, Path::new("."));
    assert_eq!(configs.len(), 5);
    assert!(!format!("{configs:?}").contains("SECRET"), "{configs:?}");
    let message = super::message_of(vec![super::alert("eu", None)]);
    for integration in integrations(yaml) {
        assert!(!format!("{integration:?}").contains("SECRET"), "{integration:?}");
        assert!(!integration.shown_address().contains("SECRET"));
        assert!(!integration.shown_body(&message).unwrap().contains("SECRET"));
    }
}

#[test]
fn secrets_are_read_from_files_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "  from-a-file\n").unwrap();
    let yaml = "receivers: [{ name: a, pagerduty_configs: [{ routing_key_file: key }] }]";
    let (configs, mistakes) = read_file(yaml, folder.path());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let message = super::message_of(vec![super::alert("eu", None)]);
    assert_eq!(super::body(&super::prepared(&configs[0]), &message)["routing_key"], "from-a-file");
    std::fs::remove_file(folder.path().join("key")).unwrap();
    let clock = crate::clock::Clock::system();
    let error = super::Integration::new(&configs[0], "", clock, std::time::Duration::from_secs(1)).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}
