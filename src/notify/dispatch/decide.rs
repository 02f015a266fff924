//! Whether a receiver is told of a group now, by what it was told last.
//!
//! | it was told | the group now | |
//! | --- | --- | --- |
//! | nothing | something fires | tell |
//! | nothing | nothing fires | nothing: what began and ended unheard is not told |
//! | – | something fires that it was not told of | tell |
//! | something fires | nothing fires | tell, or note that it is over where ends are not told |
//! | – | some fire, some ended that it was not told of | tell, where ends are told |
//! | – | the same | tell when it was so long ago |
//!
//! The rules are Alertmanager's (`DedupStage`), one excepted: nothing is repeated before the last message was taken.

use crate::notify::told::Told;

/// What a receiver has to be told, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Something is new to it.
    New,
    /// Nothing is, but it was told long ago.
    Repeat,
    /// Nothing.
    Nothing,
}

/// Fingerprints are ascending. A repetition is due when the last message is older than `repeat_interval_ms` at `now_ms`.
pub(super) fn decide(
    told: Option<&Told>,
    firing: &[u64],
    resolved: &[u64],
    sends_resolved: bool,
    repeat_interval_ms: i64,
    now_ms: i64,
) -> Decision {
    let Some(told) = told else {
        return if firing.is_empty() { Decision::Nothing } else { Decision::New };
    };
    if !is_subset(firing, &told.firing) {
        return Decision::New;
    }
    if firing.is_empty() {
        return if told.firing.is_empty() { Decision::Nothing } else { Decision::New };
    }
    if sends_resolved && !is_subset(resolved, &told.resolved) {
        return Decision::New;
    }
    if told.at_ms < now_ms.saturating_sub(repeat_interval_ms) { Decision::Repeat } else { Decision::Nothing }
}

fn is_subset(some: &[u64], all: &[u64]) -> bool {
    some.iter().all(|one| all.binary_search(one).is_ok())
}
