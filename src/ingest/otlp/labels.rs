//! Attributes become labels.
//!
//! ```text
//! resource  service.namespace="eu", service.name="shop", service.instance.id="7", host.name="web-1", os.type="linux"
//! point     http.method="GET", http_method="get"
//!
//! {job="eu/shop", instance="7", host_name="web-1", service_name="shop", …, http_method="GET;get"}
//! target_info{job="eu/shop", instance="7", host_name="web-1", os_type="linux"} 1
//! ```
//!
//! Always true: no name stands twice in what is made here; of attributes whose names become one, the values are joined
//! by `;` in the order of the attributes' names.

use std::borrow::Cow;

use super::message::{Broken, KeyValue, bytes, each_message};
use super::names::label_name;
use super::value::value_text;
use crate::ingest::wire::{Fields, Value};
use crate::model::{LABELS_BYTES_MAX, LABELS_COUNT_MAX, LabelsError, METRIC_NAME};

/// A name and a value of a label.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);
/// A key and a value of an attribute.
type Attribute<'a> = (&'a str, Cow<'a, str>);

/// Attributes that one message may have: more than any label set may have labels, as several may become one.
const ATTRIBUTES_COUNT_MAX: usize = 256;

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE: &str = "service.instance.id";
const IDENTIFYING: [&str; 3] = [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE];

/// What the labels of a resource's series have in common.
#[derive(Default)]
pub(super) struct ResourceLabels<'a> {
    attributes: Vec<Attribute<'a>>,
    /// Those that stand at every series, unless a point has such a label itself.
    promoted: Vec<Pair<'a>>,
    /// `job` and `instance`, which stand above all others.
    identity: Vec<Pair<'a>>,
}

/// The attributes of a message, those of field `number`, by name.
fn attributes<'a>(message: Fields<'a>, wanted: u32) -> Result<Vec<Attribute<'a>>, Broken> {
    let mut found: Vec<Attribute<'a>> = Vec::new();
    each_message(message, wanted, |pair| {
        if found.len() == ATTRIBUTES_COUNT_MAX {
            return Err(Broken::Refused(format!("it has more than {ATTRIBUTES_COUNT_MAX} attributes")));
        }
        let pair = KeyValue::read(pair)?;
        let value = pair.value.map_or(Ok("".into()), value_text)?;
        found.push((pair.key, value));
        Ok(())
    })?;
    found.sort_by_key(|(key, _)| *key);
    Ok(found)
}

/// Gives attributes the names of labels and joins those that become one.
fn named<'a>(attributes: impl IntoIterator<Item = Attribute<'a>>) -> Vec<Pair<'a>> {
    let mut pairs: Vec<Pair<'a>> = attributes.into_iter().map(|(key, value)| (label_name(key), value)).collect();
    // Stable: of one name, the values stay in the order of the attributes.
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    pairs.dedup_by(|(name, value), (kept, joined)| {
        let is_same = name == kept;
        if is_same {
            *joined = format!("{joined};{value}").into();
        }
        is_same
    });
    pairs
}

/// Sets a label, whether it is there or not.
fn set<'a>(pairs: &mut Vec<Pair<'a>>, name: &str, value: Cow<'a, str>) {
    match pairs.iter_mut().find(|(known, _)| known == name) {
        Some((_, place)) => *place = value,
        None => pairs.push((name.to_owned().into(), value)),
    }
}

impl<'a> ResourceLabels<'a> {
    /// Reads a `Resource`; `promoted` are the attributes that every series shows.
    pub(super) fn read(resource: Fields<'a>, promoted: &[String]) -> Result<ResourceLabels<'a>, Broken> {
        let attributes = attributes(resource, 1)?;
        let value = |key: &str| attributes.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone());
        let mut identity: Vec<Pair<'a>> = Vec::new();
        if let Some(name) = value(SERVICE_NAME) {
            let job = match value(SERVICE_NAMESPACE) {
                Some(namespace) => format!("{namespace}/{name}").into(),
                None => name,
            };
            identity.push(("job".into(), job));
        }
        identity.extend(value(SERVICE_INSTANCE).map(|instance| ("instance".into(), instance)));
        let is_promoted = |(key, _): &&Attribute<'a>| promoted.iter().any(|name| name == key);
        let mut all: Vec<Pair<'a>> = Vec::new();
        for (key, value) in attributes.iter().filter(is_promoted) {
            let name = label_name(key);
            if all.iter().all(|(known, _)| *known != name) {
                all.push((name, value.clone()));
            }
        }
        Ok(ResourceLabels { attributes, promoted: all, identity })
    }

