//! Import and export, as far as HTTP goes.

use super::*;
use crate::storage::view::GivenSeries;

/// Takes the answer apart that came in chunks. Fails where it was cut short.
async fn export(server: &TestServer, query: &str) -> Result<Vec<String>, String> {
    let request = format!("GET /api/v1/export?{query} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    let mut client = server.connect().await;
    client.write(request.as_bytes()).await;
    while client.receive().await {}
    let answer = String::from_utf8(client.received.clone()).expect("answers are text");
    let (head, mut rest) = answer.split_once("\r\n\r\n").expect("there is a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(head.contains("content-type: application/stream+json"), "{head}");
    let mut body = String::new();
    loop {
        let (length, after) = rest.split_once("\r\n").ok_or("cut short")?;
        let length = usize::from_str_radix(length, 16).map_err(|_| "no chunk")?;
        if length == 0 {
            return Ok(body.lines().map(str::to_owned).collect());
        }
        body.push_str(after.get(..length).ok_or("cut short")?);
        rest = &after[length + 2..];
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn export_gives_each_matching_series_once_in_order() {
    let server = TestServer::start().await;
    let a = r#"{"metric":{"__name__":"up","job":"a"},"values":[1,0],"timestamps":[1000000,1015500]}"#;
    let b = r#"{"metric":{"__name__":"up","job":"b"},"values":["Infinity",1.5],"timestamps":[1000000,1015500]}"#;
    assert_eq!(export(&server, "match[]=up").await.expect("whole"), [a, b]);
    let both = export(&server, "match[]=up{job=%22b%22}&match[]=up").await.expect("whole");
    assert_eq!(both, [a, b], "a series that two selectors match comes once");
    let odd = export(&server, "match[]=odd").await.expect("whole");
    assert_eq!(
        odd,
        [r#"{"metric":{"__name__":"odd","http.path":"a \"b\"\\\n"},"values":[1e-7],"timestamps":[1000000]}"#]
    );
    assert!(export(&server, "match[]=nothing").await.expect("whole").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn export_keeps_to_times_and_lengths_of_lines() {
    let server = TestServer::start().await;
    let late = export(&server, "match[]=up{job=%22a%22}&start=1001").await.expect("whole");
    assert_eq!(late, [r#"{"metric":{"__name__":"up","job":"a"},"values":[0],"timestamps":[1015500]}"#]);
    let short = export(&server, "match[]=up{job=%22a%22}&max_rows_per_line=1").await.expect("whole");
    assert_eq!(short.len(), 2);
    assert!(export(&server, "match[]=up&start=2000").await.expect("whole").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn export_without_a_selector_is_told_what_to_say() {
    let server = TestServer::start().await;
    let answered = server.get("/api/v1/export").await;
    assert_eq!(answered.status, 400);
    assert!(answered.body.contains("no match[] parameter provided"), "{}", answered.body);
    assert_eq!(server.get("/api/v1/export?match[]=up&max_rows_per_line=x").await.status, 400);
}

/// Far apart: a day here, a day 20 years later.
fn sparse() -> Vec<(Labels, Vec<Sample>)> {
    let at = |timestamp_ms| Sample { timestamp_ms, value: 1.0 };
    let times = [-5_000_000_000_000, -4_999_999_999_999, 0, 86_399_999, 86_400_000, 1_700_000_000_000];
    vec![(labels(&[("__name__", "sparse")]), times.map(at).to_vec())]
}

#[tokio::test(flavor = "multi_thread")]
async fn export_steps_over_years_without_samples_and_loses_none() {
    let view = || ReadView::of_samples(sparse());
    let server =
        TestServer::with_services(HttpLimits::default(), IngestLimits::default(), Arc::default(), Arc::new(view)).await;
    let lines = export(&server, "match[]=sparse").await.expect("whole");
    let times: Vec<String> =
        lines.iter().map(|line| line.split("timestamps\":").nth(1).expect("times").to_owned()).collect();
    let expected = ["[-5000000000000,-4999999999999]}", "[0,86399999]}", "[86400000]}", "[1700000000000]}"];
    assert_eq!(times, expected, "a line a day");
}

#[tokio::test(flavor = "multi_thread")]
async fn export_leaves_native_histograms_out_and_says_how_many() {
    let series = GivenSeries {
        labels: Arc::new(labels(&[("__name__", "latency")])),
        samples: vec![Sample { timestamp_ms: 1000, value: 2.0 }],
        histograms: [2000, 90_000_000].map(|time_ms| (time_ms, Arc::default())).to_vec(), // two days
        ..GivenSeries::default()
    };
    let view = move || ReadView::of_series(vec![series.clone()]);
    let server =
        TestServer::with_services(HttpLimits::default(), IngestLimits::default(), Arc::default(), Arc::new(view)).await;
    let lines = export(&server, "match[]=latency").await.expect("whole");
    let expected = [
        r#"{"metric":{"__name__":"latency"},"values":[2],"timestamps":[1000]}"#,
        r#"{"left_out":["native histograms, 2 of them"]}"#,
    ];
    assert_eq!(lines, expected);
}

/// More than sockets and queues hold.
fn much() -> Vec<(Labels, Vec<Sample>)> {
    let series = |index: i64| {
        let samples = (0..20_000).map(|at| Sample { timestamp_ms: at, value: (at * index) as f64 / 7.0 }).collect();
        (labels(&[("__name__", "much"), ("index", &index.to_string())]), samples)
    };
    (0..40).map(series).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn export_ends_when_its_client_leaves_and_gives_its_turn_back() {
    let all = Arc::new(ReadView::of_samples(much()));
    let view = move || (*all).clone();
    let server =
        TestServer::with_services(HttpLimits::default(), IngestLimits::default(), Arc::default(), Arc::new(view)).await;
    let turns = |server: &TestServer| server.entrance.front().exports.available_permits();
    let request = b"GET /api/v1/export?match[]=much HTTP/1.1\r\nHost: t\r\n\r\n";
    let (mut one, mut other) = (server.connect().await, server.connect().await);
    one.write(request).await;
    other.write(request).await;
    one.receive().await;
    other.receive().await;
    // Neither takes more than its socket holds, so both wait.
    assert_eq!(turns(&server), 0);
    let refused = server.get("/api/v1/export?match[]=much").await;
    let seconds: u32 =
        refused.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("when to come again");
    assert!(refused.status == 503 && (5..10).contains(&seconds), "{} {seconds}", refused.status);
    drop((one, other));
    let given_back = async {
        while turns(&server) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.expect("nobody takes it any more, so it ends");
    assert_eq!(export(&server, "match[]=much").await.expect("whole").len(), 80, "20,000 samples are two lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reader_of_a_long_answer_is_not_idle() {
    let all = Arc::new(ReadView::of_samples(much()));
    let view = move || (*all).clone();
    let limits = HttpLimits { idle_timeout: Duration::from_millis(200), ..HttpLimits::default() };
    let server = TestServer::with_services(limits, IngestLimits::default(), Arc::default(), Arc::new(view)).await;
    let mut client = server.connect().await;
    client.write(b"GET /api/v1/export?match[]=much HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").await;
    client.receive().await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    while client.receive().await {}
    assert!(client.received.ends_with(b"0\r\n\r\n"), "it is taken to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_imported_with_labels_of_the_address() {
    let server = TestServer::start().await;
    let line =
        format!("{{\"metric\":{{\"__name__\":\"up\"}},\"values\":[1,2],\"timestamps\":[{NOW_MS},{}]}}", NOW_MS + 1);
    let post = |target: &str, body: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert_eq!(server.send(post("/api/v1/import?extra_label=site=eu", &line)).await.status, 204);
    let found = server.services.storage.view().span().expect("something is stored");
    assert_eq!((found.from_ms, found.to_ms), (NOW_MS, NOW_MS + 1));
    let refused = server.send(post("/api/v1/import", "nonsense")).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.starts_with("1 refused, 0 stored; first refused: line 1 at byte 0"), "{}", refused.body);
    let many: String = (0..65).map(|index| format!("&extra_label=l{index}=v")).collect();
    let long: String = (0..3).map(|index| format!("&extra_label=l{index}={}", "v".repeat(5500))).collect();
    for labels in ["&extra_label=site", "&extra_label=__name__=x", "&extra_label=a=1&extra_label=a=2", &many, &long] {
        assert_eq!(server.send(post(&format!("/api/v1/import?{}", &labels[1..]), &line)).await.status, 400, "{labels}");
    }
    assert_eq!(server.get("/health").await.status, 200, "vmctl asks before it sends");
}
