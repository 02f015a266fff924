//! A recording rule at one moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::group::RecordingRule;
use super::{RuleHost, RuleSample, SAME_LABELS, overlaid};
use crate::model::METRIC_NAME;

/// The samples that the rule records, named and labelled, or why there are none.
pub(super) fn samples(
    rule: &RecordingRule,
    limit: usize,
    sample_ms: i64,
    host: &dyn RuleHost,
) -> Result<Vec<RuleSample>, String> {
    let answer = host.ask(&rule.expr, sample_ms).map_err(|error| error.to_string())?;
    let labels = rule.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let over = labels.chain([(METRIC_NAME, rule.record.as_str())]);
    let mut seen = BTreeSet::new();
    let mut samples = Vec::with_capacity(answer.len());
    for sample in answer {
        let labels = Arc::new(overlaid(&sample.labels, over.clone()).map_err(|error| error.to_string())?);
        if !seen.insert(labels.clone()) {
            return Err(format!("{SAME_LABELS} rule labels"));
        }
        samples.push(RuleSample { labels, value: sample.value });
    }
    if limit > 0 && samples.len() > limit {
        return Err(format!("exceeded limit of {limit} with {} series", samples.len()));
    }
    Ok(samples)
}
