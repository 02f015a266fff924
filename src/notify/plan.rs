//! To whom alerts go and by which rules: everything about deliveries that a reload can change.

use std::collections::HashMap;
use std::sync::Arc;

use super::deliver::Receiver;
use super::dispatch::Target;
use super::routing::Routing;

/// One way to reach a receiver.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The receiver as routes name it; it may have several destinations.
    pub receiver: String,
    /// How it is reached, under a name of its own.
    pub way: Receiver,
    /// Whether it is told of ends of groups; without routing everybody is.
    pub sends_resolved: bool,
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
    /// Every receiver is told of every alert.
    pub fn direct(receivers: Vec<Receiver>) -> Plan {
        let destination = |way: Receiver| Destination { receiver: way.name.clone(), way, sends_resolved: true };
        Plan { destinations: receivers.into_iter().map(destination).collect(), ..Plan::default() }
    }

    /// The destinations of each receiver.
    pub(super) fn targets(&self) -> HashMap<String, Vec<Target>> {
        let mut targets: HashMap<String, Vec<Target>> = HashMap::new();
        for destination in &self.destinations {
            let target = Target { name: destination.way.name.clone(), sends_resolved: destination.sends_resolved };
            targets.entry(destination.receiver.clone()).or_default().push(target);
        }
        targets
    }
}
