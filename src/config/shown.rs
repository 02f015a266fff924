//! The settings in force as YAML, for whoever asks the server over HTTP: what comes out can be given to another server,
//! but for what only the operator may know.
//!
//! Always true: of a webhook's address nothing is shown but where it goes, since its path may be a password, and of a
//! secret nothing but the file that it is in.

use super::settings::{BEFORE_CALENDAR, BEFORE_ESCALATION, LEARNED, SETTINGS, Slot};
use super::units::{bytes_text, duration_text};
use super::{AdminApi, Config, WalSync};

/// What stands where a secret would.
pub(super) const SECRET: &str = "<secret>";

impl Config {
    /// All settings as a file would have them, each with the value in force.
    pub fn shown(&self) -> String {
        let mut config = self.clone();
        let mut text = String::new();
        let mut section = "";
        for setting in SETTINGS {
            let (own_section, key) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
            if own_section != section {
                section = own_section;
                text.push_str(&format!("{section}:\n"));
            }
            let indent = if section.is_empty() { "" } else { "  " };
            if setting.name == "retention" && !self.retention_rules.is_empty() {
                self.show_retention(&mut text);
            } else {
                text.push_str(&format!("{indent}{key}: {}\n", value((setting.slot)(&mut config))));
            }
            if setting.name == BEFORE_CALENDAR {
                self.show_calendar(&mut text);
            }
            if setting.name == BEFORE_ESCALATION {
                self.show_escalation(&mut text);
            }
        }
        self.show_lists(&mut text);
        text
    }

    fn show_retention(&self, text: &mut String) {
        text.push_str("retention:\n");
        for rule in &self.retention_rules {
            let keep = duration_text(rule.keep_ms);
            text.push_str(&format!("- match: {}\n  keep: {keep}\n", quoted(&rule.selector)));
        }
        text.push_str(&format!("- keep: {}\n", duration_text(self.retention_ms)));
    }

    fn show_calendar(&self, text: &mut String) {
        let calendar = &self.detection.calendar;
        text.push_str(if calendar.is_empty() { "  calendar: []\n" } else { "  calendar:\n" });
        for span in calendar {
            text.push_str(&format!("  - {}\n", span.shown(quoted)));
        }
    }

    fn show_escalation(&self, text: &mut String) {
        let limits = self.incidents.acknowledge_within_ms.iter();
        let limits: Vec<String> =
            limits.map(|(severity, limit_ms)| format!("{}: {}", quoted(severity), duration_text(*limit_ms))).collect();
        text.push_str(&format!("  acknowledge_within: {{{}}}\n", limits.join(", ")));
        let steps = &self.incidents.escalation;
        text.push_str(if steps.is_empty() { "  escalation: []\n" } else { "  escalation:\n" });
        for step in steps {
            text.push_str(&format!("  - receiver: {}\n", quoted(&step.receiver)));
            if let Some(after_ms) = step.after_ms {
                text.push_str(&format!("    after: {}\n", duration_text(after_ms)));
            }
        }
    }

    fn show_lists(&self, text: &mut String) {
        let head = |name: &str, is_empty: bool| if is_empty { format!("{name}: []\n") } else { format!("{name}:\n") };
        text.push_str(&head("heartbeats", self.heartbeats.is_empty()));
        for heartbeat in &self.heartbeats {
            text.push_str(&format!("- {}\n", heartbeat.shown(quoted)));
        }
        text.push_str(&head("rules", self.rules.is_empty()));
        for file in &self.rules {
            text.push_str(&format!("- {}\n", quoted(&file.to_string_lossy())));
        }
        text.push_str(&head("webhooks", self.webhooks.is_empty()));
        for webhook in &self.webhooks {
            text.push_str(&format!("- name: {}\n  url: {}\n", quoted(&webhook.name), quoted(&masked(&webhook.url))));
            let files = [
                ("secret_file", &webhook.secret_file),
                ("secret_file_previous", &webhook.secret_file_previous),
                ("template_file", &webhook.template_file),
            ];
            for (key, file) in files {
                if let Some(file) = file {
                    text.push_str(&format!("  {key}: {}\n", quoted(&file.to_string_lossy())));
                }
            }
            if webhook.alerts_max > 0 {
                text.push_str(&format!("  max_alerts: {}\n", webhook.alerts_max));
            }
            if webhook.timeout_ms > 0 {
                text.push_str(&format!("  timeout: {}\n", duration_text(webhook.timeout_ms)));
            }
        }
        text.push_str(&head("alertmanagers", self.alertmanagers.is_empty()));
        for url in &self.alertmanagers {
            text.push_str(&format!("- url: {}\n", quoted(&masked(url))));
        }
        text.push_str(&head("maintenance", self.maintenance.is_empty()));
        for window in &self.maintenance {
            text.push_str(&format!("- {}\n", window.shown(quoted)));
        }
    }
}

fn value(slot: Slot<'_>) -> String {
    match slot {
        Slot::Duration(span_ms) => duration_text(*span_ms),
        Slot::LearnedDuration(None) => quoted(LEARNED),
        Slot::LearnedDuration(Some(span_ms)) => duration_text(*span_ms),
        Slot::Bytes(bytes) => bytes_text(*bytes),
        Slot::Count(count) => count.to_string(),
        Slot::SecretUrl(url) if url.is_empty() => quoted(""),
        Slot::SecretUrl(url) => quoted(&masked(url)),
        Slot::Folder(path) | Slot::OptionalFile(path) => quoted(&path.to_string_lossy()),
        Slot::Address(text)
        | Slot::OptionalAddress(text)
        | Slot::Pattern(text)
        | Slot::Zone(text)
        | Slot::OptionalName(text) => quoted(text),
        Slot::Url(url) => quoted(&without_password(url)),
        Slot::WalSync(WalSync::Always) => "always".to_owned(),
        Slot::WalSync(WalSync::Interval { interval_ms }) => format!("interval:{interval_ms}"),
        Slot::WalSync(WalSync::Os) => "os".to_owned(),
        // Quoted: to YAML the bare words are yes and no.
        Slot::AdminApi(AdminApi::Auto) => quoted("auto"),
        Slot::AdminApi(AdminApi::On) => quoted("on"),
        Slot::AdminApi(AdminApi::Off) => quoted("off"),
        Slot::Names(names) => quoted(&names.join(", ")),
        Slot::Switch(on) => quoted(if *on { "on" } else { "off" }),
    }
}

/// A string as JSON writes it, which YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The address up to its path; what is behind may be a token.
fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let hidden = if authority.len() > host.len() || path.len() > 1 { SECRET } else { "" };
    let slash = if hidden.is_empty() { path } else { "/" };
    format!("{scheme}://{host}{slash}{hidden}")
}

/// What was given for an address and is none, without what may be secret.
pub(super) fn no_address(given: &str) -> String {
    if given.contains(['/', '@']) { masked(given) } else { given.to_owned() }
}

/// The address without who calls it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{SECRET}@{host}{}", &rest[end..]),
        None => url.to_owned(),
    }
}
