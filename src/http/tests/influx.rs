//! Influx's addresses, as far as HTTP goes.

use super::*;

async fn write(server: &TestServer, target: &str, headers: &str, body: &str) -> Answered {
    let length = body.len();
    server.send(format!("POST {target} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {length}\r\n\r\n{body}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_write_is_204_whatever_type_it_claims() {
    let server = TestServer::start().await;
    let body = format!("m,a=b v=1 {NOW_MS}\n");
    // What curl says of everything, and what the client library says.
    for content_type in ["application/x-www-form-urlencoded", "text/plain"] {
        let headers = format!("Content-Type: {content_type}\r\n");
        for target in ["/write?db=shop&rp=autogen&precision=ms", "/api/v2/write?bucket=shop&org=o&precision=ms"] {
            let answered = write(&server, target, &headers, &body).await;
            assert_eq!((answered.status, answered.body.as_str()), (204, ""), "{target} {content_type}");
        }
    }
    assert_eq!(server.services.storage.series_count(), 2, "one with the label db and one without");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_json_of_each_version() {
    let server = TestServer::start().await;
    let body = format!("m v=1 {NOW_MS}\nm v=\"\n");
    let first = write(&server, "/write?db=shop&precision=ms", "", &body).await;
    assert_eq!(first.status, 400);
    let told =
        r#"partial write: 1 refused, 1 stored; first refused: line 2, \"m v=\\\"\": a text has no closing quote"#;
    assert!(first.body.starts_with(&format!("{{\"error\":\"{told}")), "{}", first.body);
    let second = write(&server, "/api/v2/write?precision=ms", "", &body).await;
    assert_eq!(second.status, 400);
    assert!(second.body.starts_with(&format!("{{\"code\":\"invalid\",\"message\":\"{told}")), "{}", second.body);

    let precision = write(&server, "/api/v2/write?precision=d", "", &body).await;
    assert_eq!(precision.status, 400);
    assert!(precision.body.contains("precision"), "{}", precision.body);
    let encoding = write(&server, "/write", "Content-Encoding: br\r\n", &body).await;
    assert_eq!(encoding.status, 415);
    assert!(encoding.body.starts_with("{\"error\":"), "{}", encoding.body);
    let broken = write(&server, "/api/v2/write", "Content-Encoding: gzip\r\n", &body).await;
    assert_eq!(broken.status, 400);
    assert!(broken.body.contains("gzip"), "{}", broken.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_look_before_they_write_are_answered() {
    let server = TestServer::start().await;
    let ping = server.get("/ping").await;
    assert_eq!((ping.status, ping.body.as_str()), (204, ""));
    assert!(ping.header("x-influxdb-version").is_some_and(|version| version.starts_with("dozor-")));
    let head = server.send("HEAD /ping HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(head.status, 204);
    let health: serde_json::Value = serde_json::from_str(&server.body("/health").await).expect("JSON");
    assert_eq!((health["status"].as_str(), health["name"].as_str()), (Some("pass"), Some("dozor")));

    let created = r#"{"results":[{"statement_id":0}]}"#;
    let form = server.post_form("/query", "q=CREATE+DATABASE+%22telegraf%22").await;
    assert_eq!((form.status, form.body.as_str()), (200, created));
    assert_eq!(server.body("/query?q=create%20database%20shop&db=").await, created);
    for other in ["/query", "/query?q=SELECT+1", "/query?q=CREATE+DATABAS%C3%89"] {
        let answered = server.get(other).await;
        assert_eq!(answered.status, 400, "{other}");
        assert!(answered.body.starts_with("{\"error\":"), "{}", answered.body);
    }
}
