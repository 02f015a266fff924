//! Answers in the coding that the client likes.

use std::io::Read;

use super::*;

/// A question with an answer of some KiB.
const LONG: &str = "/api/v1/query_range?query=up&start=1000&end=1100&step=1";

async fn ask(server: &TestServer, method: &str, target: &str, accept: &str) -> Answered {
    let mut client = server.connect().await;
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAccept-Encoding: {accept}\r\n\r\n");
    client.write(head.as_bytes()).await;
    if method == "HEAD" { client.answer_without_body().await } else { client.answer().await }
}

fn inflated(coding: Option<&str>, bytes: &[u8]) -> String {
    let text = match coding {
        None => bytes.to_vec(),
        Some("gzip") => {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).expect("it is gzip");
            text
        }
        Some("zstd") => zstd::bulk::decompress(bytes, 1 << 20).expect("it is zstd"),
        Some(other) => panic!("{other} was not asked for"),
    };
    String::from_utf8(text).expect("an answer is text")
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_come_in_the_coding_that_is_liked_best() {
    let server = TestServer::start().await;
    let plain = server.body(LONG).await;
    for (accept, coding) in [
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("zstd;q=0.5, gzip;q=0.8", Some("gzip")),
        ("GZIP ; q=1", Some("gzip")),
        ("*", Some("gzip")),
        ("gzip;q=0", None),
        ("zstd;q=0, gzip;q=0.1", Some("gzip")),
        ("identity, gzip;q=0.5", None),
        ("br", None),
        ("", None),
        ("gzip;q=nonsense", Some("gzip")),
    ] {
        let answered = ask(&server, "GET", LONG, accept).await;
        assert_eq!(answered.header("content-encoding"), coding, "{accept}");
        assert_eq!(answered.header("vary"), Some("Accept-Encoding"), "{accept}");
        assert_eq!(answered.header("content-length"), Some(answered.bytes.len().to_string().as_str()), "{accept}");
        assert_eq!(inflated(coding, &answered.bytes), plain, "{accept}");
        let head = ask(&server, "HEAD", LONG, accept).await;
        assert_eq!(head.header("content-length"), answered.header("content-length"), "{accept}: HEAD as GET");
        assert_eq!(head.header("content-encoding"), coding, "{accept}: HEAD as GET");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_answers_are_sent_as_they_are() {
    let server = TestServer::start().await;
    let answered = ask(&server, "GET", "/api/v1/query?query=1&time=4", "gzip").await;
    assert_eq!((answered.header("content-encoding"), answered.header("vary")), (None, Some("Origin")));
    assert_eq!(answered.body, r#"{"status":"success","data":{"resultType":"scalar","result":[4,"1"]}}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_too_long_for_the_spot_are_whole_too() {
    let server = TestServer::start().await;
    let target = "/api/v1/query_range?query=up*random()&start=1000&end=1300&step=0.1".replace("random()", "time()");
    let plain = server.body(&target).await;
    assert!(plain.len() > 100_000, "{} bytes", plain.len());
    for coding in ["gzip", "zstd"] {
        let answered = ask(&server, "GET", &target, coding).await;
        assert_eq!(answered.header("content-encoding"), Some(coding));
        assert!(answered.bytes.len() < plain.len() / 2);
        assert!(inflated(Some(coding), &answered.bytes) == plain, "{coding}");
    }
}
