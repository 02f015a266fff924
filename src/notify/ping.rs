//! The way out for those who watch this server: an address that is asked for again and again while all is well.
//!
//! Always true: it is held to what webhooks are: no link-local or metadata address, no redirect, no proxy; and it is
//! never shown, for its path is what others know it by.

use std::time::Duration;

use reqwest::{Client, Url};

use super::NotifyError;
use super::address::{CheckedResolver, check_url};
use super::receivers::{install_crypto, with_causes};

/// Longest time for one.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What errors call it.
const NAME: &str = "heartbeat_out";

/// Asks for one address.
pub struct Pinger {
    client: Client,
    url: Url,
}

impl Pinger {
    /// Checks the URL and prepares the client. No connection is made.
    pub fn new(url: &str) -> Result<Pinger, NotifyError> {
        let refuse = |what: String| NotifyError::Receiver { receiver: NAME.to_owned(), what };
        let url = check_url(url).map_err(|what| refuse(format!("its URL cannot be used: {what}")))?;
        install_crypto();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .dns_resolver(CheckedResolver)
            .timeout(TIMEOUT)
            .user_agent(concat!("dozor/", env!("CARGO_PKG_VERSION")));
        if url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| refuse(format!("no client for it: {}", with_causes(&error))))?;
        Ok(Pinger { client, url })
    }

    /// Asks once. Fails with what was answered, or why nothing was.
    pub async fn ping(&self) -> Result<(), String> {
        let answered = self.client.get(self.url.clone()).send().await;
        let answered = answered.map_err(|error| with_causes(&error.without_url()))?;
        if answered.status().is_success() { Ok(()) } else { Err(answered.status().to_string()) }
    }
}
