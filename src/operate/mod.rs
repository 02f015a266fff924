//! What an operator does beside running the server: `dozor snapshot`, `dozor restore`, `dozor verify`, `dozor import`,
//! `dozor learn`, `dozor replay`, `dozor report`, `dozor explain`, `dozor incidents`, `dozor check rules`, `dozor check routing`, `dozor silence`,
//! `dozor calendar`, `dozor dead-letters`, `dozor test rules`, `dozor test webhook`, `dozor pack`.
//!
//! ```text
//! $ dozor snapshot --data-dir data                 a running server is asked, a folder at rest is taken as it lies
//! data/snapshots/20261122T003000Z-1a2b3c4d
//! $ dozor verify --snapshot 20261122T003000Z-1a2b3c4d
//! ok: 17 files, 81.2 MB, no damage
//! $ dozor restore --ago 6h --data-dir data --replace
//! ```
//!
//! What a script needs goes to standard output, what a person wants to know besides to standard error.

mod asking;
mod bar;
mod calendar;
mod dead_letters;
mod explain;
mod import;
mod incidents;
mod learn;
mod pack;
mod replay;
mod report;
mod restore;
mod routing;
mod rules;
mod silence;
mod snapshot;
mod test_webhook;
mod times;
mod verify;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::{Config, ServeArgs};
use crate::disk::{FolderLock, RealDisk};
use crate::storage::snapshots_folder;

pub use calendar::{CalendarArgs, calendar};
pub use dead_letters::{DeadLettersArgs, dead_letters};
pub use explain::{ExplainArgs, explain};
pub use import::{ImportArgs, import};
pub use incidents::{IncidentsArgs, incidents};
pub use learn::{LearnArgs, learn};
pub use pack::{PackArgs, pack};
pub use replay::{ReplayArgs, replay};
pub use report::{ReportArgs, report};
pub use restore::{RestoreArgs, restore};
pub use routing::{CheckRoutingArgs, check_routing};
pub use rules::{CheckArgs as CheckRulesArgs, TestArgs as TestRulesArgs, check as check_rules, test as test_rules};
pub use silence::{SilenceArgs, silence};
pub use snapshot::{SnapshotArgs, snapshot};
pub use test_webhook::{TestWebhookArgs, test_webhook};
pub use verify::{VerifyArgs, verify};

/// Which server's data it is about.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Place {
    /// Settings file of the server, for its data folder and address
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the log, the blocks and the outbox [default: ./data]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<String>,
}

impl Place {
    /// The settings of that server, as far as flags and file tell them.
    fn config(&self) -> anyhow::Result<Config> {
        let flags = ServeArgs { config: self.config.clone(), data_dir: self.data_dir.clone(), ..ServeArgs::default() };
        Ok(Config::load(&flags)?)
    }
}

/// Takes the data folder for us; `None` where a server has it.
fn lock(data_dir: &Path) -> anyhow::Result<Option<FolderLock>> {
    match RealDisk::lock_folder(data_dir) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.source.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a folder that nobody ever served from, before anything is made in it.
fn check_data_dir(data_dir: &Path) -> anyhow::Result<()> {
    if !data_dir.join("log").is_dir() {
        bail!("{} is no data folder: --data-dir or --config says where it is", data_dir.display());
    }
    Ok(())
}

/// The folder of a snapshot that is given by its name, or by where it lies.
fn snapshot_folder(given: &str, data_dir: &Path) -> anyhow::Result<PathBuf> {
    let by_name = snapshots_folder(data_dir).join(given);
    let is_name = !given.contains('/') && !given.starts_with('.');
    let found = [is_name.then_some(by_name), Some(PathBuf::from(given))].into_iter().flatten().find(|it| it.is_dir());
    let folder = snapshots_folder(data_dir);
    found.with_context(|| format!("there is no snapshot {given}, neither in {} nor as a folder", folder.display()))
}

/// A number of bytes for people.
fn bytes(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// A moment for people.
fn moment(time_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(time_ms).map_or_else(
        |_| format!("{time_ms} ms since 1970"),
        |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests;
