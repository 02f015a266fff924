//! Incidents over HTTP: read, taken, written to.

use serde_json::{Value, json};

use super::*;
use crate::incident::Figures;
use crate::notify::{Alert, AttemptResult, Event, SilencedBy};

const ID: &str = "inc-00000000000000ab-1";

fn alert() -> Alert {
    Alert {
        labels: Labels::from_pairs([("alertname", "Orders"), ("region", "eu"), ("severity", "critical")]).unwrap(),
        annotations: vec![
            ("onset".to_owned(), "2023-11-14T22:10:00Z".to_owned()),
            ("runbook_url".to_owned(), "http://wiki/orders".to_owned()),
            ("summary".to_owned(), "few \"orders\"".to_owned()),
        ],
        starts_at_ms: NOW_MS - 100_000,
        ends_at_ms: None,
        generator_url: String::new(),
    }
}

/// A server with an incident that was told 98 s ago.
async fn server() -> TestServer {
    let server = TestServer::start().await;
    let incident = ID.to_owned();
    let told = AttemptResult::Delivered { http_status: 200 };
    let incidents = &server.services.incidents;
    incidents.take(&[
        Event::Transition { alert: alert(), incident: incident.clone(), at_ms: NOW_MS - 99_000, silenced_by: None },
        Event::Attempt {
            id: "a-1-firing".to_owned(),
            receiver: "pager".to_owned(),
            incidents: vec![incident],
            at_ms: NOW_MS - 98_000,
            result: told,
        },
    ]);
    let chart = vec![(NOW_MS - 115_500, Some(9.0), Some(9.5)), (NOW_MS - 100_000, Some(2.0), None)];
    incidents.note_figures(ID, &alert(), Figures { value: Some(2.0), expected: Some(9.5), chart });
    server
}

