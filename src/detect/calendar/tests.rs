use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::config::CalendarKind;

const HOUR_MS: i64 = 3_600_000;
const ZONES: [&str; 9] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Pacific/Apia",
    "America/Nuuk",
    "UTC",
];

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}")).as_millisecond()
}

fn zone(name: &str) -> Zone {
    Zone::named(name).expect("the zone exists")
}

fn span(kind: CalendarKind, from: &str, to: &str, tolerance: f64) -> CalendarSpan {
    CalendarSpan::new("a name", kind, from, to, Some(tolerance)).expect("the span is right")
}

/// Steps of the calendar between two instants, by asking every minute.
fn steps(calendar: &Calendar, from: &str, to: &str) -> Vec<(String, f64)> {
    let mut last = calendar.tolerance(ms(from));
    let mut steps = Vec::new();
    for at_ms in (ms(from)..ms(to)).step_by(60_000) {
        let tolerance = calendar.tolerance(at_ms);
        if tolerance != last {
            steps.push((Timestamp::from_millisecond(at_ms).unwrap().to_string(), tolerance));
        }
        last = tolerance;
    }
    steps
}

fn texts(steps: &[(String, f64)]) -> Vec<(&str, f64)> {
    steps.iter().map(|(at, tolerance)| (at.as_str(), *tolerance)).collect()
}

#[test]
fn offset_changes_at_the_very_instant_of_a_clock_change() {
    let berlin = zone("Europe/Berlin");
    // From 2:00 to 3:00 on the last Sunday of March, from 3:00 to 2:00 on the last of October: at 1:00 UTC.
    for (at, hours) in [("2026-03-29T01:00:00Z", (1, 2)), ("2026-10-25T01:00:00Z", (2, 1))] {
        assert_eq!(berlin.offset_ms(ms(at) - 1), hours.0 * HOUR_MS);
        assert_eq!(berlin.offset_ms(ms(at)), hours.1 * HOUR_MS);
    }
    assert_eq!(zone("Asia/Kolkata").offset_ms(ms("2026-06-01T00:00:00Z")), 19_800_000);
    assert_eq!(Zone::utc().offset_ms(ms("2026-06-01T00:00:00Z")), 0);
}

#[test]
fn offsets_outside_of_the_table_and_of_time_are_those_of_the_zone() {
    let berlin = zone("Europe/Berlin");
    assert_eq!(berlin.offset_ms(ms("2150-07-01T00:00:00Z")), 2 * HOUR_MS, "the rule of summer goes on");
    assert_eq!(berlin.offset_ms(ms("1942-01-01T00:00:00Z")), 2 * HOUR_MS, "summer time lasted the winter");
    for at_ms in [i64::MIN, i64::MAX] {
        assert!(berlin.offset_ms(at_ms).abs() < 3 * HOUR_MS);
    }
}

#[test]
fn unknown_zone_is_refused_with_a_suggestion() {
    assert!(Zone::named("Europe/Berln").unwrap_err().contains("Europe/Berlin"));
}

#[test]
fn whole_days_reach_from_midnight_to_midnight_by_the_shops_clock_and_half_an_hour_further() {
    let christmas = [span(CalendarKind::Holiday, "12-24", "12-26", 0.6)];
    let calendar = Calendar::new(&zone("Europe/Berlin"), &christmas).unwrap();
    let steps = steps(&calendar, "2026-12-20T00:00:00Z", "2026-12-31T00:00:00Z");
    assert_eq!(texts(&steps), [("2026-12-23T22:30:00Z", 0.6), ("2026-12-26T23:30:00Z", 0.0)]);
    assert_eq!(calendar.tolerance(ms("1970-12-25T12:00:00Z")), 0.6);
    assert_eq!(calendar.tolerance(ms("2099-12-25T12:00:00Z")), 0.6);
}

