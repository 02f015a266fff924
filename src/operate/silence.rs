//! `dozor silence add`, `list` and `expire`: asked of a running server, by the interface that Alertmanager has.

use std::process::ExitCode;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::asking::{self, Asked};
use crate::clock::Clock;
use crate::config::parse_duration_ms;
use crate::model::{MatchOp, Matcher};
use crate::notify::{Matchers, rfc3339};

const SILENCES: &str = "/api/v2/silences";
const SILENCE: &str = "/api/v2/silence";

/// What `dozor silence` does.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum SilenceArgs {
    /// Hold alerts back for a while; prints the silence's id
    Add(AddArgs),
    /// Show the silences that are active or will be
    List(ListArgs),
    /// End silences now
    Expire(ExpireArgs),
}

/// Flags of `dozor silence add`.
#[derive(Clone, Debug, clap::Args)]
pub struct AddArgs {
    #[command(flatten)]
    server: Asked,
    /// Which alerts, by their labels, like alertname=SlowPage or 'shop=~"eu|us"'; all of them must be satisfied
    #[arg(required = true, value_name = "MATCHER")]
    matchers: Vec<String>,
    /// For how long, like 90m or 2h
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    duration: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// Who wants it [default: whoever is logged in]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

/// Flags of `dozor silence list`.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    server: Asked,
    /// Those that have expired too
    #[arg(long)]
    expired: bool,
}

/// Flags of `dozor silence expire`.
#[derive(Clone, Debug, clap::Args)]
pub struct ExpireArgs {
    #[command(flatten)]
    server: Asked,
    /// Ids, as `list` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

/// Does it. Fails with what the server says.
pub async fn silence(flags: SilenceArgs) -> anyhow::Result<ExitCode> {
    match flags {
        SilenceArgs::Add(flags) => add(flags).await,
        SilenceArgs::List(flags) => list(flags).await,
        SilenceArgs::Expire(flags) => expire(flags).await,
    }
}

async fn ask(server: &Asked, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let url = server.url()?;
    let (status, answer) = asking::send(&url, method, path, body).await?;
    let answer: Value = serde_json::from_slice(&answer)
        .with_context(|| format!("{url} answers {status}, and not as Alertmanager does"))?;
    match answer {
        Value::String(what) if status != StatusCode::OK => bail!("{what}"),
        _ if status != StatusCode::OK => bail!("{url} answers {status}: {answer}"),
        answer => Ok(answer),
    }
}

async fn add(flags: AddArgs) -> anyhow::Result<ExitCode> {
    let body = request(&flags, Clock::system().now_ms())?;
    let answer = ask(&flags.server, Method::POST, SILENCES, Some(&body)).await?;
    println!("{}", answer["silenceID"].as_str().unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}

/// What is asked of the server.
pub(super) fn request(flags: &AddArgs, now_ms: i64) -> anyhow::Result<Value> {
    let mut matchers = Vec::new();
    for text in &flags.matchers {
        let parsed = Matchers::parse(text).map_err(|what| anyhow::anyhow!("{text}: {what}"))?;
        matchers.extend(parsed.iter().map(matcher));
    }
    let duration_ms = parse_duration_ms(&flags.duration).map_err(|what| anyhow::anyhow!("--duration: {what}"))?;
    let author = flags.author.clone().or_else(|| std::env::var("USER").ok()).filter(|author| !author.is_empty());
    let author = author.context("--author says who wants it")?;
    Ok(json!({
        "matchers": matchers,
        "startsAt": rfc3339(now_ms),
        "endsAt": rfc3339(now_ms.saturating_add(duration_ms)),
        "createdBy": author,
        "comment": flags.comment,
    }))
}

fn matcher(matcher: &Matcher) -> Value {
    let is_equal = matches!(matcher.op(), MatchOp::Equal | MatchOp::Matches);
    json!({
        "name": matcher.name(), "value": matcher.value(), "isRegex": matcher.op().is_pattern(), "isEqual": is_equal,
    })
}

async fn list(flags: ListArgs) -> anyhow::Result<ExitCode> {
    let answer = ask(&flags.server, Method::GET, SILENCES, None).await?;
    for silence in answer.as_array().context("the server does not answer with a list")? {
        let text = |name: &str| silence[name].as_str().unwrap_or_default().to_owned();
        let state = silence["status"]["state"].as_str().unwrap_or_default();
        if state != "expired" || flags.expired {
            let matchers: Vec<String> = silence["matchers"].as_array().into_iter().flatten().map(shown).collect();
            let (from, until) = (text("startsAt"), text("endsAt"));
            println!("{}  {state}  {from} to {until}  {}", text("id"), matchers.join(","));
            println!("    {}: {}", text("createdBy"), text("comment"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A condition of the server's answer, as people write it.
fn shown(matcher: &Value) -> String {
    let op = match (matcher["isEqual"].as_bool().unwrap_or(true), matcher["isRegex"].as_bool().unwrap_or(false)) {
        (true, false) => "=",
        (false, false) => "!=",
        (true, true) => "=~",
        (false, true) => "!~",
    };
    format!("{}{op}{}", matcher["name"].as_str().unwrap_or_default(), matcher["value"])
}

async fn expire(flags: ExpireArgs) -> anyhow::Result<ExitCode> {
    for id in &flags.ids {
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            bail!("{id:?} is no id of a silence");
        }
        ask(&flags.server, Method::DELETE, &format!("{SILENCE}/{id}"), None).await?;
        eprintln!("{id} has ended");
    }
    Ok(ExitCode::SUCCESS)
}
