//! Whether an alert whose series is gone is over, or its data have ceased to come.
//!
//! ```text
//! sum by (region) (rate(orders_total[1m])) < 5      fires for eu at 12:00; shop falls silent at 12:10; eu is gone at 12:11
//!
//! who fell silent while it fired?                   shop
//! are its series among those that are looked at?    orders_total{job="shop"}: yes
//! would it fire without them, at 12:10?             sum by (region) (rate(orders_total{job!="shop",service!="shop"}[1m])) < 5
//! ```
//!
//! It would not, so what ended it may be that shop is silent: nothing is known of it until shop sends again. If it would,
//! then what others sent has ended it. So the death of one of many does not keep an alert that the others have ended.
//!
//! Where shop is scraped, `up` says that a part of it does not answer; an alert that names the part (`instance`) and looks
//! at its series is not over either. What looks at nothing but `up` and its like is judged by those: whoever scrapes sends
//! them.
//!
//! Always true:
//! 1. While nobody is silent who sent when an alert began, nothing is asked for it but who is silent, and for one that
//!    names an instance whether it answers.
//! 2. Where the answer cannot be had, nothing is known.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::ALERT_NAME;
use super::host::Host;
use crate::model::{Labels, METRIC_NAME, MatchOp, Matcher, OWNER_LABELS, TimeRange};
use crate::notify::Alert;
use crate::query::{self, quote};
use crate::rules::{AlertingRule, Rule, RuleHost, RuleSet};
use crate::server::senders::{Knowledge, OF_SCRAPES, Senders, Silence, UP};

/// For how long what somebody sent shapes an alert that begins when it is silent already, and how far before its end
/// series of a job are looked for, in ms.
const LINGERS_MS: i64 = 60 * 60_000;
/// Answers that are remembered, of each kind.
const REMEMBERED_COUNT_MAX: usize = 256;
/// The label that names a part of a job.
const INSTANCE: &str = "instance";

/// When, and of what, it is asked whether an alert is over.
#[derive(Clone, Copy)]
pub(super) struct Occasion<'a> {
    /// The rules in force.
    pub(super) set: &'a RuleSet,
    /// The evaluation that did not find the alert, in ms since 1970 UTC.
    pub(super) evaluated_ms: i64,
    /// Whether its end was held back before.
    pub(super) is_held: bool,
}

/// Who knows what an alert's end means.
pub(super) struct Doubts {
    senders: Arc<Senders>,
    host: Host,
    remembered: Mutex<Remembered>,
}

/// What was asked about silences that last. It does not change: it is about moments that are past.
#[derive(Default)]
struct Remembered {
    /// By expression, job, and since when it is silent.
    reaches: HashMap<(String, String, i64), Reach>,
    /// What a query had at a moment.
    elements: HashMap<(String, i64), Arc<Vec<Arc<Labels>>>>,
}

/// How an expression looks at the series of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    No,
    /// By selectors of its own.
    Directly,
    /// Through what another rule records of them, without their job.
    Through,
}

impl Doubts {
    pub(super) fn new(senders: Arc<Senders>, host: Host) -> Doubts {
        Doubts { senders, host, remembered: Mutex::default() }
    }

    /// The rules were changed.
    pub(super) fn forget(&self) {
        *self.remembered.lock() = Remembered::default();
    }

    /// What is known of the data that an alert speaks of, which its rule does not find any more.
    pub(super) fn knowledge(&self, alert: &Alert, occasion: Occasion<'_>) -> Knowledge {
        let of_labels = self.senders.knowledge(&alert.labels);
        let rules = rules_of(alert, occasion.set);
        let of_rules = rules.map(|rule| self.of_rule(alert, rule, of_labels, occasion)).reduce(worse);
        of_rules.unwrap_or_else(|| match named(alert, occasion.set).next() {
            // Its labels were changed: what is silent speaks for neither the old ones nor the new ones.
            Some(_) => of_labels,
            // Whoever took the rule out has decided; no data would say anything.
            None => Knowledge::Since(i64::MIN),
        })
    }

    fn of_rule(&self, alert: &Alert, rule: &AlertingRule, of_labels: Knowledge, occasion: Occasion<'_>) -> Knowledge {
        let Ok(selectors) = query::plan(&rule.expr).map(|plan| plan.selectors()) else { return of_labels };
        if selectors.iter().all(|matchers| is_of_scrapes(matchers)) && self.is_scraped(alert, occasion) {
            return Knowledge::Since(i64::MIN);
        }
        if matches!(of_labels, Knowledge::NothingSince(_)) {
            return of_labels;
        }
        if self.is_part_silent(alert, &selectors, occasion) {
            return Knowledge::NothingSince(occasion.evaluated_ms);
        }
        let silences = self.senders.silences(alert.starts_at_ms.saturating_sub(LINGERS_MS));
        let is_open = |silence: &Silence| match silence.knowledge {
            Knowledge::Since(since_ms) => since_ms > occasion.evaluated_ms,
            Knowledge::NothingSince(_) => true,
        };
        let open: Vec<Silence> = silences.into_iter().filter(is_open).collect();
        worse(of_labels, self.of_silences(alert, rule, &selectors, &open, occasion.set))
    }

