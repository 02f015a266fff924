//! How a command asks a running server.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, StatusCode};

use crate::config::Config;
use crate::model::percent_encoded;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer that the server has at hand.
const READING_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for the answer to a query, which a server itself bounds.
const QUERY_TIMEOUT: Duration = Duration::from_secs(600);

/// Where the server of these settings is reached from this machine.
pub(super) fn url_of(config: &Config) -> String {
    if !config.external_url.is_empty() {
        return config.external_url.clone();
    }
    // A server that listens everywhere listens here too.
    let address = config.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    format!("http://{address}")
}

/// Status and body of what the server answers. Fails when nobody answers.
pub(super) async fn get(url: &str, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    answer(url, client(url, READING_TIMEOUT)?.get(address(url, path))).await
}

/// As [`get`], for an order that may take `within`.
pub(super) async fn post(url: &str, path: &str, within: Duration) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    answer(url, client(url, within)?.post(address(url, path)).header(CONTENT_TYPE, "application/json")).await
}

/// As [`get`], with the parameters in a form: a query may be longer than an address.
pub(super) async fn post_form(url: &str, path: &str, form: &[(&str, String)]) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    let request = client(url, QUERY_TIMEOUT)?.post(address(url, path));
    answer(url, request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(pairs.join("&"))).await
}

/// Status and body of the answer to a request with a JSON body, if it has one.
pub(super) async fn send(
    url: &str,
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
    url: &str,
    path: &str,
    body: &serde_json::Value,
) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let request = client(url, READING_TIMEOUT)?.post(address(url, path)).header(CONTENT_TYPE, "application/json");
    answer(url, request.body(body.to_string())).await
}

fn client(url: &str, within: Duration) -> anyhow::Result<Client> {
    // Somebody else's earlier choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(within).no_proxy();
    if url.starts_with("http://") {
        // Without TLS no certificates are needed, and a machine may have none.
        builder = builder.tls_certs_only([]);
    }
    Ok(builder.build()?)
}

fn address(url: &str, path: &str) -> String {
    format!("{}{path}", url.trim_end_matches('/'))
}

async fn answer(url: &str, request: RequestBuilder) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let response = request.send().await.with_context(|| format!("cannot ask the server at {url}"))?;
    let status = response.status();
    let body = response.bytes().await.with_context(|| format!("cannot read the answer of {url}"))?;
    Ok((status, body.into()))
}
