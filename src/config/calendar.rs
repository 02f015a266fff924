//! Days that are not like others, as a file says them: by the shop's own clock, once or every year.
//!
//! ```text
//! calendar:
//!   - { name: Black Friday, kind: campaign, from: 2026-11-27, to: 2026-11-30 }   to the end of the 30th
//!   - { name: Christmas, from: 12-24, to: 12-26 }                                every year
//!   - { name: night sale, from: 2026-11-27T18:00, to: 2026-11-28T02:00, tolerance: 0.8 }
//! ```

use jiff::civil::{Date, DateTime, Time};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::DetectionConfig;
use super::file::{Place, Scalar};

/// Most spans of a calendar.
pub const CALENDAR_SPANS_MAX: usize = 1_000;
/// How far from ordinary a span may be said to be, as a fraction.
const TOLERANCES: std::ops::RangeInclusive<f64> = 0.05..=1.0;
/// Longest name of a span, in bytes.
const NAME_BYTES_MAX: usize = 200;
const SHAPE: &str = "is not a time like 2026-11-27 or 2026-11-27T18:00, or, for every year, 12-24 or 12-24T18:00";

/// Why days are not like others, and by that how far from ordinary they may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CalendarKind {
    /// A day on which people do other things.
    #[default]
    Holiday,
    /// A sale, an advertisement, a mailing.
    Campaign,
    /// New software: nothing but a short dip is excused, for what comes after it is what everybody wants to know.
    Deploy,
}

/// A time of which a rate may be far from what it usually is.
#[derive(Clone, Debug, PartialEq)]
pub struct CalendarSpan {
    /// What people call it.
    pub name: String,
    /// Why it is not ordinary.
    pub kind: CalendarKind,
    /// Its first moment.
    pub from: LocalMoment,
    /// The first moment behind it.
    pub to: LocalMoment,
    /// How far from ordinary it may be, as a fraction: at 0.6 a rate of 40 to 160 % is no alert. 0.05 to 1.
    pub tolerance: f64,
}

/// A moment by the shop's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalMoment {
    /// There is but one.
    Once(DateTime),
    /// Month, day and time of every year. A day that a year lacks is its first of March.
    Yearly {
        /// 1 to 12.
        month: i8,
        /// 1 to as many as the month has in a leap year.
        day: i8,
        /// Days later, for a span that ends with its last day.
        days_later: i8,
        /// By the clock.
        time: Time,
    },
}

impl CalendarKind {
    /// The tolerance of a span that does not say its own.
    pub fn tolerance(self) -> f64 {
        match self {
            CalendarKind::Holiday | CalendarKind::Campaign => 0.6,
            CalendarKind::Deploy => 0.3,
        }
    }

    /// The tolerance that is given, or else that of the kind. Fails with what is wrong with it.
    pub fn tolerance_or(self, given: Option<f64>) -> Result<f64, String> {
        let tolerance = given.unwrap_or_else(|| self.tolerance());
        let (least, most) = TOLERANCES.into_inner();
        let is_one = TOLERANCES.contains(&tolerance);
        is_one
            .then_some(tolerance)
            .ok_or_else(|| format!("is a fraction, {least} to {most}: 0.6 excuses a rate of 40 to 160 %"))
    }

    /// By how much a span begins earlier and ends later than it says, in ms: people shop before the sale begins.
    pub fn padding_ms(self) -> i64 {
        match self {
            CalendarKind::Holiday | CalendarKind::Campaign => 1_800_000,
            CalendarKind::Deploy => 0,
        }
    }

    /// The kind of this name. Fails with the names that there are.
    pub fn named(name: &str) -> Result<CalendarKind, String> {
        match name {
            "holiday" => Ok(CalendarKind::Holiday),
            "campaign" => Ok(CalendarKind::Campaign),
            "deploy" => Ok(CalendarKind::Deploy),
            _ => Err("is none of: holiday, campaign, deploy".to_owned()),
        }
    }

    /// As a file calls it.
    pub fn name(self) -> &'static str {
        match self {
            CalendarKind::Holiday => "holiday",
            CalendarKind::Campaign => "campaign",
            CalendarKind::Deploy => "deploy",
        }
    }
}

impl CalendarSpan {
    /// A span from texts as a file has them; a `to` without a time of day means the end of that day. Fails with the
    /// key that is wrong and what is wrong with it.
    pub fn new(
        name: &str,
        kind: CalendarKind,
        from: &str,
        to: &str,
        tolerance: Option<f64>,
    ) -> Result<CalendarSpan, (&'static str, String)> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(("name", format!("has {} bytes, but must have 1 to {NAME_BYTES_MAX}", name.len())));
        }
        let tolerance = kind.tolerance_or(tolerance).map_err(|what| ("tolerance", what))?;
        let from = LocalMoment::start(from).map_err(|what| ("from", what))?;
        let to = LocalMoment::end(to).map_err(|what| ("to", what))?;
        match (from, to) {
            (LocalMoment::Once(from), LocalMoment::Once(to)) if from >= to => {
                Err(("to", "is not behind `from`".into()))
            }
            (LocalMoment::Yearly { .. }, LocalMoment::Yearly { .. }) if from == to => {
                Err(("to", "is not behind `from`".into()))
            }
            (LocalMoment::Once(_), LocalMoment::Yearly { .. }) => Err(("to", "has no year, but `from` has".into())),
            (LocalMoment::Yearly { .. }, LocalMoment::Once(_)) => Err(("to", "has a year, but `from` has none".into())),
            _ => Ok(CalendarSpan { name: name.to_owned(), kind, from, to, tolerance }),
        }
    }

    /// As a file has it. The end of a whole day is shown as the midnight that it is.
    pub(super) fn shown(&self, quoted: impl Fn(&str) -> String) -> String {
        let CalendarSpan { name, kind, from, to, tolerance } = self;
        let (from, to) = (quoted(&from.shown()), quoted(&to.shown()));
        format!("{{ name: {}, kind: {}, from: {from}, to: {to}, tolerance: {tolerance} }}", quoted(name), kind.name())
    }
}

