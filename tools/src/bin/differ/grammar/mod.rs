//! Random expressions of right type, over the series of `data.rs`.

mod functions;
mod operators;
mod selectors;
mod words;

use words::{ARITHMETIC, COMPARISONS, EACH, LABELS, NUMBERS};

use crate::dice::Dice;
use crate::term::{Kind, Part, Term};

/// Makes expressions over the data that begin at `start_ms`.
pub(crate) struct Grammar {
    pub(crate) dice: Dice,
    pub(crate) start_ms: i64,
    /// Subqueries that the one in hand is within.
    within: usize,
}

impl Grammar {
    pub(crate) fn new(dice: Dice, start_ms: i64) -> Grammar {
        Grammar { dice, start_ms, within: 0 }
    }

    /// An expression for a range query, or for an instant one.
    pub(crate) fn expression(&mut self) -> Term {
        let depth = 1 + self.dice.below(5);
        if self.dice.chance(5) { self.scalar(depth) } else { self.vector(depth) }
    }

    /// A range of samples, which only instant queries may ask for.
    pub(crate) fn samples(&mut self) -> Term {
        self.matrix(1)
    }

    fn number(&mut self) -> Term {
        if self.dice.chance(15) {
            let number = (self.dice.fraction() - 0.3) * 200.0;
            return Term::text(Kind::Scalar, format!("{number:.3}"));
        }
        Term::text(Kind::Scalar, self.dice.pick(NUMBERS))
    }

    fn scalar(&mut self, depth: usize) -> Term {
        if depth == 0 || self.dice.chance(40) {
            return match self.dice.below(8) {
                0 => Term::text(Kind::Scalar, "time()"),
                1 => Term::text(Kind::Scalar, "pi()"),
                _ => self.number(),
            };
        }
        match self.dice.below(5) {
            0 => self.signed(Kind::Scalar, depth),
            1 => {
                let operator = format!(" {} bool ", self.dice.pick(COMPARISONS));
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                self.joined(Kind::Scalar, left, vec![Part::Text(operator)], right)
            }
            2 => {
                let operator = format!(" {} ", self.dice.pick(ARITHMETIC));
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                self.joined(Kind::Scalar, left, vec![Part::Text(operator)], right)
            }
            _ => {
                let inner = self.vector(depth - 1);
                Term::call(Kind::Scalar, "scalar", vec![inner])
            }
        }
    }

    /// A parameter: mostly of the kind that it should be.
    fn parameter(&mut self, usual: &[&str]) -> Term {
        match self.dice.below(10) {
            0 => self.scalar(2),
            1 => self.number(),
            _ => Term::text(Kind::Scalar, self.dice.pick(usual)),
        }
    }

    fn signed(&mut self, kind: Kind, depth: usize) -> Term {
        let inner = if kind == Kind::Scalar { self.scalar(depth - 1) } else { self.vector(depth - 1) };
        let sign = if self.dice.chance(85) { "-" } else { "+" };
        Term { kind, parts: vec![Part::Text(sign.to_owned()), Part::Term(inner)] }
    }

    /// Two operands: mostly in parentheses, else as precedence has it.
    fn joined(&mut self, kind: Kind, left: Term, between: Vec<Part>, right: Term) -> Term {
        let mut parts = vec![Part::Term(left)];
        parts.extend(between);
        parts.push(Part::Term(right));
        if self.dice.chance(85) {
            parts.insert(0, Part::Text("(".to_owned()));
            parts.push(Part::Text(")".to_owned()));
        }
        Term { kind, parts }
    }

    pub(crate) fn vector(&mut self, depth: usize) -> Term {
        if depth == 0 {
            if self.dice.chance(5) {
                let inner = self.scalar(0);
                return Term::call(Kind::Vector, "vector", vec![inner]);
            }
            return self.selector(None);
        }
        match self.dice.weighted(&[8, 6, 20, 16, 14, 10, 6, 5, 12, 4, 3, 3, 4, 3, 2, 2, 2, 2]) {
            0 => self.selector(None),
            1 => {
                let name = self.dice.pick(EACH);
                self.of_vector(name, depth)
            }
            2 => self.over_time(depth),
            3 => self.aggregation(depth),
            4 => self.between_vectors(depth),
            5 => self.with_scalar(depth),
            6 => self.set(depth),
            7 => self.relabelled(depth),
            8 => self.of_histograms(depth),
            9 => self.limited(depth),
            10 => {
                let name = self.dice.pick(&["sort", "sort_desc"]);
                self.of_vector(name, depth)
            }
            11 => self.of_vector("absent", depth),
            12 => self.of_vector("timestamp", depth),
            13 => self.calendar(depth),
            14 => self.signed(Kind::Vector, depth),
            15 => {
                let inner = self.scalar(depth - 1);
                Term::call(Kind::Vector, "vector", vec![inner])
            }
            16 => self.info(depth),
            _ => {
                let name = self.dice.pick(&["sort_by_label", "sort_by_label_desc"]);
                let inner = self.vector(depth - 1);
                let label = format!(", \"{}\")", self.dice.pick(LABELS));
                let parts = vec![Part::Text(format!("{name}(")), Part::Term(inner), Part::Text(label)];
                Term { kind: Kind::Vector, parts }
            }
        }
    }

    fn of_vector(&mut self, name: &str, depth: usize) -> Term {
        let inner = self.vector(depth - 1);
        Term::call(Kind::Vector, name, vec![inner])
    }
}
