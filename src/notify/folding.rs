//! Which incident an alert belongs to: here, each its own.

use super::alert::Alert;

/// By what alerts are folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldingOptions {}

/// See the module.
pub struct Folding {}

impl Folding {
    /// Knows of no incident.
    pub fn new(_options: FoldingOptions) -> Folding {
        Folding {}
    }

    /// The id of the alert's incident.
    pub fn assign(&mut self, alert: &Alert) -> String {
        format!("inc-{:016x}-{}", alert.fingerprint(), alert.starts_at_ms)
    }

    /// What [`Folding::assign`] said of the alert before a restart.
    pub fn restore(&mut self, _alert: &Alert, _incident: &str) {}
}
