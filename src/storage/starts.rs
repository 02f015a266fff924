//! Since when a sample counts: its start time, kept as a sample of a *companion* series.
//!
//! A counter that tells with each sample when it was last zero lets `rate` see a restart that its values hide. Few
//! senders tell it, so nothing of a sample has room for it. It is a sample itself, of the same moment, in a series that
//! has one label more; its value is the start in ms since 1970 UTC, exact up to 2^53:
//!
//! ```text
//! orders_total{job="shop"}                               12:00:00  7       12:00:15  9
//! orders_total{job="shop", __start_timestamp__="ms"}     12:00:00  11:58   12:00:15  11:58
//! ```
//!
//! So it goes through log, head, blocks, retention, deletions and snapshots as everything does, and one that never
//! changes takes next to nothing. It lies in the shard of its base, whose thread makes it.
//!
//! Always true:
//! 1. Nobody sees a companion: views put it to its base, and leave it out of every list and every count; only the bytes
//!    and the blocks' figures count it as the series that it is.
//! 2. A start is stored with its sample, in one record, or not at all: one that contradicts what is stored, or whose
//!    companion finds no room, is counted, and its sample is stored as if it had none.
//! 3. Senders cannot name one: see [`is_reserved`].

use crate::model::Labels;

/// The label that a companion has and no other series.
pub(super) const START_LABEL: &str = "__start_timestamp__";
/// What it says: the unit of the values.
pub(super) const START_LABEL_VALUE: &str = "ms";

/// Whether a label of this name is ours alone, so that no sender may use it.
pub fn is_reserved(label_name: &str) -> bool {
    label_name == START_LABEL
}

/// Whether these labels are a companion's.
pub(super) fn is_companion(labels: &Labels) -> bool {
    labels.get(START_LABEL).is_some()
}

/// The labels of the companion of a series. `None` where one label more is one too many.
pub(super) fn companion_of(base: &Labels) -> Option<Labels> {
    base.with(START_LABEL, START_LABEL_VALUE).ok()
}

/// The labels of the series that a companion belongs to.
pub(super) fn base_of(companion: &Labels) -> Labels {
    companion.filtered(|name| name != START_LABEL)
}

/// The hash by which a series finds its shard: a companion's is that of its base.
pub(super) fn shard_hash(labels: &Labels) -> u64 {
    if is_companion(labels) { base_of(labels).hash() } else { labels.hash() }
}
