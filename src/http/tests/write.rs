//! Remote write, as far as HTTP goes.

use super::*;

async fn write(server: &TestServer, headers: &str, body: &str) -> Answered {
    let length = body.len();
    server
        .send(&format!("POST /api/v1/write HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {length}\r\n\r\n{body}"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_write_is_204_with_counts() {
    let server = TestServer::start().await;
    let answered = write(&server, "", "12345").await;
    assert_eq!((answered.status, answered.body.as_str()), (204, ""));
    assert_eq!(answered.header("x-prometheus-remote-write-samples-written"), Some("5"));
    assert_eq!(answered.header("x-prometheus-remote-write-histograms-written"), Some("0"));
    assert_eq!(answered.header("x-prometheus-remote-write-exemplars-written"), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_write_is_taken_whole() {
    let server = TestServer::start().await;
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = server.connect().await;
    for _ in 0..2 {
        client.write(format!("{head}3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").as_bytes()).await;
        let answered = client.answer().await;
        assert_eq!(answered.status, 204);
        assert_eq!(answered.header("x-prometheus-remote-write-samples-written"), Some("7"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_write_has_the_status_and_words_of_ingest() {
    let server = TestServer::start().await;
    let answered = write(&server, "Content-Type: a/b;proto=c\r\nContent-Encoding: snappy\r\n", "head").await;
    assert_eq!((answered.status, answered.body.as_str()), (400, "Some(\"a/b;proto=c\") Some(\"snappy\")\n"));
    assert_eq!(answered.header("content-type"), Some("text/plain; charset=utf-8"));
    let answered = write(&server, "", "busy").await;
    assert_eq!((answered.status, answered.header("retry-after")), (503, Some("7")));
}

#[tokio::test(flavor = "multi_thread")]
async fn panic_in_a_handler_costs_one_request() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.write(b"POST /api/v1/write HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nbug").await;
    assert_eq!(client.answer().await.status, 500);
    client.write(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200, "the connection lives on");
    assert_eq!(server.number("dozor_http_panics_total"), 1.0);
}
