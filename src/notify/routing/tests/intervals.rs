use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

fn with_span(span: &str) -> Routing {
    routing(&format!(
        "route: {{receiver: a, routes: [{{mute_time_intervals: [x]}}]}}\nreceivers: [{{name: a}}]\n\
         time_intervals: [{{name: x, time_intervals: [{span}]}}]\n"
    ))
}

fn contains(routing: &Routing, at: &str) -> bool {
    let at: Timestamp = at.parse().expect("a moment");
    routing.is_muted(1, at.as_millisecond()).is_some()
}

#[test]
fn a_span_is_by_the_clock_of_its_place() {
    let office = with_span(
        "{times: [{start_time: 09:00, end_time: 17:00}], weekdays: ['monday:friday'], location: Europe/Berlin}",
    );
    // 09:00 in Berlin is 07:00 UTC in summer and 08:00 in winter; 2026-07-06 and 2026-01-05 are Mondays.
    for (at, is_within) in [
        ("2026-07-06T06:59:59Z", false),
        ("2026-07-06T07:00:00Z", true),
        ("2026-07-06T14:59:59Z", true),
        ("2026-07-06T15:00:00Z", false),
        ("2026-01-05T07:00:00Z", false),
        ("2026-01-05T08:00:00Z", true),
        ("2026-07-05T10:00:00Z", false),
    ] {
        assert_eq!(contains(&office, at), is_within, "{at}");
    }
}

#[test]
fn days_are_counted_from_either_end_of_the_month() {
    let last = with_span("{days_of_month: ['-1']}");
    for (at, is_within) in [
        ("2026-02-28T12:00:00Z", true),
        ("2028-02-28T12:00:00Z", false),
        ("2028-02-29T12:00:00Z", true),
        ("2026-04-30T12:00:00Z", true),
        ("2026-05-30T12:00:00Z", false),
    ] {
        assert_eq!(contains(&last, at), is_within, "{at}");
    }
    let late = with_span("{days_of_month: ['29:31']}");
    assert!(!contains(&late, "2026-02-28T12:00:00Z"), "a range behind the month's end has no days in it");
    let rest = with_span("{days_of_month: ['20:-2']}");
    assert!(!contains(&rest, "2026-02-28T12:00:00Z") && contains(&rest, "2026-02-27T12:00:00Z"));
}

/// What a minute is called, and the ranges as they are written: the oracle only compares texts and counts.
#[derive(Debug, Clone)]
struct Written {
    times: Option<Vec<(u32, u32)>>,
    weekdays: Option<Vec<(usize, usize)>>,
    days: Option<Vec<(i32, i32)>>,
    months: Option<Vec<(u32, u32)>>,
    years: Option<Vec<(i32, i32)>>,
}

const DAYS: [(&str, Weekday); 7] = [
    ("sunday", Weekday::Sunday),
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
];

impl Written {
    fn yaml(&self) -> String {
        fn list<T>(name: &str, given: &Option<Vec<T>>, one: impl Fn(&T) -> String) -> String {
            let Some(given) = given else { return String::new() };
            format!("{name}: [{}], ", given.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        let time = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        [
            list("times", &self.times, |t| format!("{{start_time: '{}', end_time: '{}'}}", time(t.0), time(t.1))),
            list("weekdays", &self.weekdays, |d| format!("'{}:{}'", DAYS[d.0].0, DAYS[d.1].0)),
            list("days_of_month", &self.days, |d| format!("'{}:{}'", d.0, d.1)),
            list("months", &self.months, |m| format!("'{}:{}'", m.0, m.1)),
            list("years", &self.years, |y| format!("'{}:{}'", y.0, y.1)),
        ]
        .concat()
    }

    /// Walks over every minute, day and month that each range names, and looks whether this one is among them.
    fn names(&self, at: Timestamp) -> bool {
        let at = at.to_zoned(TimeZone::UTC);
        let minute = u32::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).expect("of a day");
        let days_in_month = i32::from(at.date().last_of_month().day());
        let any = |given: &Option<Vec<(i32, i32)>>, is: &dyn Fn(i32) -> bool| {
            given.as_ref().is_none_or(|ranges| ranges.iter().any(|&(from, to)| (from..=to).any(is)))
        };
        self.times.as_ref().is_none_or(|times| times.iter().any(|&(from, to)| (from..to).any(|named| named == minute)))
            && self.weekdays.as_ref().is_none_or(|ranges| {
                ranges.iter().any(|&(from, to)| DAYS[from..=to].iter().any(|day| day.1 == at.weekday()))
            })
            && self.days.as_ref().is_none_or(|ranges| {
                let counted = |day: i32| if day > 0 { day } else { days_in_month + 1 + day };
                ranges.iter().any(|&(from, to)| {
                    (1..=days_in_month)
                        .any(|day| day >= counted(from) && day <= counted(to) && day == i32::from(at.day()))
                })
            })
            && self.months.as_ref().is_none_or(|ranges| {
                ranges.iter().any(|&(from, to)| (from..=to).any(|month| i8::try_from(month) == Ok(at.month())))
            })
            && any(&self.years, &|year| i16::try_from(year) == Ok(at.year()))
    }
}

fn ordered<T: Ord + Copy>(pair: (T, T)) -> (T, T) {
    (pair.0.min(pair.1), pair.0.max(pair.1))
}

fn written() -> impl Strategy<Value = Written> {
    let few =
        |days: std::ops::RangeInclusive<i32>| proptest::collection::vec((days.clone(), days).prop_map(ordered), 0..3);
    let times = proptest::collection::vec(
        (0..1440_u32, 1..=1440_u32).prop_map(|(from, to)| (from.min(to - 1), to.max(from + 1))),
        0..3,
    );
    let weekdays = proptest::collection::vec((0..7_usize, 0..7_usize).prop_map(ordered), 0..3);
    let months = proptest::collection::vec((1..=12_u32, 1..=12_u32).prop_map(ordered), 0..3);
    let days = prop_oneof![few(1..=31), few(-31..=-1), (1..=14_i32, -14..=-1_i32).prop_map(|range| vec![range])];
    (
        proptest::option::of(times),
        proptest::option::of(weekdays),
        proptest::option::of(days),
        proptest::option::of(months),
        proptest::option::of(few(2024..=2028)),
    )
        .prop_map(|(times, weekdays, days, months, years)| Written { times, weekdays, days, months, years })
}

proptest! {
    #[test]
    fn spans_contain_the_minutes_that_they_name(written in written(), minutes in proptest::collection::vec(0..2_629_440_i64, 40)) {
        let routing = with_span(&format!("{{{}}}", written.yaml()));
        // From 2024 for five years.
        for minute in minutes {
            let at = Timestamp::from_second(1_704_067_200 + 60 * minute).expect("a moment");
            prop_assert_eq!(routing.is_muted(1, at.as_millisecond()).is_some(), written.names(at), "{} {}", at, written.yaml());
        }
    }
}
