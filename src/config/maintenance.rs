//! Maintenance windows, as a file says them: which alerts nobody is told of, at which times.
//!
//! ```text
//! maintenance:
//!   - { name: nightly backup, matchers: ['job="backup"'], times: [{ start_time: "02:00", end_time: "03:00" }], location: Europe/Berlin }
//!   - { name: move, matchers: ['shop="eu"'], from: 2026-12-01T22:00, to: 2026-12-02T04:00, reason: a new data centre }
//! ```
//!
//! What the texts mean is for who holds the alerts back; here they are kept with their places, for their mistakes.

use std::collections::HashSet;

use serde::Deserialize;

use super::ConfigError;
use super::file::{Place, Scalar};

/// Most windows.
pub const MAINTENANCE_WINDOWS_MAX: usize = 1_000;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The text.
    pub text: String,
    place: Place,
}

impl Written {
    /// The mistake `what` at its place.
    pub fn mistake(&self, what: &str) -> ConfigError {
        self.place.mistake(what)
    }
}

/// Times at which some alerts are held back: within `from` and `to`, if they are given, when every list that is given
/// contains the moment. Lists are as in Alertmanager's time intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaintenanceWindow {
    /// What people call it; unique.
    pub name: Written,
    /// Which alerts: those that satisfy all; at least one.
    pub matchers: Vec<Written>,
    /// The first moment, by the clock of `location`.
    pub from: Option<Written>,
    /// The first moment behind it, by the clock of `location`.
    pub to: Option<Written>,
    /// First minutes, and first minutes behind.
    pub times: Option<Vec<(Written, Written)>>,
    /// Days of the week, or ranges of them.
    pub weekdays: Option<Vec<Written>>,
    /// Days of the month, or ranges of them; negative ones count from its end.
    pub days_of_month: Option<Vec<Written>>,
    /// Months, or ranges of them.
    pub months: Option<Vec<Written>>,
    /// Years, or ranges of them.
    pub years: Option<Vec<Written>>,
    /// A time zone's name; UTC without one.
    pub location: Option<Written>,
    /// Why.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    name: Scalar,
    matchers: Vec<Scalar>,
    from: Option<Scalar>,
    to: Option<Scalar>,
    times: Option<Vec<Times>>,
    weekdays: Option<Vec<Scalar>>,
    days_of_month: Option<Vec<Scalar>>,
    months: Option<Vec<Scalar>>,
    years: Option<Vec<Scalar>>,
    location: Option<Scalar>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    start_time: Scalar,
    end_time: Scalar,
}

/// Reads the list. Fails with a text that shows the place of the mistake.
pub(super) fn read_list(
    entries: &[Entry],
    place: impl Fn(&Scalar, &str) -> Place,
) -> Result<Vec<MaintenanceWindow>, String> {
    let mut names = HashSet::new();
    let mut windows = Vec::new();
    for entry in entries {
        let refused = |key: &str, what: &str| Err(place(&entry.name, &format!("maintenance.{key}")).show(what));
        if windows.len() == MAINTENANCE_WINDOWS_MAX {
            return refused("name", &format!("there are more than {MAINTENANCE_WINDOWS_MAX} windows"));
        }
        if entry.name.value.is_empty() || !names.insert(entry.name.value.clone()) {
            return refused("name", "is empty, or another window is called so already");
        }
        if entry.matchers.is_empty() {
            return refused("matchers", "is empty: a window says which alerts it holds back");
        }
        windows.push(window(entry, &place));
    }
    Ok(windows)
}

fn window(entry: &Entry, place: impl Fn(&Scalar, &str) -> Place) -> MaintenanceWindow {
    let one = |given: &Scalar, key: &str| Written {
        text: given.value.clone(),
        place: place(given, &format!("maintenance.{key}")),
    };
    let list = |given: &[Scalar], key: &str| given.iter().map(|given| one(given, key)).collect::<Vec<_>>();
    let times = |given: &Vec<Times>| {
        given.iter().map(|times| (one(&times.start_time, "start_time"), one(&times.end_time, "end_time"))).collect()
    };
    MaintenanceWindow {
        name: one(&entry.name, "name"),
        matchers: list(&entry.matchers, "matchers"),
        from: entry.from.as_ref().map(|given| one(given, "from")),
        to: entry.to.as_ref().map(|given| one(given, "to")),
        times: entry.times.as_ref().map(times),
        weekdays: entry.weekdays.as_deref().map(|given| list(given, "weekdays")),
        days_of_month: entry.days_of_month.as_deref().map(|given| list(given, "days_of_month")),
        months: entry.months.as_deref().map(|given| list(given, "months")),
        years: entry.years.as_deref().map(|given| list(given, "years")),
        location: entry.location.as_ref().map(|given| one(given, "location")),
        reason: entry.reason.clone().unwrap_or_default(),
    }
}

impl MaintenanceWindow {
    /// As a file has it.
    pub(super) fn shown(&self, quoted: impl Fn(&str) -> String) -> String {
        let list = |given: &[Written]| {
            format!("[{}]", given.iter().map(|one| quoted(&one.text)).collect::<Vec<_>>().join(", "))
        };
        let mut text = format!("{{ name: {}, matchers: {}", quoted(&self.name.text), list(&self.matchers));
        for (key, given) in [("from", &self.from), ("to", &self.to), ("location", &self.location)] {
            if let Some(given) = given {
                text.push_str(&format!(", {key}: {}", quoted(&given.text)));
            }
        }
        if let Some(times) = &self.times {
            let one = |(start, end): &(Written, Written)| {
                format!("{{ start_time: {}, end_time: {} }}", quoted(&start.text), quoted(&end.text))
            };
            text.push_str(&format!(", times: [{}]", times.iter().map(one).collect::<Vec<_>>().join(", ")));
        }
        for (key, given) in [
            ("weekdays", &self.weekdays),
            ("days_of_month", &self.days_of_month),
            ("months", &self.months),
            ("years", &self.years),
        ] {
            if let Some(given) = given {
                text.push_str(&format!(", {key}: {}", list(given)));
            }
        }
        format!("{text}, reason: {} }}", quoted(&self.reason))
    }
}
