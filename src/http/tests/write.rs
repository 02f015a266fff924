//! Remote write, as far as HTTP goes.

use super::*;
use crate::ingest::{append_bytes, append_fixed64, append_number};

/// Encodes one series of `up` with these samples as a remote write of version 1.
fn body(samples: &[(i64, f64)]) -> Vec<u8> {
    let (mut series, mut pair, mut message) = (Vec::new(), Vec::new(), Vec::new());
    append_bytes(&mut pair, 1, b"__name__");
    append_bytes(&mut pair, 2, b"up");
    append_bytes(&mut series, 1, &pair);
    for (timestamp_ms, value) in samples {
        let mut sample = Vec::new();
        append_fixed64(&mut sample, 1, value.to_bits());
        append_number(&mut sample, 2, *timestamp_ms as u64);
        append_bytes(&mut series, 2, &sample);
    }
    append_bytes(&mut message, 1, &series);
    snap::raw::Encoder::new().compress_vec(&message).expect("a short body")
}

async fn write(server: &TestServer, headers: &str, body: &[u8]) -> Answered {
    let head = format!("POST /api/v1/write HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    server.send([head.as_bytes(), body].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_write_is_204_with_counts() {
    let server = TestServer::start().await;
    let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
        X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
    let answered = write(&server, headers, &body(&[(NOW_MS, 1.0), (NOW_MS + 1_000, 2.0)])).await;
    assert_eq!((answered.status, answered.body.as_str()), (204, ""));
    assert_eq!(answered.header("x-prometheus-remote-write-samples-written"), Some("2"));
    assert_eq!(answered.header("x-prometheus-remote-write-histograms-written"), Some("0"));
    assert_eq!(answered.header("x-prometheus-remote-write-exemplars-written"), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_writes_share_a_connection() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    for second in 0..2 {
        let body = body(&[(NOW_MS + 1_000 * second, 1.0)]);
        let (first, rest) = body.split_at(5);
        client.write(b"POST /api/v1/write HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for part in [first, rest] {
            client.write(format!("{:x}\r\n", part.len()).as_bytes()).await;
            client.write(part).await;
            client.write(b"\r\n").await;
        }
        client.write(b"0\r\n\r\n").await;
        let answered = client.answer().await;
        assert_eq!(answered.status, 204, "{}", answered.body);
        assert_eq!(answered.header("x-prometheus-remote-write-samples-written"), Some("1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_write_has_the_status_of_ingest_as_plain_text() {
    let server = TestServer::start().await;
    let answered = write(&server, "Content-Type: application/json\r\n", b"{}").await;
    assert_eq!(answered.status, 415, "{}", answered.body);
    assert_eq!(answered.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(answered.body.contains("application/json"), "{}", answered.body);
    let answered = write(&server, "Content-Encoding: zstd\r\n", b"").await;
    assert_eq!(answered.status, 415, "{}", answered.body);
    let answered = write(&server, "", b"no snappy").await;
    assert_eq!(answered.status, 400, "{}", answered.body);
    assert_eq!(answered.header("retry-after"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_is_stored_in_part_says_how_much() {
    let server = TestServer::start().await;
    let days_ahead_ms = NOW_MS + 10 * 86_400_000;
    let answered = write(&server, "", &body(&[(NOW_MS, 1.0), (days_ahead_ms, 2.0)])).await;
    assert_eq!(answered.status, 400, "{}", answered.body);
    assert_eq!(answered.header("x-prometheus-remote-write-samples-written"), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn write_without_room_is_told_when_to_come_back() {
    let no_room = IngestLimits { bytes_in_flight_max: 0, ..IngestLimits::default() };
    let view = || ReadView::of_samples(Vec::new());
    let server = TestServer::with_services(HttpLimits::default(), no_room, Arc::default(), Arc::new(view)).await;
    let answered = write(&server, "", &body(&[(NOW_MS, 1.0)])).await;
    assert_eq!((answered.status, answered.comes_again_in(1)), (503, true), "{}", answered.body);
    assert!(answered.body.contains("limits.ingest_bytes_in_flight_max"), "{}", answered.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_is_refused_for_want_of_room_does_not_cost_its_connection() {
    let no_room = IngestLimits { bytes_in_flight_max: 0, ..IngestLimits::default() };
    let view = || ReadView::of_samples(Vec::new());
    let server = TestServer::with_services(HttpLimits::default(), no_room, Arc::default(), Arc::new(view)).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        let request = "POST /api/v1/write HTTP/1.1\r\nHost: t\r\nContent-Length: 500000\r\n\r\n";
        client.write(format!("{request}{}", "x".repeat(500_000)).as_bytes()).await;
        assert_eq!(client.answer().await.status, 503);
    }
    assert_eq!(server.number("dozor_http_body_bytes_in_flight"), 0.0);
    // A long one is not even read: its connection ends with the answer.
    client.write(b"POST /api/v1/write HTTP/1.1\r\nHost: t\r\nContent-Length: 5000000\r\n\r\nxxx").await;
    assert_eq!(client.answer().await.status, 503);
    assert!(client.closes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_announced_as_too_long_for_ever_is_413_and_not_told_to_come_again() {
    let ingest_limits = IngestLimits { bytes_in_flight_max: 1 << 20, ..IngestLimits::default() };
    let view = || ReadView::of_samples(Vec::new());
    let server = TestServer::with_services(HttpLimits::default(), ingest_limits, Arc::default(), Arc::new(view)).await;
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: t\r\nContent-Length: 600000000\r\n\r\n";
    let answered = server.send(head).await;
    assert_eq!(answered.status, 413, "{}", answered.body);
}
