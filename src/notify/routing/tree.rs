//! The tree of routes, flat: a route knows where its children are.

use std::collections::BTreeSet;

use crate::model::{Labels, quoted};
use crate::notify::matchers::Matchers;

/// When a route tells of its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteOptions {
    /// How long a new group waits for more alerts, in ms.
    pub group_wait_ms: i64,
    /// How long after its last message a group that changed is told again, in ms; above 0.
    pub group_interval_ms: i64,
    /// How long after its last message a group that did not change is told again, in ms; above 0.
    pub repeat_interval_ms: i64,
    /// Names of the time intervals in which nothing is told.
    pub mute_time_intervals: Vec<String>,
    /// Names of the time intervals outside of which nothing is told, if there are any.
    pub active_time_intervals: Vec<String>,
}

/// One route that tells of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatch<'a> {
    /// Which one, depth first from the root, which is 0. Two routes may have the same key, but not the same index.
    pub route_index: usize,
    /// Name of its receiver.
    pub receiver: &'a str,
    /// The alert's labels by which the route groups.
    pub group_labels: Labels,
    /// The keys of the routes that lead here and the group's labels, as Alertmanager writes them.
    pub group_key: String,
    /// When it tells.
    pub options: &'a RouteOptions,
}

/// By which labels a route groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupBy {
    /// By all: each alert is a group.
    All,
    /// By these, which may be none.
    Names(BTreeSet<String>),
}

/// One node of the tree.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) receiver: String,
    pub(super) matchers: Matchers,
    pub(super) continues: bool,
    pub(super) group_by: GroupBy,
    pub(super) options: RouteOptions,
    /// Of the routes from the root to this one, with slashes between.
    pub(super) key: String,
    pub(super) children: Vec<usize>,
}

impl Route {
    pub(super) fn options(&self) -> &RouteOptions {
        &self.options
    }

    pub(super) fn matched(&self, route_index: usize, labels: &Labels) -> RouteMatch<'_> {
        let group_labels = match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Names(names) => labels.filtered(|name| names.contains(name)),
        };
        let group_key = format!("{}:{}", self.key, shown(&group_labels));
        RouteMatch { route_index, receiver: &self.receiver, group_labels, group_key, options: &self.options }
    }
}

fn shown(labels: &Labels) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Adds the routes below this one that take an alert, or itself if none does. False if it does not take it either.
pub(super) fn matching(routes: &[Route], index: usize, labels: &Labels, found: &mut Vec<usize>) -> bool {
    let route = &routes[index];
    if !route.matchers.matches(labels) {
        return false;
    }
    let before = found.len();
    for &child in &route.children {
        if matching(routes, child, labels, found) && !routes[child].continues {
            break;
        }
    }
    if found.len() == before {
        found.push(index);
    }
    true
}
