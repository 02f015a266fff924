//! A fixed limit: `limit: { above: 2, for: 1m }` fires when the windowed value was above 2 for a minute of event time.
//!
//! It needs no history: it judges the first bucket there is, while models still learn. Beginning and end are those of a
//! [`Hold`]; the end takes a minute within the limits, as with everything that recovers.
//!
//! Always true: a bucket without a value, or with NaN, neither fires nor resolves.

use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Says, Spell, Stretch, Turn};

/// Time within the limits before an alert ends, in ms.
const CALM_MS: i64 = 60_000;

/// Which values are an alert. A limit that is reached is kept; only what is beyond it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimitOptions {
    /// Values above this.
    pub above: Option<f64>,
    /// Values below this.
    pub below: Option<f64>,
    /// How long the value must stay there, in ms of event time.
    pub for_ms: i64,
    /// How long the alert stays after recovery, in ms of event time.
    pub keep_firing_for_ms: i64,
}

/// State of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limit {
    hold: Hold,
}

impl Limit {
    /// The alert, while there is one.
    pub(crate) fn firing(&self) -> Option<Spell> {
        self.hold.firing()
    }

    /// Judges the windowed value of a bucket of `bucket_ms` that ends at `end_ms`, in ms since 1970 UTC. Buckets come in
    /// order; one that is not newer than the last changes nothing.
    pub(crate) fn observe(
        &mut self,
        end_ms: i64,
        bucket_ms: i64,
        value: Option<f64>,
        options: &LimitOptions,
    ) -> Option<Turn> {
        let value = value.filter(|value| !value.is_nan())?;
        let is_beyond =
            options.above.is_some_and(|limit| value > limit) || options.below.is_some_and(|limit| value < limit);
        let says = if is_beyond { Says::Holds } else { Says::Gone };
        let patience = Patience { for_ms: options.for_ms, calm_ms: CALM_MS.saturating_add(options.keep_firing_for_ms) };
        let stretch = Stretch { end_ms, length_ms: bucket_ms };
        self.hold.observe(stretch, says, end_ms.saturating_sub(bucket_ms), patience)
    }
}

#[cfg(test)]
mod tests;