    /// What is known of an alert of this rule while these are silent.
    fn of_silences(
        &self,
        alert: &Alert,
        rule: &AlertingRule,
        selectors: &[Vec<Matcher>],
        silences: &[Silence],
        set: &RuleSet,
    ) -> Knowledge {
        let reach = |silence: &Silence| {
            let key = (rule.expr.clone(), silence.job.clone(), silence.since_ms);
            if let Some(reach) = self.remembered.lock().reaches.get(&key) {
                return *reach;
            }
            let reach = self.reach(selectors, silence, set);
            remember(&mut self.remembered.lock().reaches, key, reach);
            reach
        };
        let reached: Vec<(&Silence, Reach)> =
            silences.iter().map(|silence| (silence, reach(silence))).filter(|(_, reach)| *reach != Reach::No).collect();
        let Some(knowledge) = reached.iter().map(|(silence, _)| silence.knowledge).reduce(worse) else {
            return Knowledge::Since(i64::MIN);
        };
        let is_direct = reached.iter().all(|(_, reach)| *reach == Reach::Directly);
        if is_direct && self.fires_without(alert, rule, &reached) {
            return Knowledge::Since(i64::MIN);
        }
        knowledge
    }

    fn reach(&self, selectors: &[Vec<Matcher>], silence: &Silence, set: &RuleSet) -> Reach {
        let owners = OWNER_LABELS.iter().enumerate().map(|(index, name)| {
            let absent = OWNER_LABELS[..index].iter().map(|before| Matcher::equal(*before, ""));
            absent.chain([Matcher::equal(*name, &*silence.job)]).collect::<Vec<Matcher>>()
        });
        let owners: Vec<Vec<Matcher>> = owners.collect();
        let is_seen = |matchers: &[Matcher]| owners.iter().any(|owner| self.sees(matchers, owner, end_ms(silence)));
        let (mut reach, mut known) = (Reach::No, BTreeSet::new());
        for matchers in selectors {
            if is_seen(matchers) {
                reach = Reach::Directly;
            } else if sources(matchers, set, &mut known).iter().any(|matchers| is_seen(matchers)) {
                return Reach::Through;
            }
        }
        reach
    }

    /// Whether the alert would have fired without what they sent, when the first of them fell silent.
    fn fires_without(&self, alert: &Alert, rule: &AlertingRule, silences: &[(&Silence, Reach)]) -> bool {
        let others = silences.iter().flat_map(|(silence, _)| {
            OWNER_LABELS.map(|name| Matcher::new(name, MatchOp::NotEqual, &*silence.job).expect("it is no pattern"))
        });
        let others: Vec<Matcher> = others.collect();
        let Ok(query) = query::narrowed(&rule.expr, &others) else { return false };
        let first_ms = silences.iter().map(|(silence, _)| end_ms(silence)).min().unwrap_or(i64::MIN);
        let elements = self.elements(query, first_ms.max(alert.starts_at_ms));
        elements.iter().any(|labels| is_element_of(labels, alert, rule))
    }

    /// The series that a query has at a moment; none where it cannot be answered.
    fn elements(&self, query: String, at_ms: i64) -> Arc<Vec<Arc<Labels>>> {
        let key = (query, at_ms);
        if let Some(elements) = self.remembered.lock().elements.get(&key) {
            return elements.clone();
        }
        let Ok(found) = self.host.ask(&key.0, at_ms) else { return Arc::default() };
        let elements: Arc<Vec<Arc<Labels>>> = Arc::new(found.into_iter().map(|sample| sample.labels).collect());
        remember(&mut self.remembered.lock().elements, key, elements.clone());
        elements
    }

    /// Whether whoever scrapes the job says how it is.
    fn is_scraped(&self, alert: &Alert, occasion: Occasion<'_>) -> bool {
        let owner = alert.labels.get("job").map(|job| format!("{{job={}}}", quote(job))).unwrap_or_default();
        self.is_any(&format!("limitk(1, {UP}{owner})"), occasion.evaluated_ms)
    }

    /// Whether the alert is about an instance that does not answer, by series that it sent itself.
    fn is_part_silent(&self, alert: &Alert, selectors: &[Vec<Matcher>], occasion: Occasion<'_>) -> bool {
        let (Some(job), Some(instance)) = (alert.labels.get("job"), alert.labels.get(INSTANCE)) else { return false };
        let up = format!("{UP}{{job={},instance={}}}", quote(job), quote(instance));
        // What was held waits until it has answered for a while. What has not for too long is not waited for.
        let settles_ms = self.senders.settles_ms(job);
        let now = if occasion.is_held { format!("min_over_time({up}[{settles_ms}ms])") } else { up.clone() };
        let lately = format!("max_over_time({up}[{}ms])", self.senders.unknown_max_ms());
        let asked_ms = occasion.evaluated_ms;
        if !(self.is_any(&format!("{now} == 0"), asked_ms) && self.is_any(&format!("{lately} > 0"), asked_ms)) {
            return false;
        }
        let of_part = [Matcher::equal("job", job), Matcher::equal(INSTANCE, instance)];
        let mut own = selectors.iter().filter(|matchers| !is_of_scrapes(matchers));
        own.any(|matchers| self.sees(matchers, &of_part, alert.starts_at_ms))
    }

