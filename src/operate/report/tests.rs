use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::content::{Report, Setting};
use super::figures::{Budget, Spread, causes, repeats, service, spread, times};
use super::gather::{Facts, gather};
use super::journal::{Incident, Journal};
use super::words::{availability, html as escaped_html, markdown};
use super::{html, parse_objective, plain};
use crate::config::Config;
use crate::model::TimeRange;
use crate::notify::rfc3339;
use crate::operate::replay::Server;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 1 October 2026, 00:00 UTC.
const OCTOBER_MS: i64 = 1_790_812_800_000;
/// What a label may hold that means no good.
const HOSTILE: &str = "<script>alert(1)</script>\"'&|`[x](http://evil.example)\u{202e}*b*";

fn october() -> TimeRange {
    TimeRange { from_ms: OCTOBER_MS, to_ms: OCTOBER_MS + 31 * DAY_MS - 1 }
}

fn at(minutes: i64) -> i64 {
    OCTOBER_MS + minutes * MINUTE_MS
}

/// An incident, all times in minutes since the beginning of the month.
fn incident(alert: &str, onset: i64, detected: i64, acknowledged: Option<i64>, resolved: Option<i64>) -> Value {
    let moment = |minutes: i64| rfc3339(at(minutes));
    json!({
        "id": format!("{alert}-{onset}"),
        "state": if resolved.is_some() { "resolved" } else { "open" },
        "title": format!("{alert} in the shop"),
        "severity": "critical",
        "onset": moment(onset),
        "detectedAt": moment(detected),
        "firstNotifiedAt": rfc3339(at(detected) + 2_000),
        "acknowledged": acknowledged.map(|minutes| json!({"by": "olga", "at": moment(minutes)})),
        "resolvedAt": resolved.map(moment),
        "durationSeconds": null,
        "lagSeconds": 1.5,
        "root": {"alertname": alert, "labels": {"alertname": alert, "service": "shop", "pod": format!("p{onset}")}},
        "signals": [{
            "fingerprint": "1", "labels": {"alertname": alert}, "annotations": {},
            "startsAt": moment(detected), "endsAt": resolved.map(moment), "onset": moment(onset),
            "value": 1.0, "expected": 4.0, "chart": [[1.0, 4.0, 4.0], [2.0, null, 4.0], [3.0, 1.0, 4.1]],
        }],
        "runbookUrl": "https://wiki.example/runbook",
        "notes": [{"at": moment(detected), "by": "olga", "text": "restarted"}],
        "escalations": [],
        "deliveries": [{"at": moment(detected), "receiver": "pager", "id": "x", "result": "delivered", "reason": ""}],
    })
}

fn read(incidents: &[Value]) -> Vec<Incident> {
    let journal: Journal = serde_json::from_value(json!({ "incidents": incidents })).expect("incidents");
    journal.incidents
}

/// Four of `Slow`, which came back, and one of `Down` that has not ended.
fn month() -> Vec<Incident> {
    read(&[
        incident("Slow", 100, 101, Some(110), Some(102)),
        incident("Slow", 200, 203, None, Some(204)),
        incident("Slow", 300, 305, Some(306), Some(310)),
        incident("Slow", 400, 420, None, Some(460)),
        incident("Down", 31 * 24 * 60 - 30, 31 * 24 * 60 - 28, None, None),
    ])
}

fn report(facts: Facts, objective: Option<f64>) -> Report {
    Report::of(facts, Setting { range: october(), zone: TimeZone::UTC, now_ms: at(31 * 24 * 60), objective })
}

#[test]
fn medians_and_percentiles_are_those_of_the_definition() {
    assert_eq!(spread(Vec::new()), None);
    assert_eq!(spread(vec![7]), Some(Spread { count: 1, median_ms: 7, p95_ms: 7 }));
    assert_eq!(spread(vec![60, 2, 10, 4]), Some(Spread { count: 4, median_ms: 7, p95_ms: 60 }));
    // 95 of 100 do not exceed 95; of 20 values 19 do not exceed the nineteenth.
    assert_eq!(spread((1..=100).rev().collect()).map(|spread| spread.p95_ms), Some(95));
    assert_eq!(spread((1..=20).collect()).map(|spread| spread.p95_ms), Some(19));
    assert_eq!(spread((1..=21).collect()).map(|spread| (spread.median_ms, spread.p95_ms)), Some((11, 20)));
}

