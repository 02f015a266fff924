//! `dozor calendar add`, `list` and `remove`: days that are not like others, announced to a running server.
//!
//! ```text
//! $ dozor calendar add --from 2026-11-27T14:00 --to 2026-11-27T18:00 --comment "flash sale" --author dana
//! 7f3a9c21
//! $ dozor calendar list
//! 7f3a9c21  pending  campaign  2026-11-27T13:00:00.000Z to 2026-11-27T17:00:00.000Z  0.6
//!     dana: flash sale
//! settings  holiday  12-24T00:00:00 to 12-26  0.6  Christmas
//! ```

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::asking::{self, Asked, ServerUrl};
use crate::clock::Clock;
use crate::config::parse_duration_ms;
use crate::notify::rfc3339;

const PATH: &str = "/api/v1/calendar";

/// Flags of `dozor calendar`.
#[derive(Clone, Debug, clap::Args)]
pub struct CalendarArgs {
    #[command(subcommand)]
    order: Order,
    #[command(flatten)]
    server: Asked,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Order {
    /// Announce a time that will not be like others; prints its id
    Add(AddArgs),
    /// Show what was announced, and what the settings have
    List {
        /// What is over too
        #[arg(long)]
        all: bool,
    },
    /// Take back what was announced
    Remove {
        /// Ids, as `list` shows them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

/// Flags of `dozor calendar add`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AddArgs {
    /// From when on: 2026-11-27T14:00 by the shop's clock, 2026-11-27, or 2026-11-27T14:00:00+01:00 [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when; a day without a time is that day's end
    #[arg(long, value_name = "TIME", required_unless_present = "duration")]
    to: Option<String>,
    /// For how long from now on, like 90m or 2h
    #[arg(long = "for", value_name = "DURATION", conflicts_with_all = ["from", "to"])]
    duration: Option<String>,
    /// Why it is not like others: campaign, holiday or deploy
    #[arg(long, value_name = "KIND", default_value = "campaign")]
    kind: String,
    /// How far from ordinary a rate may be: 0.6 excuses 40 to 160 % [default: 0.6, of a deploy 0.3]
    #[arg(long, value_name = "FRACTION")]
    tolerance: Option<f64>,
    /// What it is
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// Who announces it [default: whoever is logged in]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

/// Does it. Fails with what the server says.
pub async fn calendar(flags: CalendarArgs) -> anyhow::Result<ExitCode> {
    let url = flags.server.url()?;
    match flags.order {
        Order::Add(flags) => {
            let body = request(&flags, Clock::system().now_ms())?;
            let answer = ask(&url, Method::POST, PATH, Some(&body)).await?;
            for warning in answer["warnings"].as_array().into_iter().flatten() {
                eprintln!("{}", warning.as_str().unwrap_or_default());
            }
            println!("{}", text_at(&answer["data"], "id"));
        }
        Order::List { all } => {
            let answer = ask(&url, Method::GET, PATH, None).await?;
            // Whoever reads only the first lines, as `head` does, has what he wants.
            let _ = std::io::stdout().write_all(listed(&answer["data"], all).as_bytes());
        }
        Order::Remove { ids } => {
            for id in &ids {
                if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    bail!("{id:?} is no id of a span: `dozor calendar list` shows them");
                }
                ask(&url, Method::DELETE, &format!("{PATH}/{id}"), None).await?;
                eprintln!("{id} is taken back");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked of the server.
pub(super) fn request(flags: &AddArgs, now_ms: i64) -> anyhow::Result<Value> {
    let author = flags.author.clone().or_else(|| std::env::var("USER").ok()).filter(|author| !author.is_empty());
    let author = author.context("--author says who announces it")?;
    let to = match (&flags.to, &flags.duration) {
        (Some(to), _) => to.clone(),
        (None, duration) => {
            let duration = duration.as_deref().context("--to or --for says until when")?;
            let for_ms = parse_duration_ms(duration).map_err(|what| anyhow::anyhow!("--for: {what}"))?;
            rfc3339(now_ms.saturating_add(for_ms))
        }
    };
    let mut body = json!({ "kind": flags.kind, "to": to, "by": author, "comment": flags.comment });
    if let Some(from) = flags.from.as_deref().filter(|from| *from != "now") {
        body["from"] = from.into();
    }
    if let Some(tolerance) = flags.tolerance {
        body["tolerance"] = tolerance.into();
    }
    Ok(body)
}

async fn ask(url: &ServerUrl, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let (status, answer) = asking::send(url, method, path, body).await?;
    let answer: Value =
        serde_json::from_slice(&answer).with_context(|| format!("{url} answers {status}, and not as Dozor does"))?;
    match (answer["error"].as_str(), answer["hint"].as_str()) {
        (Some(error), Some(hint)) => bail!("{error} ({hint})"),
        (Some(error), None) => bail!("{error}"),
        (None, _) => Ok(answer),
    }
}

/// Two lines a span that was announced, one a span of the settings.
pub(super) fn listed(data: &Value, all: bool) -> String {
    let mut text = String::new();
    for span in data["announced"].as_array().into_iter().flatten() {
        let at = |name| text_at(span, name);
        if at("state") != "over" || all {
            let (from, to, tolerance) = (at("from"), at("to"), &span["tolerance"]);
            let _ = writeln!(text, "{}  {}  {}  {from} to {to}  {tolerance}", at("id"), at("state"), at("kind"));
            let _ = writeln!(text, "    {}: {}", at("by"), at("comment"));
        }
    }
    for span in data["settings"].as_array().into_iter().flatten() {
        let at = |name| text_at(span, name);
        let (from, to, tolerance) = (at("from"), at("to"), &span["tolerance"]);
        let _ = writeln!(text, "settings  {}  {from} to {to}  {tolerance}  {}", at("kind"), at("name"));
    }
    text
}

fn text_at<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}
