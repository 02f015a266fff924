//! Days that are not like others: announced, listed, taken back.

use serde_json::{Value, json};

use super::*;
use crate::config::{CalendarKind, CalendarSpan};
use crate::detect::{Announcements, Zone};

/// One span of the settings, and none announced, on a disk of their own.
pub(super) fn announcements() -> Arc<Announcements> {
    let written = CalendarSpan::new("Christmas", CalendarKind::Holiday, "12-24", "12-26", None).expect("a span");
    let (disk, path) = (Arc::new(SimulatedDisk::new()), PathBuf::from("/data/announced.calendar"));
    let zone = Zone::named("Europe/Berlin").expect("a zone");
    Announcements::open(disk, &path, Clock::manual(NOW_MS), zone, &[written]).expect("no file is no spans")
}

/// Now is 14 November 2023, 23:13:20 in Berlin.
const SALE: &str = r#"{"kind":"campaign","from":"2023-11-15T10:00","to":"2023-11-15T14:00","tolerance":0.8,"by":"dana","comment":"flash \"sale\""}"#;

async fn send(server: &TestServer, method: &str, path: &str, content_type: &str, body: &str) -> Answered {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    server.send(format!("{head}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await
}

async fn post(server: &TestServer, body: &str) -> Answered {
    send(server, "POST", "/api/v1/calendar", "application/json", body).await
}

fn value(answered: &Answered) -> Value {
    serde_json::from_str(&answered.body).expect("JSON")
}

#[tokio::test]
async fn a_span_is_announced_listed_and_taken_back() {
    let server = TestServer::start().await;
    let made = post(&server, SALE).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = value(&made)["data"]["id"].as_str().expect("an id").to_owned();
    assert!(id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let span = json!({
        "id": id, "state": "pending", "kind": "campaign", "from": "2023-11-15T09:00:00.000Z",
        "to": "2023-11-15T13:00:00.000Z", "by": "dana", "comment": "flash \"sale\"",
        "announcedAt": "2023-11-14T22:13:20.000Z", "tolerance": 0.8,
    });
    assert_eq!(value(&made), json!({"status": "success", "data": span}));
    let christmas = json!({
        "name": "Christmas", "kind": "holiday", "from": "12-24T00:00:00", "to": "12-26", "tolerance": 0.6,
    });
    let both = json!({"status": "success", "data": {"announced": [span], "settings": [christmas]}});
    assert_eq!(value(&server.get("/api/v1/calendar").await), both);

    let path = format!("/api/v1/calendar/{id}");
    assert_eq!(value(&send(&server, "DELETE", &path, "text/plain", "").await)["data"], span);
    let gone = send(&server, "DELETE", &path, "text/plain", "").await;
    assert_eq!((gone.status, value(&gone)["hint"].is_string()), (404, true), "{}", gone.body);
    assert_eq!(value(&server.get("/api/v1/calendar").await)["data"]["announced"], json!([]));
}

#[tokio::test]
async fn what_begins_in_the_past_says_what_that_means() {
    let server = TestServer::start().await;
    let begun = post(&server, &SALE.replace("2023-11-15T10:00", "2023-11-14T20:00")).await;
    let told = value(&begun);
    assert_eq!((begun.status, &told["data"]["state"]), (200, &json!("active")), "{told}");
    assert!(told["warnings"][0].as_str().expect("a warning").contains("is not judged again"), "{told}");
    let now = value(&post(&server, &SALE.replace(r#""from":"2023-11-15T10:00","#, "")).await);
    assert_eq!((&now["data"]["from"], now.get("warnings")), (&json!("2023-11-14T22:13:20.000Z"), None));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_member_and_an_example() {
    let server = TestServer::start().await;
    for (wrong, told) in [
        (SALE.replace("campaign", "party"), "kind is none of: holiday, campaign, deploy"),
        (SALE.replace("2023-11-15T14:00", "tomorrow"), "to \"tomorrow\" is no moment"),
        (SALE.replace("2023-11-15T14:00", "2023-11-15T09:00"), "to is not behind `from`"),
        (SALE.replace("0.8", "8"), "tolerance is a fraction"),
        (SALE.replace("dana", ""), "by is empty"),
        (SALE.replace("by", "author"), "unknown field `author`"),
        (SALE.replace("0.8", "\"much\""), "invalid type"),
        ("[".to_owned(), "the body is no JSON of this request"),
    ] {
        let answered = post(&server, &wrong).await;
        assert_eq!(answered.status, 400, "{wrong}");
        let answer = value(&answered);
        assert!(answer["error"].as_str().expect("an error").contains(told), "{answer}");
        assert!(answer["hint"].as_str().expect("a hint").contains(r#""kind":"campaign""#), "{answer}");
    }
    let long = SALE.replace("flash", &"x".repeat(16 << 10));
    assert_eq!(post(&server, &long).await.status, 413);
    assert_eq!(value(&server.get("/api/v1/calendar").await)["data"]["announced"], json!([]));
}

#[tokio::test]
async fn no_form_of_a_web_page_announces_anything() {
    let server = TestServer::start().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let answered = send(&server, "POST", "/api/v1/calendar", content_type, SALE).await;
        assert_eq!(answered.status, 400, "{content_type}");
        assert!(answered.body.contains("the content type must be application/json"), "{}", answered.body);
    }
}