#[test]
fn of_spans_that_overlap_the_largest_holds() {
    let spans = [
        span(CalendarKind::Deploy, "2026-11-27T10:00", "2026-11-27T14:00", 0.6),
        span(CalendarKind::Deploy, "2026-11-27T11:00", "2026-11-27T12:00", 0.8),
        span(CalendarKind::Deploy, "2026-11-27T11:30", "2026-11-27T15:00", 0.3),
        span(CalendarKind::Deploy, "2026-11-27T11:30", "2026-11-27T12:00", 0.8),
    ];
    let calendar = Calendar::new(&Zone::utc(), &spans).unwrap();
    let steps = steps(&calendar, "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z");
    let expected = [
        ("2026-11-27T10:00:00Z", 0.6),
        ("2026-11-27T11:00:00Z", 0.8),
        ("2026-11-27T12:00:00Z", 0.6),
        ("2026-11-27T14:00:00Z", 0.3),
        ("2026-11-27T15:00:00Z", 0.0),
    ];
    assert_eq!(texts(&steps), expected);
}

#[test]
fn spans_cover_the_doubled_hour_and_collapse_in_the_one_left_out() {
    let berlin = zone("Europe/Berlin");
    let within = |from: &str, to: &str, day: &str| {
        let calendar = Calendar::new(&berlin, &[span(CalendarKind::Deploy, from, to, 0.5)]).unwrap();
        let steps = steps(&calendar, &format!("{day}T00:00:00Z"), &format!("{day}T12:00:00Z"));
        steps.into_iter().map(|(at, _)| at[11..16].to_owned()).collect::<Vec<_>>()
    };
    // 2:30 comes at 0:30 UTC and again at 1:30 UTC.
    assert_eq!(within("2026-10-25T02:30", "2026-10-25T03:30", "2026-10-25"), ["00:30", "02:30"]);
    assert_eq!(within("2026-10-25T01:30", "2026-10-25T02:30", "2026-10-25"), ["23:30", "01:30"][1..]);
    // There is no 2:15 and no 2:30: after 1:59 comes 3:00, at 1:00 UTC.
    assert_eq!(within("2026-03-29T02:30", "2026-03-29T04:00", "2026-03-29"), ["01:00", "02:00"]);
    assert_eq!(within("2026-03-29T01:30", "2026-03-29T02:30", "2026-03-29"), ["00:30", "01:00"]);
    assert!(within("2026-03-29T02:15", "2026-03-29T02:30", "2026-03-29").is_empty());
}

#[test]
fn years_without_a_29th_of_february_have_no_span_of_it() {
    let day = [span(CalendarKind::Deploy, "02-29", "02-29", 0.5), span(CalendarKind::Deploy, "12-31", "01-01", 0.4)];
    let calendar = Calendar::new(&Zone::utc(), &day).unwrap();
    let steps = steps(&calendar, "2027-12-01T00:00:00Z", "2029-12-01T00:00:00Z");
    let expected = [
        ("2027-12-31T00:00:00Z", 0.4),
        ("2028-01-02T00:00:00Z", 0.0),
        ("2028-02-29T00:00:00Z", 0.5),
        ("2028-03-01T00:00:00Z", 0.0),
        ("2028-12-31T00:00:00Z", 0.4),
        ("2029-01-02T00:00:00Z", 0.0),
    ];
    assert_eq!(texts(&steps), expected);
}

#[test]
fn times_that_are_added_hold_beside_the_written_ones() {
    let written = [span(CalendarKind::Deploy, "2026-11-27T10:00", "2026-11-27T12:00", 0.6)];
    let written = Calendar::new(&Zone::utc(), &written).unwrap();
    let noon_ms = ms("2026-11-27T12:00:00Z");
    let both = written.excusing([(noon_ms - HOUR_MS, noon_ms + HOUR_MS, 0.3)]);
    let at = |calendar: &Calendar| [-90, -30, 30, 61].map(|minutes| calendar.tolerance(noon_ms + minutes * 60_000));
    assert_eq!(at(&both), [0.6, 0.6, 0.3, 0.0]);
    assert_eq!(at(&written), [0.6, 0.6, 0.0, 0.0], "the calendar that was added to stays as it is");
    assert_eq!([-90, -30, 30, 61].map(|minutes| both.count_at(noon_ms + minutes * 60_000)), [1, 2, 1, 0]);
    assert!(CalendarFull.to_string().contains("1000"));
}

