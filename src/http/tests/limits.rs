//! What is refused, and what is waited for.

use super::*;
use crate::config::Config;

const MS_100: Duration = Duration::from_millis(100);

fn limits(change: impl FnOnce(&mut HttpLimits)) -> HttpLimits {
    let mut limits = HttpLimits::default();
    change(&mut limits);
    limits
}

fn write_of(length: usize) -> String {
    format!("POST /api/v1/write HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n")
}

/// Bodies here are no snappy: one that is read is answered 400.
const CHUNKED: &str = "POST /api/v1/write HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn body_that_announces_too_much_is_refused_unread() {
    let server = TestServer::with_limits(limits(|limits| limits.request_bytes_max = 1000)).await;
    let mut client = server.connect().await;
    client.write(write_of(1001).as_bytes()).await;
    let answered = client.answer().await;
    assert_eq!(answered.status, 413);
    let expected =
        "the request body is longer than 1000 bytes: send smaller batches, or raise limits.request_bytes_max\n";
    assert_eq!(answered.body, expected);
    assert!(client.closes().await);
    let body = "x".repeat(1000);
    assert_eq!(server.send(format!("{}{body}", write_of(1000))).await.status, 400, "the limit itself is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_body_is_refused_when_it_passes_the_limit() {
    let server = TestServer::with_limits(limits(|limits| limits.request_bytes_max = 1000)).await;
    let mut client = server.connect().await;
    client.write(CHUNKED.as_bytes()).await;
    let chunk = format!("190\r\n{}\r\n", "x".repeat(400));
    for _ in 0..3 {
        client.write(chunk.as_bytes()).await;
    }
    let answered = client.answer().await;
    assert_eq!(answered.status, 413);
    assert!(client.closes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_sender_can_finish_and_read_why() {
    let server = TestServer::with_limits(limits(|limits| limits.request_bytes_max = 1000)).await;
    let mut client = server.connect().await;
    let request = write_of(4 << 20) + &"x".repeat(4 << 20);
    assert!(client.write(request.as_bytes()).await, "no reset while the sender sends");
    assert_eq!(client.answer().await.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn form_longer_than_its_limit_is_refused_as_json() {
    let server = TestServer::start().await;
    let answered = server.post_form("/api/v1/query", &format!("query={}", "1".repeat(1 << 20))).await;
    assert_eq!(answered.status, 413);
    assert!(answered.body.contains("longer than 1048576 bytes"), "{}", answered.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_together_are_bounded() {
    let server = TestServer::with_limits(limits(|limits| limits.bodies_bytes_max = 64 << 10)).await;
    let mut holder = server.connect().await;
    holder.write(format!("{}{}", write_of(65_000), "x".repeat(60_000)).as_bytes()).await;
    // Whether the holder's bytes have been read cannot be seen from outside; until they have, others are served.
    let refused = async {
        loop {
            let answered = server.send(format!("{}{}", write_of(8_000), "y".repeat(8_000))).await;
            if answered.status == 503 {
                return answered;
            }
            assert_eq!(answered.status, 400);
        }
    };
    let answered = tokio::time::timeout(PATIENCE, refused).await.expect("the bound is reached");
    assert!(answered.comes_again_in(1) && answered.body.contains("limits.body_bytes_in_flight_max"), "{answered:?}");
    assert!(server.number("dozor_http_body_bytes_in_flight") >= 60_000.0);
    assert!(server.number(r#"dozor_http_bodies_refused_total{reason="bytes_in_flight"}"#) >= 1.0);
    holder.write("x".repeat(5_000).as_bytes()).await;
    assert_eq!(holder.answer().await.status, 400, "who was first is read");
    let answered = server.send(format!("{}{}", write_of(8_000), "y".repeat(8_000))).await;
    assert_eq!(answered.status, 400, "the room is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_that_is_too_long_is_refused() {
    let server = TestServer::start().await;
    let many: String = (0..101).map(|index| format!("h{index}: x\r\n")).collect();
    assert_eq!(server.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n")).await.status, 431);
    let long = "x".repeat(65 << 10);
    assert_eq!(server.send(format!("GET / HTTP/1.1\r\nHost: t\r\nlong: {long}\r\n\r\n")).await.status, 431);
    let fits: String = (0..98).map(|index| format!("h{index}: x\r\n")).collect();
    assert_eq!(server.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{fits}\r\n")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_that_drips_is_closed_however_steadily() {
    let server = TestServer::with_limits(limits(|limits| limits.head_timeout = MS_100)).await;
    let mut client = server.connect().await;
    client.write(b"GET / HTTP/1.1\r\nHost: t\r\n").await;
    let dripping = async {
        while server.number("dozor_http_connections") == 0.0 {
            tokio::task::yield_now().await;
        }
        while server.number("dozor_http_connections") == 1.0 {
            client.write(b"a: b\r\n").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("the connection is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_does_not_come_is_not_waited_for() {
    let server = TestServer::with_limits(limits(|limits| limits.body_timeout = MS_100)).await;
    let mut client = server.connect().await;
    client.write(format!("{}abc", write_of(10)).as_bytes()).await;
    let answered = client.answer().await;
    assert_eq!((answered.status, answered.comes_again_in(1)), (503, true), "{answered:?}");
    assert!(answered.body.contains("limits.body_timeout"), "{}", answered.body);
    assert!(client.closes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_drips_is_closed_long_before_its_time_is_over() {
    let rate = limits(|limits| (limits.body_rate_min, limits.body_patience) = (1 << 20, MS_100));
    let server = TestServer::with_limits(rate).await;
    let mut client = server.connect().await;
    client.write(write_of(1_000).as_bytes()).await;
    // Ten bytes each 20 ms: half a KiB a second, where a MiB is asked for.
    let dripping = async {
        while server.number(r#"dozor_http_bodies_refused_total{reason="too_slow"}"#) == 0.0 {
            client.write(b"0123456789").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("it is not waited for");
    let answered = client.answer().await;
    assert_eq!(answered.status, 503);
    assert!(answered.body.contains("limits.body_rate_min"), "{}", answered.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_body_above_the_least_rate_is_read_to_its_end() {
    let rate = limits(|limits| (limits.body_rate_min, limits.body_patience) = (1, 5 * MS_100));
    let server = TestServer::with_limits(rate).await;
    let mut client = server.connect().await;
    client.write(format!("{}{}", write_of(50), "x".repeat(40)).as_bytes()).await;
    tokio::time::sleep(7 * MS_100).await; // longer than the patience; what has come is good for forty seconds
    client.write(b"0123456789").await;
    assert_eq!(client.answer().await.status, 400, "it was read, and is no snappy");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connection_is_closed_before_and_after_a_request() {
    let server = TestServer::with_limits(limits(|limits| limits.idle_timeout = MS_100)).await;
    let mut silent = server.connect().await;
    assert!(silent.closes().await);
    let mut client = server.connect().await;
    client.write(b"GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.closes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn query_longer_than_head_and_idle_time_is_not_cut_off() {
    let short = limits(|limits| (limits.head_timeout, limits.idle_timeout) = (MS_100, MS_100));
    let server = TestServer::with_limits(short).await;
    server.gate.close();
    let mut client = server.connect().await;
    client.write(b"GET /api/v1/query?query=1&time=4 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    server.until("dozor_queries_running", 1.0).await;
    tokio::time::sleep(3 * MS_100).await; // the time that must make no difference
    server.gate.open();
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_that_takes_nothing_is_closed() {
    let server = TestServer::with_limits(limits(|limits| limits.stall_timeout = MS_100)).await;
    let mut client = server.connect().await;
    let request = "GET /api/v1/query_range?query=vector(1)&start=0&end=11000&step=1 HTTP/1.1\r\nHost: t\r\n\r\n";
    client.write(request.repeat(200).as_bytes()).await;
    server.until("dozor_http_connections", 1.0).await;
    server.until("dozor_http_connections", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_past_the_limit_is_told_and_closed() {
    let server = TestServer::with_limits(limits(|limits| limits.connections_max = 2)).await;
    let (mut first, second) = (server.speaking().await, server.speaking().await);
    let mut third = server.connect().await;
    let answered = third.answer().await;
    assert_eq!(answered.status, 503);
    assert_eq!(answered.body, "too many connections: close idle ones, or raise limits.connections_max\n");
    assert!(third.closes().await);
    assert_eq!(server.number(r#"dozor_http_connections_refused_total{reason="connections_max"}"#), 1.0);
    first.write(b"GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(first.answer().await.status, 200, "those before it are served");
    drop(second);
    server.until("dozor_http_connections", 1.0).await;
    let reopened = async { while server.get("/-/ready").await.status != 200 {} };
    tokio::time::timeout(PATIENCE, reopened).await.expect("a place is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_find_a_place_when_senders_have_taken_all() {
    let server = TestServer::with_limits(limits(|limits| limits.connections_max = 32)).await;
    let mut senders = Vec::new();
    for _ in 0..30 {
        senders.push(server.speaking().await);
    }
    for target in ["/-/healthy", "/api/v1/query?query=1&time=4", "/metrics", "/nowhere"] {
        // A place is given back a moment after its client sees the end.
        server.until("dozor_http_connections", 30.0).await;
        let mut client = server.connect().await;
        client.write(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).await;
        let answered = client.answer().await;
        assert_eq!((answered.status == 200, answered.header("connection")), (target != "/nowhere", Some("close")));
        assert!(client.closes().await, "{target}: one question each");
    }
    let by_post = async {
        while server.post_form("/api/v1/query", "query=1").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, by_post).await.expect("also by POST");
    // The question's place may still be taken when the write comes: then it is refused for having none at all.
    let by_write = async {
        while server.number(r#"dozor_http_connections_refused_total{reason="kept_for_questions"}"#) == 0.0 {
            let answered = server.send(format!("{}abc", write_of(3))).await;
            assert_eq!((answered.status, answered.comes_again_in(1)), (503, true));
            assert!(answered.body.contains("limits.connections_max"), "{}", answered.body);
        }
    };
    tokio::time::timeout(PATIENCE, by_write).await.expect("a write gets none of the places kept for questions");
    senders[0].write(format!("{}abc", write_of(3)).as_bytes()).await;
    assert_eq!(senders[0].answer().await.status, 400, "those who have a place write on");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_change_nothing() {
    const IDLE: usize = 3_000;
    // Each has two ends here; what the system does not give makes it a smaller test.
    let files_max = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let idle = IDLE.min(usize::try_from(files_max).unwrap_or(usize::MAX).saturating_sub(200) / 2);
    let server = TestServer::start().await;
    let mut clients = Vec::new();
    for _ in 0..idle {
        clients.push(server.connect().await);
    }
    server.until("dozor_http_connections", idle as f64).await;
    let asked = async {
        for _ in 0..50 {
            assert_eq!(server.get("/api/v1/query?query=up&time=1010").await.status, 200);
            assert_eq!(server.send(format!("{}abc", write_of(3))).await.status, 400);
        }
    };
    tokio::time::timeout(Duration::from_secs(5), asked).await.expect("as fast as without them");
    clients[idle / 2].write(b"GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(clients[idle / 2].answer().await.status, 200, "and each of them is served when it speaks");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_past_the_limit_keep_nobody_out() {
    let server = TestServer::with_limits(limits(|limits| limits.connections_max = 32)).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(server.connect().await);
    }
    for _ in 0..5 {
        assert_eq!(server.send(format!("{}abc", write_of(3))).await.status, 400, "it is read");
    }
    assert!(silent[0].closes().await, "who was silent longest made room");
    assert!(server.number(r#"dozor_http_connections_refused_total{reason="silent"}"#) >= 70.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_is_not_told_to_come_back_as_one() {
    let server = TestServer::with_limits(limits(|limits| limits.connections_max = 1)).await;
    let _holder = server.speaking().await;
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let answered = server.connect().await.answer().await;
        assert!(answered.comes_again_in(1), "{answered:?}");
        told.extend(answered.header("retry-after").map(str::to_owned));
    }
    // That sixty draws of five leave out two of them has a chance of one in 10^12.
    assert!(told.len() >= 4, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn query_without_a_turn_is_refused_and_the_next_one_is_served() {
    let one = limits(|limits| (limits.queries_max, limits.queue_timeout) = (1, MS_100));
    let server = TestServer::with_limits(one).await;
    server.gate.close();
    let mut first = server.connect().await;
    first.write(b"GET /api/v1/query?query=1&time=4 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    server.until("dozor_queries_running", 1.0).await;
    for target in ["/api/v1/query?query=1", "/api/v1/labels"] {
        let answered = server.get(target).await;
        assert_eq!((answered.status, answered.comes_again_in(5)), (503, true));
        assert!(answered.body.contains("raise query.concurrency"), "{}", answered.body);
    }
    server.gate.open();
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(server.get("/api/v1/query?query=1").await.status, 200);
    assert_eq!(server.number("dozor_queries_refused_total"), 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_with_two_lengths_leaves_nothing_to_be_read_as_another() {
    let server = TestServer::start().await;
    let smuggled = "GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n";
    for lengths in
        ["Content-Length: 60\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
    {
        let mut client = server.connect().await;
        let request = format!("POST /api/v1/write HTTP/1.1\r\nHost: t\r\n{lengths}\r\n\r\n0\r\n\r\n{smuggled}");
        client.write(request.as_bytes()).await;
        let answered = client.answer().await;
        assert_eq!(answered.header("connection"), Some("close"), "{lengths}");
        assert!(client.closes().await, "{lengths}");
    }
    for wrong in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: -1",
        "Content-Length: 1, 2",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
    ] {
        let mut client = server.connect().await;
        client.write(format!("POST /api/v1/write HTTP/1.1\r\nHost: t\r\n{wrong}\r\n\r\n{smuggled}").as_bytes()).await;
        assert_eq!(client.answer().await.status, 400, "{wrong}");
        assert!(client.closes().await, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_names_exactly_one_host() {
    let server = TestServer::start().await;
    assert_eq!(server.send("GET / HTTP/1.1\r\n\r\n").await.status, 400);
    assert_eq!(server.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await.status, 400);
    assert_eq!(server.send("GET / HTTP/1.0\r\n\r\n").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_answered_or_closed_and_the_server_lives() {
    let server = TestServer::start().await;
    // A fixed sequence of bytes that look random (an LCG), so that a failure comes again.
    let mut state: u32 = 7;
    for length in 1..200 {
        let garbage: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut client = server.connect().await;
        client.write(&garbage).await;
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
}

#[test]
fn limits_follow_the_settings() {
    let standard = HttpLimits::of(&Config::default());
    assert_eq!((standard.connections_max, standard.request_bytes_max), (4096, 16 << 20));
    assert!(standard.queries_max >= 2, "0 is twice the number of cores");
    let yaml = "limits: { connections_max: 7, request_bytes_max: 200MiB }\nquery: { concurrency: 3 }";
    let given = HttpLimits::of(&Config::from_yaml("a.yml", yaml).expect("the settings are right"));
    assert_eq!((given.connections_max, given.request_bytes_max, given.queries_max), (7, 200 << 20, 3));
    assert!(given.bodies_bytes_max >= given.request_bytes_max, "a body that is allowed can be read");
    let yaml = "limits: { connections_per_address_max: 5, head_timeout: 1s, body_timeout: 2s, body_rate_min: 7KiB, \
                idle_timeout: 3s, body_bytes_in_flight_max: 64MiB }";
    let given = HttpLimits::of(&Config::from_yaml("a.yml", yaml).expect("the settings are right"));
    assert_eq!((given.connections_per_address_max, given.body_rate_min), (5, 7 << 10));
    let seconds = [given.head_timeout, given.body_timeout, given.idle_timeout].map(|span| span.as_secs());
    assert_eq!((seconds, given.bodies_bytes_max), ([1, 2, 3], 64 << 20));
}
