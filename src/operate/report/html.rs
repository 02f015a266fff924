//! The page for the shop's owner: one file, to be read on a screen, printed, or sent by mail.
//!
//! Always true: it holds no script and loads nothing, and a browser is told to see to that too.

use std::fmt::Write as _;

use super::content::{Noisy, Report, ToldIncident};
use super::figures::Service;
use super::picture;
use super::words::{availability, basis, html, median, no_data, p95, spoken};
use crate::config::duration_text;
use crate::operate::words::{number, percent};

const WRITING: &str = "a string takes everything";
const STYLE: &str = include_str!("page.css");
/// What the colours of availability are measured by where no objective was given.
pub(super) const OBJECTIVE_DRAWN: f64 = 0.999;

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let period = html(&period(report));
    let mut page = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>How the shop ran, {period}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>How the shop ran</h1>
<p>{period}</p>
</header>
"#
    );
    cards(&mut page, report);
    advice(&mut page, report);
    services(&mut page, report);
    incidents(&mut page, report);
    causes(&mut page, report);
    noise(&mut page, report);
    pages(&mut page, report);
    gaps(&mut page, report);
    let written = html(&report.moment(written_ms(report), "%-d %B %Y %H:%M"));
    write!(
        page,
        "<footer class=\"quiet\">Written by dozor on {written}. Times are those of {}.</footer>\n</body>\n</html>\n",
        html(&report.timezone)
    )
    .expect(WRITING);
    page
}

fn written_ms(report: &Report) -> i64 {
    report.written_at.parse::<jiff::Timestamp>().map_or(report.range.to_ms, jiff::Timestamp::as_millisecond)
}

/// `1 October 2026 to 31 October 2026 (Europe/Berlin)`, with times of day where it is not whole days.
pub(super) fn period(report: &Report) -> String {
    let (from_ms, to_ms) = (report.range.from_ms, report.range.to_ms);
    let begins_a_day = |ms: i64| report.moment(ms, "%H%M%S") == "000000";
    let format = if begins_a_day(from_ms) && begins_a_day(to_ms + 1) { "%-d %B %Y" } else { "%-d %B %Y %H:%M" };
    format!("{} to {} ({})", report.moment(from_ms, format), report.moment(to_ms, format), report.timezone)
}

fn cards(page: &mut String, report: &Report) {
    let counts = report.counts;
    let known = |text: String| if report.incidents_are_known { text } else { no_data() };
    let mut begun = counts.begun.to_string();
    if counts.from_before > 0 {
        write!(begun, " + {}", counts.from_before).expect(WRITING);
    }
    let worst = report.services.iter().min_by(|a, b| a.availability.total_cmp(&b.availability));
    let worst_name = worst.map_or_else(String::new, |service| format!(", {}", html(&service.name)));
    let worst = worst.map_or_else(no_data, |service| availability(service.availability));
    let before = if counts.from_before > 0 { " + from before" } else { "" };
    let median_of =
        |spread: Option<super::figures::Spread>| spread.map_or_else(no_data, |spread| spoken(spread.median_ms));
    let of = |spread: Option<super::figures::Spread>| {
        spread.map_or_else(String::new, |spread| format!(", of {}", spread.count))
    };
    page.push_str("<div class=\"cards\">\n");
    for (figure, what) in [
        (known(begun), format!("incidents{before}")),
        (worst, format!("least available{worst_name}")),
        (median_of(report.times.detect), format!("to notice, median{}", of(report.times.detect))),
        (median_of(report.times.resolve), format!("to resolve, median{}", of(report.times.resolve))),
    ] {
        writeln!(page, "<div class=\"card\"><b>{figure}</b><span>{what}</span></div>").expect(WRITING);
    }
    page.push_str("</div>\n");
}

fn advice(page: &mut String, report: &Report) {
    page.push_str("<h2>What to do</h2>\n");
    if report.advice.is_empty() {
        page.push_str("<p>Nothing stands out in these figures.</p>\n");
        return;
    }
    page.push_str("<ol class=\"advice\">\n");
    for one in &report.advice {
        writeln!(page, "<li>{}</li>", html_long(one)).expect(WRITING);
    }
    page.push_str("</ol>\n");
}

/// Our own sentences around a stranger's names, which were cut where they came in.
fn html_long(text: &str) -> String {
    let pieces: Vec<char> = text.chars().collect();
    pieces.chunks(100).map(|piece| html(&piece.iter().collect::<String>())).collect()
}

