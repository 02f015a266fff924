//! Bodies as Prometheus sends them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn health_check_of_grafana_is_answered() {
    let server = TestServer::start().await;
    let expected = r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#;
    let answered = server.post_form("/api/v1/query", "query=1%2B1&time=4").await;
    assert_eq!((answered.status, answered.body.as_str()), (200, expected));
    assert_eq!(answered.header("content-type"), Some("application/json"));
    assert_eq!(server.body("/api/v1/query?query=1%2B1&time=1970-01-01T00:00:04Z").await, expected);
    let build = server.body("/api/v1/status/buildinfo").await;
    assert!(build.starts_with(r#"{"status":"success","data":{"version":"3.5.0","#), "{build}");
    assert!(build.contains(r#""engine":"dozor","engineVersion":""#), "{build}");
    assert!(!build.contains("features"), "{build}");
}

#[tokio::test(flavor = "multi_thread")]
async fn instant_vector_has_prometheus_shape() {
    let server = TestServer::start().await;
    let expected = concat!(
        r#"{"status":"success","data":{"resultType":"vector","result":["#,
        r#"{"metric":{"__name__":"up","job":"a"},"value":[1015.500,"0"]},"#,
        r#"{"metric":{"__name__":"up","job":"b"},"value":[1015.500,"1.5"]}]}}"#
    );
    assert_eq!(server.body("/api/v1/query?query=sort(up)&time=1015.5").await, expected);
    let expected = concat!(
        r#"{"status":"success","data":{"resultType":"vector","result":["#,
        r#"{"metric":{"__name__":"odd","http.path":"a \"b\"\\\n"},"value":[1000,"1e-07"]}]}}"#
    );
    assert_eq!(server.body("/api/v1/query?query=odd&time=1000").await, expected);
    let nothing = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    assert_eq!(server.body("/api/v1/query?query=absent_metric&time=1000").await, nothing);
    assert_eq!(server.body("/api/v1/query?query=up").await, nothing, "now is long after the samples");
}

#[tokio::test(flavor = "multi_thread")]
async fn range_query_has_prometheus_shape() {
    let server = TestServer::start().await;
    let expected = concat!(
        r#"{"status":"success","data":{"resultType":"matrix","result":["#,
        r#"{"metric":{"__name__":"up","job":"a"},"values":[[1000,"1"],[1010,"1"],[1020,"0"]]},"#,
        r#"{"metric":{"__name__":"up","job":"b"},"values":[[1000,"+Inf"],[1010,"+Inf"],[1020,"1.5"]]}]}}"#
    );
    for step in ["10", "10.0", "10s", "1e1"] {
        let target = format!("/api/v1/query_range?query=up&start=1000&end=1020&step={step}");
        assert_eq!(server.body(&target).await, expected);
    }
    let form = "query=up&start=1000.0&end=1020.000&step=10&timeout=5s";
    assert_eq!(server.post_form("/api/v1/query_range", form).await.body, expected);
    let range = server.body("/api/v1/query?query=up%7Bjob%3D%22a%22%7D%5B1m%5D&time=1020").await;
    let expected = concat!(
        r#"{"status":"success","data":{"resultType":"matrix","result":["#,
        r#"{"metric":{"__name__":"up","job":"a"},"values":[[1000,"1"],[1015.500,"0"]]}]}}"#
    );
    assert_eq!(range, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn scalars_and_strings_have_trimmed_times_and_no_exponent() {
    let server = TestServer::start().await;
    let body = server.body("/api/v1/query?query=%22a%22&time=4.050").await;
    assert_eq!(body, r#"{"status":"success","data":{"resultType":"string","result":[4.05,"a"]}}"#);
    let body = server.body("/api/v1/query?query=1e-7&time=-4.5").await;
    assert_eq!(body, r#"{"status":"success","data":{"resultType":"scalar","result":[-4.5,"0.0000001"]}}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn series_and_labels_are_listed() {
    let server = TestServer::start().await;
    let series = concat!(
        r#"{"status":"success","data":[{"__name__":"odd","http.path":"a \"b\"\\\n"},"#,
        r#"{"__name__":"up","job":"a"},{"__name__":"up","job":"b"}]}"#
    );
    assert_eq!(server.body("/api/v1/series?match[]=up&match[]=odd&match%5B%5D=up").await, series);
    assert_eq!(server.post_form("/api/v1/series", "match[]=up&match[]=odd&start=900&end=1100").await.body, series);
    assert_eq!(server.body("/api/v1/series?match[]=up&start=2000").await, r#"{"status":"success","data":[]}"#);
    let names = r#"{"status":"success","data":["__name__","http.path","job"]}"#;
    assert_eq!(server.body("/api/v1/labels").await, names);
    assert_eq!(server.post_form("/api/v1/labels", "limit=40000&start=0&end=2000").await.body, names);
    let names = r#"{"status":"success","data":["__name__","job"]}"#;
    assert_eq!(server.body("/api/v1/labels?match[]=up").await, names);
    let values = r#"{"status":"success","data":["a","b"]}"#;
    assert_eq!(server.body("/api/v1/label/job/values").await, values);
    let values = r#"{"status":"success","data":["a"]}"#;
    assert_eq!(server.body("/api/v1/label/job/values?match[]=up%7Bjob!%3D%22b%22%7D").await, values);
    let values = r#"{"status":"success","data":["a \"b\"\\\n"]}"#;
    for name in ["U__http_2e_path", "http.path", "http%2Epath"] {
        assert_eq!(server.body(&format!("/api/v1/label/{name}/values")).await, values);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_longer_than_the_limit_are_cut_with_a_warning() {
    let server = TestServer::start().await;
    let warnings = r#","warnings":["results truncated due to limit"]}"#;
    let body = server.body("/api/v1/label/job/values?limit=1").await;
    assert_eq!(body, format!(r#"{{"status":"success","data":["a"]{warnings}"#));
    let body = server.body("/api/v1/series?match[]=up&limit=1").await;
    assert_eq!(body, format!(r#"{{"status":"success","data":[{{"__name__":"up","job":"a"}}]{warnings}"#));
    let body = server.body("/api/v1/query?query=up&time=1000&limit=1").await;
    assert!(body.contains(r#"{"job":"a"},"#) || body.contains(r#""job":"a"}"#), "{body}");
    assert!(body.ends_with(warnings), "{body}");
    assert_eq!(server.body("/api/v1/labels?limit=0").await.matches(',').count(), 3, "0 is no limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_with_nothing_to_say_succeed() {
    let server = TestServer::start().await;
    let exemplars = "query=test&start=1795286351559&end=1795288151566";
    let answered = server.post_form("/api/v1/query_exemplars", exemplars).await;
    assert_eq!(answered.body, r#"{"status":"success","data":[]}"#);
    assert_eq!(server.body("/api/v1/metadata?limit=40000").await, r#"{"status":"success","data":{}}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_page_lists_what_there_is() {
    let index = TestServer::start().await.body("/").await;
    assert!(index.contains("/api/v1/query_range\n"), "{index}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_named_as_prometheus_names_them() {
    let server = TestServer::start().await;
    let not_a_time = r#"cannot parse \"x\" to a valid timestamp"#;
    let not_a_duration = r#"cannot parse \"x\" to a valid duration"#;
    let points =
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
    let steps = "zero or negative query resolution step widths are not accepted. Try a positive integer";
    let of = |name: &str, what: &str| format!(r#"invalid parameter \"{name}\": {what}"#);
    for (target, error) in [
        ("query?query=up&time=x", of("time", &format!("invalid time value for 'time': {not_a_time}"))),
        (
            "query?query=up&time=NaN",
            of("time", r#"invalid time value for 'time': cannot parse \"NaN\" to a valid timestamp"#),
        ),
        ("query?query=up&lookback_delta=x", format!("error parsing lookback delta duration: {not_a_duration}")),
        ("query?query=up&timeout=x", of("timeout", not_a_duration)),
        ("query_range?query=1&start=x&end=1&step=1", of("start", not_a_time)),
        ("query_range?query=1&start=0&step=1", of("end", r#"cannot parse \"\" to a valid timestamp"#)),
        ("query_range?query=1&start=0&end=1&step=x", of("step", not_a_duration)),
        ("query_range?query=1&start=0&end=1&step=0", of("step", steps)),
        ("query_range?query=1&start=0&end=1&step=-1", of("step", steps)),
        ("query_range?query=1&start=5&end=1&step=1", of("end", "end timestamp must not be before start time")),
        ("query_range?query=1&start=0&end=11001&step=1", points.to_owned()),
        ("series", "no match[] parameter provided".to_owned()),
        ("labels?start=x", of("start", &format!("invalid time value for 'start': {not_a_time}"))),
        ("labels?match[]=up%7B", "1:4: parse error: unexpected end of input inside braces".to_owned()),
        ("label/job/values?match[]=%7B%7D", "match[] must contain at least one non-empty matcher".to_owned()),
        ("labels?limit=-1", of("limit", "limit must be non-negative")),
        ("labels?limit=x", of("limit", r#"strconv.Atoi: parsing \"x\": invalid syntax"#)),
        ("label/U__/values", r#"invalid label name: \"\""#.to_owned()),
        ("status/tsdb?limit=0", "limit must be a positive number".to_owned()),
        ("query?query=%zz", r#"invalid URL escape or not UTF-8: \"%zz\""#.to_owned()),
        ("query?query=%ff", r#"invalid URL escape or not UTF-8: \"%ff\""#.to_owned()),
    ] {
        let answered = server.get(&format!("/api/v1/{target}")).await;
        let expected = format!(r#"{{"status":"error","errorType":"bad_data","error":"{error}"}}"#);
        assert_eq!((answered.status, answered.body), (400, expected), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eleven_thousand_steps_are_allowed() {
    let server = TestServer::start().await;
    let body = server.body("/api/v1/query_range?query=1&start=0&end=11000&step=1").await;
    assert!(body.ends_with(r#"[11000,"1"]]}]}}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_fail_have_the_status_of_their_kind() {
    let server = TestServer::start().await;
    let answered = server.get("/api/v1/query?query=up%7B").await;
    assert_eq!(answered.status, 400);
    let start = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": "#;
    assert!(answered.body.starts_with(start), "{}", answered.body);
    assert_eq!(server.get("/api/v1/query").await.status, 400, "no query at all");
    for wrong in ["up%7B", "%7B%7D", "%7Bjob%3D~%22.*%22%7D", "rate(up[1m])", "1", ""] {
        let answered = server.get(&format!("/api/v1/series?match[]={wrong}")).await;
        assert_eq!(answered.status, 400, "{wrong}");
        assert!(answered.body.contains(r#"invalid parameter \"match[]\": "#), "{wrong}: {}", answered.body);
    }
    let answered = server.get("/api/v1/query?time=1000&query=up%20%2B%20on()%20up").await;
    assert_eq!(answered.status, 422, "{}", answered.body);
    assert!(answered.body.starts_with(r#"{"status":"error","errorType":"execution","error":""#), "{}", answered.body);
    let answered = server.get("/api/v1/query?time=1000&query=up&timeout=0").await;
    assert_eq!(answered.status, 503, "{}", answered.body);
    assert!(answered.body.starts_with(r#"{"status":"error","errorType":"timeout","error":""#), "{}", answered.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_methods_and_addresses_say_what_is_right() {
    let server = TestServer::start().await;
    let answered = server.send("PUT /api/v1/query HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(answered.status, 405);
    assert_eq!(answered.header("allow"), Some("GET, HEAD, POST"));
    let answered = server.get("/api/v1/write").await;
    assert_eq!((answered.status, answered.header("allow")), (405, Some("POST")));
    for target in ["/nothing", "/api/v1", "/api/v1/label//values", "/api/v1/label/a/b/values", "//api/v1/query"] {
        let answered = server.get(target).await;
        assert_eq!(answered.status, 404, "{target}");
        assert!(answered.body.ends_with(r#","hint":"GET / lists what there is"}"#), "{}", answered.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_its_body() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client.write(b"HEAD /-/ready HTTP/1.1\r\nHost: test\r\n\r\nGET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let head = client.answer_without_body().await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("16")));
    assert_eq!(client.answer().await.body, "dozor is healthy.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_metrics_count_requests_by_route_and_status() {
    let server = TestServer::start().await;
    server.get("/api/v1/query?query=1").await;
    server.get("/api/v1/query?query=up%7B").await;
    server.get("/nowhere").await;
    let answered = server.get("/metrics").await;
    assert_eq!(answered.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        r#"dozor_http_requests_total{route="/api/v1/query",status="2xx"} 1"#,
        r#"dozor_http_requests_total{route="/api/v1/query",status="4xx"} 1"#,
        r#"dozor_http_requests_total{route="other",status="4xx"} 1"#,
        r#"dozor_http_request_seconds_count{route="/api/v1/query"} 2"#,
    ] {
        assert!(answered.body.lines().any(|other| other == line), "{line} is not in {}", answered.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_told_by_category_and_not_in_the_build_information() {
    let server = TestServer::start().await;
    let answer: serde_json::Value = serde_json::from_str(&server.body("/api/v1/features").await).expect("JSON");
    let data = answer["data"].as_object().expect("categories");
    assert_eq!(answer["status"], "success");
    let names: Vec<&str> = data.keys().map(String::as_str).collect();
    assert_eq!(names, ["api", "otlp_receiver", "promql", "promql_functions", "promql_operators", "tsdb"]);
    assert!(
        data.values().flat_map(|all| all.as_object().expect("features").values()).all(serde_json::Value::is_boolean)
    );
    for (category, name, is_on) in [
        ("api", "admin", true),
        ("api", "lifecycle", false),
        ("promql", "delayed_name_removal", false),
        ("promql_functions", "histogram_quantiles", true),
        ("promql_operators", "limit_ratio", true),
        ("promql_operators", "=~", true),
        ("tsdb", "exemplar_storage", false),
    ] {
        assert_eq!(data[category][name], is_on, "{category} {name}");
    }
    // A client would take the key for another server's.
    assert!(!server.body("/api/v1/status/buildinfo").await.contains("features"));
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_listed_with_their_lag_and_skew() {
    let server = TestServer::start().await;
    let figures = r#""newestSample":"1970-01-01T00:00:15.250Z","lagSeconds":0.4,"clockSkewSeconds":0,"intervalSeconds":15,"samplesPerSecond":133.250,"series":2000}"#;
    let expected = format!(
        r#"{{"status":"success","data":{{"senders":[{{"job":"a \"b\"","state":"sending","lastSeen":null,{figures},{{"job":"shop","state":"sending","lastSeen":"1970-01-01T00:00:16.000Z",{figures}]}}}}"#
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