    /// Whether there are series that satisfy both in the hour before a moment.
    fn sees(&self, matchers: &[Matcher], more: &[Matcher], to_ms: i64) -> bool {
        let matchers: Vec<Matcher> = matchers.iter().chain(more).cloned().collect();
        let range = TimeRange { from_ms: to_ms.saturating_sub(LINGERS_MS), to_ms };
        // Too many is more than one.
        (self.host.view)().find(&matchers, range, 1).map_or(true, |found| !found.is_empty())
    }

    fn is_any(&self, query: &str, at_ms: i64) -> bool {
        self.host.ask(query, at_ms).is_ok_and(|found| !found.is_empty())
    }
}

fn remember<K: Eq + std::hash::Hash, V>(known: &mut HashMap<K, V>, key: K, value: V) {
    if known.len() >= REMEMBERED_COUNT_MAX {
        known.clear();
    }
    known.insert(key, value);
}

/// Rules that the alert may be of: by its name, and by those labels that are the same in all alerts of a rule.
fn rules_of<'a>(alert: &'a Alert, set: &'a RuleSet) -> impl Iterator<Item = &'a AlertingRule> {
    named(alert, set).filter(move |rule| {
        let has = |(name, text): (&str, &str)| text.contains("{{") || alert.labels.get(name).unwrap_or("") == text;
        rule.labels().all(has)
    })
}

/// Rules of the alert's name.
fn named<'a>(alert: &'a Alert, set: &'a RuleSet) -> impl Iterator<Item = &'a AlertingRule> {
    let name = alert.labels.get(ALERT_NAME).unwrap_or("");
    let rules = set.groups.iter().flat_map(|group| &group.rules);
    let alerting = rules.filter_map(|rule| if let Rule::Alerting(rule) = rule { Some(rule) } else { None });
    alerting.filter(move |rule| rule.alert == name)
}

/// Whether the alert is what the rule makes of a series of these labels.
fn is_element_of(labels: &Labels, alert: &Alert, rule: &AlertingRule) -> bool {
    let is_set = |name: &str| name == ALERT_NAME || rule.labels().any(|(set, _)| set == name);
    let of_series = labels.iter().filter(|(name, _)| *name != METRIC_NAME && !is_set(name));
    of_series.eq(alert.labels.iter().filter(|(name, _)| !is_set(name)))
}

/// The last moment of which something of it is stored, by whichever clock was behind.
fn end_ms(silence: &Silence) -> i64 {
    if silence.newest_ms == i64::MIN { silence.since_ms } else { silence.newest_ms.min(silence.since_ms) }
}

fn worse(one: Knowledge, other: Knowledge) -> Knowledge {
    match (one, other) {
        (Knowledge::NothingSince(one), Knowledge::NothingSince(other)) => Knowledge::NothingSince(one.max(other)),
        (Knowledge::Since(one), Knowledge::Since(other)) => Knowledge::Since(one.max(other)),
        (nothing @ Knowledge::NothingSince(_), _) | (_, nothing) => nothing,
    }
}

fn is_of_scrapes(matchers: &[Matcher]) -> bool {
    let is_name = |matcher: &&Matcher| matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal;
    let name = matchers.iter().find(is_name).map(Matcher::value);
    name.is_some_and(|name| name == UP || OF_SCRAPES.contains(&name))
}

/// The selectors behind what rules record that these matchers select. `known`: rules that were looked at.
fn sources<'a>(matchers: &[Matcher], set: &'a RuleSet, known: &mut BTreeSet<(&'a str, &'a str)>) -> Vec<Vec<Matcher>> {
    let names: Vec<&Matcher> = matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME).collect();
    let is_selected = |record: &str| !names.is_empty() && names.iter().all(|matcher| matcher.matches(record));
    let rules = set.groups.iter().flat_map(|group| &group.rules);
    let recording = rules.filter_map(|rule| if let Rule::Recording(rule) = rule { Some(rule) } else { None });
    let mut found = Vec::new();
    for rule in recording.filter(|rule| is_selected(&rule.record)) {
        if known.insert((&rule.record, &rule.expr)) {
            let selectors = query::plan(&rule.expr).map(|plan| plan.selectors());
            for matchers in selectors.unwrap_or_default() {
                found.extend(sources(&matchers, set, known));
                found.push(matchers);
            }
        }
    }
    found
}
