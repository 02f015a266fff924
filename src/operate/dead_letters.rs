//! `dozor dead-letters list` and `replay`: what a receiver could not be told, and telling it once more.
//!
//! ```text
//! $ dozor dead-letters list
//! 2026-03-01T12:00:07.210Z  8d3c…-1772366400000-firing  pager  400 Bad Request: no such service
//! $ dozor dead-letters replay 8d3c…-1772366400000-firing --receiver backup-pager
//! ```

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::asking::{self, Asked, ServerUrl};
use super::words::printable;
use crate::model::percent_encoded;

const PATH: &str = "/api/v1/dead_letters";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Flags of `dozor dead-letters`.
#[derive(Clone, Debug, clap::Args)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Print what could not be told: when it was given up, its id, the receiver, and why
    List(ListArgs),
    /// Tell it once more; exit code 0: it is on its way
    Replay(ReplayArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    server: Asked,
}

#[derive(Clone, Debug, clap::Args)]
struct ReplayArgs {
    /// Id of the dead letter
    id: String,
    /// Whom to tell [default: the receiver that it was for]
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    #[command(flatten)]
    server: Asked,
}

/// Does what the flags say; the server must run.
pub async fn dead_letters(flags: DeadLettersArgs) -> anyhow::Result<ExitCode> {
    match flags.what {
        What::List(flags) => list(&flags.server.url()?).await,
        What::Replay(flags) => replay(&flags.server.url()?, &flags.id, flags.receiver.as_deref()).await,
    }
}

async fn list(url: &ServerUrl) -> anyhow::Result<ExitCode> {
    let (status, body) = asking::get(url, PATH).await?;
    let answer: Value =
        serde_json::from_slice(&body).with_context(|| format!("{url} answered {status} without JSON"))?;
    let Some(letters) = answer["data"]["deadLetters"].as_array() else { bail!("{url} answered {status}: {answer}") };
    for letter in letters {
        println!("{}", line(letter));
    }
    eprintln!("{} dead letters", letters.len());
    Ok(ExitCode::SUCCESS)
}

/// One dead letter for people and `awk`.
pub(super) fn line(letter: &Value) -> String {
    ["at", "id", "receiver", "reason"].map(|name| printable(letter[name].as_str().unwrap_or("?"))).join("  ")
}

async fn replay(url: &ServerUrl, id: &str, receiver: Option<&str>) -> anyhow::Result<ExitCode> {
    let mut path = format!("{PATH}/replay?id={}", percent_encoded(id));
    if let Some(receiver) = receiver {
        path.push_str(&format!("&receiver={}", percent_encoded(receiver)));
    }
    let (status, body) = asking::post(url, &path, ANSWER_TIMEOUT).await?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    match answer["data"]["accepted"].as_bool() {
        Some(true) => println!("on its way"),
        Some(false) => println!("it was sent again before"),
        None => {
            let said = answer["error"].as_str().unwrap_or_default();
            let hint = answer["hint"].as_str().map(|hint| format!(" ({hint})")).unwrap_or_default();
            bail!("the server at {url} did not take it: {status}: {said}{hint}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