#[test]
fn times_to_detect_acknowledge_and_resolve_are_measured_between_the_right_moments() {
    let times = times(&month());
    let minutes = |minutes: f64| (minutes * 60_000.0) as i64;
    // Noticed after 1, 3, 5, 20 and 2 min; ended after 2, 4, 10 and 60 min.
    assert_eq!(times.detect, Some(Spread { count: 5, median_ms: minutes(3.0), p95_ms: minutes(20.0) }));
    assert_eq!(times.resolve, Some(Spread { count: 4, median_ms: minutes(7.0), p95_ms: minutes(60.0) }));
    // Told 2 s after each was noticed; acknowledged 9 min and 1 min behind that, without those 2 s.
    assert_eq!(times.tell, Some(Spread { count: 5, median_ms: 2_000, p95_ms: 2_000 }));
    let acknowledged = Spread { count: 2, median_ms: minutes(5.0) - 2_000, p95_ms: minutes(9.0) - 2_000 };
    assert_eq!(times.acknowledge, Some(acknowledged));
}

#[test]
fn causes_are_measured_within_the_month_and_repeats_by_what_came_between() {
    let causes = causes(&month(), october());
    let told: Vec<(&str, usize, i64, i64)> = causes
        .iter()
        .map(|one| (one.name.as_str(), one.count, one.total_ms / MINUTE_MS, one.longest_ms / MINUTE_MS))
        .collect();
    // Down has not ended: to the end of the month, less a millisecond.
    assert_eq!(told, [("Slow", 4, 76, 60), ("Down", 1, 29, 29)]);
    let repeats = repeats(&month());
    assert_eq!(repeats.len(), 1);
    // 102 → 200, 204 → 300, 310 → 400: 98, 96 and 90 min. The pod is another each time, the service is not.
    assert_eq!((repeats[0].count, repeats[0].soonest_ms / MINUTE_MS, repeats[0].median_ms / MINUTE_MS), (4, 90, 96));
    assert_eq!(repeats[0].labels, [("service".to_owned(), "shop".to_owned())]);
}

#[test]
fn availability_and_budget_count_what_there_is_and_nothing_else() {
    let parts = [Some((1_000.0, 1_000.0)), None, Some((1_000.0, 996.0)), Some((0.0, 0.0))];
    let checkout = service("checkout", "requests", &parts, Some(0.999)).expect("there is data");
    // 1,996 of 2,000: 0.2 % failed, and 0.1 % may.
    assert!((checkout.availability - 0.998).abs() < 1e-12);
    assert!((checkout.budget.expect("an objective").used - 2.0).abs() < 1e-9);
    assert_eq!(checkout.parts, [Some(1.0), None, Some(0.996), None]);
    assert_eq!(checkout.covered, 0.5);
    assert_eq!(service("nothing", "requests", &[None, Some((0.0, 0.0))], None), None);
    assert_eq!(availability(0.99999), "99.9990 %");
    assert_eq!(availability(0.9999999), "99.999990 %");
    assert_eq!(availability(0.98765), "98.76 %");
    assert_eq!(availability(0.999), "99.90 %");
    assert_eq!(availability(0.9995), "99.9500 %");
    assert_eq!(availability(1.0), "100 %");
}

#[test]
fn an_empty_month_says_that_there_is_no_data_and_not_that_all_was_well() {
    let unknown = report(Facts { gaps: vec!["No incidents: 404".to_owned()], ..Facts::default() }, Some(0.999));
    for text in [html::page(&unknown), plain::text(&unknown)] {
        assert!(text.contains("No data") && text.contains("no data") && !text.contains("100 %"), "{text}");
        assert!(text.contains("No incidents") && text.contains("Nothing stands out"), "{text}");
    }
    assert_well_formed(&html::page(&unknown));
    let quiet = report(Facts { incidents: Some(Vec::new()), ..Facts::default() }, None);
    assert_well_formed(&html::page(&quiet));
    assert!(html::page(&quiet).contains("<b>0</b>"));
    assert!(quiet.advice[0].contains("dozor test webhook"), "{:?}", quiet.advice);
}

