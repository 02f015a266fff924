//! One group: the alerts of one route that have the same group labels.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Labels;
use crate::notify::owed::Notification;
use crate::notify::routing::{RouteMatch, RouteOptions};

pub(super) struct Group {
    pub(super) route_index: usize,
    /// The routes that lead here and the group's labels, as Alertmanager writes them.
    pub(super) key: String,
    pub(super) labels: Labels,
    /// Name of the route's receiver.
    pub(super) receiver: String,
    pub(super) options: RouteOptions,
    /// The last transition of each alert, by fingerprint.
    pub(super) members: BTreeMap<u64, Arc<Notification>>,
    /// When it is looked at next, on the monotonic clock.
    pub(super) due: Option<Duration>,
}

impl Group {
    pub(super) fn new(matched: &RouteMatch<'_>) -> Group {
        Group {
            route_index: matched.route_index,
            key: matched.group_key.clone(),
            labels: matched.group_labels.clone(),
            receiver: matched.receiver.to_owned(),
            options: matched.options.clone(),
            members: BTreeMap::new(),
            due: None,
        }
    }
}
