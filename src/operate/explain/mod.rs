//! `dozor explain`: why an alert fires, as a picture.
//!
//! ```text
//! $ dozor explain OrderRateDrop
//! OrderRateDrop{region="eu",severity="critical"}  firing: drop
//!   began about 12:08:00, seen 12:09:15 (75 s later), lasts 8 min
//!   value 2.9, expected 9.8 (8.1 to 11.5): 70 % below
//!   evidence 19.4, 12.9 alert · season of counts, learned 100 % · a drop of 35 % could be seen
//!   about 3.3k events lost so far
//!
//! 20 ┤        ────────────────
//!    │█▆▇▇▅█▇▆
//!
//!   what moved:
//!     98 %  {node="eu-0001"}  0.7, expected 7.6
//! ```
//!
//! The server is asked, which knows the present only: what fires, and what ended a short while ago. The picture itself is
//! made in `picture.rs`.

mod answer;
mod picture;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::asking::{self, Asked, ServerUrl};
use super::words::{duration, number, percent, time_with_seconds};
use answer::{Anomaly, Answer};
pub(super) use picture::picture;

const PATH: &str = "/api/v1/anomalies";
/// Parts that are listed.
const PARTS_COUNT_MAX: usize = 10;
/// The label with the alert's name.
const ALERT_NAME: &str = "alertname";

/// Flags of `dozor explain`.
#[derive(Clone, Debug, clap::Args)]
pub struct ExplainArgs {
    /// Name of the alert [default: all that fire]
    alert: Option<String>,
    #[command(flatten)]
    server: Asked,
}

/// Prints what the server says of the alert. The exit code is 1 if it has no such anomaly.
pub async fn explain(flags: ExplainArgs) -> anyhow::Result<ExitCode> {
    let url = flags.server.url()?;
    let anomalies = ask(&url).await?;
    let is_meant = |anomaly: &&Anomaly| flags.alert.as_ref().is_none_or(|name| anomaly.name() == name);
    let meant: Vec<&Anomaly> = anomalies.iter().filter(is_meant).collect();
    if meant.is_empty() {
        eprintln!("{}", nothing(flags.alert.as_deref(), &anomalies));
        return Ok(ExitCode::FAILURE);
    }
    let told: Vec<String> = meant.into_iter().map(told).collect();
    // Whoever reads only the first lines, as `head` does, has what he wants.
    let _ = std::io::stdout().write_all(told.join("\n").as_bytes());
    Ok(ExitCode::SUCCESS)
}

async fn ask(url: &ServerUrl) -> anyhow::Result<Vec<Anomaly>> {
    let (status, body) = asking::get(url, PATH).await?;
    let answer: Answer =
        serde_json::from_slice(&body).with_context(|| format!("{url}{PATH} answers {status} and no JSON of ours"))?;
    match answer.error {
        Some(error) => bail!("the server at {url} says: {error}"),
        None => Ok(answer.data.anomalies),
    }
}

/// What to say when there is nothing to explain.
fn nothing(alert: Option<&str>, anomalies: &[Anomaly]) -> String {
    let Some(alert) = alert else { return "nothing fires".to_owned() };
    let mut names: Vec<&str> = anomalies.iter().map(Anomaly::name).collect();
    names.sort_unstable();
    names.dedup();
    match names.is_empty() {
        true => format!("no anomaly of the alert {alert}, and of no other"),
        false => format!("no anomaly of the alert {alert}; there are: {}", names.join(", ")),
    }
}

