use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use proptest::prelude::*;

use super::*;
use crate::config::time_zone;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("a moment").as_millisecond()
}

fn next(schedule: &str, zone: &str, after: &str) -> String {
    let cron = Cron::parse(schedule).expect("a schedule");
    let next_ms = cron.next(at(after), &time_zone(zone).expect("a zone")).expect("there is one");
    Timestamp::from_millisecond(next_ms).expect("in bounds").to_string()
}

/// Whether a field says a number, read here as crontab(5) describes it and in no other way: item by item.
fn says(field: &str, number: i64, least: i64, most: i64) -> bool {
    field.split(',').any(|item| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let step: i64 = step.parse().expect("a step");
        let (from, to) = match range {
            "*" => (least, most),
            _ => match range.split_once('-') {
                Some((from, to)) => (from.parse().expect("a number"), to.parse().expect("a number")),
                None if item.contains('/') && step > 1 => (range.parse().expect("a number"), most),
                None => (range.parse().expect("a number"), range.parse().expect("a number")),
            },
        };
        (from..=to).contains(&number) && (number - from) % step == 0
    })
}

/// Whether the clock that shows this says that it is time.
fn is_time(schedule: &str, shown: DateTime) -> bool {
    let fields: Vec<&str> = schedule.split(' ').collect();
    let is_day = says(fields[2], shown.day().into(), 1, 31);
    let sunday_zero: i64 = shown.weekday().to_sunday_zero_offset().into();
    let is_weekday = says(fields[4], sunday_zero, 0, 7) || sunday_zero == 0 && says(fields[4], 7, 0, 7);
    let is_wanted = if fields[2].starts_with('*') || fields[4].starts_with('*') {
        is_day && is_weekday
    } else {
        is_day || is_weekday
    };
    says(fields[0], shown.minute().into(), 0, 59)
        && says(fields[1], shown.hour().into(), 0, 23)
        && says(fields[3], shown.month().into(), 1, 12)
        && is_wanted
}

/// A minute of a span, by nothing but jiff's clock.
struct Minute {
    at_ms: i64,
    shown: DateTime,
    /// Whether the clock has shown this before.
    is_second_time: bool,
    /// What the clock left out on its way from the minute before.
    left_out: Vec<DateTime>,
}

fn minutes(zone: &TimeZone, from_ms: i64, to_ms: i64) -> Vec<Minute> {
    let shown = |ms: i64| zone.to_datetime(Timestamp::from_millisecond(ms).expect("in bounds"));
    let minute = |at_ms: i64| {
        let now = shown(at_ms);
        let is_second_time = match zone.to_ambiguous_timestamp(now).offset() {
            AmbiguousOffset::Fold { after, .. } => {
                after.to_timestamp(now).expect("in bounds").as_millisecond() == at_ms
            }
            _ => false,
        };
        let (mut left_out, mut next) = (Vec::new(), shown(at_ms - MINUTE_MS).saturating_add(1.minute()));
        while next < now {
            left_out.push(next);
            next = next.saturating_add(1.minute());
        }
        Minute { at_ms, shown: now, is_second_time, left_out }
    };
    (from_ms..to_ms).step_by(MINUTE_MS as usize).map(minute).collect()
}

/// All runs of a span, found minute by minute.
fn runs_by_the_minute(schedule: &str, minutes: &[Minute]) -> Vec<i64> {
    let is_steady = schedule.starts_with('*') || schedule.split(' ').nth(1).is_some_and(|hour| hour.starts_with('*'));
    let is_run = |minute: &&Minute| {
        is_time(schedule, minute.shown) && (is_steady || !minute.is_second_time)
            || !is_steady && minute.left_out.iter().any(|shown| is_time(schedule, *shown))
    };
    minutes.iter().filter(is_run).map(|minute| minute.at_ms).collect()
}

fn runs(schedule: &str, zone: &TimeZone, from_ms: i64, to_ms: i64) -> Vec<i64> {
    let cron = Cron::parse(schedule).expect("a schedule");
    let mut runs = Vec::new();
    let mut last_ms = from_ms - 1;
    while let Some(next_ms) = cron.next(last_ms, zone).filter(|next_ms| *next_ms < to_ms) {
        runs.push(next_ms);
        last_ms = next_ms;
    }
    runs
}

