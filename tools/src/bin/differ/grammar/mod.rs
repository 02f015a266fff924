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
    /// What is wanted of the metrics, so that what is around them has something to do.
    wanted: Wanted,
}

/// What metrics are chosen from.
#[derive(Clone, Copy, Default)]
struct Wanted {
    /// Those of numbers, as most functions take no native histograms.
    numbers: bool,
    /// Those with a job, so that two sides of an operator match.
    job: bool,
}

impl Grammar {
    pub(crate) fn new(dice: Dice, start_ms: i64) -> Grammar {
        Grammar { dice, start_ms, within: 0, wanted: Wanted::default() }
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
                // More than one number is none.
                let inner = if self.dice.chance(60) {
                    let inner = self.numbers(depth - 1);
                    let name = format!("{} (", self.dice.pick(&["sum", "max", "count", "avg", "quantile by () (0.5,"]));
                    let parts = vec![Part::Text(name), Part::Term(inner), Part::Text(")".to_owned())];
                    Term { kind: Kind::Vector, parts }
                } else {
                    self.numbers(depth - 1)
                };
                Term::call(Kind::Scalar, "scalar", vec![inner])
            }
        }
    }

    /// What `make` makes of numbers, mostly.
    fn of_numbers(&mut self, make: impl FnOnce(&mut Grammar) -> Term) -> Term {
        let before = self.wanted;
        self.wanted.numbers |= self.dice.chance(88);
        let term = make(self);
        self.wanted = before;
        term
    }

    fn numbers(&mut self, depth: usize) -> Term {
        self.of_numbers(|grammar| grammar.vector(depth))
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
                let inner = self.numbers(depth - 1);
                Term::call(Kind::Vector, name, vec![inner])
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
                let inner = self.numbers(depth - 1);
                Term::call(Kind::Vector, name, vec![inner])
            }
            11 => self.absent(depth),
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

    /// Mostly of what is not there.
    fn absent(&mut self, depth: usize) -> Term {
        if self.dice.chance(30) {
            return self.of_vector("absent", depth);
        }
        let metric = self.metric(None);
        let count = self.dice.below(3);
        let matchers: Vec<String> = (0..count).map(|_| self.matcher(metric)).collect();
        let name = self.dice.pick(&["nothing", "no_such_metric"]);
        let mut parts = vec![Part::Text(name.to_owned()), Part::Optional(format!("{{{}}}", matchers.join(", ")))];
        let mut function = "absent";
        if self.dice.chance(40) {
            parts.push(Part::Text("[2m]".to_owned()));
            function = "absent_over_time";
        }
        let kind = if function == "absent" { Kind::Vector } else { Kind::Matrix };
        Term::call(Kind::Vector, function, vec![Term { kind, parts }])
    }

    fn of_vector(&mut self, name: &str, depth: usize) -> Term {
        let inner = self.vector(depth - 1);
        Term::call(Kind::Vector, name, vec![inner])
    }
}
