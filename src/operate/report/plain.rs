//! The same report as Markdown, for a ticket or a wiki.

use std::fmt::Write as _;

use super::content::Report;
use super::html::{durations, period, replayed};
use super::words::{availability, basis, markdown, median, no_data, p95, spoken};
use crate::operate::words::{number, percent};

const WRITING: &str = "a string takes everything";

/// The whole text.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("# How the shop ran\n\n{}\n", period(report));
    section(&mut text, "What to do");
    for (index, advice) in report.advice.iter().enumerate() {
        writeln!(text, "{}. {}", index + 1, long(advice)).expect(WRITING);
    }
    if report.advice.is_empty() {
        text.push_str("Nothing stands out in these figures.\n");
    }
    services(&mut text, report);
    incidents(&mut text, report);
    causes(&mut text, report);
    if !report.noisy.is_empty() {
        section(&mut text, "Rules that told most");
        table(&mut text, &["Rule", "Alerts", "Lasted, median", "Replayed"]);
    }
    for noisy in &report.noisy {
        let (name, replayed) = (markdown(&noisy.alert), markdown(&replayed(noisy)));
        writeln!(text, "| {name} | {} | {} | {replayed} |", noisy.signals_count, median(noisy.lasted)).expect(WRITING);
    }
    if let Some(measured) = report.pages_measured {
        section(&mut text, "Slowest pages");
        table(&mut text, &["Page", "95 % within", "Views"]);
        for page in &report.pages {
            let (name, p95, count) = (markdown(&page.name), number(page.p95_seconds), number(page.count.round()));
            writeln!(text, "| {name} | {p95} s | {count} |").expect(WRITING);
        }
        writeln!(text, "\n{measured}; a page with fewer than 20 views is left out.").expect(WRITING);
    }
    if !report.gaps.is_empty() {
        section(&mut text, "What is missing here");
        report.gaps.iter().for_each(|gap| writeln!(text, "* {}", long(gap)).expect(WRITING));
    }
    writeln!(text, "\nWritten by dozor on {}. Times are those of {}.", report.written_at, report.timezone)
        .expect(WRITING);
    text
}

/// Our own sentences around a stranger's names.
fn long(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(100).map(|piece| markdown(&piece.iter().collect::<String>())).collect()
}

fn section(text: &mut String, name: &str) {
    write!(text, "\n## {name}\n\n").expect(WRITING);
}

fn table(text: &mut String, heads: &[&str]) {
    writeln!(text, "| {} |\n|{}", heads.join(" | "), " --- |".repeat(heads.len())).expect(WRITING);
}

fn services(text: &mut String, report: &Report) {
    section(text, "Availability");
    if report.services.is_empty() {
        text.push_str("No data: the server has no probes, requests or scrapes of this time.\n");
        return;
    }
    table(text, &["Service", "Available", "Made of", "Error budget used"]);
    for service in &report.services {
        let budget = service.budget.map_or_else(|| "no objective".to_owned(), |budget| percent(budget.used));
        let (name, share) = (markdown(&service.name), availability(service.availability));
        writeln!(text, "| {name} | {share} | {} | {budget} |", basis(service)).expect(WRITING);
    }
}

fn incidents(text: &mut String, report: &Report) {
    section(text, "Incidents");
    if !report.incidents_are_known {
        writeln!(text, "{}.", no_data()).expect(WRITING);
        return;
    }
    let counts = report.counts;
    writeln!(
        text,
        "{} began, {} had begun before; {} not ended, {} of unknown state; {} acknowledged, {} escalated.\n",
        counts.begun, counts.from_before, counts.open, counts.unknown, counts.acknowledged, counts.escalated
    )
    .expect(WRITING);
    table(text, &["From … to …", "Median", "95 % within"]);
    for (what, spread) in durations(report) {
        writeln!(text, "| {what} | {} | {} |", median(spread), p95(spread)).expect(WRITING);
    }
    if report.longest.is_empty() {
        return;
    }
    section(text, "The longest");
    table(text, &["Began", "What", "Severity", "Lasted", "Acknowledged by"]);
    for incident in &report.longest {
        let lasted = match incident.is_over {
            true => spoken(incident.lasted_ms),
            false => format!("{}, {}", spoken(incident.lasted_ms), markdown(&incident.state)),
        };
        let by = incident.acknowledged_by.as_ref().map_or_else(|| "nobody".to_owned(), |by| markdown(by));
        let (began, title) = (report.moment(incident.onset_ms, "%-d %b %H:%M"), markdown(&incident.title));
        writeln!(text, "| {began} | {title} | {} | {lasted} | {by} |", markdown(&incident.severity)).expect(WRITING);
    }
}

fn causes(text: &mut String, report: &Report) {
    if !report.causes.is_empty() {
        section(text, "Causes");
        table(text, &["Cause", "Incidents", "Time", "Longest"]);
    }
    for cause in &report.causes {
        let (name, time, longest) = (markdown(&cause.name), spoken(cause.total_ms), spoken(cause.longest_ms));
        writeln!(text, "| {name} | {} | {time} | {longest} |", cause.count).expect(WRITING);
    }
    if !report.repeats.is_empty() {
        section(text, "What came back");
        table(text, &["Cause", "Labels", "Times", "Back after, median", "Soonest"]);
    }
    for repeat in &report.repeats {
        let labels: Vec<String> = repeat.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (name, labels) = (markdown(&repeat.name), markdown(&labels.join(" ")));
        let (median, soonest) = (spoken(repeat.median_ms), spoken(repeat.soonest_ms));
        writeln!(text, "| {name} | {labels} | {} | {median} | {soonest} |", repeat.count).expect(WRITING);
    }
}
