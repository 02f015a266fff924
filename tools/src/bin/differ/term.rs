//! An expression as a tree that can be written out and made smaller.

use std::fmt::{self, Display, Formatter};

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Vector,
    Matrix,
    /// A string.
    Text,
}

/// An expression.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) kind: Kind,
    pub(crate) parts: Vec<Part>,
}

/// What an expression is written of.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(String),
    /// What can be left out, such as a modifier.
    Optional(String),
    Term(Term),
}

impl Term {
    /// One that is text alone.
    pub(crate) fn text(kind: Kind, text: impl Into<String>) -> Term {
        Term { kind, parts: vec![Part::Text(text.into())] }
    }

    /// `name(arguments)`
    pub(crate) fn call(kind: Kind, name: &str, arguments: Vec<Term>) -> Term {
        let mut parts = vec![Part::Text(format!("{name}("))];
        for (index, argument) in arguments.into_iter().enumerate() {
            if index > 0 {
                parts.push(Part::Text(", ".to_owned()));
            }
            parts.push(Part::Term(argument));
        }
        parts.push(Part::Text(")".to_owned()));
        Term { kind, parts }
    }

    /// All that is this but for one thing left out or replaced by something smaller, and vectors within a scalar.
    pub(crate) fn smaller(&self) -> Vec<Term> {
        let mut found = self.as_small();
        if self.kind == Kind::Scalar {
            self.within(Kind::Vector, &mut found);
        }
        found
    }

    /// As [`Term::smaller`], all of the same kind.
    fn as_small(&self) -> Vec<Term> {
        let mut found = Vec::new();
        self.within(self.kind, &mut found);
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(_) => {}
                Part::Optional(_) => {
                    let mut term = self.clone();
                    term.parts.remove(index);
                    found.push(term);
                }
                Part::Term(inner) => {
                    for smaller in inner.as_small() {
                        let mut term = self.clone();
                        term.parts[index] = Part::Term(smaller);
                        found.push(term);
                    }
                    if let Some(leaf) = inner.leaf() {
                        let mut term = self.clone();
                        term.parts[index] = Part::Term(leaf);
                        found.push(term);
                    }
                }
            }
        }
        found
    }

    /// What subqueries at any depth are of, each with its window as it is written.
    pub(crate) fn subqueries(&self) -> Vec<(&Term, String)> {
        let mut found = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            let Part::Term(inner) = part else { continue };
            if self.kind == Kind::Matrix && inner.kind == Kind::Vector {
                let behind: String = self.parts[index + 1..].iter().map(Part::to_string).collect();
                found.push((inner, behind.trim_start_matches(')').to_owned()));
            }
            found.extend(inner.subqueries());
        }
        found
    }

    /// Those parts, at any depth, that could stand in place of the whole.
    fn within(&self, kind: Kind, found: &mut Vec<Term>) {
        for part in &self.parts {
            if let Part::Term(term) = part {
                if term.kind == kind {
                    found.push(term.clone());
                }
                term.within(kind, found);
            }
        }
    }

    /// The plainest of its kind, unless this is it.
    fn leaf(&self) -> Option<Term> {
        let plain = match self.kind {
            Kind::Scalar => "1",
            Kind::Vector => "vector(1)",
            Kind::Matrix | Kind::Text => return None,
        };
        (self.to_string().len() > plain.len()).then(|| Term::text(self.kind, plain))
    }
}

impl Display for Term {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| write!(out, "{part}"))
    }
}

impl Display for Part {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Part::Text(text) | Part::Optional(text) => out.write_str(text),
            Part::Term(term) => write!(out, "{term}"),
        }
    }
}
