//! The engine under the demo: the same server as `dozor serve` starts, with the demo's folder, rules and pager.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What differs from a server without any configuration.
#[derive(Debug)]
pub(super) struct EngineOptions {
    pub(super) data_folder: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) rules_file: PathBuf,
    pub(super) webhook_url: String,
    pub(super) secret_file: PathBuf,
}

/// A running engine.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) address: SocketAddr,
}

/// Starts the engine and waits until it is ready.
pub(super) async fn start_engine(options: EngineOptions) -> anyhow::Result<Engine> {
    let EngineOptions { data_folder, listen, rules_file, webhook_url, secret_file } = options;
    let files = [data_folder, rules_file, secret_file];
    anyhow::bail!("no engine in this build to listen on {listen}, page {webhook_url} and read {files:?}")
}

impl Engine {
    /// Stops accepting, finishes, syncs.
    pub(super) async fn shutdown(self) -> anyhow::Result<()> {
        Ok(())
    }
}
