//! What a query costs, and what is left of one that is not wanted or not finished.

use super::*;
use crate::disk::DiskError;

/// What the answer says of the samples: in all windows.
async fn samples_of(server: &TestServer, target: &str) -> u64 {
    let body = server.body(&format!("/api/v1/{target}&stats=all")).await;
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let stats = &answer["data"]["stats"];
    for name in
        ["evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime"]
    {
        assert!(stats["timings"][name].as_f64().is_some_and(|seconds| seconds >= 0.0), "{name}: {body}");
    }
    assert!(stats["samples"]["peakSamples"].is_u64(), "{body}");
    stats["samples"]["totalQueryableSamples"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_count_samples_by_window_as_prometheus_does() {
    let server = TestServer::start().await;
    for (target, samples) in [
        ("query?query=up&time=1000", 2),
        ("query?query=up[1m]&time=1020", 4),
        ("query_range?query=up&start=1000&end=1020&step=10", 6),
        ("query_range?query=rate(up[1m])&start=1000&end=1020&step=10", 8),
        ("query?query=sum(up)%2Bsum(up)&time=1020", 4),
        ("query_range?query=up@1000&start=1000&end=1020&step=10", 6),
        ("query_range?query=rate(up[1m]@1020)&start=1000&end=1020&step=10", 12),
        ("query?query=max_over_time(up[1m:10s])&time=1020", 6),
        ("query_range?query=max_over_time(up[1m:10s])&start=1000&end=1020&step=10", 12),
        ("query?query=timestamp(up)&time=1020", 2),
        ("query?query=absent(up)&time=1020", 2),
        ("query?query=absent_over_time(up[5m])&time=1020", 4),
        ("query?query=1&time=1020", 0),
    ] {
        assert_eq!(samples_of(&server, target).await, samples, "{target}");
    }
    assert!(!server.body("/api/v1/query?query=up&time=1000").await.contains("stats"), "only on request");
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_of_all_tell_each_step() {
    let server = TestServer::start().await;
    let range = |query: &str| format!("query_range?query={query}&start=1000&end=1020&step=10");
    for (target, steps) in [
        ("query?query=up[1m]&time=1020".to_owned(), "[[1020,4]]"),
        ("query?query=up&time=1000.5".to_owned(), "[[1000.5,2]]"),
        (range("up"), "[[1000,2],[1010,2],[1020,2]]"),
        (range("rate(up[1m])"), "[[1000,2],[1010,2],[1020,4]]"),
        (range("up@1000"), "[[1000,2],[1010,2],[1020,2]]"),
        (range("rate(up[1m]@1020)"), "[[1000,4],[1010,4],[1020,4]]"),
        (range("max_over_time(up[1m:10s])"), "[[1000,2],[1010,4],[1020,6]]"),
        (range("1"), "[[1000,0],[1010,0],[1020,0]]"),
    ] {
        let body = server.body(&format!("/api/v1/{target}&stats=all")).await;
        assert!(body.contains(&format!(r#""totalQueryableSamplesPerStep":{steps},"#)), "{target}: {body}");
        let body = server.body(&format!("/api/v1/{target}&stats=1")).await;
        assert!(!body.contains("PerStep"), "{target}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn query_within_subqueries_stops_when_its_client_leaves() {
    let server = TestServer::start().await;
    let inner = "sum_over_time(sum_over_time(up[20m:1s])[30m:1s])";
    for query in [format!("sum_over_time({inner}[1h:1s])"), format!("count_values(\"v\",{inner})%2Bon()(up*up)[1d:1s]")]
    {
        let target =
            format!("GET /api/v1/query_range?query={query}&start=1000&end=9000&step=1 HTTP/1.1\r\nHost: t\r\n\r\n");
        let before = server.number("dozor_queries_cancelled_total");
        let mut client = server.connect().await;
        client.write(target.as_bytes()).await;
        if query.ends_with(']') {
            assert_eq!(client.answer().await.status, 400);
            continue;
        }
        server.until("dozor_queries_running", 1.0).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(client);
        server.until("dozor_queries_cancelled_total", before + 1.0).await;
        let left = std::time::Duration::from_secs(2);
        let stopped = tokio::time::timeout(left, server.until("dozor_queries_running", 0.0)).await;
        assert!(stopped.is_ok(), "it goes on without anybody who waits for it");
    }
}

fn reopened(disk: &SimulatedDisk, count: usize) -> Result<(Arc<QueryJournal>, Vec<String>), DiskError> {
    let (journal, unfinished) = QueryJournal::open(disk, &PathBuf::from("/queries.active"), count)?;
    Ok((Arc::new(journal), unfinished))
}

#[test]
fn queries_that_ran_at_the_end_are_told_at_the_next_start() {
    let disk = SimulatedDisk::new();
    let (journal, unfinished) = reopened(&disk, 3).expect("it opens");
    assert!(unfinished.is_empty());
    let first = journal.note("up{a=\"b\"}", 1_795_333_171_671).expect("there is room");
    let second = journal.note("sum(up)", 5_000).expect("there is room");
    let third = journal.note(&"é\u{1}".repeat(4_000), 6_000).expect("there is room");
    assert!(journal.note("one too many", 7_000).is_none());
    drop(second);
    let fourth = journal.note("max(up)", 8_000).expect("a place is free again");
    let (_, unfinished) = reopened(&disk, 3).expect("it opens");
    assert_eq!(unfinished.len(), 3);
    assert_eq!(unfinished[0], r#"{"query":"up{a=\"b\"}","timestamp_sec":1795333171}"#);
    assert_eq!(unfinished[1], r#"{"query":"max(up)","timestamp_sec":8}"#);
    assert!(unfinished[2].starts_with("{\"query\":\"é\\u0001é") && unfinished[2].ends_with(r#"","timestamp_sec":6}"#));
    assert!(unfinished[2].len() < 1024, "a note has its bound");
    drop((first, third, fourth));
    // What was told is not told again.
    assert!(reopened(&disk, 3).expect("it opens").1.is_empty());
}

#[test]
fn journal_of_anything_is_read() {
    let disk = SimulatedDisk::new();
    disk.replace(&PathBuf::from("/queries.active"), &[0xff; 5_000]).expect("it can be written");
    assert_eq!(reopened(&disk, 1).expect("it opens").1.len(), 5);
}
