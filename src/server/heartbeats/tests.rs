use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::board::Board;
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
