//! Lines on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The variable that says what is logged: `info`, `debug`, `dozor::http=debug,warn`, …
const FILTER_VARIABLE: &str = "DOZOR_LOG";

/// Sends log lines to stderr from here on: those that `DOZOR_LOG` asks for, else from `info` up.
/// Does nothing where another subscriber is there already, as in a test.
pub fn start_logging() {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if lines.try_init().is_err() {
        tracing::debug!("another subscriber takes the log lines");
    }
}
