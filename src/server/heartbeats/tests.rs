use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::board::{Board, Reported};
use super::stored;
use crate::config::{Config, HeartbeatConfig};
use crate::http::Beat;
use crate::model::Sample;
use crate::notify::{Alert, Status};
use crate::query::{Engine, Limits};
use crate::storage::view::ReadView;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("a moment").as_millisecond()
}

fn configs(list: &str) -> Vec<HeartbeatConfig> {
    Config::from_yaml("dozor.yml", &format!("heartbeats:\n{list}")).expect("settings").heartbeats
}

fn board(list: &str, active: Vec<Alert>, started: &str) -> Board {
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    Board::new(&configs(list), &zone, active, at(started), "http://dozor".to_owned())
}

fn good(job: &str) -> Beat {
    Beat { job: job.to_owned(), is_good: true, exit_code: None, duration_ms: None }
}

fn bad(job: &str) -> Beat {
    Beat { is_good: false, exit_code: Some(3), ..good(job) }
}

/// What is told at a moment, and noted as told: alert, job, status, and the moment that it bears.
fn told(board: &mut Board, now: &str) -> Vec<String> {
    let alerts = board.look(at(now));
    let line = |alert: &Alert| {
        let moment_ms = alert.ends_at_ms.unwrap_or(alert.starts_at_ms);
        let moment = Timestamp::from_millisecond(moment_ms).expect("in bounds");
        let label = |name| alert.labels.get(name).unwrap_or("");
        format!("{} {} {} {moment}", label("alertname"), label("job"), alert.status())
    };
    let lines = alerts.iter().map(line).collect();
    board.is_told(alerts);
    lines
}

#[test]
fn job_that_does_not_report_by_its_schedule_and_grace_is_missed_until_it_does() {
    let mut board = board(
        "- { job: nightly, schedule: '30 3 * * *', grace: 1h, severity: critical }",
        vec![],
        "2026-07-01T12:00:00Z",
    );
    // Half past three in Berlin is 01:30 UTC.
    assert_eq!(board.take(&good("nightly"), at("2026-07-02T01:42:00Z")), Some(Some(at("2026-07-03T02:30:00Z"))));
    assert_eq!(told(&mut board, "2026-07-03T02:29:59Z"), [""; 0]);
    let missed = "HeartbeatMissed nightly firing 2026-07-03T02:30:00Z";
    assert_eq!(told(&mut board, "2026-07-03T02:30:00Z"), [missed]);
    assert_eq!(told(&mut board, "2026-07-05T12:00:00Z"), [""; 0], "it is told once");
    board.take(&good("nightly"), at("2026-07-05T12:00:01Z"));
    assert_eq!(told(&mut board, "2026-07-05T12:00:02Z"), ["HeartbeatMissed nightly resolved 2026-07-05T12:00:01Z"]);
    assert_eq!(told(&mut board, "2026-07-06T02:29:00Z"), [""; 0], "the next is due on the next night");
}

#[test]
fn report_a_little_early_is_the_one_of_its_time() {
    let mut board = board("- { job: a, schedule: '0 3 * * *', timezone: UTC }", vec![], "2026-07-01T12:00:00Z");
    assert_eq!(board.take(&good("a"), at("2026-07-02T02:59:30Z")), Some(Some(at("2026-07-03T03:30:00Z"))));
}

