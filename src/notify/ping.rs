//! The way out for those who watch this server: an address that is asked for again and again while all is well.
//!
//! Always true: it is held to what webhooks are: no link-local or metadata address, no redirect, no proxy; and it is
//! never shown, for its path is what others know it by.

use std::time::Duration;

use reqwest::Url;

use super::NotifyError;
use super::address::check_url;
use super::answer::Answer;
use super::receivers::{HttpOptions, Request, Sender};
use crate::clock::Clock;

/// Longest time for one.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What errors call it.
const NAME: &str = "heartbeat_out";

/// Asks for one address.
pub struct Pinger {
    sender: Sender,
    url: Url,
}

impl Pinger {
    /// Checks the URL and prepares the client. No connection is made.
    pub fn new(url: &str, clock: Clock) -> Result<Pinger, NotifyError> {
        let refuse = |what: String| NotifyError::Receiver { receiver: NAME.to_owned(), what };
        let url = check_url(url).map_err(|what| refuse(format!("its URL cannot be used: {what}")))?;
        let options = HttpOptions { follows_redirects: false, ..HttpOptions::default() };
        let sender = Sender::new(&url, &options, clock, TIMEOUT).map_err(refuse)?;
        Ok(Pinger { sender, url })
    }

    /// Asks once, by POST. Fails with what was answered, or why nothing was.
    pub async fn ping(&self) -> Result<(), String> {
        let request = Request { url: self.url.clone(), headers: Vec::new(), body: b"{}".to_vec() };
        match self.sender.send(&request).await.map_err(|unsent| unsent.reason)?.verdict() {
            Answer::Delivered { .. } => Ok(()),
            Answer::Retry { reason, .. } | Answer::Refused { reason } => Err(reason),
        }
    }
}
