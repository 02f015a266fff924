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
        if self.dice.chance(35) { format!("{operator} bool") } else { operator.to_owned() }
    }

    pub(super) fn with_scalar(&mut self, depth: usize) -> Term {
        let operator = self.operator();
        let (vector, scalar) = (self.vector(depth - 1), self.scalar(depth - 1));
        let (left, right) = if self.dice.chance(65) { (vector, scalar) } else { (scalar, vector) };
        self.joined(Kind::Vector, left, vec![Part::Text(format!(" {operator} "))], right)
    }

    pub(super) fn between_vectors(&mut self, depth: usize) -> Term {
        let operator = self.operator();
        let shape = self.dice.below(10);
        let (left, right, matching) = match shape {
            0 | 1 => {
                // Both sides grouped alike.
                let grouping = self.grouping().unwrap_or_default();
                let mut side = || {
                    let name = self.dice.pick(AGGREGATIONS);
                    let inner = self.vector(depth.saturating_sub(2));
                    let parts =
                        vec![Part::Text(format!("{name}{grouping} (")), Part::Term(inner), Part::Text(")".to_owned())];
                    Term { kind: Kind::Vector, parts }
                };
                (side(), side(), String::new())
            }
            2 | 3 => {
                // Many of one metric to one of another.
                let many = self.wrapped(&["temperature", "requests_total", "up", "native"]);
                let one = self.wrapped(&["limit", "up", "target_info", "native"]);
                let include = self.dice.some(&["version", "env", "missing", "zone"], 20).join(", ");
                let on = self.dice.pick(&["on (job, instance)", "ignoring (zone, path, code, version, env)"]);
                if self.dice.chance(60) {
                    (many, one, format!(" {on} group_left ({include})"))
                } else {
                    (one, many, format!(" {on} group_right ({include})"))
                }
            }
            4 | 5 => {
                let (left, right) =
                    (self.wrapped(&["limit", "up", "native"]), self.wrapped(&["up", "limit", "native_any"]));
                (
                    left,
                    right,
                    self.dice.pick(&["", " on (job, instance)", " ignoring (zone)", " ignoring ()"]).to_owned(),
                )
            }
            6 => {
                let one = self.vector(depth - 1);
                (one.clone(), one, self.matching())
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
        let operator = self.dice.pick(SETS);
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
