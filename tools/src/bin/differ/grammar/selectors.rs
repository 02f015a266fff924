//! Selectors with all that modifies them, and subqueries.

use super::Grammar;
use super::words::{Holds, METRICS, Metric, OFFSETS, RANGES, SUBQUERY_RANGES, SUBQUERY_STEPS};
use crate::data::LENGTH_MS;
use crate::term::{Kind, Part, Term};

impl Grammar {
    pub(super) fn metric(&mut self, of: Option<Holds>) -> &'static Metric {
        loop {
            let metric = &METRICS[self.dice.below(METRICS.len())];
            let fits = match of {
                Some(holds) => metric.holds == holds,
                None => !(self.wanted.numbers && metric.holds == Holds::Native),
            };
            let has_job = metric.labels.iter().any(|(name, _)| *name == "job");
            if fits && (has_job || !self.wanted.job) {
                return metric;
            }
        }
    }

    /// Name and matchers.
    pub(super) fn series(&mut self, of: Option<Holds>) -> Vec<Part> {
        if of.is_none() && self.dice.chance(4) {
            let text = self.dice.pick(&[
                "{\"a.b\"}",
                "{\"a.b\", \"la bel\"=\"ü\"}",
                "{__name__=~\"temp.*|up\"}",
                "{__name__=~\"latency_.+\",le=\"\"}",
                "{__name__!=\"up\",__name__=~\"u.*|limit\"}",
                "{__name__=~\"native.*\",job=\"api\"}",
                "{__name__=\"no_such_metric\"}",
                "no_such_metric{job=\"api\",zone=~\"x\"}",
            ]);
            return vec![Part::Text(text.to_owned())];
        }
        let metric = self.metric(of);
        let mut parts = vec![Part::Text(metric.name.to_owned())];
        let count = self.dice.weighted(&[55, 30, 15]);
        if count > 0 {
            let mut matchers: Vec<String> = (0..count).map(|_| self.matcher(metric)).collect();
            let label = |matcher: &String| matcher.split(['=', '!']).next().unwrap_or_default().to_owned();
            if count > 1 && label(&matchers[0]) == label(&matchers[1]) && self.dice.chance(80) {
                // Two of the same label mostly leave nothing.
                matchers.pop();
            }
            parts.push(Part::Optional(format!("{{{}}}", matchers.join(", "))));
        }
        parts
    }

    pub(super) fn matcher(&mut self, metric: &Metric) -> String {
        if self.dice.chance(2) {
            return "missing!=\"\"".to_owned();
        }
        if self.dice.chance(4) {
            return self.dice.pick(&["missing=\"\"", "missing=~\".*\"", "missing!~\".+\"", "job!=\"x\""]).to_owned();
        }
        let (name, values) = metric.labels[self.dice.below(metric.labels.len())];
        let value = self.dice.pick(values);
        let first = value.chars().next().unwrap_or('a');
        // What leaves out one value is to leave others.
        let has_others = values.iter().any(|other| !other.starts_with(first));
        let way = self.dice.below(8);
        match if has_others || self.dice.chance(10) { way } else { way % 3 } {
            0..=2 => format!("{name}=\"{value}\""),
            3 => format!("{name}!=\"{value}\""),
            4 => format!("{name}=~\"({value}|nothing)\"").replace('+', "\\\\+"),
            5 => format!("{name}!~\"{value}.*\"").replace('+', "\\\\+"),
            6 => format!("{name}=~\"[^{first}].+|{first}?\"").replace("+?", "\\\\+?"),
            _ => format!("{name}=~\".+\""),
        }
    }

    /// `offset` and `@`.
    pub(super) fn shift(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.dice.chance(12) {
            parts.push(Part::Optional(format!(" offset {}", self.dice.pick(OFFSETS))));
        }
        if self.dice.chance(10) {
            let at = match self.dice.below(3) {
                0 => "start()".to_owned(),
                1 => "end()".to_owned(),
                _ => {
                    let at_ms = self.start_ms + self.dice.between(-20_000, LENGTH_MS + 120_000);
                    format!("{}.{:03}", at_ms / 1000, at_ms % 1000)
                }
            };
            parts.push(Part::Optional(format!(" @ {at}")));
        }
        if self.dice.chance(50) {
            parts.reverse();
        }
        parts
    }

    pub(super) fn selector(&mut self, of: Option<Holds>) -> Term {
        let mut parts = self.series(of);
        parts.extend(self.shift());
        Term { kind: Kind::Vector, parts }
    }

    pub(super) fn range(&mut self, of: Option<Holds>) -> Term {
        let mut parts = self.series(of);
        let usual = self.dice.chance(70);
        let range = self.dice.pick(if usual { &["1m", "2m", "5m"] } else { RANGES });
        parts.push(Part::Text(format!("[{range}]")));
        parts.extend(self.shift());
        Term { kind: Kind::Matrix, parts }
    }

    pub(super) fn matrix(&mut self, depth: usize) -> Term {
        if depth == 0 || self.within >= 2 || self.dice.chance(65) {
            return self.range(None);
        }
        self.subquery(depth)
    }

    pub(super) fn subquery(&mut self, depth: usize) -> Term {
        self.within += 1;
        let inner = self.vector(depth - 1);
        self.within -= 1;
        // Short windows with long steps mostly have no step.
        let from = if self.dice.chance(80) { 3 } else { 0 };
        let to = if self.within == 0 { SUBQUERY_RANGES.len() } else { 6 };
        let range = self.dice.pick(&SUBQUERY_RANGES[from..to]);
        let step = self.dice.pick(if from > 0 { &SUBQUERY_STEPS[..7] } else { SUBQUERY_STEPS });
        let mut parts = vec![Part::Text("(".to_owned()), Part::Term(inner), Part::Text(format!(")[{range}:{step}]"))];
        parts.extend(self.shift());
        Term { kind: Kind::Matrix, parts }
    }
}
