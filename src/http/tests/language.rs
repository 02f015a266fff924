//! Queries as texts, and the pages that say what the server runs with.

use super::*;

/// The only answer to this, and its status.
async fn assert_answers(server: &TestServer, target: &str, status: u16, body: &str) {
    let answered = server.get(&format!("/api/v1/{target}")).await;
    assert_eq!((answered.status, answered.body.as_str()), (status, body), "{target}");
}

fn success(data: &str) -> String {
    format!(r#"{{"status":"success","data":{data}}}"#)
}

fn bad_data(error: &str) -> String {
    format!(r#"{{"status":"error","errorType":"bad_data","error":"{error}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn query_is_formatted_and_shown_as_a_tree() {
    let server = TestServer::start().await;
    assert_answers(&server, "format_query?query=a%2Bb", 200, &success(r#""a + b""#)).await;
    let tree = concat!(
        r#"{"matchers":[{"name":"a","type":"=","value":"b"},{"name":"__name__","type":"=","value":"up"}],"#,
        r#""name":"up","offset":0,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"}"#
    );
    let body = server.body("/api/v1/parse_query?query=up%7Ba%3D%22b%22%7D").await;
    let ours: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let theirs: serde_json::Value = serde_json::from_str(tree).expect("JSON");
    // What Prometheus 3.5 says of it is there; newer ones say more.
    for (member, value) in theirs.as_object().expect("an object") {
        assert_eq!(ours["data"].get(member), Some(value), "{member}: {body}");
    }
    let posted = server.post_form("/api/v1/format_query", "query=sum+(up)+by+(job)").await;
    assert_eq!(posted.body, success(r#""sum by (job) (up)""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_in_a_query_is_told_with_its_place() {
    let server = TestServer::start().await;
    let prefix = r#"invalid parameter \"query\": "#;
    for path in ["format_query", "parse_query", "query"] {
        let none = bad_data(&format!("{prefix}unknown position: parse error: no expression found in input"));
        assert_answers(&server, path, 400, &none).await;
        let open = bad_data(&format!("{prefix}1:4: parse error: unexpected end of input inside braces"));
        assert_answers(&server, &format!("{path}?query=up%7B"), 400, &open).await;
    }
    let range = bad_data(&format!(
        r#"{prefix}invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"#
    ));
    assert_answers(&server, "query_range?query=up%5B5m%5D&start=1&end=2&step=1", 400, &range).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exemplars_are_none_for_whatever_query_is_one() {
    let server = TestServer::start().await;
    for times in ["", "&start=1795286351559&end=1795288151566", "&start=2026-11-22T07:39:28Z&end=2026-11-22T07:49:28Z"]
    {
        assert_answers(&server, &format!("query_exemplars?query=up{times}"), 200, &success("[]")).await;
    }
    let backwards = bad_data("end timestamp must not be before start timestamp");
    assert_answers(&server, "query_exemplars?query=up&start=2&end=1", 400, &backwards).await;
    let open = bad_data("1:4: parse error: unexpected end of input inside braces");
    assert_answers(&server, "query_exemplars?query=up%7B", 400, &open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_scrape_has_no_targets() {
    let server = TestServer::start().await;
    let all = r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}"#;
    assert_answers(&server, "targets", 200, &success(all)).await;
    assert_answers(&server, "targets?state=dropped", 200, &success(all)).await;
    assert_answers(&server, "targets?state=active", 200, &success(&all.replace("{}", "null"))).await;
    assert_answers(&server, "targets/metadata", 200, &success("[]")).await;
    assert_answers(&server, "targets/metadata?limit=x", 400, &bad_data("limit must be a number")).await;
    assert_answers(&server, "scrape_pools", 200, &success(r#"{"scrapePools":[]}"#)).await;
    let managers = r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#;
    assert_answers(&server, "alertmanagers", 200, &success(managers)).await;
    assert_answers(&server, "notifications", 200, &success("[]")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_shown_without_secrets() {
    let server = TestServer::start().await;
    let body = server.body("/api/v1/status/config").await;
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let yaml = answer["data"]["yaml"].as_str().expect("a text");
    for line in ["retention: 15d\n", "query:\n  timeout: 30s\n", "  url: \"https://pager.example/<secret>\"\n"] {
        assert!(yaml.contains(line), "{line:?} is not in {yaml}");
    }
    for secret in ["t0ken", "pw", "key=1"] {
        assert!(!yaml.contains(secret), "{yaml}");
    }
    let read = Config::from_yaml("shown.yml", yaml).expect("what is shown can be read");
    assert_eq!(Config { webhooks: Vec::new(), ..read }, Config { webhooks: Vec::new(), ..config() });
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_have_the_names_of_prometheus() {
    let server = TestServer::start().await;
    let body = server.body("/api/v1/status/flags").await;
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    for (flag, value) in [
        ("enable-feature", "promql-delayed-name-removal"),
        ("query.timeout", "30s"),
        ("query.lookback-delta", "5m"),
        ("storage.tsdb.retention.time", "15d"),
        ("web.enable-admin-api", "true"),
    ] {
        assert_eq!(answer["data"][flag], value, "{flag}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runtime_has_what_prometheus_tells_of_it() {
    let server = TestServer::start().await;
    let body = server.body("/api/v1/status/runtimeinfo").await;
    let answer: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let data = &answer["data"];
    assert_eq!(data["startTime"], "2023-11-14T22:13:19.000Z");
    assert_eq!(data["serverTime"], "2023-11-14T22:13:20.000Z");
    assert_eq!((&data["storageRetention"], &data["corruptionCount"]), (&"15d".into(), &1.into()));
    let names = [
        "startTime",
        "CWD",
        "hostname",
        "serverTime",
        "reloadConfigSuccess",
        "lastConfigTime",
        "corruptionCount",
        "goroutineCount",
        "GOMAXPROCS",
        "GOMEMLIMIT",
        "GOGC",
        "GODEBUG",
        "storageRetention",
    ];
    assert_eq!(data.as_object().map(|members| members.len()), Some(names.len()));
    assert!(names.iter().all(|name| data.get(name).is_some()), "{body}");
}
