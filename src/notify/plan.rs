//! To whom alerts go and by which rules: everything about deliveries that a reload can change.

use std::collections::HashMap;
use std::sync::Arc;

use super::dispatch::Target;
use super::receivers::{IntegrationConfig, ReceiverConfig};
use super::routing::Routing;

/// One way to reach a receiver.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The receiver as routes name it; it may have several destinations.
    pub receiver: String,
    /// How it is reached, under a name of its own.
    pub integration: IntegrationConfig,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Everybody who can be told, by different names.
    pub destinations: Vec<Destination>,
    /// By which alerts are grouped and receivers chosen. Without one, everybody is told of every alert, at once.
    pub routing: Option<Arc<Routing>>,
    /// The receiver that is told what could not be told to another one.
    pub fallback_receiver: Option<String>,
}

impl Plan {
    /// Every webhook is told of every alert.
    pub fn direct(webhooks: Vec<IntegrationConfig>) -> Plan {
        let destination = |integration: IntegrationConfig| {
            let receiver = integration.name.clone();
            Destination { receiver, integration }
        };
        Plan { destinations: webhooks.into_iter().map(destination).collect(), ..Plan::default() }
    }

    /// Adds the destinations of a receiver of a routing file.
    pub fn add_receiver(&mut self, receiver: &ReceiverConfig) {
        let destination = |integration: &IntegrationConfig| {
            let (receiver, integration) = (receiver.name.clone(), integration.clone());
            Destination { receiver, integration }
        };
        self.destinations.extend(receiver.integrations.iter().map(destination));
    }

    /// The destinations of each receiver.
    pub(super) fn targets(&self) -> HashMap<String, Vec<Target>> {
        let mut targets: HashMap<String, Vec<Target>> = HashMap::new();
        for destination in &self.destinations {
            let Destination { integration, .. } = destination;
            let target = Target { name: integration.name.clone(), sends_resolved: integration.sends_resolved };
            targets.entry(destination.receiver.clone()).or_default().push(target);
        }
        targets
    }
}
