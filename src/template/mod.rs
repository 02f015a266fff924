//! Go's text templates, as Prometheus's rules and Alertmanager's receivers use them.
//!
//! ```text
//! {{ with query "shop_stock < 5" -}}
//! Nearly sold out: {{ range . }}{{ .Labels.sku }} ({{ .Value }}) {{ end }}
//! {{- else -}}
//! Enough of everything, at {{ $value | humanize }} orders/s in {{ $labels.region }}
//! {{- end }}
//! ```
//!
//! `lexer.rs` cuts the text into tokens, `parser.rs` makes a tree of them, and `evaluate.rs` fills it in with values as
//! Go's types have them, so that what is compared, indexed and printed is what Prometheus would show. What fails while it
//! is filled in stands in the text itself, in Prometheus's words: `<error expanding template: …>`.
//!
//! Beside Prometheus's `$labels`, `$value`, `$externalLabels` and `$externalURL` there are the facts of an anomaly
//! ([`FACTS`]): `$expected`, `$direction`, `$onset` (a time as text), `$deviation` (a fraction), `$lost` (events).
//!
//! Always true:
//! 1. What was parsed knows all its variables and functions; what is not known is refused with line and column.
//! 2. Filling in ends, within bounded time, text and stack, whoever wrote the template.
//!
//! The same engine fills in what receivers are told ([`MessageTemplate`]), with Alertmanager's data and functions.
//!
//! Deliberately absent: complex numbers, and what only pages can do (`tmpl`).

mod call;
mod escape;
mod evaluate;
mod functions;
mod html;
mod json;
mod lexer;
mod literal;
mod message;
mod methods;
mod moment;
mod number;
mod of_messages;
mod parser;
mod printf;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod work;

use std::collections::BTreeSet;

use crate::model::Labels;
use functions::Dialect;
use parser::Tree;
use tree::{Node, Operand, Pipeline, Term};

pub use message::{AlertFacts, Library, MessageData, MessageFacts, MessageTemplate};

/// Longest template, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 16;
/// What an anomaly's template knows beside what Prometheus gives, without the dollar signs.
pub const FACTS: [&str; 5] = ["expected", "direction", "onset", "deviation", "lost"];
/// What Prometheus gives.
const VARIABLES: [&str; 4] = ["labels", "externalLabels", "externalURL", "value"];
/// The variables of rules, those of anomalies among them.
pub const VARIABLE_NAMES: [&str; 9] = [
    "$labels",
    "$value",
    "$externalLabels",
    "$externalURL",
    "$expected",
    "$direction",
    "$onset",
    "$deviation",
    "$lost",
];
/// What can be written, for errors.
pub const HINT: &str = "templates are Go's, with Prometheus's functions; variables are $labels, $value, \
                               $externalLabels, $externalURL, and of an anomaly $expected, $direction, $onset, $deviation and $lost";

/// Names of the functions that templates of rules may use.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    functions::names(Dialect::Rules)
}

/// Text with places to be filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    text: String,
    tree: Tree,
}

/// A query's answer, or what went wrong.
pub type Answer = Result<Vec<(Labels, f64)>, String>;

/// What a template is filled in with.
pub struct Facts<'a> {
    /// Of the alert or the series.
    pub labels: &'a Labels,
    /// What the expression came to.
    pub value: f64,
    /// The value, if it is a native histogram, as it is printed.
    pub histogram: Option<&'a str>,
    /// Labels of this server.
    pub external_labels: &'a Labels,
    /// Where this server is reached, without a slash at its end.
    pub external_url: &'a str,
    /// The moment of evaluation, in ms since 1970.
    pub at_ms: i64,
    /// Answers PromQL at that moment.
    pub query: &'a dyn Fn(&str) -> Answer,
    /// Of an anomaly: names out of [`FACTS`]. One that is not given is `<no value>`.
    pub more: &'a [(&'static str, Fact<'a>)],
}

