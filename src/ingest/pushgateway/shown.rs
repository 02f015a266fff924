//! A group as people look at it: histograms and summaries put together again.

use std::borrow::Cow;

use super::OWN_HELP;
use super::families::{Compounds, Pair};
use super::groups::{Group, KeptFamily, PUSH_FAILURE_TIME, PUSH_TIME};
use crate::ingest::MetricKind;
use crate::model::{METRIC_NAME, format_general};

/// Metrics of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownFamily {
    /// The name.
    pub name: String,
    /// Their kind.
    pub kind: MetricKind,
    /// What they mean; empty if nobody told.
    pub help: String,
    /// When they were pushed, ms since 1970 UTC.
    pub pushed_ms: i64,
    /// One for each set of labels.
    pub metrics: Vec<ShownMetric>,
}

/// One metric: its labels and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownMetric {
    /// Without the name, `le` and `quantile`.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: ShownValue,
}

/// The value of a metric, numbers as Go writes them.
#[derive(Clone, Debug, PartialEq)]
pub enum ShownValue {
    /// A single one.
    One(String),
    /// Of a histogram or a summary.
    Parts {
        /// `buckets` or `quantiles`.
        name: &'static str,
        /// Bounds or quantiles, and their values.
        parts: Vec<(String, String)>,
        /// How many were counted.
        count: String,
        /// Their sum.
        sum: String,
    },
}

impl Group {
    /// All families in order of their names, those of the gateway itself among them.
    pub fn shown(&self) -> Vec<ShownFamily> {
        let mut shown: Vec<ShownFamily> = self.families.iter().map(|(name, family)| show(name, family)).collect();
        let pushed_ms = self.pushed_ms.max(self.failed_ms);
        for (name, labels, value) in self.own_series() {
            let help = OWN_HELP.iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help);
            let at_ms = match name {
                PUSH_TIME if self.pushed_ms > 0 => self.pushed_ms,
                PUSH_FAILURE_TIME if self.failed_ms > 0 => self.failed_ms,
                _ => pushed_ms,
            };
            let kept = KeptFamily {
                kind: MetricKind::Gauge,
                help: help.to_owned(),
                pushed_ms: at_ms,
                series: vec![(labels.clone(), value)],
            };
            shown.push(show(name, &kept));
        }
        shown.sort_by(|one, other| one.name.cmp(&other.name));
        shown
    }
}

fn show(name: &str, family: &KeptFamily) -> ShownFamily {
    let mut compounds = Compounds::new(name, family.kind);
    let mut metrics = Vec::new();
    for (labels, value) in &family.series {
        let metric = labels.metric_name().unwrap_or_default();
        let pairs = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
        if compounds.is_of_kind {
            let pairs: Vec<Pair<'_>> = pairs.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect();
            // A bound was written by us, and is a number; what a file says otherwise is not shown.
            let _ = compounds.add(metric, pairs, *value, |_, _| ());
        } else {
            let labels = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            metrics.push(ShownMetric { labels, value: ShownValue::One(format_general(*value)) });
        }
    }
    let part_name = if family.kind == MetricKind::Histogram { "buckets" } else { "quantiles" };
    for (labels, mut compound) in compounds.into_all() {
        compound.parts.sort_by(|one, other| one.0.total_cmp(&other.0));
        let parts =
            compound.parts.iter().map(|(bound, value)| (format_general(*bound), format_general(*value))).collect();
        let (count, sum) = (format_general(compound.count), format_general(compound.sum));
        let labels = labels.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        metrics.push(ShownMetric { labels, value: ShownValue::Parts { name: part_name, parts, count, sum } });
    }
    ShownFamily {
        name: name.to_owned(),
        kind: family.kind,
        help: family.help.clone(),
        pushed_ms: family.pushed_ms,
        metrics,
    }
}
