//! What a report asks a server for: its journal of incidents, and queries over the whole time.
//!
//! Time is cut into [`PARTS`] equal parts, and each is asked about once by a window that ends with it, so that the parts
//! together are the whole and nothing counts twice.
//!
//! Always true: what a server does not have becomes a gap that is named, and the rest of the report is made.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::figures::{Page, Service, service};
use super::journal::{Incident, Journal};
use crate::config::Config;
use crate::model::TimeRange;
use crate::notify::rfc3339;
use crate::operate::replay::{RuleHistory, Server, replay_online, sample, seconds};

/// Parts of the time that are drawn.
pub(super) const PARTS: i64 = 60;
/// Most incidents that are asked for.
const INCIDENTS_COUNT_MAX: usize = 1_000;
/// Most services of a kind that are told, the worst of them.
const SERVICES_COUNT_MAX: usize = 5;
/// Most pages that are told, and how many views one must have for that.
const PAGES_COUNT_MAX: usize = 5;
const PAGE_VIEWS_MIN: f64 = 20.0;
/// Most rules that are replayed.
const NOISY_COUNT_MAX: usize = 5;

/// A kind of service: what is counted, under which label, and the two queries. `WINDOW` stands for a part of the time.
struct Kind {
    counted: &'static str,
    label: &'static str,
    total: &'static str,
    good: &'static str,
}

/// Who looks from outside says most; then what customers ask for; then whether services answer at all.
const KINDS: [Kind; 3] = [
    Kind {
        counted: "probes",
        label: "instance",
        total: "sum by (instance) (count_over_time(probe_success[WINDOW]))",
        good: "sum by (instance) (sum_over_time(probe_success[WINDOW]))",
    },
    Kind {
        counted: "requests",
        label: "route",
        total: "sum by (route) (increase(shop_http_requests_total[WINDOW]))",
        good: "sum by (route) (increase(shop_http_requests_total{status!~\"5..\"}[WINDOW]))",
    },
    Kind {
        counted: "scrapes",
        label: "job",
        total: "sum by (job) (count_over_time(up[WINDOW]))",
        good: "sum by (job) (sum_over_time(up[WINDOW]))",
    },
];

/// Where times of pages come from: as customers see them, else as the shop does.
const PAGES: [(&str, &str, &str); 2] = [
    ("page", "shop_page_seconds", "as customers' browsers measure it"),
    ("route", "shop_http_request_seconds", "as the shop's servers measure it"),
];

/// Everything that a report is made of.
#[derive(Default)]
pub(super) struct Facts {
    /// None: the server keeps no journal.
    pub incidents: Option<Vec<Incident>>,
    pub services: Vec<Service>,
    pub pages: Vec<Page>,
    /// What measured the pages.
    pub pages_measured: Option<&'static str>,
    /// What the noisiest rules did, replayed.
    pub histories: Vec<RuleHistory>,
    /// Alerts among the noisiest that are fed by the stream and cannot be replayed from here.
    pub fed: Vec<String>,
    /// What could not be had, and why.
    pub gaps: Vec<String>,
}

/// Asks for everything. `objective`: the share that must be well, 0 to 1. `step` is told what is asked for next.
pub(super) fn gather(
    server: &Server,
    range: TimeRange,
    objective: Option<f64>,
    config: &Config,
    step: &mut dyn FnMut(&str),
) -> Facts {
    let mut facts = Facts::default();
    step("incidents");
    match incidents(server, range) {
        Ok(incidents) => {
            if incidents.len() == INCIDENTS_COUNT_MAX {
                facts.gaps.push(format!("Only {INCIDENTS_COUNT_MAX} incidents are read; there may be more."));
            }
            facts.incidents = Some(incidents);
        }
        Err(error) => facts.gaps.push(format!("No incidents: {error:#}")),
    }
    for kind in &KINDS {
        step(kind.counted);
        match services(server, kind, range, objective) {
            Ok(services) => facts.services.extend(services),
            Err(error) => facts.gaps.push(format!("No availability by {}: {error:#}", kind.counted)),
        }
    }
    step("pages");
    for (label, metric, measured) in PAGES {
        match pages(server, label, metric, range) {
            Ok(pages) if pages.is_empty() => {}
            Ok(pages) => {
                (facts.pages, facts.pages_measured) = (pages, Some(measured));
                break;
            }
            Err(error) => facts.gaps.push(format!("No times of {metric}: {error:#}")),
        }
    }
    step("rules");
    let noisy: BTreeSet<String> = noisiest(facts.incidents.as_deref().unwrap_or_default(), NOISY_COUNT_MAX)
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    if let Err(error) = replay(server, &noisy, range, config, &mut facts) {
        facts.gaps.push(format!("The noisiest rules are not replayed: {error:#}"));
    }
    facts
}