fn services(page: &mut String, report: &Report) {
    page.push_str("<h2>Availability</h2>\n");
    if report.services.is_empty() {
        page.push_str(
            "<p>No data: the server has no probes (<code>probe_success</code>), requests \
                       (<code>shop_http_requests_total</code>) or scrapes (<code>up</code>) of this time.</p>\n",
        );
        return;
    }
    let budget = report.objective.map_or_else(String::new, |objective| {
        format!("<th>Error budget used, of {}</th>", percent_of(1.0 - objective))
    });
    write!(page, "<table>\n<tr><th>Service</th><th class=\"figure\">Available</th><th>Over time</th>{budget}</tr>\n")
        .expect(WRITING);
    for service in &report.services {
        service_row(page, service, report.objective);
    }
    page.push_str(
        "</table>\n<p class=\"quiet\">Each bar is a sixtieth of the time; what is missing is drawn ten times as \
                   high, and dotted is what nothing is known of. Planned downtime counts like any other.</p>\n",
    );
}

fn service_row(page: &mut String, service: &Service, objective: Option<f64>) {
    let budget = service.budget.map_or_else(String::new, |budget| {
        format!(
            "<td class=\"picture\">{}<span class=\"quiet\">{}</span></td>",
            picture::bar(budget.used),
            percent(budget.used)
        )
    });
    writeln!(
        page,
        "<tr><td>{}<br/><span class=\"quiet\">{}</span></td><td class=\"figure\">{}</td><td class=\"picture\">{}</td>{budget}</tr>",
        html(&service.name),
        html(&basis(service)),
        availability(service.availability),
        picture::strip(&service.parts, objective.unwrap_or(OBJECTIVE_DRAWN)),
    )
    .expect(WRITING);
}

/// A share with as many digits as it has.
fn percent_of(share: f64) -> String {
    format!("{} %", number((share * 1e9).round() / 1e7))
}

fn incidents(page: &mut String, report: &Report) {
    page.push_str("<h2>Incidents</h2>\n");
    if !report.incidents_are_known {
        page.push_str("<p>No data: see the end of this page.</p>\n");
        return;
    }
    if report.spans.is_empty() {
        page.push_str("<p>None is recorded.</p>\n");
        return;
    }
    page.push_str(&picture::timeline(report));
    let counts = report.counts;
    write!(
        page,
        "\n<p>{} began, {} had begun before; {} not ended, {} of unknown state; {} acknowledged, {} escalated.</p>\n",
        counts.begun, counts.from_before, counts.open, counts.unknown, counts.acknowledged, counts.escalated
    )
    .expect(WRITING);
    page.push_str(
        "<table>\n<tr><th>From … to …</th><th class=\"figure\">Median</th><th class=\"figure\">95 % within</th></tr>\n",
    );
    for (what, spread) in durations(report) {
        writeln!(
            page,
            "<tr><td>{what}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td></tr>",
            median(spread),
            p95(spread)
        )
        .expect(WRITING);
    }
    page.push_str("</table>\n<h2>The longest</h2>\n<table>\n<tr><th>Began</th><th>What</th><th class=\"figure\">Lasted</th><th>Signal</th></tr>\n");
    report.longest.iter().for_each(|incident| incident_row(page, report, incident));
    page.push_str("</table>\n");
}

