//! What goes over the wire, and what the answers mean.

use std::time::Duration;

use serde_json::Value;

use super::server::Server;
use super::{alert, body, integration, message_of, prepared};
use crate::notify::{Answer, IntegrationConfig, Message, Secret, WebhookSettings};

const JSON: &str = "content-type: application/json; charset=utf-8\r\n";

fn message() -> Message {
    message_of(vec![alert("eu", None)])
}

async fn answer(kind: &str, keys: &str, replies: &[(&str, &str, &str)]) -> (Answer, Server) {
    let server = Server::start(replies).await;
    let integration = integration(kind, &keys.replace("SELF", &server.address.to_string()));
    (integration.attempt(&message()).await, server)
}

fn reason(answer: &Answer) -> &str {
    match answer {
        Answer::Delivered { .. } => "delivered",
        Answer::Retry { reason, .. } | Answer::Refused { reason } => reason,
    }
}

#[tokio::test]
async fn statuses_mean_what_alertmanager_takes_them_for() {
    for (status, expected) in [
        ("200 OK", "delivered"),
        ("202 Accepted", "delivered"),
        ("408 Late", "retry"),
        ("429 Slowly", "retry"),
        ("503 Away", "retry"),
        ("400 No", "refused"),
        ("404 None", "refused"),
        ("302 There", "refused"),
    ] {
        for (kind, keys) in [("webhook", "url: 'http://SELF/h'"), ("pagerduty", "url: 'http://SELF/p', routing_key: k")]
        {
            let (answer, _) = answer(kind, keys, &[(status, "", "")]).await;
            let got = match answer {
                Answer::Delivered { .. } => "delivered",
                Answer::Retry { .. } => "retry",
                Answer::Refused { .. } => "refused",
            };
            assert_eq!(got, expected, "{kind} {status}");
        }
    }
}

