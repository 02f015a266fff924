//! A body of the text format becomes families, as the Pushgateway takes them apart.
//!
//! ```text
//! # TYPE took_seconds histogram
//! took_seconds_bucket{le="1.0"} 3     ─►  took_seconds: le="1" 3, le="+Inf" 4, sum 2.5, count 4
//! took_seconds_sum 2.5
//! took_seconds_count 4
//! ```
//!
//! A histogram or summary is one family of several series, and is written out whole: with `le` and `quantile` as Go writes
//! numbers, the bucket `+Inf`, the sum and the count, whether the client gave them or not. So its series are those that were
//! scraped from the Pushgateway before.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::PushError;
use super::budget::{Budget, SeriesLimit};
use super::key::is_label_name;
use crate::ingest::MetricKind;
use crate::ingest::exposition::{Format, Line, Sample, lines};
use crate::model::{LABELS_COUNT_MAX, format_general};

/// A label of a body.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Metrics of one name, as a body has them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PushedFamily<'a> {
    pub(super) kind: MetricKind,
    pub(super) help: String,
    pub(super) series: Vec<PushedSeries<'a>>,
}

/// One value, with the labels that the body gives it.
#[derive(Debug, PartialEq)]
pub(super) struct PushedSeries<'a> {
    pub(super) name: String,
    pub(super) labels: Vec<Pair<'a>>,
    pub(super) value: f64,
}

/// All families of a body by name.
pub(super) type PushedFamilies<'a> = BTreeMap<String, PushedFamily<'a>>;

/// A histogram or a summary under construction.
#[derive(Debug, Default)]
pub(super) struct Compound {
    /// Bounds of buckets, or quantiles, with their values.
    pub(super) parts: Vec<(f64, f64)>,
    pub(super) sum: f64,
    pub(super) count: f64,
}

/// What a text that breaks the format is told.
pub(super) fn broken(line: usize, what: impl std::fmt::Display) -> PushError {
    PushError::Refused(format!("text format parsing error in line {line}: {what}"))
}

/// What a push that breaks a rule of the gateway is told.
pub(super) fn inconsistent(what: impl std::fmt::Display) -> PushError {
    PushError::Inconsistent(format!("pushed metrics are invalid or inconsistent with existing metrics: {what}"))
}

/// What a push over the limit of series is told.
pub(super) fn too_many(SeriesLimit { limit, setting }: SeriesLimit) -> PushError {
    PushError::TooLarge(format!("the push has more series than {setting} = {limit}"))
}

/// Reads a body of the text format.
pub(super) fn of_text<'a>(text: &'a [u8], budget: &mut Budget<'_>) -> Result<PushedFamilies<'a>, PushError> {
    if text.last().is_some_and(|last| *last != b'\n') {
        let line_count = text.iter().filter(|byte| **byte == b'\n').count() + 1;
        return Err(broken(line_count, "unexpected end of input stream: the last line has no line feed"));
    }
    let mut reading = Reading::default();
    let mut lines = lines(text, Format::Text);
    while let Some(line) = lines.next() {
        let line = line.map_err(|error| broken(error.line, error.what))?;
        reading.line(lines.number(), line, budget)?;
    }
    if reading.has_timestamps {
        return Err(inconsistent("pushed metrics must not have timestamps"));
    }
    let told = reading.families.into_iter().filter(|(_, family)| !family.samples.is_empty());
    told.map(|(name, family)| Ok((name.clone(), family.finish(&name, budget)?))).collect()
}

#[derive(Default)]
struct Reading<'a> {
    families: BTreeMap<String, ReadFamily<'a>>,
    has_timestamps: bool,
}

#[derive(Default)]
struct ReadFamily<'a> {
    kind: Option<MetricKind>,
    help: Option<String>,
    samples: Vec<(usize, Sample<'a>)>,
}