    /// The labels of one point, the metric's name left out: its own attributes, those of field `number`, and what
    /// resource and scope add.
    pub(super) fn of_point<'p>(
        &'p self,
        point: Fields<'p>,
        number: u32,
        scope: &'p [Pair<'p>],
    ) -> Result<Vec<Pair<'p>>, Broken> {
        let mut pairs = named(attributes(point, number)?);
        // A label set holds fewer labels than there may be attributes; the search below must stay short.
        for (name, value) in &self.promoted {
            if pairs.iter().all(|(known, _)| known != name) {
                pairs.push((Cow::Borrowed(name), Cow::Borrowed(value)));
            }
        }
        for (name, value) in scope.iter().chain(&self.identity) {
            set(&mut pairs, name, Cow::Borrowed(value));
        }
        pairs.retain(|(name, _)| name != METRIC_NAME);
        // Before anybody copies and hashes them, once for each bucket perhaps.
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let wrong = match pairs.len() {
            count if count > LABELS_COUNT_MAX => LabelsError::TooMany(count),
            _ if bytes > LABELS_BYTES_MAX => LabelsError::TooLong(bytes),
            _ => return Ok(pairs),
        };
        Err(Broken::Refused(wrong.to_string()))
    }

    /// The labels of the series that tells what the resource is; none where there is nothing to tell, or nobody to
    /// tell it of.
    pub(super) fn of_target_info(&self) -> Option<Vec<Pair<'_>>> {
        let others = self.attributes.iter().filter(|(key, _)| !IDENTIFYING.contains(key));
        let others: Vec<Attribute<'_>> = others.map(|(key, value)| (*key, Cow::Borrowed(&**value))).collect();
        if others.is_empty() || self.identity.is_empty() {
            return None;
        }
        let mut pairs = named(others);
        for (name, value) in &self.identity {
            set(&mut pairs, name, Cow::Borrowed(value));
        }
        set(&mut pairs, METRIC_NAME, "target_info".into());
        Some(pairs)
    }
}

/// The labels that tell of an `InstrumentationScope`; none if it has no name.
pub(super) fn scope_labels<'a>(scope: Option<Fields<'a>>, schema_url: &'a [u8]) -> Result<Vec<Pair<'a>>, Broken> {
    let Some(scope) = scope else { return Ok(Vec::new()) };
    let (mut name, mut version): (&[u8], &[u8]) = (b"", b"");
    let mut fields = scope;
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => name = bytes(value, &fields)?,
            2 => version = bytes(value, &fields)?,
            _ => {}
        }
    }
    // Read whether they are wanted or not: what is broken is refused.
    let attributes = attributes(scope, 3)?;
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    for (label, text) in [("name", name), ("version", version), ("schema_url", schema_url)] {
        set(&mut pairs, &format!("otel_scope_{label}"), super::message::text(text)?.into());
    }
    for (key, value) in attributes {
        set(&mut pairs, &label_name(&format!("otel_scope_{key}")), value);
    }
    Ok(pairs)
}

/// The last text of this field number.
pub(super) fn last_text<'a>(mut message: Fields<'a>, wanted: u32) -> Result<&'a [u8], Broken> {
    let mut found: &[u8] = b"";
    while let Some((number, value)) = message.next()? {
        if let (true, Value::Bytes(bytes)) = (number == wanted, value) {
            found = bytes;
        }
    }
    Ok(found)
}
