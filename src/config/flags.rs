//! The flags of `dozor serve`. Each stands for a setting and wins over the file.

use std::path::PathBuf;

use super::file::default_webhook_name;
use super::settings::{setting, url};
use super::{Config, ConfigError, WebhookConfig, shown};

/// Flags of `dozor serve`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Settings file; `dozor config` prints one with every setting explained
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the log, the blocks and the outbox [default: ./data]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<String>,
    /// Address to serve on [default: 127.0.0.1:9090]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Rule file; may be given more than once, and adds to those of the settings file
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Rules that are in the binary, like shop; may be given more than once, and is short for --rules pack:NAME
    #[arg(long, value_name = "NAME")]
    pub pack: Vec<String>,
    /// Where notifications go; may be given more than once, in place of those of the settings file
    #[arg(long, value_name = "URL")]
    pub webhook_url: Vec<String>,
    /// File with the key that signs what goes to every --webhook-url
    #[arg(long, value_name = "FILE", requires = "webhook_url")]
    pub webhook_secret_file: Option<PathBuf>,
    /// An alertmanager.yml by whose routes alerts are grouped and told
    #[arg(long, value_name = "FILE")]
    pub routing_file: Option<String>,
    /// How long samples are kept, like 15d; 0 keeps everything [default: 15d]
    #[arg(long, value_name = "DURATION")]
    pub retention: Option<String>,
    /// What an acknowledgement waits for: always, os, or interval: and milliseconds, like interval:100 [default: always]
    #[arg(long, value_name = "WHEN")]
    pub wal_sync: Option<String>,
    /// Most series in memory, the setting head.series_max; 0 goes by the machine's memory [default: 0]
    #[arg(long, value_name = "COUNT")]
    pub max_series: Option<String>,
    /// Address to take StatsD at, by UDP and TCP, like 127.0.0.1:8125 [default: none is taken]
    #[arg(long, value_name = "HOST:PORT")]
    pub statsd_listen: Option<String>,
    /// A feature of Prometheus's that is off by itself, like promql-delayed-name-removal; may be given more than once,
    /// with commas between, and adds to those of the settings file
    #[arg(long, value_name = "NAME")]
    pub enable_feature: Vec<String>,
}

impl ServeArgs {
    /// Puts the flags over what the file said.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        let values = [
            ("--data-dir", "data_dir", &self.data_dir),
            ("--listen", "listen", &self.listen),
            ("--retention", "retention", &self.retention),
            ("--wal-sync", "wal_sync", &self.wal_sync),
            ("--max-series", "head.series_max", &self.max_series),
            ("--statsd-listen", "statsd.listen", &self.statsd_listen),
            ("--routing-file", "notify.routing_file", &self.routing_file),
        ];
        if self.retention.is_some() {
            // The flag stands for the whole setting.
            config.retention_rules.clear();
        }
        for (flag, name, value) in values {
            if let Some(value) = value {
                let set = setting(name).set(config, value);
                set.map_err(|what| ConfigError::InFlag { flag, value: value.clone(), what })?;
            }
        }
        let features = self.enable_feature.iter().flat_map(|names| names.split(','));
        config.features.extend(features.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
        config.rules.extend(self.rules.iter().cloned());
        config.rules.extend(self.pack.iter().map(|name| PathBuf::from(format!("pack:{name}"))));
        self.apply_webhooks(config)
    }

    fn apply_webhooks(&self, config: &mut Config) -> Result<(), ConfigError> {
        if self.webhook_url.is_empty() {
            return Ok(());
        }
        config.webhooks.clear();
        for (index, given) in self.webhook_url.iter().enumerate() {
            let flag = "--webhook-url";
            let url = url(given).map_err(|what| ConfigError::InFlag { flag, value: shown::no_address(given), what })?;
            config.webhooks.push(WebhookConfig {
                name: default_webhook_name(index),
                url: url.to_owned(),
                secret_file: self.webhook_secret_file.clone(),
                ..WebhookConfig::default()
            });
        }
        Ok(())
    }
}
