//! A label set: what names a series.
//!
//! `shop_orders_total{region="eu", node="7"}` is three pairs, the metric's name among them as `__name__`:
//!
//! ```
//! use dozor::model::Labels;
//! let labels = Labels::from_pairs([("region", "eu"), ("__name__", "shop_orders_total"), ("node", "7")]).unwrap();
//! assert_eq!(labels.to_string(), r#"shop_orders_total{node="7", region="eu"}"#);
//! assert_eq!(labels.get("region"), Some("eu"));
//! ```
//!
//! Always true: names are sorted and unique, no name and no value is empty (to Prometheus an empty value is the absence
//! of the label), everything is UTF-8 and within the limits below.

use std::cmp::Ordering;
use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";
/// The labels that name who sends a series, the first that it has.
pub const OWNER_LABELS: [&str; 2] = ["job", "service"];
/// Most labels that a series may have.
pub const LABELS_COUNT_MAX: usize = 64;
/// Longest label name, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 1024;
/// Longest label value, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 4096;
/// Most bytes of all names and values of a series together.
pub const LABELS_BYTES_MAX: usize = 16 * 1024;

/// Sorted unique name–value pairs. Ordered as Prometheus orders series: pair by pair, name before value.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// All names and values, one behind the other: name, value, name, value, …
    text: Box<str>,
    /// Where each of those pieces ends in `text`, in bytes.
    ends: Box<[u16]>,
}

/// Why a label set was refused. The client must send another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// A name without characters.
    #[error("a label name is empty")]
    EmptyName,
    /// The same name twice.
    #[error("label {0:?} is given twice")]
    Duplicate(String),
    /// More pairs than [`LABELS_COUNT_MAX`].
    #[error("{0} labels are more than the {LABELS_COUNT_MAX} that a series may have (limits.labels_per_series_max)")]
    TooMany(usize),
    /// A name longer than [`LABEL_NAME_BYTES_MAX`].
    #[error("a label name of {0} bytes is longer than {LABEL_NAME_BYTES_MAX} (limits.label_name_bytes_max)")]
    NameTooLong(usize),
    /// A value longer than [`LABEL_VALUE_BYTES_MAX`].
    #[error(
        "the value of label {name:?} has {bytes} bytes, more than {LABEL_VALUE_BYTES_MAX} (limits.label_value_bytes_max)"
    )]
    ValueTooLong {
        /// The label's name.
        name: String,
        /// Length of the value.
        bytes: usize,
    },
    /// All names and values together are longer than [`LABELS_BYTES_MAX`].
    #[error("the labels of a series have {0} bytes, more than {LABELS_BYTES_MAX}")]
    TooLong(usize),
}

impl Labels {
    /// The label set without labels, as the result of `sum(x)` has it.
    pub fn empty() -> Labels {
        Labels::default()
    }

