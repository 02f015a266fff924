//! What a report says, in the order in which it says it, before anybody draws it.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::advice;
use super::figures::{Cause, Page, Repeat, Service, Spread, Times, causes, lasted, repeats, spread, times};
use super::gather::{Facts, noisiest};
use super::journal::{ChartPoint, Incident};
use crate::model::TimeRange;
use crate::operate::replay::RuleHistory;

/// Most causes, repeats and rules that are told.
const CAUSES_COUNT_MAX: usize = 8;
const REPEATS_COUNT_MAX: usize = 4;
const NOISY_COUNT_MAX: usize = 5;
/// Most incidents that are told one by one, the longest of them.
const INCIDENTS_COUNT_MAX: usize = 7;

/// A report. As JSON: moments in RFC 3339, times in ms, shares from 0 to 1.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    #[serde(skip)]
    pub range: TimeRange,
    #[serde(skip)]
    pub zone: TimeZone,
    pub from: String,
    pub to: String,
    pub timezone: String,
    pub written_at: String,
    /// The share that has to be well, 0 to 1; none was asked for.
    pub objective: Option<f64>,
    pub advice: Vec<String>,
    pub services: Vec<Service>,
    /// Whether the server keeps a journal of incidents; without, nothing is known of them.
    pub incidents_are_known: bool,
    pub counts: Counts,
    pub times: Times,
    pub causes: Vec<Cause>,
    pub repeats: Vec<Repeat>,
    pub longest: Vec<ToldIncident>,
    /// When each incident lasted, in ms since 1970 UTC, in order of onset.
    pub spans: Vec<(i64, i64)>,
    pub noisy: Vec<Noisy>,
    pub pages: Vec<Page>,
    pub pages_measured: Option<&'static str>,
    /// What could not be had.
    pub gaps: Vec<String>,
}

/// How many incidents there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// That began in this time.
    pub begun: usize,
    /// That had begun before and still lasted.
    pub from_before: usize,
    /// Of all, that have not ended.
    pub open: usize,
    /// Of all, of which nothing is known any more: their telemetry stopped.
    pub unknown: usize,
    /// Of those that began, that somebody acknowledged.
    pub acknowledged: usize,
    /// Of those that began, that went on to a next step of the escalation.
    pub escalated: usize,
    /// Messages that did not arrive at the first attempt or at all.
    pub failed_deliveries: usize,
}

/// One incident, told.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToldIncident {
    pub id: String,
    pub title: String,
    pub severity: String,
    pub state: String,
    pub onset_ms: i64,
    /// Within the report.
    pub lasted_ms: i64,
    pub is_over: bool,
    pub acknowledged_by: Option<String>,
    pub runbook_url: Option<String>,
    pub signals_count: usize,
    /// Value and expectation of its first signal that has a line.
    pub chart: Vec<ChartPoint>,
    pub note: Option<String>,
}

/// A rule that told most.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Noisy {
    pub alert: String,
    /// How often it was a signal of an incident.
    pub signals_count: usize,
    /// How long it fired, of those that ended.
    pub lasted: Option<Spread>,
    /// What a replay of its history says.
    pub replayed: Option<ReplayedRule>,
    /// Why there is no replay, where there is none.
    pub without_replay: Option<String>,
}

/// A rule's history with its own `for`, and the shortest one that would have halved its alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReplayedRule {
    pub for_ms: i64,
    pub fired_count: usize,
    /// `for` in ms, and how many there would have been.
    pub halved_by: Option<(i64, usize)>,
}

/// What holds for the whole report.
pub(super) struct Setting {
    pub range: TimeRange,
    pub zone: TimeZone,
    pub now_ms: i64,
    pub objective: Option<f64>,
}

impl Report {
    pub(super) fn of(facts: Facts, setting: Setting) -> Report {
        let Setting { range, zone, now_ms, objective } = setting;
        let all = facts.incidents.as_deref().unwrap_or_default();
        let begun: Vec<Incident> = all.iter().filter(|incident| begins_in(incident, range)).cloned().collect();
        let moment = |ms: i64| in_zone(ms, &zone, "%Y-%m-%dT%H:%M:%S%:z");
        let mut report = Report {
            from: moment(range.from_ms),
            to: moment(range.to_ms),
            timezone: zone.iana_name().unwrap_or("UTC").to_owned(),
            written_at: moment(now_ms),
            objective,
            advice: Vec::new(),
            incidents_are_known: facts.incidents.is_some(),
            counts: counts(all, &begun),
            times: times(&begun),
            causes: first(causes(all, range), CAUSES_COUNT_MAX),
            repeats: first(repeats(all), REPEATS_COUNT_MAX),
            longest: longest(all, range),
            spans: spans(all, range),
            noisy: noisy(all, &facts.histories, &facts.fed),
            services: facts.services,
            pages: facts.pages,
            pages_measured: facts.pages_measured,
            gaps: facts.gaps,
            range,
            zone,
        };
        report.advice = advice::of(&report);
        report
    }

