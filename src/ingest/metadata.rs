//! What senders say about their metrics: type, help and unit, by the name of the metric's family.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// Families that are described at most; of more the newest are not kept.
const FAMILIES_MAX: usize = 100_000;
/// Longest help text and unit, in bytes; the rest is cut off. A family of a longer name is not kept.
const TEXT_BYTES_MAX: usize = 1024;
/// Bytes of all names, help texts and units together; what would go beyond is not kept.
const TEXT_BYTES_IN_ALL_MAX: usize = 32 << 20;

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

/// All families that were described, of each what was told last. Bounded.
#[derive(Debug, Default)]
pub struct Metadata {
    families: RwLock<Families>,
    /// How often something new was learned. Relaxed: who reads it reads the families behind their lock.
    changes: AtomicU64,
}

#[derive(Debug, Default)]
struct Families {
    by_name: BTreeMap<String, MetricMeta>,
    /// Bytes of all names, help texts and units.
    text_bytes: usize,
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
    /// Keeps a description; of what it does not tell (unknown kind, empty text), what was told before stays. One that is
    /// known costs a look-up. Nothing is kept of a family over the limits.
    pub fn learn(&self, family: &str, kind: MetricKind, help: &str, unit: &str) {
        let (help, unit) = (cut(help), cut(unit));
        let is_known = |known: &MetricMeta| {
            (kind == MetricKind::Unknown || known.kind == kind)
                && (help.is_empty() || known.help == help)
                && (unit.is_empty() || known.unit == unit)
        };
        if self.families.read().by_name.get(family).is_some_and(is_known) {
            return;
        }
        if self.families.write().keep(family, kind, help, unit) {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The kind of the family of this name.
    pub fn kind(&self, family: &str) -> MetricKind {
        self.get(family).map_or(MetricKind::Unknown, |meta| meta.kind)
    }

    /// Every family in order of its name.
    pub fn all(&self) -> Vec<(String, MetricMeta)> {
        self.families.read().by_name.iter().map(|(family, meta)| (family.clone(), meta.clone())).collect()
    }

    /// What is known of one family.
    pub fn get(&self, family: &str) -> Option<MetricMeta> {
        self.families.read().by_name.get(family).cloned()
    }

    /// How many families are described.
    pub fn family_count(&self) -> usize {
        self.families.read().by_name.len()
    }

    /// A number that is another one when something new was learned.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Shows every family, in order of its name. Whoever learns waits meanwhile.
    pub(super) fn for_each(&self, mut show: impl FnMut(&str, &MetricMeta)) {
        self.families.read().by_name.iter().for_each(|(family, meta)| show(family, meta));
    }

    pub(super) fn is_described(&self, family: &str) -> bool {
        self.families.read().by_name.contains_key(family)
    }
}

impl Families {
    /// Says whether something is new by it.
    fn keep(&mut self, family: &str, kind: MetricKind, help: &str, unit: &str) -> bool {
        let more_bytes = help.len() + unit.len() + if self.by_name.contains_key(family) { 0 } else { family.len() };
        let is_full = self.by_name.len() >= FAMILIES_MAX && !self.by_name.contains_key(family);
        let is_too_long = family.is_empty() || family.len() > TEXT_BYTES_MAX;
        if is_full || is_too_long || self.text_bytes + more_bytes > TEXT_BYTES_IN_ALL_MAX {
            return false;
        }
        let meta = self.by_name.entry(family.to_owned()).or_default();
        self.text_bytes += more_bytes;
        if kind != MetricKind::Unknown {
            meta.kind = kind;
        }
        for (known, told) in [(&mut meta.help, help), (&mut meta.unit, unit)] {
            if !told.is_empty() {
                self.text_bytes -= known.len();
                told.clone_into(known);
            }
        }
        true
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}
