//! The engine under the demo: the same server as `dozor serve` starts, with the rule pack `shop`, the demo's folder
//! and its pager.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::{Config, WebhookConfig};
use crate::server::Server;

/// What differs from a server without any configuration.
#[derive(Debug)]
pub(super) struct EngineOptions {
    pub(super) data_folder: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) webhook_url: String,
    pub(super) secret_file: PathBuf,
}

/// The rules: what `dozor serve --pack shop` has.
const RULES: &str = "pack:shop";

/// A running engine.
pub(super) struct Engine {
    pub(super) address: SocketAddr,
    server: Server,
}

/// Starts the engine and waits until it is ready.
pub(super) async fn start_engine(options: EngineOptions) -> anyhow::Result<Engine> {
    let pager = WebhookConfig {
        name: "pretend-pager".to_owned(),
        url: options.webhook_url,
        secret_file: Some(options.secret_file),
        ..WebhookConfig::default()
    };
    let config = Config {
        data_dir: options.data_folder,
        listen: options.listen.to_string(),
        rules: vec![PathBuf::from(RULES)],
        webhooks: vec![pager],
        ..Config::default()
    };
    // No file stands behind it, so it is the same whenever it is read again.
    let same = config.clone();
    let server = Server::start(config, Box::new(move || Ok(same.clone()))).await?;
    Ok(Engine { address: server.address(), server })
}

impl Engine {
    /// Stops accepting, finishes, syncs.
    pub(super) async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
