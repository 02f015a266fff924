//! `dozor import`: history from files and from a Prometheus, into a running server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;

use super::asking::{ServerUrl, url_of};
use super::bar::Bar;
use crate::clock::Clock;
use crate::config::{Config, ServeArgs, parse_duration_ms};
use crate::disk::RealDisk;
use crate::import::{Import, ImportPlan, Progress, SourceKind, Tally};

/// The exit code where something was refused.
const REFUSED: u8 = 1;
/// The exit code where it did not come to its end.
const NOT_DONE: u8 = 2;

/// Flags of `dozor import`.
#[derive(Clone, Debug, clap::Args)]
pub struct ImportArgs {
    /// The server to send to [default: the address in --config]
    #[arg(long, value_name = "URL")]
    url: Option<ServerUrl>,
    /// Settings file of the server, for its address
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to note how far it is [default: SOURCE.dozor-import.state, beside the source]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// How long to try again while the server does not answer, or is busy
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration_ms)]
    retry_for: i64,
    #[command(subcommand)]
    source: SourceArgs,
}

#[derive(Clone, Debug, Subcommand)]
enum SourceArgs {
    /// A file in OpenMetrics's text format, with timestamps in seconds
    Openmetrics {
        /// The file, also as gzip or zstd, or - for stdin
        file: PathBuf,
    },
    /// A file in Prometheus's text format, with timestamps in ms, as `promtool tsdb dump` prints
    Text {
        /// The file, also as gzip or zstd, or - for stdin
        file: PathBuf,
    },
    /// A file of JSON lines, as /api/v1/export of Dozor and VictoriaMetrics gives
    Jsonl {
        /// The file, also as gzip or zstd, or - for stdin
        file: PathBuf,
    },
    /// A data folder of a Prometheus that does not run, with its log; a snapshot of one; or a single block
    Prometheus {
        /// The folder
        folder: PathBuf,
    },
}

impl SourceArgs {
    /// What it is, and where.
    fn place(&self) -> (SourceKind, &Path) {
        match self {
            SourceArgs::Openmetrics { file } => (SourceKind::OpenMetrics, file),
            SourceArgs::Text { file } => (SourceKind::Text, file),
            SourceArgs::Jsonl { file } => (SourceKind::JsonLines, file),
            SourceArgs::Prometheus { folder } => (SourceKind::Prometheus, folder),
        }
    }

    fn is_stdin(&self) -> bool {
        let (kind, place) = self.place();
        kind != SourceKind::Prometheus && place == Path::new("-")
    }
}

/// Sends everything, prints what became of it, and says by the exit code whether all is stored: 0 all, 1 something was
/// refused, 2 it did not come to its end.
pub async fn import(flags: ImportArgs) -> anyhow::Result<ExitCode> {
    let is_stdin = flags.source.is_stdin();
    let outcome = tokio::select! {
        outcome = send_all(flags) => outcome,
        // While stdin is waited for nothing else happens here: the signal then ends the process as it does by itself.
        interrupted = tokio::signal::ctrl_c(), if !is_stdin => {
            interrupted?;
            Err(anyhow::anyhow!("interrupted: the same command goes on where it was"))
        }
    };
    Ok(outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(NOT_DONE)
    }))
}

/// As [`import`], with why it did not come to its end.
pub(super) async fn send_all(flags: ImportArgs) -> anyhow::Result<ExitCode> {
    let plan = plan(flags)?;
    let mut import = Import::open(&plan, Arc::new(RealDisk), Clock::system())?;
    if let Some(stored) = import.resumed() {
        eprintln!("going on behind {stored} samples that are stored already");
    }
    let mut bar = Bar::new("importing");
    let mut has_waited = false;
    let mut show = |progress: Progress<'_>| {
        let next = if progress.waiting.is_some() { "waiting for the server" } else { "" };
        bar.show(next, progress.done_bytes, progress.total_bytes);
        if let Some(why) = progress.waiting.filter(|_| !std::mem::replace(&mut has_waited, true)) {
            eprintln!("{why}; sending again until it is taken");
        }
    };
    let ran = import.run(&mut show).await;
    drop(bar);
    for remark in import.remarks() {
        eprintln!("{remark}");
    }
    summarize(import.tally(), import.resumed());
    ran?;
    Ok(if import.tally().refused_count() == 0 { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn plan(flags: ImportArgs) -> anyhow::Result<ImportPlan> {
    let url = match flags.url {
        Some(url) => url,
        None => url_of(&Config::load(&ServeArgs { config: flags.config, ..ServeArgs::default() })?),
    };
    let url = url.reveal().to_owned();
    let (kind, source) = flags.source.place();
    let retry_for = Duration::from_millis(u64::try_from(flags.retry_for).unwrap_or(0));
    if flags.source.is_stdin() {
        anyhow::ensure!(flags.state.is_none(), "what comes by stdin cannot be taken up again: --state needs a file");
        return Ok(ImportPlan { kind, source: source.to_owned(), url, state: None, retry_for });
    }
    // Whole paths: the same import is known from wherever it is started.
    let source = std::fs::canonicalize(source).with_context(|| format!("cannot find {}", source.display()))?;
    let state = flags.state.map(std::path::absolute).transpose()?;
    Ok(ImportPlan { kind, source, url, state, retry_for })
}

fn summarize(tally: &Tally, stored_before: Option<u64>) {
    let before =
        stored_before.map(|stored| format!(" ({stored} of them before it was interrupted)")).unwrap_or_default();
    println!(
        "{} series, {} samples stored{before}, {} refused",
        tally.series_count(),
        tally.stored,
        tally.refused_count()
    );
    for (reason, count) in &tally.refused {
        println!("  {count} × {reason}");
    }
    if let Some(first) = &tally.first_refused {
        println!("  first refused: {first}");
    }
    if tally.refused.keys().any(|reason| reason.contains("head.out_of_order_window")) {
        println!(
            "  Series that have newer samples on the server take older ones only within head.out_of_order_window: to fill \
             in before them, start the server with a longer one (400d, say), and import again."
        );
    }
}
