//! Who is told, and in which words: receivers and their integrations.
//!
//! ```text
//! receivers:                          file.rs     as it was written, every value with its place
//! - name: duty                        read.rs     what it means, or all that is wrong with it
//!   pagerduty_configs: [{ … }]   ─►   ReceiverConfig { name: "duty", integrations: [duty] }
//! ```
//!
//! Always true: what is secret is read from the configuration or from its file, goes into the request in which it
//! belongs, and is shown nowhere else.

mod file;
mod read;
mod shape;

pub(crate) use file::{Global, ReceiverFile};
pub(crate) use read::{Mistake, Surroundings, read};

/// A receiver: a name that routes use, and everything that is told when it is.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Its name.
    pub name: String,
    /// May be empty: such a receiver takes alerts and tells nobody.
    pub integrations: Vec<IntegrationConfig>,
}

/// One way to tell somebody.
#[derive(Clone, Debug)]
pub struct IntegrationConfig {
    /// In the outbox and the log: `<receiver>` for the first, `<receiver>/<kind>/<index>` for the others.
    pub name: String,
    /// Whether the end of an alert is told too.
    pub sends_resolved: bool,
}
