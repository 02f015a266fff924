//! Times of day, week, month and year by some place's clock, with names.
//!
//! ```text
//! nights: [{ times: [{ start_time: 22:00, end_time: 24:00 }, { start_time: 00:00, end_time: 06:00 }],
//!            weekdays: ["monday:friday"], location: Europe/Berlin }]
//! ```
//!
//! Always true: a moment lies within a span if each list that the span has contains it; a list without entries contains
//! nothing. It lies within an interval if it does within one of the spans.

use std::ops::{Range, RangeInclusive};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Spans of time under a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimeInterval {
    pub(super) name: String,
    pub(super) spans: Vec<TimeSpan>,
}

/// What all must be true of a moment; a list that is not there says nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimeSpan {
    /// Minutes of the day.
    pub(crate) times: Option<Vec<Range<i32>>>,
    /// 0 is Sunday.
    pub(crate) weekdays: Option<Vec<RangeInclusive<i32>>>,
    /// From 1, or, from the month's end, from -1.
    pub(crate) days_of_month: Option<Vec<RangeInclusive<i32>>>,
    /// 1 is January.
    pub(crate) months: Option<Vec<RangeInclusive<i32>>>,
    pub(crate) years: Option<Vec<RangeInclusive<i32>>>,
    pub(crate) zone: TimeZone,
}

impl TimeInterval {
    pub(crate) fn new(name: &str, spans: Vec<TimeSpan>) -> TimeInterval {
        TimeInterval { name: name.to_owned(), spans }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a moment, in ms since 1970 UTC, lies within. Nothing lies within that is before or after jiff's time.
    pub(crate) fn contains(&self, at_ms: i64) -> bool {
        Timestamp::from_millisecond(at_ms).is_ok_and(|at| self.spans.iter().any(|span| span.contains(at)))
    }
}

impl TimeSpan {
    fn contains(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let (day, days) = (i32::from(local.day()), i32::from(local.date().days_in_month()));
        let is_day = |range: &RangeInclusive<i32>| {
            let from_start = |day: i32| if day < 0 { days + 1 + day } else { day };
            (from_start(*range.start())..=from_start(*range.end())).contains(&day)
        };
        let weekday = i32::from(local.weekday().to_sunday_zero_offset());
        self.times.as_ref().is_none_or(|times| times.iter().any(|range| range.contains(&minute)))
            && self.days_of_month.as_ref().is_none_or(|ranges| ranges.iter().any(is_day))
            && is_within(&self.months, i32::from(local.month()))
            && is_within(&self.weekdays, weekday)
            && is_within(&self.years, i32::from(local.year()))
    }
}

fn is_within(ranges: &Option<Vec<RangeInclusive<i32>>>, value: i32) -> bool {
    ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&value)))
}
