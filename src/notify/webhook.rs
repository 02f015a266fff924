//! What an attempt came to, and the way of a webhook that is told each alert by itself.

use std::time::Duration;

use reqwest::Url;

use super::address::check_url;
use super::receivers::{HttpOptions, Request, Sender};
use super::{NotifyError, Receiver, Secret};
use crate::clock::Clock;

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The receiver has it.
    Delivered {
        /// 200 to 299.
        http_status: u16,
    },
    /// It may work later.
    Retry {
        /// For the log.
        reason: String,
        /// The wait that the receiver asked for.
        after: Option<Duration>,
    },
    /// It will never work: the receiver said so.
    Refused {
        /// For the log and the dead letter.
        reason: String,
    },
}

/// The way to one receiver.
pub(crate) struct Webhook {
    sender: Sender,
    url: Url,
    secret: Option<Secret>,
    clock: Clock,
}

impl Webhook {
    /// Checks the URL and prepares the client. No connection is made.
    pub(crate) fn new(receiver: &Receiver, clock: Clock, attempt_timeout: Duration) -> Result<Webhook, NotifyError> {
        let refuse = |what: String| NotifyError::Receiver { receiver: receiver.name.clone(), what };
        let url = check_url(&receiver.url).map_err(|what| refuse(format!("its URL cannot be used: {what}")))?;
        let sender = Sender::new(&url, &HttpOptions::default(), clock.clone(), attempt_timeout).map_err(refuse)?;
        Ok(Webhook { sender, url, secret: receiver.secret.clone(), clock })
    }

    /// Sends the body once. `id` must be the same on every attempt of the same notification.
    pub(crate) async fn attempt(&self, id: &str, body: Vec<u8>) -> Answer {
        let timestamp_s = self.clock.now_ms().div_euclid(1000);
        let mut headers = vec![
            ("idempotency-key", id.to_owned()),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp_s.to_string()),
        ];
        headers.extend(self.secret.as_ref().map(|key| ("webhook-signature", key.sign(id, timestamp_s, &body))));
        match self.sender.send(&Request { url: self.url.clone(), headers, body }).await {
            Ok(reply) => reply.verdict(),
            Err(reason) => Answer::Retry { reason, after: None },
        }
    }
}
