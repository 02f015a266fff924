//! Groups that do not fire and soon may: so that whoever explains alerts can begin before there is one.
//!
//! Evidence of a drop in one region is at 0.3, 0.55 and 0.8 of what alerts, a bucket each. From 0.5 on the group is a suspect;
//! it fires two buckets later, or it was chance.
//!
//! Always true: nothing depends on it; a group is no suspect of what it fires for already.

use std::sync::Arc;

use super::Watch;
use super::judged::Judged;
use super::transition::{Direction, Side};
use crate::model::Labels;

/// From which share of the evidence that alerts on a group is suspected.
const SCORE_MIN: f64 = 0.5;
/// The least time that the change is taken to last by now, in ms.
const SPAN_MS_MIN: i64 = 60_000;

/// A group whose evidence has grown.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Index of the watch.
    pub watch: usize,
    /// Labels of the group.
    pub labels: Arc<Labels>,
    /// Which way it goes.
    pub direction: Direction,
    /// Before when all was well: a window ago, in ms since 1970 UTC.
    pub onset_ms: i64,
    /// End of the last judged bucket, in ms since 1970 UTC.
    pub as_of_ms: i64,
    /// What was expected, where something was.
    pub expected: Option<f64>,
}

impl Judged {
    /// The stronger suspicion, of what is watched for.
    pub(crate) fn suspect(&self, watch: &Watch) -> Option<Suspect> {
        let outlook = self.model.outlook()?;
        let score = |side: &Side| outlook.scores[side.index()];
        let sides = watch.options.directions.each();
        let side = *sides.iter().max_by(|one, other| score(one).total_cmp(&score(other)))?;
        if score(&side) < SCORE_MIN || self.spells().next().is_some() {
            return None;
        }
        let window_ms = watch.signal.bucket_ms.saturating_mul(watch.signal.window_buckets as i64);
        Some(Suspect {
            watch: self.watch,
            labels: self.labels.clone(),
            direction: Direction::from(side),
            onset_ms: outlook.end_ms.saturating_sub(window_ms.max(SPAN_MS_MIN)),
            as_of_ms: outlook.end_ms,
            expected: outlook.expected.map(|expected| outlook.in_unit(expected, &watch.signal)),
        })
    }
}