    /// Sorts the pairs, drops those with an empty value, and checks every limit.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Labels, LabelsError>
    where
        N: AsRef<str> + Ord,
        V: AsRef<str>,
    {
        let mut sorted: Vec<(N, V)> = pairs.into_iter().filter(|(_, value)| !value.as_ref().is_empty()).collect();
        sorted.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        check(&sorted)?;
        Ok(Labels::from_sorted(sorted.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))))
    }

    /// Puts pieces together that are known to be sorted, unique and within the limits. It has `text_bytes` of text at most.
    fn assemble<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, text_bytes: usize) -> Labels {
        let mut text = String::with_capacity(text_bytes);
        let mut ends = Vec::with_capacity(2 * pairs.size_hint().1.unwrap_or(0));
        for (name, value) in pairs {
            for piece in [name, value] {
                text.push_str(piece);
                ends.push(u16::try_from(text.len()).expect("LABELS_BYTES_MAX fits 16 bits"));
            }
        }
        Labels { text: text.into_boxed_str(), ends: ends.into_boxed_slice() }
    }

    /// Puts pairs together that were a label set before: sorted, unique and within the limits.
    pub(crate) fn from_sorted<'a>(pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)> + Clone) -> Labels {
        let text_bytes = pairs.clone().map(|(name, value)| name.len() + value.len()).sum();
        Labels::assemble(pairs, text_bytes)
    }

    /// Whether these pairs, as they stand, are a label set: sorted, unique and within the limits.
    pub(crate) fn are_allowed(pairs: &[(&str, &str)]) -> bool {
        check(pairs).is_ok()
            && pairs.iter().all(|(_, value)| !value.is_empty())
            && pairs.is_sorted_by_key(|(name, _)| *name)
    }

    /// The pairs in order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        (0..self.len()).map(|index| (self.piece(2 * index), self.piece(2 * index + 1)))
    }

    fn piece(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { usize::from(self.ends[index - 1]) };
        &self.text[start..usize::from(self.ends[index])]
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Heap bytes that this label set holds.
    pub fn heap_bytes(&self) -> usize {
        self.text.len() + 2 * self.ends.len()
    }

    /// The value of the label, if there is one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// The metric's name.
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// Only the pairs that `keep` agrees to.
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Labels {
        Labels::assemble(self.iter().filter(|(name, _)| keep(name)), self.text.len())
    }

    /// All pairs but the metric's name, as most functions and operators leave them.
    pub fn without_metric_name(&self) -> Labels {
        self.filtered(|name| name != METRIC_NAME)
    }

    /// With `name` set to `value`, in place of an earlier value; an empty value removes the label.
    pub fn with(&self, name: &str, value: &str) -> Result<Labels, LabelsError> {
        Labels::from_pairs(self.iter().filter(|(other, _)| *other != name).chain([(name, value)]))
    }

    /// A hash that is the same on every machine and in every version: Alertmanager would call it a fingerprint.
    pub fn hash(&self) -> u64 {
        Labels::hash_of(self.iter())
    }

    /// The hash of the label set of these pairs, which are in order.
    pub(crate) fn hash_of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
        let mut hasher = Xxh3::new();
        for piece in pairs.flat_map(|(name, value)| [name, value]) {
            hasher.update(piece.as_bytes());
            hasher.update(&[0xff]); // never a byte of UTF-8
        }
        hasher.digest()
    }

    /// The hash of some bytes by the same function, for those who hash a part of a label set.
    pub fn hash_bytes(bytes: &[u8]) -> u64 {
        xxh3_64(bytes)
    }
}

fn check<N: AsRef<str>, V: AsRef<str>>(sorted: &[(N, V)]) -> Result<(), LabelsError> {
    if sorted.len() > LABELS_COUNT_MAX {
        return Err(LabelsError::TooMany(sorted.len()));
    }
    let mut bytes = 0;
    for (index, (name, value)) in sorted.iter().enumerate() {
        let (name, value) = (name.as_ref(), value.as_ref());
        bytes += name.len() + value.len();
        if name.is_empty() {
            return Err(LabelsError::EmptyName);
        }
        if name.len() > LABEL_NAME_BYTES_MAX {
            return Err(LabelsError::NameTooLong(name.len()));
        }
        if value.len() > LABEL_VALUE_BYTES_MAX {
            return Err(LabelsError::ValueTooLong { name: name.to_owned(), bytes: value.len() });
        }
        if index > 0 && sorted[index - 1].0.as_ref() == name {
            return Err(LabelsError::Duplicate(name.to_owned()));
        }
    }
    if bytes > LABELS_BYTES_MAX { Err(LabelsError::TooLong(bytes)) } else { Ok(()) }
}

impl Ord for Labels {
    fn cmp(&self, other: &Labels) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::hash::Hash for Labels {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        self.ends.hash(state);
    }
}

/// As Prometheus writes it: `name{label="value", …}`, values quoted with `\\`, `\"` and `\n` escaped.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric_name().unwrap_or(""))?;
        if self.metric_name().is_some() && self.len() == 1 {
            return Ok(());
        }
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().filter(|(name, _)| *name != METRIC_NAME).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{comma}{name}=\"{escaped}\"")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
