//! `dozor report`: how the shop ran, on one page for who owns it.
//!
//! ```text
//! $ dozor report --month 2026-10 --timezone Europe/Berlin --slo 99.9 --format html > october.html
//! asking for incidents, probes, requests, scrapes, pages, rules
//! ```
//!
//! ```text
//! server ── /api/v1/incidents ───────────────────► journal ──┐
//!        ── query_range: probes, requests, scrapes ──────────┼─► figures ─► content, advice ─► html with pictures
//!        ── query: times of pages ───────────────────────────┤                              ├─► md
//!        ── rules of the noisiest alerts, replayed ──────────┘                              └─► json
//! ```
//!
//! Always true:
//! 1. What there is no data of is said to have none; it is never 100 %, and no advice follows from it.
//! 2. A median says of how many it is one.
//! 3. Labels are text of strangers, and are escaped for what they are put into.

mod advice;
mod content;
mod figures;
mod gather;
mod html;
mod journal;
mod picture;
mod plain;
#[cfg(test)]
mod tests;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use tokio::runtime::Handle;

use super::asking::Asked;
use super::moment;
use super::replay::Server;
use super::times::{parse_moment_ms, parse_month};
use crate::clock::Clock;
use crate::config::time_zone;
use crate::model::TimeRange;
use content::{Report, Setting};

/// Flags of `dozor report`.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("when").required(true).args(["from", "month"]))]
pub struct ReportArgs {
    #[command(flatten)]
    server: Asked,
    /// A whole month, like 2026-10
    #[arg(long, value_name = "MONTH", conflicts_with = "to")]
    month: Option<String>,
    /// First moment: 2026-10-01, 2026-10-01T14:30:00Z, 7d for a week ago
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    from: Option<String>,
    /// Last moment; a date is the beginning of that day [default: now]
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    to: Option<String>,
    /// Zone of the page's times, like Europe/Berlin [default: the setting detection.timezone]
    #[arg(long, value_name = "ZONE", value_parser = time_zone)]
    timezone: Option<TimeZone>,
    /// Availability that was promised, in percent; the error budget is what it leaves
    #[arg(long, value_name = "PERCENT", value_parser = parse_objective)]
    slo: Option<f64>,
    /// A page to look at and to print, text for a ticket, or figures for programs
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Html,
    Md,
    Json,
}

/// `99.9`, as a share.
fn parse_objective(text: &str) -> Result<f64, String> {
    let percent: f64 = text.trim_end_matches('%').trim().parse().map_err(|_| format!("{text:?} is no number"))?;
    match percent {
        percent if percent > 0.0 && percent < 100.0 => Ok(percent / 100.0),
        _ => Err("an objective is between 0 and 100 percent, like 99.9; 100 leaves no budget at all".to_owned()),
    }
}

/// Asks, and prints the report.
pub async fn report(flags: ReportArgs) -> anyhow::Result<ExitCode> {
    let runtime = Handle::current();
    let format = flags.format;
    // It waits for one answer after the other.
    let report =
        tokio::task::spawn_blocking(move || made(&flags, runtime)).await.context("the report ended early")??;
    let text = match format {
        Format::Html => html::page(&report),
        Format::Md => plain::text(&report),
        Format::Json => serde_json::to_string(&report)? + "\n",
    };
    // Whoever reads only the first lines, as `head` does, has what he wants.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn made(flags: &ReportArgs, runtime: Handle) -> anyhow::Result<Report> {
    let config = flags.server.config()?;
    let now_ms = Clock::system().now_ms();
    let zone = match &flags.timezone {
        Some(zone) => zone.clone(),
        None => time_zone(&config.detection.timezone).map_err(anyhow::Error::msg)?,
    };
    let range = range_of(flags, &zone, now_ms)?;
    let server = Server::new(flags.server.url_beside(&config), runtime);
    // Of a server that is not there nothing can be told at all.
    server.get("/api/v1/status/buildinfo")?;
    let facts = gather::gather(&server, range, flags.slo, &config, &mut |what| eprintln!("asking for {what}"));
    Ok(Report::of(facts, Setting { range, zone, now_ms, objective: flags.slo }))
}

fn range_of(flags: &ReportArgs, zone: &TimeZone, now_ms: i64) -> anyhow::Result<TimeRange> {
    let read = |text: &String| parse_moment_ms(text, zone, now_ms).map_err(anyhow::Error::msg);
    let range = match (&flags.month, &flags.from) {
        (Some(month), _) => parse_month(month, zone).map_err(anyhow::Error::msg)?,
        (None, Some(from)) => {
            let to_ms = flags.to.as_ref().map(read).transpose()?.unwrap_or(now_ms);
            TimeRange { from_ms: read(from)?, to_ms: to_ms - 1 }
        }
        (None, None) => bail!("give --from or --month"),
    };
    if range.from_ms >= range.to_ms {
        bail!("the end, {}, is not behind the beginning, {}", moment(range.to_ms), moment(range.from_ms));
    }
    if range.from_ms > now_ms {
        bail!("nothing is known yet of a time that is to come");
    }
    // What is to come of this month is not unknown, it is not there.
    Ok(TimeRange { to_ms: range.to_ms.min(now_ms), ..range })
}
