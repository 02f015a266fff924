//! A body of the old protobuf form: messages `io.prometheus.client.MetricFamily`, each behind its length as a varint.
//!
//! `MetricFamily { name = 1, help = 2, type = 3, metric = 4 }`, `Metric { label = 1 { name = 1, value = 2 }, gauge = 2,
//! counter = 3, summary = 4, untyped = 5, timestamp_ms = 6, histogram = 7 }`; a gauge, a counter and an untyped value are `{ value
//! = 1 }`, a summary is `{ count = 1, sum = 2, quantile = 3 { quantile = 1, value = 2 } }`, a histogram `{ count = 1, sum = 2, bucket
//! = 3 { cumulative_count = 1, upper_bound = 2 } }`. Other fields are stepped over.

use std::borrow::Cow;

use super::PushError;
use super::budget::Budget;
use super::families::{Compound, Compounds, Pair, PushedFamilies, PushedFamily, PushedSeries, inconsistent};
use super::key::is_label_name;
use crate::ingest::MetricKind;
use crate::ingest::wire::{Fields, Value, WireError};
use crate::model::LABELS_COUNT_MAX;

/// The kinds by their numbers in a `MetricFamily`.
const KINDS: [MetricKind; 5] =
    [MetricKind::Counter, MetricKind::Gauge, MetricKind::Summary, MetricKind::Unknown, MetricKind::Histogram];

/// Reads a body of such messages. A family that comes twice is there as it came last, as the Pushgateway has it.
pub(super) fn of_protobuf<'a>(body: &'a [u8], budget: &mut Budget<'_>) -> Result<PushedFamilies<'a>, PushError> {
    let mut families = PushedFamilies::new();
    let mut messages = Fields::new(body, 0);
    while let Some(message) = messages.next_delimited().map_err(malformed)? {
        let base = messages.position() - message.len();
        let (name, family) = family(message, base, budget)?;
        if !family.series.is_empty() {
            families.insert(name, family);
        }
    }
    Ok(families)
}

fn malformed(error: WireError) -> PushError {
    PushError::Refused(format!("the body is not delimited protobuf: at byte {}: {}", error.offset, error.what))
}

fn family<'a>(
    message: &'a [u8],
    base: usize,
    budget: &mut Budget<'_>,
) -> Result<(String, PushedFamily<'a>), PushError> {
    let (mut name, mut help, mut kind, mut metrics) =
        (Cow::Borrowed(""), String::new(), MetricKind::Counter, Vec::new());
    let mut fields = Fields::new(message, base);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        let at = base + fields.position();
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = text(bytes, at)?,
            (2, Value::Bytes(bytes)) => {
                budget.describe_one(bytes.len())?;
                help = text(bytes, at)?.into_owned();
            }
            (3, Value::Varint(number)) => {
                let known = usize::try_from(number).ok().and_then(|number| KINDS.get(number));
                kind =
                    *known.ok_or_else(|| PushError::Refused(format!("metrics of the type {number} are not known")))?;
            }
            (4, Value::Bytes(bytes)) => {
                budget.read_one(0)?;
                metrics.push((bytes, at - bytes.len()));
            }
            _ => {}
        }
    }
    if name.is_empty() {
        return Err(inconsistent("a metric family has no name"));
    }
    let mut compounds = Compounds::new(&name, kind);
    let mut series = Vec::new();
    for (bytes, base) in metrics {
        let metric = metric(bytes, base, budget)?;
        budget.labels(metric.labels.capacity())?;
        for (label, _) in &metric.labels {
            if label.starts_with("__") || !is_label_name(label) {
                let what = format!("collected metric {name:?} has a label with an invalid name: {label}");
                return Err(inconsistent(what));
            }
        }
        match metric.value {
            _ if metric.kind != Some(kind) => {
                return Err(inconsistent(format!("collected metric {name:?} is not {}", kind.name())));
            }
            MetricValue::One(value) => {
                budget.write_one(name.len(), 0)?;
                series.push(PushedSeries { name: name.to_string(), labels: metric.labels, value })
            }
            MetricValue::Compound(compound) => compounds.insert(metric.labels, compound)?,
        }
    }
    compounds.append_to(&mut series, budget)?;
    Ok((name.into_owned(), PushedFamily { kind, help, series }))
}

