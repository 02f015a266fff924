//! Moments as people give them on a command line, and spans of a calendar.
//!
//! `2026-10-01`, `2026-10-01T14:30` (in the zone that is asked for), `2026-10-01T14:30:00Z`, `1790865000` (seconds since
//! 1970), `7d` (so long ago), `now`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::config::parse_duration_ms;
use crate::model::TimeRange;

/// Reads a moment, in ms since 1970 UTC.
pub(super) fn parse_moment_ms(text: &str, zone: &TimeZone, now_ms: i64) -> Result<i64, String> {
    if text == "now" {
        return Ok(now_ms);
    }
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.abs() < 1e11
    {
        return Ok((seconds * 1000.0).round() as i64);
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment.as_millisecond());
    }
    // A date is one of a day's beginning; what has a clock's time is tried first.
    if let Some(civil) = text
        .parse::<DateTime>()
        .ok()
        .or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight())))
    {
        return start_ms(civil, zone);
    }
    if let Ok(ago_ms) = parse_duration_ms(text.trim_start_matches('-')) {
        return Ok(now_ms.saturating_sub(ago_ms));
    }
    Err(format!(
        "{text:?} is no moment: write 2026-10-01, 2026-10-01T14:30, 2026-10-01T14:30:00Z, seconds since 1970, 7d for a \
         week ago, or now"
    ))
}

/// The month `2026-10` in a zone, its first and last ms since 1970 UTC.
pub(super) fn parse_month(text: &str, zone: &TimeZone) -> Result<TimeRange, String> {
    let refused = || format!("{text:?} is no month: write 2026-10");
    let first: Date = format!("{text}-01").parse().map_err(|_| refused())?;
    if text.len() != 7 {
        return Err(refused());
    }
    let next = first.last_of_month().tomorrow().map_err(|_| refused())?;
    let at = |date: Date| start_ms(date.to_datetime(jiff::civil::Time::midnight()), zone);
    Ok(TimeRange { from_ms: at(first)?, to_ms: at(next)? - 1 })
}

fn start_ms(civil: DateTime, zone: &TimeZone) -> Result<i64, String> {
    let moment = zone.to_timestamp(civil).map_err(|error| error.to_string())?;
    Ok(moment.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::time_zone;

    #[test]
    fn moments_are_read_in_the_zone_that_is_asked_for() {
        let berlin = time_zone("Europe/Berlin").expect("a zone");
        let now_ms = 1_795_361_789_834;
        let read = |text: &str| parse_moment_ms(text, &berlin, now_ms);
        // Midnight of 1 October 2026 UTC is 1,790,812,800 s; Berlin is two hours ahead then.
        assert_eq!(read("2026-10-01"), Ok(1_790_805_600_000));
        assert_eq!(read("2026-10-01T14:30"), Ok(1_790_805_600_000 + 52_200_000));
        assert_eq!(read("2026-10-01T00:00:00Z"), Ok(1_790_812_800_000));
        assert_eq!(read("1790812800.5"), Ok(1_790_812_800_500));
        assert_eq!(read("1d"), Ok(now_ms - 86_400_000));
        assert_eq!(read("-2h"), Ok(now_ms - 7_200_000));
        assert_eq!(read("now"), Ok(now_ms));
        assert!(read("yesterday").expect_err("no moment").contains("2026-10-01"));
    }

    #[test]
    fn a_month_is_as_long_as_its_zone_makes_it() {
        let berlin = time_zone("Europe/Berlin").expect("a zone");
        let october = parse_month("2026-10", &berlin).expect("a month");
        // The clocks go back on the 25th: 31 days and an hour.
        assert_eq!(
            october,
            TimeRange { from_ms: 1_790_805_600_000, to_ms: 1_790_805_600_000 + (31 * 24 + 1) * 3_600_000 - 1 }
        );
        for wrong in ["2026-13", "2026", "2026-10-01", "october"] {
            assert!(parse_month(wrong, &berlin).is_err(), "{wrong}");
        }
    }
}
