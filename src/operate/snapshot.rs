//! `dozor snapshot`: by the server that has the folder, or, where none has, from the folder itself.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::asking::{self, ServerUrl, url_of};
use super::{Place, bytes, check_data_dir, lock};
use crate::clock::Clock;
use crate::disk::RealDisk;
use crate::server::BESIDE_THE_DATABASE;
use crate::storage::{remove_incomplete, snapshot_at_rest, snapshots_folder};

const PATH: &str = "/api/v1/admin/tsdb/snapshot";
/// Longest wait for the server: it reads every file once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// Flags of `dozor snapshot`.
#[derive(Clone, Debug, clap::Args)]
pub struct SnapshotArgs {
    #[command(flatten)]
    place: Place,
    /// The server to ask [default: the address in --config, if a server has the data folder]
    #[arg(long, value_name = "URL")]
    url: Option<ServerUrl>,
}

/// Takes a snapshot and prints its folder; where only a server far away knows that, its name.
pub async fn snapshot(flags: SnapshotArgs) -> anyhow::Result<ExitCode> {
    let config = flags.place.config()?;
    let folder = snapshots_folder(&config.data_dir);
    if let Some(url) = &flags.url {
        let name = ask(url).await?;
        let here = folder.join(&name);
        if here.is_dir() {
            println!("{}", here.display())
        } else {
            println!("{name}")
        }
        return Ok(ExitCode::SUCCESS);
    }
    check_data_dir(&config.data_dir)?;
    let Some(_lock) = lock(&config.data_dir)? else {
        let url = url_of(&config);
        let asked = ask(&url).await;
        let name = asked.with_context(|| format!("a server has {}; --url says where", config.data_dir.display()))?;
        if !folder.join(&name).is_dir() {
            bail!("the server at {url} has another data folder, in which it took {name}: give --url");
        }
        println!("{}", folder.join(name).display());
        return Ok(ExitCode::SUCCESS);
    };
    remove_incomplete(&RealDisk, &config.data_dir)?;
    let taken = snapshot_at_rest(&RealDisk, &config.data_dir, Clock::system().now_ms(), &BESIDE_THE_DATABASE)?;
    eprintln!("{} files, {}", taken.file_count, bytes(taken.bytes));
    println!("{}", taken.folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Asks a server for a snapshot; returns its name.
async fn ask(url: &ServerUrl) -> anyhow::Result<String> {
    let (status, body) = asking::post(url, PATH, ANSWER_TIMEOUT).await?;
    name_in(&body).map_err(|what| anyhow::anyhow!("the server at {url} took no snapshot: {status}: {what}"))
}

/// The snapshot's name in an answer of Prometheus's form, or what the answer says instead.
pub(super) fn name_in(body: &[u8]) -> Result<String, String> {
    let said = || String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    let answer: serde_json::Value = serde_json::from_slice(body).map_err(|_| said())?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    match text(&answer["data"]["name"]) {
        Some(name) if is_name(&name) => Ok(name),
        _ => {
            let hint = text(&answer["hint"]).map(|hint| format!(" ({hint})")).unwrap_or_default();
            Err(text(&answer["error"]).map_or_else(said, |error| error + &hint))
        }
    }
}

/// Whether it is a name as servers make them: it becomes a part of a path.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
