//! Rules that are evaluated, and everything that Prometheus refuses of them.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use super::file::{Group, Rule};
use super::group::{AlertingRule, RecordingRule};
use super::load::{Reader, place_of};
use super::{ALERT_NAME, DIRECTION, advice};
use crate::model::METRIC_NAME;
use crate::query;
use crate::template::{Template, TemplateError};

impl Reader<'_> {
    pub(super) fn recording(&mut self, group: &Group, rule: &Rule, record: &Spanned<String>) -> Option<RecordingRule> {
        let before = self.errors.len();
        self.check_expr(&rule.expr);
        for (key, given) in [("for", &rule.hold), ("keep_firing_for", &rule.keep_firing_for)] {
            if let Some(given) = given.as_ref().filter(|given| self.duration(Some(*given)) != 0) {
                let what = format!("{key} has no meaning for a recording rule");
                self.refuse::<()>(given.referenced, what, Some("remove it, or write alert: in place of record:"));
            }
        }
        if let Some(first) = rule.annotations.values().next() {
            let what = "annotations have no meaning for a recording rule".to_owned();
            self.refuse::<()>(first.referenced, what, Some("remove them, or write alert: in place of record:"));
        }
        if record.value.contains(['{', '}']) {
            let what = format!("the metric's name {:?} has braces in it", record.value);
            self.refuse::<()>(record.referenced, what, Some("labels belong to labels:, a selector to expr:"));
        }
        self.check_labels(&rule.labels);
        let mut labels: BTreeMap<String, String> = values_of(&group.labels);
        labels.extend(values_of(&rule.labels));
        (self.errors.len() == before).then(|| RecordingRule {
            record: record.value.clone(),
            expr: rule.expr.value.clone(),
            query: printed(&rule.expr.value),
            labels: labels.into_iter().collect(),
        })
    }

    pub(super) fn alerting(&mut self, group: &Group, rule: &Rule, alert: &Spanned<String>) -> Option<AlertingRule> {
        let before = self.errors.len();
        self.check_expr(&rule.expr);
        let alerting = AlertingRule {
            alert: alert.value.clone(),
            expr: rule.expr.value.clone(),
            query: printed(&rule.expr.value),
            for_ms: self.duration(rule.hold.as_ref()),
            keep_firing_for_ms: self.duration(rule.keep_firing_for.as_ref()),
            labels: self.labels_of_alert(group, rule, false),
            annotations: self.annotations(rule),
        };
        (self.errors.len() == before).then_some(alerting)
    }

    /// The templates of labels, a rule's over its group's, sorted by name. With `must_last` they may not say what changes
    /// until the alert resolves.
    pub(super) fn labels_of_alert(&mut self, group: &Group, rule: &Rule, must_last: bool) -> Vec<(String, Template)> {
        self.check_labels(&rule.labels);
        let mut given: BTreeMap<&String, &Spanned<String>> = group.labels.iter().collect();
        given.extend(&rule.labels);
        let mut labels = Vec::new();
        for (name, text) in given {
            let Some(template) = self.template(text, must_last) else { continue };
            if must_last && template.is_volatile() {
                let what = format!("the label {name:?} depends on what changes until the alert resolves");
                self.refuse::<()>(text.referenced, what, Some("use $value and $expected in annotations"));
            } else if must_last && [ALERT_NAME, DIRECTION].contains(&name.as_str()) {
                let what = format!("the label {name:?} is set by the alert itself");
                self.refuse::<()>(text.referenced, what, None);
            } else {
                labels.push((name.clone(), template));
            }
        }
        labels
    }

    /// The templates of annotations, sorted by name.
    pub(super) fn annotations(&mut self, rule: &Rule) -> Vec<(String, Template)> {
        let mut annotations = Vec::new();
        for (name, text) in &rule.annotations {
            if name.is_empty() {
                self.refuse::<()>(text.referenced, "the name of an annotation is empty".to_owned(), None);
            }
            annotations.extend(self.template(text, rule.anomaly.is_some()).map(|template| (name.clone(), template)));
        }
        annotations
    }

    fn template(&mut self, text: &Spanned<String>, is_anomaly: bool) -> Option<Template> {
        let parse = if is_anomaly { Template::parse } else { Template::parse_plain };
        match parse(&text.value) {
            Ok(template) => Some(template),
            Err(error) => self.refuse_template(text, &error),
        }
    }

    /// Names of labels, which a rule may set.
    pub(super) fn check_labels(&mut self, labels: &BTreeMap<String, Spanned<String>>) {
        for (name, text) in labels {
            if name.is_empty() {
                self.refuse::<()>(text.referenced, "the name of a label is empty".to_owned(), None);
            }
            if name == METRIC_NAME {
                let what = format!("the label {name:?} is set by the rule itself");
                self.refuse::<()>(text.referenced, what, Some("the name of a metric is what record: says"));
            }
        }
    }

    /// Points at the place within the expression.
    fn check_expr(&mut self, expr: &Spanned<String>) {
        if expr.value.trim().is_empty() {
            let hint = "add what is to be evaluated, such as expr: up == 0";
            self.refuse::<()>(expr.referenced, "the expression is empty".to_owned(), Some(hint));
            return;
        }
        if let Err(error) = query::plan(&expr.value) {
            self.refuse_expr::<()>(expr, &error.to_string());
        }
    }

    pub(super) fn refuse_expr<T>(&mut self, expr: &Spanned<String>, what: &str) -> Option<T> {
        let start = place_of(expr.referenced);
        let place = start.map(|start| match place_in(what) {
            Some(at) => advice::place_within(self.text, start, &expr.value, at),
            None => start,
        });
        self.push(place, what.to_owned(), advice::of_query(what).as_deref());
        None
    }

    fn refuse_template<T>(&mut self, text: &Spanned<String>, error: &TemplateError) -> Option<T> {
        let at = (error.line, error.column);
        let place = place_of(text.referenced).map(|start| advice::place_within(self.text, start, &text.value, at));
        let what = error.to_string();
        self.push(place, what.clone(), Some(&advice::of_template(&what)));
        None
    }
}

/// In one line; as it is where it has a fault, which is told elsewhere.
fn printed(expr: &str) -> String {
    query::printed(expr).unwrap_or_else(|_| expr.to_owned())
}

fn values_of(labels: &BTreeMap<String, Spanned<String>>) -> BTreeMap<String, String> {
    labels.iter().map(|(name, text)| (name.clone(), text.value.clone())).collect()
}

/// Where an error is in an expression: of `2:7: parse error: …` line 2, column 7.
fn place_in(what: &str) -> Option<(usize, usize)> {
    let (line, rest) = what.split_once(':')?;
    let (column, _) = rest.split_once(':')?;
    Some((line.parse().ok().filter(|&line| line > 0)?, column.parse().ok().filter(|&column| column > 0)?))
}
