//! What the shop's clock shows: the offset from UTC at an instant.
//!
//! The offsets of a zone change a few hundred times between 1970 and 2100. They are looked up once, into a table; asked
//! is by binary search, which takes a few nanoseconds, needs no lock and may go back and forth in time.

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::config::time_zone;

/// The years that the table covers; instants outside are asked of the zone itself.
pub(super) const YEARS: std::ops::Range<i16> = 1970..2100;

/// A time zone.
#[derive(Clone, Debug)]
pub struct Zone {
    zone: TimeZone,
    /// From this instant on, in ms since 1970 UTC, this offset in ms. The first entry is the start of the table.
    offsets: Vec<(i64, i64)>,
    /// The first instant behind the table.
    end_ms: i64,
}

impl Zone {
    /// The zone of no season: the offset is always 0.
    pub fn utc() -> Zone {
        Zone::of(TimeZone::UTC)
    }

    /// The zone with this name in the IANA database, like `Europe/Berlin`. Fails with what is wrong, and with the name
    /// that was perhaps meant.
    pub fn named(name: &str) -> Result<Zone, String> {
        time_zone(name).map(Zone::of)
    }

    fn of(zone: TimeZone) -> Zone {
        let [start, end] = [YEARS.start, YEARS.end].map(|year| {
            let midnight = date(year, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC);
            midnight.expect("the years lie within jiff's time").timestamp()
        });
        let mut offsets = vec![(start.as_millisecond(), offset_ms(&zone, start))];
        let changes = zone.following(start).take_while(|change| change.timestamp() < end);
        for change in changes {
            let offset_ms = i64::from(change.offset().seconds()) * 1_000;
            // Names change too, and daylight-saving time can be called off without moving a clock.
            if offsets.last().is_none_or(|last| last.1 != offset_ms) {
                offsets.push((change.timestamp().as_millisecond(), offset_ms));
            }
        }
        Zone { zone, offsets, end_ms: end.as_millisecond() }
    }

    /// Its clock minus UTC at an instant given in ms since 1970 UTC, in ms. Instants outside of jiff's time, which are the
    /// years -9999 to 9999, have the offset of its end.
    pub fn offset_ms(&self, at_ms: i64) -> i64 {
        if at_ms < self.offsets[0].0 || at_ms >= self.end_ms {
            return offset_ms(&self.zone, instant(at_ms));
        }
        let behind = self.offsets.partition_point(|&(from_ms, _)| from_ms <= at_ms);
        self.offsets[behind - 1].1
    }

    /// The first instant at which its clock shows this time or a later one, in ms since 1970 UTC. A time that a clock
    /// change leaves out is the change itself; one that is shown twice is the first of the two.
    pub(super) fn first_ms(&self, local: DateTime) -> i64 {
        self.instant_of(local, false)
    }

    /// As [`Zone::first_ms`], but the second of the two.
    pub(super) fn last_ms(&self, local: DateTime) -> i64 {
        self.instant_of(local, true)
    }

    fn instant_of(&self, local: DateTime, is_last: bool) -> i64 {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let is_left_out = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let found = if is_last && !is_left_out { ambiguous.later() } else { ambiguous.earlier() };
        let Ok(found) = found else {
            return if local.year() < 0 { i64::MIN } else { i64::MAX };
        };
        // Earlier, read by the offset behind the change, is an instant before it.
        let change = is_left_out.then(|| self.zone.following(found).next()).flatten();
        change.map_or(found, |change| change.timestamp()).as_millisecond()
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.zone == other.zone
    }
}

fn offset_ms(zone: &TimeZone, at: Timestamp) -> i64 {
    i64::from(zone.to_offset(at).seconds()) * 1_000
}

fn instant(at_ms: i64) -> Timestamp {
    let end = if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(at_ms).unwrap_or(end)
}
