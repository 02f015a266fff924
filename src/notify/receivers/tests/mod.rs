//! Receivers against what a real Alertmanager sends, against what services answer, and against strangers' labels.

mod as_alertmanager;
mod hostile;
mod reading;
mod repeating;
mod sending;
mod server;

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Global, Integration, IntegrationConfig, Mistake, ReceiverFile, Surroundings, read};
use crate::clock::Clock;
use crate::model::Labels;
use crate::notify::{Alert, Message, MessageAlert};

/// Sunday, 22 November 2026, 12:00 UTC.
const NOON_MS: i64 = 1_795_348_800_000;

#[derive(Deserialize)]
struct File {
    global: Option<Global>,
    receivers: Vec<Spanned<ReceiverFile>>,
    #[serde(default)]
    templates: Vec<Spanned<String>>,
}

/// The integrations of a file, and what is wrong with it as `line:column: what; hint`.
fn read_file(yaml: &str, folder: &Path) -> (Vec<IntegrationConfig>, Vec<String>) {
    let file: File = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}"));
    let surroundings = Surroundings { global: file.global.as_ref(), folder, templates: &file.templates };
    let mut mistakes = Vec::new();
    let receivers = read(&surroundings, &file.receivers, &mut mistakes);
    let shown = |mistake: &Mistake| {
        let place = mistake.location;
        format!("{}:{}: {}; {}", place.line(), place.column(), mistake.what, mistake.hint)
    };
    (receivers.into_iter().flat_map(|receiver| receiver.integrations).collect(), mistakes.iter().map(shown).collect())
}

fn integrations(yaml: &str) -> Vec<Integration> {
    let (configs, mistakes) = read_file(yaml, Path::new("/nowhere"));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    configs.iter().map(prepared).collect()
}

fn prepared(config: &IntegrationConfig) -> Integration {
    let timeout = Duration::from_secs(5);
    Integration::new(config, "http://am.example", Clock::system(), timeout).unwrap_or_else(|error| panic!("{error}"))
}

/// One integration of a kind, on one line.
fn integration(kind: &str, keys: &str) -> Integration {
    integrations(&format!("receivers: [{{ name: duty, {kind}_configs: [{{ {keys} }}] }}]")).remove(0)
}

fn alert(region: &str, ends_at_ms: Option<i64>) -> Alert {
    let pairs = [("alertname", "OrderRateDrop"), ("job", "shop"), ("region", region), ("severity", "critical")];
    Alert {
        labels: Labels::from_pairs(pairs).unwrap(),
        annotations: vec![("summary".to_owned(), "Orders fell".to_owned())],
        starts_at_ms: NOON_MS,
        ends_at_ms,
        generator_url: String::new(),
    }
}

fn message_of(alerts: Vec<Alert>) -> Message {
    Message {
        id: "msg-1".to_owned(),
        receiver: "duty".to_owned(),
        group_key: r#"{}:{alertname="OrderRateDrop"}"#.to_owned(),
        group_labels: Labels::from_pairs([("alertname", "OrderRateDrop")]).unwrap(),
        alerts: alerts.into_iter().map(|alert| MessageAlert { alert, incident: String::new() }).collect(),
        truncated_count: 0,
        made_at_ms: NOON_MS + 1500,
        is_joint: false,
    }
}

fn body(integration: &Integration, message: &Message) -> Value {
    serde_json::from_slice(&integration.request(message).unwrap().body).unwrap()
}
