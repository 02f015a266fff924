//! What a file says of incidents, and how its limits and steps are read.
//!
//! ```text
//! incidents:
//!   acknowledge_within: { critical: 15m, warning: 4h }
//!   escalation:
//!     - { receiver: project-lead }                        15 or 240 minutes after the first notification
//!     - { receiver: business-owner, after: 30m }          half an hour after the project lead
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::file::Scalar;
use super::units::parse_duration_ms;
use super::{EscalationStep, IncidentsConfig};

/// Most steps of an escalation, and most severities with a limit.
const STEPS_COUNT_MAX: usize = 20;
/// Shortest and longest time, in ms: people need some, and what nobody takes within a month nobody will.
const LIMITS_MS: std::ops::RangeInclusive<i64> = 1_000..=30 * 24 * 3_600_000;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Incidents {
    pub(super) fold_window: Option<Scalar>,
    pub(super) fold_by: Option<Scalar>,
    pub(super) apart_by: Option<Scalar>,
    pub(super) critical_path: Option<Scalar>,
    pub(super) reopen_within: Option<Scalar>,
    pub(super) retention: Option<Scalar>,
    acknowledge_within: Option<BTreeMap<String, Scalar>>,
    escalation: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    receiver: Scalar,
    after: Option<Scalar>,
}

impl Incidents {
    /// Puts limits and steps into the settings. Fails with what `show` makes of the mistake: its place, setting and words.
    pub(super) fn read_lists(
        &self,
        config: &mut IncidentsConfig,
        show: impl Fn(&Scalar, &str, String) -> String,
    ) -> Result<(), String> {
        if let Some(limits) = &self.acknowledge_within {
            config.acknowledge_within_ms.clear();
            for (severity, given) in limits {
                let setting = format!("incidents.acknowledge_within.{severity}");
                if config.acknowledge_within_ms.len() == STEPS_COUNT_MAX {
                    return Err(show(given, &setting, format!("is one more than {STEPS_COUNT_MAX} severities")));
                }
                let limit_ms = limit_ms(&given.value).map_err(|what| show(given, &setting, what))?;
                config.acknowledge_within_ms.push((severity.clone(), limit_ms));
            }
        }
        for (index, Step { receiver, after }) in self.escalation.iter().enumerate() {
            if receiver.value.is_empty() {
                return Err(show(receiver, "incidents.escalation.receiver", "is empty".to_owned()));
            }
            if index == STEPS_COUNT_MAX {
                let what = format!("is one more than {STEPS_COUNT_MAX} steps");
                return Err(show(receiver, "incidents.escalation.receiver", what));
            }
            let after_ms = match after {
                None => None,
                Some(given) => {
                    let after_ms = limit_ms(&given.value);
                    Some(after_ms.map_err(|what| show(given, "incidents.escalation.after", what))?)
                }
            };
            config.escalation.push(EscalationStep { receiver: receiver.value.clone(), after_ms });
        }
        Ok(())
    }
}

fn limit_ms(text: &str) -> Result<i64, String> {
    let limit_ms = parse_duration_ms(text)?;
    match LIMITS_MS.contains(&limit_ms) {
        true => Ok(limit_ms),
        false => Err("is outside its range, 1s to 30d".to_owned()),
    }
}