async fn post(server: &TestServer, path: &str, content_type: &str, body: &str) -> Answered {
    server
        .send(format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
}

fn value(answered: &Answered) -> Value {
    serde_json::from_str(&answered.body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn incident_is_told_as_agreed() {
    let server = server().await;
    let labels = json!({"alertname": "Orders", "region": "eu", "severity": "critical"});
    // 2023-11-14T22:13:20Z is now.
    let expected = json!({
        "id": ID, "state": "open", "title": "few \"orders\"", "severity": "critical",
        "onset": "2023-11-14T22:10:00.000Z",
        "detectedAt": "2023-11-14T22:11:41.000Z",
        "firstNotifiedAt": "2023-11-14T22:11:42.000Z",
        "acknowledged": null, "resolvedAt": null, "durationSeconds": 200, "lagSeconds": 1,
        "root": {"alertname": "Orders", "labels": labels},
        "signals": [{
            "fingerprint": format!("{:016x}", alert().fingerprint()),
            "labels": labels,
            "annotations": {
                "onset": "2023-11-14T22:10:00Z", "runbook_url": "http://wiki/orders", "summary": "few \"orders\""
            },
            "startsAt": "2023-11-14T22:11:40.000Z", "endsAt": null, "onset": "2023-11-14T22:10:00.000Z",
            "silencedBy": null, "value": 2, "expected": 9.5,
            "chart": [[1_699_999_884.5, 9, 9.5], [1_699_999_900, 2, null]],
        }],
        "runbookUrl": "http://wiki/orders",
        "unknownJobs": [], "notes": [], "escalations": [],
        "deliveries": [{
            "at": "2023-11-14T22:11:42.000Z", "receiver": "pager", "id": "a-1-firing", "result": "delivered", "reason": "200"
        }],
        "deliveryCounts": {"delivered": 1, "failed": 0, "givenUp": 0},
    });
    let one = server.get(&format!("/api/v1/incidents/{ID}")).await;
    assert_eq!(value(&one), json!({"status": "success", "data": expected}));
    let all = server.get("/api/v1/incidents").await;
    assert_eq!(value(&all), json!({"status": "success", "data": {"incidents": [expected]}}));
    let none = server.get("/api/v1/incidents?state=resolved").await;
    assert_eq!(value(&none)["data"], json!({"incidents": []}));
    let before = server.get("/api/v1/incidents?to=2023-11-14T22:09:59Z").await;
    assert_eq!(value(&before)["data"], json!({"incidents": []}));
    assert_eq!(server.get("/api/v1/incidents?state=odd").await.status, 400);
    assert_eq!(server.get("/api/v1/incidents/inc-0").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn list_says_that_it_is_not_all() {
    let server = server().await;
    let another = Alert { starts_at_ms: NOW_MS, ..alert() };
    let silenced_by =
        SilencedBy { id: "5c1".to_owned(), created_by: "ada".to_owned(), comment: "new \"switch\"".to_owned() };
    let event = Event::Transition {
        alert: another,
        incident: "inc-2".to_owned(),
        at_ms: NOW_MS,
        silenced_by: Some(silenced_by),
    };
    server.services.incidents.take(&[event]);
    let listed = value(&server.get("/api/v1/incidents?limit=1").await);
    assert_eq!(listed["data"]["incidents"][0]["id"], "inc-2");
    let silenced_by = &listed["data"]["incidents"][0]["signals"][0]["silencedBy"];
    assert_eq!(*silenced_by, json!({"id": "5c1", "createdBy": "ada", "comment": "new \"switch\""}));
    assert_eq!(listed["data"]["incidents"].as_array().unwrap().len(), 1);
    assert_eq!(listed["warnings"], json!(["the latest 1 of 2 incidents: `limit` asks for more"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn first_who_acknowledges_has_it() {
    let server = server().await;
    let ack = format!("/api/v1/incidents/{ID}/ack");
    let json = "application/json; charset=utf-8";
    let first = post(&server, &ack, json, r#"{"by":"ada"}"#).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let first = value(&first);
    assert_eq!(first["data"]["state"], "acknowledged");
    assert_eq!(first["data"]["acknowledged"], serde_json::json!({"by": "ada", "at": "2023-11-14T22:13:20.000Z"}));
    assert!(first.get("warnings").is_none());
    let second = value(&post(&server, &ack, json, r#"{"by":"bob"}"#).await);
    assert_eq!(second["data"]["acknowledged"]["by"], "ada");
    assert_eq!(second["warnings"][0], "ada had acknowledged it at 2023-11-14T22:13:20.000Z already");

    let end = Alert { ends_at_ms: Some(NOW_MS), ..alert() };
    server.services.incidents.take(&[Event::Transition {
        alert: end,
        incident: ID.to_owned(),
        at_ms: NOW_MS,
        silenced_by: None,
    }]);
    let late = post(&server, &ack, json, r#"{"by":"bob"}"#).await;
    assert_eq!(late.status, 409);
    assert!(late.body.contains("is resolved since 2023-11-14T22:13:20.000Z"), "{}", late.body);
    let unknown = post(&server, "/api/v1/incidents/inc-0/ack", json, r#"{"by":"bob"}"#).await;
    assert_eq!((unknown.status, unknown.body.contains("there is no incident inc-0")), (404, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_kept_and_what_cannot_be_read_is_refused() {
    let server = server().await;
    let notes = format!("/api/v1/incidents/{ID}/notes");
    let json = "application/json";
    let noted = value(&post(&server, &notes, json, r#"{"by":"ada","text":"the bank is down"}"#).await);
    let expected = serde_json::json!([{"at": "2023-11-14T22:13:20.000Z", "by": "ada", "text": "the bank is down"}]);
    assert_eq!(noted["data"]["notes"], expected);
    for (content_type, body, says) in [
        (json, r#"{"text":"who?"}"#, "\\\"by\\\" is missing or empty"),
        (json, r#"{"by":"ada"}"#, "\\\"text\\\" is missing or empty"),
        (json, "by=ada", "the body is no JSON of this request"),
        ("application/x-www-form-urlencoded", "by=ada&text=x", "the content type must be application/json"),
        ("text/plain", r#"{"by":"ada","text":"x"}"#, "the content type must be application/json"),
    ] {
        let answered = post(&server, &notes, content_type, body).await;
        assert_eq!(answered.status, 400, "{body}: {}", answered.body);
        assert!(answered.body.contains(says), "{body}: {}", answered.body);
    }
    let long = format!(r#"{{"by":"ada","text":"{}"}}"#, "x".repeat(17_000));
    assert_eq!(post(&server, &notes, json, &long).await.status, 413);
    assert_eq!(server.get(&notes).await.status, 405);
}