/// Everything that is known of it, in words and a picture.
fn told(anomaly: &Anomaly) -> String {
    let mut text = format!("{}  {}: {}\n", anomaly.title(), anomaly.state, anomaly.direction);
    for line in [anomaly.times(), anomaly.sizes(), anomaly.grounds(), anomaly.losses()] {
        if !line.is_empty() {
            writeln!(text, "  {line}").expect("a string takes everything");
        }
    }
    let picture = picture(&anomaly.line, anomaly.onset);
    if !picture.is_empty() {
        write!(text, "\n{picture}").expect("a string takes everything");
    }
    if !anomaly.parts.is_empty() {
        text.push_str("\n  what moved:\n");
    }
    for part in anomaly.parts.iter().take(PARTS_COUNT_MAX) {
        let (value, expected) = (or_unknown(part.value), or_unknown(part.expected));
        let share = percent(part.share);
        writeln!(text, "  {share:>6}  {}  {value}, expected {expected}", braced(&part.labels))
            .expect("a string takes everything");
    }
    text
}

impl Anomaly {
    fn name(&self) -> &str {
        self.labels.get(ALERT_NAME).map_or("", String::as_str)
    }

    fn title(&self) -> String {
        let others = self.labels.iter().filter(|(name, _)| *name != ALERT_NAME && *name != "direction");
        let others = others.map(|(name, value)| (name.clone(), value.clone())).collect();
        format!("{}{}", self.name(), braced(&others))
    }

    fn times(&self) -> String {
        let mut told = Vec::new();
        told.extend(self.onset.map(|onset_s| format!("began about {}", time_with_seconds(onset_s))));
        if let Some(seen_s) = self.detected_at {
            let later = self.onset.map(|onset_s| format!(" ({} later)", duration(seen_s - onset_s)));
            told.push(format!("seen {}{}", time_with_seconds(seen_s), later.unwrap_or_default()));
        }
        let began_s = self.onset.or(self.detected_at);
        let newest_s = self.line.last().map(|point| point.0);
        match (began_s, self.ended_at, newest_s) {
            (Some(from_s), Some(to_s), _) => {
                told.push(format!("over at {}, after {}", time_with_seconds(to_s), duration(to_s - from_s)));
            }
            (Some(from_s), None, Some(to_s)) => told.push(format!("lasts {}", duration(to_s - from_s))),
            _ => {}
        }
        told.join(", ")
    }

    fn sizes(&self) -> String {
        let Some(value) = self.value else { return String::new() };
        let mut text = format!("value {}", number(value));
        if let Some(expected) = self.expected {
            write!(text, ", expected {}", number(expected)).expect("a string takes everything");
        }
        if let (Some(lower), Some(upper)) = (self.lower, self.upper) {
            write!(text, " ({} to {})", number(lower), number(upper)).expect("a string takes everything");
        }
        if let Some(expected) = self.expected.filter(|expected| *expected > 0.0) {
            let change = value / expected - 1.0;
            let side = if change < 0.0 { "below" } else { "above" };
            write!(text, ": {} {side}", percent(change.abs())).expect("a string takes everything");
        }
        text
    }

    fn grounds(&self) -> String {
        let mut told = Vec::new();
        if let (Some(evidence), Some(threshold)) = (self.evidence, self.threshold) {
            told.push(format!("evidence {}, {} alert", number(evidence), number(threshold)));
        }
        let learned = self.learned.map(|learned| format!(", learned {}", percent(learned)));
        if !self.detector.is_empty() {
            told.push(format!("{}{}", self.detector, learned.unwrap_or_default()));
        }
        told.extend(self.detectable_drop.map(|drop| format!("a drop of {} could be seen", percent(drop))));
        told.join(" · ")
    }

    fn losses(&self) -> String {
        let Some(lost) = self.lost.filter(|lost| lost.events > 0.0) else { return String::new() };
        let what = if self.direction == "rise" { "too many" } else { "lost" };
        let so_far = if self.ended_at.is_none() { " so far" } else { "" };
        let money = lost.money.map(|money| format!(", worth {}", number(money))).unwrap_or_default();
        format!("about {} events {what}{so_far}{money}", number(lost.events))
    }
}

fn or_unknown(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), number)
}

/// Labels as selectors have them; nothing for none.
fn braced(labels: &std::collections::BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests;
