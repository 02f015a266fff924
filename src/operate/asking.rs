//! How a command asks a running server.
//!
//! ```text
//! $ dozor explain --url https://ada:s3cret@watch.example/
//! Error: cannot ask the server at https://<secret>@watch.example
//! ```
//!
//! Always true: what is printed of an address has no password in it.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, StatusCode};

use super::Place;
use crate::config::{Config, without_login};
use crate::model::percent_encoded;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer that the server has at hand.
const READING_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for the answer to a query, which a server itself bounds.
const QUERY_TIMEOUT: Duration = Duration::from_secs(600);

/// Address of a server. What is shown of it has no password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ServerUrl(String);

impl ServerUrl {
    /// The address as it was given, password included: to ask by, never to show.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for ServerUrl {
    fn from(url: String) -> ServerUrl {
        ServerUrl(url)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&without_login(self.0.trim_end_matches('/')))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Which server is asked.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Asked {
    #[command(flatten)]
    place: Place,
    /// The server to ask [default: the address in --config]
    #[arg(long, value_name = "URL", global = true)]
    url: Option<ServerUrl>,
}

impl Asked {
    /// Where it is. Fails where the settings have to say so and cannot be read.
    pub(super) fn url(&self) -> anyhow::Result<ServerUrl> {
        match &self.url {
            Some(url) => Ok(url.clone()),
            None => Ok(url_of(&self.config()?)),
        }
    }

    /// The same, where its settings are at hand.
    pub(super) fn url_beside(&self, config: &Config) -> ServerUrl {
        self.url.clone().unwrap_or_else(|| url_of(config))
    }

    /// The server's settings, as far as flags and file tell them.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        self.place.config()
    }
}

/// Where the server of these settings is reached from this machine.
pub(super) fn url_of(config: &Config) -> ServerUrl {
    if !config.external_url.is_empty() {
        return config.external_url.clone().into();
    }
    // A server that listens everywhere listens here too.
    let address = config.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    format!("http://{address}").into()
}

/// Status and body of what the server answers. Fails when nobody answers.
pub(super) async fn get(url: &ServerUrl, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    answer(url, client(url, READING_TIMEOUT)?.get(address(url, path))).await
}

/// As [`get`], for an order that may take `within`.
pub(super) async fn post(url: &ServerUrl, path: &str, within: Duration) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    answer(url, client(url, within)?.post(address(url, path)).header(CONTENT_TYPE, "application/json")).await
}

/// As [`get`], with the parameters in a form: a query may be longer than an address.
pub(super) async fn post_form(
    url: &ServerUrl,
    path: &str,
    form: &[(&str, String)],
) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    let request = client(url, QUERY_TIMEOUT)?.post(address(url, path));
    answer(url, request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(pairs.join("&"))).await
}

/// Status and body of the answer to a request with a JSON body, if it has one.
pub(super) async fn send(
    url: &ServerUrl,
    method: Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let request = client(url, READING_TIMEOUT)?.request(method, address(url, path));
    let request = match body {
        Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
        None => request,
    };
    answer(url, request).await
}

/// As [`get`], for something that is said in JSON.
pub(super) async fn post_json(
    url: &ServerUrl,
    path: &str,
    body: &serde_json::Value,
) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let request = client(url, READING_TIMEOUT)?.post(address(url, path)).header(CONTENT_TYPE, "application/json");
    answer(url, request.body(body.to_string())).await
}

fn client(url: &ServerUrl, within: Duration) -> anyhow::Result<Client> {
    // Somebody else's earlier choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(within).no_proxy();
    if url.reveal().starts_with("http://") {
        // Without TLS no certificates are needed, and a machine may have none.
        builder = builder.tls_certs_only([]);
    }
    Ok(builder.build()?)
}

fn address(url: &ServerUrl, path: &str) -> String {
    format!("{}{path}", url.reveal().trim_end_matches('/'))
}

async fn answer(url: &ServerUrl, request: RequestBuilder) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    // An address that cannot be read may be repeated by whoever says so.
    let response = request.send().await.map_err(reqwest::Error::without_url);
    let response = response.with_context(|| format!("cannot ask the server at {url}"))?;
    let status = response.status();
    let body = response.bytes().await.map_err(reqwest::Error::without_url);
    let body = body.with_context(|| format!("cannot read the answer of {url}"))?;
    Ok((status, body.into()))
}