#[test]
fn failure_is_told_at_once_and_ended_by_a_success_and_who_fails_is_not_missing() {
    let mut board = board("- { job: export, every: 15m }", vec![], "2026-07-01T12:00:00Z");
    board.take(&good("export"), at("2026-07-01T12:10:00Z"));
    board.take(&bad("export"), at("2026-07-01T12:25:00Z"));
    assert_eq!(told(&mut board, "2026-07-01T12:25:01Z"), ["HeartbeatFailed export firing 2026-07-01T12:25:00Z"]);
    let summary = &board.figures(at("2026-07-01T12:25:01Z"))[0];
    assert_eq!((summary.state, summary.good_ms), ("failed", Some(at("2026-07-01T12:10:00Z"))));
    board.take(&bad("export"), at("2026-07-01T12:40:00Z"));
    assert_eq!(told(&mut board, "2026-07-01T12:41:00Z"), [""; 0]);
    // 15 minutes and half of it.
    assert_eq!(told(&mut board, "2026-07-01T13:02:30Z"), ["HeartbeatMissed export firing 2026-07-01T13:02:30Z"]);
    board.take(&bad("export"), at("2026-07-01T13:10:00Z"));
    assert_eq!(told(&mut board, "2026-07-01T13:10:01Z"), ["HeartbeatMissed export resolved 2026-07-01T13:10:00Z"]);
    board.take(&good("export"), at("2026-07-01T13:20:00Z"));
    assert_eq!(told(&mut board, "2026-07-01T13:20:01Z"), ["HeartbeatFailed export resolved 2026-07-01T13:20:00Z"]);
    assert_eq!(board.take(&good("unlisted"), 0), None);
}

#[test]
fn what_fell_due_while_the_server_was_away_has_its_grace_from_the_start_on() {
    let mut board = board("- { job: a, every: 10m, grace: 5m }", vec![], "2026-07-01T12:00:00Z");
    let job = board.job_mut("a").expect("it is listed");
    job.reported.at_ms = Some(at("2026-07-01T09:00:00Z"));
    assert_eq!(told(&mut board, "2026-07-01T12:04:59Z"), [""; 0]);
    assert_eq!(told(&mut board, "2026-07-01T12:05:00Z"), ["HeartbeatMissed a firing 2026-07-01T09:15:00Z"]);
}

#[test]
fn restart_tells_nothing_twice_and_takes_back_what_is_no_longer_listed() {
    let list = "- { job: a, every: 10m, grace: 5m }\n- { job: b, every: 10m, grace: 5m }";
    let mut before = board(list, vec![], "2026-07-01T12:00:00Z");
    let active = before.look(at("2026-07-01T13:00:00Z"));
    assert_eq!(active.len(), 2);
    before.is_told(active.clone());
    assert!(active.iter().all(|alert| alert.status() == Status::Firing));
    let mut after = board("- { job: a, every: 10m, grace: 5m }", active, "2026-07-01T13:10:00Z");
    after.job_mut("a").expect("it is listed").since_ms = at("2026-07-01T12:00:00Z");
    assert_eq!(told(&mut after, "2026-07-01T13:10:01Z"), ["HeartbeatMissed b resolved 2026-07-01T13:10:01Z"]);
    assert_eq!(told(&mut after, "2026-07-01T13:11:00Z"), [""; 0]);
    after.take(&good("a"), at("2026-07-01T13:12:00Z"));
    assert_eq!(told(&mut after, "2026-07-01T13:12:01Z"), ["HeartbeatMissed a resolved 2026-07-01T13:12:00Z"]);
}

#[test]
fn backup_older_than_its_age_is_missed() {
    let mut board = board("- { job: backup, max_age: 26h, metric: 'backup_ok{}' }", vec![], "2026-07-01T12:00:00Z");
    assert_eq!(told(&mut board, "2026-07-02T13:59:59Z"), [""; 0], "nobody knows how old it is");
    let job = board.job_mut("backup").expect("it is listed");
    job.reported.at_ms = Some(at("2026-07-02T03:00:00Z"));
    assert_eq!(told(&mut board, "2026-07-03T04:59:59Z"), [""; 0]);
    let alerts = board.look(at("2026-07-03T05:00:00Z"));
    let (_, summary) = &alerts[0].annotations[0];
    assert_eq!(summary, "backup is too old: its last success was 2026-07-02T03:00:00.000Z");
}

