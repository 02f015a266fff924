//! A query as it was written: every parenthesis, every modifier, and where each part stands.
//!
//! ```text
//! sum by (region) (rate(orders[1m] offset 5m)) > 2
//!
//! Binary { operator: Greater, matching: None }
//! ├── left: Aggregate { operator: Sum, without: false, labels: [region] }
//! │   └── inner: Call { function: rate }
//! │       └── Matrix { range: Fixed { ms: 60000 } }
//! │           └── selector: { name: orders, shift: { offset: Fixed { ms: 300000 } } }
//! └── right: Number { value: 2 }
//! ```
//!
//! Always true of a tree that [`super::parse()`] gave:
//! 1. Every argument and operand has the type its owner takes, and there are as many as it takes.
//! 2. It is at most as deep as the limit on nesting, but for chains on the left: `1 + 1 + 1 + …` puts each operator
//!    above the one before. Whoever walks a tree goes down the left side in a loop; [`Binary`] and [`Subquery`] are
//!    dropped so.

use super::functions::{Function, ValueType};
use super::string::quote_bytes;
use crate::model::MatchOp;

/// A part of the text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first byte.
    pub(crate) start: usize,
    /// The byte behind the last.
    pub(crate) end: usize,
}

/// One expression.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Expr {
    Number(Box<Number>),
    Text(Box<Text>),
    Vector(Box<VectorSelector>),
    Matrix(Box<MatrixSelector>),
    Subquery(Box<Subquery>),
    Unary(Box<Unary>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Box<Call>),
    Paren(Box<Paren>),
}

/// A number, with its sign.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Number {
    /// Seconds, if it was written as a duration.
    pub(crate) value: f64,
    /// Whether it was written as a duration, like `5m`.
    pub(crate) is_duration: bool,
    pub(crate) span: Span,
}

/// A string.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Text {
    /// With the replacement character for what is not UTF-8.
    pub(crate) value: String,
    /// All of its bytes, if they are not UTF-8: no name of a label then.
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) span: Span,
}

/// `name{…}`: series by their labels.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct VectorSelector {
    /// The metric's name where it stands before the braces.
    pub(crate) name: Option<String>,
    /// What stands within the braces; `{"a b"}` is a matcher of `__name__`.
    pub(crate) matchers: Vec<LabelMatcher>,
    pub(crate) shift: Shift,
    pub(crate) edges: Option<Edges>,
    pub(crate) span: Span,
}

/// `label="value"`. A pattern is not compiled, unless the selector would take everything without it.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct LabelMatcher {
    pub(crate) name: String,
    pub(crate) op: MatchOp,
    pub(crate) value: String,
    pub(crate) span: Span,
}

/// How a selector's moment differs from the step: first `@` in place of it, then back by the offset.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Shift {
    /// Into the past; negative: into the future. `offset 0s` is none.
    pub(crate) offset: Option<Length>,
    pub(crate) at: Option<At>,
}

/// The moment that `@` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Milliseconds since 1970 UTC.
    Time(i64),
    Start,
    End,
}

/// How the samples at a window's edges are made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Edges {
    Anchored,
    Smoothed,
}

/// `selector[range]`
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct MatrixSelector {
    /// Has the offset, `@` and edges of the whole.
    pub(crate) selector: VectorSelector,
    pub(crate) range: Length,
    pub(crate) span: Span,
}

/// `inner[range:step]`
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Subquery {
    pub(crate) inner: Expr,
    pub(crate) range: Length,
    /// None: the engine's default.
    pub(crate) step: Option<Length>,
    pub(crate) shift: Shift,
    pub(crate) span: Span,
}

/// A length of time.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Length {
    /// Milliseconds, cut off. Ranges and steps were above 0 as written, but may be of less than 1 ms: 0 here.
    Fixed { ms: i64 },
    /// Known only when the query's start, end and step are. Nothing is checked of its value.
    Computed { formula: Formula, span: Span },
}

/// A length of time that is computed, in seconds.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum Formula {
    /// With its sign; written as a duration or not.
    Number {
        seconds: f64,
        is_duration: bool,
    },
    /// The step of the query.
    Step,
    /// From the query's start to its end.
    Range,
    Negative(Box<Formula>),
    /// In parentheses.
    Paren(Box<Formula>),
    Binary {
        operator: Operator,
        left: Box<Formula>,
        right: Box<Formula>,
    },
    MinOf(Box<Formula>, Box<Formula>),
    MaxOf(Box<Formula>, Box<Formula>),
}

