//! The differ: random PromQL over random data, asked of Dozor's query engine and of a Prometheus, until they differ.
//!
//! ```text
//! seed ─┬─► series ──► remote write ──► Prometheus ──┐
//!       │      └─────► engine in this process ─────┐ │
//!       └─► expression, as instant and as range ──►│ │──► the same? ──► else made smaller and printed
//! ```
//!
//! ```text
//! differ --prometheus http://127.0.0.1:9090 --seed 1 --for 60m
//! ```
//!
//! Prometheus needs `--web.enable-remote-write-receiver`, `--enable-feature=promql-experimental-functions,native-histograms`,
//! an empty scrape configuration, and blocks and a retention of centuries
//! (`--storage.tsdb.{min,max}-block-duration=100000d --storage.tsdb.retention.time=200y`); a Dozor, if one is asked
//! (`--dozor`), `--retention 0`. Both begin with empty folders.
//!
//! Each seed has data of its own, three days behind those of the seed before, and expressions of its own; when they are
//! used up, the next seed follows.

mod alone;
mod answer;
mod ask;
mod compare;
mod data;
mod dice;
mod grammar;
mod known;
mod odds;
mod points;
mod run;
mod shrink;
mod tally;
mod term;
#[cfg(test)]
mod tests;
mod unstopped;
mod window;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

/// Asks Dozor and Prometheus the same, and prints where they differ.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct Options {
    /// The Prometheus 3.5 to compare with
    #[arg(long)]
    prometheus: String,
    /// A Dozor to ask over HTTP, in place of the engine in this process
    #[arg(long)]
    dozor: Option<String>,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long to go on, such as 90s, 60m or 8h
    #[arg(long = "for", default_value = "1m", value_parser = length)]
    length: Duration,
    /// Expressions for each seed
    #[arg(long, default_value_t = 4_000)]
    expressions: usize,
    /// Expressions that are asked at once
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// Kinds of differences after which to stop
    #[arg(long, default_value_t = 20)]
    differences: usize,
    /// The only expression of the seed to ask, by the number that a difference was printed with
    #[arg(long)]
    only: Option<usize>,
    /// An expression to ask over the seed's data, in place of random ones: both answers are printed
    #[arg(long, requires = "at")]
    ask: Option<String>,
    /// When to ask it: seconds since 1970, or start,end,step
    #[arg(long, value_parser = ask::when)]
    at: Option<ask::When>,
}

fn length(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("a number with s, m or h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a number with s, m or h".to_owned())?;
    Ok(Duration::from_secs(number * seconds))
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let tally = run::run(&options).context("the comparison broke off")?;
    println!("{tally}");
    Ok(if tally.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
