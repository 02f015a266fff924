//! Parts of a date: `hour(x)`, `day_of_week(x)`, … of seconds since 1970, in UTC.
//!
//! Worked example: 951,782,400 s are 11,016 days. Counted from 1 March 0000 that is day 730,484, the last of the fifth
//! 400 years: 29 February 2000. Day 0 was a Thursday, so this is a Tuesday.
//!
//! Always true: every number has a date. Times are counted as Prometheus counts them, with 64 bits: what is no number or
//! does not fit is the smallest time, and times before the first that its calendar knows come from the other end.

use crate::query::plan::Function;

const DAY_SECONDS: i128 = 86_400;
/// Days before 1970-01-01 at which a year began on 1 March and a 400-year cycle with it: 0000-03-01.
const EPOCH_DAYS: i128 = 719_468;
/// Days of 400 years, after which everything comes again.
const CYCLE_DAYS: i128 = 146_097;
/// The first second that Prometheus's calendar knows, before 1970.
const FIRST_SECONDS: i128 = 9_223_372_028_741_760_000;

/// What computes the part that a function names.
pub(super) fn part(function: Function) -> fn(f64) -> f64 {
    match function {
        Function::Minute => |seconds| (within_day(seconds) / 60 % 60) as f64,
        Function::Hour => |seconds| (within_day(seconds) / 3_600) as f64,
        Function::DayOfMonth => |seconds| date(seconds).day as f64,
        Function::DayOfWeek => |seconds| (days(seconds) + 4).rem_euclid(7) as f64,
        Function::DayOfYear => |seconds| date(seconds).day_of_year() as f64,
        Function::DaysInMonth => |seconds| date(seconds).days_in_month() as f64,
        Function::Month => |seconds| date(seconds).month as f64,
        Function::Year => |seconds| date(seconds).year as f64,
        other => unreachable!("{} is no part of a date", other.name()),
    }
}

struct Date {
    year: i128,
    /// From 1.
    month: i128,
    /// From 1.
    day: i128,
}

impl Date {
    fn is_leap_year(&self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn days_in_month(&self) -> i128 {
        match self.month {
            2 if self.is_leap_year() => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn day_of_year(&self) -> i128 {
        let before = (1..self.month).map(|month| Date { month, ..*self }.days_in_month());
        before.sum::<i128>() + self.day
    }
}

/// Whole seconds since 1970.
fn whole(seconds: f64) -> i128 {
    let fits = (i64::MIN as f64..i64::MAX as f64).contains(&seconds);
    let seconds = if fits { seconds as i128 } else { i128::from(i64::MIN) };
    if seconds < -FIRST_SECONDS { seconds + (1 << 64) } else { seconds }
}

fn days(seconds: f64) -> i128 {
    whole(seconds).div_euclid(DAY_SECONDS)
}

fn within_day(seconds: f64) -> i128 {
    whole(seconds).rem_euclid(DAY_SECONDS)
}

/// By years that begin on 1 March, so that the leap day is the last of its year.
fn date(seconds: f64) -> Date {
    let days = days(seconds) + EPOCH_DAYS;
    let (cycle, day) = (days.div_euclid(CYCLE_DAYS), days.rem_euclid(CYCLE_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, and so have the five behind them.
    let month = (5 * day + 2) / 153;
    let year = 400 * cycle + year + i128::from(month >= 10);
    Date { year, month: if month < 10 { month + 3 } else { month - 9 }, day: day - (153 * month + 2) / 5 + 1 }
}