#[test]
fn what_was_stored_is_what_the_next_start_knows() {
    let now_ms = at("2026-07-01T12:00:00Z");
    let mut before = board("- { job: a, every: 1h }\n- { job: b, every: 1h }", vec![], "2026-07-01T12:00:00Z");
    before.job_mut("a").expect("listed").since_ms = now_ms - 900 * HOUR_MS;
    before.take(&good("a"), now_ms - 3 * HOUR_MS);
    before.take(&Beat { duration_ms: Some(1_500), ..bad("a") }, now_ms - HOUR_MS);
    let samples =
        before.jobs().iter().flat_map(|job| stored::samples(&job.config.job, &job.reported, Some(job.since_ms)));
    // As of two days ago: the server was away since.
    let sample = |value| vec![Sample { timestamp_ms: now_ms - 48 * HOUR_MS, value }];
    let view = ReadView::of_samples(samples.map(|(labels, value)| (labels, sample(value))).collect());
    let engine = Engine::new(Limits::default(), crate::clock::Clock::manual(now_ms));
    let mut after = board("- { job: a, every: 1h }\n- { job: c, every: 1h }", vec![], "2026-07-03T12:00:00Z");
    stored::restore(after.jobs_mut(), &engine, &view, now_ms);
    let (a, c) = (&after.jobs()[0], &after.jobs()[1]);
    assert_eq!((a.reported.at_ms, a.reported.good_ms), (Some(now_ms - HOUR_MS), Some(now_ms - 3 * HOUR_MS)));
    assert_eq!((a.reported.is_failure, a.reported.duration_ms), (true, Some(1_500)));
    assert_eq!(a.since_ms, now_ms - 900 * HOUR_MS);
    assert_eq!((c.reported.at_ms, c.since_ms), (None, at("2026-07-03T12:00:00Z")));
}

/// Lists other jobs at a moment; the names of the new ones.
fn relisted(board: &mut Board, list: &str, now: &str) -> Vec<String> {
    board.replace(&configs(list), at(now))
}

#[test]
fn reload_leaves_those_who_are_due_as_before_and_ends_those_who_went() {
    let list = "- { job: a, every: 1h }\n- { job: b, every: 10m, grace: 5m }";
    let mut board = board(list, vec![], "2026-07-01T12:00:00Z");
    board.take(&good("a"), at("2026-07-01T12:05:00Z"));
    board.take(&bad("b"), at("2026-07-01T12:05:00Z"));
    told(&mut board, "2026-07-01T12:06:00Z");
    assert_eq!(told(&mut board, "2026-07-01T12:21:00Z"), ["HeartbeatMissed b firing 2026-07-01T12:20:00Z"]);
    // Words of its own, in another place of the file.
    let other = "- { job: c, every: 1h }\n\n- { job: a, every: 1h, runbook_url: 'http://wiki/a' }";
    assert_eq!(relisted(&mut board, other, "2026-07-01T12:30:00Z"), ["c"]);
    let mut ends = told(&mut board, "2026-07-01T12:30:01Z");
    ends.sort();
    let end = "resolved 2026-07-01T12:30:01Z";
    assert_eq!(ends, [format!("HeartbeatFailed b {end}"), format!("HeartbeatMissed b {end}")]);
    assert_eq!(told(&mut board, "2026-07-01T12:31:00Z"), [""; 0], "once");
    // It reported at 12:05, and has half an hour more than its hour.
    let figures = board.figures(at("2026-07-01T12:31:00Z"));
    assert_eq!((figures[1].state, figures[1].due_ms), ("ok", Some(at("2026-07-01T13:35:00Z"))));
    assert_eq!(told(&mut board, "2026-07-01T13:35:00Z"), ["HeartbeatMissed a firing 2026-07-01T13:35:00Z"]);
    // A new one has its time from the reload on.
    assert_eq!(told(&mut board, "2026-07-01T13:59:59Z"), [""; 0]);
    assert_eq!(told(&mut board, "2026-07-01T14:00:00Z"), ["HeartbeatMissed c firing 2026-07-01T14:00:00Z"]);
}

