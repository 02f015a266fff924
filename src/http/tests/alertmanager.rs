//! Alertmanager's interface: its JSON, and who may not change anything.

use super::*;

/// No silences, on a disk of their own.
pub(super) fn silences() -> Arc<Silences> {
    let disk = Arc::new(SimulatedDisk::new());
    let path = PathBuf::from("/data/alerts.silences");
    Silences::open(disk, &path, Clock::manual(NOW_MS), Vec::new()).expect("no file is no silences")
}

/// Alerts of a region are a group.
pub(super) fn routing() -> Routing {
    let text = "route: {receiver: duty, group_by: [region], routes: [{matchers: [severity=critical], receiver: pager}]}\n\
                receivers: [{name: duty}, {name: pager}]";
    crate::notify::routing::load("alertmanager.yml", text).expect("a right file")
}

/// Takes one alert at a time.
pub(super) fn push_alerts(pushed: Vec<PushedAlert>) -> Result<(), NotifyError> {
    if pushed.len() > 1 { Err(NotifyError::Full { what: "pushed alerts", limit: 1 }) } else { Ok(()) }
}

const SILENCE: &str = r#"{"matchers":[{"name":"region","value":"eu","isRegex":false}],
    "startsAt":"2023-11-14T22:13:20Z","endsAt":"2023-11-14T23:13:20.5Z","createdBy":"dana","comment":"new CDN"}"#;

async fn send(server: &TestServer, method: &str, path: &str, content_type: &str, body: &str) -> Answered {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    server.send(format!("{head}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await
}

async fn post(server: &TestServer, path: &str, body: &str) -> Answered {
    send(server, "POST", path, "application/json", body).await
}

fn id_of(answered: &Answered) -> String {
    let json: serde_json::Value = serde_json::from_str(&answered.body).expect("JSON");
    json["silenceID"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_silence_is_made_listed_and_ended() {
    let server = TestServer::start().await;
    let made = post(&server, "/api/v2/silences", SILENCE).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let id = id_of(&made);
    let one = format!(
        r#"{{"id":"{id}","status":{{"state":"active"}},"updatedAt":"2023-11-14T22:13:20.000Z","comment":"new CDN","createdBy":"dana","endsAt":"2023-11-14T23:13:20.500Z","startsAt":"2023-11-14T22:13:20.000Z","matchers":[{{"isEqual":true,"isRegex":false,"name":"region","value":"eu"}}]}}"#
    );
    assert_eq!(server.get(&format!("/api/v2/silence/{id}")).await.body, one);
    assert_eq!(server.get("/api/v2/silences?filter=region%3Deu").await.body, format!("[{one}]"));
    assert_eq!(server.get("/api/v2/silences?filter=region%3Dus").await.body, "[]");
    let ended = send(&server, "DELETE", &format!("/api/v2/silence/{id}"), "text/plain", "").await;
    assert_eq!(ended.status, 200);
    assert!(server.get(&format!("/api/v2/silence/{id}")).await.body.contains(r#""state":"expired""#));
    assert_eq!(send(&server, "DELETE", "/api/v2/silence/none", "text/plain", "").await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_is_told_as_a_json_string() {
    let server = TestServer::start().await;
    let past = SILENCE.replace("2023-11-14T23", "2023-11-14T21");
    for (body, told) in [
        (past.as_str(), "\"start time must be before end time\""),
        (r#"{"matchers":[]}"#, "missing field"),
        ("[", "\"EOF while"),
    ] {
        let answered = post(&server, "/api/v2/silences", body).await;
        assert_eq!(answered.status, 400);
        assert!(answered.body.contains(told), "{}", answered.body);
    }
    assert_eq!(server.get("/api/v2/silences?filter=region").await.status, 400);
    assert_eq!(server.get("/api/v2/alerts?active=maybe").await.status, 400);
}

#[tokio::test]
async fn no_form_of_a_web_page_changes_anything() {
    let server = TestServer::start().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        for path in ["/api/v2/silences", "/api/v2/alerts"] {
            assert_eq!(send(&server, "POST", path, content_type, SILENCE).await.status, 415, "{content_type}");
        }
    }
    assert_eq!(server.get("/api/v2/silences").await.body, "[]");
}

#[tokio::test]
async fn alerts_say_who_is_told_and_what_holds_them_back() {
    let server = TestServer::start().await;
    let alerts = server.get("/api/v2/alerts").await.body;
    for part in [
        r#""receivers":[{"name":"duty"}],"startsAt":"1970-01-01T00:00:01.500Z""#,
        r#""status":{"inhibitedBy":[],"mutedBy":[],"silencedBy":[],"state":"active"}"#,
        r#""labels":{"alertname":"OrderRateDrop","region":"eu"}}"#,
    ] {
        assert!(alerts.contains(part), "{part} in {alerts}");
    }
    let id = id_of(&post(&server, "/api/v2/silences", SILENCE).await);
    let status = format!(r#""silencedBy":["{id}"],"state":"suppressed""#);
    assert!(server.get("/api/v2/alerts").await.body.contains(&status));
    assert_eq!(server.get("/api/v2/alerts?silenced=false").await.body, "[]");
    assert_eq!(server.get("/api/v2/alerts?receiver=pager").await.body, "[]");
    assert_eq!(server.get("/api/v2/alerts?filter=region%3D%22us%22").await.body, "[]");
    let groups = server.get("/api/v2/alerts/groups").await.body;
    assert!(groups.starts_with(r#"[{"labels":{"region":"eu"},"receiver":{"name":"duty"},"alerts":[{"#), "{groups}");
}

#[tokio::test]
async fn pushed_alerts_are_taken_or_refused_as_a_whole() {
    let server = TestServer::start().await;
    let one = r#"{"labels":{"alertname":"Down"},"endsAt":"0001-01-01T00:00:00.000Z"}"#;
    assert_eq!(post(&server, "/api/v2/alerts", &format!("[{one}]")).await.status, 200);
    assert_eq!(post(&server, "/api/v2/alerts", &format!("[{one},{one}]")).await.status, 503);
    for wrong in [
        r#"[{"labels":{}}]"#,
        r#"[{"labels":{"a":"1"},"startsAt":"soon"}]"#,
        r#"[{"labels":{"a":"1"},"startsAt":"2026-01-02T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}]"#,
    ] {
        assert_eq!(post(&server, "/api/v2/alerts", wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_status_shows_routes_and_nothing_of_receivers_but_their_names() {
    let server = TestServer::start().await;
    let status: serde_json::Value = serde_json::from_str(&server.get("/api/v2/status").await.body).expect("JSON");
    let original = status["config"]["original"].as_str().expect("a text");
    let config: serde_json::Value = serde_json::from_str(original).expect("JSON is YAML too");
    assert_eq!(config["route"]["routes"][0]["matchers"][0], r#"{severity="critical"}"#);
    assert_eq!(config["receivers"], serde_json::json!([{ "name": "duty" }, { "name": "pager" }]));
    assert_eq!(server.get("/api/v2/receivers").await.body, r#"[{"name":"duty"},{"name":"pager"}]"#);
}
