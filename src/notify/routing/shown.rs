//! The configuration as it may be shown: as JSON, which is YAML too, without what receivers are made of.

use serde_json::{Value, json};

use super::inhibit::InhibitRule;
use super::tree::{GroupBy, Route};
use super::{Matchers, Routing};
use crate::config::duration_text;

impl Routing {
    /// Routes, inhibition and the names of receivers, so that Alertmanager's tool and Grafana can read them. Nothing in it
    /// is secret.
    pub fn shown(&self) -> String {
        let receivers: Vec<Value> = self.receivers.iter().map(|receiver| json!({ "name": receiver.name })).collect();
        // Their spans are left out: who asks wants to know that the names are there.
        let intervals: Vec<Value> =
            self.time_intervals.iter().map(|interval| json!({ "name": interval.name() })).collect();
        json!({
            "global": { "resolve_timeout": duration_text(self.resolve_timeout_ms) },
            "route": self.route(0),
            "inhibit_rules": self.inhibit_rules.iter().map(inhibit_rule).collect::<Vec<_>>(),
            "receivers": receivers,
            "time_intervals": intervals,
        })
        .to_string()
    }

    fn route(&self, index: usize) -> Value {
        let Route { receiver, matchers, continues, group_by, options, children, .. } = &self.routes[index];
        let group_by = match group_by {
            GroupBy::All => json!(["..."]),
            GroupBy::Names(names) => json!(names),
        };
        json!({
            "receiver": receiver,
            "group_by": group_by,
            "matchers": texts(matchers),
            "continue": continues,
            "group_wait": duration_text(options.group_wait_ms),
            "group_interval": duration_text(options.group_interval_ms),
            "repeat_interval": duration_text(options.repeat_interval_ms),
            "mute_time_intervals": options.mute_time_intervals,
            "active_time_intervals": options.active_time_intervals,
            "routes": children.iter().map(|&child| self.route(child)).collect::<Vec<_>>(),
        })
    }
}

fn inhibit_rule(rule: &InhibitRule) -> Value {
    json!({ "source_matchers": texts(&rule.sources), "target_matchers": texts(&rule.targets), "equal": rule.equal })
}

fn texts(matchers: &Matchers) -> Vec<String> {
    let alone = |matcher: &crate::model::Matcher| Matchers::new(vec![matcher.clone()]).to_string();
    matchers.iter().map(alone).collect()
}