/// A sign before what is not a number.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Unary {
    /// Minus, else plus.
    pub(crate) is_minus: bool,
    pub(crate) inner: Expr,
    pub(crate) span: Span,
}

/// An operator between two operands.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Binary {
    pub(crate) operator: Operator,
    /// Whether a comparison answers 0 or 1 in place of filtering.
    pub(crate) returns_bool: bool,
    /// Present if both sides are vectors.
    pub(crate) matching: Option<Matching>,
    pub(crate) left: Expr,
    pub(crate) right: Expr,
    pub(crate) span: Span,
}

/// Which series of two vectors belong together.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Matching {
    pub(crate) cardinality: Cardinality,
    /// `on (…)` compares exactly the labels, otherwise all but them and the metric's name.
    pub(crate) on: bool,
    pub(crate) labels: Vec<String>,
    /// Labels that `group_left` or `group_right` take over from the side of the one.
    pub(crate) include: Vec<String>,
    /// What stands in for a series that the left side lacks.
    pub(crate) fill_left: Option<f64>,
    /// What stands in for a series that the right side lacks.
    pub(crate) fill_right: Option<f64>,
}

/// How many series of each side may be in a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Of the set operators.
    ManyToMany,
}

/// Many series into one of each group.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Aggregate {
    pub(crate) operator: Aggregator,
    /// Whether the labels are those that do not count.
    pub(crate) without: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) parameter: Option<Expr>,
    pub(crate) inner: Expr,
    pub(crate) span: Span,
}

/// A function and its arguments.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) span: Span,
}

/// An expression in parentheses.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Paren {
    pub(crate) inner: Expr,
    pub(crate) span: Span,
}

/// Gives an enum whose members have PromQL names, and the way back from the name.
macro_rules! named {
    ($(#[$meta:meta])* $enum:ident { $($member:ident = $name:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $enum { $($member),+ }

        impl $enum {
            /// All of them.
            pub(crate) const ALL: &[$enum] = &[$($enum::$member),+];

            /// As it is written, in lower case.
            pub(crate) fn name(self) -> &'static str {
                match self { $($enum::$member => $name),+ }
            }

            /// The member of this name.
            pub(crate) fn from_name(name: &str) -> Option<$enum> {
                match name { $($name => Some($enum::$member),)+ _ => None }
            }
        }
    };
}

named! {
    /// An operator between two operands. `</` and `>/` cut native histograms off above and below a value.
    Operator {
        Add = "+", Subtract = "-", Multiply = "*", Divide = "/", Modulo = "%", Power = "^", Atan2 = "atan2",
        Equal = "==", NotEqual = "!=", Less = "<", LessOrEqual = "<=", Greater = ">", GreaterOrEqual = ">=",
        TrimUpper = "</", TrimLower = ">/", And = "and", Or = "or", Unless = "unless",
    }
}

named! {
    /// How a group of series becomes one, or, for the last few, a choice of them.
    Aggregator {
        Sum = "sum", Avg = "avg", Min = "min", Max = "max", Count = "count", Group = "group", Stddev = "stddev",
        Stdvar = "stdvar", Quantile = "quantile", Topk = "topk", Bottomk = "bottomk", CountValues = "count_values",
        Limitk = "limitk", LimitRatio = "limit_ratio",
    }
}

impl Text {
    /// As Go's `%q` writes it, which is how errors show it.
    pub(crate) fn quoted(&self) -> String {
        quote_bytes(self.bytes.as_deref().unwrap_or(self.value.as_bytes()))
    }
}

impl Operator {
    /// Whether it compares: filters, or answers 0 or 1 with `bool`.
    pub(crate) fn is_comparison(self) -> bool {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    /// Whether it is one of those that formulas for lengths of time have too.
    pub(super) fn is_arithmetic(self) -> bool {
        use Operator::{Add, Divide, Modulo, Multiply, Power, Subtract};
        matches!(self, Add | Subtract | Multiply | Divide | Modulo | Power)
    }

    /// Whether it works on sets of series rather than on values.
    pub(crate) fn is_set(self) -> bool {
        matches!(self, Operator::And | Operator::Or | Operator::Unless)
    }
}

impl Aggregator {
    /// Whether it takes a parameter before the vector.
    pub(crate) fn takes_parameter(self) -> bool {
        use Aggregator::{Bottomk, CountValues, LimitRatio, Limitk, Quantile, Topk};
        matches!(self, Topk | Bottomk | CountValues | Quantile | Limitk | LimitRatio)
    }
}

impl Cardinality {
    /// As Prometheus writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cardinality::OneToOne => "one-to-one",
            Cardinality::ManyToOne => "many-to-one",
            Cardinality::OneToMany => "one-to-many",
            Cardinality::ManyToMany => "many-to-many",
        }
    }
}