#[test]
fn the_page_is_well_formed_and_says_of_how_many_a_median_is_one() {
    let checkout = service("checkout", "requests", &[Some((1_000.0, 998.0)); 60], Some(0.999)).expect("there is data");
    let facts = Facts { incidents: Some(month()), services: vec![checkout], ..Facts::default() };
    let report = report(facts, Some(0.999));
    let page = html::page(&report);
    assert_well_formed(&page);
    for said in [
        "1 October 2026 to 31 October 2026 (UTC)",
        "7 min (of 4)",
        "3 min (of 5)",
        "99.80 %",
        "200 %",
        "of 60k requests",
        "5 began, 0 had begun before; 1 not ended",
        "acknowledged by olga",
        "@media print",
    ] {
        assert!(page.contains(said), "{said} is missing in {page}");
    }
    assert!(!page.contains("<script") && !page.contains("src="), "it loads nothing");
    assert_eq!(report.causes[0].name, "Slow");
    let advice = report.advice.join("\n");
    assert!(advice.contains("More than the error budget is used: checkout (200 %). Put"), "{advice}");
    assert!(advice.contains("Slow took the most time, 1 h 16 min in 4 incidents"), "{advice}");
    assert!(advice.contains("3 of 5 incidents were acknowledged by nobody"), "{advice}");
    assert!(advice.contains("Slow came 4 times, usually 1 h 36 min after it had ended"), "{advice}");
    let text = plain::text(&report);
    assert!(text.contains("| beginning → resolved | 7 min (of 4) | 1 h |"), "{text}");
}

