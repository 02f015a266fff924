//! `dozor replay`: what rules would have fired in the past, from what is stored.
//!
//! ```text
//! $ dozor replay --rules shop.yml --data-dir data --from 7d
//! 2026-11-15 12:00:00 UTC to 2026-11-22 12:00:00 UTC (7 d), 40320 evaluations
//!
//! CheckoutSlow (checkout, for 1m) fired 23 times, 3 series, 4 h 12 min in all; longest 35 min, median 4 min; 23.0 a week
//!   pending since            fired                    resolved                 lasted      value
//!   2026-11-15 19:04:07 UTC  2026-11-15 19:05:07 UTC  2026-11-15 19:09:07 UTC  4 min       2.31      route="/checkout"
//!   …
//!   what if (now 23): for: 0s 41 · for: 2m 17 · for: 4m 12 · …
//!   `for: 4m` would have made 12 of 23
//! ```
//!
//! | past of | what is asked | rules that read what these rules record | rules with an `anomaly` block |
//! | --- | --- | --- | --- |
//! | a data folder at rest, or a snapshot | the stored samples | see what they would have recorded | fed, or evaluated as the server does, from the first sample on |
//! | a running server (`--url`, or it has the folder) | range queries | see what the server has recorded | are left out, and named |
//!
//! Of a server that runs, `dozor snapshot` and then `--data-dir data/snapshots/NAME` tells all of it.
//!
//! Always true:
//! 1. Evaluations are at the instants at which the server has them: by the group's interval, name and file as it was given.
//! 2. Nothing is written and nobody is told: a folder stays as it is to the byte.
//! 3. What could not be replayed is named, and the exit code says that there is some.
//!
//! What differs from the live evaluation can only be what was not there yet at that moment: samples that came late.

mod at_rest;
mod evaluate;
mod history;
mod host;
mod online;
#[cfg(test)]
mod tests;
mod told;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use tokio::runtime::Handle;

use super::asking::{ServerUrl, url_of};
use super::bar::Bar;
use super::times::parse_moment_ms;
use super::{Place, check_data_dir, moment};
use crate::clock::Clock;
use crate::config::{Config, parse_duration_ms, time_zone};
use crate::disk::{FolderLock, RealDisk};
use crate::model::{Labels, TimeRange};
use crate::rules::{self, Rule, RuleSet, Surroundings};
use crate::server::DatabaseAtRest;
use at_rest::{Made, StoredPast};
use evaluate::{Order, evaluate};
use host::Host;
use online::ToldPast;

pub(super) use history::RuleHistory;
pub(super) use online::{Server, sample, seconds};

/// How much of a server's past is replayed where nothing else is said.
const ONLINE_SPAN_MS: i64 = 7 * 86_400_000;
/// The exit code where a rule could not be replayed.
const NOT_ALL: u8 = 2;

/// Flags of `dozor replay`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    place: Place,
    /// Ask this server by range queries; a Prometheus is one too [default: the one that has the data folder, if one has]
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    url: Option<ServerUrl>,
    /// Rule file, or pack:shop; may be given more than once [default: those of the settings file, or of the server]
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// First moment: 2026-10-01, 2026-10-01T14:30:00Z, 7d for a week ago [default: the first stored sample; of a server 7d]
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    from: Option<String>,
    /// Last moment [default: the newest stored sample; of a server now]
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true)]
    to: Option<String>,
    /// Zone of moments that name none, like Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = time_zone)]
    timezone: TimeZone,
    /// Also say how often rules would have fired with this `for`; may be given more than once
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration_ms)]
    with_for: Vec<i64>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What rules did in a stretch of the past.
#[derive(Debug)]
pub(super) struct Replayed {
    pub range: TimeRange,
    pub rules: Vec<RuleHistory>,
    /// Evaluations of groups.
    pub evaluations_count: u64,
    /// What is to be known beside: what could not be replayed, or not quite.
    pub notes: Vec<String>,
}

