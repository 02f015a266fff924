//! Pushed texts and what they say of their metrics, as far as HTTP goes.

use super::*;

async fn push(server: &TestServer, path: &str, headers: &str, body: &[u8]) -> Answered {
    let head = format!("POST {path} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    server.send([head.as_bytes(), body].concat()).await
}

const IMPORT: &str = "/api/v1/import/prometheus";
/// What curl says of whatever it sends.
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// The label sets that are stored, in order.
fn stored(server: &TestServer) -> Vec<String> {
    let every_name = crate::model::Matcher::new("__name__", crate::model::MatchOp::NotEqual, "").expect("a matcher");
    let view = server.services.storage.view();
    let found = view.select(&[every_name], TimeRange::ALL, usize::MAX).expect("a selection");
    found.iter().map(|series| series.labels().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_text_is_204_and_labels_of_the_address_are_its_series_labels() {
    let server = TestServer::start().await;
    for (path, body) in [
        (IMPORT.to_owned(), "a 1"),
        (format!("{IMPORT}?extra_label=shop%3Dber+lin&extra_label=x=y&timestamp={}", NOW_MS - 1000), "b 1"),
        (format!("{IMPORT}/metrics/job/a%2Fb/path@base64/L3Zhcg==?extra_label=x=y"), "c{job=\"own\"} 1"),
    ] {
        let answered = push(&server, &path, FORM, body.as_bytes()).await;
        assert_eq!((answered.status, answered.body.as_str()), (204, ""), "{path}");
    }
    let expected = ["a", r#"b{shop="ber lin", x="y"}"#, r#"c{job="a/b", path="/var", x="y"}"#];
    assert_eq!(stored(&server), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn push_that_is_not_taken_as_it_stands_is_told_why() {
    let server = TestServer::start().await;
    for (path, headers, body, status, words) in [
        ("", "", "a 1\nb x\n", 400, "1 refused, 1 stored; first refused: line 2, \"b x\": its value is not a number"),
        ("", "", "\u{0}\u{1}", 400, "the body is not text: byte 0"),
        ("", "Content-Encoding: br\r\n", "a 1", 415, "Content-Encoding \"br\""),
        ("", "Content-Type: application/vnd.google.protobuf\r\n", "a 1", 415, "Content-Type"),
        ("?extra_label=shop", "", "a 1", 400, "is not of the form name=value"),
        ("?extra_label=__name__=b", "", "a 1", 400, "cannot be given to all series"),
        ("?extra_label=a=1&extra_label=a=2", "", "a 1", 400, "twice"),
        ("?timestamp=now", "", "a 1", 400, "is not a number of milliseconds"),
        ("/metrics/instance/a", "", "a 1", 400, "begins with job"),
        ("/metrics/job", "", "a 1", 400, "has no value"),
    ] {
        let answered = push(&server, &format!("{IMPORT}{path}"), headers, body.as_bytes()).await;
        let said = answered.body.replace("\\\"", "\"");
        assert!(answered.status == status && said.contains(words), "{path} {body:?}: {} {said}", answered.status);
    }
    assert_eq!(stored(&server), ["a"], "only what was told as stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_told_as_prometheus_tells_it() {
    let server = TestServer::start().await;
    let open = "Content-Type: application/openmetrics-text\r\n";
    let text =
        "# TYPE up_seconds gauge\n# UNIT up_seconds seconds\n# HELP up_seconds \\\"Up\\\".\n# TYPE a counter\n# EOF\n";
    assert_eq!(push(&server, IMPORT, open, text.as_bytes()).await.status, 204);
    let of = |data: &str| format!(r#"{{"status":"success","data":{{{data}}}}}"#);
    let a = r#""a":[{"type":"counter","help":"","unit":""}]"#;
    let up = r#""up_seconds":[{"type":"gauge","help":"\"Up\".","unit":"seconds"}]"#;
    for (query, expected) in [
        ("", format!("{a},{up}")),
        ("?limit=1", a.to_owned()),
        ("?limit=0", String::new()),
        ("?limit=-1&limit_per_metric=1", format!("{a},{up}")),
        ("?metric=up_seconds", up.to_owned()),
        ("?metric=other", String::new()),
    ] {
        assert_eq!(server.body(&format!("/api/v1/metadata{query}")).await, of(&expected), "{query}");
    }
    for name in ["limit", "limit_per_metric"] {
        let answered = server.get(&format!("/api/v1/metadata?{name}=x")).await;
        let error = format!(r#"{{"status":"error","errorType":"bad_data","error":"{name} must be a number"}}"#);
        assert_eq!((answered.status, answered.body), (400, error));
    }
}
