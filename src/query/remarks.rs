//! What there is to say about the samples of a window.
//!
//! A remark is kept as a bit until the whole series was looked at, so that thousands of windows with the same flaw
//! cost one message: `rate(h[5m])` over a gauge says once that `h` is no counter, at the place of `h[5m]`.

use super::notes::Notes;
use super::syntax::Span;

/// Something that is wrong with a window, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// Numbers and histograms in one window.
    Mixed,
    /// A gauge where a counter is wanted.
    NotCounter,
    /// A counter where a gauge is wanted.
    NotGauge,
    /// Buckets by powers of two and buckets with bounds of their own.
    MixedSchemas,
    /// Of custom bounds that differed only those in both are left: after adding two histograms,
    BoundsAdded,
    /// … after subtracting them,
    BoundsSubtracted,
    /// … after adding up a window.
    BoundsAggregated,
    /// A histogram that says that the counter started anew and one that says that it did not were added up.
    ResetsCollide,
    /// Histograms were left out, since the function takes numbers.
    HistogramsIgnored,
    /// A sample counts since before the one before it, but not since the same time.
    StartsOverlap,
}

const ALL: [Remark; 10] = [
    Remark::Mixed,
    Remark::NotCounter,
    Remark::NotGauge,
    Remark::MixedSchemas,
    Remark::BoundsAdded,
    Remark::BoundsSubtracted,
    Remark::BoundsAggregated,
    Remark::ResetsCollide,
    Remark::HistogramsIgnored,
    Remark::StartsOverlap,
];

impl Remark {
    /// Prometheus's sentence about the metric.
    fn text(self, name: &str) -> String {
        match self {
            Remark::Mixed => format!("encountered a mix of histograms and floats for metric name {name:?}"),
            Remark::NotCounter => format!("this native histogram metric is not a counter: {name:?}"),
            Remark::NotGauge => format!("this native histogram metric is not a gauge: {name:?}"),
            Remark::MixedSchemas => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {name:?}"
            ),
            Remark::BoundsAdded => "mismatched custom buckets were reconciled during addition".to_owned(),
            Remark::BoundsSubtracted => "mismatched custom buckets were reconciled during subtraction".to_owned(),
            Remark::BoundsAggregated => "mismatched custom buckets were reconciled during aggregation".to_owned(),
            Remark::ResetsCollide => "conflicting counter resets during histogram aggregation".to_owned(),
            Remark::HistogramsIgnored => {
                format!("ignored histograms in a range containing both floats and histograms for metric name {name:?}")
            }
            Remark::StartsOverlap => {
                format!("sample has start time that overlaps with previous sample timestamp for metric {name:?}")
            }
        }
    }

    fn is_info(self) -> bool {
        use Remark::{BoundsAdded, BoundsAggregated, BoundsSubtracted, HistogramsIgnored};
        matches!(self, BoundsAdded | BoundsSubtracted | BoundsAggregated | HistogramsIgnored)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of remarks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remarks(u16);

impl Remarks {
    pub(super) fn only(remark: Remark) -> Remarks {
        Remarks(remark.bit())
    }

    pub(super) fn add(&mut self, remark: Remark) {
        self.0 |= remark.bit();
    }

    pub(super) fn unite(&mut self, other: Remarks) {
        self.0 |= other.0;
    }

    /// Tells them of the metric `name`, as found in what stands at `at`.
    pub(super) fn tell(self, notes: &Notes, at: Span, name: &str) {
        for remark in ALL.into_iter().filter(|remark| self.0 & remark.bit() != 0) {
            if remark.is_info() {
                notes.inform(at, remark.text(name));
            } else {
                notes.warn(at, remark.text(name));
            }
        }
    }
}
