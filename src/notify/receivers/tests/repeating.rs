//! An Alertmanager is told as Prometheus tells one.

use std::time::Duration;

use serde_json::Value;

use super::server::Server;
use super::{NOON_MS, alert};
use crate::clock::Clock;
use crate::notify::AlertmanagerPeer;

fn posted(server: &Server) -> Vec<(String, String)> {
    let of = |body: &str| {
        let alerts: Vec<Value> = serde_json::from_str(body).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        alerts.into_iter().map(|alert| (text(&alert["labels"]["region"]), text(&alert["endsAt"]))).collect::<Vec<_>>()
    };
    server.seen().iter().flat_map(|seen| of(&seen.body)).collect()
}

#[tokio::test]
async fn what_fires_is_said_each_minute_and_its_end_for_a_quarter_of_an_hour() {
    let server = Server::start(&[("200 OK", "", "")]).await;
    let clock = Clock::manual(NOON_MS);
    let mut peer = AlertmanagerPeer::new(&format!("http://{}/am/", server.address), clock.clone()).unwrap();
    for _ in 0..90 {
        peer.look(vec![alert("eu", None)]).await;
        clock.advance(Duration::from_secs(1));
    }
    let expected = [("eu", "2026-11-22T12:04:00.000Z"), ("eu", "2026-11-22T12:05:00.000Z")];
    assert_eq!(posted(&server), expected.map(|(region, end)| (region.to_owned(), end.to_owned())));
    assert_eq!(server.seen()[0].path, "/am/api/v2/alerts");

    for _ in 0..(20 * 60) {
        peer.look(Vec::new()).await;
        clock.advance(Duration::from_secs(1));
    }
    let ends: Vec<String> = posted(&server).into_iter().skip(2).map(|(_, end)| end).collect();
    assert_eq!(ends, vec!["2026-11-22T12:01:30.000Z".to_owned(); 16]);
}

#[tokio::test]
async fn what_an_alertmanager_did_not_take_is_said_again_after_five_seconds() {
    let server = Server::start(&[("503 Away", "", ""), ("200 OK", "", "")]).await;
    let clock = Clock::manual(NOON_MS);
    let mut peer = AlertmanagerPeer::new(&format!("http://{}", server.address), clock.clone()).unwrap();
    for _ in 0..7 {
        peer.look(vec![alert("eu", None), alert("us", None)]).await;
        clock.advance(Duration::from_secs(1));
    }
    let ends: Vec<String> = posted(&server).into_iter().map(|(_, end)| end).collect();
    let (first, second) = ("2026-11-22T12:04:00.000Z", "2026-11-22T12:04:05.000Z");
    assert_eq!(ends, [first, first, second, second]);
}