impl Expr {
    /// Where it stands, by Prometheus's rules: `anchored` and `smoothed` are not part of it.
    pub(crate) fn span(&self) -> Span {
        match self {
            Expr::Number(number) => number.span,
            Expr::Text(text) => text.span,
            Expr::Vector(selector) => selector.span,
            Expr::Matrix(matrix) => matrix.span,
            Expr::Subquery(subquery) => subquery.span,
            Expr::Unary(unary) => unary.span,
            Expr::Binary(binary) => binary.span,
            Expr::Aggregate(aggregate) => aggregate.span,
            Expr::Call(call) => call.span,
            Expr::Paren(paren) => paren.span,
        }
    }

    /// What it yields. Takes as long as the way down its left side.
    pub(crate) fn value_type(&self) -> ValueType {
        let (mut at, mut in_binary) = (self, false);
        let found = loop {
            at = match at {
                Expr::Number(_) => break ValueType::Scalar,
                Expr::Text(_) => break ValueType::String,
                Expr::Matrix(_) | Expr::Subquery(_) => break ValueType::Matrix,
                Expr::Vector(_) | Expr::Aggregate(_) => break ValueType::Vector,
                Expr::Call(call) => break call.function.gives,
                Expr::Unary(unary) => &unary.inner,
                Expr::Paren(paren) => &paren.inner,
                Expr::Binary(binary) if binary.right.value_type() != ValueType::Scalar => break ValueType::Vector,
                Expr::Binary(binary) => {
                    in_binary = true;
                    &binary.left
                }
            };
        };
        if in_binary && found != ValueType::Scalar { ValueType::Vector } else { found }
    }

    /// What is on its left and may be a chain of any length.
    pub(super) fn chain(&mut self) -> Option<&mut Expr> {
        match self {
            Expr::Binary(binary) => Some(&mut binary.left),
            Expr::Subquery(subquery) => Some(&mut subquery.inner),
            _ => None,
        }
    }

    /// Hands every selector over, in the order in which they stand.
    pub(crate) fn each_selector_mut(&mut self, change: &mut dyn FnMut(&mut VectorSelector)) {
        let (mut expr, mut behind) = (self, Vec::new());
        // A chain may be of any length, and what stands right of its links does not: those wait their turn.
        let end = loop {
            expr = match expr {
                Expr::Binary(binary) => {
                    let Binary { left, right, .. } = &mut **binary;
                    behind.push(right);
                    left
                }
                Expr::Subquery(subquery) => &mut subquery.inner,
                end => break end,
            };
        };
        match end {
            Expr::Number(_) | Expr::Text(_) | Expr::Binary(_) | Expr::Subquery(_) => {}
            Expr::Vector(selector) => change(selector),
            Expr::Matrix(matrix) => change(&mut matrix.selector),
            Expr::Unary(unary) => unary.inner.each_selector_mut(change),
            Expr::Aggregate(aggregate) => {
                aggregate.parameter.iter_mut().for_each(|parameter| parameter.each_selector_mut(change));
                aggregate.inner.each_selector_mut(change);
            }
            Expr::Call(call) => call.arguments.iter_mut().for_each(|argument| argument.each_selector_mut(change)),
            Expr::Paren(paren) => paren.inner.each_selector_mut(change),
        }
        behind.into_iter().rev().for_each(|right| right.each_selector_mut(change));
    }

    /// Takes the expression out of its place and leaves one that is of no use in it.
    pub(super) fn cut(&mut self) -> Expr {
        let stump = Number { value: 0.0, is_duration: false, span: Span::default() };
        std::mem::replace(self, Expr::Number(Box::new(stump)))
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        drop_chain(&mut self.left);
    }
}

impl Drop for Subquery {
    fn drop(&mut self) {
        drop_chain(&mut self.inner);
    }
}

/// Takes a chain apart from its top, so that dropping it does not go as deep as it is long.
fn drop_chain(top: &mut Expr) {
    let mut next = top.chain().map(Expr::cut);
    while let Some(mut link) = next {
        next = link.chain().map(Expr::cut);
    }
}