/// One fact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact<'a> {
    /// Printed as Go prints it.
    Number(f64),
    /// Printed as it is.
    Text(&'a str),
}

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TemplateError {
    /// In Go's words.
    pub what: String,
    /// Line within the template, counted from 1.
    pub line: usize,
    /// Character within the line, counted from 1.
    pub column: usize,
}

impl TemplateError {
    fn at(text: &str, position: usize, what: String) -> TemplateError {
        let before = &text[..position.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = 1 + before[line_start..].chars().count();
        TemplateError { what, line: 1 + before.matches('\n').count(), column }
    }
}

impl Template {
    /// Reads a template of an anomaly's rule, or says what in it is wrong.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let variables: Vec<&str> = VARIABLES.iter().chain(&FACTS).copied().collect();
        Ok(Template { text: text.to_owned(), tree: parser::parse(text, &variables, Dialect::Rules)? })
    }

    /// Reads a template of a rule of Prometheus's, which knows no facts of anomalies.
    pub fn parse_plain(text: &str) -> Result<Template, TemplateError> {
        Ok(Template { text: text.to_owned(), tree: parser::parse(text, &VARIABLES, Dialect::Rules)? })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Fills it in under the alert's name. Where that fails, the text says why, as Prometheus's does.
    pub fn render(&self, alert: &str, facts: &Facts<'_>) -> String {
        self.expand(alert, facts).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }

    /// Fills it in under the alert's name, or says in Prometheus's words why that fails.
    pub fn expand(&self, alert: &str, facts: &Facts<'_>) -> Result<String, String> {
        let name = format!("__alert_{alert}");
        evaluate::of_rule(&self.text, &self.tree, &name, facts)
            .map_err(|error| format!("error executing template {name}: {error}"))
    }

    /// Whether it says something that may change while an alert lasts: everything but labels, addresses and the
    /// direction.
    pub fn is_volatile(&self) -> bool {
        let mut used = BTreeSet::new();
        let bodies = self.tree.defined.values().chain([&self.tree.root]);
        bodies.for_each(|body| body.iter().for_each(|node| names_in_node(node, &mut used)));
        let is_stable = |fact: &&str| *fact == "direction";
        let facts = FACTS.iter().filter(|fact| !is_stable(fact)).map(|fact| format!("${fact}"));
        let volatile = ["$value", ".Value", "query", "now"].map(str::to_owned);
        volatile.into_iter().chain(facts).any(|name| used.contains(&name))
    }
}

/// Variables, fields with a dot, and functions that stand in it.
fn names_in_node(node: &Node, names: &mut BTreeSet<String>) {
    match node {
        Node::Text(_) | Node::Break | Node::Continue => {}
        Node::Action(pipeline) => names_in_pipeline(pipeline, names),
        Node::Branch(branch) => {
            names_in_pipeline(&branch.pipeline, names);
            branch.body.iter().chain(branch.otherwise.iter().flatten()).for_each(|node| names_in_node(node, names));
        }
        Node::Call(call) => call.pipeline.iter().for_each(|pipeline| names_in_pipeline(pipeline, names)),
    }
}

fn names_in_pipeline(pipeline: &Pipeline, names: &mut BTreeSet<String>) {
    pipeline.commands.iter().flat_map(|command| &command.operands).for_each(|operand| names_in(operand, names));
}

fn names_in(operand: &Operand, names: &mut BTreeSet<String>) {
    let dotted = |fields: &[String]| fields.iter().map(|field| format!(".{field}")).collect::<Vec<String>>();
    match &operand.term {
        Term::Function(name) => {
            names.insert((*name).to_owned());
        }
        Term::Field(fields) => names.extend(dotted(fields)),
        // A label may be called Value.
        Term::Variable { name, .. } if name == "$labels" || name == "$externalLabels" => {}
        Term::Variable { name, fields } => {
            names.insert(name.clone());
            names.extend(dotted(fields));
        }
        Term::Chain { of, fields } => {
            names_in(of, names);
            names.extend(dotted(fields));
        }
        Term::Pipeline(pipeline) => names_in_pipeline(pipeline, names),
        Term::Bool(_) | Term::Dot | Term::Nil | Term::Number { .. } | Term::Text { .. } => {}
    }
}
