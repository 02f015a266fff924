//! Alerts that others push to us: they fire as long as somebody says so.
//!
//! ```text
//! Prometheus, each minute: {alertname="Down"} until four minutes from now      firing, once
//! it stops                                                                    resolved, four minutes later
//! somebody, without an end                                                    until the resolve timeout
//! ```
//!
//! Always true:
//! 1. An alert is noted before it is remembered here: one that could not be noted is not remembered either.
//! 2. There are at most [`PUSHED_ALERTS_MAX`] of them; who pushes more is told to come again.

use std::collections::HashMap;

use super::alert::Alert;
use super::{Notifier, NotifyError};
use crate::model::Labels;

/// Most pushed alerts that fire at a time.
pub const PUSHED_ALERTS_MAX: usize = 10_000;

/// An alert as somebody pushes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedAlert {
    /// What names the alert.
    pub labels: Labels,
    /// Words for the reader.
    pub annotations: Vec<(String, String)>,
    /// When the trouble began, in ms since 1970 UTC; now, or the end if that has passed, where nobody says.
    pub starts_at_ms: Option<i64>,
    /// Until when it fires unless it is pushed again, in ms since 1970 UTC; the past ends it.
    pub ends_at_ms: Option<i64>,
    /// Where its cause can be looked at; may be empty.
    pub generator_url: String,
}

/// Those that fire, and until when. One owner changes it at a time.
#[derive(Debug, Default)]
pub struct PushedAlerts(HashMap<Labels, (Alert, i64)>);

impl PushedAlerts {
    /// Goes on with alerts from before a restart, which somebody must push again before `until_ms`.
    pub fn from_before(alerts: Vec<Alert>, until_ms: i64) -> PushedAlerts {
        PushedAlerts(alerts.into_iter().map(|alert| (alert.labels.clone(), (alert, until_ms))).collect())
    }

    /// Notes alerts, all or none. Where nobody says an end, it is `resolve_timeout_ms` from now. Waits for the disk.
    pub fn push(
        &mut self,
        pushed: Vec<PushedAlert>,
        notifier: &Notifier,
        now_ms: i64,
        resolve_timeout_ms: i64,
    ) -> Result<(), NotifyError> {
        let new_count = pushed.iter().filter(|one| !self.0.contains_key(&one.labels)).count();
        if self.0.len() + new_count > PUSHED_ALERTS_MAX {
            return Err(NotifyError::Full { what: "pushed alerts", limit: PUSHED_ALERTS_MAX });
        }
        let read = |pushed| read(pushed, now_ms, resolve_timeout_ms);
        let alerts: Vec<(Alert, i64)> = pushed.into_iter().map(read).collect();
        let news: Vec<Alert> = alerts.iter().filter_map(|(alert, _)| self.news(alert)).collect();
        notifier.enqueue_all(&news)?;
        for (alert, until_ms) in alerts {
            if alert.ends_at_ms.is_some() {
                self.0.remove(&alert.labels);
                continue;
            }
            let known = self.0.entry(alert.labels.clone()).or_insert((alert, until_ms));
            // Two senders of one alert need not agree; it fires as long as one of them says so.
            known.1 = known.1.max(until_ms);
        }
        Ok(())
    }

    /// What there is to tell of an alert. One that is over and was never known to fire is nobody's news; the end of one
    /// that fires is not before its beginning, whatever its sender's clock says.
    fn news(&self, alert: &Alert) -> Option<Alert> {
        let Some(ends_at_ms) = alert.ends_at_ms else { return Some(alert.clone()) };
        let (known, _) = self.0.get(&alert.labels)?;
        let (starts_at_ms, ends_at_ms) = (known.starts_at_ms, Some(ends_at_ms.max(known.starts_at_ms)));
        Some(Alert { starts_at_ms, ends_at_ms, ..alert.clone() })
    }

    /// Notes the end of those that nobody has pushed again in time. Waits for the disk.
    pub fn end_those_due(&mut self, notifier: &Notifier, now_ms: i64) -> Result<(), NotifyError> {
        let due = self.0.values().filter(|(_, until_ms)| *until_ms <= now_ms);
        let ended = |(alert, until_ms): &(Alert, i64)| Alert {
            ends_at_ms: Some((*until_ms).max(alert.starts_at_ms)),
            ..alert.clone()
        };
        let ended: Vec<Alert> = due.map(ended).collect();
        if !ended.is_empty() {
            notifier.enqueue_all(&ended)?;
            ended.iter().for_each(|alert| drop(self.0.remove(&alert.labels)));
        }
        Ok(())
    }

    /// How many fire.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none fires.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The alert, and until when it fires.
fn read(pushed: PushedAlert, now_ms: i64, resolve_timeout_ms: i64) -> (Alert, i64) {
    let until_ms = pushed.ends_at_ms.unwrap_or(now_ms.saturating_add(resolve_timeout_ms));
    let starts_at_ms = pushed.starts_at_ms.unwrap_or(pushed.ends_at_ms.map_or(now_ms, |ends_ms| ends_ms.min(now_ms)));
    let alert = Alert {
        labels: pushed.labels,
        annotations: pushed.annotations,
        starts_at_ms,
        ends_at_ms: (until_ms <= now_ms).then_some(until_ms),
        generator_url: pushed.generator_url,
    };
    (alert, until_ms)
}
