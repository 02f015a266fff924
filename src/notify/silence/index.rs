//! Finds the silences of an alert without looking at all of them.
//!
//! A silence that wants a label to have one value lies under that label and value, under the one with the fewest others;
//! an alert is compared with those under its own labels, and with those that want no label to have one value.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Kept, Silence, SilenceState};
use crate::model::{Labels, MatchOp, Matcher};

#[derive(Default)]
pub(super) struct Index {
    /// All of them, for those who may not wait for a change that is being written.
    pub(super) all: Kept,
    by_label: HashMap<String, HashMap<String, Vec<Arc<Silence>>>>,
    others: Vec<Arc<Silence>>,
}

impl Index {
    /// Of those that have not expired at this moment.
    pub(super) fn of(kept: &Kept, now_ms: i64) -> Index {
        let mut index = Index { all: kept.clone(), ..Index::default() };
        for silence in kept.values().filter(|silence| silence.state(now_ms) != SilenceState::Expired) {
            let wanted = silence.matchers.iter().filter(|matcher| wants_a_value(matcher));
            match wanted.min_by_key(|matcher| index.under(matcher)) {
                None => index.others.push(silence.clone()),
                Some(matcher) => {
                    let values = index.by_label.entry(matcher.name().to_owned()).or_default();
                    values.entry(matcher.value().to_owned()).or_default().push(silence.clone());
                }
            }
        }
        index
    }

    fn under(&self, matcher: &Matcher) -> usize {
        let values = self.by_label.get(matcher.name());
        values.and_then(|values| values.get(matcher.value())).map_or(0, Vec::len)
    }

    /// The silences that are active at a moment and hold back an alert with these labels.
    pub(super) fn matching(&self, labels: &Labels, now_ms: i64) -> Vec<Arc<Silence>> {
        let under = labels.iter().filter_map(|(name, value)| self.by_label.get(name)?.get(value));
        let candidates = under.flatten().chain(&self.others);
        let found = candidates.filter(|one| one.state(now_ms) == SilenceState::Active && one.matchers.matches(labels));
        found.cloned().collect()
    }
}

/// An empty value is the absence of the label, under which no alert would look.
fn wants_a_value(matcher: &Matcher) -> bool {
    matcher.op() == MatchOp::Equal && !matcher.value().is_empty()
}
