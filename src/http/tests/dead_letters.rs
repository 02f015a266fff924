//! What could not be told, and telling it once more.

use super::*;
use crate::notify::{Alert, IntegrationConfig, WebhookSettings};

const PATH: &str = "/api/v1/dead_letters";

/// Answers every request with 410 and closes the connection; returns its address.
async fn refusing() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    format!("http://{address}/")
}

/// A server whose pager has refused one alert. Deliveries go on until the sender is dropped.
async fn with_a_dead_letter() -> (TestServer, watch::Sender<bool>) {
    let server = TestServer::start().await;
    let notifier = server.services.notifier.clone();
    let (name, url) = ("pager".to_owned(), refusing().await);
    let webhook = IntegrationConfig::of_webhook(WebhookSettings { name, url, ..WebhookSettings::default() });
    let plan = notifier.prepare(Plan::direct(vec![webhook])).expect("the address can be used");
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(notifier.clone().run(stopped));
    let alert = Alert {
        labels: Labels::from_pairs([("alertname", "NoOrders"), ("shop", "\"eu\"")]).expect("labels"),
        annotations: Vec::new(),
        starts_at_ms: NOW_MS,
        ends_at_ms: None,
        generator_url: String::new(),
    };
    let noted = tokio::task::spawn_blocking(move || {
        notifier.replace_plan(plan);
        notifier.enqueue(&alert)
    });
    noted.await.expect("no panic").expect("the disk takes it");
    while !server.body(PATH).await.contains("410") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (server, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_and_sent_again() {
    let (server, _stop) = with_a_dead_letter().await;
    let listed = server.body(PATH).await;
    let begin = r#"{"status":"success","data":{"deadLetters":[{"id":""#;
    let id = listed.strip_prefix(begin).and_then(|rest| rest.split('"').next()).expect("it begins with its id");
    let time = crate::notify::rfc3339(NOW_MS);
    let expected = format!(
        r#"","receiver":"pager","at":"{time}","reason":"410 Gone","status":"firing","groupKey":"{{}}:{{alertname=\"NoOrders\", shop=\"\\\"eu\\\"\"}}","alerts":[{{"labels":{{"alertname":"NoOrders","shop":"\"eu\""}},"status":"firing","startsAt":"{time}","endsAt":null}}]}}]}}}}"#
    );
    assert_eq!(listed, format!("{begin}{id}{expected}"));

    let unknown = server.post_form(&format!("{PATH}/replay"), "id=another").await;
    assert_eq!(unknown.status, 404, "{}", unknown.body);
    let to_nobody = server.post_form(&format!("{PATH}/replay"), &format!("id={id}&receiver=nobody")).await;
    assert_eq!(to_nobody.status, 400, "{}", to_nobody.body);
    assert!(to_nobody.body.contains("nobody"), "{}", to_nobody.body);
    let replayed = server.post_form(&format!("{PATH}/replay"), &format!("id={id}")).await;
    assert_eq!(replayed.body, r#"{"status":"success","data":{"accepted":true}}"#);
    // It is refused again, and listed under its new id only.
    while !server.body(PATH).await.contains(&format!("{id}-replay")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.body(PATH).await.matches("receiver").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_an_order_and_needs_an_id() {
    let server = TestServer::start().await;
    assert_eq!(server.body(PATH).await, r#"{"status":"success","data":{"deadLetters":[]}}"#);
    let without = server.post_form(&format!("{PATH}/replay"), "").await;
    assert_eq!(without.status, 400, "{}", without.body);
    let request = format!(
        "POST {PATH}/replay?id=a HTTP/1.1\r\nHost: t\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(server.send(request).await.status, 403);
    let server = TestServer::without_admin().await;
    assert_eq!(server.post_form(&format!("{PATH}/replay"), "id=a").await.status, 503);
}
