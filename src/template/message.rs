//! Templates of what receivers are told, over the data that Alertmanager gives.
//!
//! ```text
//! {{ define "title" }}{{ .Status | toUpper }} {{ .GroupLabels.SortedPairs.Values | join " " }}{{ end }}
//! {{ template "title" . }}: {{ range .Alerts.Firing }}{{ .Annotations.summary }} {{ end }}
//! ```
//!
//! Always true: what a template calls by name is looked up when it is filled in, so that files may stand in any order.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::evaluate::{self, Source};
use super::functions::Dialect;
use super::moment::Moment;
use super::parser::{self, Tree};
use super::tree::{List, Node};
use super::value::{ALERTS, Object, Value};
use super::{Facts, TemplateError};
use crate::model::Labels;

/// Midnight of 1 January of the year 1: what Go has where there is no time.
const ZERO_MS: i64 = -62_135_596_800_000;

/// What files of templates define.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// By name: which of the sources it stands in, and its body.
    defined: BTreeMap<String, (usize, List)>,
    sources: Vec<(String, String)>,
}

impl Library {
    /// Nothing is defined.
    pub fn new() -> Library {
        Library::default()
    }

    /// Adds what a text defines, under the name that errors give it; what was defined before is replaced.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), TemplateError> {
        let tree = parser::parse(text, &[], Dialect::Messages)?;
        self.sources.push((name.to_owned(), text.to_owned()));
        let source_index = self.sources.len() - 1;
        self.defined.extend(tree.defined.into_iter().map(|(name, body)| (name, (source_index, body))));
        Ok(())
    }

    pub(super) fn definition(&self, name: &str) -> Option<(&str, &List, Source<'_>)> {
        let (name, (source_index, body)) = self.defined.get_key_value(name)?;
        let (source, text) = &self.sources[*source_index];
        Some((name, body, Source { name: source, text }))
    }
}

/// Text with places to be filled in for a message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageTemplate {
    text: String,
    tree: Tree,
}

impl MessageTemplate {
    /// Reads it, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<MessageTemplate, TemplateError> {
        Ok(MessageTemplate { text: text.to_owned(), tree: parser::parse(text, &[], Dialect::Messages)? })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A template that it calls and that is defined nowhere.
    pub fn missing(&self, library: &Library) -> Option<String> {
        let bodies = self.tree.defined.values().chain([&self.tree.root]);
        let mut called = Vec::new();
        bodies.for_each(|body| called_in(body, &mut called));
        let is_missing = |name: &&str| !self.tree.defined.contains_key(*name) && library.definition(name).is_none();
        called.into_iter().find(is_missing).map(str::to_owned)
    }

    /// Fills it in, as a page or as plain text; fails in Go's words. `at_ms` is what `now` says, in ms since 1970 UTC.
    pub fn fill(&self, library: &Library, data: &MessageData, at_ms: i64, as_html: bool) -> Result<String, String> {
        let facts = Facts {
            labels: &Labels::empty(),
            value: 0.0,
            histogram: None,
            external_labels: &Labels::empty(),
            external_url: "",
            at_ms,
            query: &|_| Err("there are no queries in messages".to_owned()),
            more: &[],
        };
        evaluate::of_message((&self.text, &self.tree), library, &data.0, &facts, as_html)
    }
}

fn called_in<'t>(body: &'t [Node], called: &mut Vec<&'t str>) {
    for node in body {
        match node {
            Node::Call(call) => called.push(&call.name),
            Node::Branch(branch) => {
                called_in(&branch.body, called);
                branch.otherwise.iter().for_each(|otherwise| called_in(otherwise, called));
            }
            Node::Text(_) | Node::Action(_) | Node::Break | Node::Continue => {}
        }
    }
}

/// Names with texts.
type Pairs = Vec<(String, String)>;

/// What a message says.
#[derive(Clone, Debug)]
pub struct MessageFacts {
    /// `.Receiver`
    pub receiver: String,
    /// `.Status`: `firing` or `resolved`.
    pub status: String,
    /// `.Alerts`
    pub alerts: Vec<AlertFacts>,
    /// `.GroupLabels`
    pub group_labels: Pairs,
    /// `.CommonLabels`
    pub common_labels: Pairs,
    /// `.CommonAnnotations`
    pub common_annotations: Pairs,
    /// `.ExternalURL`
    pub external_url: String,
}

/// What a message says of one alert.
#[derive(Clone, Debug)]
pub struct AlertFacts {
    /// `.Status`: `firing` or `resolved`.
    pub status: String,
    /// `.Labels`
    pub labels: Pairs,
    /// `.Annotations`
    pub annotations: Pairs,
    /// `.StartsAt`, in ms since 1970 UTC.
    pub starts_at_ms: i64,
    /// `.EndsAt`, in ms since 1970 UTC, if it has ended.
    pub ends_at_ms: Option<i64>,
    /// `.GeneratorURL`
    pub generator_url: String,
    /// `.Fingerprint`
    pub fingerprint: String,
}

/// The dot of a message's templates.
#[derive(Debug)]
pub struct MessageData(Value);

impl MessageData {
    /// Prepares it once for many templates.
    pub fn new(facts: &MessageFacts) -> MessageData {
        let alerts = Value::List { of: ALERTS, items: Rc::new(facts.alerts.iter().map(alert).collect()) };
        MessageData(object(
            "template.Data",
            vec![
                ("Receiver", Value::text(&facts.receiver)),
                ("Status", Value::text(&facts.status)),
                ("Alerts", alerts),
                // Why a message is sent, Alertmanager knows from its timers.
                ("NotificationReason", Value::text("")),
                ("GroupLabels", kv(&facts.group_labels)),
                ("CommonLabels", kv(&facts.common_labels)),
                ("CommonAnnotations", kv(&facts.common_annotations)),
                ("ExternalURL", Value::text(&facts.external_url)),
            ],
        ))
    }
}

fn alert(facts: &AlertFacts) -> Value {
    let moment = |ms: i64| Value::Moment(Moment::utc(ms));
    object(
        "template.Alert",
        vec![
            ("Status", Value::text(&facts.status)),
            ("Labels", kv(&facts.labels)),
            ("Annotations", kv(&facts.annotations)),
            ("StartsAt", moment(facts.starts_at_ms)),
            ("EndsAt", moment(facts.ends_at_ms.unwrap_or(ZERO_MS))),
            ("GeneratorURL", Value::text(&facts.generator_url)),
            ("Fingerprint", Value::text(&facts.fingerprint)),
        ],
    )
}

fn object(of: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
    Value::Object(Rc::new(Object { of, fields }))
}

fn kv(pairs: &Pairs) -> Value {
    let pairs = pairs.iter().map(|(name, text)| (name.clone(), Arc::from(text.as_str())));
    Value::Kv(Rc::new(pairs.collect()))
}
