//! What templates work with while they are filled in.
//!
//! Always true: a value that is a collection is shared, never copied.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::moment::{Duration, Moment};
use super::of_messages;
use crate::model::format_general;

/// Values of Go's types, as far as a rule's template can come by them.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Go's untyped nil: a key that a map of anything does not have.
    Nothing,
    Bool(bool),
    Int(i64),
    /// One byte of a text.
    Byte(u8),
    Float(f64),
    Text(Arc<str>),
    /// A text that needs no escaping in a page; here it is as good as a text that is printed.
    Html(Arc<str>),
    /// A native histogram, as it is printed.
    Histogram(Arc<str>),
    /// A number with a name: a month, a day of the week.
    Named {
        of: &'static str,
        number: i64,
        name: &'static str,
    },
    Labels(Rc<BTreeMap<String, Arc<str>>>),
    /// Labels or annotations of a message, which know how to sort themselves.
    Kv(Rc<BTreeMap<String, Arc<str>>>),
    /// Values in order; of which kind, its type in Go says.
    List {
        of: &'static str,
        items: Rc<Vec<Value>>,
    },
    /// A message, an alert of it, or a name with its value.
    Object(Rc<Object>),
    /// An address that needs no check in a page.
    Url(Arc<str>),
    /// A map of anything, which `args` makes.
    Map(Rc<BTreeMap<String, Value>>),
    Sample(Rc<Sample>),
    /// What `query` came to.
    Samples(Rc<Vec<Rc<Sample>>>),
    Moment(Moment),
    Duration(Duration),
    /// What the dot is at the top of an alert's template.
    Data(Rc<Data>),
}

/// Types of lists in Go.
pub(super) const PAIRS: &str = "template.Pairs";
pub(super) const ALERTS: &str = "template.Alerts";
pub(super) const SOME_ALERTS: &str = "[]template.Alert";
pub(super) const TEXTS: &str = "[]string";
pub(super) const ANYTHING: &str = "[]interface {}";
/// The type of one of [`PAIRS`].
pub(super) const PAIR: &str = "template.Pair";

