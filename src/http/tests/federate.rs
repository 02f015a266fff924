//! `/federate`, as Prometheus 3.5 wrote it of the same samples.

use super::*;
use crate::model::{STALE_NAN_BITS, Sample};

const NOW: i64 = NOW_MS;

async fn server() -> TestServer {
    let at = |timestamp_ms, value| Sample { timestamp_ms, value };
    let series = move || {
        vec![
            (labels(&[("__name__", "up"), ("job", "b")]), vec![at(NOW - 2_000, 1.0)]),
            (
                labels(&[("__name__", "up"), ("instance", "x"), ("job", "a")]),
                vec![at(NOW - 60_000, 0.0), at(NOW - 3_000, 1.5), at(NOW + 1, 7.0)],
            ),
            (
                labels(&[("__name__", "gone")]),
                vec![at(NOW - 60_000, 3.0), at(NOW - 1_000, f64::from_bits(STALE_NAN_BITS))],
            ),
            (labels(&[("__name__", "old")]), vec![at(NOW - 400_000, 3.0)]),
            (labels(&[("__name__", "big"), ("v", "1")]), vec![at(NOW - 1_000, 123_456_789.0)]),
            (labels(&[("__name__", "big"), ("v", "2")]), vec![at(NOW - 1_000, 1e-7)]),
            (labels(&[("__name__", "big"), ("v", "3")]), vec![at(NOW - 1_000, f64::INFINITY)]),
            (labels(&[("__name__", "big"), ("v", "4")]), vec![at(NOW - 1_000, f64::NAN)]),
            (labels(&[("__name__", "big"), ("v", "5")]), vec![at(NOW - 1_000, 0.00012)]),
            (labels(&[("__name__", "big"), ("v", "6")]), vec![at(NOW - 1_000, 999_999.0)]),
            (labels(&[("__name__", "big"), ("v", "7")]), vec![at(NOW - 1_000, -1.0)]),
            (labels(&[("__name__", "odd.name"), ("http.path", "a \"b\"\\\n€")]), vec![at(NOW - 1_000, 2.0)]),
        ]
    };
    let view = move || ReadView::of_samples(series());
    TestServer::with_services(HttpLimits::default(), IngestLimits::default(), Arc::default(), Arc::new(view)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_samples_are_told_as_prometheus_tells_them() {
    let server = server().await;
    let answered = server.get("/federate?match[]=%7B__name__!%3D%22%22%7D&match[]=up").await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    let kind = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    assert_eq!(answered.header("content-type"), Some(kind));
    let expected = r##"# TYPE big untyped
big{v="1",instance=""} 1.23456789e+08 1699999999000
big{v="2",instance=""} 1e-07 1699999999000
big{v="3",instance=""} +Inf 1699999999000
big{v="4",instance=""} NaN 1699999999000
big{v="5",instance=""} 0.00012 1699999999000
big{v="6",instance=""} 999999 1699999999000
big{v="7",instance=""} -1 1699999999000
# TYPE odd_name untyped
odd_name{http_path="a \"b\"\\\n€",instance=""} 2 1699999999000
# TYPE up untyped
up{instance="x",job="a"} 1.5 1699999997000
up{job="b",instance=""} 1 1699999998000
"##;
    assert_eq!(answered.body, expected);
    assert_eq!(server.body("/federate").await, "", "nothing is selected");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_escaped_as_the_client_asks() {
    let server = server().await;
    for (accept, escaping, expected) in [
        (
            "text/plain;version=0.0.4;escaping=allow-utf-8",
            "allow-utf-8",
            "# TYPE \"odd.name\" untyped\n{\"odd.name\",\"http.path\"=",
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=values;q=0.5,text/plain;q=0.3",
            "values",
            "# TYPE U__odd_2e_name untyped\nU__odd_2e_name{U__http_2e_path=",
        ),
        ("text/plain;escaping=dots", "dots", "# TYPE odd_dot_name untyped\nodd_dot_name{http_dot_path="),
        ("*/*;q=0.1,text/plain;escaping=values;q=0.05", "values", "# TYPE U__odd_2e_name untyped\n"),
        ("text/plain;escaping=dots;q=0.1,text/plain;escaping=values", "values", "# TYPE U__odd_2e_name untyped\n"),
        ("text/plain;escaping=nonsense", "underscores", "# TYPE odd_name untyped\nodd_name{http_path="),
    ] {
        let request = format!(
            "GET /federate?match[]=%7B%22odd.name%22%7D HTTP/1.1\r\nHost: t\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        let answered = server.send(request).await;
        let kind = format!("text/plain; version=0.0.4; charset=utf-8; escaping={escaping}");
        assert_eq!(answered.header("content-type"), Some(kind.as_str()), "{accept}");
        assert!(answered.body.starts_with(expected), "{accept}: {}", answered.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn selector_that_is_none_is_told_in_a_line() {
    let server = server().await;
    let answered = server.get("/federate?match[]=up%7B").await;
    assert_eq!(answered.status, 400);
    assert_eq!(answered.body, "1:4: parse error: unexpected end of input inside braces\n");
}
