//! Orders, and what is told of the stored data.

use super::*;
use crate::http::admin::carry_out;

const ADMIN: &str = "/api/v1/admin/tsdb";

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_is_named_as_prometheus_does_and_listed() {
    let server = TestServer::start().await;
    let answered = server.post_form(&format!("{ADMIN}/snapshot"), "skip_head=false").await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    let name = answered
        .body
        .strip_prefix(r#"{"status":"success","data":{"name":""#)
        .and_then(|rest| rest.strip_suffix(r#""}}"#));
    let name = name.expect("it has Prometheus's form");
    assert!(name.starts_with("20231114T221320Z-") && name.len() == 25, "{name}");
    let listed = server.body("/api/v1/status/snapshots").await;
    let expected = format!(r#"{{"name":"{name}","created":{NOW_MS},"cause":"request","bytes":"#);
    assert!(listed.contains(&expected), "{listed}");

    let put = format!("PUT {ADMIN}/snapshot HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(server.send(put).await.status, 200);
    let get = server.get(&format!("{ADMIN}/snapshot")).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST, PUT")));
    let without_head = server.post_form(&format!("{ADMIN}/snapshot"), "skip_head=true").await;
    assert_eq!(without_head.status, 400);
    assert!(without_head.body.contains("skip_head"), "{}", without_head.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_from_a_web_page_is_refused() {
    let server = TestServer::start().await;
    for what in ["snapshot", "delete_series?match[]=up", "clean_tombstones", "compact"] {
        for origin in ["http://evil.example", "null", "http://test"] {
            let request =
                format!("POST {ADMIN}/{what} HTTP/1.1\r\nHost: test\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n");
            let answered = server.send(request).await;
            assert_eq!(answered.status, 403, "{what} from {origin}");
            assert!(answered.body.contains(r#""errorType":"forbidden""#), "{}", answered.body);
        }
    }
    assert_eq!(server.body("/api/v1/status/snapshots").await, r#"{"status":"success","data":{"snapshots":[]}}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_refused_where_the_setting_says_so() {
    let server = TestServer::without_admin().await;
    for what in ["snapshot", "delete_series", "clean_tombstones", "compact"] {
        let answered = server.post_form(&format!("{ADMIN}/{what}"), "match[]=up").await;
        assert_eq!(answered.status, 503, "{what}");
        let expected = r#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled","#;
        assert!(answered.body.starts_with(expected) && answered.body.contains("admin_api"), "{}", answered.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_without_a_readable_selector_or_time_is_refused() {
    let server = TestServer::start().await;
    for (form, expected) in [
        ("", "no match[] parameter provided"),
        ("match[]=up%7B", "invalid parameter \\\"match[]\\\""),
        ("match[]=up&start=5&end=4", "end timestamp must not be before start time"),
        ("match[]=up&start=soon", "invalid parameter \\\"start\\\""),
    ] {
        let answered = server.post_form(&format!("{ADMIN}/delete_series"), form).await;
        assert_eq!(answered.status, 400, "{form}");
        assert!(answered.body.contains(expected), "{form}: {}", answered.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compact_answers_when_it_is_done() {
    let server = TestServer::start().await;
    let answered = server.post_form(&format!("{ADMIN}/compact"), "").await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    assert!(answered.body.starts_with(r#"{"status":"success","data":{"blocksCut":0,"#), "{}", answered.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_is_carried_out_at_a_time() {
    let server = TestServer::start().await;
    let front = server.entrance.front();
    let (gate, begun) = (Arc::new(Gate::default()), Arc::new(AtomicBool::new(false)));
    gate.close();
    let (waiting, seen) = (gate.clone(), begun.clone());
    let first = tokio::spawn(carry_out(front.clone(), "first", move |_| {
        seen.store(true, std::sync::atomic::Ordering::SeqCst);
        waiting.pass();
        Ok::<_, String>(1)
    }));
    while !begun.load(std::sync::atomic::Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let refused = carry_out(front.clone(), "second", |_| Ok::<_, String>(2)).await.expect_err("the first is not done");
    let refused = refused.into_reply();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    // Its client leaves; it goes on all the same, and holds its turn.
    first.abort();
    assert!(carry_out(front.clone(), "third", |_| Ok::<_, String>(3)).await.is_err());
    gate.open();
    let again = async {
        while carry_out(front.clone(), "fourth", |_| Ok::<_, String>(4)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the turn is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_the_head_have_prometheus_shape() {
    let server = TestServer::start().await;
    let empty = concat!(
        r#"{"status":"success","data":{"headStats":{"numSeries":0,"numLabelPairs":0,"chunkCount":0,"#,
        r#""minTime":9223372036854775807,"maxTime":-9223372036854775808},"seriesCountByMetricName":[],"#,
        r#""labelValueCountByLabelName":[],"memoryInBytesByLabelName":[],"seriesCountByLabelValuePair":[],"overflow":[]}}"#
    );
    assert_eq!(server.body("/api/v1/status/tsdb").await, empty);
    for limit in ["0", "-1", "many"] {
        assert_eq!(server.get(&format!("/api/v1/status/tsdb?limit={limit}")).await.status, 400, "{limit}");
    }
    let blocks = server.body("/api/v1/status/blocks").await;
    assert_eq!(blocks, r#"{"status":"success","data":{"blocks":[],"maintenance":null}}"#);
    let _task = server.services.storage.progress().begin(crate::storage::Task::Compact, 8);
    let blocks = server.body("/api/v1/status/blocks").await;
    assert!(blocks.ends_with(r#""maintenance":{"task":"compact","done":0,"total":8}}}"#), "{blocks}");
}
