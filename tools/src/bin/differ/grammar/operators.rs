//! Operators between expressions, and what they match by: mostly pairs that have partners, else any.

use super::Grammar;
use super::words::{AGGREGATIONS, ARITHMETIC, COMPARISONS, LABELS, SETS};
use crate::term::{Kind, Part, Term};

impl Grammar {
    pub(super) fn operator(&mut self) -> String {
        if self.dice.chance(60) {
            return self.dice.pick(ARITHMETIC).to_owned();
        }
        let operator = self.dice.pick(COMPARISONS);
        let is_exact = operator == "==";
        if self.dice.chance(if is_exact { 80 } else { 45 }) { format!("{operator} bool") } else { operator.to_owned() }
    }

    pub(super) fn with_scalar(&mut self, depth: usize) -> Term {
        let operator = self.operator();
        // Of histograms there are products only.
        let vector = if operator == "*" { self.vector(depth - 1) } else { self.numbers(depth - 1) };
        let scalar = if self.dice.chance(40) {
            Term::text(Kind::Scalar, self.dice.pick(&["0", "1", "2", "10", "20", "100", "1000"]))
        } else {
            self.scalar(depth - 1)
        };
        let (left, right) = if self.dice.chance(65) { (vector, scalar) } else { (scalar, vector) };
        self.joined(Kind::Vector, left, vec![Part::Text(format!(" {operator} "))], right)
    }

    pub(super) fn between_vectors(&mut self, depth: usize) -> Term {
        let operator = self.operator();
        let shape = self.dice.weighted(&[28, 20, 20, 18, 14]);
        let before = self.wanted;
        self.wanted.job |= self.dice.chance(85);
        let term = self.matched(depth, &operator, shape);
        self.wanted = before;
        term
    }

    fn matched(&mut self, depth: usize, operator: &str, shape: usize) -> Term {
        let (left, right, matching) = match shape {
            0 => {
                // Both sides grouped alike.
                let grouping = match self.dice.below(4) {
                    0 => self.grouping().unwrap_or_default(),
                    _ => self.dice.pick(&["", " by (job)", " by ()", " by (job, missing)"]).to_owned(),
                };
                let mut side = || {
                    let name = self.dice.pick(AGGREGATIONS);
                    let inner = self.numbers(depth.saturating_sub(2));
                    let parts =
                        vec![Part::Text(format!("{name}{grouping} (")), Part::Term(inner), Part::Text(")".to_owned())];
                    Term { kind: Kind::Vector, parts }
                };
                (side(), side(), String::new())
            }
            1 => {
                // Many of one metric to one of another.
                let native = self.dice.chance(12);
                let many = self.wrapped(if native { &["native"] } else { &["temperature", "requests_total", "up"] });
                let one = self.wrapped(if native { &["native", "up"] } else { &["limit", "up", "target_info"] });
                let include = self.dice.some(&["version", "env", "missing", "zone"], 20).join(", ");
                let on = self.dice.pick(&["on (job, instance)", "ignoring (zone, path, code, version, env)"]);
                if self.dice.chance(60) {
                    (many, one, format!(" {on} group_left ({include})"))
                } else {
                    (one, many, format!(" {on} group_right ({include})"))
                }
            }
            2 => {
                let native = self.dice.chance(20);
                let left = self.wrapped(if native { &["native"] } else { &["limit", "up"] });
                let right = self.wrapped(if native { &["native_any", "up"] } else { &["up", "limit"] });
                (
                    left,
                    right,
                    self.dice.pick(&["", " on (job, instance)", " ignoring (zone)", " ignoring ()"]).to_owned(),
                )
            }
            3 => {
                let one = self.vector(depth - 1);
                let matching = if self.dice.chance(70) { String::new() } else { self.matching() };
                (one.clone(), one, matching)
            }
            _ => (self.vector(depth - 1), self.vector(depth - 1), self.matching()),
        };
        let between = vec![Part::Text(format!(" {operator}")), Part::Optional(matching), Part::Text(" ".to_owned())];
        self.joined(Kind::Vector, left, between, right)
    }

    /// One of the metrics, with something done to it or not.
    pub(super) fn wrapped(&mut self, metrics: &[&str]) -> Term {
        let metric = self.dice.pick(metrics);
        let parts = [vec![Part::Text(metric.to_owned())], self.shift()].concat();
        let selector = Term { kind: Kind::Vector, parts };
        match self.dice.below(4) {
            0 => Term::call(Kind::Vector, "abs", vec![selector]),
            1 => {
                let range = Term::text(Kind::Matrix, format!("{metric}[2m]"));
                Term::call(Kind::Vector, self.dice.pick(&["rate", "last_over_time", "avg_over_time"]), vec![range])
            }
            _ => selector,
        }
    }

    pub(super) fn matching(&mut self) -> String {
        let usual = self.dice.chance(60);
        let labels = if usual { self.dice.some(&["job", "instance"], 60) } else { self.dice.some(LABELS, 15) };
        let labels = labels.join(", ");
        let mut matching = match self.dice.below(4) {
            0 => return String::new(),
            1 | 2 => format!(" on ({labels})"),
            _ => format!(" ignoring ({labels})"),
        };
        if self.dice.chance(40) {
            let side = self.dice.pick(&["group_left", "group_right"]);
            let include = self.dice.some(&["version", "zone", "path", "le", "missing"], 15).join(", ");
            matching.push_str(&format!(" {side} ({include})"));
        }
        matching
    }

    pub(super) fn set(&mut self, depth: usize) -> Term {
        let operator = SETS[self.dice.weighted(&[3, 5, 2])];
        let (left, right) = (self.vector(depth - 1), self.vector(depth - 1));
        let labels = self.dice.some(&["job", "instance", "missing"], 40).join(", ");
        let matching = match self.dice.below(3) {
            0 => String::new(),
            1 => format!(" on ({labels})"),
            _ => format!(" ignoring ({labels})"),
        };
        let between = vec![Part::Text(format!(" {operator}")), Part::Optional(matching), Part::Text(" ".to_owned())];
        self.joined(Kind::Vector, left, between, right)
    }
}
