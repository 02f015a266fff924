//! When a job is to run, as crontab writes it: five fields, by the clock of a place.
//!
//! ```text
//! ┌ minute 0–59   ┌ hour 0–23   ┌ day 1–31   ┌ month 1–12   ┌ weekday 0–7, Sunday is 0 and 7
//! 30              3             *            *              1-5          at 3:30 on working days
//! */15            8-18          *            *              *            every quarter of an hour, by day
//! 0               4             1            *              mon          at 4 on the first, and on Mondays
//! ```
//!
//! A field is `*`, a number, a range, or a list of these, each with `/step`; months and weekdays may be named by three
//! letters. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand for the usual ones. When both day and weekday
//! are restricted, either of them will do, as cron has it.
//!
//! When clocks change, a job runs as cron lets it run that starts at fixed times: what falls into the hour that is
//! left out runs at the moment when the clock jumps, what falls into the hour that comes twice runs the first time. Where
//! the minute or the hour is `*`, a job runs by the time that passes, through both.
//!
//! Always true: two runs are a minute apart at least, and [`Cron::next`] is found by looking at days, not at minutes.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// How many days ahead the next run is looked for: 29 February falls on a given weekday once in 40 years at worst.
const DAYS_MAX: usize = 366 * 41;
/// No clock is put on or back by more, but for the days that some islands have left out.
const SHIFT_HOURS: i64 = 4;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 8] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// What a word stands for.
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// A schedule. Each field is the set of its numbers, one a bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether day, and weekday, say `*`.
    is_any_day: bool,
    is_any_weekday: bool,
    /// Whether it follows the time that passes: minute or hour is `*`.
    is_steady: bool,
}

impl Cron {
    /// Reads a schedule. Fails with what is wrong, the text left out.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let given = text.trim();
        let written = match WORDS.iter().find(|(word, _)| *word == given) {
            Some((_, fields)) => fields,
            None if given.starts_with('@') => {
                return Err(format!("there are only {}", WORDS.map(|word| word.0).join(", ")));
            }
            None => given,
        };
        let fields: Vec<&str> = written.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err("is not five fields: minute, hour, day, month, weekday, as in 30 3 * * 1-5".to_owned());
        };
        let weekdays = field(weekday, "weekday", (0, 7), &WEEKDAYS)?;
        let cron = Cron {
            text: given.to_owned(),
            minutes: field(minute, "minute", (0, 59), &[])?,
            hours: field(hour, "hour", (0, 23), &[])?,
            days: field(day, "day", (1, 31), &[])?,
            months: field(month, "month", (1, 12), &MONTHS)?,
            // Sunday is 0, whichever was written.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            is_any_day: day.starts_with('*'),
            is_any_weekday: weekday.starts_with('*'),
            is_steady: minute.starts_with('*') || hour.starts_with('*'),
        };
        // A leap year has each day that there is.
        let is_ever = (0..366).any(|offset| cron.has_day(Date::constant(2024, 1, 1).saturating_add(offset.days())));
        let is_ever = is_ever || !cron.is_any_weekday;
        if is_ever { Ok(cron) } else { Err("names a day that no month of it has".to_owned()) }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first run later than this moment, both in ms since 1970 UTC, by the clock of a zone. `None`: within forty years
    /// there is none.
    pub fn next(&self, after_ms: i64, zone: &TimeZone) -> Option<i64> {
        let after = Timestamp::from_millisecond(after_ms).ok()?;
        let from = zone.to_datetime(after).saturating_sub(SHIFT_HOURS.hours());
        let (mut day, mut found) = (from.date(), None::<i64>);
        // What the clock shows hours later than the first that was found cannot be before it.
        let mut last = DateTime::MAX;
        for _ in 0..DAYS_MAX {
            for shown in self.times_of(day).skip_while(|shown| *shown < from) {
                if shown > last {
                    return found;
                }
                if let Some(run_ms) = self.moments(shown, zone).filter(|run_ms| *run_ms > after_ms).min() {
                    if found.is_none() {
                        last = shown.saturating_add(SHIFT_HOURS.hours());
                    }
                    found = Some(found.map_or(run_ms, |other_ms| other_ms.min(run_ms)));
                }
            }
            day = day.tomorrow().ok()?;
        }
        found
    }

    /// The times of a day at which the clock says that it is time.
    fn times_of(&self, day: Date) -> impl Iterator<Item = DateTime> {
        let numbers = |set: u64, end: i8| (0..end).filter(move |number| set >> number & 1 == 1);
        let hours = numbers(if self.has_day(day) { self.hours } else { 0 }, 24);
        let minutes = self.minutes;
        hours.flat_map(move |hour| numbers(minutes, 60).map(move |minute| day.at(hour, minute, 0, 0)))
    }

    fn has_day(&self, day: Date) -> bool {
        let in_set = |set: u64, number: i8| set >> number & 1 == 1;
        let is_day = in_set(self.days, day.day());
        let is_weekday = in_set(self.weekdays, day.weekday().to_sunday_zero_offset());
        let is_wanted = match (self.is_any_day, self.is_any_weekday) {
            (false, false) => is_day || is_weekday,
            _ => is_day && is_weekday,
        };
        is_wanted && in_set(self.months, day.month())
    }

    /// When the clock shows this, in ms since 1970 UTC: once, or twice, or, where it is left out, at the jump.
    fn moments(&self, shown: DateTime, zone: &TimeZone) -> impl Iterator<Item = i64> {
        let at = |offset: Offset| offset.to_timestamp(shown).ok();
        let (first, second) = match zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => (at(offset), None),
            AmbiguousOffset::Fold { before, after } => (at(before), at(after).filter(|_| self.is_steady)),
            // By the offset behind the jump it lies before it: the jump is the next change.
            AmbiguousOffset::Gap { after, .. } => {
                let jump = at(after).filter(|_| !self.is_steady);
                (jump.and_then(|before| zone.following(before).next()).map(|jump| jump.timestamp()), None)
            }
        };
        first.into_iter().chain(second).map(Timestamp::as_millisecond)
    }
}

/// Reads one field into the set of its numbers.
fn field(text: &str, what: &str, (least, most): (u32, u32), names: &[&str]) -> Result<u64, String> {
    let wrong = |part: &str| format!("{part:?} is no {what}: {least} to {most}, ranges, lists and steps of these");
    let number = |text: &str, part: &str| -> Result<u32, String> {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        // Months are counted from one, weekdays from zero.
        let named = named.map(|index| index as u32 + if names.len() == MONTHS.len() { 1 } else { 0 });
        let is_plain = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let plain = || is_plain.then(|| text.parse().ok()).flatten();
        named.or_else(plain).filter(|number| (least..=most).contains(number)).ok_or_else(|| wrong(part))
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = match step {
            None => 1,
            Some(step) => step.parse().ok().filter(|step| (1..=most).contains(step)).ok_or_else(|| wrong(part))?,
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (number(from, part)?, number(to, part)?),
            None if step > 1 => (number(range, part)?, most),
            None => (number(range, part)?, number(range, part)?),
        };
        if from > to {
            return Err(format!("{part:?}: the range is the wrong way round"));
        }
        (from..=to).step_by(step as usize).for_each(|number| set |= 1 << number);
    }
    Ok(set)
}

#[cfg(test)]
mod tests;