struct Metric<'a> {
    labels: Vec<Pair<'a>>,
    kind: Option<MetricKind>,
    value: MetricValue,
}

enum MetricValue {
    One(f64),
    Compound(Compound),
}

fn metric<'a>(message: &'a [u8], base: usize, budget: &mut Budget<'_>) -> Result<Metric<'a>, PushError> {
    let mut metric = Metric { labels: Vec::new(), kind: None, value: MetricValue::One(0.0) };
    let mut fields = Fields::new(message, base);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        let at = base + fields.position();
        let Value::Bytes(bytes) = value else {
            if number == 6 {
                return Err(inconsistent("pushed metrics must not have timestamps"));
            }
            continue;
        };
        let base = at - bytes.len();
        let kind = match number {
            1 => {
                metric.labels.push(label(bytes, base)?);
                if metric.labels.len() > LABELS_COUNT_MAX {
                    return Err(inconsistent(format!("a metric has more than {LABELS_COUNT_MAX} labels")));
                }
                continue;
            }
            2 => MetricKind::Gauge,
            3 => MetricKind::Counter,
            4 => MetricKind::Summary,
            5 => MetricKind::Unknown,
            7 => MetricKind::Histogram,
            _ => continue,
        };
        metric.kind = Some(kind);
        metric.value = match kind {
            MetricKind::Summary | MetricKind::Histogram => MetricValue::Compound(compound(bytes, base, kind, budget)?),
            _ => MetricValue::One(doubles(bytes, base)?.0),
        };
    }
    Ok(metric)
}

fn label(message: &[u8], base: usize) -> Result<Pair<'_>, PushError> {
    let mut pair = (Cow::Borrowed(""), Cow::Borrowed(""));
    let mut fields = Fields::new(message, base);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => pair.0 = text(bytes, base)?,
            (2, Value::Bytes(bytes)) => pair.1 = text(bytes, base)?,
            _ => {}
        }
    }
    Ok(pair)
}

fn compound(message: &[u8], base: usize, kind: MetricKind, budget: &mut Budget<'_>) -> Result<Compound, PushError> {
    let mut compound = Compound::default();
    let mut fields = Fields::new(message, base);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        match (number, value) {
            (1, Value::Varint(count)) => compound.count = count as f64,
            (2, Value::Fixed64(bits)) => compound.sum = f64::from_bits(bits),
            (3, Value::Bytes(bytes)) => {
                budget.read_one(0)?;
                let base = base + fields.position() - bytes.len();
                compound.parts.push(if kind == MetricKind::Histogram {
                    bucket(bytes, base)?
                } else {
                    doubles(bytes, base)?
                });
            }
            _ => {}
        }
    }
    Ok(compound)
}

/// The bound of a bucket and its count.
fn bucket(message: &[u8], base: usize) -> Result<(f64, f64), PushError> {
    let (mut bound, mut count) = (0.0, 0.0);
    let mut fields = Fields::new(message, base);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        match (number, value) {
            (1, Value::Varint(number)) => count = number as f64,
            (2, Value::Fixed64(bits)) => bound = f64::from_bits(bits),
            _ => {}
        }
    }
    Ok((bound, count))
}

/// Fields 1 and 2 as doubles.
fn doubles(message: &[u8], base: usize) -> Result<(f64, f64), PushError> {
    let mut found = (0.0, 0.0);
    let mut fields = Fields::new(message, base);
    while let Some((number, value)) = fields.next().map_err(malformed)? {
        match (number, value) {
            (1, Value::Fixed64(bits)) => found.0 = f64::from_bits(bits),
            (2, Value::Fixed64(bits)) => found.1 = f64::from_bits(bits),
            _ => {}
        }
    }
    Ok(found)
}

fn text(bytes: &[u8], at: usize) -> Result<Cow<'_, str>, PushError> {
    let text = std::str::from_utf8(bytes);
    text.map(Cow::Borrowed).map_err(|_| PushError::Refused(format!("at byte {at}: a text is not UTF-8")))
}