#[test]
fn who_is_due_otherwise_has_the_new_time_from_the_reload_on() {
    let mut board =
        board("- { job: a, every: 1d }\n- { job: b, every: 1m, grace: 0s }", vec![], "2026-07-01T12:00:00Z");
    board.take(&good("a"), at("2026-07-01T13:00:00Z"));
    assert_eq!(told(&mut board, "2026-07-01T13:00:00Z"), ["HeartbeatMissed b firing 2026-07-01T12:01:00Z"]);
    let other = "- { job: a, every: 10m, grace: 5m }\n- { job: b, schedule: '0 3 * * *', timezone: UTC, grace: 0s }";
    assert!(relisted(&mut board, other, "2026-07-01T20:00:00Z").is_empty());
    assert_eq!(told(&mut board, "2026-07-01T20:00:01Z"), ["HeartbeatMissed b resolved 2026-07-01T20:00:01Z"]);
    assert_eq!(told(&mut board, "2026-07-01T20:14:59Z"), [""; 0], "seven hours without a report were no fault of it");
    assert_eq!(told(&mut board, "2026-07-01T20:15:00Z"), ["HeartbeatMissed a firing 2026-07-01T20:15:00Z"]);
    assert_eq!(told(&mut board, "2026-07-02T03:00:00Z"), ["HeartbeatMissed b firing 2026-07-02T03:00:00Z"]);
}

#[test]
fn alert_of_another_severity_takes_the_place_of_the_one_that_fires() {
    let mut board = board("- { job: a, every: 10m, grace: 5m }", vec![], "2026-07-01T12:00:00Z");
    assert_eq!(told(&mut board, "2026-07-01T13:00:00Z").len(), 1);
    relisted(&mut board, "- { job: a, every: 10m, grace: 5m, severity: critical }", "2026-07-01T13:00:00Z");
    let alerts = board.look(at("2026-07-01T13:00:01Z"));
    let severity = |alert: &Alert| format!("{} {}", alert.labels.get("severity").unwrap_or(""), alert.status());
    assert_eq!(alerts.iter().map(severity).collect::<Vec<_>>(), ["warning resolved", "critical firing"]);
    board.is_told(alerts);
    assert_eq!(told(&mut board, "2026-07-01T13:00:02Z"), [""; 0]);
    board.take(&good("a"), at("2026-07-01T13:01:00Z"));
    assert_eq!(told(&mut board, "2026-07-01T13:01:01Z"), ["HeartbeatMissed a resolved 2026-07-01T13:01:00Z"]);
}

#[test]
fn what_a_new_job_had_reported_before_counts_unless_it_has_reported_since() {
    let mut board = board("- { job: a, every: 1h }", vec![], "2026-07-01T12:00:00Z");
    relisted(&mut board, "- { job: b, every: 1h }\n- { job: c, every: 1h }", "2026-07-01T12:00:00Z");
    board.take(&good("c"), at("2026-07-01T12:00:01Z"));
    let stored = Reported { at_ms: Some(at("2026-07-01T11:50:00Z")), is_failure: true, ..Reported::default() };
    for job in ["b", "c", "gone"] {
        board.adopt(job, stored);
    }
    let states: Vec<_> = board.figures(at("2026-07-01T12:00:02Z")).iter().map(|job| job.state).collect();
    assert_eq!(states, ["failed", "ok"]);
}

#[test]
fn every_selector_that_is_none_is_told() {
    let list =
        "- { job: a, max_age: 1h, metric: 'up{' }\n- { job: b, every: 1h }\n- { job: c, max_age: 1h, metric: '}' }";
    let mistakes = super::check(&configs(list)).expect_err("two are wrong");
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert!(told.len() == 2 && told[0].contains("dozor.yml:2:") && told[1].contains("dozor.yml:4:"), "{told:?}");
}
