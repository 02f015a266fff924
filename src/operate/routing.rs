//! `dozor check routing`: what is wrong in an Alertmanager configuration, or who would be told of an alert, and when.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use crate::clock::Clock;
use crate::config::duration_text;
use crate::disk::{Disk, RealDisk};
use crate::model::Labels;
use crate::notify::routing::{self, RouteMatch, Routing};

/// Flags of `dozor check routing`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckRoutingArgs {
    /// Alertmanager's configuration file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Labels of an alert, like severity=critical: who would be told of it
    #[arg(value_name = "NAME=VALUE")]
    labels: Vec<String>,
}

/// Prints what the file is, or its faults, or who is told. Exit code 0: no faults, 1: some.
pub fn check_routing(flags: &CheckRoutingArgs) -> anyhow::Result<ExitCode> {
    let bytes = RealDisk.read(&flags.file)?;
    let name = flags.file.to_string_lossy();
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{name} is no UTF-8"))?;
    let routing = match routing::load(&name, text) {
        Ok(routing) => routing,
        Err(faults) => {
            eprintln!("{faults}");
            return Ok(ExitCode::FAILURE);
        }
    };
    if flags.labels.is_empty() {
        println!("{name}: {} routes, {} receivers", routing.routes_count(), routing.receivers().len());
        return Ok(ExitCode::SUCCESS);
    }
    let now_ms = Clock::system().now_ms();
    for found in routing.matches(&labels(&flags.labels)?) {
        println!("{}", told(&routing, &found, now_ms));
    }
    Ok(ExitCode::SUCCESS)
}

fn labels(given: &[String]) -> anyhow::Result<Labels> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| anyhow!("{text:?} is no label: write name=value"))?;
        Ok((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    let pairs = given.iter().map(pair).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Labels::from_pairs(pairs)?)
}

/// `pager  wait 30s, interval 5m, repeat 4h  group {}:{alertname="A"}`
pub(super) fn told(routing: &Routing, found: &RouteMatch<'_>, now_ms: i64) -> String {
    let options = found.options;
    let [wait, interval, repeat] =
        [options.group_wait_ms, options.group_interval_ms, options.repeat_interval_ms].map(duration_text);
    let mut line =
        format!("{}  wait {wait}, interval {interval}, repeat {repeat}  group {}", found.receiver, found.group_key);
    let intervals = [("muted in", &options.mute_time_intervals), ("told only in", &options.active_time_intervals)];
    for (how, names) in intervals.into_iter().filter(|(_, names)| !names.is_empty()) {
        line.push_str(&format!("  {how} {}", names.join(", ")));
    }
    if routing.is_muted(found.route_index, now_ms).is_some() {
        line.push_str("  (silent now)");
    }
    line
}
