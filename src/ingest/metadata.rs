//! What senders say about their metrics: type, help and unit, by the name of the metric's family.

use std::collections::BTreeMap;

use parking_lot::RwLock;

/// Families that are described at most; of more the newest are not kept.
const FAMILIES_MAX: usize = 100_000;
/// Longest help text and unit, in bytes; the rest is cut off.
const TEXT_BYTES_MAX: usize = 1024;

/// What kind of metric a family is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricKind {
    /// Not told.
    #[default]
    Unknown,
    /// Only grows, but for restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
    /// Buckets that may go down.
    GaugeHistogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Facts in labels, with the value 1.
    Info,
    /// One of several states, each a label.
    StateSet,
}

/// What is known of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricMeta {
    /// Its kind.
    pub kind: MetricKind,
    /// What it means, for people.
    pub help: String,
    /// What it counts in, such as `seconds`; empty if that is not told.
    pub unit: String,
}

/// All families that were described, the last description of each. Bounded.
#[derive(Debug, Default)]
pub struct Metadata {
    families: RwLock<BTreeMap<String, MetricMeta>>,
}

impl MetricKind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Unknown => "unknown",
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::GaugeHistogram => "gaugehistogram",
            MetricKind::Summary => "summary",
            MetricKind::Info => "info",
            MetricKind::StateSet => "stateset",
        }
    }
}

impl Metadata {
    /// Keeps a description. One that is known costs a look-up.
    pub fn learn(&self, family: &str, kind: MetricKind, help: &str, unit: &str) {
        let (help, unit) = (cut(help), cut(unit));
        let is_same = |known: &MetricMeta| known.kind == kind && known.help == help && known.unit == unit;
        if self.families.read().get(family).is_some_and(is_same) {
            return;
        }
        let mut families = self.families.write();
        if families.len() < FAMILIES_MAX || families.contains_key(family) {
            families.insert(family.to_owned(), MetricMeta { kind, help: help.to_owned(), unit: unit.to_owned() });
        }
    }

    /// The kind of the family of this name.
    pub fn kind(&self, family: &str) -> MetricKind {
        self.families.read().get(family).map_or(MetricKind::Unknown, |meta| meta.kind)
    }

    /// Every family in order of its name.
    pub fn all(&self) -> Vec<(String, MetricMeta)> {
        self.families.read().iter().map(|(family, meta)| (family.clone(), meta.clone())).collect()
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}
