//! Parts of a date: `hour(x)`, `day_of_week(x)`, … of seconds since 1970, in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::plan::Function;

/// What computes the part that a function names. Not a number for times that no calendar has.
pub(super) fn part(function: Function) -> fn(f64) -> f64 {
    match function {
        Function::Minute => |seconds| of(seconds, |date| date.minute().into()),
        Function::Hour => |seconds| of(seconds, |date| date.hour().into()),
        Function::DayOfMonth => |seconds| of(seconds, |date| date.day().into()),
        Function::DayOfWeek => |seconds| of(seconds, |date| date.weekday().to_sunday_zero_offset().into()),
        Function::DayOfYear => |seconds| of(seconds, |date| date.day_of_year().into()),
        Function::DaysInMonth => |seconds| of(seconds, |date| date.days_in_month().into()),
        Function::Month => |seconds| of(seconds, |date| date.month().into()),
        Function::Year => |seconds| of(seconds, |date| date.year().into()),
        other => unreachable!("{} is no part of a date", other.name()),
    }
}

fn of(seconds: f64, part: impl Fn(DateTime) -> f64) -> f64 {
    if seconds.is_nan() {
        return f64::NAN;
    }
    match Timestamp::from_second(seconds as i64) {
        Ok(timestamp) => part(TimeZone::UTC.to_datetime(timestamp)),
        Err(_) => f64::NAN,
    }
}
