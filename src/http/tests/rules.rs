//! Rules and alerts as clients of Prometheus read them. The shapes are those that Prometheus 3.5 answers.

use super::*;

const OF_STREAM: &str = concat!(
    r#"{"labels":{"alertname":"OrderRateDrop","region":"eu"},"annotations":{"summary":"Orders \"fell\""},"#,
    r#""state":"firing","activeAt":"1970-01-01T00:00:01.500Z","value":""}"#
);
const DOWN: &str = concat!(
    r#"{"labels":{"alertname":"Down","job":"shop"},"annotations":{"summary":"shop"},"state":"firing","#,
    r#""activeAt":"1970-01-01T00:00:02.000Z","keepFiringSince":"1970-01-01T00:00:04.000Z","value":"1.5e+03"}"#
);
const LAST: &str = r#""evaluationTime":0.000145,"lastEvaluation":"1970-01-01T00:16:40.500Z""#;

#[tokio::test(flavor = "multi_thread")]
async fn what_fires_is_told_with_its_rule() {
    let server = TestServer::start().await;
    let alerts = server.body("/api/v1/alerts").await;
    assert_eq!(alerts, format!(r#"{{"status":"success","data":{{"alerts":[{DOWN},{OF_STREAM}]}}}}"#));
    let rules = server.body("/api/v1/rules?rule_group[]=checkout").await;
    let group = r#"{"status":"success","data":{"groups":[{"name":"checkout","file":"/rules.yml","rules":[{"state":"firing","name":"OrderRateDrop","query":"sum(rate(orders_total[1m]))","#;
    assert!(rules.starts_with(group), "{rules}");
    assert!(rules.contains(&format!(r#""alerts":[{OF_STREAM}]"#)), "{rules}");
    let slow_page = r#"{"state":"inactive","name":"SlowPage","query":"page_seconds","duration":60,"keepFiringFor":2.5,"labels":{"severity":"critical"},"annotations":{"summary":"{{ $value }} s"},"alerts":[]"#;
    assert!(rules.contains(slow_page), "{rules}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_are_evaluated_have_prometheus_s_shape() {
    let server = TestServer::start().await;
    let record = format!(
        r#"{{"name":"job:up:sum","query":"sum by (job) (up)","labels":{{"team":"shop"}},"health":"err","lastError":"broken",{LAST},"type":"recording"}}"#
    );
    let alert = format!(
        r#"{{"state":"firing","name":"Down","query":"up == 0","duration":300,"keepFiringFor":0,"labels":{{"severity":"page","team":"ops"}},"annotations":{{"summary":"{{{{ $labels.job }}}}"}},"alerts":[{DOWN}],"health":"ok",{LAST},"type":"alerting"}}"#
    );
    let group = |rules: &str| {
        format!(
            r#"{{"status":"success","data":{{"groups":[{{"name":"node","file":"/rules.yml","rules":[{rules}],"interval":15,"limit":3,{LAST}}}]}}}}"#
        )
    };
    let node = "/api/v1/rules?rule_group[]=node";
    assert_eq!(server.body(node).await, group(&format!("{record},{alert}")));
    assert_eq!(server.body(&format!("{node}&type=record")).await, group(&record));
    assert_eq!(server.body(&format!("{node}&type=ALERT")).await, group(&alert));
    assert_eq!(server.body("/api/v1/rules?rule_name[]=Down").await, group(&alert));
    assert_eq!(server.body("/api/v1/rules?match[]=%7Bteam%3D%22ops%22%7D").await, group(&alert));
    let both = "/api/v1/rules?match[]=%7Bteam%3D%22ops%22%7D&match[]=%7Bteam%3D~%22sh.*%22%7D";
    assert_eq!(server.body(both).await, group(&format!("{record},{alert}")));
    let bare = alert.replace(&format!("[{DOWN}]"), "null");
    assert_eq!(server.body(&format!("{node}&type=alert&exclude_alerts=true")).await, group(&bare));
    let nothing = r#"{"status":"success","data":{"groups":[]}}"#;
    assert_eq!(server.body("/api/v1/rules?file[]=/other.yml").await, nothing);
    assert_eq!(server.body("/api/v1/rules?rule_name[]=Nobody").await, nothing);
    assert!(server.body("/api/v1/rules?file[]=/rules.yml&type=record").await.contains(&record));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_come_in_pages() {
    let server = TestServer::start().await;
    let first = server.body("/api/v1/rules?group_limit=1").await;
    assert!(first.contains(r#""name":"checkout""#) && !first.contains(r#""name":"node""#), "{first}");
    let token = first.split_once(r#""groupNextToken":""#).expect("there is more").1.trim_end_matches(r#""}}"#);
    let second = server.body(&format!("/api/v1/rules?group_limit=1&group_next_token={token}")).await;
    assert!(second.contains(r#""name":"node""#) && !second.contains("checkout"), "{second}");
    assert!(!second.contains("groupNextToken"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_filters_are_named() {
    let server = TestServer::start().await;
    for (query, error) in [
        ("type=alerts", r#"invalid parameter \"type\": not supported value \"alerts\""#),
        ("match[]=%7B%7D", r#""error":"match[] must contain at least one non-empty matcher""#),
        ("match[]=%7B", r#""error":"1:2: parse error: unexpected end of input inside braces""#),
        (
            "exclude_alerts=maybe",
            r#"error converting exclude_alerts: strconv.ParseBool: parsing \"maybe\": invalid syntax"#,
        ),
        ("group_limit=2147483648", r#"strconv.ParseInt: parsing \"2147483648\": value out of range"#),
        (
            "group_next_token=a",
            r#"invalid parameter \"group_next_token\": group_limit needs to be present in order to paginate over the groups"#,
        ),
        ("group_limit=x", "group_limit needs to be a valid number"),
        ("group_limit=0", "group_limit needs to be greater than 0"),
        ("group_limit=1&group_next_token=a", "invalid group_next_token 'a'. were rule groups changed?"),
    ] {
        let answered = server.get(&format!("/api/v1/rules?{query}")).await;
        assert_eq!(answered.status, 400, "{query}");
        assert!(answered.body.contains(error), "{query}: {}", answered.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_fails_tells_every_fault() {
    let server = TestServer::start().await;
    let answered = server.post_form("/-/reload", "").await;
    assert_eq!(answered.status, 400);
    for fault in ["/rules.yml:3:1: wrong in line 3", "/rules.yml:7:1: wrong in line 7", "stay in force"] {
        assert!(answered.body.contains(fault), "{}", answered.body);
    }
    assert_eq!(server.get("/-/reload").await.status, 405);
    assert_eq!(TestServer::without_admin().await.post_form("/-/reload", "").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn anomalies_are_told_with_all_their_figures_and_null_for_those_that_are_unknown() {
    let server = TestServer::start().await;
    let alert = concat!(
        r#""labels":{"alertname":"OrderRateDrop","region":"eu"},"annotations":{"summary":"Orders \"fell\""},"#,
        r#""state":"#
    );
    let rule = r#""expr":"sum(rate(orders_total[1m]))","generatorURL":"","onset":1,"detectedAt":1.5"#;
    let lasts = format!(
        r#"{{{alert}"firing","direction":"limit","detector":"limit",{rule},"endedAt":null,"value":null,"expected":null,"lower":null,"upper":null,"deviation":null,"evidence":null,"threshold":null,"learned":null,"detectableDrop":null,"perHour":null,"fullAt":null,"lost":null,"line":[],"parts":[]}}"#
    );
    // 5 where 20 were expected is 75 % less.
    let over = format!(
        r#"{{{alert}"resolved","direction":"drop","detector":"season",{rule},"endedAt":61.5,"value":5,"expected":20,"lower":16.5,"upper":23.5,"deviation":-0.75,"evidence":14.5,"threshold":12.9,"learned":0.5,"detectableDrop":0.35,"perHour":null,"fullAt":null,"lost":{{"events":30,"money":1200}},"line":[[15,5,20],[30,4.5,null]],"parts":[{{"labels":{{"region":"eu"}},"value":1.5,"expected":15,"share":0.9}},{{"labels":{{"region":"us"}},"value":null,"expected":null,"share":0.1}}]}}"#
    );
    let told = format!(r#"{{"status":"success","data":{{"anomalies":[{lasts},{over}]}}}}"#);
    assert_eq!(server.body("/api/v1/anomalies").await, told);
}
