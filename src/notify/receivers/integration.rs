//! One way to tell somebody, ready to be used: what a message becomes there, and what the answer means.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::client::{Reply, Request, Sender};
use super::options::{KindOptions, Source};
use super::pagerduty::PagerDuty;
use super::shape::Hidden;
use super::slack::Slack;
use super::telegram::Telegram;
use super::templates::Templates;
use super::webhook::Webhook;
use super::{IntegrationConfig, facts};
use crate::clock::Clock;
use crate::notify::address::check_url;
use crate::notify::answer::Answer;
use crate::notify::{Message, NotifyError};

/// One way to tell somebody. Shared by its attempts.
pub struct Integration {
    name: String,
    sends_resolved: bool,
    /// As it stands in bodies.
    receiver: String,
    external_url: String,
    templates: Arc<Templates>,
    kind: Kind,
    sender: Sender,
    clock: Clock,
}

enum Kind {
    Webhook(Box<Webhook>),
    PagerDuty(Box<PagerDuty>),
    Slack(Box<Slack>),
    Telegram(Box<Telegram>),
}

/// What the kinds need to make a request.
pub(super) struct Told<'a> {
    pub message: &'a Message,
    pub templates: &'a Templates,
    pub receiver: &'a str,
    pub external_url: &'a str,
    pub now_ms: i64,
}

impl Told<'_> {
    pub(super) fn filling(&self) -> super::templates::Filling<'_> {
        super::templates::Filling::new(self.templates, self.message, self.receiver, self.external_url, self.now_ms)
    }
}

impl Integration {
    /// Reads the secrets, checks addresses and templates, and prepares the client. No connection is made.
    ///
    /// `external_url` is where receivers can reach this server, for links; `attempt_timeout` holds where the
    /// configuration says nothing.
    pub fn new(
        config: &IntegrationConfig,
        external_url: &str,
        clock: Clock,
        attempt_timeout: Duration,
    ) -> Result<Integration, NotifyError> {
        let refuse = |what: String| NotifyError::Receiver { receiver: config.name.clone(), what };
        let kind = match &config.kind {
            KindOptions::Webhook(options) => Webhook::new(options).map(Box::new).map(Kind::Webhook),
            KindOptions::PagerDuty(options) => PagerDuty::new(options).map(Box::new).map(Kind::PagerDuty),
            KindOptions::Slack(options) => Slack::new(options).map(Box::new).map(Kind::Slack),
            KindOptions::Telegram(options) => Telegram::new(options).map(Box::new).map(Kind::Telegram),
        };
        let kind = kind.map_err(refuse)?;
        let timeout = config.timeout.unwrap_or(attempt_timeout);
        let sender = Sender::new(kind.url(), &config.http, clock.clone(), timeout).map_err(refuse)?;
        Ok(Integration {
            name: config.name.clone(),
            sends_resolved: config.sends_resolved,
            receiver: config.receiver.clone(),
            external_url: external_url.to_owned(),
            templates: config.templates.clone(),
            kind,
            sender,
            clock,
        })
    }

    /// In the outbox and the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it wants to hear that alerts ended.
    pub fn sends_resolved(&self) -> bool {
        self.sends_resolved
    }

    /// Tells the message once. The same message may be told again: its id is the same on every attempt.
    pub async fn attempt(&self, message: &Message) -> Answer {
        let request = match self.request(message) {
            Ok(request) => request,
            Err(reason) => return Answer::Refused { reason },
        };
        let answer = self.sent(&request).await;
        match (&self.kind, &answer) {
            // A message whose markup Telegram cannot read is still a message.
            (Kind::Telegram(telegram), Answer::Refused { reason }) if Telegram::is_about_markup(reason) => {
                tracing::error!(receiver = self.name, reason, "the markup was refused; sent again as plain text");
                match telegram.plain_request(&self.told(message)) {
                    Ok(request) => self.sent(&request).await,
                    Err(reason) => Answer::Refused { reason },
                }
            }
            _ => answer,
        }
    }

    async fn sent(&self, request: &Request) -> Answer {
        match self.sender.send(request).await {
            Ok(reply) => self.kind.verdict(&reply),
            Err(unsent) => unsent.into(),
        }
    }

    /// What [`Integration::attempt`] sends now; secrets and all.
    pub(super) fn request(&self, message: &Message) -> Result<Request, String> {
        let told = self.told(message);
        match &self.kind {
            Kind::Webhook(webhook) => Ok(webhook.request(&told)),
            Kind::PagerDuty(pagerduty) => pagerduty.request(&told),
            Kind::Slack(slack) => slack.request(&told),
            Kind::Telegram(telegram) => telegram.request(&told),
        }
    }

    /// The body that [`Integration::attempt`] sends now, as people may see it: without what is secret.
    pub fn shown_body(&self, message: &Message) -> Result<String, String> {
        let request = self.request(message)?;
        let text = String::from_utf8_lossy(&request.body).into_owned();
        Ok(match self.kind.secret() {
            Some(secret) => text.replace(secret.reveal(), "<secret>"),
            None => text,
        })
    }

    /// Where it goes, without what may be secret.
    pub fn shown_address(&self) -> String {
        let url = self.kind.url();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}/…", url.scheme(), url.host_str().unwrap_or_default())
    }

    /// Where it goes, which may be secret.
    pub(in crate::notify) fn address(&self) -> &Url {
        self.kind.url()
    }

    fn told<'a>(&'a self, message: &'a Message) -> Told<'a> {
        Told {
            message,
            templates: &self.templates,
            receiver: &self.receiver,
            external_url: &self.external_url,
            now_ms: self.clock.now_ms(),
        }
    }
}

impl Kind {
    fn url(&self) -> &Url {
        match self {
            Kind::Webhook(webhook) => &webhook.url,
            Kind::PagerDuty(pagerduty) => &pagerduty.url,
            Kind::Slack(slack) => &slack.url,
            Kind::Telegram(telegram) => &telegram.url,
        }
    }

    /// What stands in its bodies and must not be seen.
    fn secret(&self) -> Option<&Hidden> {
        match self {
            Kind::PagerDuty(pagerduty) => Some(&pagerduty.routing_key),
            Kind::Webhook(_) | Kind::Slack(_) | Kind::Telegram(_) => None,
        }
    }

    fn verdict(&self, reply: &Reply) -> Answer {
        match self {
            Kind::Webhook(_) | Kind::PagerDuty(_) => reply.verdict(),
            Kind::Slack(_) => Slack::verdict(reply),
            Kind::Telegram(_) => Telegram::verdict(reply),
        }
    }
}

/// An address that may be used, read from where it stands. What is wrong is said without the address.
pub(super) fn address(source: &Source) -> Result<Url, String> {
    let text = source.read()?;
    check_url(text.reveal()).map_err(|what| format!("its URL cannot be used: {what}"))
}

/// Only the first letters, and `…` for the rest.
pub(super) fn cut(text: String, letters_max: usize) -> String {
    if text.chars().count() <= letters_max {
        return text;
    }
    text.chars().take(letters_max - 1).chain(['…']).collect()
}

/// The message for a kind that tells its first alerts only.
pub(super) fn shortened(message: &Message, alerts_max: u64) -> Message {
    facts::shortened(message, alerts_max)
}

impl std::fmt::Debug for Integration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Integration({} to {})", self.name, self.shown_address())
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}
