//! What a group was expected to be, to be drawn beside what it was.

use std::sync::Arc;

use super::Watch;
use super::judged::Judged;
use crate::model::Labels;

/// One judged bucket of one group, in the unit of its expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Index of the watch, as they were given to [`super::start`].
    pub watch: usize,
    /// Labels of the group.
    pub labels: Arc<Labels>,
    /// End of the bucket, in ms since 1970 UTC.
    pub at_ms: i64,
    /// Evidence of what is watched for, as a share of what alerts.
    pub score: f64,
    /// What was expected; none while this time of day was never seen.
    pub expected: Option<f64>,
    /// Between which values it would have been ordinary.
    pub bounds: Option<[f64; 2]>,
    /// Whether an alert of the group fires.
    pub is_active: bool,
}

impl Judged {
    /// The bucket that ends then, if a model has judged it.
    pub(crate) fn band(&self, at_ms: i64, watch: &Watch) -> Option<Band> {
        let outlook = self.model.outlook().filter(|outlook| outlook.end_ms == at_ms)?;
        let in_unit = |amount: f64| outlook.in_unit(amount, &watch.signal);
        let watched = watch.options.directions.each().iter();
        Some(Band {
            watch: self.watch,
            labels: self.labels.clone(),
            at_ms,
            score: watched.map(|side| outlook.scores[side.index()]).fold(0.0, f64::max),
            expected: outlook.expected.map(in_unit),
            bounds: outlook.bounds.map(|bounds| bounds.map(in_unit)),
            is_active: self.spells().next().is_some(),
        })
    }
}
