//! Alertmanager's configuration: who is told of which alerts, in which groups, when, and what holds them back.
//!
//! ```text
//! route: { receiver: duty, group_by: [alertname], routes: [
//!   { matchers: [severity="critical"], receiver: pager, continue: true },          route 1
//!   { matchers: [team="shop"], receiver: shop, mute_time_intervals: [nights] } ] } route 2
//!
//! {alertname="NoOrders", severity="critical", team="shop"}  ─► route 1: pager, group {}/{severity="critical"}:{alertname="NoOrders"}
//!                                                           └► route 2: shop, told when `nights` is over
//! {alertname="DiskFull"}                                    ─► route 0: duty
//! ```
//!
//! [`load`] reads a file as Alertmanager 0.33 does, and refuses what it refuses; what we lack is refused too, every place of it
//! at once, each with what to do instead. [`Routing::matches`] walks the tree. [`Inhibitor`] knows which alerts hold back
//! others.
//!
//! Always true:
//! 1. Every label set has at least one route: the root has no conditions.
//! 2. Routes are numbered depth first in the order of the file, the root being 0; group keys are Alertmanager's.
//! 3. Nothing here reads a clock or a file. A reload makes another [`Routing`].
//!
//! Where we differ from Alertmanager: the last day of a month in which clocks change is its last day.

mod fault;
mod file;
mod inhibit;
mod interval;
mod load;
mod shown;
mod spans;
mod tree;

use std::path::PathBuf;

use crate::model::Labels;
use crate::notify::matchers::Matchers;
use crate::notify::receivers::ReceiverConfig;

use inhibit::InhibitRule;
pub use inhibit::Inhibitor;
pub(crate) use interval::{TimeInterval, TimeSpan};
pub use load::load;
pub(crate) use spans::{Found, days_of_month, minute, months, weekdays, years, zone};
use tree::Route;
pub use tree::{RouteMatch, RouteOptions};

/// Most routes of a file.
pub const ROUTES_COUNT_MAX: usize = 10_000;
/// Most routes one within the other.
pub const ROUTES_DEPTH_MAX: usize = 30;
/// Longest file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// A configuration file that was understood.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Depth first; the first one is the root.
    routes: Vec<Route>,
    receivers: Vec<ReceiverConfig>,
    inhibit_rules: Vec<InhibitRule>,
    time_intervals: Vec<TimeInterval>,
    templates: Vec<PathBuf>,
    resolve_timeout_ms: i64,
}

impl Routing {
    /// The routes that tell of an alert with these labels, in Alertmanager's order; at least one.
    pub fn matches(&self, labels: &Labels) -> Vec<RouteMatch<'_>> {
        let mut found = Vec::new();
        tree::matching(&self.routes, 0, labels, &mut found);
        found.into_iter().map(|index| self.routes[index].matched(index, labels)).collect()
    }

    /// Why a route tells nothing at this moment, in ms since 1970 UTC: the name of a time interval that mutes it, or of
    /// the first of those outside of which it is silent.
    pub fn is_muted(&self, route_index: usize, now_ms: i64) -> Option<String> {
        let options = self.routes[route_index].options();
        let contains = |name: &&String| self.time_interval(name).is_some_and(|interval| interval.contains(now_ms));
        if let Some(muting) = options.mute_time_intervals.iter().find(contains) {
            return Some(muting.clone());
        }
        let active = &options.active_time_intervals;
        if active.iter().any(|name| contains(&name)) { None } else { active.first().cloned() }
    }

    fn time_interval(&self, name: &str) -> Option<&TimeInterval> {
        self.time_intervals.iter().find(|interval| interval.name() == name)
    }

    /// An index of firing alerts that knows which of them hold back others; empty at first.
    pub fn inhibitor(&self) -> Inhibitor {
        Inhibitor::new(&self.inhibit_rules)
    }

    /// The fingerprint of a firing alert that holds back one with these labels. Looks at each that fires: who asks often
    /// keeps an [`Inhibitor`].
    pub fn inhibited_by<'a>(&self, labels: &Labels, firing: impl Iterator<Item = &'a Labels>) -> Option<u64> {
        let mut inhibitor = self.inhibitor();
        firing.for_each(|firing| inhibitor.fires(firing));
        inhibitor.inhibited_by(labels)
    }

    /// Who can be told, in the order of the file.
    pub fn receivers(&self) -> &[ReceiverConfig] {
        &self.receivers
    }

    /// Files of templates, as patterns; a relative one is relative to the folder of the configuration file.
    pub fn templates(&self) -> &[PathBuf] {
        &self.templates
    }

    /// After how long an alert that somebody pushed without an end is over, in ms.
    pub fn resolve_timeout_ms(&self) -> i64 {
        self.resolve_timeout_ms
    }

    /// How many routes there are.
    pub fn routes_count(&self) -> usize {
        self.routes.len()
    }
}

#[cfg(test)]
mod tests;
