//! PagerDuty's Events API, version 2.
//!
//! ```json
//! {"routing_key":"…","dedup_key":"fd48…","event_action":"trigger",
//!  "payload":{"summary":"[FIRING:2] OrderRateDrop (shop critical)","source":"Dozor","severity":"critical",
//!             "timestamp":"2026-03-01T12:00:00.000Z","custom_details":{"firing":[…],"num_firing":2,…}},
//!  "client":"Dozor","client_url":"http://dozor.example"}
//! ```
//!
//! Always true: a group is one PagerDuty incident from its first page to its end, for `dedup_key` is made of the group alone, as
//! Alertmanager makes it: one can take over from the other while an incident lasts.

use std::fmt::Write;

use reqwest::Url;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::client::Request;
use super::integration::{Told, address, cut};
use super::options::{PagerDutyOptions, Source};
use super::shape::Hidden;
use super::templates::Filling;
use crate::notify::{Status, rfc3339};

/// Longest event that PagerDuty takes, in bytes.
const EVENT_BYTES_MAX: usize = 512_000;
/// Longest summary, in letters.
const SUMMARY_LETTERS_MAX: usize = 1024;
/// What PagerDuty knows.
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// What stands in `custom_details` unless the configuration says otherwise.
pub(super) const DETAILS: [(&str, &str); 4] = [
    ("firing", "{{ .Alerts.Firing | toJson }}"),
    ("resolved", "{{ .Alerts.Resolved | toJson }}"),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
];
pub(super) const DESCRIPTION: &str = r#"{{ template "pagerduty.default.description" . }}"#;
pub(super) const CLIENT: &str = r#"{{ template "pagerduty.default.client" . }}"#;
pub(super) const CLIENT_URL: &str = r#"{{ template "pagerduty.default.clientURL" . }}"#;
pub(super) const SEVERITY: &str = "error";

pub(super) struct PagerDuty {
    pub(super) url: Url,
    pub(super) routing_key: Hidden,
    options: PagerDutyOptions,
}

#[derive(Serialize)]
struct Event<'a> {
    routing_key: &'a str,
    dedup_key: String,
    event_action: &'static str,
    payload: Payload,
    #[serde(skip_serializing_if = "String::is_empty")]
    client: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: String,
    timestamp: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    class: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    component: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    custom_details: Map<String, Value>,
}

#[derive(Serialize)]
struct Image {
    src: String,
    alt: String,
    href: String,
}

#[derive(Serialize)]
struct Link {
    href: String,
    text: String,
}

impl PagerDuty {
    pub(super) fn new(options: &PagerDutyOptions) -> Result<PagerDuty, String> {
        let url = address(&Source::Given(Hidden::new(&options.url)))?;
        Ok(PagerDuty { url, routing_key: options.routing_key.read()?, options: options.clone() })
    }

    pub(super) fn request(&self, told: &Told<'_>) -> Result<Request, String> {
        let (filling, options) = (told.filling(), &self.options);
        let client = filling.text("client", &options.client, CLIENT);
        let source = filling.text("source", &options.source, CLIENT);
        let summary = filling.text("description", &options.description, DESCRIPTION);
        let starts = told.message.alerts.iter().map(|one| one.alert.starts_at_ms).min().unwrap_or(told.now_ms);
        let mut event = Event {
            routing_key: self.routing_key.reveal(),
            dedup_key: dedup_key(&told.message.group_key),
            event_action: if told.message.status() == Status::Firing { "trigger" } else { "resolve" },
            payload: Payload {
                summary: cut(
                    if summary.trim().is_empty() { told.message.group_key.clone() } else { summary },
                    SUMMARY_LETTERS_MAX,
                ),
                source: if source.is_empty() { "Dozor".to_owned() } else { source },
                severity: severity(&filling.text("severity", &options.severity, SEVERITY)).to_owned(),
                timestamp: rfc3339(starts),
                class: filling.text("class", &options.class, ""),
                component: filling.text("component", &options.component, ""),
                group: filling.text("group", &options.group, ""),
                custom_details: details(&filling, &options.details),
            },
            client,
            client_url: filling.text("client_url", &options.client_url, CLIENT_URL),
            images: self.images(&filling),
            links: self.links(&filling),
        };
        Ok(Request { url: self.url.clone(), headers: Vec::new(), body: fitting(&mut event) })
    }

    fn images(&self, filling: &Filling<'_>) -> Vec<Image> {
        let image = |[src, href, alt]: &[super::templates::Text; 3]| Image {
            src: filling.text("images.src", src, ""),
            alt: filling.text("images.alt", alt, ""),
            href: filling.text("images.href", href, ""),
        };
        self.options.images.iter().map(image).filter(|image| !image.src.is_empty()).collect()
    }

    fn links(&self, filling: &Filling<'_>) -> Vec<Link> {
        let link = |[href, text]: &[super::templates::Text; 2]| Link {
            href: filling.text("links.href", href, ""),
            text: filling.text("links.text", text, ""),
        };
        self.options.links.iter().map(link).filter(|link| !link.href.is_empty()).collect()
    }
}

/// SHA-256 of the group's key, in hexadecimal digits: 64 letters, of 255 that PagerDuty takes.
fn dedup_key(group_key: &str) -> String {
    Sha256::digest(group_key.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The word that PagerDuty knows for what people write. What nobody knows is an error, rather than a page that is refused.
fn severity(word: &str) -> &'static str {
    let word = word.trim().to_ascii_lowercase();
    match SEVERITIES.iter().find(|known| **known == word) {
        Some(known) => known,
        None => match word.as_str() {
            "page" | "emergency" | "disaster" | "fatal" | "crit" | "p1" | "sev1" => "critical",
            "warn" | "ticket" | "p3" | "sev3" => "warning",
            "none" | "notice" | "low" | "informational" | "p4" | "p5" | "sev4" => "info",
            _ => "error",
        },
    }
}

/// What looks like a list, a map or a number is one.
fn details(filling: &Filling<'_>, details: &[(String, super::templates::Text)]) -> Map<String, Value> {
    let value = |(name, text): &(String, super::templates::Text)| {
        let filled = filling.text(name, text, "");
        let value = serde_json::from_str(&filled).ok().filter(|value: &Value| !value.is_string() && !value.is_null());
        (name.clone(), value.unwrap_or(Value::String(filled)))
    };
    details.iter().map(value).collect()
}

/// The event as JSON; where it is too long, lists in its details are halved until it is not.
fn fitting(event: &mut Event<'_>) -> Vec<u8> {
    let written = |event: &Event<'_>| serde_json::to_vec(event).expect("maps with string keys are always JSON");
    let mut body = written(event);
    while body.len() > EVENT_BYTES_MAX {
        let details = &mut event.payload.custom_details;
        let longest = details.values_mut().filter_map(Value::as_array_mut).max_by_key(|list| list.len());
        match longest.filter(|list| !list.is_empty()) {
            Some(list) => {
                list.truncate(list.len() / 2);
                let note = format!("left off, for PagerDuty takes {EVENT_BYTES_MAX} bytes");
                // Behind the halving: the note is no list.
                details.insert("some_alerts".to_owned(), Value::String(note));
            }
            None => {
                let note = format!("removed, for PagerDuty takes {EVENT_BYTES_MAX} bytes");
                event.payload.custom_details = Map::from_iter([("error".to_owned(), Value::String(note))]);
                event.images.clear();
                event.links.clear();
                return written(event);
            }
        }
        body = written(event);
    }
    body
}
