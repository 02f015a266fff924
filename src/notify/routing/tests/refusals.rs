use super::*;

fn faults(text: &str) -> String {
    load("alertmanager.yml", text).map_or_else(|what| what, |_| "taken".to_owned())
}

#[test]
fn every_fault_is_told_at_once_with_its_line_and_what_to_do() {
    let text = "route:
  receiver: duty
  routes:
    - matchers: [severity]
      receiver: pagr
      group_interval: 0s
receivers:
  - name: duty
  - name: pager
  - name: duty
tracing: {endpoint: x}
";
    assert_eq!(
        faults(text),
        r#"alertmanager.yml:4:18: the end: one of = != =~ !~ is expected behind "severity"
  |
4 |     - matchers: [severity]
  |                  ^
alertmanager.yml:5:17: no receiver is called "pagr"
  |
5 |       receiver: pagr
  |                 ^
  = write it as it stands below receivers:, or add it there
alertmanager.yml:6:23: group_interval is 0, but must be longer
  |
6 |       group_interval: 0s
  |                       ^
alertmanager.yml:10:5: another receiver is called "duty" already
   |
10 |   - name: duty
   |     ^
alertmanager.yml:11:10: tracing is not supported
   |
11 | tracing: {endpoint: x}
   |          ^
  = remove it: traces are not sent"#
    );
}

#[test]
fn a_misspelt_key_is_refused_with_its_line() {
    let what = faults("route:\n  receiver: a\n  group_wiat: 5s\nreceivers: [{name: a}]\n");
    assert!(what.starts_with("alertmanager.yml:3:3: ") && what.contains("group_wiat"), "{what}");
}

#[test]
fn a_file_without_a_route_is_refused() {
    for text in ["", "# nothing\n", "receivers: [{name: a}]\n"] {
        assert!(faults(text).starts_with("alertmanager.yml: there is no route"), "{text:?}: {}", faults(text));
    }
}

#[test]
fn routes_deeper_than_the_limit_are_refused() {
    let mut text = "receivers: [{name: a}]\nroute: {receiver: a".to_owned();
    text.push_str(&", routes: [{receiver: a".repeat(ROUTES_DEPTH_MAX));
    text.push_str(&"}]".repeat(ROUTES_DEPTH_MAX));
    text.push('}');
    assert!(faults(&text).contains("one in the other"), "{}", faults(&text));
}

#[test]
fn a_line_that_is_shown_with_its_fault_shows_no_secret() {
    let text = r#"global: { slack_api_url: 'ftp://hooks/T1/s3cret', smtp_auth_password: "s3cret", x: y }
route: { receiver: duty }
receivers:
- name: duty
  pagerduty_configs: [{ routing_key: s3cret, summry: x }]
  telegram_configs:
  - { chat_id: 1, bot_token_file: /etc/token, parse_mode: odd }
  slack_configs:
  - api_url: gopher://hooks/services/s3cret
  - api_url: >-
      gopher://hooks/services/s3cret
  webhook_configs:
  - url: http://169.254.169.254/s3cret,more
  - { service_key: s3cret, http_config: { authorization: { credentials: 's3cret', wrong: 1 }, basic_auth: s3cret } }
"#;
    for text in [text.to_owned(), text.replace(", basic_auth: s3cret", "")] {
        let told = faults(&text);
        assert!(!told.contains("s3cret") && !told.contains("more"), "{told}");
    }
    let told = faults(&text.replace(", basic_auth: s3cret", ""));
    let line = "5 |   pagerduty_configs: [{ routing_key: ******, summry: x }]\n  |                                              ^";
    assert!(told.contains(line), "{told}");
    assert!(told.contains("- { chat_id: *, bot_token_file: /etc/token, parse_mode: odd }"), "{told}");
}