#[test]
fn more_spans_than_a_calendar_takes_are_refused() {
    let one = span(CalendarKind::Deploy, "2026-11-27T10:00", "2026-11-27T12:00", 0.6);
    assert!(Calendar::new(&Zone::utc(), &vec![one.clone(); CALENDAR_SPANS_MAX]).is_ok());
    assert_eq!(Calendar::new(&Zone::utc(), &vec![one; CALENDAR_SPANS_MAX + 1]).err(), Some(CalendarFull));
}

#[test]
fn nonsense_excuses_nothing() {
    let nonsense = [(5, 5, 0.5), (9, 5, 0.5), (i64::MIN, i64::MAX, f64::NAN), (0, 9, -0.5)];
    let calendar = Calendar::default().excusing(nonsense);
    for at_ms in [i64::MIN, 0, 5, 7, i64::MAX] {
        assert_eq!(calendar.tolerance(at_ms), 0.0);
    }
}

fn instants() -> impl Strategy<Value = i64> {
    // 1900 to 2199.
    prop_oneof![-2_208_988_800_000_i64..7_258_118_400_000, any::<i64>()]
}

/// Day and time in 2026, mostly around the clock changes of the zones.
fn local() -> impl Strategy<Value = String> {
    let day = prop_oneof![Just("03-29"), Just("10-25"), Just("03-08"), Just("11-01"), Just("04-05"), Just("03-28")];
    (day, 0..24_u8, 0..60_u8).prop_map(|(day, hour, minute)| format!("2026-{day}T{hour:02}:{minute:02}"))
}

proptest! {
    #[test]
    fn offset_is_jiffs_own(name in prop::sample::select(&ZONES[..]), at_ms in instants()) {
        let expected = Timestamp::from_millisecond(at_ms).map(|at| TimeZone::get(name).unwrap().to_offset(at));
        if let Ok(expected) = expected {
            prop_assert_eq!(zone(name).offset_ms(at_ms), i64::from(expected.seconds()) * 1_000);
        } else {
            zone(name).offset_ms(at_ms);
        }
    }

    /// An instant lies in a span if the first time that the clock shows `from`, or more, is not behind it, and the last
    /// time that it shows less than `to` is not before it: asked of every minute of two days on either side.
    #[test]
    fn tolerance_is_the_largest_of_the_spans_around(
        name in prop::sample::select(&ZONES[..]),
        ends in prop::collection::vec((local(), local(), 1..20_u8), 1..4),
    ) {
        let zone_of_spans = TimeZone::get(name).unwrap();
        let spans: Vec<_> = ends.iter().filter_map(|(from, to, twentieths)| {
            let tolerance = f64::from(*twentieths) / 20.0;
            CalendarSpan::new("a name", CalendarKind::Deploy, from, to, Some(tolerance)).ok()
        }).collect();
        let calendar = Calendar::new(&zone(name), &spans).unwrap();
        for (from, ..) in &ends {
            let noon_ms = ms(&format!("{}T12:00:00Z", &from[..10]));
            let minutes: Vec<i64> = (noon_ms - 48 * HOUR_MS..noon_ms + 48 * HOUR_MS).step_by(60_000).collect();
            let shown: Vec<_> = minutes.iter().map(|&at_ms| {
                zone_of_spans.to_datetime(Timestamp::from_millisecond(at_ms).unwrap())
            }).collect();
            let mut expected = vec![0.0_f64; minutes.len()];
            for span in &spans {
                let (LocalMoment::Once(start), LocalMoment::Once(end)) = (span.from, span.to) else { unreachable!() };
                let first = shown.iter().position(|&local| local >= start).unwrap_or(minutes.len());
                let last = shown.iter().rposition(|&local| local < end).map_or(0, |last| last + 1);
                expected[first.min(last)..last].iter_mut().for_each(|most| *most = most.max(span.tolerance));
            }
            for (index, &at_ms) in minutes.iter().enumerate() {
                prop_assert_eq!(calendar.tolerance(at_ms), expected[index], "{} {}", name, shown[index]);
            }
        }
    }
}