#[test]
fn labels_of_strangers_are_text_and_nothing_else() {
    assert_eq!(escaped_html("<a href='x'>&\"\u{202e}\n"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;  ");
    assert_eq!(
        markdown("a|b: \n[x](http://e) <b> *c* www.e"),
        "a&#124;b:  \\[x\\](http&#58;//e) &lt;b&gt; \\*c\\* www&#46;e"
    );
    assert_eq!(escaped_html(&"x".repeat(1_000)).chars().count(), 160);

    let mut hostile = incident("Slow", 100, 101, Some(110), Some(102));
    for key in ["title", "severity", "state", "id"] {
        hostile[key] = json!(HOSTILE);
    }
    hostile["root"]["alertname"] = json!(HOSTILE);
    hostile["root"]["labels"]["service"] = json!(HOSTILE);
    hostile["acknowledged"]["by"] = json!(HOSTILE);
    hostile["notes"][0]["text"] = json!(HOSTILE);
    hostile["runbookUrl"] = json!("javascript:alert(1)");
    hostile["signals"][0]["labels"]["alertname"] = json!(HOSTILE);
    hostile["resolvedAt"] = Value::Null;
    let again = {
        let mut again = hostile.clone();
        again["onset"] = json!(rfc3339(at(5_000)));
        again
    };
    hostile["resolvedAt"] = json!(rfc3339(at(102)));
    let named = service(HOSTILE, "requests", &[Some((1_000.0, 1.0)); 60], Some(0.999)).expect("there is data");
    let page = super::figures::Page { name: HOSTILE.to_owned(), p95_seconds: 9.0, count: 100.0 };
    let facts = Facts {
        incidents: Some(read(&[hostile, again])),
        services: vec![named],
        pages: vec![page],
        pages_measured: Some("as measured"),
        gaps: vec![HOSTILE.to_owned()],
        ..Facts::default()
    };
    let report = report(facts, Some(0.999));
    let page = html::page(&report);
    assert_well_formed(&page);
    assert!(!page.contains("<script") && !page.contains("javascript:") && !page.contains('\u{202e}'), "{page}");
    let text = plain::text(&report);
    assert!(!text.contains("<script") && !text.contains("](http:") && !text.contains("*b*"), "{text}");
    let table = text.lines().filter(|line| line.contains("script"));
    // Tables have three to five columns, and no more by what a label holds.
    for line in table.filter(|line| line.starts_with('|')) {
        assert!((4..=6).contains(&line.matches('|').count()), "{line}");
    }
}

#[test]
fn deliveries_that_failed_are_counted_and_advice_follows() {
    let mut listed = incident("Slow", 100, 101, Some(110), Some(102));
    listed["deliveries"] = json!([{"result": "failed"}, {"result": "delivered"}, {"result": "given up"}]);
    let mut counted = listed.clone();
    counted["deliveryCounts"] = json!({"delivered": 9, "failed": 4, "givenUp": 1});
    let incidents = read(&[listed, counted]);
    assert_eq!(incidents.iter().map(Incident::failed_deliveries_count).collect::<Vec<_>>(), [2, 5]);
    let report = report(Facts { incidents: Some(incidents), ..Facts::default() }, None);
    assert!(
        report.advice.iter().any(|advice| advice.starts_with("7 deliveries of messages failed")),
        "{:?}",
        report.advice
    );
}

#[test]
fn an_objective_is_a_share_that_leaves_something() {
    assert_eq!(parse_objective("50"), Ok(0.5));
    assert!((parse_objective("99.9%").expect("an objective") - 0.999).abs() < 1e-12);
    assert!(["100", "0", "-1", "NaN", "much"].iter().all(|text| parse_objective(text).is_err()));
    let budget = Budget { allowed: 0.001, used: 0.5 };
    assert_eq!(serde_json::to_value(budget).expect("JSON"), json!({"allowed": 0.001, "used": 0.5}));
}

/// Every tag is closed in turn, every attribute quoted, every `&` an entity.
fn assert_well_formed(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("it says what it is");
    let (mut open, mut rest) = (Vec::<&str>::new(), body);
    while let Some(start) = rest.find('<') {
        // What stands between the tags of a style is not HTML.
        if open.last() != Some(&"style") {
            assert_text(&rest[..start]);
        }
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "closed in turn, before {}",
                &rest[end..].chars().take(60).collect::<String>()
            );
        } else {
            let name = tag.split([' ', '/']).next().expect("a name");
            assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
            let attributes = tag.split('"').step_by(2).skip(1).collect::<Vec<_>>();
            assert!(
                attributes.iter().all(|between| !between.contains(['=', '<']) || between.trim_end().ends_with('=')),
                "<{tag}>"
            );
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

fn assert_text(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for after in text.split('&').skip(1) {
        let entity = after.split(';').next().expect("a piece");
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&entity), "&{after}");
    }
}

/// A server that answers as ours does: fixed incidents, and series that are made up.
fn answering(incidents: Vec<Value>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let incidents = Arc::new(incidents);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let incidents = incidents.clone();
            std::thread::spawn(move || answer(&stream, &incidents));
        }
    });
    address
}

fn answer(stream: &TcpStream, incidents: &[Value]) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        line.clear();
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).expect("a form");
    let path = first.split(' ').nth(1).expect("a path");
    let data = data(path, &String::from_utf8(form).expect("text"), incidents);
    let body = json!({"status": "success", "data": data}).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let mut writer = stream;
    writer.write_all((head + &body).as_bytes()).expect("written");
}