impl<'a> Reading<'a> {
    fn line(&mut self, number: usize, line: Line<'a>, budget: &mut Budget<'_>) -> Result<(), PushError> {
        match line {
            Line::Help { family, help } => {
                budget.describe_one(family.len() + help.len())?;
                let known = self.family(&family);
                if known.help.replace(help.into_owned()).is_some() {
                    return Err(broken(number, format!("second HELP line for metric name {family:?}")));
                }
            }
            Line::Type { family, kind } => {
                budget.describe_one(family.len())?;
                let known = self.family(&family);
                if known.kind.replace(kind).is_some() || !known.samples.is_empty() {
                    let what = "or TYPE reported after samples";
                    return Err(broken(number, format!("second TYPE line for metric name {family:?}, {what}")));
                }
            }
            Line::Unit { .. } => {}
            Line::Sample(sample) => {
                budget.read_one(2 * sample.name.len())?;
                self.has_timestamps |= sample.timestamp_ms.is_some();
                let name = sample.name.clone();
                self.family(&name).samples.push((number, sample));
            }
        }
        Ok(())
    }

    /// The family that a name belongs to: its own, or that of the histogram or summary that it is a part of.
    fn family(&mut self, name: &str) -> &mut ReadFamily<'a> {
        let name = self.family_name(name).to_owned();
        self.families.entry(name).or_default()
    }

    fn family_name<'n>(&self, name: &'n str) -> &'n str {
        if self.families.contains_key(name) {
            return name;
        }
        let is_of =
            |base: &str, kind: MetricKind| self.families.get(base).is_some_and(|family| family.kind == Some(kind));
        let base = |suffix: &str| name.strip_suffix(suffix);
        for (suffix, kinds) in SUFFIXES {
            if let Some(base) = base(suffix)
                && kinds.iter().any(|kind| is_of(base, *kind))
            {
                return base;
            }
        }
        name
    }
}

/// What the names of parts end in, and of what they are parts.
pub(super) const SUFFIXES: [(&str, &[MetricKind]); 3] = [
    ("_count", &[MetricKind::Summary, MetricKind::Histogram]),
    ("_sum", &[MetricKind::Summary, MetricKind::Histogram]),
    ("_bucket", &[MetricKind::Histogram]),
];

impl<'a> ReadFamily<'a> {
    fn finish(self, name: &str, budget: &mut Budget<'_>) -> Result<PushedFamily<'a>, PushError> {
        let kind = self.kind.unwrap_or_default();
        let mut compounds = Compounds::new(name, kind);
        let mut series = Vec::new();
        for (line, sample) in self.samples {
            // One more than a series may have is enough to refuse it.
            let labels: Vec<Pair<'a>> = sample.labels.iter().take(LABELS_COUNT_MAX + 1).collect();
            check_labels(name, &labels, line)?;
            budget.labels(labels.capacity())?;
            if compounds.is_of_kind {
                let bound = |label: &str, text: &str| {
                    broken(line, format!("expected float as value for {label:?} label, got {text:?}"))
                };
                compounds.add(&sample.name, labels, sample.value, bound)?;
            } else {
                budget.write_one(sample.name.len(), 0)?;
                series.push(PushedSeries { name: sample.name.into_owned(), labels, value: sample.value });
            }
        }
        compounds.append_to(&mut series, budget)?;
        Ok(PushedFamily { kind, help: self.help.unwrap_or_default(), series })
    }
}

fn check_labels(metric: &str, labels: &[Pair<'_>], line: usize) -> Result<(), PushError> {
    if labels.len() > LABELS_COUNT_MAX {
        return Err(broken(line, format!("metric {metric:?} has more than {LABELS_COUNT_MAX} labels")));
    }
    for (index, (name, _)) in labels.iter().enumerate() {
        if labels[..index].iter().any(|(other, _)| other == name) {
            return Err(broken(line, format!("duplicate label names for metric {metric:?}")));
        }
        if name.starts_with("__") || !is_label_name(name) {
            return Err(inconsistent(format!("collected metric {metric:?} has a label with an invalid name: {name}")));
        }
    }
    Ok(())
}

/// The longest number as Go writes it.
const NUMBER_BYTES: usize = 24;

/// The histograms or summaries of a family, each by its labels.
pub(super) struct Compounds<'a> {
    name: String,
    kind: MetricKind,
    /// Whether the family is of histograms or summaries at all.
    pub(super) is_of_kind: bool,
    all: BTreeMap<Vec<Pair<'a>>, Compound>,
}

impl<'a> Compounds<'a> {
    pub(super) fn new(name: &str, kind: MetricKind) -> Compounds<'a> {
        let is_of_kind = matches!(kind, MetricKind::Histogram | MetricKind::Summary);
        Compounds { name: name.to_owned(), kind, is_of_kind, all: BTreeMap::new() }
    }