#[tokio::test]
async fn slacks_failures_come_with_a_status_of_200() {
    let keys = "api_url: 'http://SELF/services/x'";
    let (taken, _) = answer("slack", keys, &[("200 OK", "content-type: text/html\r\n", "ok")]).await;
    assert_eq!(taken, Answer::Delivered { http_status: 200 });
    let (refused, _) = answer("slack", keys, &[("200 OK", "", "no_service")]).await;
    assert_eq!(refused, Answer::Refused { reason: "Slack says: no_service".to_owned() });

    let keys = "app_token: xoxb-1, app_url: 'http://SELF/api/chat.postMessage', channel: c";
    let (taken, server) = answer("slack", keys, &[("200 OK", JSON, r#"{"ok":true,"ts":"1.2"}"#)]).await;
    assert_eq!(taken, Answer::Delivered { http_status: 200 });
    assert_eq!(server.seen()[0].header("authorization"), "Bearer xoxb-1");
    let (refused, _) = answer("slack", keys, &[("200 OK", JSON, r#"{"ok":false,"error":"channel_not_found"}"#)]).await;
    assert!(matches!(&refused, Answer::Refused { reason } if reason.contains("channel_not_found")), "{refused:?}");
    let (later, _) = answer("slack", keys, &[("200 OK", JSON, r#"{"ok":false,"error":"internal_error"}"#)]).await;
    assert!(matches!(later, Answer::Retry { .. }), "{later:?}");
    let (later, _) = answer("slack", keys, &[("429 Slowly", "retry-after: 7\r\n", "")]).await;
    assert!(matches!(later, Answer::Retry { after: Some(after), .. } if after == Duration::from_secs(7)), "{later:?}");
}

#[tokio::test]
async fn telegram_says_how_long_to_wait_and_its_token_stands_in_the_path_only() {
    let keys = "api_url: 'http://SELF', bot_token: '12:TOKEN', chat_id: -5";
    let (taken, server) = answer("telegram", keys, &[("200 OK", JSON, r#"{"ok":true,"result":{}}"#)]).await;
    assert_eq!(taken, Answer::Delivered { http_status: 200 });
    assert_eq!(server.seen()[0].path, "/bot12:TOKEN/sendMessage");
    assert!(!server.seen()[0].body.contains("TOKEN"));

    let said = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":35}}"#;
    let (later, _) = answer("telegram", keys, &[("429 Slowly", JSON, said)]).await;
    assert!(
        matches!(&later, Answer::Retry { after: Some(after), .. } if *after == Duration::from_secs(35)),
        "{later:?}"
    );
    let said =
        r#"{"ok":false,"error_code":400,"description":"group upgraded","parameters":{"migrate_to_chat_id":-100}}"#;
    let (refused, _) = answer("telegram", keys, &[("400 Bad", JSON, said)]).await;
    assert!(reason(&refused).ends_with("the group's chat_id is -100 now"), "{refused:?}");

    // Nobody there: the reason names no address.
    let away = integration("telegram", "api_url: 'http://127.0.0.1:1', bot_token: '12:TOKEN', chat_id: 1");
    let answer = away.attempt(&message()).await;
    assert!(matches!(&answer, Answer::Retry { reason, .. } if !reason.contains("TOKEN")), "{answer:?}");
}

#[tokio::test]
async fn a_message_whose_markup_telegram_cannot_read_is_sent_as_plain_text() {
    let keys = "api_url: 'http://SELF', bot_token: t, chat_id: '@shop', message: '<b>{{ .Status }}</b> 1 &lt; 2<x>'";
    let said =
        r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: unsupported start tag"}"#;
    let (taken, server) =
        answer("telegram", keys, &[("400 Bad", JSON, said), ("200 OK", JSON, r#"{"ok":true}"#)]).await;
    assert_eq!(taken, Answer::Delivered { http_status: 200 });
    let bodies: Vec<Value> = server.seen().iter().map(|seen| serde_json::from_str(&seen.body).unwrap()).collect();
    assert_eq!((&bodies[0]["parse_mode"], &bodies[0]["text"]), (&"HTML".into(), &"<b>firing</b> 1 &lt; 2<x>".into()));
    assert_eq!((&bodies[1]["parse_mode"], &bodies[1]["text"]), (&Value::Null, &"firing 1 < 2".into()));
    assert_eq!(bodies[1]["chat_id"], "@shop");
}

#[test]
fn a_text_too_long_for_telegram_is_cut_by_utf_16_units() {
    let mut long = message();
    // Each of these is two units and four bytes.
    long.alerts[0].alert.annotations[0].1 = "🛒".repeat(1000);
    long.alerts = vec![long.alerts[0].clone(); 5];
    let keys = "bot_token: t, chat_id: 1, message: '{{ range .Alerts }}{{ .Annotations.summary }}{{ end }}'";
    for mode in ["HTML", "MarkdownV2", "''"] {
        let sent = body(&integration("telegram", &format!("{keys}, parse_mode: {mode}")), &long);
        let text = sent["text"].as_str().unwrap();
        // 4,095 units are 2,047 carts; one more unit is the mark.
        assert_eq!(text, format!("{}…", "🛒".repeat(2047)), "{mode}");
        assert_eq!(sent["parse_mode"], Value::Null);
    }
}

#[test]
fn the_default_message_is_escaped_for_markdown() {
    let sent = body(&integration("telegram", "bot_token: t, chat_id: 1, parse_mode: MarkdownV2"), &message());
    let text = sent["text"].as_str().unwrap();
    assert!(text.contains(r" \- alertname \= OrderRateDrop"), "{text}");
}

#[tokio::test]
async fn redirects_lead_to_the_same_host_only_and_keep_the_body() {
    let keys = "url: 'http://SELF/old'";
    let there = ("307 There", "location: /new\r\n", "");
    let (taken, server) = answer("webhook", keys, &[there, ("200 OK", "", "")]).await;
    assert_eq!(taken, Answer::Delivered { http_status: 200 });
    let seen = server.seen();
    assert_eq!([seen[0].path.as_str(), seen[1].path.as_str()], ["/old", "/new"]);
    assert_eq!(seen[0].body, seen[1].body);

    let other = Server::start(&[("200 OK", "", "")]).await;
    let head = format!("location: http://{}/x\r\n", other.address);
    let (refused, _) = answer("webhook", keys, &[("308 There", &head, "")]).await;
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    assert!(other.seen().is_empty());

    let (later, server) = answer("webhook", keys, &[there]).await;
    assert!(reason(&later).contains("redirected more than 3 times"), "{later:?}");
    assert_eq!(server.seen().len(), 4);
    let keys = "url: 'http://SELF/old', http_config: { follow_redirects: false }";
    let (refused, server) = answer("webhook", keys, &[there]).await;
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn credentials_go_into_the_header() {
    for (http, expected) in [
        ("authorization: { credentials: c }", "Bearer c"),
        ("authorization: { type: Token, credentials: c }", "Token c"),
        // printf 'user:pass word' | base64
        ("basic_auth: { username: user, password: pass word }", "Basic dXNlcjpwYXNzIHdvcmQ="),
        ("bearer_token: b", "Bearer b"),
    ] {
        let keys = format!("url: 'http://SELF/h', http_config: {{ {http} }}");
        let (_, server) = answer("webhook", &keys, &[("200 OK", "", "")]).await;
        assert_eq!(server.seen()[0].header("authorization"), expected);
    }
}

/// The keys are those of the examples of Standard Webhooks; the signatures are Python's, of the very body that was sent:
/// `base64(hmac.new(key, f"{id}.{timestamp}.{body}".encode(), "sha256").digest())`.
#[tokio::test]
async fn a_webhook_is_signed_with_both_keys_while_they_change() {
    let server = Server::start(&[("200 OK", "", "")]).await;
    let keys = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "plain old key"];
    let config = IntegrationConfig::of_webhook(WebhookSettings {
        name: "pager".to_owned(),
        url: format!("http://{}/h", server.address),
        secrets: keys.iter().map(|key| Secret::parse(key.as_bytes()).unwrap()).collect(),
        ..WebhookSettings::default()
    });
    prepared(&config).attempt(&message()).await;
    let seen = server.seen().remove(0);
    assert_eq!(seen.header("webhook-id"), "msg-1");
    assert_eq!(seen.header("idempotency-key"), "msg-1");
    let signatures: Vec<&str> = seen.header("webhook-signature").split(' ').collect();
    let script = "import sys, hmac, base64\n\
        key = base64.b64decode(sys.argv[1][6:]) if sys.argv[1].startswith('whsec_') else sys.argv[1].encode()\n\
        print('v1,' + base64.b64encode(hmac.new(key, sys.argv[2].encode(), 'sha256').digest()).decode())";
    let signed = format!("msg-1.{}.{}", seen.header("webhook-timestamp"), seen.body);
    for (key, signature) in keys.iter().zip(&signatures) {
        let python = std::process::Command::new("python3").args(["-c", script, key, &signed]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&python.stdout).trim(), *signature);
    }
    assert_eq!(signatures.len(), 2);
}

fn with_template(template: &str) -> IntegrationConfig {
    IntegrationConfig::of_webhook(WebhookSettings {
        name: "pager".to_owned(),
        url: "http://127.0.0.1:1/h".to_owned(),
        template: Some(template.to_owned()),
        ..WebhookSettings::default()
    })
}

#[test]
fn a_template_makes_the_body() {
    let template = r#"{"text": {{ (alerts|map(attribute="labels.region")|join(", "))|tojson }}, "open": {{ (status == "firing")|tojson }}, "count": {{ alerts|length }}}"#;
    let sent = body(&prepared(&with_template(template)), &message_of(vec![alert("e\"u", None), alert("us", None)]));
    assert_eq!(sent, serde_json::json!({"text": "e\"u, us", "open": true, "count": 2}));
}

#[test]
fn a_template_that_cannot_work_is_refused_before_it_is_needed() {
    for (template, what) in [
        ("{{ nope }}", "undefined"),
        ("{\"a\": {{ status }}}", "not JSON"),
        ("{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}{}", "fuel"),
        ("{% if %}", "syntax error"),
    ] {
        let clock = crate::clock::Clock::system();
        let error = super::Integration::new(&with_template(template), "", clock, Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains(what), "{template}: {error}");
    }
}

#[test]
fn a_template_that_fails_at_night_sends_the_usual_body_with_a_note() {
    // Works with the sample message, which has this label.
    let config = with_template(r#"{"service": "{{ commonLabels.service }}"}"#);
    let sent = body(&prepared(&config), &message());
    assert_eq!(sent["groupKey"], r#"{}:{alertname="OrderRateDrop"}"#);
    let note = sent["dozor"]["note"].as_str().unwrap();
    assert!(note.starts_with("the template of this webhook failed: undefined value"), "{note}");
}

#[test]
fn a_go_template_that_fails_at_night_leaves_its_default() {
    let keys = "api_url: http://p/, title: '{{ (index .Alerts 7).Status }}', text: '{{ .Nope }}'";
    let sent = body(&integration("slack", keys), &message());
    assert_eq!(sent["attachments"][0]["title"], "[FIRING:1] OrderRateDrop (shop eu critical)");
    assert_eq!(sent["attachments"][0]["text"], "");
}

#[test]
fn what_alertmanager_does_not_say_stands_behind_what_it_says() {
    let mut told = message();
    told.alerts[0].incident = "inc-7".to_owned();
    let sent = body(&integration("webhook", "url: http://p/"), &told);
    let expected = serde_json::json!({"id": "msg-1", "madeAt": "2026-11-22T12:00:01.500Z", "eventAt": "2026-11-22T12:00:00.000Z",
        "lagSeconds": 1.5, "incidents": ["inc-7"]});
    assert_eq!(sent["dozor"], expected);
}

/// As Apache does: the address that is not known is in the answer, and the answer in the log and among dead letters.
#[tokio::test]
async fn a_token_that_an_answer_repeats_is_shown_nowhere() {
    let page =
        "The requested URL /bot123:ABC-def/sendMessage?chat=s3cr%20t was not found: 123:ABC-def, s3cr t, Bearer hunter";
    let authorization = "http_config: { authorization: { credentials: hunter } }";
    let url = "url: 'http://SELF/bot123:ABC-def/sendMessage?chat=s3cr%20t'";
    let (refused, server) = answer("webhook", &format!("{url}, {authorization}"), &[("404 None", "", page)]).await;
    assert_eq!(server.seen()[0].path, "/bot123:ABC-def/sendMessage?chat=s3cr%20t");
    let shown = "404 Not Found: The requested URL /<secret>/sendMessage?chat=<secret> was not found: 123:ABC-def, <secret>, Bearer <secret>";
    assert_eq!(reason(&refused), shown);
    let keys = "api_url: 'http://SELF', bot_token: '123:ABC-def', chat_id: 5";
    let json = r#"{"ok":false,"description":"no such method: /bot123:ABC-def/sendMessage"}"#;
    let (refused, _) = answer("telegram", keys, &[("404 None", JSON, json)]).await;
    assert_eq!(reason(&refused), "Telegram says: no such method: /<secret>/sendMessage");
}
