//! Start, keep-alive, clients that leave, and the end.

use std::sync::atomic::Ordering;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn until_ready_only_small_pages_answer() {
    let server = TestServer::start().await;
    server.services.ready.store(false, Ordering::SeqCst);
    assert_eq!(server.get("/-/ready").await.status, 503);
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert_eq!(server.get("/metrics").await.status, 200);
    let answered = server.get("/api/v1/query?query=1").await;
    assert_eq!((answered.status, answered.comes_again_in(1)), (503, true));
    server.services.ready.store(true, Ordering::SeqCst);
    assert_eq!(server.get("/-/ready").await.status, 200);
    assert_eq!(server.get("/api/v1/query?query=1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_opened_the_port_says_how_far_it_is() {
    let server = TestServer::recovering().await;
    let told = "recovering: 3 of 9 log segments read, 1200 samples";
    assert_eq!(server.body("/-/healthy").await, "dozor is healthy.\n");
    assert!(server.body("/metrics").await.contains("dozor_http_connections"));
    assert!(server.body("/").await.contains("/api/v1/query"));
    let ready = server.get("/-/ready").await;
    assert_eq!((ready.status, ready.body.trim_end()), (503, told));
    let replay = r#"{"status":"success","data":{"min":0,"max":9,"current":3,"state":"in progress","samples":1200}}"#;
    assert_eq!(server.body("/api/v1/status/walreplay").await, replay);
    for target in ["/api/v1/query?query=1", "/api/v1/labels", "/api/v1/alerts", "/api/v1/status/damage"] {
        let answered = server.get(target).await;
        assert_eq!((answered.status, answered.comes_again_in(1)), (503, true), "{target}");
        assert!(answered.body.contains(told), "{}", answered.body);
    }
    let written = server.post_form("/api/v1/write", "body").await;
    assert_eq!((written.status, written.comes_again_in(1)), (503, true));
    assert_eq!(server.get("/nowhere").await.status, 404);

    // The connection that was there before is served on by the whole table.
    let mut client = server.connect().await;
    client.write(b"GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 503);
    server.entrance.open(server.services.clone());
    client.write(b"GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(server.get("/api/v1/query?query=1").await.status, 200);
    let replay = r#"{"status":"success","data":{"min":0,"max":9,"current":3,"state":"done","samples":1200}}"#;
    assert_eq!(server.body("/api/v1/status/walreplay").await, replay);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_listed_with_its_place_series_and_time() {
    let server = TestServer::start().await;
    let expected = concat!(
        r#"{"status":"success","data":{"damage":[{"file":"/data/blocks/1.block","offset":64,"#,
        r#""what":"a \"quoted\" cause","series":{"__name__":"up"},"from":1.5,"to":2,"firstMet":3,"met":2}]}}"#
    );
    assert_eq!(server.body("/api/v1/status/damage").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    let requests: String = (0..20)
        .map(|number| format!("GET /api/v1/query?query={number}&time={number} HTTP/1.1\r\nHost: t\r\n\r\n"))
        .collect();
    client.write(requests.as_bytes()).await;
    for number in 0..20 {
        let expected =
            format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[{number},"{number}"]}}}}"#);
        assert_eq!(client.answer().await.body, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn query_is_cancelled_when_its_client_leaves() {
    for target in ["query?query=sum(up)&time=1000", "series?match[]=up&match[]=up", "labels?match[]=up&match[]=up"] {
        let server = TestServer::start().await;
        server.gate.close();
        let mut client = server.connect().await;
        client.write(format!("GET /api/v1/{target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).await;
        server.until("dozor_queries_running", 1.0).await;
        drop(client);
        server.until("dozor_http_connections", 0.0).await;
        server.gate.open();
        server.until("dozor_queries_cancelled_total", 1.0).await;
        server.until("dozor_queries_running", 0.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_query_gives_its_place_back_when_its_client_leaves() {
    let server = TestServer::with_limits(HttpLimits { queries_max: 1, ..HttpLimits::default() }).await;
    server.gate.close();
    let mut first = server.connect().await;
    first.write(b"GET /api/v1/query?query=1&time=4 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    server.until("dozor_queries_running", 1.0).await;
    let mut second = server.connect().await;
    second.write(b"GET /api/v1/query?query=2&time=4 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    server.until("dozor_queries_waiting", 1.0).await;
    drop(second);
    server.until("dozor_queries_waiting", 0.0).await;
    server.until("dozor_queries_cancelled_total", 1.0).await;
    server.gate.open();
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(server.number("dozor_queries_cancelled_total"), 1.0, "one that is answered has not been left");
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_in_a_handler_costs_one_request() {
    let server = TestServer::start().await;
    server.services.registry.gauge_fn("bug", "A bug.", &[("kind", "panic")], || panic!("this number is a bug"));
    let mut client = server.connect().await;
    client.write(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 500);
    client.write(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200, "the connection lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_in_a_query_costs_one_request() {
    let view = || -> ReadView { panic!("this view is a bug") };
    let server =
        TestServer::with_services(HttpLimits::default(), IngestLimits::default(), Arc::default(), Arc::new(view)).await;
    let answered = server.get("/api/v1/query?query=up").await;
    assert_eq!(answered.status, 500);
    assert!(answered.body.starts_with(r#"{"status":"error","errorType":"internal","error":""#), "{}", answered.body);
    server.until("dozor_queries_running", 0.0).await;
    assert_eq!(server.get("/-/healthy").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_is_in_flight_and_closes_what_is_idle() {
    let server = TestServer::start().await;
    server.gate.close();
    let mut busy = server.connect().await;
    busy.write(b"GET /api/v1/query?query=1%2B1&time=4 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    server.until("dozor_queries_running", 1.0).await;
    let mut idle = server.connect().await;
    server.until("dozor_http_connections", 2.0).await;
    server.stop();
    assert!(idle.closes().await);
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("nothing new is accepted");
    server.gate.open();
    let answered = busy.answer().await;
    assert_eq!(answered.body, r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#);
    assert!(busy.closes().await);
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_for_ever() {
    let limits = HttpLimits { drain_timeout: Duration::from_millis(100), ..HttpLimits::default() };
    let server = TestServer::with_limits(limits).await;
    server.gate.close();
    let mut busy = server.connect().await;
    busy.write(b"GET /api/v1/query?query=1&time=4 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    server.until("dozor_queries_running", 1.0).await;
    let gate = server.gate.clone();
    server.stop();
    server.stopped().await;
    assert!(busy.closes().await);
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn runbook_of_an_alert_is_a_page() {
    let server = TestServer::start().await;
    let page = server.body("/runbooks/OrdersDropped").await;
    assert!(page.starts_with("## OrdersDropped\n") && page.contains("**Look first**"), "{page}");
    let missing = server.get("/runbooks/OrdersD").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("no alert of a rule pack is called OrdersD"), "{}", missing.body);
}
