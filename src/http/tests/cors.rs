//! What browsers are told of answers, as Prometheus 3.5 told them with `--web.cors.origin=https?://(\w+\.)?shop\.example`.

use super::*;

const ALLOWED: [(&str, &str); 3] = [
    ("access-control-allow-headers", "Accept, Authorization, Content-Type, Origin"),
    ("access-control-allow-methods", "GET, POST, OPTIONS"),
    ("access-control-expose-headers", "Date"),
];

async fn ask(server: &TestServer, method: &str, path: &str, origin: Option<&str>) -> Answered {
    let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{origin}Content-Length: 0\r\nConnection: close\r\n\r\n");
    server.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_read_the_api() {
    let server = TestServer::start().await;
    for (method, path, status) in [
        ("GET", "/api/v1/labels", 200),
        ("POST", "/api/v1/query", 400),
        ("GET", "/api/v1/status/buildinfo", 200),
        ("GET", "/api/v1/label/job/values", 200),
        ("OPTIONS", "/api/v1/query", 204),
    ] {
        for (origin, allowed) in [
            (None, None),
            (Some("https://shop.example"), Some("https://shop.example")),
            (Some("http://admin.shop.example"), Some("http://admin.shop.example")),
            (Some("https://shop.example.evil"), None),
            (Some("null"), None),
        ] {
            let answered = ask(&server, method, path, origin).await;
            assert_eq!((answered.status, answered.header("vary")), (status, Some("Origin")), "{method} {path}");
            assert_eq!(answered.header("access-control-allow-origin"), allowed, "{method} {path} {origin:?}");
            for (name, value) in ALLOWED {
                assert_eq!(answered.header(name), origin.map(|_| value), "{method} {path} {origin:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_not_told_that_they_may_write_or_order() {
    let server = TestServer::start().await;
    for (method, path, status) in [
        ("OPTIONS", "/api/v1/write", 204),
        ("OPTIONS", "/api/v1/import", 204),
        ("OPTIONS", "/api/v1/admin/tsdb/delete_series", 204),
        ("OPTIONS", "/api/v1/nothing", 204),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/federate", 200),
        ("GET", "/metrics", 200),
        ("POST", "/api/v1/import/prometheus", 204),
        ("POST", "/api/v1/admin/tsdb/compact", 403),
    ] {
        let answered = ask(&server, method, path, Some("https://shop.example")).await;
        assert_eq!(answered.status, status, "{method} {path}: {}", answered.body);
        for name in ALLOWED.iter().map(|(name, _)| *name).chain(["access-control-allow-origin"]) {
            assert_eq!(answered.header(name), None, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_another_address_names_its_methods() {
    let server = TestServer::start().await;
    for (path, status, allow) in [
        ("/federate", 200, Some("GET, HEAD, OPTIONS")),
        ("/metrics/job/a", 200, Some("PUT, POST, DELETE, OPTIONS")),
        ("/nothing", 404, None),
    ] {
        let answered = ask(&server, "OPTIONS", path, Some("https://shop.example")).await;
        assert_eq!((answered.status, answered.header("allow")), (status, allow), "{path}");
    }
}
