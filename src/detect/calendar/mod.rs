//! The shop's clock and calendar: what hour it is for its customers, and whether the day is one like others.
//!
//! In Berlin `12-24` to `12-26` with a tolerance of 0.6 is, in 2026, from the 23rd 22:30 UTC (midnight at +01:00, half an
//! hour early) to the 26th 23:30 UTC. Within it the rate of orders may be anything from 40 to 160 % of what is expected.
//! Where a campaign with 0.8 overlaps it, 0.8 holds.
//!
//! The settings write a calendar down; what nobody knew then is announced to a server that runs ([`Announcements`]).
//!
//! Always true:
//! 1. [`Calendar::tolerance`] is the largest of the spans that hold the instant, and 0 where none does.
//! 2. A span begins with the first instant that its clock shows `from` and ends with the last that it shows `to`.
//! 3. There are at most [`CALENDAR_SPANS_MAX`] written spans, and [`ANNOUNCED_COUNT_MAX`] announced ones; yearly ones are
//!    known for the years 1970 to 2099.

mod announcements;
mod zone;

use std::collections::BTreeMap;

pub use announcements::{
    ANNOUNCED_COUNT_MAX, AnnounceError, AnnounceRequest, Announced, AnnouncedState, Announcements, InForce,
};
use zone::YEARS;
pub use zone::Zone;

use crate::config::{CALENDAR_SPANS_MAX, CalendarSpan, LocalMoment};

/// When it may be how far from ordinary.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    excused: Vec<Excused>,
    /// The tolerance from an instant on, in ms since 1970 UTC, sorted; 0 before the first.
    tolerances: Vec<(i64, f64)>,
}

/// A time with a tolerance, in ms since 1970 UTC, the end excluded.
#[derive(Clone, Copy, Debug)]
struct Excused {
    from_ms: i64,
    to_ms: i64,
    tolerance: f64,
}

/// A calendar with too many spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the calendar has {CALENDAR_SPANS_MAX} spans already, which is as many as it takes")]
pub struct CalendarFull;

impl Calendar {
    /// The calendar of these spans by the clock of this zone. Spans past [`CALENDAR_SPANS_MAX`] are refused.
    pub fn new(zone: &Zone, spans: &[CalendarSpan]) -> Result<Calendar, CalendarFull> {
        if spans.len() > CALENDAR_SPANS_MAX {
            return Err(CalendarFull);
        }
        let mut calendar = Calendar::default();
        for span in spans {
            match span.from {
                LocalMoment::Once(_) => calendar.excused.extend(in_year(zone, span, 0)),
                // One that begins in the year before may reach into the first.
                LocalMoment::Yearly { .. } => {
                    let years = YEARS.start - 1..YEARS.end;
                    calendar.excused.extend(years.filter_map(|year| in_year(zone, span, year)));
                }
            }
        }
        calendar.lay_out();
        Ok(calendar)
    }

    /// This calendar with more times in it, each from an instant to the first behind it, in ms since 1970 UTC, and how far
    /// from ordinary it may be, as a fraction. Whoever adds them bounds how many there are.
    pub fn excusing(&self, times: impl IntoIterator<Item = (i64, i64, f64)>) -> Calendar {
        let mut calendar = self.clone();
        let excused = |(from_ms, to_ms, tolerance)| Excused { from_ms, to_ms, tolerance };
        calendar.excused.extend(times.into_iter().map(excused));
        calendar.lay_out();
        calendar
    }

    /// How far from ordinary a rate may be at this instant, in ms since 1970 UTC, as a fraction; 0 on ordinary days.
    pub fn tolerance(&self, at_ms: i64) -> f64 {
        let behind = self.tolerances.partition_point(|&(from_ms, _)| from_ms <= at_ms);
        behind.checked_sub(1).map_or(0.0, |index| self.tolerances[index].1)
    }

    /// How many spans hold this instant, in ms since 1970 UTC.
    pub fn count_at(&self, at_ms: i64) -> usize {
        self.excused.iter().filter(|span| (span.from_ms..span.to_ms).contains(&at_ms)).count()
    }

    /// Makes steps of the spans.
    fn lay_out(&mut self) {
        let spans = self.excused.iter().filter(|span| span.from_ms < span.to_ms);
        let mut edges: Vec<(i64, f64, i32)> = spans
            .flat_map(|span| [(span.from_ms, span.tolerance, 1), (span.to_ms, span.tolerance, -1)])
            .filter(|edge| edge.1 > 0.0)
            .collect();
        edges.sort_unstable_by_key(|edge| edge.0);
        // Spans that go on, by the bits of their tolerance, which for numbers above zero are in its order.
        let mut open: BTreeMap<u64, i32> = BTreeMap::new();
        self.tolerances.clear();
        for (index, &(at_ms, tolerance, step)) in edges.iter().enumerate() {
            let count = open.entry(tolerance.to_bits()).or_default();
            *count += step;
            if *count == 0 {
                open.remove(&tolerance.to_bits());
            }
            let is_last = edges.get(index + 1).is_none_or(|next| next.0 > at_ms);
            let largest = open.last_key_value().map_or(0.0, |(&bits, _)| f64::from_bits(bits));
            if is_last && self.tolerances.last().map_or(0.0, |last| last.1) != largest {
                self.tolerances.push((at_ms, largest));
            }
        }
    }
}

/// The span of this year; `None` where it has no day of it.
fn in_year(zone: &Zone, span: &CalendarSpan, year: i16) -> Option<Excused> {
    let from = span.from.in_year(year)?;
    let mut to = span.to.in_year(year)?;
    if to < from {
        // Over the new year.
        to = span.to.in_year(year + 1)?;
    }
    let padding_ms = span.kind.padding_ms();
    (from < to).then(|| Excused {
        from_ms: zone.first_ms(from).saturating_sub(padding_ms),
        to_ms: zone.last_ms(to).saturating_add(padding_ms),
        tolerance: span.tolerance,
    })
}

#[cfg(test)]
mod tests;
