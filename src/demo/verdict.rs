//! Whether the pager got what it should: for each of the two alerts, in the broken region, firing and then resolved.

use super::pager::{PagedAlert, Status};
use super::play::Timeline;

/// The alerts of the pack `shop` that the play is about. Others of it may see the fault too, and come before or after.
pub(super) const ALERTS: [&str; 2] = ["OrdersDropped", "CheckoutLatencyRise"];

/// What arrived so far.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    region: &'static str,
    break_ms: i64,
    seen: [Seen; ALERTS.len()],
}

/// Event times of one alert, in ms.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    fired_ms: Option<i64>,
    resolved_ms: Option<i64>,
}

impl Verdict {
    /// On a fault that begins at `break_ms` in `region`: alerts of other regions or of before don't count.
    pub(super) fn new(region: &'static str, break_ms: i64) -> Verdict {
        Verdict { region, break_ms, seen: [Seen::default(); ALERTS.len()] }
    }

    /// Takes note of one alert that the pager was told.
    pub(super) fn note(&mut self, alert: &PagedAlert) {
        let Some(index) = ALERTS.iter().position(|name| *name == alert.label("alertname")) else { return };
        if alert.label("region") != self.region || alert.start_ms < self.break_ms {
            return;
        }
        let seen = &mut self.seen[index];
        match alert.status {
            Status::Firing => seen.fired_ms = seen.fired_ms.or(Some(alert.event_ms())),
            Status::Resolved if seen.fired_ms.is_some() => {
                seen.resolved_ms = seen.resolved_ms.or(Some(alert.event_ms()))
            }
            Status::Resolved => {}
        }
    }

    /// Whether both alerts fired and resolved.
    pub(super) fn is_complete(&self) -> bool {
        self.seen.iter().all(|seen| seen.fired_ms.is_some() && seen.resolved_ms.is_some())
    }

    /// One line of delays, in event time.
    pub(super) fn summary(&self, timeline: Timeline) -> String {
        let delays = |of: fn(&Seen) -> Option<i64>, since_ms: i64| {
            let delays = self.seen.iter().filter_map(of).map(|at_ms| format!("{} s", (at_ms - since_ms) / 1000));
            delays.collect::<Vec<String>>().join(" and ")
        };
        let fired = delays(|seen| seen.fired_ms, timeline.break_ms);
        let resolved = delays(|seen| seen.resolved_ms, timeline.repair_ms);
        format!("fired {fired} after the onset, resolved {resolved} after the repair")
    }

    /// What did not arrive, in words; empty when everything did.
    pub(super) fn missing(&self) -> String {
        let mut missing = Vec::new();
        for (name, seen) in ALERTS.iter().zip(&self.seen) {
            match (seen.fired_ms, seen.resolved_ms) {
                (None, _) => missing.push(format!("{name} never fired in region {}", self.region)),
                (Some(_), None) => missing.push(format!("{name} fired in region {} but did not resolve", self.region)),
                (Some(_), Some(_)) => {}
            }
        }
        missing.join("; ")
    }
}