    /// Adds one series; `wrong` makes the error of a bound that is no number from the label and its text. A value that is
    /// neither sum nor count and has no bound says that there is such a metric, and no more, as the Pushgateway has it.
    pub(super) fn add<E>(
        &mut self,
        name: &str,
        mut labels: Vec<Pair<'a>>,
        value: f64,
        wrong: impl Fn(&str, &str) -> E,
    ) -> Result<(), E> {
        let label = if self.kind == MetricKind::Histogram { "le" } else { "quantile" };
        let bound = match labels.iter().position(|(name, _)| name == label) {
            Some(at) => {
                let (_, text) = labels.remove(at);
                Some(text.parse().map_err(|_| wrong(label, &text))?)
            }
            None => None,
        };
        labels.sort_unstable();
        let compound = self.all.entry(labels).or_default();
        match (name.strip_prefix(self.name.as_str()), bound) {
            (Some("_sum"), _) => compound.sum = value,
            (Some("_count"), _) => compound.count = value,
            (_, Some(bound)) => compound.parts.push((bound, value)),
            (_, None) => {}
        }
        Ok(())
    }

    /// Adds a whole one. Fails where there is one with these labels already.
    pub(super) fn insert(&mut self, mut labels: Vec<Pair<'a>>, compound: Compound) -> Result<(), PushError> {
        labels.sort_unstable();
        if self.all.insert(labels, compound).is_some() {
            let name = &self.name;
            let what = format!("collected metric {name:?} was collected before with the same name and label values");
            return Err(inconsistent(what));
        }
        Ok(())
    }

    fn part_suffix(&self) -> &'static str {
        if self.kind == MetricKind::Histogram { "_bucket" } else { "" }
    }

    pub(super) fn into_all(self) -> BTreeMap<Vec<Pair<'a>>, Compound> {
        self.all
    }

    /// Writes them out, each whole.
    pub(super) fn append_to(
        self,
        series: &mut Vec<PushedSeries<'a>>,
        budget: &mut Budget<'_>,
    ) -> Result<(), PushError> {
        let (name, suffix) = (self.name.clone(), self.part_suffix());
        let is_histogram = self.kind == MetricKind::Histogram;
        for (labels, mut compound) in self.all {
            if is_histogram && !compound.parts.iter().any(|(bound, _)| *bound == f64::INFINITY) {
                compound.parts.push((f64::INFINITY, compound.count));
            }
            let label = if is_histogram { "le" } else { "quantile" };
            let name_bytes = name.len() + "_bucket".len();
            for (bound, value) in compound.parts {
                budget.write_one(name_bytes + NUMBER_BYTES, labels.len() + 1)?;
                let mut labels = labels.clone();
                labels.push((Cow::Borrowed(label), Cow::Owned(format_general(bound))));
                series.push(PushedSeries { name: format!("{name}{suffix}"), labels, value });
            }
            for _ in 0..2 {
                budget.write_one(name_bytes, labels.len())?;
            }
            let whole =
                |suffix: &str, value| PushedSeries { name: format!("{name}{suffix}"), labels: labels.clone(), value };
            series.extend([whole("_sum", compound.sum), whole("_count", compound.count)]);
        }
        Ok(())
    }
}
