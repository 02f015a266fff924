//! Rule files: Prometheus's syntax with one more block, `anomaly`.
//!
//! ```yaml
//! groups:
//!   - name: checkout
//!     rules:
//!       - alert: OrderRateDrop
//!         expr: sum by (region) (rate(shop_orders_total[1m]))
//!         anomaly: { direction: drop }
//!         labels: { severity: critical }
//!         annotations:
//!           summary: "Orders in {{ $labels.region }} fell to {{ $value | humanize }}/s, expected {{ $expected | humanize }}/s"
//! ```
//!
//! Without the block, a rule is what it is in Prometheus: its expression is evaluated every `interval` of its group, and
//! what it is worth is recorded, or alerts (`evaluation`). With it, the expression has no comparison: it is fed by the
//! stream, what is normal is learned ([`crate::detect`]), and `anomaly` says which change of it matters.
//!
//! | key of `anomaly` | unit | default | range | meaning |
//! | --- | --- | --- | --- | --- |
//! | `direction` | – | none, with a `limit` or `full` | `drop`, `rise`, `both`, `absent` | which change fires; `absent`: that the samples of a series cease to come |
//! | `class` | – | by expression | `orders`, `errors`, `conversion`, `latency` | what kind of thing it is: counts are `orders`, a ratio that is watched for rises `errors`, for drops `conversion`, every other value `latency` |
//! | `false_alerts_per_series_week` | alerts a week | 0.1 | 0.001 to 100 | how often a series may fire in vain |
//! | `min_change` | fraction of the expectation | 0 | 0 to 0.9 | smallest change that fires; 0.3 during a group's first two days |
//! | `min_volume` | events in a window | 10 | 0 to 10⁹ | fewer expected events are not judged for a drop, and a rise must reach as many; of plain values unused |
//! | `limit` | – | none | `{ above: 2, below: 0.5, for: 1m }` | fires from the first bucket on, learned or not |
//! | `full` | – | none | `{ at: 1, within: 4h }`, `at: now` of times | fires when the value's slope reaches `at` within that time |
//! | `price` | money | none | 0 to 10¹² | what one lost event costs |
//! | `timezone` | – | the setting `detection.timezone` | a name like `Europe/Berlin` | the clock by which days and weeks are learned |
//!
//! `for` and `keep_firing_for` mean what they mean in Prometheus, in event time; both default to 0s. `interval`,
//! `query_offset` and `limit` of a group have no effect on its rules with `anomaly`, for those are not polled.
//!
//! An alert carries a label `direction` (`drop`, `rise`, `absent`, `limit` or `full`) and, unless the rule has
//! annotations of these names, the figures behind it: `expected`, `deviation`, `onset`, `detector`, `bounds`, `evidence`,
//! `lost`, `lost_money`, `confidence`, `detectable_drop`; and, if they are known by the time it is told, `parts`:
//! which of the series underneath moved most. One that ended because nothing came of its series for too long says so in
//! `telemetry`. Its annotations can ask queries (`{{ query "…" }}`), as of
//! the moment that is told, in event time, and for a second in all.
//!
//! Always true:
//! 1. A file is taken as a whole or refused with every fault's file, line and column.
//! 2. The alert that resolves carries the labels of the one that fired: with `anomaly`, a label cannot use `$value`.

mod advice;
mod check;
mod duration;
mod error;
mod evaluation;
mod figures;
mod file;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod group;
mod load;
mod pack;

use std::path::PathBuf;
use std::sync::Arc;

use crate::detect::{Explanation, Kind, ModelOptions, Signal, Transition, Watch, Zone, class_of};
use crate::model::{LABEL_VALUE_BYTES_MAX, Labels, percent_encoded};
use crate::notify::Alert;
use crate::template::{Fact, Facts, Template};

