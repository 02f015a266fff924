//! What `/metrics` says of rules that are evaluated, in Prometheus's words with our prefix.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::journal::{GroupKey, key_of};
use crate::rules::{Evaluated, RuleGroup};
use crate::telemetry::{Counter, Gauge, Latency, Registry};

/// The figures of all groups that there were since the start.
pub(super) struct Figures {
    registry: Arc<Registry>,
    groups: Mutex<BTreeMap<GroupKey, Arc<GroupFigures>>>,
    evaluation: Latency,
    /// Whether the last reload was taken, and when one was, in s since 1970.
    pub(super) reload_successful: Gauge,
    pub(super) reload_success_seconds: Gauge,
}

/// The figures of one group. Relaxed: nothing depends on them.
pub(super) struct GroupFigures {
    evaluations: Counter,
    failures: Counter,
    iterations: Counter,
    missed: Counter,
    samples: Gauge,
    rules: Gauge,
    took_ns: Arc<AtomicU64>,
    at_ms: Arc<AtomicI64>,
    interval_ms: Arc<AtomicI64>,
    evaluation: Latency,
}

impl Figures {
    pub(super) fn new(registry: Arc<Registry>) -> Figures {
        let evaluation = registry.latency("dozor_rule_group_seconds", "Evaluations of groups of rules.", &[]);
        let (name, help) = (
            "dozor_rules_last_reload_successful",
            "1 when the last reload was taken: rules, routing and settings change together.",
        );
        let reload_successful = registry.gauge(name, help, &[]);
        let (name, help) =
            ("dozor_rules_last_reload_success_timestamp_seconds", "When rules were taken last, in seconds since 1970.");
        let reload_success_seconds = registry.gauge(name, help, &[]);
        Figures { registry, groups: Mutex::default(), evaluation, reload_successful, reload_success_seconds }
    }

    /// Those of a group, which go on when it is replaced by one of its name.
    pub(super) fn of(&self, group: &RuleGroup) -> Arc<GroupFigures> {
        let mut groups = self.groups.lock();
        let figures = groups.entry(key_of(group)).or_insert_with(|| Arc::new(self.registered(group)));
        figures.rules.set(i64::try_from(group.rules.len()).unwrap_or(i64::MAX));
        figures.clone()
    }

    fn registered(&self, group: &RuleGroup) -> GroupFigures {
        let name = format!("{};{}", group.file.display(), group.name);
        let labels = [("rule_group", name.as_str())];
        let counter = |name, help| self.registry.counter(name, help, &labels);
        let gauge = |name, help| self.registry.gauge(name, help, &labels);
        let figures = GroupFigures {
            evaluations: counter("dozor_rule_evaluations_total", "Evaluations of rules."),
            failures: counter("dozor_rule_evaluation_failures_total", "Evaluations of rules that failed."),
            iterations: counter("dozor_rule_group_iterations_total", "Evaluations of groups that were due."),
            missed: counter(
                "dozor_rule_group_iterations_missed_total",
                "Evaluations of groups that were left out since the one before took too long.",
            ),
            samples: gauge("dozor_rule_group_last_evaluation_samples", "Samples that a group's rules came to last."),
            rules: gauge("dozor_rule_group_rules", "Rules of a group."),
            took_ns: Arc::default(),
            at_ms: Arc::default(),
            interval_ms: Arc::default(),
            evaluation: self.evaluation.clone(),
        };
        let (took_ns, at_ms, interval_ms) =
            (figures.took_ns.clone(), figures.at_ms.clone(), figures.interval_ms.clone());
        let (name, help) = ("dozor_rule_group_last_duration_seconds", "How long a group's last evaluation took.");
        self.registry.gauge_fn(name, help, &labels, move || took_ns.load(Ordering::Relaxed) as f64 / 1e9);
        let (name, help) = (
            "dozor_rule_group_last_evaluation_timestamp_seconds",
            "The moment of a group's last evaluation, in seconds since 1970.",
        );
        self.registry.gauge_fn(name, help, &labels, move || at_ms.load(Ordering::Relaxed) as f64 / 1e3);
        let (name, help) = ("dozor_rule_group_interval_seconds", "How often a group is evaluated.");
        self.registry.gauge_fn(name, help, &labels, move || interval_ms.load(Ordering::Relaxed) as f64 / 1e3);
        figures
    }
}

impl GroupFigures {
    pub(super) fn is_evaluated_every(&self, interval_ms: i64) {
        self.interval_ms.store(interval_ms, Ordering::Relaxed);
    }

    pub(super) fn count(&self, evaluated: &Evaluated, at_ms: i64, took: Duration, missed_count: u64) {
        let count = |count: usize| count as u64;
        self.evaluations.add(count(evaluated.rules_count));
        self.failures.add(count(evaluated.failed_count));
        self.iterations.add(1 + missed_count);
        self.missed.add(missed_count);
        self.samples.set(i64::try_from(evaluated.samples_count).unwrap_or(i64::MAX));
        self.took_ns.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.at_ms.store(at_ms, Ordering::Relaxed);
        self.evaluation.record(took);
    }
}