fn data(path: &str, form: &str, incidents: &[Value]) -> Value {
    let number = |name: &str| {
        let found = form.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let (start, end, step) = (number("start"), number("end"), number("step"));
    let moments = || (0..).map(move |index| start + step * f64::from(index)).take_while(move |at| *at <= end + 0.001);
    let rows = |metric: Value, value: &dyn Fn(f64) -> Option<f64>| {
        let values: Vec<Value> = moments().filter_map(|at| Some(json!([at, value(at)?.to_string()]))).collect();
        json!({"resultType": "matrix", "result": [{"metric": metric, "values": values}]})
    };
    // Ten spans of two minutes, and one of an hour, in which the condition holds.
    let is_slow = |at: f64| {
        let minute = ((at * 1_000.0) as i64 - OCTOBER_MS) / MINUTE_MS;
        (minute % 1_440 < 2 && minute < 14_400) || (20_000..20_060).contains(&minute)
    };
    match path.split('?').next().expect("a path") {
        "/api/v1/incidents" => json!({ "incidents": incidents }),
        "/api/v1/rules" => {
            json!({"groups": [{"name": "shop", "file": "shop.yml", "interval": 60.0, "limit": 0, "rules": [
                {"type": "alerting", "name": "Slow", "query": "slow > 1", "duration": 0.0, "keepFiringFor": 0.0,
                 "labels": {"severity": "page"}, "health": "ok", "lastEvaluation": "2026-10-31T00:00:00Z"},
                {"type": "alerting", "name": "Down", "query": "orders", "duration": 0.0, "keepFiringFor": 0.0, "labels": {},
                 "health": "ok", "lastEvaluation": "0001-01-01T00:00:00Z"},
            ]}]})
        }
        "/api/v1/query_range" if form.contains("slow") => rows(json!({"node": "a"}), &|at| is_slow(at).then_some(2.0)),
        "/api/v1/query_range" if form.contains("count_over_time%28probe_success") => {
            rows(json!({"instance": "https://shop.example"}), &|_| Some(100.0))
        }
        "/api/v1/query_range" if form.contains("sum_over_time%28probe_success") => {
            rows(json!({"instance": "https://shop.example"}), &|at| Some(if at < end - 0.5 { 100.0 } else { 94.0 }))
        }
        "/api/v1/query" if form.contains("shop_page_seconds_count") => {
            json!({"resultType": "vector", "result": [{"metric": {"page": "cart"}, "value": [0, "500"]}]})
        }
        "/api/v1/query" if form.contains("shop_page_seconds_bucket") => {
            json!({"resultType": "vector", "result": [{"metric": {"page": "cart"}, "value": [0, "5.5"]}]})
        }
        _ => json!({"resultType": "matrix", "result": []}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_for_everything_and_its_noisiest_rule_is_replayed() {
    let slow = (0..11).map(|day| incident("Slow", day * 1_440, day * 1_440 + 1, None, Some(day * 1_440 + 2)));
    let address = answering(slow.chain([incident("Down", 50, 51, None, Some(60))]).collect());
    let runtime = tokio::runtime::Handle::current();
    let facts = tokio::task::spawn_blocking(move || {
        let server = Server::new(format!("http://{address}").into(), runtime);
        gather(&server, october(), Some(0.999), &Config::default(), &mut |_| {})
    });
    let facts = facts.await.expect("gathered");
    assert_eq!(facts.gaps, Vec::<String>::new());
    let report = report(facts, Some(0.999));
    assert_eq!(report.services.len(), 1);
    // 6 of 6,000 probes failed: exactly what the objective allows.
    let budget = report.services[0].budget.expect("an objective");
    assert!((report.services[0].availability - 0.999).abs() < 1e-9 && (budget.used - 1.0).abs() < 1e-6);
    assert_eq!(report.services[0].covered, 1.0);
    assert_eq!((report.pages[0].name.as_str(), report.pages[0].p95_seconds), ("cart", 5.5));
    // Eleven spans; those of two minutes are two evaluations, so that `for: 2m` leaves the hour alone.
    let slow = report.noisy.iter().find(|noisy| noisy.alert == "Slow").expect("it told most");
    let replayed = slow.replayed.expect("it was replayed");
    assert_eq!((replayed.fired_count, replayed.halved_by), (11, Some((120_000, 1))));
    let down = report.noisy.iter().find(|noisy| noisy.alert == "Down").expect("it told too");
    assert!(down.without_replay.as_deref().is_some_and(|why| why.contains("fed by the stream")));
    let advice = report.advice.join("\n");
    assert!(
        advice.contains("Slow with “for: 2m” would have made 1 of its 11 alerts, each told 2 min later"),
        "{advice}"
    );
    assert!(advice.contains("cart took longer than 5.5 s in every twentieth of 500 views"), "{advice}");
    assert_well_formed(&html::page(&report));
    assert!(serde_json::to_string(&report).is_ok());
}
