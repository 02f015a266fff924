//! What to do, as it follows from the figures. Each sentence names the figure that it comes from.
//!
//! Always true: nothing is advised of what there are too few of: [`ENOUGH`].

use super::content::Report;
use super::figures::Service;
use crate::config::duration_text;
use crate::operate::words::{duration, number, percent};

/// Fewer events are no habit.
const ENOUGH: usize = 3;
/// As many are named in one sentence.
const NAMED: usize = 3;
/// Longer than this to notice, and to react, is too long. In ms; the second is the usual limit of an escalation.
const DETECT_MS_MAX: i64 = 5 * 60_000;
const ACKNOWLEDGE_MS_MAX: i64 = 15 * 60_000;
/// What came back within this was not mended, in ms.
const BACK_SOON_MS: i64 = 24 * 3_600_000;
/// A page that takes longer than this loses customers, in s.
const PAGE_SECONDS_MAX: f64 = 4.0;
/// Less than this of the time seen, and a service was not watched.
const COVERED_MIN: f64 = 0.95;

/// In the order of weight.
pub(super) fn of(report: &Report) -> Vec<String> {
    let mut advice = Vec::new();
    advice.extend(of_budgets(report));
    advice.extend(of_people(report));
    advice.extend(of_repeats(report));
    advice.extend(of_noise(report));
    advice.extend(of_sight(report));
    advice.extend(of_pages(report));
    advice
}

fn of_budgets(report: &Report) -> Vec<String> {
    let used = |service: &Service| service.budget.map_or(0.0, |budget| budget.used);
    let over: Vec<&Service> = report.services.iter().filter(|service| used(service) > 1.0).collect();
    if over.is_empty() {
        return Vec::new();
    }
    let named: Vec<String> =
        over.iter().take(NAMED).map(|service| format!("{} ({})", service.name, percent(used(service)))).collect();
    let others = if over.len() > NAMED { format!(", and {} more", over.len() - NAMED) } else { String::new() };
    let mut advice = vec![format!(
        "More than the error budget is used: {}{others}. Put mending before new features until it is back within.",
        named.join(", ")
    )];
    if let Some(worst) = report.causes.first() {
        let (name, took) = (&worst.name, spoken(worst.total_ms));
        advice.push(format!("{name} took the most time, {took} in {}: begin with it.", incidents(worst.count)));
    }
    advice
}

fn of_people(report: &Report) -> Vec<String> {
    let (counts, mut advice) = (report.counts, Vec::new());
    let ignored = counts.begun - counts.acknowledged;
    if counts.begun >= ENOUGH && 2 * ignored > counts.begun {
        advice.push(format!(
            "{ignored} of {} incidents were acknowledged by nobody: either somebody must be on duty who does, or these \
             alerts need not wake anybody.",
            counts.begun
        ));
    }
    let slow = |spread: Option<super::figures::Spread>, most_ms: i64| {
        spread.filter(|spread| spread.count >= ENOUGH && spread.median_ms > most_ms)
    };
    if let Some(spread) = slow(report.times.acknowledge, ACKNOWLEDGE_MS_MAX) {
        let (median, count) = (spoken(spread.median_ms), spread.count);
        advice.push(format!(
            "Half of {count} acknowledgements took longer than {median}: see who is called first, and how."
        ));
    }
    if let Some(spread) = slow(report.times.detect, DETECT_MS_MAX) {
        let (median, count) = (spoken(spread.median_ms), spread.count);
        advice.push(format!(
            "Half of {count} incidents lasted {median} or longer before they were noticed: shorten “for” of their rules, or \
             measure more often."
        ));
    }
    if counts.failed_deliveries > 0 {
        let count = counts.failed_deliveries;
        advice.push(format!(
            "{} of messages failed: “dozor test webhook” shows whether the receivers take them now.",
            if count == 1 { "1 delivery".to_owned() } else { format!("{count} deliveries") }
        ));
    }
    advice
}

fn of_repeats(report: &Report) -> Vec<String> {
    let soon = report.repeats.iter().filter(|repeat| repeat.count >= ENOUGH && repeat.median_ms < BACK_SOON_MS);
    soon.take(3)
        .map(|repeat| {
            let (name, count, back) = (&repeat.name, repeat.count, spoken(repeat.median_ms));
            format!("{name} came {count} times, usually {back} after it had ended: it was ended and not mended.")
        })
        .collect()
}

fn of_noise(report: &Report) -> Vec<String> {
    let mut advice = Vec::new();
    for noisy in &report.noisy {
        if let Some((now, (for_ms, count))) = noisy.replayed.and_then(|rule| Some((rule, rule.halved_by?)))
            && now.fired_count >= ENOUGH
        {
            advice.push(format!(
                "{} with “for: {}” would have made {count} of its {} alerts, each told {} later.",
                noisy.alert,
                duration_text(for_ms),
                now.fired_count,
                spoken(for_ms - now.for_ms),
            ));
        }
    }
    advice
}

fn of_sight(report: &Report) -> Vec<String> {
    let mut advice = Vec::new();
    for service in report.services.iter().filter(|service| service.covered < COVERED_MIN).take(3) {
        let (name, seen) = (&service.name, percent(service.covered));
        advice.push(format!(
            "{name} was seen for {seen} of the time only: see whether its telemetry stops, or began late."
        ));
    }
    if report.counts.unknown > 0 {
        advice.push(format!(
            "Telemetry stopped in {}, which nobody can call over: see the exporters and their network.",
            incidents(report.counts.unknown)
        ));
    }
    if report.incidents_are_known && report.counts.begun == 0 && report.counts.from_before == 0 {
        advice
            .push("There were no incidents. See with “dozor test webhook” that they would have been told.".to_owned());
    }
    advice
}

fn of_pages(report: &Report) -> Vec<String> {
    let slow = report.pages.iter().filter(|page| page.p95_seconds > PAGE_SECONDS_MAX);
    slow.take(2)
        .map(|page| {
            let (name, p95, count) = (&page.name, number(page.p95_seconds), number(page.count));
            format!("{name} took longer than {p95} s in every twentieth of {count} views: make it faster first.")
        })
        .collect()
}

fn incidents(count: usize) -> String {
    if count == 1 { "1 incident".to_owned() } else { format!("{count} incidents") }
}

fn spoken(ms: i64) -> String {
    duration(ms as f64 / 1000.0)
}