/// Days on which clocks change, by an hour and by half of one, and an ordinary one; each with the day around it.
const DAYS: [(&str, &str); 7] = [
    ("Europe/Berlin", "2026-03-28T12:00:00Z"),
    ("Europe/Berlin", "2026-10-24T12:00:00Z"),
    ("America/New_York", "2026-03-07T12:00:00Z"),
    ("America/New_York", "2026-10-31T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
    ("Asia/Kolkata", "2024-02-28T12:00:00Z"),
];

const SCHEDULES: [&str; 14] = [
    "* * * * *",
    "*/7 * * * *",
    "30 2 * * *",
    "0 2 * * *",
    "15,45 1-3 * * *",
    "0 3 * * *",
    "*/15 2 * * *",
    "59 23 * * *",
    "0 0 * * *",
    "0 4 29 2 *",
    "0 5 1 * 0",
    "5 */2 * * 1-5",
    "10 1 * * 7",
    "0 2-22/4 28,29 3,10 *",
];

#[test]
fn runs_are_those_that_are_found_minute_by_minute() {
    for (zone, from) in DAYS {
        let (zone, from_ms) = (time_zone(zone).expect("a zone"), at(from));
        let minutes = minutes(&zone, from_ms, from_ms + 2 * DAY_MS);
        for schedule in SCHEDULES {
            let expected = runs_by_the_minute(schedule, &minutes);
            assert_eq!(runs(schedule, &zone, from_ms, from_ms + 2 * DAY_MS), expected, "{schedule} {zone:?}");
        }
    }
}

fn a_field(least: u32, most: u32) -> impl Strategy<Value = String> {
    let number = least..=most;
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => number.clone().prop_map(|number| number.to_string()),
        1 => (2..=most).prop_map(|step| format!("*/{step}")),
        1 => (number.clone(), number.clone(), 1_u32..5).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
        1 => (number.clone(), number).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_schedule_runs_as_it_would_minute_by_minute(
        minute in a_field(0, 59), hour in a_field(0, 23), weekday in a_field(0, 7), day in 0..DAYS.len(),
    ) {
        let schedule = format!("{minute} {hour} * * {weekday}");
        let (zone, from) = DAYS[day];
        let (zone, from_ms) = (time_zone(zone).expect("a zone"), at(from));
        let expected = runs_by_the_minute(&schedule, &minutes(&zone, from_ms, from_ms + 2 * DAY_MS));
        prop_assert_eq!(runs(&schedule, &zone, from_ms, from_ms + 2 * DAY_MS), expected, "{}", schedule);
    }
}

#[test]
fn schedules_of_seldom_runs_find_them() {
    assert_eq!(next("0 3 * * *", "Europe/Berlin", "2026-07-01T00:59:59Z"), "2026-07-01T01:00:00Z");
    assert_eq!(next("0 3 * * *", "Europe/Berlin", "2026-07-01T01:00:00Z"), "2026-07-02T01:00:00Z");
    assert_eq!(next("0 0 29 feb *", "UTC", "2026-01-01T00:00:00Z"), "2028-02-29T00:00:00Z");
    assert_eq!(next("@monthly", "UTC", "2026-01-31T12:00:00Z"), "2026-02-01T00:00:00Z");
    assert_eq!(next("0 9 * * Mon-Fri", "UTC", "2026-01-02T09:00:00Z"), "2026-01-05T09:00:00Z", "2 January is a Friday");
    // Either of them, as cron has it: the 13th, and Fridays.
    assert_eq!(next("0 0 13 * 5", "UTC", "2026-01-09T00:00:00Z"), "2026-01-13T00:00:00Z");
    assert_eq!(next("0 0 13 * 5", "UTC", "2026-01-13T00:00:00Z"), "2026-01-16T00:00:00Z");
}

#[test]
fn mistakes_are_told() {
    for (given, told) in [
        ("0 3 * *", "five fields"),
        ("60 3 * * *", "minute: 0 to 59"),
        ("0 24 * * *", "hour: 0 to 23"),
        ("0 3 0 * *", "day: 1 to 31"),
        ("0 3 * foo *", "month: 1 to 12"),
        ("0 3 * * 8", "weekday: 0 to 7"),
        ("5-1 3 * * *", "the wrong way round"),
        ("*/0 3 * * *", "minute"),
        ("+1 3 * * *", "minute"),
        ("1,,2 3 * * *", "minute"),
        ("0 0 31 2 *", "no month of it has"),
        ("@reboot", "@daily"),
        ("", "five fields"),
    ] {
        let what = Cron::parse(given).expect_err(given);
        assert!(what.contains(told), "{given}: {what}");
    }
}
