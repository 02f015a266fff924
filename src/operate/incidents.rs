//! `dozor incidents`: what happened, from a terminal; and taking it.
//!
//! ```text
//! $ dozor incidents list
//! inc-5a1f09c2d4e6b781-1772366475000  open      critical  12:00:00Z  18 min  2.9 orders a second from eu; usual are 9.8
//! $ dozor incidents ack inc-5a1f09c2d4e6b781-1772366475000 --by ada
//! inc-5a1f09c2d4e6b781-1772366475000 is acknowledged by ada
//! $ dozor incidents show inc-5a1f09c2d4e6b781-1772366475000
//! ```
//!
//! The server is asked. The exit code is 0 if it did what was asked.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::asking::{self, Asked, ServerUrl};
use super::explain::picture;
use super::words::printable;
use crate::model::percent_encoded;

const PATH: &str = "/api/v1/incidents";
/// Incidents that are listed where it is not said how many.
const LISTED: u32 = 20;

/// Flags of `dozor incidents`.
#[derive(Clone, Debug, clap::Args)]
pub struct IncidentsArgs {
    #[command(subcommand)]
    order: Order,
    #[command(flatten)]
    server: Asked,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Order {
    /// Show the latest incidents, a line each
    List {
        /// Those that stand so: open, acknowledged, unknown or resolved
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Most of them
        #[arg(long, value_name = "COUNT", default_value_t = LISTED)]
        limit: u32,
    },
    /// Show all that is known of one
    Show {
        /// Its id
        id: String,
    },
    /// Take it: nobody else is woken from then on
    Ack {
        /// Its id
        id: String,
        /// Who takes it [default: $USER]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Write something to it
    Note {
        /// Its id
        id: String,
        /// What
        text: String,
        /// Who says it [default: $USER]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
}

/// Asks the server, and prints what it says.
pub async fn incidents(flags: IncidentsArgs) -> anyhow::Result<ExitCode> {
    let url = flags.server.url()?;
    let text = match flags.order {
        Order::List { state, limit } => {
            let state = state.map(|state| format!("&state={}", percent_encoded(&state))).unwrap_or_default();
            let answer = asking::get(&url, &format!("{PATH}?limit={limit}{state}")).await?;
            let listed: Listed = read(&url, answer)?.data;
            let lines = listed.incidents.iter().map(line).collect::<String>();
            if lines.is_empty() { "no incident\n".to_owned() } else { lines }
        }
        Order::Show { id } => {
            let answer = asking::get(&url, &format!("{PATH}/{}", in_path(&id)?)).await?;
            let text = shown(&read(&url, answer)?.data);
            text.lines().map(|line| printable(line) + "\n").collect()
        }
        Order::Ack { id, by } => {
            let body = json!({ "by": by_whom(by)? });
            let answer = asking::post_json(&url, &format!("{PATH}/{}/ack", in_path(&id)?), &body).await?;
            let Answer { data, warnings } = read::<Told>(&url, answer)?;
            warnings.iter().for_each(|warning| eprintln!("{warning}"));
            let by = data.acknowledged.map(|one| one.by).unwrap_or_default();
            format!("{id} is acknowledged by {by}\n")
        }
        Order::Note { id, text, by } => {
            let body = json!({ "by": by_whom(by)?, "text": text });
            let answer = asking::post_json(&url, &format!("{PATH}/{}/notes", in_path(&id)?), &body).await?;
            format!("{id} has {} notes\n", read::<Told>(&url, answer)?.data.notes.len())
        }
    };
    // Whoever reads only the first lines, as `head` does, has what he wants.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Listed {
    incidents: Vec<Told>,
}

/// An incident, as far as a terminal shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    id: String,
    state: String,
    title: String,
    severity: String,
    onset: String,
    detected_at: String,
    first_notified_at: Option<String>,
    acknowledged: Option<Said>,
    resolved_at: Option<String>,
    duration_seconds: f64,
    lag_seconds: f64,
    signals: Vec<Signal>,
    runbook_url: Option<String>,
    notes: Vec<Said>,
    escalations: Vec<Said>,
    deliveries: Vec<Said>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signal {
    labels: std::collections::BTreeMap<String, String>,
    starts_at: String,
    ends_at: Option<String>,
    value: Option<f64>,
    expected: Option<f64>,
    #[serde(default)]
    chart: Vec<(f64, Option<f64>, Option<f64>)>,
    silenced_by: Option<SilencedBy>,
}

/// What held a signal back when it began.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SilencedBy {
    id: String,
    created_by: String,
    comment: String,
}

/// Something that somebody said or did.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    at: String,
    by: String,
    text: String,
    receiver: String,
    result: String,
    reason: String,
}

fn read<T: for<'de> Deserialize<'de>>(
    url: &ServerUrl,
    (status, body): (reqwest::StatusCode, Vec<u8>),
) -> anyhow::Result<Answer<T>> {
    let not_ours = || format!("{url}{PATH} answers {status} and no JSON of ours");
    let value: Value = serde_json::from_slice(&body).with_context(not_ours)?;
    if let Some(error) = value["error"].as_str() {
        let hint = value["hint"].as_str().map(|hint| format!(" ({hint})")).unwrap_or_default();
        bail!("the server at {url} says: {error}{hint}");
    }
    serde_json::from_value(value).with_context(not_ours)
}

/// An id as a part of an address.
fn in_path(id: &str) -> anyhow::Result<&str> {
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_plain { Ok(id) } else { bail!("{id:?} is no id of an incident: `dozor incidents list` shows them") }
}

fn by_whom(by: Option<String>) -> anyhow::Result<String> {
    let by = by.or_else(|| std::env::var("USER").ok()).filter(|by| !by.is_empty());
    by.context("nobody is named: give --by")
}

fn line(incident: &Told) -> String {
    let Told { id, state, severity, onset, duration_seconds, title, .. } = incident;
    let severity = if severity.is_empty() { "-" } else { severity };
    let title = printable(title);
    format!("{id}  {state:<12}  {severity:<8}  {}  {:>7}  {title}\n", short(onset), span(*duration_seconds))
}

fn shown(incident: &Told) -> String {
    let mut text = format!("{}\n{}  {}  {}\n", incident.title, incident.id, incident.state, incident.severity);
    let mut tell = |what: &str, told: Option<&str>| {
        if let Some(told) = told.filter(|told| !told.is_empty()) {
            writeln!(text, "  {what:<13} {told}").expect("a string takes all writes");
        }
    };
    let acknowledged = incident.acknowledged.as_ref().map(|one| format!("{} by {}", one.at, one.by));
    tell("began", Some(&incident.onset));
    tell("seen", Some(&format!("{} (samples were {} behind)", incident.detected_at, span(incident.lag_seconds))));
    tell("told", incident.first_notified_at.as_deref());
    tell("acknowledged", acknowledged.as_deref());
    tell("resolved", incident.resolved_at.as_deref());
    tell("lasts", Some(&span(incident.duration_seconds)));
    tell("what to do", incident.runbook_url.as_deref());
    for signal in &incident.signals {
        text.push_str(&told_signal(signal));
    }
    for note in &incident.notes {
        writeln!(text, "note {} {}: {}", note.at, note.by, note.text).expect("a string takes all writes");
    }
    for told in &incident.escalations {
        writeln!(text, "escalated {} to {}", told.at, told.receiver).expect("a string takes all writes");
    }
    for Said { at, receiver, result, reason, .. } in &incident.deliveries {
        writeln!(text, "delivery {at} {receiver}: {result} ({reason})").expect("a string takes all writes");
    }
    text
}

fn told_signal(signal: &Signal) -> String {
    let labels = signal.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
    let name = signal.labels.get("alertname").map_or("", String::as_str);
    let until = signal.ends_at.as_deref().unwrap_or("now");
    let mut text = format!("{name}{{{}}}  {} to {until}\n", labels.join(","), signal.starts_at);
    if let Some(SilencedBy { id, created_by, comment }) = &signal.silenced_by {
        let said = [created_by, comment].into_iter().filter(|said| !said.is_empty());
        let said: Vec<&str> = said.map(String::as_str).collect();
        let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join(": ")) };
        writeln!(text, "  silenced when it began, by {id}{said}").expect("a string takes all writes");
    }
    if let Some(value) = signal.value {
        let expected = signal.expected.map(|expected| format!(", expected {expected:.4}")).unwrap_or_default();
        writeln!(text, "  value {value:.4}{expected}").expect("a string takes all writes");
    }
    if signal.chart.len() > 1 {
        text.push_str(&picture(&signal.chart, None));
    }
    text
}

