//! What senders say about a metric: `type`, help and unit, in version 1 by the family's name, in version 2 by a series.
//!
//! ```text
//! v1: MetricMetadata { type = 1, metric_family_name = 2, help = 4, unit = 5 }
//! v2: Metadata { type = 1, help_ref = 3, unit_ref = 4 }
//! ```
//!
//! Nothing in it can refuse a request: what cannot be read is passed over, as other descriptions are.

use super::symbols::Symbols;
use crate::ingest::wire::{Fields, Value};
use crate::ingest::{Metadata, MetricKind};

/// Learns what a `MetricMetadata` of version 1 says.
pub(super) fn learn_v1(known: &Metadata, bytes: &[u8]) {
    let (mut kind, mut family, mut help, mut unit) = (0, "", "", "");
    let mut fields = Fields::new(bytes, 0);
    while let Ok(Some((number, value))) = fields.next() {
        match (number, value) {
            (1, Value::Varint(number)) => kind = number,
            (2, Value::Bytes(bytes)) => family = text(bytes),
            (4, Value::Bytes(bytes)) => help = text(bytes),
            (5, Value::Bytes(bytes)) => unit = text(bytes),
            _ => {}
        }
    }
    learn(known, kind, family, help, unit);
}

/// Learns what a `Metadata` of version 2 says about the series of this metric.
pub(super) fn learn_v2(known: &Metadata, message: &[u8], symbols: &Symbols, metric: &[u8], bytes: &[u8]) {
    let symbol = |reference: u64| {
        let reference = u32::try_from(reference).unwrap_or(u32::MAX);
        text(symbols.get(message, reference).unwrap_or_default())
    };
    let (mut kind, mut help, mut unit) = (0, "", "");
    let mut fields = Fields::new(bytes, 0);
    while let Ok(Some((number, value))) = fields.next() {
        match (number, value) {
            (1, Value::Varint(number)) => kind = number,
            (3, Value::Varint(reference)) => help = symbol(reference),
            (4, Value::Varint(reference)) => unit = symbol(reference),
            _ => {}
        }
    }
    learn(known, kind, family(text(metric), metric_kind(kind)), help, unit);
}

fn learn(known: &Metadata, kind: u64, family: &str, help: &str, unit: &str) {
    let kind = metric_kind(kind);
    let tells_something = kind != MetricKind::Unknown || !help.is_empty() || !unit.is_empty();
    if tells_something && !family.is_empty() {
        known.learn(family, kind, help, unit);
    }
}

/// The family of a metric: the parts of histograms and summaries are described under one name.
fn family(metric: &str, kind: MetricKind) -> &str {
    let parts: &[&str] = match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => &["_bucket", "_sum", "_count"],
        MetricKind::Summary => &["_sum", "_count"],
        _ => &[],
    };
    parts.iter().find_map(|part| metric.strip_suffix(part)).unwrap_or(metric)
}

/// Both versions number them alike.
fn metric_kind(number: u64) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

/// What is not UTF-8 is not told.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