pub use duration::parse as parse_duration_ms;
pub use error::{RuleError, RuleErrors};
pub use evaluation::{
    ALERTS_PER_RULE_MAX, ActiveAlert, AlertState, Evaluated, Evaluation, GroupReport, GroupState, Health,
    RESOLVED_RETENTION_MS, Reloaded, RestoreRules, RuleHost, RuleReport, RuleSample, RuleState, RulesReport,
    RulesStateError, SavedGroup, Surroundings, decode_saved, encode_saved,
};
pub(crate) use figures::{TELEMETRY, given_up};
pub use files::files_of;
#[cfg(any(test, feature = "fuzzing"))]
pub use fuzzing::filled_in;
pub use group::{AlertingRule, RecordingRule, Rule, RuleGroup};
pub use load::{load, load_text};
pub use pack::{Pack, PackFile, runbook};

/// The label that holds the rule's name, and the one that says which way it went.
const ALERT_NAME: &str = "alertname";
const DIRECTION: &str = "direction";

/// Labels and value of each series that a query came to, or why there is no answer.
pub type Answered = Result<Vec<(Labels, f64)>, String>;

/// All rules of all files.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// In the order of files; also those whose rules are all fed by the stream.
    pub groups: Vec<Arc<RuleGroup>>,
    /// Where each rule of each group begins, in their order.
    pub places: Vec<Vec<RulePlace>>,
    /// Rules with an `anomaly` block, in the order of files, groups and rules; the index is [`Transition::watch`].
    pub rules: Vec<AnomalyRule>,
}

/// Where a rule begins.
#[derive(Clone, Debug, Default)]
pub struct RulePlace {
    /// Line and column, counted from 1; none where the reader does not know.
    pub place: Option<(usize, usize)>,
    /// The text of that line.
    pub line_text: String,
}

/// A rule with an `anomaly` block.
#[derive(Clone, Debug)]
pub struct AnomalyRule {
    /// The file that it stands in, as it was given.
    pub file: PathBuf,
    /// Name of its group.
    pub group: String,
    /// The alert's name.
    pub alert: String,
    /// The expression as it was written.
    pub expr: String,
    /// The expression as it is fed.
    pub signal: Signal,
    /// How it is judged.
    pub options: ModelOptions,
    /// The clock by which its days are learned, where it is not the shop's.
    pub zone: Option<Arc<Zone>>,
    labels: Vec<(String, Template)>,
    annotations: Vec<(String, Template)>,
}

/// An anomaly, for those who ask why.
#[derive(Clone, Debug)]
pub struct AnomalyReport {
    /// As receivers have it.
    pub alert: Alert,
    /// The rule's expression as it was written.
    pub expr: String,
    /// The figures behind it.
    pub explanation: Explanation,
}