/// The time of day of an RFC 3339 time of today or another day, as far as a line has room.
fn short(time: &str) -> String {
    time.get(..16).map_or_else(|| time.to_owned(), |minutes| format!("{}Z", minutes.replace('T', " ")))
}

fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5_400.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        seconds => format!("{:.1} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        let text = r#"{"id":"inc-1-2","state":"open","title":"few orders","severity":"critical","onset":"2026-03-01T12:00:00.000Z",
            "detectedAt":"2026-03-01T12:01:15.000Z","firstNotifiedAt":null,"acknowledged":{"by":"ada","at":"2026-03-01T12:02:00.000Z"},
            "resolvedAt":null,"durationSeconds":1080,"lagSeconds":2,"runbookUrl":null,"escalations":[],"deliveries":[],
            "signals":[{"labels":{"alertname":"Orders","region":"eu"},"startsAt":"2026-03-01T12:01:15.000Z","endsAt":null,
                "silencedBy":{"id":"5c1","createdBy":"ada","comment":"new switch"},"value":2.9,"expected":9.8,"chart":[]}],
            "notes":[{"at":"2026-03-01T12:03:00.000Z","by":"bob","text":"it is the bank"}]}"#;
        serde_json::from_str(text).expect("an incident as the server writes it")
    }

    #[test]
    fn incident_is_a_line_of_a_list() {
        assert_eq!(line(&told()), "inc-1-2  open          critical  2026-03-01 12:00Z   18 min  few orders\n");
    }

    #[test]
    fn title_of_a_stranger_steers_no_terminal() {
        let told = Told { title: "few\u{1b}[2J\norders\u{9b}".to_owned(), ..told() };
        assert!(line(&told).ends_with("18 min  few [2J orders \n"), "{:?}", line(&told));
    }

    #[test]
    fn incident_is_shown_with_all_that_is_known() {
        let text = shown(&told());
        for line in [
            "few orders\n",
            "acknowledged  2026-03-01T12:02:00.000Z by ada\n",
            "(samples were 2 s behind)\n",
            "Orders{region=\"eu\"}  2026-03-01T12:01:15.000Z to now\n  silenced when it began, by 5c1 (ada: new switch)\n  value 2.9000, expected 9.8000\n",
            "note 2026-03-01T12:03:00.000Z bob: it is the bank\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("resolved"), "{text}");
    }

    #[test]
    fn id_that_would_be_another_address_is_refused() {
        assert!(in_path("inc-0a-1").is_ok());
        for id in ["", "..", "a/b", "a?b", "a b"] {
            assert!(in_path(id).is_err(), "{id}");
        }
    }
}