    /// A moment, in the report's zone.
    pub(super) fn moment(&self, ms: i64, format: &str) -> String {
        in_zone(ms, &self.zone, format)
    }
}

fn in_zone(ms: i64, zone: &TimeZone, format: &str) -> String {
    let moment = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_zoned(zone.clone()).strftime(format).to_string()
}

fn first<T>(mut all: Vec<T>, count: usize) -> Vec<T> {
    all.truncate(count);
    all
}

fn begins_in(incident: &Incident, range: TimeRange) -> bool {
    incident.onset.or(incident.detected_at).is_some_and(|onset_ms| range.contains(onset_ms))
}

fn counts(all: &[Incident], begun: &[Incident]) -> Counts {
    let in_state = |state: &str| all.iter().filter(|incident| incident.state == state).count();
    Counts {
        begun: begun.len(),
        from_before: all.len() - begun.len(),
        open: all.iter().filter(|incident| incident.resolved_at.is_none()).count(),
        unknown: in_state("unknown"),
        acknowledged: begun.iter().filter(|incident| incident.acknowledged.is_some()).count(),
        escalated: begun.iter().filter(|incident| !incident.escalations.is_empty()).count(),
        failed_deliveries: all.iter().map(Incident::failed_deliveries_count).sum(),
    }
}

fn longest(all: &[Incident], range: TimeRange) -> Vec<ToldIncident> {
    let mut told: Vec<ToldIncident> = all.iter().filter_map(|incident| told(incident, range)).collect();
    told.sort_by_key(|incident| -incident.lasted_ms);
    told.truncate(INCIDENTS_COUNT_MAX);
    told
}

fn told(incident: &Incident, range: TimeRange) -> Option<ToldIncident> {
    let span = lasted(incident, range)?;
    let title = if incident.title.is_empty() { incident.cause() } else { &incident.title };
    let chart = incident.signals.iter().map(|signal| &signal.chart).find(|chart| chart.len() > 1);
    Some(ToldIncident {
        id: incident.id.clone(),
        title: title.to_owned(),
        severity: incident.severity.clone(),
        state: incident.state.clone(),
        onset_ms: incident.onset.or(incident.detected_at)?,
        lasted_ms: span.to_ms - span.from_ms,
        is_over: incident.resolved_at.is_some(),
        acknowledged_by: incident.acknowledged.as_ref().map(|acknowledged| acknowledged.by.clone()),
        runbook_url: incident.runbook_url.clone(),
        signals_count: incident.signals.len(),
        chart: chart.cloned().unwrap_or_default(),
        note: incident.notes.last().map(|note| format!("{}: {}", note.by, note.text)),
    })
}

fn spans(all: &[Incident], range: TimeRange) -> Vec<(i64, i64)> {
    let spans = all.iter().filter_map(|incident| lasted(incident, range));
    let mut spans: Vec<(i64, i64)> = spans.map(|span| (span.from_ms, span.to_ms)).collect();
    spans.sort_unstable();
    spans
}

fn noisy(all: &[Incident], histories: &[RuleHistory], fed: &[String]) -> Vec<Noisy> {
    let of_rule = |(alert, signals_count): (&str, usize)| {
        let signals = all.iter().flat_map(|incident| &incident.signals);
        let own = signals.filter(|signal| signal.labels.get("alertname").is_some_and(|name| name == alert));
        let lasted = spread(own.filter_map(|signal| Some(signal.ends_at? - signal.starts_at?)).collect());
        let mut own = histories.iter().filter(|history| history.alert == alert).peekable();
        let replayed = own.peek().map(|first| first.for_ms).and_then(|for_ms| replayed_rule(own, for_ms));
        let without_replay = match (&replayed, fed.iter().any(|name| name == alert)) {
            (Some(_), _) => None,
            (None, true) => {
                Some("learns what is normal and is fed by the stream: it has no history to replay".to_owned())
            }
            (None, false) => Some("is no rule of this server any more, or could not be replayed".to_owned()),
        };
        Noisy { alert: alert.to_owned(), signals_count, lasted, replayed, without_replay }
    };
    noisiest(all, NOISY_COUNT_MAX).into_iter().map(of_rule).collect()
}

/// Rules of one name together, where they have the same `for`.
fn replayed_rule<'a>(own: impl Iterator<Item = &'a RuleHistory>, for_ms: i64) -> Option<ReplayedRule> {
    let own: Vec<&RuleHistory> = own.filter(|history| history.for_ms == for_ms).collect();
    let counted = |for_ms: i64| own.iter().map(|history| history.fired_count_with(for_ms)).sum::<Option<usize>>();
    let fired_count = counted(for_ms)?;
    let mut tried: Vec<i64> =
        own.iter().filter_map(|history| history.halving_for_ms()).map(|(for_ms, _)| for_ms).collect();
    tried.sort_unstable();
    let with = |for_ms: &i64| Some((*for_ms, counted(*for_ms)?));
    let halved_by = tried.iter().filter_map(with).find(|(_, count)| fired_count >= 2 && count * 2 <= fired_count);
    Some(ReplayedRule { for_ms, fired_count, halved_by })
}