impl RuleSet {
    /// What detection is to watch, in the order of the rules. Identities are unique: equal rules are numbered.
    pub fn watches(&self) -> Vec<Watch> {
        let mut watches: Vec<Watch> = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let identity = rule.identity();
            let earlier = watches.iter().filter(|watch| watch.identity.starts_with(&identity)).count();
            let identity = if earlier == 0 { identity } else { format!("{identity} #{earlier}") };
            let (signal, options, zone) = (rule.signal.clone(), rule.options, rule.zone.clone());
            watches.push(Watch { identity, signal, options, zone });
        }
        watches
    }

    /// Whether the rules with an `anomaly` block are the same, in the same places.
    pub fn has_anomalies_of(&self, other: &RuleSet) -> bool {
        let same = |one: &AnomalyRule, other: &AnomalyRule| {
            (&one.file, one.identity()) == (&other.file, other.identity())
                && (one.options, &one.zone) == (other.options, &other.zone)
                && one.labels().eq(other.labels())
                && one.annotations().eq(other.annotations())
        };
        self.rules.len() == other.rules.len() && self.rules.iter().zip(&other.rules).all(|(one, two)| same(one, two))
    }

    /// Whether a rule that is evaluated makes alerts of this name.
    pub fn has_alerting(&self, alert: &str) -> bool {
        let is_named = |rule: &Rule| matches!(rule, Rule::Alerting(rule) if rule.alert == alert);
        self.groups.iter().any(|group| group.rules.iter().any(is_named))
    }

    /// The alert of a transition: labels of the group, of the rule, and `alertname`, the same when it fires and when it
    /// resolves; the rule's annotations filled in. `external_url` is where this server is reached, without a slash at its end.
    /// Annotations that ask a query hold an error in its place.
    pub fn alert_for(&self, transition: &Transition, external_url: &str) -> Alert {
        self.alert_with(transition, external_url, &|_| Err("nobody is there to answer it".to_owned()))
    }

    /// The same, with somebody who answers the queries that annotations ask: PromQL at [`Transition::at_ms`], with labels
    /// and value of each series, or why there is no answer. Labels ask none.
    pub fn alert_with(&self, transition: &Transition, external_url: &str, query: &dyn Fn(&str) -> Answered) -> Alert {
        let rule = &self.rules[transition.watch];
        let direction = transition.direction.name();
        let onset = figures::onset(transition);
        let mut more = vec![
            ("expected", Fact::Number(transition.expected)),
            ("direction", Fact::Text(direction)),
            ("onset", Fact::Text(&onset)),
        ];
        more.extend(figures::deviation(transition).map(|deviation| ("deviation", Fact::Number(deviation))));
        more.extend(figures::lost(transition).map(|lost| ("lost", Fact::Number(lost))));
        let facts = Facts {
            labels: &transition.labels,
            value: transition.value,
            histogram: None,
            external_labels: &Labels::empty(),
            external_url,
            at_ms: transition.at_ms,
            query,
            more: &more,
        };
        Alert {
            labels: rule.rendered_labels(direction, &facts),
            annotations: rule.annotated(transition, &facts),
            starts_at_ms: transition.fired_ms,
            ends_at_ms: (transition.kind == Kind::Resolved).then_some(transition.at_ms),
            generator_url: format!("{external_url}/graph?g0.expr={}&g0.tab=0", percent_encoded(&rule.expr)),
        }
    }
}

impl AnomalyRule {
    /// Names of the labels that the rule and its group add, each with its template as it was written.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, template)| (name.as_str(), template.text()))
    }

    /// Names of the annotations, each with its template as it was written.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.annotations.iter().map(|(name, template)| (name.as_str(), template.text()))
    }

    /// Whether its annotations may ask queries.
    pub fn asks(&self) -> bool {
        self.annotations().any(|(_, text)| text.contains("query"))
    }

    /// Differs whenever what was learned no longer applies: a threshold may change without two days of learning.
    fn identity(&self) -> String {
        format!("{}/{}: {} {:?}", self.group, self.alert, self.expr, class_of(&self.signal, &self.options))
    }

    /// The rule's annotations, and what is known of the alert under names that the rule does not use.
    fn annotated(&self, transition: &Transition, facts: &Facts<'_>) -> Vec<(String, String)> {
        let render = |(name, text): &(String, Template)| (name.clone(), text.render(&self.alert, facts));
        let mut annotations: Vec<(String, String)> = self.annotations.iter().map(render).collect();
        let known = |name: &str| self.annotations.iter().any(|(one, _)| one == name);
        let figures = figures::of(transition).into_iter().filter(|(name, _)| !known(name));
        annotations.extend(figures.map(|(name, text)| (name.to_owned(), text)));
        annotations
    }

    fn rendered_labels(&self, direction: &str, facts: &Facts<'_>) -> Labels {
        let own: Vec<(&str, String)> =
            self.labels.iter().map(|(name, text)| (name.as_str(), cut(text.render(&self.alert, facts)))).collect();
        let given = [(ALERT_NAME, self.alert.as_str()), (DIRECTION, direction)];
        let is_own = |name: &str| given.iter().any(|one| one.0 == name) || own.iter().any(|(one, _)| *one == name);
        let inherited = facts.labels.iter().filter(|(name, _)| !is_own(name));
        let own = || own.iter().map(|(name, text)| (*name, text.as_str())).chain(given);
        // A page with some labels missing still wakes somebody; a refused one does not.
        Labels::from_pairs(inherited.chain(own()))
            .or_else(|_| Labels::from_pairs(own()))
            .or_else(|_| Labels::from_pairs([(ALERT_NAME, cut(self.alert.clone()))]))
            .expect("one label within the limits is a label set")
    }
}

/// As much of a label's value as may be.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LABEL_VALUE_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests;