/// What is measured of incidents.
pub(super) fn durations(report: &Report) -> [(&'static str, Option<super::figures::Spread>); 4] {
    [
        ("beginning, as estimated → noticed", report.times.detect),
        ("noticed → somebody told", report.times.tell),
        ("told → acknowledged", report.times.acknowledge),
        ("beginning → resolved", report.times.resolve),
    ]
}

fn incident_row(page: &mut String, report: &Report, incident: &ToldIncident) {
    let mut what = format!("{}<br/><span class=\"quiet\">{}", html(&incident.title), html(&incident.severity));
    match &incident.acknowledged_by {
        Some(by) => write!(what, " · acknowledged by {}", html(by)).expect(WRITING),
        None => what.push_str(" · acknowledged by nobody"),
    }
    if let Some(note) = &incident.note {
        write!(what, " · {}", html(note)).expect(WRITING);
    }
    if let Some(url) =
        incident.runbook_url.as_ref().filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    {
        write!(what, " · <a href=\"{}\" rel=\"noreferrer\">runbook</a>", html_long(url)).expect(WRITING);
    }
    what.push_str("</span>");
    let lasted = match incident.is_over {
        true => spoken(incident.lasted_ms),
        false => format!("{}, {}", spoken(incident.lasted_ms), html(&incident.state)),
    };
    let began = html(&report.moment(incident.onset_ms, "%-d %b %H:%M"));
    writeln!(
        page,
        "<tr><td>{began}</td><td>{what}</td><td class=\"figure\">{lasted}</td><td class=\"picture\">{}</td></tr>",
        picture::line(&incident.chart)
    )
    .expect(WRITING);
}

fn causes(page: &mut String, report: &Report) {
    if !report.causes.is_empty() {
        page.push_str("<h2>Causes</h2>\n<table>\n<tr><th>Cause</th><th class=\"figure\">Incidents</th><th class=\"figure\">Time</th>\
                       <th></th><th class=\"figure\">Longest</th></tr>\n");
    }
    let most = report.causes.iter().map(|cause| cause.total_ms).max().unwrap_or(0) as f64;
    for cause in &report.causes {
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td><td class=\"picture\">{}</td><td class=\"figure\">{}</td></tr>",
            html(&cause.name),
            cause.count,
            spoken(cause.total_ms),
            picture::length(cause.total_ms as f64, most),
            spoken(cause.longest_ms),
        )
        .expect(WRITING);
    }
    if !report.causes.is_empty() {
        page.push_str("</table>\n");
    }
    if report.repeats.is_empty() {
        return;
    }
    page.push_str(
        "<h2>What came back</h2>\n<table>\n<tr><th>Cause</th><th class=\"figure\">Times</th>\
                   <th class=\"figure\">Back after, median</th><th class=\"figure\">Soonest</th></tr>\n",
    );
    for repeat in &report.repeats {
        let labels: Vec<String> = repeat.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        writeln!(
            page,
            "<tr><td>{}<br/><span class=\"quiet\">{}</span></td><td class=\"figure\">{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td></tr>",
            html(&repeat.name),
            html(&labels.join(" ")),
            repeat.count,
            spoken(repeat.median_ms),
            spoken(repeat.soonest_ms),
        )
        .expect(WRITING);
    }
    page.push_str("</table>\n");
}

fn noise(page: &mut String, report: &Report) {
    if report.noisy.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Rules that told most</h2>\n<table>\n<tr><th>Rule</th><th class=\"figure\">Alerts</th>\
                   <th class=\"figure\">Lasted, median</th><th>Replayed</th></tr>\n",
    );
    for noisy in &report.noisy {
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td><td>{}</td></tr>",
            html(&noisy.alert),
            noisy.signals_count,
            median(noisy.lasted),
            html(&replayed(noisy)),
        )
        .expect(WRITING);
    }
    page.push_str("</table>\n");
}

/// What a replay says of a rule.
pub(super) fn replayed(noisy: &Noisy) -> String {
    match (&noisy.replayed, &noisy.without_replay) {
        (Some(rule), _) => {
            let now = format!("fired {} times with for: {}", rule.fired_count, duration_text(rule.for_ms));
            match rule.halved_by {
                Some((for_ms, count)) => format!("{now}; for: {} would have made {count}", duration_text(for_ms)),
                None => format!("{now}; waiting up to 10 min more does not halve that"),
            }
        }
        (None, Some(why)) => why.clone(),
        (None, None) => no_data(),
    }
}

fn pages(page: &mut String, report: &Report) {
    let Some(measured) = report.pages_measured else { return };
    write!(
        page,
        "<h2>Slowest pages</h2>\n<table>\n<tr><th>Page</th><th class=\"figure\">95 % within</th><th></th><th class=\"figure\">Views</th></tr>\n"
    )
    .expect(WRITING);
    let most = report.pages.iter().map(|page| page.p95_seconds).fold(0.0, f64::max);
    for one in &report.pages {
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"figure\">{} s</td><td class=\"picture\">{}</td><td class=\"figure\">{}</td></tr>",
            html(&one.name),
            number(one.p95_seconds),
            picture::length(one.p95_seconds, most),
            number(one.count.round()),
        )
        .expect(WRITING);
    }
    write!(page, "</table>\n<p class=\"quiet\">{measured}; a page with fewer than 20 views is left out.</p>\n")
        .expect(WRITING);
}

fn gaps(page: &mut String, report: &Report) {
    if report.gaps.is_empty() {
        return;
    }
    page.push_str("<h2>What is missing here</h2>\n<ul>\n");
    for gap in &report.gaps {
        writeln!(page, "<li>{}</li>", html_long(gap)).expect(WRITING);
    }
    page.push_str("</ul>\n");
}
