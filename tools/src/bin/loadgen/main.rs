//! The load generator: the demo's shop fleet, any number of nodes, by remote write at a rate or flat out.
//!
//! ```text
//! fleet ─┬─ nodes 0..500    ─► thread ─► 8 bodies ahead ─► connection ─► server
//!        └─ nodes 500..1000 ─► thread ─► 8 bodies ahead ─► connection ─► server
//! ```
//!
//! ```text
//! loadgen --url http://127.0.0.1:9090/api/v1/write --nodes 1000 --scrapes 480 --pid $(pidof dozor)
//! ```
//!
//! Always true: a connection owns its nodes, so every series arrives in order of time; the samples are the same for the
//! same options, whatever the speed; count and time are bounded; the load stays on this machine.

mod encode;
mod garbage;
mod load;
mod process;
mod target;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap::builder::RangedU64ValueParser;

/// Sends a simulated shop's metrics to a server on this machine, and measures.
#[derive(Clone, Debug, Parser)]
#[command(version)]
struct Options {
    /// Where remote write is taken in; loopback addresses only
    #[arg(long, default_value = "http://127.0.0.1:9090/api/v1/write")]
    url: String,
    /// How samples are written; a text goes to another path, such as /api/v1/import/prometheus
    #[arg(long, value_enum, default_value = "1.0")]
    protocol: encode::Protocol,
    /// Nodes of the shop, 40 series each
    #[arg(long, default_value_t = 1_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    nodes: usize,
    /// Scrapes of each node [default: 10, or as many as the duration allows]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    scrapes: Option<u32>,
    /// Longest time to send for, in seconds [default: 3600]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    duration: Option<u32>,
    /// Samples a second over all connections; 0 is flat out
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Samples in a request
    #[arg(long, default_value_t = 2_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    batch: usize,
    /// Connections, each with its share of the nodes
    #[arg(long, default_value_t = 2, value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    connections: usize,
    /// What all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Event time of the first scrape: ms since 1970, `now`, or for instance `now-2h`
    #[arg(long, default_value = "now-2h")]
    start: String,
    /// Event time between two scrapes, in seconds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    interval: u32,
    /// The server's process, to measure its CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Instead of load, send this many requests of garbage, and see that the server lives through them
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    garbage: Option<u32>,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(&options))
}

/// Success if everything was answered as it should be.
async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let (report, passed) = match options.garbage {
        Some(count) => garbage::throw(options, count).await?,
        None => load::send(options).await?,
    };
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
