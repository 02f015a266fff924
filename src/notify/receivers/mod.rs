//! Who is told, and in which words: receivers and their integrations.
//!
//! ```text
//! receivers:                          file.rs     as it was written, every value with its place
//! - name: duty                        read.rs     what it means, or all that is wrong with it
//!   pagerduty_configs: [{ … }]   ─►   ReceiverConfig { name: "duty", integrations: [duty] }
//!                                     Integration::new, once; Integration::attempt, once a message and attempt
//! ```
//!
//! Always true:
//! 1. What is secret is read from the configuration or from its file when the configuration is taken, goes into the
//!    request in which it belongs, and is shown nowhere else.
//! 2. Whatever an operator's template does, something is sent.

mod alertmanager;
mod client;
mod facts;
mod file;
mod integration;
mod options;
mod pagerduty;
mod read;
mod read_kinds;
mod shape;
mod slack;
mod telegram;
mod templates;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use super::joint::JOINT_ALERTS_MAX;
use super::secret::read_text_file;
use super::{Message, NotifyError, Secret, payload};
use crate::config::WebhookConfig;
pub use alertmanager::AlertmanagerPeer;
pub(in crate::notify) use client::{Request, Sender};
pub(crate) use file::{Global, ReceiverFile};
pub use integration::Integration;
pub(crate) use options::HttpOptions;
use options::{KindOptions, Source, WebhookOptions};
#[cfg(test)]
pub(crate) use read::Mistake;
pub(crate) use read::{Surroundings, read};
use shape::Hidden;
use templates::Templates;

/// Longest template file of a webhook, in bytes.
const TEMPLATE_BYTES_MAX: u64 = 1 << 16;

/// A receiver: a name that routes use, and everything that is told when it is.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Its name.
    pub name: String,
    /// May be empty: such a receiver takes alerts and tells nobody.
    pub integrations: Vec<IntegrationConfig>,
}

/// One way to tell somebody.
#[derive(Clone, Debug)]
pub struct IntegrationConfig {
    /// In the outbox and the log: `<receiver>` for the first, `<receiver>/<kind>/<index>` for the others.
    pub name: String,
    /// Whether the end of an alert is told too.
    pub sends_resolved: bool,
    /// The receiver as bodies name it.
    receiver: String,
    /// Longest attempt, if it says so.
    timeout: Option<Duration>,
    http: HttpOptions,
    kind: KindOptions,
    templates: Arc<Templates>,
}

/// A webhook of Dozor's own configuration.
#[derive(Clone, Debug, Default)]
pub struct WebhookSettings {
    /// Its name, in bodies too.
    pub name: String,
    /// `http://` or `https://`.
    pub url: String,
    /// Keys that sign, the newest first; while keys are changed there are two.
    pub secrets: Vec<Secret>,
    /// A body in minijinja's language.
    pub template: Option<String>,
    /// Most alerts in one message; 0 is all.
    pub alerts_max: u64,
    /// Longest attempt, if it says so.
    pub timeout: Option<Duration>,
}

impl IntegrationConfig {
    /// As [`IntegrationConfig::of_webhook`], with the files of its keys and its template read.
    pub fn from_config(config: &WebhookConfig) -> Result<IntegrationConfig, NotifyError> {
        let refuse = |what: String| NotifyError::Receiver { receiver: config.name.clone(), what };
        let keys = [&config.secret_file, &config.secret_file_previous].into_iter().flatten();
        let secrets: Result<Vec<Secret>, _> = keys.map(|file| Secret::from_file(file)).collect();
        let template = config.template_file.as_ref().map(|file| {
            let text = read_text_file(file, TEMPLATE_BYTES_MAX);
            text.map_err(|what| refuse(format!("its template {}: {what}", file.display())))
        });
        Ok(IntegrationConfig::of_webhook(WebhookSettings {
            name: config.name.clone(),
            url: config.url.clone(),
            secrets: secrets.map_err(|error| refuse(error.to_string()))?,
            template: template.transpose()?,
            alerts_max: config.alerts_max,
            timeout: u64::try_from(config.timeout_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis),
        }))
    }

    /// Most alerts that it is told in one message where nothing is grouped and too many wait; 1: it is told of each by
    /// itself. A template may have been written for one alert, unless it is said how many it gets.
    pub(super) fn joint_max(&self) -> usize {
        let KindOptions::Webhook(options) = &self.kind else { return 1 };
        match (options.alerts_max, &options.template) {
            (0, Some(_)) => 1,
            (0, None) => JOINT_ALERTS_MAX,
            (alerts_max, _) => usize::try_from(alerts_max).unwrap_or(usize::MAX).min(JOINT_ALERTS_MAX),
        }
    }

    /// What a webhook of Dozor's own configuration comes to. It hears of the end of alerts too.
    pub fn of_webhook(settings: WebhookSettings) -> IntegrationConfig {
        let WebhookSettings { name, url, secrets, template, alerts_max, timeout } = settings;
        let url = Source::Given(Hidden::new(&url));
        IntegrationConfig {
            receiver: name.clone(),
            name,
            sends_resolved: true,
            timeout,
            http: HttpOptions::default(),
            kind: KindOptions::Webhook(WebhookOptions { url, secrets, alerts_max, template }),
            templates: Arc::new(Templates::default()),
        }
    }
}

/// A message that says of itself that it is a test, of one alert that began at `now_ms` (ms since 1970 UTC) and, where
/// `is_resolved`, ended.
pub fn test_message(receiver: &str, now_ms: i64, is_resolved: bool) -> Message {
    payload::sample_message(receiver, now_ms, is_resolved)
}
