//! Reads the spans of time intervals: `monday:friday`, `-3:-1`, `09:00`.

use std::ops::{Range, RangeInclusive};

use jiff::tz::TimeZone;
use serde_saphyr::Spanned;

use super::fault::Faults;
use super::file::{Interval, Scalar, Span, Times};
use super::interval::{TimeInterval, TimeSpan};
use crate::config::time_zone;

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Days of the shortest month: what lies the wrong way round in it is never right.
const SHORTEST_MONTH_DAYS: i32 = 28;

/// The interval, whole if no fault was noted.
pub(super) fn interval(given: &Spanned<Interval>, faults: &mut Faults<'_>) -> TimeInterval {
    let name = given.value.name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
    if name.is_empty() {
        faults.add_with(given.referenced, "the time interval has no name", "add name: …");
    }
    TimeInterval { name, spans: given.value.time_intervals.iter().map(|given| span(given, faults)).collect() }
}

fn span(given: &Span, faults: &mut Faults<'_>) -> TimeSpan {
    let times = given.times.as_ref().map(|all| all.iter().filter_map(|one| minutes(one, faults)).collect());
    TimeSpan {
        times,
        weekdays: ranges(given.weekdays.as_deref(), weekdays, faults),
        days_of_month: ranges(given.days_of_month.as_deref(), days_of_month, faults),
        months: ranges(given.months.as_deref(), months, faults),
        years: ranges(given.years.as_deref(), years, faults),
        zone: given.location.as_ref().map_or(TimeZone::UTC, |name| zone_at(name, faults)),
    }
}

/// A range, or what is wrong with the text.
pub(crate) type Found = Result<RangeInclusive<i32>, String>;

fn ranges(
    given: Option<&[Scalar]>,
    read: fn(&str) -> Found,
    faults: &mut Faults<'_>,
) -> Option<Vec<RangeInclusive<i32>>> {
    let read_one = |one: &Scalar| match read(&one.value.to_lowercase()) {
        Ok(range) => Some(range),
        Err(what) => {
            faults.add(one.referenced, format!("{:?}: {what}", one.value));
            None
        }
    };
    given.map(|given| given.iter().filter_map(read_one).collect())
}

/// `first:last`, or one that is both.
fn ends(text: &str, read: impl Fn(&str) -> Result<i32, String>) -> Result<(i32, i32), String> {
    match text.split(':').collect::<Vec<_>>()[..] {
        [only] => read(only).map(|only| (only, only)),
        [first, last] => Ok((read(first)?, read(last)?)),
        _ => Err("a range is a first and a last one with a colon between".to_owned()),
    }
}

fn number(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text:?} is no whole number"))
}

pub(crate) fn weekdays(text: &str) -> Found {
    let weekday = |name: &str| {
        let found = WEEKDAYS.iter().position(|day| *day == name);
        found.and_then(|index| i32::try_from(index).ok()).ok_or(format!("{name:?} is no day of the week, like monday"))
    };
    let (first, last) = ends(text, weekday)?;
    match first <= last {
        true => Ok(first..=last),
        false => Err("the week begins with sunday: write two ranges, like friday:saturday and sunday".to_owned()),
    }
}

pub(crate) fn months(text: &str) -> Found {
    let month = |name: &str| match MONTHS.iter().position(|month| *month == name) {
        Some(index) => Ok(i32::try_from(index).map_or(0, |index| index + 1)),
        None => number(name).map_err(|_| format!("{name:?} is no month, like january or 1")),
    };
    let (first, last) = ends(text, month)?;
    if first <= last {
        Ok(first..=last)
    } else {
        Err("the last month is before the first: write two ranges".to_owned())
    }
}

pub(crate) fn years(text: &str) -> Found {
    let (first, last) = ends(text, number)?;
    if first <= last { Ok(first..=last) } else { Err("the last year is before the first".to_owned()) }
}

pub(crate) fn days_of_month(text: &str) -> Found {
    let (first, last) = ends(text, number)?;
    if [first, last].iter().any(|day| *day == 0 || !(-31..=31).contains(day)) {
        return Err("a day of the month is 1 to 31, or -1 to -31, counted from its end".to_owned());
    }
    if first < 0 && last > 0 {
        return Err("a range that begins with a day counted from the month's end must end with one".to_owned());
    }
    let at_least = |day: i32| if day < 0 { SHORTEST_MONTH_DAYS + day } else { day };
    match at_least(first) <= at_least(last) {
        true => Ok(first..=last),
        false => Err("the last day is always before the first".to_owned()),
    }
}

fn minutes(given: &Spanned<Times>, faults: &mut Faults<'_>) -> Option<Range<i32>> {
    let (Some(start), Some(end)) = (&given.value.start_time, &given.value.end_time) else {
        faults.add(given.referenced, "a time of day needs start_time and end_time");
        return None;
    };
    let mut read = |given: &Scalar| {
        let minute = minute(&given.value);
        if minute.is_none() {
            let what = format!("{:?} is no time of day", given.value);
            faults.add_with(given.referenced, what, "write hours and minutes of two digits each: 00:00 to 24:00");
        }
        minute
    };
    let (first, last) = (read(start), read(end));
    let (first, last) = (first?, last?);
    if first >= last {
        faults.add_with(
            given.referenced,
            "the time of day ends before it begins",
            "over midnight takes two: one to 24:00, one from 00:00",
        );
        return None;
    }
    Some(first..last)
}

/// Minutes since midnight of a text like `09:00`.
pub(crate) fn minute(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |text: &str| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<i32>().ok())?
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    ((hours < 24 && minutes < 60) || (hours, minutes) == (24, 0)).then_some(hours * 60 + minutes)
}

fn zone_at(name: &Scalar, faults: &mut Faults<'_>) -> TimeZone {
    zone(&name.value).unwrap_or_else(|(what, hint)| {
        faults.add_with(name.referenced, what, hint);
        TimeZone::UTC
    })
}

/// The zone of a name as Alertmanager finds it; else what is wrong, and what to do.
pub(crate) fn zone(name: &str) -> Result<TimeZone, (String, &'static str)> {
    const LIKE: &str = "names are like Europe/Berlin, in upper and lower case";
    match name {
        "" => Ok(TimeZone::UTC),
        "Local" => Err(("the machine's own time zone is not asked for".to_owned(), LIKE)),
        name => match time_zone(name) {
            // Alertmanager finds zones as files.
            Ok(zone) if zone.iana_name() != Some(name) => Err((format!("{name:?} is no time zone"), LIKE)),
            Ok(zone) => Ok(zone),
            Err(what) => Err((format!("{name:?}: {what}"), "")),
        },
    }
}
