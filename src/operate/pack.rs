//! `dozor pack`: the rules that are in the binary, and what to do when one of them wakes somebody.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;

use crate::rules::{Pack, runbook};

/// What of the packs is wanted.
#[derive(Clone, Debug, clap::Args)]
pub struct PackArgs {
    #[command(subcommand)]
    wanted: Wanted,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Wanted {
    /// All packs with the alerts of each
    List,
    /// The rules of a pack as one rule file, to change them and serve them with --rules
    Print {
        /// The pack, like shop
        #[arg(value_name = "PACK")]
        pack: String,
        /// What it watches and which metrics it wants, in place of its rules
        #[arg(long)]
        readme: bool,
    },
    /// What to do when an alert of a pack wakes you
    Runbook {
        /// The alert, like OrdersDropped
        #[arg(value_name = "ALERT")]
        alert: String,
    },
}

/// Prints it. Fails if there is no such pack or alert.
pub fn pack(flags: &PackArgs) -> anyhow::Result<ExitCode> {
    let text = text_of(&flags.wanted)?;
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader such as `head` that has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        outcome => outcome?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn text_of(wanted: &Wanted) -> anyhow::Result<String> {
    match wanted {
        Wanted::List => Ok(Pack::all().iter().map(listed).collect()),
        Wanted::Print { pack, readme } => {
            let found = Pack::named(pack).with_context(|| format!("there is no pack {pack}: dozor pack list"))?;
            Ok(if *readme { found.readme.to_owned() } else { found.text() })
        }
        Wanted::Runbook { alert } => match runbook(alert) {
            Some(text) => Ok(format!("{text}\n")),
            None => bail!("no pack has an alert {alert}: dozor pack list"),
        },
    }
}

/// Its name, and the alerts of each file.
fn listed(pack: &Pack) -> String {
    let mut text = format!("{}: {}\n", pack.name, pack.about);
    for file in pack.files() {
        text.push_str(&format!("  {}\n", file.name));
        let alerts = file.text.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: "));
        text.extend(alerts.map(|alert| format!("    {alert}\n")));
    }
    text
}