/// A structure: its type in Go, and its fields in order.
#[derive(Debug)]
pub(super) struct Object {
    pub of: &'static str,
    pub fields: Vec<(&'static str, Value)>,
}

impl Object {
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// One series of a query's answer.
#[derive(Debug)]
pub(super) struct Sample {
    pub labels: Rc<BTreeMap<String, Arc<str>>>,
    pub value: f64,
}

/// `.Labels`, `.ExternalLabels`, `.ExternalURL` and `.Value`.
#[derive(Debug)]
pub(super) struct Data {
    pub labels: Value,
    pub external_labels: Value,
    pub external_url: Value,
    pub value: Value,
}

/// How two values can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    Bool,
    Signed,
    Unsigned,
    Float,
    Text,
}

impl Value {
    pub(super) fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    /// Go's name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nothing => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Byte(_) => "uint8",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Html(_) => "template.HTML",
            Value::Url(_) => "template.URL",
            Value::Kv(_) => "template.KV",
            Value::List { of, .. } => of,
            Value::Object(object) => object.of,
            Value::Histogram(_) => "*histogram.FloatHistogram",
            Value::Named { of, .. } => of,
            Value::Labels(_) => "map[string]string",
            Value::Map(_) => "map[string]interface {}",
            Value::Sample(_) => "*template.sample",
            Value::Samples(_) => "template.queryResult",
            Value::Moment(_) => "*time.Time",
            Value::Duration(_) => "*time.Duration",
            Value::Data(_) => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; \
                 Value interface {} }"
            }
        }
    }

    /// What `if` makes of it: whether it is not the zero of its type.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nothing => false,
            Value::Bool(value) => *value,
            Value::Int(value) | Value::Named { number: value, .. } => *value != 0,
            Value::Byte(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) | Value::Html(text) | Value::Url(text) => !text.is_empty(),
            Value::Labels(labels) | Value::Kv(labels) => !labels.is_empty(),
            Value::List { items, .. } => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Samples(samples) => !samples.is_empty(),
            Value::Histogram(_) | Value::Sample(_) | Value::Moment(_) | Value::Duration(_) | Value::Data(_) => true,
            Value::Object(_) => true,
        }
    }

    fn basis(&self) -> Option<Basis> {
        match self {
            Value::Bool(_) => Some(Basis::Bool),
            Value::Int(_) | Value::Named { .. } | Value::Duration(_) => Some(Basis::Signed),
            Value::Byte(_) => Some(Basis::Unsigned),
            Value::Float(_) => Some(Basis::Float),
            Value::Text(_) | Value::Html(_) | Value::Url(_) => Some(Basis::Text),
            _ => None,
        }
    }

    /// A whole number, if it is one.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Value::Int(value) | Value::Named { number: value, .. } => Some(*value),
            Value::Byte(value) => Some(i64::from(*value)),
            Value::Duration(duration) => Some(duration.0),
            _ => None,
        }
    }

    fn letters(&self) -> &str {
        match self {
            Value::Text(text) | Value::Html(text) | Value::Url(text) => text,
            _ => "",
        }
    }

    fn float(&self) -> f64 {
        if let Value::Float(value) = self { *value } else { 0.0 }
    }

    /// Whether both are equal, or why that cannot be said.
    pub(super) fn equals(&self, other: &Value) -> Result<bool, String> {
        let (own, others) = (self.basis(), other.basis());
        match (own, others) {
            (Some(Basis::Signed | Basis::Unsigned), Some(Basis::Signed | Basis::Unsigned)) => {
                Ok(self.integer() == other.integer())
            }
            (Some(own), Some(others)) if own == others => Ok(match own {
                Basis::Float => self.float() == other.float(),
                Basis::Text => self.letters() == other.letters(),
                _ => self.is_true() == other.is_true(),
            }),
            _ if matches!((self, other), (Value::Nothing, Value::Nothing)) => Ok(true),
            _ if matches!(self, Value::Nothing) || matches!(other, Value::Nothing) => Ok(false),
            (None, None) => Err(format!("non-comparable type {}: {}", self.printed(), self.type_name())),
            _ => Err(self.incompatible(other)),
        }
    }

    fn incompatible(&self, other: &Value) -> String {
        format!("incompatible types for comparison: {} and {}", self.type_name(), other.type_name())
    }

    /// Whether this one is smaller, or why that cannot be said.
    pub(super) fn is_less(&self, other: &Value) -> Result<bool, String> {
        let (own, others) = (self.basis(), other.basis());
        match (own, others) {
            (Some(Basis::Signed | Basis::Unsigned), Some(Basis::Signed | Basis::Unsigned)) => {
                Ok(self.integer() < other.integer())
            }
            (Some(Basis::Float), Some(Basis::Float)) => Ok(self.float() < other.float()),
            (Some(Basis::Text), Some(Basis::Text)) => Ok(self.letters() < other.letters()),
            (Some(own), Some(others)) if own != others => Err(self.incompatible(other)),
            _ => Err("invalid type for comparison".to_owned()),
        }
    }

    /// How many elements it has, if it has a length.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Value::Text(text) | Value::Html(text) | Value::Url(text) => Some(text.len()),
            Value::Labels(labels) | Value::Kv(labels) => Some(labels.len()),
            Value::List { items, .. } => Some(items.len()),
            Value::Map(map) => Some(map.len()),
            Value::Samples(samples) => Some(samples.len()),
            _ => None,
        }
    }

    /// As it stands in the output: Go's `%v`.
    pub(super) fn printed(&self) -> String {
        match self {
            Value::Nothing => "<no value>".to_owned(),
            _ => self.formatted(),
        }
    }

    /// As `print` and `%v` write it.
    pub(super) fn formatted(&self) -> String {
        match self {
            Value::Nothing => "<nil>".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Byte(value) => value.to_string(),
            Value::Float(value) => format_general(*value),
            Value::Text(text) | Value::Html(text) | Value::Url(text) | Value::Histogram(text) => text.to_string(),
            Value::Kv(map) => of_messages::sorted_pairs(map).formatted(),
            Value::List { of: PAIRS, items } => {
                let pair = |value: &Value| match value {
                    Value::Object(pair) => {
                        pair.fields.iter().map(|(_, text)| text.formatted()).collect::<Vec<_>>().join("=")
                    }
                    _ => String::new(),
                };
                items.iter().map(pair).collect::<Vec<_>>().join(", ")
            }
            Value::List { items, .. } => {
                format!("[{}]", items.iter().map(Value::formatted).collect::<Vec<_>>().join(" "))
            }
            Value::Object(object) => {
                let fields = object.fields.iter().map(|(_, value)| value.formatted());
                format!("{{{}}}", fields.collect::<Vec<_>>().join(" "))
            }
            Value::Named { name, .. } => (*name).to_owned(),
            Value::Labels(labels) => map_of(labels.iter().map(|(name, value)| format!("{name}:{value}"))),
            Value::Map(map) => map_of(map.iter().map(|(name, value)| format!("{name}:{}", value.formatted()))),
            Value::Sample(sample) => sample.formatted(),
            Value::Samples(samples) => {
                let samples: Vec<String> = samples.iter().map(|sample| sample.formatted()).collect();
                format!("[{}]", samples.join(" "))
            }
            Value::Moment(moment) => moment.to_string(),
            Value::Duration(duration) => duration.to_string(),
            Value::Data(data) => {
                let parts = [&data.labels, &data.external_labels, &data.external_url, &data.value];
                format!("{{{}}}", parts.map(Value::formatted).join(" "))
            }
        }
    }

    /// Bytes that it takes to write it, at most, for the budget.
    pub(super) fn weight(&self) -> usize {
        let of_labels = |labels: &BTreeMap<String, Arc<str>>| {
            labels.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>()
        };
        match self {
            Value::Text(text) | Value::Html(text) | Value::Url(text) | Value::Histogram(text) => text.len(),
            Value::Labels(labels) | Value::Kv(labels) => of_labels(labels),
            Value::List { items, .. } => items.iter().map(|value| value.weight() + 2).sum(),
            Value::Object(object) => object.fields.iter().map(|(name, value)| name.len() + value.weight() + 4).sum(),
            Value::Map(map) => map.iter().map(|(name, value)| name.len() + value.weight() + 2).sum(),
            Value::Sample(sample) => of_labels(&sample.labels),
            Value::Samples(samples) => samples.iter().map(|sample| 30 + of_labels(&sample.labels)).sum(),
            Value::Data(data) => {
                let parts = [&data.labels, &data.external_labels, &data.external_url, &data.value];
                parts.iter().map(|part| part.weight() + 10).sum()
            }
            _ => 40,
        }
    }
}

impl Sample {
    fn formatted(&self) -> String {
        let labels = Value::Labels(self.labels.clone()).formatted();
        format!("{{{labels} {}}}", format_general(self.value))
    }
}

fn map_of(entries: impl Iterator<Item = String>) -> String {
    format!("map[{}]", entries.collect::<Vec<String>>().join(" "))
}
