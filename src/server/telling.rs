//! The alerts that transitions of the stream become, with what their annotations ask of the stored series.
//!
//! ```text
//! annotations: { summary: "{{ with query \"shop_stock < 5\" }}{{ len . }} articles are nearly sold out{{ end }}" }
//! transition at 12:01 ─► query at 12:01 of event time ─► "3 articles are nearly sold out"
//! ```
//!
//! Always true:
//! 1. The queries of one alert take [`ALERT_WITHIN`] at most, those of all alerts of one look [`LOOK_WITHIN`]; what comes
//!    later is an error in its annotation, in Prometheus's words, and the alert goes out.
//! 2. An alert's labels ask nothing, so neither its fingerprint nor its id depends on an answer.
//! 3. What was asked once is not asked again while the alert fires: whoever looks at it sees what was told.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use super::parts::Key;
use crate::clock::Clock;
use crate::detect::{Firing, Kind, Transition};
use crate::model::Labels;
use crate::notify::Alert;
use crate::query::{Engine, Options, Sampled, Value};
use crate::rules::{Answered, RuleSet};
use crate::storage::view::ReadView;

/// How long the queries of one alert may take together.
const ALERT_WITHIN: Duration = Duration::from_secs(1);
/// How long those of all alerts may take that are told at once. Meanwhile the judge waits.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// Makes alerts, and remembers those that asked.
pub(super) struct Telling {
    rules: Arc<RuleSet>,
    engine: Arc<Engine>,
    view: Box<dyn Fn() -> ReadView + Send>,
    clock: Clock,
    /// How people reach this server, for links in alerts.
    external_url: String,
    /// Annotations of what fires, where they asked.
    told: Vec<(Key, Vec<(String, String)>)>,
}

impl Telling {
    /// Of these rules; nothing is told yet.
    pub(super) fn new(
        rules: Arc<RuleSet>,
        engine: Arc<Engine>,
        view: Box<dyn Fn() -> ReadView + Send>,
        clock: Clock,
        external_url: String,
    ) -> Telling {
        Telling { rules, engine, view, clock, external_url, told: Vec::new() }
    }

    /// The alerts of what begins and ends, in that order.
    pub(super) fn alerts(&mut self, transitions: &[Transition]) -> Vec<Alert> {
        let until = self.clock.monotonic() + LOOK_WITHIN;
        let mut alerts = Vec::with_capacity(transitions.len());
        for transition in transitions {
            let alert = self.asked(transition, until);
            let key = Key::of(transition);
            match transition.kind {
                Kind::Firing if self.asks(transition.watch) => self.told.push((key, alert.annotations.clone())),
                Kind::Firing => {}
                Kind::Resolved => self.told.retain(|(known, _)| *known != key),
            }
            alerts.push(alert);
        }
        alerts
    }

    /// The alerts of what fires, in that order: as they were told; with new figures where nothing was asked.
    pub(super) fn firing<'a>(&mut self, firing: impl Iterator<Item = &'a Firing>) -> Vec<Alert> {
        let until = self.clock.monotonic() + LOOK_WITHIN;
        firing.map(|one| self.as_told(&one.transition(), until)).collect()
    }

    fn as_told(&mut self, transition: &Transition, until: Duration) -> Alert {
        if !self.asks(transition.watch) {
            return self.rules.alert_for(transition, &self.external_url);
        }
        let key = Key::of(transition);
        if let Some((_, annotations)) = self.told.iter().find(|(known, _)| *known == key) {
            let alert = self.rules.alert_for(transition, &self.external_url);
            return Alert { annotations: annotations.clone(), ..alert };
        }
        // It was told before the start.
        let alert = self.asked(transition, until);
        self.told.push((key, alert.annotations.clone()));
        alert
    }

    fn asks(&self, watch: usize) -> bool {
        self.rules.rules[watch].asks()
    }

    fn asked(&self, transition: &Transition, until: Duration) -> Alert {
        let until = until.min(self.clock.monotonic() + ALERT_WITHIN);
        let view = OnceCell::new();
        let ask = |query: &str| {
            let left = until.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return Err(format!("no time is left of the {} s that an alert may ask", ALERT_WITHIN.as_secs()));
            }
            let options = Options { timeout: Some(left), ..Options::default() };
            answer(&self.engine, view.get_or_init(&self.view), query, transition.at_ms, &options)
        };
        self.rules.alert_with(transition, &self.external_url, &ask)
    }
}

