//! A template as it was understood, and how its parts are written where an error names them.

use std::fmt;
use std::sync::Arc;

/// What stands one after another.
pub(super) type List = Vec<Node>;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(Arc<str>),
    Action(Pipeline),
    Branch(Box<Branch>),
    Call(TemplateCall),
    Break,
    Continue,
}

/// `if`, `with` or `range`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    pub kind: BranchKind,
    pub pipeline: Pipeline,
    pub body: List,
    pub otherwise: Option<List>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BranchKind {
    If,
    With,
    Range,
}

/// `{{template "name" pipeline}}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TemplateCall {
    pub position: usize,
    pub name: String,
    pub pipeline: Option<Pipeline>,
}

/// Commands, each of which gets what the one before it came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipeline {
    pub position: usize,
    /// Variables with their dollar signs.
    pub variables: Vec<String>,
    /// `=`, not `:=`.
    pub is_assignment: bool,
    pub commands: Vec<Command>,
}

/// A function with its arguments, or a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub position: usize,
    /// Never empty.
    pub operands: Vec<Operand>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operand {
    pub position: usize,
    pub term: Term,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    Bool(bool),
    Dot,
    Nil,
    Number {
        written: String,
        number: Number,
    },
    Text {
        written: String,
        text: Arc<str>,
    },
    Function(&'static str),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable {
        name: String,
        fields: Vec<String>,
    },
    /// `(…).a.b`
    Chain {
        of: Box<Operand>,
        fields: Vec<String>,
    },
    Pipeline(Box<Pipeline>),
}

/// A number as it is used where no type is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
    /// Larger than an integer can be.
    Overflow,
}

impl fmt::Display for TemplateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {:?}", self.name)?;
        if let Some(pipeline) = &self.pipeline {
            write!(f, " {pipeline}")?;
        }
        f.write_str("}}")
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.is_assignment { "=" } else { ":=" })?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if index == 0 { "" } else { " | " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, operand) in self.operands.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            match operand.term {
                Term::Pipeline(_) => write!(f, "{space}({operand})")?,
                _ => write!(f, "{space}{operand}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Bool(value) => write!(f, "{value}"),
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Number { written, .. } | Term::Text { written, .. } => f.write_str(written),
            Term::Function(name) => f.write_str(name),
            Term::Field(fields) => dotted(f, fields),
            Term::Variable { name, fields } => {
                f.write_str(name)?;
                dotted(f, fields)
            }
            Term::Chain { of, fields } => {
                match of.term {
                    Term::Pipeline(_) => write!(f, "({of})")?,
                    _ => write!(f, "{of}")?,
                }
                dotted(f, fields)
            }
            Term::Pipeline(pipeline) => write!(f, "{pipeline}"),
        }
    }
}

fn dotted(f: &mut fmt::Formatter<'_>, fields: &[String]) -> fmt::Result {
    fields.iter().try_for_each(|field| write!(f, ".{field}"))
}
