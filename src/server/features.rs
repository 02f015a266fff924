//! `--enable-feature`, with the names that Prometheus gives them: nearly all of them are on here, always.

use crate::config::Config;

/// The one that changes answers.
const DELAYED_NAME_REMOVAL: &str = "promql-delayed-name-removal";
/// Those that need no switch here: what they turn on in some Prometheus, from 2.x to 3.14, is on.
const ALWAYS_ON: [&str; 13] = [
    "native-histograms",
    "otlp-write-receiver",
    "otlp-deltatocumulative",
    "promql-at-modifier",
    "promql-binop-fill-modifiers",
    "promql-duration-expr",
    "promql-experimental-functions",
    "promql-extended-range-selectors",
    "promql-negative-offset",
    "promql-per-step-stats",
    "remote-write-receiver",
    "remote-write-v2",
    "utf8-names",
];

/// Whether functions leave metrics' names on until the end of a query.
pub(super) fn delays_names(config: &Config) -> bool {
    config.features.iter().any(|name| name == DELAYED_NAME_REMOVAL)
}

/// The names that mean nothing here, each once.
pub(super) fn unknown(config: &Config) -> Vec<&str> {
    let is_known = |name: &str| name == DELAYED_NAME_REMOVAL || ALWAYS_ON.contains(&name);
    let mut unknown: Vec<&str> = config.features.iter().map(String::as_str).filter(|name| !is_known(name)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown
}