/// Replays and prints. Exit code 0: every rule was replayed, 1: nothing was, 2: some were not.
pub async fn replay(flags: ReplayArgs) -> anyhow::Result<ExitCode> {
    let runtime = Handle::current();
    // It computes, or waits for one answer after the other.
    let replayed = tokio::task::spawn_blocking(move || {
        let replayed = replay_waiting(&flags, runtime)?;
        anyhow::Ok((flags, replayed))
    });
    let (flags, replayed) = replayed.await.context("the replay ended early")??;
    let mut text = match flags.format {
        Format::Text => told::text(&replayed, &flags.with_for),
        Format::Json => told::json(&replayed, &flags.with_for).to_string(),
    };
    if flags.format == Format::Json {
        text.push('\n');
    }
    // Whoever reads only the first lines, as `head` does, has what he wants.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let is_whole = replayed.notes.is_empty() && replayed.rules.iter().all(|rule| rule.failure.is_none());
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

fn replay_waiting(flags: &ReplayArgs, runtime: Handle) -> anyhow::Result<Replayed> {
    let mut config = flags.place.config()?;
    config.rules.extend(flags.rules.iter().cloned());
    let url = match &flags.url {
        Some(url) => Some(url.clone()),
        None => {
            check_data_dir(&config.data_dir)?;
            is_served(&config)?.then(|| url_of(&config))
        }
    };
    let now_ms = Clock::system().now_ms();
    let moment_of = |given: &Option<String>| {
        let read = |text: &String| parse_moment_ms(text, &flags.timezone, now_ms).map_err(anyhow::Error::msg);
        given.as_ref().map(read).transpose()
    };
    let (from_ms, to_ms) = (moment_of(&flags.from)?, moment_of(&flags.to)?);
    if let Some(url) = url {
        let replayed = replay_served(&Server::new(url, runtime), (from_ms, to_ms), now_ms, &config);
        let folder = config.data_dir.display();
        let why = || format!("a server has {folder}, and is asked for what it stored; --url says where it listens");
        return if flags.url.is_none() { replayed.with_context(why) } else { replayed };
    }
    if config.rules.is_empty() {
        bail!("there are no rules: --rules or --config says where they are");
    }
    replay_at_rest(&rules::load(&RealDisk, &config.rules)?, from_ms, to_ms, &config)
}

/// What the rules of the settings would have done, else those of the server, from one moment to another that may be given.
fn replay_served(
    server: &Server,
    (from_ms, to_ms): (Option<i64>, Option<i64>),
    now_ms: i64,
    config: &Config,
) -> anyhow::Result<Replayed> {
    let (set, mut notes) = match config.rules.is_empty() {
        true => {
            let (set, fed) = server.rules(&|_| true)?;
            (set, fed.iter().map(|name| not_told_online(name)).collect())
        }
        false => (rules::load(&RealDisk, &config.rules)?, Vec::new()),
    };
    let to_ms = to_ms.unwrap_or(now_ms);
    let range = checked(from_ms.unwrap_or(to_ms - ONLINE_SPAN_MS), to_ms)?;
    let mut replayed = replay_online(server, &set, range, config)?;
    notes.append(&mut replayed.notes);
    Ok(Replayed { notes, ..replayed })
}

fn checked(from_ms: i64, to_ms: i64) -> anyhow::Result<TimeRange> {
    if from_ms > to_ms {
        bail!("the end, {}, is before the beginning, {}", moment(to_ms), moment(from_ms));
    }
    Ok(TimeRange { from_ms, to_ms })
}

/// Whether a server has the folder. One that has no lock was never served from, as a snapshot, and gets none.
fn is_served(config: &Config) -> anyhow::Result<bool> {
    if !config.data_dir.join("lock").is_file() {
        return Ok(false);
    }
    let held: Option<FolderLock> = super::lock(&config.data_dir)?;
    Ok(held.is_none())
}

/// What rules would have done, from a data folder that nobody serves from. Without a beginning or an end, from or to that of
/// what is stored, in ms since 1970 UTC.
pub(super) fn replay_at_rest(
    rules: &RuleSet,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    config: &Config,
) -> anyhow::Result<Replayed> {
    let database = DatabaseAtRest::open_to_read(config)?;
    let stored = database.view();
    let Some(span) = stored.span() else { bail!("nothing is stored in {}", config.data_dir.display()) };
    let range = checked(from_ms.unwrap_or(span.from_ms), to_ms.unwrap_or(span.to_ms))?;
    let order = order(rules, range, config);
    let offsets = rules.groups.iter().map(|group| group.query_offset_ms.unwrap_or(order.surroundings.query_offset_ms));
    let first_sample_ms = range.from_ms - offsets.max().unwrap_or(0).max(0);
    let mut host = Host::new(StoredPast::new(&stored, rules, first_sample_ms, config));
    let mut bar = Bar::of_time("replaying");
    let outcome = evaluate(&order, &mut host, &mut |at_ms| show(&mut bar, at_ms, range))?;
    drop(bar);
    let mut notes = Vec::new();
    let mut bar = Bar::of_time("anomalies");
    let anomalies =
        at_rest::anomalies(rules, &host.past, range, config, &mut notes, &mut |at_ms, fed| show(&mut bar, at_ms, fed))?;
    drop(bar);
    notes.extend(stored.left_out().iter().map(|line| format!("left out: {line}")));
    let rules = outcome.rules.into_iter().chain(anomalies).collect();
    Ok(Replayed { range, rules, evaluations_count: outcome.evaluations_count, notes })
}

/// What rules would have done, as a running server tells its past. Waits for answers, so not on a thread of the runtime.
pub(super) fn replay_online(
    server: &Server,
    rules: &RuleSet,
    range: TimeRange,
    config: &Config,
) -> anyhow::Result<Replayed> {
    let mut notes: Vec<String> = rules.rules.iter().map(|rule| not_told_online(&rule.alert)).collect();
    let made = Made::of(rules);
    for rule in rules.groups.iter().flat_map(|group| &group.rules) {
        let (name, expr) = match rule {
            Rule::Recording(rule) => (&rule.record, &rule.expr),
            Rule::Alerting(rule) => (&rule.alert, &rule.expr),
            Rule::Anomaly(_) => continue,
        };
        if let Some(record) = made.read_by(expr) {
            notes.push(format!(
                "{name} reads {record}, which these rules make: seen as the server has it, if it has it"
            ));
        }
    }
    let mut host = Host::new(ToldPast::new(server));
    let mut bar = Bar::of_time("replaying");
    let outcome = evaluate(&order(rules, range, config), &mut host, &mut |at_ms| show(&mut bar, at_ms, range))?;
    drop(bar);
    match host.past.broken() {
        Some(error) => Err(error),
        None => Ok(Replayed { range, rules: outcome.rules, evaluations_count: outcome.evaluations_count, notes }),
    }
}

fn order<'a>(rules: &'a RuleSet, range: TimeRange, config: &Config) -> Order<'a> {
    let surroundings = Surroundings {
        external_url: config.external_url.clone(),
        external_labels: Labels::empty(),
        query_offset_ms: config.evaluation.query_offset_ms,
    };
    Order { rules, range, interval_ms: config.evaluation.interval_ms, surroundings }
}

fn not_told_online(alert: &str) -> String {
    format!("{alert} is fed by the stream, and is replayed from a data folder or a snapshot only")
}

fn show(bar: &mut Bar, at_ms: i64, range: TimeRange) {
    bar.show(&moment(at_ms), at_ms.abs_diff(range.from_ms), range.to_ms.abs_diff(range.from_ms));
}