/// What templates make of an answer, as of rules that are evaluated.
fn answer(engine: &Engine, view: &ReadView, query: &str, at_ms: i64, options: &Options) -> Answered {
    match engine.instant(view, query, at_ms, options).map_err(|error| error.to_string())?.value {
        Value::Scalar(_, value) => Ok(vec![(Labels::empty(), value)]),
        Value::Vector(series) => {
            let row =
                |(labels, _, value): (Arc<Labels>, _, Sampled)| (Labels::clone(&labels), value.number().unwrap_or(0.0));
            Ok(series.into_iter().map(row).collect())
        }
        Value::String(..) | Value::Matrix(_) => Err("rule result is not a vector or scalar".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::detect::Direction;
    use crate::model::Sample;
    use crate::query::Limits;

    const RULES: &str = r#"
groups:
- name: shop
  rules:
  - alert: Orders
    expr: sum by (region) (rate(orders_total[1m]))
    anomaly: { direction: drop }
    annotations:
      summary: '{{ with query "stock < 5" }}{{ len . }} sold out, first {{ (index . 0).Labels.sku }}{{ end }}'
      broken: '{{ query "stock <" }}'
  - alert: Plain
    expr: sum by (region) (rate(orders_total[1m]))
    anomaly: { direction: drop }
    annotations: { summary: "{{ $value }} orders" }
"#;

    /// Stock of three articles; one is sold out after a minute.
    fn telling() -> Telling {
        let series = |sku: &str, before: f64, after: f64| {
            let labels = Labels::from_pairs([("__name__", "stock"), ("sku", sku)]).unwrap();
            let samples = vec![(0, before), (60_000, after)];
            (labels, samples.into_iter().map(|(timestamp_ms, value)| Sample { timestamp_ms, value }).collect())
        };
        let view = ReadView::of_samples(vec![series("a", 4.0, 4.0), series("b", 9.0, 1.0), series("c", 9.0, 9.0)]);
        let engine = Arc::new(Engine::new(Limits::default(), Clock::system()));
        let rules = Arc::new(crate::rules::load_text(Path::new("shop.yml"), RULES).expect("the rules are well"));
        Telling::new(rules, engine, Box::new(move || view.clone()), Clock::system(), String::new())
    }

    fn firing(watch: usize) -> Firing {
        Firing {
            watch,
            labels: Arc::new(Labels::from_pairs([("region", "eu")]).unwrap()),
            direction: Direction::Drop,
            value: 3.0,
            expected: 9.0,
            onset_ms: 0,
            fired_ms: 30_000,
        }
    }

    fn resolved(watch: usize) -> Transition {
        Transition { kind: Kind::Resolved, at_ms: 90_000, ..firing(watch).transition() }
    }

    fn annotation<'a>(alert: &'a Alert, name: &str) -> &'a str {
        alert.annotations.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text)
    }

    #[test]
    fn query_is_answered_as_of_the_moment_that_is_told_and_labels_stay_the_same() {
        let mut telling = telling();
        let alerts = telling.alerts(&[firing(0).transition(), resolved(0)]);
        assert_eq!(annotation(&alerts[0], "summary"), "1 sold out, first a");
        assert_eq!(annotation(&alerts[1], "summary"), "2 sold out, first a");
        assert_eq!(alerts[0].fingerprint(), alerts[1].fingerprint());
        assert!(annotation(&alerts[0], "broken").starts_with("<error expanding template:"), "{:?}", alerts[0]);
    }

    #[test]
    fn what_was_asked_is_shown_as_it_was_told_while_it_fires() {
        let mut telling = telling();
        telling.alerts(&[firing(0).transition()]);
        let fewer = Firing { value: 1.0, ..firing(0) };
        let looked = telling.firing([fewer.clone(), Firing { watch: 1, ..fewer }].iter());
        assert_eq!(annotation(&looked[0], "summary"), "1 sold out, first a");
        assert_eq!(annotation(&looked[1], "summary"), "1 orders");
        assert_eq!(telling.told.len(), 1, "what asks nothing is not remembered");
        telling.alerts(&[resolved(0)]);
        assert!(telling.told.is_empty());
        // After a restart nobody remembers: it is asked once.
        assert_eq!(annotation(&telling.firing([firing(0)].iter())[0], "summary"), "1 sold out, first a");
        assert_eq!(telling.told.len(), 1);
    }

    #[test]
    fn alert_that_has_no_time_left_is_told_with_the_reason_in_its_annotation() {
        let telling = telling();
        let alert = telling.asked(&firing(0).transition(), Duration::ZERO);
        let summary = annotation(&alert, "summary");
        assert!(summary.starts_with("<error expanding template:") && summary.contains("no time is left"), "{summary}");
    }
}
