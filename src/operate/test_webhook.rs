//! `dozor test webhook`: tells receivers that this is a test, over the way on which they would be told of trouble.
//!
//! ```text
//! $ dozor test webhook --config dozor.yml --receiver pager --resolve
//! pager: firing to https://pager.example/…
//!   {"receiver":"pager","status":"firing","alerts":[…
//!   taken: 202, after 84 ms
//! pager: resolved to https://pager.example/…
//!   …
//! ```
//!
//! Always true: what is secret is not printed; the exit code is 0 if every receiver took everything, 1 if one did not.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::Place;
use crate::clock::Clock;
use crate::config::Config;
use crate::disk::{Disk, RealDisk};
use crate::notify::routing;
use crate::notify::{Answer, Integration, IntegrationConfig, test_message};

/// Longest attempt, where the configuration says nothing.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest body that is printed whole, in bytes.
const SHOWN_BYTES_MAX: usize = 4096;

/// Whom to tell.
#[derive(Clone, Debug, clap::Args)]
pub struct TestWebhookArgs {
    /// Settings file of the server
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only this receiver; all of them if it is not given
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    /// Say that the test is over, too
    #[arg(long)]
    resolve: bool,
}

/// Tells the receivers of the settings file. Exit code 0: all took it, 1: one did not.
pub async fn test_webhook(arguments: TestWebhookArgs) -> anyhow::Result<ExitCode> {
    let config = Place { config: arguments.config.clone(), data_dir: None }.config()?;
    let wanted = |name: &str| arguments.receiver.as_deref().is_none_or(|wanted| is_of(name, wanted));
    let integrations: Vec<IntegrationConfig> =
        integrations(&config)?.into_iter().filter(|integration| wanted(&integration.name)).collect();
    if integrations.is_empty() {
        match &arguments.receiver {
            Some(name) => bail!("no receiver is called {name:?}: --config says where the settings are"),
            None => bail!("there is no receiver: webhooks: in the settings file (--config) says who is told"),
        }
    }
    let mut all_took_it = true;
    for integration in &integrations {
        all_took_it &= tell(integration, &config, arguments.resolve).await;
    }
    Ok(if all_took_it { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether an integration belongs to the receiver.
fn is_of(integration: &str, receiver: &str) -> bool {
    integration == receiver || integration.strip_prefix(receiver).is_some_and(|rest| rest.starts_with('/'))
}

/// Everything that the settings say who is told.
fn integrations(config: &Config) -> anyhow::Result<Vec<IntegrationConfig>> {
    let mut integrations: Vec<_> =
        config.webhooks.iter().map(IntegrationConfig::from_config).collect::<Result<_, _>>()?;
    let file = &config.notify.routing_file;
    if !file.as_os_str().is_empty() {
        let bytes = RealDisk.read(file)?;
        let text = std::str::from_utf8(&bytes).with_context(|| format!("{} is no text", file.display()))?;
        let routing = routing::load(&file.display().to_string(), text).map_err(anyhow::Error::msg)?;
        integrations.extend(routing.receivers().iter().flat_map(|receiver| receiver.integrations.clone()));
    }
    Ok(integrations)
}

#[expect(clippy::print_stdout, reason = "a person asked for it")]
async fn tell(config: &IntegrationConfig, settings: &Config, resolve: bool) -> bool {
    let clock = Clock::system();
    let integration = match Integration::new(config, &settings.external_url, clock.clone(), ATTEMPT_TIMEOUT) {
        Ok(integration) => integration,
        Err(error) => {
            println!("{}: NOT TRIED: {error}", config.name);
            return false;
        }
    };
    let begin_ms = clock.now_ms();
    for is_resolved in [false, true].into_iter().take(1 + usize::from(resolve)) {
        let message = test_message(&config.name, begin_ms, is_resolved);
        println!("{}: {} to {}", config.name, message.status(), integration.shown_address());
        println!("  {}", integration.shown_body(&message).map_or_else(|error| error, shortened));
        let begin = clock.monotonic();
        let answer = integration.attempt(&message).await;
        let took_ms = clock.monotonic().saturating_sub(begin).as_millis();
        match answer {
            Answer::Delivered { http_status } => println!("  taken: {http_status}, after {took_ms} ms"),
            Answer::Refused { reason } => {
                println!("  REFUSED after {took_ms} ms: {reason}");
                return false;
            }
            Answer::Retry { reason, .. } => {
                println!("  FAILED after {took_ms} ms: {reason}; in earnest it would be tried again");
                return false;
            }
        }
    }
    true
}

fn shortened(body: String) -> String {
    if body.len() <= SHOWN_BYTES_MAX {
        return body;
    }
    format!("{}… ({} bytes)", &body[..body.floor_char_boundary(SHOWN_BYTES_MAX)], body.len())
}
