//! PromQL as a language: text to tree, and tree to text, as Prometheus 3.14 has it.
//!
//! ```text
//! "sum by (region) (rate(orders[1m])) > 2"
//!        │ lexer      tokens, one at a time
//!        │ parse      a tree, by recursive descent
//!        │ check.rs   the type of everything
//!        ▼
//! Expr::Binary { operator: Greater, left: Aggregate …, right: Number 2 }
//!        │ print.rs   on one line      pretty.rs   on lines of 100 characters     json.rs   for tree views
//! ```
//!
//! Nothing here evaluates or knows the data. All of Prometheus's experimental functions, aggregations and modifiers are
//! on.
//!
//! Always true:
//! 1. A text is read in time and memory that grow with its length alone, and no part of this goes deeper on the stack
//!    than [`SyntaxLimits::depth_max`] allows, whatever is written; a tree is dropped without going deep, too.
//! 2. An error is the first that Prometheus would tell, in its words and at its place, but for the limits, which are
//!    ours, for what is wrong within a pattern, and for labels that are not UTF-8, which are refused.
//! 3. What [`print()`] writes is read as the same tree: lengths to the millisecond, matchers in the order of their text.

mod check;
mod duration;
mod error;
mod functions;
mod json;
mod lexer;
mod parse;
mod pretty;
mod print;
mod string;
#[cfg(test)]
mod tests;
mod token;
mod tree;

pub(crate) use error::SyntaxError;
pub(crate) use functions::{ValueType, functions};
pub(crate) use json::json;
pub(crate) use pretty::pretty;
pub(crate) use print::print;
pub(crate) use string::{quote, quote_bytes};
#[expect(unused_imports, reason = "for whoever reads a tree")]
pub(crate) use tree::{
    Aggregate, Aggregator, At, Binary, Call, Cardinality, Edges, Expr, Formula, LabelMatcher, Length, Matching,
    MatrixSelector, Number, Operator, Paren, Shift, Span, Subquery, Text, Unary, VectorSelector,
};

use error::Fault;
use parse::Parser;

/// What a query's text may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyntaxLimits {
    /// Most bytes of the text.
    pub(crate) bytes_max: usize,
    /// Most levels of nesting: parentheses, arguments, right operands, signs.
    pub(crate) depth_max: usize,
    /// Most operators and subqueries in all, which bounds how long a chain like `a or b or c` can be.
    pub(crate) operators_max: usize,
    /// Most patterns (`=~`, `!~`) in all: each costs much to compile.
    pub(crate) patterns_max: usize,
}

impl Default for SyntaxLimits {
    fn default() -> SyntaxLimits {
        SyntaxLimits { bytes_max: 64 << 10, depth_max: 128, operators_max: 10_000, patterns_max: 128 }
    }
}

/// Reads a query.
pub(crate) fn parse(text: &str, limits: &SyntaxLimits) -> Result<Expr, SyntaxError> {
    let parsed = too_long(text, limits).and_then(|()| Parser::new(text, limits).whole());
    let checked = parsed.and_then(|expr| check::check(text, expr));
    checked.map_err(|fault| fault.place(text))
}

/// Reads a selector of series, as `match[]` has it. It may select everything.
pub(crate) fn parse_selector(text: &str, limits: &SyntaxLimits) -> Result<VectorSelector, SyntaxError> {
    let parsed = too_long(text, limits).and_then(|()| Parser::new(text, limits).selector_alone());
    parsed.map_err(|fault| fault.place(text))
}

fn too_long(text: &str, limits: &SyntaxLimits) -> Result<(), Fault> {
    if text.len() <= limits.bytes_max {
        return Ok(());
    }
    let (bytes, bytes_max) = (text.len(), limits.bytes_max);
    Err(Fault::new(bytes_max, format!("the query has {bytes} bytes, more than the {bytes_max} that are allowed")))
}
