//! How long it takes from what happened to what is on its way: `dozor_detection_lag_seconds`, and the same on alerts.
//!
//! ```text
//! bucket's end 12:00:15.0 ── samples come, watermark ──► judged ──► in the outbox 12:00:30.4      lag 15.4 s
//! evaluation   12:00:20.0 ── query ─────────────────────► alert ──► in the outbox 12:00:20.1      lag 0.1 s
//! ```
//!
//! Always true: only what ended after this process began is counted. History that is sent later, and the log that goes
//! through detection again after a start, say nothing of how long an alert takes.

use crate::clock::Clock;
use crate::notify::{Alert, rfc3339};
use crate::telemetry::{Histogram, Registry};

const NAME: &str = "dozor_detection_lag_seconds";
const HELP: &str =
    "From the end of the bucket that was judged, or the moment that a rule was evaluated for, to the alert on disk.";
/// Upper bounds, in seconds: one of the interval of most exporters and of the lateness that is waited for among them.
const BOUNDS_S: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 900.0];
/// Annotations of an anomaly: when it was found, by the clock, and how old the newest sample was at that moment. Receivers
/// that know of a `detected_at` take it for event time, which is `startsAt` here; so it is not called that.
const FOUND_AT: &str = "found_at";
const TELEMETRY_LAG: &str = "telemetry_lag";

/// Measures. Shared by the judge and the threads of rules.
pub(super) struct DetectionLag {
    anomalies: Histogram,
    rules: Histogram,
    clock: Clock,
    started_ms: i64,
}

impl DetectionLag {
    pub(super) fn new(registry: &Registry, clock: &Clock) -> DetectionLag {
        let histogram = |by| registry.histogram(NAME, HELP, &[("by", by)], BOUNDS_S);
        let (anomalies, rules) = (histogram("stream"), histogram("evaluation"));
        DetectionLag { anomalies, rules, clock: clock.clone(), started_ms: clock.now_ms() }
    }

    /// Counts alerts of the stream that have just been noted, by the ends of their buckets in ms since 1970 UTC.
    pub(super) fn note_buckets(&self, ends_ms: impl Iterator<Item = i64>) {
        ends_ms.for_each(|end_ms| self.note(&self.anomalies, end_ms));
    }

    /// Counts alerts of an evaluation that have just been noted; it was for this moment, in ms since 1970 UTC.
    pub(super) fn note_evaluation(&self, alert_count: usize, at_ms: i64) {
        (0..alert_count).for_each(|_| self.note(&self.rules, at_ms));
    }

    fn note(&self, histogram: &Histogram, since_ms: i64) {
        if since_ms >= self.started_ms {
            histogram.record((self.clock.now_ms() - since_ms).max(0) as f64 / 1000.0);
        }
    }

    /// Says on an alert of the stream when it was found, and how far behind the clock the newest sample of all was.
    /// Both are no part of what the alert's id is made of, and are noted with it, so every attempt says the same.
    pub(super) fn tell(&self, alert: &mut Alert, newest_ms: i64) {
        let now_ms = self.clock.now_ms();
        let lag_s = (now_ms.saturating_sub(newest_ms)).max(0) as f64 / 1000.0;
        for (name, text) in [(FOUND_AT, rfc3339(now_ms)), (TELEMETRY_LAG, format!("{lag_s:.1}s"))] {
            if !alert.annotations.iter().any(|(other, _)| other == name) {
                alert.annotations.push((name.to_owned(), text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Labels;

    const START_MS: i64 = 1_700_000_000_000;

    #[test]
    fn what_ended_before_the_start_is_not_counted() {
        let (registry, clock) = (Registry::new(), Clock::manual(START_MS));
        let lag = DetectionLag::new(&registry, &clock);
        clock.advance(Duration::from_secs(60));
        lag.note_buckets([START_MS - 1, START_MS + 45_000, START_MS + 59_000].into_iter());
        lag.note_evaluation(2, START_MS + 59_900);
        let text = registry.render();
        for line in [
            r#"dozor_detection_lag_seconds_count{by="stream"} 2"#,
            r#"dozor_detection_lag_seconds_sum{by="stream"} 16"#,
            r#"dozor_detection_lag_seconds_bucket{by="stream",le="1"} 1"#,
            r#"dozor_detection_lag_seconds_bucket{by="evaluation",le="0.1"} 2"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn alert_says_when_it_was_found_and_keeps_what_its_rule_says() {
        let clock = Clock::manual(START_MS);
        let lag = DetectionLag::new(&Registry::new(), &clock);
        let mut alert = Alert {
            labels: Labels::from_pairs([("alertname", "Drop")]).unwrap(),
            annotations: vec![(TELEMETRY_LAG.to_owned(), "the rule's own".to_owned())],
            starts_at_ms: START_MS - 20_000,
            ends_at_ms: None,
            generator_url: String::new(),
        };
        let id = alert.transition_id();
        lag.tell(&mut alert, START_MS - 2_340);
        assert_eq!(
            alert.annotations,
            [(TELEMETRY_LAG, "the rule's own"), (FOUND_AT, "2023-11-14T22:13:20.000Z")]
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
        assert_eq!(alert.transition_id(), id, "the id is not made of it");
        alert.annotations.clear();
        lag.tell(&mut alert, START_MS - 2_340);
        assert_eq!(alert.annotations[1].1, "2.3s");
    }
}
