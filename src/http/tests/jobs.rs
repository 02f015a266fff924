//! Jobs that send, and jobs that report.

use super::*;

/// One that is on time, and one that was not heard of since the start.
pub(super) fn senders() -> Vec<SenderFigures> {
    let shop = SenderFigures {
        job: "shop".to_owned(),
        state: "sending",
        heard_ms: Some(16_000),
        newest_ms: 15_250,
        lag_ms: 400,
        clock_skew_ms: 0,
        interval_ms: 15_000,
        lateness_ms: Some(1_500),
        waited_ms: Some(5_000),
        samples_per_second: 133.25,
        series_count: 2_000,
    };
    vec![
        SenderFigures { job: "a \"b\"".to_owned(), heard_ms: None, lateness_ms: None, waited_ms: None, ..shop.clone() },
        shop,
    ]
}

/// Knows a job, and has no room for another one.
pub(super) fn take_beat() -> TakeBeat {
    Arc::new(|beat| {
        let taken = match beat.job.as_str() {
            "full" => Err(BeatError::TooManyJobs { limit: 3 }),
            job => Ok(BeatTaken { is_listed: job == "nightly", due_ms: beat.is_good.then_some(NOW_MS) }),
        };
        Box::pin(async { taken })
    })
}

/// The one that is known.
pub(super) fn heartbeats() -> Vec<HeartbeatFigures> {
    vec![HeartbeatFigures {
        job: "nightly".to_owned(),
        expected: "every 1d".to_owned(),
        state: "ok",
        reported_ms: Some(NOW_MS),
        good_ms: None,
        due_ms: None,
        duration_ms: Some(1_500),
    }]
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_listed_with_their_lag_and_skew() {
    let server = TestServer::start().await;
    let figures = |late: &str| {
        let before =
            r#""newestSample":"1970-01-01T00:00:15.250Z","lagSeconds":0.4,"clockSkewSeconds":0,"intervalSeconds":15"#;
        format!(r#"{before},{late},"samplesPerSecond":133.250,"series":2000}}"#)
    };
    let unwatched = figures(r#""latenessSeconds":null,"waitedSeconds":null"#);
    let watched = figures(r#""latenessSeconds":1.5,"waitedSeconds":5"#);
    let expected = format!(
        r#"{{"status":"success","data":{{"senders":[{{"job":"a \"b\"","state":"sending","lastSeen":null,{unwatched},{{"job":"shop","state":"sending","lastSeen":"1970-01-01T00:00:16.000Z",{watched}]}}}}"#
    );
    assert_eq!(server.body("/api/v1/status/senders").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_jobs_are_taken_by_get_and_post_and_told_whether_they_are_expected() {
    let server = TestServer::start().await;
    let body = server.body("/api/v1/heartbeat/nightly?exit_code=0&duration=90s").await;
    let due = r#""due":"2023-11-14T22:13:20.000Z""#;
    assert_eq!(body, format!(r#"{{"status":"success","data":{{"job":"nightly","listed":true,{due}}}}}"#));
    let answered = server.post_form("/api/v1/heartbeat/a%20b", "status=fail").await;
    assert_eq!(answered.status, 200);
    let told = &answered.body;
    assert!(told.starts_with(r#"{"status":"success","data":{"job":"a b","listed":false,"due":null}"#), "{told}");
    assert!(told.contains("put it into `heartbeats` of the settings"), "{told}");
    let listed = server.body("/api/v1/heartbeats").await;
    let expected = concat!(
        r#"{"status":"success","data":{"heartbeats":[{"job":"nightly","expected":"every 1d","state":"ok","#,
        r#""lastReport":"2023-11-14T22:13:20.000Z","lastSuccess":null,"due":null,"durationSeconds":1.5}]}}"#
    );
    assert_eq!(listed, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_say_nonsense_or_come_from_web_pages_are_refused() {
    let server = TestServer::start().await;
    for (target, status) in [
        ("/api/v1/heartbeat/nightly?status=maybe", 400),
        ("/api/v1/heartbeat/nightly?exit_code=x", 400),
        ("/api/v1/heartbeat/nightly?duration=long", 400),
        ("/api/v1/heartbeat/%01", 400),
        ("/api/v1/heartbeat/full", 404),
        ("/api/v1/heartbeat/", 404),
    ] {
        assert_eq!(server.get(target).await.status, status, "{target}");
    }
    for header in ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site"] {
        let request =
            format!("GET /api/v1/heartbeat/nightly HTTP/1.1\r\nHost: t\r\n{header}\r\nConnection: close\r\n\r\n");
        assert_eq!(server.send(request).await.status, 403, "{header}");
    }
}
