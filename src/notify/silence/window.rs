//! Maintenance by a schedule: what is silent at times that are known beforehand.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::config::{ConfigError, MaintenanceWindow, Written};
use crate::model::Labels;
use crate::notify::SilencedBy;
use crate::notify::matchers::Matchers;
use crate::notify::routing::{self, TimeInterval, TimeSpan};

/// Alerts that are held back whenever it is time for it.
#[derive(Clone, Debug)]
pub struct Window {
    matchers: Matchers,
    interval: TimeInterval,
    reason: String,
    from_ms: i64,
    to_ms: i64,
}

impl Window {
    /// Reads a window of the settings. Fails with its first mistake, shown at its place.
    pub fn read(given: &MaintenanceWindow) -> Result<Window, ConfigError> {
        let zone = match &given.location {
            Some(name) => routing::zone(&name.text).map_err(|(what, hint)| name.mistake(&format!("{what}; {hint}")))?,
            None => TimeZone::UTC,
        };
        let from_ms = given.from.as_ref().map(|from| moment(from, &zone)).transpose()?.unwrap_or(i64::MIN);
        let to_ms = given.to.as_ref().map(|to| moment(to, &zone)).transpose()?.unwrap_or(i64::MAX);
        if let (Some(to), true) = (&given.to, from_ms >= to_ms) {
            return Err(to.mistake("is not behind `from`"));
        }
        let span = TimeSpan {
            times: given.times.as_ref().map(|times| times.iter().map(minutes).collect()).transpose()?,
            weekdays: ranges(given.weekdays.as_deref(), routing::weekdays)?,
            days_of_month: ranges(given.days_of_month.as_deref(), routing::days_of_month)?,
            months: ranges(given.months.as_deref(), routing::months)?,
            years: ranges(given.years.as_deref(), routing::years)?,
            zone,
        };
        let mut matchers = Vec::new();
        for text in &given.matchers {
            let parsed = Matchers::parse(&text.text).map_err(|what| text.mistake(&what))?;
            matchers.extend(parsed.iter().cloned());
        }
        let matchers = Matchers::new(matchers);
        if matchers.iter().all(|matcher| matcher.matches_absent()) {
            let what = "would hold back every alert: at least one of the matchers must want a label to be there";
            return Err(given.name.mistake(what));
        }
        let (interval, reason) = (TimeInterval::new(&given.name.text, vec![span]), given.reason.clone());
        Ok(Window { matchers, interval, reason, from_ms, to_ms })
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        self.interval.name()
    }

    /// As who is held back sees it.
    pub(super) fn shown(&self) -> SilencedBy {
        let id = format!("maintenance/{}", self.name());
        SilencedBy { id, created_by: String::new(), comment: self.reason.clone() }
    }

    pub(super) fn holds_back(&self, labels: &Labels, now_ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&now_ms) && self.matchers.matches(labels) && self.interval.contains(now_ms)
    }
}

/// A moment by a place's clock, or one that says its offset from UTC, in ms since 1970 UTC.
fn moment(given: &Written, zone: &TimeZone) -> Result<i64, ConfigError> {
    let text = &given.text;
    let told = text.parse::<jiff::Timestamp>().ok();
    let local = || zone.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    let at = told.or_else(local).ok_or_else(|| given.mistake("is not a time like 2026-12-01T22:00"))?;
    Ok(at.as_millisecond())
}

fn minutes((start, end): &(Written, Written)) -> Result<std::ops::Range<i32>, ConfigError> {
    let read = |given: &Written| {
        routing::minute(&given.text).ok_or_else(|| given.mistake("is no time of day: write 00:00 to 24:00"))
    };
    let (first, last) = (read(start)?, read(end)?);
    match first < last {
        true => Ok(first..last),
        false => Err(end.mistake("is not behind start_time: over midnight takes two, one to 24:00, one from 00:00")),
    }
}

fn ranges(
    given: Option<&[Written]>,
    read: fn(&str) -> routing::Found,
) -> Result<Option<Vec<std::ops::RangeInclusive<i32>>>, ConfigError> {
    let one = |given: &Written| read(&given.text.to_lowercase()).map_err(|what| given.mistake(&what));
    given.map(|given| given.iter().map(one).collect()).transpose()
}
