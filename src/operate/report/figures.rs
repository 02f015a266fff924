//! Figures of a report, computed of what was gathered. No clock, no network.
//!
//! Of four times to resolve, 2, 4, 10 and 60 min, the median is 7 min (the mean of the two in the middle) and the 95th
//! percentile 60 min (the smallest value that 95 % do not exceed), and both say that they come from four.
//!
//! Always true: what there is nothing of is none, never 0 or 100 %.

use std::collections::BTreeMap;

use serde::Serialize;

use super::journal::Incident;
use crate::model::TimeRange;

/// Median and 95th percentile, and of how many; ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spread {
    pub count: usize,
    pub median_ms: i64,
    pub p95_ms: i64,
}

/// How long things took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Times {
    /// From the onset to the alert.
    pub detect: Option<Spread>,
    /// From the alert to the first message that went out.
    pub tell: Option<Spread>,
    /// From the first message, or the alert, to the acknowledgement.
    pub acknowledge: Option<Spread>,
    /// From the onset to the end.
    pub resolve: Option<Spread>,
}

/// Incidents of one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cause {
    pub name: String,
    pub count: usize,
    /// All of their time within the report, in ms.
    pub total_ms: i64,
    pub longest_ms: i64,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Repeat {
    pub name: String,
    /// The labels that tell it from others of its name.
    pub labels: Vec<(String, String)>,
    /// Incidents, the first included.
    pub count: usize,
    /// From the end of one to the onset of the next, in ms.
    pub soonest_ms: i64,
    pub median_ms: i64,
}

/// How one thing served.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Service {
    pub name: String,
    /// What was counted: `probes`, `scrapes` or `requests`.
    pub counted: &'static str,
    /// How many, and how many of them were well.
    pub total: f64,
    pub good: f64,
    /// `good` among `total`.
    pub availability: f64,
    /// Share of the time of which there is anything.
    pub covered: f64,
    /// The availability in each part of the time, oldest first; none where there is nothing.
    pub parts: Vec<Option<f64>>,
    pub budget: Option<Budget>,
}

/// What an objective leaves for failures, and what is gone of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Budget {
    /// Share of what may fail, 0 to 1.
    pub allowed: f64,
    /// Share of the budget that is used; more than 1: overdrawn.
    pub used: f64,
}

/// A page and how long it takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub name: String,
    pub p95_seconds: f64,
    /// Views or requests that this is made of.
    pub count: f64,
}

/// Sorted values, then their figures. None of none.
pub(super) fn spread(mut values_ms: Vec<i64>) -> Option<Spread> {
    values_ms.sort_unstable();
    let count = values_ms.len();
    let p95_ms = *values_ms.get((count * 95).div_ceil(100).checked_sub(1)?)?;
    let median_ms = (values_ms[(count - 1) / 2] + values_ms[count / 2]) / 2;
    Some(Spread { count, median_ms, p95_ms })
}

pub(super) fn times(incidents: &[Incident]) -> Times {
    let between = |from: fn(&Incident) -> Option<i64>, to: fn(&Incident) -> Option<i64>| {
        let taken = incidents.iter().filter_map(|incident| Some(to(incident)? - from(incident)?));
        // A clock that was wrong made an end before its beginning: nothing is known of such a one.
        spread(taken.filter(|taken_ms| *taken_ms >= 0).collect())
    };
    Times {
        detect: between(|one| one.onset, |one| one.detected_at),
        tell: between(|one| one.detected_at, |one| one.first_notified_at),
        acknowledge: between(
            |one| one.first_notified_at.or(one.detected_at),
            |one| one.acknowledged.as_ref().and_then(|acknowledged| acknowledged.at),
        ),
        resolve: between(|one| one.onset, |one| one.resolved_at),
    }
}

/// When an incident lasted, within the report; what has not ended lasts to its end.
pub(super) fn lasted(incident: &Incident, range: TimeRange) -> Option<TimeRange> {
    let from_ms = incident.onset.or(incident.detected_at)?.max(range.from_ms);
    let to_ms = incident.resolved_at.unwrap_or(range.to_ms).min(range.to_ms);
    (from_ms <= to_ms).then_some(TimeRange { from_ms, to_ms })
}

/// By cause, the one that took the most time first.
pub(super) fn causes(incidents: &[Incident], range: TimeRange) -> Vec<Cause> {
    let mut causes: BTreeMap<&str, Cause> = BTreeMap::new();
    for incident in incidents {
        let lasted_ms = lasted(incident, range).map_or(0, |span| span.to_ms - span.from_ms);
        let name = incident.cause();
        let nothing = || Cause { name: name.to_owned(), count: 0, total_ms: 0, longest_ms: 0 };
        let cause = causes.entry(name).or_insert_with(nothing);
        cause.count += 1;
        cause.total_ms += lasted_ms;
        cause.longest_ms = cause.longest_ms.max(lasted_ms);
    }
    let mut causes: Vec<Cause> = causes.into_values().collect();
    causes.sort_by_key(|cause| (-cause.total_ms, std::cmp::Reverse(cause.count)));
    causes
}

/// What happened more than once, the most frequent first.
pub(super) fn repeats(incidents: &[Incident]) -> Vec<Repeat> {
    let mut places: BTreeMap<_, Vec<&Incident>> = BTreeMap::new();
    for incident in incidents.iter().filter(|incident| incident.onset.is_some()) {
        places.entry(incident.place()).or_default().push(incident);
    }
    let mut repeats = Vec::new();
    for ((name, labels), mut incidents) in places {
        incidents.sort_by_key(|incident| incident.onset);
        let gap = |pair: &[&Incident]| Some((pair[1].onset? - pair[0].resolved_at?).max(0));
        let gaps: Vec<i64> = incidents.windows(2).filter_map(gap).collect();
        let Some(soonest_ms) = gaps.iter().min().copied() else { continue };
        let median_ms = spread(gaps).map_or(soonest_ms, |spread| spread.median_ms);
        repeats.push(Repeat { name, labels, count: incidents.len(), soonest_ms, median_ms });
    }
    repeats.sort_by_key(|repeat| (std::cmp::Reverse(repeat.count), repeat.soonest_ms));
    repeats
}

/// A service of its counts in each part of the time: all, and those that were well. None: nothing was counted at all.
pub(super) fn service(
    name: &str,
    counted: &'static str,
    parts: &[Option<(f64, f64)>],
    objective: Option<f64>,
) -> Option<Service> {
    let (total, good) = parts.iter().flatten().fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    if total <= 0.0 {
        return None;
    }
    // Counters are extrapolated, each by itself: never more are well than there are.
    let share = |total: f64, good: f64| (good / total).clamp(0.0, 1.0);
    let availability = share(total, good);
    let known = |part: &Option<(f64, f64)>| part.filter(|(total, _)| *total > 0.0);
    let budget = objective.map(|objective| {
        let allowed = 1.0 - objective;
        Budget { allowed, used: (1.0 - availability) / allowed }
    });
    Some(Service {
        name: name.to_owned(),
        counted,
        total,
        good: good.min(total),
        availability,
        covered: parts.iter().filter_map(known).count() as f64 / parts.len() as f64,
        parts: parts.iter().map(|part| known(part).map(|(total, good)| share(total, good))).collect(),
        budget,
    })
}