impl LocalMoment {
    /// The first moment of a span from a text as a file has it. Fails with what is wrong with it.
    pub fn start(text: &str) -> Result<LocalMoment, String> {
        moment(text).map(|(from, _)| from)
    }

    /// The first moment behind a span from a text as a file has it: a day without a time is that day's end. Fails with
    /// what is wrong with it.
    pub fn end(text: &str) -> Result<LocalMoment, String> {
        match moment(text)? {
            (to, false) => Ok(to),
            (day, true) => day.a_day_later().ok_or_else(|| SHAPE.to_owned()),
        }
    }

    /// The moment in this year by the shop's clock; `None` at the ends of time.
    pub fn in_year(&self, year: i16) -> Option<DateTime> {
        match *self {
            LocalMoment::Once(moment) => Some(moment),
            LocalMoment::Yearly { month, day, days_later, time } => {
                let day = match Date::new(year, month, day) {
                    Ok(day) => day.to_datetime(time),
                    // The 29th of February alone is not in every year.
                    Err(_) => Date::new(year, 3, 1).ok()?.to_datetime(Time::midnight()),
                };
                let is_lacking = day.month() != month;
                let days_later = if is_lacking { 0 } else { days_later };
                day.checked_add(jiff::Span::new().days(days_later)).ok()
            }
        }
    }

    fn a_day_later(self) -> Option<LocalMoment> {
        Some(match self {
            LocalMoment::Once(moment) => LocalMoment::Once(moment.checked_add(jiff::Span::new().days(1)).ok()?),
            LocalMoment::Yearly { month, day, time, .. } => LocalMoment::Yearly { month, day, days_later: 1, time },
        })
    }

    /// As a file has it. The end of a whole day is the midnight that it is.
    pub fn shown(&self) -> String {
        match *self {
            LocalMoment::Once(moment) => moment.to_string(),
            LocalMoment::Yearly { month, day, days_later: 0, time } => format!("{month:02}-{day:02}T{time}"),
            // Only whole days end later.
            LocalMoment::Yearly { month, day, .. } => format!("{month:02}-{day:02}"),
        }
    }
}

/// The moment, and whether it is a day without a time.
fn moment(text: &str) -> Result<(LocalMoment, bool), String> {
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time.parse::<Time>().map_err(|_| SHAPE)?)),
        None => (text, None),
    };
    let (time, is_whole_day) = (time.unwrap_or(Time::midnight()), time.is_none());
    let numbers: Option<Vec<i16>> = day.split('-').map(number).collect();
    let day = match numbers.as_deref() {
        Some(&[year, month, day]) => {
            let day = date_of(year, month, day).ok_or("is a day that does not exist")?;
            LocalMoment::Once(day.to_datetime(time))
        }
        Some(&[month, day]) => {
            // 2000 was a leap year: the 29th of February is a day of some years.
            let day = date_of(2000, month, day).ok_or("is a day that does not exist")?;
            LocalMoment::Yearly { month: day.month(), day: day.day(), days_later: 0, time }
        }
        _ => return Err(SHAPE.to_owned()),
    };
    Ok((day, is_whole_day))
}

fn number(text: &str) -> Option<i16> {
    (matches!(text.len(), 2 | 4) && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn date_of(year: i16, month: i16, day: i16) -> Option<Date> {
    let is_in_time = (1970..=9998).contains(&year);
    is_in_time.then(|| Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok())?
}

/// One entry of the list as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    name: Scalar,
    kind: Option<Scalar>,
    from: Scalar,
    to: Option<Scalar>,
    tolerance: Option<Spanned<f64>>,
}

/// Puts the list into the settings. Fails with a text that shows the place of the mistake.
pub(super) fn read_list(
    entries: &[Entry],
    config: &mut DetectionConfig,
    place: impl Fn(&Scalar, &str) -> Place,
) -> Result<(), String> {
    for (index, entry) in entries.iter().enumerate() {
        let show =
            |given: &Scalar, key: &str, what: &str| place(given, &format!("detection.calendar.{key}")).show(what);
        if index == CALENDAR_SPANS_MAX {
            return Err(show(&entry.name, "name", &format!("the calendar has more than {CALENDAR_SPANS_MAX} spans")));
        }
        let kind = match &entry.kind {
            Some(kind) => CalendarKind::named(&kind.value).map_err(|what| show(kind, "kind", &what))?,
            None => CalendarKind::default(),
        };
        let to = entry.to.as_ref().unwrap_or(&entry.from);
        let tolerance = entry.tolerance.as_ref();
        let span = CalendarSpan::new(
            &entry.name.value,
            kind,
            &entry.from.value,
            &to.value,
            tolerance.map(|tolerance| tolerance.value),
        );
        config.calendar.push(span.map_err(|(key, what)| match (key, tolerance) {
            ("name", _) => show(&entry.name, key, &what),
            ("from", _) => show(&entry.from, key, &what),
            ("tolerance", Some(given)) => {
                let given = Spanned::new(given.value.to_string(), given.referenced, given.defined);
                show(&given, key, &what)
            }
            _ => show(to, key, &what),
        })?);
    }
    Ok(())
}