fn incidents(server: &Server, range: TimeRange) -> anyhow::Result<Vec<Incident>> {
    let (from, to) = (rfc3339(range.from_ms), rfc3339(range.to_ms));
    let path = format!("/api/v1/incidents?from={from}&to={to}&limit={INCIDENTS_COUNT_MAX}");
    Ok(Journal::deserialize(server.get(&path)?)?.incidents)
}

/// How often each alert was a signal of an incident, the most frequent first.
pub(super) fn noisiest(incidents: &[Incident], count_max: usize) -> Vec<(&str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for signal in incidents.iter().flat_map(|incident| &incident.signals) {
        if let Some(name) = signal.labels.get("alertname") {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(count_max);
    counts
}

fn replay(
    server: &Server,
    noisy: &BTreeSet<String>,
    range: TimeRange,
    config: &Config,
    facts: &mut Facts,
) -> anyhow::Result<()> {
    if noisy.is_empty() {
        return Ok(());
    }
    let (rules, fed) = server.rules(&|name| noisy.contains(name))?;
    facts.fed = fed;
    facts.histories = replay_online(server, &rules, range, config)?.rules;
    Ok(())
}

/// The parts of the time, as the steps of a range query whose windows are as long as a step.
fn parts_of(range: TimeRange) -> (TimeRange, i64) {
    let window_ms = ((range.to_ms - range.from_ms + 1) / PARTS).max(1);
    (TimeRange { from_ms: range.to_ms - (PARTS - 1) * window_ms, to_ms: range.to_ms }, window_ms)
}

type Parts = BTreeMap<String, Vec<Option<f64>>>;

/// What a query is worth in each part, by a label.
fn by_parts(server: &Server, query: &str, label: &str, range: TimeRange) -> anyhow::Result<Parts> {
    let (steps, window_ms) = parts_of(range);
    let form = [
        ("query", query.replace("WINDOW", &format!("{window_ms}ms"))),
        ("start", seconds(steps.from_ms)),
        ("end", seconds(steps.to_ms)),
        ("step", seconds(window_ms)),
    ];
    let data = server.data("/api/v1/query_range", &form)?;
    let mut all = Parts::new();
    for row in data["result"].as_array().into_iter().flatten() {
        let name = row["metric"][label].as_str().unwrap_or_default().to_owned();
        let parts = all.entry(name).or_insert_with(|| vec![None; PARTS as usize]);
        for (at_ms, value) in row["values"].as_array().into_iter().flatten().filter_map(sample) {
            let index = usize::try_from((at_ms - steps.from_ms + window_ms / 2) / window_ms);
            if let Some(part) = index.ok().and_then(|index| parts.get_mut(index)) {
                *part = value.is_finite().then_some(value);
            }
        }
    }
    Ok(all)
}

fn services(server: &Server, kind: &Kind, range: TimeRange, objective: Option<f64>) -> anyhow::Result<Vec<Service>> {
    let totals = by_parts(server, kind.total, kind.label, range)?;
    let goods = by_parts(server, kind.good, kind.label, range)?;
    let mut services = Vec::new();
    for (name, totals) in &totals {
        let nothing = Vec::new();
        let goods = goods.get(name).unwrap_or(&nothing);
        let part = |index: usize| Some((totals[index]?, goods.get(index).copied().flatten().unwrap_or(0.0)));
        let parts: Vec<Option<(f64, f64)>> = (0..totals.len()).map(part).collect();
        services.extend(service(name, kind.counted, &parts, objective));
    }
    services.sort_by(|a, b| a.availability.total_cmp(&b.availability).then_with(|| a.name.cmp(&b.name)));
    services.truncate(SERVICES_COUNT_MAX);
    Ok(services)
}

fn pages(server: &Server, label: &str, metric: &str, range: TimeRange) -> anyhow::Result<Vec<Page>> {
    let window = format!("{}ms", range.to_ms - range.from_ms + 1);
    let ask = |query: String| -> anyhow::Result<BTreeMap<String, f64>> {
        let data = server.data("/api/v1/query", &[("query", query), ("time", seconds(range.to_ms))])?;
        let rows = data["result"].as_array().into_iter().flatten();
        Ok(rows
            .filter_map(|row| Some((row["metric"][label].as_str()?.to_owned(), sample(&row["value"])?.1)))
            .filter(|(_, value)| value.is_finite())
            .collect())
    };
    let counts = ask(format!("sum by ({label}) (increase({metric}_count[{window}]))"))?;
    if counts.is_empty() {
        return Ok(Vec::new());
    }
    let slow = ask(format!("histogram_quantile(0.95, sum by ({label}, le) (increase({metric}_bucket[{window}])))"))?;
    let page = |(name, p95_seconds): (String, f64)| {
        let count = counts.get(&name).copied().filter(|count| *count >= PAGE_VIEWS_MIN)?;
        Some(Page { name, p95_seconds, count })
    };
    let mut pages: Vec<Page> = slow.into_iter().filter_map(page).collect();
    pages.sort_by(|a, b| b.p95_seconds.total_cmp(&a.p95_seconds));
    pages.truncate(PAGES_COUNT_MAX);
    Ok(pages)
}
