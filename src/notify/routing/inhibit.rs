//! Alerts that hold back others: who knows that the payment provider is down need not hear of each failed payment.
//!
//! ```text
//! source_matchers: [alertname="ProviderDown"], target_matchers: [alertname="PaymentFails"], equal: [provider]
//!
//! fires {alertname="ProviderDown", provider="paypal"}         kept under {provider="paypal"}
//! {alertname="PaymentFails", provider="paypal", shop="7"}     held back: looked up under {provider="paypal"}
//! {alertname="PaymentFails", provider="visa"}                 told
//! ```
//!
//! Always true: an alert does not hold back itself, nor do two alerts that both could be source and target of a rule hold
//! back each other. A label of `equal` that both lack is equal.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::Labels;
use crate::notify::matchers::Matchers;

/// One rule of the file.
#[derive(Clone, Debug)]
pub(super) struct InhibitRule {
    pub(super) sources: Matchers,
    pub(super) targets: Matchers,
    pub(super) equal: BTreeSet<String>,
}

/// Fingerprints of the firing alerts that are sources of a rule and have the same labels of `equal`.
#[derive(Debug, Default)]
struct Sources {
    only_sources: BTreeSet<u64>,
    /// These could be targets too.
    also_targets: BTreeSet<u64>,
}

/// Which firing alerts hold back others. A question costs a look-up for each rule, however many fire.
#[derive(Debug)]
pub struct Inhibitor {
    rules: Vec<(Arc<InhibitRule>, HashMap<Labels, Sources>)>,
}

impl Inhibitor {
    pub(super) fn new(rules: &[InhibitRule]) -> Inhibitor {
        Inhibitor { rules: rules.iter().map(|rule| (Arc::new(rule.clone()), HashMap::new())).collect() }
    }

    /// Notes that an alert with these labels fires. Noting it twice changes nothing.
    pub fn fires(&mut self, labels: &Labels) {
        for (rule, sources) in &mut self.rules {
            if rule.sources.matches(labels) {
                let is_target = rule.targets.matches(labels);
                let same = sources.entry(rule.equal_labels(labels)).or_default();
                let fingerprints = if is_target { &mut same.also_targets } else { &mut same.only_sources };
                fingerprints.insert(labels.hash());
            }
        }
    }

    /// Notes that the alert with these labels is over.
    pub fn ends(&mut self, labels: &Labels) {
        for (rule, sources) in &mut self.rules {
            let equal = rule.equal_labels(labels);
            if let Some(same) = sources.get_mut(&equal) {
                same.only_sources.remove(&labels.hash());
                same.also_targets.remove(&labels.hash());
                if same.only_sources.is_empty() && same.also_targets.is_empty() {
                    sources.remove(&equal);
                }
            }
        }
    }

    /// The fingerprint of an alert that holds back one with these labels, by the first rule that has any.
    pub fn inhibited_by(&self, labels: &Labels) -> Option<u64> {
        self.rules.iter().find_map(|(rule, sources)| {
            if !rule.targets.matches(labels) {
                return None;
            }
            let same = sources.get(&rule.equal_labels(labels))?;
            let also = same.also_targets.first().filter(|_| !rule.sources.matches(labels));
            same.only_sources.first().or(also).copied()
        })
    }
}

impl InhibitRule {
    fn equal_labels(&self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.equal.contains(name))
    }
}
